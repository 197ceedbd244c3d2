/* Frozen layers: they keep their bits until they thaw, and what they compute is kept without changing any. */
#include "tests/worker/trial_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/prefix_cache.h"

static void read_weights(const Ground *ground, const char *store_name, const char *checkpoint, const TrainingOptions *options,
                         FloatArray *values, ModelLayout **layout_copy)
{
    Workplace workplace;
    Diagnostic diagnostic = {0};
    Communicator *communicator = communicator_alone();
    Model *model = ground_start_model(ground, communicator, store_name, options, &workplace);
    if (checkpoint)
        must(checkpoint_load_model(workplace.store, checkpoint, model, &diagnostic), &diagnostic);
    array_reserve(values, model_layout(model)->float_count);
    values->count = model_layout(model)->float_count;
    must(model_parameters_get(model, values->items, &diagnostic), &diagnostic);
    if (layout_copy)
        must(model_layout_create(layout_copy, model_config(model), &diagnostic), &diagnostic);
    model_destroy(&model);
    workplace_close(&workplace);
    communicator_close(&communicator);
}

static void frozen_tensors_are_bit_equal_to_the_start_until_they_thaw(void **state)
{
    static const char text[] = "freeze_schedule=embeddings+1@1 weight_decay=0.1 eval_steps=1 num_train_epochs=2";
    const Ground *ground = *state;
    TrainingOptions options = ground_options(text);
    ModelLayout *layout;
    FloatArray start = {0}, weights = {0};
    Run run;
    run_trial(ground, &(Wish){.store = "frozen", .options = text}, &run);
    must(run.status, &run.diagnostic);
    read_weights(ground, "frozen", NULL, &options, &start, &layout);
    for (size_t i = 0; i < run.outcome.training.state.evaluations.count; i++) {
        const TrialEvaluation *evaluation = &run.outcome.training.state.evaluations.items[i];
        read_weights(ground, "frozen", evaluation->checkpoint, &options, &weights, NULL);
        for (int32_t part = 0; part < layout->part_count; part++) {
            size_t offset = layout->part_offset[part], bytes = (layout->part_offset[part + 1] - offset) * sizeof(float);
            bool frozen = part <= 1 && evaluation->step <= 5; /* the first epoch has 5 steps */
            bool same = memcmp(start.items + offset, weights.items + offset, bytes) == 0;
            assert_int_equal(same, frozen);
        }
    }
    array_free(&start);
    array_free(&weights);
    model_layout_destroy(&layout);
    run_free(&run);
}

static void assert_same_weights(const Run *a, const Run *b)
{
    assert_same_file(a->store, trial_state_last(&a->outcome.training.state)->checkpoint, b->store,
                     trial_state_last(&b->outcome.training.state)->checkpoint);
}

/* Oversampled windows stand in a batch twice; the second phase freezes fewer layers, the third none. */
static void compute_frozen_layers_once(const Ground *ground, DeviceType type)
{
    const char *schedule = "num_train_epochs=4 frozen_dropout=false oversample_factor=2 freeze_schedule=embeddings+1@3";
    char *without = memory_format("%s frozen_cache_mb=0", schedule), *dropout = memory_format("%s frozen_dropout=true", schedule);
    static const char *const stores[][3] = {[DEVICE_FP32] = {"pa", "pb", "pc"}, [DEVICE_BF16] = {"na", "nb", "nc"}};
    Run kept, computed, dropped;
    run_trial(ground, &(Wish){.store = stores[type][0], .options = schedule, .product_type = type}, &kept);
    run_trial(ground, &(Wish){.store = stores[type][1], .options = without, .product_type = type}, &computed);
    run_trial(ground, &(Wish){.store = stores[type][2], .options = dropout, .product_type = type}, &dropped);
    must(kept.status, &kept.diagnostic);
    must(computed.status, &computed.diagnostic);
    must(dropped.status, &dropped.diagnostic);
    assert_same_weights(&kept, &computed);
    assert_true(kept.outcome.training.prefixes_read > kept.outcome.training.prefixes_computed);
    assert_true(kept.outcome.training.prefixes_computed > 0);
    assert_int_equal(computed.outcome.training.prefixes_read + computed.outcome.training.prefixes_computed, 0);
    assert_int_equal(dropped.outcome.training.prefixes_computed, 0); /* the prefix drops out: nothing to keep */
    run_free(&kept);
    run_free(&computed);
    run_free(&dropped);
    free(without);
    free(dropout);
}

