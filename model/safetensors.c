/* Reading. Nothing of the header is believed before it is checked against the file's own size. */
#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files are little-endian and are read without swapping");

enum {
    HEADER_SIZE_BYTES = 8,
    HEADER_LIMIT_BYTES = 100 * 1000 * 1000, /* the format's own limit */
    TENSOR_LIMIT = 100000,
    RANK_LIMIT = 8,
};

struct Safetensors {
    FileMap map;
    Json *header;          /* owns the names */
    TensorEntry *entries;  /* [count] sorted by place in the file */
    TensorEntry **by_name; /* [count] sorted by name */
    size_t count;
};

typedef struct TensorTypeName {
    const char *name;
    TensorType type;
    size_t size_bytes;
} TensorTypeName;

static const TensorTypeName TYPE_NAMES[] = {
    {"F32", TENSOR_F32, 4},   {"F16", TENSOR_F16, 2},       {"BF16", TENSOR_BF16, 2},     {"F64", TENSOR_F64, 8},
    {"I64", TENSOR_I64, 8},   {"I32", TENSOR_I32, 4},       {"BOOL", TENSOR_OTHER, 1},    {"U8", TENSOR_OTHER, 1},
    {"I8", TENSOR_OTHER, 1},  {"F8_E5M2", TENSOR_OTHER, 1}, {"F8_E4M3", TENSOR_OTHER, 1}, {"I16", TENSOR_OTHER, 2},
    {"U16", TENSOR_OTHER, 2}, {"U32", TENSOR_OTHER, 4},     {"U64", TENSOR_OTHER, 8},     {"C64", TENSOR_OTHER, 8},
};

static const TensorTypeName *find_type(const char *name)
{
    for (size_t i = 0; i < sizeof TYPE_NAMES / sizeof *TYPE_NAMES; i++) {
        if (strcmp(TYPE_NAMES[i].name, name) == 0)
            return &TYPE_NAMES[i];
    }
    return NULL;
}

/* A non-negative integer, or false. */
static bool read_size(const Json *json, uint64_t *value)
{
    int64_t number = json_integer_value(json, -1);
    if (!json_is_integer(json) || number < 0)
        return false;
    *value = (uint64_t)number;
    return true;
}

/* Shape and type give the size; false when the shape is no shape or its product does not fit. */
static bool read_shape(TensorEntry *entry, const Json *shape, size_t item_bytes, size_t *size_bytes)
{
    if (!json_is_array(shape) || json_count(shape) > RANK_LIMIT)
        return false;
    entry->rank = (int32_t)json_count(shape);
    *size_bytes = item_bytes;
    for (int32_t i = 0; i < entry->rank; i++) {
        uint64_t extent;
        if (!read_size(json_at(shape, (size_t)i), &extent) || !size_multiply(*size_bytes, extent, size_bytes))
            return false;
        entry->shape[i] = (int64_t)extent;
    }
    return true;
}

static Status read_entry(TensorEntry *entry, const Json *description, const uint8_t *data, size_t data_bytes, const char *path,
                         Diagnostic *diagnostic)
{
    const char *type_name = json_string_value(json_get(description, "dtype"));
    if (!type_name)
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "tensor \"%s\" has no dtype", entry->name);
    const TensorTypeName *type = find_type(type_name);
    if (!type)
        return FAIL_AT(diagnostic, STATUS_UNSUPPORTED, path, 0, 0, "tensor \"%s\" has the unknown dtype \"%s\"", entry->name,
                       type_name);
    entry->type = type->type;
    size_t wanted_bytes;
    if (!read_shape(entry, json_get(description, "shape"), type->size_bytes, &wanted_bytes))
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0,
                       "tensor \"%s\" has no valid shape (at most %d extents that fit a size)", entry->name, RANK_LIMIT);
    const Json *offsets = json_get(description, "data_offsets");
    uint64_t begin, end;
    if (!json_is_array(offsets) || json_count(offsets) != 2 || !read_size(json_at(offsets, 0), &begin) ||
        !read_size(json_at(offsets, 1), &end) || begin > end)
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "tensor \"%s\" has no valid data_offsets", entry->name);
    if (end > data_bytes)
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0,
                       "tensor \"%s\" ends at byte %llu of %zu: the file is cut short or not what it says", entry->name,
                       (unsigned long long)end, data_bytes);
    if (end - begin != wanted_bytes)
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "tensor \"%s\" takes %llu bytes, its shape and dtype %s need %zu",
                       entry->name, (unsigned long long)(end - begin), type_name, wanted_bytes);
    entry->bytes = data + begin;
    entry->size_bytes = wanted_bytes;
    return STATUS_OK;
}

