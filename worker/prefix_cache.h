/* Outputs of a frozen prefix, computed once per window and kept on disk for as long as the prefix stays frozen (semantics.md section 4,
 * frozen_dropout).
 *
 * One file without a name in the work folder: the system's page cache decides how much of it lies in memory, and nothing is left behind however
 * the process ends. It holds rows as they were computed, so that a step is the same bits with a cache, without one, or with half of one. */
#ifndef NERSWEEP_WORKER_PREFIX_CACHE_H
#define NERSWEEP_WORKER_PREFIX_CACHE_H

#include "core/base/token_block.h"
#include "model/model.h"
#include "shard/shard_store.h"

typedef struct PrefixCache PrefixCache;

/* For the windows of a split. limit_bytes: of the file; windows that do not fit are computed anew each time. All arguments must outlive it. */
PrefixCache *prefix_cache_create(Model *model, const ShardStore *shards, int32_t split, const char *folder, uint64_t limit_bytes);
void prefix_cache_destroy(PrefixCache **cache);

/* How many encoder layers' output may be kept in this phase: 0 where the prefix is not wholly frozen, has dropout, or gives other bits beside
 * other rows. The last layer is never among them: behind it stands the classifier's dropout. */
int32_t prefix_cache_layers(const Model *model, const bool *part_frozen, bool frozen_dropout);

/* Output of the first `layers` layers for a block made of these windows of the split, in order: *hidden [T, d], until the next call. Another
 * number of layers than before forgets everything. A file that cannot be written is said once, and done without. */
NODISCARD Status prefix_cache_get(PrefixCache *cache, int32_t layers, const int64_t *windows, int32_t window_count,
                                  const TokenBlock *block, const float **hidden, Diagnostic *diagnostic);

typedef struct PrefixCacheCounts {
    int64_t read, computed; /* windows */
} PrefixCacheCounts;
PrefixCacheCounts prefix_cache_counts(const PrefixCache *cache);

#endif
