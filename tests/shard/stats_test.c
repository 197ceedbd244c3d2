#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shard/stats.h"

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
        cmocka_unit_test(statistics_count_what_is_there),
        cmocka_unit_test(statistics_of_the_example_corpus_are_those_of_its_readme),
        cmocka_unit_test(statistics_of_a_broken_file_fail_with_the_place),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
