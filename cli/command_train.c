/* nersweep train: one trial without a sweep. The worker program trains; checkpoints are kept in OUT/.nersweep, the best model goes to OUT. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/process.h"
#include "cli/profile_view.h"
#include "cli/shards.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "core/options/number.h"
#include "core/store/store.h"

enum { RESULT_SIZE_LIMIT = 64 << 20 };

static const char *const precision_names[] = {"auto", "fp32", "bf16", NULL};

typedef struct TrainFlags {
    char *model, *vocab, *out, *words, *metric_dataset, *backend, *memory_limit;
    StringArray train, dev, test, pseudo, weak;
    int64_t ranks, threads;
    int precision;
    bool cased, lowercase, no_eval, profile, json;
} TrainFlags;

static const OptionDescriptor train_descriptors[] = {
    FLAG_STRING(TrainFlags, model, "model folder, or a config.json with --vocab: random weights (required)"),
    FLAG_STRING(TrainFlags, vocab, "vocab.txt, when it is not the model folder's"),
    FLAG_LIST(TrainFlags, train, "training file; may be given several times (required)"),
    FLAG_LIST(TrainFlags, pseudo,
              "further training file whose labels a model gave, with a column of weights or without; may be given several times"),
    FLAG_LIST(TrainFlags, weak,
              "further training file with weak labels; several ones label the same tokens and are voted on (weak_vote)"),
    FLAG_LIST(TrainFlags, dev, "[NAME=]FILE to evaluate on; may be given several times"),
    FLAG_LIST(TrainFlags, test, "file to score the best checkpoint on at the end"),
    FLAG_STRING(TrainFlags, out, "folder of the trained model (required); the same command again goes on"),
    FLAG_STRING(TrainFlags, metric_dataset, "dev set that chooses the best checkpoint: a name, mean or worst; default the first"),
    FLAG_STRING(TrainFlags, words, "rule for words of raw text: corpus, treebank, whitespace, bert"),
    FLAG_BOOLEAN(TrainFlags, cased, "keep case and accents, whatever the model folder says"),
    FLAG_BOOLEAN(TrainFlags, lowercase, "lower case, whatever the model folder says"),
    FLAG_BOOLEAN(TrainFlags, no_eval, "no evaluation: one checkpoint at the end"),
    FLAG_INTEGER(TrainFlags, ranks, 1, 4096, "1", "MPI processes"),
    FLAG_INTEGER(TrainFlags, threads, 0, 1024, "0", "CPU threads of each rank; 0: the processors shared out"),
    FLAG_STRING(TrainFlags, backend, "auto (default), cpu, reference"),
    FLAG_CHOICE(TrainFlags, precision, precision_names, "auto",
                "of matrix products; auto: bf16 where the processor is quicker in it, else fp32"),
    FLAG_STRING(TrainFlags, memory_limit,
                "memory that all ranks may take together, such as 8G; default: what the host or its control group has"),
    FLAG_BOOLEAN(TrainFlags, profile,
                 "measure each operation beside this machine's peaks: a table, and profile.json in the folder of --out"),
    FLAG_BOOLEAN(TrainFlags, json, "print the result as one JSON object"),
};
static const OptionTable train_table = {"Options", train_descriptors, sizeof train_descriptors / sizeof train_descriptors[0],
                                        sizeof(TrainFlags)};

/* Paths of one training inside OUT/.nersweep. */
typedef struct TrainPlaces {
    char *work, *shards, *store, *job, *result, *profile, *start_model;
} TrainPlaces;

static void places_make(TrainPlaces *places, const char *out)
{
    char *absolute = path_absolute(out);
    places->work = path_join(absolute, ".nersweep");
    places->shards = path_join(places->work, "shards");
    places->store = path_join(places->work, "store");
    places->job = path_join(places->work, "job.json");
    places->result = path_join(places->work, "result.json");
    places->profile = path_join(absolute, "profile.json");
    places->start_model = path_join(places->work, "start");
    free(absolute);
}

