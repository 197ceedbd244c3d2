#include "worker/train_step.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "worker/chunks.h"
#include "worker/label_weights.h"
#include "worker/prefix_cache.h"
#include "worker/reducer.h"
#include "worker/step_size.h"
#include "worker/work_section.h"

struct TrainStepper {
    Communicator *communicator;
    Chunks chunks;
    Model *model;
    Optimizer *optimizer;
    const ShardStore *shards;
    int32_t split;
    const TrainingOptions *options;
    LabelWeights weights;
    Reducer *reducer;
    Profile *profile;
    const BatchPlan *plan;
    TokenBlock *block;
    PrefixCache *prefixes;
    Arena *arena;                 /* of the window that was read last */
    ARRAY(int64_t) block_windows; /* of the block, in order */
    int64_t micro_batch;          /* windows of one micro-batch, over all chunks */
    bool may_checkpoint;          /* gradient checkpointing is off, and allowed where memory is short */
    Int32Array lengths;           /* [windows of a step] */
    Int32Array chunk_of;          /* [windows of a step] */
    double *losses;               /* [chunks of a step] */
    uint64_t *ids_seen;           /* [V] bits, zero between two steps */
    Int32Array ids;               /* of a step, ascending */
};

/* One step's windows, and who trains which. */
typedef struct StepShare {
    const int64_t *windows; /* [count] in slot order */
    int32_t count;
    double denominator;
    int64_t pieces, own_pieces;
} StepShare;

/* Words of a set of ids. */
static size_t id_words(const Model *model)
{
    return ((size_t)model_config(model)->vocab_size + 63) / 64;
}

Status train_stepper_create(TrainStepper **stepper, Communicator *communicator, Model *model, Optimizer *optimizer,
                            const ShardStore *shards, int32_t split, const TrainingOptions *options, const char *work_folder,
                            Profile *profile, Diagnostic *diagnostic)
{
    *stepper = memory_allocate(1, sizeof **stepper);
    **stepper = (TrainStepper){.communicator = communicator,
                               .model = model,
                               .optimizer = optimizer,
                               .shards = shards,
                               .split = split,
                               .options = options,
                               .profile = profile,
                               .micro_batch = options->per_device_train_batch_size};
    (*stepper)->block = token_block_create(4096, 256);
    (*stepper)->arena = arena_create(1 << 13);
    (*stepper)->ids_seen = memory_allocate(id_words(model), sizeof *(*stepper)->ids_seen);
    (*stepper)->prefixes = prefix_cache_create(model, shards, split, work_folder, (uint64_t)options->frozen_cache_mb << 20);
    Status status = STATUS_OK;
    TRY(chunks_make(&(*stepper)->chunks, communicator, options, diagnostic));
    (*stepper)->losses = memory_allocate((size_t)(*stepper)->chunks.count, sizeof *(*stepper)->losses);
    TRY(label_weights_create(&(*stepper)->weights, shards, split, options, diagnostic));
    /* The reducer looks at the gradients, which exist once a plan for training was made. */
    TRY(model_plan(model, 1, 1, true, diagnostic));
    TRY(reducer_create(&(*stepper)->reducer, communicator, model, &(*stepper)->chunks, diagnostic));
out:
    if (status != STATUS_OK)
        train_stepper_destroy(stepper);
    return status;
}

void train_stepper_destroy(TrainStepper **stepper)
{
    if (!*stepper)
        return;
    label_weights_free(&(*stepper)->weights);
    reducer_destroy(&(*stepper)->reducer);
    token_block_destroy(&(*stepper)->block);
    arena_destroy(&(*stepper)->arena);
    prefix_cache_destroy(&(*stepper)->prefixes);
    array_free(&(*stepper)->block_windows);
    array_free(&(*stepper)->lengths);
    array_free(&(*stepper)->chunk_of);
    free((*stepper)->losses);
    array_free(&(*stepper)->ids);
    free((*stepper)->ids_seen);
    free(*stepper);
    *stepper = NULL;
}

