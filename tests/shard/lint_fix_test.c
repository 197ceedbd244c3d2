/* lint --fix: what is mended, that all else stays, and that a second run finds nothing to do. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file.h"
#include "shard/lint_fix.h"

enum { FILE_LIMIT = 1 << 22 };

static char *contents(const char *path)
{
    Diagnostic diagnostic = {0};
    char *text;
    size_t size;
    must(file_read(path, FILE_LIMIT, &text, &size, &diagnostic), &diagnostic);
    return text;
}

static void change_write(void *context, const LintChange *change)
{
    text_format(context, "%ld %s; ", change->line, lint_rules[change->rule].id);
}

static void problem_count(void *context, const LintProblem *problem)
{
    LintRule rule;
    assert_true(lint_rule_find(problem->rule, &rule));
    if (lint_rules[rule].fixable)
        text_format(context, "%ld %s; ", problem->line, problem->rule);
}

static const LintOptions usual = {0};
static const LintFixOptions everything = {.lint = &usual, .types = true, .duplicates = true};

static char *fixed_as(const char *folder, const char *name, const char *text, const LintFixOptions *options, const char *changes)
{
    Diagnostic diagnostic = {0};
    LintFixSummary summary;
    Text list = {0};
    char *input = scratch_write(folder, name, text), *output = memory_format("%s/fixed-%s", folder, name);
    LintFixOptions asked = *options;
    text_append(&list, "", 0);
    asked.on_change = change_write;
    asked.context = &list;
    must(lint_fix(input, output, &asked, &summary, &diagnostic), &diagnostic);
    if (changes)
        assert_string_equal(list.bytes, changes);
    char *kept = contents(input), *fixed = contents(output);
    assert_string_equal(kept, text); /* the input is as it was */
    free(kept);
    text_free(&list);
    free(input);
    free(output);
    return fixed;
}

/* The text becomes `expected` by `changes`; lint then finds nothing that can be mended, and another run changes nothing. */
static void fixes(void **state, const char *name, const char *text, const LintFixOptions *options, const char *expected,
                  const char *changes)
{
    Diagnostic diagnostic = {0};
    Text left = {0};
    text_append(&left, "", 0);
    char *fixed = fixed_as(*state, name, text, options, changes), *path = scratch_write(*state, name, fixed);
    assert_string_equal(fixed, expected);
    must(lint_file(path, options->lint, problem_count, &left, NULL, NULL, &diagnostic), &diagnostic);
    assert_string_equal(left.bytes, "");
    char *again = fixed_as(*state, name, fixed, options, "");
    assert_string_equal(again, fixed);
    text_free(&left);
    free(again);
    free(fixed);
    free(path);
}

static void labels_that_the_scheme_does_not_allow_are_mended(void **state)
{
    fixes(state, "a.conll", "Ann B-PER\nLee I-LOC\nran I-LOC\nin O\nOslo I-LOC\n", &everything,
          "Ann B-PER\nLee B-LOC\nran I-LOC\nin O\nOslo B-LOC\n", "2 inside-without-begin; 5 inside-without-begin; ");
    fixes(state, "a.conll", "a B-X\nb E-X\n\nc B-X\nd O\n\ne S-X\nf I-Y\n", &everything,
          "a B-X\nb E-X\n\nc S-X\nd O\n\ne S-X\nf S-Y\n", "4 scheme-transition; 8 inside-without-begin; ");
    fixes(state, "a.conll", "a B-X\nb L-X\n\nc B-X\nd O\n\ne U-X\n", &everything, "a B-X\nb L-X\n\nc U-X\nd O\n\ne U-X\n",
          "4 scheme-transition; ");
    static const LintOptions given = {.scheme_given = true, .scheme = SCHEME_IOB1};
    fixes(state, "a.conll", "a B-X\nb I-X\nc B-X\n", &(LintFixOptions){.lint = &given}, "a I-X\nb I-X\nc B-X\n",
          "1 scheme-transition; ");
}

