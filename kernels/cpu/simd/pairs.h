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

/* LANES pairs out of 2 LANES neighbours at p, of which `remaining` are there; the others are zero. */
static inline Words pairs_load_upto(const uint16_t *p, size_t remaining)
{
    if (remaining >= 2 * LANES) {
        return words_load(p);
    }
    uint16_t first[2 * LANES] = {0};
    memcpy(first, p, remaining * sizeof *p);
    return words_load(first);
}

/* LANES pairs of two rows: the lower halves from even, the upper ones from odd. */
static inline Words pairs_of_rows(const uint16_t *even, const uint16_t *odd)
{
    return words_or(words_load_halves(even), words_upper(words_load_halves(odd)));
}

/* W^T: [pairs_of(k)][TILE_COLUMNS], outputs column .. */
static void pairs_pack_transposed(const void *weight, size_t n, size_t k, size_t column, float *panel)
{
    const uint16_t *rows = (const uint16_t *)weight + column * k;
    size_t outputs = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS, words = pairs_of(k);
    for (size_t j = 0; j < TILE_COLUMNS; j += LANES) {
        for (size_t i = 0; i < words; i += LANES) {
            Floats block[LANES];
#pragma GCC unroll 16
            for (size_t r = 0; r < LANES; r++) {
                bool there = j + r < outputs && 2 * i < k;
                block[r] = there ? floats_of_words(pairs_load_upto(rows + (j + r) * k + 2 * i, k - 2 * i)) : floats_zero();
            }
            floats_transpose(block);
            size_t taken = words - i < LANES ? words - i : LANES;
            for (size_t r = 0; r < taken; r++) {
                words_store(panel + (i + r) * TILE_COLUMNS + j, words_of_floats(block[r]));
            }
        }
    }
}

/* Pairs of rows of bf16 numbers, row_count of them and zeros up to 2 words: [words][TILE_COLUMNS] a panel, panels panel_step units apart. */
static void pairs_pack_rows(const uint16_t *from, size_t from_row, size_t row_count, size_t columns, size_t words, float *panels,
                            size_t panel_step)
{
    static const uint16_t zeros[TILE_COLUMNS];
    for (size_t i = 0; i < words; i++) {
        const uint16_t *row = from + 2 * i * from_row;
        for (size_t j = 0; j < columns; j += LANES) {
            float *to = panels + j / TILE_COLUMNS * panel_step + i * TILE_COLUMNS + j % TILE_COLUMNS;
            const uint16_t *upper = 2 * i < row_count ? row + j : zeros,
                           *lower = 2 * i + 1 < row_count ? row + from_row + j : zeros;
            if (j % TILE_COLUMNS == 0) {
                __builtin_prefetch(row + AHEAD_ROWS * from_row + j);
                __builtin_prefetch(row + (AHEAD_ROWS + 1) * from_row + j);
            }
            if (columns - j >= LANES) {
                words_store(to, pairs_of_rows(upper, lower));
            } else {
                uint16_t even[LANES] = {0}, odd[LANES] = {0};
                memcpy(even, upper, (columns - j) * sizeof *even);
                memcpy(odd, lower, (columns - j) * sizeof *odd);
                words_store(to, pairs_of_rows(even, odd));
            }
            if (j + LANES >= columns && j % TILE_COLUMNS == 0) {
                words_store(to + LANES, words_set(0));
            }
        }
    }
}

/* Panels of W, inputs column .. */
static void pairs_pack_plain(const void *weight, size_t n, size_t k, size_t column, size_t columns, float *panels)
{
    size_t words = pairs_of(n);
    pairs_pack_rows((const uint16_t *)weight + column, k, n, columns, words, panels, words * TILE_COLUMNS);
}

static void pairs_pack_x(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    size_t first = first_panel * TILE_COLUMNS, last = last_panel * TILE_COLUMNS < job->k ? last_panel * TILE_COLUMNS : job->k;
    pairs_pack_rows((const uint16_t *)job->x + first, job->k, job->rows, last - first, job->depth / 2,
                    job->panels_x + first_panel * job->step_x, job->step_x);
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
    weight_tiles(true, job, first_d_y_panel, last_d_y_panel, first_x_panel, last_x_panel, tiles);
}

#endif

#endif
