/* The durable state of a sweep: the fold of its journal. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"
#include "coordinator/options_patch.h"

char *sweep_core_options(const SweepCore *core, uint32_t trial)
{
    return options_patch_apply(core->first_options_json, core->trials.items[trial].options_patch);
}

static void replace_text(char **text, const char *with)
{
    char *copy = with ? memory_copy_string(with) : NULL;
    free(*text);
    *text = copy;
}

static void settings_free(CoreSettings *settings)
{
    free(settings->name);
    free(settings->metric_json);
    array_free(&settings->seeds);
    memset(settings, 0, sizeof *settings);
}

SweepCore *sweep_core_create(const Sweep *sweep, const char *sweep_folder)
{
    SweepCore *core = memory_allocate(1, sizeof *core);
    core->sweep = sweep;
    core->next_fence = 1;
    core->waiting = trial_set_create();
    core->held = trial_set_create();
    core->publishes = true;
    replace_text(&core->sweep_folder, sweep_folder ? sweep_folder : "");
    return core;
}

void sweep_core_destroy(SweepCore **destroyed)
{
    SweepCore *core = *destroyed;
    if (!core)
        return;
    free(core->identity);
    free(core->first_options_json);
    json_destroy(&core->sweep_json);
    settings_free(&core->settings);
    array_free(&core->trials);
    free(core->waiting);
    free(core->held);
    core_memory_free(&core->memory);
    array_free(&core->configurations);
    for (size_t b = 0; b < TERMINATOR_BRACKET_LIMIT; b++) {
        for (size_t i = 0; i < core->rungs[b].count; i++)
            rung_free(&core->rungs[b].items[i]);
        array_free(&core->rungs[b]);
    }
    json_destroy(&core->warm_history);
    for (size_t i = 0; i < core->points.count; i++)
        free(core->points.items[i]);
    array_free(&core->points);
    for (size_t i = 0; i < core->warm_points.count; i++)
        free(core->warm_points.items[i]);
    array_free(&core->warm_points);
    free(core->reason);
    core_hosts_forget(core);
    array_free(&core->backing_off);
    text_free(&core->patch);
    free(core->sweep_folder);
    free(core->data_json);
    array_free(&core->workers);
    free(core);
    *destroyed = NULL;
}

/* ------------------------------------------------------------------------------------------------ opening */

/* A journal of a sweep without the section has none of it. */
static Status termination_read(EarlyTermination *termination, const Json *json, const char *where, Diagnostic *diagnostic)
{
    static const char *const rules[] = {
        [TERMINATION_ASHA] = "asha", [TERMINATION_HYPERBAND] = "hyperband", [TERMINATION_MEDIAN] = "median"};
    Status status = STATUS_OK;
    const char *type;
    if (!json)
        return STATUS_OK;
    TRY(json_require_string(json, "type", where, &type, diagnostic));
    for (TerminationRule rule = TERMINATION_ASHA; rule <= TERMINATION_MEDIAN; rule++)
        if (strcmp(type, rules[rule]) == 0)
            termination->rule = rule;
    if (termination->rule == TERMINATION_NONE)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: unknown early termination %.40s", where, type);
    TRY(json_require_integer(json, "min_iter", where, 1, CORE_EVALUATION_LIMIT, &termination->min_iter, diagnostic));
    if (termination->rule == TERMINATION_MEDIAN) {
        TRY(json_require_integer(json, "min_trials", where, 1, CORE_TRIAL_LIMIT, &termination->min_trials, diagnostic));
    } else {
        TRY(json_require_integer(json, "max_iter", where, 0, CORE_EVALUATION_LIMIT, &termination->max_iter, diagnostic));
        TRY(json_require_integer(json, "eta", where, 2, CORE_TRIAL_LIMIT, &termination->eta, diagnostic));
    }
out:
    return status;
}