void train_stepper_prefix_counts(const TrainStepper *stepper, int64_t *read, int64_t *computed)
{
    PrefixCacheCounts counts = prefix_cache_counts(stepper->prefixes);
    *read = counts.read;
    *computed = counts.computed;
}

static bool is_own_chunk(const TrainStepper *stepper, int32_t chunk)
{
    return chunk >= stepper->chunks.first && chunk < stepper->chunks.first + stepper->chunks.own;
}

static void step_share(TrainStepper *stepper, int64_t index, StepShare *share)
{
    const ShardWindowInfo *infos = shard_window_infos(stepper->shards, stepper->split);
    *share = (StepShare){0};
    batch_plan_step(stepper->plan, index, &share->windows, &share->count);
    array_reserve(&stepper->lengths, (size_t)share->count + 1);
    array_reserve(&stepper->chunk_of, (size_t)share->count + 1);
    for (int32_t i = 0; i < share->count; i++) {
        const ShardWindowInfo *info = &infos[share->windows[i]];
        stepper->lengths.items[i] = info->length;
        share->denominator += stepper->weights.windows[share->windows[i]];
        share->pieces += info->length;
    }
    batch_split_ranks(stepper->lengths.items, share->count, stepper->chunks.count, stepper->chunk_of.items);
    for (int32_t i = 0; i < share->count; i++)
        share->own_pieces += is_own_chunk(stepper, stepper->chunk_of.items[i]) ? stepper->lengths.items[i] : 0;
    /* A step without labels, or with weights of zero, has a loss and a gradient of zero. */
    if (!(share->denominator > 0))
        share->denominator = 1;
}

/* The window lives until the next one. */
static Status window_read(TrainStepper *stepper, int64_t index, ShardWindow *window, Diagnostic *diagnostic)
{
    arena_reset(stepper->arena);
    return shard_window_read(stepper->shards, stepper->split, index, stepper->arena, window, diagnostic);
}

/* The ids of a step's windows, whoever trains them. One that is out of range is found where its block is checked. */
static Status step_ids(TrainStepper *stepper, const StepShare *share, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint64_t *seen = stepper->ids_seen;
    int32_t vocabulary = model_config(stepper->model)->vocab_size;
    for (int32_t slot = 0; slot < share->count; slot++) {
        ShardWindow window;
        TRY(window_read(stepper, share->windows[slot], &window, diagnostic));
        for (int32_t t = 0; t < window.length; t++) {
            if (window.ids[t] >= 0 && window.ids[t] < vocabulary)
                seen[window.ids[t] / 64] |= 1ull << window.ids[t] % 64;
        }
    }
out:
    stepper->ids.count = 0;
    for (size_t word = 0; word < id_words(stepper->model); word++) {
        for (uint64_t left = seen[word]; left; left &= left - 1)
            array_push(&stepper->ids, (int32_t)(word * 64) + __builtin_ctzll(left));
        seen[word] = 0;
    }
    return status;
}

/* The ranks' sums are of the same rows, or the step fails on all of them. */
static Status begin_step(TrainStepper *stepper, const StepShare *share, const bool *part_frozen, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    stepper->ids.count = 0;
    if (!part_frozen[0])
        status = step_ids(stepper, share, diagnostic);
    if (status == STATUS_OK)
        status = optimizer_begin_step(stepper->optimizer, stepper->ids.items, (int32_t)stepper->ids.count, diagnostic);
    return communicator_agree(stepper->communicator, status, &(int64_t){0}, diagnostic);
}

void train_stepper_begin(TrainStepper *stepper, int64_t micro_batch, bool checkpointed)
{
    stepper->micro_batch = micro_batch;
    stepper->may_checkpoint = !checkpointed && stepper->options->gradient_checkpointing == CHECKPOINTING_AUTO;
    model_set_checkpointing(stepper->model, checkpointed);
}

