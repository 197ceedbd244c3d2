/* Spans out of the labels of a sentence's tokens, by the default mode of core/spans. Internal to shard/. */
#ifndef NERSWEEP_SHARD_LABEL_SPANS_H
#define NERSWEEP_SHARD_LABEL_SPANS_H

#include "core/spans/labels.h"
#include "shard/corpus.h"

/* Zero-initialised is empty. */
typedef struct LabelSpans {
    LabelSet *set;
    LabelTable *table; /* of set; type names of the spans */
    Int32Array ids;
    SpanArray spans; /* of the last sentence, by start */
} LabelSpans;
void label_spans_free(LabelSpans *spans);
/* A label that is none is STATUS_INVALID_INPUT with its place. */
NODISCARD Status label_spans_extract(LabelSpans *spans, const CorpusSentence *sentence, const char *path, Diagnostic *diagnostic);

#endif
