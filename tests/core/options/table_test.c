#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/options/options.h"

static TrainingOptions training_defaults(void)
{
    TrainingOptions options;
    options_set_defaults(training_option_table(), &options);
    return options;
}

static Status set_training(TrainingOptions *options, const char *name, const char *text, Diagnostic *diagnostic)
{
    const OptionDescriptor *descriptor = option_find(training_option_table(), name);
    assert_non_null(descriptor);
    return option_set(descriptor, options, text, diagnostic);
}

static void the_defaults_are_those_of_the_documents(void **state)
{
    (void)state;
    TrainingOptions options = training_defaults();
    assert_true(options.num_train_epochs == 3);
    assert_int_equal(options.max_steps, -1);
    assert_true(options.learning_rate == 5e-5);
    assert_int_equal(options.per_device_train_batch_size, 8);
    assert_int_equal(options.per_device_eval_batch_size, 32);
    assert_int_equal(options.lr_scheduler_type, SCHEDULE_LINEAR);
    assert_true(options.adam_beta1 == 0.9);
    assert_true(options.adam_beta2 == 0.999);
    assert_true(options.adam_epsilon == 1e-8);
    assert_true(options.max_grad_norm == 1);
    assert_true(options.hidden_dropout == -1);
    assert_int_equal(options.freeze_schedule.phase_count, 0);
    assert_true(options.frozen_dropout);
    assert_true(options.oversample_factor == 1);
    assert_int_equal(options.seed, 42);
    assert_int_equal(options.save_total_limit, 2);
    assert_int_equal(training_options_validate(&options, NULL), STATUS_OK);
    DataOptions data;
    options_set_defaults(data_option_table(), &data);
    assert_int_equal(data.max_seq_length, 512);
    assert_int_equal(data.stride, 50);
    assert_int_equal(data.zero_piece, ZERO_PIECE_UNK);
    assert_string_equal(data.scheme, "auto");
    assert_string_equal(data.token_column, "1");
    assert_string_equal(data.label_column, "-1");
    assert_false(data.strict);
    assert_int_equal(data_options_validate(&data, NULL), STATUS_OK);
}

/* No field of the structs is without its row: the rows' bytes and the padding cover the whole struct. */
static void check_coverage(const OptionTable *table)
{
    unsigned char *covered = calloc(1, table->struct_size);
    for (size_t i = 0; i < table->count; i++) {
        const OptionDescriptor *descriptor = &table->descriptors[i];
        assert_true(descriptor->offset + descriptor->size <= table->struct_size);
        for (size_t byte = 0; byte < descriptor->size; byte++)
            assert_int_equal(covered[descriptor->offset + byte]++, 0);
        assert_true(strlen(descriptor->help) > 0);
    }
    size_t gap = 0;
    for (size_t byte = 0; byte < table->struct_size; byte++) {
        gap = covered[byte] ? 0 : gap + 1;
        assert_true(gap < 8); /* no more than alignment needs */
    }
    free(covered);
}

static void every_field_has_its_row(void **state)
{
    (void)state;
    check_coverage(training_option_table());
    check_coverage(data_option_table());
}

static void every_default_reads_back_from_its_text(void **state)
{
    (void)state;
    const OptionTable *table = training_option_table();
    TrainingOptions options = training_defaults(), again;
    memset(&again, 0, sizeof again);
    for (size_t i = 0; i < table->count; i++) {
        char *text = option_text(&table->descriptors[i], &options);
        assert_int_equal(option_set(&table->descriptors[i], &again, text, NULL), STATUS_OK);
        char *same = option_text(&table->descriptors[i], &again);
        assert_string_equal(text, same);
        assert_string_equal(text, table->descriptors[i].default_text);
        free(text);
        free(same);
    }
}

