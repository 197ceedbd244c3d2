/* A CoNLL file that is read in ranges reads as one that is read as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "reading.h"
#include "shard/sequence_reader.h"
#include "support.h"

/* Each with what may stand at a border, and nothing of it twice. */
static const char *const VARIANTS[] = {
    "a\tO\nb\tB-X\n\nc\tO\n\nd\tI-X\n",
    "a\tO\n\nb\tO", /* nothing ends the last line */
    "a\tO\n\nb\tO\n\n \t \n\n",
    "\n\n\na\tO\n\n\n\nb\tO\n\n\n",
    "\xEF\xBB\xBF"
    "a\tO\n\nb\tO\n",
    "\xEF\xBB\xBF\n\na\tO\n\nb\tO\n",
    "a\tO\r\nb\tO\r\n\r\nc\tO\r\n\r\n\r\nd\tO\r\n",
    "a\tO\n   \nb\tO\n\t\nc\tO\n \t \r\nd\tO\n\r\r\ne\tO\n",
    "# one\na\tO\n\n# two\n# three\nb\tO\n\n#\nc\tO\n\n# nothing\n\n#\n\nd\tO\n# in it\ne\tO\n",
    "-DOCSTART-\tO\n\na\tO\n\nb\tO\n\n-DOCSTART-\tO\n\nc\tO\n",
    "-DOCSTART- -X- O O\n\na NN I-NP O\nb NN I-NP B-X\n\n-DOCSTART- -X- O O\n\nc NN O O\n",
    "a\tO\n-DOCSTART-\tO\nb\tO\n-DOCSTART-\nc\tO\n\n-DOCSTART-\n-DOCSTART- \n\nd\tO\n-DOCSTART-",
    "a\tO\n-DOCSTART-\xFF\tO\n",
    "a\tO\n\n-DOCSTART-x\tO\n\nb\tO\n\n-DOCSTART-\r\n\r\nc\tO\n",
    "1\ta\tO\n2\t-DOCSTART-\tO\n3\tb\tO\n\n4\tc\tO\n5\t-DOCSTART-\tO\n\n6\td\tO\n",
    "a\tO\n\n\tO\nb\tO\n\n\tO\n\n\tB-X\n", /* tokens without text */
    "a O\n\n O\nb O\n",
    "a\tO\n\nb\n\nc\tO\n", /* errors: at the first, in the midst, at the last sentence, behind good ones */
    "a\n\nb\tO\n\nc\tO\n",
    "a\tO\n\nb\tO\n\nc\tO\nd\n",
    "a\tO\n\nb\tO\nc\t\n\nd\tO\n",
    "a\tO\n\nb\tO\n\n\xFF\tO\n\nc\n",
    "a\tO\n\nb\rc\tO\n\nd\tO\n",
    "a\tO\n\n\tO\nb\n\n\tO\n", /* a warning before an error and one behind it */
    "a\tO\n\nb\n\n\tO\n",
    "",
    "\n",
    " \t",
    "# nothing\n\n# at all\n",
};

/* As columns are found, so are weights. */
static const char WEIGHTED[] = "a\tO\t0.5\nb\tO\t0.5\n\nc\tO\t1\n\nd\tO\t0.25\n\ne\tO\t0.25\nf\tO\t0.5\n\ng\tO\t1\n";

static void compare(const char *path, CorpusOptions options, const RangeSizes *sizes, ReadingCounts *counts)
{
    char *whole = reading_of_whole(path, options, sizes->documents);
    char *ranges = reading_of_ranges(path, options, sizes, counts);
    if (strcmp(whole, ranges) != 0)
        fail_msg("%llu to %llu bytes%s: whole\n%s\nin ranges\n%s", (unsigned long long)sizes->size_bytes,
                 (unsigned long long)sizes->limit_bytes, sizes->documents ? " of documents" : "", whole, ranges);
    free(whole);
    free(ranges);
}

