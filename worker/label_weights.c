#include "worker/label_weights.h"

#include <stdlib.h>

#include "core/options/class_weights.h"

enum { WINDOW_BYTES = 1 << 13 };

/* How often each label is counted in the loss; with values (may be NULL) also every window's sum of weights. */
static Status scan_windows(const ShardStore *shards, int32_t split, int64_t *counts, const float *values, double *windows,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Arena *arena = arena_create(WINDOW_BYTES);
    int32_t label_count = label_set_count(shard_store_labels(shards));
    for (int64_t w = 0; w < shard_window_count(shards, split); w++) {
        ShardWindow window;
        arena_reset(arena);
        TRY(shard_window_read(shards, split, w, arena, &window, diagnostic));
        double sum = 0;
        for (int32_t i = 0; i < window.length; i++) {
            int32_t label = window.labels[i];
            if (label == TOKEN_LABEL_IGNORED)
                continue;
            if (label < 0 || label >= label_count)
                TRY_FAIL(diagnostic, STATUS_CORRUPT, "shards: a piece of the training data has label %d of %d", label, label_count);
            counts[label]++;
            sum += values ? (double)values[label] : 1.0;
        }
        windows[w] = (double)window.weight * sum;
    }
out:
    arena_destroy(&arena);
    return status;
}

static Status resolve(LabelWeights *weights, const ClassWeights *given, const ShardStore *shards, int32_t split,
                      Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const LabelSet *set = shard_store_labels(shards);
    int32_t label_count = label_set_count(set);
    const char **names = memory_allocate((size_t)label_count + 1, sizeof *names);
    int64_t *counts = memory_allocate((size_t)label_count + 1, sizeof *counts);
    for (int32_t c = 0; c < label_count; c++)
        names[c] = label_set_name(set, c);
    if (given->rule == CLASS_WEIGHTS_BALANCED)
        TRY(scan_windows(shards, split, counts, NULL, weights->windows, diagnostic));
    weights->labels = memory_allocate((size_t)label_count + 1, sizeof *weights->labels);
    TRY(class_weights_resolve(given, names, label_count, counts, weights->labels, diagnostic));
    TRY(scan_windows(shards, split, counts, weights->labels, weights->windows, diagnostic));
out:
    free(names);
    free(counts);
    return status;
}

Status label_weights_create(LabelWeights *weights, const ShardStore *shards, int32_t split, const TrainingOptions *options,
                            Diagnostic *diagnostic)
{
    *weights = (LabelWeights){0};
    ClassWeights given;
    const ShardWindowInfo *infos = shard_window_infos(shards, split);
    int64_t window_count = shard_window_count(shards, split);
    weights->windows = memory_allocate((size_t)window_count + 1, sizeof *weights->windows);
    Status status = class_weights_parse(&given, options->class_weights, diagnostic);
    if (status == STATUS_OK && given.rule != CLASS_WEIGHTS_NONE)
        status = resolve(weights, &given, shards, split, diagnostic);
    for (int64_t w = 0; given.rule == CLASS_WEIGHTS_NONE && w < window_count; w++)
        weights->windows[w] = (double)infos[w].weight * (double)infos[w].label_count;
    if (status != STATUS_OK)
        label_weights_free(weights);
    return status;
}

void label_weights_free(LabelWeights *weights)
{
    free(weights->labels);
    free(weights->windows);
    *weights = (LabelWeights){0};
}
