#include "worker/trial.h"

#include <string.h>
#include <sys/resource.h>

#include "core/base/log.h"
#include "inference/notes.h"
#include "worker/work_section.h"

/* What only limits space or speed is not part of a trial's identity; nor is what says that nothing was asked for. */
static bool decides_numbers(const char *option, const TrainingOptions *options)
{
    static const char *const limits[] = {"save_total_limit", "per_device_eval_batch_size", "frozen_cache_mb",
                                         "gradient_checkpointing"};
    static const char *const of_world[] = {"deterministic", "virtual_ranks"};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (strcmp(option, limits[i]) == 0)
            return false;
    for (size_t i = 0; i < sizeof of_world / sizeof *of_world; i++)
        if (strcmp(option, of_world[i]) == 0)
            return options->deterministic == DETERMINISTIC_WORLD;
    return true;
}

/* What decides a trial's numbers. */
static Json *make_identity(const Workplace *workplace, const TrialRequest *request, const char *start_hex)
{
    Json *identity = json_object(), *options = json_object();
    Json *all = options_to_json(training_option_table(), &request->options);
    for (const char *key = json_next_key(all, NULL); key; key = json_next_key(all, key)) {
        if (decides_numbers(key, &request->options))
            json_set(options, key, json_copy(json_get(all, key)));
    }
    json_destroy(&all);
    json_set(identity, "options", options);
    json_set(identity, "metric", trial_metric_json(&request->metric));
    json_set(identity, "evaluate", json_boolean(request->evaluate));
    json_set(identity, "shards", json_string(shard_store_identity(workplace->shards)));
    json_set(identity, "precision", json_string(workplace_precision(workplace)));
    json_set(identity, "start weights", json_string(start_hex));
    return identity;
}

/* What the same inputs are computed by: processor features and ranks decide bits, and so does the micro-batch, which the trainer adds. */
static Json *make_machine(const Workplace *workplace)
{
    char features[256];
    Json *machine = json_object();
    workplace->backend->device_features(workplace->device, features, sizeof features);
    json_set(machine, "backend", json_string(workplace->backend->name));
    json_set(machine, "features", json_string(features));
    json_set(machine, "precision", json_string(workplace_precision(workplace)));
    json_set(machine, "ranks", json_integer(communicator_size(workplace->communicator)));
    json_set(machine, "threads", json_integer(workplace->threads));
    return machine;
}

/* Start weights, then the training loop. */
static Status train_from(const Workplace *workplace, const TrialRequest *request, const char *resume, Model **model,
                         MemoryPlan *memory_plan, TrainerResult *result, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char start_hex[17];
    Json *identity = NULL, *notes = json_copy(workplace->notes), *machine = make_machine(workplace);
    MemorySetup memory = {.communicator = workplace->communicator,
                          .backend = workplace->backend,
                          .device = workplace->device,
                          .config = &workplace->config,
                          .product_type = workplace->product_type,
                          .shards = workplace->shards,
                          .options = &request->options,
                          .work_folder = workplace->work_folder,
                          .files = request->host_files ? request->host_files : host_files_system(),
                          .limit_bytes = workplace->memory_limit_bytes,
                          .evaluate = request->evaluate,
                          .test = request->test};
    *model = NULL;
    prediction_notes_set_decode(notes, request->options.decode);
    TRY(memory_plan_begin(memory_plan, &memory, diagnostic));
    status = workplace_start_model(workplace, &request->options, model, start_hex, diagnostic);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
    identity = make_identity(workplace, request, start_hex);
    TrainerSetup setup = {
        .communicator = workplace->communicator,
        .model = *model,
        .shards = workplace->shards,
        .options = &request->options,
        .metric = request->metric,
        .evaluate = request->evaluate,
        .memory = &memory,
        .memory_plan = memory_plan,
        .machine = machine,
        .resume = resume,
        .checkpoints = {.store = workplace->store,
                        .id = request->id,
                        .vocab_folder = workplace->work_folder,
                        .lowercase = shard_store_lowercase(workplace->shards),
                        .max_seq_length = (int32_t)shard_store_options(workplace->shards)->max_seq_length,
                        .notes = notes,
                        .identity = identity,
                        .work_folder = workplace->work_folder,
                        .machine = machine},
        .hooks = request->hooks,
        .clock = request->clock,
        .profile = workplace->profile,
    };
    status = trainer_run(&setup, result, diagnostic);
out:
    json_destroy(&identity);
    json_destroy(&notes);
    json_destroy(&machine);
    return status;
}

static int poll_request(void *context)
{
    const TrainerHooks *hooks = context;
    return hooks->should_stop ? (int)hooks->should_stop(hooks->context) : TRAINER_GO_ON;
}

