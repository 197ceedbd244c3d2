/* Character classes of the tokenizer's oracle, sorted by code point. Private to shard/unicode.c; made by scripts/make-unicode-tables. */
#ifndef NERSWEEP_SHARD_UNICODE_TABLES_H
#define NERSWEEP_SHARD_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct UnicodeRange {
    uint32_t first, last; /* both inside */
} UnicodeRange;
typedef struct UnicodeCaseRun {
    uint32_t first, last, stride;
    int32_t distance;
} UnicodeCaseRun;
typedef struct UnicodeCaseSequence {
    uint32_t code_point;
    int32_t count;
    uint32_t lower[3];
} UnicodeCaseSequence;

extern const UnicodeRange unicode_removed[], unicode_white_space[], unicode_ideographs[], unicode_marks[], unicode_punctuation[],
    unicode_decomposed[], unicode_combining[];
extern const size_t unicode_removed_count, unicode_white_space_count, unicode_ideographs_count, unicode_marks_count,
    unicode_punctuation_count, unicode_decomposed_count, unicode_combining_count;
extern const UnicodeCaseRun unicode_lower_case[];
extern const size_t unicode_lower_case_count;
extern const UnicodeCaseSequence unicode_lower_case_sequences[];
extern const size_t unicode_lower_case_sequences_count;

#endif
