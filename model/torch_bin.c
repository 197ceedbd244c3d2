#include "model/torch_bin.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/zip.h"
#include "model/pickle.h"

enum {
    PICKLE_LIMIT_BYTES = 16 * 1024 * 1024,
    TENSOR_LIMIT = 100000,
    TENSOR_NAME_LIMIT = 1024,
    PREFIX_LIMIT = 512,
    PROTOCOL_VERSION = 1001, /* of the older form, the only one there was */
};

/* Where one storage of the older form stands. */
typedef struct StoragePlace {
    const char *key; /* of the list of keys */
    const PickleStorage *storage;
    size_t offset; /* in the file */
} StoragePlace;

struct TorchBin {
    char *path;
    Pickle *state;
    TensorEntry *entries;         /* [count] sorted by name */
    const PickleTensor **tensors; /* [count] */
    size_t count;
    /* the zip form */
    ZipArchive *archive;
    char *prefix; /* "archive" of "archive/data.pkl" */
    /* the older form */
    FileMap map;
    Pickle *keys;
    StoragePlace *places; /* [place_count] sorted by key */
    size_t place_count;
};

/* -- the table of tensors, the same for both forms */

typedef struct Named {
    const char *name;
    const PickleTensor *tensor;
} Named;

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

static Status check_name(const TorchBin *file, const PickleValue *key, Diagnostic *diagnostic)
{
    if (key->kind != PICKLE_TEXT || key->as.text.size == 0 || key->as.text.size > TENSOR_NAME_LIMIT)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: a tensor whose name is no text of 1 to %d bytes", file->path,
                    TENSOR_NAME_LIMIT);
    for (size_t i = 0; i < key->as.text.size; i++)
        if ((unsigned char)key->as.text.bytes[i] < ' ')
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: a tensor whose name has control characters", file->path);
    return STATUS_OK;
}

static Status collect(const TorchBin *file, const PickleValue *root, Named *named, size_t *count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *count = 0;
    for (const PickleItem *item = root->as.container.first; item; item = item->next) {
        if (item->value->kind != PICKLE_TENSOR)
            continue; /* numbers and settings that some programs put beside the weights */
        TRY(check_name(file, item->key, diagnostic));
        named[(*count)++] = (Named){item->key->as.text.bytes, &item->value->as.tensor};
    }
    if (*count == 0)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s holds no tensors by name: it is no state dict, as model.state_dict() gives it",
                 file->path);
    qsort(named, *count, sizeof *named, compare_named);
    for (size_t i = 1; i < *count; i++)
        if (strcmp(named[i - 1].name, named[i].name) == 0)
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: tensor \"%s\" is there twice", file->path, named[i].name);
out:
    return status;
}

static Status make_table(TorchBin *file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Named *named = NULL;
    const PickleValue *root = pickle_root(file->state);
    if (root->kind != PICKLE_DICT)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s holds no dict of tensors: it is no state dict, as model.state_dict() gives it",
                 file->path);
    if (root->as.container.count > TENSOR_LIMIT)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s: %zu tensors are over the limit of %d", file->path, root->as.container.count,
                 TENSOR_LIMIT);
    named = memory_allocate(root->as.container.count + 1, sizeof *named);
    TRY(collect(file, root, named, &file->count, diagnostic));
    file->entries = memory_allocate(file->count, sizeof *file->entries);
    file->tensors = memory_allocate(file->count, sizeof *file->tensors);
    for (size_t i = 0; i < file->count; i++) {
        const PickleTensor *tensor = named[i].tensor;
        file->tensors[i] = tensor;
        file->entries[i] = (TensorEntry){.name = named[i].name, .type = tensor->storage->type, .rank = tensor->rank};
        memcpy(file->entries[i].shape, tensor->shape, sizeof tensor->shape);
    }
out:
    free(named);
    return status;
}

/* -- the zip form */

