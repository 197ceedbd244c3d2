#include "cli/eval_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/spans/muc.h"
#include "core/spans/significance.h"

enum { SEED = 42 };
static const double level = 0.95;

static ScoreCounts *count_spans(const Comparison *comparison)
{
    ScoreCounts *counts = score_counts_create((int32_t)comparison->types.count);
    for (size_t i = 0; i < comparison->sentences.count; i++) {
        SpanPair pair = comparison_sentence(comparison, i);
        score_counts_add(counts, pair.gold, pair.gold_count, pair.predicted, pair.predicted_count);
    }
    counts->tokens = comparison->tokens;
    counts->tokens_correct = comparison->tokens_correct;
    return counts;
}

static void make_scores(const EvalReport *report, ScoreReport *scores)
{
    ScoreCounts *counts = count_spans(report->comparison);
    score_report_make(scores, counts, report->zero_division);
    if (scores->zero_divisions > 0)
        LOG_WARNING("%s: %lld scores are 0/0 and count as %g", report->title, (long long)scores->zero_divisions,
                    report->zero_division);
    score_counts_destroy(&counts);
}

static void count_sentences(const Comparison *comparison, SentenceCountsArray *sentences)
{
    for (size_t i = 0; i < comparison->sentences.count; i++) {
        SpanPair pair = comparison_sentence(comparison, i);
        array_push(sentences, sentence_counts(pair.gold, pair.gold_count, pair.predicted, pair.predicted_count));
    }
}

/* What chance may have done. */
typedef struct Doubt {
    Interval f1;
    PairedTest paired; /* with another system only */
    double other_f1;
} Doubt;

static Doubt doubt_of(const EvalReport *report)
{
    Doubt doubt = {0};
    SentenceCountsArray sentences = {0}, others = {0};
    count_sentences(report->comparison, &sentences);
    doubt.f1 = bootstrap_interval(sentences.items, sentences.count, report->resamples, level, SEED);
    if (report->other) {
        ScoreReport scores;
        ScoreCounts *counts = count_spans(report->other);
        score_report_make(&scores, counts, report->zero_division);
        doubt.other_f1 = scores.micro.f1;
        score_report_free(&scores);
        score_counts_destroy(&counts);
        count_sentences(report->other, &others);
        doubt.paired = paired_test(sentences.items, others.items, sentences.count, report->resamples, level, SEED);
    }
    array_free(&sentences);
    array_free(&others);
    return doubt;
}

static Json *row_json(const ScoreRow *row)
{
    Json *json = json_object();
    json_set(json, "precision", json_real(row->precision));
    json_set(json, "recall", json_real(row->recall));
    json_set(json, "f1-score", json_real(row->f1));
    json_set(json, "support", json_integer(row->support));
    return json;
}

static Json *interval_json(Interval interval)
{
    Json *json = json_array();
    json_append(json, json_real(interval.low));
    json_append(json, json_real(interval.high));
    return json;
}

static Json *compared_json(const EvalReport *report, const Doubt *doubt)
{
    Json *json = json_object();
    json_set(json, "file", json_string(report->other_title));
    json_set(json, "overall_f1", json_real(doubt->other_f1));
    json_set(json, "difference", json_real(doubt->paired.difference));
    if (report->resamples > 0) {
        json_set(json, "difference_interval", interval_json(doubt->paired.interval));
        json_set(json, "bootstrap_p", json_real(doubt->paired.bootstrap_p));
        json_set(json, "randomisation_p", json_real(doubt->paired.randomisation_p));
    }
    return json;
}

static Json *scores_json(const EvalReport *report)
{
    ScoreReport scores;
    Doubt doubt = doubt_of(report);
    Json *json = json_object();
    make_scores(report, &scores);
    for (int32_t i = 0; i < scores.type_count; i++)
        if (scores.type_present[i])
            json_set(json, report->comparison->types.items[i], row_json(&scores.types[i]));
    json_set(json, "micro avg", row_json(&scores.micro));
    json_set(json, "macro avg", row_json(&scores.macro));
    json_set(json, "weighted avg", row_json(&scores.weighted));
    json_set(json, "overall_precision", json_real(scores.micro.precision));
    json_set(json, "overall_recall", json_real(scores.micro.recall));
    json_set(json, "overall_f1", json_real(scores.micro.f1));
    if (report->resamples > 0)
        json_set(json, "overall_f1_interval", interval_json(doubt.f1));
    if (report->mode != EVAL_NESTED)
        json_set(json, "overall_accuracy", json_real(scores.accuracy));
    if (report->other)
        json_set(json, "compared", compared_json(report, &doubt));
    json_set(json, "mode", json_string(eval_mode_names[report->mode]));
    score_report_free(&scores);
    return json;
}

static void print_row(const char *name, const ScoreRow *row)
{
    printf("%-24s %9.4f %9.4f %9.4f %9lld\n", name, row->precision, row->recall, row->f1, (long long)row->support);
}

static void print_doubt(const EvalReport *report, const Doubt *doubt)
{
    if (report->resamples > 0)
        printf("micro f1 lies between %.4f and %.4f (95%% of %d resamples of sentences)\n", doubt->f1.low, doubt->f1.high,
               report->resamples);
    if (!report->other)
        return;
    printf("%s: micro f1 %.4f, difference %+.4f", report->other_title, doubt->other_f1, doubt->paired.difference);
    if (report->resamples > 0)
        printf(" (between %+.4f and %+.4f; p %.4f by paired bootstrap, %.4f by randomisation)", doubt->paired.interval.low,
               doubt->paired.interval.high, doubt->paired.bootstrap_p, doubt->paired.randomisation_p);
    putchar('\n');
}

