/* nersweep-worker --job as a program: end to end, interrupted, and killed at every fault point. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/io/file.h"

static void write_jobs(const Ground *ground, const char *name)
{
    free(ground_write_job(ground, name, "save_total_limit=2", true, true));
}

static void assert_worker_succeeds(const Ground *ground, const char *name)
{
    if (job_program_run(ground, name, NULL) == 0)
        return;
    char *errors = program_errors(ground);
    fail_msg("nersweep-worker failed: %s", errors);
}

static void a_job_ends_with_a_result_and_a_model_folder(void **state)
{
    static const char *const files[] = {"config.json",    "model.safetensors",       "vocab.txt",    "tokenizer_config.json",
                                        "tokenizer.json", "special_tokens_map.json", "nersweep.json"};
    const Ground *ground = *state;
    write_jobs(ground, "whole");
    assert_worker_succeeds(ground, "whole");
    Json *result = job_result(ground, "whole");
    assert_int_equal(json_integer_value(json_get(result, "steps"), 0), 10);
    assert_int_equal(json_count(json_get(result, "evaluations")), 4);
    assert_true(json_number_value(json_get(result, "real_tokens_per_s"), 0) > 0);
    assert_true(json_number_value(json_get(result, "peak_rss_mb"), 0) > 1);
    assert_string_equal(json_string_value(json_get(result, "backend")), "reference");
    assert_string_equal(json_string_value(json_get(result, "precision")), "fp32");
    assert_false(json_boolean_value(json_get(result, "stopped_early"), true));
    assert_int_equal(json_count(json_get(json_get(result, "best"), "dev")), 2);
    assert_true(json_is_number(json_get(json_get(json_get(result, "last"), "test"), "f1")));
    char *store = path_join(ground->folder, "whole"), *text = manifest_text(store, job_checkpoint(result, "best"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_non_null(strstr(text, files[i]));
    free(text);
    free(store);
    json_destroy(&result);
}

static void the_same_job_again_trains_nothing_and_says_the_same(void **state)
{
    const Ground *ground = *state;
    write_jobs(ground, "again");
    assert_worker_succeeds(ground, "again");
    assert_worker_succeeds(ground, "again");
    job_assert_same_result(ground, "again", "whole");
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors, "going on from trial-000000/f00000000-step-00000010"));
    free(errors);
}

static void a_job_with_other_options_starts_anew(void **state)
{
    const Ground *ground = *state;
    free(ground_write_job(ground, "changed", "save_total_limit=2 seed=7", true, true));
    assert_worker_succeeds(ground, "changed");
    write_jobs(ground, "changed");
    assert_worker_succeeds(ground, "changed");
    job_assert_same_result(ground, "changed", "whole");
}

static void a_job_killed_at_a_fault_point_goes_on_with_the_same_bytes(void **state)
{
    static const char *const faults[] = {
        "worker.mid_step",
        "worker.mid_step:8",
        "worker.evaluating:3",
        "worker.before_checkpoint:2",
        "store.objects_written:3",
        "store.manifest_written",
        "store.manifest_written:2",
        "worker.checkpoint_written",
        "worker.before_report:2",
        "worker.after_report:2",
        "file.temporary_written:20",
        "file.before_rename:40",
        "worker.checkpoint_written:4",
    };
    const Ground *ground = *state;
    char *log = path_join(ground->folder, "faults.log"), *log_variable = memory_format("NERSWEEP_FAULT_LOG=%s", log);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char *name = memory_format("killed%zu", i), *fault = memory_format("NERSWEEP_FAULT=%s", faults[i]);
        const char *environment[] = {fault, log_variable, NULL};
        Diagnostic diagnostic = {0};
        must(folder_remove_tree(log, &diagnostic), &diagnostic);
        write_jobs(ground, name);
        int code = job_program_run(ground, name, environment);
        if (code != 128 + SIGKILL)
            fail_msg("%s: exit code %d", faults[i], code);
        assert_true(path_exists(log));
        assert_worker_succeeds(ground, name);
        job_assert_same_result(ground, name, "whole");
        free(name);
        free(fault);
    }
    free(log);
    free(log_variable);
}

static void a_job_that_fails_once_goes_on(void **state)
{
    const Ground *ground = *state;
    const char *environment[] = {"NERSWEEP_FAULT=worker.mid_step:5:fail", NULL};
    write_jobs(ground, "failed");
    assert_int_equal(job_program_run(ground, "failed", environment), 1);
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors, "injected failure in the middle of step 4"));
    free(errors);
    assert_worker_succeeds(ground, "failed");
    job_assert_same_result(ground, "failed", "whole");
}

static void assert_same_number(const Json *a, const Json *b, const char *key)
{
    double left = json_number_value(json_get(a, key), -1), right = json_number_value(json_get(b, key), -2);
    if (!(fabs(left - right) <= 1e-5))
        fail_msg("%s: %.9g instead of %.9g", key, left, right);
}

/* The second reservation is that of the first epoch's largest micro-batch: the first is of one piece, for the gradients. */
static void a_job_short_of_memory_halves_its_micro_batches_and_learns_the_same(void **state)
{
    static const char overrides[] = "per_device_train_batch_size=8 gradient_accumulation_steps=2 hidden_dropout=0.1";
    const Ground *ground = *state;
    char *log = path_join(ground->folder, "memory.log"), *log_variable = memory_format("NERSWEEP_FAULT_LOG=%s", log);
    const char *environment[] = {"NERSWEEP_FAULT=model.reserve_activations:2:fail", log_variable, NULL};
    free(ground_write_job(ground, "roomy", overrides, true, true));
    free(ground_write_job(ground, "short", overrides, true, true));
    assert_worker_succeeds(ground, "roomy");
    int code = job_program_run(ground, "short", environment);
    char *errors = program_errors(ground);
    if (code != 0)
        fail_msg("nersweep-worker ended with %d: %s", code, errors);
    assert_true(path_exists(log));
    assert_non_null(strstr(errors, "going on with 4 sentences at once, the global batch stays"));
    Json *roomy = job_result(ground, "roomy"), *shorter = job_result(ground, "short");
    assert_same_number(roomy, shorter, "steps");
    assert_same_number(roomy, shorter, "pieces");
    const Json *expected = json_get(roomy, "evaluations"), *got = json_get(shorter, "evaluations");
    assert_true(json_count(expected) > 0);
    assert_int_equal(json_count(got), json_count(expected));
    for (size_t i = 0; i < json_count(expected); i++) {
        const Json *row = json_at(expected, i), *other = json_at(got, i);
        assert_same_number(row, other, "step");
        assert_same_number(row, other, "train_loss");
        assert_same_number(json_get(json_get(row, "dev"), "dev"), json_get(json_get(other, "dev"), "dev"), "loss");
    }
    json_destroy(&roomy);
    json_destroy(&shorter);
    free(errors);
    free(log);
    free(log_variable);
}

