/* What the CPU backend's operations share: device, stream, and how an operation begins and ends. */
#ifndef NERSWEEP_KERNELS_CPU_DEVICE_H
#define NERSWEEP_KERNELS_CPU_DEVICE_H

#include <pthread.h>

#include "kernels/backend.h"
#include "kernels/cpu/host_buffer.h"
#include "kernels/cpu/level.h"
#include "kernels/cpu/thread_pool.h"

struct BackendDevice {
    const Level *level;
    bool panels; /* products of fp32 by the level's own kernels, else by the BLAS */
    int thread_count;
    ThreadPool *pool;
    pthread_mutex_t mutex; /* streams of one device take turns: threads and scratch are the device's */

    /* Grown on demand when an operation begins, kept until the device closes. */
    BackendBuffer **scratch_buffers; /* [thread_count], as what lies in them */
    void **scratch;
    size_t scratch_bytes;
    BackendBuffer *shared_buffer;
    void *shared;
    size_t shared_bytes;
};

struct BackendStream {
    BackendDevice *device;
    Diagnostic failure; /* the first one; code STATUS_OK: none */
    unsigned mode;      /* the caller's floating-point mode while an operation runs */
};

struct BackendMatrix {
    DeviceView weight; /* [n, k] */
    DeviceType type;
    int32_t n, k;
    uint16_t *bf16; /* [n, k] the copy, where products are of bf16 numbers */
    bool fresh;     /* it holds what the weight is, or is to be */
};

/* How the device multiplies numbers of this type; NULL: by the BLAS. */
const Products *products_of(const BackendDevice *device, DeviceType type);

/* Bytes for all threads that the products of a linear layer with a [n, k] matrix want over so many rows. */
size_t linear_shared_bytes(const BackendDevice *device, size_t rows, size_t n, size_t k, DeviceType type);
/* Bytes for each thread that they want. */
size_t linear_scratch_bytes(const BackendDevice *device, size_t n, size_t k, DeviceType type);

/* Every operation stands between these two. false: the stream has failed before, or fails now for lack of scratch memory (bytes for each
 * thread, bytes for all); nothing is to be done. */
bool operation_begin(BackendStream *stream, size_t scratch_bytes, size_t shared_bytes);
void operation_end(BackendStream *stream);

/* count tasks on the device's threads. */
void operation_run(BackendStream *stream, ThreadPoolTask task, void *context, size_t count);

/* How many pieces of `step` make up count. */
static inline size_t chunk_count(size_t count, size_t step)
{
    return (count + step - 1) / step;
}

static inline size_t chunk_end(size_t index, size_t step, size_t count)
{
    return count - index * step < step ? count : (index + 1) * step;
}

NODISCARD Status cpu_buffer_create(BackendBuffer **buffer, BackendDevice *device, size_t size_bytes, Diagnostic *diagnostic);
void cpu_buffer_destroy(BackendBuffer **buffer);

void cpu_convert(BackendStream *stream, DeviceView to, DeviceView from, size_t count);
void cpu_embedding_forward(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position, DeviceView type,
                           int32_t d, DeviceView out);
void cpu_embedding_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_out, int32_t d, DeviceView d_word,
                            DeviceView d_position, DeviceView d_type);
void cpu_norm_forward(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                      DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                      DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd);
void cpu_norm_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                       DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView d_sum,
                       DeviceView d_x, DeviceView d_gamma, DeviceView d_beta);
void cpu_matrix_settle(BackendStream *stream, BackendMatrix *matrix);
void cpu_linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                        LinearEpilogue epilogue, DeviceView pre, DeviceView y);
void cpu_linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                               bool accumulate, DeviceView d_x);
void cpu_linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                bool accumulate, DeviceView d_weight, DeviceView d_bias);
void cpu_attention_forward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                           Dropout dropout, DeviceView context, DeviceView log_sum_exp);
void cpu_attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                            DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                            DeviceView d_qkv);
/* Bytes for all threads that norm_backward wants. */
size_t cpu_norm_shared_bytes(size_t rows, size_t d);
void cpu_rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows, int32_t columns,
                     DeviceView to);
void cpu_rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                      int32_t to_rows);
void cpu_cross_entropy(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights, DeviceView class_weights,
                       float label_smoothing, float gradient_scale, int32_t rows, int32_t label_count, DeviceView loss_sum,
                       DeviceView d_logits);
void cpu_add(BackendStream *stream, DeviceView to, DeviceView from, size_t count);
void cpu_sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sums);
void cpu_adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment, DeviceView second_moment,
               size_t count, const AdamwStep *step);
void cpu_adamw_matrix(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                      DeviceView first_moment, DeviceView second_moment, const AdamwStep *step);
void cpu_adamw_rows(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                    DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step);
void cpu_adamw_late(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment, DeviceView rows,
                    DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps, int32_t step_count);

#endif
