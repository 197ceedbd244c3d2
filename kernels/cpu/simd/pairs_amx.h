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

/* GCC 12's intrinsics do not say what memory they read: without this the compiler may store it later, or never. */
static inline void stores_before_tiles(const void *at)
{
    __asm__ volatile("" : : "r"(at) : "memory");
}

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
    stores_before_tiles(&shape);
    _tile_loadconfig(&shape);
}

enum { LINE_BYTES = 64 };

/* A walk along rows of memory beside a product, some cache lines a step: all at once they would hold up the loads of tiles, which wait for the
 * same few buffers. Lines are asked for, or copied past the caches. */
typedef struct Walk {
    char *at, *row_end;
    const float *from; /* what is copied to at, which begins with a line; NULL: lines are asked for */
    size_t row_bytes, gap_bytes, from_gap;
    size_t rows_left, lines; /* lines: a step; 0: the walk is over */
} Walk;

static Walk walk_none(void)
{
    return (Walk){.lines = 0};
}

static Walk walk_along(void *at, size_t rows, size_t row_bytes, size_t row_step, size_t steps)
{
    size_t lines = (rows * ((row_bytes + LINE_BYTES - 1) / LINE_BYTES) + steps - 1) / steps;
    return (Walk){.at = at,
                  .row_end = (char *)at + row_bytes,
                  .row_bytes = row_bytes,
                  .gap_bytes = row_step - row_bytes,
                  .rows_left = rows,
                  .lines = lines};
}

static inline __attribute__((always_inline)) void walk_on(const bool copies, Walk *walk)
{
    for (size_t i = 0; i < walk->lines; i++) {
        if (copies) {
            floats_stream((float *)(void *)walk->at, floats_load(walk->from));
            walk->from += LANES;
        } else {
            __builtin_prefetch(walk->at, 0, 3);
        }
        walk->at += LINE_BYTES;
        if (walk->at >= walk->row_end) {
            walk->at = walk->row_end + walk->gap_bytes;
            walk->row_end = walk->at + walk->row_bytes;
            if (copies) {
                walk->from += walk->from_gap;
            }
            walk->lines = --walk->rows_left == 0 ? 0 : walk->lines;
        }
    }
}

/* Asks for what the end of rows first .. last - 1 is going to read, where it reads anything. */
static Walk walk_of_end(const ProductEnd *end, size_t first, size_t last, size_t column, size_t columns, size_t steps)
{
    HostReals read = host_reals_given(end->slope_pre) ? end->slope_pre : end->accumulate ? end->out : (HostReals){NULL, NULL};
    HostReals from = host_reals_at(read, first * end->out_row + column);
    if (!host_reals_given(read)) {
        return walk_none();
    }
    size_t size = read.bf16 != NULL ? sizeof *read.bf16 : sizeof *read.floats;
    return walk_along(read.bf16 != NULL ? (void *)from.bf16 : from.floats, last - first, columns * size, end->out_row * size,
                      steps);
}

/* Adds `steps` steps to the sums. a: the upper rows' first tile, rows a_row bytes apart, a_step bytes from tile to tile; the lower rows' are
 * a_lower bytes further on. b: a panel, which passes by without driving a, which is read again, out of the first cache. */
