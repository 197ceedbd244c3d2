#include "worker/score.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "worker/chunks.h"

enum { EVALUATION_PIECES_LIMIT = 4096 };

static const char *const metric_names[] = {[METRIC_F1] = "f1", [METRIC_PRECISION] = "precision", [METRIC_RECALL] = "recall"};

Status trial_metric_parse(TrialMetric *metric, const Json *json, const char *source, Diagnostic *diagnostic)
{
    const char *name = json_string_value(json_get(json, "name"));
    const char *goal = json_string_value(json_get(json, "goal"));
    const char *dataset = json_string_value(json_get(json, "dataset"));
    *metric = (TrialMetric){.name = METRIC_F1};
    bool known = !name;
    for (int i = METRIC_F1; i <= METRIC_RECALL && name; i++) {
        if (strcmp(name, metric_names[i]) == 0) {
            metric->name = (MetricName)i;
            known = true;
        }
    }
    if (!known)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: metric \"%s\" is none of f1, precision, recall", source, name);
    if (goal && strcmp(goal, "maximize") != 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: goal \"%s\" of %s: a score can only be maximized", source, goal,
                    metric_names[metric->name]);
    if (dataset && strlen(dataset) >= sizeof metric->dataset)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: the metric's data set has a name of over %zu bytes", source,
                    sizeof metric->dataset - 1);
    if (dataset)
        snprintf(metric->dataset, sizeof metric->dataset, "%s", dataset);
    return STATUS_OK;
}

Json *trial_metric_json(const TrialMetric *metric)
{
    Json *json = json_object();
    json_set(json, "name", json_string(metric_names[metric->name]));
    json_set(json, "goal", json_string("maximize"));
    json_set(json, "dataset", json_string(metric->dataset));
    return json;
}

static double metric_value(const TrialMetric *metric, const DatasetScore *dataset)
{
    switch (metric->name) {
    case METRIC_PRECISION:
        return dataset->precision;
    case METRIC_RECALL:
        return dataset->recall;
    case METRIC_F1:
        break;
    }
    return dataset->f1;
}

static Status fail_unknown_dataset(const TrialMetric *metric, const DatasetScore *datasets, size_t count, Diagnostic *diagnostic)
{
    Text known = {0};
    for (size_t i = 0; i < count; i++)
        text_format(&known, "%s%s", i ? ", " : "", datasets[i].name);
    Status status =
        FAIL(diagnostic, STATUS_NOT_FOUND, "the metric is to be taken of \"%s\", but the dev sets are: %s (or mean, worst)",
             metric->dataset, count ? known.bytes : "none");
    text_free(&known);
    return status;
}

Status trial_metric_score(const TrialMetric *metric, const DatasetScore *datasets, size_t count, double *score,
                          Diagnostic *diagnostic)
{
    if (count == 0)
        return fail_unknown_dataset(metric, datasets, count, diagnostic);
    double sum = 0, worst = metric_value(metric, &datasets[0]);
    for (size_t i = 0; i < count; i++) {
        double value = metric_value(metric, &datasets[i]);
        if (strcmp(metric->dataset, datasets[i].name) == 0) {
            *score = value;
            return STATUS_OK;
        }
        sum += value;
        worst = value < worst ? value : worst;
    }
    if (strcmp(metric->dataset, "mean") == 0)
        *score = sum / (double)count;
    else if (strcmp(metric->dataset, "worst") == 0)
        *score = worst;
    else if (metric->dataset[0] == '\0')
        *score = metric_value(metric, &datasets[0]);
    else
        return fail_unknown_dataset(metric, datasets, count, diagnostic);
    return STATUS_OK;
}

/* Lets the evaluator stop between blocks when poll says so. */
typedef struct ScoringWatch {
    const SplitScoring *scoring;
    volatile int stop;
} ScoringWatch;

static void watch_progress(void *context, int64_t done, int64_t total)
{
    ScoringWatch *watch = context;
    (void)total;
    if (done == 0 && fault_point("worker.evaluating"))
        watch->stop = 1;
    int polled = watch->scoring->poll ? watch->scoring->poll(watch->scoring->poll_context) : 0;
    if (polled)
        watch->stop = polled;
}

