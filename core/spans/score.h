/* Precision, recall, F1 over spans, equal to seqeval's (semantics.md section 1). Pure functions, double precision. */
#ifndef NERSWEEP_CORE_SPANS_SCORE_H
#define NERSWEEP_CORE_SPANS_SCORE_H

#include "core/spans/labels.h"

/* Orders spans by (start, end, type), for qsort. */
int span_compare(const void *a, const void *b);

/* Spans of one sentence, all types together. */
typedef struct SentenceCounts {
    int32_t correct, predicted, gold;
} SentenceCounts;
typedef ARRAY(SentenceCounts) SentenceCountsArray;
/* Spans sorted; equal ones count once. */
SentenceCounts sentence_counts(const Span *gold, size_t gold_count, const Span *predicted, size_t predicted_count);

/* Counts per type; add sentences in any order and merge sums of parts (ranks): integers only, so the order does not matter. */
typedef struct ScoreCounts {
    int32_t type_count;
    int64_t *correct;               /* [type_count] */
    int64_t *predicted;             /* [type_count] */
    int64_t *gold;                  /* [type_count] */
    int64_t tokens, tokens_correct; /* for the accuracy; see score_counts_add_tokens */
} ScoreCounts;
ScoreCounts *score_counts_create(int32_t type_count);
void score_counts_destroy(ScoreCounts **counts);
/* One sentence. Spans sorted by (start, end, type), as the extractors give them; equal spans count once. */
void score_counts_add(ScoreCounts *counts, const Span *gold, size_t gold_count, const Span *predicted, size_t predicted_count);
/* One sentence's labels, [n] ids each: for the accuracy alone. */
void score_counts_add_tokens(ScoreCounts *counts, const int32_t *gold, const int32_t *predicted, int32_t n);
void score_counts_merge(ScoreCounts *into, const ScoreCounts *from);

typedef struct ScoreRow {
    double precision, recall, f1;
    int64_t support;
} ScoreRow;
typedef struct ScoreReport {
    ScoreRow micro, macro, weighted;
    ScoreRow *types; /* [type_count]; rows of types with neither gold nor predicted spans have type_present false */
    bool *type_present;
    int32_t type_count;
    double accuracy;        /* of tokens */
    int64_t zero_divisions; /* how often zero_division stood in: the caller warns once */
} ScoreReport;
/* zero_division: 0 or 1, stands in for a precision or recall that has nothing to divide by (an F1 of two zeros stays 0, as in seqeval).
 * Macro over no types is 0. Free with score_report_free. */
void score_report_make(ScoreReport *report, const ScoreCounts *counts, double zero_division);
void score_report_free(ScoreReport *report);

#endif
