/* Products of linear layers over panels, with what follows them while a tile is in the cache. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PRODUCTS_H
#define NERSWEEP_KERNELS_CPU_SIMD_PRODUCTS_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/ends.h"
#include "kernels/cpu/simd/tile.h"

enum { TILE_FLOATS = TILE_ROWS * TILE_COLUMNS, D_Y_GROUP = 8 };

/* Whether rows of a gradient from a column on are whole vectors at whole vectors. */
static bool weight_aligned(const WeightJob *job, size_t column, size_t columns)
{
    const size_t vector_bytes = LANES * sizeof(float);
    return (uintptr_t)(job->d_weight + column) % vector_bytes == 0 && job->k % LANES == 0 && columns % LANES == 0;
}

/* Rows of a weight's gradient out of a stretch of tiles, tiles_row apart. Gradients are far more than the caches hold and are read when the
 * step is over: they go past the caches, and no line of memory is read to be overwritten. */
static void weight_store(const WeightJob *job, size_t row, size_t rows, size_t column, size_t columns, const float *tiles,
                         size_t tiles_row)
{
    float *to = job->d_weight + row * job->k + column;
    bool aligned = weight_aligned(job, column, columns);
    for (size_t r = 0; r < rows; r++, tiles += tiles_row, to += job->k) {
        for (size_t j = 0; j < columns; j += LANES) {
            size_t left = columns - j;
            if (job->accumulate) {
                floats_store_upto(to + j, floats_add(floats_load(tiles + j), floats_load_upto(to + j, left)), left);
            } else if (aligned) {
                floats_stream(to + j, floats_load(tiles + j));
            } else {
                floats_store_upto(to + j, floats_load(tiles + j), left);
            }
        }
    }
}

static void pack_transposed(const void *weight, size_t n, size_t k, size_t column, float *panel)
{
    size_t outputs = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS;
    tile_transpose((const float *)weight + column * k, k, outputs, k, panel, TILE_COLUMNS, TILE_COLUMNS);
}

static void pack_plain(const void *weight, size_t n, size_t k, size_t column, size_t columns, float *panels)
{
    tile_panels((const float *)weight + column, k, n, columns, panels, n * TILE_COLUMNS);
}

/* Rows outside, panels inside: the rows of a tile are read from afar once for all panels of the group, and the end goes along whole rows of
 * the group. */
static inline __attribute__((always_inline)) void product_tiles(const bool pairs, const PanelJob *job, const float *panels,
                                                                size_t first, size_t last, size_t first_panel, size_t last_panel)
{
    float sums[TILE_ROWS * PRODUCT_PANELS_MAX * TILE_COLUMNS] __attribute__((aligned(64)));
    const size_t sums_row = (last_panel - first_panel) * TILE_COLUMNS, per_unit = pairs ? 2 : 1, units = job->depth / per_unit;
    const size_t row_bytes = job->a_row * sizeof(float) / per_unit, column = first_panel * TILE_COLUMNS;
    const size_t columns = job->end.out_row - column < sums_row ? job->end.out_row - column : sums_row;
    ASSERT(last_panel - first_panel <= PRODUCT_PANELS_MAX);
    for (size_t r = first; r < last; r += TILE_ROWS) {
        size_t rows = last - r < TILE_ROWS ? last - r : TILE_ROWS;
        const unsigned char *a = (const unsigned char *)job->a + r * row_bytes;
        for (size_t j = 0; j < sums_row; j += TILE_COLUMNS) {
            end_prefetch(&job->end, r, rows, column + j, TILE_COLUMNS);
            switch (rows) {
#define TILE_CASE(count)                                                                                                   \
    case count:                                                                                                            \
        tile_multiply(pairs, count, false, units, a, row_bytes, sizeof(float), panels + j * units, TILE_COLUMNS, sums + j, \
                      sums_row);                                                                                           \
        break;
                TILE_CASES(TILE_CASE)
#undef TILE_CASE
            }
        }
        product_end(&job->end, sums, sums_row, r, r + rows, column, columns);
    }
    floats_stream_end();
}