static void an_oversampled_job_killed_in_an_epoch_goes_on_with_the_same_bytes(void **state)
{
    static const char *const rules[] = {"oversample=repeat_factor repeat_threshold=0.95",
                                        "oversample_types=PER oversample_factor=2.5"};
    const Ground *ground = *state;
    const char *environment[] = {"NERSWEEP_FAULT=worker.mid_step:8", NULL};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char *whole = memory_format("oversampled%zu", i), *killed = memory_format("oversampled_killed%zu", i);
        free(ground_write_job(ground, whole, rules[i], true, true));
        free(ground_write_job(ground, killed, rules[i], true, true));
        assert_worker_succeeds(ground, whole);
        assert_int_equal(job_program_run(ground, killed, environment), 128 + SIGKILL);
        assert_worker_succeeds(ground, killed);
        job_assert_same_result(ground, killed, whole);
        Json *plain = job_result(ground, "whole"), *more = job_result(ground, whole);
        assert_true(json_integer_value(json_get(more, "pieces"), 0) > json_integer_value(json_get(plain, "pieces"), 0));
        json_destroy(&plain);
        json_destroy(&more);
        free(whole);
        free(killed);
    }
}

/* SIGTERM as soon as the first checkpoint is there. */
static void a_job_interrupted_by_sigterm_says_so_and_goes_on_with_the_same_bytes(void **state)
{
    const Ground *ground = *state;
    static const char overrides[] = "save_total_limit=2 num_train_epochs=8 eval_steps=10";
    free(ground_write_job(ground, "patient", overrides, true, true));
    free(ground_write_job(ground, "interrupted", overrides, true, true));
    assert_worker_succeeds(ground, "patient");
    char *first = memory_format("%s/interrupted/manifests/trial-000000/f00000000-step-00000010.state.json", ground->folder);
    char *job = memory_format("%s/interrupted.json", ground->folder),
         *result = memory_format("%s/interrupted.result.json", ground->folder);
    const char *arguments[] = {worker_program(), "--job", job, "--result", result, "--backend", "reference", "--ranks", "1", NULL};
    int pid = program_start(ground, arguments, NULL);
    for (int i = 0; i < 6000 && !path_exists(first); i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_true(path_exists(first));
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(program_wait(pid), 130);
    assert_false(path_exists(result));
    assert_worker_succeeds(ground, "interrupted");
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors, "going on from"));
    free(errors);
    job_assert_same_result(ground, "interrupted", "patient");
    free(first);
    free(job);
    free(result);
}

