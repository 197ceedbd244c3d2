/* Products of linear layers over panels, with what follows them while a tile is in the cache. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PRODUCTS_H
#define NERSWEEP_KERNELS_CPU_SIMD_PRODUCTS_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/tile.h"

enum { TILE_FLOATS = TILE_ROWS * TILE_COLUMNS, D_Y_GROUP = 8 };

static inline void tile_add_bias(const ProductEnd *end, float *tile, size_t rows, size_t column, size_t columns)
{
    for (size_t j = 0; j < columns; j += LANES) {
        Floats bias = floats_load_upto(end->bias + column + j, columns - j);
        for (size_t r = 0; r < rows; r++) {
            float *at = tile + r * TILE_COLUMNS + j;
            floats_store(at, floats_add(floats_load(at), bias));
        }
    }
}

/* to[r] = tile[r] (+ to[r]), rows of `to` to_row apart from number `at` on. */
static inline void tile_store(const float *tile, HostReals to, size_t at, size_t to_row, size_t rows, size_t columns, bool add)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j += LANES) {
            Floats v = floats_load(tile + r * TILE_COLUMNS + j);
            size_t i = at + r * to_row + j;
            reals_store_upto(to, i, add ? floats_add(v, reals_load_upto(to, i, columns - j)) : v, columns - j);
        }
    }
}

static inline void tile_load(HostReals from, size_t at, size_t from_row, size_t rows, size_t columns, float *tile)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j += LANES) {
            floats_store(tile + r * TILE_COLUMNS + j, reals_load_upto(from, at + r * from_row + j, columns - j));
        }
    }
}

/* A tile's values up to whole batches: rows beyond the last hold old numbers, which are computed with and never stored. */
static inline size_t tile_count(size_t rows)
{
    size_t step = BATCH * LANES;
    return (rows * TILE_COLUMNS + step - 1) / step * step;
}

/* The product of rows first .. and columns column .. stands in tile, [TILE_ROWS][TILE_COLUMNS], which is used up. */
static void tile_end(const ProductEnd *end, float *tile, size_t first, size_t rows, size_t column, size_t columns)
{
    size_t at = first * end->out_row + column;
    if (end->bias != NULL) {
        tile_add_bias(end, tile, rows, column, columns);
    }
    bool coarse = end->out.bf16 != NULL;
    if (end->gelu) {
        if (host_reals_given(end->pre)) {
            tile_store(tile, end->pre, at, end->out_row, rows, columns, false);
        }
        (coarse ? values_gelu_coarse : values_gelu)(tile, tile_count(rows));
    }
    if (host_reals_given(end->slope_pre)) {
        float slope[TILE_FLOATS] __attribute__((aligned(64))) = {0};
        tile_load(end->slope_pre, at, end->out_row, rows, columns, slope);
        (coarse ? values_gelu_derivative_coarse : values_gelu_derivative)(slope, tile_count(rows));
        for (size_t j = 0; j < rows * TILE_COLUMNS; j += LANES) {
            floats_store(tile + j, floats_multiply(floats_load(tile + j), floats_load(slope + j)));
        }
    }
    tile_store(tile, end->out, at, end->out_row, rows, columns, end->accumulate);
}

static void product_end(const ProductEnd *end, const float *in, size_t in_row, size_t first, size_t last, size_t column,
                        size_t columns)
{
    float tile[TILE_FLOATS] __attribute__((aligned(64))) = {0};
    HostReals from = {.floats = (float *)(uintptr_t)in};
    for (size_t r = first; r < last; r += TILE_ROWS) {
        size_t rows = last - r < TILE_ROWS ? last - r : TILE_ROWS;
        for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
            size_t some = columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS;
            tile_load(from, (r - first) * in_row + j, in_row, rows, some, tile);
            tile_end(end, tile, r, rows, column + j, some);
        }
    }
}

static void pack_transposed(const float *weight, size_t n, size_t k, size_t column, float *panel)
{
    size_t outputs = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS;
    tile_transpose(weight + column * k, k, outputs, k, panel, TILE_COLUMNS, TILE_COLUMNS);
}

static void pack_plain(const float *weight, size_t n, size_t k, size_t column, size_t columns, float *panels)
{
    tile_panels(weight + column, k, n, columns, panels, n * TILE_COLUMNS);
}

/* Asks for the cache lines that a tile's end will need while the tile is computed: rows lie far apart, which no hardware foresees. */
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

