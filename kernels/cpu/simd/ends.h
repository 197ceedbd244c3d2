/* What follows a product, on rows of sums that are still in a cache. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_ENDS_H
#define NERSWEEP_KERNELS_CPU_SIMD_ENDS_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/math.h"

/* Whether results go past the caches, in bf16: the lines of what a layer makes are cold, and the product is over before they could be fetched.
 * Not the gradient before GELU: each layer writes it to the same place, and the next operation packs it. */
static inline bool end_streams(const ProductEnd *end)
{
    return end->out.bf16 != NULL && !end->accumulate && !host_reals_given(end->slope_pre);
}

/* Sums of one row from column `column` on, which is number `at` of what the product is stored to; whole: a batch of them, else `left`. */
static inline __attribute__((always_inline)) void end_batch(const bool whole, const ProductEnd *end, const float *sums, size_t at,
                                                            size_t column, size_t left)
{
    const bool coarse = end->out.bf16 != NULL;
    Floats v[BATCH], other[BATCH];
    batch_load_reals(whole, v, (HostReals){.floats = (float *)(uintptr_t)sums}, 0, left);
    if (end->bias != NULL) {
        batch_load_reals(whole, other, (HostReals){.floats = (float *)(uintptr_t)end->bias}, column, left);
        FOR_BATCH(i) v[i] = floats_add(v[i], other[i]);
    }
    if (end->gelu) {
        if (host_reals_given(end->pre)) {
            batch_stream_reals(whole, v, end->pre, at, left);
        }
        if (coarse) {
            batch_gelu_coarse(v);
        } else {
            batch_gelu(v);
        }
    }
    if (host_reals_given(end->slope_pre)) {
        batch_load_reals(whole, other, end->slope_pre, at, left);
        if (coarse) {
            batch_gelu_derivative_coarse(other);
        } else {
            batch_gelu_derivative(other);
        }
        FOR_BATCH(i) v[i] = floats_multiply(v[i], other[i]);
    }
    if (end->accumulate) {
        batch_load_reals(whole, other, end->out, at, left);
        FOR_BATCH(i) v[i] = floats_add(v[i], other[i]);
    }
    if (end_streams(end)) {
        batch_stream_reals(whole, v, end->out, at, left);
    } else {
        batch_store_reals(whole, v, end->out, at, left);
    }
}

/* floats_stream_end comes before anybody else reads what is stored.
 * in: the sums of rows first .. last - 1 and columns column .. column + columns - 1, rows in_row apart; may be the place of out. */
static void product_end(const ProductEnd *end, const float *in, size_t in_row, size_t first, size_t last, size_t column,
                        size_t columns)
{
    const ProductEnd own = *end; /* which no store below can change */
    for (size_t r = first; r < last; r++, in += in_row) {
        size_t at = r * own.out_row + column, j = 0;
        for (; columns - j >= BATCH * LANES; j += BATCH * LANES) {
            end_batch(true, &own, in + j, at + j, column + j, 0);
        }
        if (j < columns) {
            end_batch(false, &own, in + j, at + j, column + j, columns - j);
        }
    }
}

/* Asks for the cache lines that the end of a tile will need while the tile is computed: rows lie far apart, which no hardware foresees. For
 * tiles that take longer than the lines do. */
static inline void lines_prefetch(const void *at, size_t row_bytes, size_t rows, size_t bytes, bool write)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < bytes; j += 64) {
            if (write) {
                __builtin_prefetch((const char *)at + r * row_bytes + j, 1);
            } else {
                __builtin_prefetch((const char *)at + r * row_bytes + j, 0);
            }
        }
    }
}

static inline void reals_prefetch(HostReals reals, size_t at, size_t row, size_t rows, size_t columns, bool write)
{
    if (reals.bf16 != NULL) {
        lines_prefetch(reals.bf16 + at, row * sizeof(uint16_t), rows, columns * sizeof(uint16_t), write);
    } else if (reals.floats != NULL) {
        lines_prefetch(reals.floats + at, row * sizeof(float), rows, columns * sizeof(float), write);
    }
}

static inline void end_prefetch(const ProductEnd *end, size_t first, size_t rows, size_t column, size_t columns)
{
    size_t at = first * end->out_row + column;
    if (!end_streams(end)) {
        reals_prefetch(end->out, at, end->out_row, rows, columns, true);
        reals_prefetch(end->pre, at, end->out_row, rows, columns, true);
    }
    reals_prefetch(end->slope_pre, at, end->out_row, rows, columns, false);
}

#endif
