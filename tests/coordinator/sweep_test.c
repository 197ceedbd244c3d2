#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "tests/coordinator/fixtures.h"

static const char fine[] = "method: grid\n"
                           "parameters: {learning_rate: {values: [1.0e-5, 3e-5]}, num_train_epochs: {value: 2}}\n";

/* Reads text as a sweep file that is refused; the problems as lines "line:column: message". */
static char *refused(const char *text, const char *const *overrides, size_t override_count)
{
    Sweep *sweep = NULL;
    SweepProblemArray problems = {0};
    Diagnostic diagnostic = {0};
    Text lines = {0};
    fixture_write("sweep.yaml", text);
    Status status = sweep_read(&sweep, "sweep.yaml", overrides, override_count, &problems, &diagnostic);
    if (status != STATUS_INVALID_INPUT)
        fail_msg("expected a refusal, got %s: %s", status_name(status), diagnostic.message);
    assert_null(sweep);
    for (size_t i = 0; i < problems.count; i++)
        text_format(&lines, "%ld:%ld: %s\n", problems.items[i].line, problems.items[i].column, problems.items[i].message);
    if (problems.count) {
        assert_int_equal(diagnostic.input_line, problems.items[0].line);
        assert_string_equal(diagnostic.message, problems.items[0].message);
    } else {
        text_format(&lines, "%ld:%ld: %s\n", diagnostic.input_line, diagnostic.input_column, diagnostic.message);
    }
    array_free(&problems);
    return text_take(&lines);
}

static void expect(const char *lines, const char *part)
{
    if (!strstr(lines, part))
        fail_msg("\"%s\" is not in:\n%s", part, lines);
}

/* The sweep file of fixture_head + text is refused with a problem that holds part. */
static void expect_refused(const char *text, const char *part)
{
    char *whole = memory_format("%s%s", fixture_head, text), *lines = refused(whole, NULL, 0);
    expect(lines, part);
    free(lines);
    free(whole);
}

static void the_sweep_file_of_the_contract_is_read(void **state)
{
    (void)state;
    Sweep *sweep =
        fixture_sweep("method: random\n"
                      "metric: {name: f1, goal: maximize, dataset: main}\n"
                      "run_cap: 16\n"
                      "seeds: [1, 2]\n"
                      "parameters:\n"
                      "  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 3.0e-4}\n"
                      "  warmup_ratio: {values: [0.0, 0.06, 0.1]}\n"
                      "  freeze_schedule: {values: [none, \"embeddings+2@1\"]}\n"
                      "  oversample_factor: {values: [1, 2]}\n"
                      "  num_train_epochs: {value: 3}\n"
                      "  per_device_train_batch_size: {value: 16}\n"
                      "resources: {ranks_per_trial: 1, threads_per_rank: 1, concurrent_trials: 2, backend: auto, precision: auto}\n"
                      "slurm: {partition: gpu, gpus_per_node: 8, time: \"08:00:00\"}\n"
                      "storage: {path: runs/, save_total_limit: 3}\n");
    assert_string_equal(sweep->name, "tiny");
    assert_true(sweep->model[0] == '/' && sweep->train.items[0].path[0] == '/');
    assert_string_equal(sweep->train.items[0].name, "train");
    assert_string_equal(sweep->dev.items[0].name, "main");
    assert_string_equal(sweep->test.items[0].name, "test");
    assert_int_equal(sweep->data.max_seq_length, 128);
    assert_int_equal(sweep->method, SEARCH_RANDOM);
    assert_int_equal(sweep->seeds.count, 2);
    assert_int_equal(sweep->parameter_count, 6);
    assert_string_equal(sweep->parameters[0].option->name, "learning_rate");
    assert_int_equal(sweep->parameters[0].kind, DISTRIBUTION_LOG_UNIFORM_VALUES);
    assert_int_equal(sweep->parameters[2].values.count, 2);
    assert_int_equal(sweep->concurrent_trials, 2);
    assert_int_equal(sweep->save_total_limit, 3);
    assert_int_equal(sweep_configuration_count(sweep), 16);
    assert_true(sweep->order_logical);
    sweep_destroy(&sweep);
}

