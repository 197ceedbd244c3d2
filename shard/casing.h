/* Does the casing of a vocabulary fit the way it is used (semantics.md section 3, last paragraph)? Internal to shard/. */
#ifndef NERSWEEP_SHARD_CASING_H
#define NERSWEEP_SHARD_CASING_H

#include "shard/wordpiece.h"

enum { CASING_WORD_SIZE = 24, CASING_CAPACITY = 1 << 15 };

/* Counts of capitalised words ("London"): ASCII, at most CASING_WORD_SIZE - 1 bytes; the first CASING_CAPACITY / 2 distinct ones. */
typedef struct CasingWord {
    char text[CASING_WORD_SIZE];
    uint32_t count;
} CasingWord;
typedef struct CasingCounts {
    CasingWord *words; /* [CASING_CAPACITY], open addressing; NULL before the first word */
    size_t distinct;
} CasingCounts;
void casing_counts_add(CasingCounts *counts, const char *token, size_t size);
void casing_counts_free(CasingCounts *counts);

/* What the frequent capitalised words of a text say about a vocabulary; of several texts: the sums. */
typedef struct CasingEvidence {
    int64_t found;       /* in the vocabulary, in either case */
    int64_t capitalised; /* found with their capital letter */
    int64_t only_small;  /* found in lower case only */
} CasingEvidence;
CasingEvidence casing_evidence(const CasingCounts *counts, const Wordpiece *wordpiece);

/* STATUS_MISMATCH says how many of the frequent capitalised words the vocabulary has only in the other case. Nothing is concluded from
 * fewer than 20 such words. */
NODISCARD Status casing_check(const CasingEvidence *evidence, const char *vocab_path, bool lowercase, Diagnostic *diagnostic);

#endif