static void places_free(TrainPlaces *places)
{
    char *all[] = {places->work, places->shards, places->store, places->job, places->result, places->profile, places->start_model};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* A config.json alone becomes a folder with the vocabulary beside it, so that the worker only knows model folders. */
static Status copy_file(const char *from, const char *folder, const char *name, Diagnostic *diagnostic)
{
    char *bytes = NULL, *to = path_join(folder, name);
    size_t size;
    Status status = file_read(from, (size_t)1 << 30, &bytes, &size, diagnostic);
    if (status == STATUS_OK)
        status = file_write_durable(file_system_posix(), to, bytes, size, diagnostic);
    free(bytes);
    free(to);
    return status;
}

static Status write_job(const TrainFlags *flags, const TrainingOptions *training, const TrainPlaces *places, bool random_weights,
                        const char *vocab, const StringArray *splits, Diagnostic *diagnostic)
{
    const char *dataset = flags->metric_dataset ? flags->metric_dataset : "mean";
    for (size_t i = 0; i < splits->count && flags->metric_dataset == NULL; i++)
        if (strncmp(splits->items[i], "dev:", 4) == 0) {
            dataset = splits->items[i] + 4;
            break;
        }
    char *model = random_weights ? memory_copy_string(places->start_model) : path_absolute(flags->model);
    char *vocab_absolute = path_absolute(vocab);
    Json *job = json_object(), *metric = json_object();
    json_set(metric, "name", json_string("f1"));
    json_set(metric, "goal", json_string("maximize"));
    json_set(metric, "dataset", json_string(dataset));
    json_set(job, "kind", json_string("train"));
    json_set(job, "model", json_string(model));
    json_set(job, "random_weights", json_boolean(random_weights));
    json_set(job, "vocab", json_string(vocab_absolute));
    json_set(job, "shards", json_string(places->shards));
    json_set(job, "store", json_string(places->store));
    json_set(job, "precision", json_string(precision_names[flags->precision]));
    if (flags->memory_limit)
        json_set(job, "memory_limit", json_string(flags->memory_limit));
    json_set(job, "trial", json_integer(0));
    json_set(job, "options", options_to_json(training_option_table(), training));
    json_set(job, "metric", metric);
    json_set(job, "evaluate", json_boolean(!flags->no_eval && flags->dev.count > 0));
    json_set(job, "test", json_boolean(!flags->no_eval && flags->test.count > 0));
    if (flags->profile)
        json_set(job, "profile", json_string(places->profile));
    char *text = json_text(job, JSON_INDENTED);
    Status status = file_write_durable(file_system_posix(), places->job, text, strlen(text), diagnostic);
    free(text);
    free(model);
    free(vocab_absolute);
    json_destroy(&job);
    return status;
}

static Status run_worker(const TrainFlags *flags, const TrainPlaces *places, const volatile int *interrupted,
                         Diagnostic *diagnostic)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = flags->threads ? flags->threads : processors / flags->ranks;
    WorkerJob job = {.job = places->job,
                     .result = places->result,
                     .ranks = flags->ranks,
                     .threads = threads < 1 ? 1 : threads,
                     .backend = flags->backend ? flags->backend : "auto",
                     .log_level = "info"};
    int exit_code = 0;
    Status status = process_run_worker(&job, interrupted, &exit_code, diagnostic);
    if (status == STATUS_OK && *interrupted)
        status = FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted; the same command goes on from the last checkpoint");
    else if (status == STATUS_OK && exit_code != 0)
        status = FAIL(diagnostic, exit_code == 75 ? STATUS_BUSY : STATUS_INVALID_INPUT,
                      "the training ended with exit code %d; its own message stands above", exit_code);
    return status;
}

/* Puts the files of the chosen checkpoint into OUT, each by a rename. */
static Status publish_model(const TrainPlaces *places, const char *checkpoint, const char *out, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Store *store = NULL;
    StringArray names = {0};
    char *folder = path_join(places->work, "best");
    TRY(folder_remove_tree(folder, diagnostic));
    TRY(store_open(&store, places->store, file_system_posix(), diagnostic));
    TRY(store_manifest_extract(store, checkpoint, folder, diagnostic));
    TRY(folder_list(folder, &names, diagnostic));
    for (size_t i = 0; i < names.count; i++) {
        char *from = path_join(folder, names.items[i]), *to = path_join(out, names.items[i]);
        if (rename(from, to) != 0)
            status = FAIL(diagnostic, status_from_errno(errno), "cannot put %s in place: %s", to, strerror(errno));
        free(from);
        free(to);
        if (status != STATUS_OK)
            goto out;
    }
    TRY(folder_sync(file_system_posix(), out, diagnostic));
    TRY(folder_remove_tree(folder, diagnostic));
out:
    string_array_free(&names);
    store_close(&store);
    free(folder);
    return status;
}

static Status train(const TrainFlags *flags, const TrainingOptions *training, const DataOptions *data, TrainPlaces *places,
                    Json **result, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const volatile int *interrupted = command_catch_interrupts();
    ShardSourceArray sources = {0};
    ShardFiles files = {&flags->train, &flags->pseudo, &flags->weak, &flags->dev, &flags->test};
    StringArray splits = {0};
    bool random_weights = !path_is_folder(flags->model);
    char *vocab = flags->vocab ? memory_copy_string(flags->vocab) : path_join(flags->model, "vocab.txt");
    TRY(folder_create(file_system_posix(), places->work, diagnostic));
    if (random_weights) {
        TRY(folder_create(file_system_posix(), places->start_model, diagnostic));
        TRY(copy_file(flags->model, places->start_model, "config.json", diagnostic));
        TRY(copy_file(vocab, places->start_model, "vocab.txt", diagnostic));
    }
    TRY(shards_sources(files, &sources, &splits, diagnostic));
    ShardRequest request = {.model = flags->model,
                            .vocab = flags->vocab,
                            .lowercase = flags->cased       ? 0
                                         : flags->lowercase ? 1
                                                            : -1,
                            .words = flags->words,
                            .options = data,
                            .sources = sources.items,
                            .source_count = sources.count,
                            .interrupted = interrupted};
    TRY(shards_build(&request, places->shards, diagnostic));
    TRY(write_job(flags, training, places, random_weights, vocab, &splits, diagnostic));
    TRY(run_worker(flags, places, interrupted, diagnostic));
    TRY(json_read_file(result, places->result, RESULT_SIZE_LIMIT, diagnostic));
    const char *checkpoint = json_string_value(json_get(json_get(*result, "best"), "checkpoint"));
    if (checkpoint == NULL)
        checkpoint = json_string_value(json_get(json_get(*result, "last"), "checkpoint"));
    if (checkpoint == NULL)
        TRY_FAIL(diagnostic, STATUS_INTERNAL, "%s names no checkpoint", places->result);
    TRY(publish_model(places, checkpoint, flags->out, diagnostic));
out:
    array_free(&sources);
    string_array_free(&splits);
    free(vocab);
    return status;
}