static void columns_comments_and_document_marks_stay_where_they_are(void **state)
{
    fixes(state, "a.conll",
          "# id 1\n-DOCSTART- -X- O O\n\nAnn NNP B-NP   I-PER\nran  VBD B-VP O\n\n# id 2\nOslo NNP B-NP B-LOC\n\n\nBo NNP B-NP "
          "I-PER\n",
          &everything,
          "# id 1\n-DOCSTART- -X- O O\n\nAnn NNP B-NP   B-PER\nran  VBD B-VP O\n\n# id 2\nOslo NNP B-NP B-LOC\n\n\nBo NNP B-NP "
          "B-PER\n",
          "4 inside-without-begin; 11 inside-without-begin; ");
    static const LintOptions reversed = {.corpus = {.token_column = -1, .label_column = 1}};
    fixes(state, "a.conll", "B-PER x Ann\nI-LOC y Oslo\n", &(LintFixOptions){.lint = &reversed}, "B-PER x Ann\nB-LOC y Oslo\n",
          NULL);
}

static void byte_order_mark_line_ends_and_white_space_behind_them_go(void **state)
{
    fixes(state, "a.conll",
          "\xEF\xBB\xBF"
          "Ann\tB-PER\r\nran\tO \t\r\n\t\r\nOslo\tB-LOC",
          &everything, "Ann\tB-PER\nran\tO\n\nOslo\tB-LOC\n", "1 byte-order-mark; 1 crlf; 2 trailing-space; ");
    fixes(state, "a.conll", "Ann\tB-PER\r\r\nran\tO\n", &everything, "Ann\tB-PER\nran\tO\n", NULL);
}

static void tokens_with_white_space_become_several(void **state)
{
    fixes(state, "a.conll", "New York\tNNP\tB-LOC\n\xC2\xA0is\tV\tO\n", &everything,
          "New\tNNP\tB-LOC\nYork\tNNP\tI-LOC\nis\tV\tO\n", "1 inner-space; 2 inner-space; ");
    fixes(state, "a.conll", "to\tO\nNew\xC2\xA0York\tS-LOC\nthe\tB-ORG\nUnited  Nations\tE-ORG\n", &everything,
          "to\tO\nNew\tB-LOC\nYork\tE-LOC\nthe\tB-ORG\nUnited\tI-ORG\nNations\tE-ORG\n", "2 inner-space; 4 inner-space; ");
    fixes(state, "a.conll", "a b\tI-X\nc\tB-X\nd e\tI-X\n", &everything, "a\tI-X\nb\tI-X\nc\tB-X\nd\tI-X\ne\tI-X\n",
          "1 inner-space; 3 inner-space; ");                                               /* IOB1 */
    char *fixed = fixed_as(*state, "a.conll", "a\tB-X\n\xC2\xA0\tI-X\n", &everything, ""); /* nothing else in it */
    assert_string_equal(fixed, "a\tB-X\n\xC2\xA0\tI-X\n");
    free(fixed);
}

static void misspelt_types_are_renamed_when_asked(void **state)
{
    Text text = {0}, expected = {0};
    for (int i = 0; i < 50; i++) {
        text_format(&text, "w%d B-PER\n\nw%d B-location\n\n", i, i);
        text_format(&expected, "w%d B-PER\n\nw%d B-location\n\n", i, i);
    }
    text_append_string(&text, "x B-PRE\ny I-PER\n\nz B-per\n\nq B-lcatoin\n\nr B-ORG\n");
    text_append_string(&expected, "x B-PER\ny I-PER\n\nz B-PER\n\nq B-lcatoin\n\nr B-ORG\n");
    char *fixed = fixed_as(*state, "a.conll", text.bytes, &(LintFixOptions){.lint = &usual, .types = true},
                           "201 misspelt-type; 204 misspelt-type; "); /* two mistakes in a name are left to people */
    assert_string_equal(fixed, expected.bytes);
    char *again = fixed_as(*state, "a.conll", fixed, &(LintFixOptions){.lint = &usual, .types = true}, "");
    assert_string_equal(again, fixed);
    free(again);
    free(fixed);
    fixed = fixed_as(*state, "a.conll", text.bytes, &(LintFixOptions){.lint = &usual}, "202 inside-without-begin; ");
    free(fixed);
    text_free(&text);
    text_free(&expected);
}

#define SENTENCE "Ann B-PER\nran O\nto O\nOslo B-LOC\n. O\n"
#define SENTENCE_TO_MEND "Ann I-PER\nran O\nto O\nOslo B-LOC\n. O\n"

