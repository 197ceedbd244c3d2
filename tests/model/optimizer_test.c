/* AdamW, clipping, schedules and freezing. */
#include "tests/model/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

static const int32_t LENGTHS[] = {7, 3, 12, 1, 9};
enum { SEQUENCES = sizeof LENGTHS / sizeof *LENGTHS };

/* -- pure functions, against numbers worked out by hand */

static void assert_factor(const Schedule *schedule, int64_t step, double wanted)
{
    assert_true(fabs(schedule_factor(schedule, step) - wanted) < 1e-12);
}

static void the_linear_schedule_rises_from_zero_and_falls_to_zero(void **state)
{
    (void)state;
    Schedule schedule = {SCHEDULE_LINEAR, 10, 4};
    assert_factor(&schedule, 0, 0);
    assert_factor(&schedule, 1, 0.25);
    assert_factor(&schedule, 3, 0.75);
    assert_factor(&schedule, 4, 1);
    assert_factor(&schedule, 7, 0.5);
    assert_factor(&schedule, 9, 1.0 / 6);
    assert_factor(&schedule, 10, 0);
    assert_factor(&schedule, 11, 0);
    Schedule without = {SCHEDULE_LINEAR, 4, 0};
    assert_factor(&without, 0, 1);
    assert_factor(&without, 3, 0.25);
}

static void the_cosine_schedule_is_half_a_wave(void **state)
{
    (void)state;
    Schedule schedule = {SCHEDULE_COSINE, 12, 4};
    assert_factor(&schedule, 2, 0.5);
    assert_factor(&schedule, 4, 1);
    assert_factor(&schedule, 8, 0.5);
    assert_factor(&schedule, 10, 0.5 * (1 - sqrt(0.5)));
    assert_factor(&schedule, 12, 0);
    Schedule constant = {SCHEDULE_CONSTANT_WITH_WARMUP, 12, 4};
    assert_factor(&constant, 1, 0.25);
    assert_factor(&constant, 4, 1);
    assert_factor(&constant, 1000, 1);
}

static void steps_and_warm_up_are_counted_as_hugging_face_counts_them(void **state)
{
    (void)state;
    TrainingOptions options = support_options();
    options.num_train_epochs = 2.5;
    options.warmup_ratio = 0.1;
    Schedule schedule = schedule_make(&options, 7);
    assert_int_equal(schedule.total_steps, 18); /* ceil(17.5) */
    assert_int_equal(schedule.warmup_steps, 2); /* ceil(1.8) */
    options.max_steps = 100;
    schedule = schedule_make(&options, 7);
    assert_int_equal(schedule.total_steps, 100);
    assert_int_equal(schedule.warmup_steps, 10);
    options.warmup_steps = 3;
    assert_int_equal(schedule_make(&options, 7).warmup_steps, 3);
}

static void assert_frozen(const FreezeSchedule *schedule, int64_t step, const char *wanted)
{
    bool frozen[6];
    freeze_parts(schedule, step, 10, 6, frozen);
    for (int32_t i = 0; i < 6; i++)
        assert_int_equal(frozen[i], wanted[i] == 'x');
}

static void phases_freeze_what_they_name_until_their_epoch_has_passed(void **state)
{
    (void)state;
    /* embeddings+3@0.5;embeddings+1@1.2;1@2 on 4 layers, 10 steps an epoch */
    FreezeSchedule schedule = {3, {{true, 3, 0.5}, {true, 1, 1.2}, {false, 1, 2}}};
    assert_frozen(&schedule, 0, "xxxx..");
    assert_frozen(&schedule, 4, "xxxx..");
    assert_frozen(&schedule, 5, "xx....");
    assert_frozen(&schedule, 11, "xx....");
    assert_frozen(&schedule, 12, ".x....");
    assert_frozen(&schedule, 19, ".x....");
    assert_frozen(&schedule, 20, "......");
    FreezeSchedule none = {0};
    assert_frozen(&none, 0, "......");
    FreezeSchedule too_many = {1, {{true, 12, 1}}}; /* the head always trains */
    assert_frozen(&too_many, 0, "xxxxx.");
    FreezeSchedule thirds = {1, {{true, 0, 0.3}}}; /* 0.3 * 10 is 3 */
    assert_frozen(&thirds, 2, "x.....");
    assert_frozen(&thirds, 3, "......");
}

/* -- steps */

