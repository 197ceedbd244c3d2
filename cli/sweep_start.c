#include "cli/sweep_start.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/shards.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "model/layout.h"
#include "shard/corpus.h"

enum { SWEEP_JSON_LIMIT = 16 << 20, NEW_NAME_LIMIT = 1000 };

Status sweep_start_read(Sweep **sweep, const char *path, const StringArray *overrides, Diagnostic *diagnostic)
{
    SweepProblemArray problems = {0};
    Status status = sweep_read(sweep, path, (const char *const *)overrides->items, overrides->count, &problems, diagnostic);
    if (status != STATUS_OK && problems.count > 0) {
        for (size_t i = 0; i < problems.count; i++)
            fprintf(stderr, "%s:%ld:%ld: error: %s\n", path, problems.items[i].line, problems.items[i].column,
                    problems.items[i].message);
        status = FAIL(diagnostic, STATUS_INVALID_INPUT, "%s has %zu problem%s; nothing was started", path, problems.count,
                      problems.count == 1 ? "" : "s");
    }
    array_free(&problems);
    return status;
}

/* STATUS_MISMATCH with the difference when folder holds another sweep. */
static Status check_same_sweep(const Sweep *sweep, const char *folder, Diagnostic *diagnostic)
{
    char *path = path_join(folder, "sweep.json");
    Json *before = NULL, *now = NULL;
    Text difference = {0};
    Status status = STATUS_OK;
    if (path_exists(path)) {
        TRY(json_read_file(&before, path, SWEEP_JSON_LIMIT, diagnostic));
        now = sweep_json(sweep);
        sweep_difference(before, now, &difference);
        if (difference.size > 0)
            TRY_FAIL(diagnostic, STATUS_MISMATCH,
                     "%s holds another sweep of the name \"%s\": --new starts this one under another name. What differs:\n%s",
                     folder, sweep->name, difference.bytes);
    }
out:
    text_free(&difference);
    json_destroy(&before);
    json_destroy(&now);
    free(path);
    return status;
}

static Status choose_folder(Sweep *sweep, bool start_new, char **folder, Diagnostic *diagnostic)
{
    *folder = path_join(sweep->storage_path, sweep->name);
    if (!start_new)
        return check_same_sweep(sweep, *folder, diagnostic);
    if (sweep->warm_start.count && !sweep->warm_history)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "a folder that warm_start names is gone: a new sweep cannot learn from it");
    char *base = memory_copy_string(sweep->name);
    for (int number = 2; number < NEW_NAME_LIMIT && path_exists(*folder); number++) {
        free(sweep->name);
        free(*folder);
        sweep->name = memory_format("%s-%d", base, number);
        *folder = path_join(sweep->storage_path, sweep->name);
    }
    free(base);
    return path_exists(*folder)
               ? FAIL(diagnostic, STATUS_LIMIT, "%s: %d sweeps of this name are there already", *folder, NEW_NAME_LIMIT)
               : STATUS_OK;
}

static Status build_shards(const Sweep *sweep, const char *folder, const volatile int *interrupted, Diagnostic *diagnostic)
{
    ShardSourceArray sources = {0};
    StringArray names = {0};
    for (size_t i = 0; i < sweep->train.count; i++)
        array_push(&sources, ((ShardSource){"train", sweep->train.items[i].path, SHARD_GOLD}));
    for (size_t i = 0; i < sweep->pseudo.count; i++)
        array_push(&sources, ((ShardSource){"train", sweep->pseudo.items[i].path, SHARD_PSEUDO}));
    for (size_t i = 0; i < sweep->weak.count; i++)
        array_push(&sources, ((ShardSource){"train", sweep->weak.items[i].path, SHARD_WEAK}));
    for (size_t i = 0; i < sweep->dev.count; i++) {
        array_push(&names, memory_format("dev:%s", sweep->dev.items[i].name));
        array_push(&sources, ((ShardSource){names.items[i], sweep->dev.items[i].path, SHARD_GOLD}));
    }
    for (size_t i = 0; i < sweep->test.count; i++)
        array_push(&sources, ((ShardSource){"test", sweep->test.items[i].path, SHARD_GOLD}));
    char *shards = path_join(folder, "shards");
    ShardRequest request = {.model = sweep->model,
                            .lowercase = -1,
                            .words = sweep->words,
                            .options = &sweep->data,
                            .sources = sources.items,
                            .source_count = sources.count,
                            .interrupted = interrupted};
    Status status = shards_build(&request, shards, diagnostic);
    free(shards);
    array_free(&sources);
    string_array_free(&names);
    return status;
}