static Status find_pickle(TorchBin *file, size_t *index, Diagnostic *diagnostic)
{
    static const char tail[] = "/data.pkl";
    size_t found = 0, tail_size = sizeof tail - 1;
    for (size_t i = 0; i < zip_archive_count(file->archive); i++) {
        const char *name = zip_archive_name(file->archive, i);
        size_t size = strlen(name);
        if (size <= tail_size || size > PREFIX_LIMIT || strcmp(name + size - tail_size, tail) != 0 ||
            strchr(name, '/') != name + size - tail_size)
            continue;
        *index = i;
        free(file->prefix);
        file->prefix = memory_copy_bytes(name, size - tail_size);
        found++;
    }
    if (found != 1)
        return FAIL(diagnostic, STATUS_UNSUPPORTED,
                    "%s: a zip archive with %zu entries */data.pkl: torch.save writes exactly one (TorchScript and "
                    "other archives are not read)",
                    file->path, found);
    return STATUS_OK;
}

static Status check_byte_order(TorchBin *file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint8_t *bytes = NULL;
    size_t index, size;
    char *name = memory_format("%s/byteorder", file->prefix);
    if (!zip_archive_find(file->archive, name, &index))
        goto out; /* older versions do not write it and were little-endian */
    TRY(zip_archive_read(file->archive, index, 16, &bytes, &size, diagnostic));
    if (strcmp((const char *)bytes, "little") != 0)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s was written on a machine of another byte order; save it again as safetensors",
                 file->path);
out:
    free(bytes);
    free(name);
    return status;
}

static Status open_zip(TorchBin *file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint8_t *bytes = NULL;
    size_t index = 0, size, used;
    TRY(zip_archive_open(&file->archive, file->path, diagnostic));
    TRY(find_pickle(file, &index, diagnostic));
    TRY(check_byte_order(file, diagnostic));
    TRY(zip_archive_read(file->archive, index, PICKLE_LIMIT_BYTES, &bytes, &size, diagnostic));
    TRY(pickle_read(&file->state, bytes, size, file->path, 0, &used, diagnostic));
    if (used != size)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: %zu bytes follow the pickle in data.pkl", file->path, size - used);
out:
    free(bytes);
    return status;
}

static Status read_zip_storage(TorchBin *file, const PickleStorage *storage, uint8_t **bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t index, size, wanted = (size_t)storage->count * storage->item_bytes;
    char *name = memory_format("%s/data/%s", file->prefix, storage->key);
    if (!zip_archive_find(file->archive, name, &index))
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: the archive has no entry \"%s\"", file->path, name);
    TRY(zip_archive_read(file->archive, index, wanted, bytes, &size, diagnostic));
    if (size != wanted)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: entry \"%s\" has %zu bytes, the pickle says %zu", file->path, name, size, wanted);
out:
    free(name);
    return status;
}

/* -- the older form: magic number, protocol version, system, state, storage keys, each a pickle; then the storages in the order of the keys */

/* The pickle of torch's magic number, 0x1950a86a20f9469cfc6c. */
static const uint8_t LEGACY_MAGIC[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static Status next_pickle(TorchBin *file, size_t *at, Pickle **pickle, Diagnostic *diagnostic)
{
    size_t left = file->map.size - *at, used = 0;
    Status status = pickle_read(pickle, file->map.bytes + *at, left < PICKLE_LIMIT_BYTES ? left : PICKLE_LIMIT_BYTES, file->path,
                                *at, &used, diagnostic);
    *at += used;
    return status;
}

static Status check_system(TorchBin *file, size_t *at, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Pickle *version = NULL, *system = NULL;
    TRY(next_pickle(file, at, &version, diagnostic));
    const PickleValue *number = pickle_root(version);
    if (number->kind != PICKLE_INTEGER || number->as.integer != PROTOCOL_VERSION)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s: not version %d of torch's older file form", file->path, PROTOCOL_VERSION);
    TRY(next_pickle(file, at, &system, diagnostic));
    const PickleValue *little = pickle_dict_get(pickle_root(system), "little_endian");
    if (!little || little->kind != PICKLE_BOOLEAN || !little->as.boolean)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED,
                 "%s does not say that it was written on a little-endian machine; save it again as safetensors", file->path);
out:
    pickle_destroy(&version);
    pickle_destroy(&system);
    return status;
}

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const StoragePlace *)a)->key, ((const StoragePlace *)b)->key);
}

static StoragePlace *find_place(const TorchBin *file, const char *key)
{
    StoragePlace wanted = {.key = key};
    return file->place_count ? bsearch(&wanted, file->places, file->place_count, sizeof wanted, compare_places) : NULL;
}

