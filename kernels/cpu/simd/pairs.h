/* Products of bf16 numbers, with sums in fp32: pairs along the sum are multiplied by one instruction, or whole tiles of them (AMX).
 *
 * Which numbers are added in which order follows from the depth alone, so results do not depend on how the rows are split. Sources: Intel 64
 * and IA-32 Architectures Software Developer's Manual, VDPBF16PS and TDPBF16PS. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PAIRS_H
#define NERSWEEP_KERNELS_CPU_SIMD_PAIRS_H

#include "kernels/cpu/simd/products.h"

enum { PAIR_DEPTH = 32, PAIR_D_Y_GROUP = 4 }; /* a tile of AMX is 32 numbers deep; the other levels follow */

static size_t pairs_of(size_t depth) /* units of a panel's column */
{
    return (depth + PAIR_DEPTH - 1) / PAIR_DEPTH * (PAIR_DEPTH / 2);
}

/* LANES pairs out of 2 LANES neighbours at p, of which `remaining` are there. */
static inline Words pairs_load_floats(const float *p, size_t remaining)
{
    uint16_t pairs[2 * LANES];
    floats_store_bf16(pairs, floats_load_upto(p, remaining));
    floats_store_bf16(pairs + LANES, remaining > LANES ? floats_load_upto(p + LANES, remaining - LANES) : floats_zero());
    return words_load(pairs);
}

/* LANES pairs of two rows: the lower halves from even, the upper ones from odd. */
static inline Words pairs_of_rows(const uint16_t *even, const uint16_t *odd)
{
    return words_or(words_load_halves(even), words_upper(words_load_halves(odd)));
}

/* W^T: [pairs_of(k)][TILE_COLUMNS], outputs column .. */
static void pairs_pack_transposed(const float *weight, size_t n, size_t k, size_t column, float *panel)
{
    size_t outputs = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS, words = pairs_of(k);
    for (size_t i = 0; i < words; i += LANES) {
        for (size_t j = 0; j < TILE_COLUMNS; j += LANES) {
            Floats block[LANES];
#pragma GCC unroll 16
            for (size_t r = 0; r < LANES; r++) {
                bool there = j + r < outputs && 2 * i < k;
                block[r] =
                    there ? floats_of_words(pairs_load_floats(weight + (column + j + r) * k + 2 * i, k - 2 * i)) : floats_zero();
            }
            floats_transpose(block);
            size_t rows = words - i < LANES ? words - i : LANES;
            for (size_t r = 0; r < rows; r++) {
                words_store(panel + (i + r) * TILE_COLUMNS + j, words_of_floats(block[r]));
            }
        }
    }
}

/* Panels of W, inputs column ..: pairs of rows. */
static void pairs_pack_plain(const float *weight, size_t n, size_t k, size_t column, size_t columns, float *panels)
{
    size_t words = pairs_of(n);
    for (size_t i = 0; i < words; i++) {
        for (size_t j = 0; j < columns; j += LANES) {
            const float *row = weight + 2 * i * k + column + j;
            size_t left = columns - j;
            uint16_t even[LANES], odd[LANES];
            __builtin_prefetch(row + 4 * k);
            __builtin_prefetch(row + 5 * k);
            floats_store_bf16(even, 2 * i < n ? floats_load_upto(row, left) : floats_zero());
            floats_store_bf16(odd, 2 * i + 1 < n ? floats_load_upto(row + k, left) : floats_zero());
            float *panel = panels + j / TILE_COLUMNS * TILE_COLUMNS * words;
            words_store(panel + i * TILE_COLUMNS + j % TILE_COLUMNS, pairs_of_rows(even, odd));
            if (j + LANES >= columns && j % TILE_COLUMNS == 0) {
                words_store(panel + i * TILE_COLUMNS + LANES, words_set(0));
            }
        }
    }
}

/* x: [depth / 2][TILE_COLUMNS] a panel. */
static void pairs_pack_x(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    static const uint16_t zeros[TILE_COLUMNS];
    const uint16_t *x = job->x;
    size_t first = first_panel * TILE_COLUMNS, last = last_panel * TILE_COLUMNS < job->k ? last_panel * TILE_COLUMNS : job->k;
    for (size_t i = 0; i < job->depth / 2; i++) {
        for (size_t j = first; j < last; j += LANES) {
            uint16_t even[LANES] = {0}, odd[LANES] = {0};
            const uint16_t *upper = 2 * i < job->rows ? x + 2 * i * job->k + j : zeros,
                           *lower = 2 * i + 1 < job->rows ? x + (2 * i + 1) * job->k + j : zeros;
            float *to = job->panels_x + j / TILE_COLUMNS * job->step_x + i * TILE_COLUMNS + j % TILE_COLUMNS;
            if (last - j >= LANES) {
                words_store(to, pairs_of_rows(upper, lower));
            } else {
                memcpy(even, upper, (last - j) * sizeof *even);
                memcpy(odd, lower, (last - j) * sizeof *odd);
                words_store(to, pairs_of_rows(even, odd));
            }
            if (j + LANES >= last && j % TILE_COLUMNS == 0) {
                words_store(to + LANES, words_set(0));
            }
        }
    }
}

#ifdef LEVEL_AMX

#include "kernels/cpu/simd/pairs_amx.h"

#else

enum { PAIR_ROWS = TILE_ROWS };

static void pairs_product(const PanelJob *job, const float *panels, size_t first, size_t last, size_t first_panel,
                          size_t last_panel)
{
    product_tiles(true, job, panels, first, last, first_panel, last_panel);
}

/* d_y: [depth / 2][TILE_ROWS] a panel; as pack_d_y, whole vectors are written and what is too much is overwritten. */
static void pairs_pack_d_y(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    static const uint16_t zeros[LANES];
    const uint16_t *d_y = job->d_y;
    for (size_t p = first_panel; p < last_panel; p++) {
        size_t column = p * TILE_ROWS, left = job->n - column;
        Floats sums = floats_zero();
        for (size_t i = 0; i < job->depth / 2; i++) {
            uint16_t even[LANES] = {0}, odd[LANES] = {0};
            const uint16_t *upper = 2 * i < job->rows ? d_y + 2 * i * job->n + column : zeros,
                           *lower = 2 * i + 1 < job->rows ? d_y + (2 * i + 1) * job->n + column : zeros;
            if (left < LANES) {
                memcpy(even, upper, left * sizeof *even);
                memcpy(odd, lower, left * sizeof *odd);
                upper = even;
                lower = odd;
            }
            words_store(job->panels_d_y + p * job->step_d_y + i * TILE_ROWS, pairs_of_rows(upper, lower));
            sums = floats_add(floats_add(sums, floats_load_bf16(upper)), floats_load_bf16(lower));
        }
        bias_store(job, column, TILE_ROWS, sums);
    }
}

static void pairs_product_weight(const WeightJob *job, size_t first_d_y_panel, size_t last_d_y_panel, size_t first_x_panel,
                                 size_t last_x_panel, float *tiles)
{
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        for (size_t x = first_x_panel; x < last_x_panel; x++) {
            weight_tile(true, job, p, x, tiles);
        }
    }
}

#endif

#endif