static void values_of_every_type_are_set(void **state)
{
    (void)state;
    TrainingOptions options = training_defaults();
    assert_int_equal(set_training(&options, "learning_rate", "3e-4", NULL), STATUS_OK);
    assert_true(options.learning_rate == 3e-4);
    assert_int_equal(set_training(&options, "max-steps", "20", NULL), STATUS_OK);
    assert_int_equal(options.max_steps, 20);
    assert_int_equal(set_training(&options, "seed", "9007199254740991", NULL), STATUS_OK);
    assert_true(options.seed == 9007199254740991u);
    assert_int_equal(set_training(&options, "frozen_dropout", "No", NULL), STATUS_OK);
    assert_false(options.frozen_dropout);
    assert_int_equal(set_training(&options, "lr_scheduler_type", "constant_with_warmup", NULL), STATUS_OK);
    assert_int_equal(options.lr_scheduler_type, SCHEDULE_CONSTANT_WITH_WARMUP);
    assert_int_equal(set_training(&options, "freeze_schedule", "embeddings+2@1", NULL), STATUS_OK);
    assert_int_equal(options.freeze_schedule.phases[0].layers, 2);
    DataOptions data;
    options_set_defaults(data_option_table(), &data);
    assert_int_equal(option_set(option_find(data_option_table(), "scheme"), &data, "iob2", NULL), STATUS_OK);
    assert_string_equal(data.scheme, "IOB2");
}

