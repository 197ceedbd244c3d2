/* Operations along rows: embeddings, LayerNorm with dropout, cross entropy. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_ROWS_H
#define NERSWEEP_KERNELS_CPU_SIMD_ROWS_H

#include "core/base/token_block.h"
#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/math.h"

static void embedding_forward(const EmbeddingJob *job, size_t first, size_t last)
{
    for (size_t t = first; t < last; t++) {
        const float *word = job->word + (size_t)job->pieces.ids[t] * job->d;
        const float *position = job->position + (size_t)job->pieces.positions[t] * job->d;
        float *out = job->out + t * job->d;
        for (size_t i = 0; i < job->d; i += LANES) {
            Floats v = floats_add(floats_load_upto(word + i, job->d - i), floats_load_upto(position + i, job->d - i));
            floats_store_upto(out + i, floats_add(v, floats_load_upto(job->type + i, job->d - i)), job->d - i);
        }
    }
}

static inline void add_columns(float *to, const float *from, size_t first, size_t last)
{
    for (size_t i = first; to != NULL && i < last; i += LANES) {
        floats_store_upto(to + i, floats_add(floats_load_upto(to + i, last - i), floats_load_upto(from + i, last - i)), last - i);
    }
}

/* Columns first .. last - 1 of every row, in the order of the block: two rows may go to the same place. */
static void embedding_backward(const EmbeddingJob *job, size_t first, size_t last)
{
    size_t d = job->d, pieces = (size_t)job->pieces.piece_count;
    for (size_t t = 0; t < pieces; t++) {
        const float *from = job->d_out + t * d;
        add_columns(job->d_word == NULL ? NULL : job->d_word + (size_t)job->pieces.ids[t] * d, from, first, last);
        add_columns(job->d_position == NULL ? NULL : job->d_position + (size_t)job->pieces.positions[t] * d, from, first, last);
        add_columns(job->d_type, from, first, last);
    }
}

/* Two masks of a row. */
static size_t norm_scratch(size_t d)
{
    return 2 * (d / 64 + 1) * sizeof(uint64_t);
}

static void norm_forward(const NormJob *job, size_t first, size_t last, void *scratch)
{
    size_t d = job->d;
    uint64_t *bits_in = scratch, *bits_out = bits_in + (d / 64 + 1);
    Mask mask_in = mask_of(job->dropout_in), mask_out = mask_of(job->dropout_out);
    bool product = host_reals_given(job->y_product) && job->y_product.floats != job->y;
    for (size_t t = first; t < last; t++) {
        uint32_t slot = job->pieces.slots[t], position = (uint32_t)job->pieces.positions[t];
        const float *x = job->x + t * d, *residual = job->residual == NULL ? NULL : job->residual + t * d;
        float *sum = job->sum + t * d, *y = job->y + t * d;
        Floats total = floats_zero(), squares = floats_zero();
        mask_row(&mask_in, slot, position, job->dropout_in.site, d, bits_in);
        mask_row(&mask_out, slot, position, job->dropout_out.site, d, bits_out);
        for (size_t i = 0; i < d; i += LANES) {
            Floats v = mask_apply(&mask_in, bits_in, i, floats_load_upto(x + i, d - i));
            if (residual != NULL) {
                v = floats_add(v, floats_load_upto(residual + i, d - i));
            }
            floats_store_upto(sum + i, v, d - i);
            total = floats_add(total, v);
        }
        float mean = floats_sum(total) / (float)d;
        for (size_t i = 0; i < d; i += LANES) {
            Floats v = floats_subtract(floats_load_upto(sum + i, d - i), floats_set(mean));
            v = floats_keep(v, first_bits(d - i));
            squares = floats_multiply_add(v, v, squares);
        }
        float rstd = 1.0f / sqrtf(floats_sum(squares) / (float)d + job->epsilon);
        for (size_t i = 0; i < d; i += LANES) {
            Floats v = floats_subtract(floats_load_upto(sum + i, d - i), floats_set(mean));
            v = floats_multiply(floats_multiply(v, floats_set(rstd)), floats_load_upto(job->gamma + i, d - i));
            v = floats_add(v, floats_load_upto(job->beta + i, d - i));
            v = mask_apply(&mask_out, bits_out, i, v);
            floats_store_upto(y + i, v, d - i);
            if (product) {
                reals_store_upto(job->y_product, t * d + i, v, d - i);
            }
        }
        job->mean[t] = mean;
        job->rstd[t] = rstd;
    }
}

/* The gradient of the LayerNorm's own output and the normalised value at column i of a row. */
typedef struct NormRow {
    const float *d_y, *sum;
    Floats mean, rstd;
} NormRow;

static inline Floats norm_row_normal(const NormRow *row, size_t i, size_t d)
{
    return floats_multiply(floats_subtract(floats_load_upto(row->sum + i, d - i), row->mean), row->rstd);
}

