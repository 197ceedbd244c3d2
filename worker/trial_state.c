#include "worker/trial_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void trial_state_init(TrialState *state, int64_t total_steps)
{
    *state = (TrialState){.total_steps = total_steps, .best = -1};
}

void trial_state_free(TrialState *state)
{
    for (size_t i = 0; i < state->evaluations.count; i++)
        free(state->evaluations.items[i].datasets);
    array_free(&state->evaluations);
    state->best = -1;
}

const TrialEvaluation *trial_state_best(const TrialState *state)
{
    return state->best >= 0 ? &state->evaluations.items[state->best] : NULL;
}

const TrialEvaluation *trial_state_last(const TrialState *state)
{
    return state->evaluations.count > 0 ? &state->evaluations.items[state->evaluations.count - 1] : NULL;
}

void trial_state_add(TrialState *state, const TrialEvaluation *evaluation, double early_stopping_threshold)
{
    const TrialEvaluation *best = trial_state_best(state);
    bool better = !best || evaluation->score > best->score;
    bool counts = better && (!best || evaluation->score - best->score > early_stopping_threshold);
    state->stale = counts ? 0 : state->stale + 1;
    array_push(&state->evaluations, *evaluation);
    if (better)
        state->best = (int64_t)state->evaluations.count - 1;
}

bool trial_state_should_stop(const TrialState *state, int64_t early_stopping_patience)
{
    return early_stopping_patience > 0 && state->stale >= early_stopping_patience;
}

Json *dataset_scores_json(const DatasetScore *datasets, size_t count)
{
    Json *json = json_object();
    for (size_t i = 0; i < count; i++) {
        Json *row = json_object();
        json_set(row, "f1", json_real(datasets[i].f1));
        json_set(row, "precision", json_real(datasets[i].precision));
        json_set(row, "recall", json_real(datasets[i].recall));
        json_set(row, "loss", json_real(datasets[i].loss));
        json_set(json, datasets[i].name, row);
    }
    return json;
}

Json *trial_state_json(const TrialState *state)
{
    Json *json = json_object(), *evaluations = json_array();
    for (size_t i = 0; i < state->evaluations.count; i++) {
        const TrialEvaluation *evaluation = &state->evaluations.items[i];
        Json *row = json_object();
        json_set(row, "step", json_integer(evaluation->step));
        json_set(row, "epoch", json_real(evaluation->epoch));
        json_set(row, "train_loss", json_real(evaluation->train_loss));
        json_set(row, "learning_rate", json_real(evaluation->learning_rate));
        json_set(row, "score", evaluation->dataset_count ? json_real(evaluation->score) : json_null());
        json_set(row, "checkpoint", json_string(evaluation->checkpoint));
        json_set(row, "dev", dataset_scores_json(evaluation->datasets, evaluation->dataset_count));
        json_append(evaluations, row);
    }
    json_set(json, "step", json_integer(state->step));
    json_set(json, "total_steps", json_integer(state->total_steps));
    json_set(json, "pieces", json_integer(state->pieces));
    json_set(json, "best", json_integer(state->best));
    json_set(json, "stale", json_integer(state->stale));
    json_set(json, "evaluations", evaluations);
    return json;
}

static Status parse_datasets(TrialEvaluation *evaluation, const Json *json, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t count = json_count(json);
    if (!json_is_object(json) || count > MESSAGE_DATASET_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"dev\" is no object of at most %d data sets", name, MESSAGE_DATASET_LIMIT);
    evaluation->datasets = memory_allocate(count + 1, sizeof *evaluation->datasets);
    evaluation->dataset_count = count;
    for (size_t i = 0; i < count; i++) {
        DatasetScore *dataset = &evaluation->datasets[i];
        const Json *row = json_value_at(json, i);
        snprintf(dataset->name, sizeof dataset->name, "%s", json_key_at(json, i));
        TRY(json_require_number(row, "f1", name, &dataset->f1, diagnostic));
        TRY(json_require_number(row, "precision", name, &dataset->precision, diagnostic));
        TRY(json_require_number(row, "recall", name, &dataset->recall, diagnostic));
        TRY(json_require_number(row, "loss", name, &dataset->loss, diagnostic));
    }
out:
    return status;
}

/* Whatever was allocated is reachable from *evaluation, also on failure. */
static Status parse_evaluation(TrialEvaluation *evaluation, const Json *json, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *checkpoint;
    TRY(json_require_integer(json, "step", name, 0, INT64_MAX, &evaluation->step, diagnostic));
    TRY(json_require_number(json, "epoch", name, &evaluation->epoch, diagnostic));
    TRY(json_require_number(json, "train_loss", name, &evaluation->train_loss, diagnostic));
    TRY(json_require_number(json, "learning_rate", name, &evaluation->learning_rate, diagnostic));
    evaluation->score = json_number_value(json_get(json, "score"), 0);
    TRY(json_require_string(json, "checkpoint", name, &checkpoint, diagnostic));
    snprintf(evaluation->checkpoint, sizeof evaluation->checkpoint, "%s", checkpoint);
    TRY(parse_datasets(evaluation, json_get(json, "dev"), name, diagnostic));
out:
    return status;
}

Status trial_state_parse(TrialState *state, const Json *json, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Json *evaluations = json_get(json, "evaluations");
    size_t count = json_count(evaluations);
    trial_state_init(state, 0);
    if (!json_is_array(evaluations) || count > TRIAL_EVALUATION_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key \"evaluations\" is missing or no list of at most %d", name,
                 TRIAL_EVALUATION_LIMIT);
    TRY(json_require_integer(json, "step", name, 0, INT64_MAX, &state->step, diagnostic));
    TRY(json_require_integer(json, "total_steps", name, state->step, INT64_MAX, &state->total_steps, diagnostic));
    TRY(json_require_integer(json, "pieces", name, 0, INT64_MAX, &state->pieces, diagnostic));
    TRY(json_require_integer(json, "best", name, -1, (int64_t)count - 1, &state->best, diagnostic));
    TRY(json_require_integer(json, "stale", name, 0, INT64_MAX, &state->stale, diagnostic));
    for (size_t i = 0; i < count; i++) {
        TrialEvaluation evaluation = {0};
        status = parse_evaluation(&evaluation, json_at(evaluations, i), name, diagnostic);
        array_push(&state->evaluations, evaluation);
        if (status != STATUS_OK)
            goto out;
    }
out:
    if (status != STATUS_OK)
        trial_state_free(state);
    return status;
}
