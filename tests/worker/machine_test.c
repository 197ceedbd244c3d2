/* Checkpoints say what computed them, and a trial that goes on elsewhere says what is other there. */
#include "tests/worker/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "core/store/store.h"

/* What every machine has, and the best level of this one. */
static const char portable[] = "NERSWEEP_CPU_FEATURES=portable", best[] = "NERSWEEP_CPU_FEATURES=amx";

static int run_job(const Ground *ground, const char *name, const char *backend, const char *threads, const char *features,
                   const char *fault)
{
    char *job = memory_format("%s/%s.json", ground->folder, name),
         *result = memory_format("%s/%s.result.json", ground->folder, name);
    const char *arguments[] = {worker_program(), "--job", job,         "--result", result,
                               "--backend",      backend, "--threads", threads,    NULL};
    const char *environment[] = {features, fault, NULL};
    int code = program_run(ground, arguments, environment);
    free(job);
    free(result);
    return code;
}

/* Both manifests of a checkpoint; notes->machine of the first is given back, to be freed with json_destroy. */
static Json *machine_of(const Ground *ground, const char *name, bool forget)
{
    Diagnostic diagnostic = {0};
    Store *store;
    StringArray names = {0};
    Json *machine = NULL;
    char *folder = path_join(ground->folder, name);
    must(store_open(&store, folder, file_system_posix(), &diagnostic), &diagnostic);
    must(store_manifest_list(store, "", &names, &diagnostic), &diagnostic);
    assert_true(names.count >= 2);
    for (size_t i = 0; i < names.count; i++) {
        StoreManifest manifest = {0};
        must(store_manifest_get(store, names.items[i], &manifest, &diagnostic), &diagnostic);
        assert_non_null(json_get(manifest.notes, "machine"));
        json_destroy(&machine);
        machine = json_copy(json_get(manifest.notes, "machine"));
        if (forget) {
            json_destroy(&manifest.notes);
            manifest.notes = json_object();
            must(store_manifest_put(store, names.items[i], &manifest, &diagnostic), &diagnostic);
        }
        store_manifest_free(&manifest);
    }
    string_array_free(&names);
    store_close(&store);
    free(folder);
    return machine;
}

static void assert_precision(const Ground *ground, const char *name, const char *precision)
{
    Json *result = job_result(ground, name), *machine = machine_of(ground, name, false);
    assert_string_equal(json_string_value(json_get(result, "precision")), precision);
    assert_string_equal(json_string_value(json_get(machine, "precision")), precision);
    json_destroy(&result);
    json_destroy(&machine);
}

static void auto_is_what_the_processor_multiplies(void **state)
{
    const Ground *ground = *state;
    free(ground_write_job(ground, "auto_best", "max_steps=4", true, false));
    assert_int_equal(run_job(ground, "auto_best", "cpu", "1", best, NULL), 0);
    Json *machine = machine_of(ground, "auto_best", false);
    const char *features = json_string_value(json_get(machine, "features"));
    bool intel = false;
#ifdef __x86_64__
    intel = __builtin_cpu_is("intel");
#endif
    bool quicker = strncmp(features, "amx", 3) == 0 || (strncmp(features, "avx512bf16", 10) == 0 && !intel);
    assert_precision(ground, "auto_best", quicker ? "bf16" : "fp32");
    json_destroy(&machine);
    free(ground_write_job(ground, "auto_portable", "max_steps=4", true, false));
    job_set(ground, "auto_portable", "precision", json_string("auto"));
    assert_int_equal(run_job(ground, "auto_portable", "cpu", "1", portable, NULL), 0);
    assert_precision(ground, "auto_portable", "fp32");
}

/* Begun in one precision on the portable level and interrupted, then gone on with under auto on this level. */
static char *go_on_under_auto(const Ground *ground, const char *name, const char *precision, const char *features)
{
    free(ground_write_job(ground, name, "save_total_limit=2", true, false));
    job_set(ground, name, "precision", json_string(precision));
    assert_int_not_equal(run_job(ground, name, "cpu", "1", portable, "NERSWEEP_FAULT=worker.mid_step:8"), 0);
    job_set(ground, name, "precision", json_string("auto"));
    assert_int_equal(run_job(ground, name, "cpu", "1", features, NULL), 0);
    assert_precision(ground, name, precision);
    return program_errors(ground);
}

