#include "tests/kernels/guarded_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "kernels/cpu/reference/reference.h"

enum { VIEW_COUNT_MAX = 20 };

static size_t mapped_bytes(const BackendBuffer *buffer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (buffer->size_bytes + page) / page * page;
}

static void buffer_protect(BackendBuffer *buffer, int protection)
{
    ASSERT(mprotect(buffer->owner, mapped_bytes(buffer), protection) == 0);
}

/* Buffers that an operation names, open until access_end. */
typedef struct Access {
    BackendBuffer *buffers[VIEW_COUNT_MAX];
    size_t count;
} Access;

static void access_add(Access *access, DeviceView view)
{
    if (view.buffer == NULL) {
        return;
    }
    ASSERT(access->count < VIEW_COUNT_MAX);
    access->buffers[access->count++] = view.buffer;
    buffer_protect(view.buffer, PROT_READ | PROT_WRITE);
}

static Access access_begin(const DeviceView *views, size_t count)
{
    Access access = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        access_add(&access, views[i]);
    }
    return access;
}

static void access_end(Access *access)
{
    for (size_t i = 0; i < access->count; i++) {
        buffer_protect(access->buffers[i], PROT_NONE);
    }
}

#define ACCESS(...) access_begin((const DeviceView[]){__VA_ARGS__}, sizeof((const DeviceView[]){__VA_ARGS__}) / sizeof(DeviceView))
#define BLOCK_VIEWS(block) (block)->ids, (block)->positions, (block)->slots, (block)->sequence_start

static DeviceView matrix_view(const BackendMatrix *matrix)
{
    return matrix->copy;
}

static Status device_open(BackendDevice **device, const BackendOptions *options, Diagnostic *diagnostic)
{
    return backend_reference()->device_open(device, options, diagnostic);
}

static void device_close(BackendDevice **device)
{
    backend_reference()->device_close(device);
}

static void device_describe(const BackendDevice *device, char *text, size_t text_size)
{
    (void)device;
    snprintf(text, text_size, "guarded: the reference on memory that the host cannot touch");
}

static void device_features(const BackendDevice *device, char *text, size_t text_size)
{
    backend_reference()->device_features(device, text, text_size);
}

static Status buffer_create(BackendBuffer **buffer, BackendDevice *device, size_t size_bytes, Diagnostic *diagnostic)
{
    BackendBuffer *made = memory_allocate(1, sizeof *made);
    (void)device;
    made->size_bytes = size_bytes;
    made->owner = mmap(NULL, mapped_bytes(made), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made->owner == MAP_FAILED) {
        free(made);
        return FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "out of memory: a buffer of %zu bytes", size_bytes);
    }
    made->bytes = made->owner;
    *buffer = made;
    return STATUS_OK;
}

static void buffer_destroy(BackendBuffer **buffer)
{
    if (*buffer != NULL) {
        munmap((*buffer)->owner, mapped_bytes(*buffer));
        free(*buffer);
    }
    *buffer = NULL;
}

static void *buffer_host_pointer(BackendBuffer *buffer)
{
    (void)buffer;
    return NULL;
}

const volatile unsigned char *guarded_buffer_bytes(const BackendBuffer *buffer)
{
    return buffer->bytes;
}

static Status stream_create(BackendStream **stream, BackendDevice *device, Diagnostic *diagnostic)
{
    return backend_reference()->stream_create(stream, device, diagnostic);
}

static void stream_destroy(BackendStream **stream)
{
    backend_reference()->stream_destroy(stream);
}

static Status stream_synchronize(BackendStream *stream, Diagnostic *diagnostic)
{
    return backend_reference()->stream_synchronize(stream, diagnostic);
}

static void copy_to_device(BackendStream *stream, DeviceView to, const void *from, size_t size_bytes)
{
    Access access = ACCESS(to);
    backend_reference()->copy_to_device(stream, to, from, size_bytes);
    access_end(&access);
}

static void copy_to_host(BackendStream *stream, void *to, DeviceView from, size_t size_bytes)
{
    Access access = ACCESS(from);
    backend_reference()->copy_to_host(stream, to, from, size_bytes);
    access_end(&access);
}

