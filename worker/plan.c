#include "worker/plan.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "inference/evaluator.h"
#include "model/optimizer.h"
#include "worker/memory_plan.h"

enum { CANDIDATE_LIMIT = 1024, TRAINING_LIMIT = 4096 };

/* What the candidates are planned on. */
typedef struct Ground {
    const Workplace *workplace;
    TrainingData data;
    BertConfig config;
    ShardStore *shards;  /* NULL: there are none yet */
    AssumedData assumed; /* then */
    MemorySetup setup;
    int32_t trainings;
} Ground;

/* One training, as far as its memory goes. */
typedef struct Candidate {
    const Ground *ground;
    Chunks chunks;
    TrainingOptions options;
    BatchPlan *batches; /* NULL without shards */
    int64_t steps_per_epoch, total_steps;
} Candidate;

static Status read_assumed(Ground *ground, const Json *job, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Json *assumed = json_get(job, "assumed");
    AssumedData *data = &ground->assumed;
    TRY(json_require_integer(assumed, "max_seq_length", path, EVALUATION_SHORTEST_WINDOW, INT32_MAX, &data->max_seq_length,
                             diagnostic));
    TRY(json_require_integer(assumed, "train_windows", path, 1, INT32_MAX, &data->train_windows, diagnostic));
    if (data->max_seq_length > ground->config.max_position_embeddings)
        data->max_seq_length = ground->config.max_position_embeddings;
out:
    return status;
}

static Status open_shards(Ground *ground, Diagnostic *diagnostic)
{
    char *local = NULL;
    Status status = shards_make_local(ground->data.shards, false, &local, diagnostic);
    if (status == STATUS_OK)
        status = shard_store_open(&ground->shards, local, diagnostic);
    free(local);
    return status;
}

/* Without shards two labels stand for those of the data: they are a speck of the whole. */
static void set_labels(Ground *ground)
{
    static const char *const few[] = {"O", "B-X"};
    const LabelSet *labels = ground->shards ? shard_store_labels(ground->shards) : NULL;
    int32_t count = labels ? label_set_count(labels) : 2;
    const char **names = memory_allocate((size_t)count, sizeof *names);
    for (int32_t i = 0; i < count; i++)
        names[i] = labels ? label_set_name(labels, i) : few[i];
    if (labels || ground->config.label_count == 0)
        bert_config_set_labels(&ground->config, names, count);
    free(names);
}

static Status ground_open(Ground *ground, const Workplace *workplace, const Json *job, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *config_path = NULL;
    int64_t trainings;
    *ground = (Ground){.workplace = workplace};
    TRY(training_data_parse(&ground->data, job, ".", path, diagnostic));
    TRY(json_require_integer(job, "trainings", path, 1, TRAINING_LIMIT, &trainings, diagnostic));
    ground->trainings = (int32_t)trainings;
    config_path = path_join(ground->data.model, "config.json");
    TRY(bert_config_read(&ground->config, config_path, diagnostic));
    if (json_get(job, "assumed"))
        TRY(read_assumed(ground, job, path, diagnostic));
    else
        TRY(open_shards(ground, diagnostic));
    set_labels(ground);
    ground->setup = (MemorySetup){.communicator = workplace->communicator,
                                  .backend = workplace->backend,
                                  .device = workplace->device,
                                  .config = &ground->config,
                                  .product_type = ground->data.product_type,
                                  .shards = ground->shards,
                                  .assumed = &ground->assumed,
                                  .work_folder = workplace_temporary_root(),
                                  .files = host_files_system(),
                                  .limit_bytes = ground->data.memory_limit_bytes,
                                  .evaluate = json_boolean_value(json_get(job, "evaluate"), true),
                                  .test = json_boolean_value(json_get(job, "test"), false)};
out:
    free(config_path);
    return status;
}

static void ground_close(Ground *ground)
{
    shard_store_close(&ground->shards);
    bert_config_free(&ground->config);
    training_data_free(&ground->data);
}

/* A MemoryMeasure. Chunks of equal sentences differ by one at most. */
static Status measure_candidate(void *context, int64_t micro_batch, StepSize *size, Diagnostic *diagnostic)
{
    Candidate *candidate = context;
    const Ground *ground = candidate->ground;
    *size = (StepSize){1, 1, 1};
    if (candidate->batches) {
        int32_t split = shard_split_find(ground->shards, "train");
        return step_size_measure_epochs(size, candidate->batches, shard_window_infos(ground->shards, split), &candidate->chunks,
                                        micro_batch, candidate->total_steps, diagnostic);
    }
    const TrainingOptions *options = &candidate->options;
    int64_t length = ground->assumed.max_seq_length;
    int64_t sentences = (micro_batch + candidate->chunks.count - 1) / candidate->chunks.count;
    if (sentences > INT32_MAX / length)
        return FAIL(diagnostic, STATUS_LIMIT, "micro-batches of %lld sentences of %lld pieces are too large",
                    (long long)micro_batch, (long long)length);
    size->sequences = (int32_t)sentences;
    size->pieces = (int32_t)(sentences * length);
    size->step_pieces = options->per_device_train_batch_size * options->gradient_accumulation_steps * length;
    return STATUS_OK;
}

