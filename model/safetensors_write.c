/* Writing: streamed, so that a large model is not held twice. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/safetensors.h"

enum { HEADER_ALIGNMENT_BYTES = 8 };

static Json *describe(const TensorOut *tensor, size_t begin, size_t end)
{
    Json *description = json_object(), *shape = json_array(), *offsets = json_array();
    size_t product = 1;
    for (int32_t i = 0; i < tensor->rank; i++) {
        json_append(shape, json_integer(tensor->shape[i]));
        product *= (size_t)tensor->shape[i];
    }
    ASSERT(product == tensor->count);
    json_append(offsets, json_integer((int64_t)begin));
    json_append(offsets, json_integer((int64_t)end));
    json_set(description, "dtype", json_string("F32"));
    json_set(description, "shape", shape);
    json_set(description, "data_offsets", offsets);
    return description;
}

static void make_header(Text *text, const TensorOut *tensors, size_t tensor_count, const char *const *metadata, size_t string_count)
{
    Json *header = json_object();
    if (string_count > 0) {
        Json *object = json_object();
        for (size_t i = 0; i + 1 < string_count; i += 2)
            json_set(object, metadata[i], json_string(metadata[i + 1]));
        json_set(header, "__metadata__", object);
    }
    size_t offset = 0;
    for (size_t i = 0; i < tensor_count; i++) {
        size_t end = offset + tensors[i].count * sizeof(float);
        json_set(header, tensors[i].name, describe(&tensors[i], offset, end));
        offset = end;
    }
    char *json = json_text(header, JSON_COMPACT);
    text_append_string(text, json);
    while (text->size % HEADER_ALIGNMENT_BYTES)
        text_append(text, " ", 1);
    free(json);
    json_destroy(&header);
}

static Status append_values(FileWriter *writer, const TensorOut *tensor, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const float *values = tensor->values;
    size_t floats = tensor->count;
    for (size_t done = 0; done < tensor->count; done += floats) {
        if (!tensor->values)
            tensor->next(tensor->context, &values, &floats);
        ASSERT(floats > 0 && floats <= tensor->count - done);
        TRY(file_writer_append(writer, values, floats * sizeof *values, diagnostic));
    }
out:
    return status;
}

Status safetensors_write(const char *path, const TensorOut *tensors, size_t tensor_count, const char *const *metadata,
                         size_t string_count, const FileSystem *fs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    FileWriter *writer = NULL;
    Text header = {0};
    ASSERT(string_count % 2 == 0);
    make_header(&header, tensors, tensor_count, metadata, string_count);
    uint64_t header_bytes = header.size;
    TRY(file_writer_begin(&writer, fs, path, diagnostic));
    TRY(file_writer_append(writer, &header_bytes, sizeof header_bytes, diagnostic));
    TRY(file_writer_append(writer, header.bytes, header.size, diagnostic));
    for (size_t i = 0; i < tensor_count; i++)
        TRY(append_values(writer, &tensors[i], diagnostic));
    TRY(file_writer_commit(&writer, diagnostic));
out:
    if (writer)
        file_writer_abandon(&writer);
    text_free(&header);
    return status;
}
