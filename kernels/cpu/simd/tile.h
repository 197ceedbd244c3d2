/* The one inner kernel of all matrix products: a tile of TILE_ROWS x TILE_COLUMNS sums that stays in registers over the whole reduction.
 *
 * Every sum adds its products one after another in the order of the reduction, whatever tile it falls into and whoever computes it: results
 * do not depend on how the rows are split. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_TILE_H
#define NERSWEEP_KERNELS_CPU_SIMD_TILE_H

#include "kernels/cpu/simd/math.h"

enum {
    TILE_COLUMNS = 2 * LANES,
    AHEAD_ROWS = 8 /* how far ahead rows are asked for: they lie far apart, which no hardware foresees */
};

/* One unit of an operand, a number or a pair, in all lanes. */
static inline Floats unit_set(const unsigned char *at)
{
    float unit;
    memcpy(&unit, at, sizeof unit);
    return floats_set(unit);
}

static inline Floats unit_multiply_add(const bool pairs, Floats a, Floats b, Floats sum)
{
    return pairs ? pairs_multiply_add(sum, words_of_floats(a), words_of_floats(b)) : floats_multiply_add(a, b, sum);
}

/* out[r][j] (+)= sum over i < depth of the units a[r a_row + i a_step] b[i b_step + j], r < rows, j < TILE_COLUMNS; a_row and a_step in bytes,
 * depth and b_step in units, pairs: units are pairs of bf16 numbers. pairs and rows, and for the fast callers add, a_step and b_step, are
 * constants after inlining. */
static inline __attribute__((always_inline)) void tile_multiply(const bool pairs, const size_t rows, const bool add, size_t depth,
                                                                const void *a, size_t a_row, const size_t a_step, const float *b,
                                                                const size_t b_step, float *out, size_t out_row)
{
    Floats sums[TILE_ROWS][2];
    /* One pointer for three rows, the other two reached by the addressing mode: twelve pointers would not fit the registers. */
    const unsigned char *group[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 12
    for (size_t g = 0; g < (TILE_ROWS + 2) / 3; g++) {
        group[g] = (const unsigned char *)a + 3 * g * a_row;
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) {
        sums[r][0] = sums[r][1] = floats_zero();
    }
    for (size_t i = 0; i < depth; i++) {
        Floats left = floats_load(b), right = floats_load(b + LANES);
        b += b_step;
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++) {
            Floats value = unit_set(group[r / 3] + (r % 3) * a_row);
            sums[r][0] = unit_multiply_add(pairs, value, left, sums[r][0]);
            sums[r][1] = unit_multiply_add(pairs, value, right, sums[r][1]);
        }
#pragma GCC unroll 12
        for (size_t g = 0; g < (TILE_ROWS + 2) / 3; g++) {
            group[g] += a_step;
        }
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) {
        float *to = out + r * out_row;
        floats_store(to, add ? floats_add(floats_load(to), sums[r][0]) : sums[r][0]);
        floats_store(to + LANES, add ? floats_add(floats_load(to + LANES), sums[r][1]) : sums[r][1]);
    }
}

/* A case for each number of rows that this level has registers for. */
#if TILE_ROWS >= 12
#define TILE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#elif TILE_ROWS >= 6
#define TILE_CASES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define TILE_CASES(X) X(1) X(2) X(3) X(4)
#endif

/* A product of any operands of fp32: out [rows][out_row] (+)= a b for columns (a multiple of TILE_COLUMNS) columns. */
static void tile_product(size_t rows, size_t columns, bool add, size_t depth, const float *a, size_t a_row, size_t a_step,
                         const float *b, size_t b_step, float *out, size_t out_row)
{
    size_t row_bytes = a_row * sizeof *a, step_bytes = a_step * sizeof *a;
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        for (size_t r = 0; r < rows; r += TILE_ROWS) {
            const float *from = a + r * a_row;
            float *to = out + r * out_row + j;
            switch (rows - r < TILE_ROWS ? rows - r : TILE_ROWS) {
#define TILE_CASE(n)                                                                                  \
    case n:                                                                                           \
        tile_multiply(false, n, add, depth, from, row_bytes, step_bytes, b + j, b_step, to, out_row); \
        break;
                TILE_CASES(TILE_CASE)
#undef TILE_CASE
            }
        }
    }
}

/* to[j][i] = from[i][j] for i < rows, j < columns; columns rows .. padded - 1 of to become zero. padded: a multiple of LANES. */
static void tile_transpose(const float *from, size_t from_row, size_t rows, size_t columns, float *to, size_t to_row, size_t padded)
{
    Floats block[LANES];
    for (size_t i = 0; i < padded; i += LANES) {
        for (size_t j = 0; j < columns; j += LANES) {
            const float *at = from + i * from_row + j;
            if (j + LANES <= columns) {
#pragma GCC unroll 16
                for (size_t r = 0; r < LANES; r++) {
                    block[r] = i + r < rows ? floats_load(at + r * from_row) : floats_zero();
                }
                floats_transpose(block);
#pragma GCC unroll 16
                for (size_t c = 0; c < LANES; c++) {
                    floats_store(to + (j + c) * to_row + i, block[c]);
                }
                continue;
            }
            for (size_t r = 0; r < LANES; r++) {
                block[r] = i + r < rows ? floats_load_upto(at + r * from_row, columns - j) : floats_zero();
            }
            floats_transpose(block);
            for (size_t c = 0; c < LANES && j + c < columns; c++) {
                floats_store(to + (j + c) * to_row + i, block[c]);
            }
        }
    }
}

/* Columns of a matrix into panels [rows][TILE_COLUMNS], step floats apart; the last panel's columns beyond the matrix become zero. A row of
 * all panels after another: what is read lies together then. */
static void tile_panels(const float *from, size_t from_row, size_t rows, size_t columns, float *to, size_t step)
{
    for (size_t i = 0; i < rows; i++) {
        const float *row = from + i * from_row;
        float *panel = to + i * TILE_COLUMNS;
        for (size_t j = 0; j < columns; j += TILE_COLUMNS, panel += step) {
            __builtin_prefetch(row + AHEAD_ROWS * from_row + j);
            __builtin_prefetch(row + AHEAD_ROWS * from_row + j + LANES);
            floats_store(panel, floats_load_upto(row + j, columns - j));
            floats_store(panel + LANES,
                         columns - j > LANES ? floats_load_upto(row + j + LANES, columns - j - LANES) : floats_zero());
        }
    }
}

/* The same for one operand of `padded` columns, a multiple of TILE_COLUMNS, that stays together: to[i][j], [rows][padded]. */
static void tile_copy(const float *from, size_t from_row, size_t rows, size_t columns, float *to, size_t padded)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < padded; j += LANES) {
            Floats v = j < columns ? floats_load_upto(from + i * from_row + j, columns - j) : floats_zero();
            floats_store(to + i * padded + j, v);
        }
    }
}

#endif
