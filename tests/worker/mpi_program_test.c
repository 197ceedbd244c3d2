/* nersweep-worker under mpirun, as users start it. The environment that mpirun needs here comes from CTest. */
#include "tests/worker/fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

static int mpirun_job(const Ground *ground, const char *ranks, const char *wanted, const char *name, const char *const *environment)
{
    char *job = memory_format("%s/%s.json", ground->folder, name),
         *result = memory_format("%s/%s.result.json", ground->folder, name);
    const char *arguments[] = {"mpirun", "-n",        ranks,       "--bind-to", "none", worker_program(), "--job", job, "--result",
                               result,   "--backend", "reference", "--threads", "1",    "--ranks",        wanted,  NULL};
    int code = program_run(ground, arguments, environment);
    free(job);
    free(result);
    return code;
}

static void expect_code(const Ground *ground, int code, int expected)
{
    if (code == expected)
        return;
    char *errors = program_errors(ground);
    fail_msg("exit code %d instead of %d: %s", code, expected, errors);
}

static void a_world_of_another_size_is_refused(void **state)
{
    const Ground *ground = *state;
    free(ground_write_job(ground, "three", "max_steps=2", true, false));
    expect_code(ground, mpirun_job(ground, "2", "3", "three", NULL), 1);
    char *errors = program_errors(ground);
    assert_non_null(
        strstr(errors, "asked for 3 ranks, the MPI world has 2: was it started with srun --mpi=pmix -n 3, or mpirun -n 3?"));
    free(errors);
}

static void assert_same_last(const Ground *ground, const char *name, const char *expected_name)
{
    Json *result = job_result(ground, name), *expected = job_result(ground, expected_name);
    char *store = path_join(ground->folder, name), *expected_store = path_join(ground->folder, expected_name);
    char *got = manifest_text(store, json_string_value(json_get(json_get(result, "last"), "checkpoint")));
    char *wanted = manifest_text(expected_store, json_string_value(json_get(json_get(expected, "last"), "checkpoint")));
    assert_string_equal(got, wanted);
    assert_int_equal(json_integer_value(json_get(result, "ranks"), 0), 2);
    free(got);
    free(wanted);
    free(store);
    free(expected_store);
    json_destroy(&result);
    json_destroy(&expected);
}

/* Both ranks are killed there, or one and mpirun ends the other: either way the job is gone, and the same command goes on. */
static void a_job_of_two_ranks_killed_in_mid_step_goes_on_with_the_same_bytes(void **state)
{
    static const char *const faults[] = {"NERSWEEP_FAULT=worker.mid_step:8", "NERSWEEP_FAULT=worker.checkpoint_written:2",
                                         "NERSWEEP_FAULT=worker.evaluating:5"};
    const Ground *ground = *state;
    free(ground_write_job(ground, "undisturbed", "", true, true));
    expect_code(ground, mpirun_job(ground, "2", "2", "undisturbed", NULL), 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char *name = memory_format("disturbed%zu", i);
        const char *environment[] = {faults[i], NULL};
        free(ground_write_job(ground, name, "", true, true));
        assert_int_not_equal(mpirun_job(ground, "2", "2", name, environment), 0);
        expect_code(ground, mpirun_job(ground, "2", "2", name, NULL), 0);
        assert_same_last(ground, name, "undisturbed");
        free(name);
    }
}

/* Both ranks are profiled, the first tells. Runs after the undisturbed one above. */
static void a_profiled_job_of_two_ranks_learns_the_same(void **state)
{
    const Ground *ground = *state;
    char *path = path_join(ground->folder, "profile.json");
    Json *profile = NULL;
    Diagnostic diagnostic = {0};
    free(ground_write_job(ground, "profiled", "", true, true));
    job_set(ground, "profiled", "profile", json_string(path));
    expect_code(ground, mpirun_job(ground, "2", "2", "profiled", NULL), 0);
    assert_same_last(ground, "profiled", "undisturbed");
    must(json_read_file(&profile, path, 1 << 20, &diagnostic), &diagnostic);
    const Json *training = json_get(profile, "training");
    assert_int_equal(json_integer_value(json_get(profile, "ranks"), 0), 2);
    assert_int_equal(json_integer_value(json_get(profile, "rank"), -1), 0);
    assert_true(json_number_value(json_get(training, "reduction_s"), 0) > 0);
    int64_t own = json_integer_value(json_get(training, "own_pieces"), 0);
    assert_true(own > 0 && own < json_integer_value(json_get(training, "pieces"), 0));
    json_destroy(&profile);
    free(path);
}

/* An error on one rank only: all end with it, and it says which rank it was. */
static void a_failure_of_one_rank_ends_the_job_with_its_message(void **state)
{
    const Ground *ground = *state;
    char *once = memory_format("NERSWEEP_FAULT_ONCE=%s/once", ground->folder);
    const char *environment[] = {"NERSWEEP_FAULT=worker.mid_step:4:fail", once, NULL};
    free(ground_write_job(ground, "half", "", true, false));
    expect_code(ground, mpirun_job(ground, "2", "2", "half", environment), 1);
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors, "injected failure in the middle of step 3"));
    assert_non_null(strstr(errors, "rank "));
    free(errors);
    free(once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_world_of_another_size_is_refused),
        cmocka_unit_test(a_job_of_two_ranks_killed_in_mid_step_goes_on_with_the_same_bytes),
        cmocka_unit_test(a_profiled_job_of_two_ranks_learns_the_same),
        cmocka_unit_test(a_failure_of_one_rank_ends_the_job_with_its_message),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
