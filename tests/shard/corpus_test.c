#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/corpus.h"

/* Reads all of text and writes it down: "token/label token/label | ..", '#' before a sentence that begins a document. */
static Status transcribe(const char *folder, const char *text, size_t size, CorpusOptions options, Text *result,
                         Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    char *path = scratch_write_bytes(folder, "corpus.conll", text, size);
    TRY(corpus_reader_open(&reader, path, options, NULL, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        text_format(result, "%s%s", result->size ? " | " : "", sentence->document_start ? "<doc> " : "");
        for (int32_t i = 0; i < sentence->token_count; i++) {
            assert_int_equal(strlen(sentence->tokens[i].text), sentence->tokens[i].text_size);
            text_format(result, "%s%s/%s", i ? " " : "", sentence->tokens[i].text, sentence->tokens[i].label);
        }
        assert_int_equal(sentence->line, sentence->tokens[0].line);
    }
    uint64_t done, total;
    corpus_reader_progress(reader, &done, &total);
    assert_int_equal(done, size);
    assert_int_equal(total, size);
out:
    corpus_reader_close(&reader);
    free(path);
    return status;
}

static void reads_as(void **state, const char *text, const char *expected)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    text_append(&result, "", 0);
    must(transcribe(*state, text, strlen(text), (CorpusOptions){0}, &result, &diagnostic), &diagnostic);
    assert_string_equal(result.bytes, expected);
    text_free(&result);
}

static void fails_at_bytes(void **state, const char *text, size_t size, CorpusOptions options, long line, long column,
                           const char *part)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    assert_int_equal(transcribe(*state, text, size, options, &result, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, part);
    must_contain(diagnostic.input_file, "corpus.conll");
    assert_int_equal(diagnostic.input_line, line);
    assert_int_equal(diagnostic.input_column, column);
    text_free(&result);
}

static void fails_at(void **state, const char *text, long line, long column, const char *part)
{
    fails_at_bytes(state, text, strlen(text), (CorpusOptions){0}, line, column, part);
}

static void tabs_separate_columns_and_blank_lines_sentences(void **state)
{
    reads_as(state, "Ann\tB-PER\nran\tO\n\nOslo\tB-LOC\n", "<doc> Ann/B-PER ran/O | Oslo/B-LOC");
}

static void labels_of_one_length_are_told_apart(void **state)
{
    reads_as(state, "a\tB-X\nb\tI-X\nc\tI-X\nd\tI-Y\ne\tO\nf\tO\n\ng\tI-Y\n", "<doc> a/B-X b/I-X c/I-X d/I-Y e/O f/O | g/I-Y");
}

static void a_line_of_one_tab_or_of_spaces_ends_a_sentence(void **state)
{
    reads_as(state, "a\tO\n\t\nb\tO\n   \nc\tO\n \t \nd\tO\n\n\n\t\n", "<doc> a/O | b/O | c/O | d/O");
}

static void runs_of_spaces_separate_columns(void **state)
{
    reads_as(state, "Ann NNP   B-PER\nran  VBD O\n", "<doc> Ann/B-PER ran/O");
}

static void no_break_and_ideographic_spaces_are_part_of_a_token(void **state)
{
    reads_as(state, "New\xC2\xA0York B-LOC\na\xE3\x80\x80z O\n", "<doc> New\xC2\xA0York/B-LOC a\xE3\x80\x80z/O");
    reads_as(state, "\xC2\xA0\tO\n", "<doc> \xC2\xA0/O");
}

static void a_token_of_a_file_with_tabs_may_hold_spaces(void **state)
{
    reads_as(state, "New York\tB-LOC\nis\tO\n", "<doc> New York/B-LOC is/O");
}

