/* nersweep fetch: a pretrained model from a hub into a folder that appears when all of it is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/hub.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/io/file.h"
#include "core/io/http.h"
#include "model/config.h"
#include "model/weights.h"

enum { CONFIG_LIMIT_BYTES = 64 * 1024 * 1024, SOURCE_LIMIT_BYTES = 64 * 1024 };
#define WEIGHTS_LIMIT_BYTES ((uint64_t)1 << 40)
#define SOURCE_FILE "fetch.json"

typedef struct FetchFlags {
    char *out, *revision;
    int64_t retries, timeout;
    double retry_delay;
    bool json;
} FetchFlags;

static const OptionDescriptor fetch_descriptors[] = {
    FLAG_STRING(FetchFlags, out, "folder to make (required)"),
    FLAG_STRING(FetchFlags, revision, "branch, tag or commit; default main"),
    FLAG_INTEGER(FetchFlags, retries, 0, 100, "5", "how often a file is tried again when network or server fail"),
    FLAG_REAL(FetchFlags, retry_delay, 0, 60, "1", "seconds before the first of these, doubled each time"),
    FLAG_INTEGER(FetchFlags, timeout, 1, 3600, "30", "seconds with next to nothing coming after which a server counts as gone"),
    FLAG_BOOLEAN(FetchFlags, json, "print what was fetched as one JSON object"),
};
static const OptionTable fetch_table = {"Options", fetch_descriptors, sizeof fetch_descriptors / sizeof fetch_descriptors[0],
                                        sizeof(FetchFlags)};

/* Without these there is nothing to train with; the others are taken when they are there. */
static const char *const required_files[] = {"config.json", "vocab.txt"};
static const char *const optional_files[] = {"tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
                                             "added_tokens.json"};

typedef struct Fetch {
    HubSource source;
    Hub *hub;
    char *out;     /* without a slash at the end */
    char *partial; /* where the files gather */
    int lock;      /* of partial; -1: none */
} Fetch;

/* -- the folder that gathers */

static Json *source_json(const Fetch *fetch)
{
    Json *json = json_object();
    char *origin = http_origin(fetch->source.endpoint);
    json_set(json, "endpoint", json_string(origin));
    json_set(json, "repository", json_string(fetch->source.repository));
    json_set(json, "revision", json_string(fetch->source.revision));
    json_set(json, "commit", json_string(hub_commit(fetch->hub)));
    free(origin);
    return json;
}

static Status write_source(const Fetch *fetch, Diagnostic *diagnostic)
{
    Json *json = source_json(fetch);
    char *text = json_text(json, JSON_INDENTED), *path = path_join(fetch->partial, SOURCE_FILE);
    Status status = file_write_durable(file_system_posix(), path, text, strlen(text), diagnostic);
    free(text);
    free(path);
    json_destroy(&json);
    return status;
}

/* Does the folder hold the beginning of the same? Then its commit is ours. */
static bool same_source(const Fetch *fetch)
{
    static const char *const keys[] = {"endpoint", "repository", "revision"};
    Json *found = NULL, *wanted = source_json(fetch);
    char *path = path_join(fetch->partial, SOURCE_FILE);
    bool same = json_read_file(&found, path, SOURCE_LIMIT_BYTES, NULL) == STATUS_OK && json_string_value(json_get(found, "commit"));
    for (size_t i = 0; same && i < sizeof keys / sizeof *keys; i++) {
        const char *value = json_string_value(json_get(found, keys[i]));
        same = value && strcmp(value, json_string_value(json_get(wanted, keys[i]))) == 0;
    }
    if (same)
        hub_set_commit(fetch->hub, json_string_value(json_get(found, "commit")));
    json_destroy(&found);
    json_destroy(&wanted);
    free(path);
    return same;
}

/* Removes what stands in the folder; the folder stays, it is locked. */
static Status empty_folder(const char *folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    StringArray names = {0};
    TRY(folder_list(folder, &names, diagnostic));
    for (size_t i = 0; i < names.count; i++) {
        char *path = path_join(folder, names.items[i]);
        status = folder_remove_tree(path, diagnostic);
        free(path);
        if (status != STATUS_OK)
            goto out;
    }
out:
    string_array_free(&names);
    return status;
}