/* The format's own rule: texts by name, and nothing else. */
static Status check_metadata(const Json *metadata, const char *path, Diagnostic *diagnostic)
{
    if (!json_is_object(metadata))
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: __metadata__ is not an object", path);
    for (const char *key = json_next_key(metadata, NULL); key; key = json_next_key(metadata, key))
        if (!json_is_string(json_get(metadata, key)))
            return FAIL(diagnostic, STATUS_CORRUPT, "%s: \"%s\" in __metadata__ is no text", path, key);
    return STATUS_OK;
}

static Status read_entries(Safetensors *file, const uint8_t *data, size_t data_bytes, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t keys = json_count(file->header);
    if (keys > TENSOR_LIMIT)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s: %zu tensors are over the limit of %d", path, keys, TENSOR_LIMIT);
    file->entries = memory_allocate(keys, sizeof *file->entries);
    for (const char *name = json_next_key(file->header, NULL); name; name = json_next_key(file->header, name)) {
        const Json *description = json_get(file->header, name);
        if (strcmp(name, "__metadata__") == 0) {
            TRY(check_metadata(description, path, diagnostic));
            continue;
        }
        TensorEntry *entry = &file->entries[file->count++];
        entry->name = name;
        TRY(read_entry(entry, description, data, data_bytes, path, diagnostic));
    }
out:
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const TensorEntry *left = a, *right = b;
    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? -1 : 1;
    return left->size_bytes < right->size_bytes ? -1 : left->size_bytes > right->size_bytes; /* empty tensors first */
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(TensorEntry *const *)a)->name, (*(TensorEntry *const *)b)->name);
}

/* Tensors must cover the data without gap or overlap: the format's rule, which leaves no place to hide anything. */
static Status check_cover(const Safetensors *file, const uint8_t *data, size_t data_bytes, const char *path, Diagnostic *diagnostic)
{
    const uint8_t *expected = data;
    for (size_t i = 0; i < file->count; i++) {
        const TensorEntry *entry = &file->entries[i];
        if (entry->bytes != expected)
            return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "tensor \"%s\" starts at byte %zu, %s", entry->name,
                           (size_t)(entry->bytes - data),
                           entry->bytes < expected ? "inside the tensor before it" : "and nothing stands before it");
        expected += entry->size_bytes;
    }
    if (expected != data + data_bytes)
        return FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "%zu bytes behind the last tensor belong to none",
                       data_bytes - (size_t)(expected - data));
    return STATUS_OK;
}

static Status read_header(Safetensors *file, const char *path, size_t *data_offset, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint64_t header_bytes;
    if (file->map.size < HEADER_SIZE_BYTES)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: %zu bytes are too few for a safetensors file", path, file->map.size);
    memcpy(&header_bytes, file->map.bytes, HEADER_SIZE_BYTES);
    if (header_bytes > HEADER_LIMIT_BYTES)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: the header claims %llu bytes, over the limit of %d: this is no safetensors file",
                 path, (unsigned long long)header_bytes, HEADER_LIMIT_BYTES);
    if (header_bytes > file->map.size - HEADER_SIZE_BYTES)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: the header claims %llu bytes, the file holds %zu: it is cut short", path,
                 (unsigned long long)header_bytes, file->map.size);
    const char *header = (const char *)file->map.bytes + HEADER_SIZE_BYTES;
    if (header_bytes > 0 && header[0] != '{') /* white space may follow the header, not stand before it */
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: the header does not begin with {: it is not a JSON object", path);
    status = json_parse(&file->header, header, (size_t)header_bytes, path, diagnostic);
    if (status != STATUS_OK) {
        diagnostic_prefix(diagnostic, "safetensors header");
        if (status == STATUS_INVALID_INPUT) { /* a broken file, whatever broke it */
            status = STATUS_CORRUPT;
            if (diagnostic)
                diagnostic->code = status;
        }
        goto out;
    }
    ASSERT(json_is_object(file->header)); /* it begins with { */
    *data_offset = HEADER_SIZE_BYTES + (size_t)header_bytes;
out:
    return status;
}