static void nine_columns_are_read_and_columns_are_named_from_both_ends(void **state)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    const char *text = "1\tAnn\tc\td\te\tf\tg\tB-PER\tx\n2\tran\tc\td\te\tf\tg\tO\tx\n";
    must(transcribe(*state, text, strlen(text), (CorpusOptions){.token_column = 2, .label_column = -2}, &result, &diagnostic),
         &diagnostic);
    assert_string_equal(result.bytes, "<doc> Ann/B-PER ran/O");
    text_clear(&result);
    must(transcribe(*state, text, strlen(text), (CorpusOptions){.token_column = -8, .label_column = 8}, &result, &diagnostic),
         &diagnostic);
    assert_string_equal(result.bytes, "<doc> Ann/B-PER ran/O");
    text_free(&result);
}

static void a_column_that_is_not_there_is_refused(void **state)
{
    fails_at_bytes(state, "\na\tO\n", 5, (CorpusOptions){.label_column = 5}, 2, 0, "no label column 5: the lines have 2 columns");
    fails_at_bytes(state, "a\tO\n", 4, (CorpusOptions){.token_column = -3}, 1, 0, "no token column -3");
    fails_at_bytes(state, "a\tO\n", 4, (CorpusOptions){.token_column = 2}, 1, 0, "both the token and the label column");
}