static inline void tile_prefetch(HostReals reals, size_t at, size_t row, size_t rows, bool write)
{
    if (reals.bf16 != NULL) {
        lines_prefetch(reals.bf16 + at, row * sizeof(uint16_t), rows, TILE_COLUMNS * sizeof(uint16_t), write);
    } else if (reals.floats != NULL) {
        lines_prefetch(reals.floats + at, row * sizeof(float), rows, TILE_COLUMNS * sizeof(float), write);
    }
}

static inline void end_prefetch(const ProductEnd *end, size_t first, size_t rows, size_t column)
{
    size_t at = first * end->out_row + column;
    tile_prefetch(end->out, at, end->out_row, rows, true);
    tile_prefetch(end->pre, at, end->out_row, rows, true);
    tile_prefetch(end->slope_pre, at, end->out_row, rows, false);
}

static inline __attribute__((always_inline)) void product_tile(const bool pairs, const PanelJob *job, const float *panel,
                                                               size_t first, size_t rows, size_t column, float *tile)
{
    size_t columns = job->end.out_row - column < TILE_COLUMNS ? job->end.out_row - column : TILE_COLUMNS;
    size_t per_unit = pairs ? 2 : 1, row_bytes = job->a_row * sizeof(float) / per_unit;
    const unsigned char *a = (const unsigned char *)job->a + first * row_bytes;
    end_prefetch(&job->end, first, rows, column);
    switch (rows) {
#define TILE_CASE(count)                                                                                                  \
    case count:                                                                                                           \
        tile_multiply(pairs, count, false, job->depth / per_unit, a, row_bytes, sizeof(float), panel, TILE_COLUMNS, tile, \
                      TILE_COLUMNS);                                                                                      \
        break;
        TILE_CASES(TILE_CASE)
#undef TILE_CASE
    }
    tile_end(&job->end, tile, first, rows, column, columns);
}

/* Rows outside, panels inside: the rows of a tile are read from afar once for all panels of the group. */
static inline __attribute__((always_inline)) void product_tiles(const bool pairs, const PanelJob *job, const float *panels,
                                                                size_t first, size_t last, size_t first_panel, size_t last_panel)
{
    float tile[TILE_FLOATS] __attribute__((aligned(64))) = {0};
    size_t panel_units = TILE_COLUMNS * job->depth / (pairs ? 2 : 1);
    for (size_t r = first; r < last; r += TILE_ROWS) {
        size_t rows = last - r < TILE_ROWS ? last - r : TILE_ROWS;
        for (size_t p = first_panel; p < last_panel; p++) {
            product_tile(pairs, job, panels + p * panel_units, r, rows, p * TILE_COLUMNS, tile);
        }
    }
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

static inline __attribute__((always_inline)) void weight_tiles(const bool pairs, const WeightJob *job, size_t x_panel,
                                                               size_t first_d_y_panel, size_t last_d_y_panel)
{
    float tile[TILE_FLOATS] __attribute__((aligned(64)));
    const float *b = job->panels_x + x_panel * job->step_x;
    const size_t a_row = sizeof(float), a_step = TILE_ROWS * sizeof(float);
    size_t column = x_panel * TILE_COLUMNS, columns = job->k - column < TILE_COLUMNS ? job->k - column : TILE_COLUMNS;
    size_t units = job->depth / (pairs ? 2 : 1);
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        const float *a = job->panels_d_y + p * job->step_d_y;
        size_t row = p * TILE_ROWS, rows = job->n - row < TILE_ROWS ? job->n - row : TILE_ROWS;
        float *to = job->d_weight + row * job->k + column;
        lines_prefetch(to, job->k * sizeof *to, rows, TILE_COLUMNS * sizeof *to, true);
        if (rows == TILE_ROWS && columns == TILE_COLUMNS) {
            if (job->accumulate) {
                tile_multiply(pairs, TILE_ROWS, true, units, a, a_row, a_step, b, TILE_COLUMNS, to, job->k);
            } else {
                tile_multiply(pairs, TILE_ROWS, false, units, a, a_row, a_step, b, TILE_COLUMNS, to, job->k);
            }
            continue;
        }
        tile_multiply(pairs, TILE_ROWS, false, units, a, a_row, a_step, b, TILE_COLUMNS, tile, TILE_COLUMNS);
        tile_store(tile, (HostReals){.floats = to}, 0, job->k, rows, columns, job->accumulate);
    }
}

static void product_weight(const WeightJob *job, size_t x_panel, size_t first_d_y_panel, size_t last_d_y_panel)
{
    weight_tiles(false, job, x_panel, first_d_y_panel, last_d_y_panel);
}

#endif
