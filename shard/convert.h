/* From one corpus format and label scheme to another (semantics.md sections 1 and 2). */
#ifndef NERSWEEP_SHARD_CONVERT_H
#define NERSWEEP_SHARD_CONVERT_H

#include "shard/corpus.h"

typedef struct ConvertOptions {
    CorpusOptions corpus; /* of the input; its scheme is what formats of tokens get, if given */
    CorpusFormat to;      /* not AUTO */
    bool repair;          /* labels that the input's scheme does not allow become those of the spans that the default mode reads */
} ConvertOptions;

/* A label that was repaired. */
typedef void (*ConvertRepair)(void *context, const char *file, long line, long column, const char *before, const char *after);

typedef struct ConvertSummary {
    CorpusFormat from;
    int64_t sentences; /* or texts */
    int64_t tokens, repaired;
    CorpusCounts counts;
} ConvertSummary;

/* Labels of one format of tokens reach another as they stand, unless a scheme or repair is asked for. Where spans are needed, labels that
 * the input's scheme (the strictest that fits) does not allow are STATUS_INVALID_INPUT with their place, or repaired. Between formats of
 * text, spans stay as they are, nested or not, unless the flatten or misaligned rule is another than error. Nothing is left behind on
 * failure. on_repair may be NULL. */
NODISCARD Status corpus_convert(const char *input, const char *output, const ConvertOptions *options, ConvertRepair on_repair,
                                void *context, ConvertSummary *summary, Diagnostic *diagnostic);

#endif
