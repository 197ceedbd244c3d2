/* nersweep status, best and pull: readers of a sweep, with or without its coordinator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/sweep_place.h"
#include "coordinator/importance.h"
#include "core/io/file.h"
#include "core/store/store.h"

typedef struct StatusFlags {
    char *key;
    bool insecure, json;
} StatusFlags;
static const OptionDescriptor status_descriptors[] = {
    SWEEP_ACCESS_FLAGS(StatusFlags),
    FLAG_BOOLEAN(StatusFlags, json, "print one JSON object"),
};
static const OptionTable status_table = {"Options", status_descriptors, sizeof status_descriptors / sizeof status_descriptors[0],
                                         sizeof(StatusFlags)};

typedef struct BestFlags {
    char *key;
    bool insecure, json, importance;
} BestFlags;
static const OptionDescriptor best_descriptors[] = {
    SWEEP_ACCESS_FLAGS(BestFlags),
    FLAG_BOOLEAN(BestFlags, json, "print one JSON object"),
    FLAG_BOOLEAN(BestFlags, importance, "also how much of the scores' variance each parameter explains (functional ANOVA)"),
};
static const OptionTable best_table = {"Options", best_descriptors, sizeof best_descriptors / sizeof best_descriptors[0],
                                       sizeof(BestFlags)};

typedef struct PullFlags {
    char *out, *key;
    int64_t trial;
    bool insecure, json;
} PullFlags;
static const OptionDescriptor pull_descriptors[] = {
    FLAG_STRING(PullFlags, out, "new folder for the model (required)"),
    FLAG_INTEGER(PullFlags, trial, -1, 1000000, "-1", "best checkpoint of this trial instead of the winner's"),
    SWEEP_ACCESS_FLAGS(PullFlags),
    FLAG_BOOLEAN(PullFlags, json, "print what was pulled as JSON"),
};
static const OptionTable pull_table = {"Options", pull_descriptors, sizeof pull_descriptors / sizeof pull_descriptors[0],
                                       sizeof(PullFlags)};

/* Parses, finds the sweep and reads its status. key and insecure: members of the options bound. Returns -1 to go on. */
static int read_status(const Command *command, const OptionBinding *binding, char *const *key, const bool *insecure, int argc,
                       char **argv, char **folder, Json **status_json, bool *live)
{
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0};
    int code = command_parse(command, binding, 1, argc, argv, &positional);
    if (code < 0 && positional.count > 1)
        code = command_usage_error(command, "one sweep is expected, not %zu", positional.count);
    if (code < 0 && sweep_place_find(positional.count ? positional.items[0] : NULL, folder, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    SweepAccess access = {.key_file = *key, .insecure = *insecure};
    if (code < 0 && sweep_place_status(*folder, &access, status_json, live, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    array_free(&positional);
    return code;
}

static int status_run(const Command *command, int argc, char **argv)
{
    StatusFlags flags = {0};
    OptionBinding binding = {&status_table, &flags};
    char *folder = NULL;
    Json *json = NULL;
    bool live = false;
    int code = read_status(command, &binding, &flags.key, &flags.insecure, argc, argv, &folder, &json, &live);
    if (code < 0) {
        code = 0;
        if (flags.json) {
            json_set(json, "live", json_boolean(live));
            command_print_json(&json, JSON_COMPACT);
        } else {
            sweep_place_print(json, stdout, command_colours(stdout), 1000);
            if (!live)
                puts("(no coordinator is running; this is what the journal says)");
        }
    }
    json_destroy(&json);
    free(folder);
    options_free(&status_table, &flags);
    return code;
}

static void print_ranking(const Json *json)
{
    const Json *ranking = json_get(json, "ranking");
    printf("rank  configuration    mean F1     spread  trials\n");
    for (size_t i = 0; i < json_count(ranking); i++) {
        const Json *row = json_at(ranking, i), *trials = json_get(row, "trials");
        printf("%4zu  %13lld  %9.4f  %9.4f ", i + 1, (long long)json_integer_value(json_get(row, "configuration"), 0),
               json_number_value(json_get(row, "mean"), 0), json_number_value(json_get(row, "spread"), 0));
        for (size_t k = 0; k < json_count(trials); k++)
            printf(" %lld", (long long)json_integer_value(json_at(trials, k), 0));
        putchar('\n');
    }
}

/* What the status has under this key; null where it has nothing. */
static void set_copy(Json *out, const char *key, const Json *status_json)
{
    const Json *value = json_get(status_json, key);
    json_set(out, key, value ? json_copy(value) : json_null());
}

static void print_importance(const Json *importance)
{
    const Json *parameters = json_get(importance, "parameters");
    double rest = 1;
    printf("share of the variance (functional ANOVA over %lld configurations)\n",
           (long long)json_integer_value(json_get(importance, "configurations"), 0));
    for (size_t i = 0; i < json_count(parameters); i++) {
        const Json *row = json_at(parameters, i);
        double share = json_number_value(json_get(row, "share"), 0);
        printf("%8.1f%%  %s\n", 100 * share, json_string_value(json_get(row, "parameter")));
        rest -= share;
    }
    printf("%8.1f%%  together\n", 100 * (rest > 0 ? rest : 0));
}

static void print_best(const Json *json, const Json *importance)
{
    const Json *winner = json_get(json, "winner");
    const char *checkpoint = json_string_value(json_get(winner, "checkpoint"));
    print_ranking(json);
    if (json_is_object(winner))
        printf("best: trial %lld, F1 %.4f, checkpoint %s\n", (long long)json_integer_value(json_get(winner, "trial"), 0),
               json_number_value(json_get(winner, "score"), 0), checkpoint ? checkpoint : "none");
    if (importance)
        print_importance(importance);
}

static void print_best_json(const Json *json, const Json *importance)
{
    Json *out = json_object();
    set_copy(out, "name", json);
    set_copy(out, "winner", json);
    set_copy(out, "ranking", json);
    if (importance)
        json_set(out, "importance", json_copy(importance));
    command_print_json(&out, JSON_COMPACT);
}

static int best_run(const Command *command, int argc, char **argv)
{
    BestFlags flags = {0};
    OptionBinding binding = {&best_table, &flags};
    char *folder = NULL;
    Json *json = NULL, *importance = NULL;
    Diagnostic diagnostic = {0};
    bool live = false;
    int code = read_status(command, &binding, &flags.key, &flags.insecure, argc, argv, &folder, &json, &live);
    if (code < 0 && flags.importance && sweep_importance_read(folder, &importance, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    if (code < 0) {
        code = 0;
        if (flags.json)
            print_best_json(json, importance);
        else
            print_best(json, importance);
    }
    json_destroy(&importance);
    json_destroy(&json);
    free(folder);
    options_free(&best_table, &flags);
    return code;
}

/* The checkpoint asked for: of the winner, or of a trial. NULL when it has none. */
static const char *find_checkpoint(const Json *json, int64_t trial)
{
    if (trial < 0)
        return json_string_value(json_get(json_get(json, "winner"), "checkpoint"));
    const Json *trials = json_get(json, "trials");
    for (size_t i = 0; i < json_count(trials); i++)
        if (json_integer_value(json_get(json_at(trials, i), "trial"), -1) == trial)
            return json_string_value(json_get(json_at(trials, i), "best_checkpoint"));
    return NULL;
}

static Status pull_checkpoint(const char *folder, const char *checkpoint, const char *out, Diagnostic *diagnostic)
{
    Store *store = NULL;
    Status status = store_open(&store, folder, file_system_posix(), diagnostic);
    if (status == STATUS_OK)
        status = store_manifest_extract(store, checkpoint, out, diagnostic);
    store_close(&store);
    return status;
}

static int pull_run(const Command *command, int argc, char **argv)
{
    PullFlags flags = {0};
    OptionBinding binding = {&pull_table, &flags};
    char *folder = NULL;
    Json *json = NULL;
    Diagnostic diagnostic = {0};
    bool live = false;
    int code = read_status(command, &binding, &flags.key, &flags.insecure, argc, argv, &folder, &json, &live);
    if (code >= 0)
        goto out;
    code = 0;
    if (flags.out == NULL) {
        code = command_usage_error(command, "--out is required");
        goto out;
    }
    const char *checkpoint = find_checkpoint(json, flags.trial);
    if (checkpoint == NULL || checkpoint[0] == '\0') {
        (void)FAIL(&diagnostic, STATUS_NOT_FOUND,
                   flags.trial < 0 ? "%s: no trial has a checkpoint yet" : "%s: trial %lld has no checkpoint", folder,
                   (long long)flags.trial);
        code = command_fail(&diagnostic);
        goto out;
    }
    if (pull_checkpoint(folder, checkpoint, flags.out, &diagnostic) != STATUS_OK) {
        code = command_fail(&diagnostic);
        goto out;
    }
    if (flags.json) {
        Json *out = json_object();
        json_set(out, "checkpoint", json_string(checkpoint));
        json_set(out, "out", json_string(flags.out));
        command_print_json(&out, JSON_COMPACT);
    } else {
        printf("%s: checkpoint %s, every file verified\n", flags.out, checkpoint);
    }
out:
    json_destroy(&json);
    free(folder);
    options_free(&pull_table, &flags);
    return code;
}

const Command command_status = {"status", "[SWEEP] [--json]", "how a sweep stands now", status_run};
const Command command_best = {"best", "[SWEEP] [--importance] [--json]", "the ranking of a sweep's configurations", best_run};
const Command command_pull = {"pull", "[SWEEP] [--trial T] --out DIR", "the best checkpoint as a model folder, verified", pull_run};
