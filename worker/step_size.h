/* How large steps become: what memory is reserved for, and planned by. */
#ifndef NERSWEEP_WORKER_STEP_SIZE_H
#define NERSWEEP_WORKER_STEP_SIZE_H

#include "shard/batch_plan.h"
#include "worker/chunks.h"

/* The largest there is. */
typedef struct StepSize {
    int32_t pieces, sequences; /* of a micro-batch, this rank's share */
    int64_t step_pieces;       /* of an optimizer step, all ranks */
} StepSize;

/* Raises *size to what the steps of the plan take with micro-batches of so many windows over all ranks. infos: of the plan's split. */
void step_size_measure(StepSize *size, const BatchPlan *plan, const ShardWindowInfo *infos, const Chunks *chunks,
                       int64_t micro_batch);
/* The same over the epochs in which total_steps are taken, all of them unless they are many. Afterwards the plan is of one of them. */
NODISCARD Status step_size_measure_epochs(StepSize *size, BatchPlan *plan, const ShardWindowInfo *infos, const Chunks *chunks,
                                          int64_t micro_batch, int64_t total_steps, Diagnostic *diagnostic);

#endif
