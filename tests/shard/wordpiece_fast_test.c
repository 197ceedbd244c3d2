/* The fast ways of WordPiece against a plain one: every scanner, with and without caches, on texts that end where memory ends. */
#include "shard/wordpiece_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/philox.h"

enum { TEXTS = 1500, GUARDED_BYTES = 1 << 16, SCANNERS = 3 };

/* ---- random texts ---- */

typedef struct Source {
    uint32_t count;
} Source;

static uint32_t draw(Source *source, uint32_t below)
{
    return philox4x32_10(philox_key(11, RANDOM_SHUFFLE, 0), source->count++, 0, 0, 0).word[0] % below;
}

/* Runs whose lengths straddle the widths that are treated at once, of few characters so that pieces match, and what ends runs. */
static void draw_text(Source *source, Text *text)
{
    static const char *const letters[] = {"a", "b", "c", "A", "B", "1", "x", "\xC3\xA9"};
    static const char *const others[] = {" ",  "  ", ",", ".",  "[",  "]",    "[SEP]",    "[MASK]",       "\t",
                                         "\n", "-",  "#", "##", "\1", "\x7F", "\xC3\xA9", "\xE4\xB8\xAD", "\xCC\x81"};
    static const uint32_t lengths[] = {1, 1, 1, 2, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 99, 100, 101};
    static const uint32_t long_lengths[] = {127, 128, 129, 1023, 1024, 1025, 2048};
    text_clear(text);
    text_append_string(text, "");
    const uint32_t kinds = draw(source, 4) == 0 ? sizeof letters / sizeof *letters : 3;
    const uint32_t enders = draw(source, 4) == 0 ? sizeof others / sizeof *others : 8;
    for (uint32_t runs = draw(source, 24); runs > 0; runs--) {
        bool is_long = draw(source, 40) == 0;
        uint32_t length = is_long ? long_lengths[draw(source, sizeof long_lengths / sizeof *long_lengths)]
                                  : lengths[draw(source, sizeof lengths / sizeof *lengths)];
        const char *letter = letters[draw(source, kinds)];
        bool same = draw(source, 2) == 0;
        for (uint32_t i = 0; i < length; i++)
            text_append_string(text, same ? letter : letters[draw(source, kinds)]);
        for (uint32_t i = 1 + draw(source, 2); i > 0; i--)
            text_append_string(text, others[draw(source, enders)]);
    }
    if (text->size > 0 && draw(source, 2) == 0) { /* ends within a run; not within a character */
        text->size -= draw(source, (uint32_t)text->size);
        while (text->size > 0 && utf8_valid_prefix(text->bytes, text->size) < text->size)
            text->size--;
    }
}

/* Memory behind which there is none. */
typedef struct Guarded {
    uint8_t *memory;
    size_t page;
} Guarded;

