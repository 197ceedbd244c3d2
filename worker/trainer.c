#include "worker/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "worker/shares.h"
#include "worker/train_step.h"
#include "worker/work_section.h"

enum { PROGRESS_INTERVAL_MS = 2000 };

typedef struct Trainer {
    const TrainerSetup *setup;
    TrainerResult *result;
    TrialState *state; /* of the result */
    Shares *shares;
    Optimizer *optimizer;
    TrainStepper *stepper;
    BatchPlan *plan; /* of the epoch in training */
    int64_t plan_epoch;
    int32_t train_split;
    int64_t steps_per_epoch;
    Schedule schedule;
    bool *part_frozen; /* [part_count] */
    double loss_sum;   /* of the steps since the last evaluation */
    int64_t loss_steps;
    TrainerProgress progress;
    int64_t progress_ns, progress_pieces; /* since the last progress line */
    int64_t last_line_ns;
    uint64_t pruned;
} Trainer;

static int64_t now_ns(const Trainer *trainer)
{
    return trainer->setup->clock->monotonic_ns(trainer->setup->clock->context);
}

static double seconds_since(const Trainer *trainer, int64_t start_ns)
{
    return (double)(now_ns(trainer) - start_ns) * 1e-9;
}

static bool is_first_rank(const Trainer *trainer)
{
    return communicator_rank(trainer->setup->communicator) == 0;
}

int64_t trainer_next_evaluation(const TrainingOptions *options, bool evaluate, int64_t steps_per_epoch, int64_t total_steps,
                                int64_t step)
{
    int64_t next = total_steps;
    if (evaluate && options->eval_steps > 0) {
        next = (step / options->eval_steps + 1) * options->eval_steps;
    } else if (evaluate) {
        double interval = options->eval_every_epochs * (double)steps_per_epoch;
        double round = floor((double)step / interval);
        do
            next = llround(round++ * interval);
        while (next <= step);
    }
    return next < total_steps ? next : total_steps;
}

static int poll_stop(void *context)
{
    const Trainer *trainer = context;
    const TrainerHooks *hooks = &trainer->setup->hooks;
    return hooks->should_stop ? (int)hooks->should_stop(hooks->context) : TRAINER_GO_ON;
}

/* All ranks go on, or all stop with the same status. */
static Status agree(Trainer *trainer, Status status, int64_t stop, Diagnostic *diagnostic)
{
    status = communicator_agree(trainer->setup->communicator, status, &stop, diagnostic);
    if (stop > trainer->result->stop)
        trainer->result->stop = (TrainerStop)stop;
    if (status == STATUS_OK && stop != TRAINER_GO_ON)
        status = FAIL(diagnostic, STATUS_INTERRUPTED, "training stopped after step %" PRId64 " of %" PRId64, trainer->state->step,
                      trainer->state->total_steps);
    return status;
}

/* The same, of a training step: waiting for the other ranks is a part of the reduction. */
static Status agree_on_step(Trainer *trainer, Status status, int64_t stop, Diagnostic *diagnostic)
{
    int32_t section = profile_enter(trainer->setup->profile, WORK_REDUCTION);
    status = agree(trainer, status, stop, diagnostic);
    profile_enter(trainer->setup->profile, section);
    return status;
}

static Status check_data(const Trainer *trainer, Diagnostic *diagnostic)
{
    const ShardStore *shards = trainer->setup->shards;
    if (trainer->train_split < 0 || shard_window_count(shards, trainer->train_split) == 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "the shards hold no sentences to train on");
    bool has_dev = false;
    for (int32_t split = 0; split < shard_split_count(shards); split++)
        has_dev |= strncmp(shard_split_name(shards, split), "dev:", 4) == 0 || strcmp(shard_split_name(shards, split), "dev") == 0;
    if (trainer->setup->evaluate && !has_dev)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "the shards hold no dev set to evaluate on: give one, or train without evaluation");
    return STATUS_OK;
}

/* A MemoryMeasure. */
static Status measure_micro_batch(void *context, int64_t micro_batch, StepSize *size, Diagnostic *diagnostic)
{
    Trainer *trainer = context;
    const TrainerSetup *setup = trainer->setup;
    Chunks chunks;
    Status status = chunks_make(&chunks, setup->communicator, setup->options, diagnostic);
    *size = (StepSize){1, 1, 1};
    if (status == STATUS_OK)
        status = step_size_measure_epochs(size, trainer->plan, shard_window_infos(setup->shards, trainer->train_split), &chunks,
                                          micro_batch, trainer->state->total_steps, diagnostic);
    return status;
}