Status train_stepper_plan(TrainStepper *stepper, const BatchPlan *plan, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    stepper->plan = plan;
    for (;;) {
        StepSize size = {1, 1, 1};
        step_size_measure(&size, plan, shard_window_infos(stepper->shards, stepper->split), &stepper->chunks, stepper->micro_batch);
        status = model_plan_gradient_rows(stepper->model, size.step_pieces, diagnostic);
        if (status == STATUS_OK)
            status = reducer_plan(stepper->reducer, diagnostic);
        if (status == STATUS_OK)
            status = model_plan(stepper->model, size.pieces, size.sequences, true, diagnostic);
        int64_t too_large = status == STATUS_OUT_OF_MEMORY;
        communicator_max_int64(stepper->communicator, &too_large, 1);
        if (too_large && stepper->micro_batch == 1 && stepper->may_checkpoint) {
            LOG_WARNING("not enough memory for the activations of one sentence at a time: gradient checkpointing is on");
            model_set_checkpointing(stepper->model, true);
            stepper->may_checkpoint = false;
            stepper->micro_batch = stepper->options->per_device_train_batch_size;
            continue;
        }
        if (!too_large || stepper->micro_batch == 1)
            break;
        stepper->micro_batch = (stepper->micro_batch + 1) / 2;
        LOG_WARNING(
            "not enough memory for micro-batches of %d pieces: going on with %lld sentences at once, the global batch stays",
            size.pieces, (long long)stepper->micro_batch);
    }
    return communicator_agree(stepper->communicator, status, &(int64_t){0}, diagnostic);
}

/* A chunk's windows of the micro-batch [first, first + micro_batch), in slot order, as one block. */
static Status fill_block(TrainStepper *stepper, const StepShare *share, int32_t chunk, int64_t first, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    token_block_clear(stepper->block);
    stepper->block_windows.count = 0;
    for (int64_t slot = first; slot < share->count && slot < first + stepper->micro_batch; slot++) {
        if (stepper->chunk_of.items[slot] != chunk)
            continue;
        ShardWindow window;
        TRY(window_read(stepper, share->windows[slot], &window, diagnostic));
        array_push(&stepper->block_windows, share->windows[slot]);
        token_block_append(stepper->block, window.ids, window.labels, window.weight, window.length, (uint32_t)slot);
    }
out:
    return status;
}

/* First slot of a chunk's last micro-batch that has anything in it: with it the chunk's gradients are complete. -1: there is none. */
static int64_t last_micro_batch(const TrainStepper *stepper, const StepShare *share, int32_t chunk)
{
    for (int64_t slot = share->count - 1; slot >= 0; slot--) {
        if (stepper->chunk_of.items[slot] == chunk)
            return slot - slot % stepper->micro_batch;
    }
    return -1;
}

static Status read_block(TrainStepper *stepper, const StepShare *share, int32_t chunk, int64_t first, ModelStep *model_step,
                         Diagnostic *diagnostic)
{
    int32_t section = profile_enter(stepper->profile, WORK_READING);
    Status status = fill_block(stepper, share, chunk, first, diagnostic);
    if (status == STATUS_OK && stepper->block->sequence_count > 0 && model_step->prefix_layers > 0)
        status = prefix_cache_get(stepper->prefixes, model_step->prefix_layers, stepper->block_windows.items,
                                  (int32_t)stepper->block_windows.count, stepper->block, &model_step->prefix, diagnostic);
    profile_enter(stepper->profile, section);
    return status;
}

static Status sum_part(void *context, int32_t part, Diagnostic *diagnostic)
{
    TrainStepper *stepper = context;
    int32_t section = profile_enter(stepper->profile, WORK_REDUCTION);
    Status status = reducer_part_ready(stepper->reducer, part, diagnostic);
    profile_enter(stepper->profile, section);
    return status;
}

