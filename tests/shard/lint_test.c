#include "support.h"

#include <math.h>
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
    lints_as(state, "a\tO\nb\nc\tx\tO\nd\t\n\xFF\tO\n\tO\nNew York\tO\ne\tI-X\nf\tO\ng\tB-X\n", NULL,
             "2:1 error column-count; 3:1 error column-count; 4:3 error empty-label; 5:1 error encoding; 6:1 warning empty-token; "
             "7:4 warning inner-space; 8:3 warning inside-without-begin; ",
             4, 3);
    lints_as(state, "a\xC2\xA0z\tO\nb\xE3\x80\x80z\tO\nb\xE2\x80\x8Bz\tO\n", NULL,
             "1:2 warning inner-space; 2:2 warning inner-space; ", 0, 2);
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

static int64_t integer_at(const Json *json, const char *key, const char *inner)
{
    return json_integer_value(inner ? json_get(json_get(json, key), inner) : json_get(json, key), -1);
}

static void near(double value, double expected)
{
    assert_true(fabs(value - expected) < 1e-12);
}

static CorpusStats *stats_of(const char *path, const Wordpiece *wordpiece)
{
    Diagnostic diagnostic = {0};
    CorpusStats *stats = NULL;
    must(corpus_stats_create(&stats, path, (CorpusOptions){0}, wordpiece, &diagnostic), &diagnostic);
    return stats;
}

static void statistics_count_what_is_there(void **state)
{
    Diagnostic diagnostic = {0};
    Wordpiece *wordpiece = NULL;
    char *vocabulary = vocabulary_write(*state, NULL);
    must(wordpiece_open(&wordpiece, vocabulary, (WordpieceOptions){0}, &diagnostic), &diagnostic);
    char *train = scratch_write(*state, "train.conll",
                                "Ann\tB-PER\nran\tO\n\nAnn\tB-PER\nLee\tI-PER\nsaw\tO\nOslo\tB-LOC\n\nAnn\tB-PER\nran\tO\n");
    char *dev = scratch_write(*state, "dev.conll", "Ann\tB-PER\nran\tO\n\n\xD0\x90\tO\n");
    CorpusStats *train_stats = stats_of(train, wordpiece), *dev_stats = stats_of(dev, NULL);
    Json *json = corpus_stats_json(train_stats, NULL);
    assert_string_equal(json_string_value(json_get(json, "file")), train);
    assert_int_equal(integer_at(json, "sentences", NULL), 3);
    assert_int_equal(integer_at(json, "tokens", NULL), 8);
    assert_int_equal(integer_at(json, "spans", NULL), 4);
    assert_int_equal(integer_at(json, "spans_by_type", "PER"), 3);
    assert_int_equal(integer_at(json, "spans_by_type", "LOC"), 1);
    assert_int_equal(integer_at(json, "labels", "O"), 3);
    assert_int_equal(integer_at(json, "labels", "B-PER"), 3);
    assert_int_equal(integer_at(json, "duplicate_sentences", NULL), 1);
    assert_string_equal(json_string_value(json_get(json, "scheme")), "IOB2");
    near(json_number_value(json_get(json_get(json, "length"), "mean"), 0), 8.0 / 3);
    near(json_number_value(json_get(json_get(json, "length"), "median"), 0), 2);
    assert_int_equal(integer_at(json, "length", "max"), 4);
    assert_int_equal(integer_at(json, "length", "p95"), 4);
    assert_int_equal(integer_at(json, "pieces", "max"), 13); /* a piece a character */
    assert_int_equal(integer_at(json, "pieces", "unk"), 0);
    near(json_number_value(json_get(json_get(json, "span_diversity"), "PER"), 0), 2.0 / 3); /* Ann, Ann Lee of three */
    assert_null(json_get(json, "overlap_with_train"));
    json_destroy(&json);
    json = corpus_stats_json(dev_stats, train_stats);
    assert_int_equal(integer_at(json, "overlap_with_train", NULL), 1);
    assert_null(json_get(json, "pieces"));
    json_destroy(&json);
    corpus_stats_destroy(&train_stats);
    corpus_stats_destroy(&dev_stats);
    wordpiece_close(&wordpiece);
    free(train);
    free(dev);
    free(vocabulary);
}

static void statistics_of_the_example_corpus_are_those_of_its_readme(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int64_t sentences, tokens, per, org, loc, misc, spans;
    } rows[] = {{"train", 284, 5754, 196, 154, 178, 108, 636},
                {"dev", 73, 1383, 37, 30, 45, 27, 139},
                {"test", 77, 1409, 37, 33, 47, 23, 140}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = memory_format("%s/examples/%s.conll", NERSWEEP_SOURCE_DIR, rows[i].file);
        CorpusStats *stats = stats_of(path, NULL);
        Json *json = corpus_stats_json(stats, NULL);
        assert_int_equal(integer_at(json, "sentences", NULL), rows[i].sentences);
        assert_int_equal(integer_at(json, "tokens", NULL), rows[i].tokens);
        assert_int_equal(integer_at(json, "spans", NULL), rows[i].spans);
        assert_int_equal(integer_at(json, "spans_by_type", "PER"), rows[i].per);
        assert_int_equal(integer_at(json, "spans_by_type", "ORG"), rows[i].org);
        assert_int_equal(integer_at(json, "spans_by_type", "LOC"), rows[i].loc);
        assert_int_equal(integer_at(json, "spans_by_type", "MISC"), rows[i].misc);
        assert_int_equal(integer_at(json, "duplicate_sentences", NULL), 0);
        json_destroy(&json);
        corpus_stats_destroy(&stats);
        free(path);
    }
}

static void statistics_of_a_broken_file_fail_with_the_place(void **state)
{
    Diagnostic diagnostic = {0};
    CorpusStats *stats = NULL;
    char *path = scratch_write(*state, "broken.conll", "a\tO\nb\tQ-X\n");
    assert_int_equal(corpus_stats_create(&stats, path, (CorpusOptions){0}, NULL, &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(diagnostic.input_line, 2);
    assert_int_equal(diagnostic.input_column, 3);
    assert_null(stats);
    free(path);
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
        cmocka_unit_test(statistics_count_what_is_there),
        cmocka_unit_test(statistics_of_the_example_corpus_are_those_of_its_readme),
        cmocka_unit_test(statistics_of_a_broken_file_fail_with_the_place),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
