/* Products of bf16 numbers, with sums in fp32: pairs along the sum are multiplied by one instruction, or whole tiles of them (AMX).
 *
 * Which numbers are added in which order follows from the depth alone, so results do not depend on how the rows are split. Sources: Intel 64
 * and IA-32 Architectures Software Developer's Manual, VDPBF16PS and TDPBF16PS. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PAIRS_H
#define NERSWEEP_KERNELS_CPU_SIMD_PAIRS_H

#include "kernels/cpu/simd/products.h"

static size_t pairs_of(size_t depth) /* words of a panel's column */
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
static void pairs_pack_transposed(const float *weight, size_t n, size_t k, size_t column, uint32_t *panel)
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
static void pairs_pack_plain(const float *weight, size_t n, size_t k, size_t column, size_t columns, uint32_t *panels)
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
            uint32_t *panel = panels + j / TILE_COLUMNS * TILE_COLUMNS * words;
            words_store(panel + i * TILE_COLUMNS + j % TILE_COLUMNS, pairs_of_rows(even, odd));
            if (j + LANES >= columns && j % TILE_COLUMNS == 0) {
                words_store(panel + i * TILE_COLUMNS + LANES, words_set(0));
            }
        }
    }
}

/* x: [depth / 2][TILE_COLUMNS] a panel. */
static void pairs_pack_x(const PairWeightJob *job, size_t first_panel, size_t last_panel)
{
    static const uint16_t zeros[TILE_COLUMNS];
    size_t first = first_panel * TILE_COLUMNS, last = last_panel * TILE_COLUMNS < job->k ? last_panel * TILE_COLUMNS : job->k;
    for (size_t i = 0; i < job->depth / 2; i++) {
        for (size_t j = first; j < last; j += LANES) {
            uint16_t even[LANES] = {0}, odd[LANES] = {0};
            const uint16_t *upper = 2 * i < job->rows ? job->x + 2 * i * job->k + j : zeros,
                           *lower = 2 * i + 1 < job->rows ? job->x + (2 * i + 1) * job->k + j : zeros;
            uint32_t *to = job->panels_x + j / TILE_COLUMNS * job->step_x + i * TILE_COLUMNS + j % TILE_COLUMNS;
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

static void to_bf16(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        floats_store_bf16_upto(to + i, floats_load_upto(from + i, count - i), count - i);
    }
}

static void to_floats(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        floats_store_upto(to + i, floats_load_bf16_upto(from + i, count - i), count - i);
    }
}

/* d_bias of columns column .. */
static void pairs_bias(const PairWeightJob *job, size_t column, size_t columns, Floats sums)
{
    float values[LANES];
    floats_store(values, sums);
    for (size_t j = 0; job->d_bias != NULL && j < columns && column + j < job->n; j++) {
        job->d_bias[column + j] = job->accumulate ? job->d_bias[column + j] + values[j] : values[j];
    }
}

#ifdef LEVEL_AMX

#include "kernels/cpu/simd/pairs_amx.h"

#else

enum { PAIR_ROWS = TILE_ROWS };

static inline Words pairs_set(const unsigned char *p)
{
    uint32_t pair;
    memcpy(&pair, p, sizeof pair);
    return words_set(pair);
}

/* out[r][j] = sum over i < words of the products of the pairs at a + r a_row + i a_step bytes and at b[i][j]; as tile_multiply. */
static inline __attribute__((always_inline)) void pairs_multiply(const size_t rows, size_t words, const void *a, size_t a_row,
                                                                 const size_t a_step, const uint32_t *b, float *out)
{
    Floats sums[TILE_ROWS][2];
    const unsigned char *group[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 12
    for (size_t g = 0; g < (TILE_ROWS + 2) / 3; g++) {
        group[g] = (const unsigned char *)a + 3 * g * a_row;
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) {
        sums[r][0] = sums[r][1] = floats_zero();
    }
    for (size_t i = 0; i < words; i++) {
        Words left = words_load(b), right = words_load(b + LANES);
        b += TILE_COLUMNS;
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++) {
            Words value = pairs_set(group[r / 3] + (r % 3) * a_row);
            sums[r][0] = pairs_multiply_add(sums[r][0], value, left);
            sums[r][1] = pairs_multiply_add(sums[r][1], value, right);
        }
#pragma GCC unroll 12
        for (size_t g = 0; g < (TILE_ROWS + 2) / 3; g++) {
            group[g] += a_step;
        }
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) {
        floats_store(out + r * TILE_COLUMNS, sums[r][0]);
        floats_store(out + r * TILE_COLUMNS + LANES, sums[r][1]);
    }
}

static inline void pairs_tile(const PairJob *job, const uint32_t *panel, size_t first, size_t rows, size_t column, float *tile)
{
    size_t columns = job->end.out_row - column < TILE_COLUMNS ? job->end.out_row - column : TILE_COLUMNS;
    const uint16_t *a = job->a + first * job->a_row;
    end_prefetch(&job->end, first, rows, column);
    switch (rows) {
#define TILE_CASE(count)                                                                                 \
    case count:                                                                                          \
        pairs_multiply(count, job->depth / 2, a, job->a_row * sizeof *a, sizeof(uint32_t), panel, tile); \
        break;
        TILE_CASES(TILE_CASE)
#undef TILE_CASE
    }
    tile_end(&job->end, tile, first, rows, column, columns);
}

static void pairs_product(const PairJob *job, const uint32_t *panels, size_t first, size_t last, size_t first_panel,
                          size_t last_panel)
{
    float tile[TILE_FLOATS] __attribute__((aligned(64))) = {0};
    for (size_t r = first; r < last; r += TILE_ROWS) {
        size_t rows = last - r < TILE_ROWS ? last - r : TILE_ROWS;
        for (size_t p = first_panel; p < last_panel; p++) {
            pairs_tile(job, panels + p * TILE_COLUMNS * (job->depth / 2), r, rows, p * TILE_COLUMNS, tile);
        }
    }
}

/* d_y: [depth / 2][TILE_ROWS] a panel; as pack_d_y, whole vectors are written and what is too much is overwritten. */
static void pairs_pack_d_y(const PairWeightJob *job, size_t first_panel, size_t last_panel)
{
    static const uint16_t zeros[LANES];
    for (size_t p = first_panel; p < last_panel; p++) {
        size_t column = p * TILE_ROWS, left = job->n - column;
        Floats sums = floats_zero();
        for (size_t i = 0; i < job->depth / 2; i++) {
            uint16_t even[LANES] = {0}, odd[LANES] = {0};
            const uint16_t *upper = 2 * i < job->rows ? job->d_y + 2 * i * job->n + column : zeros,
                           *lower = 2 * i + 1 < job->rows ? job->d_y + (2 * i + 1) * job->n + column : zeros;
            if (left < LANES) {
                memcpy(even, upper, left * sizeof *even);
                memcpy(odd, lower, left * sizeof *odd);
                upper = even;
                lower = odd;
            }
            words_store(job->panels_d_y + p * job->step_d_y + i * TILE_ROWS, pairs_of_rows(upper, lower));
            sums = floats_add(floats_add(sums, floats_load_bf16(upper)), floats_load_bf16(lower));
        }
        pairs_bias(job, column, TILE_ROWS, sums);
    }
}

static void pairs_product_weight(const PairWeightJob *job, size_t x_panel, size_t first_d_y_panel, size_t last_d_y_panel)
{
    float tile[TILE_FLOATS] __attribute__((aligned(64)));
    const uint32_t *b = job->panels_x + x_panel * job->step_x;
    size_t column = x_panel * TILE_COLUMNS, columns = job->k - column < TILE_COLUMNS ? job->k - column : TILE_COLUMNS;
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        size_t row = p * TILE_ROWS, rows = job->n - row < TILE_ROWS ? job->n - row : TILE_ROWS;
        float *to = job->d_weight + row * job->k + column;
        lines_prefetch(to, job->k * sizeof *to, rows, TILE_COLUMNS * sizeof *to, true);
        pairs_multiply(TILE_ROWS, job->depth / 2, job->panels_d_y + p * job->step_d_y, sizeof(uint32_t),
                       TILE_ROWS * sizeof(uint32_t), b, tile);
        tile_store(tile, (HostReals){.floats = to}, 0, job->k, rows, columns, job->accumulate);
    }
}

#endif

#endif
