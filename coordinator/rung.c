#include "coordinator/rung.h"

#include <stdlib.h>
#include <string.h>

/* Where an entry stands, or would stand. */
typedef struct Place {
    size_t block;
    uint32_t index;
} Place;

static bool stands_before(const RungEntry *entry, uint32_t configuration, double value)
{
    return entry->value > value || (entry->value == value && entry->configuration < configuration);
}

/* In the first block whose last one does not stand before it; in the last block when there is none. The rung is not empty. */
static Place place_of(const Rung *rung, uint32_t configuration, double value)
{
    size_t low = 0, high = rung->blocks.count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const RungBlock *block = &rung->blocks.items[middle];
        bool before = stands_before(&block->entries[block->count - 1], configuration, value);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    const RungBlock *block = &rung->blocks.items[low];
    uint32_t first = 0, end = block->count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        bool before = stands_before(&block->entries[middle], configuration, value);
        first = before ? middle + 1 : first;
        end = before ? end : middle;
    }
    return (Place){low, first};
}

void rung_free(Rung *rung)
{
    for (size_t i = 0; i < rung->blocks.count; i++)
        free(rung->blocks.items[i].entries);
    array_free(&rung->blocks);
    rung->count = 0;
}

static void insert_block(Rung *rung, size_t at)
{
    RungBlock added = {.entries = memory_allocate(RUNG_BLOCK_ENTRIES, sizeof(RungEntry))};
    array_push(&rung->blocks, added);
    RungBlock *blocks = rung->blocks.items;
    memmove(blocks + at + 1, blocks + at, (rung->blocks.count - 1 - at) * sizeof *blocks);
    blocks[at] = added;
}

/* The upper half of a full block becomes the next one. */
static void split(Rung *rung, size_t at)
{
    enum { KEPT = RUNG_BLOCK_ENTRIES / 2 };
    insert_block(rung, at + 1);
    RungBlock *full = &rung->blocks.items[at], *next = full + 1;
    next->count = full->count - KEPT;
    full->count = KEPT;
    memcpy(next->entries, full->entries + KEPT, next->count * sizeof *next->entries);
    for (uint32_t i = 0; i < next->count; i++)
        next->waiting += !next->entries[i].promoted;
    full->waiting -= next->waiting;
}

void rung_add(Rung *rung, RungEntry entry)
{
    if (rung->count == 0)
        insert_block(rung, 0);
    Place place = place_of(rung, entry.configuration, entry.value);
    if (rung->blocks.items[place.block].count == RUNG_BLOCK_ENTRIES) {
        split(rung, place.block);
        place = place_of(rung, entry.configuration, entry.value);
    }
    RungBlock *block = &rung->blocks.items[place.block];
    RungEntry *at = block->entries + place.index;
    memmove(at + 1, at, (block->count - place.index) * sizeof *at);
    *at = entry;
    block->count++;
    block->waiting += !entry.promoted;
    rung->count++;
}

RungEntry *rung_find(const Rung *rung, uint32_t configuration, double value)
{
    if (rung->count == 0)
        return NULL;
    Place place = place_of(rung, configuration, value);
    const RungBlock *block = &rung->blocks.items[place.block];
    bool found = place.index < block->count && block->entries[place.index].configuration == configuration;
    return found ? &block->entries[place.index] : NULL;
}

void rung_promote(Rung *rung, RungEntry *entry)
{
    rung->blocks.items[place_of(rung, entry->configuration, entry->value).block].waiting -= !entry->promoted;
    entry->promoted = true;
}

const RungEntry *rung_first_waiting(const Rung *rung, size_t *rank)
{
    *rank = 0;
    for (size_t b = 0; b < rung->blocks.count; b++) {
        const RungBlock *block = &rung->blocks.items[b];
        for (uint32_t i = 0; block->waiting && i < block->count; i++)
            if (!block->entries[i].promoted) {
                *rank += i;
                return &block->entries[i];
            }
        *rank += block->count;
    }
    return NULL;
}

size_t rung_rank(const Rung *rung, const RungEntry *entry)
{
    Place place = place_of(rung, entry->configuration, entry->value);
    size_t rank = place.index;
    for (size_t b = 0; b < place.block; b++)
        rank += rung->blocks.items[b].count;
    return rank;
}

const RungEntry *rung_at(const Rung *rung, size_t rank)
{
    size_t b = 0;
    for (; rank >= rung->blocks.items[b].count; b++)
        rank -= rung->blocks.items[b].count;
    return &rung->blocks.items[b].entries[rank];
}
