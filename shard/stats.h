/* Statistics of annotated files, gathered in one pass with bounded memory. */
#ifndef NERSWEEP_SHARD_STATS_H
#define NERSWEEP_SHARD_STATS_H

#include "core/io/json.h"
#include "shard/corpus.h"
#include "shard/wordpiece.h"

enum {
    STATS_HASH_LIMIT = 1 << 22,   /* distinct sentences, tokens, surface forms that are told apart; 64 MiB each */
    STATS_LENGTH_LIMIT = 1 << 20, /* longer ones count as this long in histograms and quantiles */
    STATS_LABEL_LIMIT = 4096,     /* labels of one file: more is a wrong column */
};

typedef struct CorpusStats CorpusStats;

typedef struct CorpusStatsOptions {
    CorpusOptions corpus;
    const Wordpiece *wordpiece; /* NULL: no lengths in pieces */
    int64_t window_pieces;      /* pieces of text that a window holds, special ones not counted; 0: not known */
    /* Files read before, which this one is compared with; the first is the one that is trained on. They must live until the call returns. */
    const CorpusStats *const *earlier;
    size_t earlier_count;
    size_t hash_limit; /* 0: STATS_HASH_LIMIT */
} CorpusStatsOptions;

/* STATUS_INVALID_INPUT with the place for what cannot be read or is no label, STATUS_LIMIT for too many labels. */
NODISCARD Status corpus_stats_create(CorpusStats **stats, const char *path, const CorpusStatsOptions *options,
                                     Diagnostic *diagnostic);
void corpus_stats_destroy(CorpusStats **stats);

/* A new root:
 *   file, scheme, sentences, tokens, distinct_tokens, type_token_ratio (distinct tokens / tokens), spans
 *   labels: {LABEL: tokens}, spans_by_type: {TYPE: spans}, span_diversity: {TYPE: forms / spans}
 *   types: {TYPE: {spans, forms, type_token_ratio, mean_length, unseen, unseen_share}}; forms: distinct surface forms, of that type;
 *     unseen (with earlier files only): spans whose form the first file has not under that type
 *   length, pieces (with a vocabulary only), span_length: {mean, median, p95, max, histogram: [[length, count], ...]}; of pieces also unk,
 *     and window and over_window (sentences that need several windows) where the window is known
 *   duplicate_sentences, all_o_sentences, all_o_share
 *   with earlier files: overlap_with_train (sentences that are in the first), overlap: [{file, sentences}] for each of them, unseen, unseen_share
 *   limit_reached: more was distinct than is told apart: duplicates and overlaps are lower bounds then, unseen an upper one, and so are ratios
 *     lower ones. */
Json *corpus_stats_json(const CorpusStats *stats);

#endif
