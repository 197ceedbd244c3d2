/* Sequences (sentences, or documents made of them) as arrays by token. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SEQUENCE_BATCH_H
#define NERSWEEP_SHARD_SEQUENCE_BATCH_H

#include <stdint.h>

#include "core/base/memory.h"
#include "core/spans/labels.h"

typedef struct TokenPlace {
    int64_t line;
    int32_t label_column;
} TokenPlace;

typedef struct Sequence {
    int64_t line;
    float weight;                           /* a document's is the mean over its tokens */
    int32_t first_token, token_count;       /* in the batch */
    int32_t first_sentence, sentence_count; /* in the batch */
} Sequence;

typedef ARRAY(uint32_t) Uint32Array;

enum {
    SEQUENCE_UNLABELLED = -1, /* in place of a label: the sources of weak labels do not agree on it */
    SEQUENCE_TEXT_SLACK = 16, /* bytes that can be read from a token's text on, however short it is */
};

/* All arrays but the last three: by token of the batch. */
typedef struct SequenceBatch {
    Text bytes; /* the tokens' texts, each terminated, and perhaps others between them */
    Uint32Array text_offsets, text_sizes;
    Int32Array
        labels; /* in names, or SEQUENCE_UNLABELLED. Where an I- in a document goes on after a sentence's end, it reads B-: no
                                  span is in two sentences */
    Int32Array labels_written; /* as the file has them */
    ARRAY(TokenPlace) places;
    Int32Array sentence_starts; /* [sentences] first token of each */
    ARRAY(Sequence) sequences;
    LabelSet *names;
} SequenceBatch;
/* Tokens [*first, *first + count) of the batch are sentence `index` of the batch. */
int32_t sequence_batch_sentence(const SequenceBatch *batch, int32_t index, int32_t *first);

#endif
