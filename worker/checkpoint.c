#include "worker/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "model/folder.h"
#include "model/safetensors.h"

enum { STATE_SIZE_LIMIT = 64 * 1024 * 1024, COLLECT_GRACE_S = 3600 };

static const char state_suffix[] = ".state";

void checkpoint_name(AssignmentId id, int64_t step, char name[CHECKPOINT_NAME_SIZE])
{
    snprintf(name, CHECKPOINT_NAME_SIZE, "trial-%06" PRIu32 "/f%08" PRIu64 "-step-%08" PRId64, id.trial, id.fence, step);
}

bool checkpoint_name_parse(const char *name, uint32_t trial, uint64_t *fence, int64_t *step, bool *is_state)
{
    uint32_t read_trial;
    uint64_t read_fence;
    int64_t read_step;
    int end = 0;
    if (sscanf(name, "trial-%" SCNu32 "/f%" SCNu64 "-step-%" SCNd64 "%n", &read_trial, &read_fence, &read_step, &end) < 3 ||
        end == 0)
        return false;
    bool state = strcmp(name + end, state_suffix) == 0;
    if (read_trial != trial || (name[end] != '\0' && !state))
        return false;
    if (fence)
        *fence = read_fence;
    if (step)
        *step = read_step;
    if (is_state)
        *is_state = state;
    return true;
}

static Status manifest_add_bytes(Store *store, StoreManifest *manifest, const char *name, const void *bytes, size_t size,
                                 Diagnostic *diagnostic)
{
    StoreFile file = {.size = size};
    snprintf(file.name, sizeof file.name, "%s", name);
    Status status = store_put_bytes(store, bytes, size, file.sha256, diagnostic);
    if (status == STATUS_OK)
        array_push(&manifest->files, file);
    return status;
}

static Status manifest_add_file(Store *store, StoreManifest *manifest, const char *folder, const char *name, Diagnostic *diagnostic)
{
    StoreFile file = {0};
    snprintf(file.name, sizeof file.name, "%s", name);
    char *path = path_join(folder, name);
    Status status = store_put_file(store, path, file.sha256, &file.size, diagnostic);
    if (status == STATUS_OK)
        array_push(&manifest->files, file);
    free(path);
    return status;
}

static const StoreFile *manifest_find(const StoreManifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->files.count; i++) {
        if (strcmp(manifest->files.items[i].name, name) == 0)
            return &manifest->files.items[i];
    }
    return NULL;
}

static Status put_manifest(const CheckpointKind *kind, const char *name, const TrialState *state, StoreManifest *manifest,
                           Diagnostic *diagnostic)
{
    manifest->notes = json_object();
    json_set(manifest->notes, "trial", json_integer(kind->id.trial));
    json_set(manifest->notes, "step", json_integer(state->step));
    if (kind->machine)
        json_set(manifest->notes, "machine", json_copy(kind->machine));
    return store_manifest_put(kind->store, name, manifest, diagnostic);
}

/* The model folder into the store. model_file receives the entry of the weights, which the state shares. */
static Status write_model(const CheckpointKind *kind, const char *name, Model *model, const TrialState *state,
                          StoreFile *model_file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    StringArray names = {0};
    StoreManifest manifest = {0};
    HostFloats parameters = {0};
    char *folder = path_join(kind->work_folder, "checkpoint");
    TRY(model_parameters_open(model, &parameters, diagnostic));
    TRY(folder_remove_tree(folder, diagnostic));
    TRY(folder_create(file_system_posix(), folder, diagnostic));
    TRY(model_folder_write(folder, model_config(model), model_layout(model), parameters.values, kind->vocab_folder, kind->lowercase,
                           kind->max_seq_length, kind->notes, file_system_posix(), diagnostic));
    TRY(folder_list(folder, &names, diagnostic));
    for (size_t i = 0; i < names.count; i++)
        TRY(manifest_add_file(kind->store, &manifest, folder, names.items[i], diagnostic));
    const StoreFile *weights = manifest_find(&manifest, "model.safetensors");
    ASSERT(weights);
    *model_file = *weights;
    TRY(put_manifest(kind, name, state, &manifest, diagnostic));
out:
    if (folder_remove_tree(folder, NULL) != STATUS_OK)
        LOG_WARNING("cannot remove %s", folder);
    store_manifest_free(&manifest);
    string_array_free(&names);
    host_floats_close(&parameters);
    free(folder);
    return status;
}