static void compare_all(const char *folder, const char *text, CorpusOptions options)
{
    char *path = scratch_write(folder, "corpus.conll", text);
    ReadingCounts counts;
    options.format = CORPUS_CONLL;
    for (int documents = 0; documents < 2; documents++)
        for (uint64_t size = 0; size <= strlen(text) + 1; size++) {
            compare(path, options, &(RangeSizes){size, UINT64_MAX, documents}, &counts);
            compare(path, options, &(RangeSizes){size, size, documents}, &counts);
            compare(path, options, &(RangeSizes){size, size + 7, documents}, &counts);
        }
    free(path);
}

static void ranges_of_any_size_read_as_the_whole_file(void **state)
{
    for (size_t i = 0; i < sizeof VARIANTS / sizeof *VARIANTS; i++)
        compare_all(*state, VARIANTS[i], (CorpusOptions){0});
    compare_all(*state, WEIGHTED, (CorpusOptions){.weight_column = true});
    compare_all(*state, "1\ta\tO\n2\t-DOCSTART-\tO\n3\tb\tO\n\n4\tc\tO\n", (CorpusOptions){.token_column = 2});
}

static void example_files_read_as_the_whole_file(void **state)
{
    (void)state;
    static const char *const files[] = {"examples/train.conll", "examples/dev.conll", "tests/shard/data/small.conll"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ReadingCounts counts;
        char *path = memory_format("%s/%s", NERSWEEP_SOURCE_DIR, files[i]);
        for (uint64_t size = 1; size < 20000; size = size * 3 + 1) {
            compare(path, (CorpusOptions){.format = CORPUS_CONLL}, &(RangeSizes){size, UINT64_MAX, false}, &counts);
            assert_int_equal(counts.by_itself, 0);
            if (size == 1)
                assert_true(counts.ranges >= 2);
            compare(path, (CorpusOptions){.format = CORPUS_CONLL}, &(RangeSizes){size, UINT64_MAX, true}, &counts);
        }
        free(path);
    }
}

/* Borders and lines where one buffer of the reader ends and the next begins. */
static void borders_at_the_end_of_a_buffer_are_found(void **state)
{
    enum { BUFFER = 1 << 16 };
    static const char *const borders[] = {"\n", " \t\r\n", "\n-DOCSTART-\tO\n", "\r\n-DOCSTART-\r\n", "\n-DOCSTART-x\tO\n"};
    static const int ranges[][2] = {{2, 1}, {2, 1}, {2, 2}, {2, 2}, {2, 1}}; /* of sentences, of documents */
    for (size_t b = 0; b < sizeof borders / sizeof *borders; b++)
        for (int before = 0; before < 24; before++) {
            Text text = {0};
            ReadingCounts counts;
            while (text.size + 48 < BUFFER)
                text_append_string(&text, "word\tO\n");
            text_format(&text, "%0*d\tO\n", (int)(BUFFER - text.size) - 3 - before,
                        0); /* the border begins so much before the end */
            text_format(&text, "%sb\tO\n%sc\tO\n", borders[b], borders[b]);
            char *path = scratch_write(*state, "buffer.conll", text.bytes);
            for (int documents = 0; documents < 2; documents++) {
                compare(path, (CorpusOptions){.format = CORPUS_CONLL}, &(RangeSizes){BUFFER - 100, UINT64_MAX, documents}, &counts);
                assert_int_equal(counts.ranges, ranges[b][documents]);
            }
            free(path);
            text_free(&text);
        }
}

/* Where nothing but marks in the second column parts the sentences, there are no borders. */
static void a_file_without_borders_is_read_by_one(void **state)
{
    ReadingCounts counts;
    char *path = scratch_write(*state, "marks.conll", "1\ta\tO\n2\t-DOCSTART-\tO\n3\tb\tO\n4\t-DOCSTART-\tO\n5\tc\tO\n\n6\td\tO\n");
    CorpusOptions options = {.format = CORPUS_CONLL, .token_column = 2};
    compare(path, options, &(RangeSizes){1, 6, false}, &counts);
    assert_true(counts.by_itself > 1 && counts.ranges > 0);
    compare(path, options, &(RangeSizes){1, 6, true}, &counts);
    assert_int_equal(counts.by_itself, 1);
    free(path);
}

