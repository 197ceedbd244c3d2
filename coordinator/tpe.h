/* TPE (Bergstra et al. 2011) over an abstract space, by the rules of Optuna 5's TPESampler: the best min(ceil(0.1 n), 25) of the n ended
 * observations make the density l, all others and those under way g; of 24 draws from l the one with the largest l / g is proposed. */
#ifndef NERSWEEP_COORDINATOR_TPE_H
#define NERSWEEP_COORDINATOR_TPE_H

#include "coordinator/parzen.h"

enum { TPE_CANDIDATES = 24, TPE_GOOD_LIMIT = 25 };

/* Complete ones rank before stopped ones, these by how far they came; those under way count as bad (constant liars). */
typedef enum TpeOutcome { TPE_COMPLETE, TPE_STOPPED, TPE_RUNNING } TpeOutcome;

/* What is known of one earlier point. */
typedef struct TpeObservation {
    TpeOutcome outcome;
    double score;         /* higher is better; of one under way nothing */
    int64_t last_step;    /* of a stopped one: how far it came */
    const double *values; /* [dimensions of the space]; NaN: the point has no such dimension */
} TpeObservation;

/* In the order of their numbers, the oldest first. */
typedef struct TpeHistory {
    const TpeObservation *observations;
    size_t count;
    bool *good; /* [count], filled in by tpe_split */
} TpeHistory;

/* How many observations have ended. */
size_t tpe_ended_count(const TpeHistory *history);
void tpe_split(TpeHistory *history);

/* The densities of the good and of the bad observations that have all of the chosen dimensions. history: split. */
void tpe_densities(const TpeHistory *history, const ParzenDimension *space, const uint32_t *chosen, size_t chosen_count,
                   Parzen **good, Parzen **bad);
/* Sets the chosen dimensions of values: [dimensions of the space]. Uses the Philox counters (*, candidate, stream, 0) of key. */
void tpe_propose(const TpeHistory *history, const ParzenDimension *space, const uint32_t *chosen, size_t chosen_count,
                 PhiloxKey key, uint32_t stream, double *values);

#endif