static Json *state_json(const CheckpointKind *kind, const TrialState *state, const int64_t *part_t, int32_t part_count)
{
    Json *json = json_object(), *times = json_array();
    for (int32_t part = 0; part < part_count; part++)
        json_append(times, json_integer(part_t[part]));
    json_set(json, "format", json_integer(TRIAL_STATE_FORMAT));
    json_set(json, "identity", json_copy(kind->identity));
    json_set(json, "part_t", times);
    json_set(json, "state", trial_state_json(state));
    return json;
}

static void next_moments(void *context, const float **values, size_t *floats)
{
    moments_next(context, values, floats);
}

static Status write_moments(const CheckpointKind *kind, const ModelLayout *layout, MomentStream *moments, StoreManifest *manifest,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *path = path_join(kind->work_folder, "optimizer.safetensors");
    TensorOut tensors[2] = {{.name = "first_moment"}, {.name = "second_moment"}};
    for (size_t i = 0; i < 2; i++) {
        tensors[i].rank = 1;
        tensors[i].shape[0] = (int64_t)layout->float_count;
        tensors[i].count = layout->float_count;
        tensors[i].next = next_moments;
        tensors[i].context = moments;
    }
    TRY(safetensors_write(path, tensors, 2, NULL, 0, file_system_posix(), diagnostic));
    TRY(manifest_add_file(kind->store, manifest, kind->work_folder, "optimizer.safetensors", diagnostic));
out:
    if (folder_remove_tree(path, NULL) != STATUS_OK)
        LOG_WARNING("cannot remove %s", path);
    free(path);
    return status;
}

static Status write_state(const CheckpointKind *kind, const char *name, Model *model, MomentStream *moments,
                          const TrialState *state, const StoreFile *model_file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    StoreManifest manifest = {0};
    Json *json = NULL;
    char *text = NULL, *state_name = memory_format("%s%s", name, state_suffix);
    array_push(&manifest.files, *model_file);
    TRY(write_moments(kind, layout, moments, &manifest, diagnostic));
    json = state_json(kind, state, moments_part_t(moments), layout->part_count);
    text = json_text(json, JSON_CANONICAL);
    TRY(manifest_add_bytes(kind->store, &manifest, "trainer_state.json", text, strlen(text), diagnostic));
    TRY(put_manifest(kind, state_name, state, &manifest, diagnostic));
out:
    store_manifest_free(&manifest);
    json_destroy(&json);
    free(text);
    free(state_name);
    return status;
}

