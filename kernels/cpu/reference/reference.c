/* Device, memory, streams and matrices of the reference backend, and its table. */
#include "kernels/cpu/reference/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "kernels/cpu/bf16.h"

struct BackendDevice {
    int open_count; /* nothing to hold: a device exists so that the table is the same for every backend */
};

struct BackendStream {
    BackendDevice *device;
};

static Status device_open(BackendDevice **device, const BackendOptions *options, Diagnostic *diagnostic)
{
    if (options->thread_count < 1) {
        return FAIL(diagnostic, STATUS_USAGE, "a device needs at least 1 thread, not %d", options->thread_count);
    }
    *device = memory_allocate(1, sizeof **device);
    (*device)->open_count = 1;
    return STATUS_OK;
}

static void device_close(BackendDevice **device)
{
    free(*device);
    *device = NULL;
}

static void device_describe(const BackendDevice *device, char *text, size_t text_size)
{
    (void)device;
    snprintf(text, text_size, "reference: plain C loops, 1 thread");
}

static void device_features(const BackendDevice *device, char *text, size_t text_size)
{
    (void)device;
    snprintf(text, text_size, "plain loops");
}

static Status buffer_create(BackendBuffer **buffer, BackendDevice *device, size_t size_bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    void *bytes = NULL;
    (void)device;
    TRY(memory_try_allocate(&bytes, size_bytes == 0 ? 1 : size_bytes, 1, diagnostic));
    *buffer = memory_allocate(1, sizeof **buffer);
    (*buffer)->bytes = bytes;
    (*buffer)->size_bytes = size_bytes;
out:
    return status;
}

static void buffer_destroy(BackendBuffer **buffer)
{
    if (*buffer != NULL) {
        free((*buffer)->bytes);
        free(*buffer);
    }
    *buffer = NULL;
}

static void *buffer_host_pointer(BackendBuffer *buffer)
{
    return buffer->bytes;
}

static Status stream_create(BackendStream **stream, BackendDevice *device, Diagnostic *diagnostic)
{
    (void)diagnostic;
    *stream = memory_allocate(1, sizeof **stream);
    (*stream)->device = device;
    return STATUS_OK;
}

static void stream_destroy(BackendStream **stream)
{
    free(*stream);
    *stream = NULL;
}

static Status stream_synchronize(BackendStream *stream, Diagnostic *diagnostic)
{
    (void)stream;
    (void)diagnostic;
    return STATUS_OK; /* everything was done when it was asked for, and nothing of it can fail */
}

static void copy_to_device(BackendStream *stream, DeviceView to, const void *from, size_t size_bytes)
{
    (void)stream;
    if (size_bytes > 0) {
        memcpy(host_view(to, size_bytes, 1), from, size_bytes);
    }
}

static void copy_to_host(BackendStream *stream, void *to, DeviceView from, size_t size_bytes)
{
    (void)stream;
    if (size_bytes > 0) {
        memcpy(to, host_view(from, size_bytes, 1), size_bytes);
    }
}

static void copy(BackendStream *stream, DeviceView to, DeviceView from, size_t size_bytes)
{
    (void)stream;
    if (size_bytes > 0) {
        memcpy(host_view(to, size_bytes, 1), host_view(from, size_bytes, 1), size_bytes);
    }
}

static void fill_zero(BackendStream *stream, DeviceView to, size_t size_bytes)
{
    (void)stream;
    if (size_bytes > 0) {
        memset(host_view(to, size_bytes, 1), 0, size_bytes);
    }
}

ReferenceReals reference_reals_open(DeviceView view, size_t count)
{
    if (view.buffer == NULL) {
        return (ReferenceReals){0};
    }
    if (view.type == DEVICE_FP32) {
        return (ReferenceReals){.values = host_floats(view, count), .count = count};
    }
    ReferenceReals reals = {.values = memory_allocate(count + 1, sizeof(float)), .kept = host_bf16(view, count), .count = count};
    for (size_t i = 0; i < count; i++) {
        reals.values[i] = bf16_to_float(reals.kept[i]);
    }
    return reals;
}

void reference_reals_close(ReferenceReals *reals, bool written)
{
    if (reals->kept == NULL) {
        return;
    }
    for (size_t i = 0; written && i < reals->count; i++) {
        reals->kept[i] = bf16_from_float(reals->values[i]);
    }
    free(reals->values);
}