/* Adds up the ranks' counts; afterwards every rank has the whole. */
static void sum_counts(Communicator *communicator, Evaluation *evaluation)
{
    ScoreCounts *counts = evaluation->counts;
    int64_t numbers[] = {counts->tokens, counts->tokens_correct, evaluation->labelled_pieces, evaluation->sequences,
                         evaluation->pieces};
    communicator_sum_int64(communicator, counts->correct, counts->type_count);
    communicator_sum_int64(communicator, counts->predicted, counts->type_count);
    communicator_sum_int64(communicator, counts->gold, counts->type_count);
    communicator_sum_int64(communicator, numbers, (int32_t)(sizeof numbers / sizeof *numbers));
    counts->tokens = numbers[0];
    counts->tokens_correct = numbers[1];
    evaluation->labelled_pieces = numbers[2];
    evaluation->sequences = numbers[3];
    evaluation->pieces = numbers[4];
}

static const char *split_dataset_name(const char *split)
{
    return strncmp(split, "dev:", 4) == 0 ? split + 4 : split;
}

int64_t score_block_pieces(int64_t max_seq_length, const TrainingOptions *options)
{
    int64_t wanted = options->per_device_eval_batch_size;
    return wanted < EVALUATION_PIECES_LIMIT / max_seq_length ? wanted * max_seq_length : EVALUATION_PIECES_LIMIT;
}

static int64_t batch_pieces(const ShardStore *shards, const TrainingOptions *options)
{
    return score_block_pieces(shard_store_options(shards)->max_seq_length, options);
}

void split_score_block(const ShardStore *shards, const TrainingOptions *options, int32_t split, int64_t *pieces, int32_t *sequences)
{
    evaluation_block(shards, split, batch_pieces(shards, options), pieces, sequences);
}

/* A part more of this rank's. */
static void merge_part(Evaluation *whole, const Evaluation *part)
{
    score_counts_merge(whole->counts, part->counts);
    whole->labelled_pieces += part->labelled_pieces;
    whole->sequences += part->sequences;
    whole->pieces += part->pieces;
}

/* Every chunk of this rank is a part of its own, so that it is cut into the same blocks whichever rank has it. losses: [chunks->count]. */
static Status evaluate_chunks(const SplitScoring *scoring, int32_t split, EvaluationOptions *options, const Chunks *chunks,
                              Evaluation *evaluation, double *losses, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    options->part_count = chunks->count;
    for (int32_t i = 0; i < chunks->own; i++) {
        Evaluation part;
        options->part = chunks->first + i;
        TRY(evaluation_run(&part, scoring->model, scoring->shards, split, options, diagnostic));
        losses[options->part] = part.loss_sum;
        if (i == 0) {
            *evaluation = part;
        } else {
            merge_part(evaluation, &part);
            evaluation_free(&part);
        }
    }
out:
    return status;
}

Status split_score(const SplitScoring *scoring, int32_t split, DatasetScore *score, int64_t *stop, Diagnostic *diagnostic)
{
    ScoringWatch watch = {.scoring = scoring};
    Evaluation evaluation = {0};
    ScoreReport report = {0};
    EvaluationOptions options = {
        .batch_pieces = batch_pieces(scoring->shards, scoring->options),
        .metric_mode = scoring->options->metric_mode,
        .merge = MERGE_CONFIDENCE,
        .decode = scoring->options->decode,
        .want_loss = true,
        .context = &watch,
        .interrupted = &watch.stop,
        .on_progress = watch_progress,
    };
    Chunks chunks;
    double *losses = NULL;
    Status status = chunks_make(&chunks, scoring->communicator, scoring->options, diagnostic);
    if (status == STATUS_OK) {
        losses = memory_allocate((size_t)chunks.count, sizeof *losses);
        status = evaluate_chunks(scoring, split, &options, &chunks, &evaluation, losses, diagnostic);
    }
    *stop = watch.stop;
    TRY(communicator_agree(scoring->communicator, status, stop, diagnostic));
    sum_counts(scoring->communicator, &evaluation);
    double loss_sum = chunks_sum(&chunks, scoring->communicator, losses);
    score_report_make(&report, evaluation.counts, 0);
    *score = (DatasetScore){.f1 = report.micro.f1, .precision = report.micro.precision, .recall = report.micro.recall};
    if (evaluation.labelled_pieces > 0)
        score->loss = loss_sum / (double)evaluation.labelled_pieces;
    snprintf(score->name, sizeof score->name, "%s", split_dataset_name(shard_split_name(scoring->shards, split)));
out:
    score_report_free(&report);
    free(losses);
    evaluation_free(&evaluation);
    return status;
}