Status checkpoint_write(const CheckpointKind *kind, Model *model, MomentStream *moments, const TrialState *state,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    StoreFile model_file;
    const char *name = trial_state_last(state)->checkpoint;
    if (fault_point("worker.before_checkpoint"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure before the checkpoint");
    TRY(write_model(kind, name, model, state, &model_file, diagnostic));
    TRY(write_state(kind, name, model, moments, state, &model_file, diagnostic));
    if (fault_point("worker.checkpoint_written"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure after the checkpoint");
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "writing checkpoint %s", name);
    return status;
}

/* Path of a manifest's file in the store, its bytes verified. The caller frees it. */
static Status verified_path(Store *store, const StoreManifest *manifest, const char *name, char **path, Diagnostic *diagnostic)
{
    char hex[SHA256_HEX_SIZE];
    *path = NULL;
    const StoreFile *file = manifest_find(manifest, name);
    if (!file)
        return FAIL(diagnostic, STATUS_CORRUPT, "the checkpoint has no %s", name);
    char *object = store_object_path(store, file->sha256);
    Status status = sha256_file_hex(object, hex, diagnostic);
    if (status == STATUS_OK && strcmp(hex, file->sha256) != 0)
        status = FAIL(diagnostic, STATUS_CORRUPT, "%s: its bytes are not what the checkpoint says of %s", object, name);
    if (status == STATUS_OK)
        *path = object;
    else
        free(object);
    return status;
}

static Status read_model(Store *store, const StoreManifest *manifest, Model *model, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    Safetensors *file = NULL;
    void *values = NULL;
    char *path = NULL;
    TRY(verified_path(store, manifest, "model.safetensors", &path, diagnostic));
    TRY(safetensors_open(&file, path, diagnostic));
    TRY(memory_try_allocate(&values, layout->float_count, sizeof(float), diagnostic));
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        const TensorEntry *entry = safetensors_find(file, parameter->name);
        if (!entry)
            TRY_FAIL(diagnostic, STATUS_MISMATCH, "%s has no tensor %s", path, parameter->name);
        TRY(safetensors_read_floats(entry, (float *)values + parameter->offset, parameter->count, diagnostic));
    }
    TRY(model_parameters_set(model, values, diagnostic));
out:
    safetensors_close(&file);
    free(values);
    free(path);
    return status;
}

static Status read_part_t(const Json *json, const char *path, int64_t *part_t, int32_t part_count, Diagnostic *diagnostic)
{
    const Json *times = json_get(json, "part_t");
    if (!json_is_array(times) || json_count(times) != (size_t)part_count)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: \"part_t\" is no list of %d numbers", path, part_count);
    for (int32_t part = 0; part < part_count; part++) {
        part_t[part] = json_integer_value(json_at(times, (size_t)part), -1);
        if (part_t[part] < 0)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: \"part_t\" holds something else than counts", path);
    }
    return STATUS_OK;
}

static Status read_optimizer(Store *store, const StoreManifest *manifest, const ModelLayout *layout, const int64_t *part_t,
                             Optimizer *optimizer, Diagnostic *diagnostic)
{
    static const char *const names[] = {"first_moment", "second_moment"};
    Status status = STATUS_OK;
    Safetensors *file = NULL;
    void *moments = NULL;
    char *path = NULL;
    TRY(verified_path(store, manifest, "optimizer.safetensors", &path, diagnostic));
    TRY(safetensors_open(&file, path, diagnostic));
    TRY(memory_try_allocate(&moments, 2 * layout->float_count, sizeof(float), diagnostic));
    float *values = moments;
    for (size_t i = 0; i < 2; i++) {
        const TensorEntry *entry = safetensors_find(file, names[i]);
        if (!entry)
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s has no tensor %s", path, names[i]);
        TRY(safetensors_read_floats(entry, values + i * layout->float_count, layout->float_count, diagnostic));
    }
    TRY(optimizer_state_set(optimizer, values, values + layout->float_count, part_t, diagnostic));
out:
    safetensors_close(&file);
    free(moments);
    free(path);
    return status;
}

static Status check_identity(const CheckpointKind *kind, const Json *identity, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (const char *key = json_next_key(kind->identity, NULL); key && status == STATUS_OK;
         key = json_next_key(kind->identity, key)) {
        char *wanted = json_text(json_get(kind->identity, key), JSON_CANONICAL);
        const Json *value = json_get(identity, key);
        char *found = value ? json_text(value, JSON_CANONICAL) : memory_copy_string("nothing");
        if (strcmp(wanted, found) != 0)
            status = FAIL(diagnostic, STATUS_MISMATCH, "it was made with other %s: %.300s, now %.300s", key, found, wanted);
        free(wanted);
        free(found);
    }
    return status;
}