static void auto_goes_on_in_the_precision_of_the_checkpoint(void **state)
{
    const Ground *ground = *state;
    free(ground_write_job(ground, "whole_bf16", "save_total_limit=2", true, false));
    job_set(ground, "whole_bf16", "precision", json_string("bf16"));
    assert_int_equal(run_job(ground, "whole_bf16", "cpu", "1", portable, NULL), 0);
    char *said = go_on_under_auto(ground, "auto_bf16", "bf16", portable);
    assert_non_null(strstr(said, "going on from trial-000000/f00000000-step-00000006"));
    assert_non_null(strstr(said, "precision bf16, that of the checkpoint: fp32 would be quicker on this processor"));
    job_assert_same_result(ground, "auto_bf16", "whole_bf16");
    free(said);
    said = go_on_under_auto(ground, "auto_fp32", "fp32", best);
    assert_non_null(strstr(said, "going on from trial-000000/f00000000-step-00000006"));
    assert_null(strstr(said, "precision bf16"));
    free(said);
    /* What is given stands, and is refused: the job begins anew. */
    free(ground_write_job(ground, "given", "save_total_limit=2", true, false));
    job_set(ground, "given", "precision", json_string("bf16"));
    assert_int_not_equal(run_job(ground, "given", "cpu", "1", portable, "NERSWEEP_FAULT=worker.mid_step:8"), 0);
    job_set(ground, "given", "precision", json_string("fp32"));
    assert_int_equal(run_job(ground, "given", "cpu", "1", portable, NULL), 0);
    said = program_errors(ground);
    assert_non_null(strstr(said, "starting the trial anew"));
    assert_precision(ground, "given", "fp32");
    free(said);
}

/* Interrupted at the eighth step on one machine, ended on another; what the second one said. Freed by the caller. */
static char *go_on(const Ground *ground, const char *name, bool forget, const char *backend, const char *threads,
                   const char *features)
{
    free(ground_write_job(ground, name, "save_total_limit=2", true, false));
    assert_int_not_equal(run_job(ground, name, "cpu", "1", portable, "NERSWEEP_FAULT=worker.mid_step:8"), 0);
    Json *machine = machine_of(ground, name, forget);
    assert_string_equal(json_string_value(json_get(machine, "backend")), "cpu");
    assert_int_equal(strncmp(json_string_value(json_get(machine, "features")), "portable", strlen("portable")), 0);
    assert_int_equal(json_integer_value(json_get(machine, "threads"), 0), 1);
    assert_int_equal(json_integer_value(json_get(machine, "ranks"), 0), 1);
    assert_int_equal(json_integer_value(json_get(machine, "micro_batch"), 0), 8);
    json_destroy(&machine);
    assert_int_equal(run_job(ground, name, backend, threads, features, NULL), 0);
    char *said = program_errors(ground);
    assert_non_null(strstr(said, "going on from trial-000000/f00000000-step-00000006"));
    return said;
}

static void the_same_machine_says_nothing_and_gives_the_same_bytes(void **state)
{
    const Ground *ground = *state;
    free(ground_write_job(ground, "through", "save_total_limit=2", true, false));
    assert_int_equal(run_job(ground, "through", "cpu", "1", portable, NULL), 0);
    char *said = go_on(ground, "same", false, "cpu", "1", portable);
    assert_null(strstr(said, "going on with"));
    job_assert_same_result(ground, "same", "through");
    free(said);
}

static void other_processor_features_are_said_once_with_the_way_back(void **state)
{
    char *said = go_on(*state, "features", false, "cpu", "1", best);
    Json *machine = machine_of(*state, "features", false); /* of the last checkpoint */
    bool other = strncmp(json_string_value(json_get(machine, "features")), "portable", strlen("portable")) != 0;
    json_destroy(&machine);
    if (!other) { /* a processor without any other level */
        assert_null(strstr(said, "going on with"));
        free(said);
        return;
    }
    const char *notice = strstr(said, "going on with processor features");
    assert_non_null(notice);
    assert_non_null(strstr(notice, "instead of \"portable"));
    assert_non_null(strstr(notice, "NERSWEEP_CPU_FEATURES=portable"));
    assert_non_null(strstr(notice, "bits may differ"));
    assert_null(strstr(notice + 1, "going on with"));
    free(said);
}

static void another_backend_is_said_too(void **state)
{
    char *said = go_on(*state, "backend", false, "reference", "1", portable);
    assert_non_null(strstr(said, "going on with backend \"reference\" instead of \"cpu\""));
    assert_non_null(strstr(said, "bits may differ"));
    free(said);
}

static void another_number_of_threads_changes_no_bit(void **state)
{
    const Ground *ground = *state;
    char *said = go_on(ground, "threads", false, "cpu", "2", portable);
    assert_non_null(strstr(said, "going on with threads 2 instead of 1, which changes no bit"));
    assert_null(strstr(said, "bits may differ"));
    job_assert_same_result(ground, "threads", "through");
    free(said);
}

static void a_checkpoint_that_does_not_say_is_gone_on_from(void **state)
{
    char *said = go_on(*state, "old", true, "cpu", "2", best);
    assert_null(strstr(said, "going on with"));
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_machine_says_nothing_and_gives_the_same_bytes),
        cmocka_unit_test(other_processor_features_are_said_once_with_the_way_back),
        cmocka_unit_test(another_backend_is_said_too),
        cmocka_unit_test(another_number_of_threads_changes_no_bit),
        cmocka_unit_test(a_checkpoint_that_does_not_say_is_gone_on_from),
        cmocka_unit_test(auto_is_what_the_processor_multiplies),
        cmocka_unit_test(auto_goes_on_in_the_precision_of_the_checkpoint),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
