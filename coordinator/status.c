/* The state of a sweep as readers see it: status, events, ranking. Used by the running coordinator and by readers of the journal alike. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core.h"
#include "coordinator/sweep_internal.h"

int64_t sweep_core_trials_total(const SweepCore *core)
{
    int64_t seeds = (int64_t)core->settings.seeds.count, begun = (int64_t)core->trials.count;
    int64_t total = core->budget_spent ? (begun + seeds - 1) / seeds * seeds : core->settings.configurations * seeds;
    return total > begun ? total : begun;
}

const Evaluation *sweep_core_best(const SweepCore *core, uint32_t trial)
{
    const Trial *item = &core->trials.items[trial];
    return item->evaluations.count ? &item->evaluations.items[item->best] : NULL;
}

const char *sweep_state_name(const SweepCore *core)
{
    static const char *const names[] = {"running", "done", "failed", "cancelled"};
    return core->state == SWEEP_RUNNING && core->paused ? "paused" : names[core->state];
}

static const char *trial_state_name(const SweepCore *core, const Trial *trial)
{
    static const char *const outcomes[] = {"", "completed", "failed", "diverged", "cancelled", "stopped"};
    if (trial->work.state == WORK_ENDED)
        return outcomes[trial->outcome];
    if (trial->work.state == WORK_ASSIGNED)
        return "running";
    return trial->work.state == WORK_HELD || trial->paused || core->paused ? "paused" : "pending";
}

/* ------------------------------------------------------------------------------------------------ ranking */

static bool counts_with_its_best(const Trial *trial)
{
    return trial->outcome == TRIAL_COMPLETED || trial->outcome == TRIAL_STOPPED;
}

/* One that failed or was cancelled has no score; one under way the best it has so far. */
bool sweep_core_trial_score(const SweepCore *core, uint32_t trial, double *score)
{
    const Trial *item = &core->trials.items[trial];
    const Evaluation *best = sweep_core_best(core, trial);
    bool ended = item->work.state == WORK_ENDED;
    if (ended && item->outcome == TRIAL_DIVERGED) {
        *score = 0.0;
        return true;
    }
    if (!best || (ended && !counts_with_its_best(item)))
        return false;
    *score = best->score;
    return true;
}

static void rank_configuration(const SweepCore *core, uint32_t configuration, RankedConfiguration *ranked)
{
    size_t seeds = core->settings.seeds.count, first = configuration * seeds;
    double sum = 0, squares = 0, best = 0, score;
    *ranked = (RankedConfiguration){.configuration = configuration};
    for (size_t i = first; i < first + seeds && i < core->trials.count; i++) {
        const Trial *trial = &core->trials.items[i];
        bool completed = trial->work.state == WORK_ENDED && counts_with_its_best(trial);
        if (!sweep_core_trial_score(core, (uint32_t)i, &score)) {
            ranked->lost += trial->work.state == WORK_ENDED;
            continue;
        }
        ranked->scored++;
        sum += score;
        if (completed && (!ranked->eligible || score > best)) {
            ranked->eligible = true;
            ranked->best_trial = (uint32_t)i;
            best = score;
        }
    }
    if (!ranked->scored)
        return;
    ranked->mean = sum / ranked->scored;
    for (size_t i = first; i < first + seeds && i < core->trials.count; i++)
        if (sweep_core_trial_score(core, (uint32_t)i, &score))
            squares += (score - ranked->mean) * (score - ranked->mean);
    ranked->spread = ranked->scored > 1 ? sqrt(squares / (ranked->scored - 1)) : 0.0;
}

ConfigurationResult sweep_core_configuration_result(const SweepCore *core, uint32_t configuration)
{
    size_t seeds = core->settings.seeds.count, first = configuration * seeds;
    ConfigurationResult result = {.outcome = CONFIGURATION_COMPLETE};
    for (size_t i = first; i < first + seeds; i++) {
        const Trial *trial = i < core->trials.count ? &core->trials.items[i] : NULL;
        double score;
        if (trial && (int64_t)trial->evaluations.count > result.evaluations)
            result.evaluations = (int64_t)trial->evaluations.count;
        if (!trial || trial->work.state != WORK_ENDED)
            result.outcome = CONFIGURATION_OPEN;
        else if (!sweep_core_trial_score(core, (uint32_t)i, &score) && result.outcome != CONFIGURATION_OPEN)
            result.outcome = CONFIGURATION_LOST;
        else if (trial->outcome == TRIAL_STOPPED && result.outcome == CONFIGURATION_COMPLETE)
            result.outcome = CONFIGURATION_STOPPED;
        if (trial && sweep_core_trial_score(core, (uint32_t)i, &score))
            result.score += score / (double)seeds;
    }
    return result;
}

