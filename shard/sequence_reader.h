/* Sequences (sentences, or documents made of them) of a corpus, copied into batches that any thread may work on. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SEQUENCE_READER_H
#define NERSWEEP_SHARD_SEQUENCE_READER_H

#include "core/options/options.h"
#include "core/spans/labels.h"
#include "shard/corpus.h"

enum {
    SEQUENCE_UNLABELLED = -1,     /* in place of a label: the sources of weak labels do not agree on it */
    SEQUENCE_BATCH_TOKENS = 8192, /* a batch with as many is full; one sequence may be longer */
};

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

/* All arrays but the last three: by token of the batch. */
typedef struct SequenceBatch {
    Text bytes; /* the tokens' texts, each terminated */
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
void sequence_batch_clear(SequenceBatch *batch);
void sequence_batch_free(SequenceBatch *batch);
/* Memory that a batch takes, roughly, with what is made of it. */
size_t sequence_batch_cost(const SequenceBatch *batch);
/* Tokens [*first, *first + count) of the batch are sentence `index` of the batch. */
int32_t sequence_batch_sentence(const SequenceBatch *batch, int32_t index, int32_t *first);

/* What is read as one corpus: a file, or several with weak labels for the same tokens. */
typedef struct SequenceFiles {
    const char *const *paths;
    size_t path_count; /* 1, or any number when weak */
    bool weak;
    WeakVote vote;
    float weight;        /* of every sequence, times what a weight column says */
    bool weight_columns; /* the file may have a column of weights */
} SequenceFiles;

typedef struct SequenceReader SequenceReader;
NODISCARD Status sequence_reader_open(SequenceReader **reader, const SequenceFiles *files, CorpusOptions options, bool documents,
                                      Diagnostic *diagnostic);
void sequence_reader_close(SequenceReader **reader);
/* Clears the batch and fills it with the next sequences; without any it is the end. What was read before an error is in the batch. */
NODISCARD Status sequence_reader_fill(SequenceReader *reader, SequenceBatch *batch, Diagnostic *diagnostic);
uint64_t sequence_reader_bytes_done(const SequenceReader *reader);
/* Sequences left out so far, since the sources agree on none of their labels. */
int64_t sequence_reader_dropped(const SequenceReader *reader);

#endif
