#include "cli/sweep_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/process.h"
#include "cli/sweep_start.h"
#include "coordinator/sweep_largest.h"
#include "core/io/file.h"
#include "model/layout.h"
#include "shard/corpus.h"

enum { PLAN_SIZE_LIMIT = 1 << 20 };

#define MEGABYTE 1048576.0

static Status count_file(const Sweep *sweep, const char *path, bool weight_column, int64_t *sentences, Diagnostic *diagnostic)
{
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence = NULL;
    CorpusOptions options;
    Status status = corpus_options_parse(&options, sweep->data.token_column, sweep->data.label_column, diagnostic);
    options.weight_column = weight_column;
    if (status == STATUS_OK)
        status = corpus_reader_open(&reader, path, options, NULL, NULL, diagnostic);
    while (status == STATUS_OK && (status = corpus_reader_next(reader, &sentence, diagnostic)) == STATUS_OK && sentence)
        *sentences += sweep->data.unit == UNIT_SENTENCE || sentence->document_start;
    corpus_reader_close(&reader);
    return status;
}

/* Files of weak labels all hold the same sentences. */
static Status count_sentences(const Sweep *sweep, int64_t *sentences, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < sweep->train.count; i++)
        TRY(count_file(sweep, sweep->train.items[i].path, false, sentences, diagnostic));
    for (size_t i = 0; i < sweep->pseudo.count; i++)
        TRY(count_file(sweep, sweep->pseudo.items[i].path, true, sentences, diagnostic));
    if (sweep->weak.count > 0)
        TRY(count_file(sweep, sweep->weak.items[0].path, false, sentences, diagnostic));
out:
    return status;
}

/* What is shown. */
typedef struct SweepPlan {
    const Sweep *sweep;
    const SweepRunning *running;
    int64_t configurations, trials, sentences;
    double parameters, disk_mb;
    Json *memory; /* owned */
} SweepPlan;

static Status count_model(SweepPlan *plan, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BertConfig config = {0};
    ModelLayout *layout = NULL;
    const Sweep *sweep = plan->sweep;
    char *config_path = path_join(sweep->model, "config.json");
    TRY(bert_config_read(&config, config_path, diagnostic));
    /* The labels are known only after sharding; two stand for them, they are a speck of the whole. */
    if (config.label_count == 0)
        bert_config_set_labels(&config, (const char *const[]){"O", "B-X"}, 2);
    TRY(model_layout_create(&layout, &config, diagnostic));
    plan->parameters = (double)layout->float_count;
    plan->disk_mb = plan->parameters * 4 / 1e6 * (double)(sweep->save_total_limit + 3) * (double)plan->trials;
out:
    model_layout_destroy(&layout);
    bert_config_free(&config);
    free(config_path);
    return status;
}

/* Shards that this sweep has made in a run before. */
static bool has_shards(const Sweep *sweep, const char *folder, const char *shards)
{
    char *path = path_join(shards, "shards.mdb");
    bool has = path_exists(path) && sweep_start_is_same(sweep, folder);
    free(path);
    return has;
}

/* The job of kind "plan" for nersweep-worker. */
static Status make_job(const SweepPlan *plan, Json **job, Diagnostic *diagnostic)
{
    const Sweep *sweep = plan->sweep;
    TrainingOptionsArray largest = {0};
    Json *candidates = json_array(), *assumed = json_object();
    char *folder = path_join(sweep->storage_path, sweep->name), *shards = path_join(folder, "shards");
    Status status = sweep_largest_options(sweep, &largest, diagnostic);
    for (size_t i = 0; i < largest.count; i++)
        json_append(candidates, options_to_json(training_option_table(), &largest.items[i]));
    *job = json_object();
    json_set(*job, "kind", json_string("plan"));
    json_set(*job, "model", json_string(sweep->model));
    json_set(*job, "shards", json_string(shards));
    json_set(*job, "precision", json_string(sweep->precision));
    json_set(*job, "memory_limit", json_string(sweep->memory_limit));
    json_set(*job, "candidates", candidates);
    json_set(*job, "evaluate", json_boolean(true));
    json_set(*job, "test", json_boolean(sweep->test.count > 0));
    json_set(*job, "trainings", json_integer(plan->running->groups));
    json_set(assumed, "max_seq_length", json_integer(sweep->data.max_seq_length));
    json_set(assumed, "train_windows", json_integer(plan->sentences > 0 ? plan->sentences : 1));
    if (!has_shards(sweep, folder, shards))
        json_set(*job, "assumed", json_copy(assumed));
    json_destroy(&assumed);
    array_free(&largest);
    free(folder);
    free(shards);
    return status;
}

static Status run_worker(const SweepPlan *plan, const char *job_path, const char *result_path, Diagnostic *diagnostic)
{
    const volatile int *interrupted = command_catch_interrupts();
    WorkerJob job = {.job = job_path,
                     .result = result_path,
                     .ranks = plan->running->ranks,
                     .threads = plan->running->threads,
                     .backend = plan->running->backend,
                     .log_level = "warning"};
    int exit_code = 0;
    Status status = process_run_worker(&job, interrupted, &exit_code, diagnostic);
    if (status == STATUS_OK && *interrupted)
        return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted");
    if (status == STATUS_OK && exit_code != 0)
        return FAIL(diagnostic, exit_code == status_exit_code(STATUS_OUT_OF_MEMORY) ? STATUS_OUT_OF_MEMORY : STATUS_LIMIT,
                    "the sweep cannot run like this (exit code %d of its worker); the message above says why", exit_code);
    return status;
}

