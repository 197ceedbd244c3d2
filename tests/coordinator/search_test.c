/* What is tried next: conditions, TPE on sweeps, Sobol's points, earlier sweeps, budgets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/journal_fold.h"
#include "coordinator/sampler.h"
#include "core/io/file.h"
#include "core/store/journal.h"
#include "tests/coordinator/core_harness.h"

/* ------------------------------------------------------------------------------------------------ conditions */

static const char conditional_parameters[] = "parameters:\n"
                                             "  lr_scheduler_type: {values: [linear, cosine, constant_with_warmup]}\n"
                                             "  warmup_steps: {values: [10, 20], when: {lr_scheduler_type: [linear, cosine]}}\n"
                                             "  weight_decay: {values: [0, 0.1]}\n"
                                             "  max_grad_norm: {values: [1, 5, 9], when: {warmup_steps: 20}}\n";

static TrainingOptions options_of(const Sweep *sweep, uint32_t configuration)
{
    TrainingOptions options;
    Diagnostic diagnostic = {0};
    if (sampler_trial_options(sweep, configuration, 0, NULL, &options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return options;
}

static void a_grid_has_each_configuration_that_its_conditions_leave_once(void **state)
{
    (void)state;
    char *text = memory_format("method: grid\n%s", conditional_parameters);
    Sweep *sweep = fixture_sweep(text);
    /* linear and cosine: 10 with two decays, 20 with two decays and three norms; constant: two decays */
    assert_int_equal(sweep_configuration_count(sweep), 2 * (2 + 6) + 2);
    char *seen[18];
    for (uint32_t c = 0; c < 18; c++) {
        TrainingOptions options = options_of(sweep, c);
        bool warms = options.lr_scheduler_type != SCHEDULE_CONSTANT_WITH_WARMUP;
        assert_true(warms ? options.warmup_steps == 10 || options.warmup_steps == 20 : options.warmup_steps == 0);
        if (options.warmup_steps != 20)
            assert_true(options.max_grad_norm == 1.0); /* the default */
        Json *json = options_to_json(training_option_table(), &options);
        seen[c] = json_text(json, JSON_CANONICAL);
        json_destroy(&json);
        for (uint32_t other = 0; other < c; other++)
            assert_string_not_equal(seen[c], seen[other]);
    }
    for (uint32_t c = 0; c < 18; c++)
        free(seen[c]);
    sweep_destroy(&sweep);
    free(text);
}

static void a_parameter_whose_condition_fails_is_not_drawn(void **state)
{
    (void)state;
    char *text = memory_format("method: random\nrun_cap: 200\n%s", conditional_parameters);
    Sweep *sweep = fixture_sweep(text);
    int with = 0, without = 0;
    for (uint32_t c = 0; c < 200; c++) {
        TrainingOptions options = options_of(sweep, c);
        with += options.warmup_steps > 0;
        without += options.warmup_steps == 0;
        assert_int_equal(options.warmup_steps == 0, options.lr_scheduler_type == SCHEDULE_CONSTANT_WITH_WARMUP);
    }
    assert_true(with > 80 && without > 30);
    sweep_destroy(&sweep);
    free(text);
}

static void a_trial_is_read_back_as_a_point(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep("method: tpe\nrun_cap: 5\nparameters:\n"
                                 "  lr_scheduler_type: {values: [linear, cosine]}\n"
                                 "  warmup_steps: {min: 1, max: 9, when: {lr_scheduler_type: linear}}\n"
                                 "  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}\n");
    static const struct {
        const char *json;
        bool fits;
        double values[3];
    } cases[] = {
        {"{\"lr_scheduler_type\":\"linear\",\"warmup_steps\":4,\"learning_rate\":0.0002}", true, {0, 4, 0.0002}},
        {"{\"lr_scheduler_type\":\"cosine\",\"learning_rate\":0.001}", true, {1, NAN, 0.001}},
        {"{\"lr_scheduler_type\":\"linear\",\"learning_rate\":0.001}", false, {0}},               /* one is missing */
        {"{\"lr_scheduler_type\":\"cosine\",\"learning_rate\":0.01}", false, {0}},                /* out of range */
        {"{\"lr_scheduler_type\":\"constant_with_warmup\",\"learning_rate\":0.001}", false, {0}}, /* no value of it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Json *json = NULL;
        double values[3];
        assert_int_equal(json_parse(&json, cases[i].json, strlen(cases[i].json), "test", NULL), STATUS_OK);
        assert_int_equal(sampler_point(sweep, json, values), cases[i].fits);
        for (size_t v = 0; v < 3 && cases[i].fits; v++)
            assert_true(isnan(cases[i].values[v]) ? isnan(values[v]) : values[v] == cases[i].values[v]);
        json_destroy(&json);
    }
    sweep_destroy(&sweep);
}

/* ------------------------------------------------------------------------------------------------ TPE and Sobol */

static double objective(const TrainingOptions *options)
{
    double distance = log10(options->learning_rate) + 4; /* the best is 1e-4 with warm-up 30 */
    return 1 - distance * distance / 4 - fabs((double)options->warmup_steps - 30) / 300;
}

/* The best of a sweep of one worker, and how near the last ten came on average. */
static double run_search(const char *text, double *last_ten)
{
    Harness harness;
    double best = 0;
    *last_ten = 0;
    harness_open(&harness, text);
    harness_hello(&harness, 1, "host-1-a");
    int64_t total = sweep_core_trials_total(harness.core);
    for (int64_t t = 0; t < total; t++) {
        AssignmentId id = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
        TrainingOptions options;
        Json *json = NULL;
        char *options_json = sweep_core_options(harness.core, id.trial);
        assert_int_equal(json_parse(&json, options_json, strlen(options_json), "options", NULL), STATUS_OK);
        assert_int_equal(options_from_json(training_option_table(), &options, json, "options", NULL), STATUS_OK);
        json_destroy(&json);
        free(options_json);
        double score = objective(&options);
        best = fmax(best, score);
        *last_ten += t >= total - 10 ? score / 10 : 0;
        harness_report(&harness, 1, id, 1, score);
        harness_finished(&harness, 1, id, FINISH_COMPLETED, false);
    }
    harness_close(&harness);
    return best;
}

static void tpe_goes_where_the_good_ones_were(void **state)
{
    (void)state;
    static const char text[] = "method: %s\nrun_cap: 60\nresources: {heartbeat: 1, lease: 10000}\n%sparameters:\n"
                               "  learning_rate: {distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-2}\n"
                               "  warmup_steps: {min: 1, max: 300}\n";
    static const char *const searches[] = {"", "search: {multivariate: false}\n"};
    double random_last, sum = 0;
    char *random_text = memory_format(text, "random", "");
    (void)run_search(random_text, &random_last);
    for (size_t i = 0; i < 2; i++) {
        char *tpe_text = memory_format(text, "tpe", searches[i]);
        double last;
        assert_true(run_search(tpe_text, &last) > 0.95);
        sum += last;
        assert_true(last > random_last + 0.2);
        free(tpe_text);
    }
    print_message("mean of the last ten: tpe %.3f, random %.3f\n", sum / 2, random_last);
    free(random_text);
}

static void sobol_spreads_more_evenly_than_chance(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep("method: random\nrun_cap: 64\nsearch: {sobol: true}\nparameters:\n"
                                 "  weight_decay: {min: 0.0, max: 0.64}\n"
                                 "  lr_scheduler_type: {values: [linear, cosine]}\n"
                                 "  warmup_steps: {min: 0, max: 15}\n"
                                 "  adam_beta1: {distribution: normal, mu: 0.5, sigma: 0.1}\n");
    int hundredths[64] = {0}, cosine = 0, steps[16] = {0}, above = 0;
    for (uint32_t c = 0; c < 64; c++) {
        TrainingOptions options = options_of(sweep, c);
        hundredths[(int)(options.weight_decay * 100)]++;
        cosine += options.lr_scheduler_type == SCHEDULE_COSINE;
        steps[options.warmup_steps]++;
        above += options.adam_beta1 > 0.5;
    }
    for (int i = 0; i < 64; i++)
        assert_int_equal(hundredths[i], 1);
    for (int i = 0; i < 16; i++)
        assert_int_equal(steps[i], 4);
    assert_int_equal(cosine, 32);
    assert_int_equal(above, 32);
    sweep_destroy(&sweep);
}

/* ------------------------------------------------------------------------------------------------ earlier sweeps */

/* The journal of a sweep of five configurations, the last of which failed, as the folder of a sweep. */
static void write_earlier_sweep(const char *folder)
{
    Harness harness;
    Journal *journal = NULL;
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, "journal");
    harness_open(&harness, "method: random\nrun_cap: 5\nresources: {heartbeat: 1, lease: 10000}\n"
                           "parameters: {learning_rate: {min: 1.0e-5, max: 1.0e-3}}\n");
    harness_hello(&harness, 1, "host-1-a");
    for (int t = 0; t < 5; t++) {
        AssignmentId id = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
        harness_report(&harness, 1, id, 1, 0.1 * (t + 1));
        harness_finished(&harness, 1, id, t == 4 ? FINISH_FAILED : FINISH_COMPLETED, false);
    }
    if (journal_open(&journal, path, file_system_posix(), NULL, NULL, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    for (size_t i = 0; i < harness.journal.count; i++)
        assert_int_equal(journal_append(journal, harness.journal.items[i].bytes, harness.journal.items[i].size, NULL), STATUS_OK);
    assert_int_equal(journal_sync(journal, NULL), STATUS_OK);
    journal_close(&journal);
    harness_close(&harness);
    free(path);
}

static void an_earlier_sweep_is_known_from_the_journal_even_when_it_is_gone(void **state)
{
    (void)state;
    char folder[] = "/tmp/nersweep-earlier-XXXXXX";
    Harness harness;
    assert_non_null(mkdtemp(folder));
    write_earlier_sweep(folder);
    char *text = memory_format("method: tpe\nrun_cap: 2\nwarm_start: %s\nsearch: {startup_trials: 4}\n"
                               "resources: {heartbeat: 1, lease: 10000}\n"
                               "parameters: {learning_rate: {min: 1.0e-5, max: 1.0e-3}}\n",
                               folder);
    harness_open(&harness, text);
    assert_int_equal(harness_journaled(&harness, RECORD_WARM_STARTED), 1);
    assert_int_equal(json_count(harness.core->warm_history), 4); /* the failed one is none to learn from */
    assert_true(json_number_value(json_get(json_at(harness.core->warm_history, 3), "score"), 0) == 0.4);
    harness_hello(&harness, 1, "host-1-a");
    assert_non_null(harness_sent(&harness, 1, MESSAGE_ASSIGN));
    char *proposed = sweep_core_options(harness.core, 0);
    assert_int_equal(folder_remove_tree(folder, NULL), STATUS_OK);
    /* The journal before the first trial, read again: the same proposal, four known ones are enough for a model. */
    while (harness.journal.count > 3)
        text_free(&harness.journal.items[--harness.journal.count]);
    json_destroy(&harness.sweep->warm_history);
    harness_start(&harness);
    assert_int_equal(harness_journaled(&harness, RECORD_WARM_STARTED), 0);
    harness_hello(&harness, 1, "host-1-a");
    char *again = sweep_core_options(harness.core, 0);
    assert_string_equal(again, proposed);
    free(again);
    TrainingOptions random;
    assert_int_equal(sampler_trial_options(harness.sweep, 0, 0, NULL, &random, NULL), STATUS_OK);
    Json *json = options_to_json(training_option_table(), &random);
    char *random_text = json_text(json, JSON_CANONICAL);
    assert_string_not_equal(random_text, proposed);
    free(random_text);
    json_destroy(&json);
    free(proposed);
    free(text);
    harness_close(&harness);
}

/* ------------------------------------------------------------------------------------------------ budgets */

/* How many trials begin when each takes a minute. */
static size_t trials_within(const char *budget, int64_t restart_after)
{
    Harness harness;
    char *text = memory_format("method: random\nrun_cap: 20\nbudget: %s\nresources: {heartbeat: 1, lease: 10000}\n"
                               "parameters: {learning_rate: {min: 1.0e-5, max: 1.0e-3}}\n",
                               budget);
    harness_open(&harness, text);
    harness_hello(&harness, 1, "host-1-a");
    harness_hello(&harness, 2, "host-2-a");
    for (int64_t t = 0; t < 20; t++) {
        AssignmentId id[2] = {{0}};
        for (size_t i = 0; i < harness.core->workers.count; i++)
            if (harness.core->workers.items[i].busy && harness.core->workers.items[i].kind == ASSIGNMENT_TRAIN)
                id[i] = (AssignmentId){harness.core->workers.items[i].trial,
                                       harness.core->trials.items[harness.core->workers.items[i].trial].work.fence};
        harness.now_ms += 60000;
        if (t == restart_after) { /* a day without a coordinator: it costs nothing */
            harness_step(&harness, (CoreEvent){.type = CORE_TICK});
            harness.now_ms += 86400000;
            harness_start(&harness);
            harness_hello_with(&harness, 1, "host-1-a", id[0]);
            harness_hello_with(&harness, 2, "host-2-a", id[1]);
        }
        for (uint8_t i = 0; i < 2; i++)
            if (id[i].fence) {
                harness_report(&harness, (uint8_t)(i + 1), id[i], 1, 0.5);
                harness_finished(&harness, (uint8_t)(i + 1), id[i], FINISH_COMPLETED, false);
            }
    }
    size_t begun = harness.core->trials.count;
    assert_int_equal(harness.core->state_counts[WORK_ENDED], begun); /* what had begun went to its end */
    assert_int_equal(sweep_core_trials_total(harness.core), begun);
    assert_true(begun == 20 || harness.core->budget_spent);
    harness_close(&harness);
    free(text);
    return begun;
}

static void a_budget_ends_the_search_and_not_what_runs(void **state)
{
    (void)state;
    assert_int_equal(trials_within("{trials: 7}", -1), 7);
    assert_int_equal(trials_within("{time: 3m}", -1), 2 * 3);    /* begun at 0, 1 and 2 minutes, by two workers */
    assert_int_equal(trials_within("{compute: 4m}", -1), 2 * 2); /* two minutes of two workers */
    assert_int_equal(trials_within("{time: 10h}", -1), 20);
    assert_int_equal(trials_within("{time: 5m}", 1), 2 * 6); /* the minute that it had not written of went with the coordinator */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_grid_has_each_configuration_that_its_conditions_leave_once),
        FIXTURE_TEST(a_parameter_whose_condition_fails_is_not_drawn),
        FIXTURE_TEST(a_trial_is_read_back_as_a_point),
        cmocka_unit_test(tpe_goes_where_the_good_ones_were),
        FIXTURE_TEST(sobol_spreads_more_evenly_than_chance),
        cmocka_unit_test(an_earlier_sweep_is_known_from_the_journal_even_when_it_is_gone),
        cmocka_unit_test(a_budget_ends_the_search_and_not_what_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
