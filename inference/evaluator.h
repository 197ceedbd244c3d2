/* Evaluation of a model on a split of a shard store: span counts, loss, and optionally each sequence's gold and prediction. */
#ifndef NERSWEEP_INFERENCE_EVALUATOR_H
#define NERSWEEP_INFERENCE_EVALUATOR_H

#include "core/spans/score.h"
#include "inference/decode.h"
#include "model/model.h"
#include "shard/shard_store.h"

typedef struct EvaluationOptions {
    int64_t batch_pieces; /* pieces per forward block; 0: 4096 */
    MetricMode metric_mode;
    MergeRule merge;
    DecodeRule decode;
    int32_t part, part_count; /* this rank's share: sequences are dealt out in blocks balanced by pieces; 0, 1 for all */
    bool want_loss;
    /* called per sequence in order (may be NULL): gold and predicted spans; pointers live during the call */
    void (*on_sequence)(void *context, int64_t sequence, const SpanArray *gold, const ScoredSpanArray *predicted);
    void *context;
    const volatile int *interrupted;                                 /* polled between blocks; may be NULL */
    void (*on_progress)(void *context, int64_t done, int64_t total); /* may be NULL */
} EvaluationOptions;

/* Sums over this part only; integers, so that ranks can be added up in any order. */
typedef struct Evaluation {
    ScoreCounts *counts; /* over the types of evaluation_label_table(store) */
    double loss_sum;     /* over labelled pieces, fp64, summed per sequence in order */
    int64_t labelled_pieces;
    int64_t sequences, pieces;
} Evaluation;
NODISCARD Status evaluation_run(Evaluation *evaluation, Model *model, const ShardStore *store, int32_t split,
                                const EvaluationOptions *options, Diagnostic *diagnostic);
void evaluation_free(Evaluation *evaluation);

enum { EVALUATION_SHORTEST_WINDOW = 2 }; /* pieces: the special ones */
/* The largest block that evaluation_run makes of a split when asked for batch_pieces (0: 4096). */
void evaluation_block(const ShardStore *store, int32_t split, int64_t batch_pieces, int64_t *pieces, int32_t *sequences);

/* Types over all labels of the store (training labels first in ids); the caller destroys it. */
NODISCARD Status evaluation_label_table(LabelTable **table, const ShardStore *store, Diagnostic *diagnostic);

#endif