static Status plan_memory(Trainer *trainer, Diagnostic *diagnostic)
{
    const TrainerSetup *setup = trainer->setup;
    MemoryPlan *plan = setup->memory_plan;
    Status status = STATUS_OK;
    if (!setup->memory) {
        train_stepper_begin(trainer->stepper, setup->options->per_device_train_batch_size,
                            setup->options->gradient_checkpointing == CHECKPOINTING_ON);
        return STATUS_OK;
    }
    memory_plan_set_schedule(plan, setup->memory, model_layout(setup->model), trainer->state->total_steps,
                             trainer->steps_per_epoch);
    TRY(memory_plan_choose(plan, setup->memory, measure_micro_batch, trainer, diagnostic));
    train_stepper_begin(trainer->stepper, plan->micro_batch, plan->checkpointed);
    json_set(setup->machine, "micro_batch", json_integer(plan->micro_batch));
    if (is_first_rank(trainer))
        memory_plan_log(plan);
out:
    return status;
}

/* By rank 0. What computes here may be something else than what computed the checkpoint. */
static Status announce_resume(const TrainerSetup *setup, Diagnostic *diagnostic)
{
    Text difference = {0};
    bool changes_bits;
    Status status = checkpoint_compare_machine(&setup->checkpoints, setup->resume, &difference, &changes_bits, diagnostic);
    LOG_INFO("going on from %s", setup->resume);
    if (status == STATUS_OK && changes_bits)
        LOG_WARNING("going on with %s: bits may differ from those of an uninterrupted run", difference.bytes);
    else if (status == STATUS_OK && difference.size)
        LOG_INFO("going on with %s, which changes no bit", difference.bytes);
    text_free(&difference);
    return status;
}

static Status prepare(Trainer *trainer, Diagnostic *diagnostic)
{
    const TrainerSetup *setup = trainer->setup;
    Status status = STATUS_OK;
    trainer->train_split = shard_split_find(setup->shards, "train");
    trainer->plan_epoch = -1;
    TRY(agree(trainer, check_data(trainer, diagnostic), 0, diagnostic));
    status = batch_plan_create(&trainer->plan, setup->shards, trainer->train_split, setup->options, 0, diagnostic);
    TRY(agree(trainer, status, 0, diagnostic));
    trainer->steps_per_epoch = batch_plan_step_count(trainer->plan);
    trainer->schedule = schedule_make(setup->options, trainer->steps_per_epoch);
    trainer->part_frozen = memory_allocate((size_t)model_layout(setup->model)->part_count, sizeof *trainer->part_frozen);
    trial_state_init(trainer->state, trainer->schedule.total_steps);
    status = shares_create(&trainer->shares, setup->communicator, setup->model, setup->profile, diagnostic);
    if (status == STATUS_OK)
        status = optimizer_create(&trainer->optimizer, setup->model, setup->options, shares_ranks(trainer->shares), diagnostic);
    if (status == STATUS_OK)
        status =
            train_stepper_create(&trainer->stepper, setup->communicator, setup->model, trainer->optimizer, setup->shards,
                                 trainer->train_split, setup->options, setup->checkpoints.work_folder, setup->profile, diagnostic);
    TRY(agree(trainer, status, 0, diagnostic));
    TRY(plan_memory(trainer, diagnostic));
    if (setup->resume && setup->resume[0]) {
        status =
            checkpoint_restore(&setup->checkpoints, setup->resume, setup->model, trainer->optimizer, trainer->state, diagnostic);
        status = agree(trainer, status, 0, diagnostic);
        trainer->result->resume_refused = status != STATUS_OK;
        TRY(status);
        if (is_first_rank(trainer))
            status = announce_resume(setup, diagnostic);
        TRY(agree(trainer, status, 0, diagnostic));
    }
    if (is_first_rank(trainer))
        status = checkpoint_drop_unknown(&setup->checkpoints, trainer->state, diagnostic);
    TRY(agree(trainer, status, 0, diagnostic));
out:
    return status;
}