Status checkpoint_restore(const CheckpointKind *kind, const char *name, Model *model, Optimizer *optimizer, TrialState *state,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    StoreManifest manifest = {0};
    TrialState read = {.best = -1};
    Json *json = NULL;
    char *path = NULL, *state_name = memory_format("%s%s", name, state_suffix);
    int64_t *part_t = memory_allocate((size_t)layout->part_count, sizeof *part_t);
    int64_t format;
    TRY(store_manifest_get(kind->store, state_name, &manifest, diagnostic));
    TRY(verified_path(kind->store, &manifest, "trainer_state.json", &path, diagnostic));
    TRY(json_read_file(&json, path, STATE_SIZE_LIMIT, diagnostic));
    TRY(json_require_integer(json, "format", path, TRIAL_STATE_FORMAT, TRIAL_STATE_FORMAT, &format, diagnostic));
    TRY(check_identity(kind, json_get(json, "identity"), diagnostic));
    TRY(trial_state_parse(&read, json_get(json, "state"), path, diagnostic));
    TRY(read_part_t(json, path, part_t, layout->part_count, diagnostic));
    TRY(read_optimizer(kind->store, &manifest, layout, part_t, optimizer, diagnostic));
    TRY(read_model(kind->store, &manifest, model, diagnostic));
    trial_state_free(state);
    *state = read;
    read = (TrialState){.best = -1};
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "going on from checkpoint %s", name);
    trial_state_free(&read);
    store_manifest_free(&manifest);
    json_destroy(&json);
    free(path);
    free(state_name);
    free(part_t);
    return status;
}

/* "ranks 2 instead of 1" and so on, one after another. False: they are the same, or one is not known. */
static bool append_difference(Text *difference, const char *what, const Json *then, const Json *now)
{
    if (!then || !now)
        return false;
    char *before = json_text(then, JSON_COMPACT), *here = json_text(now, JSON_COMPACT);
    bool differs = strcmp(before, here) != 0;
    if (differs)
        text_format(difference, "%s%s %s instead of %s", difference->size ? ", " : "", what, here, before);
    free(before);
    free(here);
    return differs;
}

/* How a user gets the old level again: it is the first word of the features. */
static void append_remedy(Text *difference, const Json *then, const Json *now)
{
    const char *features = json_string_value(json_get(then, "features")), *here = json_string_value(json_get(now, "features"));
    const char *backend = json_string_value(json_get(then, "backend"));
    int level = features ? (int)strcspn(features, ", ") : 0;
    bool same_level = here && features && (int)strcspn(here, ", ") == level && strncmp(here, features, (size_t)level) == 0;
    if (level > 0 && backend && strcmp(backend, "cpu") == 0 && !same_level)
        text_format(difference, "; NERSWEEP_CPU_FEATURES=%.*s keeps to the former level where a processor has it", level, features);
}

Status checkpoint_compare_machine(const CheckpointKind *kind, const char *name, Text *difference, bool *changes_bits,
                                  Diagnostic *diagnostic)
{
    static const struct {
        const char *key, *text;
        bool changes_bits;
    } parts[] = {{"backend", "backend", true},
                 {"features", "processor features", true},
                 {"ranks", "ranks", true},
                 {"micro_batch", "sentences of a micro-batch", true},
                 {"threads", "threads", false}};
    Status status = STATUS_OK;
    StoreManifest manifest = {0};
    char *state_name = memory_format("%s%s", name, state_suffix);
    const char *deterministic = json_string_value(json_get(json_get(kind->identity, "options"), "deterministic"));
    bool any_world = deterministic && strcmp(deterministic, "world") == 0;
    *changes_bits = false;
    TRY(store_manifest_get(kind->store, state_name, &manifest, diagnostic));
    const Json *then = json_get(manifest.notes, "machine");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (append_difference(difference, parts[i].text, json_get(then, parts[i].key), json_get(kind->machine, parts[i].key)))
            *changes_bits |= parts[i].changes_bits && !(any_world && strcmp(parts[i].key, "ranks") == 0);
    }
    if (*changes_bits)
        append_remedy(difference, then, kind->machine);
out:
    store_manifest_free(&manifest);
    free(state_name);
    return status;
}

Status checkpoint_precision(Store *store, const char *name, char precision[CHECKPOINT_PRECISION_SIZE], Diagnostic *diagnostic)
{
    StoreManifest manifest = {0};
    Status status = store_manifest_get(store, name, &manifest, diagnostic);
    const char *text = json_string_value(json_get(json_get(manifest.notes, "machine"), "precision"));
    snprintf(precision, CHECKPOINT_PRECISION_SIZE, "%s", text ? text : "fp32");
    store_manifest_free(&manifest);
    return status;
}

