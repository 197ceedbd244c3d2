/* The batch plan: which windows make up each optimizer step, a pure function of (store, split, options, seed, epoch), and how a step is
 * split over ranks. Nothing depends on timing, threads or restarts. */
#ifndef NERSWEEP_SHARD_BATCH_PLAN_H
#define NERSWEEP_SHARD_BATCH_PLAN_H

#include "core/options/options.h"
#include "shard/shard_store.h"

typedef struct BatchPlan BatchPlan;

/* Plan of one epoch (from 0). Oversampling: a window of factor f (shard/oversample.h) appears floor(f) times and once more with probability
 * f - floor(f) (Philox RANDOM_OVERSAMPLE); shuffled by Fisher-Yates with RANDOM_SHUFFLE, both keyed by (seed, epoch). Fractional repeats are
 * drawn so that their total is the same in every epoch: the sum of all factors, rounded to the nearest integer. */
NODISCARD Status batch_plan_create(BatchPlan **plan, const ShardStore *store, int32_t split, const TrainingOptions *options,
                                   int64_t epoch, Diagnostic *diagnostic);
/* Makes it the plan of another epoch, without reading the windows again. What batch_plan_step gave before is gone. */
NODISCARD Status batch_plan_turn(BatchPlan *plan, int64_t epoch, Diagnostic *diagnostic);
void batch_plan_destroy(BatchPlan **plan);
int64_t batch_plan_window_count(const BatchPlan *plan); /* after oversampling; the same in every epoch */
int64_t batch_plan_step_count(const BatchPlan *plan);   /* ceil(windows / (batch size * accumulation)); likewise */
/* Windows of a step in slot order: *windows points into the plan, [*count]. Slot = index in this list. */
void batch_plan_step(const BatchPlan *plan, int64_t step, const int64_t **windows, int32_t *count);

/* Splits the windows of a step over ranks with balanced pieces (longest first onto the least loaded rank, ties by slot and rank): rank_of[i]
 * for each slot. Deterministic. lengths: [count] pieces. */
void batch_split_ranks(const int32_t *lengths, int32_t count, int32_t rank_count, int32_t *rank_of);

#endif
