/* Words as numbers: a table of the vocabulary's whole words, and a cache of other words' pieces. Private to package shard. */
#ifndef NERSWEEP_SHARD_WORDPIECE_TABLE_H
#define NERSWEEP_SHARD_WORDPIECE_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "shard/vocabulary.h"
#include "shard/wordpiece_scan.h"

enum {
    WORD_KEY_BYTES = 16,        /* longer words go to the trie */
    WORD_TABLE_PROBES = 8,      /* a word that finds no room so near to its place is left to the trie */
    WORD_TABLE_SLOTS = 1 << 18, /* at most, 8 MiB; a vocabulary's first words are the frequent ones */
    WORD_SLOT_PIECES = 4,       /* words of more are not kept */
    WORD_CACHE_SLOTS = 1 << 20, /* at most, 32 MiB */
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word's first byte is the lowest of its key");

/* A word of 1 to WORD_KEY_BYTES bytes, none of them 0, and zeros behind it. */
typedef struct WordKey {
    uint64_t low, high;
} WordKey;

/* Keys of no word: 0xFF is no byte of UTF-8. */
static const WordKey word_key_hidden = {UINT64_MAX, UINT64_MAX}; /* of a slot whose word must not be found */
static const WordKey word_key_long = {UINT64_MAX, 0};            /* of words that are too long */

/* Reads WORD_KEY_BYTES from bytes on, whatever the size. */
static inline WordKey word_key(const uint8_t *bytes, int32_t size)
{
    static const uint64_t masks[2 * WORD_KEY_BYTES / 8] = {UINT64_MAX, UINT64_MAX, 0, 0};
    const uint8_t *mask = (const uint8_t *)masks + WORD_KEY_BYTES - size;
    uint64_t low_mask, high_mask;
    WordKey key;
    memcpy(&key.low, bytes, 8);
    memcpy(&key.high, bytes + 8, 8);
    memcpy(&low_mask, mask, 8);
    memcpy(&high_mask, mask + 8, 8);
    return (WordKey){key.low & low_mask, key.high & high_mask};
}

/* The same, reading nothing behind the word: from both its ends, which may overlap. */
static inline WordKey word_key_within(const uint8_t *bytes, int32_t size)
{
    const int32_t rest = size >= 8 ? size - 8 : size >= 4 ? size - 4 : 0; /* where the second half begins */
    WordKey key = {0, 0};
    if (size >= 8) {
        uint64_t end;
        memcpy(&key.low, bytes, 8);
        memcpy(&end, bytes + rest, 8);
        key.high = rest > 0 ? end >> (64 - 8 * rest) : 0;
    } else if (size >= 4) {
        uint32_t begin, end;
        memcpy(&begin, bytes, 4);
        memcpy(&end, bytes + rest, 4);
        key.low = begin | (uint64_t)end << (8 * rest);
    } else {
        key.low = bytes[0] | (uint64_t)bytes[size / 2] << (8 * (size / 2)) | (uint64_t)bytes[size - 1] << (8 * (size - 1));
    }
    return key;
}

static inline bool word_key_is_ascii(WordKey key)
{
    return ((key.low | key.high) & 0x8080808080808080u) == 0;
}

/* Of ASCII: a byte's top bit is free to hold whether it is at least A, and whether it is above Z. */
static inline uint64_t word_key_lower_half(uint64_t half)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t from_a = half + each * (0x80 - 'A'), above_z = half + each * (0x7F - 'Z');
    return half + ((from_a & ~above_z & each * 0x80) >> 2);
}
static inline WordKey word_key_lower(WordKey key)
{
    return (WordKey){word_key_lower_half(key.low), word_key_lower_half(key.high)};
}

/* The upper bits are the good ones. */
static inline uint64_t word_key_hash(WordKey key)
{
    return key.low * 0x9E3779B97F4A7C15u + key.high * 0xC2B2AE3D27D4EB4Fu;
}

static inline bool word_key_equal(WordKey a, WordKey b)
{
    return ((a.low ^ b.low) | (a.high ^ b.high)) == 0;
}

/* A word and its pieces, two to a line of the processor's cache. */
typedef struct WordSlot {
    WordKey key;                       /* zeros: free */
    uint32_t pieces[WORD_SLOT_PIECES]; /* id, and from bit 24 on where it ends, in bytes of the word; 0 behind the last */
} WordSlot;

static inline uint32_t word_slot_piece(int32_t id, int32_t end)
{
    return (uint32_t)id | (uint32_t)end << 24;
}
static inline int32_t word_slot_id(uint32_t piece)
{
    return (int32_t)(piece & 0xFFFFFF);
}
static inline int32_t word_slot_end(uint32_t piece)
{
    return (int32_t)(piece >> 24);
}

/* Pieces of the vocabulary that a word can be as a whole: letters throughout, or one character of punctuation; what is not ASCII is a letter
 * here. Immutable after building. */
typedef struct WordTable {
    WordSlot *slots;
    int32_t shift; /* of a hash */
    uint32_t mask;
} WordTable;

/* byte_class: ByteClass of each byte. */
NODISCARD Status word_table_build(WordTable *table, const Vocabulary *vocabulary, const uint8_t *byte_class,
                                  Diagnostic *diagnostic);
void word_table_free(WordTable *table);
/* Makes that a word is not found, if it is there. */
void word_table_hide(WordTable *table, const char *word);

/* Where the search for a word begins. */
static inline uint32_t word_table_place(const WordTable *table, uint64_t hash)
{
    return (uint32_t)(hash >> table->shift);
}

/* NULL: not in the table. */
static inline const WordSlot *word_table_find(const WordTable *table, WordKey key, uint32_t place)
{
    const WordSlot *slot = &table->slots[place];
#pragma GCC unroll 1
    for (int32_t i = 1; !word_key_equal(slot->key, key); i++) {
        if (slot->key.low == 0 || i == WORD_TABLE_PROBES)
            return NULL;
        slot = &table->slots[(place + (uint32_t)i) & table->mask];
    }
    return slot;
}

/* Words that are not in the table, one to a place: a newer one drives out the one that was there. */
typedef struct WordCache {
    WordSlot *slots;
    int32_t shift;
} WordCache;

/* Room for about `words` words, rounded up to a power of two. */
NODISCARD Status word_cache_open(WordCache *cache, size_t words, Diagnostic *diagnostic);
void word_cache_free(WordCache *cache);

/* The place of a word, which may hold another one. */
static inline WordSlot *word_cache_place(const WordCache *cache, uint64_t hash)
{
    return &cache->slots[hash >> cache->shift];
}

#endif
