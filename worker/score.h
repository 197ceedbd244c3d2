/* Scoring: splits evaluated by all ranks together, and a trial's one number out of its dev sets. */
#ifndef NERSWEEP_WORKER_SCORE_H
#define NERSWEEP_WORKER_SCORE_H

#include "core/io/json.h"
#include "inference/evaluator.h"
#include "proto/messages.h"
#include "worker/communicator.h"

typedef enum MetricName { METRIC_F1, METRIC_PRECISION, METRIC_RECALL } MetricName;

/* Micro averages over spans, higher is better. dataset: a dev set's name, "mean" or "worst" over all; "" the first. */
typedef struct TrialMetric {
    MetricName name;
    char dataset[64];
} TrialMetric;

/* {"name": "f1", "goal": "maximize", "dataset": NAME}; all keys may be missing. source: names the text in messages. */
NODISCARD Status trial_metric_parse(TrialMetric *metric, const Json *json, const char *source, Diagnostic *diagnostic);
Json *trial_metric_json(const TrialMetric *metric);

/* STATUS_NOT_FOUND, naming those that there are, when the metric's dataset is none of them. */
NODISCARD Status trial_metric_score(const TrialMetric *metric, const DatasetScore *datasets, size_t count, double *score,
                                    Diagnostic *diagnostic);

/* Collective: every rank evaluates its part and all get the same score. poll (may be NULL) is called between blocks; a result other than 0
 * ends the evaluation on all ranks with STATUS_INTERRUPTED and the largest of their results in *stop. */
typedef struct SplitScoring {
    Communicator *communicator;
    Model *model;
    const ShardStore *shards;
    const TrainingOptions *options;
    int (*poll)(void *context);
    void *poll_context;
} SplitScoring;
/* Pieces that a block may have, of splits whose windows have at most so many; one window at least is taken. */
int64_t score_block_pieces(int64_t max_seq_length, const TrainingOptions *options);
/* Pieces and sequences of the largest block that split_score makes of a split. */
void split_score_block(const ShardStore *shards, const TrainingOptions *options, int32_t split, int64_t *pieces,
                       int32_t *sequences);
NODISCARD Status split_score(const SplitScoring *scoring, int32_t split, DatasetScore *score, int64_t *stop,
                             Diagnostic *diagnostic);

#endif