/* In a temporary folder, by the program that would train. */
static Status plan_memory(SweepPlan *plan, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *root = getenv("TMPDIR");
    char *folder = memory_format("%s/nersweep-plan-XXXXXX", root && root[0] ? root : "/tmp");
    char *job_path = NULL, *result_path = NULL, *text = NULL;
    Json *job = NULL;
    if (!mkdtemp(folder)) {
        status = FAIL(diagnostic, status_from_errno(errno), "cannot make a temporary folder %s: %s", folder, strerror(errno));
        free(folder);
        return status;
    }
    job_path = path_join(folder, "job.json");
    result_path = path_join(folder, "result.json");
    TRY(make_job(plan, &job, diagnostic));
    text = json_text(job, JSON_INDENTED);
    TRY(file_write_durable(file_system_posix(), job_path, text, strlen(text), diagnostic));
    TRY(run_worker(plan, job_path, result_path, diagnostic));
    TRY(json_read_file(&plan->memory, result_path, PLAN_SIZE_LIMIT, diagnostic));
out:
    if (folder_remove_tree(folder, status == STATUS_OK ? diagnostic : NULL) != STATUS_OK && status == STATUS_OK)
        status = STATUS_IO;
    json_destroy(&job);
    free(text);
    free(job_path);
    free(result_path);
    free(folder);
    return status;
}

static double memory_mb(const SweepPlan *plan, const char *key)
{
    return (double)json_integer_value(json_get(plan->memory, key), 0) / MEGABYTE;
}

static void print_use(const SweepPlan *plan, const char *key, const char *text)
{
    if (json_integer_value(json_get(plan->memory, key), 0) > 0)
        printf("%12.1f MB  %s\n", memory_mb(plan, key), text);
}

static void print_memory(const SweepPlan *plan)
{
    static const char *const uses[][2] = {
        {"program_bytes", "program"},
        {"parameters_bytes", "parameters"},
        {"packed_weights_bytes", "packed weights"},
        {"gradients_bytes", "gradients"},
        {"moments_bytes", "optimizer's moments"},
        {"activations_bytes", "activations, training"},
        {"evaluation_bytes", "activations, evaluation"},
        {"workspace_bytes", "workspace of operations"},
        {"frozen_layers_bytes", "rows of frozen layers"},
        {"staging_bytes", "staging of checkpoints"},
    };
    const Json *memory = plan->memory, *assumed = json_get(memory, "assumed_length");
    bool checkpointed = json_boolean_value(json_get(memory, "gradient_checkpointing"), false);
    printf("memory of the largest trial, of its first rank, in %s:\n", json_string_value(json_get(memory, "precision")));
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
        print_use(plan, uses[i][0], uses[i][1]);
    printf("%12.1f MB  together: micro-batches of %lld sentences over all ranks, up to %lld pieces here%s\n",
           memory_mb(plan, "total_bytes"), (long long)json_integer_value(json_get(memory, "micro_batch"), 0),
           (long long)json_integer_value(json_get(memory, "pieces"), 0), checkpointed ? ", gradient checkpointing" : "");
    printf("%12.1f MB  all ranks of a trial: %lld\n", memory_mb(plan, "host_bytes"),
           (long long)json_integer_value(json_get(memory, "host_ranks"), 0));
    printf("%12.1f MB  all trials at once: %d\n", memory_mb(plan, "trainings_bytes"), plan->running->groups);
    print_use(plan, "available_bytes", "available on this host");
    print_use(plan, "group_available_bytes", "available within the control group's limit");
    print_use(plan, "limit_bytes", "memory_limit of each trial");
    if (json_is_null(assumed))
        puts("as the sweep's shards have it");
    else
        printf("there are no shards yet: every sentence counts as one of max_seq_length, %lld pieces\n",
               (long long)json_integer_value(assumed, 0));
}

static void print_plan(const SweepPlan *plan)
{
    const Sweep *sweep = plan->sweep;
    printf("sweep %s: %lld configurations x %zu seeds = %lld trials, %d at once\n", sweep->name, (long long)plan->configurations,
           sweep->seeds.count, (long long)plan->trials, plan->running->groups);
    printf("%lld training sequences before oversampling\n", (long long)plan->sentences);
    printf("model: %.1f million parameters; at most %.0f MB of checkpoints\n", plan->parameters / 1e6, plan->disk_mb);
    print_memory(plan);
}

static void print_json(const SweepPlan *plan)
{
    Json *json = json_object();
    json_set(json, "name", json_string(plan->sweep->name));
    json_set(json, "configurations", json_integer(plan->configurations));
    json_set(json, "trials", json_integer(plan->trials));
    json_set(json, "train_sentences", json_integer(plan->sentences));
    json_set(json, "disk_mb", json_real(plan->disk_mb));
    json_set(json, "memory_mb", json_real(memory_mb(plan, "trainings_bytes")));
    json_set(json, "memory", json_copy(plan->memory));
    command_print_json(&json, JSON_COMPACT);
}

Status sweep_plan_show(const Sweep *sweep, const SweepRunning *running, bool as_json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    SweepPlan plan = {.sweep = sweep, .running = running, .configurations = sweep_configuration_count(sweep)};
    plan.trials = plan.configurations * (int64_t)sweep->seeds.count;
    TRY(count_sentences(sweep, &plan.sentences, diagnostic));
    TRY(count_model(&plan, diagnostic));
    TRY(plan_memory(&plan, diagnostic));
    if (as_json)
        print_json(&plan);
    else
        print_plan(&plan);
out:
    json_destroy(&plan.memory);
    return status;
}
