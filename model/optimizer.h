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
NODISCARD Status optimizer_create(Optimizer **optimizer, Model *model, const TrainingOptions *options, Diagnostic *diagnostic);
void optimizer_destroy(Optimizer **optimizer);

/* Before the first block of every step: ids as model_gradient_rows_set, to which they are passed on. Their rows are brought up to date: those of
 * the word embeddings without a gradient stay behind a step, until a block reads them, or all are asked for (optimizer_settle); by the very same
 * bits, since such a step depends on nothing but the row. */
NODISCARD Status optimizer_begin_step(Optimizer *optimizer, const int32_t *ids, int32_t count, Diagnostic *diagnostic);
/* Queues what brings all rows up to date. To be called before anybody reads the model's parameters or computes without a step. */
void optimizer_settle(Optimizer *optimizer);

/* Norm of all gradients of parts that train -> clip factor min(1, max_grad_norm / (norm + 1e-6)) -> AdamW -> model_refresh.
 * base learning rate = options->learning_rate * factor; layer-wise decay as options say. Parts that thaw start with t = 1 and zero moments.
 * STATUS_DIVERGED when the norm is not finite, naming the first parameter whose gradient is not. */
NODISCARD Status optimizer_step(Optimizer *optimizer, const bool *part_frozen, double factor, double *gradient_norm,
                                Diagnostic *diagnostic);

/* State for checkpoints: both moments in the model's layout [float_count] each, and t per part [part_count]. What is opened is settled, read before
 * the next step, and closed with host_floats_close. */
NODISCARD Status optimizer_state_open(Optimizer *optimizer, HostFloats *first_moment, HostFloats *second_moment, int64_t *part_t,
                                      Diagnostic *diagnostic);
NODISCARD Status optimizer_state_set(Optimizer *optimizer, const float *first_moment, const float *second_moment,
                                     const int64_t *part_t, Diagnostic *diagnostic);

#endif