static void no_temporary_files_are_left_behind(void **state)
{
    const Ground *ground = *state;
    char *temporary = path_join(ground->folder, "tmp"), *variable = memory_format("TMPDIR=%s", temporary);
    const char *environment[] = {variable, NULL};
    Diagnostic diagnostic = {0};
    StringArray names = {0};
    must(folder_create(file_system_posix(), temporary, &diagnostic), &diagnostic);
    free(ground_write_job(ground, "tidy", "max_steps=2", true, false));
    assert_int_equal(job_program_run(ground, "tidy", environment), 0);
    must(folder_list(temporary, &names, &diagnostic), &diagnostic);
    assert_int_equal(names.count, 0);
    string_array_free(&names);
    free(temporary);
    free(variable);
}

static void what_a_killed_worker_left_is_removed_by_the_next(void **state)
{
    const Ground *ground = *state;
    char *temporary = path_join(ground->folder, "tmp2"), *variable = memory_format("TMPDIR=%s", temporary);
    const char *killed[] = {variable, "NERSWEEP_FAULT=worker.mid_step", NULL}, *environment[] = {variable, NULL};
    Diagnostic diagnostic = {0};
    StringArray names = {0};
    must(folder_create(file_system_posix(), temporary, &diagnostic), &diagnostic);
    free(ground_write_job(ground, "untidy", "max_steps=2", true, false));
    assert_int_equal(job_program_run(ground, "untidy", killed), 128 + SIGKILL);
    must(folder_list(temporary, &names, &diagnostic), &diagnostic);
    assert_int_equal(names.count, 1);
    string_array_free(&names);
    assert_int_equal(job_program_run(ground, "untidy", environment), 0);
    must(folder_list(temporary, &names, &diagnostic), &diagnostic);
    assert_int_equal(names.count, 0);
    string_array_free(&names);
    free(temporary);
    free(variable);
}

static void run_and_expect(const Ground *ground, const char *const *arguments, int code, const char *part)
{
    int got = program_run(ground, arguments, NULL);
    char *errors = program_errors(ground);
    if (got != code || !strstr(errors, part))
        fail_msg("exit code %d, wanted %d with \"%s\": %s", got, code, part, errors);
    free(errors);
}

static void wrong_usage_is_said(void **state)
{
    const Ground *ground = *state;
    const char *nothing[] = {worker_program(), NULL};
    const char *half[] = {worker_program(), "--job", "x.json", NULL};
    const char *both[] = {worker_program(), "--job", "x.json", "--result", "y.json", "--sweep", "z", NULL};
    const char *unknown[] = {worker_program(), "--coordinater", "x", NULL};
    const char *missing[] = {worker_program(), "--job", "/nowhere/job.json", "--result", "/nowhere/result.json", NULL};
    const char *ranks[] = {worker_program(), "--job", "x.json", "--result", "y.json", "--ranks", "2", NULL};
    run_and_expect(ground, nothing, 2, "one of --coordinator, --sweep and --job is needed");
    run_and_expect(ground, half, 2, "--job and --result belong together");
    run_and_expect(ground, both, 2, "not several");
    run_and_expect(ground, unknown, 2, "--coordinator");
    run_and_expect(ground, missing, 1, "/nowhere/job.json");
    run_and_expect(ground, ranks, 1, "asked for 2 ranks, the MPI world has 1");
}

