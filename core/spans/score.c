#include "core/spans/score.h"

#include <stdlib.h>

ScoreCounts *score_counts_create(int32_t type_count)
{
    ASSERT(type_count >= 0);
    ScoreCounts *counts = memory_allocate(1, sizeof *counts);
    counts->type_count = type_count;
    counts->correct = memory_allocate((size_t)type_count, sizeof *counts->correct);
    counts->predicted = memory_allocate((size_t)type_count, sizeof *counts->predicted);
    counts->gold = memory_allocate((size_t)type_count, sizeof *counts->gold);
    return counts;
}

void score_counts_destroy(ScoreCounts **counts)
{
    if (!*counts)
        return;
    free((*counts)->correct);
    free((*counts)->predicted);
    free((*counts)->gold);
    free(*counts);
    *counts = NULL;
}

int span_compare(const void *left, const void *right)
{
    const Span *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return a->type < b->type ? -1 : a->type > b->type;
}

/* Index of the next span that is not equal to the one at index: spans count as a set. */
static size_t span_next(const Span *spans, size_t count, size_t index)
{
    size_t next = index + 1;
    while (next < count && span_compare(&spans[index], &spans[next]) == 0)
        next++;
    ASSERT(next >= count || span_compare(&spans[index], &spans[next]) < 0);
    return next;
}

SentenceCounts sentence_counts(const Span *gold, size_t gold_count, const Span *predicted, size_t predicted_count)
{
    SentenceCounts counts = {0};
    for (size_t g = 0, p = 0; g < gold_count || p < predicted_count;) {
        int order = g >= gold_count ? 1 : p >= predicted_count ? -1 : span_compare(&gold[g], &predicted[p]);
        counts.correct += order == 0;
        counts.gold += order <= 0;
        counts.predicted += order >= 0;
        g = order <= 0 ? span_next(gold, gold_count, g) : g;
        p = order >= 0 ? span_next(predicted, predicted_count, p) : p;
    }
    return counts;
}

void score_counts_add(ScoreCounts *counts, const Span *gold, size_t gold_count, const Span *predicted, size_t predicted_count)
{
    size_t g = 0, p = 0;
    while (g < gold_count || p < predicted_count) {
        int order = g >= gold_count ? 1 : p >= predicted_count ? -1 : span_compare(&gold[g], &predicted[p]);
        int32_t type = order <= 0 ? gold[g].type : predicted[p].type;
        ASSERT(type >= 0 && type < counts->type_count);
        counts->correct[type] += order == 0;
        if (order <= 0) {
            counts->gold[type]++;
            g = span_next(gold, gold_count, g);
        }
        if (order >= 0) {
            counts->predicted[type]++;
            p = span_next(predicted, predicted_count, p);
        }
    }
}

void score_counts_add_tokens(ScoreCounts *counts, const int32_t *gold, const int32_t *predicted, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        counts->tokens_correct += gold[i] == predicted[i];
    counts->tokens += n;
}

void score_counts_merge(ScoreCounts *into, const ScoreCounts *from)
{
    ASSERT(into->type_count == from->type_count);
    for (int32_t type = 0; type < into->type_count; type++) {
        into->correct[type] += from->correct[type];
        into->predicted[type] += from->predicted[type];
        into->gold[type] += from->gold[type];
    }
    into->tokens += from->tokens;
    into->tokens_correct += from->tokens_correct;
}

static double divide(int64_t numerator, int64_t denominator, double zero_division, int64_t *zero_divisions)
{
    if (denominator != 0)
        return (double)numerator / (double)denominator;
    ++*zero_divisions;
    return zero_division;
}

/* F1 is 0, and not zero_division, where precision and recall are both 0: so seqeval has it. */
static ScoreRow score_row(int64_t correct, int64_t predicted, int64_t gold, double zero_division, int64_t *zero_divisions)
{
    ScoreRow row = {.support = gold};
    row.precision = divide(correct, predicted, zero_division, zero_divisions);
    row.recall = divide(correct, gold, zero_division, zero_divisions);
    double sum = row.precision + row.recall;
    row.f1 = sum > 0 ? 2 * row.precision * row.recall / sum : 0;
    return row;
}

static void row_add(ScoreRow *sum, const ScoreRow *row, double weight)
{
    sum->precision += weight * row->precision;
    sum->recall += weight * row->recall;
    sum->f1 += weight * row->f1;
}

static void row_divide(ScoreRow *sum, double divisor)
{
    sum->precision /= divisor;
    sum->recall /= divisor;
    sum->f1 /= divisor;
}

void score_report_make(ScoreReport *report, const ScoreCounts *counts, double zero_division)
{
    double filler = zero_division > 0 ? 1 : 0; /* seqeval knows 0 and 1 */
    int32_t present = 0;
    int64_t correct = 0, predicted = 0, gold = 0;
    *report = (ScoreReport){.type_count = counts->type_count};
    report->types = memory_allocate((size_t)counts->type_count, sizeof *report->types);
    report->type_present = memory_allocate((size_t)counts->type_count, sizeof *report->type_present);
    for (int32_t type = 0; type < counts->type_count; type++) {
        if (counts->gold[type] == 0 && counts->predicted[type] == 0)
            continue;
        ScoreRow row =
            score_row(counts->correct[type], counts->predicted[type], counts->gold[type], filler, &report->zero_divisions);
        report->types[type] = row;
        report->type_present[type] = true;
        row_add(&report->macro, &row, 1);
        row_add(&report->weighted, &row, (double)row.support);
        present++;
        correct += counts->correct[type];
        predicted += counts->predicted[type];
        gold += counts->gold[type];
    }
    report->micro = score_row(correct, predicted, gold, filler, &report->zero_divisions);
    report->macro.support = report->weighted.support = gold;
    if (present > 0)
        row_divide(&report->macro, (double)present);
    if (gold > 0) {
        row_divide(&report->weighted, (double)gold);
    } else { /* no weights to average with */
        report->weighted.precision = report->weighted.f1 = predicted == 0 ? filler : 0;
        report->weighted.recall = filler;
    }
    report->accuracy = counts->tokens > 0 ? (double)counts->tokens_correct / (double)counts->tokens : 0;
}

void score_report_free(ScoreReport *report)
{
    free(report->types);
    free(report->type_present);
    *report = (ScoreReport){0};
}