static int compare_ranked(const void *a, const void *b)
{
    const RankedConfiguration *left = a, *right = b;
    if ((left->lost > 0) != (right->lost > 0))
        return left->lost > 0 ? 1 : -1;
    if (left->mean != right->mean)
        return left->mean > right->mean ? -1 : 1;
    return left->configuration < right->configuration ? -1 : 1; /* a tie keeps the earlier */
}

static size_t configurations_begun(const SweepCore *core)
{
    size_t seeds = core->settings.seeds.count;
    return seeds ? (core->trials.count + seeds - 1) / seeds : 0;
}

void sweep_core_ranking(const SweepCore *core, Ranking *ranking)
{
    for (size_t i = 0; i < configurations_begun(core); i++) {
        RankedConfiguration ranked;
        rank_configuration(core, (uint32_t)i, &ranked);
        if (ranked.scored)
            array_push(ranking, ranked);
    }
    if (ranking->count)
        qsort(ranking->items, ranking->count, sizeof *ranking->items, compare_ranked);
}

/* The first eligible one of the ranking, which need not be sorted for that. */
bool sweep_core_winner(const SweepCore *core, uint32_t *trial, double *score)
{
    RankedConfiguration best = {0};
    for (size_t i = 0; i < configurations_begun(core); i++) {
        RankedConfiguration ranked;
        rank_configuration(core, (uint32_t)i, &ranked);
        if (ranked.eligible && (!best.eligible || compare_ranked(&ranked, &best) < 0))
            best = ranked;
    }
    if (!best.eligible)
        return false;
    *trial = best.best_trial;
    *score = sweep_core_best(core, *trial)->score;
    return true;
}

/* ------------------------------------------------------------------------------------------------ as JSON */

static Json *datasets_json(const KeptScore *datasets, size_t count)
{
    Json *object = json_object();
    for (size_t i = 0; i < count; i++) {
        Json *scores = json_object();
        json_set(scores, "f1", json_real(datasets[i].f1));
        json_set(scores, "precision", json_real(datasets[i].precision));
        json_set(scores, "recall", json_real(datasets[i].recall));
        json_set(scores, "loss", json_real(datasets[i].loss));
        json_set(object, datasets[i].name, scores);
    }
    return object;
}

static Json *evaluation_json(const Evaluation *evaluation, size_t sequence)
{
    Json *json = json_object();
    json_set(json, "sequence", json_integer((int64_t)sequence));
    json_set(json, "step", json_integer(evaluation->step));
    json_set(json, "total_steps", json_integer(evaluation->total_steps));
    json_set(json, "epoch", json_real(evaluation->epoch));
    json_set(json, "train_loss", json_real(evaluation->train_loss));
    json_set(json, "learning_rate", json_real(evaluation->learning_rate));
    json_set(json, "score", json_real(evaluation->score));
    json_set(json, "datasets", datasets_json(evaluation->datasets, evaluation->dataset_count));
    json_set(json, "checkpoint", json_string(evaluation->checkpoint));
    return json;
}

Json *sweep_core_parameters(const SweepCore *core, uint32_t trial)
{
    const char *text = core->trials.items[trial].parameters_json;
    Json *json = NULL;
    return json_parse(&json, text, strlen(text), "journal", NULL) == STATUS_OK ? json : json_object();
}

static void set_progress(Json *json, const Trial *trial)
{
    const Evaluation *last = trial->evaluations.count ? &trial->evaluations.items[trial->evaluations.count - 1] : NULL;
    bool live = trial->work.state == WORK_ASSIGNED && (!last || trial->live_step > last->step);
    json_set(json, "step", json_integer(live ? trial->live_step : last ? last->step : 0));
    json_set(json, "total_steps", json_integer(live ? trial->live_total_steps : last ? last->total_steps : 0));
    json_set(json, "epoch", json_real(last ? last->epoch : 0.0));
    json_set(json, "score", last ? json_real(last->score) : json_null());
}

Json *sweep_core_trial_json(const SweepCore *core, uint32_t number, bool with_evaluations)
{
    const Trial *trial = &core->trials.items[number];
    const Evaluation *best = sweep_core_best(core, number);
    Json *json = json_object();
    json_set(json, "trial", json_integer(number));
    json_set(json, "configuration", json_integer(trial->configuration));
    json_set(json, "seed", json_integer(core->settings.seeds.items[trial->seed_index]));
    json_set(json, "state", json_string(trial_state_name(core, trial)));
    json_set(json, "parameters", sweep_core_parameters(core, number));
    set_progress(json, trial);
    json_set(json, "best_score", best ? json_real(best->score) : json_null());
    json_set(json, "best_step", best ? json_integer(best->step) : json_null());
    json_set(json, "best_checkpoint", best ? json_string(best->checkpoint) : json_null());
    json_set(json, "attempts", json_integer(trial->work.attempts));
    if (with_evaluations) {
        Json *evaluations = json_array();
        for (size_t i = 0; i < trial->evaluations.count; i++)
            json_append(evaluations, evaluation_json(&trial->evaluations.items[i], i + 1));
        json_set(json, "evaluations", evaluations);
    }
    json_set(json, "reason", json_string(trial->work.state != WORK_ASSIGNED && trial->work.reason ? trial->work.reason : ""));
    return json;
}