static Status open_partial(Fetch *fetch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(folder_create(file_system_posix(), fetch->partial, diagnostic));
    fetch->lock = open(fetch->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fetch->lock < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", fetch->partial, strerror(errno));
    if (flock(fetch->lock, LOCK_EX | LOCK_NB) != 0)
        TRY_FAIL(diagnostic, STATUS_BUSY, "another nersweep fetch is at work in %s", fetch->partial);
    if (!same_source(fetch))
        TRY(empty_folder(fetch->partial, diagnostic));
    TRY(write_source(fetch, diagnostic));
out:
    return status;
}

/* -- the files */

static Status fetch_required(Fetch *fetch, const char *name, Diagnostic *diagnostic)
{
    bool found;
    Status status = hub_fetch_file(fetch->hub, name, fetch->partial, CONFIG_LIMIT_BYTES, &found, diagnostic);
    if (status == STATUS_OK && !found)
        return FAIL(diagnostic, STATUS_NOT_FOUND,
                    "%s (%s) has no %s, without which no BERT model can be used; is the name of the repository right?",
                    fetch->source.repository, fetch->source.revision, name);
    return status;
}

static Status fetch_shards(Fetch *fetch, const WeightsForm *form, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *index = NULL;
    StringArray names = {0};
    char *path = path_join(fetch->partial, form->file);
    TRY(json_read_file(&index, path, WEIGHTS_INDEX_LIMIT_BYTES, diagnostic));
    TRY(weights_index_files(index, path, form->shard_suffix, &names, diagnostic));
    for (size_t i = 0; i < names.count; i++) {
        bool found;
        TRY(hub_fetch_file(fetch->hub, names.items[i], fetch->partial, WEIGHTS_LIMIT_BYTES, &found, diagnostic));
        if (!found)
            TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "%s has no %s, which its %s names", fetch->source.repository, names.items[i],
                     form->file);
    }
out:
    string_array_free(&names);
    json_destroy(&index);
    free(path);
    return status;
}

static Status fetch_weights(Fetch *fetch, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < WEIGHTS_FORM_COUNT; i++) {
        const WeightsForm *form = &WEIGHTS_FORMS[i];
        bool found;
        Status status = hub_fetch_file(fetch->hub, form->file, fetch->partial,
                                       form->shard_suffix ? WEIGHTS_INDEX_LIMIT_BYTES : WEIGHTS_LIMIT_BYTES, &found, diagnostic);
        if (status != STATUS_OK || found)
            return status == STATUS_OK && form->shard_suffix ? fetch_shards(fetch, form, diagnostic) : status;
    }
    return FAIL(diagnostic, STATUS_NOT_FOUND,
                "%s (%s) has no weights that nersweep reads: neither model.safetensors nor pytorch_model.bin, whole or in parts",
                fetch->source.repository, fetch->source.revision);
}

static Status fetch_files(Fetch *fetch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < sizeof required_files / sizeof *required_files; i++) {
        TRY(fetch_required(fetch, required_files[i], diagnostic));
        TRY(write_source(fetch, diagnostic)); /* the commit is known now: what comes later is of the same */
    }
    for (size_t i = 0; i < sizeof optional_files / sizeof *optional_files; i++) {
        bool found;
        TRY(hub_fetch_file(fetch->hub, optional_files[i], fetch->partial, CONFIG_LIMIT_BYTES, &found, diagnostic));
    }
    TRY(fetch_weights(fetch, diagnostic));
out:
    return status;
}

/* What was fetched is what the hub has; whether nersweep can use it is said now and not in an hour. */
static void warn_if_unusable(const char *folder)
{
    Diagnostic diagnostic = {0};
    BertConfig config = {0};
    Weights *weights = NULL;
    char *path = path_join(folder, "config.json");
    if (bert_config_read(&config, path, &diagnostic) != STATUS_OK || weights_open(&weights, folder, &diagnostic) != STATUS_OK)
        LOG_WARNING("fetched, but nersweep cannot use it: %s", diagnostic.message);
    weights_close(&weights);
    bert_config_free(&config);
    free(path);
}

