/* A batch of sequences on its way into the store: labels as ids, texts as pieces, pieces in windows, and all of it as records. Any thread.
 * Internal to shard/. */
#ifndef NERSWEEP_SHARD_SHARD_BATCH_H
#define NERSWEEP_SHARD_SHARD_BATCH_H

#include "shard/shard_metadata.h"
#include "shard/shard_records.h"

/* What the batches of an input have in common. */
typedef struct BatchRules {
    const Wordpiece *wordpiece;
    const ShardMetadata *metadata; /* with the labels, the scheme and the options of the store */
    const char *path;              /* of the input, for messages */
    bool voted;                    /* its labels are spelt as different files spell them */
    RecordRules records;
} BatchRules;
BatchRules batch_rules(const Wordpiece *wordpiece, const ShardMetadata *metadata, const char *path, bool voted, uint16_t source);

/* What is made of a batch. Zero-initialised is empty; keeps its memory from batch to batch. */
typedef struct BatchWork {
    ShardRecords records;
    ShardCounts counts;
    int32_t violation; /* first token whose label the scheme does not allow, or -1; voted labels are not looked at */
    AlignedPieces pieces;
    WindowArray windows;
    Int32Array gold, token_labels;          /* of one sequence */
    Int32Array gold_of_name, label_of_name; /* [names of the batch] */
    int32_t outside;                        /* gold label of tokens that have none */
    ARRAY(const char *) texts;              /* of one sequence */
    ARRAY(size_t) sizes;
} BatchWork;
void batch_work_free(BatchWork *work);

/* Of several errors the one that comes first in the batch; with options.strict a label that the scheme does not allow is one. */
NODISCARD Status batch_work(BatchWork *work, const BatchRules *rules, const SequenceBatch *batch, Diagnostic *diagnostic);

#endif
