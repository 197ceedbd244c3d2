/* How much of a score's variation each parameter explains on its own: functional ANOVA (Hutter, Hoos, Leyton-Brown, "An efficient approach for
 * assessing hyperparameter importance", 2014). A forest of regression trees is fitted to what is known, and the variance of its predictions
 * over the whole space is taken apart: a parameter's share is that of the predictions averaged over all other parameters. What the shares
 * leave of 1 belongs to interactions. */
#ifndef NERSWEEP_COORDINATOR_IMPORTANCE_H
#define NERSWEEP_COORDINATOR_IMPORTANCE_H

#include <stddef.h>
#include <stdint.h>

#include "core/io/json.h"

enum { IMPORTANCE_TREES = 64, IMPORTANCE_POINT_LIMIT = 2000, IMPORTANCE_POINT_MINIMUM = 4 };

/* choices: [dimension_count], 0: a number of [0, 1], else how many values 0 ... choices - 1 there are. points: [count, dimension_count], scores:
 * [count], count >= 1. shares: [dimension_count]; all are 0 where the scores are all alike. Draws depend on seed alone. */
void importance_shares(const int32_t *choices, size_t dimension_count, const double *points, const double *scores, size_t count,
                       uint64_t seed, double *shares);

/* Of a sweep's completed configurations, from its journal: {"method": "fanova", "configurations": N, "parameters": [{"parameter", "share"}]},
 * the largest share first. A parameter with a condition, or with one value, has no share. STATUS_NOT_FOUND: too few were completed. */
NODISCARD Status sweep_importance_read(const char *sweep_folder, Json **importance, Diagnostic *diagnostic);

#endif
