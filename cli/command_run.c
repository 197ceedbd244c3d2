/* nersweep run: a whole sweep on this machine; nersweep coordinator: the same event loop as a daemon for workers elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/process.h"
#include "cli/sweep_place.h"
#include "cli/sweep_plan.h"
#include "cli/sweep_start.h"
#include "coordinator/coordinator.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "core/store/store.h"

typedef struct RunFlags {
    StringArray set;
    char *listen, *feed, *keys, *backend;
    int64_t workers, ranks, threads, linger;
    bool new, dry_run, show_folder, take_over, exit_when_done, make_keys, insecure, json;
} RunFlags;

/* What an address needs that other machines can reach. */
#define KEY_FLAGS                                                                                                                \
    FLAG_STRING(RunFlags, keys,                                                                                                  \
                "folder of keys (nersweep keys); default keys/ in the sweep's folder, for addresses that other machines reach"), \
        FLAG_BOOLEAN(RunFlags, make_keys, "make the keys that such addresses need, where there are none"),                       \
        FLAG_BOOLEAN(RunFlags, insecure, "such addresses without keys: everyone on the network can read and change the sweep")

static const OptionDescriptor run_descriptors[] = {
    FLAG_INTEGER(RunFlags, workers, 0, 1024, "0", "worker groups at once; 0: resources.concurrent_trials of the sweep file"),
    FLAG_INTEGER(RunFlags, ranks, 0, 4096, "0", "MPI ranks per group; 0: resources.ranks_per_trial"),
    FLAG_INTEGER(RunFlags, threads, 0, 1024, "0", "CPU threads per rank; 0: resources.threads_per_rank"),
    FLAG_STRING(RunFlags, backend, "auto, cpu, reference; default resources.backend"),
    FLAG_LIST(RunFlags, set, "KEY=VALUE over the sweep file, e.g. data.train=FILE; may be given several times"),
    FLAG_BOOLEAN(RunFlags, new, "start under another name when one of this name is there"),
    FLAG_BOOLEAN(RunFlags, take_over, "go on although another coordinator seems to hold the sweep"),
    FLAG_BOOLEAN(RunFlags, dry_run, "show trials, disk and memory, start none; refuses what would not fit"),
    FLAG_STRING(RunFlags, listen, "address for workers and readers, e.g. tcp://127.0.0.1:5555; default: a private socket"),
    FLAG_STRING(RunFlags, feed, "address of the status feed"),
    KEY_FLAGS,
    FLAG_BOOLEAN(RunFlags, json, "print the final status as JSON"),
};
static const OptionTable run_table = {"Options", run_descriptors, sizeof run_descriptors / sizeof run_descriptors[0],
                                      sizeof(RunFlags)};

static const OptionDescriptor coordinator_descriptors[] = {
    FLAG_STRING(RunFlags, listen, "address for workers and readers, e.g. tcp://0.0.0.0:5555; port * takes a free one (required)"),
    FLAG_STRING(RunFlags, feed, "address of the status feed; default beside --listen"),
    KEY_FLAGS,
    FLAG_LIST(RunFlags, set, "KEY=VALUE over the sweep file"),
    FLAG_BOOLEAN(RunFlags, new, "start under another name when one of this name is there"),
    FLAG_BOOLEAN(RunFlags, take_over, "go on although another coordinator seems to hold the sweep"),
    FLAG_BOOLEAN(RunFlags, exit_when_done, "end when the sweep has ended"),
    FLAG_BOOLEAN(RunFlags, show_folder, "print the sweep's folder, start nothing"),
    FLAG_INTEGER(RunFlags, linger, 0, 86400, "2", "seconds to serve readers after the end"),
    FLAG_BOOLEAN(RunFlags, json, "print the final status as JSON"),
};
static const OptionTable coordinator_table = {"Options", coordinator_descriptors,
                                              sizeof coordinator_descriptors / sizeof coordinator_descriptors[0], sizeof(RunFlags)};

/* Each event of the feed as one line for people. */
static void show_event(void *context, const Json *event)
{
    (void)context;
    const char *kind = json_string_value(json_get(event, "event")), *text = json_string_value(json_get(event, "text"));
    if (text && (kind == NULL || strcmp(kind, "progress") != 0))
        LOG_INFO("%s", text);
    else if (text)
        LOG_DEBUG("%s", text);
}

