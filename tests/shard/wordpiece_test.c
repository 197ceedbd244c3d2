#include "shard/wordpiece.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/philox.h"
#include "core/io/file.h"
#include "core/io/json.h"
#include "shard/unicode.h"

enum { GOLDEN_LIMIT = 1 << 24, RANDOM_TEXTS = 400, RANDOM_LENGTH = 60, THREADS = 4 };

static const char GOLDEN_FOLDER[] = NERSWEEP_SOURCE_DIR "/tests/golden/";

/* Ids: the line's index. */
static const char SMALL_VOCABULARY[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" /* 0 to 4 */
                                       "e\n##e\nx\n##x\na\n##a\n"             /* 5 to 10 */
                                       "\xE3\x80\xAE\n##\xE3\x80\xAE\n"       /* 11, 12: U+302E, a mark of class 224 that is kept */
                                       "\xF0\x9D\x85\xA5\n##\xF0\x9D\x85\xA5\n" /* 13, 14: U+1D165, of class 216 */
                                       "=\ni\n##i\n"                            /* 15 to 17 */
                                       "un\n##aff\n##able\nunaff\n##affable\n"  /* 18 to 22 */
                                       "[\n]\nsep\n"                            /* 23 to 25 */
                                       "\xE4\xB8\xAD\n"                         /* 26: U+4E2D, an ideograph */
                                       "A\n##A\n"                               /* 27, 28: out of reach when lower-casing */
                                       "##\xF0\x9D\x85\xA6\n";                  /* 29: U+1D166, of class 216 too */

typedef struct VocabularyFile {
    char path[64];
} VocabularyFile;

static VocabularyFile write_vocabulary(const char *text, size_t size)
{
    VocabularyFile file = {"/tmp/nersweep-wordpiece-XXXXXX"};
    int descriptor = mkstemp(file.path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, size), (ssize_t)size);
    close(descriptor);
    return file;
}

static Status open_text(Wordpiece **wordpiece, const char *text, size_t size, WordpieceOptions options, Diagnostic *diagnostic)
{
    VocabularyFile file = write_vocabulary(text, size);
    Status status = wordpiece_open(wordpiece, file.path, options, diagnostic);
    unlink(file.path);
    return status;
}

