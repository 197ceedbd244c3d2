/* The classes of Markus Kuhn's stress test for UTF-8 decoders, through everything in shard/ that decodes. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "shard/corpus.h"
#include "shard/corpus_lines.h"
#include "shard/unicode.h"
#include "shard/words.h"

typedef struct Utf8Case {
    const char *bytes;
    long invalid; /* offset of the first byte that is none; -1: valid */
} Utf8Case;

static const Utf8Case cases[] = {
    {"", -1},
    {"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5", -1}, /* a word */
    /* first and last of each length */
    {"\x01", -1},
    {"\xC2\x80", -1},
    {"\xE0\xA0\x80", -1},
    {"\xF0\x90\x80\x80", -1},
    {"\xF8\x88\x80\x80\x80", 0},
    {"\xFC\x84\x80\x80\x80\x80", 0},
    {"\x7F", -1},
    {"\xDF\xBF", -1},
    {"\xEF\xBF\xBF", -1},
    {"\xF4\x8F\xBF\xBF", -1},
    {"\xF4\x90\x80\x80", 0},
    {"\xF7\xBF\xBF\xBF", 0},
    {"\xFB\xBF\xBF\xBF\xBF", 0},
    {"\xFD\xBF\xBF\xBF\xBF\xBF", 0},
    {"\xED\x9F\xBF", -1},
    {"\xEE\x80\x80", -1},
    {"\xEF\xBF\xBD", -1},
    /* continuation bytes alone */
    {"\x80", 0},
    {"\xBF", 0},
    {"a\x80\xBF\x80", 1},
    /* lead bytes alone, each followed by a space */
    {"\xC0 ", 0},
    {"\xC2 ", 0},
    {"\xDF ", 0},
    {"\xE0 ", 0},
    {"\xEF ", 0},
    {"\xF0 ", 0},
    {"\xF4 ", 0},
    {"\xF5 ", 0},
    {"\xF8 ", 0},
    {"\xFC ", 0},
    /* the last byte is missing */
    {"\xE0\xA0", 0},
    {"\xF0\x90\x80", 0},
    {"\xEF\xBF", 0},
    {"\xF4\x8F\xBF", 0},
    {"a\xC3", 1},
    {"\xC3\xA9\xE2\x82", 2},
    /* impossible bytes */
    {"\xFE", 0},
    {"\xFF", 0},
    {"ab\xFE\xFE\xFF\xFF", 2},
    /* overlong: of '/', of the last that is too short, of NUL */
    {"\xC0\xAF", 0},
    {"\xE0\x80\xAF", 0},
    {"\xF0\x80\x80\xAF", 0},
    {"\xF8\x80\x80\x80\xAF", 0},
    {"\xC1\xBF", 0},
    {"\xE0\x9F\xBF", 0},
    {"\xF0\x8F\xBF\xBF", 0},
    {"\xC0\x80", 0},
    {"\xE0\x80\x80", 0},
    {"\xF0\x80\x80\x80", 0},
    /* surrogates, alone and in pairs */
    {"\xED\xA0\x80", 0},
    {"\xED\xAF\xBF", 0},
    {"\xED\xB0\x80", 0},
    {"\xED\xBF\xBF", 0},
    {"x\xED\xA0\x80\xED\xB0\x80", 1},
    {"\xED\xAF\xBF\xED\xBF\xBF", 0},
    /* non-characters are characters to a decoder */
    {"\xEF\xBF\xBE", -1},
    {"\xEF\xB7\x90", -1},
    {"\xF0\x9F\xBF\xBE", -1},
    {"\xF4\x8F\xBF\xBE", -1},
    /* continuation bytes too many, lead bytes in a character */
    {"\xC3\xA9\x80", 2},
    {"\xE2\x82\xE2\x82\xAC", 0},
};

static void every_decoder_takes_what_is_utf8_and_names_the_first_byte_that_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *bytes = cases[i].bytes;
        size_t size = strlen(bytes);
        WordArray words = {0};
        Diagnostic diagnostic = {0};
        size_t prefix = utf8_valid_prefix(bytes, size);
        if (corpus_invalid_utf8(bytes, size) != cases[i].invalid ||
            prefix != (cases[i].invalid < 0 ? size : (size_t)cases[i].invalid))
            fail_msg("case %zu: %td and %zu", i, corpus_invalid_utf8(bytes, size), prefix);
        Status status = words_split(WORDS_WHITESPACE, bytes, size, &words, &diagnostic);
        assert_int_equal(status, cases[i].invalid < 0 ? STATUS_OK : STATUS_INVALID_INPUT);
        array_free(&words);
    }
}

/* Looked at eight bytes at a time: each byte at each place of lines of each length. */
static void a_plain_line_is_ascii_without_nul_and_carriage_return(void **state)
{
    enum { LONGEST = 26 };
    (void)state;
    for (size_t size = 0; size <= LONGEST; size++) {
        char bytes[LONGEST + 1] = {0};
        CorpusLine line = {.bytes = bytes, .size = size};
        memset(bytes, 'a', size);
        assert_true(corpus_line_is_plain(&line));
        for (size_t at = 0; at < size; at++)
            for (int byte = 0; byte < 256; byte++) {
                memset(bytes, byte % 2 ? 0x7F : 0x01, size);
                bytes[at] = (char)byte;
                bool plain = byte > 0 && byte < 0x80 && byte != '\r';
                if (corpus_line_is_plain(&line) != plain)
                    fail_msg("byte %d at %zu of %zu", byte, at, size);
                ptrdiff_t invalid = byte > 0 && byte < 0x80 ? -1 : (ptrdiff_t)at;
                assert_int_equal(corpus_invalid_utf8(bytes, size), invalid);
            }
    }
}