static Status publish(Fetch *fetch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *parent = path_folder(fetch->out);
    TRY(write_source(fetch, diagnostic));
    TRY(folder_sync(file_system_posix(), fetch->partial, diagnostic));
    if (path_exists(fetch->out))
        TRY_FAIL(diagnostic, STATUS_EXISTS, "%s has come into being in the meantime; what was fetched is in %s", fetch->out,
                 fetch->partial);
    if (rename(fetch->partial, fetch->out) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot rename %s to %s: %s", fetch->partial, fetch->out, strerror(errno));
    TRY(folder_sync(file_system_posix(), parent, diagnostic));
out:
    free(parent);
    return status;
}

/* After a failure that the next run would meet again nothing is left behind; otherwise what has come stays, to go on from. */
static void clean_up(const Fetch *fetch, Status status)
{
    bool hopeless = status == STATUS_NOT_FOUND || status == STATUS_PERMISSION || status == STATUS_UNSUPPORTED ||
                    status == STATUS_LIMIT || status == STATUS_MISMATCH;
    if (hopeless && folder_remove_tree(fetch->partial, NULL) != STATUS_OK)
        LOG_WARNING("%s could not be removed", fetch->partial);
    if (!hopeless && path_exists(fetch->partial))
        LOG_INFO("what has come is kept in %s; the same command goes on from there", fetch->partial);
}

static Status fetch_model(Fetch *fetch, const HubSettings *settings, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool begun = false;
    if (path_exists(fetch->out))
        TRY_FAIL(diagnostic, STATUS_EXISTS, "%s is there already; give a folder that is not", fetch->out);
    TRY(hub_open(&fetch->hub, &fetch->source, settings, diagnostic));
    TRY(open_partial(fetch, diagnostic));
    begun = true;
    TRY(fetch_files(fetch, diagnostic));
    TRY(publish(fetch, diagnostic));
    warn_if_unusable(fetch->out);
out:
    if (status != STATUS_OK && begun)
        clean_up(fetch, status);
    return status;
}

/* -- the command */

static Status print_result(const Fetch *fetch, bool as_json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    StringArray names = {0};
    TRY(folder_list(fetch->out, &names, diagnostic));
    if (!as_json) {
        printf("%s: %s, revision %s%s%s, %zu files\n", fetch->out, fetch->source.repository, fetch->source.revision,
               hub_commit(fetch->hub)[0] ? ", commit " : "", hub_commit(fetch->hub), names.count);
        goto out;
    }
    Json *json = source_json(fetch), *files = json_array();
    for (size_t i = 0; i < names.count; i++)
        json_append(files, json_string(names.items[i]));
    json_set(json, "folder", json_string(fetch->out));
    json_set(json, "files", files);
    command_print_json(&json, JSON_COMPACT);
out:
    string_array_free(&names);
    return status;
}

static char *without_slashes(const char *text)
{
    size_t size = strlen(text);
    while (size > 1 && text[size - 1] == '/')
        size--;
    return memory_copy_bytes(text, size);
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

static int fetch_run(const Command *command, int argc, char **argv)
{
    FetchFlags flags;
    OptionBinding binding = {&fetch_table, &flags};
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0};
    Fetch fetch = {.lock = -1};
    char *endpoint = NULL;
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code >= 0)
        goto out;
    code = 0;
    if (positional.count != 1 || !flags.out || !flags.out[0]) {
        code = command_usage_error(command, positional.count != 1 ? "exactly one repository is wanted" : "--out is required");
        goto out;
    }
    HubSettings settings = {.retries = (int)flags.retries,
                            .retry_delay_s = flags.retry_delay,
                            .timeout_s = (int)flags.timeout,
                            .interrupted = command_catch_interrupts()};
    endpoint = without_slashes(from_environment("HF_ENDPOINT", "https://huggingface.co"));
    fetch.source = (HubSource){.endpoint = endpoint,
                               .repository = positional.items[0],
                               .revision = flags.revision && flags.revision[0] ? flags.revision : "main",
                               .token = from_environment("HF_TOKEN", NULL)};
    fetch.out = without_slashes(flags.out);
    fetch.partial = memory_format("%s.partial", fetch.out);
    if (fetch_model(&fetch, &settings, &diagnostic) != STATUS_OK || print_result(&fetch, flags.json, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
out:
    if (fetch.lock >= 0)
        close(fetch.lock);
    hub_close(&fetch.hub);
    free(endpoint);
    free(fetch.out);
    free(fetch.partial);
    array_free(&positional);
    options_free(&fetch_table, &flags);
    return code;
}

const Command command_fetch = {"fetch", "REPO --out DIR [--revision main]",
                               "a pretrained model from a Hugging Face hub, resumed and hash-checked", fetch_run};