static Status score_test(const Workplace *workplace, const TrialRequest *request, Model *model, const char *checkpoint,
                         DatasetScore *score, TrainerStop *stop, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TrainerHooks hooks = request->hooks;
    int64_t stopped = TRAINER_GO_ON;
    int32_t split = shard_split_find(workplace->shards, "test");
    int32_t section = profile_enter(workplace->profile, WORK_EVALUATION);
    SplitScoring scoring = {.communicator = workplace->communicator,
                            .model = model,
                            .shards = workplace->shards,
                            .options = &request->options,
                            .poll = poll_request,
                            .poll_context = &hooks};
    status = checkpoint_load_model(workplace->store, checkpoint, model, diagnostic);
    if (status == STATUS_OK && split < 0)
        status = FAIL(diagnostic, STATUS_NOT_FOUND, "the shards hold no test set to score %s on", checkpoint);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
    TRY(split_score(&scoring, split, score, &stopped, diagnostic));
out:
    *stop = (TrainerStop)stopped;
    profile_enter(workplace->profile, section);
    return status;
}

static Status score_best_and_last(const Workplace *workplace, const TrialRequest *request, Model *model, TrialOutcome *outcome,
                                  Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const TrialEvaluation *best = trial_state_best(&outcome->training.state), *last = trial_state_last(&outcome->training.state);
    TRY(score_test(workplace, request, model, best->checkpoint, &outcome->best_test, &outcome->training.stop, diagnostic));
    outcome->last_test = outcome->best_test;
    if (last != best)
        TRY(score_test(workplace, request, model, last->checkpoint, &outcome->last_test, &outcome->training.stop, diagnostic));
    outcome->tested = true;
    if (communicator_rank(workplace->communicator) == 0)
        LOG_INFO("test f1 %.4f with the best checkpoint (step %lld), %.4f with the last", outcome->best_test.f1,
                 (long long)best->step, outcome->last_test.f1);
out:
    return status;
}

Status trial_train(const Workplace *workplace, const TrialRequest *request, TrialOutcome *outcome, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Model *model = NULL;
    int64_t start_ns = request->clock->monotonic_ns(request->clock->context);
    *outcome = (TrialOutcome){.training.state.best = -1};
    if (request->test && shard_split_find(workplace->shards, "test") < 0)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "a test score is asked for, but the shards hold no test set");
    status = train_from(workplace, request, request->resume, &model, &outcome->memory, &outcome->training, diagnostic);
    if (status != STATUS_OK && outcome->training.resume_refused && request->resume_optional) {
        if (communicator_rank(workplace->communicator) == 0)
            LOG_WARNING("%s; starting the trial anew", diagnostic->message);
        model_destroy(&model);
        trainer_result_free(&outcome->training);
        status = train_from(workplace, request, NULL, &model, &outcome->memory, &outcome->training, diagnostic);
    }
    if (status == STATUS_OK && request->test)
        status = score_best_and_last(workplace, request, model, outcome, diagnostic);
    model_destroy(&model);
    outcome->wall_s = (double)(request->clock->monotonic_ns(request->clock->context) - start_ns) * 1e-9;
    return status;
}

void trial_outcome_free(TrialOutcome *outcome)
{
    trainer_result_free(&outcome->training);
}

Status trial_test(const Workplace *workplace, const TrialRequest *request, const char *checkpoint, DatasetScore *score,
                  TrainerStop *stop, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Model *model = NULL;
    *stop = TRAINER_GO_ON;
    status = workplace_create_model(workplace, NULL, &model, diagnostic);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
    TRY(score_test(workplace, request, model, checkpoint, score, stop, diagnostic));
out:
    model_destroy(&model);
    return status;
}

double process_peak_rss_mb(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024.0 : 0;
}

Json *trial_statistics_json(const Workplace *workplace, const TrialOutcome *outcome)
{
    const TrainerResult *training = &outcome->training;
    char description[256] = "";
    Json *json = json_object();
    workplace->backend->device_describe(workplace->device, description, sizeof description);
    json_set(json, "wall_s", json_real(outcome->wall_s));
    json_set(json, "train_s", json_real(training->train_s));
    json_set(json, "evaluate_s", json_real(training->evaluate_s));
    json_set(json, "checkpoint_s", json_real(training->checkpoint_s));
    json_set(json, "pieces", json_integer(training->state.pieces));
    json_set(json, "pieces_per_s", json_real(training->train_s > 0 ? (double)training->trained_pieces / training->train_s : 0));
    json_set(json, "pieces_per_s_whole", json_real(outcome->wall_s > 0 ? (double)training->trained_pieces / outcome->wall_s : 0));
    json_set(json, "peak_rss_mb", json_real(process_peak_rss_mb()));
    if (outcome->memory.host_ranks > 0)
        json_set(json, "memory", memory_plan_json(&outcome->memory));
    json_set(json, "backend", json_string(workplace->backend->name));
    json_set(json, "precision", json_string(workplace_precision(workplace)));
    json_set(json, "backend_description", json_string(description));
    json_set(json, "ranks", json_integer(communicator_size(workplace->communicator)));
    return json;
}
