/* Linear layers: by the level's panels, or by the BLAS. */
#include <string.h>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/device.h"

/* -- Panels, of fp32 or bf16. Sums do not depend on how rows and columns are split, so tasks may be cut to suit the number of threads. */

enum {
    TASKS_PER_THREAD = 4,
    PASS_ROWS = 640,
    PANEL_GROUP = 4,
    GROUP_BYTES = 1 << 20 /* of panels that are gone through again and again: half a second cache */
};

const Products *products_of(const BackendDevice *device, DeviceType type)
{
    if (type == DEVICE_BF16) {
        return &device->level->bf16;
    }
    return device->panels ? &device->level->fp32 : NULL;
}

static size_t depth_of(const Products *products, size_t count)
{
    return chunk_count(count, products->depth_step) * products->depth_step;
}

static size_t units_of(const Products *products, size_t count)
{
    return depth_of(products, count) / products->per_unit;
}

static size_t number_bytes(const Products *products)
{
    return sizeof(float) / products->per_unit;
}

/* Panels of a matrix, of W^T or of W. They are made for each product by the threads that multiply by them, in whose caches they stay. */
typedef struct PanelSource {
    const Products *products;
    const Level *level;
    const float *weight; /* [n, k] */
    uint16_t *bf16;      /* [n, k] or NULL: panels are of bf16 numbers, of this copy */
    bool stale;          /* the copy is to be made of weight */
    bool transposed;
    size_t n, k;
} PanelSource;

static PanelSource panel_source(const BackendDevice *device, const BackendMatrix *matrix, bool transposed)
{
    size_t n = (size_t)matrix->n, k = (size_t)matrix->k;
    return (PanelSource){.products = products_of(device, matrix->type),
                         .level = device->level,
                         .weight = host_floats(matrix->weight, n * k),
                         .bf16 = matrix->bf16,
                         .stale = matrix->bf16 != NULL && !matrix->fresh,
                         .transposed = transposed,
                         .n = n,
                         .k = k};
}

static size_t panel_units(const PanelSource *source)
{
    return source->level->tile_columns * units_of(source->products, source->transposed ? source->k : source->n);
}

static void copy_rows(const PanelSource *source, size_t first, size_t last)
{
    source->level->to_bf16(source->weight + first * source->k, source->bf16 + first * source->k, (last - first) * source->k);
}

/* Panels first .. last - 1, one after another. */
static void panels_make(const PanelSource *source, size_t first, size_t last, float *panels)
{
    const void *numbers = source->bf16 == NULL ? (const void *)source->weight : source->bf16;
    size_t tile_columns = source->level->tile_columns, units = panel_units(source);
    if (!source->transposed) {
        size_t column = first * tile_columns, end = last * tile_columns < source->k ? last * tile_columns : source->k;
        source->products->pack_plain(numbers, source->n, source->k, column, end - column, panels);
        return;
    }
    for (size_t p = first; p < last; p++) {
        if (source->stale) {
            copy_rows(source, p * tile_columns, chunk_end(p, tile_columns, source->n));
        }
        source->products->pack_transposed(numbers, source->n, source->k, p * tile_columns, panels + (p - first) * units);
    }
}

/* Rows whose length is no depth are copied to where they may be read up to one, with zeros. */
static size_t padded_bytes(const Products *products, size_t rows, size_t count)
{
    size_t depth = depth_of(products, count);
    return depth == count ? 0 : rows * depth * number_bytes(products);
}

static const void *rows_padded(const Products *products, const void *a, size_t rows, size_t count, unsigned char *room)
{
    size_t row_bytes = count * number_bytes(products), padded_row = depth_of(products, count) * number_bytes(products);
    if (padded_row == row_bytes) {
        return a;
    }
    for (size_t r = 0; r < rows; r++) {
        memcpy(room + r * padded_row, (const unsigned char *)a + r * row_bytes, row_bytes);
        memset(room + r * padded_row + row_bytes, 0, padded_row - row_bytes);
    }
    return room;
}

/* How a product is cut: groups of panels that stay in the second cache while all rows pass by, and parts of the rows where there are fewer
 * groups than threads. */
typedef struct ProductCut {
    size_t panel_count, group_panels, groups, parts;
} ProductCut;

