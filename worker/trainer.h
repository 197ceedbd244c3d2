/* The training loop of one trial: batch plan -> step -> evaluation -> checkpoint -> report, on all ranks together. */
#ifndef NERSWEEP_WORKER_TRAINER_H
#define NERSWEEP_WORKER_TRAINER_H

#include "core/base/clock.h"
#include "kernels/profile.h"
#include "model/optimizer.h"
#include "shard/shard_store.h"
#include "worker/checkpoint.h"
#include "worker/communicator.h"
#include "worker/memory_plan.h"
#include "worker/score.h"
#include "worker/trial_state.h"

/* Why training ended before its time. Ranks agree on the largest. */
typedef enum TrainerStop {
    TRAINER_GO_ON = 0,
    TRAINER_INTERRUPTED = 1, /* from outside: the trial goes on later from its last reported checkpoint */
    TRAINER_RELEASED = 2,    /* the trial is no longer ours */
} TrainerStop;

typedef struct TrainerProgress {
    int64_t step, total_steps;  /* steps done */
    double loss, learning_rate; /* of the last step */
    double gradient_norm;
    double pieces_per_s; /* since the last progress line */
} TrainerProgress;

/* What the surroundings of a trial do. All but should_stop are called on rank 0 only. Each may be NULL. */
typedef struct TrainerHooks {
    void *context;
    /* The last evaluation of state is durable in the store: report it. */
    Status (*on_evaluation)(void *context, const TrialState *state, Diagnostic *diagnostic);
    /* Number of the last evaluation (from 1) whose report is known to be durable. NULL: every one at once. */
    uint64_t (*acknowledged)(void *context);
    /* The same, after waiting for all reports, or for a reason to stop. */
    uint64_t (*settle)(void *context);
    /* After every step. */
    void (*on_progress)(void *context, const TrainerProgress *progress);
    /* Polled after every step and between blocks of an evaluation, by every rank. */
    TrainerStop (*should_stop)(void *context);
} TrainerHooks;

typedef struct TrainerSetup {
    Communicator *communicator;
    Model *model; /* with its start weights */
    const ShardStore *shards;
    const TrainingOptions *options;
    TrialMetric metric;
    bool evaluate;             /* false: one checkpoint at the end and no scores */
    const MemorySetup *memory; /* NULL: memory is taken as it comes */
    MemoryPlan *memory_plan;   /* begun; NULL without memory */
    Json *machine;             /* that of checkpoints: the trainer adds the micro-batch; NULL without memory */
    const char *resume;        /* checkpoint to go on from; NULL or "": from the start */
    CheckpointKind checkpoints;
    TrainerHooks hooks;
    const Clock *clock;
    Profile *profile; /* of the model's device; NULL: none */
} TrainerSetup;

/* What the profile counts: all steps of this run but the first, which is told by its time alone. It touches memory for the first time, which the
 * system makes out of zeros meanwhile. Where there is but one, that. */
typedef struct ProfiledSteps {
    int64_t steps, pieces; /* of all ranks */
    int64_t own_pieces;    /* of this rank */
    int64_t first_step_ns;
} ProfiledSteps;

typedef struct TrainerResult {
    TrialState state; /* freed by trainer_result_free */
    TrainerStop stop;
    bool stopped_early;     /* by early stopping */
    bool resume_refused;    /* nothing was trained since the checkpoint to go on from does not fit or is damaged */
    int64_t trained_steps;  /* in this run */
    int64_t trained_pieces; /* in this run, all ranks */
    ProfiledSteps profiled;
    int64_t
        early_parts; /* over all steps: parts of the model whose gradients were on their way to other ranks before backward ended */
    int64_t prefixes_read, prefixes_computed; /* by this rank: windows whose frozen layers were kept, and not */
    double train_s, evaluate_s, checkpoint_s;
} TrainerResult;

/* Collective. Whatever the status, result is filled in as far as training came. Errors: STATUS_INTERRUPTED with result->stop;
 * STATUS_DIVERGED; what the packages below report. After a failure all ranks hold the same status. */
NODISCARD Status trainer_run(const TrainerSetup *setup, TrainerResult *result, Diagnostic *diagnostic);
void trainer_result_free(TrainerResult *result);

/* The first step after `step` at which there is an evaluation and a checkpoint. */
int64_t trainer_next_evaluation(const TrainingOptions *options, bool evaluate, int64_t steps_per_epoch, int64_t total_steps,
                                int64_t step);

#endif