static void copy(BackendStream *stream, DeviceView to, DeviceView from, size_t size_bytes)
{
    Access access = ACCESS(to, from);
    backend_reference()->copy(stream, to, from, size_bytes);
    access_end(&access);
}

static void fill_zero(BackendStream *stream, DeviceView to, size_t size_bytes)
{
    Access access = ACCESS(to);
    backend_reference()->fill_zero(stream, to, size_bytes);
    access_end(&access);
}

static void convert(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    Access access = ACCESS(to, from);
    backend_reference()->convert(stream, to, from, count);
    access_end(&access);
}

static void matrix_refresh(BackendStream *stream, BackendMatrix *matrix)
{
    Access access = ACCESS(matrix_view(matrix), matrix->weight);
    backend_reference()->matrix_refresh(stream, matrix);
    access_end(&access);
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
    matrix_refresh(NULL, made);
    *matrix = made;
    made = NULL;
out:
    free(made);
    return status;
}

static void matrix_destroy(BackendMatrix **matrix)
{
    if (*matrix != NULL) {
        if ((*matrix)->own != NULL) {
            buffer_destroy(&(*matrix)->own);
        }
        free(*matrix);
    }
    *matrix = NULL;
}

static void embedding_forward(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position,
                              DeviceView type, int32_t d, DeviceView out)
{
    Access access = ACCESS(BLOCK_VIEWS(block), word, position, type, out);
    reference_embedding_forward(stream, block, word, position, type, d, out);
    access_end(&access);
}

static void embedding_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_out, int32_t d, DeviceView d_word,
                               DeviceView d_position, DeviceView d_type)
{
    Access access = ACCESS(BLOCK_VIEWS(block), d_out, d_word, d_position, d_type);
    reference_embedding_backward(stream, block, d_out, d, d_word, d_position, d_type);
    access_end(&access);
}

static void norm_forward(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                         DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                         DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd)
{
    Access access = ACCESS(BLOCK_VIEWS(block), x, residual, gamma, beta, sum, y, y_product, mean, rstd);
    reference_norm_forward(stream, block, x, residual, gamma, beta, epsilon, d, dropout_in, dropout_out, sum, y, y_product, mean,
                           rstd);
    access_end(&access);
}

static void norm_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                          DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView d_sum,
                          DeviceView d_x, DeviceView d_gamma, DeviceView d_beta)
{
    Access access = ACCESS(BLOCK_VIEWS(block), d_y, sum, mean, rstd, gamma, d_sum, d_x, d_gamma, d_beta);
    reference_norm_backward(stream, block, d_y, sum, mean, rstd, gamma, d, dropout_in, dropout_out, d_sum, d_x, d_gamma, d_beta);
    access_end(&access);
}

static void linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                           LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    Access access = ACCESS(matrix_view(weight), bias, x, pre, y);
    reference_linear_forward(stream, weight, bias, x, rows, epilogue, pre, y);
    access_end(&access);
}

static void linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                                  bool accumulate, DeviceView d_x)
{
    Access access = ACCESS(matrix_view(weight), d_y, pre, d_x);
    reference_linear_backward_input(stream, weight, d_y, rows, pre, accumulate, d_x);
    access_end(&access);
}

static void linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                   bool accumulate, DeviceView d_weight, DeviceView d_bias)
{
    Access access = ACCESS(x, d_y, d_weight, d_bias);
    reference_linear_backward_weight(stream, x, d_y, rows, n, k, accumulate, d_weight, d_bias);
    access_end(&access);
}

static void attention_forward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                              Dropout dropout, DeviceView context, DeviceView log_sum_exp)
{
    Access access = ACCESS(BLOCK_VIEWS(block), qkv, context, log_sum_exp);
    reference_attention_forward(stream, block, qkv, heads, head_width, dropout, context, log_sum_exp);
    access_end(&access);
}

static void attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                               DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                               DeviceView d_qkv)
{
    Access access = ACCESS(BLOCK_VIEWS(block), qkv, context, log_sum_exp, d_context, d_qkv);
    reference_attention_backward(stream, block, qkv, context, log_sum_exp, d_context, heads, head_width, dropout, d_qkv);
    access_end(&access);
}