static void repeated_sentences_go_when_asked(void **state)
{
    fixes(state, "a.conll", SENTENCE "\n\n" SENTENCE "\nBo B-PER\n\n" SENTENCE, &everything, SENTENCE "\n\nBo B-PER\n\n",
          "8 duplicate-sentence; 16 duplicate-sentence; ");
    fixes(state, "a.conll", SENTENCE "\n" SENTENCE_TO_MEND "\nBo B-PER\n", &everything, SENTENCE "\nBo B-PER\n",
          "7 inside-without-begin; 7 duplicate-sentence; "); /* alike once it is mended */
    fixes(state, "a.conll", SENTENCE "-DOCSTART- O\n" SENTENCE "-DOCSTART- O\nBo B-PER\n", &everything,
          SENTENCE "-DOCSTART- O\n-DOCSTART- O\nBo B-PER\n", "7 duplicate-sentence; ");
    char *fixed = fixed_as(*state, "a.conll", SENTENCE "\n" SENTENCE, &(LintFixOptions){.lint = &usual}, "");
    assert_string_equal(fixed, SENTENCE "\n" SENTENCE);
    free(fixed);
}

static void lines_that_cannot_be_read_stay_and_their_sentence_too(void **state)
{
    static const char text[] = SENTENCE "\nAnn B-PER\nran O\nbroken\nto O\nOslo B-LOC\n. O\n\nbad\xFF O\na Q-X\nb I-X\n\nc I-X\n";
    char *fixed = fixed_as(*state, "a.conll", text, &everything, "18 inside-without-begin; ");
    assert_string_equal(fixed, SENTENCE "\nAnn B-PER\nran O\nbroken\nto O\nOslo B-LOC\n. O\n\nbad\xFF O\na Q-X\nb I-X\n\nc B-X\n");
    free(fixed);
}

static void records_are_written_anew(void **state)
{
    fixes(state, "a.jsonl", "{\"id\": 1, \"tokens\": [\"Ann\", \"New York\"], \"ner_tags\": [\"B-PER\", \"I-LOC\"]}\n", &everything,
          "{\"tokens\":[\"Ann\",\"New\",\"York\"],\"ner_tags\":[\"B-PER\",\"B-LOC\",\"I-LOC\"]}\n",
          "1 inside-without-begin; 1 inner-space; ");
    fixes(state, "a.csv", "sentence_id,token,label\n1,Ann,B-PER\n1,Lee,I-LOC\n", &everything,
          "sentence_id,token,label\r\n1,Ann,B-PER\r\n1,Lee,B-LOC\r\n", "3 inside-without-begin; ");
}

static Status refused(const char *folder, const char *name, const char *text, const char *output, Diagnostic *diagnostic)
{
    LintFixSummary summary;
    char *input = scratch_write(folder, name, text), *path = path_join(folder, output),
         *list = memory_format("%s.changes.jsonl", path);
    LintFixOptions options = {.lint = &usual, .write_changes = true};
    *diagnostic = (Diagnostic){0};
    Status status = lint_fix(input, path, &options, &summary, diagnostic);
    assert_true(strcmp(input, path) == 0 || !path_exists(path));
    assert_false(path_exists(list));
    char *kept = contents(input);
    assert_string_equal(kept, text);
    free(kept);
    free(input);
    free(path);
    free(list);
    return status;
}