static void let_sums_get_on(void *context)
{
    TrainStepper *stepper = context;
    reducer_progress(stepper->reducer);
}

/* part_ready: to be told of the gradients that the last block completes, or NULL. */
static Status run_chunk(TrainStepper *stepper, const StepShare *share, int32_t chunk, ModelStep *model_step,
                        ModelPartReady part_ready, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t last = last_micro_batch(stepper, share, chunk);
    bool first_block = true;
    for (int64_t first = 0; first <= last; first += stepper->micro_batch) {
        double block_loss = 0;
        TRY(read_block(stepper, share, chunk, first, model_step, diagnostic));
        if (stepper->block->sequence_count == 0)
            continue;
        model_step->zero_gradients = first_block;
        model_step->part_ready = first == last ? part_ready : NULL;
        model_step->progress = first == last && part_ready ? let_sums_get_on : NULL;
        TRY(model_train_block(stepper->model, stepper->block, model_step, &block_loss, diagnostic));
        stepper->losses[chunk] += block_loss;
        first_block = false;
        if (fault_point("worker.mid_step"))
            TRY_FAIL(diagnostic, STATUS_INTERNAL, "injected failure in the middle of step %lld", (long long)model_step->step);
    }
    if (first_block) {
        Model *model = stepper->model;
        model_gradients_clear(model, model_step->part_frozen);
        TRY(model_backend(model)->stream_synchronize(model_stream(model), diagnostic));
    }
out:
    return status;
}

/* Chunk by chunk, the gradients of each added to those before; in the last one the ranks' sums begin while backward goes on. */
static Status run_chunks(TrainStepper *stepper, const StepShare *share, ModelStep *model_step, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Chunks *chunks = &stepper->chunks;
    bool sums = chunks->count > 1;
    for (int32_t i = 0; i < chunks->own; i++) {
        bool last = i == chunks->own - 1;
        TRY(run_chunk(stepper, share, chunks->first + i, model_step, last && sums ? sum_part : NULL, diagnostic));
        if (!last)
            reducer_keep_chunk(stepper->reducer, i);
    }
out:
    return status;
}

Status train_stepper_run(TrainStepper *stepper, int64_t index, int64_t step, const bool *part_frozen, TrainStepResult *result,
                         Diagnostic *diagnostic)
{
    StepShare share;
    step_share(stepper, index, &share);
    ModelStep model_step = {
        .seed = stepper->options->seed,
        .step = step,
        .dropout = true,
        .denominator = share.denominator,
        .label_smoothing = (float)stepper->options->label_smoothing_factor,
        .class_weights = stepper->weights.labels,
        .part_frozen = part_frozen,
        .frozen_dropout = stepper->options->frozen_dropout,
        .prefix_layers = stepper->options->frozen_cache_mb > 0
                             ? prefix_cache_layers(stepper->model, part_frozen, stepper->options->frozen_dropout)
                             : 0,
        .part_ready_context = stepper,
    };
    memset(stepper->losses, 0, (size_t)stepper->chunks.count * sizeof *stepper->losses);
    Status status = begin_step(stepper, &share, part_frozen, diagnostic);
    if (status != STATUS_OK)
        return status;
    reducer_begin(stepper->reducer, part_frozen);
    status = run_chunks(stepper, &share, &model_step, diagnostic);
    int32_t section = profile_enter(stepper->profile, WORK_REDUCTION);
    Status reduced = reducer_finish(stepper->reducer, status == STATUS_OK ? diagnostic : NULL);
    double loss_sum = chunks_sum(&stepper->chunks, stepper->communicator, stepper->losses);
    profile_enter(stepper->profile, section);
    *result = (TrainStepResult){.loss = loss_sum / share.denominator,
                                .pieces = share.pieces,
                                .own_pieces = share.own_pieces,
                                .early_parts = reducer_early_parts(stepper->reducer)};
    return status == STATUS_OK ? reduced : status;
}