typedef struct Training {
    BertConfig config;
    TinyModel tiny;
    TokenBlock *block;
    Optimizer *optimizer;
} Training;

static Training begin(const Backend *backend, const TrainingOptions *options)
{
    Training training = {.config = support_tiny_config(0.1f)};
    Diagnostic diagnostic = {0};
    training.tiny = support_model(backend, &training.config, 3);
    training.block = support_block(&training.config, LENGTHS, SEQUENCES, 0, 2);
    ASSERT_OK(optimizer_create(&training.optimizer, training.tiny.model, options, NULL, &diagnostic), &diagnostic);
    return training;
}

static void end(Training *training)
{
    optimizer_destroy(&training->optimizer);
    token_block_destroy(&training->block);
    support_model_free(&training->tiny);
    bert_config_free(&training->config);
}

static double step_of(Training *training, const TokenBlock *block, int64_t index, const bool *frozen, double factor)
{
    Diagnostic diagnostic = {0};
    double loss, norm;
    ModelStep step = support_step(index, 10);
    step.part_frozen = frozen;
    Int32Array ids = {0};
    if (!frozen || !frozen[0])
        ids = support_ids(block);
    ASSERT_OK(optimizer_begin_step(training->optimizer, ids.items, (int32_t)ids.count, &diagnostic), &diagnostic);
    ASSERT_OK(model_train_block(training->tiny.model, block, &step, &loss, &diagnostic), &diagnostic);
    ASSERT_OK(optimizer_step(training->optimizer, frozen, factor, &norm, &diagnostic), &diagnostic);
    array_free(&ids);
    return norm;
}

static double step_once(Training *training, int64_t index, const bool *frozen, double factor)
{
    Diagnostic diagnostic = {0};
    double norm = step_of(training, training->block, index, frozen, factor);
    ASSERT_OK(optimizer_settle(training->optimizer, &diagnostic), &diagnostic);
    return norm;
}

/* First step: m = (1 - b1) g, v = (1 - b2) g^2, both unbiased, so every touched parameter moves by lr * g / (|g| + eps), after the decay. */
static void the_first_step_moves_by_the_learning_rate_and_decays_weights_only(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        TrainingOptions options = support_options();
        options.weight_decay = 0.1;
        options.max_grad_norm = 0.25;
        options.layerwise_lr_decay = 0.5;
        Training training = begin(backend, &options);
        float *before = support_parameters(training.tiny.model);
        double norm = step_once(&training, 0, NULL, 0.5);
        float *after = support_parameters(training.tiny.model), *gradient = support_gradients(training.tiny.model);
        const ModelLayout *layout = model_layout(training.tiny.model);
        assert_true(norm > 0.25);
        double scale = 0.25 / (norm + 1e-6), sum = 0;
        for (int32_t p = 0; p < layout->parameter_count; p++) {
            const ModelParameter *parameter = &layout->parameters[p];
            double rate = 1e-3 * 0.5 * pow(0.5, layout->part_count - 1 - parameter->part);
            for (size_t i = parameter->offset; i < parameter->offset + parameter->count; i++) {
                double g = (double)gradient[i] * scale, p0 = (double)before[i] * (parameter->decays ? 1 - rate * 0.1 : 1);
                sum += (double)gradient[i] * (double)gradient[i];
                assert_true(fabs((double)after[i] - (p0 - rate * g / (fabs(g) + 1e-8))) < 3e-7);
            }
        }
        assert_true(fabs(sqrt(sum) - norm) < 1e-6 * norm);
        free(before);
        free(after);
        free(gradient);
        end(&training);
    }
}

static void a_warm_up_step_of_rate_zero_changes_nothing_but_the_moments(void **state)
{
    (void)state;
    TrainingOptions options = support_options();
    Training training = begin(backend_reference(), &options);
    size_t count = model_layout(training.tiny.model)->float_count;
    float *before = support_parameters(training.tiny.model), *moments = memory_allocate(2 * count, sizeof *moments);
    int64_t part_t[4];
    step_once(&training, 0, NULL, 0);
    float *after = support_parameters(training.tiny.model);
    assert_memory_equal(before, after, count * sizeof *before);
    support_moments(training.optimizer, count, moments, moments + count, part_t);
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)moments[i]));
    assert_true(largest > 0);
    assert_int_equal(part_t[0], 1);
    free(moments);
    free(before);
    free(after);
    end(&training);
}