/* As few rounds of groups as the cache allows, but two, and where some more leave fewer panels to the busiest thread, those. */
static ProductCut product_cut(const BackendDevice *device, size_t columns, size_t panel_bytes)
{
    enum { ROUNDS_TRIED = 4, ROUNDS_LEAST = 2 };
    size_t threads = (size_t)device->thread_count, limit = GROUP_BYTES / panel_bytes, least = SIZE_MAX;
    ProductCut cut = {.panel_count = chunk_count(columns, device->level->tile_columns), .group_panels = 1};
    limit = limit < 1 ? 1 : limit > PRODUCT_PANELS_MAX ? PRODUCT_PANELS_MAX : limit;
    size_t rounds = chunk_count(cut.panel_count, threads * limit);
    rounds = rounds < ROUNDS_LEAST ? ROUNDS_LEAST : rounds;
    for (size_t end = rounds + ROUNDS_TRIED; rounds < end; rounds++) {
        size_t group = chunk_count(cut.panel_count, threads * rounds), busiest = group * rounds;
        if (busiest < least) {
            least = busiest;
            cut.group_panels = group;
        }
    }
    cut.groups = chunk_count(cut.panel_count, cut.group_panels);
    cut.parts = cut.groups >= threads ? 1 : chunk_count(threads * ROUNDS_LEAST, cut.groups);
    return cut;
}

typedef struct ProductTask {
    PanelSource source;
    PanelJob job;
    void *const *scratch; /* [thread_count] */
    ProductCut cut;
    size_t rows, rows_per_task;
} ProductTask;

static void product_task(void *context, int thread, size_t index)
{
    const ProductTask *task = context;
    size_t group = index % task->cut.groups, part = index / task->cut.groups;
    size_t first = group * task->cut.group_panels, last = chunk_end(group, task->cut.group_panels, task->cut.panel_count);
    panels_make(&task->source, first, last, task->scratch[thread]);
    task->source.products->product(&task->job, task->scratch[thread], part * task->rows_per_task,
                                   chunk_end(part, task->rows_per_task, task->rows), first, last);
}

static void copy_task(void *context, int thread, size_t index)
{
    const PanelSource *source = context;
    size_t rows = source->level->tile_columns;
    (void)thread;
    copy_rows(source, index * rows, chunk_end(index, rows, source->n));
}

static void copy_make(BackendStream *stream, PanelSource *source)
{
    operation_run(stream, copy_task, source, chunk_count(source->n, source->level->tile_columns));
    source->stale = false;
}

void cpu_matrix_settle(BackendStream *stream, BackendMatrix *matrix)
{
    PanelSource source = panel_source(stream->device, matrix, false);
    if (source.stale && operation_begin(stream, 0, 0)) {
        copy_make(stream, &source);
        matrix->fresh = true;
        operation_end(stream);
    }
}

/* a: [rows, count], whose rows are padded into shared memory where they must be. The first product after an update makes the bf16 copy:
 * along with the panels where each panel of W^T is made once. */
static void product_run(BackendStream *stream, BackendMatrix *matrix, bool transposed, const void *a, size_t rows,
                        const ProductEnd *end)
{
    BackendDevice *device = stream->device;
    ProductTask task = {.source = panel_source(device, matrix, transposed), .job.end = *end, .rows = rows};
    const Products *products = task.source.products;
    size_t count = transposed ? task.source.k : task.source.n;
    task.cut = product_cut(device, end->out_row, panel_units(&task.source) * sizeof(float));
    task.job.a = rows_padded(products, a, rows, count, device->shared);
    task.job.a_row = task.job.depth = depth_of(products, count);
    task.rows_per_task = chunk_count(chunk_count(rows, task.cut.parts), products->tile_rows) * products->tile_rows;
    task.scratch = device->scratch;
    if (task.source.stale && (!transposed || task.cut.parts > 1)) {
        copy_make(stream, &task.source);
    }
    operation_run(stream, product_task, &task, task.cut.groups * chunk_count(rows, task.rows_per_task));
    matrix->fresh = true;
}

typedef struct WeightTask {
    const Products *products;
    WeightJob job;
    void *const *scratch; /* [thread_count] */
    size_t x_panels, x_group, d_y_panels, d_y_group, d_y_groups;
} WeightTask;

static void weight_pack_task(void *context, int thread, size_t index)
{
    const WeightTask *task = context;
    size_t x_groups = chunk_count(task->x_panels, PANEL_GROUP), d_y_group = task->products->d_y_group;
    (void)thread;
    if (index < x_groups) {
        task->products->pack_x(&task->job, index * PANEL_GROUP, chunk_end(index, PANEL_GROUP, task->x_panels));
    } else {
        size_t group = index - x_groups;
        task->products->pack_d_y(&task->job, group * d_y_group, chunk_end(group, d_y_group, task->d_y_panels));
    }
}

