/* Sequences (sentences, or documents made of them) of several corpus files, one after another. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SEQUENCE_READER_H
#define NERSWEEP_SHARD_SEQUENCE_READER_H

#include "core/options/options.h"
#include "shard/corpus.h"

/* Lives until the next sequence_reader_next. All arrays: [token_count]. */
typedef struct Sequence {
    const char **texts;
    size_t *sizes;
    const char **labels; /* where an I- in a document goes on after a sentence's end, it reads B-: no span is in two sentences */
    const char **labels_written; /* as the file has them */
    CorpusToken *tokens;         /* for places */
    int32_t token_count;
    int32_t *sentence_starts; /* [sentence_count + 1], the last one is token_count */
    int32_t sentence_count;
    long line;
} Sequence;

typedef struct SequenceReader SequenceReader;
NODISCARD Status sequence_reader_open(SequenceReader **reader, const char *path, CorpusOptions options, bool documents,
                                      Diagnostic *diagnostic);
void sequence_reader_close(SequenceReader **reader);
/* *sequence = NULL at the end. */
NODISCARD Status sequence_reader_next(SequenceReader *reader, const Sequence **sequence, Diagnostic *diagnostic);
uint64_t sequence_reader_bytes_done(const SequenceReader *reader);

#endif