static void column_options_are_parsed_and_bounded(void **state)
{
    (void)state;
    CorpusOptions options;
    Diagnostic diagnostic = {0};
    assert_int_equal(corpus_options_parse(&options, "2", "-1", &diagnostic), STATUS_OK);
    assert_int_equal(options.token_column, 2);
    assert_int_equal(options.label_column, -1);
    assert_int_equal(corpus_options_parse(&options, "", NULL, &diagnostic), STATUS_OK);
    assert_int_equal(options.token_column, 0);
    assert_int_equal(corpus_options_parse(&options, "0", "", &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(corpus_options_parse(&options, "", "10", &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(corpus_options_parse(&options, "", "2x", &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "label_column is \"2x\"");
}

static void document_marks_have_any_tail_and_stand_anywhere(void **state)
{
    reads_as(state, "-DOCSTART- -X- O O\n\na NN B O\n\n-DOCSTART- -X- O O\n\nb NN B O\n", "<doc> a/O | <doc> b/O");
    reads_as(state, "-DOCSTART-\tO\n\na\tO\n\nb\tO\n-DOCSTART-\nc\tO\n-DOCSTART- (0012)\n\nd\tO\n",
             "<doc> a/O | b/O | <doc> c/O | <doc> d/O");
    reads_as(state, "-DOCSTART-\n-DOCSTART-\na\tO\n", "<doc> a/O");
}

static void comments_are_left_out_where_the_file_uses_them(void **state)
{
    reads_as(state, "# sent_id = 1\n# text = a b\na\tO\nb\tO\n\n# sent_id = 2\n#\nc\tO\n", "<doc> a/O b/O | c/O");
    reads_as(state, "# sent_id = 1\na O\n\n# newdoc\nb O\n", "<doc> a/O | b/O");
}

static void a_hash_or_a_hashtag_is_a_token(void **state)
{
    reads_as(state, "#\tO\n#tag\tB-X\n\n#\tO\n", "<doc> #/O #tag/B-X | #/O");
    reads_as(state, "# O\n1 O\n", "<doc> #/O 1/O");
    reads_as(state, "# text = x\n#\tO\n#tag\tO\n", "<doc> #/O #tag/O");
}

static void a_hash_that_lost_its_label_is_no_comment(void **state)
{
    fails_at(state, "a\tO\n#\nb\tO\n", 2, 1, "column-count");
    fails_at(state, "# text = x\na\tO\n#\nb\tO\n", 3, 1, "column-count");
    fails_at(state, "# O\na O\n# b c\n", 3, 1, "expected 2 columns separated by spaces, found 3");
}

static void carriage_returns_marks_and_missing_newlines_are_understood(void **state)
{
    reads_as(state,
             "\xEF\xBB\xBF"
             "a\tO\r\n\r\nb\tO",
             "<doc> a/O | b/O");
    reads_as(state, "a\tB-X\t\nb\tO  \n \nc\tO \t\r\n", "<doc> a/B-X b/O | c/O");
    reads_as(state, "a B-X \nb O\t\n", "<doc> a/B-X b/O");
}

static void a_carriage_return_within_a_line_is_refused(void **state)
{
    fails_at(state, "a\tO\rb\tO\r", 1, 4, "line-end");
    fails_at(state, "a\tO\n\nb\rc\tO\n", 3, 2, "tr '\\r' '\\n'");
    fails_at(state, "\ra\tO\n", 1, 1, "line-end");
    reads_as(state, "a\tO\r\r\n\r\r\nb\tO\r \r", "<doc> a/O | b/O");
}

static void a_file_without_blank_lines_is_one_sentence_and_an_empty_one_none(void **state)
{
    reads_as(state, "a\tO\nb\tO\nc\tI-LOC", "<doc> a/O b/O c/I-LOC");
    reads_as(state, "", "");
    reads_as(state, "\n\n\t\n-DOCSTART-\n", "");
}

static void an_empty_token_keeps_its_label_with_one_warning(void **state)
{
    log_capture(*state);
    reads_as(state, "a\tO\n\tB-X\n\tO\n", "<doc> a/O /B-X /O");
    char *log = log_captured(*state);
    must_contain(log, "corpus.conll:2:1: the token is empty");
    assert_null(strstr(strstr(log, "token is empty") + 1, "token is empty"));
    free(log);
    log_capture(*state);
    reads_as(state, "a O\n O\nb O\n", "<doc> a/O /O b/O");
    free(log_captured(*state));
}

static void wrong_columns_and_empty_labels_are_refused_with_their_place(void **state)
{
    fails_at(state, "a\tO\nb\nc\tO\n", 2, 1, "expected 2 columns separated by TABs, found 1");
    fails_at(state, "a\tO\nb\tx\tO\nc\tO\n", 2, 1, "expected 2 columns separated by TABs, found 3");
    fails_at(state, "a\tO\n\nword\t\nc\tO\n", 3, 6, "empty-label");
    fails_at(state, "a\tx\tO\nb\t\tO\nc\tO\n", 3, 1, "expected 3 columns");
    fails_at(state, "just\nwords\n", 1, 1, "column-count");
    fails_at(state, "a 1 2 3 4 5 6 7 8 9 O\n", 1, 1, "more than the 9");
}

static void invalid_utf8_is_refused_with_its_byte(void **state)
{
    fails_at(state, "a\tO\nb\xC3(\tO\n", 2, 2, "byte 0xC3 at offset 1 of the line is not valid UTF-8");
    fails_at(state, "\xED\xA0\x80\tO\n", 1, 1, "not valid UTF-8");      /* a surrogate */
    fails_at(state, "\xC0\xAF\tO\n", 1, 1, "not valid UTF-8");          /* overlong */
    fails_at(state, "a\xF4\x90\x80\x80\tO\n", 1, 2, "not valid UTF-8"); /* beyond U+10FFFF */
    fails_at(state, "ab\xE2\x82", 1, 3, "not valid UTF-8");             /* cut off */
    fails_at_bytes(state, "a\0b\tO\n", 6, (CorpusOptions){0}, 1, 2, "UTF-16");
}

static void a_line_without_end_is_refused_in_bounded_memory(void **state)
{
    size_t size = (size_t)3 * CORPUS_LINE_LIMIT;
    char *text = memory_allocate(size, 1);
    memset(text, 'x', size);
    memcpy(text, "a\tO\n", 4);
    fails_at_bytes(state, text, size, (CorpusOptions){0}, 2, 1, "longer than 1048576 bytes");
    free(text);
}

static void long_tokens_and_types_with_hyphens_are_kept(void **state)
{
    char token[301];
    memset(token, 'u', 300);
    token[300] = '\0';
    char *text = memory_format("%s\tB-creative-work\n", token), *expected = memory_format("<doc> %s/B-creative-work", token);
    reads_as(state, text, expected);
    free(text);
    free(expected);
}

static void what_cannot_be_opened_is_named(void **state)
{
    CorpusReader *reader = NULL;
    Diagnostic diagnostic = {0};
    char *path = memory_format("%s/nothing.conll", (char *)*state);
    assert_int_equal(corpus_reader_open(&reader, path, (CorpusOptions){0}, NULL, NULL, &diagnostic), STATUS_NOT_FOUND);
    must_contain(diagnostic.message, path);
    assert_null(reader);
    assert_int_equal(corpus_reader_open(&reader, *state, (CorpusOptions){0}, NULL, NULL, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "not a regular file");
    free(path);
}

static void places_are_lines_and_byte_columns(void **state)
{
    CorpusReader *reader = NULL;
    Diagnostic diagnostic = {0};
    const CorpusSentence *sentence;
    char *path = scratch_write(*state, "places.conll", "\n\xC3\xA9t\xC3\xA9\tx\tB-T\n\nb\tx\tO\n");
    must(corpus_reader_open(&reader, path, (CorpusOptions){0}, NULL, NULL, &diagnostic), &diagnostic);
    must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
    assert_int_equal(sentence->line, 2);
    assert_int_equal(sentence->tokens[0].label_column, 9);
    must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
    assert_int_equal(sentence->tokens[0].line, 4);
    assert_int_equal(sentence->tokens[0].label_column, 5);
    corpus_reader_close(&reader);
    free(path);
}

static void a_sentence_over_the_limit_is_refused(void **state)
{
    Text text = {0};
    for (int i = 0; i <= CORPUS_SENTENCE_LIMIT; i++)
        text_append(&text, "a\tO\n", 4);
    char *path = scratch_write_bytes(*state, "endless.conll", text.bytes, text.size);
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence;
    Diagnostic diagnostic = {0};
    must(corpus_reader_open(&reader, path, (CorpusOptions){0}, NULL, NULL, &diagnostic), &diagnostic);
    assert_int_equal(corpus_reader_next(reader, &sentence, &diagnostic), STATUS_LIMIT);
    assert_int_equal(diagnostic.input_line, CORPUS_SENTENCE_LIMIT + 1);
    corpus_reader_close(&reader);
    text_free(&text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tabs_separate_columns_and_blank_lines_sentences),
        cmocka_unit_test(labels_of_one_length_are_told_apart),
        cmocka_unit_test(a_line_of_one_tab_or_of_spaces_ends_a_sentence),
        cmocka_unit_test(runs_of_spaces_separate_columns),
        cmocka_unit_test(no_break_and_ideographic_spaces_are_part_of_a_token),
        cmocka_unit_test(a_token_of_a_file_with_tabs_may_hold_spaces),
        cmocka_unit_test(nine_columns_are_read_and_columns_are_named_from_both_ends),
        cmocka_unit_test(a_column_that_is_not_there_is_refused),
        cmocka_unit_test(column_options_are_parsed_and_bounded),
        cmocka_unit_test(document_marks_have_any_tail_and_stand_anywhere),
        cmocka_unit_test(comments_are_left_out_where_the_file_uses_them),
        cmocka_unit_test(a_hash_or_a_hashtag_is_a_token),
        cmocka_unit_test(a_hash_that_lost_its_label_is_no_comment),
        cmocka_unit_test(carriage_returns_marks_and_missing_newlines_are_understood),
        cmocka_unit_test(a_carriage_return_within_a_line_is_refused),
        cmocka_unit_test(a_file_without_blank_lines_is_one_sentence_and_an_empty_one_none),
        cmocka_unit_test(an_empty_token_keeps_its_label_with_one_warning),
        cmocka_unit_test(wrong_columns_and_empty_labels_are_refused_with_their_place),
        cmocka_unit_test(invalid_utf8_is_refused_with_its_byte),
        cmocka_unit_test(a_line_without_end_is_refused_in_bounded_memory),
        cmocka_unit_test(long_tokens_and_types_with_hyphens_are_kept),
        cmocka_unit_test(what_cannot_be_opened_is_named),
        cmocka_unit_test(places_are_lines_and_byte_columns),
        cmocka_unit_test(a_sentence_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
