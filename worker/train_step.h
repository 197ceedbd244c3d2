/* Forward and backward of one optimizer step, shared out over the ranks: afterwards every rank holds the gradient of the whole step. */
#ifndef NERSWEEP_WORKER_TRAIN_STEP_H
#define NERSWEEP_WORKER_TRAIN_STEP_H

#include "kernels/profile.h"
#include "model/model.h"
#include "model/optimizer.h"
#include "shard/batch_plan.h"
#include "worker/communicator.h"

typedef struct TrainStepper TrainStepper;

/* All arguments must outlive it. work_folder: local, for what is kept of frozen layers. profile: of the model's device; may be NULL. */
NODISCARD Status train_stepper_create(TrainStepper **stepper, Communicator *communicator, Model *model, Optimizer *optimizer,
                                      const ShardStore *shards, int32_t split, const TrainingOptions *options,
                                      const char *work_folder, Profile *profile, Diagnostic *diagnostic);
void train_stepper_destroy(TrainStepper **stepper);

/* Collective. Reserves memory for every step of the plan. Where that is not to be had micro-batches are halved on all ranks until they fit,
 * the global batch and the loss staying the same; then gradient checkpointing is turned on, if it may be (auto). The plan must live until the next call. */
NODISCARD Status train_stepper_plan(TrainStepper *stepper, const BatchPlan *plan, Diagnostic *diagnostic);

/* Before the first train_stepper_plan: windows of a micro-batch over all ranks, and whether with gradient checkpointing. */
void train_stepper_begin(TrainStepper *stepper, int64_t micro_batch, bool checkpointed);

typedef struct TrainStepResult {
    double loss;         /* sum over labelled pieces of all ranks / sum of their weights */
    int64_t pieces;      /* of all ranks, special pieces included */
    int64_t own_pieces;  /* of this rank */
    int32_t early_parts; /* whose sums were begun while backward went on */
} TrainStepResult;

/* Windows whose frozen layers were read back, and computed, by this rank so far. */
void train_stepper_prefix_counts(const TrainStepper *stepper, int64_t *read, int64_t *computed);

/* Collective: also a rank that fails takes part in all sums, and the caller agrees on the status. index: of the step in the plan; step:
 * optimizer step from 0, the key of its random numbers. part_frozen: [part_count]. Errors: as model_train_block. */
NODISCARD Status train_stepper_run(TrainStepper *stepper, int64_t index, int64_t step, const bool *part_frozen,
                                   TrainStepResult *result, Diagnostic *diagnostic);

#endif