static void frozen_parts_keep_their_bits_until_they_thaw_and_then_start_at_one(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        TrainingOptions options = support_options();
        Training training = begin(backend, &options);
        const ModelLayout *layout = model_layout(training.tiny.model);
        static const bool frozen[] = {true, true, false, false};
        float *start = support_parameters(training.tiny.model),
              *moments = memory_allocate(2 * layout->float_count, sizeof *moments);
        int64_t part_t[4];
        for (int64_t i = 0; i < 3; i++)
            step_once(&training, i, frozen, 1);
        float *held = support_parameters(training.tiny.model);
        size_t border = layout->part_offset[2];
        assert_memory_equal(start, held, border * sizeof *start);
        assert_memory_not_equal(start + border, held + border, (layout->float_count - border) * sizeof *start);
        support_moments(training.optimizer, layout->float_count, moments, moments + layout->float_count, part_t);
        assert_true(part_t[0] == 0 && part_t[1] == 0 && part_t[2] == 3 && part_t[3] == 3);
        for (size_t i = 0; i < border; i++)
            assert_true(moments[i] == 0 && moments[layout->float_count + i] == 0);
        step_once(&training, 3, NULL, 1);
        float *thawed = support_parameters(training.tiny.model);
        assert_memory_not_equal(start, thawed, layout->part_offset[1] * sizeof *start);
        support_moments(training.optimizer, layout->float_count, moments, moments + layout->float_count, part_t);
        assert_true(part_t[0] == 1 && part_t[1] == 1 && part_t[2] == 4 && part_t[3] == 4);
        free(start);
        free(held);
        free(thawed);
        free(moments);
        end(&training);
    }
}

static void the_norm_counts_only_parts_that_train(void **state)
{
    (void)state;
    TrainingOptions options = support_options();
    Training training = begin(backend_reference(), &options);
    static const bool frozen[] = {true, true, true, false};
    double all = step_once(&training, 0, NULL, 0);
    double head = step_once(&training, 0, frozen, 0);
    float *gradient = support_gradients(training.tiny.model);
    const ModelLayout *layout = model_layout(training.tiny.model);
    double sum = 0;
    for (size_t i = layout->part_offset[3]; i < layout->part_offset[4]; i++)
        sum += (double)gradient[i] * (double)gradient[i];
    assert_true(fabs(head - sqrt(sum)) < 1e-9);
    assert_true(head < all);
    free(gradient);
    end(&training);
}

/* Five steps in one life, or three, everything carried over by hand into a new model and optimizer, and two: the same bits. */
static void a_carried_over_state_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        static const bool frozen[] = {true, false, false, false};
        TrainingOptions options = support_options();
        Training straight = begin(backend, &options), first = begin(backend, &options), second = begin(backend, &options);
        Diagnostic diagnostic = {0};
        size_t count = model_layout(straight.tiny.model)->float_count;
        float *first_moment = memory_allocate(count, sizeof *first_moment),
              *second_moment = memory_allocate(count, sizeof *second_moment);
        int64_t part_t[4];
        for (int64_t i = 0; i < 5; i++)
            step_once(&straight, i, i < 2 ? frozen : NULL, 1);
        for (int64_t i = 0; i < 3; i++)
            step_once(&first, i, i < 2 ? frozen : NULL, 1);
        float *values = support_parameters(first.tiny.model);
        support_moments(first.optimizer, count, first_moment, second_moment, part_t);
        ASSERT_OK(model_parameters_set(second.tiny.model, values, &diagnostic), &diagnostic);
        ASSERT_OK(optimizer_state_set(second.optimizer, first_moment, second_moment, part_t, &diagnostic), &diagnostic);
        for (int64_t i = 3; i < 5; i++)
            step_once(&second, i, NULL, 1);
        float *wanted = support_parameters(straight.tiny.model), *got = support_parameters(second.tiny.model);
        assert_memory_equal(wanted, got, count * sizeof *wanted);
        assert_memory_not_equal(wanted, values, count * sizeof *wanted);
        part_t[1] = -1;
        ASSERT_FAILS(optimizer_state_set(second.optimizer, first_moment, second_moment, part_t, &diagnostic), STATUS_CORRUPT,
                     &diagnostic, "part 1");
        free(first_moment);
        free(second_moment);
        free(values);
        free(wanted);
        free(got);
        end(&straight);
        end(&first);
        end(&second);
    }
}

