#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/options/options.h"

static Status read_training(TrainingOptions *options, const char *text, Diagnostic *diagnostic)
{
    Json *json = NULL;
    assert_int_equal(json_parse(&json, text, strlen(text), "trial.json", NULL), STATUS_OK);
    Status status = options_from_json(training_option_table(), options, json, "trial.json", diagnostic);
    json_destroy(&json);
    return status;
}

static void options_travel_as_json_without_losing_a_bit(void **state)
{
    (void)state;
    const OptionTable *table = training_option_table();
    TrainingOptions options, back;
    options_set_defaults(table, &options);
    options.learning_rate = 1.0 / 30000;
    options.num_train_epochs = 0.1 + 0.2;
    options.max_steps = 7;
    options.lr_scheduler_type = SCHEDULE_COSINE;
    options.metric_mode = METRIC_STRICT;
    options.frozen_dropout = false;
    options.seed = 9007199254740991u;
    assert_int_equal(freeze_schedule_parse(&options.freeze_schedule, "embeddings+8@0.3;4@2", NULL), STATUS_OK);

    Json *json = options_to_json(table, &options);
    assert_int_equal(json_count(json), table->count);
    assert_string_equal(json_key_at(json, 0), table->descriptors[0].name);
    char *canonical = json_text(json, JSON_CANONICAL);
    json_destroy(&json);
    assert_int_equal(json_parse(&json, canonical, strlen(canonical), "x", NULL), STATUS_OK);
    assert_int_equal(options_from_json(table, &back, json, "x", NULL), STATUS_OK);
    json_destroy(&json);
    assert_memory_equal(&options, &back, sizeof options); /* both were zeroed with their padding by the defaults */
    json = options_to_json(table, &back);
    char *again = json_text(json, JSON_CANONICAL);
    assert_string_equal(canonical, again);
    json_destroy(&json);
    free(canonical);
    free(again);
}

static void absent_keys_keep_their_defaults(void **state)
{
    (void)state;
    TrainingOptions options;
    assert_int_equal(read_training(&options, "{\"learning_rate\": 1e-4, \"warmup_ratio\": 0, \"seed\": \"7\"}", NULL), STATUS_OK);
    assert_true(options.learning_rate == 1e-4);
    assert_int_equal(options.seed, 7);
    assert_int_equal(options.save_total_limit, 2);
}

static void wrong_keys_and_values_are_refused_with_the_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"learning_rat\": 1}", "unknown key \"learning_rat\", did you mean \"learning_rate\"?"},
        {"{\"learning-rate\": 1}", "unknown key \"learning-rate\", did you mean \"learning_rate\"?"},
        {"{\"nothing_of_the_kind\": 1}", "unknown key \"nothing_of_the_kind\""},
        {"{\"learning_rate\": 2}", "learning_rate: must be a number above 0 and at most 1, not \"2\""},
        {"{\"learning_rate\": [1]}", "not an array"},
        {"{\"learning_rate\": {}}", "not an object"},
        {"{\"learning_rate\": null}", "not null"},
        {"{\"learning_rate\": true}", "learning_rate: must be"},
        {"{\"seed\": 8.0}", "seed: must be an integer from 0 to 9007199254740991, not \"8.0\"; write 8"},
        {"{\"seed\": 8.5}", "not \"8.5\""},
        {"{\"frozen_dropout\": 1}", "must be true or false"},
        {"{\"lr_scheduler_type\": 1}", "must be one of linear"},
        {"{\"freeze_schedule\": \"x\"}", "at character 1"},
        {"[]", "training options must be a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TrainingOptions options;
        Diagnostic diagnostic = {0};
        assert_int_equal(read_training(&options, cases[i][0], &diagnostic), STATUS_INVALID_INPUT);
        if (!strstr(diagnostic.message, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], diagnostic.message);
        assert_string_equal(diagnostic.input_file, "trial.json");
    }
    TrainingOptions options;
    assert_int_equal(read_training(&options, "{\"learning_rate\": 2}", NULL), STATUS_INVALID_INPUT);
}

typedef struct Files {
    char *out;
    StringArray dev;
    uint64_t any;
} Files;
static const OptionDescriptor file_options[] = {
    {.name = "out", .type = OPTION_STRING, .offset = offsetof(Files, out), .size = sizeof(char *), .help = "folder"},
    {.name = "dev", .type = OPTION_LIST, .offset = offsetof(Files, dev), .size = sizeof(StringArray), .help = "files"},
    {.name = "any",
     .type = OPTION_UNSIGNED,
     .offset = offsetof(Files, any),
     .size = sizeof(uint64_t),
     .maximum = 2e19,
     .default_text = "0",
     .help = "number"},
};
static const OptionTable files_table = {"files", file_options, 3, sizeof(Files)};

static void strings_and_lists_travel_too(void **state)
{
    (void)state;
    Files files, back;
    options_set_defaults(&files_table, &files);
    Json *json = options_to_json(&files_table, &files);
    char *text = json_text(json, JSON_COMPACT);
    assert_string_equal(text, "{\"out\":null,\"dev\":[],\"any\":0}");
    free(text);
    assert_int_equal(options_from_json(&files_table, &back, json, "x", NULL), STATUS_OK);
    assert_null(back.out);
    assert_int_equal(back.dev.count, 0);
    json_destroy(&json);

    assert_int_equal(option_set(&file_options[0], &files, "a folder", NULL), STATUS_OK);
    assert_int_equal(option_set(&file_options[0], &files, "another", NULL), STATUS_OK);
    assert_int_equal(option_set(&file_options[1], &files, "a", NULL), STATUS_OK);
    assert_int_equal(option_set(&file_options[1], &files, "b=c", NULL), STATUS_OK);
    assert_int_equal(option_set(&file_options[2], &files, "18446744073709551615", NULL), STATUS_OK);
    text = option_text(&file_options[1], &files);
    assert_string_equal(text, "a,b=c");
    free(text);
    json = options_to_json(&files_table, &files);
    assert_int_equal(options_from_json(&files_table, &back, json, "x", NULL), STATUS_OK);
    json_destroy(&json);
    assert_string_equal(back.out, "another");
    assert_int_equal(back.dev.count, 2);
    assert_string_equal(back.dev.items[1], "b=c");
    assert_true(back.any == UINT64_MAX);
    options_free(&files_table, &files);
    options_free(&files_table, &back);
    assert_null(files.out);
    assert_null(files.dev.items);
}

static void nothing_is_owned_after_a_failure(void **state)
{
    (void)state;
    static const char text[] = "{\"out\": \"x\", \"dev\": [\"a\", \"b\"], \"any\": -1}";
    Json *json = NULL;
    Files files;
    assert_int_equal(json_parse(&json, text, strlen(text), "x", NULL), STATUS_OK);
    assert_int_equal(options_from_json(&files_table, &files, json, "x", NULL), STATUS_INVALID_INPUT);
    assert_null(files.out);
    assert_null(files.dev.items);
    json_destroy(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_travel_as_json_without_losing_a_bit),
        cmocka_unit_test(absent_keys_keep_their_defaults),
        cmocka_unit_test(wrong_keys_and_values_are_refused_with_the_place),
        cmocka_unit_test(strings_and_lists_travel_too),
        cmocka_unit_test(nothing_is_owned_after_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
