/* deterministic: world, with nersweep-worker under a real mpirun: one, two and four ranks end with the same bytes. */
#include "tests/worker/fixture.h"

#include <stdlib.h>
#include <string.h>

/* How a job is run. */
typedef struct World {
    const char *ranks, *threads, *backend, *fault;
} World;

static int world_run(const Ground *ground, const char *name, const World *world)
{
    char *job = memory_format("%s/%s.json", ground->folder, name),
         *result = memory_format("%s/%s.result.json", ground->folder, name);
    const char *arguments[] = {"mpirun",  "-n",         world->ranks, "--bind-to", "none",         worker_program(), "--job",
                               job,       "--result",   result,       "--backend", world->backend, "--threads",      world->threads,
                               "--ranks", world->ranks, NULL};
    const char *environment[] = {world->fault, NULL};
    int code = program_run(ground, arguments, environment);
    free(job);
    free(result);
    return code;
}

static void world_must(const Ground *ground, const char *name, const World *world)
{
    int code = world_run(ground, name, world);
    if (code == 0)
        return;
    char *errors = program_errors(ground);
    fail_msg("%s on %s ranks: exit code %d: %s", name, world->ranks, code, errors);
}

/* Also what training goes on from. */
static void assert_same_bytes(const Ground *ground, const char *name, const char *expected_name)
{
    job_assert_same_result(ground, name, expected_name);
    Json *result = job_result(ground, name), *expected = job_result(ground, expected_name);
    char *store = path_join(ground->folder, name), *expected_store = path_join(ground->folder, expected_name);
    char *state = memory_format("%s.state", job_checkpoint(result, "last")),
         *expected_state = memory_format("%s.state", job_checkpoint(expected, "last"));
    char *files = manifest_text(store, state), *expected_files = manifest_text(expected_store, expected_state);
    assert_string_equal(files, expected_files);
    char *texts[] = {store, expected_store, state, expected_state, files, expected_files};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    json_destroy(&result);
    json_destroy(&expected);
}

static void assert_same_in_worlds(const Ground *ground, const char *name, const char *options, const World *worlds, size_t count)
{
    char *all = memory_format("deterministic=world %s", options), *first = memory_format("%s_0", name);
    for (size_t i = 0; i < count; i++) {
        char *own = memory_format("%s_%zu", name, i);
        free(ground_write_job(ground, own, all, true, true));
        world_must(ground, own, &worlds[i]);
        if (i > 0)
            assert_same_bytes(ground, own, first);
        free(own);
    }
    free(first);
    free(all);
}

static const World one_two_four[] = {{"1", "1", "reference", NULL}, {"2", "1", "reference", NULL}, {"4", "1", "reference", NULL}};

static void one_two_and_four_ranks_end_with_the_same_bytes(void **state)
{
    assert_same_in_worlds(*state, "plain", "gradient_accumulation_steps=2 per_device_train_batch_size=7 weight_decay=0.01",
                          one_two_four, 3);
}

static void also_with_frozen_layers_that_are_kept_class_weights_and_oversampling(void **state)
{
    assert_same_in_worlds(*state, "frozen",
                          "freeze_schedule=embeddings+1@1 frozen_dropout=false class_weights=balanced oversample_factor=1.5 "
                          "per_device_train_batch_size=9",
                          one_two_four, 3);
}

/* Some chunks are empty, in some steps whole ranks are. */
static void also_with_fewer_sentences_than_virtual_ranks(void **state)
{
    assert_same_in_worlds(*state, "few", "virtual_ranks=8 per_device_train_batch_size=3 max_steps=5", one_two_four, 3);
}

static void also_on_the_fast_backend_whatever_the_number_of_threads(void **state)
{
    static const World worlds[] = {
        {"1", "2", "cpu", NULL}, {"2", "1", "cpu", NULL}, {"2", "2", "cpu", NULL}, {"4", "1", "cpu", NULL}};
    assert_same_in_worlds(*state, "fast", "per_device_train_batch_size=16", worlds, 4);
}

static void a_job_goes_on_in_a_world_of_another_size_with_the_same_bytes(void **state)
{
    static const World begun = {"4", "1", "reference", "NERSWEEP_FAULT=worker.mid_step:8"};
    static const World gone_on = {"2", "1", "reference", "NERSWEEP_FAULT=worker.mid_step:9"};
    const Ground *ground = *state;
    static const char options[] = "deterministic=world freeze_schedule=embeddings+1@1 frozen_dropout=false num_train_epochs=3";
    free(ground_write_job(ground, "undisturbed", options, true, true));
    free(ground_write_job(ground, "moved", options, true, true));
    world_must(ground, "undisturbed", &one_two_four[1]);
    assert_int_not_equal(world_run(ground, "moved", &begun), 0);
    assert_int_not_equal(world_run(ground, "moved", &gone_on), 0);
    world_must(ground, "moved", &one_two_four[0]);
    assert_same_bytes(ground, "moved", "undisturbed");
}

