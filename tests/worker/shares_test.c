/* The optimizer shared out over as many ranks as mpirun starts, and Hugging Face's 20 steps taken together. */
#include "tests/model/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/fixture.h"
#include "worker/reducer.h"
#include "worker/shares.h"

typedef struct Group {
    Communicator *world;
    Reducer *reducer;
} Group;

static void begin(void *context, const bool *part_frozen)
{
    Group *group = context;
    reducer_begin(group->reducer, part_frozen);
}

static Status part_ready(void *context, int32_t part, Diagnostic *diagnostic)
{
    Group *group = context;
    return reducer_part_ready(group->reducer, part, diagnostic);
}

static void finish(void *context)
{
    Group *group = context;
    Diagnostic diagnostic = {0};
    must(reducer_finish(group->reducer, &diagnostic), &diagnostic);
}

static double add(void *context, double value)
{
    Group *group = context;
    communicator_sum_double(group->world, &value, 1);
    return value;
}

/* A whole training of one variant; the model that it ended with. */
static TinyModel train(Communicator *world, const Golden *golden, const char *variant, const Backend *backend, DeviceType type,
                       Deviation *seen)
{
    Diagnostic diagnostic = {0};
    Group group = {.world = world};
    Shares *shares = NULL;
    int32_t rank = communicator_rank(world), size = communicator_size(world);
    TinyModel tiny = golden_model(golden, backend, type, 1);
    must(shares_create(&shares, world, tiny.model, NULL, &diagnostic), &diagnostic);
    must(reducer_create(&group.reducer, world, tiny.model, &(Chunks){size, rank, 1}, &diagnostic), &diagnostic);
    GoldenRanks ranks = {.context = &group,
                         .rank = rank,
                         .size = size,
                         .optimizer = shares_ranks(shares),
                         .begin = begin,
                         .part_ready = part_ready,
                         .finish = finish,
                         .add = add};
    assert_true(size > 1 && ranks.optimizer != NULL);
    golden_take_steps(golden, golden_variant(golden, variant), tiny.model, &ranks, seen);
    reducer_destroy(&group.reducer);
    shares_destroy(&shares);
    return tiny;
}

static void train_as_hugging_face(Communicator *world, const char *variant)
{
    Golden golden = golden_open();
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        Deviation seen = {0};
        TinyModel tiny = train(world, &golden, variant, support_backend(SUPPORT_BACKENDS[b]), DEVICE_FP32, &seen);
        golden_compare(&golden, variant, tiny.model, SUPPORT_BACKENDS[b], &seen);
        support_model_free(&tiny);
    }
    golden_close(&golden);
}

static void ranks_give_the_losses_and_weights_of_hugging_face(void **state)
{
    train_as_hugging_face(*state, "plain");
}

static void also_with_a_cosine_schedule_and_label_smoothing(void **state)
{
    train_as_hugging_face(*state, "cosine");
}

static void also_where_parts_thaw(void **state)
{
    train_as_hugging_face(*state, "freezing");
}

/* A step reads of bf16 products what other ranks sent; masters are then made complete. */
static void assert_masters_are_everywhere(Communicator *world, Model *model)
{
    float *values = support_parameters(model);
    int64_t check[2] = {(int64_t)(checksum64(values, model_layout(model)->float_count * sizeof *values) >> 1), 0};
    check[1] = -check[0];
    communicator_max_int64(world, check, 2);
    assert_true(check[0] == -check[1]);
    free(values);
}

static void bf16_products_give_the_losses_of_hugging_face_within_two_percent(void **state)
{
    static const char *const variants[] = {"plain", "cosine", "freezing"};
    Golden golden = golden_open();
    for (size_t i = 0; i < SUPPORT_BACKEND_COUNT * sizeof variants / sizeof *variants; i++) {
        Deviation seen = {0};
        const char *variant = variants[i / SUPPORT_BACKEND_COUNT], *backend = SUPPORT_BACKENDS[i % SUPPORT_BACKEND_COUNT];
        TinyModel tiny = train(*state, &golden, variant, support_backend(backend), DEVICE_BF16, &seen);
        printf("bf16 %-9s %-8s largest differences: loss %.1e (relative), norm %.1e (relative)\n", backend, variant,
               seen.loss_share, seen.norm);
        assert_true(seen.loss_share < GOLDEN_BF16_TOLERANCE);
        assert_true(seen.loss > 0); /* it was not fp32 after all */
        assert_masters_are_everywhere(*state, tiny.model);
        support_model_free(&tiny);
    }
    golden_close(&golden);
}