static void pseudo_and_weak_files_are_part_of_what_a_sweep_is(void **state)
{
    (void)state;
    static const char *const data[] = {"data.pseudo=train.conll", "data.pseudo_weight=0.5", "data.weak=[train.conll, dev.conll]",
                                       "data.weak_vote=abstain"};
    char with[65], without[65];
    for (int given = 0; given < 2; given++) {
        Sweep *sweep = NULL;
        Diagnostic diagnostic = {0};
        char *text = memory_format("%smethod: grid\nparameters: {learning_rate: {value: 1.0e-5}}\n", fixture_head);
        fixture_write("sweep.yaml", text);
        Status status = sweep_read(&sweep, "sweep.yaml", data, given ? 4 : 0, NULL, &diagnostic);
        if (status != STATUS_OK)
            fail_msg("%s", diagnostic.message);
        assert_int_equal(sweep->pseudo.count, given);
        assert_int_equal(sweep->weak.count, 2 * given);
        assert_true(sweep->data.pseudo_weight == (given ? 0.5 : 1));
        assert_int_equal(sweep->data.weak_vote, given ? WEAK_VOTE_ABSTAIN : WEAK_VOTE_MAJORITY);
        sweep_identity(sweep, given ? with : without);
        sweep_destroy(&sweep);
        free(text);
    }
    assert_string_not_equal(with, without);
    static const char *const missing[] = {"data.pseudo=nowhere.conll", "data.pseudo_weight=0"};
    char *text = memory_format("%smethod: grid\nparameters: {learning_rate: {value: 1.0e-5}}\n", fixture_head),
         *lines = refused(text, missing, 2);
    expect(lines, "nowhere.conll: No such file");
    expect(lines, "pseudo_weight: must be a number above 0");
    free(lines);
    free(text);
}

static void everything_that_is_wrong_is_said_at_once_with_its_place(void **state)
{
    (void)state;
    char *lines = refused("name: a/b\n"
                          "model: nowhere\n"
                          "data:\n"
                          "  train: missing.conll\n"
                          "  dev: dev.conll\n"
                          "  max_seq_lenght: 5\n"
                          "methd: grid\n"
                          "seeds: [1, 1]\n"
                          "parameters:\n"
                          "  learning_rte: {value: 1e-5}\n"
                          "  weight_decay: {value: -1}\n"
                          "  warmup_ratio: {min: 0.2, max: 0.1}\n",
                          NULL, 0);
    expect(lines, "1:7: name: \"a/b\"");
    expect(lines, "2:8: model: ");
    expect(lines, "nowhere is no folder");
    expect(lines, "4:10: data: ");
    expect(lines, "missing.conll: No such file");
    expect(lines, "6:3: data: unknown key max_seq_lenght; did you mean max_seq_length?");
    expect(lines, "7:1: sweep file: unknown key methd; did you mean method?");
    expect(lines, "the key method is missing");
    expect(lines, "8:12: seeds: 1 is given twice");
    expect(lines, "10:3: parameters: learning_rte is no training option; did you mean learning_rate?");
    expect(lines, "11:25: parameters.weight_decay: ");
    expect(lines, "12:23: parameters.warmup_ratio: an empty range");
    free(lines);
}

static void what_is_no_mapping_or_no_yaml_is_refused(void **state)
{
    (void)state;
    char *lines = refused("- a\n- b\n", NULL, 0);
    expect(lines, "expected a mapping");
    free(lines);
    lines = refused("name: [unclosed\n", NULL, 0);
    free(lines);
    Sweep *sweep;
    Diagnostic diagnostic = {0};
    assert_int_equal(sweep_read(&sweep, "none.yaml", NULL, 0, NULL, &diagnostic), STATUS_NOT_FOUND);
}

