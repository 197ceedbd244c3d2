/* Products of bf16 numbers by matrix tiles: 32 x 32 sums in four tiles of 16 x 16, two tiles of a and two of b a step of 32.
 *
 * A tile of a is 16 rows of 32 numbers; one of b is 16 rows of 16 pairs, which is how panels lie anyway. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PAIRS_AMX_H
#define NERSWEEP_KERNELS_CPU_SIMD_PAIRS_AMX_H

enum {
    PAIR_ROWS = 32,
    HALF_ROWS = 16,
    TILE_BYTES_A_ROW = 64,
    BLOCK_WORDS = 256
}; /* a block: one tile of a, its rows one after another */

/* As LDTILECFG reads it. */
typedef struct TileShape {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileShape;

/* Tiles 0 .. 3: sums, upper left and right, lower left and right; 4 and 5: upper and lower rows of a; 6 and 7: left and right of b. */
static void tiles_shape(size_t rows)
{
    size_t upper = rows < HALF_ROWS ? rows : HALF_ROWS, lower = rows < HALF_ROWS + 1 ? 1 : rows - HALF_ROWS;
    TileShape shape = {.palette = 1};
    const size_t tile_rows[8] = {upper, upper, lower, lower, upper, lower, HALF_ROWS, HALF_ROWS};
    for (int i = 0; i < 8; i++) {
        shape.row_bytes[i] = TILE_BYTES_A_ROW;
        shape.rows[i] = (uint8_t)tile_rows[i];
    }
    _tile_loadconfig(&shape);
}

/* Adds `steps` steps to the sums. a: the upper rows' first tile, rows a_row bytes apart, a_step bytes from tile to tile; the lower rows' are
 * a_lower bytes further on. b: a panel. */
static inline __attribute__((always_inline)) void tiles_add(const bool both, size_t steps, const void *a, size_t a_row,
                                                            size_t a_step, size_t a_lower, const float *b)
{
    const unsigned char *at = a;
    const size_t b_row = TILE_COLUMNS * sizeof *b;
    for (size_t i = 0; i < steps; i++) {
        _tile_loadd(4, at, a_row);
        _tile_loadd(6, b, b_row);
        _tile_loadd(7, b + LANES, b_row);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (both) {
            _tile_loadd(5, at + a_lower, a_row);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        at += a_step;
        b += PAIR_DEPTH / 2 * TILE_COLUMNS;
    }
}

static inline void tiles_zero(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

static inline void tiles_store(float *to, size_t to_row, bool both)
{
    size_t row_bytes = to_row * sizeof *to;
    _tile_stored(0, to, row_bytes);
    _tile_stored(1, to + LANES, row_bytes);
    if (both) {
        _tile_stored(2, to + HALF_ROWS * to_row, row_bytes);
        _tile_stored(3, to + HALF_ROWS * to_row + LANES, row_bytes);
    }
}

static inline void tiles_load(const float *from, size_t from_row, bool both)
{
    size_t row_bytes = from_row * sizeof *from;
    _tile_loadd(0, from, row_bytes);
    _tile_loadd(1, from + LANES, row_bytes);
    if (both) {
        _tile_loadd(2, from + HALF_ROWS * from_row, row_bytes);
        _tile_loadd(3, from + HALF_ROWS * from_row + LANES, row_bytes);
    }
}

static inline void tiles_multiply(size_t rows, size_t steps, const void *a, size_t a_row, size_t a_step, size_t a_lower,
                                  const float *b)
{
    if (rows > HALF_ROWS) {
        tiles_add(true, steps, a, a_row, a_step, a_lower, b);
    } else {
        tiles_add(false, steps, a, a_row, a_step, a_lower, b);
    }
}

/* The end of a product takes no more rows at once than TILE_ROWS. */
static inline void tiles_end(const ProductEnd *end, float *sums, size_t first, size_t rows, size_t column)
{
    enum { SOME = 8 };
    size_t columns = end->out_row - column < TILE_COLUMNS ? end->out_row - column : TILE_COLUMNS;
    for (size_t r = 0; r < rows; r += SOME) {
        tile_end(end, sums + r * TILE_COLUMNS, first + r, rows - r < SOME ? rows - r : SOME, column, columns);
    }
}

static void pairs_product(const PanelJob *job, const float *panels, size_t first, size_t last, size_t first_panel,
                          size_t last_panel)
{
    float sums[PAIR_ROWS * TILE_COLUMNS] __attribute__((aligned(64))) = {0};
    const uint16_t *a = job->a;
    size_t row_bytes = job->a_row * sizeof *a, shaped = 0;
    for (size_t r = first; r < last; r += PAIR_ROWS) {
        size_t rows = last - r < PAIR_ROWS ? last - r : PAIR_ROWS;
        if (rows != shaped) {
            tiles_shape(rows);
            shaped = rows;
        }
        for (size_t p = first_panel; p < last_panel; p++) {
            end_prefetch(&job->end, r, rows, p * TILE_COLUMNS);
            tiles_zero();
            tiles_multiply(rows, job->depth / PAIR_DEPTH, a + r * job->a_row, row_bytes, TILE_BYTES_A_ROW, HALF_ROWS * row_bytes,
                           panels + p * TILE_COLUMNS * (job->depth / 2));
            tiles_store(sums, TILE_COLUMNS, rows > HALF_ROWS);
            tiles_end(&job->end, sums, r, rows, p * TILE_COLUMNS);
        }
    }
    _tile_release();
}

/* One tile of a: HALF_ROWS outputs from column on, over PAIR_DEPTH rows from row on, which become its columns. */
static inline Floats pairs_transpose_block(const WeightJob *job, size_t column, size_t row, float *to)
{
    static const uint16_t zeros[LANES];
    size_t left = job->n > column ? job->n - column : 0;
    Floats block[LANES], sums = floats_zero();
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) {
        size_t r = row + 2 * i;
        const uint16_t *upper = r < job->rows ? (const uint16_t *)job->d_y + r * job->n + column : zeros,
                       *lower = r + 1 < job->rows ? (const uint16_t *)job->d_y + (r + 1) * job->n + column : zeros;
        Floats even = left >= LANES ? floats_load_bf16(upper) : left > 0 ? floats_load_bf16_upto(upper, left) : floats_zero();
        Floats odd = left >= LANES ? floats_load_bf16(lower) : left > 0 ? floats_load_bf16_upto(lower, left) : floats_zero();
        sums = floats_add(sums, floats_add(even, odd));
        block[i] = floats_of_words(words_or(words_lower(words_of_floats(even)), words_of_floats(odd)));
    }
    floats_transpose(block);
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) {
        words_store(to + i * LANES, words_of_floats(block[i]));
    }
    return sums;
}

/* d_y: [2][depth / PAIR_DEPTH] blocks a panel. */
static void pairs_pack_d_y(const WeightJob *job, size_t first_panel, size_t last_panel)
{
    for (size_t p = first_panel; p < last_panel; p++) {
        Floats upper = floats_zero(), lower = floats_zero();
        float *to = job->panels_d_y + p * job->step_d_y;
        size_t column = p * PAIR_ROWS;
        for (size_t row = 0; row < job->depth; row += PAIR_DEPTH) {
            float *block = to + row / PAIR_DEPTH * BLOCK_WORDS;
            upper = floats_add(upper, pairs_transpose_block(job, column, row, block));
            lower = floats_add(lower,
                               pairs_transpose_block(job, column + HALF_ROWS, row, block + job->depth / PAIR_DEPTH * BLOCK_WORDS));
        }
        bias_store(job, column, HALF_ROWS, upper);
        bias_store(job, column + HALF_ROWS, HALF_ROWS, lower);
    }
}

static void pairs_product_weight(const WeightJob *job, size_t x_panel, size_t first_d_y_panel, size_t last_d_y_panel)
{
    float sums[PAIR_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
    const float *b = job->panels_x + x_panel * job->step_x;
    size_t column = x_panel * TILE_COLUMNS, columns = job->k - column < TILE_COLUMNS ? job->k - column : TILE_COLUMNS;
    size_t steps = job->depth / PAIR_DEPTH, lower = steps * BLOCK_WORDS * sizeof(float);
    tiles_shape(PAIR_ROWS);
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        size_t row = p * PAIR_ROWS, rows = job->n - row < PAIR_ROWS ? job->n - row : PAIR_ROWS;
        const float *a = job->panels_d_y + p * job->step_d_y;
        float *to = job->d_weight + row * job->k + column;
        bool whole = rows == PAIR_ROWS && columns == TILE_COLUMNS;
        lines_prefetch(to, job->k * sizeof *to, rows, TILE_COLUMNS * sizeof *to, true);
        if (whole && job->accumulate) {
            tiles_load(to, job->k, true);
        } else {
            tiles_zero();
        }
        tiles_multiply(PAIR_ROWS, steps, a, TILE_BYTES_A_ROW, BLOCK_WORDS * sizeof *a, lower, b);
        tiles_store(whole ? to : sums, whole ? job->k : TILE_COLUMNS, true);
        if (!whole) {
            tile_store(sums, (HostReals){.floats = to}, 0, job->k, rows, columns, job->accumulate);
        }
    }
    _tile_release();
}

#endif