/* In every format, in the token, and where brat has it. */
static void every_reader_refuses_what_is_not_utf8_with_its_line(void **state)
{
    static const struct {
        CorpusFormat format;
        const char *before, *after;
    } formats[] = {
        {CORPUS_CONLL, "a\tO\nb", "\tO\n"},
        {CORPUS_CSV, "1,a,O\n1,b", ",O\n"},
        {CORPUS_JSONL, "{\"tokens\":[\"a\"],\"ner_tags\":[\"O\"]}\n{\"tokens\":[\"b", "\"],\"ner_tags\":[\"O\"]}\n"},
        {CORPUS_PRODIGY, "{\"text\":\"a\"}\n{\"text\":\"b", "\"}\n"},
        {CORPUS_SPACY, "{\"text\":\"a\",\"entities\":[]}\n{\"text\":\"b", "\",\"entities\":[]}\n"},
        {CORPUS_LABELSTUDIO, "[{\"text\":\"a\"},\n{\"text\":\"b", "\"}]\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t j = 0; j < sizeof formats / sizeof *formats; j++) {
            char *text = memory_format("%s%s%s", formats[j].before, cases[i].bytes, formats[j].after);
            char *path = scratch_write(*state, "corpus", text);
            CorpusReader *reader = NULL;
            Diagnostic diagnostic = {0};
            const CorpusSentence *sentence;
            bool control = formats[j].format >= CORPUS_JSONL && (cases[i].bytes[0] == '\x01');
            Status status =
                corpus_reader_open(&reader, path, (CorpusOptions){.format = formats[j].format}, NULL, NULL, &diagnostic);
            do
                status = status == STATUS_OK ? corpus_reader_next(reader, &sentence, &diagnostic) : status;
            while (status == STATUS_OK && sentence);
            if ((status == STATUS_OK) != (cases[i].invalid < 0 && !control))
                fail_msg("case %zu as %s: %s", i, corpus_format_names[formats[j].format], diagnostic.message);
            if (status != STATUS_OK)
                assert_int_equal(diagnostic.input_line, 2);
            corpus_reader_close(&reader);
            free(path);
            free(text);
        }
}

static void note_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                         const char *message)
{
    assert_true(file[0] && message[0] && severity == PROBLEM_ERROR);
    text_format(context, "%ld:%ld %s;", line, column, rule);
}

static void other_encodings_and_compressed_files_are_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *part;
    } files[] = {
        {"\xFF\xFE[\0]\0", 6, "UTF-16, expected text in UTF-8: convert it with iconv -f UTF-16 -t UTF-8"},
        {"\xFE\xFF\0[\0]", 6, "UTF-16"},
        {"a\0\t\0O\0\n\0", 8, "UTF-16"},
        {"\0a\0\t\0O\0\n", 8, "UTF-16"},
        {"\x1F\x8B\x08\0\0\0", 6, "gunzip"},
        {"BZh91AY&SY....", 14, "bunzip2"},
        {"\xFD\x37zXZ\0\0", 7, "unxz"},
        {"\x28\xB5\x2F\xFD\x04\0", 6, "unzstd"},
        {"PK\x03\x04\x14\0", 6, "zip archive"},
    };
    static const char *const names[] = {"a.conll", "a.csv", "a.json", "a.jsonl", "a"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int format = CORPUS_AUTO; format < CORPUS_BRAT; format++) {
            char *path = scratch_write_bytes(*state, names[format % 5], files[i].bytes, files[i].size);
            CorpusReader *reader = NULL;
            Diagnostic diagnostic = {0};
            Status status =
                corpus_reader_open(&reader, path, (CorpusOptions){.format = (CorpusFormat)format}, NULL, NULL, &diagnostic);
            assert_int_equal(status, STATUS_UNSUPPORTED);
            must_contain(diagnostic.message, files[i].part);
            assert_string_equal(diagnostic.input_file, path);
            assert_true(diagnostic.input_line == 1 && diagnostic.input_column == 1);
            assert_null(reader);
            /* Whoever wants to hear of problems hears of this one alone. */
            Text told = {0};
            const CorpusSentence *sentence;
            must(corpus_reader_open(&reader, path, (CorpusOptions){.format = (CorpusFormat)format}, note_problem, &told,
                                    &diagnostic),
                 &diagnostic);
            must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
            assert_null(sentence);
            corpus_reader_close(&reader);
            assert_string_equal(told.bytes, "1:1 encoding;");
            text_free(&told);
            free(path);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_decoder_takes_what_is_utf8_and_names_the_first_byte_that_is_not),
        cmocka_unit_test(a_plain_line_is_ascii_without_nul_and_carriage_return),
        cmocka_unit_test_setup_teardown(every_reader_refuses_what_is_not_utf8_with_its_line, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(other_encodings_and_compressed_files_are_named, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