static void print_result(const Json *result, const char *out)
{
    const Json *best = json_get(result, "best"), *dev = json_get(best, "dev");
    printf("%lld steps in %.1f s, %.0f real tokens/s on %s\n", (long long)json_integer_value(json_get(result, "steps"), 0),
           json_number_value(json_get(result, "wall_s"), 0), json_number_value(json_get(result, "real_tokens_per_s"), 0),
           json_string_value(json_get(result, "backend")));
    for (size_t i = 0; i < json_count(dev); i++)
        printf("best step %lld: %s F1 %.4f\n", (long long)json_integer_value(json_get(best, "step"), 0), json_key_at(dev, i),
               json_number_value(json_get(json_value_at(dev, i), "f1"), 0));
    if (json_is_object(json_get(best, "test")))
        printf("test F1 %.4f\n", json_number_value(json_get(json_get(best, "test"), "f1"), 0));
    printf("model in %s\n", out);
}

/* On stdout, or where that is for JSON on stderr. A run that trained nothing has none. */
static Status print_profile(const Json *result, bool json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *profile = NULL;
    FILE *stream = json ? stderr : stdout;
    const char *path = json_string_value(json_get(result, "profile"));
    if (path == NULL)
        return STATUS_OK;
    TRY(json_read_file(&profile, path, RESULT_SIZE_LIMIT, diagnostic));
    profile_view_print(profile, stream, 0, command_colours(stream));
out:
    json_destroy(&profile);
    return status;
}

/* What the tables of flags cannot say. -1 to go on. */
static int check_usage(const Command *command, const TrainFlags *flags, const TrainingOptions *training, const DataOptions *data,
                       const PositionalArray *positional)
{
    Diagnostic diagnostic = {0};
    if (positional->count)
        return command_usage_error(command, "%s is not expected here", positional->items[0]);
    if (flags->model == NULL || flags->train.count == 0 || flags->out == NULL)
        return command_usage_error(command, "--model, --train and --out are required");
    if (!path_is_folder(flags->model) && flags->vocab == NULL && path_exists(flags->model))
        return command_usage_error(command, "--model %s is a file: --vocab is needed beside a config.json", flags->model);
    uint64_t bytes;
    if (flags->memory_limit && !number_parse_bytes(flags->memory_limit, &bytes))
        return command_usage_error(command, "--memory-limit %s is no number of bytes such as 8G", flags->memory_limit);
    if (flags->cased && flags->lowercase)
        return command_usage_error(command, "--cased and --lowercase exclude each other");
    if (training_options_validate(training, &diagnostic) != STATUS_OK || data_options_validate(data, &diagnostic) != STATUS_OK)
        return command_usage_error(command, "%s", diagnostic.message);
    return -1;
}

static int train_run(const Command *command, int argc, char **argv)
{
    TrainFlags flags = {0};
    TrainingOptions training;
    DataOptions data;
    OptionBinding bindings[] = {{&train_table, &flags}, {training_option_table(), &training}, {data_option_table(), &data}};
    PositionalArray positional = {0};
    TrainPlaces places = {0};
    Json *result = NULL;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, bindings, 3, argc, argv, &positional);
    if (code < 0)
        code = check_usage(command, &flags, &training, &data, &positional);
    if (code < 0) {
        places_make(&places, flags.out);
        code = train(&flags, &training, &data, &places, &result, &diagnostic) == STATUS_OK ? 0 : command_fail(&diagnostic);
    }
    if (result && code == 0 && print_profile(result, flags.json, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    if (result && code == 0 && flags.json)
        command_print_json(&result, JSON_COMPACT);
    else if (result && code == 0)
        print_result(result, flags.out);
    json_destroy(&result);
    places_free(&places);
    array_free(&positional);
    options_free(&train_table, &flags);
    return code;
}

const Command command_train = {"train", "--model DIR --train FILE --dev FILE [--test FILE] --out DIR [...]",
                               "one training without a sweep", train_run};
