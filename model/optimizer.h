/* AdamW over the flat parameter buffer, learning-rate schedules and freezing, as semantics.md section 4. */
#ifndef NERSWEEP_MODEL_OPTIMIZER_H
#define NERSWEEP_MODEL_OPTIMIZER_H

#include <stdint.h>

#include "core/options/options.h"
#include "model/model.h"

/* -- schedule: pure functions. step counted from 0. */
typedef struct Schedule {
    LrSchedulerType type;
    int64_t total_steps;  /* T */
    int64_t warmup_steps; /* W */
} Schedule;
/* T = ceil(epochs * steps_per_epoch) (or max_steps when > 0); W = warmup_steps when > 0, else ceil(T * warmup_ratio). */
Schedule schedule_make(const TrainingOptions *options, int64_t steps_per_epoch);
/* Factor on the base learning rate. */
double schedule_factor(const Schedule *schedule, int64_t step);

/* part_frozen [part_count of the layout] at `step`, from the freezing schedule; a phase PART@E holds while step < E * steps_per_epoch. */
void freeze_parts(const FreezeSchedule *schedule, int64_t step, int64_t steps_per_epoch, int32_t part_count, bool *part_frozen);

/* To be destroyed before its model. */
typedef struct Optimizer Optimizer;

/* What one of several ranks updates of a part beside the word embeddings: [offset, offset + count) of the layout. */
typedef struct OptimizerSlice {
    size_t offset,
        count; /* floats; begins whole stretches of BACKEND_SQUARES_STRETCH after the part's begin, in part 0 after the word embeddings */
    int32_t part;
} OptimizerSlice;

/* Ranks that share the optimizer out: each holds the moments and updates the weights of its own slices, and all of them the rows of the word
 * embeddings (Rajbhandari et al. 2020, "ZeRO", stage 1). What is called is collective: also by a rank that failed. */
typedef struct OptimizerRanks {
    void *context;
    const OptimizerSlice *slices; /* [slice_count] of this rank, ascending */
    int32_t slice_count;
    /* Adds values [count] over the ranks; of each all ranks but one know that it is 0, so the order changes no bit. own: this rank's outcome so
     * far; returns the outcome that all agree on. */
    Status (*add_up)(void *context, Status own, double *values, size_t count, Diagnostic *diagnostic);
    /* This rank's slices of a part were updated (queued on the model's stream): they are sent, of a matrix whose products are of bf16 as those read
     * it (model_products). Then, after all parts that train: every rank has what a step computes with. */
    Status (*part_updated)(void *context, int32_t part, Diagnostic *diagnostic);
    Status (*all_updated)(void *context, const bool *part_frozen, Diagnostic *diagnostic);
    /* Every rank has all weights. */
    Status (*complete)(void *context, Diagnostic *diagnostic);
} OptimizerRanks;

/* ranks: NULL, or copied; what it points to must outlive the optimizer. */
NODISCARD Status optimizer_create(Optimizer **optimizer, Model *model, const TrainingOptions *options, const OptimizerRanks *ranks,
                                  Diagnostic *diagnostic);
void optimizer_destroy(Optimizer **optimizer);

/* Before the first block of every step: ids as model_gradient_rows_set, to which they are passed on. Their rows are brought up to date: those of
 * the word embeddings without a gradient stay behind a step, until a block reads them, or all are asked for (optimizer_settle); by the very same
 * bits, since such a step depends on nothing but the row. */
NODISCARD Status optimizer_begin_step(Optimizer *optimizer, const int32_t *ids, int32_t count, Diagnostic *diagnostic);
/* Brings all rows up to date, and with ranks the weights that others update. To be called before anybody reads the model's parameters or computes
 * without a step. Collective. */
NODISCARD Status optimizer_settle(Optimizer *optimizer, Diagnostic *diagnostic);

/* Norm of all gradients of parts that train -> clip factor min(1, max_grad_norm / (norm + 1e-6)) -> AdamW; the model's matrices are up to
 * date. Collective with ranks, who need the gradients of their slices and of the word embeddings alone. base learning rate =
 * options->learning_rate * factor; layer-wise decay as options say. Parts that thaw start with t = 1 and zero moments. STATUS_DIVERGED
 * when the norm is not finite, naming the first parameter whose gradient is not. */
NODISCARD Status optimizer_step(Optimizer *optimizer, const bool *part_frozen, double factor, double *gradient_norm,
                                Diagnostic *diagnostic);

/* State for checkpoints: both moments, and t per part [part_count]. What is opened is settled, read before the next step, and closed with
 * host_floats_close. Alone [float_count] in the model's layout; with ranks those of the word embeddings (up to the second parameter's offset), then
 * those of this rank's slices. */
NODISCARD Status optimizer_state_open(Optimizer *optimizer, HostFloats *first_moment, HostFloats *second_moment, int64_t *part_t,
                                      Diagnostic *diagnostic);
/* Moments [float_count] in the model's layout, of which a rank takes its own. */
NODISCARD Status optimizer_state_set(Optimizer *optimizer, const float *first_moment, const float *second_moment,
                                     const int64_t *part_t, Diagnostic *diagnostic);

#endif