Status safetensors_open(Safetensors **file, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t data_offset = 0;
    *file = NULL;
    Safetensors *made = memory_allocate(1, sizeof *made);
    TRY(file_map_open(&made->map, path, diagnostic));
    TRY(read_header(made, path, &data_offset, diagnostic));
    const uint8_t *data = made->map.bytes + data_offset;
    size_t data_bytes = made->map.size - data_offset;
    TRY(read_entries(made, data, data_bytes, path, diagnostic));
    qsort(made->entries, made->count, sizeof *made->entries, compare_places);
    TRY(check_cover(made, data, data_bytes, path, diagnostic));
    made->by_name = memory_allocate(made->count, sizeof *made->by_name);
    for (size_t i = 0; i < made->count; i++)
        made->by_name[i] = &made->entries[i];
    qsort(made->by_name, made->count, sizeof *made->by_name, compare_names);
    *file = made;
    made = NULL;
out:
    safetensors_close(&made);
    return status;
}

void safetensors_close(Safetensors **file)
{
    if (!*file)
        return;
    file_map_close(&(*file)->map);
    json_destroy(&(*file)->header);
    free((*file)->entries);
    free((*file)->by_name);
    free(*file);
    *file = NULL;
}

size_t safetensors_count(const Safetensors *file)
{
    return file->count;
}

const TensorEntry *safetensors_at(const Safetensors *file, size_t index)
{
    ASSERT(index < file->count);
    return &file->entries[index];
}

const TensorEntry *safetensors_find(const Safetensors *file, const char *name)
{
    TensorEntry key = {.name = name};
    TensorEntry *wanted = &key;
    if (file->count == 0)
        return NULL;
    TensorEntry **found = bsearch(&wanted, file->by_name, file->count, sizeof *file->by_name, compare_names);
    return found ? *found : NULL;
}

const Json *safetensors_metadata(const Safetensors *file)
{
    return json_get(file->header, "__metadata__");
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16, subnormals, infinities and NaN included. */
static float float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 0x1fu, fraction = half & 0x3ffu;
    if (exponent == 0x1f)
        return float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0)
        return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * (1.0f / 16777216.0f);
    return sign ? -magnitude : magnitude;
}

static float read_float(TensorType type, const uint8_t *bytes)
{
    uint16_t half;
    double wide;
    float value;
    switch (type) {
    case TENSOR_F16:
        memcpy(&half, bytes, sizeof half);
        return float_of_half(half);
    case TENSOR_BF16:
        memcpy(&half, bytes, sizeof half);
        return float_of_bits((uint32_t)half << 16);
    case TENSOR_F64:
        memcpy(&wide, bytes, sizeof wide);
        return (float)wide;
    default:
        memcpy(&value, bytes, sizeof value);
        return value;
    }
}

Status safetensors_read_floats(const TensorEntry *entry, float *values, size_t count, Diagnostic *diagnostic)
{
    size_t item_bytes;
    switch (entry->type) {
    case TENSOR_F32:
        item_bytes = 4;
        break;
    case TENSOR_F16:
    case TENSOR_BF16:
        item_bytes = 2;
        break;
    case TENSOR_F64:
        item_bytes = 8;
        break;
    default:
        return FAIL(diagnostic, STATUS_MISMATCH, "tensor \"%s\" does not hold floating-point numbers", entry->name);
    }
    if (entry->size_bytes / item_bytes != count)
        return FAIL(diagnostic, STATUS_MISMATCH, "tensor \"%s\" has %zu numbers, %zu are wanted", entry->name,
                    entry->size_bytes / item_bytes, count);
    if (entry->type == TENSOR_F32) {
        if (count)
            memcpy(values, entry->bytes, count * sizeof *values);
        return STATUS_OK;
    }
    for (size_t i = 0; i < count; i++)
        values[i] = read_float(entry->type, entry->bytes + i * item_bytes);
    return STATUS_OK;
}