/* The list of keys, still in the order of the file. */
static Status read_keys(TorchBin *file, size_t *at, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(next_pickle(file, at, &file->keys, diagnostic));
    const PickleValue *list = pickle_root(file->keys);
    if (list->kind != PICKLE_LIST || list->as.container.count > TENSOR_LIMIT)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: no list of at most %d storages follows the state", file->path, TENSOR_LIMIT);
    file->places = memory_allocate(list->as.container.count + 1, sizeof *file->places);
    for (const PickleItem *item = list->as.container.first; item; item = item->next) {
        if (item->value->kind != PICKLE_TEXT)
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: a storage key that is no text", file->path);
        file->places[file->place_count++].key = item->value->as.text.bytes;
    }
out:
    return status;
}

/* Gives each key the storage that tensors know it by; one that no tensor uses has no known type, and cannot be stepped over. */
static Status match_storages(TorchBin *file, StoragePlace *const *in_order, Diagnostic *diagnostic)
{
    for (size_t i = 1; i < file->place_count; i++)
        if (strcmp(file->places[i - 1].key, file->places[i].key) == 0)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: storage %s is listed twice", file->path, file->places[i].key);
    for (size_t i = 0; i < file->count; i++) {
        const PickleStorage *storage = file->tensors[i]->storage;
        StoragePlace *place = find_place(file, storage->key);
        if (!place)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: the storage of tensor \"%s\" is not in the file", file->path,
                        file->entries[i].name);
        if (place->storage && (place->storage->count != storage->count || place->storage->type != storage->type ||
                               place->storage->item_bytes != storage->item_bytes))
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: tensor \"%s\" says something else of its storage than another tensor",
                        file->path, file->entries[i].name);
        place->storage = storage;
    }
    for (size_t i = 0; i < file->place_count; i++)
        if (!in_order[i]->storage)
            return FAIL(diagnostic, STATUS_UNSUPPORTED, "%s: storage %zu of the file belongs to no tensor", file->path, i);
    return STATUS_OK;
}

/* Each storage: its number of elements in 8 bytes, then the elements. They fill the file to its end. */
static Status place_storages(TorchBin *file, StoragePlace *const *in_order, size_t at, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < file->place_count; i++) {
        const PickleStorage *storage = in_order[i]->storage;
        size_t bytes = (size_t)storage->count * storage->item_bytes; /* fits, pickle_torch.c has checked it */
        uint64_t count;
        if (file->map.size - at < sizeof count)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s ends before storage %zu: it is cut short", file->path, i);
        memcpy(&count, file->map.bytes + at, sizeof count);
        at += sizeof count;
        if (count != storage->count)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: storage %zu has %llu elements, the pickle says %llu", file->path, i,
                        (unsigned long long)count, (unsigned long long)storage->count);
        if (bytes > file->map.size - at)
            return FAIL(diagnostic, STATUS_CORRUPT, "%s ends inside storage %zu: it is cut short", file->path, i);
        in_order[i]->offset = at;
        at += bytes;
    }
    if (at != file->map.size)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: %zu bytes follow the last storage", file->path, file->map.size - at);
    return STATUS_OK;
}

static Status open_legacy_storages(TorchBin *file, size_t at, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char **keys = memory_allocate(file->place_count + 1, sizeof *keys);
    StoragePlace **in_order = memory_allocate(file->place_count + 1, sizeof *in_order);
    for (size_t i = 0; i < file->place_count; i++)
        keys[i] = file->places[i].key;
    qsort(file->places, file->place_count, sizeof *file->places, compare_places);
    for (size_t i = 0; i < file->place_count; i++)
        in_order[i] = find_place(file, keys[i]);
    TRY(match_storages(file, in_order, diagnostic));
    TRY(place_storages(file, in_order, at, diagnostic));
out:
    free(keys);
    free(in_order);
    return status;
}

static Status open_legacy(TorchBin *file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t at = sizeof LEGACY_MAGIC;
    TRY(check_system(file, &at, diagnostic));
    TRY(next_pickle(file, &at, &file->state, diagnostic));
    TRY(make_table(file, diagnostic));
    TRY(read_keys(file, &at, diagnostic));
    TRY(open_legacy_storages(file, at, diagnostic));
out:
    return status;
}