/* A job with one key more. The value is taken over. */
static void write_job_with(const Ground *ground, const char *name, const char *key, Json *value)
{
    free(ground_write_job(ground, name, "max_steps=6", true, false));
    job_set(ground, name, key, value);
}

/* The reference rounds what is kept as bf16, so the losses differ, but by no more than that. */
static void the_precision_is_used_and_reported(void **state)
{
    const Ground *ground = *state;
    double losses[2];
    static const char *const precisions[] = {"auto", "bf16"}, *const reported[] = {"fp32", "bf16"};
    for (size_t i = 0; i < 2; i++) {
        write_job_with(ground, precisions[i], "precision", json_string(precisions[i]));
        assert_worker_succeeds(ground, precisions[i]);
        Json *result = job_result(ground, precisions[i]);
        assert_string_equal(json_string_value(json_get(result, "precision")), reported[i]);
        const Json *evaluations = json_get(result, "evaluations"), *last = json_at(evaluations, json_count(evaluations) - 1);
        losses[i] = json_number_value(json_get(last, "train_loss"), NAN);
        json_destroy(&result);
    }
    assert_true(losses[0] != losses[1] && fabs(losses[0] - losses[1]) < 0.02 * losses[0]);
    write_job_with(ground, "fp8", "precision", json_string("fp8"));
    assert_int_equal(job_program_run(ground, "fp8", NULL), 1);
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors, "precision \"fp8\": it may be auto, fp32 or bf16"));
    free(errors);
}

static Json *profile_of(const Ground *ground)
{
    Json *profile = NULL;
    Diagnostic diagnostic = {0};
    char *path = path_join(ground->folder, "profile.json");
    must(json_read_file(&profile, path, 1 << 20, &diagnostic), &diagnostic);
    free(path);
    return profile;
}

static double member(const Json *json, const char *key)
{
    assert_true(json_is_number(json_get(json, key)));
    return json_number_value(json_get(json, key), NAN);
}

static const Json *operation_named(const Json *group, const char *operation, const char *matrix)
{
    const Json *operations = json_get(group, "operations");
    for (size_t i = 0; i < json_count(operations); i++) {
        const Json *entry = json_at(operations, i);
        const char *its_matrix = json_string_value(json_get(entry, "matrix"));
        if (strcmp(json_string_value(json_get(entry, "operation")), operation) == 0 &&
            (matrix == NULL ? its_matrix == NULL : its_matrix && strcmp(its_matrix, matrix) == 0))
            return entry;
    }
    fail_msg("the profile lacks %s %s", operation, matrix ? matrix : "");
    return NULL;
}

/* All time of a group is that of its operations and that of its rest. */
static void assert_adds_up(const Json *group, double rest_s)
{
    const Json *operations = json_get(group, "operations");
    double sum_s = 0;
    for (size_t i = 0; i < json_count(operations); i++) {
        const Json *entry = json_at(operations, i);
        double share = member(entry, "share_of_roofline");
        sum_s += member(entry, "wall_s");
        assert_true(member(entry, "calls") > 0 && share >= 0);
        assert_true(fabs(share * member(entry, "wall_s") - member(entry, "roofline_s")) < 1e-9);
    }
    assert_true(fabs(sum_s - member(group, "operations_s")) < 1e-9);
    assert_true(fabs(sum_s + rest_s - member(group, "wall_s")) < 1e-9);
}

