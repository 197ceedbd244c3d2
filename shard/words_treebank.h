/* The Treebank-like rule of words.h. Private to package shard. */
#ifndef NERSWEEP_SHARD_WORDS_TREEBANK_H
#define NERSWEEP_SHARD_WORDS_TREEBANK_H

#include "shard/words.h"

/* Appends the words of one run without white space: bytes [start, end) of text (valid UTF-8), whose end is at text_end. The text behind the
 * run is looked at only to tell an abbreviation ("No. 5") from a sentence's end. */
void words_treebank_split(const uint8_t *text, int32_t start, int32_t end, int32_t text_end, WordArray *words);

#endif