/* -- both */

Status torch_bin_open(TorchBin **file, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TorchBin *made = memory_allocate(1, sizeof *made);
    *file = NULL;
    made->path = memory_copy_string(path);
    TRY(file_map_open(&made->map, path, diagnostic));
    if (made->map.size >= sizeof LEGACY_MAGIC && memcmp(made->map.bytes, LEGACY_MAGIC, sizeof LEGACY_MAGIC) == 0) {
        TRY(open_legacy(made, diagnostic));
    } else if (made->map.size >= 4 && memcmp(made->map.bytes, "PK\3\4", 4) == 0) {
        file_map_close(&made->map);
        TRY(open_zip(made, diagnostic));
        TRY(make_table(made, diagnostic));
    } else {
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED,
                 "%s is no file of torch.save: neither a zip archive nor the older form starts here", path);
    }
    *file = made;
    made = NULL;
out:
    torch_bin_close(&made);
    return status;
}

void torch_bin_close(TorchBin **file)
{
    if (!*file)
        return;
    pickle_destroy(&(*file)->state);
    pickle_destroy(&(*file)->keys);
    zip_archive_close(&(*file)->archive);
    file_map_close(&(*file)->map);
    free((*file)->entries);
    free((*file)->tensors);
    free((*file)->places);
    free((*file)->prefix);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

size_t torch_bin_count(const TorchBin *file)
{
    return file->count;
}

const TensorEntry *torch_bin_at(const TorchBin *file, size_t index)
{
    ASSERT(index < file->count);
    return &file->entries[index];
}

/* The tensor's elements one after the other, whatever the strides. */
static void gather(const PickleTensor *tensor, const uint8_t *storage, size_t count, uint8_t *target)
{
    int64_t index[PICKLE_RANK_LIMIT] = {0};
    size_t item_bytes = tensor->storage->item_bytes, at = (size_t)tensor->offset;
    for (size_t i = 0; i < count; i++) {
        memcpy(target + i * item_bytes, storage + at * item_bytes, item_bytes);
        for (int32_t axis = tensor->rank - 1; axis >= 0; axis--) {
            at += (size_t)tensor->strides[axis];
            if (++index[axis] < tensor->shape[axis])
                break;
            at -= (size_t)tensor->strides[axis] * (size_t)tensor->shape[axis];
            index[axis] = 0;
        }
    }
}

static bool is_contiguous(const PickleTensor *tensor)
{
    int64_t expected = 1;
    for (int32_t axis = tensor->rank - 1; axis >= 0; axis--) {
        if (tensor->shape[axis] != 1 && tensor->strides[axis] != expected)
            return false;
        expected *= tensor->shape[axis]; /* the product is the count, which the caller has checked */
    }
    return true;
}

static bool count_elements(const PickleTensor *tensor, size_t *count)
{
    *count = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        if (!size_multiply(*count, (size_t)tensor->shape[i], count))
            return false;
    return true;
}

Status torch_bin_read_floats(TorchBin *file, size_t index, float *values, size_t count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const PickleTensor *tensor = file->tensors[index];
    uint8_t *owned = NULL;
    void *gathered = NULL;
    size_t found, item_bytes = tensor->storage->item_bytes;
    TensorEntry entry = file->entries[index];
    if (!count_elements(tensor, &found) || found != count)
        TRY_FAIL(diagnostic, STATUS_MISMATCH, "%s: tensor \"%s\" does not have the %zu numbers that are wanted", file->path,
                 entry.name, count);
    if (count == 0)
        goto out;
    const uint8_t *storage;
    if (file->archive) {
        TRY(read_zip_storage(file, tensor->storage, &owned, diagnostic));
        storage = owned;
    } else {
        storage = file->map.bytes + find_place(file, tensor->storage->key)->offset;
    }
    entry.bytes = storage + (size_t)tensor->offset * item_bytes;
    entry.size_bytes = count * item_bytes;
    if (!is_contiguous(tensor)) {
        TRY(memory_try_allocate(&gathered, count, item_bytes, diagnostic));
        gather(tensor, storage, count, gathered);
        entry.bytes = gathered;
    }
    TRY(safetensors_read_floats(&entry, values, count, diagnostic));
out:
    free(owned);
    free(gathered);
    return status;
}
