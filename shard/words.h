/* Words out of raw text, so that prediction makes the same kind of tokens as the training corpus has (semantics.md section 3). */
#ifndef NERSWEEP_SHARD_WORDS_H
#define NERSWEEP_SHARD_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

typedef enum WordsRule { WORDS_WHITESPACE, WORDS_TREEBANK, WORDS_BERT, WORDS_COUNT } WordsRule;
const char *words_rule_name(WordsRule rule);
bool words_rule_parse(const char *name, WordsRule *rule);

/* A word: bytes [start, end) of the text. */
typedef struct Word {
    int32_t start, end;
} Word;
typedef ARRAY(Word) WordArray;

/* White space is Unicode's, and zero-width characters that BERT drops; words never contain it. text: valid UTF-8 below 2 GiB. Appends. */
NODISCARD Status words_split(WordsRule rule, const char *text, size_t size, WordArray *words, Diagnostic *diagnostic);

/* Agreement of each rule with a corpus's own tokens: the tokens are joined (by spaces where the joined form needs one: no space before
 * closing and after opening punctuation, as English text is set) and split again; counts tokens whose both ends agree. */
typedef struct WordsAgreement {
    int64_t tokens;
    int64_t agreed[WORDS_COUNT];
} WordsAgreement;
void words_agreement_add(WordsAgreement *agreement, const char *const *tokens, int32_t n);
WordsRule words_agreement_best(const WordsAgreement *agreement); /* treebank when nothing was added */

#endif