/* Layers of some dozen cells, so that each rank has several of each. */
static BertConfig wide_config(void)
{
    BertConfig config = support_tiny_config(0);
    config.hidden_size = 96;
    config.intermediate_size = 384;
    return config;
}

/* A wide model, its shared-out optimizer and a sentence; a step is begun. */
typedef struct Rig {
    BertConfig config;
    TinyModel tiny;
    Shares *shares;
    Group group;
    Optimizer *optimizer;
    TokenBlock *block;
    Int32Array ids;
} Rig;

static void begin_step(Rig *rig)
{
    Diagnostic diagnostic = {0};
    must(optimizer_begin_step(rig->optimizer, rig->ids.items, (int32_t)rig->ids.count, &diagnostic), &diagnostic);
}

static void rig_open(Rig *rig, Communicator *world, const char *backend, DeviceType type)
{
    Diagnostic diagnostic = {0};
    TrainingOptions options = support_options();
    int32_t rank = communicator_rank(world), size = communicator_size(world), lengths[] = {5};
    *rig = (Rig){.config = wide_config(), .group = {.world = world}};
    rig->tiny = support_model_of(support_backend(backend), &rig->config, 11, type);
    rig->block = support_block(&rig->config, lengths, 1, 0, 7);
    rig->ids = support_ids(rig->block);
    Model *model = rig->tiny.model;
    must(shares_create(&rig->shares, world, model, NULL, &diagnostic), &diagnostic);
    must(reducer_create(&rig->group.reducer, world, model, &(Chunks){size, rank, 1}, &diagnostic), &diagnostic);
    must(optimizer_create(&rig->optimizer, model, &options, shares_ranks(rig->shares), &diagnostic), &diagnostic);
    begin_step(rig);
}

static void rig_close(Rig *rig)
{
    array_free(&rig->ids);
    token_block_destroy(&rig->block);
    optimizer_destroy(&rig->optimizer);
    reducer_destroy(&rig->group.reducer);
    shares_destroy(&rig->shares);
    support_model_free(&rig->tiny);
    bert_config_free(&rig->config);
}

static double train_block(Rig *rig)
{
    Diagnostic diagnostic = {0};
    ModelStep step = support_step(0, 4);
    double loss;
    must(model_train_block(rig->tiny.model, rig->block, &step, &loss, &diagnostic), &diagnostic);
    return loss;
}

static const bool nothing_frozen[8];

/* A step of the same sentence on all ranks; rank 0 puts a number into a gradient (name; NULL: none) before they are added. */
static Status step_with(Communicator *world, const char *name, float value, double *norm, Diagnostic *diagnostic)
{
    Rig rig;
    Diagnostic settled = {0};
    size_t count;
    rig_open(&rig, world, "reference", DEVICE_FP32);
    Model *model = rig.tiny.model;
    const ModelLayout *layout = model_layout(model);
    train_block(&rig);
    int32_t index = name ? (int32_t)(model_layout_find(layout, name) - layout->parameters) : 0;
    if (communicator_rank(world) == 0 && name)
        model_backend(model)->copy_to_device(model_stream(model), model_gradient_parameter(model, index, &count), &value,
                                             sizeof value);
    begin(&rig.group, nothing_frozen);
    finish(&rig.group);
    float *before = support_parameters(model);
    Status status = optimizer_step(rig.optimizer, nothing_frozen, 1, norm, diagnostic);
    must(optimizer_settle(rig.optimizer, &settled), &settled);
    float *after = support_parameters(model);
    assert_int_equal(memcmp(before, after, layout->float_count * sizeof *before) == 0, status != STATUS_OK);
    free(before);
    free(after);
    rig_close(&rig);
    return status;
}

