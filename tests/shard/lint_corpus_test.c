/* Rules that several sentences or files have together, the table of rules, and what can be switched off. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/file.h"
#include "shard/lint.h"

typedef struct Given {
    const char *name, *text;
    LintRole role;
} Given;

static void problem_write(void *context, const LintProblem *problem)
{
    text_format(context, "%s:%ld:%ld %s; ", path_base_name(problem->file), problem->line, problem->column, problem->rule);
    assert_true(strlen(problem->message) > 10);
}

static void message_write(void *context, const LintProblem *problem)
{
    text_format(context, "%s; ", problem->message);
}

static char *lint_as(const char *folder, const Given *given, size_t count, const LintOptions *options, LintReport report,
                     LintCounts *counts)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    text_append(&result, "", 0);
    Linter *linter = linter_create(options, report, &result);
    for (size_t i = 0; i < count; i++) {
        char *path = scratch_write(folder, given[i].name, given[i].text);
        must(linter_add(linter, path, given[i].role, &diagnostic), &diagnostic);
        free(path);
    }
    for (int32_t i = 0; i < linter_file_count(linter); i++)
        must(linter_check(linter, i, &diagnostic), &diagnostic);
    linter_compare(linter);
    if (counts)
        *counts = *linter_counts(linter);
    linter_destroy(&linter);
    return text_take(&result);
}

static void finds(void **state, const Given *given, size_t count, const LintOptions *options, const char *expected)
{
    static const LintOptions usual = {0};
    char *found = lint_as(*state, given, count, options ? options : &usual, problem_write, NULL);
    assert_string_equal(found, expected);
    free(found);
}

static void finds_in_one(void **state, const char *text, const LintOptions *options, const char *expected)
{
    finds(state, &(Given){"a.conll", text, LINT_ROLE_NONE}, 1, options, expected);
}

#define SENTENCE "Ann\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\n.\tO\n"
#define LONGER "Ann\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\non\tO\na\tO\nvery\tO\ncold\tO\nday\tO\n.\tO\n"
#define LONGER_TOO "Ann\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\non\tO\na\tO\nvery\tO\ncold\tO\nday\tO\n!\tO\n"

static void every_rule_is_found_by_its_id_and_no_other_name_is(void **state)
{
    (void)state;
    LintRule rule;
    for (int i = 0; i < LINT_RULE_COUNT; i++) {
        assert_true(lint_rule_find(lint_rules[i].id, &rule));
        assert_int_equal(rule, i);
        assert_true(strlen(lint_rules[i].summary) > 10);
        assert_string_equal(lint_rule_nearest(lint_rules[i].id), lint_rules[i].id);
    }
    assert_false(lint_rule_find("encodin", &rule));
    assert_string_equal(lint_rule_nearest("encodin"), "encoding");
    assert_string_equal(lint_rule_nearest("mispelled-type"), "misspelt-type");
}

static void edit_distance_counts_exchanged_neighbours_once(void **state)
{
    (void)state;
    assert_int_equal(lint_edit_distance("PRE", "PER", 2), 1);
    assert_int_equal(lint_edit_distance("PER", "PER", 2), 0);
    assert_int_equal(lint_edit_distance("PER", "PERS", 2), 1);
    assert_int_equal(lint_edit_distance("LOC", "ORG", 5), 3);
    assert_int_equal(lint_edit_distance("LOC", "ORG", 2), 3); /* more than the limit */
    assert_int_equal(lint_edit_distance("kitten", "sitting", 9), 3);
    assert_int_equal(lint_edit_distance("", "ab", 2), 2);
    assert_int_equal(lint_edit_distance("ca", "abc", 9), 3); /* no place is touched twice */
}