/* Panels of x that stay in the second cache while those of d_y pass by. */
static void weight_task(void *context, int thread, size_t index)
{
    const WeightTask *task = context;
    size_t d_y = index % task->d_y_groups, x = index / task->d_y_groups;
    task->products->product_weight(&task->job, d_y * task->d_y_group, chunk_end(d_y, task->d_y_group, task->d_y_panels),
                                   x * task->x_group, chunk_end(x, task->x_group, task->x_panels), task->scratch[thread]);
}

/* Units from one packed panel to the next: whole cache lines and an odd number of them, lest all panels start in the same sets of a cache,
 * and room for what pack_d_y writes beyond the last row. */
static size_t panel_step(size_t units)
{
    return (chunk_count(units + 16, 16) | 1) * 16;
}

/* Passes of at most PASS_ROWS rows, alike in size, keep a panel in the second cache. */
static size_t pass_rows(size_t rows)
{
    return chunk_count(rows, chunk_count(rows, PASS_ROWS));
}

/* What a product of x and d_y over `rows` rows needs: panel counts and steps; its panels lie in room. */
static WeightTask weight_plan(const BackendDevice *device, const Products *products, size_t rows, size_t n, size_t k, float *room)
{
    size_t units = units_of(products, pass_rows(rows)), tile_columns = device->level->tile_columns;
    WeightTask task = {.products = products, .job = {.n = n, .k = k, .panels_d_y = room}};
    task.x_panels = chunk_count(k, tile_columns);
    task.d_y_panels = chunk_count(n, products->tile_rows);
    task.job.step_d_y = panel_step(units * products->tile_rows);
    task.job.step_x = panel_step(units * tile_columns);
    task.job.panels_x = room == NULL ? NULL : room + task.d_y_panels * task.job.step_d_y;
    size_t limit = GROUP_BYTES / (task.job.step_x * sizeof(float));
    limit = limit < 1 ? 1 : limit > WEIGHT_PANELS_MAX ? WEIGHT_PANELS_MAX : limit;
    task.x_group = chunk_count(task.x_panels, chunk_count(task.x_panels, limit));
    size_t x_groups = chunk_count(task.x_panels, task.x_group);
    task.d_y_group = chunk_count(task.d_y_panels, chunk_count((size_t)device->thread_count * TASKS_PER_THREAD, x_groups));
    task.d_y_groups = chunk_count(task.d_y_panels, task.d_y_group);
    return task;
}

static size_t weight_room_bytes(const BackendDevice *device, const Products *products, size_t rows, size_t n, size_t k)
{
    WeightTask task = weight_plan(device, products, rows, n, k, NULL);
    return (task.d_y_panels * task.job.step_d_y + task.x_panels * task.job.step_x) * sizeof(float);
}

static void panels_backward_weight(BackendStream *stream, const Products *products, const void *x, const void *d_y, size_t rows,
                                   size_t n, size_t k, bool accumulate, float *d_weight, float *d_bias)
{
    WeightTask task = weight_plan(stream->device, products, rows, n, k, stream->device->shared);
    size_t pass = pass_rows(rows), size = number_bytes(products);
    task.scratch = stream->device->scratch;
    task.job.d_weight = d_weight;
    task.job.d_bias = d_bias;
    for (size_t first = 0; first < rows; first += pass) {
        task.job.rows = rows - first < pass ? rows - first : pass;
        task.job.depth = depth_of(products, task.job.rows);
        task.job.x = (const unsigned char *)x + first * k * size;
        task.job.d_y = (const unsigned char *)d_y + first * n * size;
        task.job.accumulate = accumulate || first > 0;
        size_t packs = chunk_count(task.x_panels, PANEL_GROUP) + chunk_count(task.d_y_panels, products->d_y_group);
        operation_run(stream, weight_pack_task, &task, packs);
        operation_run(stream, weight_task, &task, chunk_count(task.x_panels, task.x_group) * task.d_y_groups);
    }
}

/* -- BLAS. The library may add in another order for another size of product, so chunks follow from the shape alone. */

enum { BLAS_ROWS = 256, BLAS_COLUMNS = 192 };

typedef struct BlasTask {
    const Level *level;
    BackendDevice *device;
    const float *a, *b;
    bool a_transposed, b_transposed;
    size_t rows, columns, depth; /* of the whole product */
    size_t a_row, b_row;
    ProductEnd end;
    bool ends;  /* something is left to do after the product */
    bool apart; /* the product goes to scratch memory first */
} BlasTask;