static Status begin_epoch(Trainer *trainer, int64_t epoch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (epoch == trainer->plan_epoch)
        return STATUS_OK;
    int32_t section = profile_enter(trainer->setup->profile, WORK_PLANNING);
    TRY(agree(trainer, batch_plan_turn(trainer->plan, epoch, diagnostic), 0, diagnostic));
    TRY(train_stepper_plan(trainer->stepper, trainer->plan, diagnostic));
    trainer->plan_epoch = epoch;
out:
    profile_enter(trainer->setup->profile, section);
    return status;
}

static void show_progress(Trainer *trainer)
{
    const TrainerHooks *hooks = &trainer->setup->hooks;
    TrainerProgress *progress = &trainer->progress;
    if (!is_first_rank(trainer))
        return;
    bool last = progress->step == progress->total_steps;
    if (trainer->progress_ns > 0)
        progress->pieces_per_s = (double)trainer->progress_pieces / ((double)trainer->progress_ns * 1e-9);
    if (now_ns(trainer) - trainer->last_line_ns >= (int64_t)PROGRESS_INTERVAL_MS * 1000000 || last) {
        LOG_INFO("step %" PRId64 "/%" PRId64 " loss %.4f lr %.3g %.0f pieces/s", progress->step, progress->total_steps,
                 progress->loss, progress->learning_rate, progress->pieces_per_s);
        trainer->last_line_ns = now_ns(trainer);
        trainer->progress_ns = trainer->progress_pieces = 0;
    }
    if (hooks->on_progress)
        hooks->on_progress(hooks->context, progress);
}

/* Before a second step is counted. */
static void forget_first_step(Trainer *trainer)
{
    static const WorkSection sections[] = {WORK_STEP, WORK_PLANNING, WORK_READING, WORK_REDUCTION};
    if (trainer->result->trained_steps != 1)
        return;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        profile_forget(trainer->setup->profile, (int32_t)sections[i]);
    trainer->result->profiled = (ProfiledSteps){.first_step_ns = trainer->result->profiled.first_step_ns};
}

static void count_profiled(ProfiledSteps *profiled, const TrainStepResult *step, int64_t step_ns)
{
    profiled->steps++;
    profiled->pieces += step->pieces;
    profiled->own_pieces += step->own_pieces;
    profiled->first_step_ns = profiled->first_step_ns ? profiled->first_step_ns : step_ns;
}

static Status train_step(Trainer *trainer, Diagnostic *diagnostic)
{
    const TrainerSetup *setup = trainer->setup;
    Status status = STATUS_OK;
    TrainStepResult step_result = {0};
    int64_t step = trainer->state->step, start_ns = now_ns(trainer);
    forget_first_step(trainer);
    int32_t section = profile_enter(setup->profile, WORK_STEP);
    TRY(begin_epoch(trainer, step / trainer->steps_per_epoch, diagnostic));
    freeze_parts(&setup->options->freeze_schedule, step, trainer->steps_per_epoch, model_layout(setup->model)->part_count,
                 trainer->part_frozen);
    status =
        train_stepper_run(trainer->stepper, step % trainer->steps_per_epoch, step, trainer->part_frozen, &step_result, diagnostic);
    TRY(agree_on_step(trainer, status, poll_stop(trainer), diagnostic));
    double factor = schedule_factor(&trainer->schedule, step);
    status = optimizer_step(trainer->optimizer, trainer->part_frozen, factor, &trainer->progress.gradient_norm, diagnostic);
    TRY(agree_on_step(trainer, status, 0, diagnostic));
    trainer->state->step = step + 1;
    trainer->state->pieces += step_result.pieces;
    trainer->result->trained_steps++;
    trainer->result->trained_pieces += step_result.pieces;
    trainer->result->early_parts += step_result.early_parts;
    trainer->loss_sum += step_result.loss;
    trainer->loss_steps++;
    int64_t step_ns = now_ns(trainer) - start_ns;
    count_profiled(&trainer->result->profiled, &step_result, step_ns);
    trainer->result->train_s += (double)step_ns * 1e-9;
    trainer->progress_ns += step_ns;
    trainer->progress_pieces += step_result.pieces;
    trainer->progress.step = step + 1;
    trainer->progress.total_steps = trainer->state->total_steps;
    trainer->progress.loss = step_result.loss;
    trainer->progress.learning_rate = setup->options->learning_rate * factor;
    show_progress(trainer);
out:
    profile_enter(setup->profile, section);
    if (status != STATUS_OK && status != STATUS_INTERRUPTED)
        diagnostic_prefix(diagnostic, "step %" PRId64, step);
    return status;
}