static void convert(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    ReferenceReals in = reference_reals_open(from, count), out = reference_reals_open(to, count);
    (void)stream;
    memcpy(out.values, in.values, count * sizeof *out.values);
    reference_reals_close(&in, false);
    reference_reals_close(&out, true);
}

void reference_matrix_refresh(BackendStream *stream, BackendMatrix *matrix)
{
    convert(stream, matrix->copy, matrix->weight, (size_t)matrix->n * (size_t)matrix->k);
}

void reference_matrix_settle(BackendStream *stream, BackendMatrix *matrix)
{
    (void)stream;
    (void)matrix;
}

BackendMatrix *reference_matrix_of(DeviceView weight, DeviceView copy, int32_t n, int32_t k, DeviceType type)
{
    BackendMatrix *matrix = memory_allocate(1, sizeof *matrix);
    ASSERT((copy.buffer != NULL) == (type == DEVICE_BF16));
    *matrix = (BackendMatrix){.weight = weight, .copy = copy, .type = type, .n = n, .k = k};
    return matrix;
}

static Status matrix_create(BackendMatrix **matrix, BackendDevice *device, DeviceView weight, DeviceView copy, int32_t n, int32_t k,
                            DeviceType type, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BackendMatrix *made = reference_matrix_of(weight, copy, n, k, type);
    if (type == DEVICE_FP32) {
        TRY(buffer_create(&made->own, device, (size_t)n * (size_t)k * sizeof(float), diagnostic));
        made->copy = device_view(made->own, 0);
    }
    reference_matrix_refresh(NULL, made);
    *matrix = made;
    made = NULL;
out:
    free(made);
    return status;
}

static void matrix_destroy(BackendMatrix **matrix)
{
    if (*matrix != NULL) {
        buffer_destroy(&(*matrix)->own);
        free(*matrix);
    }
    *matrix = NULL;
}

static bool rows_independent(const BackendDevice *device)
{
    (void)device;
    return true;
}

static DeviceType product_type(const BackendDevice *device)
{
    (void)device;
    return DEVICE_FP32;
}

/* Operands and results in fp32, of the widest linear layer or of attention. */
static size_t matrix_bytes(const BackendDevice *device, int32_t n, int32_t k, DeviceType type)
{
    (void)device;
    return type == DEVICE_FP32 ? (size_t)n * (size_t)k * sizeof(float) : 0;
}

static size_t workspace_bytes(const BackendDevice *device, const BackendShape *shape)
{
    (void)device;
    size_t columns = (size_t)(shape->f + shape->d), attention = 8 * (size_t)shape->d;
    return (size_t)shape->rows * (columns > attention ? columns : attention) * sizeof(float);
}

const Backend *backend_reference(void)
{
    static const Backend table = {
        .version = BACKEND_VERSION,
        .name = "reference",
        .device_open = device_open,
        .device_close = device_close,
        .device_describe = device_describe,
        .device_features = device_features,
        .rows_independent = rows_independent,
        .product_type = product_type,
        .matrix_bytes = matrix_bytes,
        .workspace_bytes = workspace_bytes,
        .buffer_create = buffer_create,
        .buffer_destroy = buffer_destroy,
        .buffer_host_pointer = buffer_host_pointer,
        .stream_create = stream_create,
        .stream_destroy = stream_destroy,
        .stream_synchronize = stream_synchronize,
        .copy_to_device = copy_to_device,
        .copy_to_host = copy_to_host,
        .copy = copy,
        .fill_zero = fill_zero,
        .convert = convert,
        .matrix_create = matrix_create,
        .matrix_destroy = matrix_destroy,
        .matrix_refresh = reference_matrix_refresh,
        .matrix_settle = reference_matrix_settle,
        .embedding_forward = reference_embedding_forward,
        .embedding_backward = reference_embedding_backward,
        .norm_forward = reference_norm_forward,
        .norm_backward = reference_norm_backward,
        .linear_forward = reference_linear_forward,
        .linear_backward_input = reference_linear_backward_input,
        .linear_backward_weight = reference_linear_backward_weight,
        .attention_forward = reference_attention_forward,
        .attention_backward = reference_attention_backward,
        .rows_gather = reference_rows_gather,
        .rows_scatter = reference_rows_scatter,
        .cross_entropy = reference_cross_entropy,
        .add = reference_add,
        .sum_of_squares = reference_sum_of_squares,
        .adamw = reference_adamw,
        .adamw_matrix = reference_adamw_matrix,
        .adamw_rows = reference_adamw_rows,
        .adamw_late = reference_adamw_late,
    };
    return &table;
}
