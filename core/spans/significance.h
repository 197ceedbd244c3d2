/* How sure a micro F1 is, and whether that of one system is really higher than that of another on the same sentences. Random numbers are
 * Philox's, so a seed gives the same figures everywhere. */
#ifndef NERSWEEP_CORE_SPANS_SIGNIFICANCE_H
#define NERSWEEP_CORE_SPANS_SIGNIFICANCE_H

#include "core/spans/score.h"

typedef struct Interval {
    double low, high;
} Interval;

/* Percentile bootstrap over sentences (Efron 1979): micro F1 of `resamples` draws of count sentences with replacement, and the quantiles
 * (linear between neighbours, as numpy's) that hold `level` of them between themselves. count below 2^32; 0 of either gives {0, 0}. */
Interval bootstrap_interval(const SentenceCounts *sentences, size_t count, int resamples, double level, uint64_t seed);

/* Two systems on the same gold. */
typedef struct PairedTest {
    double difference;      /* F1 of the second minus that of the first */
    Interval interval;      /* of the difference, by the bootstrap */
    double bootstrap_p;     /* paired bootstrap (Koehn 2004): share of resamples in which the better one is not better */
    double randomisation_p; /* approximate randomisation (Noreen 1989), two-sided: sentences change sides by a coin's toss */
} PairedTest;
PairedTest paired_test(const SentenceCounts *first, const SentenceCounts *second, size_t count, int resamples, double level,
                       uint64_t seed);

#endif
