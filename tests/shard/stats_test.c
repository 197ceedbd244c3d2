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

static CorpusStats *stats_of(const char *path, CorpusStatsOptions options)
{
    Diagnostic diagnostic = {0};
    CorpusStats *stats = NULL;
    must(corpus_stats_create(&stats, path, &options, &diagnostic), &diagnostic);
    return stats;
}

/* Compared with one earlier file. */
static CorpusStats *stats_beside(const char *path, const CorpusStats *earlier)
{
    return stats_of(path, (CorpusStatsOptions){.earlier = &earlier, .earlier_count = 1});
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
    CorpusStats *train_stats = stats_of(train, (CorpusStatsOptions){.wordpiece = wordpiece, .window_pieces = 5});
    CorpusStats *dev_stats = stats_beside(dev, train_stats);
    Json *json = corpus_stats_json(train_stats);
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
    assert_null(json_get(json_get(json_get(json, "types"), "PER"), "unseen"));
    assert_int_equal(integer_at(json, "pieces", "window"), 5);
    assert_int_equal(integer_at(json, "pieces", "over_window"), 3); /* 6, 13 and 6 pieces */
    assert_int_equal(integer_at(json, "distinct_tokens", NULL), 5);
    near(json_number_value(json_get(json, "type_token_ratio"), 0), 5.0 / 8);
    assert_int_equal(integer_at(json, "all_o_sentences", NULL), 0);
    json_destroy(&json);
    json = corpus_stats_json(dev_stats);
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
        CorpusStats *stats = stats_of(path, (CorpusStatsOptions){0});
        Json *json = corpus_stats_json(stats);
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

static void spans_are_unseen_whose_form_the_first_file_lacks_under_that_type(void **state)
{
    char *train = scratch_write(*state, "seen.conll", "Paris\tB-LOC\n\nAnn\tB-PER\nLee\tI-PER\n\nOslo\tB-LOC\n");
    char *dev =
        scratch_write(*state, "unseen.conll",
                      "Paris\tB-PER\n\nPar\tB-LOC\nis\tI-LOC\n\nparis\tB-LOC\n\nOslo\tB-LOC\n\nOslo\tB-LOC\n\nx\tB-NEW\n\nno\tO\n");
    CorpusStats *first = stats_of(train, (CorpusStatsOptions){0}), *second = stats_beside(dev, first);
    Json *json = corpus_stats_json(second);
    const Json *types = json_get(json, "types");
    assert_int_equal(integer_at(types, "PER", "unseen"), 1);
    assert_int_equal(integer_at(types, "LOC", "unseen"), 2);
    assert_int_equal(integer_at(types, "LOC", "forms"), 3);
    assert_int_equal(integer_at(types, "NEW", "unseen"), 1);
    near(json_number_value(json_get(json_get(types, "LOC"), "unseen_share"), 0), 2.0 / 4);
    near(json_number_value(json_get(json_get(types, "LOC"), "mean_length"), 0), 5.0 / 4);
    assert_int_equal(integer_at(json, "unseen", NULL), 4);
    near(json_number_value(json_get(json, "unseen_share"), 0), 4.0 / 6);
    assert_int_equal(integer_at(json, "overlap_with_train", NULL), 3); /* labels do not matter: Paris, Oslo twice */
    assert_int_equal(integer_at(json, "duplicate_sentences", NULL), 1);
    assert_int_equal(integer_at(json, "all_o_sentences", NULL), 1);
    near(json_number_value(json_get(json, "all_o_share"), 0), 1.0 / 7);
    json_destroy(&json);
    corpus_stats_destroy(&first);
    corpus_stats_destroy(&second);
    free(train);
    free(dev);
}

static void histograms_hold_every_length_once(void **state)
{
    char *path = scratch_write(*state, "lengths.conll", "a\tB-X\n\na\tB-X\nb\tI-X\nc\tI-X\n\nd\tO\n\ne\tO\nf\tO\nx\tB-X\n");
    CorpusStats *stats = stats_of(path, (CorpusStatsOptions){0});
    Json *json = corpus_stats_json(stats);
    char *lengths = json_text(json_get(json_get(json, "length"), "histogram"), JSON_COMPACT);
    char *spans = json_text(json_get(json_get(json, "span_length"), "histogram"), JSON_COMPACT);
    assert_string_equal(lengths, "[[1,2],[3,2]]");
    assert_string_equal(spans, "[[1,2],[3,1]]");
    near(json_number_value(json_get(json_get(json, "length"), "median"), 0), 2);
    near(json_number_value(json_get(json_get(json, "span_length"), "mean"), 0), 5.0 / 3);
    free(lengths);
    free(spans);
    json_destroy(&json);
    corpus_stats_destroy(&stats);
    free(path);
}

static void more_that_is_distinct_than_memory_is_for_is_said_and_counted_low(void **state)
{
    char *train = scratch_write(*state, "many.conll", "a\tB-X\n\nb\tB-X\n\nc\tB-X\n\na\tB-X\n\nc\tB-X\n");
    CorpusStats *stats = stats_of(train, (CorpusStatsOptions){.hash_limit = 2});
    Json *json = corpus_stats_json(stats);
    assert_true(json_boolean_value(json_get(json, "limit_reached"), false));
    assert_int_equal(integer_at(json, "duplicate_sentences", NULL), 1); /* a; c was not kept */
    assert_int_equal(integer_at(json, "distinct_tokens", NULL), 2);
    assert_int_equal(integer_at(json_get(json, "types"), "X", "forms"), 2);
    assert_int_equal(integer_at(json, "spans", NULL), 5);
    json_destroy(&json);
    CorpusStats *whole = stats_of(train, (CorpusStatsOptions){.hash_limit = 3});
    json = corpus_stats_json(whole);
    assert_false(json_boolean_value(json_get(json, "limit_reached"), true));
    assert_int_equal(integer_at(json, "duplicate_sentences", NULL), 2);
    json_destroy(&json);
    CorpusStats *later = stats_beside(train, stats);
    json = corpus_stats_json(later);
    assert_true(json_boolean_value(json_get(json, "limit_reached"), false));
    json_destroy(&json);
    corpus_stats_destroy(&later);
    corpus_stats_destroy(&whole);
    corpus_stats_destroy(&stats);
    free(train);
}

static void a_column_that_is_none_of_labels_is_refused_early(void **state)
{
    Diagnostic diagnostic = {0};
    CorpusStats *stats = NULL;
    Text text = {0};
    for (int i = 0; i <= STATS_LABEL_LIMIT; i++)
        text_format(&text, "a\tB-%d\n", i);
    char *path = scratch_write(*state, "labels.conll", text.bytes);
    assert_int_equal(corpus_stats_create(&stats, path, &(CorpusStatsOptions){0}, &diagnostic), STATUS_LIMIT);
    assert_int_equal(diagnostic.input_line, STATS_LABEL_LIMIT + 1);
    must_contain(diagnostic.message, "is this the column of the labels?");
    assert_null(stats);
    text_free(&text);
    free(path);
}

static void statistics_of_a_broken_file_fail_with_the_place(void **state)
{
    Diagnostic diagnostic = {0};
    CorpusStats *stats = NULL;
    char *path = scratch_write(*state, "broken.conll", "a\tO\nb\tQ-X\n");
    assert_int_equal(corpus_stats_create(&stats, path, &(CorpusStatsOptions){0}, &diagnostic), STATUS_INVALID_INPUT);
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
        cmocka_unit_test(spans_are_unseen_whose_form_the_first_file_lacks_under_that_type),
        cmocka_unit_test(histograms_hold_every_length_once),
        cmocka_unit_test(more_that_is_distinct_than_memory_is_for_is_said_and_counted_low),
        cmocka_unit_test(a_column_that_is_none_of_labels_is_refused_early),
        cmocka_unit_test(statistics_of_a_broken_file_fail_with_the_place),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
