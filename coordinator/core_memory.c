/* Where the state keeps texts and scores: in blocks, which a million trials fill and nobody frees one by one. */
#include <string.h>

#include "coordinator/core_internal.h"

enum { SHARED_LENGTH = 80, HASH_BITS = 8 };

_Static_assert(1 << HASH_BITS == CORE_SHARED_TEXTS, "each hash has its place");

const char *core_keep(SweepCore *core, const char *text)
{
    return text ? arena_copy_bytes(core->memory, text, strlen(text)) : NULL;
}

const char *core_share(SweepCore *core, const char *text)
{
    uint32_t hash = 2166136261;
    size_t length = 0;
    if (!text)
        return NULL;
    for (; text[length]; length++)
        hash = (hash ^ (unsigned char)text[length]) * 16777619;
    if (length > SHARED_LENGTH)
        return arena_copy_bytes(core->memory, text, length);
    const char **place = &core->shared[hash * UINT32_C(2654435769) >> (32 - HASH_BITS)];
    if (!*place || strcmp(*place, text) != 0)
        *place = arena_copy_bytes(core->memory, text, length);
    return *place;
}

const KeptScore *core_keep_scores(SweepCore *core, const DatasetScore *scores, size_t count)
{
    KeptScore *kept = count ? arena_allocate(core->memory, count, sizeof *kept) : NULL;
    for (size_t i = 0; i < count; i++)
        kept[i] =
            (KeptScore){core_share(core, scores[i].name), scores[i].f1, scores[i].precision, scores[i].recall, scores[i].loss};
    return kept;
}
