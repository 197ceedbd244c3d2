/* Unicode as BERT's tokenizer sees it: character classes (those of the oracle, see scripts/make-unicode-tables), NFD, lower case, and the
 * map that does all of the normalisation of one code point by one look-up. Private to package shard. */
#ifndef NERSWEEP_SHARD_UNICODE_H
#define NERSWEEP_SHARD_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

enum {
    UNICODE_END = 0x110000,
    UNICODE_INVALID = -1,         /* what utf8_decode returns for bytes that are no character */
    UNICODE_DECOMPOSED_LIMIT = 4, /* code points in a canonical decomposition, at most */
    UNICODE_LOWERED_LIMIT = 3,    /* code points in a lower-cased code point, at most */
};

/* The code point that begins at bytes[0], and its length in *length (1 when invalid). Strict: no overlong form, no surrogate, nothing
 * above U+10FFFF, nothing that `available` bytes (at least 1) cut off. */
static inline int32_t utf8_decode(const uint8_t *bytes, size_t available, int32_t *length)
{
    uint8_t lead = bytes[0];
    *length = 1;
    if (lead < 0x80)
        return lead;
    if (lead < 0xC2 || lead > 0xF4)
        return UNICODE_INVALID;
    int32_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (available < (size_t)size)
        return UNICODE_INVALID;
    int32_t code_point = lead & (0x7F >> size);
    for (int32_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return UNICODE_INVALID;
        code_point = code_point << 6 | (bytes[i] & 0x3F);
    }
    if (size == 3 && (code_point < 0x800 || (code_point >= 0xD800 && code_point <= 0xDFFF)))
        return UNICODE_INVALID;
    if (size == 4 && (code_point < 0x10000 || code_point >= UNICODE_END))
        return UNICODE_INVALID;
    *length = size;
    return code_point;
}

/* Writes a code point; returns the bytes written, 1 to 4. */
static inline int32_t utf8_encode(int32_t code_point, uint8_t *bytes)
{
    if (code_point < 0x80) {
        bytes[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        bytes[0] = (uint8_t)(0xC0 | code_point >> 6);
        bytes[1] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        bytes[0] = (uint8_t)(0xE0 | code_point >> 12);
        bytes[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
        bytes[2] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 3;
    }
    bytes[0] = (uint8_t)(0xF0 | code_point >> 18);
    bytes[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3F));
    bytes[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
    bytes[3] = (uint8_t)(0x80 | (code_point & 0x3F));
    return 4;
}

/* Byte offset of the first byte that begins no character; size when all is valid UTF-8. */
size_t utf8_valid_prefix(const char *bytes, size_t size);

/* Classes, each by binary search. */
bool unicode_is_removed(int32_t code_point);     /* dropped by BERT's clean_text */
bool unicode_is_white_space(int32_t code_point); /* becomes a space */
bool unicode_is_ideograph(int32_t code_point);   /* set between spaces */
bool unicode_is_mark(int32_t code_point);        /* dropped with the accents */
bool unicode_is_punctuation(int32_t code_point); /* a word of its own; ASCII symbols too */
bool unicode_is_private(int32_t code_point);     /* private use: removed, but has a glyph */

/* Full canonical decomposition of one code point; returns the count, 1 (itself) to UNICODE_DECOMPOSED_LIMIT. */
int32_t unicode_decompose(int32_t code_point, int32_t decomposed[UNICODE_DECOMPOSED_LIMIT]);
uint8_t unicode_combining_class(int32_t code_point);
/* Full lower case without context; returns the count, 1 to UNICODE_LOWERED_LIMIT. */
int32_t unicode_lower(int32_t code_point, int32_t lowered[UNICODE_LOWERED_LIMIT]);

/* What a code point is once it is normalised. */
typedef enum UnicodeClass {
    UNICODE_LETTER,      /* part of a word: whatever is none of the others */
    UNICODE_SPACE,       /* between words */
    UNICODE_PUNCTUATION, /* a word of its own, ideographs included */
    UNICODE_REMOVED,     /* not there */
    UNICODE_SEVERAL,     /* becomes several code points: unicode_map_several */
    UNICODE_REORDERED,   /* a mark that is kept: its neighbours decide where it goes, see unicode_combining_class */
} UnicodeClass;

/* The normalisation of single code points, compiled. Immutable after creation. */
typedef struct UnicodeMap UnicodeMap;
/* uncased: NFD, without marks, lower-cased; otherwise only cleaned. */
UnicodeMap *unicode_map_create(bool uncased);
void unicode_map_destroy(UnicodeMap **map);

enum {
    UNICODE_BLOCK_BITS = 7,
    UNICODE_BLOCK_SIZE = 1 << UNICODE_BLOCK_BITS,
    UNICODE_BLOCK_COUNT = UNICODE_END >> UNICODE_BLOCK_BITS
};

/* An entry packs a class (low 8 bits) and the normalised code point, 0 for a code point that stays as it is (so that blocks can be
 * shared); for UNICODE_SEVERAL a place in `several`. */
typedef uint32_t UnicodeEntry;
struct UnicodeMap {
    uint16_t block_of[UNICODE_BLOCK_COUNT];
    ARRAY(UnicodeEntry) entries; /* blocks of UNICODE_BLOCK_SIZE, equal ones shared */
    ARRAY(UnicodeEntry) several; /* count, then that many entries */
};

static inline UnicodeEntry unicode_map_entry(const UnicodeMap *map, int32_t code_point)
{
    size_t block = map->block_of[code_point >> UNICODE_BLOCK_BITS];
    return map->entries.items[(block << UNICODE_BLOCK_BITS) + (size_t)(code_point & (UNICODE_BLOCK_SIZE - 1))];
}
static inline UnicodeClass unicode_entry_class(UnicodeEntry entry)
{
    return (UnicodeClass)(entry & 0xFF);
}
static inline int32_t unicode_entry_code_point(UnicodeEntry entry, int32_t code_point)
{
    return entry >> 8 != 0 ? (int32_t)(entry >> 8) : code_point;
}
/* The parts of an entry of class UNICODE_SEVERAL: *count entries. */
static inline const UnicodeEntry *unicode_map_several(const UnicodeMap *map, UnicodeEntry entry, int32_t *count)
{
    const UnicodeEntry *parts = map->several.items + (entry >> 8);
    *count = (int32_t)parts[0];
    return parts + 1;
}

#endif
