/* The four schemas of MUC and SemEval-2013 task 9, counted as nervaluate 1.2.1 does. Pure functions. */
#ifndef NERSWEEP_CORE_SPANS_MUC_H
#define NERSWEEP_CORE_SPANS_MUC_H

#include "core/spans/labels.h"

typedef enum MucSchema {
    MUC_STRICT,  /* borders and type */
    MUC_EXACT,   /* borders, whatever the type */
    MUC_PARTIAL, /* borders, whatever the type; an overlap counts half */
    MUC_TYPE,    /* the type, where there is an overlap */
    MUC_SCHEMA_COUNT
} MucSchema;
extern const char *const muc_schema_names[MUC_SCHEMA_COUNT]; /* nervaluate's: "strict", "exact", "partial", "ent_type" */

/* Of one schema. Sums over sentences. */
typedef struct MucCounts {
    int64_t correct, incorrect, partial, missed, spurious;
} MucCounts;

/* One sentence into counts[MUC_SCHEMA_COUNT]. Spans sorted by (start, end, type). Each predicted span takes the first gold span that it
 * matches (by type: the one with the nearest borders), or else the first that it overlaps by at least 1% of that one's length; a gold span
 * is taken once. */
void muc_counts_add(MucCounts *counts, const Span *gold, size_t gold_count, const Span *predicted, size_t predicted_count);

typedef struct MucScore {
    int64_t possible, actual; /* gold and predicted spans */
    double precision, recall, f1;
} MucScore;
MucScore muc_score(const MucCounts *counts); /* 0 where there is nothing to divide by */

#endif