/* Takes a step in which only `trains` has a sentence; the loss that this rank finds afterwards. */
static double loss_after_a_step_of(Communicator *world, int32_t trains, const char *backend)
{
    Rig rig;
    Diagnostic diagnostic = {0};
    double norm;
    rig_open(&rig, world, backend, DEVICE_BF16);
    if (communicator_rank(world) == trains)
        train_block(&rig);
    else
        model_gradients_clear(rig.tiny.model, nothing_frozen);
    begin(&rig.group, nothing_frozen);
    finish(&rig.group);
    must(optimizer_step(rig.optimizer, nothing_frozen, 100, &norm, &diagnostic), &diagnostic);
    begin_step(&rig);
    double loss = train_block(&rig);
    rig_close(&rig);
    return loss;
}

/* It has not made what products read when the first update comes. */
static void a_rank_that_had_nothing_to_do_computes_with_the_others_weights(void **state)
{
    Communicator *world = *state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        double loss = loss_after_a_step_of(world, 1, SUPPORT_BACKENDS[b]);
        int64_t bits[2];
        memcpy(bits, &loss, sizeof loss);
        bits[1] = -bits[0];
        communicator_max_int64(world, bits, 2);
        assert_true(bits[0] == -bits[1]);
    }
}

/* Whoever of the ranks updates it. */
static void a_gradient_that_is_not_finite_is_named_by_all_ranks_and_changes_nothing(void **state)
{
    static const char *const names[] = {"bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight",
                                        "bert.encoder.layer.0.attention.self.query.weight",
                                        "bert.encoder.layer.1.output.dense.weight", "classifier.bias"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Diagnostic diagnostic = {0};
        double norm;
        assert_int_equal(step_with(*state, names[i], NAN, &norm, &diagnostic), STATUS_DIVERGED);
        if (!strstr(diagnostic.message, names[i]))
            fail_msg("%s is not named: %s", names[i], diagnostic.message);
        assert_int_equal(step_with(*state, names[i], 1.0f, &norm, &diagnostic), STATUS_OK);
    }
}

/* Sums of 2^n equal gradients are exact, so that the norm is a rank's own times 2^n to the bit: its terms are added in an order of their own. */
static void the_norm_has_the_same_bits_on_any_number_of_ranks(void **state)
{
    Communicator *world = *state, *single = communicator_alone();
    Diagnostic diagnostic = {0};
    double norm, alone;
    int32_t size = communicator_size(world);
    must(step_with(world, NULL, 0, &norm, &diagnostic), &diagnostic);
    must(step_with(single, NULL, 0, &alone, &diagnostic), &diagnostic);
    if ((size & (size - 1)) == 0)
        assert_true(norm == size * alone);
    else
        assert_true(fabs(norm - size * alone) < 1e-5 * norm);
    communicator_close(&single);
}

/* Else the others would wait for its weights. */
static void a_rank_that_could_not_sum_stops_all(void **state)
{
    Communicator *world = *state;
    Diagnostic diagnostic = {0};
    Golden golden = golden_open();
    Shares *shares = NULL;
    TinyModel tiny = golden_model(&golden, support_backend("reference"), DEVICE_FP32, 1);
    int32_t rank = communicator_rank(world), last = communicator_size(world) - 1;
    double values[] = {rank == 1 ? 7.0 : 0.0, 0.0};
    must(shares_create(&shares, world, tiny.model, NULL, &diagnostic), &diagnostic);
    const OptimizerRanks *ranks = shares_ranks(shares);
    must(ranks->add_up(ranks->context, STATUS_OK, values, 2, &diagnostic), &diagnostic);
    assert_true(values[0] == 7.0 && values[1] == 0.0);
    Status own = rank == last ? FAIL(&diagnostic, STATUS_OUT_OF_MEMORY, "no memory for sums") : STATUS_OK;
    assert_int_equal(ranks->add_up(ranks->context, own, values, 2, &diagnostic), STATUS_OUT_OF_MEMORY);
    assert_non_null(strstr(diagnostic.message, "no memory for sums"));
    shares_destroy(&shares);
    support_model_free(&tiny);
    golden_close(&golden);
}