static Json *ranking_json(const SweepCore *core)
{
    Json *json = json_array();
    Ranking ranking = {0};
    sweep_core_ranking(core, &ranking);
    for (size_t i = 0; i < ranking.count; i++) {
        const RankedConfiguration *ranked = &ranking.items[i];
        Json *entry = json_object(), *trials = json_array();
        size_t seeds = core->settings.seeds.count;
        for (size_t t = ranked->configuration * seeds; t < (ranked->configuration + 1) * seeds && t < core->trials.count; t++)
            json_append(trials, json_integer((int64_t)t));
        json_set(entry, "configuration", json_integer(ranked->configuration));
        json_set(entry, "mean", json_real(ranked->mean));
        json_set(entry, "spread", json_real(ranked->spread));
        json_set(entry, "trials", trials);
        json_append(json, entry);
    }
    array_free(&ranking);
    return json;
}

static Json *winner_json(const SweepCore *core)
{
    uint32_t trial;
    double score;
    if (!sweep_core_winner(core, &trial, &score))
        return json_null();
    Json *json = json_object(), *test = NULL;
    json_set(json, "trial", json_integer(trial));
    json_set(json, "configuration", json_integer(core->trials.items[trial].configuration));
    json_set(json, "checkpoint", json_string(sweep_core_best(core, trial)->checkpoint));
    json_set(json, "score", json_real(score));
    if (core->test.state == WORK_ENDED && core->test_trial == trial && core->test_score_count) {
        Json *all = datasets_json(core->test_scores, core->test_score_count);
        test = json_copy(json_value_at(all, 0));
        json_destroy(&all);
    }
    json_set(json, "test", test ? test : json_null());
    return json;
}

static Json *workers_json(const SweepCore *core)
{
    Json *json = json_array();
    for (size_t i = 0; i < core->workers.count; i++) {
        const WorkerSlot *slot = &core->workers.items[i];
        Json *worker = json_object();
        json_set(worker, "worker", json_string(slot->name));
        json_set(worker, "host", json_string(slot->host));
        json_set(worker, "pid", json_integer(slot->pid));
        json_set(worker, "backend", json_string(slot->backend));
        json_set(worker, "trial", slot->busy ? json_integer(slot->trial) : json_null());
        const char *quarantine = sweep_core_quarantine(core, slot->name);
        json_set(worker, "quarantined", quarantine ? json_string(quarantine) : json_null());
        json_append(json, worker);
    }
    return json;
}

Json *sweep_core_status(const SweepCore *core, StatusDetail detail)
{
    Json *json = json_object(), *trials = json_array();
    const Json *metric = json_get(json_get(core->sweep_json, "identity"), "metric");
    json_set(json, "name", json_string(core->settings.name ? core->settings.name : ""));
    json_set(json, "identity", json_string(core->identity ? core->identity : ""));
    json_set(json, "state", json_string(sweep_state_name(core)));
    json_set(json, "reason", json_string(core->state != SWEEP_RUNNING && core->reason ? core->reason : ""));
    json_set(json, "metric", metric ? json_copy(metric) : json_null());
    json_set(json, "trials_total", json_integer(sweep_core_trials_total(core)));
    for (size_t i = 0; i < core->trials.count; i++)
        if (detail != STATUS_OPEN_TRIALS_ONLY || core->trials.items[i].work.state != WORK_ENDED)
            json_append(trials, sweep_core_trial_json(core, (uint32_t)i, detail == STATUS_FULL));
    json_set(json, "trials", trials);
    json_set(json, "ranking", detail == STATUS_OPEN_TRIALS_ONLY ? json_array() : ranking_json(core));
    json_set(json, "winner", winner_json(core));
    json_set(json, "workers", workers_json(core));
    return json;
}

/* ------------------------------------------------------------------------------------------------ events */

/* A new sweep is told by its first epoch. */
static const char *event_name(RecordType type)
{
    if (type == RECORD_SWEEP_OPENED)
        return NULL;
    return type == RECORD_EPOCH_OPENED ? "opened" : record_type_name(type);
}

static void parameters_event_text(const SweepCore *core, uint32_t trial, Text *text)
{
    Json *parameters = sweep_core_parameters(core, trial);
    for (const char *key = json_next_key(parameters, NULL); key; key = json_next_key(parameters, key)) {
        char *value = sweep_value_text(json_get(parameters, key));
        text_format(text, " %s=%.100s", key, value);
        free(value);
    }
    json_destroy(&parameters);
}

