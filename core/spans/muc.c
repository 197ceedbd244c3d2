#include "core/spans/muc.h"

#include <stdlib.h>

const char *const muc_schema_names[MUC_SCHEMA_COUNT] = {"strict", "exact", "partial", "ent_type"};

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static bool overlaps(const Span *gold, const Span *predicted)
{
    int32_t shared = smaller(gold->end, predicted->end) - larger(gold->start, predicted->start);
    return shared > 0 && (double)shared / (gold->end - gold->start) * 100 >= 1;
}

static bool matches(MucSchema schema, const Span *gold, const Span *predicted)
{
    bool borders = gold->start == predicted->start && gold->end == predicted->end, type = gold->type == predicted->type;
    switch (schema) {
    case MUC_STRICT:
        return borders && type;
    case MUC_TYPE:
        return type && overlaps(gold, predicted);
    default:
        return borders;
    }
}

static int32_t distance(const Span *gold, const Span *predicted)
{
    return abs(gold->start - predicted->start) + abs(gold->end - predicted->end);
}

/* The gold span in [first, count) that the predicted one takes; count: none. *matched: it is right. */
static size_t find(MucSchema schema, const Span *gold, const bool *taken, size_t first, size_t count, const Span *predicted,
                   bool *matched)
{
    size_t match = count, overlap = count;
    for (size_t g = first; g < count && gold[g].start < predicted->end; g++) {
        if (taken[g])
            continue;
        if (overlap == count && overlaps(&gold[g], predicted))
            overlap = g;
        if (!matches(schema, &gold[g], predicted))
            continue;
        if (match == count || (schema == MUC_TYPE && distance(&gold[g], predicted) < distance(&gold[match], predicted)))
            match = g;
    }
    *matched = match < count;
    return *matched ? match : overlap;
}

static void schema_add(MucSchema schema, MucCounts *counts, const Span *gold, size_t gold_count, const Span *predicted,
                       size_t predicted_count, bool *taken)
{
    size_t first = 0; /* all before it end where the predicted span has not begun */
    for (size_t g = 0; g < gold_count; g++)
        taken[g] = false;
    for (size_t p = 0; p < predicted_count; p++) {
        bool matched;
        while (first < gold_count && gold[first].end <= predicted[p].start)
            first++;
        size_t g = find(schema, gold, taken, first, gold_count, &predicted[p], &matched);
        if (g == gold_count) {
            counts->spurious++;
            continue;
        }
        taken[g] = true;
        counts->correct += matched;
        counts->partial += !matched && schema == MUC_PARTIAL;
        counts->incorrect += !matched && schema != MUC_PARTIAL;
    }
    for (size_t g = 0; g < gold_count; g++)
        counts->missed += !taken[g];
}

void muc_counts_add(MucCounts *counts, const Span *gold, size_t gold_count, const Span *predicted, size_t predicted_count)
{
    bool *taken = memory_allocate(gold_count + 1, sizeof *taken);
    for (int schema = 0; schema < MUC_SCHEMA_COUNT; schema++)
        schema_add((MucSchema)schema, &counts[schema], gold, gold_count, predicted, predicted_count, taken);
    free(taken);
}

MucScore muc_score(const MucCounts *counts)
{
    double right = (double)counts->correct + 0.5 * (double)counts->partial;
    MucScore score = {.possible = counts->correct + counts->incorrect + counts->partial + counts->missed,
                      .actual = counts->correct + counts->incorrect + counts->partial + counts->spurious};
    score.precision = score.actual > 0 ? right / (double)score.actual : 0;
    score.recall = score.possible > 0 ? right / (double)score.possible : 0;
    double sum = score.precision + score.recall;
    score.f1 = sum > 0 ? 2 * score.precision * score.recall / sum : 0;
    return score;
}