static void print_scores(const EvalReport *report)
{
    ScoreReport scores;
    Doubt doubt = doubt_of(report);
    make_scores(report, &scores);
    printf("%s (%s mode)\n%-24s %9s %9s %9s %9s\n", report->title, eval_mode_names[report->mode], "", "precision", "recall", "f1",
           "support");
    for (int32_t i = 0; i < scores.type_count; i++)
        if (scores.type_present[i])
            print_row(report->comparison->types.items[i], &scores.types[i]);
    print_row("micro avg", &scores.micro);
    print_row("macro avg", &scores.macro);
    print_row("weighted avg", &scores.weighted);
    if (report->mode != EVAL_NESTED)
        printf("token accuracy %.4f\n", scores.accuracy);
    print_doubt(report, &doubt);
    score_report_free(&scores);
}

/* Spans of one type; -1: of all. */
static void spans_of_type(const Span *spans, size_t count, int32_t type, SpanArray *chosen)
{
    chosen->count = 0;
    for (size_t i = 0; i < count; i++)
        if (type < 0 || spans[i].type == type)
            array_push(chosen, spans[i]);
}

static void muc_count(const Comparison *comparison, int32_t type, MucCounts *counts)
{
    SpanArray gold = {0}, predicted = {0};
    for (size_t i = 0; i < comparison->sentences.count; i++) {
        SpanPair pair = comparison_sentence(comparison, i);
        spans_of_type(pair.gold, pair.gold_count, type, &gold);
        spans_of_type(pair.predicted, pair.predicted_count, type, &predicted);
        muc_counts_add(counts, gold.items, gold.count, predicted.items, predicted.count);
    }
    array_free(&gold);
    array_free(&predicted);
}

static void muc_set(Json *json, const MucCounts *counts)
{
    for (int schema = 0; schema < MUC_SCHEMA_COUNT; schema++) {
        Json *row = json_object();
        MucScore score = muc_score(&counts[schema]);
        json_set(row, "correct", json_integer(counts[schema].correct));
        json_set(row, "incorrect", json_integer(counts[schema].incorrect));
        json_set(row, "partial", json_integer(counts[schema].partial));
        json_set(row, "missed", json_integer(counts[schema].missed));
        json_set(row, "spurious", json_integer(counts[schema].spurious));
        json_set(row, "possible", json_integer(score.possible));
        json_set(row, "actual", json_integer(score.actual));
        json_set(row, "precision", json_real(score.precision));
        json_set(row, "recall", json_real(score.recall));
        json_set(row, "f1", json_real(score.f1));
        json_set(json, muc_schema_names[schema], row);
    }
}

static Json *muc_json(const EvalReport *report)
{
    Json *json = json_object(), *types = json_object();
    MucCounts all[MUC_SCHEMA_COUNT] = {0};
    muc_count(report->comparison, -1, all);
    muc_set(json, all);
    for (size_t type = 0; type < report->comparison->types.count; type++) {
        Json *row = json_object();
        MucCounts counts[MUC_SCHEMA_COUNT] = {0};
        muc_count(report->comparison, (int32_t)type, counts);
        muc_set(row, counts);
        json_set(types, report->comparison->types.items[type], row);
    }
    json_set(json, "types", types);
    json_set(json, "mode", json_string(eval_mode_names[EVAL_MUC]));
    return json;
}

static void print_muc_rows(const char *name, const MucCounts *counts)
{
    for (int schema = 0; schema < MUC_SCHEMA_COUNT; schema++) {
        const MucCounts *row = &counts[schema];
        MucScore score = muc_score(row);
        printf("%-24s %-9s %9.4f %9.4f %9.4f %8lld %8lld %8lld %8lld %8lld\n", schema == 0 ? name : "", muc_schema_names[schema],
               score.precision, score.recall, score.f1, (long long)row->correct, (long long)row->incorrect, (long long)row->partial,
               (long long)row->missed, (long long)row->spurious);
    }
}

static void print_muc(const EvalReport *report)
{
    MucCounts all[MUC_SCHEMA_COUNT] = {0};
    printf("%s (%s mode)\n%-24s %-9s %9s %9s %9s %8s %8s %8s %8s %8s\n", report->title, eval_mode_names[EVAL_MUC], "", "schema",
           "precision", "recall", "f1", "correct", "wrong", "partial", "missed", "spurious");
    for (size_t type = 0; type < report->comparison->types.count; type++) {
        MucCounts counts[MUC_SCHEMA_COUNT] = {0};
        muc_count(report->comparison, (int32_t)type, counts);
        print_muc_rows(report->comparison->types.items[type], counts);
    }
    muc_count(report->comparison, -1, all);
    print_muc_rows("all types", all);
}

Json *eval_report_json(const EvalReport *report)
{
    return report->mode == EVAL_MUC ? muc_json(report) : scores_json(report);
}

void eval_report_print(const EvalReport *report)
{
    if (report->mode == EVAL_MUC)
        print_muc(report);
    else
        print_scores(report);
}