/* Moments are held once, but for those of the word embeddings. */
static void moments_are_shared_out(void **state)
{
    Communicator *world = *state;
    Golden golden = golden_open();
    TinyModel tiny = golden_model(&golden, support_backend("reference"), DEVICE_FP32, 1);
    const ModelLayout *layout = model_layout(tiny.model);
    static const bool frozen[8] = {true, true};
    size_t words = model_dense_offset(layout, 0), all = 0, upper = 0;
    for (int32_t rank = 0; rank < communicator_size(world); rank++) {
        all += shares_moment_floats(world, rank, layout, NULL);
        upper += shares_moment_floats(world, rank, layout, frozen);
    }
    assert_int_equal(all, (size_t)communicator_size(world) * words + layout->float_count - words);
    assert_int_equal(upper, layout->float_count - layout->part_offset[2]);
    support_model_free(&tiny);
    golden_close(&golden);
}

/* Rank 0 reads what a rank alone would have; it may also stop in the middle. */
static void moments_of_all_ranks_are_read_in_the_order_of_the_layout(void **state)
{
    Communicator *world = *state;
    Diagnostic diagnostic = {0};
    Golden golden = golden_open();
    Shares *shares = NULL;
    Optimizer *optimizer = NULL;
    TrainingOptions options = support_options();
    TinyModel tiny = golden_model(&golden, support_backend("guarded"), DEVICE_FP32, 1);
    size_t floats = model_layout(tiny.model)->float_count, count;
    float *moments = memory_allocate(2 * floats, sizeof *moments);
    int64_t part_t[8] = {3, 1, 4, 1};
    for (size_t i = 0; i < 2 * floats; i++)
        moments[i] = (float)i + 1.0f;
    must(shares_create(&shares, world, tiny.model, NULL, &diagnostic), &diagnostic);
    must(optimizer_create(&optimizer, tiny.model, &options, shares_ranks(shares), &diagnostic), &diagnostic);
    must(optimizer_state_set(optimizer, moments, moments + floats, part_t, &diagnostic), &diagnostic);
    for (size_t read_until = floats / 3; read_until <= 2 * floats; read_until += 2 * floats - floats / 3) {
        MomentStream *stream = NULL;
        const float *values;
        must(moments_open(&stream, world, tiny.model, optimizer, &diagnostic), &diagnostic);
        assert_memory_equal(moments_part_t(stream), part_t, (size_t)model_layout(tiny.model)->part_count * sizeof *part_t);
        for (size_t at = 0; communicator_rank(world) == 0 && at < read_until; at += count) {
            moments_next(stream, &values, &count);
            assert_true(count > 0 && count <= (at < floats ? floats : 2 * floats) - at);
            assert_memory_equal(values, moments + at, count * sizeof *values);
        }
        moments_close(&stream);
    }
    free(moments);
    optimizer_destroy(&optimizer);
    shares_destroy(&shares);
    support_model_free(&tiny);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_give_the_losses_and_weights_of_hugging_face),
        cmocka_unit_test(also_with_a_cosine_schedule_and_label_smoothing),
        cmocka_unit_test(also_where_parts_thaw),
        cmocka_unit_test(a_rank_that_had_nothing_to_do_computes_with_the_others_weights),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named_by_all_ranks_and_changes_nothing),
        cmocka_unit_test(the_norm_has_the_same_bits_on_any_number_of_ranks),
        cmocka_unit_test(a_rank_that_could_not_sum_stops_all),
        cmocka_unit_test(moments_are_shared_out),
        cmocka_unit_test(moments_of_all_ranks_are_read_in_the_order_of_the_layout),
        cmocka_unit_test(bf16_products_give_the_losses_of_hugging_face_within_two_percent),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
