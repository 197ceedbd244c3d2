/* Attention of one head over one sequence, in blocks of queries so that scratch memory grows with the length, not with its square.
 *
 * Formulas as in reference/attention.c. Products of a head are tile products too; operands are padded with zeros to whole tiles. Columns of
 * score rows beyond the sequence hold numbers that nobody reads. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_ATTENTION_H
#define NERSWEEP_KERNELS_CPU_SIMD_ATTENTION_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/tile.h"

enum { QUERY_ROWS = 48 };

/* One head's view of the job, and its scratch. */
typedef struct HeadWork {
    size_t first, length, width, d; /* pieces of the sequence; head width; hidden width */
    size_t padded_length, padded_width;
    const float *q, *k, *v;           /* the head's columns of the sequence's first row */
    size_t q_row;                     /* floats from row to row: 3 d in place, the width where bf16 numbers were unpacked */
    const float *context, *d_context; /* likewise; backward only */
    size_t context_row;
    float scale; /* 1 / sqrt(w) */
    Mask mask;
    uint32_t site;
    uint64_t *bits;           /* mask of one row */
    float *keys_t, *values_t; /* [w][padded_length] */
    const float *keys,
        *values; /* rows of padded_width columns, row_step apart: packed, or in place where the width is whole tiles */
    size_t row_step;
    float *scores, *d_scores; /* [QUERY_ROWS][padded_length], and room for a batch more */
    float *queries, *d_out;   /* [QUERY_ROWS][padded_width]: backward's operands, or forward's context in queries */
    float *d_query;
    float *d_keys, *d_values; /* [length][padded_width] */
} HeadWork;

static size_t round_up(size_t x, size_t step)
{
    return (x + step - 1) / step * step;
}

static size_t attention_scratch(size_t longest, size_t width)
{
    size_t unpacked = 5 * (round_up(longest * width, LANES));
    size_t length = round_up(longest, TILE_COLUMNS), columns = round_up(width, TILE_COLUMNS), bits = 2 * (length / 64 + 1);
    size_t floats =
        round_up(bits, LANES) + 2 * width * length + 2 * QUERY_ROWS * length + 3 * QUERY_ROWS * columns + 4 * length * columns;
    return (floats + unpacked + (16 + BATCH) * LANES) * sizeof(float);
}

static float *scratch_take(float **at, size_t count)
{
    float *taken = *at;
    *at += round_up(count, LANES);
    return taken;
}

/* Rows of a head as an operand of whole tiles: in place, or packed into scratch. */
static const float *head_rows(const HeadWork *work, const float *rows, float **at)
{
    if (work->width == work->padded_width) {
        return rows;
    }
    float *packed = scratch_take(at, work->length * work->padded_width);
    tile_copy(rows, work->q_row, work->length, work->width, packed, work->padded_width);
    return packed;
}

/* Rows of bf16 numbers, from_row apart, one after another as floats. The next head's, whose turn is next, are asked for meanwhile. */
static const float *head_unpack(const uint16_t *from, size_t from_row, size_t rows, size_t width, float **at)
{
    float *to = scratch_take(at, rows * width);
    for (size_t i = 0; i < rows; i++) {
        __builtin_prefetch(from + i * from_row + width);
        for (size_t c = 0; c < width; c += LANES) {
            floats_store_upto(to + i * width + c, floats_load_bf16_upto(from + i * from_row + c, width - c), width - c);
        }
    }
    return to;
}

static void head_operands(HeadWork *work, const AttentionJob *job, size_t head, bool backward, float **at)
{
    size_t d = work->d, row = work->first * 3 * d + head * work->width, context_row = work->first * d + head * work->width;
    if (job->qkv.bf16 == NULL) {
        work->q = job->qkv.floats + row;
        work->k = work->q + d;
        work->v = work->k + d;
        work->q_row = 3 * d;
        work->context = job->context.floats + context_row;
        work->d_context = backward ? job->d_context.floats + context_row : NULL;
        work->context_row = d;
        return;
    }
    const uint16_t *qkv = job->qkv.bf16 + row;
    work->q = head_unpack(qkv, 3 * d, work->length, work->width, at);
    work->k = head_unpack(qkv + d, 3 * d, work->length, work->width, at);
    work->v = head_unpack(qkv + 2 * d, 3 * d, work->length, work->width, at);
    work->q_row = work->context_row = work->width;
    if (backward) {
        work->context = head_unpack(job->context.bf16 + context_row, d, work->length, work->width, at);
        work->d_context = head_unpack(job->d_context.bf16 + context_row, d, work->length, work->width, at);
    }
}

