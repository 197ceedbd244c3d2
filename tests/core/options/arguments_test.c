#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/options/options.h"

enum { ARGUMENT_LIMIT = 16 };

typedef struct Command {
    char *out;
    StringArray dev;
    bool eval, json;
} Command;
static const OptionDescriptor command_options[] = {
    {.name = "out",
     .type = OPTION_STRING,
     .offset = offsetof(Command, out),
     .size = sizeof(char *),
     .default_text = "",
     .help = "folder"},
    {.name = "dev",
     .type = OPTION_LIST,
     .offset = offsetof(Command, dev),
     .size = sizeof(StringArray),
     .default_text = "",
     .help = "files"},
    {.name = "eval",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(Command, eval),
     .size = sizeof(bool),
     .default_text = "true",
     .help = "evaluate"},
    {.name = "json",
     .type = OPTION_BOOLEAN,
     .offset = offsetof(Command, json),
     .size = sizeof(bool),
     .default_text = "false",
     .help = "as JSON"},
};
static const OptionTable command_table = {"command", command_options, 4, sizeof(Command)};

typedef struct Parsed {
    Command command;
    TrainingOptions training;
    PositionalArray positional;
    Diagnostic diagnostic;
    char text[256];
    char *argv[ARGUMENT_LIMIT];
} Parsed;

/* line: arguments parted by spaces. */
static Status parse(Parsed *parsed, const char *line)
{
    *parsed = (Parsed){0};
    int argc = 0;
    assert_true(strlen(line) < sizeof parsed->text);
    strcpy(parsed->text, line);
    for (char *rest = parsed->text, *word; (word = strtok_r(rest, " ", &rest)) && argc < ARGUMENT_LIMIT;)
        parsed->argv[argc++] = word;
    options_set_defaults(&command_table, &parsed->command);
    options_set_defaults(training_option_table(), &parsed->training);
    OptionBinding bindings[] = {{&command_table, &parsed->command}, {training_option_table(), &parsed->training}};
    return options_parse_arguments(bindings, 2, argc, parsed->argv, &parsed->positional, &parsed->diagnostic);
}

static void parsed_free(Parsed *parsed)
{
    options_free(&command_table, &parsed->command);
    array_free(&parsed->positional);
}

static void flags_take_their_value_after_a_space_or_an_equals_sign(void **state)
{
    (void)state;
    Parsed parsed;
    assert_int_equal(parse(&parsed, "--learning-rate 1e-4 --out=a=b --max_steps=-1 --warmup-steps 3"), STATUS_OK);
    assert_true(parsed.training.learning_rate == 1e-4);
    assert_string_equal(parsed.command.out, "a=b");
    assert_int_equal(parsed.training.max_steps, -1);
    assert_int_equal(parsed.training.warmup_steps, 3);
    assert_int_equal(parsed.positional.count, 0);
    parsed_free(&parsed);
    assert_int_equal(parse(&parsed, "--max-steps -1"), STATUS_OK);
    assert_int_equal(parsed.training.max_steps, -1);
    parsed_free(&parsed);
}

static void booleans_are_switched_on_and_off(void **state)
{
    (void)state;
    Parsed parsed;
    assert_int_equal(parse(&parsed, "--json --no-eval --no-frozen-dropout"), STATUS_OK);
    assert_true(parsed.command.json);
    assert_false(parsed.command.eval);
    assert_false(parsed.training.frozen_dropout);
    parsed_free(&parsed);
    assert_int_equal(parse(&parsed, "--json=yes --eval=off --frozen-dropout False"), STATUS_OK);
    assert_true(parsed.command.json);
    assert_false(parsed.command.eval);
    assert_false(parsed.training.frozen_dropout);
    assert_int_equal(parsed.positional.count, 0);
    parsed_free(&parsed);
}