static void what_cannot_be_mended_is_refused_and_nothing_is_left_behind(void **state)
{
    Diagnostic diagnostic;
    assert_int_equal(refused(*state, "same.conll", "a B-X\n", "same.conll", &diagnostic), STATUS_USAGE);
    must_contain(diagnostic.message, "over the input");
    assert_int_equal(refused(*state, "a.jsonl", "{\"text\": \"Ann\", \"entities\": []}\n", "out", &diagnostic), STATUS_UNSUPPORTED);
    must_contain(diagnostic.message, "spacy format");
    assert_int_equal(
        refused(*state, "a.jsonl", "{\"tokens\": [\"a\"], \"ner_tags\": [\"B-X\"]}\n{\"tokens\": [\"a\"]}\n", "out", &diagnostic),
        STATUS_INVALID_INPUT);
    assert_int_equal(diagnostic.input_line, 2);
    assert_int_equal(refused(*state, "a.conll", "\n\n", "out", &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "nothing to mend");
    char *longer = memory_allocate((2 << 20) + 1, 1);
    memset(longer, 'x', 2 << 20);
    memcpy(longer, "a B-X\n", 6);
    assert_int_equal(refused(*state, "a.conll", longer, "out", &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(diagnostic.input_line, 2);
    assert_int_equal(refused(*state, "a.conll", "a I-X\n", "no-such-folder/out", &diagnostic), STATUS_NOT_FOUND);
    free(longer);
}

static void the_list_of_changes_is_a_file_of_its_own(void **state)
{
    Diagnostic diagnostic = {0};
    LintFixSummary summary;
    char *input = scratch_write(*state, "list.conll", "Ann\tB-PER\nNew York\tI-LOC\n"), *output = path_join(*state, "list.out");
    LintFixOptions options = {.lint = &usual, .write_changes = true};
    must(lint_fix(input, output, &options, &summary, &diagnostic), &diagnostic);
    assert_int_equal(summary.total, 2);
    assert_int_equal(summary.changes[LINT_INNER_SPACE], 1);
    assert_false(summary.rewritten);
    char *path = memory_format("%s.changes.jsonl", output), *list = contents(path);
    char *expected =
        memory_format("{\"file\":\"%s\",\"line\":2,\"rule\":\"inside-without-begin\",\"before\":\"I-LOC\",\"after\":\"B-LOC\","
                      "\"lines\":1}\n{\"file\":\"%s\",\"line\":2,\"rule\":\"inner-space\",\"before\":\"New York\","
                      "\"after\":\"New\\nYork\",\"lines\":1}\n",
                      input, input);
    assert_string_equal(list, expected);
    free(expected);
    free(list);
    free(path);
    free(input);
    free(output);
}

static void disabled_rules_are_not_mended(void **state)
{
    static const LintOptions options = {
        .disabled = {[LINT_INSIDE_WITHOUT_BEGIN] = true, [LINT_SCHEME_TRANSITION] = true, [LINT_INNER_SPACE] = true}};
    char *fixed = fixed_as(*state, "a.conll", "B\tB-X\nNew York\tI-LOC\n", &(LintFixOptions){.lint = &options}, "");
    assert_string_equal(fixed, "B\tB-X\nNew York\tI-LOC\n");
    free(fixed);
}

/* Any file of tokens and labels: what is left after one run is nothing that another would mend. */
static void fixing_is_idempotent_on_files_made_at_random(void **state)
{
    static const char *const tokens[] = {"a", "b c", "d\xC2\xA0", "\xC2\xA0", "e", "", "-DOCSTART-", "f g h"};
    static const char *const labels[] = {"O", "B-X", "I-X", "E-X", "S-X", "L-X", "U-X", "B-Y", "I-Y", "I-XX", "Q-X", "O"};
    static const char *const ends[] = {"\n", "\n", "\n", "\r\n", " \n", "\n\n", "\t\n\n", "\nbroken\n"};
    uint32_t random = 99;
    for (int round = 0; round < 60; round++) {
        Text text = {0};
        for (int i = 0; i < 60; i++) {
            random = random * 1664525 + 1013904223;
            const char *label = round % 2 ? labels[(random >> 4) % 12] : labels[(random >> 4) % 3];
            text_format(&text, "%s\t%s%s", tokens[(random >> 10) % (round % 4 ? 8 : 2)], label, ends[(random >> 20) % 8]);
        }
        char *fixed = fixed_as(*state, "a.conll", text.bytes, &everything, NULL);
        char *again = fixed_as(*state, "a.conll", fixed, &everything, "");
        assert_string_equal(again, fixed);
        free(fixed);
        free(again);
        text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_that_the_scheme_does_not_allow_are_mended),
        cmocka_unit_test(columns_comments_and_document_marks_stay_where_they_are),
        cmocka_unit_test(byte_order_mark_line_ends_and_white_space_behind_them_go),
        cmocka_unit_test(tokens_with_white_space_become_several),
        cmocka_unit_test(misspelt_types_are_renamed_when_asked),
        cmocka_unit_test(repeated_sentences_go_when_asked),
        cmocka_unit_test(lines_that_cannot_be_read_stay_and_their_sentence_too),
        cmocka_unit_test(records_are_written_anew),
        cmocka_unit_test(what_cannot_be_mended_is_refused_and_nothing_is_left_behind),
        cmocka_unit_test(the_list_of_changes_is_a_file_of_its_own),
        cmocka_unit_test(disabled_rules_are_not_mended),
        cmocka_unit_test(fixing_is_idempotent_on_files_made_at_random),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
