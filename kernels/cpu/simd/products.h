/* Products of linear layers over panels, with what follows them while a tile is in the cache. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PRODUCTS_H
#define NERSWEEP_KERNELS_CPU_SIMD_PRODUCTS_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/tile.h"

static void product_end(const ProductEnd *end, const float *in, size_t in_row, size_t first, size_t last, size_t column,
                        size_t columns)
{
    for (size_t r = first; r < last; r++) {
        size_t row = r * end->out_row + column;
        const float *from = in + (r - first) * in_row;
        for (size_t j = 0; j < columns; j += LANES) {
            size_t left = columns - j, at = row + j;
            Floats v = floats_load_upto(from + j, left);
            if (end->bias != NULL) {
                v = floats_add(v, floats_load_upto(end->bias + column + j, left));
            }
            if (end->gelu) {
                if (end->pre != NULL) {
                    floats_store_upto(end->pre + at, v, left);
                }
                v = floats_gelu(v);
            }
            if (end->slope_pre != NULL) {
                v = floats_multiply(v, floats_gelu_derivative(floats_load_upto(end->slope_pre + at, left)));
            }
            if (end->accumulate) {
                v = floats_add(v, floats_load_upto(end->out + at, left));
            }
            floats_store_upto(end->out + at, v, left);
        }
    }
}

static void pack_transposed(const float *weight, size_t n, size_t k, size_t column, float *panel)
{
    size_t outputs = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS;
    tile_transpose(weight + column * k, k, outputs, k, panel, TILE_COLUMNS, TILE_COLUMNS);
}

static void pack_plain(const float *weight, size_t n, size_t k, size_t column, float *panel)
{
    tile_copy(weight + column, k, n, k - column < TILE_COLUMNS ? k - column : TILE_COLUMNS, panel, TILE_COLUMNS);
}

static void product_panel(const PanelJob *job, const float *panel, size_t first, size_t last, size_t column)
{
    float tile[TILE_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
    size_t columns = job->end.out_row - column < TILE_COLUMNS ? job->end.out_row - column : TILE_COLUMNS;
    for (size_t r = first; r < last; r += TILE_ROWS) {
        size_t rows = last - r < TILE_ROWS ? last - r : TILE_ROWS;
        const float *a = job->a + r * job->a_row;
        switch (rows) {
#define TILE_CASE(count)                                                                                    \
    case count:                                                                                             \
        tile_multiply(count, false, job->depth, a, job->a_row, 1, panel, TILE_COLUMNS, tile, TILE_COLUMNS); \
        break;
            TILE_CASES(TILE_CASE)
#undef TILE_CASE
        }
        product_end(&job->end, tile, TILE_COLUMNS, r, r + rows, column, columns);
    }
}

static void pack_x(const WeightJob *job, size_t panel)
{
    size_t column = panel * TILE_COLUMNS, columns = job->k - column < TILE_COLUMNS ? job->k - column : TILE_COLUMNS;
    tile_copy(job->x + column, job->k, job->rows, columns, job->panels_x + panel * job->step_x, TILE_COLUMNS);
}

/* Panels are narrower than a vector: whole vectors are written, and the next row overwrites what is too much (the last row's goes to the
 * padding between panels). Blocks of rows keep the cache lines that neighbouring panels share in the first cache. */
static void pack_d_y(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    enum { GROUP = 8, BLOCK = 16 };
    Floats sums[GROUP];
    ASSERT(last_panel - first_panel <= GROUP);
    for (size_t p = 0; p < GROUP; p++) {
        sums[p] = floats_zero();
    }
    for (size_t begin = 0; begin < job->rows; begin += BLOCK) {
        size_t end = job->rows - begin < BLOCK ? job->rows : begin + BLOCK;
        for (size_t p = first_panel; p < last_panel; p++) {
            size_t column = p * TILE_ROWS, left = job->n - column;
            float *to = job->panels_d_y + p * job->step_d_y;
            for (size_t r = begin; r < end; r++) {
                Floats v = floats_load_upto(job->d_y + r * job->n + column, left);
                floats_store(to + r * TILE_ROWS, v);
                sums[p - first_panel] = floats_add(sums[p - first_panel], v);
            }
        }
    }
    for (size_t p = first_panel; job->d_bias != NULL && p < last_panel; p++) {
        size_t column = p * TILE_ROWS, count = job->n - column < TILE_ROWS ? job->n - column : TILE_ROWS;
        float values[LANES];
        floats_store(values, sums[p - first_panel]);
        for (size_t j = 0; j < count; j++) {
            job->d_bias[column + j] += values[j];
        }
    }
}

static void product_weight(const WeightJob *job, size_t x_panel, size_t first_d_y_panel, size_t last_d_y_panel)
{
    float tile[TILE_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
    const float *b = job->panels_x + x_panel * job->step_x;
    size_t column = x_panel * TILE_COLUMNS, columns = job->k - column < TILE_COLUMNS ? job->k - column : TILE_COLUMNS;
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        const float *a = job->panels_d_y + p * job->step_d_y;
        size_t row = p * TILE_ROWS, rows = job->n - row < TILE_ROWS ? job->n - row : TILE_ROWS;
        float *to = job->d_weight + row * job->k + column;
        if (rows == TILE_ROWS && columns == TILE_COLUMNS) {
            tile_multiply(TILE_ROWS, true, job->rows, a, 1, TILE_ROWS, b, TILE_COLUMNS, to, job->k);
            continue;
        }
        tile_multiply(TILE_ROWS, false, job->rows, a, 1, TILE_ROWS, b, TILE_COLUMNS, tile, TILE_COLUMNS);
        for (size_t r = 0; r < rows; r++) {
            for (size_t j = 0; j < columns; j++) {
                to[r * job->k + j] += tile[r * TILE_COLUMNS + j];
            }
        }
    }
}

#endif
