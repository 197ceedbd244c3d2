/* Scaled dot-product attention (Vaswani et al. 2017) inside each sequence of a packed block.
 *
 * Forward, for query i of one head: a_ij = q_i k_j / sqrt(w), p_ij = softmax over j, context_i = sum over j of m_ij p_ij v_j, m the dropout
 * factor. Backward: dp_ij = m_ij (d_context_i . v_j), da_ij = p_ij (dp_ij - sum over j of p_ij dp_ij), and that last sum is
 * d_context_i . context_i, which needs no second pass. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/reference/reference.h"

enum { HEAD_WIDTH_MAX = 1024 };

typedef struct Head {
    const HostBlock *pieces;
    Dropout dropout;
    int32_t heads, width, head;
    int32_t first, length; /* pieces of the sequence */
    const float *qkv;      /* [T, 3d] */
} Head;

/* Row of q (part 0), k (1) or v (2) of the sequence's piece i. */
static const float *head_row(const Head *head, int part, int32_t i)
{
    size_t d = (size_t)head->heads * (size_t)head->width;
    return head->qkv + (size_t)(head->first + i) * 3 * d + (size_t)part * d + (size_t)head->head * (size_t)head->width;
}

static double head_score(const Head *head, int32_t i, int32_t j)
{
    const float *q = head_row(head, 0, i), *k = head_row(head, 1, j);
    double total = 0.0;
    for (int32_t c = 0; c < head->width; c++) {
        total += (double)q[c] * (double)k[c];
    }
    return total / sqrt((double)head->width);
}

static double head_dropout(const Head *head, int32_t i, int32_t j)
{
    const HostBlock *pieces = head->pieces;
    int32_t query = head->first + i, key = head->first + j;
    return reference_dropout(head->dropout, pieces->slots[query], (uint32_t)pieces->positions[query],
                             (uint32_t)pieces->positions[key], head->dropout.site | ((uint32_t)head->head << 16));
}

static void head_forward(const Head *head, float *context, float *log_sum_exp)
{
    size_t d = (size_t)head->heads * (size_t)head->width;
    for (int32_t i = 0; i < head->length; i++) {
        size_t row = (size_t)(head->first + i);
        float *out = context + row * d + (size_t)head->head * (size_t)head->width;
        double largest = -INFINITY, total = 0.0;
        for (int32_t j = 0; j < head->length; j++) {
            largest = fmax(largest, head_score(head, i, j));
        }
        for (int32_t j = 0; j < head->length; j++) {
            total += exp(head_score(head, i, j) - largest);
        }
        double log_total = largest + log(total);
        log_sum_exp[row * (size_t)head->heads + (size_t)head->head] = (float)log_total;
        double sums[HEAD_WIDTH_MAX] = {0.0};
        for (int32_t j = 0; j < head->length; j++) {
            double probability = exp(head_score(head, i, j) - log_total) * head_dropout(head, i, j);
            for (int32_t c = 0; c < head->width; c++) {
                sums[c] += probability * (double)head_row(head, 2, j)[c];
            }
        }
        for (int32_t c = 0; c < head->width; c++) {
            out[c] = (float)sums[c];
        }
    }
}

static void head_backward_query(const Head *head, int32_t i, double log_total, const float *context, const float *d_context,
                                float *d_qkv)
{
    size_t d = (size_t)head->heads * (size_t)head->width, column = (size_t)head->head * (size_t)head->width;
    float *d_q = d_qkv + (size_t)(head->first + i) * 3 * d + column;
    double along = 0.0, scale = 1.0 / sqrt((double)head->width);
    for (int32_t c = 0; c < head->width; c++) {
        along += (double)context[c] * (double)d_context[c];
    }
    for (int32_t j = 0; j < head->length; j++) {
        const float *q = head_row(head, 0, i), *k = head_row(head, 1, j), *v = head_row(head, 2, j);
        float *d_k = d_qkv + (size_t)(head->first + j) * 3 * d + d + column, *d_v = d_k + d;
        double probability = exp(head_score(head, i, j) - log_total), factor = head_dropout(head, i, j), d_probability = 0.0;
        for (int32_t c = 0; c < head->width; c++) {
            d_probability += factor * (double)d_context[c] * (double)v[c];
        }
        double d_score = probability * (d_probability - along) * scale;
        for (int32_t c = 0; c < head->width; c++) {
            d_q[c] += (float)(d_score * (double)k[c]);
            d_k[c] += (float)(d_score * (double)q[c]);
            d_v[c] += (float)(probability * factor * (double)d_context[c]);
        }
    }
}

void reference_attention_forward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                                 Dropout dropout, DeviceView context, DeviceView log_sum_exp)
{
    HostBlock pieces = host_block(block);
    size_t rows = (size_t)pieces.piece_count, d = (size_t)heads * (size_t)head_width;
    ReferenceReals qkv_reals = reference_reals_open(qkv, rows * 3 * d), context_reals = reference_reals_open(context, rows * d);
    Head head = {.pieces = &pieces, .dropout = dropout, .heads = heads, .width = head_width, .qkv = qkv_reals.values};
    float *out = context_reals.values, *log_sums = host_floats(log_sum_exp, rows * (size_t)heads);
    (void)stream;
    ASSERT(head_width <= HEAD_WIDTH_MAX);
    for (int32_t s = 0; s < pieces.sequence_count; s++) {
        head.first = pieces.sequence_start[s];
        head.length = pieces.sequence_start[s + 1] - head.first;
        for (head.head = 0; head.head < heads; head.head++) {
            head_forward(&head, out, log_sums);
        }
    }
    reference_reals_close(&qkv_reals, false);
    reference_reals_close(&context_reals, true);
}

void reference_attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                                  DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                                  DeviceView d_qkv)
{
    HostBlock pieces = host_block(block);
    size_t rows = (size_t)pieces.piece_count, d = (size_t)heads * (size_t)head_width;
    ReferenceReals qkv_reals = reference_reals_open(qkv, rows * 3 * d), context_reals = reference_reals_open(context, rows * d);
    ReferenceReals d_context_reals = reference_reals_open(d_context, rows * d),
                   d_qkv_reals = reference_reals_open(d_qkv, rows * 3 * d);
    Head head = {.pieces = &pieces, .dropout = dropout, .heads = heads, .width = head_width, .qkv = qkv_reals.values};
    const float *out = context_reals.values, *log_sums = host_floats(log_sum_exp, rows * (size_t)heads);
    const float *d_out = d_context_reals.values;
    float *gradient = d_qkv_reals.values;
    (void)stream;
    memset(gradient, 0, rows * 3 * d * sizeof(float));
    for (int32_t s = 0; s < pieces.sequence_count; s++) {
        head.first = pieces.sequence_start[s];
        head.length = pieces.sequence_start[s + 1] - head.first;
        for (head.head = 0; head.head < heads; head.head++) {
            for (int32_t i = 0; i < head.length; i++) {
                size_t row = (size_t)(head.first + i), at = row * d + (size_t)head.head * (size_t)head_width;
                double log_total = (double)log_sums[row * (size_t)heads + (size_t)head.head];
                head_backward_query(&head, i, log_total, out + at, d_out + at, gradient);
            }
        }
    }
    reference_reals_close(&qkv_reals, false);
    reference_reals_close(&context_reals, false);
    reference_reals_close(&d_context_reals, false);
    reference_reals_close(&d_qkv_reals, true);
}
