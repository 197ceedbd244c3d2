#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/sampler.h"
#include "tests/coordinator/fixtures.h"

static TrainingOptions options_of(const Sweep *sweep, uint32_t configuration, uint32_t seed_index)
{
    TrainingOptions options;
    Diagnostic diagnostic = {0};
    if (sampler_trial_options(sweep, configuration, seed_index, NULL, &options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return options;
}

static void a_grid_is_the_product_with_the_last_parameter_fastest(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep("method: grid\nseeds: [7, 9]\nstorage: {save_total_limit: 4}\nparameters:\n"
                                 "  learning_rate: {values: [1e-5, 3e-5]}\n"
                                 "  num_train_epochs: {value: 2}\n"
                                 "  weight_decay: {values: [0, 0.01, 0.1]}\n");
    static const double rates[] = {1e-5, 1e-5, 1e-5, 3e-5, 3e-5, 3e-5}, decays[] = {0, 0.01, 0.1, 0, 0.01, 0.1};
    assert_int_equal(sweep_configuration_count(sweep), 6);
    for (uint32_t i = 0; i < 6; i++) {
        TrainingOptions options = options_of(sweep, i, i % 2);
        assert_true(options.learning_rate == rates[i] && options.weight_decay == decays[i] && options.num_train_epochs == 2);
        assert_int_equal(options.seed, i % 2 ? 9 : 7);
        assert_int_equal(options.save_total_limit, 4);
    }
    sweep_destroy(&sweep);
}

static void a_run_cap_cuts_the_grid(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep("method: grid\nrun_cap: 2\nparameters: {learning_rate: {values: [1e-5, 2e-5, 3e-5]}}\n");
    assert_int_equal(sweep_configuration_count(sweep), 2);
    sweep_destroy(&sweep);
}

static void random_draws_stay_in_their_ranges_and_fill_them(void **state)
{
    (void)state;
    enum { DRAWS = 2000 };
    Sweep *sweep = fixture_sweep("method: random\nrun_cap: 2000\nparameters:\n"
                                 "  learning_rate: {distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-2}\n"
                                 "  weight_decay: {min: 0.0, max: 0.5}\n"
                                 "  warmup_steps: {min: 3, max: 6}\n"
                                 "  label_smoothing_factor: {distribution: q_uniform, min: 0.0, max: 0.3, q: 0.1}\n"
                                 "  hidden_dropout: {distribution: normal, mu: 0.1, sigma: 0.2}\n"
                                 "  lr_scheduler_type: {values: [linear, cosine]}\n");
    assert_int_equal(sweep->parameters[2].kind, DISTRIBUTION_INT_UNIFORM);
    int below = 0, cosine = 0, steps[7] = {0}, tenths[4] = {0};
    double sum = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        TrainingOptions options;
        options_set_defaults(training_option_table(), &options);
        assert_int_equal(sampler_find(SEARCH_RANDOM)->propose(sweep, i, NULL, &options, NULL), STATUS_OK);
        assert_true(options.learning_rate >= 1e-6 && options.learning_rate <= 1e-2);
        assert_true(options.weight_decay >= 0 && options.weight_decay <= 0.5);
        assert_true(options.warmup_steps >= 3 && options.warmup_steps <= 6);
        assert_true(options.hidden_dropout < 1);
        below += options.learning_rate < 1e-4; /* half of it on a logarithmic scale */
        sum += options.weight_decay;
        steps[options.warmup_steps]++;
        double tenth = options.label_smoothing_factor * 10;
        assert_true(fabs(tenth - round(tenth)) < 1e-9);
        tenths[(int)round(tenth)]++;
        cosine += options.lr_scheduler_type == SCHEDULE_COSINE;
    }
    /* Five standard deviations of each count. */
    assert_true(abs(below - DRAWS / 2) < 112 && abs(cosine - DRAWS / 2) < 112);
    assert_true(fabs(sum / DRAWS - 0.25) < 5 * 0.5 / sqrt(12.0 * DRAWS));
    for (int i = 3; i <= 6; i++)
        assert_true(abs(steps[i] - DRAWS / 4) < 97);
    assert_true(tenths[0] > 0 && tenths[1] > 0 && tenths[2] > 0 && tenths[3] > 0);
    sweep_destroy(&sweep);
}

static void a_configuration_depends_on_nothing_but_its_number_and_the_search_seed(void **state)
{
    (void)state;
    static const char text[] =
        "method: random\nrun_cap: %d\nsearch_seed: %d\nparameters: {learning_rate: {min: 0.001, max: 0.1}}\n";
    char *small_text = memory_format(text, 3, 1), *large_text = memory_format(text, 50, 1),
         *other_text = memory_format(text, 50, 2);
    Sweep *small = fixture_sweep(small_text), *large = fixture_sweep(large_text), *other = fixture_sweep(other_text);
    assert_true(options_of(large, 2, 0).learning_rate == options_of(small, 2, 0).learning_rate);
    assert_true(options_of(large, 2, 0).learning_rate != options_of(large, 1, 0).learning_rate);
    assert_true(options_of(large, 2, 0).learning_rate != options_of(other, 2, 0).learning_rate);
    /* A value computed once: whoever changes how numbers are drawn changes every sweep that is under way. */
    assert_true(options_of(small, 0, 0).learning_rate == 0.00607883683781);
    sweep_destroy(&small);
    sweep_destroy(&large);
    sweep_destroy(&other);
    free(small_text);
    free(large_text);
    free(other_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_grid_is_the_product_with_the_last_parameter_fastest),
        FIXTURE_TEST(a_run_cap_cuts_the_grid),
        FIXTURE_TEST(random_draws_stay_in_their_ranges_and_fill_them),
        FIXTURE_TEST(a_configuration_depends_on_nothing_but_its_number_and_the_search_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
