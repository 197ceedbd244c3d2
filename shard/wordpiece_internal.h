/* What the parts of WordPiece share: wordpiece.c opens, wordpiece_encode.c does what is ASCII, wordpiece_wide.c what is not. */
#ifndef NERSWEEP_SHARD_WORDPIECE_INTERNAL_H
#define NERSWEEP_SHARD_WORDPIECE_INTERNAL_H

#include "shard/unicode.h"
#include "shard/vocabulary.h"
#include "shard/wordpiece.h"
#include "shard/wordpiece_scan.h"
#include "shard/wordpiece_table.h"

enum {
    WORD_CHARACTERS = 100, /* a longer word is [UNK], as in the oracle */
    WORD_BYTES = 4 * WORD_CHARACTERS,
    SPECIAL_COUNT = 5,
};

/* A special token written in the text. */
typedef struct SpecialText {
    const char *text;
    int32_t size, id;
} SpecialText;

struct Wordpiece {
    Vocabulary vocabulary;
    UnicodeMap *map;
    WordTable words;
    WordScanTables tables;
    WordScanFunction scan;
    WordpieceOptions options;
    WordpieceSpecials specials;
    SpecialText special_texts[SPECIAL_COUNT]; /* longest first */
    int32_t special_count;
};

/* A place in the text: bytes and code points from its beginning. */
typedef struct Place {
    size_t at;
    int32_t index;
} Place;

/* One text on its way. */
typedef struct Encoding {
    const Wordpiece *wordpiece;
    const WordCache *cache; /* NULL: none */
    WordpieceOutput *output;
    const uint8_t *text;
    size_t size;
    int32_t word; /* index of the word that comes next */
    int32_t step; /* 1; 0 when all pieces have one given index */
} Encoding;

static inline void output_set_count(WordpieceOutput *output, size_t count)
{
    output->ids.count = output->starts.count = output->ends.count = output->word_ids.count = count;
}

void encoding_grow(Encoding *encoding, size_t wanted);

/* After this the four arrays have room for so many pieces more. */
static inline void encoding_reserve(Encoding *encoding, size_t pieces)
{
    const WordpieceOutput *output = encoding->output;
    size_t wanted = output->ids.count + pieces;
    if (wanted > output->ids.capacity || wanted > output->starts.capacity || wanted > output->ends.capacity ||
        wanted > output->word_ids.capacity)
        encoding_grow(encoding, wanted);
}

/* One piece, for which there is room, and the word's end. */
static inline void encoding_put(Encoding *encoding, int32_t id, int32_t start, int32_t end)
{
    WordpieceOutput *output = encoding->output;
    size_t at = output->ids.count;
    output->ids.items[at] = id;
    output->starts.items[at] = start;
    output->ends.items[at] = end;
    output->word_ids.items[at] = encoding->word;
    output_set_count(output, at + 1);
    encoding->word += encoding->step;
}

/* A normalised word's pieces, the longest match first. bytes are followed by WORD_KEY_BYTES that can be read; index: code point of the text
 * that each byte comes from. */
void encoding_put_word(Encoding *encoding, const uint8_t *bytes, int32_t size, const int32_t *index);

/* From *place, which is the start of a word or of something to be skipped, to behind what ends the word. *place moves on. */
NODISCARD Status encoding_wide_word(Encoding *encoding, Place *place, Diagnostic *diagnostic);

#endif
