/* How far a trial has come: what it evaluated, and which checkpoint is its best. Everything here is the same whatever machine, rank or
 * attempt computed it, except for the fence in a checkpoint's name. */
#ifndef NERSWEEP_WORKER_TRIAL_STATE_H
#define NERSWEEP_WORKER_TRIAL_STATE_H

#include "core/base/memory.h"
#include "core/io/json.h"
#include "proto/messages.h"

enum { TRIAL_STATE_FORMAT = 1, CHECKPOINT_NAME_SIZE = 128, TRIAL_EVALUATION_LIMIT = 1000000 };

/* An evaluation with its checkpoint; its number in the trial is its index + 1. */
typedef struct TrialEvaluation {
    int64_t step;
    double epoch;           /* training epochs done */
    double train_loss;      /* mean of the steps since the last evaluation */
    double learning_rate;   /* of the step before */
    DatasetScore *datasets; /* [dataset_count]; none: a checkpoint without evaluation */
    size_t dataset_count;
    double score;
    char checkpoint[CHECKPOINT_NAME_SIZE];
} TrialEvaluation;

typedef struct TrialState {
    int64_t step, total_steps;
    int64_t pieces; /* trained so far, special pieces included */
    ARRAY(TrialEvaluation) evaluations;
    int64_t best;  /* index of the best evaluation; -1: none yet */
    int64_t stale; /* evaluations in a row that did not better the best by the early-stopping threshold */
} TrialState;

void trial_state_init(TrialState *state, int64_t total_steps);
void trial_state_free(TrialState *state);
const TrialEvaluation *trial_state_best(const TrialState *state); /* NULL: none */
const TrialEvaluation *trial_state_last(const TrialState *state); /* NULL: none */

/* Takes the evaluation over. Strictly better is the new best, a tie keeps the earlier; higher scores are better. */
void trial_state_add(TrialState *state, const TrialEvaluation *evaluation, double early_stopping_threshold);
bool trial_state_should_stop(const TrialState *state, int64_t early_stopping_patience);

/* A new root. */
Json *trial_state_json(const TrialState *state);
/* {"NAME": {"f1", "precision", "recall", "loss"}}; a new root. */
Json *dataset_scores_json(const DatasetScore *datasets, size_t count);
NODISCARD Status trial_state_parse(TrialState *state, const Json *json, const char *name, Diagnostic *diagnostic);

#endif
