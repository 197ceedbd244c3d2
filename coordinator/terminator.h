/* Early termination: the rungs at which configurations are compared, and the rules that compare them. Pure functions.
 *
 * A resource is a number of evaluations. A configuration is at a rung when all of its seeds have so many evaluations (or have ended); what it
 * is compared by is the mean over its seeds of the best score up to there.
 *   asha       rungs at min_iter * eta^k (Li et al., "A system for massively parallel hyperparameter tuning", 2020, Algorithm 2): whenever
 *              a worker asks for work, the best floor(n / eta) of the n at a rung are promoted, highest rung first, before anything new begins
 *   hyperband  the same in brackets that begin at min_iter * eta^b, to which configurations are dealt in Hyperband's shares (Li et al. 2018)
 *   median     at each evaluation from min_iter on: stopped when its best is below the median of what the others' running averages were then
 *              (Golovin et al., "Google Vizier", 2017)
 * In the logical order nobody waits to be promoted later: a configuration goes on when it is among the best max(1, floor(n / eta)) of those
 * that it knows of and itself, and is stopped otherwise. */
#ifndef NERSWEEP_COORDINATOR_TERMINATOR_H
#define NERSWEEP_COORDINATOR_TERMINATOR_H

#include "coordinator/rung.h"
#include "coordinator/sweep.h"

enum { TERMINATOR_RUNG_LIMIT = 100000, TERMINATOR_BRACKET_LIMIT = 32 };

/* 0 but for hyperband. */
uint32_t terminator_bracket(const EarlyTermination *termination, uint32_t configuration);
/* Evaluations of a rung; 0: there is none so high. */
int64_t terminator_resource(const EarlyTermination *termination, uint32_t bracket, uint32_t rung);
/* Whether a trial that is there has all the evaluations that it gets. */
bool terminator_is_top(const EarlyTermination *termination, int64_t resource);

/* The best of those that are to be promoted by Algorithm 2, or NULL. */
const RungEntry *rung_promotable(const Rung *rung, int64_t eta);
/* Whether the entry goes on, among itself and those of configurations below `below`. */
bool rung_keeps(const Rung *rung, const RungEntry *entry, const EarlyTermination *termination, uint32_t below);

#endif
