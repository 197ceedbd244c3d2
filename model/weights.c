#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/torch_bin.h"

enum { SHARD_LIMIT = 1000, SHARD_NAME_LIMIT = 200, TENSOR_LIMIT = 100000 };

const WeightsForm WEIGHTS_FORMS[WEIGHTS_FORM_COUNT] = {
    {"model.safetensors", NULL},
    {"model.safetensors.index.json", ".safetensors"},
    {"pytorch_model.bin", NULL},
    {"pytorch_model.bin.index.json", ".bin"},
};

/* One of the two is there. */
typedef struct WeightsFile {
    Safetensors *safetensors;
    TorchBin *torch;
} WeightsFile;

typedef struct WeightsTensor {
    TensorEntry entry;
    WeightsFile *file;
    size_t index; /* in file */
} WeightsTensor;

struct Weights {
    char *path;
    Json *index; /* of the files; NULL for one file */
    WeightsFile *files;
    size_t file_count;
    WeightsTensor *tensors; /* [count] sorted by name */
    size_t count;
};

static bool ends_with(const char *text, const char *tail)
{
    size_t size = strlen(text), tail_size = strlen(tail);
    return size > tail_size && strcmp(text + size - tail_size, tail) == 0;
}

/* -- the table */

static size_t file_tensor_count(const WeightsFile *file)
{
    return file->safetensors ? safetensors_count(file->safetensors) : torch_bin_count(file->torch);
}

static int compare_tensors(const void *a, const void *b)
{
    return strcmp(((const WeightsTensor *)a)->entry.name, ((const WeightsTensor *)b)->entry.name);
}

static Status make_table(Weights *weights, Diagnostic *diagnostic)
{
    size_t total = 0;
    for (size_t i = 0; i < weights->file_count; i++)
        total += file_tensor_count(&weights->files[i]);
    if (total > TENSOR_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%s: %zu tensors are over the limit of %d", weights->path, total, TENSOR_LIMIT);
    weights->tensors = memory_allocate(total + 1, sizeof *weights->tensors);
    for (size_t i = 0; i < weights->file_count; i++) {
        WeightsFile *file = &weights->files[i];
        for (size_t j = 0; j < file_tensor_count(file); j++)
            weights->tensors[weights->count++] =
                (WeightsTensor){file->safetensors ? *safetensors_at(file->safetensors, j) : *torch_bin_at(file->torch, j), file, j};
    }
    qsort(weights->tensors, weights->count, sizeof *weights->tensors, compare_tensors);
    for (size_t i = 1; i < weights->count; i++)
        if (compare_tensors(&weights->tensors[i - 1], &weights->tensors[i]) == 0)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: tensor \"%s\" is there twice", weights->path,
                        weights->tensors[i].entry.name);
    return STATUS_OK;
}

static Status open_file(WeightsFile *file, const char *path, Diagnostic *diagnostic)
{
    return ends_with(path, ".bin") ? torch_bin_open(&file->torch, path, diagnostic)
                                   : safetensors_open(&file->safetensors, path, diagnostic);
}

/* -- several files */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each name once; what is left over is freed. */
static void make_unique(StringArray *names)
{
    size_t kept = 0;
    if (names->count)
        qsort(names->items, names->count, sizeof *names->items, compare_strings);
    for (size_t i = 0; i < names->count; i++) {
        if (kept > 0 && strcmp(names->items[kept - 1], names->items[i]) == 0)
            free(names->items[i]);
        else
            names->items[kept++] = names->items[i];
    }
    names->count = kept;
}

Status weights_index_files(const Json *index, const char *path, const char *suffix, StringArray *names, Diagnostic *diagnostic)
{
    const Json *map = json_get(index, "weight_map");
    if (!json_is_object(map) || json_count(map) == 0 || json_count(map) > TENSOR_LIMIT)
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "no \"weight_map\" with the files of 1 to %d tensors", TENSOR_LIMIT);
    for (const char *tensor = json_next_key(map, NULL); tensor; tensor = json_next_key(map, tensor)) {
        const char *name = json_string_value(json_get(map, tensor));
        if (!name || strchr(name, '/') || name[0] == '.' || !ends_with(name, suffix) || strlen(name) > SHARD_NAME_LIMIT)
            return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "the file of tensor \"%s\" is no plain name that ends with %s",
                           tensor, suffix);
        array_push(names, memory_copy_string(name));
    }
    make_unique(names);
    if (names->count > SHARD_LIMIT)
        return FAIL_AT(diagnostic, STATUS_LIMIT, path, 0, 0, "%zu files are over the limit of %d", names->count, SHARD_LIMIT);
    return STATUS_OK;
}

