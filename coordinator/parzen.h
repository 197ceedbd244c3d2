/* Parzen estimators over mixed spaces: the densities l and g of TPE (Bergstra et al. 2011), with the kernels, bandwidths and weights of
 * Optuna 5's TPESampler: one product kernel per observation and one for the prior; a number's kernel is a Gaussian truncated to its range,
 * whose deviation is the larger distance to a neighbour, kept between range / min(100, kernels + 1) and the range; steps are integrated over;
 * the newest 25 observations weigh 1, older ones less, down to 1 / count for the oldest. */
#ifndef NERSWEEP_COORDINATOR_PARZEN_H
#define NERSWEEP_COORDINATOR_PARZEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/philox.h"

typedef enum ParzenKind { PARZEN_NUMBER, PARZEN_LOG_NUMBER, PARZEN_CHOICE } ParzenKind;

/* One dimension of a space. low and high are values that it takes; a step of 0 is a continuous range. */
typedef struct ParzenDimension {
    ParzenKind kind;
    double low, high, step;
    double prior_deviation; /* of the prior's kernel, in the middle of the range; 0: the whole range */
    int32_t choices;        /* PARZEN_CHOICE: values are 0 ... choices - 1 */
} ParzenDimension;

typedef struct Parzen Parzen;

/* observations: [count, dimension_count], the oldest first, all within their ranges. dimensions is copied, observations is not needed any more. */
Parzen *parzen_create(const ParzenDimension *dimensions, size_t dimension_count, const double *observations, size_t count);
void parzen_destroy(Parzen **parzen);
/* Logarithm of the density at point: [dimension_count]; of the probability where dimensions have steps or choices. */
double parzen_log_density(const Parzen *parzen, const double *point);
/* A draw from the density. Uses the Philox counters (0 ... dimension_count, draw, stream, 0) of key. */
void parzen_draw(const Parzen *parzen, PhiloxKey key, uint32_t draw, uint32_t stream, double *point);

/* The z of [low, high] below which a share u of the standard normal mass between low and high lies. */
double parzen_normal_quantile(double u, double low, double high);

#endif
