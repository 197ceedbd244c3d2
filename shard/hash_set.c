#include "shard/hash_set.h"

#include <stdlib.h>

#include "core/base/memory.h"

/* The slot that holds the hash, or the free one where it belongs. */
static size_t slot_find(const HashSet *set, uint64_t hash)
{
    size_t slot = (size_t)(hash * 0x9E3779B97F4A7C15u >> 32) & (set->capacity - 1);
    while (set->slots[slot] != 0 && set->slots[slot] != hash)
        slot = (slot + 1) & (set->capacity - 1);
    return slot;
}

static void set_grow(HashSet *set)
{
    HashSet grown = {.capacity = set->capacity ? set->capacity * 2 : 64, .count = set->count};
    grown.slots = memory_allocate(grown.capacity, sizeof *grown.slots);
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i])
            grown.slots[slot_find(&grown, set->slots[i])] = set->slots[i];
    free(set->slots);
    *set = grown;
}

bool hash_set_add(HashSet *set, uint64_t hash)
{
    hash += hash == 0; /* 0 marks free slots */
    if (set->count * 4 >= set->capacity * 3)
        set_grow(set);
    size_t slot = slot_find(set, hash);
    if (set->slots[slot])
        return false;
    set->slots[slot] = hash;
    set->count++;
    return true;
}

bool hash_set_has(const HashSet *set, uint64_t hash)
{
    hash += hash == 0;
    return set->capacity > 0 && set->slots[slot_find(set, hash)] != 0;
}

void hash_set_free(HashSet *set)
{
    free(set->slots);
    *set = (HashSet){0};
}
