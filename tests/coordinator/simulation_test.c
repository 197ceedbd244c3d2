#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/coordinator/fixtures.h"
#include "tests/coordinator/simulation.h"

static const char random_search[] = "method: random\n"
                                    "run_cap: 8\n"
                                    "max_retries: 1000\n"
                                    "seeds: [1, 2]\n"
                                    "resources: {heartbeat: 1, lease: 10}\n"
                                    "parameters:\n"
                                    "  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 3.0e-4}\n"
                                    "  warmup_ratio: {values: [0.0, 0.06, 0.1]}\n";

static const char large_search[] = "method: random\n"
                                   "run_cap: 600\n"
                                   "max_retries: 1000\n"
                                   "seeds: [1]\n"
                                   "resources: {heartbeat: 1, lease: 10}\n"
                                   "parameters:\n"
                                   "  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 3.0e-4}\n";

static char *undisturbed(const Sweep *sweep, int workers, SimulatedJournal *journal)
{
    SimulationOptions options = {.seed = 1, .workers = workers};
    return simulation_run(sweep, &options, journal);
}

static void one_worker_and_many_come_to_the_same(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(random_search);
    SimulatedJournal first = {0}, second = {0};
    char *alone = undisturbed(sweep, 1, &first), *together = undisturbed(sweep, 7, &second);
    assert_string_equal(alone, together);
    assert_non_null(strstr(alone, "\"diverged\"")); /* the world has all kinds of trials */
    assert_non_null(strstr(alone, "\"completed\""));
    free(alone);
    free(together);
    simulated_journal_free(&first);
    simulated_journal_free(&second);
    sweep_destroy(&sweep);
}

static void whatever_happens_every_trial_ends_once_and_alike(void **state)
{
    (void)state;
    enum { SEEDS = 200 };
    Sweep *sweep = fixture_sweep(random_search);
    SimulatedJournal calm = {0};
    char *expected = undisturbed(sweep, 3, &calm);
    memset(&simulation_counts, 0, sizeof simulation_counts);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        SimulationOptions options = simulation_storm(seed, 1 + (int)(seed % 6));
        SimulatedJournal journal = {0};
        char *result = simulation_run(sweep, &options, &journal);
        if (strcmp(result, expected) != 0)
            fail_msg("seed %d:\n%s\ninstead of\n%s", (int)seed, result, expected);
        free(result);
        simulated_journal_free(&journal);
    }
    const SimulationCounts *counts = &simulation_counts;
    assert_true(counts->dropped > SEEDS && counts->repeated > SEEDS && counts->workers_killed > SEEDS &&
                counts->workers_frozen > SEEDS / 2);
    print_message("%d dropped, %d repeated, %d workers killed, %d frozen, %d faults, %d coordinators killed (%d in a write), %d "
                  "paused, %d released, %d disks full\n",
                  (int)counts->dropped, (int)counts->repeated, (int)counts->workers_killed, (int)counts->workers_frozen,
                  (int)counts->faults, (int)counts->coordinators_killed, (int)counts->torn_batches, (int)counts->pauses,
                  (int)counts->stale_releases, (int)counts->full_disks);
    assert_true(counts->faults > SEEDS / 2 && counts->coordinators_killed > SEEDS && counts->pauses > SEEDS / 2 &&
                counts->torn_batches > SEEDS / 4);
    assert_true(counts->stale_releases > SEEDS);
    free(expected);
    simulated_journal_free(&calm);
    sweep_destroy(&sweep);
}

static void a_coordinator_that_dies_after_any_record_changes_nothing(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(random_search);
    simulation_check_cuts(sweep, 1);
    sweep_destroy(&sweep);
}

static void hundreds_of_workers_are_served(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(large_search);
    SimulatedJournal calm = {0}, stormy = {0};
    char *expected = undisturbed(sweep, 300, &calm);
    SimulationOptions options = {.seed = 5,
                                 .workers = 300,
                                 .drop = 0.1,
                                 .repeat = 0.1,
                                 .delay_limit_ms = 1500,
                                 .worker_kill = 0.01,
                                 .coordinator_kill = 0.05};
    char *result = simulation_run(sweep, &options, &stormy);
    assert_string_equal(result, expected);
    free(result);
    free(expected);
    simulated_journal_free(&calm);
    simulated_journal_free(&stormy);
    sweep_destroy(&sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(one_worker_and_many_come_to_the_same),
        FIXTURE_TEST(whatever_happens_every_trial_ends_once_and_alike),
        FIXTURE_TEST(a_coordinator_that_dies_after_any_record_changes_nothing),
        FIXTURE_TEST(hundreds_of_workers_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
