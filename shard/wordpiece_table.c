#include "shard/wordpiece_table.h"

#include <stdlib.h>

enum { FEWEST_SLOTS = 64 };

/* The key of terminated bytes; false when they are none or too many. */
static bool key_of(const char *word, WordKey *key)
{
    uint8_t bytes[WORD_KEY_BYTES] = {0};
    size_t size = strlen(word);
    if (size == 0 || size > WORD_KEY_BYTES)
        return false;
    memcpy(bytes, word, size);
    *key = word_key(bytes, (int32_t)size);
    return true;
}

/* The word's slot, or the free one where it belongs; NULL: no room. */
static WordSlot *slot_find(const WordTable *table, WordKey key)
{
    uint32_t at = (uint32_t)(word_key_hash(key) >> table->shift);
    for (int32_t i = 0; i < WORD_TABLE_PROBES; i++, at = (at + 1) & table->mask)
        if (word_key_equal(table->slots[at].key, key) || table->slots[at].key.low == 0)
            return &table->slots[at];
    return NULL;
}

static int32_t bits_for(size_t slots)
{
    int32_t bits = 0;
    while ((size_t)1 << bits < slots)
        bits++;
    return bits;
}

static bool is_one_word(const char *piece, const uint8_t *byte_class)
{
    if (byte_class[(uint8_t)piece[0]] == BYTE_PUNCTUATION)
        return piece[1] == '\0';
    for (; *piece; piece++)
        if (byte_class[(uint8_t)*piece] != BYTE_LETTER && byte_class[(uint8_t)*piece] != BYTE_WIDE)
            return false;
    return true;
}

Status word_table_build(WordTable *table, const Vocabulary *vocabulary, const uint8_t *byte_class, Diagnostic *diagnostic)
{
    size_t slots = 2 * vocabulary->pieces.count;
    slots = slots < FEWEST_SLOTS ? FEWEST_SLOTS : slots > WORD_TABLE_SLOTS ? WORD_TABLE_SLOTS : slots;
    int32_t bits = bits_for(slots);
    void *memory;
    Status status = memory_try_allocate(&memory, (size_t)1 << bits, sizeof(WordSlot), diagnostic);
    if (status != STATUS_OK)
        return status;
    *table = (WordTable){.slots = memory, .shift = 64 - bits, .mask = (1u << bits) - 1};
    for (size_t id = 0; id < vocabulary->pieces.count; id++) {
        const char *piece = vocabulary->pieces.items[id];
        WordKey key;
        if (!is_one_word(piece, byte_class) || !key_of(piece, &key))
            continue;
        WordSlot *slot = slot_find(table, key);
        if (slot)
            *slot = (WordSlot){key, {word_slot_piece((int32_t)id, (int32_t)strlen(piece))}}; /* of equal ones the last has the id */
    }
    return STATUS_OK;
}

void word_table_free(WordTable *table)
{
    free(table->slots);
    table->slots = NULL;
}

/* The slot stays taken: what was put behind it must still be found. */
void word_table_hide(WordTable *table, const char *word)
{
    WordKey key;
    WordSlot *slot = key_of(word, &key) ? slot_find(table, key) : NULL;
    if (slot && slot->key.low != 0)
        slot->key = word_key_hidden;
}

Status word_cache_open(WordCache *cache, size_t words, Diagnostic *diagnostic)
{
    int32_t bits = bits_for(words < 2 ? 2 : words > WORD_CACHE_SLOTS ? WORD_CACHE_SLOTS : words);
    void *memory;
    Status status = memory_try_allocate(&memory, (size_t)1 << bits, sizeof(WordSlot), diagnostic);
    if (status == STATUS_OK)
        *cache = (WordCache){.slots = memory, .shift = 64 - bits};
    return status;
}

void word_cache_free(WordCache *cache)
{
    free(cache->slots);
    cache->slots = NULL;
}