static void rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows, int32_t columns,
                        DeviceView to)
{
    Access access = ACCESS(from, index, to);
    reference_rows_gather(stream, from, from_rows, index, rows, columns, to);
    access_end(&access);
}

static void rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                         int32_t to_rows)
{
    Access access = ACCESS(from, index, to);
    reference_rows_scatter(stream, from, index, rows, columns, to, to_rows);
    access_end(&access);
}

static void cross_entropy(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights, DeviceView class_weights,
                          float label_smoothing, float gradient_scale, int32_t rows, int32_t label_count, DeviceView loss_sum,
                          DeviceView d_logits)
{
    Access access = ACCESS(logits, labels, weights, class_weights, loss_sum, d_logits);
    reference_cross_entropy(stream, logits, labels, weights, class_weights, label_smoothing, gradient_scale, rows, label_count,
                            loss_sum, d_logits);
    access_end(&access);
}

static void add(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    Access access = ACCESS(to, from);
    reference_add(stream, to, from, count);
    access_end(&access);
}

static void sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sums)
{
    Access access = ACCESS(x, sums);
    reference_sum_of_squares(stream, x, count, sums);
    access_end(&access);
}

static void adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                  DeviceView second_moment, size_t count, const AdamwStep *step)
{
    Access access = ACCESS(parameter, gradient, first_moment, second_moment);
    reference_adamw(stream, parameter, gradient, first_moment, second_moment, count, step);
    access_end(&access);
}

static void adamw_matrix(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                         DeviceView first_moment, DeviceView second_moment, const AdamwStep *step)
{
    Access access = ACCESS(matrix_view(matrix), matrix->weight, gradient, first_moment, second_moment);
    reference_adamw_matrix(stream, matrix, first, count, gradient, first_moment, second_moment, step);
    access_end(&access);
}

static void adamw_rows(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                       DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step)
{
    Access access = ACCESS(parameter, gradient, first_moment, second_moment, rows);
    reference_adamw_rows(stream, parameter, gradient, first_moment, second_moment, rows, row_count, columns, step);
    access_end(&access);
}

static void adamw_late(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment,
                       DeviceView rows, DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps,
                       int32_t step_count)
{
    Access access = ACCESS(parameter, first_moment, second_moment, rows, late);
    reference_adamw_late(stream, parameter, first_moment, second_moment, rows, late, row_count, columns, steps, step_count);
    access_end(&access);
}

static bool rows_independent(const BackendDevice *device)
{
    return backend_reference()->rows_independent(device);
}

static DeviceType product_type(const BackendDevice *device)
{
    return backend_reference()->product_type(device);
}

static size_t matrix_bytes(const BackendDevice *device, int32_t n, int32_t k, DeviceType type)
{
    return backend_reference()->matrix_bytes(device, n, k, type);
}

static size_t workspace_bytes(const BackendDevice *device, const BackendShape *shape)
{
    return backend_reference()->workspace_bytes(device, shape);
}

const Backend *backend_guarded(void)
{
    static const Backend table = {
        .version = BACKEND_VERSION,
        .name = "guarded",
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
        .matrix_refresh = matrix_refresh,
        .matrix_settle = reference_matrix_settle,
        .embedding_forward = embedding_forward,
        .embedding_backward = embedding_backward,
        .norm_forward = norm_forward,
        .norm_backward = norm_backward,
        .linear_forward = linear_forward,
        .linear_backward_input = linear_backward_input,
        .linear_backward_weight = linear_backward_weight,
        .attention_forward = attention_forward,
        .attention_backward = attention_backward,
        .rows_gather = rows_gather,
        .rows_scatter = rows_scatter,
        .cross_entropy = cross_entropy,
        .add = add,
        .sum_of_squares = sum_of_squares,
        .adamw = adamw,
        .adamw_matrix = adamw_matrix,
        .adamw_rows = adamw_rows,
        .adamw_late = adamw_late,
    };
    return &table;
}
