#include "core/spans/significance.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/philox.h"

/* Sums over sentences. */
typedef struct Sums {
    int64_t correct, predicted, gold;
} Sums;

static void sums_add(Sums *sums, const SentenceCounts *sentence)
{
    sums->correct += sentence->correct;
    sums->predicted += sentence->predicted;
    sums->gold += sentence->gold;
}

/* 2 TP / (predicted + gold): the harmonic mean of precision and recall. */
static double sums_f1(const Sums *sums)
{
    int64_t both = sums->predicted + sums->gold;
    return both > 0 ? 2.0 * (double)sums->correct / (double)both : 0;
}

/* One resample of all systems' sentences, the same draws for each. */
static void resample(const SentenceCounts *const *systems, size_t system_count, size_t count, uint64_t seed, int number, Sums *sums)
{
    PhiloxKey key = philox_key(seed, RANDOM_BOOTSTRAP, (uint32_t)number);
    for (size_t i = 0; i < count; i += 4) {
        PhiloxBlock block = philox4x32_10(key, (uint32_t)(i / 4), 0, 0, 0);
        for (size_t k = 0; k < 4 && i + k < count; k++) {
            size_t drawn = (size_t)((uint64_t)block.word[k] * (uint64_t)count >> 32);
            for (size_t s = 0; s < system_count; s++)
                sums_add(&sums[s], &systems[s][drawn]);
        }
    }
}

static int compare_values(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double quantile(const double *sorted, int count, double share)
{
    double place = share * (count - 1);
    int below = (int)floor(place);
    int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

static Interval interval_of(double *values, int count, double level)
{
    qsort(values, (size_t)count, sizeof *values, compare_values);
    return (Interval){quantile(values, count, (1 - level) / 2), quantile(values, count, (1 + level) / 2)};
}

Interval bootstrap_interval(const SentenceCounts *sentences, size_t count, int resamples, double level, uint64_t seed)
{
    if (count == 0 || resamples <= 0)
        return (Interval){0};
    ASSERT(count <= UINT32_MAX);
    double *values = memory_allocate((size_t)resamples, sizeof *values);
    for (int i = 0; i < resamples; i++) {
        Sums sums = {0};
        resample(&sentences, 1, count, seed, i, &sums);
        values[i] = sums_f1(&sums);
    }
    Interval interval = interval_of(values, resamples, level);
    free(values);
    return interval;
}

static double difference_of(const SentenceCounts *first, const SentenceCounts *second, size_t count)
{
    Sums sums[2] = {{0}, {0}};
    for (size_t i = 0; i < count; i++) {
        sums_add(&sums[0], &first[i]);
        sums_add(&sums[1], &second[i]);
    }
    return sums_f1(&sums[1]) - sums_f1(&sums[0]);
}

/* The difference after each sentence has changed sides, or not: a bit each. */
static double shuffled_difference(const SentenceCounts *first, const SentenceCounts *second, size_t count, uint64_t seed,
                                  int number)
{
    PhiloxKey key = philox_key(seed, RANDOM_BOOTSTRAP, (uint32_t)number);
    PhiloxBlock block = {{0}};
    Sums sums[2] = {{0}, {0}};
    for (size_t i = 0; i < count; i++) {
        if (i % 128 == 0)
            block = philox4x32_10(key, (uint32_t)(i / 128), 1, 0, 0);
        unsigned swap = block.word[i % 128 / 32] >> (i % 32) & 1;
        sums_add(&sums[swap], &first[i]);
        sums_add(&sums[1 - swap], &second[i]);
    }
    return sums_f1(&sums[1]) - sums_f1(&sums[0]);
}

PairedTest paired_test(const SentenceCounts *first, const SentenceCounts *second, size_t count, int resamples, double level,
                       uint64_t seed)
{
    const SentenceCounts *const systems[2] = {first, second};
    PairedTest test = {.difference = difference_of(first, second, count), .bootstrap_p = 1, .randomisation_p = 1};
    if (count == 0 || resamples <= 0)
        return test;
    ASSERT(count <= UINT32_MAX);
    double *values = memory_allocate((size_t)resamples, sizeof *values);
    int not_better = 0, as_far = 0;
    for (int i = 0; i < resamples; i++) {
        Sums sums[2] = {{0}, {0}};
        resample(systems, 2, count, seed, i, sums);
        values[i] = sums_f1(&sums[1]) - sums_f1(&sums[0]);
        not_better += test.difference > 0 ? values[i] <= 0 : values[i] >= 0;
        /* Differences of one shuffle that are equal on paper may differ by rounding. */
        as_far += fabs(shuffled_difference(first, second, count, seed, i)) >= fabs(test.difference) - 1e-12;
    }
    test.interval = interval_of(values, resamples, level);
    test.bootstrap_p = test.difference == 0 ? 1 : (double)not_better / resamples;
    test.randomisation_p = (double)(as_far + 1) / (resamples + 1);
    free(values);
    return test;
}
