/* The reference backend's parts: plain loops, double accumulation, one thread. Written to be read and believed, not to be fast.
 *
 * Every operation is declared here, so that another backend may wrap the table (tests/kernels/guarded_backend.c does). */
#ifndef NERSWEEP_KERNELS_CPU_REFERENCE_REFERENCE_H
#define NERSWEEP_KERNELS_CPU_REFERENCE_REFERENCE_H

#include "kernels/backend.h"
#include "kernels/cpu/host_buffer.h"

/* The matrix is a copy of the master as it was at the last refresh, so that a forgotten refresh shows. */
struct BackendMatrix {
    DeviceView weight;  /* the master, [n, k] */
    DeviceView copy;    /* of type */
    BackendBuffer *own; /* the copy of fp32; else NULL */
    DeviceType type;
    int32_t n, k;
};

void reference_matrix_refresh(BackendStream *stream, BackendMatrix *matrix);
void reference_matrix_settle(BackendStream *stream, BackendMatrix *matrix); /* nothing: a refresh makes the copy at once */
/* Without its memory, for who gives the copy a memory of another kind. */
BackendMatrix *reference_matrix_of(DeviceView weight, DeviceView copy, int32_t n, int32_t k, DeviceType type);

/* Reals of either type as fp32: the memory itself, or a copy that reals_close rounds and stores. The oracle computes in fp32 and double; bf16
 * is only how operands and results are kept. */
typedef struct ReferenceReals {
    float *values; /* NULL: an optional argument that is not given */
    uint16_t *kept;
    size_t count;
} ReferenceReals;
ReferenceReals reference_reals_open(DeviceView view, size_t count);
void reference_reals_close(ReferenceReals *reals, bool written);

/* 0 where the element is dropped, 1 / (1 - probability) where it is kept, 1 where dropout is off. */
double reference_dropout(Dropout dropout, uint32_t slot, uint32_t position, uint32_t channel, uint32_t site);

void reference_embedding_forward(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position,
                                 DeviceView type, int32_t d, DeviceView out);
void reference_embedding_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_out, int32_t d, DeviceView d_word,
                                  DeviceView d_position, DeviceView d_type);
void reference_norm_forward(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                            DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                            DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd);
void reference_norm_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                             DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out,
                             DeviceView d_sum, DeviceView d_x, DeviceView d_gamma, DeviceView d_beta);
void reference_linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                              LinearEpilogue epilogue, DeviceView pre, DeviceView y);
void reference_linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                                     bool accumulate, DeviceView d_x);
void reference_linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                      bool accumulate, DeviceView d_weight, DeviceView d_bias);
void reference_attention_forward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                                 Dropout dropout, DeviceView context, DeviceView log_sum_exp);
void reference_attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                                  DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                                  DeviceView d_qkv);
void reference_rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows,
                           int32_t columns, DeviceView to);
void reference_rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                            int32_t to_rows);
void reference_cross_entropy(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights,
                             DeviceView class_weights, float label_smoothing, float gradient_scale, int32_t rows,
                             int32_t label_count, DeviceView loss_sum, DeviceView d_logits);
void reference_add(BackendStream *stream, DeviceView to, DeviceView from, size_t count);
void reference_sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sums);
void reference_adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                     DeviceView second_moment, size_t count, const AdamwStep *step);
void reference_adamw_matrix(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                            DeviceView first_moment, DeviceView second_moment, const AdamwStep *step);
void reference_adamw_rows(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                          DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step);
void reference_adamw_late(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment,
                          DeviceView rows, DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps,
                          int32_t step_count);

#endif
