#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/lint.h"

static void problem_write(void *context, const LintProblem *problem)
{
    text_format(context, "%ld:%ld %s %s; ", problem->line, problem->column,
                problem->severity == PROBLEM_ERROR ? "error" : "warning", problem->rule);
    assert_true(strlen(problem->message) > 10);
    assert_non_null(strstr(problem->file, "lint.conll"));
}

static void lints_as(void **state, const char *text, const LintOptions *options, const char *expected, int64_t errors,
                     int64_t warnings)
{
    static const LintOptions usual = {0};
    Diagnostic diagnostic = {0};
    Text result = {0};
    int64_t error_count, warning_count;
    char *path = scratch_write(*state, "lint.conll", text);
    text_append(&result, "", 0);
    must(lint_file(path, options ? options : &usual, problem_write, &result, &error_count, &warning_count, &diagnostic),
         &diagnostic);
    assert_string_equal(result.bytes, expected);
    assert_int_equal(error_count, errors);
    assert_int_equal(warning_count, warnings);
    text_free(&result);
    free(path);
}

static void a_clean_file_has_no_problems(void **state)
{
    lints_as(state, "Ann\tB-PER\nLee\tI-PER\nran\tO\n\nOslo\tB-LOC\n", NULL, "", 0, 0);
    lints_as(state, "Ann\tI-PER\nLee\tI-PER\nran\tO\n\nOslo\tI-LOC\nAnn\tI-PER\nBob\tB-PER\n", NULL, "", 0, 0); /* IOB1 */
    lints_as(state, "Ann\tB-PER\nLee\tL-PER\nran\tO\n\nOslo\tU-LOC\n", NULL, "", 0, 0);
}

static void every_inside_without_begin_is_found(void **state)
{
    lints_as(state, "Ann\tB-PER\nLee\tI-LOC\nran\tI-LOC\nin\tO\nOslo\tI-LOC\n", NULL,
             "2:5 warning inside-without-begin; 5:6 warning inside-without-begin; ", 0, 2);
    lints_as(state, "a\tI-X\nb\tO\n", &(LintOptions){.scheme_given = true, .scheme = SCHEME_IOB2},
             "1:3 warning inside-without-begin; ", 0, 1);
    lints_as(state, "a\tB-X\nb\tE-X\nc\tE-X\nd\tS-X\n", NULL, "3:3 warning inside-without-begin; ", 0, 1);
}

static void unknown_prefixes_are_errors(void **state)
{
    lints_as(state, "a\tB-X\nb\tZ-X\nc\tPER\nd\tB-\ne\tO\n", NULL,
             "2:3 error unknown-prefix; 3:3 error unknown-prefix; 4:3 error unknown-prefix; ", 3, 0);
    lints_as(state, "a\tB-X\nb\tE-X\n", &(LintOptions){.scheme_given = true, .scheme = SCHEME_IOB2}, "2:3 error unknown-prefix; ",
             1, 0);
}

static void transitions_that_a_scheme_forbids_are_warnings(void **state)
{
    lints_as(state, "a\tB-X\nb\tE-X\nc\tB-X\nd\tO\ne\tS-X\n", NULL, "3:3 warning scheme-transition; ", 0, 1);
    lints_as(state, "a\tB-X\nb\tO\n", &(LintOptions){.scheme_given = true, .scheme = SCHEME_IOB1},
             "1:3 warning scheme-transition; ", 0, 1);
    lints_as(state, "a\tB-X\n", &(LintOptions){.scheme_given = true, .scheme = SCHEME_IOBES}, "1:3 warning scheme-transition; ", 0,
             1);
}

static void strict_makes_errors_of_warnings(void **state)
{
    lints_as(state, "a\tB-Y\nb\tI-X\n", &(LintOptions){.strict = true}, "2:3 error inside-without-begin; ", 1, 0);
}

static void problems_of_lines_are_all_reported_and_the_rest_is_read(void **state)
{
    lints_as(
        state, "a\tO\nb\nc\tx\tO\nd\t\n\xFF\tO\n\tO\nNew York\tO\ne\tI-X\nf\tO\ng\tB-X\n", NULL,
        "4:1 warning trailing-space; 2:1 error column-count; 3:1 error column-count; 4:3 error empty-label; 5:1 error encoding; "
        "6:1 warning empty-token; 7:4 warning inner-space; 8:3 warning inside-without-begin; ",
        4, 4);
    lints_as(state, "a\xC2\xA0z\tO\nb\xE3\x80\x80z\tO\nb\xE2\x80\x8Bz\tO\n", NULL,
             "1:2 warning inner-space; 2:2 warning inner-space; 1:1 warning mostly-outside; ", 0, 3);
}

static void a_long_line_is_reported_and_the_next_one_read(void **state)
{
    size_t size = 3 << 20;
    char *text = memory_allocate(size + 32, 1);
    memset(text, 'x', size);
    memcpy(text, "a\tB-X\n", 6);
    memcpy(text + size, "\nb\tO\nc\tI-X\n", 12);
    lints_as(state, text, NULL, "2:1 error long-line; 4:3 warning inside-without-begin; ", 1, 1);
    free(text);
}

static void a_file_without_tokens_is_an_error(void **state)
{
    lints_as(state, "", NULL, "1:1 error no-tokens; ", 1, 0);
    lints_as(state, "\n\n-DOCSTART-\tO\n", NULL, "1:1 error no-tokens; ", 1, 0);
}

static void only_what_cannot_be_read_at_all_fails(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    LintOptions options = {0};
    int64_t errors, warnings;
    assert_int_equal(lint_file("nowhere.conll", &options, NULL, NULL, &errors, &warnings, &diagnostic), STATUS_NOT_FOUND);
    must_contain(diagnostic.message, "nowhere.conll");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_file_has_no_problems),
        cmocka_unit_test(every_inside_without_begin_is_found),
        cmocka_unit_test(unknown_prefixes_are_errors),
        cmocka_unit_test(transitions_that_a_scheme_forbids_are_warnings),
        cmocka_unit_test(strict_makes_errors_of_warnings),
        cmocka_unit_test(problems_of_lines_are_all_reported_and_the_rest_is_read),
        cmocka_unit_test(a_long_line_is_reported_and_the_next_one_read),
        cmocka_unit_test(a_file_without_tokens_is_an_error),
        cmocka_unit_test(only_what_cannot_be_read_at_all_fails),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
