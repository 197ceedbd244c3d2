/* A set of 64-bit hashes with counts, open addressing. Internal to shard/. */
#ifndef NERSWEEP_SHARD_HASH_SET_H
#define NERSWEEP_SHARD_HASH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty; free with hash_set_free. */
typedef struct HashSet {
    uint64_t *slots; /* 0: free */
    size_t capacity; /* a power of two, or 0 */
    size_t count;
} HashSet;
/* True when the hash was not there before. */
bool hash_set_add(HashSet *set, uint64_t hash);
bool hash_set_has(const HashSet *set, uint64_t hash);
void hash_set_free(HashSet *set);

#endif
