/* Sequences (sentences, or documents made of them) of a corpus, copied into batches that any thread may work on. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SEQUENCE_READER_H
#define NERSWEEP_SHARD_SEQUENCE_READER_H

#include "core/options/options.h"
#include "core/spans/labels.h"
#include "shard/corpus.h"
#include "shard/corpus_ranges.h"

enum {
    SEQUENCE_UNLABELLED = -1,      /* in place of a label: the sources of weak labels do not agree on it */
    SEQUENCE_BATCH_TOKENS = 8192,  /* a batch with as many is full; one sequence may be longer */
    SEQUENCE_PART_LIMIT = 4 << 20, /* over it without a border the file is read by one thread */
    SEQUENCE_PART_BYTES = 1 << 16, /* of a file that can be cut: as many make a batch, of some thousand tokens */
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
uint64_t sequence_reader_bytes_done(const SequenceReader *reader);
/* Sequences left out so far, since the sources agree on none of their labels. */
int64_t sequence_reader_dropped(const SequenceReader *reader);

/* The next sequences of a reader on their way into a batch: a range of a file that can be cut (corpus_ranges.h), whose bytes any thread may
 * read, or what had to be read at once. Zero-initialised is empty. */
typedef struct SequencePart {
    SequenceBatch batch;
    CorpusRange range;
    CorpusWarning warning;
    bool is_cut;            /* the batch is not yet read from the range */
    SequenceReader *reader; /* of ranges, or NULL; kept for the next one */
} SequencePart;
/* One thread at a time, in the order of the input. The part stays empty at the end: *more = false. After an error it has what was read
 * before. size_bytes: of a range, SEQUENCE_PART_BYTES if not for tests. */
NODISCARD Status sequence_reader_take(SequenceReader *reader, size_t size_bytes, SequencePart *part, bool *more,
                                      Diagnostic *diagnostic);
/* Any thread. What was read before an error is in the batch. */
NODISCARD Status sequence_part_read(SequencePart *part, Diagnostic *diagnostic);
/* Says what there is to warn of in a part that was read; in the order of the input. */
void sequence_part_tell(SequenceReader *reader, const SequencePart *part);
/* Memory that the part takes, roughly, with what is made of it. */
size_t sequence_part_cost(const SequencePart *part);
/* Memory that it keeps for the next. */
size_t sequence_part_bytes(const SequencePart *part);
void sequence_part_clear(SequencePart *part); /* takes the sequences out */
void sequence_part_close(SequencePart *part); /* lets go of the reader, before that is closed */
void sequence_part_free(SequencePart *part);

#endif