/* Every rank has its own copy of what all update together; should the copies part, something beneath is broken and every further number void. */
static Status check_ranks_equal(Trainer *trainer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Model *model = trainer->setup->model;
    HostFloats values = {0};
    int64_t sums[2] = {0};
    if (communicator_size(trainer->setup->communicator) == 1)
        return STATUS_OK;
    status = model_parameters_open(model, &values, diagnostic);
    if (status == STATUS_OK) {
        sums[0] = (int64_t)(checksum64(values.values, model_layout(model)->float_count * sizeof(float)) >> 1);
        sums[1] = -sums[0];
    }
    TRY(agree(trainer, status, 0, diagnostic));
    communicator_max_int64(trainer->setup->communicator, sums, 2);
    if (sums[0] != -sums[1])
        TRY_FAIL(diagnostic, STATUS_INTERNAL,
                 "the ranks' weights differ after step %" PRId64 ": sums and copies over ranks are not to be relied on here",
                 trainer->state->step);
out:
    host_floats_close(&values);
    return status;
}

static Status score_dev_sets(Trainer *trainer, TrialEvaluation *evaluation, Diagnostic *diagnostic)
{
    const TrainerSetup *setup = trainer->setup;
    Status status = STATUS_OK;
    int64_t start_ns = now_ns(trainer), stop = TRAINER_GO_ON;
    int32_t section = profile_enter(setup->profile, WORK_EVALUATION);
    SplitScoring scoring = {.communicator = setup->communicator,
                            .model = setup->model,
                            .shards = setup->shards,
                            .options = setup->options,
                            .poll = poll_stop,
                            .poll_context = trainer};
    evaluation->datasets = memory_allocate(SHARD_SPLIT_LIMIT, sizeof *evaluation->datasets);
    for (int32_t split = 0; split < shard_split_count(setup->shards); split++) {
        const char *name = shard_split_name(setup->shards, split);
        if (strncmp(name, "dev:", 4) != 0 && strcmp(name, "dev") != 0)
            continue;
        status = split_score(&scoring, split, &evaluation->datasets[evaluation->dataset_count], &stop, diagnostic);
        if (status == STATUS_INTERRUPTED && stop > trainer->result->stop)
            trainer->result->stop = (TrainerStop)stop;
        TRY(status);
        evaluation->dataset_count++;
    }
    TRY(trial_metric_score(&setup->metric, evaluation->datasets, evaluation->dataset_count, &evaluation->score, diagnostic));
out:
    trainer->result->evaluate_s += seconds_since(trainer, start_ns);
    profile_enter(setup->profile, section);
    return status;
}

static void log_evaluation(const TrialEvaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->dataset_count; i++) {
        const DatasetScore *dataset = &evaluation->datasets[i];
        LOG_INFO("step %" PRId64 ", epoch %.2f: %s f1 %.4f precision %.4f recall %.4f loss %.4f", evaluation->step,
                 evaluation->epoch, dataset->name, dataset->f1, dataset->precision, dataset->recall, dataset->loss);
    }
}

/* Old checkpoints cost only space: what cannot be removed now is left, and said. */
static void prune(Trainer *trainer, uint64_t acknowledged)
{
    Diagnostic diagnostic = {0};
    if (checkpoint_prune(&trainer->setup->checkpoints, trainer->state, acknowledged, trainer->setup->options->save_total_limit,
                         &trainer->pruned, &diagnostic) != STATUS_OK)
        log_diagnostic(LOG_WARNING, &diagnostic);
}

static uint64_t acknowledged(const Trainer *trainer)
{
    const TrainerHooks *hooks = &trainer->setup->hooks;
    return hooks->acknowledged ? hooks->acknowledged(hooks->context) : trainer->state->evaluations.count;
}

