#include "worker/memory_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "core/base/log.h"
#include "core/base/memory.h"
#include "model/model.h"
#include "model/optimizer.h"
#include "worker/chunks.h"
#include "worker/score.h"
#include "worker/shares.h"

#define MEGABYTE 1048576.0

typedef struct UseText {
    const char *key, *text;
} UseText;
static const UseText use_texts[MEMORY_USE_COUNT] = {
    [MEMORY_PROGRAM] = {"program_bytes", "program, present before"},
    [MEMORY_PARAMETERS] = {"parameters_bytes", "parameters"},
    [MEMORY_MATRICES] = {"packed_weights_bytes", "packed weights"},
    [MEMORY_GRADIENTS] = {"gradients_bytes", "gradients"},
    [MEMORY_MOMENTS] = {"moments_bytes", "optimizer's moments"},
    [MEMORY_ACTIVATIONS] = {"activations_bytes", "activations, training"},
    [MEMORY_EVALUATION] = {"evaluation_bytes", "activations, evaluation"},
    [MEMORY_WORKSPACE] = {"workspace_bytes", "workspace of operations"},
    [MEMORY_PREFIX] = {"frozen_layers_bytes", "rows of frozen layers"},
    [MEMORY_STAGING] = {"staging_bytes", "staging of checkpoints"},
};