/* Layers of a dozen cells: each rank updates some of every layer, and a checkpoint's moments come from all. Gradients are clipped, so that every
 * bit of their norm is in the weights. */
static void also_where_each_rank_updates_a_share_of_every_layer(void **state)
{
    static const World worlds[] = {{"1", "2", "cpu", NULL}, {"2", "1", "cpu", NULL}, {"4", "1", "cpu", NULL}};
    static const World begun = {"4", "1", "cpu", "NERSWEEP_FAULT=worker.mid_step:8"};
    static const World gone_on = {"2", "1", "cpu", "NERSWEEP_FAULT=worker.mid_step:9"};
    static const char options[] = "weight_decay=0.01 layerwise_lr_decay=0.9 max_grad_norm=0.05 num_train_epochs=3";
    const Ground *ground = *state;
    char *in_a_world = memory_format("deterministic=world %s", options);
    ground_write_model(ground, 64, 256);
    assert_same_in_worlds(ground, "wide", options, worlds, 3);
    free(ground_write_job(ground, "wide_moved", in_a_world, true, true));
    assert_int_not_equal(world_run(ground, "wide_moved", &begun), 0);
    assert_int_not_equal(world_run(ground, "wide_moved", &gone_on), 0);
    world_must(ground, "wide_moved", &worlds[0]);
    assert_same_bytes(ground, "wide_moved", "wide_0");
    ground_write_model(ground, 16, 32);
    free(in_a_world);
}

/* Sums in the library's order, shares one after another. */
static void three_ranks_resumed_give_the_same_bytes(void **state)
{
    static const World whole = {"3", "1", "cpu", NULL}, begun = {"3", "1", "cpu", "NERSWEEP_FAULT=worker.mid_step:8"};
    static const char options[] = "freeze_schedule=embeddings+1@1 num_train_epochs=3";
    const Ground *ground = *state;
    ground_write_model(ground, 64, 256);
    free(ground_write_job(ground, "three", options, true, true));
    free(ground_write_job(ground, "three_resumed", options, true, true));
    world_must(ground, "three", &whole);
    assert_int_not_equal(world_run(ground, "three_resumed", &begun), 0);
    world_must(ground, "three_resumed", &whole);
    assert_same_bytes(ground, "three_resumed", "three");
    ground_write_model(ground, 16, 32);
}

static void ranks_that_do_not_divide_the_virtual_ranks_are_refused(void **state)
{
    static const World three = {"3", "1", "reference", NULL};
    const Ground *ground = *state;
    free(ground_write_job(ground, "three", "deterministic=world max_steps=2", true, false));
    assert_int_equal(world_run(ground, "three", &three), 1);
    char *errors = program_errors(ground);
    assert_non_null(strstr(errors,
                           "deterministic: world cuts a step into virtual_ranks (4) parts, which 3 ranks cannot share evenly: "
                           "start another number of ranks, or give other virtual_ranks"));
    free(errors);
}

/* Breaks a job off behind its first checkpoint, and goes on with other options. Whether it says `said`. */
static void assert_goes_on(const Ground *ground, const char *name, const char *begun, const char *gone_on, const char *said)
{
    static const World broken = {"1", "1", "reference", "NERSWEEP_FAULT=worker.mid_step:8"};
    free(ground_write_job(ground, name, begun, true, false));
    assert_int_not_equal(world_run(ground, name, &broken), 0);
    free(ground_write_job(ground, name, gone_on, true, false));
    world_must(ground, name, &one_two_four[0]);
    char *errors = program_errors(ground);
    if (!strstr(errors, said))
        fail_msg("%s does not say \"%s\": %s", name, said, errors);
    free(errors);
}

/* A trial with other parts is another trial; what was not asked for is no part of it. */
static void the_parts_of_a_step_belong_to_the_trial(void **state)
{
    const Ground *ground = *state;
    assert_goes_on(ground, "parts", "deterministic=world virtual_ranks=2", "deterministic=world virtual_ranks=4",
                   "starting the trial anew");
    assert_goes_on(ground, "asked", "deterministic=rank", "deterministic=world", "starting the trial anew");
    assert_goes_on(ground, "unasked", "virtual_ranks=2", "virtual_ranks=4", "going on from trial-000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_two_and_four_ranks_end_with_the_same_bytes),
        cmocka_unit_test(also_with_frozen_layers_that_are_kept_class_weights_and_oversampling),
        cmocka_unit_test(also_with_fewer_sentences_than_virtual_ranks),
        cmocka_unit_test(also_on_the_fast_backend_whatever_the_number_of_threads),
        cmocka_unit_test(a_job_goes_on_in_a_world_of_another_size_with_the_same_bytes),
        cmocka_unit_test(also_where_each_rank_updates_a_share_of_every_layer),
        cmocka_unit_test(three_ranks_resumed_give_the_same_bytes),
        cmocka_unit_test(ranks_that_do_not_divide_the_virtual_ranks_are_refused),
        cmocka_unit_test(the_parts_of_a_step_belong_to_the_trial),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