/* By rank 0: the checkpoint, then the report of it, never the other way round. */
static Status save_and_report(Trainer *trainer, MomentStream *moments, Diagnostic *diagnostic)
{
    const TrainerHooks *hooks = &trainer->setup->hooks;
    Status status = STATUS_OK;
    int64_t start_ns = now_ns(trainer);
    int32_t section = profile_enter(trainer->setup->profile, WORK_CHECKPOINT);
    TRY(checkpoint_write(&trainer->setup->checkpoints, trainer->setup->model, moments, trainer->state, diagnostic));
    if (fault_point("worker.before_report"))
        TRY_FAIL(diagnostic, STATUS_INTERNAL, "injected failure before the report");
    if (hooks->on_evaluation)
        TRY(hooks->on_evaluation(hooks->context, trainer->state, diagnostic));
    if (fault_point("worker.after_report"))
        TRY_FAIL(diagnostic, STATUS_INTERNAL, "injected failure after the report");
    prune(trainer, acknowledged(trainer));
out:
    trainer->result->checkpoint_s += seconds_since(trainer, start_ns);
    profile_enter(trainer->setup->profile, section);
    return status;
}

static Status evaluate_and_save(Trainer *trainer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TrialState *state = trainer->state;
    MomentStream *moments = NULL;
    TrialEvaluation evaluation = {
        .step = state->step,
        .epoch = (double)state->step / (double)trainer->steps_per_epoch,
        .train_loss = trainer->loss_steps ? trainer->loss_sum / (double)trainer->loss_steps : 0,
        .learning_rate = trainer->progress.learning_rate,
    };
    checkpoint_name(trainer->setup->checkpoints.id, state->step, evaluation.checkpoint);
    TRY(agree(trainer, optimizer_settle(trainer->optimizer, diagnostic), 0, diagnostic));
    TRY(check_ranks_equal(trainer, diagnostic));
    if (trainer->setup->evaluate)
        TRY(score_dev_sets(trainer, &evaluation, diagnostic));
    trial_state_add(state, &evaluation, trainer->setup->options->early_stopping_threshold);
    evaluation.datasets = NULL; /* the state's now */
    trainer->loss_sum = 0;
    trainer->loss_steps = 0;
    TRY(moments_open(&moments, trainer->setup->communicator, trainer->setup->model, trainer->optimizer, diagnostic));
    if (is_first_rank(trainer)) {
        log_evaluation(trial_state_last(state));
        status = save_and_report(trainer, moments, diagnostic);
    }
    moments_close(&moments);
    TRY(agree(trainer, status, 0, diagnostic));
out:
    free(evaluation.datasets);
    return status;
}

static bool should_end(const Trainer *trainer)
{
    return trainer->state->step >= trainer->state->total_steps || trainer->result->stopped_early;
}

static void note_early_stop(Trainer *trainer)
{
    trainer->result->stopped_early = trainer->setup->evaluate && trainer->state->step < trainer->state->total_steps &&
                                     trial_state_should_stop(trainer->state, trainer->setup->options->early_stopping_patience);
}

Status trainer_run(const TrainerSetup *setup, TrainerResult *result, Diagnostic *diagnostic)
{
    *result = (TrainerResult){.state.best = -1};
    Trainer trainer = {.setup = setup, .result = result, .state = &result->state};
    Status status = STATUS_OK;
    TRY(prepare(&trainer, diagnostic));
    trainer.last_line_ns = now_ns(&trainer);
    note_early_stop(&trainer);
    while (!should_end(&trainer)) {
        int64_t boundary = trainer_next_evaluation(setup->options, setup->evaluate, trainer.steps_per_epoch,
                                                   result->state.total_steps, result->state.step);
        while (result->state.step < boundary)
            TRY(train_step(&trainer, diagnostic));
        TRY(evaluate_and_save(&trainer, diagnostic));
        note_early_stop(&trainer);
    }
    if (is_first_rank(&trainer))
        prune(&trainer, setup->hooks.settle ? setup->hooks.settle(setup->hooks.context) : acknowledged(&trainer));
out:
    if (trainer.stepper)
        train_stepper_prefix_counts(trainer.stepper, &result->prefixes_read, &result->prefixes_computed);
    batch_plan_destroy(&trainer.plan);
    train_stepper_destroy(&trainer.stepper);
    optimizer_destroy(&trainer.optimizer);
    shares_destroy(&trainer.shares);
    free(trainer.part_frozen);
    return status;
}

void trainer_result_free(TrainerResult *result)
{
    trial_state_free(&result->state);
}