/* ---- as sequences ---- */

static void parts_of_any_size_have_the_same_sequences(void **state)
{
    for (size_t i = 0; i < sizeof VARIANTS / sizeof *VARIANTS; i++)
        for (int documents = 0; documents < 2; documents++) {
            int most = 0;
            PartCounts counts;
            char *path = scratch_write(*state, "corpus.conll", VARIANTS[i]);
            CorpusOptions options = {.format = CORPUS_CONLL};
            char *whole = reading_of_sequences(path, options, documents, SIZE_MAX, true, &counts);
            assert_true(counts.parts <= 1 && counts.scanned == 0);
            for (size_t size = 1; size <= strlen(VARIANTS[i]); size++) {
                char *cut = reading_of_sequences(path, options, documents, size, false, &counts);
                assert_string_equal(cut, whole);
                most = counts.parts > most ? counts.parts : most;
                assert_true(i > 1 || counts.scanned == counts.parts);
                free(cut);
            }
            if (i == 9) /* documents of two sentences and one */
                assert_int_equal(most, documents ? 2 : 5);
            free(whole);
            free(path);
        }
}

/* ---- scans ---- */

static const char *const PLAIN_PIECES[] = {"a",
                                           "word",
                                           "sixteen bytes ok",
                                           "\xC3\xA9t\xC3\xA9",
                                           "-",
                                           "#",
                                           "-x",
                                           "O",
                                           "B-X",
                                           "I-X",
                                           "I-Y",
                                           "B-A-LABEL-OF-MORE-BYTES",
                                           "B-A-LABEL-OF-MORE-BYTES-STILL",
                                           "\n\n",
                                           "\n",
                                           "\t",
                                           "\tO\n",
                                           "\tB-X\n",
                                           "\tI-X\n",
                                           "# ",
                                           " ",
                                           "-DOCSTART-",
                                           "\n\n-DOCSTART-\tO\n\n",
                                           "\r\n",
                                           "\tI-A-LABEL-OF-MORE-BYTES\n"};
static const char *const OTHER_PIECES[] = {"\r",    "\xFF",   "\xC3",         "  ",  "\t\t",  "\t \n",
                                           "\n \n", "\n\t\n", "\xEF\xBB\xBF", "#\n", "\r\r\n"};

/* Lines of two or three columns, most of them right, drawn from a number. */
static void corpus_draw(uint32_t seed, Text *text)
{
    enum { PLAIN = sizeof PLAIN_PIECES / sizeof *PLAIN_PIECES, OTHER = sizeof OTHER_PIECES / sizeof *OTHER_PIECES };
    PhiloxKey key = philox_key(17, RANDOM_INIT, 0);
    bool wild = seed % 4 == 3, spaces = seed % 8 == 5, returns = seed % 16 == 4;
    text_clear(text);
    text_append(text, "", 0);
    for (uint32_t i = 0; i < 40; i++) {
        PhiloxBlock random = philox4x32_10(key, seed, i, 0, 0);
        const char *token = PLAIN_PIECES[random.word[0] % 7], *label = PLAIN_PIECES[7 + random.word[1] % 6];
        if (random.word[2] % 5 == 0)
            text_append_string(text, random.word[3] % 3 ? "\n" : random.word[3] % 5 ? "# a comment\n" : "\n-DOCSTART-\tO\n\n");
        if (wild && random.word[3] % 16 == 0)
            text_append_string(text,
                               random.word[3] % 32 ? PLAIN_PIECES[random.word[2] % PLAIN] : OTHER_PIECES[random.word[2] % OTHER]);
        text_format(text, "%s%s%s%s%s", token, spaces ? " " : "\t",
                    seed % 3 ? ""
                    : spaces ? "x "
                             : "x\t",
                    label, returns ? "\r\n" : "\n");
    }
}

