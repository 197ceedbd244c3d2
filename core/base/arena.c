#include "core/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGNMENT = 16, ARENA_SMALLEST_BLOCK = 1024 };

typedef struct ArenaBlock ArenaBlock;
struct ArenaBlock {
    ArenaBlock *next;
    size_t size; /* of bytes */
    size_t used;
    _Alignas(ARENA_ALIGNMENT) unsigned char bytes[];
};

/* Blocks form a list; those before current are full, those after it are empty (kept by a reset). */
struct Arena {
    ArenaBlock *first;
    ArenaBlock *current;
    size_t block_size_bytes;
    size_t held_bytes;
};

Arena *arena_create(size_t block_size_bytes)
{
    Arena *arena = memory_allocate(1, sizeof *arena);
    arena->block_size_bytes = block_size_bytes < ARENA_SMALLEST_BLOCK ? ARENA_SMALLEST_BLOCK : block_size_bytes;
    return arena;
}

void arena_destroy(Arena **arena)
{
    if (!*arena)
        return;
    for (ArenaBlock *block = (*arena)->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(*arena);
    *arena = NULL;
}

void arena_reset(Arena *arena)
{
    for (ArenaBlock *block = arena->first; block; block = block->next)
        block->used = 0;
    arena->current = arena->first;
}

/* A new block right after the current one, so that the list keeps its order of full, current, empty. */
static ArenaBlock *arena_add_block(Arena *arena, size_t smallest)
{
    size_t size = smallest > arena->block_size_bytes ? smallest : arena->block_size_bytes, bytes;
    ASSERT(size_add(size, sizeof(ArenaBlock), &bytes));
    ArenaBlock *block = memory_allocate(1, bytes);
    block->size = size;
    if (arena->current) {
        block->next = arena->current->next;
        arena->current->next = block;
    } else {
        arena->first = block;
    }
    arena->held_bytes += bytes;
    return block;
}

/* *bytes_wanted is rounded up. Not zeroed: the block may have been used before a reset. */
static void *arena_take(Arena *arena, size_t *bytes_wanted)
{
    ASSERT(size_add(*bytes_wanted, ARENA_ALIGNMENT - 1, bytes_wanted));
    size_t bytes = *bytes_wanted / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    if (!bytes)
        bytes = ARENA_ALIGNMENT; /* no two results are the same place */
    ArenaBlock *block = arena->current;
    if (!block || block->size - block->used < bytes) {
        ArenaBlock *kept = block ? block->next : NULL;
        block = kept && kept->size >= bytes ? kept : arena_add_block(arena, bytes);
        arena->current = block;
    }
    void *memory = block->bytes + block->used;
    block->used += bytes;
    *bytes_wanted = bytes;
    return memory;
}

void *arena_allocate(Arena *arena, size_t count, size_t size)
{
    size_t bytes;
    ASSERT(size_multiply(count, size, &bytes));
    void *memory = arena_take(arena, &bytes);
    memset(memory, 0, bytes);
    return memory;
}

char *arena_copy_bytes(Arena *arena, const char *bytes, size_t size)
{
    size_t terminated;
    ASSERT(size_add(size, 1, &terminated));
    char *copy = arena_take(arena, &terminated);
    if (size)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

size_t arena_bytes(const Arena *arena)
{
    return arena->held_bytes;
}
