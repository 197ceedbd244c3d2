/* Statistics of annotated files. */
#ifndef NERSWEEP_SHARD_STATS_H
#define NERSWEEP_SHARD_STATS_H

#include "core/io/json.h"
#include "shard/corpus.h"
#include "shard/wordpiece.h"

/* {file, sentences, tokens, spans, spans_by_type, labels, scheme, length: {mean, median, p95, max}, pieces (with wordpiece only):
 * {mean, median, p95, max, unk}, duplicate_sentences, span_diversity: {TYPE: distinct forms / spans}}. train (may be NULL): an earlier
 * file's stats object whose sentences overlap_with_train is counted against. A new root. */
typedef struct CorpusStats CorpusStats;
NODISCARD Status corpus_stats_create(CorpusStats **stats, const char *path, CorpusOptions options, const Wordpiece *wordpiece,
                                     Diagnostic *diagnostic);
void corpus_stats_destroy(CorpusStats **stats);
Json *corpus_stats_json(const CorpusStats *stats, const CorpusStats *train);

#endif