Status checkpoint_load_model(Store *store, const char *name, Model *model, Diagnostic *diagnostic)
{
    StoreManifest manifest = {0};
    Status status = store_manifest_get(store, name, &manifest, diagnostic);
    if (status == STATUS_OK)
        status = read_model(store, &manifest, model, diagnostic);
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "loading checkpoint %s", name);
    store_manifest_free(&manifest);
    return status;
}

static Status list_trial(Store *store, uint32_t trial, StringArray *names, Diagnostic *diagnostic)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "trial-%06" PRIu32, trial);
    return store_manifest_list(store, prefix, names, diagnostic);
}

Status checkpoint_find_latest(Store *store, uint32_t trial, char **name, Diagnostic *diagnostic)
{
    StringArray names = {0};
    int64_t latest = -1;
    uint64_t latest_fence = 0;
    *name = NULL;
    Status status = list_trial(store, trial, &names, diagnostic);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++) {
        uint64_t fence;
        int64_t step;
        bool is_state;
        if (!checkpoint_name_parse(names.items[i], trial, &fence, &step, &is_state) || !is_state)
            continue;
        if (step < latest || (step == latest && fence < latest_fence))
            continue;
        latest = step;
        latest_fence = fence;
        free(*name);
        *name = memory_copy_bytes(names.items[i], strlen(names.items[i]) - (sizeof state_suffix - 1));
    }
    string_array_free(&names);
    return status;
}

static Status delete_state(Store *store, const char *checkpoint, Diagnostic *diagnostic)
{
    char *name = memory_format("%s%s", checkpoint, state_suffix);
    Status status = store_manifest_delete(store, name, diagnostic);
    free(name);
    return status;
}

static int64_t best_up_to(const TrialState *state, uint64_t count)
{
    int64_t best = -1;
    for (uint64_t i = 0; i < count; i++) {
        if (best < 0 || state->evaluations.items[i].score > state->evaluations.items[best].score)
            best = (int64_t)i;
    }
    return best;
}

Status checkpoint_prune(const CheckpointKind *kind, const TrialState *state, uint64_t acknowledged, int64_t limit, uint64_t *pruned,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (acknowledged > state->evaluations.count)
        acknowledged = state->evaluations.count;
    if (acknowledged <= *pruned)
        return STATUS_OK;
    /* Two bests: who knows only the acknowledged evaluations names the one, this trial goes on with the other. */
    int64_t best = best_up_to(state, acknowledged);
    int64_t kept = 1 + (best != (int64_t)acknowledged - 1);
    for (int64_t i = (int64_t)acknowledged - 2; i >= 0; i--) {
        const char *name = state->evaluations.items[i].checkpoint;
        TRY(delete_state(kind->store, name, diagnostic));
        if (i == best || i == state->best)
            continue;
        if (kept < limit)
            kept++;
        else
            TRY(store_manifest_delete(kind->store, name, diagnostic));
    }
    *pruned = acknowledged;
    size_t deleted;
    TRY(store_collect(kind->store, COLLECT_GRACE_S, &deleted, diagnostic));
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "removing old checkpoints of trial %" PRIu32, kind->id.trial);
    return status;
}

static bool state_knows(const TrialState *state, const char *name, bool is_state)
{
    size_t length = strlen(name) - (is_state ? sizeof state_suffix - 1 : 0);
    for (size_t i = 0; i < state->evaluations.count; i++) {
        const char *checkpoint = state->evaluations.items[i].checkpoint;
        if (strlen(checkpoint) == length && strncmp(checkpoint, name, length) == 0)
            return true;
    }
    return false;
}

Status checkpoint_drop_unknown(const CheckpointKind *kind, const TrialState *state, Diagnostic *diagnostic)
{
    StringArray names = {0};
    Status status = list_trial(kind->store, kind->id.trial, &names, diagnostic);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++) {
        uint64_t fence;
        bool is_state;
        if (!checkpoint_name_parse(names.items[i], kind->id.trial, &fence, NULL, &is_state) || fence > kind->id.fence ||
            state_knows(state, names.items[i], is_state))
            continue;
        LOG_INFO("dropping %s of an earlier attempt", names.items[i]);
        status = store_manifest_delete(kind->store, names.items[i], diagnostic);
    }
    string_array_free(&names);
    return status;
}