static uint64_t at_least(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t times(uint64_t bytes, int32_t count)
{
    return bytes > UINT64_MAX / (uint64_t)count ? UINT64_MAX : bytes * (uint64_t)count;
}

uint64_t memory_plan_total_bytes(const MemoryPlan *plan)
{
    uint64_t total = 0;
    for (int use = 0; use < MEMORY_USE_COUNT; use++) {
        if (plan->bytes[use] > UINT64_MAX - total)
            return UINT64_MAX;
        total += plan->bytes[use];
    }
    return total;
}

/* Whether what is written to a folder lies in memory. */
static bool is_memory(const char *folder)
{
    const uint32_t tmpfs = 0x01021994, ramfs = 0x858458f6;
    struct statfs info;
    return statfs(folder, &info) == 0 && ((uint32_t)info.f_type == tmpfs || (uint32_t)info.f_type == ramfs);
}

static int64_t longest_window(const MemorySetup *setup)
{
    return setup->shards ? shard_store_options(setup->shards)->max_seq_length : setup->assumed->max_seq_length;
}

/* Pieces of all windows to train on. */
static uint64_t train_pieces(const MemorySetup *setup)
{
    if (!setup->shards)
        return (uint64_t)setup->assumed->train_windows * (uint64_t)setup->assumed->max_seq_length;
    int32_t split = shard_split_find(setup->shards, "train");
    const ShardWindowInfo *infos = split < 0 ? NULL : shard_window_infos(setup->shards, split);
    uint64_t pieces = 0;
    for (int64_t w = 0; infos && w < shard_window_count(setup->shards, split); w++)
        pieces += (uint64_t)infos[w].length;
    return pieces;
}

/* Rows of frozen layers are kept in this run: at most so many bytes of them. 0: they are not. */
static uint64_t kept_rows_bytes(const MemorySetup *setup)
{
    const TrainingOptions *options = setup->options;
    const BertConfig *config = setup->config;
    uint64_t limit = (uint64_t)options->frozen_cache_mb << 20;
    bool drops = options->frozen_dropout && (config->hidden_dropout_prob > 0 || config->attention_probs_dropout_prob > 0);
    const FreezePhase *phase = freeze_schedule_at(&options->freeze_schedule, 0);
    if (!phase || !phase->embeddings || phase->layers == 0 || drops || !setup->backend->rows_independent(setup->device))
        return 0;
    uint64_t wanted = train_pieces(setup) * (uint64_t)config->hidden_size * sizeof(float);
    return wanted < limit ? wanted : limit;
}

/* Raises *activations, and *logits, to what a block of evaluation takes. */
static void add_block(const MemorySetup *setup, int64_t pieces, int32_t sequences, uint64_t *activations, uint64_t *logits)
{
    pieces = pieces < INT32_MAX ? pieces : INT32_MAX;
    size_t bytes = model_activation_bytes(setup->config, setup->product_type, (int32_t)pieces, sequences, MODEL_INFERENCE);
    *activations = at_least(*activations, bytes);
    *logits = at_least(*logits, (uint64_t)pieces * (uint64_t)setup->config->label_count * sizeof(float));
}

/* Activations of the largest evaluation block, and its logits. */
static uint64_t evaluation_bytes(const MemorySetup *setup, uint64_t *activations)
{
    uint64_t logits = 0;
    int64_t pieces;
    int32_t sequences;
    *activations = 0;
    if (!setup->shards && (setup->evaluate || setup->test)) {
        pieces =
            (int64_t)at_least((uint64_t)score_block_pieces(longest_window(setup), setup->options), (uint64_t)longest_window(setup));
        add_block(setup, pieces, (int32_t)(pieces / EVALUATION_SHORTEST_WINDOW), activations, &logits);
    }
    for (int32_t split = 0; setup->shards && split < shard_split_count(setup->shards); split++) {
        const char *name = shard_split_name(setup->shards, split);
        bool is_dev = strncmp(name, "dev:", 4) == 0 || strcmp(name, "dev") == 0;
        if (!(is_dev && setup->evaluate) && !(strcmp(name, "test") == 0 && setup->test))
            continue;
        split_score_block(setup->shards, setup->options, split, &pieces, &sequences);
        add_block(setup, pieces, sequences, activations, &logits);
    }
    return logits;
}

/* What a step takes; the rest of the plan stands. */
static void set_step(MemoryPlan *plan, const MemorySetup *setup, const StepSize *size, bool checkpointed)
{
    const BertConfig *config = setup->config;
    uint64_t evaluation, logits = evaluation_bytes(setup, &evaluation);
    ModelPass pass = checkpointed ? MODEL_TRAINING_CHECKPOINTED : MODEL_TRAINING;
    int32_t pieces = size->pieces, sequences = size->sequences;
    BackendShape shape = {.rows = pieces,
                          .longest = (int32_t)longest_window(setup),
                          .d = config->hidden_size,
                          .heads = config->num_attention_heads,
                          .f = config->intermediate_size,
                          .product_type = setup->product_type};
    shape.longest = shape.longest < pieces ? shape.longest : pieces;
    plan->pieces = pieces;
    plan->sequences = sequences;
    plan->checkpointed = checkpointed;
    /* The embeddings are the first to be frozen: where not all trains, none of their rows has a gradient. */
    uint64_t gradients = model_gradient_bytes(config, plan->bytes[MEMORY_PARAMETERS] / sizeof(float), size->step_pieces);
    gradients = gradients < plan->trained_bytes ? gradients : plan->trained_bytes;
    plan->bytes[MEMORY_GRADIENTS] = (1 + (uint64_t)plan->waiting_gradients) * gradients;
    uint64_t training = model_activation_bytes(config, setup->product_type, pieces, sequences, pass);
    plan->bytes[MEMORY_ACTIVATIONS] = training;
    plan->bytes[MEMORY_EVALUATION] = logits + (evaluation > training ? evaluation - training : 0);
    plan->bytes[MEMORY_WORKSPACE] = setup->backend->workspace_bytes(setup->device, &shape);
    uint64_t rows = kept_rows_bytes(setup);
    plan->bytes[MEMORY_PREFIX] = rows ? 2 * (uint64_t)pieces * (uint64_t)config->hidden_size * sizeof(float) : 0;
    if (is_memory(setup->work_folder))
        plan->bytes[MEMORY_PREFIX] += rows;
    else
        plan->disk_bytes = rows;
}

/* Every rank's share on this host, added up. Collective. */
static void add_host(MemoryPlan *plan, Communicator *communicator)
{
    uint64_t total = memory_plan_total_bytes(plan), bound = INT64_MAX / 65536; /* so that no sum of ranks overflows */
    int64_t sums[] = {1, (int64_t)(total < bound ? total : bound), (int64_t)plan->bytes[MEMORY_PROGRAM]};
    communicator_sum_host_int64(communicator, sums, sizeof sums / sizeof *sums);
    plan->host_ranks = (int32_t)sums[0];
    plan->host_bytes = (uint64_t)sums[1];
    plan->host_more_bytes = (uint64_t)(sums[1] - sums[2]);
}

/* What stands against the plan; NULL: it fits. */
typedef struct Shortage {
    Status status;
    uint64_t wanted, allowed;
    const char *by;
} Shortage;

static bool is_short(const MemoryPlan *plan, Shortage *shortage)
{
    const HostMemory *host = &plan->host;
    uint64_t all_bytes = times(plan->host_bytes, plan->trainings), more_bytes = times(plan->host_more_bytes, plan->trainings);
    const Shortage bounds[] = {
        {STATUS_LIMIT, plan->host_bytes, plan->limit_bytes ? plan->limit_bytes : UINT64_MAX, "memory_limit allows"},
        {STATUS_LIMIT, all_bytes, host->total_bytes, "this host has"},
        {STATUS_LIMIT, all_bytes, host->group_limit_bytes, host->group_file},
        {STATUS_OUT_OF_MEMORY, more_bytes, host->available_bytes, "available on this host (MemAvailable) are only"},
        {STATUS_OUT_OF_MEMORY, more_bytes, host->group_available_bytes, "left by the control group are only"},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        *shortage = bounds[i];
        if (bounds[i].wanted > bounds[i].allowed)
            return true;
    }
    return false;
}

/* Collective: no host of the group is short. */
static bool fits_everywhere(MemoryPlan *plan, Communicator *communicator)
{
    Shortage shortage;
    add_host(plan, communicator);
    int64_t too_large = is_short(plan, &shortage);
    communicator_max_int64(communicator, &too_large, 1);
    return too_large == 0;
}

/* The three largest uses: "activations, training 812 MB, ...". */
static void describe_uses(const MemoryPlan *plan, Text *text)
{
    bool named[MEMORY_USE_COUNT] = {false};
    for (int i = 0; i < 3; i++) {
        int largest = -1;
        for (int use = 0; use < MEMORY_USE_COUNT; use++)
            largest = !named[use] && (largest < 0 || plan->bytes[use] > plan->bytes[largest]) ? use : largest;
        named[largest] = true;
        text_format(text, "%s%s %.0f MB", i ? ", " : "", use_texts[largest].text, (double)plan->bytes[largest] / MEGABYTE);
    }
}

/* This rank's host may be one that has enough: then it stays silent and learns of the shortage from the rank that has not. */
static Status refuse(const MemoryPlan *plan, const MemorySetup *setup, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Shortage shortage;
    Text uses = {0}, who = {0};
    if (is_short(plan, &shortage)) {
        bool several = plan->host_ranks > 1, together = plan->trainings > 1;
        describe_uses(plan, &uses);
        if (plan->pieces > 1)
            text_format(&uses, ", with %" PRId64 " sentence%s of up to %d pieces at a time", plan->micro_batch,
                        plan->micro_batch == 1 ? "" : "s", plan->pieces);
        if (!setup->shards)
            text_format(&uses, "; there are no shards yet: every sentence counts as one of max_seq_length, %" PRId64 " pieces",
                        longest_window(setup));
        if (together)
            text_format(&who, "%d trainings at once take", plan->trainings);
        else
            text_append_string(&who, "training takes");
        bool group = shortage.by == plan->host.group_file;
        status =
            FAIL(diagnostic, shortage.status,
                 "%s %.0f MB on this host (%s%d rank%s%s %s), but %s%s %.0f MB: %s%s%stake a shorter max_seq_length or a "
                 "smaller model, or give it more memory",
                 who.bytes, (double)shortage.wanted / MEGABYTE, together ? "each " : "", plan->host_ranks, several ? "s" : "",
                 several ? "; of one:" : ":", uses.bytes, shortage.by, group ? " allows" : "", (double)shortage.allowed / MEGABYTE,
                 setup->options->gradient_checkpointing == CHECKPOINTING_OFF ? "set gradient_checkpointing to auto, " : "",
                 together ? "run fewer at once, give each a memory_limit that it makes do with, " : "",
                 several ? "start fewer ranks on a host, " : "");
        text_free(&uses);
        text_free(&who);
    }
    return communicator_agree(setup->communicator, status, &(int64_t){0}, diagnostic);
}

Status memory_plan_begin(MemoryPlan *plan, const MemorySetup *setup, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ModelLayout *layout = NULL;
    int32_t ranks = communicator_size(setup->communicator);
    *plan = (MemoryPlan){.limit_bytes = setup->limit_bytes, .micro_batch = 1, .trainings = 1};
    host_memory_read(setup->files, &plan->host);
    if (!host_process_anonymous_bytes(setup->files, &plan->bytes[MEMORY_PROGRAM]))
        plan->bytes[MEMORY_PROGRAM] = 0;
    Chunks chunks;
    status = chunks_make(&chunks, setup->communicator, setup->options, diagnostic);
    if (status == STATUS_OK)
        status = model_layout_create(&layout, setup->config, diagnostic);
    TRY(communicator_agree(setup->communicator, status, &(int64_t){0}, diagnostic));
    uint64_t parameters = (uint64_t)layout->float_count * sizeof(float);
    bool first = communicator_rank(setup->communicator) == 0;
    size_t moment_floats = shares_moment_floats(setup->communicator, communicator_rank(setup->communicator), layout, NULL);
    plan->mapped_bytes = setup->shards ? shard_store_mapped_bytes(setup->shards) : 0;
    plan->bytes[MEMORY_PARAMETERS] = parameters;
    plan->waiting_gradients = chunks_waiting_limit(&chunks);
    if (setup->options->freeze_schedule.phase_count == 0) /* else it is known with the number of steps */
        memory_plan_set_trained(plan, layout->float_count, moment_floats);
    plan->bytes[MEMORY_MATRICES] = model_matrix_bytes(setup->config, layout, setup->backend, setup->device, setup->product_type);
    bool in_place = setup->backend->buffer_host_pointer != NULL; /* what the host reads where it lies it need not copy */
    plan->bytes[MEMORY_STAGING] = in_place ? 0 : 2 * parameters;
    if (!in_place && ranks > 1) /* gradients and weights on their way, and a checkpoint's moments or weights */
        plan->bytes[MEMORY_STAGING] += at_least(parameters, 2 * moment_floats * sizeof(float));
    if (first && is_memory(setup->work_folder))
        plan->bytes[MEMORY_STAGING] += 2 * parameters; /* the files themselves */
    set_step(plan, setup, &(StepSize){1, 1, 1}, setup->options->gradient_checkpointing != CHECKPOINTING_OFF);
    if (!fits_everywhere(plan, setup->communicator))
        status = refuse(plan, setup, diagnostic);
out:
    model_layout_destroy(&layout);
    return status;
}

void memory_plan_set_trained(MemoryPlan *plan, size_t float_count, size_t moment_floats)
{
    plan->trained_bytes = (uint64_t)float_count * sizeof(float);
    plan->bytes[MEMORY_MOMENTS] = 2 * (uint64_t)moment_floats * sizeof(float);
}

void memory_plan_set_schedule(MemoryPlan *plan, const MemorySetup *setup, const ModelLayout *layout, int64_t total_steps,
                              int64_t steps_per_epoch)
{
    size_t count = 0;
    bool *frozen = memory_allocate((size_t)layout->part_count, sizeof *frozen);
    freeze_parts(&setup->options->freeze_schedule, total_steps - 1, steps_per_epoch, layout->part_count, frozen);
    for (int32_t part = 0; part < layout->part_count; part++)
        count += frozen[part] ? 0 : layout->part_offset[part + 1] - layout->part_offset[part];
    memory_plan_set_trained(plan, count,
                            shares_moment_floats(setup->communicator, communicator_rank(setup->communicator), layout, frozen));
    free(frozen);
}

static void warn(const MemoryPlan *plan, const MemorySetup *setup)
{
    if (communicator_rank(setup->communicator) != 0)
        return;
    if (plan->micro_batch < setup->options->per_device_train_batch_size)
        LOG_WARNING("not enough memory for micro-batches of %" PRId64 " sentences: going on with %" PRId64
                    " at once, the global batch stays",
                    setup->options->per_device_train_batch_size, plan->micro_batch);
    if (plan->checkpointed && setup->options->gradient_checkpointing == CHECKPOINTING_AUTO)
        LOG_WARNING(
            "not enough memory for all layers' activations: gradient checkpointing is on, which costs time and changes no bit");
}

/* *found: with or without checkpointing some micro-batch fits; the plan is of the largest one, else of the smallest. */
static Status try_micro_batches(MemoryPlan *plan, const MemorySetup *setup, bool checkpointed, MemoryMeasure measure, void *context,
                                bool *found, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t micro_batch = setup->options->per_device_train_batch_size;
    for (;;) {
        StepSize size;
        status = measure(context, micro_batch, &size, diagnostic);
        TRY(communicator_agree(setup->communicator, status, &(int64_t){0}, diagnostic));
        plan->micro_batch = micro_batch;
        set_step(plan, setup, &size, checkpointed);
        *found = fits_everywhere(plan, setup->communicator);
        if (*found || micro_batch == 1)
            break;
        micro_batch = (micro_batch + 1) / 2;
    }
out:
    return status;
}

Status memory_plan_choose(MemoryPlan *plan, const MemorySetup *setup, MemoryMeasure measure, void *context, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool found = false;
    GradientCheckpointing mode = setup->options->gradient_checkpointing;
    if (mode != CHECKPOINTING_ON)
        TRY(try_micro_batches(plan, setup, false, measure, context, &found, diagnostic));
    if (mode != CHECKPOINTING_OFF && !found)
        TRY(try_micro_batches(plan, setup, true, measure, context, &found, diagnostic));
    if (found)
        warn(plan, setup);
    else
        TRY(refuse(plan, setup, diagnostic));
out:
    return status;
}

Status memory_plan_multiply(MemoryPlan *plan, const MemorySetup *setup, int32_t trainings, Diagnostic *diagnostic)
{
    Shortage shortage;
    plan->trainings = trainings;
    int64_t too_large = is_short(plan, &shortage);
    communicator_max_int64(setup->communicator, &too_large, 1);
    return too_large ? refuse(plan, setup, diagnostic) : STATUS_OK;
}

static void log_bound(const char *text, uint64_t bytes)
{
    if (bytes != UINT64_MAX)
        LOG_INFO("memory: %10.1f MB  %s", (double)bytes / MEGABYTE, text);
}

void memory_plan_log(const MemoryPlan *plan)
{
    for (int use = 0; use < MEMORY_USE_COUNT; use++) {
        if (plan->bytes[use] > 0)
            LOG_INFO("memory: %10.1f MB  %s", (double)plan->bytes[use] / MEGABYTE, use_texts[use].text);
    }
    LOG_INFO("memory: %10.1f MB  this rank together: micro-batches of %" PRId64
             " sentences, here up to %d pieces in %d sequences%s",
             (double)memory_plan_total_bytes(plan) / MEGABYTE, plan->micro_batch, plan->pieces, plan->sequences,
             plan->checkpointed ? ", gradient checkpointing" : "");
    LOG_INFO("memory: %10.1f MB  the group's %d rank%s on this host", (double)plan->host_bytes / MEGABYTE, plan->host_ranks,
             plan->host_ranks == 1 ? "" : "s");
    log_bound("available on this host", plan->host.available_bytes);
    log_bound("available within the control group's limit", plan->host.group_available_bytes);
    log_bound("memory_limit", plan->limit_bytes ? plan->limit_bytes : UINT64_MAX);
    LOG_INFO("memory: %10.1f MB  shards, mapped and not counted", (double)plan->mapped_bytes / MEGABYTE);
    if (plan->disk_bytes > 0)
        LOG_INFO("memory: %10.1f MB  rows of frozen layers on disk, not counted", (double)plan->disk_bytes / MEGABYTE);
}

static Json *bound_json(uint64_t bytes)
{
    return bytes == UINT64_MAX ? json_null() : json_integer((int64_t)(bytes < INT64_MAX ? bytes : INT64_MAX));
}

Json *memory_plan_json(const MemoryPlan *plan)
{
    Json *json = json_object();
    for (int use = 0; use < MEMORY_USE_COUNT; use++)
        json_set(json, use_texts[use].key, bound_json(plan->bytes[use]));
    json_set(json, "total_bytes", bound_json(memory_plan_total_bytes(plan)));
    json_set(json, "host_ranks", json_integer(plan->host_ranks));
    json_set(json, "host_bytes", bound_json(plan->host_bytes));
    json_set(json, "trainings", json_integer(plan->trainings));
    json_set(json, "trainings_bytes", bound_json(times(plan->host_bytes, plan->trainings)));
    json_set(json, "available_bytes", bound_json(plan->host.available_bytes));
    json_set(json, "group_available_bytes", bound_json(plan->host.group_available_bytes));
    json_set(json, "limit_bytes", bound_json(plan->limit_bytes ? plan->limit_bytes : UINT64_MAX));
    json_set(json, "mapped_bytes", bound_json(plan->mapped_bytes));
    json_set(json, "disk_bytes", bound_json(plan->disk_bytes));
    json_set(json, "micro_batch", json_integer(plan->micro_batch));
    json_set(json, "pieces", json_integer(plan->pieces));
    json_set(json, "sequences", json_integer(plan->sequences));
    json_set(json, "gradient_checkpointing", json_boolean(plan->checkpointed));
    return json;
}