static void trial_event_text(const SweepCore *core, const Record *record, Text *text)
{
    uint32_t number = record->id.trial;
    const Trial *trial = &core->trials.items[number];
    const Evaluation *best = sweep_core_best(core, number);
    const char *reason = record->reason ? record->reason : "";
    text_format(text, "trial %" PRIu32, number);
    switch (record->type) {
    case RECORD_TRIAL_CREATED:
        text_format(text, " (seed %" PRId32 "):", core->settings.seeds.items[trial->seed_index]);
        parameters_event_text(core, number, text);
        break;
    case RECORD_ASSIGNED:
        text_format(text, "%s goes to %s%s%s", record->kind == ASSIGNMENT_TEST ? ", test of the best checkpoint," : "",
                    record->worker, record->checkpoint && record->checkpoint[0] ? ", from " : "",
                    record->checkpoint ? record->checkpoint : "");
        break;
    case RECORD_REPORTED:
        text_format(text, ": step %" PRId64 "/%" PRId64 ", train loss %.4f, score %.4f (best %.4f at step %" PRId64 ")",
                    record->step, record->total_steps, record->train_loss, record->score, best->score, best->step);
        break;
    case RECORD_ATTEMPT_ENDED:
        text_format(text, "%s: attempt ended: %s", record->kind == ASSIGNMENT_TEST ? ", test" : "", reason);
        break;
    default:
        text_format(text, " %s%s%s", trial_state_name(core, trial), reason[0] ? ": " : "", reason);
        if (best)
            text_format(text, ", best score %.4f at step %" PRId64, best->score, best->step);
    }
}

static void sweep_event_text(const SweepCore *core, const Record *record, Text *text)
{
    static const char *const actions[] = {"", "cancelled", "paused", "resumed", "stopped"};
    switch (record->type) {
    case RECORD_EPOCH_OPENED:
        text_format(text, "sweep %s: epoch %" PRIu64 ", %zu of %" PRId64 " trials ended", core->settings.name, record->epoch,
                    core->state_counts[WORK_ENDED], sweep_core_trials_total(core));
        break;
    case RECORD_TEST_SCORED:
        text_format(text, "test of trial %" PRIu32 ": f1 %.4f", record->id.trial,
                    record->dataset_count ? record->datasets[0].f1 : 0.0);
        break;
    case RECORD_CONTROL:
        if (record->all_trials)
            text_format(text, "sweep %s", actions[record->control]);
        else
            text_format(text, "trial %" PRIu32 " %s", record->id.trial, actions[record->control]);
        break;
    case RECORD_PROMOTED:
        text_format(text, "configuration %" PRIu32 " goes on from its rung", record->configuration);
        break;
    case RECORD_BUDGET_SPENT:
        text_append_string(text, record->reason ? record->reason : "the budget is used up");
        break;
    case RECORD_HOST_QUARANTINED:
        text_format(text, "%s gets no more work while others are there: %s", record->worker, record->reason ? record->reason : "");
        break;
    case RECORD_WARM_STARTED:
        text_format(text, "%zu configurations of earlier sweeps are known", json_count(core->warm_history));
        break;
    default:
        text_format(text, "sweep %s%s%s", sweep_state_name(core), record->reason && record->reason[0] ? ": " : "",
                    record->reason ? record->reason : "");
    }
}

Json *sweep_core_event_json(const SweepCore *core, const Record *record)
{
    const char *name = event_name(record->type);
    bool silent =
        record->type == RECORD_PROMOTED && core->settings.termination.rule == TERMINATION_MEDIAN; /* after each evaluation */
    if (!name || silent)
        return NULL;
    Json *json = json_object();
    Text text = {0};
    bool of_trial = record->type >= RECORD_TRIAL_CREATED && record->type <= RECORD_TRIAL_ENDED;
    if (of_trial)
        trial_event_text(core, record, &text);
    else
        sweep_event_text(core, record, &text);
    json_set(json, "event", json_string(name));
    json_set(json, "text", json_string(text.bytes));
    json_set(json, "wall_ms", json_integer(record->wall_ms));
    if (of_trial)
        json_set(json, "trial", sweep_core_trial_json(core, record->id.trial, false));
    else
        json_set(json, "state", json_string(sweep_state_name(core)));
    if (record->type == RECORD_REPORTED) {
        const Trial *trial = &core->trials.items[record->id.trial];
        json_set(json, "evaluation",
                 evaluation_json(&trial->evaluations.items[trial->evaluations.count - 1], trial->evaluations.count));
    }
    if (record->type == RECORD_TEST_SCORED || record->type == RECORD_SWEEP_ENDED)
        json_set(json, "winner", winner_json(core));
    text_free(&text);
    return json;
}
