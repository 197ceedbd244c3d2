#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/base/philox.h"
#include "core/spans/significance.h"

enum { COUNT = 400, RESAMPLES = 1000, SEED = 42 };

/* Sentences of two gold spans, of which a system finds each with this probability, and now and then a wrong one. */
static void sentences_make(SentenceCounts *sentences, uint32_t system, double found)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        PhiloxBlock block = philox4x32_10(philox_key(7, RANDOM_SEARCH, system), i, 0, 0, 0);
        int32_t correct = (philox_uniform_float(block.word[0]) < found) + (philox_uniform_float(block.word[1]) < found);
        sentences[i] = (SentenceCounts){correct, correct + (philox_uniform_float(block.word[2]) < 0.2F), 2};
    }
}

static void sorted_spans_are_counted_as_a_set(void **state)
{
    (void)state;
    Span gold[] = {{0, 2, 0}, {0, 2, 0}, {0, 4, 1}, {1, 2, 0}}, predicted[] = {{0, 2, 0}, {0, 4, 0}, {1, 2, 0}, {1, 2, 0}};
    SentenceCounts counts = sentence_counts(gold, 4, predicted, 4);
    assert_int_equal(counts.correct, 2);
    assert_int_equal(counts.gold, 3);
    assert_int_equal(counts.predicted, 3);
}

static void sentences_that_are_all_alike_leave_no_doubt(void **state)
{
    (void)state;
    SentenceCounts sentences[10];
    for (int i = 0; i < 10; i++)
        sentences[i] = (SentenceCounts){1, 2, 2};
    Interval interval = bootstrap_interval(sentences, 10, RESAMPLES, 0.95, SEED);
    assert_true(interval.low == 0.5 && interval.high == 0.5);
}

/* Of sentences that are right or wrong as a whole F1 is a mean, and the interval is that of the normal distribution, nearly. */
static void the_interval_is_that_of_theory_where_there_is_one(void **state)
{
    (void)state;
    SentenceCounts sentences[COUNT];
    for (int i = 0; i < COUNT; i++)
        sentences[i] = (SentenceCounts){i % 4 != 0, 1, 1};
    double mean = 0.75, half = 1.96 * sqrt(mean * (1 - mean) / COUNT);
    Interval interval = bootstrap_interval(sentences, COUNT, RESAMPLES, 0.95, SEED);
    assert_true(fabs(interval.low - (mean - half)) < 0.006); /* a quantile of 1,000 resamples is known to about half of this */
    assert_true(fabs(interval.high - (mean + half)) < 0.006);
    Interval narrower = bootstrap_interval(sentences, COUNT, RESAMPLES, 0.5, SEED);
    assert_true(narrower.low > interval.low && narrower.high < interval.high && narrower.low < mean && narrower.high > mean);
}

static void a_seed_gives_the_same_bits_and_another_one_others(void **state)
{
    (void)state;
    SentenceCounts sentences[COUNT];
    sentences_make(sentences, 1, 0.7);
    Interval one = bootstrap_interval(sentences, COUNT, RESAMPLES, 0.95, SEED);
    Interval same = bootstrap_interval(sentences, COUNT, RESAMPLES, 0.95, SEED);
    Interval other = bootstrap_interval(sentences, COUNT, RESAMPLES, 0.95, SEED + 1);
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_not_equal(&one, &other, sizeof one);
    assert_true(fabs(one.low - other.low) < 0.01 && fabs(one.high - other.high) < 0.01);
}

static void a_clearly_better_system_is_told_from_chance(void **state)
{
    (void)state;
    SentenceCounts worse[COUNT], better[COUNT];
    sentences_make(worse, 1, 0.6);
    sentences_make(better, 2, 0.75);
    PairedTest test = paired_test(worse, better, COUNT, RESAMPLES, 0.95, SEED);
    assert_true(test.difference > 0.05 && test.interval.low > 0);
    assert_true(test.bootstrap_p == 0);
    assert_true(fabs(test.randomisation_p - 1.0 / (RESAMPLES + 1)) < 1e-12); /* no shuffle comes near: the least p there is */
    PairedTest turned = paired_test(better, worse, COUNT, RESAMPLES, 0.95, SEED);
    assert_true(turned.difference == -test.difference && turned.interval.low == -test.interval.high);
    assert_true(turned.bootstrap_p == 0);
}

static void systems_of_one_quality_are_not(void **state)
{
    (void)state;
    SentenceCounts first[COUNT], second[COUNT];
    int small = 0;
    sentences_make(first, 0, 0.7);
    for (uint32_t i = 1; i <= 40; i++) {
        sentences_make(second, i, 0.7);
        sentences_make(first, 100 + i, 0.7);
        PairedTest test = paired_test(first, second, COUNT, 200, 0.95, SEED);
        small += test.randomisation_p <= 0.05;
        assert_true(test.interval.low <= test.difference && test.difference <= test.interval.high);
    }
    assert_true(small <= 6); /* 2 of 40 are expected; more than 6 happen once in 300 times, and the seed is fixed */
    PairedTest equal = paired_test(first, first, COUNT, RESAMPLES, 0.95, SEED);
    assert_true(equal.difference == 0 && equal.bootstrap_p == 1 && equal.randomisation_p == 1);
}

static void of_nothing_nothing_is_said(void **state)
{
    (void)state;
    Interval interval = bootstrap_interval(NULL, 0, RESAMPLES, 0.95, SEED);
    PairedTest test = paired_test(NULL, NULL, 0, RESAMPLES, 0.95, SEED);
    assert_true(interval.low == 0 && interval.high == 0 && test.difference == 0 && test.bootstrap_p == 1 &&
                test.randomisation_p == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_spans_are_counted_as_a_set),
        cmocka_unit_test(sentences_that_are_all_alike_leave_no_doubt),
        cmocka_unit_test(the_interval_is_that_of_theory_where_there_is_one),
        cmocka_unit_test(a_seed_gives_the_same_bits_and_another_one_others),
        cmocka_unit_test(a_clearly_better_system_is_told_from_chance),
        cmocka_unit_test(systems_of_one_quality_are_not),
        cmocka_unit_test(of_nothing_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