static Status finish(const char *folder, const RunFlags *flags, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *status_json = NULL;
    Store *store = NULL;
    size_t deleted = 0;
    /* The sweep has ended and its workers with it: nothing that is unnamed is still being written. */
    TRY(store_open(&store, folder, file_system_posix(), diagnostic));
    TRY(store_collect(store, 0, &deleted, diagnostic));
    TRY(sweep_status_read(folder, &status_json, diagnostic));
    if (flags->json)
        command_print_json(&status_json, JSON_COMPACT);
    else {
        sweep_place_print(status_json, stdout, command_colours(stdout), 1000);
        const Json *winner = json_get(status_json, "winner"), *test = json_get(winner, "test");
        if (json_is_object(winner))
            printf("best: trial %lld, F1 %.4f", (long long)json_integer_value(json_get(winner, "trial"), -1),
                   json_number_value(json_get(winner, "score"), 0));
        if (json_is_object(test))
            printf(", test F1 %.4f", json_number_value(json_get(test, "f1"), 0));
        if (json_is_object(winner))
            printf("\nnersweep pull %s --out DIR writes the best model\n", folder);
        else
            puts("no trial has a checkpoint");
    }
out:
    json_destroy(&status_json);
    store_close(&store);
    return status;
}

static int choose(int64_t flag, int64_t otherwise)
{
    return (int)(flag > 0 ? flag : otherwise);
}

static Status serve_sweep(Sweep *sweep, const RunFlags *flags, bool embedded, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *folder = NULL, *worker = NULL, *keys = flags->keys ? path_absolute(flags->keys) : NULL;
    const volatile int *interrupted = command_catch_interrupts();
    TRY(sweep_start_prepare(sweep, flags->new, interrupted, &folder, diagnostic));
    if (embedded)
        TRY(process_worker_path(&worker, diagnostic));
    CoordinatorOptions options = {.sweep = sweep,
                                  .sweep_folder = folder,
                                  .listen = flags->listen,
                                  .feed = flags->feed,
                                  .keys = keys,
                                  .make_keys = flags->make_keys,
                                  .insecure = flags->insecure,
                                  .take_over = flags->take_over,
                                  .exit_when_done = embedded || flags->exit_when_done,
                                  .linger_ms = embedded ? 0 : flags->linger * 1000,
                                  .local_groups = embedded ? choose(flags->workers, sweep->concurrent_trials) : 0,
                                  .worker_program = worker,
                                  .ranks_per_group = choose(flags->ranks, sweep->ranks_per_trial),
                                  .threads_per_rank = choose(flags->threads, sweep->threads_per_rank),
                                  .backend = flags->backend ? flags->backend : sweep->backend,
                                  .interrupted = interrupted,
                                  .clock = clock_system(),
                                  .on_event = show_event};
    TRY(coordinator_run(&options, diagnostic));
    if (embedded)
        TRY(finish(folder, flags, diagnostic));
out:
    free(folder);
    free(worker);
    free(keys);
    return status;
}

static Status show_plan(const Sweep *sweep, const RunFlags *flags, Diagnostic *diagnostic)
{
    SweepRunning running = {.groups = choose(flags->workers, sweep->concurrent_trials),
                            .ranks = choose(flags->ranks, sweep->ranks_per_trial),
                            .threads = choose(flags->threads, sweep->threads_per_rank),
                            .backend = flags->backend ? flags->backend : sweep->backend};
    return sweep_plan_show(sweep, &running, flags->json, diagnostic);
}

static int run_or_serve(const Command *command, int argc, char **argv, bool embedded)
{
    RunFlags flags = {0};
    const OptionTable *table = embedded ? &run_table : &coordinator_table;
    OptionBinding binding = {table, &flags};
    PositionalArray positional = {0};
    Sweep *sweep = NULL;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code >= 0)
        goto out;
    code = 0;
    if (positional.count != 1 || (!embedded && flags.listen == NULL && !flags.show_folder)) {
        code = command_usage_error(command, positional.count != 1 ? "one sweep file is expected" : "--listen is required");
        goto out;
    }
    if (flags.insecure && (flags.make_keys || flags.keys)) {
        code = command_usage_error(command, "--insecure is without keys: --keys and --make-keys do not go with it");
        goto out;
    }
    Status status = sweep_start_read(&sweep, positional.items[0], &flags.set, &diagnostic);
    if (status == STATUS_OK && flags.show_folder) {
        char *folder = path_join(sweep->storage_path, sweep->name);
        puts(folder);
        free(folder);
    } else if (status == STATUS_OK)
        status = flags.dry_run ? show_plan(sweep, &flags, &diagnostic) : serve_sweep(sweep, &flags, embedded, &diagnostic);
    if (status != STATUS_OK)
        code = command_fail(&diagnostic);
out:
    sweep_destroy(&sweep);
    array_free(&positional);
    options_free(table, &flags);
    return code;
}

static int run_run(const Command *command, int argc, char **argv)
{
    return run_or_serve(command, argc, argv, true);
}

static int coordinator_command_run(const Command *command, int argc, char **argv)
{
    return run_or_serve(command, argc, argv, false);
}

const Command command_run = {"run", "SWEEP.yaml [--workers N] [--ranks R] [--set KEY=VALUE] [--dry-run]",
                             "a whole sweep on this machine; the same command again goes on", run_run};
const Command command_coordinator = {"coordinator", "SWEEP.yaml --listen tcp://HOST:PORT", "the sweep's coordinator as a daemon",
                                     coordinator_command_run};
