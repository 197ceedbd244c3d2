/* The search in the simulated world: with results that decide what is tried next, and trials that pause, are promoted and are stopped.
 * NERSWEEP_SIMULATION_SEEDS and NERSWEEP_SIMULATION_FIRST: how many seeds, and from which on, for long runs by hand. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"
#include "tests/coordinator/fixtures.h"
#include "tests/coordinator/simulation.h"

#define COMMON            \
    "max_retries: 1000\n" \
    "resources: {heartbeat: 1, lease: 10}\n"
#define PARAMETERS                                                                    \
    "parameters:\n"                                                                   \
    "  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 3.0e-4}\n" \
    "  lr_scheduler_type: {values: [linear, cosine]}\n"                               \
    "  warmup_steps: {min: 1, max: 50, when: {lr_scheduler_type: linear}}\n"

/* In the logical order the outcome is a function of the sweep file alone. */
static const char *const logical[] = {
    "method: tpe\norder: logical\nrun_cap: 14\nseeds: [1]\nsearch: {startup_trials: 4, lag: 3}\n" COMMON PARAMETERS,
    "method: random\norder: logical\nrun_cap: 10\nseeds: [1, 2]\nsearch: {lag: 2}\n"
    "early_terminate: {type: asha, min_iter: 1, eta: 2}\n" COMMON PARAMETERS,
    "method: tpe\norder: logical\nrun_cap: 14\nseeds: [1]\nsearch: {startup_trials: 3, lag: 2, multivariate: false}\n"
    "early_terminate: {type: median, min_trials: 2}\n" COMMON PARAMETERS,
    "method: random\norder: logical\nrun_cap: 14\nseeds: [1]\nsearch: {sobol: true, lag: 4}\n"
    "early_terminate: {type: hyperband, min_iter: 1, max_iter: 4, eta: 2}\n" COMMON PARAMETERS,
};
enum { LOGICAL_COUNT = sizeof logical / sizeof *logical };

/* In the order of arrival it is not, but every trial ends once. */
static const char *const arrival[] = {
    "method: random\nrun_cap: 14\nseeds: [1]\nearly_terminate: {type: asha, min_iter: 1, eta: 2}\n" COMMON PARAMETERS,
    "method: tpe\nrun_cap: 8\nseeds: [1, 2]\nsearch: {startup_trials: 3}\n"
    "early_terminate: {type: hyperband, min_iter: 1, max_iter: 4, eta: 2}\n" COMMON PARAMETERS,
    "method: tpe\nrun_cap: 14\nseeds: [1]\nsearch: {startup_trials: 3}\n"
    "early_terminate: {type: median, min_trials: 2}\n" COMMON PARAMETERS,
    "method: random\nrun_cap: 500\nseeds: [1, 2]\nbudget: {time: 2m}\n"
    "early_terminate: {type: asha, min_iter: 1, eta: 2}\n" COMMON PARAMETERS,
};
enum { ARRIVAL_COUNT = sizeof arrival / sizeof *arrival };

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static SimulationOptions storm(uint64_t seed)
{
    SimulationOptions options = simulation_storm(seed, 1 + (int)(seed / LOGICAL_COUNT % 6));
    options.twins = seed % 5 == 0;
    return options;
}

static uint64_t journal_hash(const SimulatedJournal *journal)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < journal->records.count; i++) {
        uint64_t words[2] = {hash, checksum64(journal->records.items[i].bytes, journal->records.items[i].size)};
        hash = checksum64(words, sizeof words);
    }
    return hash;
}