static void what_is_no_flag_stays_positional(void **state)
{
    (void)state;
    Parsed parsed;
    assert_int_equal(parse(&parsed, "a.conll --json b.conll - -- --out c"), STATUS_OK);
    static const char *const expected[] = {"a.conll", "b.conll", "-", "--out", "c"};
    assert_int_equal(parsed.positional.count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(parsed.positional.items[i], expected[i]);
    assert_ptr_equal(parsed.positional.items[0], parsed.argv[0]);
    assert_null(parsed.command.out);
    parsed_free(&parsed);
}

static void repeated_lists_append(void **state)
{
    (void)state;
    Parsed parsed;
    assert_int_equal(parse(&parsed, "--dev main=a --dev b"), STATUS_OK);
    assert_int_equal(parsed.command.dev.count, 2);
    assert_string_equal(parsed.command.dev.items[0], "main=a");
    assert_string_equal(parsed.command.dev.items[1], "b");
    parsed_free(&parsed);
}

static void wrong_usage_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"--learnin-rate 1e-4", "unknown flag --learnin-rate, did you mean --learning-rate?"},
        {"--learnin-rate=1e-4", "unknown flag --learnin-rate, did you mean --learning-rate?"},
        {"--whatever", "unknown flag --whatever"},
        {"--no-whatever", "unknown flag --no-whatever"},
        {"-x", "unknown flag -x"},
        {"-json", "unknown flag -json"},
        {"--no-out", "unknown flag --no-out"},
        {"--a-flag-whose-name-is-far-too-long-to-be-the-name-of-any-flag-of-any-command", "unknown flag --a-flag"},
        {"--out", "--out needs a value"},
        {"--learning-rate --json", "--learning-rate needs a value: a number above 0 and at most 1"},
        {"--learning-rate 1e-4 --learning_rate 1e-4", "--learning_rate is given twice"},
        {"--json --no-json", "--json is given twice"},
        {"--no-json=true", "--no-json takes no value"},
        {"--json=perhaps", "--json: must be true or false, not \"perhaps\""},
        {"--learning-rate x", "--learning-rate: must be a number above 0 and at most 1, not \"x\""},
        {"--freeze-schedule 2@", "--freeze-schedule: \"2@\": at character 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Parsed parsed;
        assert_int_equal(parse(&parsed, cases[i][0]), STATUS_USAGE);
        assert_int_equal(parsed.diagnostic.code, STATUS_USAGE);
        if (!strstr(parsed.diagnostic.message, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], parsed.diagnostic.message);
        parsed_free(&parsed);
    }
    Parsed parsed;
    assert_int_equal(parse(&parsed, "--xyz"), STATUS_USAGE); /* three letters away from --out and --dev, and nothing in common */
    assert_string_equal(parsed.diagnostic.message, "unknown flag --xyz");
    parsed_free(&parsed);
    OptionBinding binding = {&command_table, &(Command){0}};
    PositionalArray positional = {0};
    assert_int_equal(options_parse_arguments(&binding, 1, 1, (char *[]){(char[]){"--x"}}, &positional, NULL), STATUS_USAGE);
    array_free(&positional);
}

static void help_shows_one_line_for_each_option(void **state)
{
    (void)state;
    Text help = {0};
    options_help(training_option_table(), &help);
    size_t lines = 0;
    for (size_t i = 0; i < help.size; i++)
        lines += help.bytes[i] == '\n';
    assert_int_equal(lines, training_option_table()->count);
    assert_non_null(strstr(help.bytes, "  --learning-rate X  "));
    assert_non_null(strstr(help.bytes, "(a number above 0 and at most 1; default 5e-5)\n"));
    assert_non_null(strstr(help.bytes, "(one of linear, cosine, constant_with_warmup; default linear)\n"));
    assert_non_null(strstr(help.bytes, "  --[no-]frozen-dropout  "));
    text_clear(&help);
    options_help(&command_table, &help);
    assert_non_null(strstr(help.bytes, "  --dev TEXT (repeatable)"));
    assert_non_null(strstr(help.bytes, "  --[no-]eval"));
    assert_non_null(strstr(help.bytes, "evaluate (default true)\n"));
    assert_non_null(strstr(help.bytes, "  --json"));
    assert_non_null(strstr(help.bytes, "as JSON\n"));
    assert_null(strstr(help.bytes, "()"));
    text_free(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_take_their_value_after_a_space_or_an_equals_sign),
        cmocka_unit_test(booleans_are_switched_on_and_off),
        cmocka_unit_test(what_is_no_flag_stays_positional),
        cmocka_unit_test(repeated_lists_append),
        cmocka_unit_test(wrong_usage_is_named),
        cmocka_unit_test(help_shows_one_line_for_each_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
