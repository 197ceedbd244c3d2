#include "cli/sweep_start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/shards.h"
#include "core/io/file.h"

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

bool sweep_start_is_same(const Sweep *sweep, const char *folder)
{
    char *path = path_join(folder, "sweep.json");
    bool is_same = path_exists(path) && check_same_sweep(sweep, folder, NULL) == STATUS_OK;
    free(path);
    return is_same;
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