static void product(const PanelJob *job, const float *panels, size_t first, size_t last, size_t first_panel, size_t last_panel)
{
    product_tiles(false, job, panels, first, last, first_panel, last_panel);
}

/* d_bias of columns column .. column + columns - 1, which `sums` begins with. */
static void bias_store(const WeightJob *job, size_t column, size_t columns, Floats sums)
{
    float values[LANES];
    floats_store(values, sums);
    for (size_t j = 0; job->d_bias != NULL && j < columns && column + j < job->n; j++) {
        job->d_bias[column + j] = job->accumulate ? job->d_bias[column + j] + values[j] : values[j];
    }
}

static void pack_x(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    size_t column = first_panel * TILE_COLUMNS, end = last_panel * TILE_COLUMNS < job->k ? last_panel * TILE_COLUMNS : job->k;
    tile_panels((const float *)job->x + column, job->k, job->rows, end - column, job->panels_x + first_panel * job->step_x,
                job->step_x);
}

/* Panels are narrower than a vector: whole vectors are written, and the next row overwrites what is too much (the last row's goes to the
 * padding between panels). Blocks of rows keep the cache lines that neighbouring panels share in the first cache. */
static void pack_d_y(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    enum { BLOCK = 16 };
    const float *d_y = job->d_y;
    Floats sums[D_Y_GROUP];
    ASSERT(last_panel - first_panel <= D_Y_GROUP);
    for (size_t p = 0; p < D_Y_GROUP; p++) {
        sums[p] = floats_zero();
    }
    for (size_t begin = 0; begin < job->rows; begin += BLOCK) {
        size_t end = job->rows - begin < BLOCK ? job->rows : begin + BLOCK;
        for (size_t p = first_panel; p < last_panel; p++) {
            size_t column = p * TILE_ROWS, left = job->n - column;
            float *to = job->panels_d_y + p * job->step_d_y;
            for (size_t r = begin; r < end; r++) {
                __builtin_prefetch(d_y + (r + BLOCK) * job->n + column);
                Floats v = floats_load_upto(d_y + r * job->n + column, left);
                floats_store(to + r * TILE_ROWS, v);
                sums[p - first_panel] = floats_add(sums[p - first_panel], v);
            }
        }
    }
    for (size_t p = first_panel; p < last_panel; p++) {
        bias_store(job, p * TILE_ROWS, TILE_ROWS, sums[p - first_panel]);
    }
}

/* Panels of d_y outside: one stays in the first cache while panels of x pass by in the second, and whole rows are stored. */
static inline __attribute__((always_inline)) void weight_tiles(const bool pairs, const WeightJob *job, size_t first_d_y_panel,
                                                               size_t last_d_y_panel, size_t first_x_panel, size_t last_x_panel,
                                                               float *tiles)
{
    const size_t a_row = sizeof(float), a_step = TILE_ROWS * sizeof(float), units = job->depth / (pairs ? 2 : 1);
    const size_t column = first_x_panel * TILE_COLUMNS, tiles_row = (last_x_panel - first_x_panel) * TILE_COLUMNS;
    const size_t columns = job->k - column < tiles_row ? job->k - column : tiles_row;
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        size_t row = p * TILE_ROWS;
        const float *a = job->panels_d_y + p * job->step_d_y;
        for (size_t x = first_x_panel; x < last_x_panel; x++) {
            tile_multiply(pairs, TILE_ROWS, false, units, a, a_row, a_step, job->panels_x + x * job->step_x, TILE_COLUMNS,
                          tiles + (x - first_x_panel) * TILE_COLUMNS, tiles_row);
        }
        weight_store(job, row, job->n - row < TILE_ROWS ? job->n - row : TILE_ROWS, column, columns, tiles, tiles_row);
    }
    floats_stream_end();
}

static void product_weight(const WeightJob *job, size_t first_d_y_panel, size_t last_d_y_panel, size_t first_x_panel,
                           size_t last_x_panel, float *tiles)
{
    weight_tiles(false, job, first_d_y_panel, last_d_y_panel, first_x_panel, last_x_panel, tiles);
}

#endif
