/* Where the state keeps texts, scores and evaluations: in blocks, which a million trials fill and nobody frees one by one. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"

enum {
    SHARED_LENGTH = 80,
    HASH_BITS = 8,
    BLOCK_LEAST = 64 << 10,
    BLOCK_MOST = 8 << 20,
    EVALUATIONS_LEAST = 3, /* epochs of a fine-tuning, mostly */
};

_Static_assert(1 << HASH_BITS == CORE_SHARED_TEXTS, "each hash has its place");

static void add_block(CoreMemory *memory, size_t least)
{
    size_t size = memory->blocks.count < 7 ? (size_t)BLOCK_LEAST << memory->blocks.count : BLOCK_MOST;
    size = size < least ? least : size;
    void *block = memory_reallocate(NULL, size, 1);
    array_push(&memory->blocks, block);
    memory->at = block;
    memory->end = memory->at + size;
}

/* Not zeroed. alignment: 1 or 8. */
static void *take(SweepCore *core, size_t size, size_t alignment)
{
    CoreMemory *memory = &core->memory;
    size_t skipped = -(uintptr_t)memory->at % alignment;
    if (!memory->at || skipped + size > (size_t)(memory->end - memory->at)) {
        add_block(memory, size);
        skipped = 0;
    }
    void *taken = memory->at + skipped;
    memory->at += skipped + size;
    return taken;
}

void core_memory_free(CoreMemory *memory)
{
    for (size_t i = 0; i < memory->blocks.count; i++)
        free(memory->blocks.items[i]);
    array_free(&memory->blocks);
    *memory = (CoreMemory){0};
}

static const char *keep(SweepCore *core, const char *text, size_t length)
{
    return memcpy(take(core, length + 1, 1), text, length + 1);
}

const char *core_keep(SweepCore *core, const char *text)
{
    return text ? keep(core, text, strlen(text)) : NULL;
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
        return keep(core, text, length);
    const char **place = &core->memory.shared[hash * UINT32_C(2654435769) >> (32 - HASH_BITS)];
    if (!*place || strcmp(*place, text) != 0)
        *place = keep(core, text, length);
    return *place;
}

const KeptScore *core_keep_scores(SweepCore *core, const DatasetScore *scores, size_t count)
{
    KeptScore *kept = count ? take(core, count * sizeof *kept, sizeof(double)) : NULL;
    for (size_t i = 0; i < count; i++)
        kept[i] =
            (KeptScore){core_share(core, scores[i].name), scores[i].f1, scores[i].precision, scores[i].recall, scores[i].loss};
    return kept;
}

/* The places of a trial's evaluations double when they are full; those that become free are the next ones of that size. */
static Evaluation *take_evaluations(SweepCore *core, uint32_t doublings)
{
    ASSERT(doublings < CORE_EVALUATION_DOUBLINGS);
    void **first_free = &core->memory.free_evaluations[doublings], *places = *first_free;
    if (!places)
        return take(core, ((size_t)EVALUATIONS_LEAST << doublings) * sizeof(Evaluation), sizeof(double));
    memcpy(first_free, places, sizeof places);
    return places;
}

static void free_evaluations(SweepCore *core, Evaluation *places, uint32_t doublings)
{
    void **first_free = &core->memory.free_evaluations[doublings];
    memcpy(places, first_free, sizeof *first_free);
    *first_free = places;
}

void core_add_evaluation(SweepCore *core, Trial *trial, const Evaluation *evaluation)
{
    uint32_t count = trial->evaluations.count, doublings = 0;
    Evaluation *before = trial->evaluations.items;
    while (count && (uint32_t)EVALUATIONS_LEAST << doublings < count)
        doublings++;
    if (count == 0) {
        trial->evaluations.items = take_evaluations(core, 0);
    } else if (count == (uint32_t)EVALUATIONS_LEAST << doublings) {
        trial->evaluations.items = take_evaluations(core, doublings + 1);
        memcpy(trial->evaluations.items, before, count * sizeof *before);
        free_evaluations(core, before, doublings);
    }
    trial->evaluations.items[trial->evaluations.count++] = *evaluation;
}
