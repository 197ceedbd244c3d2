/* Sequences (sentences, or documents made of them) of a corpus, copied into batches that any thread may work on. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SEQUENCE_READER_H
#define NERSWEEP_SHARD_SEQUENCE_READER_H

#include "core/options/options.h"
#include "shard/conll_scan.h"
#include "shard/corpus.h"
#include "shard/corpus_ranges.h"
#include "shard/sequence_batch.h"

enum {
    SEQUENCE_BATCH_TOKENS = 8192,  /* a batch with as many is full; one sequence may be longer */
    SEQUENCE_PART_LIMIT = 4 << 20, /* over it without a border the file is read by one thread */
    SEQUENCE_PART_BYTES = 1 << 16, /* of a file that can be cut: as many make a batch, of some thousand tokens */
};

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
    bool scanned;           /* the batch is what a scan of the range found */
    bool by_lines;          /* for tests: read line by line even what can be scanned */
    ConllScan scan;         /* memory of the last one, kept for the next */
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
