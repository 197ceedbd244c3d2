/* Spans and scores against seqeval's, as tests/golden/make_seqeval_goldens.py wrote them down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/json.h"
#include "core/spans/score.h"

static const double tolerance = 1e-12; /* the order of a few additions in double */
#define assert_near(a, b) assert_true(fabs((a) - (b)) <= tolerance)

static int golden_open(void **state)
{
    Json *golden = NULL;
    Diagnostic diagnostic = {0};
    if (json_read_file(&golden, NERSWEEP_SOURCE_DIR "/tests/golden/seqeval.json", 1 << 20, &diagnostic) != STATUS_OK) {
        print_error("%s\n", diagnostic.message);
        return -1;
    }
    *state = golden;
    return 0;
}

static int golden_close(void **state)
{
    Json *golden = *state;
    json_destroy(&golden);
    return 0;
}

/* Every label of a list of sentences into set. */
static void add_labels(LabelSet *set, const Json *sentences)
{
    for (size_t s = 0; s < json_count(sentences); s++)
        for (size_t i = 0; i < json_count(json_at(sentences, s)); i++)
            label_set_add(set, json_string_value(json_at(json_at(sentences, s), i)));
}

static int32_t *label_ids(const LabelSet *set, const Json *labels)
{
    int32_t *ids = calloc(json_count(labels) + 1, sizeof *ids);
    for (size_t i = 0; i < json_count(labels); i++)
        ids[i] = label_set_find(set, json_string_value(json_at(labels, i)));
    return ids;
}

static void check_spans(const LabelTable *table, const SpanArray *spans, const Json *expected)
{
    assert_int_equal(spans->count, json_count(expected));
    for (size_t i = 0; i < spans->count; i++) {
        const Json *span = json_at(expected, i);
        assert_string_equal(table->type_names[spans->items[i].type], json_string_value(json_at(span, 0)));
        assert_int_equal(spans->items[i].start, json_integer_value(json_at(span, 1), -1));
        assert_int_equal(spans->items[i].end, json_integer_value(json_at(span, 2), -1));
    }
}

static void check_sequence(LabelScheme scheme, const Json *row)
{
    const Json *labels = json_get(row, "labels");
    int32_t n = (int32_t)json_count(labels);
    LabelSet *set = label_set_create();
    for (int32_t i = 0; i < n; i++)
        label_set_add(set, json_string_value(json_at(labels, (size_t)i)));
    LabelTable *table = NULL;
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    int32_t *ids = label_ids(set, labels);
    SpanArray spans = {0};
    spans_extract_default(table, ids, n, &spans);
    check_spans(table, &spans, json_get(row, "default"));
    spans.count = 0;
    spans_extract_strict(table, scheme, ids, n, &spans);
    check_spans(table, &spans, json_get(row, "strict"));
    array_free(&spans);
    free(ids);
    label_table_destroy(&table);
    label_set_destroy(&set);
}

static void spans_are_those_of_seqeval_in_both_modes(void **state)
{
    const Json *schemes = json_get(*state, "sequences");
    assert_int_equal(json_count(schemes), 6);
    for (size_t s = 0; s < json_count(schemes); s++) {
        LabelScheme scheme;
        assert_true(label_scheme_parse(json_key_at(schemes, s), &scheme));
        const Json *rows = json_value_at(schemes, s);
        assert_true(json_count(rows) >= 60);
        for (size_t i = 0; i < json_count(rows); i++)
            check_sequence(scheme, json_at(rows, i));
    }
}

static void check_row(const ScoreRow *row, const Json *expected)
{
    assert_int_equal(json_count(expected), 4);
    assert_near(row->precision, json_number_value(json_at(expected, 0), -1));
    assert_near(row->recall, json_number_value(json_at(expected, 1), -1));
    assert_near(row->f1, json_number_value(json_at(expected, 2), -1));
    assert_int_equal(row->support, json_integer_value(json_at(expected, 3), -1));
}

static void check_report(const ScoreReport *report, const LabelTable *table, const Json *expected)
{
    if (!expected)
        return; /* no span at all: seqeval has no figure */
    check_row(&report->micro, json_get(expected, "micro"));
    check_row(&report->macro, json_get(expected, "macro"));
    check_row(&report->weighted, json_get(expected, "weighted"));
    size_t present = 0;
    for (int32_t type = 0; type < table->type_count; type++) {
        const Json *row = json_get(json_get(expected, "types"), table->type_names[type]);
        assert_int_equal(report->type_present[type], row != NULL);
        if (row)
            check_row(&report->types[type], row);
        present += row != NULL;
    }
    assert_int_equal(present, json_count(json_get(expected, "types")));
}

static void extract(const LabelTable *table, bool strict, LabelScheme scheme, const int32_t *ids, int32_t n, SpanArray *spans)
{
    spans->count = 0;
    if (strict)
        spans_extract_strict(table, scheme, ids, n, spans);
    else
        spans_extract_default(table, ids, n, spans);
}

static void check_corpus(const Json *corpus, bool strict)
{
    const Json *gold = json_get(corpus, "gold"), *predicted = json_get(corpus, "predicted");
    LabelScheme scheme;
    assert_true(label_scheme_parse(json_string_value(json_get(corpus, "scheme")), &scheme));
    LabelSet *set = label_set_create();
    add_labels(set, gold);
    add_labels(set, predicted);
    LabelTable *table = NULL;
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    ScoreCounts *counts = score_counts_create(table->type_count);
    SpanArray gold_spans = {0}, predicted_spans = {0};
    for (size_t s = 0; s < json_count(gold); s++) {
        int32_t n = (int32_t)json_count(json_at(gold, s));
        int32_t *gold_ids = label_ids(set, json_at(gold, s)), *predicted_ids = label_ids(set, json_at(predicted, s));
        extract(table, strict, scheme, gold_ids, n, &gold_spans);
        extract(table, strict, scheme, predicted_ids, n, &predicted_spans);
        score_counts_add(counts, gold_spans.items, gold_spans.count, predicted_spans.items, predicted_spans.count);
        score_counts_add_tokens(counts, gold_ids, predicted_ids, n);
        free(gold_ids);
        free(predicted_ids);
    }
    ScoreReport report;
    score_report_make(&report, counts, json_number_value(json_get(corpus, "zero_division"), 0));
    check_report(&report, table, json_get(corpus, strict ? "strict" : "default"));
    assert_near(report.accuracy, json_number_value(json_get(corpus, "accuracy"), -1));
    score_report_free(&report);
    array_free(&gold_spans);
    array_free(&predicted_spans);
    score_counts_destroy(&counts);
    label_table_destroy(&table);
    label_set_destroy(&set);
}

static void scores_are_those_of_seqeval_in_both_modes(void **state)
{
    const Json *corpora = json_get(*state, "corpora");
    assert_true(json_count(corpora) >= 48);
    for (size_t i = 0; i < json_count(corpora); i++) {
        check_corpus(json_at(corpora, i), false);
        check_corpus(json_at(corpora, i), true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_those_of_seqeval_in_both_modes),
        cmocka_unit_test(scores_are_those_of_seqeval_in_both_modes),
    };
    return cmocka_run_group_tests(tests, golden_open, golden_close);
}
