#include "worker/prefix_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"

enum { NOT_KEPT = -1 };

struct PrefixCache {
    Model *model;
    const ShardStore *shards;
    int32_t split;
    char *folder;
    uint64_t limit_bytes;
    int file;         /* -1: not open, or given up */
    bool given_up;    /* the file failed: everything is computed */
    int32_t layers;   /* of what is kept; 0: nothing yet */
    int64_t *offsets; /* [windows] of a window's rows in the file; NOT_KEPT */
    int64_t end_bytes;
    FloatArray hidden;     /* [T, d] of the block that was asked for */
    FloatArray computed;   /* rows of the windows that were not there */
    TokenBlock *missing;   /* those windows */
    Int32Array missing_at; /* and their places in the block */
    PrefixCacheCounts counts;
};

PrefixCache *prefix_cache_create(Model *model, const ShardStore *shards, int32_t split, const char *folder, uint64_t limit_bytes)
{
    PrefixCache *cache = memory_allocate(1, sizeof *cache);
    *cache = (PrefixCache){.model = model,
                           .shards = shards,
                           .split = split,
                           .folder = memory_copy_string(folder),
                           .limit_bytes = limit_bytes,
                           .file = -1};
    cache->offsets = memory_allocate((size_t)shard_window_count(shards, split) + 1, sizeof *cache->offsets);
    cache->missing = token_block_create(4096, 256);
    return cache;
}

void prefix_cache_destroy(PrefixCache **cache)
{
    PrefixCache *old = *cache;
    if (!old)
        return;
    if (old->file >= 0)
        close(old->file);
    token_block_destroy(&old->missing);
    array_free(&old->hidden);
    array_free(&old->computed);
    array_free(&old->missing_at);
    free(old->offsets);
    free(old->folder);
    free(old);
    *cache = NULL;
}

int32_t prefix_cache_layers(const Model *model, const bool *part_frozen, bool frozen_dropout)
{
    const BertConfig *config = model_config(model);
    bool drops = frozen_dropout && (config->hidden_dropout_prob > 0 || config->attention_probs_dropout_prob > 0);
    if (!part_frozen || !part_frozen[0] || drops || !model_rows_independent(model))
        return 0;
    int32_t layers = 0;
    while (layers < config->num_hidden_layers - 1 && part_frozen[1 + layers])
        layers++;
    return layers;
}

PrefixCacheCounts prefix_cache_counts(const PrefixCache *cache)
{
    return cache->counts;
}

static void give_up(PrefixCache *cache, const char *what)
{
    LOG_WARNING("cannot %s the file for the frozen layers' output in %s: %s; it is computed anew in each step", what, cache->folder,
                errno ? strerror(errno) : "it is shorter than it was");
    if (cache->file >= 0)
        close(cache->file);
    cache->file = -1;
    cache->given_up = true;
    cache->limit_bytes = 0;
}

/* Forgets what was kept of another number of layers. */
static void begin_layers(PrefixCache *cache, int32_t layers)
{
    for (int64_t w = 0; w < shard_window_count(cache->shards, cache->split); w++)
        cache->offsets[w] = NOT_KEPT;
    cache->layers = layers;
    cache->end_bytes = 0;
    if (cache->file >= 0 && ftruncate(cache->file, 0) != 0)
        give_up(cache, "empty");
    if (cache->file < 0 && !cache->given_up && cache->limit_bytes > 0) {
        cache->file = open(cache->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (cache->file < 0)
            give_up(cache, "make");
    }
}

static bool read_all(int file, void *bytes, size_t size, int64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(file, (char *)bytes + done, size - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

static bool write_all(int file, const void *bytes, size_t size, int64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(file, (const char *)bytes + done, size - done, (off_t)(offset + (int64_t)done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static void keep(PrefixCache *cache, int64_t window, const float *rows, size_t size_bytes)
{
    if (cache->file < 0 || (uint64_t)cache->end_bytes + size_bytes > cache->limit_bytes)
        return;
    if (!write_all(cache->file, rows, size_bytes, cache->end_bytes)) {
        give_up(cache, "write");
        return;
    }
    cache->offsets[window] = cache->end_bytes;
    cache->end_bytes += (int64_t)size_bytes;
}

/* Rows of windows that are kept, into their places; the others are gathered in cache->missing. */
static void read_kept(PrefixCache *cache, const int64_t *windows, int32_t window_count, const TokenBlock *block, size_t width)
{
    token_block_clear(cache->missing);
    cache->missing_at.count = 0;
    for (int32_t i = 0; i < window_count; i++) {
        int32_t first = block->sequence_start[i], length = block->sequence_start[i + 1] - first;
        size_t size_bytes = (size_t)length * width * sizeof(float);
        int64_t *offset = &cache->offsets[windows[i]];
        if (*offset != NOT_KEPT && cache->file >= 0) {
            if (read_all(cache->file, cache->hidden.items + (size_t)first * width, size_bytes, *offset)) {
                cache->counts.read++;
                continue;
            }
            give_up(cache, "read");
        }
        *offset = NOT_KEPT;
        array_push(&cache->missing_at, i);
        token_block_append(cache->missing, block->ids + first, NULL, 1.0f, length, block->sequence_slot[i]);
    }
}

Status prefix_cache_get(PrefixCache *cache, int32_t layers, const int64_t *windows, int32_t window_count, const TokenBlock *block,
                        const float **hidden, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t width = (size_t)model_config(cache->model)->hidden_size, taken = 0;
    ASSERT(window_count == block->sequence_count && layers > 0);
    if (layers != cache->layers)
        begin_layers(cache, layers);
    array_reserve(&cache->hidden, (size_t)block->piece_count * width);
    read_kept(cache, windows, window_count, block, width);
    array_reserve(&cache->computed, (size_t)cache->missing->piece_count * width);
    if (cache->missing->piece_count > 0)
        TRY(model_prefix_forward(cache->model, cache->missing, layers, cache->computed.items, diagnostic));
    for (size_t m = 0; m < cache->missing_at.count; m++) {
        int32_t i = cache->missing_at.items[m], first = block->sequence_start[i];
        size_t floats = (size_t)(block->sequence_start[i + 1] - first) * width;
        const float *rows = cache->computed.items + taken;
        memcpy(cache->hidden.items + (size_t)first * width, rows, floats * sizeof(float));
        if (cache->offsets[windows[i]] == NOT_KEPT) /* an oversampled window may stand in the block twice */
            keep(cache, windows[i], rows, floats * sizeof(float));
        taken += floats;
    }
    cache->counts.computed += (int64_t)cache->missing_at.count;
    *hidden = cache->hidden.items;
out:
    return status;
}