static void blas_task(void *context, int thread, size_t index)
{
    const BlasTask *task = context;
    size_t across = chunk_count(task->columns, BLAS_COLUMNS);
    size_t row = index / across * BLAS_ROWS, column = index % across * BLAS_COLUMNS;
    size_t row_end = chunk_end(index / across, BLAS_ROWS, task->rows),
           column_end = chunk_end(index % across, BLAS_COLUMNS, task->columns);
    const float *a = task->a_transposed ? task->a + row : task->a + row * task->a_row;
    const float *b = task->b_transposed ? task->b + column * task->b_row : task->b + column;
    float *out = task->apart ? task->device->scratch[thread] : task->end.out.floats + row * task->end.out_row + column;
    size_t out_row = task->apart ? BLAS_COLUMNS : task->end.out_row;
    float beta = task->end.accumulate && !task->apart ? 1.0f : 0.0f;
    blas_product(task->a_transposed, task->b_transposed, row_end - row, column_end - column, task->depth, a, task->a_row, b,
                 task->b_row, beta, out, out_row);
    if (task->ends) {
        task->level->product_end(&task->end, out, out_row, row, row_end, column, column_end - column);
    }
}

static void blas_run(BackendStream *stream, BlasTask *task)
{
    task->device = stream->device;
    task->level = stream->device->level;
    task->apart = task->end.accumulate && host_reals_given(task->end.slope_pre);
    task->ends = task->end.bias != NULL || task->end.gelu || host_reals_given(task->end.slope_pre);
    operation_run(stream, blas_task, task, chunk_count(task->rows, BLAS_ROWS) * chunk_count(task->columns, BLAS_COLUMNS));
}

typedef struct BiasTask {
    const Level *level;
    float *d_bias;
    const float *d_y;
    size_t rows, n;
} BiasTask;

static void bias_task(void *context, int thread, size_t index)
{
    enum { COLUMNS = 64, ROWS = 128 };
    const BiasTask *task = context;
    size_t first = index * COLUMNS, last = chunk_end(index, COLUMNS, task->n);
    (void)thread;
    for (size_t row = 0; row < task->rows; row += ROWS) {
        size_t rows = task->rows - row < ROWS ? task->rows - row : ROWS;
        task->level->add_rows(task->d_bias + first, task->d_y + row * task->n + first, task->n, rows, last - first);
    }
}

/* -- Operations. */

/* x [rows, count] of the matrix's type. */
static const void *operand(DeviceView x, DeviceType type, size_t count)
{
    ASSERT(x.type == type);
    return host_real_bytes(x, count);
}

void cpu_linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                        LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    const Products *products = products_of(stream->device, weight->type);
    size_t scratch = linear_scratch_bytes(stream->device, n, k, weight->type);
    if (row_count == 0 || !operation_begin(stream, scratch, products == NULL ? 0 : padded_bytes(products, row_count, k))) {
        return;
    }
    const void *in = operand(x, weight->type, row_count * k);
    ProductEnd end = {
        .out = host_reals(y, row_count * n),
        .out_row = n,
        .bias = host_floats_or_null(bias, n),
        .gelu = epilogue == LINEAR_GELU,
        .pre = host_reals(epilogue == LINEAR_GELU ? pre : device_view_none(), row_count * n),
    };
    ASSERT(weight->type == DEVICE_BF16 || y.type == DEVICE_FP32);
    ASSERT(!host_reals_given(end.pre) || pre.type == y.type);
    if (products != NULL) {
        product_run(stream, weight, true, in, row_count, &end);
    } else {
        const float *w = host_floats(weight->weight, n * k);
        BlasTask task = {
            .a = in, .b = w, .b_transposed = true, .rows = row_count, .columns = n, .depth = k, .a_row = k, .b_row = k, .end = end};
        blas_run(stream, &task);
    }
    operation_end(stream);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t linear_shared_bytes(const BackendDevice *device, size_t rows, size_t n, size_t k, DeviceType type)
{
    const Products *products = products_of(device, type);
    if (products == NULL) {
        return 0;
    }
    return larger(larger(padded_bytes(products, rows, k), padded_bytes(products, rows, n)),
                  weight_room_bytes(device, products, rows, n, k));
}

/* Of each thread, for a group of panels that are `depth` deep. */
static size_t product_scratch_bytes(const BackendDevice *device, const Products *products, size_t columns, size_t depth)
{
    size_t panel_bytes = device->level->tile_columns * units_of(products, depth) * sizeof(float);
    return product_cut(device, columns, panel_bytes).group_panels * panel_bytes;
}

