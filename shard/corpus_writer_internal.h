/* What the writers of corpus formats share. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_WRITER_INTERNAL_H
#define NERSWEEP_SHARD_CORPUS_WRITER_INTERNAL_H

#include "core/io/file.h"
#include "shard/corpus_internal.h"
#include "shard/corpus_writer.h"
#include "shard/label_spans.h"

struct CorpusWriter {
    CorpusWriterOptions options;
    FileWriter *file, *annotations; /* annotations: brat's .ann */
    char *annotations_path;
    Text buffer, annotations_buffer;
    int64_t sentences, spans;
    LabelSpans label_spans;
    Text joined;             /* the tokens of the sentence in hand as a text */
    CorpusTokenArray tokens; /* with their offsets in the text */
    CorpusSpanArray text_spans;
    OffsetIndex points;
    size_t brat_characters; /* of the text so far */
};

/* The sentence in hand as raw text. */
typedef struct WrittenText {
    const char *bytes;
    size_t size;
    const CorpusToken *tokens; /* with offsets */
    size_t token_count;
    const CorpusSpan *spans;
    size_t span_count;
} WrittenText;

/* Appends the sentence to writer->buffer. */
NODISCARD Status corpus_write_text(CorpusWriter *writer, const CorpusSentence *sentence, const char *source,
                                   Diagnostic *diagnostic);
/* What stands behind the last sentence. */
void corpus_write_end(CorpusWriter *writer);

#endif
