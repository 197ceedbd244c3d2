/* The schemas of MUC against nervaluate's counts, as tests/golden/make_nervaluate_goldens.py wrote them down, and a few by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/json.h"
#include "core/spans/muc.h"

static const double tolerance = 1e-12; /* the order of a few operations in double */

static int golden_open(void **state)
{
    Json *golden = NULL;
    Diagnostic diagnostic = {0};
    if (json_read_file(&golden, NERSWEEP_SOURCE_DIR "/tests/golden/nervaluate.json", 1 << 20, &diagnostic) != STATUS_OK) {
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

static int32_t type_index(const Json *types, const char *name)
{
    for (size_t i = 0; i < json_count(types); i++)
        if (strcmp(json_string_value(json_at(types, i)), name) == 0)
            return (int32_t)i;
    fail_msg("no type %s", name);
    return -1;
}

/* only: a type, or -1 for all. */
static void spans_read(const Json *list, const Json *types, int32_t only, SpanArray *spans)
{
    spans->count = 0;
    for (size_t i = 0; i < json_count(list); i++) {
        const Json *item = json_at(list, i);
        Span span = {.start = (int32_t)json_integer_value(json_at(item, 1), -1),
                     .end = (int32_t)json_integer_value(json_at(item, 2), -1),
                     .type = type_index(types, json_string_value(json_at(item, 0)))};
        if (only < 0 || span.type == only)
            array_push(spans, span);
    }
}

static void check_schema(const MucCounts *counts, const Json *expected)
{
    MucScore score = muc_score(counts);
    assert_non_null(expected);
    assert_int_equal(counts->correct, json_integer_value(json_get(expected, "correct"), -1));
    assert_int_equal(counts->incorrect, json_integer_value(json_get(expected, "incorrect"), -1));
    assert_int_equal(counts->partial, json_integer_value(json_get(expected, "partial"), -1));
    assert_int_equal(counts->missed, json_integer_value(json_get(expected, "missed"), -1));
    assert_int_equal(counts->spurious, json_integer_value(json_get(expected, "spurious"), -1));
    assert_int_equal(score.possible, json_integer_value(json_get(expected, "possible"), -1));
    assert_int_equal(score.actual, json_integer_value(json_get(expected, "actual"), -1));
    assert_true(fabs(score.precision - json_number_value(json_get(expected, "precision"), -1)) <= tolerance);
    assert_true(fabs(score.recall - json_number_value(json_get(expected, "recall"), -1)) <= tolerance);
    assert_true(fabs(score.f1 - json_number_value(json_get(expected, "f1"), -1)) <= tolerance);
}

static void check_corpus(const Json *corpus, const Json *types, int32_t only, const Json *expected)
{
    MucCounts counts[MUC_SCHEMA_COUNT] = {0};
    SpanArray gold = {0}, predicted = {0};
    const Json *sentences = json_get(corpus, "sentences");
    for (size_t i = 0; i < json_count(sentences); i++) {
        spans_read(json_at(json_at(sentences, i), 0), types, only, &gold);
        spans_read(json_at(json_at(sentences, i), 1), types, only, &predicted);
        muc_counts_add(counts, gold.items, gold.count, predicted.items, predicted.count);
    }
    for (int schema = 0; schema < MUC_SCHEMA_COUNT; schema++)
        check_schema(&counts[schema], json_get(expected, muc_schema_names[schema]));
    array_free(&gold);
    array_free(&predicted);
}

static void every_count_and_score_is_that_of_nervaluate(void **state)
{
    const Json *golden = *state, *types = json_get(golden, "types"), *corpora = json_get(golden, "corpora");
    assert_int_equal(json_count(corpora), 40);
    for (size_t i = 0; i < json_count(corpora); i++) {
        const Json *corpus = json_at(corpora, i), *by_type = json_get(corpus, "types");
        check_corpus(corpus, types, -1, json_get(corpus, "overall"));
        for (const char *key = json_next_key(by_type, NULL); key; key = json_next_key(by_type, key))
            check_corpus(corpus, types, type_index(types, key), json_get(by_type, key));
    }
}

static void the_schemas_differ_where_they_should(void **state)
{
    (void)state;
    MucCounts counts[MUC_SCHEMA_COUNT] = {0};
    /* right; wrong type; wrong border; missed. And one made up. */
    Span gold[] = {{0, 2, 0}, {3, 5, 0}, {6, 9, 1}, {10, 11, 1}};
    Span predicted[] = {{0, 2, 0}, {3, 5, 1}, {7, 9, 1}, {12, 13, 0}};
    muc_counts_add(counts, gold, 4, predicted, 4);
    assert_int_equal(counts[MUC_STRICT].correct, 1);
    assert_int_equal(counts[MUC_STRICT].incorrect, 2);
    assert_int_equal(counts[MUC_EXACT].correct, 2);
    assert_int_equal(counts[MUC_EXACT].incorrect, 1);
    assert_int_equal(counts[MUC_PARTIAL].correct, 2);
    assert_int_equal(counts[MUC_PARTIAL].partial, 1);
    assert_int_equal(counts[MUC_TYPE].correct, 2);
    assert_int_equal(counts[MUC_TYPE].incorrect, 1);
    for (int schema = 0; schema < MUC_SCHEMA_COUNT; schema++) {
        assert_int_equal(counts[schema].missed, 1);
        assert_int_equal(counts[schema].spurious, 1);
    }
    assert_true(fabs(muc_score(&counts[MUC_PARTIAL]).f1 - 2.5 / 4) <= tolerance);
}

static void of_nothing_all_scores_are_zero(void **state)
{
    (void)state;
    MucCounts counts[MUC_SCHEMA_COUNT] = {0};
    muc_counts_add(counts, NULL, 0, NULL, 0);
    MucScore score = muc_score(&counts[MUC_STRICT]);
    assert_true(score.possible == 0 && score.actual == 0 && score.precision == 0 && score.recall == 0 && score.f1 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_count_and_score_is_that_of_nervaluate),
        cmocka_unit_test(the_schemas_differ_where_they_should),
        cmocka_unit_test(of_nothing_all_scores_are_zero),
    };
    return cmocka_run_group_tests(tests, golden_open, golden_close);
}
