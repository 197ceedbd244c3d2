#include "worker/job.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "worker/plan.h"
#include "worker/profile_report.h"

enum { JOB_SIZE_LIMIT = 16 * 1024 * 1024, TRIAL_LIMIT = 999999 };

typedef struct Job {
    TrainingData data;
    TrialRequest request;
    char *profile; /* file to write; NULL: none. Owned. */
} Job;

static Status job_check_keys(const Json *json, bool plan, const char *path, Diagnostic *diagnostic)
{
    static const char *const of_training[] = {"memory_limit", "kind",     "model",     "random_weights", "vocab",
                                              "shards",       "store",    "precision", "trial",          "options",
                                              "metric",       "evaluate", "test",      "profile",        NULL};
    static const char *const of_plan[] = {"memory_limit", "kind", "model",   "shards",    "precision", "candidates",
                                          "evaluate",     "test", "assumed", "trainings", NULL};
    const char *const *known = plan ? of_plan : of_training;
    for (const char *key = json_next_key(json, NULL); key; key = json_next_key(json, key)) {
        bool is_known = false;
        for (size_t i = 0; known[i]; i++)
            is_known |= strcmp(key, known[i]) == 0;
        if (!is_known)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: unknown key \"%s\"", path, key);
    }
    return STATUS_OK;
}

/* *plan: the job is of kind "plan", else "train". */
static Status job_read_json(Json **json, const char *path, bool *plan, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *kind;
    TRY(json_read_file(json, path, JOB_SIZE_LIMIT, diagnostic));
    TRY(json_require_string(*json, "kind", path, &kind, diagnostic));
    *plan = strcmp(kind, "plan") == 0;
    if (!*plan && strcmp(kind, "train") != 0)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s: a job of kind \"%s\": \"train\" and \"plan\" are known", path, kind);
    TRY(job_check_keys(*json, *plan, path, diagnostic));
out:
    return status;
}

static Status job_parse(Job *job, const Json *json, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t trial;
    TRY(json_require_integer(json, "trial", path, 0, TRIAL_LIMIT, &trial, diagnostic));
    job->request.id.trial = (uint32_t)trial;
    TRY(training_data_parse(&job->data, json, NULL, path, diagnostic));
    TRY(options_from_json(training_option_table(), &job->request.options, json_get(json, "options"), path, diagnostic));
    TRY(trial_metric_parse(&job->request.metric, json_get(json, "metric"), path, diagnostic));
    job->request.evaluate = json_boolean_value(json_get(json, "evaluate"), true);
    job->request.test = json_boolean_value(json_get(json, "test"), false);
    if (json_get(json, "profile")) {
        const char *profile;
        TRY(json_require_string(json, "profile", path, &profile, diagnostic));
        job->profile = path_absolute(profile);
    }
out:
    return status;
}

static Json *checkpoint_json(const TrialEvaluation *evaluation, const TrialOutcome *outcome, const DatasetScore *test)
{
    Json *json = json_object();
    if (!evaluation)
        return json;
    json_set(json, "step", json_integer(evaluation->step));
    json_set(json, "checkpoint", json_string(evaluation->checkpoint));
    json_set(json, "score", evaluation->dataset_count ? json_real(evaluation->score) : json_null());
    json_set(json, "dev", dataset_scores_json(evaluation->datasets, evaluation->dataset_count));
    if (outcome->tested) {
        Json *scores = dataset_scores_json(test, 1);
        json_set(json, "test", json_copy(json_get(scores, test->name)));
        json_destroy(&scores);
    } else {
        json_set(json, "test", json_null());
    }
    return json;
}

static Json *result_json(const Workplace *workplace, const TrialOutcome *outcome, const char *profile)
{
    const TrialState *state = &outcome->training.state;
    Json *json = trial_statistics_json(workplace, outcome), *trial = trial_state_json(state);
    json_set(json, "steps", json_integer(state->step));
    json_set(json, "real_tokens_per_s", json_copy(json_get(json, "pieces_per_s")));
    json_set(json, "real_tokens_per_s_whole", json_copy(json_get(json, "pieces_per_s_whole")));
    json_set(json, "best", checkpoint_json(trial_state_best(state), outcome, &outcome->best_test));
    json_set(json, "last", checkpoint_json(trial_state_last(state), outcome, &outcome->last_test));
    json_set(json, "evaluations", json_copy(json_get(trial, "evaluations")));
    json_set(json, "stopped_early", json_boolean(outcome->training.stopped_early));
    if (profile)
        json_set(json, "profile", json_string(profile));
    json_destroy(&trial);
    return json;
}