/* partial [2 d]: sums of d_gamma and d_beta over these rows; NULL where neither is wanted. */
static void norm_backward(const NormJob *job, size_t first, size_t last, float *partial, void *scratch)
{
    size_t d = job->d;
    uint64_t *bits_in = scratch, *bits_out = bits_in + (d / 64 + 1);
    Mask mask_in = mask_of(job->dropout_in), mask_out = mask_of(job->dropout_out);
    bool wanted = host_reals_given(job->d_x);
    for (size_t i = 0; partial != NULL && i < 2 * d; i++) {
        partial[i] = 0.0f;
    }
    for (size_t t = first; t < last; t++) {
        uint32_t slot = job->pieces.slots[t], position = (uint32_t)job->pieces.positions[t];
        NormRow row = {job->d_y + t * d, job->sum + t * d, floats_set(job->mean[t]), floats_set(job->rstd[t])};
        float *d_sum = job->d_sum + t * d;
        Floats ones = floats_zero(), normals = floats_zero();
        mask_row(&mask_out, slot, position, job->dropout_out.site, d, bits_out);
        for (size_t i = 0; i < d; i += LANES) {
            Floats out = mask_apply(&mask_out, bits_out, i, floats_load_upto(row.d_y + i, d - i));
            Floats normal = norm_row_normal(&row, i, d), g = floats_multiply(out, floats_load_upto(job->gamma + i, d - i));
            ones = floats_add(ones, g); /* lanes beyond the row are zero in out, whatever normal holds there */
            normals = floats_multiply_add(g, normal, normals);
            if (partial != NULL) {
                float *at = partial + i;
                floats_store_upto(at, floats_multiply_add(out, normal, floats_load_upto(at, d - i)), d - i);
                floats_store_upto(at + d, floats_add(out, floats_load_upto(at + d, d - i)), d - i);
            }
        }
        Floats along_one = floats_set(floats_sum(ones) / (float)d), along_normal = floats_set(floats_sum(normals) / (float)d);
        if (wanted) {
            mask_row(&mask_in, slot, position, job->dropout_in.site, d, bits_in);
        }
        for (size_t i = 0; i < d; i += LANES) {
            Floats out = mask_apply(&mask_out, bits_out, i, floats_load_upto(row.d_y + i, d - i));
            Floats g = floats_subtract(floats_multiply(out, floats_load_upto(job->gamma + i, d - i)), along_one);
            g = floats_multiply(floats_subtract_product(g, norm_row_normal(&row, i, d), along_normal), row.rstd);
            floats_store_upto(d_sum + i, g, d - i);
            if (wanted) {
                reals_store_upto(job->d_x, t * d + i, mask_apply(&mask_in, bits_in, i, g), d - i);
            }
        }
    }
}

static void add_rows(float *to, const float *rows, size_t row_stride, size_t row_count, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        Floats total = floats_zero();
        for (size_t r = 0; r < row_count; r++) {
            total = floats_add(total, floats_load_upto(rows + r * row_stride + i, count - i));
        }
        floats_store_upto(to + i, floats_add(floats_load_upto(to + i, count - i), total), count - i);
    }
}

static inline Floats class_weights_at(const LossJob *job, size_t i)
{
    return job->class_weights == NULL ? floats_set(1.0f) : floats_load_upto(job->class_weights + i, job->label_count - i);
}

/* gradient = row_scale * (weight_sum * softmax - target weights), as reference/loss.c derives it. */
static void loss_gradient(const LossJob *job, const float *logits, int32_t label, float log_total, double weight_sum,
                          float row_scale, float *gradient)
{
    size_t classes = job->label_count;
    float share = job->smoothing / (float)classes;
    for (size_t i = 0; i < classes; i += LANES) {
        Floats p = floats_exp(floats_subtract(floats_load_upto(logits + i, classes - i), floats_set(log_total)));
        Floats g = floats_multiply(p, floats_set((float)weight_sum));
        g = floats_subtract_product(g, class_weights_at(job, i), floats_set(share));
        floats_store_upto(gradient + i, floats_multiply(g, floats_set(row_scale)), classes - i);
    }
    float own = job->class_weights == NULL ? 1.0f : job->class_weights[label];
    gradient[label] -= row_scale * (1.0f - job->smoothing) * own;
}

static double cross_entropy(const LossJob *job, size_t first, size_t last)
{
    size_t classes = job->label_count;
    double loss = 0.0;
    for (size_t r = first; r < last; r++) {
        const float *logits = job->logits + r * classes;
        float *gradient = job->d_logits == NULL ? NULL : job->d_logits + r * classes;
        int32_t label = job->labels[r];
        if (label == TOKEN_LABEL_IGNORED) {
            for (size_t i = 0; gradient != NULL && i < classes; i++) {
                gradient[i] = 0.0f;
            }
            continue;
        }
        ASSERT(label >= 0 && (size_t)label < classes);
        float largest = logits[0];
        for (size_t i = 1; i < classes; i++) {
            largest = logits[i] > largest ? logits[i] : largest;
        }
        Floats total = floats_zero();
        for (size_t i = 0; i < classes; i += LANES) {
            Floats e = floats_exp(floats_subtract(floats_load_upto(logits + i, classes - i), floats_set(largest)));
            total = floats_add(total, floats_keep(e, first_bits(classes - i)));
        }
        double log_total = (double)largest + log((double)floats_sum(total)), share = (double)job->smoothing / (double)classes;
        double own = job->class_weights == NULL ? 1.0 : (double)job->class_weights[label];
        double value = (1.0 - (double)job->smoothing) * own * (log_total - (double)logits[label]);
        double weight_sum = (1.0 - (double)job->smoothing) * own;
        for (size_t i = 0; job->smoothing > 0.0f && i < classes; i++) {
            double weight = job->class_weights == NULL ? 1.0 : (double)job->class_weights[i];
            value += share * weight * (log_total - (double)logits[i]);
            weight_sum += share * weight;
        }
        loss += (double)job->weights[r] * value;
        if (gradient != NULL) {
            loss_gradient(job, logits, label, (float)log_total, weight_sum, job->weights[r] * job->gradient_scale, gradient);
        }
    }
    return loss;
}

#endif
