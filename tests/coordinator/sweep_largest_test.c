#include "coordinator/sweep_largest.h"

#include <stdlib.h>

#include "tests/coordinator/fixtures.h"

static TrainingOptionsArray largest_of(const char *text)
{
    Sweep *sweep = fixture_sweep(text);
    TrainingOptionsArray largest = {0};
    Diagnostic diagnostic = {0};
    if (sweep_largest_options(sweep, &largest, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    sweep_destroy(&sweep);
    return largest;
}

static void of_a_grid_each_option_is_at_its_largest(void **state)
{
    (void)state;
    TrainingOptionsArray largest = largest_of("method: grid\nparameters:\n"
                                              "  learning_rate: {values: [3.0e-5, 1.0e-5]}\n"
                                              "  per_device_train_batch_size: {values: [4, 32, 16]}\n"
                                              "  per_device_eval_batch_size: {value: 2}\n"
                                              "  gradient_accumulation_steps: {values: [2, 1]}\n"
                                              "  num_train_epochs: {values: [1, 2.5]}\n"
                                              "  gradient_checkpointing: {values: [\"on\", auto]}\n"
                                              "  frozen_dropout: {values: [yes, no]}\n"
                                              "  deterministic: {values: [rank, world]}\n");
    assert_int_equal(largest.count, 1);
    const TrainingOptions *options = &largest.items[0];
    assert_int_equal(options->per_device_train_batch_size, 32);
    assert_int_equal(options->per_device_eval_batch_size, 2);
    assert_int_equal(options->gradient_accumulation_steps, 2);
    assert_true(options->num_train_epochs == 2.5);
    assert_true(options->learning_rate == 3.0e-5);
    assert_int_equal(options->gradient_checkpointing, CHECKPOINTING_AUTO);
    assert_int_equal(options->deterministic, DETERMINISTIC_WORLD);
    assert_false(options->frozen_dropout);
    array_free(&largest);
}

static void what_is_not_said_is_at_its_default(void **state)
{
    (void)state;
    TrainingOptions defaults;
    options_set_defaults(training_option_table(), &defaults);
    TrainingOptionsArray largest = largest_of("method: grid\nparameters: {learning_rate: {value: 1.0e-5}}\n");
    assert_int_equal(largest.count, 1);
    assert_int_equal(largest.items[0].per_device_train_batch_size, defaults.per_device_train_batch_size);
    assert_int_equal(largest.items[0].gradient_checkpointing, defaults.gradient_checkpointing);
    assert_int_equal(largest.items[0].freeze_schedule.phase_count, 0);
    array_free(&largest);
}

static void of_a_range_it_is_the_bound(void **state)
{
    (void)state;
    TrainingOptionsArray largest = largest_of("method: random\nrun_cap: 3\nparameters:\n"
                                              "  per_device_train_batch_size: {distribution: int_uniform, min: 2, max: 24}\n"
                                              "  gradient_accumulation_steps: {distribution: q_uniform, min: 1, max: 9, q: 2}\n"
                                              "  num_train_epochs: {distribution: log_uniform_values, min: 1, max: 8}\n"
                                              "  oversample_factor: {distribution: normal, mu: 900, sigma: 50}\n");
    assert_int_equal(largest.count, 1);
    assert_int_equal(largest.items[0].per_device_train_batch_size, 24);
    assert_int_equal(largest.items[0].gradient_accumulation_steps, 8);
    assert_true(largest.items[0].num_train_epochs == 8);
    assert_true(largest.items[0].oversample_factor == 1000); /* four deviations are beyond what the option takes */
    array_free(&largest);
}

static void each_freezing_schedule_is_one(void **state)
{
    (void)state;
    TrainingOptionsArray largest = largest_of("method: grid\nparameters:\n"
                                              "  freeze_schedule: {values: [\"embeddings+2@1\", none, \"2@3\"]}\n"
                                              "  per_device_train_batch_size: {values: [4, 32]}\n");
    assert_int_equal(largest.count, 3);
    assert_true(largest.items[0].freeze_schedule.phases[0].embeddings);
    assert_int_equal(largest.items[1].freeze_schedule.phase_count, 0);
    assert_int_equal(largest.items[2].freeze_schedule.phases[0].layers, 2);
    for (size_t i = 0; i < largest.count; i++)
        assert_int_equal(largest.items[i].per_device_train_batch_size, 32);
    array_free(&largest);
}

/* Where its condition does not hold a parameter stays at the default, which may be more. */
static void a_conditional_parameter_may_be_at_its_default(void **state)
{
    (void)state;
    TrainingOptionsArray largest = largest_of("method: grid\nparameters:\n"
                                              "  lr_scheduler_type: {values: [linear, cosine]}\n"
                                              "  per_device_train_batch_size: {values: [2, 4], when: {lr_scheduler_type: linear}}\n"
                                              "  gradient_accumulation_steps: {values: [2, 4], when: {lr_scheduler_type: linear}}\n"
                                              "  gradient_checkpointing: {value: \"on\", when: {lr_scheduler_type: linear}}\n"
                                              "  freeze_schedule: {value: \"embeddings@1\", when: {lr_scheduler_type: linear}}\n");
    assert_int_equal(largest.count, 2);
    assert_int_equal(largest.items[0].per_device_train_batch_size, 8);
    assert_int_equal(largest.items[0].gradient_accumulation_steps, 4);
    assert_int_equal(largest.items[0].gradient_checkpointing, CHECKPOINTING_AUTO);
    assert_int_equal(largest.items[0].freeze_schedule.phase_count, 0);
    assert_int_equal(largest.items[1].freeze_schedule.phase_count, 1);
    array_free(&largest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(of_a_grid_each_option_is_at_its_largest),
        FIXTURE_TEST(what_is_not_said_is_at_its_default),
        FIXTURE_TEST(of_a_range_it_is_the_bound),
        FIXTURE_TEST(each_freezing_schedule_is_one),
        FIXTURE_TEST(a_conditional_parameter_may_be_at_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