static void in_the_logical_order_nothing_that_happens_changes_the_outcome(void **state)
{
    (void)state;
    uint64_t first = number_of("NERSWEEP_SIMULATION_FIRST", 1), seeds = number_of("NERSWEEP_SIMULATION_SEEDS", 120);
    Sweep *sweeps[LOGICAL_COUNT];
    char *expected[LOGICAL_COUNT];
    bool stopped = false;
    for (int i = 0; i < LOGICAL_COUNT; i++) {
        SimulatedJournal calm = {0}, alone = {0};
        sweeps[i] = fixture_sweep(logical[i]);
        expected[i] = simulation_run(sweeps[i], &(SimulationOptions){.seed = 1, .workers = 4}, &calm);
        char *one = simulation_run(sweeps[i], &(SimulationOptions){.seed = 2, .workers = 1}, &alone);
        assert_string_equal(one, expected[i]);
        stopped = stopped || strstr(expected[i], "\"stopped\"");
        free(one);
        simulated_journal_free(&calm);
        simulated_journal_free(&alone);
    }
    assert_true(stopped);
    memset(&simulation_counts, 0, sizeof simulation_counts);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        int i = (int)(seed % LOGICAL_COUNT);
        SimulationOptions options = storm(seed);
        SimulatedJournal journal = {0};
        char *result = simulation_run(sweeps[i], &options, &journal);
        if (strcmp(result, expected[i]) != 0)
            fail_msg("seed %" PRIu64 " of sweep %d:\n%s\ninstead of\n%s", seed, i, result, expected[i]);
        free(result);
        simulated_journal_free(&journal);
    }
    const SimulationCounts *counts = &simulation_counts;
    print_message(
        "%" PRIu64 " seeds: %d workers killed, %d cut off, %d coordinators killed (%d in a write), %d clocks jumped, %d disks "
        "full (%d coordinators gave up, %d were killed meanwhile)\n",
        seeds, (int)counts->workers_killed, (int)counts->partitions, (int)counts->coordinators_killed, (int)counts->torn_batches,
        (int)counts->jumps, (int)counts->full_disks, (int)counts->given_up, (int)counts->killed_waiting);
    assert_true(counts->workers_killed > seeds && counts->coordinators_killed > seeds / 2 && counts->torn_batches > seeds / 8);
    assert_true(counts->partitions > seeds && counts->jumps > seeds / 4);
    assert_true(counts->full_disks > seeds / 2 && counts->given_up > seeds / 40 && counts->killed_waiting > seeds / 20);
    for (int i = 0; i < LOGICAL_COUNT; i++) {
        free(expected[i]);
        sweep_destroy(&sweeps[i]);
    }
}

static void in_the_order_of_arrival_every_trial_ends_once(void **state)
{
    (void)state;
    uint64_t first = number_of("NERSWEEP_SIMULATION_FIRST", 1), seeds = number_of("NERSWEEP_SIMULATION_SEEDS", 80);
    Sweep *sweeps[ARRIVAL_COUNT];
    uint64_t stopped = 0, promoted = 0, spent = 0;
    for (int i = 0; i < ARRIVAL_COUNT; i++)
        sweeps[i] = fixture_sweep(arrival[i]);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        SimulationOptions options = storm(seed);
        SimulatedJournal journal = {0};
        char *result = simulation_run(sweeps[seed % ARRIVAL_COUNT], &options, &journal); /* checks that each ends once */
        for (size_t i = 0; i < journal.records.count; i++) {
            Record record;
            assert_int_equal(record_decode(&record, journal.records.items[i].bytes, journal.records.items[i].size, NULL),
                             STATUS_OK);
            stopped += record.type == RECORD_TRIAL_ENDED && record.outcome == TRIAL_STOPPED;
            promoted += record.type == RECORD_PROMOTED;
            spent += record.type == RECORD_BUDGET_SPENT;
            record_free(&record);
        }
        free(result);
        simulated_journal_free(&journal);
    }
    print_message("%" PRIu64 " seeds: %d promotions, %d trials stopped, %d budgets spent\n", seeds, (int)promoted, (int)stopped,
                  (int)spent);
    assert_true(stopped > seeds && promoted > seeds && spent >= seeds / ARRIVAL_COUNT);
    for (int i = 0; i < ARRIVAL_COUNT; i++)
        sweep_destroy(&sweeps[i]);
}

static void a_coordinator_that_dies_after_any_record_decides_as_the_one_before(void **state)
{
    (void)state;
    size_t stride = getenv("NERSWEEP_SIMULATION_SEEDS") ? 1 : 3;
    for (int i = 0; i < LOGICAL_COUNT; i++) {
        Sweep *sweep = fixture_sweep(logical[i]);
        simulation_check_cuts(sweep, stride);
        sweep_destroy(&sweep);
    }
}

static void the_same_seed_writes_the_same_journal(void **state)
{
    (void)state;
    for (int i = 0; i < ARRIVAL_COUNT; i++) {
        Sweep *sweep = fixture_sweep(arrival[i]);
        uint64_t hashes[3];
        for (int run = 0; run < 3; run++) {
            SimulationOptions options = storm(run == 2 ? 100 : 99);
            SimulatedJournal journal = {0};
            free(simulation_run(sweep, &options, &journal));
            hashes[run] = journal_hash(&journal);
            simulated_journal_free(&journal);
        }
        assert_true(hashes[0] == hashes[1] && hashes[0] != hashes[2]);
        sweep_destroy(&sweep);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(in_the_logical_order_nothing_that_happens_changes_the_outcome),
        FIXTURE_TEST(in_the_order_of_arrival_every_trial_ends_once),
        FIXTURE_TEST(a_coordinator_that_dies_after_any_record_decides_as_the_one_before),
        FIXTURE_TEST(the_same_seed_writes_the_same_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