static HeadWork head_work(const AttentionJob *job, size_t sequence, size_t head, bool backward, void *scratch)
{
    size_t first = (size_t)job->pieces.sequence_start[sequence], length = (size_t)job->pieces.sequence_start[sequence + 1] - first;
    size_t d = job->heads * job->width;
    float *at = scratch;
    HeadWork work = {
        .first = first,
        .length = length,
        .width = job->width,
        .d = d,
        .padded_length = round_up(length, TILE_COLUMNS),
        .padded_width = round_up(job->width, TILE_COLUMNS),
        .scale = (float)(1.0 / sqrt((double)job->width)),
        .mask = mask_of(job->dropout),
        .site = job->dropout.site | (uint32_t)head << 16,
    };
    head_operands(&work, job, head, backward, &at);
    work.bits = (uint64_t *)(void *)scratch_take(&at, 2 * (work.padded_length / 64 + 1));
    work.keys_t = scratch_take(&at, work.width * work.padded_length);
    tile_transpose(work.k, work.q_row, length, work.width, work.keys_t, work.padded_length, work.padded_length);
    work.scores = scratch_take(&at, QUERY_ROWS * work.padded_length + BATCH * LANES);
    work.queries = scratch_take(&at, QUERY_ROWS * work.padded_width);
    work.row_step = work.width == work.padded_width ? work.q_row : work.padded_width;
    work.values = work.keys = NULL;
    if (!backward) {
        work.values = head_rows(&work, work.v, &at);
        return work;
    }
    work.values_t = scratch_take(&at, work.width * work.padded_length);
    tile_transpose(work.v, work.q_row, length, work.width, work.values_t, work.padded_length, work.padded_length);
    work.keys = head_rows(&work, work.k, &at);
    work.d_scores = scratch_take(&at, QUERY_ROWS * work.padded_length);
    work.d_out = scratch_take(&at, QUERY_ROWS * work.padded_width);
    work.d_query = scratch_take(&at, QUERY_ROWS * work.padded_width);
    work.d_keys = scratch_take(&at, length * work.padded_width);
    work.d_values = scratch_take(&at, length * work.padded_width);
    return work;
}

static void head_mask(const HeadWork *work, const AttentionJob *job, size_t query)
{
    size_t t = work->first + query;
    mask_row(&work->mask, job->pieces.slots[t], (uint32_t)job->pieces.positions[t], work->site, work->length, work->bits);
}

/* A row of q k becomes the exponents of its softmax; returns the largest score. Columns beyond the sequence count as nothing. */
static float softmax_row_begin(const HeadWork *work, float *row)
{
    Floats scale = floats_set(work->scale), largest = floats_set(-INFINITY);
    for (size_t j = work->length; j < work->padded_length; j++) {
        row[j] = -1e30f;
    }
    for (size_t j = 0; j < work->length; j += LANES) {
        largest = floats_larger(largest, floats_load(row + j));
    }
    float top = floats_largest(largest) * work->scale;
    for (size_t j = 0; j < work->length; j += LANES) {
        floats_store(row + j, floats_subtract(floats_multiply(floats_load(row + j), scale), floats_set(top)));
    }
    return top;
}

/* The exponentials get dropout's zeros; returns their sum before that. */
static float softmax_row_end(const HeadWork *work, float *row)
{
    Floats total = floats_zero();
    for (size_t j = 0; j < work->length; j += LANES) {
        Floats e = floats_load(row + j);
        total = floats_add(total, e);
        floats_store(row + j, mask_apply(&work->mask, work->bits, j, e));
    }
    return floats_sum(total);
}

static void attention_forward(const AttentionJob *job, size_t sequence, size_t head, void *scratch)
{
    HeadWork work = head_work(job, sequence, head, false, scratch);
    size_t d = work.d;
    float factors[QUERY_ROWS]; /* the row's largest score, then 1 / its sum */
    for (size_t begin = 0; begin < work.length; begin += QUERY_ROWS) {
        size_t rows = work.length - begin < QUERY_ROWS ? work.length - begin : QUERY_ROWS;
        tile_product(rows, work.padded_length, false, work.width, work.q + begin * work.q_row, work.q_row, 1, work.keys_t,
                     work.padded_length, work.scores, work.padded_length);
        for (size_t i = 0; i < rows; i++) {
            factors[i] = softmax_row_begin(&work, work.scores + i * work.padded_length);
        }
        values_exp(work.scores, round_up(rows * work.padded_length, BATCH * LANES));
        for (size_t i = 0; i < rows; i++) {
            head_mask(&work, job, begin + i);
            float sum = softmax_row_end(&work, work.scores + i * work.padded_length);
            job->log_sum_exp[(work.first + begin + i) * job->heads + head] = factors[i] + logf(sum);
            factors[i] = 1.0f / sum;
        }
        tile_product(rows, work.padded_width, false, work.length, work.scores, work.padded_length, 1, work.values, work.row_step,
                     work.queries, work.padded_width);
        for (size_t i = 0; i < rows; i++) {
            size_t out = (work.first + begin + i) * d + head * work.width;
            for (size_t c = 0; c < work.width; c += LANES) {
                Floats v = floats_load(work.queries + i * work.padded_width + c);
                reals_store_upto(job->context, out + c, floats_multiply(v, floats_set(factors[i])), work.width - c);
            }
        }
    }
}