/* Of each thread, for sums that are not yet stored: of two stretches of tiles. */
static size_t weight_scratch_bytes(const BackendDevice *device, const Products *products)
{
    return 2 * products->tile_rows * WEIGHT_PANELS_MAX * device->level->tile_columns * sizeof(float);
}

size_t linear_scratch_bytes(const BackendDevice *device, size_t n, size_t k, DeviceType type)
{
    const Products *products = products_of(device, type);
    if (products == NULL) {
        return BLAS_ROWS * BLAS_COLUMNS * sizeof(float);
    }
    return larger(larger(product_scratch_bytes(device, products, n, k), product_scratch_bytes(device, products, k, n)),
                  weight_scratch_bytes(device, products));
}

void cpu_linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                               bool accumulate, DeviceView d_x)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    BackendDevice *device = stream->device;
    const Products *products = products_of(device, weight->type);
    size_t shared = products == NULL ? 0 : padded_bytes(products, row_count, n);
    if (row_count == 0 || !operation_begin(stream, linear_scratch_bytes(device, n, k, weight->type), shared)) {
        return;
    }
    const void *in = operand(d_y, weight->type, row_count * n);
    ProductEnd end = {
        .out = host_reals(d_x, row_count * k),
        .out_row = k,
        .slope_pre = host_reals(pre, row_count * k),
        .accumulate = accumulate,
    };
    ASSERT(weight->type == DEVICE_BF16 || d_x.type == DEVICE_FP32);
    ASSERT(!host_reals_given(end.slope_pre) || pre.type == d_x.type);
    if (products != NULL) {
        product_run(stream, weight, false, in, row_count, &end);
    } else {
        const float *w = host_floats(weight->weight, n * k);
        BlasTask task = {.a = in, .b = w, .rows = row_count, .columns = k, .depth = n, .a_row = n, .b_row = k, .end = end};
        blas_run(stream, &task);
    }
    operation_end(stream);
}

static void blas_backward_weight(BackendStream *stream, const float *x, const float *d_y, size_t rows, size_t n, size_t k,
                                 bool accumulate, float *d_weight, float *d_bias)
{
    BlasTask task = {.a = d_y,
                     .b = x,
                     .a_transposed = true,
                     .rows = n,
                     .columns = k,
                     .depth = rows,
                     .a_row = n,
                     .b_row = k,
                     .end = {.out = {.floats = d_weight}, .out_row = k, .accumulate = accumulate}};
    blas_run(stream, &task);
    BiasTask bias = {stream->device->level, d_bias, d_y, rows, n};
    if (d_bias != NULL) {
        if (!accumulate) {
            memset(d_bias, 0, n * sizeof *d_bias);
        }
        operation_run(stream, bias_task, &bias, chunk_count(n, 64));
    }
}

/* A product over no rows is zero. */
static void weight_clear(BackendStream *stream, DeviceView d_weight, size_t count, DeviceView d_bias, size_t n)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    memset(host_floats(d_weight, count), 0, count * sizeof(float));
    if (d_bias.buffer != NULL) {
        memset(host_floats(d_bias, n), 0, n * sizeof(float));
    }
    operation_end(stream);
}

void cpu_linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                bool accumulate, DeviceView d_weight, DeviceView d_bias)
{
    size_t outputs = (size_t)n, inputs = (size_t)k, row_count = (size_t)rows;
    const BackendDevice *device = stream->device;
    const Products *products = products_of(device, x.type);
    if (row_count == 0) {
        if (!accumulate) {
            weight_clear(stream, d_weight, outputs * inputs, d_bias, outputs);
        }
        return;
    }
    size_t shared = products == NULL ? 0 : weight_room_bytes(device, products, row_count, outputs, inputs);
    if (!operation_begin(stream, products == NULL ? 0 : weight_scratch_bytes(device, products), shared)) {
        return;
    }
    const void *in = operand(x, x.type, row_count * inputs), *d_out = operand(d_y, x.type, row_count * outputs);
    float *d_w = host_floats(d_weight, outputs * inputs), *d_b = host_floats_or_null(d_bias, outputs);
    if (products != NULL) {
        panels_backward_weight(stream, products, in, d_out, row_count, outputs, inputs, accumulate, d_w, d_b);
    } else {
        blas_backward_weight(stream, in, d_out, row_count, outputs, inputs, accumulate, d_w, d_b);
    }
    operation_end(stream);
}