static Status open_shards(Weights *weights, const char *folder, const char *suffix, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    StringArray names = {0};
    TRY(json_read_file(&weights->index, weights->path, WEIGHTS_INDEX_LIMIT_BYTES, diagnostic));
    TRY(weights_index_files(weights->index, weights->path, suffix, &names, diagnostic));
    weights->files = memory_allocate(names.count, sizeof *weights->files);
    for (size_t i = 0; i < names.count; i++) {
        char *path = path_join(folder, names.items[i]);
        status = open_file(&weights->files[weights->file_count++], path, diagnostic);
        free(path);
        if (status != STATUS_OK)
            goto out;
    }
out:
    string_array_free(&names);
    return status;
}

/* The index and the files name the same tensors. */
static Status check_index(const Weights *weights, Diagnostic *diagnostic)
{
    const Json *map = json_get(weights->index, "weight_map");
    for (const char *name = json_next_key(map, NULL); name; name = json_next_key(map, name)) {
        size_t index;
        if (!weights_find(weights, name, &index))
            return FAIL_AT(diagnostic, STATUS_CORRUPT, weights->path, 0, 0,
                           "tensor \"%s\" is not in the file %s that the index names", name,
                           json_string_value(json_get(map, name)));
    }
    return STATUS_OK;
}

/* -- the folder */

static Status open_form(Weights *weights, const char *folder, const WeightsForm *form, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (form->shard_suffix) {
        TRY(open_shards(weights, folder, form->shard_suffix, diagnostic));
    } else {
        weights->files = memory_allocate(1, sizeof *weights->files);
        weights->file_count = 1;
        TRY(open_file(weights->files, weights->path, diagnostic));
    }
    TRY(make_table(weights, diagnostic));
    if (weights->index)
        TRY(check_index(weights, diagnostic));
out:
    return status;
}

Status weights_open(Weights **weights, const char *folder, Diagnostic *diagnostic)
{
    *weights = NULL;
    for (size_t i = 0; i < WEIGHTS_FORM_COUNT; i++) {
        char *path = path_join(folder, WEIGHTS_FORMS[i].file);
        if (!path_exists(path)) {
            free(path);
            continue;
        }
        Weights *made = memory_allocate(1, sizeof *made);
        made->path = path;
        Status status = open_form(made, folder, &WEIGHTS_FORMS[i], diagnostic);
        if (status == STATUS_OK)
            *weights = made;
        else
            weights_close(&made);
        return status;
    }
    return FAIL(diagnostic, STATUS_NOT_FOUND,
                "%s: the model folder has no model.safetensors, no model.safetensors.index.json and no pytorch_model.bin: no "
                "weights that are read",
                folder);
}

void weights_close(Weights **weights)
{
    if (!*weights)
        return;
    for (size_t i = 0; i < (*weights)->file_count; i++) {
        safetensors_close(&(*weights)->files[i].safetensors);
        torch_bin_close(&(*weights)->files[i].torch);
    }
    json_destroy(&(*weights)->index);
    free((*weights)->files);
    free((*weights)->tensors);
    free((*weights)->path);
    free(*weights);
    *weights = NULL;
}

const char *weights_path(const Weights *weights)
{
    return weights->path;
}

size_t weights_count(const Weights *weights)
{
    return weights->count;
}

const TensorEntry *weights_at(const Weights *weights, size_t index)
{
    ASSERT(index < weights->count);
    return &weights->tensors[index].entry;
}

bool weights_find(const Weights *weights, const char *name, size_t *index)
{
    WeightsTensor wanted = {.entry = {.name = name}};
    const WeightsTensor *found =
        weights->count ? bsearch(&wanted, weights->tensors, weights->count, sizeof wanted, compare_tensors) : NULL;
    *index = found ? (size_t)(found - weights->tensors) : 0;
    return found != NULL;
}

Status weights_read_floats(Weights *weights, size_t index, float *values, size_t count, Diagnostic *diagnostic)
{
    ASSERT(index < weights->count);
    const WeightsTensor *tensor = &weights->tensors[index];
    return tensor->file->safetensors ? safetensors_read_floats(&tensor->entry, values, count, diagnostic)
                                     : torch_bin_read_floats(tensor->file->torch, tensor->index, values, count, diagnostic);
}