static void a_profiled_job_learns_the_same_and_tells_where_its_time_went(void **state)
{
    static const char *const matrices[] = {"qkv", "output", "ffn_in", "ffn_out", "classifier"};
    static const char *const others[] = {"embedding_forward", "embedding_backward", "norm_forward",
                                         "norm_backward",     "attention_forward",  "attention_backward",
                                         "cross_entropy",     "sum_of_squares",     "adamw"};
    const Ground *ground = *state;
    char *path = path_join(ground->folder, "profile.json");
    write_job_with(ground, "plain", "precision", json_string("fp32"));
    write_job_with(ground, "profiled", "profile", json_string(path));
    assert_worker_succeeds(ground, "plain");
    assert_false(path_exists(path));
    assert_worker_succeeds(ground, "profiled");
    job_assert_same_result(ground, "profiled", "plain");
    Json *profile = profile_of(ground), *result = job_result(ground, "profiled");
    const Json *training = json_get(profile, "training"), *peaks = json_get(profile, "peaks");
    assert_string_equal(json_string_value(json_get(result, "profile")), path);
    assert_true(member(peaks, "fp32_gflops") > 0 && member(peaks, "bf16_gflops") > 0 && member(peaks, "memory_gb_per_s") > 0);
    assert_int_equal(json_integer_value(json_get(training, "steps"), 0), 5); /* and the first, which is not counted */
    assert_true(member(training, "first_step_s") > 0);
    assert_true(member(operation_named(training, "cross_entropy", NULL), "calls") == 5);
    assert_adds_up(training, member(training, "host_s") + member(training, "reading_s") + member(training, "planning_s") +
                                 member(training, "reduction_s"));
    assert_adds_up(json_get(profile, "evaluation"), member(json_get(profile, "evaluation"), "host_s"));
    const Json *other = json_get(profile, "other");
    assert_adds_up(other, member(other, "setup_s") + member(other, "checkpoint_s"));
    assert_true(member(training, "share_of_roofline") > 0);
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        double forward = member(operation_named(training, "linear_forward", matrices[i]), "flop");
        assert_true(forward > 0 && forward == member(operation_named(training, "linear_backward_weight", matrices[i]), "flop"));
        assert_true(forward == member(operation_named(training, "linear_backward_input", matrices[i]), "flop"));
        assert_true(member(operation_named(json_get(profile, "evaluation"), "linear_forward", matrices[i]), "calls") > 0);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(member(operation_named(training, others[i], NULL), "bytes") > 0);
    /* Nothing is left to train: the profile of the run that did it stays. */
    json_destroy(&result);
    assert_worker_succeeds(ground, "profiled");
    result = job_result(ground, "profiled");
    assert_null(json_get(result, "profile"));
    Json *again = profile_of(ground);
    assert_int_equal(json_integer_value(json_get(json_get(again, "training"), "steps"), 0), 5);
    json_destroy(&again);
    json_destroy(&result);
    json_destroy(&profile);
    free(path);
}

static void missing_shards_are_named(void **state)
{
    const Ground *ground = *state;
    char *path = ground_write_job(ground, "no_shards", "max_steps=1", true, false), *text;
    size_t size;
    Diagnostic diagnostic = {0};
    must(file_read(path, 1 << 20, &text, &size, &diagnostic), &diagnostic);
    char *shards = strstr(text, "/shards\"");
    assert_non_null(shards);
    shards[1] = 'S';
    must(file_write_durable(file_system_posix(), path, text, size, &diagnostic), &diagnostic);
    assert_int_equal(job_program_run(ground, "no_shards", NULL), 1);
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors, "Shards"));
    free(errors);
    free(text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_ends_with_a_result_and_a_model_folder),
        cmocka_unit_test(the_same_job_again_trains_nothing_and_says_the_same),
        cmocka_unit_test(a_job_with_other_options_starts_anew),
        cmocka_unit_test(an_oversampled_job_killed_in_an_epoch_goes_on_with_the_same_bytes),
        cmocka_unit_test(a_job_short_of_memory_halves_its_micro_batches_and_learns_the_same),
        cmocka_unit_test(a_job_killed_at_a_fault_point_goes_on_with_the_same_bytes),
        cmocka_unit_test(a_job_that_fails_once_goes_on),
        cmocka_unit_test(a_job_interrupted_by_sigterm_says_so_and_goes_on_with_the_same_bytes),
        cmocka_unit_test(no_temporary_files_are_left_behind),
        cmocka_unit_test(what_a_killed_worker_left_is_removed_by_the_next),
        cmocka_unit_test(wrong_usage_is_said),
        cmocka_unit_test(the_precision_is_used_and_reported),
        cmocka_unit_test(a_profiled_job_learns_the_same_and_tells_where_its_time_went),
        cmocka_unit_test(missing_shards_are_named),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