static Status save_sweep_json(const Sweep *sweep, const char *folder, Diagnostic *diagnostic)
{
    char *path = path_join(folder, "sweep.json");
    Json *json = sweep_json(sweep);
    char *text = json_text(json, JSON_INDENTED);
    Status status = file_write_durable(file_system_posix(), path, text, strlen(text), diagnostic);
    free(text);
    json_destroy(&json);
    free(path);
    return status;
}

Status sweep_start_prepare(Sweep *sweep, bool start_new, const volatile int *interrupted, char **folder, Diagnostic *diagnostic)
{
    Status status = choose_folder(sweep, start_new, folder, diagnostic);
    if (status == STATUS_OK)
        status = folder_create(file_system_posix(), *folder, diagnostic);
    if (status == STATUS_OK)
        status = build_shards(sweep, *folder, interrupted, diagnostic);
    if (status == STATUS_OK)
        status = save_sweep_json(sweep, *folder, diagnostic);
    return status;
}

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

Status sweep_start_show_plan(const Sweep *sweep, bool as_json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BertConfig config = {0};
    ModelLayout *layout = NULL;
    char *config_path = path_join(sweep->model, "config.json");
    int64_t sentences = 0;
    TRY(bert_config_read(&config, config_path, diagnostic));
    /* The labels are known only after sharding; two stand for them, they are a speck of the whole. */
    if (config.label_count == 0)
        bert_config_set_labels(&config, (const char *const[]){"O", "B-X"}, 2);
    TRY(model_layout_create(&layout, &config, diagnostic));
    TRY(count_sentences(sweep, &sentences, diagnostic));
    int64_t configurations = sweep_configuration_count(sweep), trials = configurations * (int64_t)sweep->seeds.count;
    double parameter_mb = (double)layout->float_count * 4 / 1e6;
    double disk_mb = parameter_mb * (double)(sweep->save_total_limit + 3) * (double)trials;
    /* Master weights, gradient, two moments; activations come on top and are planned by the worker. */
    double memory_mb = parameter_mb * 4 * sweep->concurrent_trials * sweep->ranks_per_trial;
    if (as_json) {
        Json *json = json_object();
        json_set(json, "name", json_string(sweep->name));
        json_set(json, "configurations", json_integer(configurations));
        json_set(json, "trials", json_integer(trials));
        json_set(json, "train_sentences", json_integer(sentences));
        json_set(json, "disk_mb", json_real(disk_mb));
        json_set(json, "memory_mb", json_real(memory_mb));
        command_print_json(&json, JSON_COMPACT);
    } else {
        printf("sweep %s: %lld configurations x %zu seeds = %lld trials, %d at once\n", sweep->name, (long long)configurations,
               sweep->seeds.count, (long long)trials, sweep->concurrent_trials);
        printf("%lld training sequences before oversampling\n", (long long)sentences);
        printf("model: %.1f million parameters; at most %.0f MB of checkpoints, %.0f MB of memory for weights and optimizer\n",
               parameter_mb / 4, disk_mb, memory_mb);
    }
out:
    model_layout_destroy(&layout);
    bert_config_free(&config);
    free(config_path);
    return status;
}