static Status write_json(Json **json, const char *path, Diagnostic *diagnostic)
{
    char *text = json_text(*json, JSON_INDENTED);
    Status status = file_write_durable(file_system_posix(), path, text, strlen(text), diagnostic);
    free(text);
    json_destroy(json);
    return status;
}

static Status write_profile(const Workplace *workplace, const TrialOutcome *outcome, const char *path, Diagnostic *diagnostic)
{
    char description[256] = "";
    workplace->backend->device_describe(workplace->device, description, sizeof description);
    ProfileSummary summary = {
        .profile = workplace->profile,
        .peaks = &workplace->peaks,
        .config = &workplace->config,
        .precision = workplace_precision(workplace),
        .device = description,
        .threads = workplace->threads,
        .ranks = communicator_size(workplace->communicator),
        .steps = &outcome->training.profiled,
    };
    Json *json = profile_summary_json(&summary);
    return write_json(&json, path, diagnostic);
}

/* By rank 0. A run without a step has no profile, and leaves that of a run before. */
static Status write_outcome(const Workplace *workplace, const Job *job, const TrialOutcome *outcome, const char *result_path,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool profiled = job->profile && outcome->training.trained_steps > 0;
    if (job->profile && !profiled)
        LOG_WARNING("no step was trained in this run: there is no profile of it");
    profile_enter(workplace->profile, WORK_OTHER); /* what passed until now is counted */
    if (profiled)
        TRY(write_profile(workplace, outcome, job->profile, diagnostic));
    Json *result = result_json(workplace, outcome, profiled ? job->profile : NULL);
    TRY(write_json(&result, result_path, diagnostic));
out:
    return status;
}

static TrainerStop stop_when_interrupted(void *context)
{
    const JobOptions *options = context;
    return options->interrupted && *options->interrupted ? TRAINER_INTERRUPTED : TRAINER_GO_ON;
}

/* Rank 0 looks, so that all ranks go on from the same checkpoint. */
static Status find_resume(const Workplace *workplace, uint32_t trial, char name[CHECKPOINT_NAME_SIZE], Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *found = NULL;
    memset(name, 0, CHECKPOINT_NAME_SIZE);
    if (communicator_rank(workplace->communicator) == 0)
        status = checkpoint_find_latest(workplace->store, trial, &found, diagnostic);
    if (found && strlen(found) < CHECKPOINT_NAME_SIZE)
        memcpy(name, found, strlen(found));
    free(found);
    status = communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic);
    communicator_broadcast(workplace->communicator, name, CHECKPOINT_NAME_SIZE, 0);
    return status;
}

static Status train(Workplace *workplace, const JobOptions *options, const Json *json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Job job = {0};
    JobOptions hooks_context = *options;
    TrialOutcome outcome = {.training.state.best = -1};
    char resume[CHECKPOINT_NAME_SIZE];
    status = job_parse(&job, json, options->job_path, diagnostic);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
    if (job.profile)
        TRY(workplace_profile(workplace, options->clock, diagnostic));
    TRY(workplace_set_data(workplace, &job.data, diagnostic));
    TRY(find_resume(workplace, job.request.id.trial, resume, diagnostic));
    workplace_choose_precision(workplace, resume);
    job.request.resume = resume;
    job.request.resume_optional = true;
    job.request.hooks = (TrainerHooks){.context = &hooks_context, .should_stop = stop_when_interrupted};
    job.request.clock = options->clock;
    TRY(trial_train(workplace, &job.request, &outcome, diagnostic));
    if (communicator_rank(workplace->communicator) == 0)
        status = write_outcome(workplace, &job, &outcome, options->result_path, diagnostic);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
out:
    trial_outcome_free(&outcome);
    training_data_free(&job.data);
    free(job.profile);
    return status;
}

Status job_run(Workplace *workplace, const JobOptions *options, Diagnostic *diagnostic)
{
    Json *json = NULL;
    bool plan = false;
    Status status = job_read_json(&json, options->job_path, &plan, diagnostic);
    status = communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic);
    if (status == STATUS_OK)
        status = plan ? plan_run(workplace, json, options->job_path, options->result_path, diagnostic)
                      : train(workplace, options, json, diagnostic);
    json_destroy(&json);
    return status;
}