static float head_dot(const float *a, const float *b, size_t count)
{
    Floats total = floats_zero();
    for (size_t c = 0; c < count; c += LANES) {
        total = floats_multiply_add(floats_load_upto(a + c, count - c), floats_load_upto(b + c, count - c), total);
    }
    return floats_sum(total);
}

/* q k becomes the logarithms of the probabilities. */
static void softmax_row_again(const HeadWork *work, float *row, float log_sum)
{
    Floats scale = floats_set(work->scale), top = floats_set(log_sum);
    for (size_t j = 0; j < work->length; j += LANES) {
        floats_store(row + j, floats_subtract(floats_multiply(floats_load(row + j), scale), top));
    }
}

/* row: probabilities, which get dropout; d_row: d_out v becomes the gradient of q k. */
static void softmax_row_backward(const HeadWork *work, float *row, float *d_row, float along)
{
    Floats scale = floats_set(work->scale), shift = floats_set(along);
    for (size_t j = 0; j < work->length; j += LANES) {
        Floats p = floats_load(row + j), d_p = mask_apply(&work->mask, work->bits, j, floats_load(d_row + j));
        floats_store(row + j, mask_apply(&work->mask, work->bits, j, p));
        floats_store(d_row + j, floats_multiply(floats_multiply(p, scale), floats_subtract(d_p, shift)));
    }
}

static void head_store(const float *from, size_t from_row, size_t rows, size_t width, HostReals to, size_t at, size_t to_row)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t c = 0; c < width; c += LANES) {
            reals_store_upto(to, at + i * to_row + c, floats_load(from + i * from_row + c), width - c);
        }
    }
}

static void attention_backward(const AttentionJob *job, size_t sequence, size_t head, void *scratch)
{
    HeadWork work = head_work(job, sequence, head, true, scratch);
    size_t d = work.d, length = work.padded_length, columns = work.padded_width;
    size_t d_q = work.first * 3 * d + head * work.width, q_row = work.q_row, d_out_row = work.context_row;
    for (size_t begin = 0; begin < work.length; begin += QUERY_ROWS) {
        size_t rows = work.length - begin < QUERY_ROWS ? work.length - begin : QUERY_ROWS, t = work.first + begin;
        const float *q = work.q + begin * q_row, *d_out = work.d_context + begin * d_out_row;
        tile_product(rows, length, false, work.width, q, q_row, 1, work.keys_t, length, work.scores, length);
        tile_product(rows, length, false, work.width, d_out, d_out_row, 1, work.values_t, length, work.d_scores, length);
        for (size_t i = 0; i < rows; i++) {
            softmax_row_again(&work, work.scores + i * length, job->log_sum_exp[(t + i) * job->heads + head]);
        }
        values_exp(work.scores, round_up(rows * length, BATCH * LANES));
        for (size_t i = 0; i < rows; i++) {
            float along = head_dot(d_out + i * d_out_row, work.context + (begin + i) * d_out_row, work.width);
            head_mask(&work, job, begin + i);
            softmax_row_backward(&work, work.scores + i * length, work.d_scores + i * length, along);
        }
        tile_copy(q, q_row, rows, work.width, work.queries, columns);
        tile_copy(d_out, d_out_row, rows, work.width, work.d_out, columns);
        tile_product(rows, columns, false, work.length, work.d_scores, length, 1, work.keys, work.row_step, work.d_query, columns);
        tile_product(work.length, columns, begin > 0, rows, work.d_scores, 1, length, work.queries, columns, work.d_keys, columns);
        tile_product(work.length, columns, begin > 0, rows, work.scores, 1, length, work.d_out, columns, work.d_values, columns);
        head_store(work.d_query, columns, rows, work.width, job->d_qkv, d_q + begin * 3 * d, 3 * d);
    }
    head_store(work.d_keys, columns, work.length, work.width, job->d_qkv, d_q + d, 3 * d);
    head_store(work.d_values, columns, work.length, work.width, job->d_qkv, d_q + 2 * d, 3 * d);
}

#endif