static void frozen_layers_are_computed_once_and_change_no_bit(void **state)
{
    compute_frozen_layers_once(*state, DEVICE_FP32);
}

/* What is kept is fp32, and becomes the products' bf16 operand again. */
static void frozen_layers_are_computed_once_in_bf16_too(void **state)
{
    compute_frozen_layers_once(*state, DEVICE_BF16);
}

/* Stopped in the second frozen epoch: what was kept is gone, and computed again in other blocks. */
static void a_trial_resumed_among_frozen_layers_ends_with_the_same_bytes(void **state)
{
    const char *schedule = "num_train_epochs=3 frozen_dropout=false freeze_schedule=embeddings+1@2";
    Run whole, half, rest;
    run_trial(*state, &(Wish){.store = "qa", .options = schedule}, &whole);
    run_trial(*state, &(Wish){.store = "qb", .options = schedule, .stop_after_step = 7}, &half);
    must(whole.status, &whole.diagnostic);
    assert_int_equal(half.status, STATUS_INTERRUPTED);
    char checkpoint[CHECKPOINT_NAME_SIZE];
    snprintf(checkpoint, sizeof checkpoint, "%s", trial_state_last(&half.outcome.training.state)->checkpoint);
    run_trial(*state, &(Wish){.store = "qb", .options = schedule, .resume = checkpoint}, &rest);
    must(rest.status, &rest.diagnostic);
    assert_same_weights(&whole, &rest);
    run_free(&whole);
    run_free(&half);
    run_free(&rest);
}

/* What does not fit, or cannot be written at all, is computed: the same rows either way. */
static void a_cache_that_is_full_or_cannot_be_written_gives_the_same_rows(void **state)
{
    Workplace workplace;
    Diagnostic diagnostic = {0};
    TrainingOptions options = ground_options("");
    Communicator *communicator = communicator_alone();
    Model *model = ground_start_model(*state, communicator, "cache", &options, &workplace);
    must(model_plan(model, 512, 16, true, &diagnostic), &diagnostic);
    int32_t split = shard_split_find(workplace.shards, "train"), width = model_config(model)->hidden_size;
    TokenBlock *block = token_block_create(512, 16);
    const int64_t windows[] = {4, 0, 4, 7, 1};
    enum { WINDOWS = 5 };
    Arena *arena = arena_create(1 << 12);
    for (int32_t i = 0; i < WINDOWS; i++) {
        ShardWindow window;
        must(shard_window_read(workplace.shards, split, windows[i], arena, &window, &diagnostic), &diagnostic);
        token_block_append(block, window.ids, window.labels, 1, window.length, (uint32_t)i);
    }
    arena_destroy(&arena);
    size_t floats = (size_t)block->piece_count * (size_t)width, row_bytes = (size_t)width * sizeof(float);
    float *wanted = memory_allocate(floats, sizeof *wanted);
    must(model_prefix_forward(model, block, 1, wanted, &diagnostic), &diagnostic);
    const struct {
        const char *folder;
        uint64_t limit_bytes;
        int64_t read;
    } cases[] = {{workplace.work_folder, 1 << 20, WINDOWS},
                 {workplace.work_folder, (uint64_t)block->sequence_start[1] * row_bytes, 2}, /* room for window 4 alone */
                 {"/nowhere/at/all", 1 << 20, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        PrefixCache *cache = prefix_cache_create(model, workplace.shards, split, cases[c].folder, cases[c].limit_bytes);
        for (int round = 0; round < 2; round++) {
            const float *hidden;
            must(prefix_cache_get(cache, 1, windows, WINDOWS, block, &hidden, &diagnostic), &diagnostic);
            assert_memory_equal(hidden, wanted, floats * sizeof *wanted);
        }
        assert_int_equal(prefix_cache_counts(cache).read, cases[c].read);
        assert_int_equal(prefix_cache_counts(cache).computed, 2 * WINDOWS - cases[c].read);
        prefix_cache_destroy(&cache);
    }
    free(wanted);
    token_block_destroy(&block);
    model_destroy(&model);
    workplace_close(&workplace);
    communicator_close(&communicator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_tensors_are_bit_equal_to_the_start_until_they_thaw),
        cmocka_unit_test(frozen_layers_are_computed_once_and_change_no_bit),
        cmocka_unit_test(frozen_layers_are_computed_once_in_bf16_too),
        cmocka_unit_test(a_trial_resumed_among_frozen_layers_ends_with_the_same_bytes),
        cmocka_unit_test(a_cache_that_is_full_or_cannot_be_written_gives_the_same_rows),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