static void wrong_values_are_refused_with_name_value_and_range(void **state)
{
    (void)state;
    const struct {
        const char *name, *text, *message;
    } cases[] = {
        {"learning_rate", "abc", "learning_rate: must be a number above 0 and at most 1, not \"abc\""},
        {"learning_rate", "0", "above 0 and at most 1, not \"0\""},
        {"learning_rate", "1.5", "not \"1.5\""},
        {"learning_rate", "nan", "not \"nan\""},
        {"learning_rate", "", "not \"\""},
        {"warmup_ratio", "-0.1", "must be a number from 0 to 1, not \"-0.1\""},
        {"oversample_factor", "0.5", "from 1 to 1000"},
        {"eval_every_epochs", "0", "above 0"},
        {"per_device_train_batch_size", "0", "must be an integer from 1 to 65536, not \"0\""},
        {"per_device_train_batch_size", "1.5", "not \"1.5\""},
        {"per_device_train_batch_size", "8.0", "not \"8.0\"; write 8"},
        {"max_steps", "1e3", "not \"1e3\"; write 1000"},
        {"max_steps", "99999999999999999999", "not \"99999999999999999999\""},
        {"seed", "-1", "must be an integer from 0"},
        {"seed", "9007199254740992", "must be an integer from 0 to"},
        {"seed", "18446744073709551616", "must be an integer"},
        {"frozen_dropout", "maybe", "frozen_dropout: must be true or false, not \"maybe\""},
        {"lr_scheduler_type", "Linear", "must be one of linear, cosine, constant_with_warmup, not \"Linear\""},
        {"freeze_schedule", "embeddings@", "freeze_schedule: \"embeddings@\": at character 12"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TrainingOptions options = training_defaults(), before = options;
        Diagnostic diagnostic = {0};
        Status status = set_training(&options, cases[i].name, cases[i].text, &diagnostic);
        if (status != STATUS_INVALID_INPUT || !strstr(diagnostic.message, cases[i].message))
            fail_msg("%s = %s: %s", cases[i].name, cases[i].text, diagnostic.message);
        assert_memory_equal(&options, &before, sizeof options);
    }
}

static void a_text_too_long_for_its_field_is_refused(void **state)
{
    (void)state;
    DataOptions data;
    options_set_defaults(data_option_table(), &data);
    const OptionDescriptor *column = option_find(data_option_table(), "token_column");
    Diagnostic diagnostic = {0};
    assert_int_equal(option_set(column, &data, "0123456789012345678901234567890", NULL), STATUS_OK);
    assert_int_equal(option_set(column, &data, "01234567890123456789012345678901", &diagnostic), STATUS_INVALID_INPUT);
    assert_non_null(strstr(diagnostic.message, "1 to 31 bytes, not of 32"));
    assert_int_equal(option_set(column, &data, "", NULL), STATUS_INVALID_INPUT);
    assert_int_equal(option_set(option_find(data_option_table(), "scheme"), &data, "IOB3", NULL), STATUS_INVALID_INPUT);
}

static void a_value_of_any_length_fits_into_a_message(void **state)
{
    (void)state;
    char *text = calloc(1, 100001);
    memset(text, '9', 100000);
    TrainingOptions options = training_defaults();
    Diagnostic diagnostic = {0};
    assert_int_equal(set_training(&options, "learning_rate", text, &diagnostic), STATUS_INVALID_INPUT);
    assert_non_null(strstr(diagnostic.message, "999...\""));
    assert_int_equal(set_training(&options, "freeze_schedule", text, &diagnostic), STATUS_INVALID_INPUT);
    free(text);
}

static void options_that_exclude_each_other_are_found(void **state)
{
    (void)state;
    static const char *const cases[][5] = {
        {"virtual_ranks", "6", "deterministic", "world", "virtual_ranks must be a power of two, not 6"},
        {"warmup_steps", "10", "warmup_ratio", "0.1", "warmup_steps (10) and warmup_ratio"},
        {"max_steps", "0", "seed", "1", "max_steps"},
        {"eval_steps", "5", "eval_every_epochs", "0.5", "eval_steps and eval_every_epochs"},
        {"per_device_train_batch_size", "65536", "gradient_accumulation_steps", "65536", "4294967296 sentences"},
        {"oversample", "repeat_factor", "oversample_factor", "2", "oversample: repeat_factor goes without"},
        {"oversample", "repeat_factor", "oversample_types", "PER", "oversample: repeat_factor goes without"},
        {"hidden_dropout", "-0.5", "seed", "1", "hidden_dropout"},
        {"classifier_dropout", "-0.5", "seed", "1", "classifier_dropout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TrainingOptions options = training_defaults();
        Diagnostic diagnostic = {0};
        assert_int_equal(set_training(&options, cases[i][0], cases[i][1], NULL), STATUS_OK);
        assert_int_equal(set_training(&options, cases[i][2], cases[i][3], NULL), STATUS_OK);
        assert_int_equal(training_options_validate(&options, &diagnostic), STATUS_INVALID_INPUT);
        assert_non_null(strstr(diagnostic.message, cases[i][4]));
    }
    DataOptions data;
    options_set_defaults(data_option_table(), &data);
    data.max_seq_length = 52;
    assert_int_equal(data_options_validate(&data, NULL), STATUS_INVALID_INPUT);
    data.max_seq_length = 53;
    assert_int_equal(data_options_validate(&data, NULL), STATUS_OK);
}

static void the_nearest_name_is_found_over_all_tables(void **state)
{
    (void)state;
    const OptionTable *tables[] = {training_option_table(), data_option_table()};
    assert_string_equal(option_nearest(tables, 2, "learning_rat"), "learning_rate");
    assert_string_equal(option_nearest(tables, 2, "learningrate"), "learning_rate");
    assert_string_equal(option_nearest(tables, 2, "max-seq-lenght"), "max_seq_length");
    assert_string_equal(option_nearest(tables, 2, "sead"), "seed");
    assert_null(option_nearest(tables, 1, "max-seq-lenght"));
    assert_null(option_nearest(tables, 2, "x"));
    assert_null(option_nearest(tables, 2, ""));
    assert_null(option_nearest(tables, 2, "something_else_entirely"));
    assert_null(option_nearest(tables, 2, "a_name_that_is_very_much_longer_than_any_name_of_an_option_could_ever_be"));
}

static void names_are_found_exactly_with_dashes_or_underscores(void **state)
{
    (void)state;
    const OptionTable *table = training_option_table();
    assert_ptr_equal(option_find(table, "learning-rate"), option_find(table, "learning_rate"));
    assert_non_null(option_find(table, "learning-rate"));
    assert_null(option_find(table, "learning"));
    assert_null(option_find(table, "learning_rates"));
    assert_null(option_find(table, "Learning_rate"));
    assert_null(option_find(table, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_documents),
        cmocka_unit_test(every_field_has_its_row),
        cmocka_unit_test(every_default_reads_back_from_its_text),
        cmocka_unit_test(values_of_every_type_are_set),
        cmocka_unit_test(wrong_values_are_refused_with_name_value_and_range),
        cmocka_unit_test(a_text_too_long_for_its_field_is_refused),
        cmocka_unit_test(a_value_of_any_length_fits_into_a_message),
        cmocka_unit_test(options_that_exclude_each_other_are_found),
        cmocka_unit_test(the_nearest_name_is_found_over_all_tables),
        cmocka_unit_test(names_are_found_exactly_with_dashes_or_underscores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