/* White space that ends a line is no field, wherever the label stands. */
static void columns_behind_the_label_are_looked_at_as_well(void **state)
{
    static const char *const texts[] = {"a\tO\tx\nb\tO\t \nc\tO\tx\n", "a\tO\tx\nb\tO\tx \nc\tO\tx\n",
                                        "a\tO\tx\nb\tO\t\t\nc\tO\tx\n", "a O x\nb O x \nc O x\n", "a\tO\tx\nb\tO\tx\ty\nc\tO\tx\n"};
    CorpusOptions options = {.format = CORPUS_CONLL, .label_column = 2};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        PartCounts counts;
        char *path = scratch_write(*state, "behind.conll", texts[i]);
        char *lines = reading_of_sequences(path, options, false, SIZE_MAX, true, &counts);
        char *scans = reading_of_sequences(path, options, false, SIZE_MAX, false, &counts);
        assert_string_equal(scans, lines);
        free(lines);
        free(scans);
        free(path);
    }
}

/* A scan finds what a reader finds, or leaves the range to it. */
static void scans_find_what_readers_find(void **state)
{
    Text text = {0};
    int64_t parts = 0, scanned = 0, failed = 0;
    for (uint32_t seed = 0; seed < 800; seed++) {
        corpus_draw(seed, &text);
        char *path = scratch_write(*state, "drawn.conll", text.bytes);
        CorpusOptions options = {.format = CORPUS_CONLL, .token_column = seed % 5 == 4 && seed % 3 == 0 ? 2 : 1};
        if (seed % 5 == 3 && seed % 3 == 0)
            options.label_column = 2; /* what stands behind it does not matter, but for its white space */
        PartCounts counts;
        bool documents = seed % 2;
        char *lines = reading_of_sequences(path, options, documents, 100, true, &counts);
        char *scans = reading_of_sequences(path, options, documents, 100, false, &counts);
        if (strcmp(lines, scans) != 0)
            fail_msg("seed %u: by lines\n%s\nin scans\n%s", seed, lines, scans);
        parts += counts.parts;
        scanned += counts.scanned;
        failed += strstr(scans, "drawn.conll:") != NULL;
        free(lines);
        free(scans);
        free(path);
    }
    assert_true(scanned > parts / 2 && scanned < parts);
    assert_true(failed > 0);
    text_free(&text);
}

/* More than a range may have without a border, then sentences that can be cut again, and documents, which cannot. */
static void sequences_without_borders_are_the_same(void **state)
{
    Text text = {0};
    while (text.size < SEQUENCE_PART_LIMIT + (1 << 20))
        text_append_string(&text, "1\tword\tO\n2\t-DOCSTART-\tO\n3\tother\tB-X\n");
    size_t marks = text.size;
    for (int i = 0; i < 9000; i++)
        text_append_string(&text, "4\tlast\tO\n\n");
    char *path = scratch_write(*state, "marks.conll", text.bytes);
    CorpusOptions options = {.format = CORPUS_CONLL, .token_column = 2};
    for (int documents = 0; documents < 2; documents++) {
        PartCounts counts, whole_counts;
        char *whole = reading_of_sequences(path, options, documents, marks * 2, true, &whole_counts);
        char *cut = reading_of_sequences(path, options, documents, 1 << 12, false, &counts);
        assert_true(strcmp(cut, whole) == 0);
        assert_int_equal(whole_counts.parts, 1);
        assert_true(counts.parts > 20);
        free(cut);
        free(whole);
    }
    text_free(&text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_of_any_size_read_as_the_whole_file),      cmocka_unit_test(example_files_read_as_the_whole_file),
        cmocka_unit_test(borders_at_the_end_of_a_buffer_are_found),       cmocka_unit_test(a_file_without_borders_is_read_by_one),
        cmocka_unit_test(parts_of_any_size_have_the_same_sequences),      cmocka_unit_test(sequences_without_borders_are_the_same),
        cmocka_unit_test(columns_behind_the_label_are_looked_at_as_well), cmocka_unit_test(scans_find_what_readers_find),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
