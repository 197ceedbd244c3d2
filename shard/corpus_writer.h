/* Corpora written in any of the formats that are read. The file is visible only when it is whole (core/io/file.h). */
#ifndef NERSWEEP_SHARD_CORPUS_WRITER_H
#define NERSWEEP_SHARD_CORPUS_WRITER_H

#include "shard/corpus.h"

typedef struct CorpusWriterOptions {
    CorpusFormat format; /* not AUTO */
    bool written_spans; /* text formats: sentences with a text keep their spans as they stand; else the labels say what is a span */
} CorpusWriterOptions;

typedef struct CorpusWriter CorpusWriter;
/* CORPUS_BRAT: path is that of the .ann or .txt file, or without extension; both are written. */
NODISCARD Status corpus_writer_begin(CorpusWriter **writer, const char *path, CorpusWriterOptions options, Diagnostic *diagnostic);
/* Text formats: a sentence without a text becomes one by joining its tokens with spaces, and the tokens are written too where the format
 * has a place for them (not in brat). source: the file that the sentence is from, for the places of what cannot be written:
 * STATUS_INVALID_INPUT. */
NODISCARD Status corpus_writer_add(CorpusWriter *writer, const CorpusSentence *sentence, const char *source,
                                   Diagnostic *diagnostic);
NODISCARD Status corpus_writer_commit(CorpusWriter **writer, Diagnostic *diagnostic); /* *writer becomes NULL in any case */
void corpus_writer_abandon(CorpusWriter **writer);
int64_t corpus_writer_spans(const CorpusWriter *writer); /* written so far; 0 for formats of tokens */

#endif