static Status candidate_open(Candidate *candidate, const Ground *ground, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const TrainingOptions *options = &candidate->options;
    candidate->ground = ground;
    TRY(chunks_make(&candidate->chunks, ground->workplace->communicator, options, diagnostic));
    if (ground->shards) {
        int32_t split = shard_split_find(ground->shards, "train");
        if (split < 0 || shard_window_count(ground->shards, split) == 0)
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "the shards hold no sentences to train on");
        TRY(batch_plan_create(&candidate->batches, ground->shards, split, options, 0, diagnostic));
        candidate->steps_per_epoch = batch_plan_step_count(candidate->batches);
    } else {
        int64_t windows = options->per_device_train_batch_size * options->gradient_accumulation_steps;
        candidate->steps_per_epoch = (ground->assumed.train_windows + windows - 1) / windows;
    }
    candidate->total_steps = schedule_make(options, candidate->steps_per_epoch).total_steps;
out:
    return status;
}

static Status plan_candidate(const Ground *ground, const Json *options, const char *path, MemoryPlan *plan, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Candidate candidate = {0};
    ModelLayout *layout = NULL;
    MemorySetup setup = ground->setup;
    setup.options = &candidate.options;
    status = options_from_json(training_option_table(), &candidate.options, options, path, diagnostic);
    if (status == STATUS_OK)
        status = candidate_open(&candidate, ground, diagnostic);
    if (status == STATUS_OK)
        status = model_layout_create(&layout, &ground->config, diagnostic);
    TRY(communicator_agree(setup.communicator, status, &(int64_t){0}, diagnostic));
    TRY(memory_plan_begin(plan, &setup, diagnostic));
    memory_plan_set_schedule(plan, &setup, layout, candidate.total_steps, candidate.steps_per_epoch);
    TRY(memory_plan_choose(plan, &setup, measure_candidate, &candidate, diagnostic));
    TRY(memory_plan_multiply(plan, &setup, ground->trainings, diagnostic));
out:
    model_layout_destroy(&layout);
    batch_plan_destroy(&candidate.batches);
    return status;
}

static Status write_plan(const Ground *ground, const MemoryPlan *plan, const Json *options, const char *path,
                         Diagnostic *diagnostic)
{
    Json *json = memory_plan_json(plan);
    json_set(json, "precision", json_string(ground->setup.product_type == DEVICE_BF16 ? "bf16" : "fp32"));
    json_set(json, "assumed_length", ground->shards ? json_null() : json_integer(ground->assumed.max_seq_length));
    json_set(json, "options", json_copy(options));
    char *text = json_text(json, JSON_INDENTED);
    Status status = file_write_durable(file_system_posix(), path, text, strlen(text), diagnostic);
    free(text);
    json_destroy(&json);
    return status;
}

Status plan_run(const Workplace *workplace, const Json *job, const char *job_path, const char *result_path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Ground ground;
    MemoryPlan largest = {0};
    const Json *candidates = json_get(job, "candidates"), *of_largest = NULL;
    status = ground_open(&ground, workplace, job, job_path, diagnostic);
    if (status == STATUS_OK && (json_count(candidates) == 0 || json_count(candidates) > CANDIDATE_LIMIT))
        status = FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key \"candidates\" is to hold 1 to %d objects of options", job_path,
                      CANDIDATE_LIMIT);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
    if (ground.data.precision_auto)
        ground.setup.product_type = workplace_quicker_type(workplace);
    for (size_t i = 0; i < json_count(candidates); i++) {
        MemoryPlan plan;
        TRY(plan_candidate(&ground, json_at(candidates, i), job_path, &plan, diagnostic));
        if (!of_largest || plan.host_more_bytes > largest.host_more_bytes) {
            largest = plan;
            of_largest = json_at(candidates, i);
        }
    }
    if (communicator_rank(workplace->communicator) == 0)
        status = write_plan(&ground, &largest, of_largest, result_path, diagnostic);
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
out:
    ground_close(&ground);
    return status;
}