/* For each scheme labels that it allows, and labels that break it at the second token. */
static void every_scheme_has_its_own_transitions(void **state)
{
    static const struct {
        LabelScheme scheme;
        const char *allowed, *broken, *found;
    } cases[] = {
        {SCHEME_IO, "a I-X\nb I-Y\n", "a I-X\nb B-X\n", "a.conll:2:3 unknown-prefix; "},
        {SCHEME_IOB1, "a I-X\nb B-X\nc I-Y\n", "a I-X\nb B-Y\n", "a.conll:2:3 scheme-transition; "},
        {SCHEME_IOB2, "a B-X\nb I-X\nc B-Y\n", "a B-X\nb I-Y\n", "a.conll:2:3 inside-without-begin; "},
        {SCHEME_IOE1, "a I-X\nb E-X\nc I-X\n", "a I-X\nb E-X\n", "a.conll:2:3 scheme-transition; "},
        {SCHEME_IOE2, "a I-X\nb E-X\nc E-Y\n", "a E-X\nb I-X\n", "a.conll:2:3 scheme-transition; "},
        {SCHEME_IOBES, "a B-X\nb I-X\nc E-X\nd S-X\n", "a S-X\nb B-X\n", "a.conll:2:3 scheme-transition; "},
        {SCHEME_BILOU, "a B-X\nb I-X\nc L-X\nd U-X\n", "a U-X\nb E-X\n", "a.conll:2:3 unknown-prefix; "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        LintOptions options = {.scheme_given = true, .scheme = cases[i].scheme};
        finds_in_one(state, cases[i].allowed, &options, "");
        finds_in_one(state, cases[i].broken, &options, cases[i].found);
    }
}

static void repeated_sentences_name_the_first_place(void **state)
{
    finds_in_one(state, SENTENCE "\n" SENTENCE "\n" SENTENCE, NULL,
                 "a.conll:7:1 duplicate-sentence; a.conll:13:1 duplicate-sentence; ");
    finds_in_one(state, SENTENCE "\nAnn\tB-PER\nran\tO\nto\tO\nOslo\tO\n.\tO\n", NULL, "a.conll:7:1 conflicting-sentence; ");
    finds_in_one(state, "Yes\tB-X\n.\tO\n\nYes\tB-X\n.\tO\n", NULL, ""); /* too short to say anything */
}

static void sentences_that_are_nearly_the_same_are_found(void **state)
{
    finds_in_one(state, LONGER "\n" LONGER_TOO, NULL, "a.conll:12:1 near-duplicate-sentence; ");
    finds_in_one(state, LONGER "\nBob\tB-PER\nsat\tO\nto\tO\nOslo\tB-LOC\nin\tO\na\tO\nvery\tO\nwarm\tO\nday\tO\n.\tO\n", NULL, "");
    finds_in_one(state, SENTENCE "\nAnn\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\n!\tO\n", NULL, ""); /* too short */
    char *said =
        lint_as(*state, &(Given){"a.conll", LONGER "\n" LONGER_TOO, LINT_ROLE_NONE}, 1, &(LintOptions){0}, message_write, NULL);
    must_contain(said, "a.conll:1 (80% of their pairs"); /* 8 pairs of 9 + 9 - 8 */
    free(said);
}

static void words_write(Text *text, const char *word, int count, bool begins)
{
    for (int i = 0; i < count; i++)
        text_format(text, "%s%d\t%s\n", word, i, begins && i == 0 ? "B-X" : "O");
}

/* The longer one's own pairs are the rarest, and as many as the threshold lets be: 14 of 20 are common. */
static void sentences_at_the_threshold_are_found_in_either_order(void **state)
{
    Text text = {0};
    words_write(&text, "w", 15, true);
    text_append_string(&text, "\n");
    words_write(&text, "w", 15, true);
    words_write(&text, "new", 6, false);
    finds_in_one(state, text.bytes, NULL, "a.conll:17:1 near-duplicate-sentence; ");
    text_clear(&text);
    words_write(&text, "w", 15, true);
    words_write(&text, "new", 6, false);
    text_append_string(&text, "\n");
    words_write(&text, "w", 15, true);
    finds_in_one(state, text.bytes, NULL, "a.conll:23:1 near-duplicate-sentence; ");
    text_clear(&text);
    words_write(&text, "w", 15, true);
    text_append_string(&text, "\n");
    words_write(&text, "w", 15, true);
    words_write(&text, "new", 7, false); /* 14 of 21 */
    finds_in_one(state, text.bytes, NULL, "");
    text_free(&text);
}

static void of_several_that_are_nearly_the_same_the_first_is_named(void **state)
{
    static const char text[] =
        LONGER "\n" LONGER_TOO "\nAnn\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\non\tO\na\tO\nvery\tO\ncold\tO\nday\tO\n?\tO\n";
    Given given = {"a.conll", text, LINT_ROLE_NONE};
    char *said = lint_as(*state, &given, 1, &(LintOptions){0}, message_write, NULL);
    const char *first = strstr(said, "a.conll:1 "), *second = first ? strstr(first + 1, "a.conll:1 ") : NULL;
    assert_non_null(second);
    assert_null(strstr(said, "a.conll:12 "));
    free(said);
}

/* All pairs of sentences compared one by one are the oracle; a rare word in each keeps some apart. */
static void near_duplicates_are_those_that_comparing_all_pairs_finds(void **state)
{
    enum { COUNT = 120, LENGTH = 12, WORDS = 9 };
    static const char *const words[WORDS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    int tokens[COUNT][LENGTH];
    uint32_t random = 12345;
    Text text = {0}, expected = {0};
    text_append(&expected, "", 0);
    for (int i = 0; i < COUNT; i++) {
        bool changed = i % 3 != 0; /* two that differ from the one before in one word, at a place that varies */
        for (int j = 0; j < LENGTH; j++) {
            random = random * 1664525 + 1013904223;
            tokens[i][j] = changed ? tokens[i - 1][j] : (int)(random >> 16) % WORDS;
        }
        if (changed)
            tokens[i][random >> 8 & 1 ? LENGTH - 1 : (int)(random >> 20) % LENGTH] = i % WORDS;
        for (int j = 0; j < LENGTH; j++)
            text_format(&text, "%s\t%s\n", words[tokens[i][j]], j ? "O" : "B-X");
        text_append_string(&text, "\n");
    }
    for (int i = 0; i < COUNT; i++) {
        bool repeated = false; /* exactly: takes no part */
        for (int k = 0; k < i; k++)
            repeated |= memcmp(tokens[i], tokens[k], sizeof tokens[i]) == 0;
        for (int k = 0; k < i && !repeated; k++) {
            bool seen[2][WORDS * WORDS] = {0};
            int common = 0, all = 0;
            for (int j = 1; j < LENGTH; j++) {
                seen[0][tokens[i][j - 1] * WORDS + tokens[i][j]] = true;
                seen[1][tokens[k][j - 1] * WORDS + tokens[k][j]] = true;
            }
            for (int j = 0; j < WORDS * WORDS; j++) {
                common += seen[0][j] && seen[1][j];
                all += seen[0][j] || seen[1][j];
            }
            if (common * 100 / all < 70)
                continue;
            text_format(&expected, "a.conll:%d:1 near-duplicate-sentence; ", i * (LENGTH + 1) + 1);
            break;
        }
    }
    LintOptions options = {0};
    for (int i = 0; i < LINT_RULE_COUNT; i++)
        options.disabled[i] = i != LINT_NEAR_DUPLICATE;
    assert_true(strlen(expected.bytes) > 500);
    finds_in_one(state, text.bytes, &options, expected.bytes);
    text_free(&text);
    text_free(&expected);
}

static void what_train_shares_with_dev_and_test_is_told_by_role(void **state)
{
    Given given[] = {{"train.conll", SENTENCE "\n" LONGER, LINT_ROLE_TRAIN},
                     {"dev.conll", SENTENCE, LINT_ROLE_DEV},
                     {"test.conll", LONGER_TOO, LINT_ROLE_TEST}};
    finds(state, given, 3, NULL, "dev.conll:1:1 shared-sentence; test.conll:1:1 near-shared-sentence; ");
    given[1].role = LINT_ROLE_TRAIN; /* one set: a repetition */
    finds(state, given, 2, NULL, "dev.conll:1:1 duplicate-sentence; ");
    given[0].role = given[1].role = LINT_ROLE_NONE;
    finds(state, given, 2, NULL, "dev.conll:1:1 shared-sentence; ");
}

static void label_sets_that_differ_are_told_where_the_type_is(void **state)
{
    Given given[] = {{"train.conll", "Ann\tB-PER\n\nacme\tB-ORG\n", LINT_ROLE_TRAIN},
                     {"dev.conll", "Bob\tB-PER\n\nOslo\tB-LOC\n", LINT_ROLE_DEV},
                     {"test.conll", "Bo\tB-PER\n\nacme\tB-ORG\n", LINT_ROLE_TEST}};
    finds(state, given, 3, NULL, "train.conll:3:6 label-set-differs; dev.conll:3:6 label-set-differs; ");
    given[0].role = given[1].role = given[2].role = LINT_ROLE_NONE; /* each type once */
    finds(state, given, 3, NULL, "train.conll:3:6 label-set-differs; dev.conll:3:6 label-set-differs; ");
    char *said = lint_as(*state, given, 3, &(LintOptions){0}, message_write, NULL);
    must_contain(said, "type ORG occurs here 1 time and never in ");
    must_contain(said, "train.conll and 1 other; ");
    free(said);
    given[1].text = "raw\tO\n"; /* a file without spans says nothing about types */
    finds(state, given, 2, NULL, "dev.conll:1:1 mostly-outside; ");
}

static void rare_types_that_are_spelt_nearly_as_a_frequent_one_are_found(void **state)
{
    Text text = {0};
    for (int i = 0; i < 40; i++)
        text_format(&text, "w%d\tB-PER\n\nw%d\tB-location\n\n", i, i);
    text_append_string(&text, "x\tB-PRE\n\nx\tB-PRE\n\ny\tB-per\n\nz\tB-lcatoin\n\nq\tB-ORG\n\nr\tB-LOC\n\ns\tB-PERSON\n");
    finds_in_one(state, text.bytes, NULL,
                 "a.conll:161:3 misspelt-type; a.conll:165:3 misspelt-type; a.conll:167:3 misspelt-type; ");
    text_append_string(&text, "\nx\tB-PRE\n"); /* 3 of 43 are too many for a mistake of the hand */
    finds_in_one(state, text.bytes, NULL, "a.conll:165:3 misspelt-type; a.conll:167:3 misspelt-type; ");
    text_free(&text);
}

static void types_that_are_not_among_those_given_are_errors(void **state)
{
    char person[] = "PER", organisation[] = "ORG", *items[] = {person, organisation};
    LintOptions options = {.types = {.items = items, .count = 2}};
    finds_in_one(state, "a\tB-PER\n\nb\tB-LOC\n\nc\tB-LOC\n\nd\tB-ORG\n", &options, "a.conll:3:3 unknown-type; ");
}

static void a_string_that_is_nearly_always_labelled_otherwise_is_found(void **state)
{
    Text text = {0};
    for (int i = 0; i < 6; i++)
        text_format(&text, "x%d\tO\nNew\tB-LOC\nYork\tI-LOC\ny%d\tO\n\n", i, i);
    text_append_string(
        &text, "in\tO\nNew\tO\nYork\tO\n\nthe\tO\nNew\tB-ORG\nYork\tI-ORG\nTimes\tI-ORG\n\nthe\tO\nNew\tB-ORG\nYork\tI-ORG\n");
    Given given = {"a.conll", text.bytes, LINT_ROLE_NONE};
    finds(state, &given, 1, NULL, "a.conll:41:5 conflicting-annotation; a.conll:32:5 conflicting-annotation; ");
    LintOptions only = {.disabled = {[LINT_CONFLICTING_ANNOTATION] = true}};
    finds(state, &given, 1, &only, "");
    LintCounts counts;
    char *found = lint_as(*state, &given, 1, &(LintOptions){.limit = 1}, problem_write, &counts);
    assert_string_equal(found, "a.conll:41:5 conflicting-annotation; ");
    assert_int_equal(counts.found[LINT_CONFLICTING_ANNOTATION], 2);
    assert_int_equal(counts.reported[LINT_CONFLICTING_ANNOTATION], 1);
    assert_int_equal(counts.warnings, 2);
    free(found);
    text_free(&text);
}

static void a_file_with_hardly_any_span_is_told(void **state)
{
    Text text = {0};
    for (int i = 0; i < 19; i++)
        text_format(&text, "w%d\tO\n\n", i);
    finds_in_one(state, text.bytes, NULL, "a.conll:1:1 mostly-outside; ");
    text_append_string(&text, "Ann\tB-PER\n");
    finds_in_one(state, text.bytes, NULL, "a.conll:1:1 mostly-outside; "); /* 95% */
    text_append_string(&text, "\nBob\tB-PER\n\nBo\tB-PER\n\n");
    finds_in_one(state, text.bytes, NULL, ""); /* 86% */
    text_free(&text);
}

static void sentences_over_the_window_are_told_with_a_vocabulary(void **state)
{
    Diagnostic diagnostic = {0};
    Wordpiece *wordpiece = NULL;
    char *vocabulary = vocabulary_write(*state, NULL); /* a piece a character */
    must(wordpiece_open(&wordpiece, vocabulary, (WordpieceOptions){0}, &diagnostic), &diagnostic);
    LintOptions options = {.wordpiece = wordpiece, .max_seq_length = 8};
    finds_in_one(state, "abc\tB-X\ndef\tO\n\nabc\tB-X\ndefg\tO\n", &options, "a.conll:4:1 long-sentence; ");
    options.max_seq_length = 9;
    finds_in_one(state, "abc\tB-X\ndef\tO\n\nabc\tB-X\ndefg\tO\n", &options, "");
    wordpiece_close(&wordpiece);
    free(vocabulary);
}

static void problems_beyond_the_limit_are_counted(void **state)
{
    LintCounts counts;
    Given given = {"a.conll", "a\tB-X\nb\nc\nd\ne\nf\tI-Y\n", LINT_ROLE_NONE};
    char *found = lint_as(*state, &given, 1, &(LintOptions){.limit = 2}, problem_write, &counts);
    assert_string_equal(found, "a.conll:2:1 column-count; a.conll:3:1 column-count; a.conll:6:3 inside-without-begin; ");
    assert_int_equal(counts.errors, 4);
    assert_int_equal(counts.warnings, 1);
    assert_int_equal(counts.found[LINT_COLUMN_COUNT], 4);
    free(found);
}

static void disabled_rules_neither_report_nor_count(void **state)
{
    LintCounts counts;
    LintOptions options = {.disabled = {[LINT_COLUMN_COUNT] = true, [LINT_INSIDE_WITHOUT_BEGIN] = true}};
    Given given = {"a.conll", "a\tB-X\nb\nf\tI-Y\n", LINT_ROLE_NONE};
    char *found = lint_as(*state, &given, 1, &options, problem_write, &counts);
    assert_string_equal(found, "");
    assert_int_equal(counts.errors + counts.warnings, 0);
    free(found);
}

static void invalid_bytes_are_told_with_their_offset_in_the_file(void **state)
{
    Given given = {"a.conll", "Ann\tB-PER\nRen\xE9\tO\n", LINT_ROLE_NONE};
    char *said = lint_as(*state, &given, 1, &(LintOptions){0}, message_write, NULL);
    must_contain(said, "byte 0xE9 at offset 3 of the line");
    must_contain(said, "(offset 13 of the file)");
    free(said);
    Given csv = {"a.csv", "token,label\nAnn,B-PER\nRen\xE9,O\n", LINT_ROLE_NONE};
    said = lint_as(*state, &csv, 1, &(LintOptions){0}, message_write, NULL);
    must_contain(said, "(offset 25 of the file)");
    free(said);
    finds(state, &csv, 1, NULL, "a.csv:3:1 encoding; ");
}

static void each_document_of_a_folder_has_its_own_places(void **state)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    char *folder = path_join(*state, "notes");
    assert_int_equal(mkdir(folder, 0777), 0);
    free(scratch_write(folder, "1.txt", "Ann ran to Oslo .\n"));
    free(scratch_write(folder, "1.ann", "T1\tPER 0 3\tAnn\n"));
    free(scratch_write(folder, "2.txt", "Yes .\nAnn ran to Oslo .\n"));
    free(scratch_write(folder, "2.ann", "T1\tPER 6 9\tAnn\nT2 PER\n"));
    Linter *linter = linter_create(&(LintOptions){0}, problem_write, &result);
    must(linter_add(linter, folder, LINT_ROLE_NONE, &diagnostic), &diagnostic);
    assert_int_equal(linter_file_count(linter), 2);
    for (int32_t i = 0; i < 2; i++)
        must(linter_check(linter, i, &diagnostic), &diagnostic);
    linter_compare(linter);
    linter_destroy(&linter);
    assert_string_equal(result.bytes, "2.ann:2:1 brat-line; 2.txt:2:1 duplicate-sentence; ");
    text_free(&result);
    free(folder);
}

static void what_is_no_file_is_refused_and_the_others_are_checked(void **state)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    char *pipe = path_join(*state, "pipe"), *empty = path_join(*state, "nothing");
    char *broken = scratch_write(*state, "broken.json", "[{\"data\": {\"text\": \"Ann\"}, \"annotations\": []}, {]");
    char *bytes = scratch_write_bytes(*state, "binary.conll",
                                      "\x7F"
                                      "ELF\0\1\2\xFF\n\0\0\n",
                                      12);
    assert_int_equal(mkfifo(pipe, 0666), 0);
    assert_int_equal(mkdir(empty, 0777), 0);
    Linter *linter = linter_create(&(LintOptions){0}, problem_write, &result);
    assert_int_equal(linter_add(linter, pipe, LINT_ROLE_NONE, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "not a regular file");
    assert_int_equal(linter_add(linter, empty, LINT_ROLE_NONE, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "no .ann file");
    assert_int_equal(linter_add(linter, "nowhere.conll", LINT_ROLE_NONE, &diagnostic), STATUS_NOT_FOUND);
    assert_int_equal(linter_add(linter, broken, LINT_ROLE_NONE, &diagnostic), STATUS_INVALID_INPUT);
    must(linter_add(linter, bytes, LINT_ROLE_NONE, &diagnostic), &diagnostic);
    for (int32_t i = 0; i < linter_file_count(linter); i++)
        must(linter_check(linter, i, &diagnostic), &diagnostic);
    linter_compare(linter);
    linter_destroy(&linter);
    assert_string_equal(result.bytes, "binary.conll:1:5 encoding; binary.conll:2:1 encoding; ");
    text_free(&result);
    free(pipe);
    free(empty);
    free(broken);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_found_by_its_id_and_no_other_name_is),
        cmocka_unit_test(edit_distance_counts_exchanged_neighbours_once),
        cmocka_unit_test(every_scheme_has_its_own_transitions),
        cmocka_unit_test(repeated_sentences_name_the_first_place),
        cmocka_unit_test(sentences_that_are_nearly_the_same_are_found),
        cmocka_unit_test(sentences_at_the_threshold_are_found_in_either_order),
        cmocka_unit_test(of_several_that_are_nearly_the_same_the_first_is_named),
        cmocka_unit_test(near_duplicates_are_those_that_comparing_all_pairs_finds),
        cmocka_unit_test(what_train_shares_with_dev_and_test_is_told_by_role),
        cmocka_unit_test(label_sets_that_differ_are_told_where_the_type_is),
        cmocka_unit_test(rare_types_that_are_spelt_nearly_as_a_frequent_one_are_found),
        cmocka_unit_test(types_that_are_not_among_those_given_are_errors),
        cmocka_unit_test(a_string_that_is_nearly_always_labelled_otherwise_is_found),
        cmocka_unit_test(a_file_with_hardly_any_span_is_told),
        cmocka_unit_test(sentences_over_the_window_are_told_with_a_vocabulary),
        cmocka_unit_test(problems_beyond_the_limit_are_counted),
        cmocka_unit_test(disabled_rules_neither_report_nor_count),
        cmocka_unit_test(invalid_bytes_are_told_with_their_offset_in_the_file),
        cmocka_unit_test(each_document_of_a_folder_has_its_own_places),
        cmocka_unit_test(what_is_no_file_is_refused_and_the_others_are_checked),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
