/* A WordPiece vocabulary: pieces by id, ids by piece, and a trie for longest matches. Immutable after loading. Private to package shard. */
#ifndef NERSWEEP_SHARD_VOCABULARY_H
#define NERSWEEP_SHARD_VOCABULARY_H

#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/io/hash.h"

enum {
    VOCABULARY_PIECE_LIMIT = 4000000,     /* pieces; ids fit into 24 bits of a trie unit */
    VOCABULARY_BYTES_LIMIT = 1 << 26,     /* bytes of vocab.txt */
    VOCABULARY_MATCH_LIMIT = 2 + 4 * 100, /* bytes of a piece that can match: "##" and 100 characters */
};

/* A double-array trie (Aoe 1989; child = base ^ byte as in darts-clone). No two units share a base, so that the label alone tells whether
 * a unit is the child that was asked for; base 0 belongs to no unit and marks a leaf. */
typedef struct VocabularyUnit {
    uint32_t base;
    uint32_t tag; /* label in the low 8 bits (0: unused), id + 1 above (0: no piece ends here) */
} VocabularyUnit;

typedef struct Vocabulary {
    char *bytes; /* vocab.txt; every piece is terminated in place */
    size_t size;
    ARRAY(const char *) pieces; /* by id */
    Int32Array sorted;          /* ids by bytes of their pieces, among equal ones by id */
    ARRAY(VocabularyUnit) units;
    uint32_t word_base;     /* base of the root */
    uint32_t continue_base; /* base of the node "##"; 0: no piece continues a word */
    char sha256[SHA256_HEX_SIZE];
} Vocabulary;

/* Reads vocab.txt: a piece a line, LF or CRLF, white space at a line's end dropped as the oracle does. Of equal pieces the last has the id.
 * The vocabulary is zero-initialised or freed before; on failure it is left freed. */
NODISCARD Status vocabulary_load(Vocabulary *vocabulary, const char *path, Diagnostic *diagnostic);
void vocabulary_free(Vocabulary *vocabulary);
int32_t vocabulary_find(const Vocabulary *vocabulary, const char *piece); /* -1: none */

/* Id of the longest piece that begins at bytes, below base (word_base or continue_base), and its length in bytes; -1: none. */
static inline int32_t vocabulary_match(const Vocabulary *vocabulary, uint32_t base, const uint8_t *bytes, int32_t size,
                                       int32_t *length)
{
    const VocabularyUnit *units = vocabulary->units.items;
    int32_t id = -1;
    for (int32_t i = 0; i < size && base != 0; i++) {
        VocabularyUnit unit = units[base ^ bytes[i]];
        if ((unit.tag & 0xFF) != bytes[i])
            break;
        if (unit.tag >> 8 != 0) {
            id = (int32_t)(unit.tag >> 8) - 1;
            *length = i + 1;
        }
        base = unit.base;
    }
    return id;
}

#endif