static Guarded guarded_open(void)
{
    Guarded guarded = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    guarded.memory = mmap(NULL, GUARDED_BYTES + guarded.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(guarded.memory != MAP_FAILED);
    assert_int_equal(mprotect(guarded.memory + GUARDED_BYTES, guarded.page, PROT_NONE), 0);
    return guarded;
}

static void guarded_close(const Guarded *guarded)
{
    munmap(guarded->memory, GUARDED_BYTES + guarded->page);
}

static const char *guarded_put(const Guarded *guarded, const Text *text)
{
    assert_true(text->size <= GUARDED_BYTES);
    uint8_t *place = guarded->memory + GUARDED_BYTES - text->size;
    if (text->size > 0)
        memcpy(place, text->bytes, text->size);
    return (const char *)place;
}

/* ---- a plain WordPiece ---- */

/* Ids: the line's index. Some pieces are no words although they look like ones. */
static const char *const pieces[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "b", "##b", "ab", "##ab", "aab",
                                     "##bbb", "A", "##A", "AB", "##B", "1", "##1", "##11111111", "c", "aaaaaaaaaaaaaaa",
                                     "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa", "##aaaaaaa", "abababababababababababababababab", ",",
                                     ".", "[", "]", "-", "#", "##", "\xC3\xA9", "##\xC3\xA9", "\xE4\xB8\xAD", "a,b", "a b", "##a b",
                                     "sep", "SEP", "mask", "e", "##e", "a\1", "bbbbbbbb", "##x",
                                     /* twice: the last has the id */
                                     "ab", "b"};
enum { PIECE_COUNT = sizeof pieces / sizeof *pieces, UNKNOWN = 1, SEPARATOR = 3, MASK = 4 };

static Wordpiece *open_pieces(bool lowercase)
{
    char path[] = "/tmp/nersweep-wordpiece-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    assert_non_null(file);
    for (size_t i = 0; i < PIECE_COUNT; i++)
        fprintf(file, "%s\n", pieces[i]);
    fclose(file);
    Wordpiece *wordpiece = NULL;
    Diagnostic diagnostic = {0};
    Status status = wordpiece_open(&wordpiece, path, (WordpieceOptions){.lowercase = lowercase}, &diagnostic);
    unlink(path);
    if (status != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return wordpiece;
}

static void plain_put(WordpieceOutput *output, int32_t id, int32_t start, int32_t end, int32_t word)
{
    array_push(&output->ids, id);
    array_push(&output->starts, start);
    array_push(&output->ends, end);
    array_push(&output->word_ids, word);
}

typedef struct PlainWord {
    Text bytes;
    Int32Array index; /* code point of each byte */
    int32_t characters, number;
} PlainWord;

/* The longest piece, by trying all. */
static int32_t plain_match(const PlainWord *word, size_t at, size_t *length)
{
    int32_t id = -1;
    *length = 0;
    for (int32_t i = 0; i < PIECE_COUNT; i++) {
        const char *piece = pieces[i];
        bool continues = strncmp(piece, "##", 2) == 0;
        if (at > 0 && !continues)
            continue;
        piece += at > 0 ? 2 : 0;
        size_t size = strlen(piece);
        if (size > 0 && size >= *length && at + size <= word->bytes.size && memcmp(word->bytes.bytes + at, piece, size) == 0) {
            id = i;
            *length = size;
        }
    }
    return id;
}

static void plain_flush(PlainWord *word, WordpieceOutput *output)
{
    if (word->characters == 0)
        return;
    const size_t before = output->ids.count, size = word->bytes.size;
    bool unknown = word->characters > 100;
    for (size_t at = 0, length; at < size && !unknown; at += length) {
        int32_t id = plain_match(word, at, &length);
        unknown = id < 0;
        if (!unknown)
            plain_put(output, id, word->index.items[at], word->index.items[at + length - 1] + 1, word->number);
    }
    if (unknown) {
        output->ids.count = output->starts.count = output->ends.count = output->word_ids.count = before;
        plain_put(output, UNKNOWN, word->index.items[0], word->index.items[size - 1] + 1, word->number);
    }
    word->number++;
    word->characters = 0;
    word->bytes.size = word->index.count = 0;
}

/* Only for the characters that draw_text knows. */
static void plain_encode(const char *text, size_t size, bool lowercase, WordpieceOutput *output)
{
    PlainWord word = {0};
    int32_t index = 0;
    for (size_t at = 0; at < size; index++) {
        int32_t length;
        int32_t c = utf8_decode((const uint8_t *)text + at, size - at, &length);
        int32_t special = size - at >= 5 && memcmp(text + at, "[SEP]", 5) == 0    ? SEPARATOR
                          : size - at >= 6 && memcmp(text + at, "[MASK]", 6) == 0 ? MASK
                                                                                  : 0;
        if (special) {
            int32_t written = special == MASK ? 6 : 5;
            plain_flush(&word, output);
            plain_put(output, special, index, index + written, word.number++);
            at += (size_t)written;
            index += written - 1;
            continue;
        }
        at += (size_t)length;
        if (c == 1 || c == 0x7F || (lowercase && c == 0x301))
            continue;
        bool alone = c != ' ' && c < 0x80 && strchr(",.[]-#", (int)c);
        alone = alone || c == 0x4E2D;
        if (c == ' ' || c == '\t' || c == '\n' || alone)
            plain_flush(&word, output);
        if (c == ' ' || c == '\t' || c == '\n')
            continue;
        if (lowercase)
            c = c == 0xE9 ? 'e' : c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c;
        uint8_t bytes[4];
        int32_t written = utf8_encode(c, bytes);
        text_append(&word.bytes, (const char *)bytes, (size_t)written);
        for (int32_t i = 0; i < written; i++)
            array_push(&word.index, index);
        word.characters++;
        if (alone)
            plain_flush(&word, output);
    }
    plain_flush(&word, output);
    text_free(&word.bytes);
    array_free(&word.index);
}

/* ---- tests ---- */

static void expect_equal_scans(const WordScan *a, const WordScan *b, const char *name)
{
    if (a->count != b->count || a->size != b->size || a->stopped != b->stopped)
        fail_msg("%s: %d words in %d bytes, the portable one has %d in %d", name, a->count, a->size, b->count, b->size);
    assert_memory_equal(a->bytes, b->bytes, (size_t)a->size);
    for (int32_t i = 0; i < a->count; i++) {
        assert_int_equal(a->starts[i], b->starts[i]);
        assert_int_equal(a->ends[i], b->ends[i]);
    }
}

static void every_scanner_finds_what_the_portable_one_does(void **state)
{
    (void)state;
    size_t count;
    const WordScanner *scanners = word_scanners(&count);
    assert_true(count >= 1 && count <= SCANNERS);
    Guarded guarded = guarded_open();
    Source source = {0};
    Text text = {0};
    WordScan *found = memory_allocate(1, sizeof *found), *expected = memory_allocate(1, sizeof *expected);
    for (int lowercase = 0; lowercase < 2; lowercase++) {
        Wordpiece *wordpiece = open_pieces(lowercase == 1);
        for (int i = 0; i < TEXTS; i++) {
            draw_text(&source, &text);
            if (text.size == 0)
                continue;
            const char *bytes = guarded_put(&guarded, &text);
            scanners[count - 1].scan(&wordpiece->tables, (const uint8_t *)bytes, text.size, expected);
            for (size_t s = 0; s + 1 < count; s++) {
                scanners[s].scan(&wordpiece->tables, (const uint8_t *)bytes, text.size, found);
                expect_equal_scans(found, expected, scanners[s].name);
            }
        }
        for (int32_t byte = 0; byte < 256; byte++) { /* each byte, first in a block and last */
            char block[SCAN_BLOCK + 1];
            memset(block, 'a', sizeof block);
            block[0] = block[SCAN_BLOCK - 1] = block[SCAN_BLOCK] = (char)byte;
            scanners[count - 1].scan(&wordpiece->tables, (const uint8_t *)block, sizeof block, expected);
            for (size_t s = 0; s + 1 < count; s++) {
                scanners[s].scan(&wordpiece->tables, (const uint8_t *)block, sizeof block, found);
                expect_equal_scans(found, expected, scanners[s].name);
            }
        }
        wordpiece_close(&wordpiece);
    }
    free(found);
    free(expected);
    text_free(&text);
    guarded_close(&guarded);
}

static void expect_equal_outputs(const WordpieceOutput *got, const WordpieceOutput *expected, const char *what, const Text *text)
{
    bool equal = got->ids.count == expected->ids.count;
    for (size_t i = 0; i < expected->ids.count && equal; i++)
        equal = got->ids.items[i] == expected->ids.items[i] && got->starts.items[i] == expected->starts.items[i] &&
                got->ends.items[i] == expected->ends.items[i] && got->word_ids.items[i] == expected->word_ids.items[i];
    if (!equal)
        fail_msg("%s: %zu pieces differ from the expected %zu for \"%.*s\"", what, got->ids.count, expected->ids.count,
                 (int)text->size, text->bytes);
}

/* One text by one scanner: without a cache, and with caches that remember all texts before. */
static void expect_all_ways(Wordpiece *wordpiece, WordpieceEncoder *const encoders[], size_t encoder_count, const char *bytes,
                            const Text *text, const WordpieceOutput *expected)
{
    WordpieceOutput output = {0};
    assert_int_equal(wordpiece_encode_text(wordpiece, bytes, text->size, &output, NULL), STATUS_OK);
    expect_equal_outputs(&output, expected, "without a cache", text);
    for (size_t i = 0; i < encoder_count; i++) {
        for (int again = 0; again < 2; again++) {
            wordpiece_output_clear(&output);
            assert_int_equal(wordpiece_encoder_text(encoders[i], bytes, text->size, &output, NULL), STATUS_OK);
            expect_equal_outputs(&output, expected, again ? "a second time" : "with a cache", text);
        }
    }
    wordpiece_output_free(&output);
}

static void every_way_gives_what_the_plain_way_does(void **state)
{
    (void)state;
    static const size_t cache_sizes[] = {1, 64, WORDPIECE_CACHE_WORDS};
    enum { ENCODERS = sizeof cache_sizes / sizeof *cache_sizes };
    size_t count;
    const WordScanner *scanners = word_scanners(&count);
    Guarded guarded = guarded_open();
    Text text = {0};
    for (int lowercase = 0; lowercase < 2; lowercase++) {
        Wordpiece *wordpiece = open_pieces(lowercase == 1);
        for (size_t s = 0; s < count; s++) {
            Source source = {1u << 20};
            WordpieceEncoder *encoders[ENCODERS];
            WordpieceOutput expected = {0};
            wordpiece->scan = scanners[s].scan;
            for (size_t i = 0; i < ENCODERS; i++)
                assert_int_equal(wordpiece_encoder_create(&encoders[i], wordpiece, cache_sizes[i], NULL), STATUS_OK);
            for (int i = 0; i < TEXTS; i++) {
                draw_text(&source, &text);
                wordpiece_output_clear(&expected);
                plain_encode(text.bytes, text.size, lowercase == 1, &expected);
                expect_all_ways(wordpiece, encoders, ENCODERS, guarded_put(&guarded, &text), &text, &expected);
            }
            for (size_t i = 0; i < ENCODERS; i++)
                wordpiece_encoder_destroy(&encoders[i]);
            wordpiece_output_free(&expected);
        }
        wordpiece_close(&wordpiece);
    }
    text_free(&text);
    guarded_close(&guarded);
}

/* Tokens of up to 17 bytes have a way of their own. */
static void short_tokens_are_encoded_as_the_plain_way_does(void **state)
{
    (void)state;
    static const char alphabet[] = {'a', 'a', 'b', 'A', 'B', '1', ',', '[', ' ', '\0', '\1', 'x', '\xC3', '\xA9', '-', '#'};
    Guarded guarded = guarded_open();
    Source source = {1u << 21};
    Text text = {0};
    WordpieceOutput expected = {0}, output = {0};
    int compared = 0;
    for (int lowercase = 0; lowercase < 2; lowercase++) {
        Wordpiece *wordpiece = open_pieces(lowercase == 1);
        WordpieceEncoder *encoder = NULL;
        assert_int_equal(wordpiece_encoder_create(&encoder, wordpiece, 8, NULL), STATUS_OK);
        for (int i = 0; i < 20 * TEXTS; i++) {
            text_clear(&text);
            uint32_t kinds = draw(&source, 3) == 0 ? sizeof alphabet : 3;
            for (uint32_t left = 1 + draw(&source, 17); left > 0; left--)
                text_append(&text, &alphabet[draw(&source, kinds)], 1);
            if (utf8_valid_prefix(text.bytes, text.size) < text.size)
                continue;
            wordpiece_output_clear(&expected);
            wordpiece_output_clear(&output);
            Text without = {0}; /* the plain way knows no NUL: U+0001 is dropped alike */
            text_append(&without, text.bytes, text.size);
            for (size_t j = 0; j < without.size; j++)
                without.bytes[j] = without.bytes[j] == '\0' ? '\1' : without.bytes[j];
            plain_encode(without.bytes, without.size, lowercase == 1, &expected);
            for (size_t j = 0; j < expected.word_ids.count; j++)
                expected.word_ids.items[j] = 7;
            const char *bytes = guarded_put(&guarded, &text);
            assert_int_equal(wordpiece_encode_token(wordpiece, bytes, text.size, 7, &output, NULL), STATUS_OK);
            expect_equal_outputs(&output, &expected, "a token", &text);
            wordpiece_output_clear(&output);
            assert_int_equal(wordpiece_encoder_token(encoder, bytes, text.size, 7, &output, NULL), STATUS_OK);
            expect_equal_outputs(&output, &expected, "a token with a cache", &text);
            wordpiece_output_clear(&output);
            char padded[17 + WORDPIECE_TOKEN_SLACK];
            memset(padded, 'a', sizeof padded);
            memcpy(padded, text.bytes, text.size);
            assert_int_equal(wordpiece_encode_tokens(wordpiece, &(const char *){padded}, &text.size, 1, 7, &output, NULL),
                             STATUS_OK);
            expect_equal_outputs(&output, &expected, "one of some tokens", &text);
            text_free(&without);
            compared++;
        }
        wordpiece_encoder_destroy(&encoder);
        wordpiece_close(&wordpiece);
    }
    assert_true(compared > 20 * TEXTS);
    wordpiece_output_free(&expected);
    wordpiece_output_free(&output);
    text_free(&text);
    guarded_close(&guarded);
}

static void what_is_not_utf8_is_refused_with_its_place_after_any_run_of_ascii(void **state)
{
    (void)state;
    Guarded guarded = guarded_open();
    Wordpiece *wordpiece = open_pieces(true);
    Text text = {0};
    WordpieceOutput output = {0};
    for (int length = 0; length < 140; length++) {
        for (int cut = 0; cut < 2; cut++) {
            Diagnostic diagnostic = {0};
            char expected[64];
            text_clear(&text);
            for (int i = 0; i < length; i++)
                text_append_string(&text, i % 9 == 8 ? " " : "a");
            text_append_string(&text, cut ? "\xE4\xB8"
                                          : "\xFF"
                                            "a");
            assert_int_equal(wordpiece_encode_text(wordpiece, guarded_put(&guarded, &text), text.size, &output, &diagnostic),
                             STATUS_INVALID_INPUT);
            snprintf(expected, sizeof expected, "byte offset %d", length);
            assert_string_equal(strstr(diagnostic.message, "byte offset"), expected);
            assert_int_equal(output.ids.count, 0);
        }
    }
    wordpiece_output_free(&output);
    text_free(&text);
    wordpiece_close(&wordpiece);
    guarded_close(&guarded);
}

/* A word of the vocabulary is known by all of its bytes: its neighbours in the table and in the cache are others. */
static void words_that_differ_in_one_byte_are_not_taken_for_one_another(void **state)
{
    (void)state;
    Wordpiece *wordpiece = open_pieces(false);
    WordpieceEncoder *encoder = NULL;
    WordpieceOutput output = {0}, expected = {0};
    assert_int_equal(wordpiece_encoder_create(&encoder, wordpiece, 1, NULL), STATUS_OK);
    for (int32_t size = 1; size <= 18; size++) {
        for (int32_t changed = -1; changed < size; changed++) {
            char word[18];
            Text text = {0};
            memset(word, 'a', sizeof word);
            if (changed >= 0)
                word[changed] = 'b';
            text_append(&text, word, (size_t)size);
            wordpiece_output_clear(&output);
            wordpiece_output_clear(&expected);
            plain_encode(word, (size_t)size, false, &expected);
            assert_int_equal(wordpiece_encoder_text(encoder, word, (size_t)size, &output, NULL), STATUS_OK);
            expect_equal_outputs(&output, &expected, "a word", &text);
            text_free(&text);
        }
    }
    wordpiece_output_free(&output);
    wordpiece_output_free(&expected);
    wordpiece_encoder_destroy(&encoder);
    wordpiece_close(&wordpiece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scanner_finds_what_the_portable_one_does),
        cmocka_unit_test(every_way_gives_what_the_plain_way_does),
        cmocka_unit_test(short_tokens_are_encoded_as_the_plain_way_does),
        cmocka_unit_test(what_is_not_utf8_is_refused_with_its_place_after_any_run_of_ascii),
        cmocka_unit_test(words_that_differ_in_one_byte_are_not_taken_for_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