static Status settings_read(CoreSettings *settings, const Json *sweep, Diagnostic *diagnostic)
{
    static const char where[] = "the journal's sweep";
    Status status = STATUS_OK;
    const char *name;
    const Json *identity = json_get(sweep, "identity"), *resources = json_get(sweep, "resources"),
               *seeds = json_get(identity, "seeds");
    TRY(json_require_string(identity, "name", where, &name, diagnostic));
    TRY(json_require_integer(resources, "configurations", where, 1, CORE_TRIAL_LIMIT, &settings->configurations, diagnostic));
    TRY(json_require_integer(resources, "max_retries", where, 0, CORE_ATTEMPT_LIMIT, &settings->max_retries, diagnostic));
    TRY(json_require_integer(resources, "heartbeat_ms", where, 1, INT32_MAX, &settings->heartbeat_ms, diagnostic));
    TRY(json_require_integer(resources, "lease_ms", where, settings->heartbeat_ms, INT32_MAX, &settings->lease_ms, diagnostic));
    TRY(json_require_integer(resources, "hang_ms", where, 1, INT32_MAX, &settings->hang_ms, diagnostic));
    if (json_count(seeds) == 0 || (int64_t)json_count(seeds) * settings->configurations > CORE_TRIAL_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: no seeds, or too many trials", where);
    for (size_t i = 0; i < json_count(seeds); i++)
        array_push(&settings->seeds, (int32_t)json_integer_value(json_at(seeds, i), 0));
    settings->name = memory_copy_string(name);
    settings->metric_json = json_text(json_get(identity, "metric"), JSON_CANONICAL);
    settings->has_test = json_count(json_get(json_get(identity, "data"), "test")) > 0;
    settings->budget = (SearchBudget){.time_ms = json_integer_value(json_get(json_get(resources, "budget"), "time_ms"), 0),
                                      .compute_ms = json_integer_value(json_get(json_get(resources, "budget"), "compute_ms"), 0),
                                      .trials = json_integer_value(json_get(json_get(resources, "budget"), "trials"), 0)};
    TRY(termination_read(&settings->termination, json_get(identity, "early_terminate"), where, diagnostic));
out:
    return status;
}

/* What workers are told about the data, the same for all trials. */
static char *data_text(const SweepCore *core)
{
    const Json *identity = json_get(core->sweep_json, "identity"), *resources = json_get(core->sweep_json, "resources");
    Json *data = json_object();
    char *shards = memory_format("%s/shards", core->sweep_folder);
    json_set(data, "model", json_copy(json_get(identity, "model")));
    json_set(data, "shards", json_string(shards));
    json_set(data, "store", json_string(core->sweep_folder));
    json_set(data, "precision", json_copy(json_get(resources, "precision")));
    if (json_get(resources, "memory_limit")) /* not in sweeps that began before there was one */
        json_set(data, "memory_limit", json_copy(json_get(resources, "memory_limit")));
    json_set(data, "data", json_copy(json_get(identity, "data")));
    char *text = json_text(data, JSON_COMPACT);
    free(shards);
    json_destroy(&data);
    return text;
}

static Status take_sweep(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *json = NULL;
    CoreSettings settings = {0};
    TRY(json_parse(&json, record->json ? record->json : "", record->json ? strlen(record->json) : 0, "journal", diagnostic));
    TRY(settings_read(&settings, json, diagnostic));
    settings_free(&core->settings);
    core->settings = settings;
    memset(&settings, 0, sizeof settings);
    json_destroy(&core->sweep_json);
    core->sweep_json = json;
    json = NULL;
    free(core->data_json);
    core->data_json = data_text(core);
out:
    if (status != STATUS_OK) {
        diagnostic_prefix(diagnostic, "the journal holds no proper sweep");
        status = STATUS_CORRUPT;
    }
    settings_free(&settings);
    json_destroy(&json);
    return status;
}

static Status apply_sweep_opened(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (core->opened)
        return FAIL(diagnostic, STATUS_CORRUPT, "the journal opens its sweep twice");
    Status status = take_sweep(core, record, diagnostic);
    if (status != STATUS_OK)
        return status;
    replace_text(&core->identity, record->identity ? record->identity : "");
    core->opened = true;
    return STATUS_OK;
}

/* A new coordinator: limits and budget may have changed, the test gets its retries back, and a sweep that was ended may have more to do. */
static Status apply_epoch_opened(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (record->epoch < core->epoch)
        return FAIL(diagnostic, STATUS_CORRUPT, "epoch %" PRIu64 " follows epoch %" PRIu64, record->epoch, core->epoch);
    core->epoch = record->epoch;
    core->test.retries = 0;
    core_hosts_forget(core);
    SearchBudget budget = core->settings.budget;
    if (!record->json)
        return STATUS_OK;
    Status status = take_sweep(core, record, diagnostic);
    if (memcmp(&budget, &core->settings.budget, sizeof budget) != 0)
        core->budget_spent = false;
    if (status == STATUS_OK && core->state != SWEEP_CANCELLED && (int64_t)core->trials.count < sweep_core_trials_total(core))
        core->state = SWEEP_RUNNING;
    return status;
}

static Status apply_warm_started(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (core->warm_history || core->trials.count)
        return FAIL(diagnostic, STATUS_CORRUPT, "the sweep is warm-started twice, or after its first trial");
    return json_parse(&core->warm_history, record->json ? record->json : "[]", record->json ? strlen(record->json) : 2, "journal",
                      diagnostic);
}

/* ------------------------------------------------------------------------------------------------ trials */

void core_note_waiting(SweepCore *core, uint32_t number)
{
    const Trial *trial = &core->trials.items[number];
    if (trial->work.state == WORK_PENDING && !trial->paused)
        trial_set_add(core->waiting, number);
}

void core_set_trial_state(SweepCore *core, Trial *trial, WorkState state, int64_t wall_ms)
{
    Work *work = &trial->work;
    core->state_counts[work->state]--;
    core->state_counts[state]++;
    if (work->state == WORK_ASSIGNED) {
        core->assigned_wall_sum_ms -= work->assigned_wall_ms;
        core->compute_ms += wall_ms > work->assigned_wall_ms ? wall_ms - work->assigned_wall_ms : 0;
    }
    uint32_t number = (uint32_t)(trial - core->trials.items);
    if (work->state == WORK_PENDING)
        trial_set_remove(core->waiting, number);
    else if (work->state == WORK_HELD)
        trial_set_remove(core->held, number);
    work->state = state;
    core_note_waiting(core, number);
    if (state == WORK_HELD)
        trial_set_add(core->held, number);
    if (state == WORK_ASSIGNED) {
        work->assigned_wall_ms = wall_ms;
        core->assigned_wall_sum_ms += wall_ms;
    }
}

static Trial *find_trial(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (record->id.trial < core->trials.count)
        return &core->trials.items[record->id.trial];
    (void)FAIL(diagnostic, STATUS_CORRUPT, "a record of type %d names trial %" PRIu32 ", which was never created",
               (int)record->type, record->id.trial);
    return NULL;
}

/* At once for all trials of a large sweep: what is not used is never touched. */
static void make_room(SweepCore *core)
{
    enum { LARGE = 1 << 12 };
    size_t total = (size_t)sweep_core_trials_total(core);
    if (core->trials.count < core->trials.capacity || core->trials.count < LARGE)
        return;
    array_reserve(&core->trials, total > core->trials.count ? total : core->trials.count + 1);
}

static Status apply_trial_created(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    uint32_t seeds = (uint32_t)core->settings.seeds.count;
    if (!core->opened || record->id.trial != core->trials.count || core->trials.count >= CORE_TRIAL_LIMIT ||
        record->seed_index >= seeds || (uint64_t)record->configuration * seeds + record->seed_index != record->id.trial)
        return FAIL(diagnostic, STATUS_CORRUPT, "trial %" PRIu32 " is created out of order", record->id.trial);
    Trial trial = {.configuration = record->configuration, .seed_index = record->seed_index};
    trial.parameters_json = core_keep(core, record->json ? record->json : "{}");
    const char *options_json = record->options_json ? record->options_json : "{}";
    if (!core->first_options_json)
        core->first_options_json = memory_copy_string(options_json);
    options_patch_make(core->first_options_json, options_json, &core->patch);
    trial.options_patch = core_keep(core, core->patch.bytes);
    make_room(core);
    array_push(&core->trials, trial);
    core->state_counts[WORK_PENDING]++;
    core_note_waiting(core, record->id.trial);
    if (record->seed_index == 0)
        array_push(&core->configurations, (ConfigurationState){0});
    return STATUS_OK;
}

/* The work that a record is about: the test when it has (or gets) that fence, else the trial's. */
static Work *find_work(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    Trial *trial = find_trial(core, record, diagnostic);
    if (!trial)
        return NULL;
    bool test = record->type == RECORD_ASSIGNED ? record->kind == ASSIGNMENT_TEST
                                                : core->test.fence && record->id.fence == core->test.fence;
    return test ? &core->test : &trial->work;
}

static void set_work_state(SweepCore *core, Work *work, const Record *record, WorkState state)
{
    if (work == &core->test)
        work->state = state;
    else
        core_set_trial_state(core, &core->trials.items[record->id.trial], state, record->wall_ms);
}

static Status apply_assigned(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    Work *work = find_work(core, record, diagnostic);
    if (!work)
        return STATUS_CORRUPT;
    bool waits = work == &core->test ? work->state != WORK_ASSIGNED : work->state == WORK_PENDING;
    if (!waits || record->id.fence < core->next_fence)
        return FAIL(diagnostic, STATUS_CORRUPT, "trial %" PRIu32 " is assigned (fence %" PRIu64 ") while it is not waiting",
                    record->id.trial, record->id.fence);
    set_work_state(core, work, record, WORK_ASSIGNED);
    work->fence = record->id.fence;
    work->attempts++;
    work->worker = core_share(core, record->worker ? record->worker : "");
    core->next_fence = record->id.fence + 1;
    if (work == &core->test)
        core->test_trial = record->id.trial;
    return STATUS_OK;
}

static Status apply_reported(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    Trial *trial = find_trial(core, record, diagnostic);
    if (!trial)
        return STATUS_CORRUPT;
    if (trial->work.state != WORK_ASSIGNED || record->id.fence != trial->work.fence ||
        record->sequence != trial->evaluations.count + 1 || record->sequence > CORE_EVALUATION_LIMIT)
        return FAIL(diagnostic, STATUS_CORRUPT, "evaluation %" PRIu64 " of trial %" PRIu32 " is out of order", record->sequence,
                    record->id.trial);
    Evaluation evaluation = {
        .step = record->step,
        .total_steps = record->total_steps,
        .epoch = record->training_epoch,
        .train_loss = record->train_loss,
        .learning_rate = record->learning_rate,
        .score = record->score,
        .datasets = core_keep_scores(core, record->datasets, record->dataset_count),
        .dataset_count = record->dataset_count,
        .checkpoint = core_keep(core, record->checkpoint ? record->checkpoint : ""),
    };
    core_add_evaluation(core, trial, &evaluation);
    if (evaluation.score > trial->evaluations.items[trial->best].score) /* a tie keeps the earlier */
        trial->best = trial->evaluations.count - 1;
    trial->work.retries = 0;
    core_hosts_note_success(core, &trial->work);
    core_rungs_note_report(core, record->id.trial, record->wall_ms);
    return STATUS_OK;
}

static Status apply_attempt_ended(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    Work *work = find_work(core, record, diagnostic);
    if (!work)
        return STATUS_CORRUPT;
    if (work->state != WORK_ASSIGNED || work->fence != record->id.fence)
        return FAIL(diagnostic, STATUS_CORRUPT, "an attempt at trial %" PRIu32 " ends that had not begun", record->id.trial);
    set_work_state(core, work, record, WORK_PENDING);
    work->retries += record->counts_as_retry;
    if (record->counts_as_retry && record->attempt_outcome == FINISH_WORKER_FAULT)
        core_hosts_note_failure(core, work);
    work->reason = core_share(core, record->reason);
    return STATUS_OK;
}

static Status apply_trial_ended(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    Trial *trial = find_trial(core, record, diagnostic);
    if (!trial)
        return STATUS_CORRUPT;
    if (trial->work.state == WORK_ENDED)
        return FAIL(diagnostic, STATUS_CORRUPT, "trial %" PRIu32 " ends twice", record->id.trial);
    core_set_trial_state(core, trial, WORK_ENDED, record->wall_ms);
    trial->outcome = record->outcome;
    if (record->outcome == TRIAL_COMPLETED)
        core_hosts_note_success(core, &trial->work);
    trial->work.reason = core_share(core, record->reason);
    trial->statistics_json = core_keep(core, record->json);
    core_rungs_note_end(core, record->id.trial);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ the sweep */

static Status apply_test_scored(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (core->test.state != WORK_ASSIGNED || core->test.fence != record->id.fence || record->id.trial != core->test_trial)
        return FAIL(diagnostic, STATUS_CORRUPT, "the test of trial %" PRIu32 " is scored without having been assigned",
                    record->id.trial);
    core->test.state = WORK_ENDED;
    core->test.reason = NULL;
    core->test_scores = core_keep_scores(core, record->datasets, record->dataset_count);
    core->test_score_count = record->dataset_count;
    return STATUS_OK;
}

static Status apply_control(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    bool pause = record->control == CONTROL_PAUSE, resume = record->control == CONTROL_RESUME;
    if (record->all_trials) {
        core->cancelled = core->cancelled || record->control == CONTROL_CANCEL;
        core->paused = pause || (core->paused && !resume);
        for (size_t i = 0; resume && i < core->trials.count; i++) {
            core->trials.items[i].paused = false;
            core_note_waiting(core, (uint32_t)i);
        }
        return STATUS_OK;
    }
    Trial *trial = find_trial(core, record, diagnostic);
    if (!trial)
        return STATUS_CORRUPT;
    trial->paused = pause || (trial->paused && !resume);
    trial_set_remove(core->waiting, record->id.trial);
    core_note_waiting(core, record->id.trial);
    return STATUS_OK;
}

static Status apply_sweep_ended(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (core->state != SWEEP_RUNNING)
        return FAIL(diagnostic, STATUS_CORRUPT, "the sweep ends twice");
    core->state = record->outcome == TRIAL_COMPLETED   ? SWEEP_DONE
                  : record->outcome == TRIAL_CANCELLED ? SWEEP_CANCELLED
                                                       : SWEEP_FAILED;
    replace_text(&core->reason, record->reason);
    return STATUS_OK;
}

/* The time that budgets are about goes on from record to record, but not while there is no coordinator, and never back. */
static void note_time(SweepCore *core, const Record *record)
{
    if (record->type != RECORD_SWEEP_OPENED && record->type != RECORD_EPOCH_OPENED && record->wall_ms > core->record_wall_ms)
        core->running_ms += record->wall_ms - core->record_wall_ms;
    core->record_wall_ms = record->wall_ms;
}

Status sweep_core_apply(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    if (!core->opened && record->type != RECORD_SWEEP_OPENED)
        return FAIL(diagnostic, STATUS_CORRUPT, "the journal does not begin with its sweep");
    note_time(core, record);
    core->records++;
    switch (record->type) {
    case RECORD_SWEEP_OPENED:
        return apply_sweep_opened(core, record, diagnostic);
    case RECORD_EPOCH_OPENED:
        return apply_epoch_opened(core, record, diagnostic);
    case RECORD_TRIAL_CREATED:
        return apply_trial_created(core, record, diagnostic);
    case RECORD_ASSIGNED:
        return apply_assigned(core, record, diagnostic);
    case RECORD_REPORTED:
        return apply_reported(core, record, diagnostic);
    case RECORD_ATTEMPT_ENDED:
        return apply_attempt_ended(core, record, diagnostic);
    case RECORD_TRIAL_ENDED:
        return apply_trial_ended(core, record, diagnostic);
    case RECORD_TEST_SCORED:
        return apply_test_scored(core, record, diagnostic);
    case RECORD_CONTROL:
        return apply_control(core, record, diagnostic);
    case RECORD_SWEEP_ENDED:
        return apply_sweep_ended(core, record, diagnostic);
    case RECORD_PROMOTED:
        return core_rungs_apply_promoted(core, record, diagnostic);
    case RECORD_BUDGET_SPENT:
        core->budget_spent = true;
        return STATUS_OK;
    case RECORD_WARM_STARTED:
        return apply_warm_started(core, record, diagnostic);
    case RECORD_HOST_QUARANTINED:
        return core_hosts_apply_quarantined(core, record, diagnostic);
    default:
        return FAIL(diagnostic, STATUS_CORRUPT, "a record of unknown type %d", (int)record->type);
    }
}