static inline __attribute__((always_inline)) void tiles_add(const bool both, const bool copies, size_t steps, const void *a,
                                                            size_t a_row, size_t a_step, size_t a_lower, const float *b, Walk *walk)
{
    Walk own = *walk;
    const unsigned char *at = a;
    const size_t b_row = TILE_COLUMNS * sizeof *b;
    stores_before_tiles(a);
    for (size_t i = 0; i < steps; i++) {
        _tile_loadd(4, at, a_row);
        _tile_stream_loadd(6, b, b_row);
        _tile_stream_loadd(7, b + LANES, b_row);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (both) {
            _tile_loadd(5, at + a_lower, a_row);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        at += a_step;
        b += PAIR_DEPTH / 2 * TILE_COLUMNS;
        walk_on(copies, &own);
    }
    *walk = own;
}

static inline void tiles_zero(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

static inline void tiles_load(const float *from, size_t from_row)
{
    size_t row_bytes = from_row * sizeof *from;
    stores_before_tiles(from);
    _tile_loadd(0, from, row_bytes);
    _tile_loadd(1, from + LANES, row_bytes);
    _tile_loadd(2, from + HALF_ROWS * from_row, row_bytes);
    _tile_loadd(3, from + HALF_ROWS * from_row + LANES, row_bytes);
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

static inline void tiles_multiply(size_t rows, size_t steps, const void *a, size_t a_row, size_t a_step, size_t a_lower,
                                  const float *b, Walk *walk)
{
    if (rows > HALF_ROWS) {
        tiles_add(true, false, steps, a, a_row, a_step, a_lower, b, walk);
    } else {
        tiles_add(false, false, steps, a, a_row, a_step, a_lower, b, walk);
    }
}

static void pairs_product(const PanelJob *job, const float *panels, size_t first, size_t last, size_t first_panel,
                          size_t last_panel)
{
    float sums[PAIR_ROWS * PRODUCT_PANELS_MAX * TILE_COLUMNS] __attribute__((aligned(64)));
    const uint16_t *a = job->a;
    const size_t sums_row = (last_panel - first_panel) * TILE_COLUMNS, column = first_panel * TILE_COLUMNS;
    const size_t columns = job->end.out_row - column < sums_row ? job->end.out_row - column : sums_row;
    size_t row_bytes = job->a_row * sizeof *a, shaped = 0, steps = job->depth / PAIR_DEPTH;
    ASSERT(last_panel - first_panel <= PRODUCT_PANELS_MAX);
    for (size_t r = first; r < last; r += PAIR_ROWS) {
        size_t rows = last - r < PAIR_ROWS ? last - r : PAIR_ROWS;
        if (rows != shaped) {
            tiles_shape(rows);
            shaped = rows;
        }
        Walk walk = walk_of_end(&job->end, r, r + rows, column, columns, sums_row / TILE_COLUMNS * steps);
        for (size_t j = 0; j < sums_row; j += TILE_COLUMNS) {
            tiles_zero();
            tiles_multiply(rows, steps, a + r * job->a_row, row_bytes, TILE_BYTES_A_ROW, HALF_ROWS * row_bytes,
                           panels + j * (job->depth / 2), &walk);
            tiles_store(sums + j, sums_row, rows > HALF_ROWS);
        }
        product_end(&job->end, sums, sums_row, r, r + rows, column, columns);
    }
    _tile_release();
    floats_stream_end();
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

/* Gradients of a stretch of tiles, which wait to be stored. Where whole lines can go past the caches they do so while the next stretch is
 * computed: memory takes them about as slowly as the tiles come. */
typedef struct Stretch {
    const WeightJob *job;
    size_t column, columns, tiles_row;
    bool walks;
} Stretch;

static Walk stretch_store(const Stretch *stretch, size_t row, const float *tiles, size_t steps)
{
    const WeightJob *job = stretch->job;
    size_t rows = job->n - row < PAIR_ROWS ? job->n - row : PAIR_ROWS;
    if (!stretch->walks) {
        weight_store(job, row, rows, stretch->column, stretch->columns, tiles, stretch->tiles_row);
        return walk_none();
    }
    Walk walk = walk_along(job->d_weight + row * job->k + stretch->column, rows, stretch->columns * sizeof(float),
                           job->k * sizeof(float), steps);
    walk.from = tiles;
    walk.from_gap = stretch->tiles_row - stretch->columns;
    return walk;
}

static void pairs_product_weight(const WeightJob *job, size_t first_d_y_panel, size_t last_d_y_panel, size_t first_x_panel,
                                 size_t last_x_panel, float *tiles)
{
    const size_t steps = job->depth / PAIR_DEPTH, lower = steps * BLOCK_WORDS * sizeof(float),
                 x_panels = last_x_panel - first_x_panel;
    const size_t column = first_x_panel * TILE_COLUMNS, tiles_row = x_panels * TILE_COLUMNS;
    const size_t columns = job->k - column < tiles_row ? job->k - column : tiles_row;
    const Stretch stretch = {job, column, columns, tiles_row, !job->accumulate && weight_aligned(job, column, columns)};
    Walk walk = walk_none();
    tiles_shape(PAIR_ROWS);
    for (size_t p = first_d_y_panel; p < last_d_y_panel; p++) {
        const float *a = job->panels_d_y + p * job->step_d_y;
        float *at = tiles + p % 2 * PAIR_ROWS * tiles_row; /* the other half is being stored */
        for (size_t x = 0; x < x_panels; x++) {
            tiles_zero();
            tiles_add(true, true, steps, a, TILE_BYTES_A_ROW, BLOCK_WORDS * sizeof *a, lower,
                      job->panels_x + (first_x_panel + x) * job->step_x, &walk);
            tiles_store(at + x * TILE_COLUMNS, tiles_row, true);
        }
        walk = stretch_store(&stretch, p * PAIR_ROWS, at, x_panels * steps);
    }
    _tile_release();
    while (walk.lines > 0) {
        walk_on(true, &walk);
    }
    floats_stream_end();
}

#endif
