#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "core/spans/score.h"

/* Sums of a few quotients in double: differences can only come from the order of the additions. */
static const double tolerance = 1e-12;
#define assert_near(a, b) assert_true(fabs((a) - (b)) <= tolerance)

static void check_row(ScoreRow row, double precision, double recall, double f1, int64_t support)
{
    assert_near(row.precision, precision);
    assert_near(row.recall, recall);
    assert_near(row.f1, f1);
    assert_int_equal(row.support, support);
}

static void a_span_is_right_only_with_its_borders_and_type(void **state)
{
    (void)state;
    Span gold[] = {{0, 2, 0}, {3, 4, 1}, {5, 7, 1}, {8, 9, 0}};
    Span predicted[] = {{0, 2, 0}, {3, 5, 1}, {5, 7, 0}, {7, 8, 0}, {8, 9, 0}};
    ScoreCounts *counts = score_counts_create(3);
    score_counts_add(counts, gold, 4, predicted, 5);
    assert_int_equal(counts->correct[0], 2);
    assert_int_equal(counts->correct[1], 0);
    assert_int_equal(counts->predicted[0], 4);
    assert_int_equal(counts->predicted[1], 1);
    assert_int_equal(counts->gold[0], 2);
    assert_int_equal(counts->gold[1], 2);

    ScoreReport report;
    score_report_make(&report, counts, 0);
    check_row(report.types[0], 0.5, 1, 2.0 / 3, 2);
    check_row(report.types[1], 0, 0, 0, 2);
    check_row(report.micro, 2.0 / 5, 2.0 / 4, 4.0 / 9, 4);
    check_row(report.macro, 0.25, 0.5, 1.0 / 3, 4);
    check_row(report.weighted, 0.25, 0.5, 1.0 / 3, 4);
    assert_true(report.type_present[0]);
    assert_true(report.type_present[1]);
    assert_false(report.type_present[2]);
    assert_int_equal(report.zero_divisions, 0);
    score_report_free(&report);
    score_counts_destroy(&counts);
    assert_null(counts);
}

static void equal_spans_count_once(void **state)
{
    (void)state;
    Span gold[] = {{0, 2, 0}, {0, 2, 0}, {0, 2, 1}};
    Span predicted[] = {{0, 2, 0}, {0, 2, 0}, {0, 2, 0}};
    ScoreCounts *counts = score_counts_create(2);
    score_counts_add(counts, gold, 3, predicted, 3);
    assert_int_equal(counts->correct[0], 1);
    assert_int_equal(counts->predicted[0], 1);
    assert_int_equal(counts->gold[0], 1);
    assert_int_equal(counts->gold[1], 1);
    score_counts_destroy(&counts);
}

static void nested_spans_count_each(void **state)
{
    (void)state;
    Span gold[] = {{0, 3, 0}, {0, 5, 0}, {1, 2, 1}};
    Span predicted[] = {{0, 5, 0}, {1, 2, 1}};
    ScoreCounts *counts = score_counts_create(2);
    score_counts_add(counts, gold, 3, predicted, 2);
    assert_int_equal(counts->correct[0], 1);
    assert_int_equal(counts->gold[0], 2);
    assert_int_equal(counts->correct[1], 1);
    score_counts_destroy(&counts);
}

static void merged_parts_give_the_counts_of_the_whole(void **state)
{
    (void)state;
    Span first[] = {{0, 2, 0}}, second[] = {{1, 2, 1}}, wrong[] = {{1, 3, 1}};
    int32_t gold_labels[] = {1, 2, 0}, predicted_labels[] = {1, 2, 2};
    ScoreCounts *a = score_counts_create(2), *b = score_counts_create(2), *whole = score_counts_create(2);
    score_counts_add(a, first, 1, first, 1);
    score_counts_add_tokens(a, gold_labels, predicted_labels, 3);
    score_counts_add(b, second, 1, wrong, 1);
    score_counts_add_tokens(b, gold_labels, gold_labels, 3);
    score_counts_merge(b, a);
    score_counts_add(whole, first, 1, first, 1);
    score_counts_add(whole, second, 1, wrong, 1);
    for (int type = 0; type < 2; type++) {
        assert_int_equal(b->correct[type], whole->correct[type]);
        assert_int_equal(b->predicted[type], whole->predicted[type]);
        assert_int_equal(b->gold[type], whole->gold[type]);
    }
    ScoreReport report;
    score_report_make(&report, b, 0);
    assert_near(report.accuracy, 5.0 / 6);
    score_report_free(&report);
    score_counts_destroy(&a);
    score_counts_destroy(&b);
    score_counts_destroy(&whole);
}

static void averages_over_nothing_are_zero(void **state)
{
    (void)state;
    ScoreCounts *counts = score_counts_create(0);
    score_counts_add(counts, NULL, 0, NULL, 0);
    ScoreReport report;
    score_report_make(&report, counts, 0);
    check_row(report.micro, 0, 0, 0, 0);
    check_row(report.macro, 0, 0, 0, 0);
    check_row(report.weighted, 0, 0, 0, 0);
    assert_true(report.accuracy == 0);
    assert_int_equal(report.zero_divisions, 2);
    score_report_free(&report);
    score_counts_destroy(&counts);
}

static void zero_division_stands_in_where_there_is_nothing_to_divide_by(void **state)
{
    (void)state;
    Span predicted[] = {{0, 1, 0}};
    ScoreCounts *counts = score_counts_create(1);
    score_counts_add(counts, NULL, 0, predicted, 1);
    ScoreReport report;
    score_report_make(&report, counts, 1);
    check_row(report.types[0], 0, 1, 0, 0);
    check_row(report.weighted, 0, 1, 0, 0);
    assert_int_equal(report.zero_divisions, 2);
    score_report_free(&report);
    score_report_make(&report, counts, 0);
    check_row(report.types[0], 0, 0, 0, 0);
    score_report_free(&report);
    score_counts_destroy(&counts);

    counts = score_counts_create(1);
    score_report_make(&report, counts, 1);
    check_row(report.micro, 1, 1, 1, 0);
    check_row(report.weighted, 1, 1, 1, 0);
    check_row(report.macro, 0, 0, 0, 0);
    score_report_free(&report);
    score_counts_destroy(&counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_right_only_with_its_borders_and_type),
        cmocka_unit_test(equal_spans_count_once),
        cmocka_unit_test(nested_spans_count_each),
        cmocka_unit_test(merged_parts_give_the_counts_of_the_whole),
        cmocka_unit_test(averages_over_nothing_are_zero),
        cmocka_unit_test(zero_division_stands_in_where_there_is_nothing_to_divide_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