static void each_key_is_checked(void **state)
{
    (void)state;
    expect_refused("method: [grid]\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "method: expected grid, random or tpe, found a list");
    expect_refused("method: random\nparameters: {learning_rate: {value: 1e-5}}\n", "needs run_cap");
    expect_refused("method: grid\nrun_cap: 0\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "run_cap: expected a whole number from 1");
    expect_refused("method: grid\nparameters: {learning_rate: {min: 1e-5, max: 1e-4}}\n", "a grid needs values, not uniform");
    expect_refused("method: grid\nparameters: {learning_rate: 1e-5}\n", "parameters.learning_rate: expected a mapping");
    expect_refused("method: grid\nparameters: {learning_rate: {value: fast}}\n", "learning_rate");
    expect_refused("method: grid\nparameters: {learning_rate: {values: []}}\n", "expected a list of 1 to");
    expect_refused("method: grid\nparameters: {learning_rate: {values: [1e-5, 1.0e-5]}}\n", "is given twice");
    expect_refused("method: grid\nparameters: {learning_rate: {value: 1e-5, q: 2}}\n", "q does not go with value");
    expect_refused("method: grid\nparameters: {learning_rate: {vlues: [1e-5]}}\n", "did you mean values?");
    expect_refused("method: grid\nparameters: {learning_rate: {value: 1e-5, when: x}}\n",
                   "when: expected a mapping of earlier parameters");
    expect_refused("method: grid\nparameters: {seed: {value: 1}}\n", "seed is set by seeds");
    expect_refused("method: grid\nparameters: {learning_rate: {value: 1e-5}, learning-rate: {value: 2e-5}}\n",
                   "learning_rate is given twice");
    expect_refused("method: grid\nmetric: {dataset: other}\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "other is no dev set; there are main, mean and worst");
    expect_refused("method: grid\nmetric: {name: accuracy}\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "metric.name: expected f1");
    expect_refused("method: grid\nresources: {ranks_per_trial: 0}\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "ranks_per_trial");
    expect_refused("method: grid\nresources: {memory_limit: plenty}\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "memory_limit \"plenty\" is no number of bytes such as 8G");
    expect_refused("method: grid\nresources: {lease: 3, heartbeat: 2}\nparameters: {learning_rate: {value: 1e-5}}\n",
                   "three heartbeats");
    expect_refused("method: grid\nslurm: 3\nparameters: {learning_rate: {value: 1e-5}}\n", "slurm: expected a mapping");
    expect_refused("method: grid\nparameters: {warmup_steps: {value: 5}, warmup_ratio: {value: 0.1}}\n", "configuration 0");
}

static void what_is_said_of_the_search_is_checked(void **state)
{
    (void)state;
    static const char parameters[] = "parameters: {learning_rate: {min: 1e-5, max: 1e-4}}\n";
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"method: tpe\n", "4:9: method tpe needs run_cap"},
        {"method: bayes\nrun_cap: 3\n", "4:9: method: expected grid, random or tpe, found bayes"},
        {"method: tpe\nrun_cap: 3\nsearch: {multivariat: true}\n",
         "6:10: search: unknown key multivariat; did you mean multivariate?"},
        {"method: tpe\nrun_cap: 3\nsearch: {sobol: true}\n", "6:10: search: sobol goes with method random alone"},
        {"method: random\nrun_cap: 3\nsearch: {startup_trials: 4}\n", "6:10: search: startup_trials goes with method tpe alone"},
        {"method: random\nrun_cap: 3\nsearch: {lag: -1}\n", "6:15: search: lag"},
        {"method: tpe\nrun_cap: 3\nsearch: {lag: 3}\n", "6:10: search: lag goes with order logical"},
        {"method: random\nrun_cap: 3\nearly_terminate: {type: ahsa}\n", "6:25: early_terminate.type: expected asha, hyperband"},
        {"method: random\nrun_cap: 3\nearly_terminate: {min_iter: 2}\n", "early_terminate: the key type is missing"},
        {"method: random\nrun_cap: 3\nearly_terminate: {type: asha, eta: 1}\n", "6:36: early_terminate: eta"},
        {"method: random\nrun_cap: 3\nearly_terminate: {type: hyperband}\n", "hyperband needs max_iter"},
        {"method: random\nrun_cap: 3\nearly_terminate: {type: asha, min_iter: 4, max_iter: 4}\n",
         "max_iter (4) must be above min_iter (4)"},
        {"method: random\nrun_cap: 3\nearly_terminate: {type: median, eta: 3}\n",
         "6:33: early_terminate: eta does not go with median"},
        {"method: random\nrun_cap: 3\nearly_terminate: {type: asha, min_trials: 3}\n", "min_trials goes with median alone"},
        {"method: random\nrun_cap: 3\nbudget: {time: soon}\n", "6:16: budget.time: expected a time such as 45s, 90m, 1h30m or 2d"},
        {"method: random\nrun_cap: 3\nbudget: {compute: 0h}\n", "budget.compute: expected a time"},
        {"method: random\nrun_cap: 3\nbudget: {trails: 3}\n", "budget: unknown key trails; did you mean trials?"},
        {"method: random\nrun_cap: 3\nwarm_start: model\n", "warm_start: only method tpe learns from earlier sweeps"},
        {"method: tpe\nrun_cap: 3\nwarm_start: [model]\n", "6:14: warm_start: "},
        {"method: random\nrun_cap: 3\norder: random\n", "6:8: order: expected arrival or logical"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = memory_format("%s%s", cases[i].text, parameters);
        expect_refused(text, cases[i].expected);
        free(text);
    }
}

static void conditions_are_checked(void **state)
{
    (void)state;
    expect_refused("method: random\nrun_cap: 3\nparameters:\n"
                   "  warmup_steps: {min: 1, max: 5, when: {lr_scheduler_type: linear}}\n"
                   "  lr_scheduler_type: {values: [linear, cosine]}\n",
                   "7:41: parameters.warmup_steps.when: lr_scheduler_type is no parameter that stands before this one");
    expect_refused("method: random\nrun_cap: 3\nparameters:\n"
                   "  lr_scheduler_type: {values: [linear, cosine]}\n"
                   "  warmup_steps: {min: 1, max: 5, when: {lr_scheduler_type: constant_with_warmup}}\n",
                   "8:60: parameters.warmup_steps.when: constant_with_warmup is none of the values of lr_scheduler_type");
    expect_refused("method: random\nrun_cap: 3\nparameters:\n"
                   "  learning_rate: {min: 1e-5, max: 1e-4}\n"
                   "  warmup_steps: {min: 1, max: 5, when: {learning_rate: 1e-5}}\n",
                   "8:41: parameters.warmup_steps.when: learning_rate is drawn from a range");
}

static void the_search_is_read_and_is_part_of_the_identity(void **state)
{
    (void)state;
    static const char text[] = "method: tpe\nrun_cap: 8\norder: %s\nsearch: {multivariate: %s}\n"
                               "early_terminate: {type: asha, min_iter: 2, max_iter: 30, eta: 4}\n"
                               "budget: {time: 1h30m, compute: 2d, trials: 7}\n"
                               "parameters: {learning_rate: {min: 1e-5, max: 1e-4}}\n";
    char *first_text = memory_format(text, "logical", "true"), *second_text = memory_format(text, "arrival", "true"),
         *third_text = memory_format(text, "logical", "false"), identity[3][65];
    Sweep *sweep = fixture_sweep(first_text), *second = fixture_sweep(second_text), *third = fixture_sweep(third_text);
    assert_true(sweep->method == SEARCH_TPE && sweep->order_logical && sweep->search.multivariate && !second->order_logical);
    assert_int_equal(sweep->search.startup_trials, 10);
    assert_int_equal(sweep->search.lag, 4);
    assert_int_equal(sweep->early_termination.rule, TERMINATION_ASHA);
    assert_true(sweep->early_termination.min_iter == 2 && sweep->early_termination.max_iter == 30 &&
                sweep->early_termination.eta == 4);
    assert_true(sweep->budget.time_ms == 5400 * 1000 && sweep->budget.compute_ms == 172800 * 1000 && sweep->budget.trials == 7);
    sweep_identity(sweep, identity[0]);
    sweep_identity(second, identity[1]);
    sweep_identity(third, identity[2]);
    assert_string_not_equal(identity[0], identity[1]);
    assert_string_not_equal(identity[0], identity[2]);
    sweep->budget.time_ms = 0; /* a limit, which may change */
    sweep_identity(sweep, identity[1]);
    assert_string_equal(identity[0], identity[1]);
    sweep_destroy(&sweep);
    sweep_destroy(&second);
    sweep_destroy(&third);
    free(first_text);
    free(second_text);
    free(third_text);
}

/* A sweep that uses nothing of it looks as it did before there was such a thing, so that its journal is still its own. */
static void an_identity_holds_only_what_the_sweep_uses(void **state)
{
    (void)state;
    static const char *const unused[] = {"search", "early_terminate", "warm_start"};
    Sweep *sweep = fixture_sweep(fine);
    Json *json = sweep_json(sweep);
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        assert_null(json_get(json_get(json, "identity"), unused[i]));
    assert_string_equal(json_string_value(json_get(json_get(json, "identity"), "order")), "logical");
    json_destroy(&json);
    sweep_destroy(&sweep);
}

static void ranges_are_checked(void **state)
{
    (void)state;
    expect_refused(
        "method: random\nrun_cap: 2\nparameters: {learning_rate: {distribution: log_uniform_values, min: 0, max: 1e-4}}\n",
        "a logarithmic range begins above 0");
    expect_refused("method: random\nrun_cap: 2\nparameters: {learning_rate: {distribution: uniform, min: 1e-4, max: 1e-4}}\n",
                   "an empty range");
    expect_refused("method: random\nrun_cap: 2\nparameters: {learning_rate: {distribution: uniform, min: 1e-4, max: 7}}\n",
                   "learning_rate");
    expect_refused("method: random\nrun_cap: 2\nparameters: {learning_rate: {distribution: uniform, min: 1e-4}}\n",
                   "uniform needs the key max");
    expect_refused("method: random\nrun_cap: 2\nparameters: {learning_rate: {distribution: unifrom, min: 1e-4, max: 1}}\n",
                   "unknown distribution");
    expect_refused("method: random\nrun_cap: 2\nparameters: {warmup_steps: {distribution: uniform, min: 1, max: 9}}\n",
                   "use int_uniform");
    expect_refused(
        "method: random\nrun_cap: 2\nparameters: {warmup_ratio: {distribution: q_uniform, min: 0.1, max: 0.2, q: 0.5}}\n",
        "no multiple of 0.5");
    expect_refused("method: random\nrun_cap: 2\nparameters: {lr_scheduler_type: {distribution: uniform, min: 1, max: 2}}\n",
                   "is no number");
}

static void overrides_replace_and_add(void **state)
{
    (void)state;
    char *text = memory_format("%s%s", fixture_head, fine);
    fixture_write("sweep.yaml", text);
    fixture_write("other.conll", "Eve B-PER\n");
    free(text);
    const char *overrides[] = {"data.train=other.conll", "resources.concurrent_trials=3", "seeds=[4, 5]",
                               "parameters.weight_decay={value: 0.1}"};
    Sweep *sweep;
    Diagnostic diagnostic = {0};
    if (sweep_read(&sweep, "sweep.yaml", overrides, 4, NULL, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    assert_string_equal(path_base_name(sweep->train.items[0].path), "other.conll");
    assert_int_equal(sweep->concurrent_trials, 3);
    assert_int_equal(sweep->seeds.items[1], 5);
    assert_int_equal(sweep->parameter_count, 3);
    sweep_destroy(&sweep);
}

static void a_wrong_override_is_named(void **state)
{
    (void)state;
    char *text = memory_format("%s%s", fixture_head, fine);
    const char *wrong[] = {"run_cap=lots"}, *unknown[] = {"resources.rnks=2"};
    char *lines = refused(text, wrong, 1);
    expect(lines, "0:0: --set run_cap=lots: run_cap: expected a whole number");
    free(lines);
    lines = refused(text, unknown, 1);
    expect(lines, "--set resources.rnks=2: resources: unknown key rnks");
    free(lines);
    const char *none[] = {"run_cap"}, *through[] = {"name.first=x"};
    Sweep *sweep;
    Diagnostic diagnostic = {0};
    assert_int_equal(sweep_read(&sweep, "sweep.yaml", none, 1, NULL, &diagnostic), STATUS_USAGE);
    assert_int_equal(sweep_read(&sweep, "sweep.yaml", through, 1, NULL, &diagnostic), STATUS_USAGE);
    expect(diagnostic.message, "\"name\" is a value");
    free(text);
}

static char *identity_of(const char *text)
{
    Sweep *sweep = fixture_sweep(text);
    char hex[65];
    sweep_identity(sweep, hex);
    sweep_destroy(&sweep);
    return memory_copy_string(hex);
}

static void limits_and_resources_are_no_part_of_the_identity(void **state)
{
    (void)state;
    char *first = identity_of("method: grid\nparameters: {learning_rate: {values: [1.0e-5, 3e-5]}}\n");
    char *same =
        identity_of("run_cap: 1\nmax_retries: 9\nmethod: grid\nparameters: {learning_rate: {values: [1e-5, 3.0e-5]}}\n"
                    "resources: {concurrent_trials: 4, lease: 60}\nstorage: {save_total_limit: 5}\nslurm: {partition: x}\n");
    char *other = identity_of("method: grid\nparameters: {learning_rate: {values: [1.0e-5, 4e-5]}}\n");
    char *seeds = identity_of("seeds: [1]\nmethod: grid\nparameters: {learning_rate: {values: [1.0e-5, 3e-5]}}\n");
    assert_string_equal(first, same);
    assert_string_not_equal(first, other);
    assert_string_not_equal(first, seeds);
    free(first);
    free(same);
    free(other);
    free(seeds);
}

static void the_order_of_parameters_numbers_configurations_and_so_is_identity(void **state)
{
    (void)state;
    char *first =
        identity_of("method: grid\nparameters: {learning_rate: {values: [1e-5, 3e-5]}, weight_decay: {values: [0, 0.1]}}\n");
    char *second =
        identity_of("method: grid\nparameters: {weight_decay: {values: [0, 0.1]}, learning_rate: {values: [1e-5, 3e-5]}}\n");
    assert_string_not_equal(first, second);
    free(first);
    free(second);
}

static void the_difference_of_two_sweeps_names_each_key(void **state)
{
    (void)state;
    Sweep *before = fixture_sweep(
        "run_cap: 3\nmethod: random\nparameters: {learning_rate: {min: 1e-5, max: 3e-4}, weight_decay: {value: 0.1}}\n");
    Sweep *after = fixture_sweep("run_cap: 9\nmethod: random\nparameters: {learning_rate: {min: 1e-5, max: 5e-4}}\n");
    Json *old = sweep_json(before), *new = sweep_json(after);
    Text text = {0};
    sweep_difference(old, new, &text);
    expect(text.bytes, "parameters.learning_rate.max: 0.0003");
    expect(text.bytes, " -> 0.0005");
    expect(text.bytes, "parameters.weight_decay.distribution: \"value\" -> (nothing)");
    assert_null(strstr(text.bytes, "run_cap"));
    text_free(&text);
    sweep_difference(old, old, &text);
    assert_int_equal(text.size, 0);
    text_free(&text);
    json_destroy(&old);
    json_destroy(&new);
    sweep_destroy(&before);
    sweep_destroy(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_sweep_file_of_the_contract_is_read),
        FIXTURE_TEST(pseudo_and_weak_files_are_part_of_what_a_sweep_is),
        FIXTURE_TEST(everything_that_is_wrong_is_said_at_once_with_its_place),
        FIXTURE_TEST(what_is_no_mapping_or_no_yaml_is_refused),
        FIXTURE_TEST(each_key_is_checked),
        FIXTURE_TEST(what_is_said_of_the_search_is_checked),
        FIXTURE_TEST(conditions_are_checked),
        FIXTURE_TEST(the_search_is_read_and_is_part_of_the_identity),
        FIXTURE_TEST(an_identity_holds_only_what_the_sweep_uses),
        FIXTURE_TEST(ranges_are_checked),
        FIXTURE_TEST(overrides_replace_and_add),
        FIXTURE_TEST(a_wrong_override_is_named),
        FIXTURE_TEST(limits_and_resources_are_no_part_of_the_identity),
        FIXTURE_TEST(the_order_of_parameters_numbers_configurations_and_so_is_identity),
        FIXTURE_TEST(the_difference_of_two_sweeps_names_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