/* Each step sees the words of one sentence; the others' rows are brought up to date after every step, or when they are looked at again. */
static void rows_left_behind_catch_up_with_the_same_bits(void **state)
{
    (void)state;
    enum { STEPS = 300, THAW = 5 };
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        static const bool frozen[] = {true, false, false, false};
        TrainingOptions options = support_options();
        Training often = begin(backend, &options), seldom = begin(backend, &options);
        Diagnostic diagnostic = {0};
        size_t count = model_layout(often.tiny.model)->float_count;
        float *wanted = memory_allocate(2 * count, sizeof *wanted), *found = memory_allocate(2 * count, sizeof *found);
        int64_t part_t[4];
        for (int64_t i = 0; i < STEPS; i++) {
            TokenBlock *block = support_part_of(often.block, (int32_t)(i % 7 % SEQUENCES), 1);
            double factor = 1 + 0.5 * sin((double)i), norm = step_of(&often, block, i, i < THAW ? frozen : NULL, factor);
            ASSERT_OK(optimizer_settle(often.optimizer, &diagnostic), &diagnostic);
            if (i % 3 == 0) { /* a step that is begun and given up */
                Int32Array ids = support_ids(block);
                ASSERT_OK(optimizer_begin_step(seldom.optimizer, ids.items, (int32_t)ids.count, &diagnostic), &diagnostic);
                array_free(&ids);
            }
            assert_true(step_of(&seldom, block, i, i < THAW ? frozen : NULL, factor) == norm);
            token_block_destroy(&block);
        }
        support_moments(often.optimizer, count, wanted, wanted + count, part_t);
        support_moments(seldom.optimizer, count, found, found + count, part_t);
        assert_int_equal(part_t[0], STEPS - THAW);
        assert_memory_equal(wanted, found, 2 * count * sizeof *wanted);
        free(wanted);
        free(found);
        wanted = support_parameters(often.tiny.model);
        found = support_parameters(seldom.tiny.model);
        assert_memory_equal(wanted, found, count * sizeof *wanted);
        free(wanted);
        free(found);
        end(&often);
        end(&seldom);
    }
}

static void a_gradient_that_is_not_finite_is_named_and_changes_nothing(void **state)
{
    (void)state;
    TrainingOptions options = support_options();
    Training training = begin(backend_reference(), &options);
    Diagnostic diagnostic = {0};
    Model *model = training.tiny.model;
    double loss, norm;
    ModelStep step = support_step(0, 10);
    ASSERT_OK(model_train_block(model, training.block, &step, &loss, &diagnostic), &diagnostic);
    const char *name = "bert.encoder.layer.1.intermediate.dense.bias";
    const ModelLayout *layout = model_layout(model);
    int32_t index = (int32_t)(model_layout_find(layout, name) - layout->parameters);
    const float infinite = INFINITY;
    size_t count;
    model_backend(model)->copy_to_device(model_stream(model), device_view_floats(model_gradient_parameter(model, index, &count), 1),
                                         &infinite, sizeof infinite);
    float *before = support_parameters(model);
    ASSERT_FAILS(optimizer_step(training.optimizer, NULL, 1, &norm, &diagnostic), STATUS_DIVERGED, &diagnostic, name);
    float *after = support_parameters(model);
    assert_memory_equal(before, after, model_layout(model)->float_count * sizeof *before);
    static const bool frozen[] = {false, false, true, false}; /* where it stands nobody looks */
    ASSERT_OK(optimizer_step(training.optimizer, frozen, 1, &norm, &diagnostic), &diagnostic);
    free(before);
    free(after);
    end(&training);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_linear_schedule_rises_from_zero_and_falls_to_zero),
        cmocka_unit_test(the_cosine_schedule_is_half_a_wave),
        cmocka_unit_test(steps_and_warm_up_are_counted_as_hugging_face_counts_them),
        cmocka_unit_test(phases_freeze_what_they_name_until_their_epoch_has_passed),
        cmocka_unit_test(the_first_step_moves_by_the_learning_rate_and_decays_weights_only),
        cmocka_unit_test(a_warm_up_step_of_rate_zero_changes_nothing_but_the_moments),
        cmocka_unit_test(frozen_parts_keep_their_bits_until_they_thaw_and_then_start_at_one),
        cmocka_unit_test(the_norm_counts_only_parts_that_train),
        cmocka_unit_test(a_carried_over_state_goes_on_with_the_same_bits),
        cmocka_unit_test(rows_left_behind_catch_up_with_the_same_bits),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
