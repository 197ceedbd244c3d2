/* What each labelled piece of the training data weighs in the loss: its sentence's weight times its label's (semantics.md section 4). */
#ifndef NERSWEEP_WORKER_LABEL_WEIGHTS_H
#define NERSWEEP_WORKER_LABEL_WEIGHTS_H

#include "core/options/options.h"
#include "shard/shard_store.h"

typedef struct LabelWeights {
    float *labels;   /* [C] of the shards' training labels; NULL: all weigh 1 */
    double *windows; /* [windows of the split] a window's share of a step's denominator */
} LabelWeights;

/* Reads the split once where labels have weights. STATUS_INVALID_INPUT: the option names a label that the data does not have. */
NODISCARD Status label_weights_create(LabelWeights *weights, const ShardStore *shards, int32_t split,
                                      const TrainingOptions *options, Diagnostic *diagnostic);
void label_weights_free(LabelWeights *weights);

#endif
