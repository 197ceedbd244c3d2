/* What gathering and showing of statistics share. Internal to shard/. */
#ifndef NERSWEEP_SHARD_STATS_INTERNAL_H
#define NERSWEEP_SHARD_STATS_INTERNAL_H

#include "shard/hash_set.h"
#include "shard/stats.h"

/* How often each length occurs. */
typedef struct LengthCounts {
    ARRAY(int64_t) counts; /* by length, at most STATS_LENGTH_LIMIT + 1 */
    int64_t total, sum, max;
} LengthCounts;

typedef struct TypeStats {
    char *name;
    int64_t spans, tokens, unseen;
    HashSet forms;
    const HashSet *train_forms; /* of the same type in the first file; NULL: none */
} TypeStats;

typedef struct FileOverlap {
    char *path;
    int64_t sentences;
} FileOverlap;

struct CorpusStats {
    char *path;
    int64_t sentences, tokens, spans, unseen, all_o_sentences, duplicate_sentences, unk_pieces, window_pieces;
    bool has_pieces, limit_reached;
    LabelScheme scheme;
    LabelSet *labels;
    ARRAY(int64_t) label_counts; /* by id in labels */
    ARRAY(TypeStats) types;      /* in order of appearance, sorted by name at the end */
    LengthCounts token_lengths, piece_lengths, span_lengths;
    HashSet distinct_sentences, distinct_tokens;
    size_t form_count; /* of all types */
    ARRAY(FileOverlap) overlaps;
};

#endif