static Wordpiece *open_small(WordpieceOptions options)
{
    Wordpiece *wordpiece = NULL;
    Diagnostic diagnostic = {0};
    if (open_text(&wordpiece, SMALL_VOCABULARY, strlen(SMALL_VOCABULARY), options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return wordpiece;
}

/* "id:start-end/word ..." */
static char *describe(const WordpieceOutput *output)
{
    Text text = {0};
    for (size_t i = 0; i < output->ids.count; i++)
        text_format(&text, "%s%d:%d-%d/%d", i ? " " : "", output->ids.items[i], output->starts.items[i], output->ends.items[i],
                    output->word_ids.items[i]);
    return text_take(&text);
}

static void expect_bytes(const Wordpiece *wordpiece, const char *bytes, size_t size, const char *expected)
{
    WordpieceOutput output = {0};
    Diagnostic diagnostic = {0};
    if (wordpiece_encode_text(wordpiece, bytes, size, &output, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    char *got = describe(&output);
    assert_string_equal(got, expected);
    free(got);
    wordpiece_output_free(&output);
}

static void expect_text(const Wordpiece *wordpiece, const char *text, const char *expected)
{
    expect_bytes(wordpiece, text, strlen(text), expected);
}

/* ---- goldens ---- */

static void expect_column(const Json *row, const char *key, const Int32Array *got, int pair, const char *place)
{
    const Json *column = json_get(row, key);
    if (json_count(column) != got->count)
        fail_msg("%s: %zu %s, expected %zu", place, got->count, key, json_count(column));
    for (size_t i = 0; i < got->count; i++) {
        const Json *value = json_at(column, i);
        int64_t expected = json_integer_value(pair < 0 ? value : json_at(value, (size_t)pair), INT64_MIN);
        if (expected != got->items[i])
            fail_msg("%s: %s[%zu] is %d, expected %lld", place, key, i, got->items[i], (long long)expected);
    }
}

static void encode_golden_row(const Wordpiece *wordpiece, const Json *row, WordpieceOutput *output)
{
    Status status = STATUS_OK;
    Diagnostic diagnostic = {0};
    if (json_get(row, "words")) {
        const Json *words = json_get(row, "words");
        for (size_t i = 0; i < json_count(words) && status == STATUS_OK; i++) {
            const char *word = json_string_value(json_at(words, i));
            status = wordpiece_encode_token(wordpiece, word, strlen(word), (int32_t)i, output, &diagnostic);
        }
    } else if (json_get(row, "hex")) {
        const char *hex = json_string_value(json_get(row, "hex"));
        Text bytes = {0};
        for (; *hex; hex += 2) {
            unsigned byte;
            assert_int_equal(sscanf(hex, "%2x", &byte), 1);
            text_append(&bytes, &(char){(char)byte}, 1);
        }
        status = wordpiece_encode_text(wordpiece, bytes.bytes, bytes.size, output, &diagnostic);
        text_free(&bytes);
    } else {
        const char *text = json_string_value(json_get(row, "text"));
        assert_non_null(text);
        status = wordpiece_encode_text(wordpiece, text, strlen(text), output, &diagnostic);
    }
    if (status != STATUS_OK)
        fail_msg("%s", diagnostic.message);
}

static void compare_goldens(const char *casing, bool lowercase)
{
    Diagnostic diagnostic = {0};
    Json *goldens = NULL;
    Wordpiece *wordpiece = NULL;
    WordpieceOutput output = {0};
    char *goldens_path = path_join(GOLDEN_FOLDER, "tokenizer.json"), *vocab_path = path_join(GOLDEN_FOLDER, "tokenizer_vocab.txt");
    if (json_read_file(&goldens, goldens_path, GOLDEN_LIMIT, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    if (wordpiece_open(&wordpiece, vocab_path, (WordpieceOptions){.lowercase = lowercase}, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    const Json *rows = json_get(goldens, casing);
    assert_true(json_count(rows) > 100);
    for (size_t i = 0; i < json_count(rows); i++) {
        const Json *row = json_at(rows, i);
        char *place = json_text(row, JSON_COMPACT);
        wordpiece_output_clear(&output);
        encode_golden_row(wordpiece, row, &output);
        expect_column(row, "ids", &output.ids, -1, place);
        expect_column(row, "offsets", &output.starts, 0, place);
        expect_column(row, "offsets", &output.ends, 1, place);
        expect_column(row, "word_ids", &output.word_ids, -1, place);
        free(place);
    }
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
    json_destroy(&goldens);
    free(goldens_path);
    free(vocab_path);
}

static void the_oracles_goldens_are_met_cased(void **state)
{
    (void)state;
    compare_goldens("cased", false);
}

static void the_oracles_goldens_are_met_uncased(void **state)
{
    (void)state;
    compare_goldens("uncased", true);
}

/* ---- rules ---- */

static void the_longest_piece_is_taken_first(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    expect_text(wordpiece, "unaffable", "21:0-5/0 20:5-9/0");
    expect_text(wordpiece, "UN unaffaffable", "18:0-2/0 21:3-8/1 22:8-15/1");
    wordpiece_close(&wordpiece);
}

static void a_word_with_an_unknown_part_is_unknown_as_a_whole(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    expect_text(wordpiece, "unaffq a", "1:0-6/0 9:7-8/1");
    expect_text(wordpiece, "q\xC3\xA9q", "1:0-3/0");
    wordpiece_close(&wordpiece);
}

static void a_word_over_a_hundred_characters_is_unknown(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    WordpieceOutput output = {0};
    Text text = {0};
    for (int accent = 0; accent < 2; accent++) { /* ASCII, and e with an acute, which is two bytes but one character */
        text_clear(&text);
        for (int i = 0; i < 100; i++)
            text_append_string(&text, accent ? "\xC3\xA9" : "e");
        wordpiece_output_clear(&output);
        assert_int_equal(wordpiece_encode_text(wordpiece, text.bytes, text.size, &output, NULL), STATUS_OK);
        assert_int_equal(output.ids.count, 100);
        assert_int_equal(output.ends.items[99], 100);
        text_append_string(&text, "e!");
        wordpiece_output_clear(&output);
        assert_int_equal(wordpiece_encode_text(wordpiece, text.bytes, text.size, &output, NULL), STATUS_OK);
        assert_int_equal(output.ids.count, 2);
        assert_int_equal(output.ids.items[0], 1);
        assert_int_equal(output.ends.items[0], 101);
        assert_int_equal(output.starts.items[1], 101);
    }
    text_free(&text);
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
}

static void casing_and_accents_go_only_when_lower_casing(void **state)
{
    (void)state;
    Wordpiece *uncased = open_small((WordpieceOptions){.lowercase = true}),
              *cased = open_small((WordpieceOptions){.lowercase = false});
    expect_text(uncased, "A\xC3\x81", "9:0-1/0 10:1-2/0");
    expect_text(cased, "AA", "27:0-1/0 28:1-2/0");
    expect_text(cased, "A\xC3\x81", "1:0-2/0");
    expect_text(uncased, "\xC4\xB0x", "16:0-1/0 8:1-2/0"); /* U+0130 is i with a dot above once lower-cased */
    wordpiece_close(&uncased);
    wordpiece_close(&cased);
}

static void controls_go_and_ideographs_and_punctuation_stand_alone(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    expect_bytes(wordpiece,
                 "a\0a\x01x\xE2\x80\x8D"
                 "e",
                 9, "9:0-1/0 10:2-3/0 8:4-5/0 6:6-7/0");
    expect_text(wordpiece,
                "a\xE4\xB8\xAD"
                "a",
                "9:0-1/0 26:1-2/1 9:2-3/2");
    expect_text(wordpiece,
                "\xE2\x89\xA0"
                "a",
                "15:0-1/0 9:1-2/1"); /* U+2260 is an equals sign with a mark */
    expect_text(wordpiece, " \t\n\xC2\xA0 ", "");
    expect_text(wordpiece, "", "");
    wordpiece_close(&wordpiece);
}

static void special_tokens_in_the_text_are_found_before_normalisation(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    expect_text(wordpiece, "a[SEP]x [MASK]", "9:0-1/0 3:1-6/1 7:6-7/2 4:8-14/3");
    expect_text(wordpiece, "[sep]", "23:0-1/0 25:1-4/1 24:4-5/2");
    expect_text(wordpiece, "[SEP", "23:0-1/0 25:1-4/1");
    expect_text(wordpiece, "[[SEP]]", "23:0-1/0 3:1-6/1 24:6-7/2");
    wordpiece_close(&wordpiece);
}

static void special_tokens_can_be_taken_as_plain_text(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true, .ignore_special_tokens = true});
    expect_text(wordpiece, "[SEP]", "23:0-1/0 25:1-4/1 24:4-5/2");
    wordpiece_close(&wordpiece);
}

/* What the oracle gives for marks that NFD sorts and strip_accents leaves. */
static void kept_marks_change_places_as_in_the_oracle(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    expect_text(wordpiece, "a\xCC\x81\xE3\x80\xAE\xCC\xA7x", "9:0-1/0 12:2-3/0 8:4-5/0");
    expect_text(wordpiece,
                "x\xCD\x85\xE3\x80\xAE\xF0\x9D\x85\xA5\xCC\xB4"
                "a",
                "7:0-1/0 14:2-3/0 12:3-4/0 10:5-6/0");
    expect_text(wordpiece, "a\xCC\x80[SEP]\xE3\x80\xAEx", "9:0-1/0 3:2-7/1 11:7-8/2 8:8-9/2");
    expect_text(wordpiece, "x\xE3\x80\xAE\xF0\x9D\x85\xA6\xF0\x9D\x85\xA5",
                "7:0-1/0 29:1-2/0 14:2-3/0 12:3-4/0"); /* equal classes stay in order */
    expect_text(wordpiece, "e\xCC\xA3 \xCC\xA3\xE3\x80\xAE", "5:0-1/0 11:4-5/1");
    wordpiece_close(&wordpiece);
}

static void a_long_run_of_kept_marks_is_sorted_too(void **state)
{
    (void)state;
    enum { PAIRS = 40 };
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    WordpieceOutput output = {0};
    Text text = {0};
    text_append_string(&text, "x");
    for (int i = 0; i < PAIRS; i++)
        text_append_string(&text, "\xE3\x80\xAE\xF0\x9D\x85\xA5");
    assert_int_equal(wordpiece_encode_text(wordpiece, text.bytes, text.size, &output, NULL), STATUS_OK);
    assert_int_equal(output.ids.count, 1 + 2 * PAIRS);
    for (int i = 1; i <= 2 * PAIRS; i++) {
        assert_int_equal(output.ids.items[i], i <= PAIRS ? 14 : 12);
        assert_int_equal(output.starts.items[i], i);
    }
    text_free(&text);
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
}

static void pieces_of_a_given_token_keep_its_index(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    WordpieceOutput output = {0};
    const char *const tokens[] = {"a[SEP]x", "", "\xEF\xB8\x8F", "a a"};
    for (int32_t i = 0; i < 4; i++)
        assert_int_equal(wordpiece_encode_token(wordpiece, tokens[i], strlen(tokens[i]), i, &output, NULL), STATUS_OK);
    char *got = describe(&output);
    assert_string_equal(got, "9:0-1/0 3:1-6/0 7:6-7/0 9:0-1/3 9:2-3/3");
    free(got);
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
}

/* ---- any bytes ---- */

typedef struct Source {
    uint32_t count;
} Source;

static uint32_t draw(Source *source, uint32_t below)
{
    uint32_t word = philox4x32_10(philox_key(7, RANDOM_SHUFFLE, 0), source->count++, 0, 0, 0).word[0];
    return word % below;
}

/* Valid UTF-8: ASCII, Latin, marks, anything. */
static void draw_text(Source *source, Text *text)
{
    text_clear(text);
    text_append_string(text, "");
    for (uint32_t left = draw(source, RANDOM_LENGTH); left > 0; left--) {
        const uint32_t kind = draw(source, 8);
        uint32_t code_point = kind < 3    ? draw(source, 0x80)
                              : kind < 4  ? ' '
                              : kind == 4 ? draw(source, 0x250)
                              : kind == 5 ? 0x300 + draw(source, 0x70)
                              : kind == 6 ? draw(source, 0x3100)
                                          : draw(source, 0x110000);
        if (code_point >= 0xD800 && code_point <= 0xDFFF)
            code_point = 0x302E;
        uint8_t bytes[4];
        text_append(text, (const char *)bytes, (size_t)utf8_encode((int32_t)code_point, bytes));
    }
}

static int32_t count_code_points(const char *bytes, size_t size)
{
    int32_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += (bytes[i] & 0xC0) != 0x80;
    return count;
}

/* A space parts words whatever stands around it, so a text gives the pieces of its parts. */
static void a_text_gives_the_pieces_of_its_parts_between_spaces(void **state)
{
    (void)state;
    Source source = {0};
    Text text = {0};
    for (int lowercase = 0; lowercase < 2; lowercase++) {
        Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = lowercase == 1});
        WordpieceOutput whole = {0}, parts = {0};
        for (int i = 0; i < RANDOM_TEXTS; i++) {
            draw_text(&source, &text);
            wordpiece_output_clear(&whole);
            wordpiece_output_clear(&parts);
            assert_int_equal(wordpiece_encode_text(wordpiece, text.bytes, text.size, &whole, NULL), STATUS_OK);
            int32_t passed = 0;
            for (size_t at = 0; at <= text.size;) {
                const char *space = memchr(text.bytes + at, ' ', text.size - at);
                size_t end = space ? (size_t)(space - text.bytes) : text.size, before = parts.ids.count;
                assert_int_equal(wordpiece_encode_token(wordpiece, text.bytes + at, end - at, 0, &parts, NULL), STATUS_OK);
                for (size_t j = before; j < parts.ids.count; j++) {
                    parts.starts.items[j] += passed;
                    parts.ends.items[j] += passed;
                }
                passed += count_code_points(text.bytes + at, end - at) + 1;
                at = end + 1;
            }
            assert_int_equal(whole.ids.count, parts.ids.count);
            for (size_t j = 0; j < whole.ids.count; j++) {
                assert_int_equal(whole.ids.items[j], parts.ids.items[j]);
                assert_int_equal(whole.starts.items[j], parts.starts.items[j]);
                assert_int_equal(whole.ends.items[j], parts.ends.items[j]);
                assert_true(whole.starts.items[j] >= 0 && whole.starts.items[j] < whole.ends.items[j] &&
                            whole.ends.items[j] < passed);
                assert_true(j == 0 || whole.word_ids.items[j] - whole.word_ids.items[j - 1] <= 1);
            }
        }
        wordpiece_output_free(&whole);
        wordpiece_output_free(&parts);
        wordpiece_close(&wordpiece);
    }
    text_free(&text);
}

static void invalid_utf8_is_refused_with_its_byte_offset(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int offset;
    } cases[] = {
        {"\x80", 0},                      /* a continuation alone */
        {"abc \xC3", 4},                  /* cut off */
        {"abc\xC3\xC3\xA9", 3},           /* no continuation */
        {"\xC3\xA9\xC0\xAF", 2},          /* overlong, two bytes */
        {"a\xE0\x80\xAF", 1},             /* overlong, three */
        {"a\xF0\x80\x80\xAF", 1},         /* overlong, four */
        {"a \xED\xA0\x80", 2},            /* a surrogate */
        {"\xF4\x90\x80\x80", 0},          /* above U+10FFFF */
        {"\xF5\x80\x80\x80", 0},          /* a lead byte that does not exist */
        {"x\xE3\x80\xAE\xCC\x81\xFF", 6}, /* behind a mark that is kept */
        {"[SEP]\xFE", 5},
    };
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    WordpieceOutput output = {0};
    assert_int_equal(wordpiece_encode_text(wordpiece, "a", 1, &output, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Diagnostic diagnostic = {0};
        char expected[64];
        assert_int_equal(wordpiece_encode_text(wordpiece, cases[i].text, strlen(cases[i].text), &output, &diagnostic),
                         STATUS_INVALID_INPUT);
        snprintf(expected, sizeof expected, "byte offset %d", cases[i].offset);
        assert_string_equal(strstr(diagnostic.message, "byte offset"), expected);
        assert_int_equal(output.ids.count, 1); /* what was there stays, nothing is added */
        assert_int_equal(output.word_ids.count, 1);
        assert_int_equal(wordpiece_encode_token(wordpiece, cases[i].text, strlen(cases[i].text), 3, &output, NULL),
                         STATUS_INVALID_INPUT);
    }
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
}

static void random_bytes_are_encoded_exactly_when_they_are_utf8(void **state)
{
    (void)state;
    Source source = {1u << 20};
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    WordpieceOutput output = {0};
    Text text = {0};
    for (int i = 0; i < 4 * RANDOM_TEXTS; i++) {
        draw_text(&source, &text);
        if (text.size > 0) /* one byte is spoilt, which may leave a valid text */
            text.bytes[draw(&source, (uint32_t)text.size)] = (char)draw(&source, 256);
        wordpiece_output_clear(&output);
        bool valid = utf8_valid_prefix(text.bytes, text.size) == text.size;
        assert_int_equal(wordpiece_encode_text(wordpiece, text.bytes, text.size, &output, NULL),
                         valid ? STATUS_OK : STATUS_INVALID_INPUT);
    }
    text_free(&text);
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
}

/* ---- vocabularies ---- */

static void special_ids_are_looked_up(void **state)
{
    (void)state;
    static const char vocabulary[] = "a\n[UNK]\nb\n[SEP]\n[CLS]\n[PAD]\n";
    Wordpiece *wordpiece = NULL;
    assert_int_equal(open_text(&wordpiece, vocabulary, strlen(vocabulary), (WordpieceOptions){0}, NULL), STATUS_OK);
    const WordpieceSpecials *specials = wordpiece_specials(wordpiece);
    assert_int_equal(specials->pad, 5);
    assert_int_equal(specials->unk, 1);
    assert_int_equal(specials->cls, 4);
    assert_int_equal(specials->sep, 3);
    assert_int_equal(specials->mask, -1);
    wordpiece_close(&wordpiece);
    assert_null(wordpiece);
}

static void a_missing_special_token_is_named(void **state)
{
    (void)state;
    static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\na\n";
    Wordpiece *wordpiece = NULL;
    Diagnostic diagnostic = {0};
    assert_int_equal(open_text(&wordpiece, vocabulary, strlen(vocabulary), (WordpieceOptions){0}, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "[SEP]"));
    assert_null(wordpiece);
    assert_int_equal(open_text(&wordpiece, "", 0, (WordpieceOptions){0}, &diagnostic), STATUS_MISMATCH);
}

static void pieces_are_found_by_text_and_by_id(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){0});
    assert_int_equal(wordpiece_vocab_size(wordpiece), 30);
    for (int32_t id = 0; id < 30; id++)
        assert_int_equal(wordpiece_find(wordpiece, wordpiece_piece(wordpiece, id)), id);
    assert_null(wordpiece_piece(wordpiece, 30));
    assert_null(wordpiece_piece(wordpiece, -1));
    assert_int_equal(wordpiece_find(wordpiece, "nothing"), -1);
    assert_int_equal(wordpiece_find(wordpiece, ""), -1);
    char expected[SHA256_HEX_SIZE];
    sha256_hex(SMALL_VOCABULARY, strlen(SMALL_VOCABULARY), expected);
    assert_string_equal(wordpiece_sha256(wordpiece), expected);
    wordpiece_close(&wordpiece);
}

static void crlf_blanks_at_the_end_and_repeated_pieces_are_read_as_the_oracle_does(void **state)
{
    (void)state;
    static const char vocabulary[] =
        "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n\r\nb \xC2\xA0\r\na\r\n##b"; /* the last a has the id */
    Wordpiece *wordpiece = NULL;
    assert_int_equal(open_text(&wordpiece, vocabulary, strlen(vocabulary), (WordpieceOptions){0}, NULL), STATUS_OK);
    assert_int_equal(wordpiece_vocab_size(wordpiece), 9);
    expect_text(wordpiece, "ab b", "7:0-1/0 8:1-2/0 6:3-4/1");
    wordpiece_close(&wordpiece);
}

static void what_is_no_vocabulary_is_refused_with_its_place(void **state)
{
    (void)state;
    Wordpiece *wordpiece = NULL;
    Diagnostic diagnostic = {0};
    assert_int_equal(open_text(&wordpiece, "[PAD]\nab\xFF\n", 10, (WordpieceOptions){0}, &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(diagnostic.input_line, 2);
    assert_int_equal(diagnostic.input_column, 3);
    assert_int_equal(open_text(&wordpiece, "[PAD]\n\na\0b\n", 11, (WordpieceOptions){0}, &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(diagnostic.input_line, 3);
    assert_int_equal(wordpiece_open(&wordpiece, "/nowhere/vocab.txt", (WordpieceOptions){0}, &diagnostic), STATUS_NOT_FOUND);
    assert_null(wordpiece);
    size_t size = 2 * 4000001;
    char *lines = memory_allocate(size, 1);
    for (size_t i = 0; i < size; i += 2)
        memcpy(lines + i, "a\n", 2);
    assert_int_equal(open_text(&wordpiece, lines, size, (WordpieceOptions){0}, &diagnostic), STATUS_LIMIT);
    free(lines);
}

static void a_vocabulary_of_long_pieces_and_every_byte_is_searched_rightly(void **state)
{
    (void)state;
    Text vocabulary = {0};
    Wordpiece *wordpiece = NULL;
    text_append_string(&vocabulary, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
    for (int32_t c = 0xA1; c < 0x3000; c++) { /* many children below one node */
        uint8_t bytes[4];
        int32_t size = utf8_encode(c, bytes);
        text_append(&vocabulary, (const char *)bytes, (size_t)size);
        text_append_string(&vocabulary, "\n##");
        text_append(&vocabulary, (const char *)bytes, (size_t)size);
        text_append_string(&vocabulary, "\n");
    }
    for (int i = 0; i < 3000; i++) /* longer than any word that is looked up */
        text_append_string(&vocabulary, "x");
    text_append_string(&vocabulary, "\n");
    assert_int_equal(open_text(&wordpiece, vocabulary.bytes, vocabulary.size, (WordpieceOptions){0}, NULL), STATUS_OK);
    for (int32_t id = 0; id < wordpiece_vocab_size(wordpiece); id++) {
        const char *piece = wordpiece_piece(wordpiece, id);
        int32_t found = wordpiece_find(wordpiece, piece);
        assert_true(found == id || strcmp(wordpiece_piece(wordpiece, found), piece) == 0);
    }
    WordpieceOutput output = {0};
    for (int32_t c = 0x400; c < 0x482; c++) { /* Cyrillic: letters throughout */
        uint8_t bytes[8];
        int32_t size = utf8_encode(c, bytes);
        utf8_encode(c, bytes + size);
        wordpiece_output_clear(&output);
        assert_int_equal(wordpiece_encode_text(wordpiece, (const char *)bytes, 2 * (size_t)size, &output, NULL), STATUS_OK);
        assert_int_equal(output.ids.count, 2);
        assert_int_equal(output.ids.items[0], 4 + 2 * (c - 0xA1));
        assert_int_equal(output.ids.items[1], 5 + 2 * (c - 0xA1));
    }
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
    text_free(&vocabulary);
}

/* ---- does it fit ---- */

static Wordpiece *open_counted(const char *format, int count, bool lowercase)
{
    Text vocabulary = {0};
    Wordpiece *wordpiece = NULL;
    text_append_string(&vocabulary, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
    for (int i = 0; i < count; i++) {
        char letters[8];
        snprintf(letters, sizeof letters, "%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
        text_format(&vocabulary, format, letters);
        text_append_string(&vocabulary, "\n");
    }
    assert_int_equal(open_text(&wordpiece, vocabulary.bytes, vocabulary.size, (WordpieceOptions){.lowercase = lowercase}, NULL),
                     STATUS_OK);
    text_free(&vocabulary);
    return wordpiece;
}

static void a_vocabulary_larger_than_the_models_does_not_fit(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    Diagnostic diagnostic = {0};
    assert_int_equal(wordpiece_check_model(wordpiece, 30, &diagnostic), STATUS_OK);
    assert_int_equal(wordpiece_check_model(wordpiece, 40, &diagnostic), STATUS_OK);
    assert_int_equal(wordpiece_check_model(wordpiece, 29, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "30"));
    wordpiece_close(&wordpiece);
}

static void casing_that_is_not_the_vocabularys_does_not_fit(void **state)
{
    (void)state;
    enum { COUNT = 1200 };
    Diagnostic diagnostic = {0};
    Wordpiece *wordpiece = open_counted("X%s", COUNT, true); /* capitals that lower-casing never meets */
    assert_int_equal(wordpiece_check_model(wordpiece, 2000, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "cased"));
    wordpiece_close(&wordpiece);
    wordpiece = open_counted("X%s", COUNT, false);
    assert_int_equal(wordpiece_check_model(wordpiece, 2000, &diagnostic), STATUS_OK);
    wordpiece_close(&wordpiece);
    wordpiece = open_counted("%s", COUNT, false); /* no capital at all, but casing kept */
    assert_int_equal(wordpiece_check_model(wordpiece, 2000, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "uncased"));
    wordpiece_close(&wordpiece);
    wordpiece = open_counted("%s", COUNT, true);
    assert_int_equal(wordpiece_check_model(wordpiece, 2000, &diagnostic), STATUS_OK);
    wordpiece_close(&wordpiece);
}

/* ---- threads ---- */

typedef struct Worker {
    const Wordpiece *wordpiece;
    char *described;
} Worker;

static void *encode_in_thread(void *context)
{
    Worker *worker = context;
    Source source = {5000};
    Text text = {0};
    WordpieceOutput output = {0};
    for (int i = 0; i < RANDOM_TEXTS; i++) {
        draw_text(&source, &text);
        if (wordpiece_encode_text(worker->wordpiece, text.bytes, text.size, &output, NULL) != STATUS_OK)
            break;
    }
    worker->described = describe(&output);
    wordpiece_output_free(&output);
    text_free(&text);
    return NULL;
}

static void one_tokenizer_serves_many_threads(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_small((WordpieceOptions){.lowercase = true});
    pthread_t threads[THREADS];
    Worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (Worker){wordpiece, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, encode_in_thread, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(strlen(workers[0].described) > RANDOM_TEXTS);
    for (int i = 0; i < THREADS; i++) {
        assert_string_equal(workers[i].described, workers[0].described);
        if (i > 0)
            free(workers[i].described);
    }
    free(workers[0].described);
    wordpiece_close(&wordpiece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oracles_goldens_are_met_cased),
        cmocka_unit_test(the_oracles_goldens_are_met_uncased),
        cmocka_unit_test(the_longest_piece_is_taken_first),
        cmocka_unit_test(a_word_with_an_unknown_part_is_unknown_as_a_whole),
        cmocka_unit_test(a_word_over_a_hundred_characters_is_unknown),
        cmocka_unit_test(casing_and_accents_go_only_when_lower_casing),
        cmocka_unit_test(controls_go_and_ideographs_and_punctuation_stand_alone),
        cmocka_unit_test(special_tokens_in_the_text_are_found_before_normalisation),
        cmocka_unit_test(special_tokens_can_be_taken_as_plain_text),
        cmocka_unit_test(kept_marks_change_places_as_in_the_oracle),
        cmocka_unit_test(a_long_run_of_kept_marks_is_sorted_too),
        cmocka_unit_test(pieces_of_a_given_token_keep_its_index),
        cmocka_unit_test(a_text_gives_the_pieces_of_its_parts_between_spaces),
        cmocka_unit_test(invalid_utf8_is_refused_with_its_byte_offset),
        cmocka_unit_test(random_bytes_are_encoded_exactly_when_they_are_utf8),
        cmocka_unit_test(special_ids_are_looked_up),
        cmocka_unit_test(a_missing_special_token_is_named),
        cmocka_unit_test(pieces_are_found_by_text_and_by_id),
        cmocka_unit_test(crlf_blanks_at_the_end_and_repeated_pieces_are_read_as_the_oracle_does),
        cmocka_unit_test(what_is_no_vocabulary_is_refused_with_its_place),
        cmocka_unit_test(a_vocabulary_of_long_pieces_and_every_byte_is_searched_rightly),
        cmocka_unit_test(a_vocabulary_larger_than_the_models_does_not_fit),
        cmocka_unit_test(casing_that_is_not_the_vocabularys_does_not_fit),
        cmocka_unit_test(one_tokenizer_serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
