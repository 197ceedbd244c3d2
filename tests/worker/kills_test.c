/* The resume matrix: a job that is killed again and again, at fault points drawn by a fixed generator, ends with the bytes of one that was never
 * killed. NERSWEEP_KILLS: how many kills (default 200). */
#include "tests/worker/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/philox.h"
#include "core/io/file.h"

enum { KILLS = 200, KILLS_LIMIT = 1000000, KILLS_OF_A_JOB = 4 };

/* Fault points, and up to which visit of them a run is killed: about as many as a job makes. */
static const struct {
    const char *name;
    uint64_t visits;
} points[] = {
    {"worker.mid_step", 10},        {"worker.evaluating", 8},         {"worker.before_checkpoint", 4}, {"store.objects_written", 4},
    {"store.manifest_written", 4},  {"worker.checkpoint_written", 4}, {"worker.before_report", 4},     {"worker.after_report", 4},
    {"file.temporary_written", 60}, {"file.before_rename", 60},
};
enum { POINTS = sizeof points / sizeof *points };

static const char *const rules[] = {
    "save_total_limit=2",
    "save_total_limit=2 frozen_dropout=false freeze_schedule=embeddings+1@1",
    "save_total_limit=2 oversample=repeat_factor repeat_threshold=0.95 gradient_accumulation_steps=2 num_train_epochs=3",
};
enum { RULES = sizeof rules / sizeof *rules };

static int64_t kills_wanted(void)
{
    const char *text = getenv("NERSWEEP_KILLS");
    if (!text)
        return KILLS;
    char *end;
    long long wanted = strtoll(text, &end, 10);
    if (end == text || *end || wanted < 1 || wanted > KILLS_LIMIT)
        fail_msg("NERSWEEP_KILLS=\"%s\": a number from 1 to %d is wanted", text, KILLS_LIMIT);
    return wanted;
}

/* Runs the job with up to KILLS_OF_A_JOB kills one after another; a point that is not reached any more ends the job. Counts kills per point. */
static void kill_job(const Ground *ground, const char *name, uint32_t job, int64_t *kills)
{
    for (uint32_t run = 0; run < KILLS_OF_A_JOB; run++) {
        PhiloxBlock random = philox4x32_10(philox_key(17, RANDOM_INIT, 0), job, run, 0, 0);
        uint64_t point = random.word[0] % POINTS, visit = 1 + random.word[1] % points[point].visits;
        char *fault = memory_format("NERSWEEP_FAULT=%s:%llu", points[point].name, (unsigned long long)visit);
        int code = job_program_run(ground, name, (const char *const[]){fault, NULL});
        if (code != 0 && code != 128 + SIGKILL)
            fail_msg("job %u, run %u, %s: exit code %d: %s", job, run, fault, code, program_errors(ground));
        free(fault);
        if (code == 0)
            return;
        kills[point]++;
    }
}

static void a_job_killed_again_and_again_ends_with_the_same_bytes(void **state)
{
    const Ground *ground = *state;
    int64_t kills[POINTS] = {0}, wanted = kills_wanted(), done = 0;
    for (int rule = 0; rule < RULES; rule++) {
        char *whole = memory_format("whole%d", rule);
        free(ground_write_job(ground, whole, rules[rule], true, true));
        assert_int_equal(job_program_run(ground, whole, NULL), 0);
        free(whole);
    }
    for (uint32_t job = 0; done < wanted; job++) {
        Diagnostic diagnostic = {0};
        char *name = memory_format("job%u", job), *whole = memory_format("whole%u", job % RULES);
        char *store = path_join(ground->folder, name);
        free(ground_write_job(ground, name, rules[job % RULES], true, true));
        kill_job(ground, name, job, kills);
        if (job_program_run(ground, name, NULL) != 0)
            fail_msg("job %u does not go on: %s", job, program_errors(ground));
        job_assert_same_result(ground, name, whole);
        must(folder_remove_tree(store, &diagnostic), &diagnostic);
        done = 0;
        for (int point = 0; point < POINTS; point++)
            done += kills[point];
        free(store);
        free(name);
        free(whole);
    }
    for (int point = 0; point < POINTS; point++)
        printf("%-28s %6lld kills\n", points[point].name, (long long)kills[point]);
    for (int point = 0; point < POINTS && wanted >= KILLS; point++)
        assert_true(kills[point] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_job_killed_again_and_again_ends_with_the_same_bytes)};
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
