/* Linear layers: by the level's panels, or by the BLAS. */
#include <string.h>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/device.h"

/* -- Panels. Sums do not depend on how rows and columns are split, so tasks may be cut to suit the number of threads. */

enum {
    TASKS_PER_THREAD = 4,
    PASS_ROWS = 640,
    PANEL_GROUP = 4,
    PRODUCT_GROUP = 2,
    D_Y_GROUP = 8,
    WEIGHT_GROUP = 16,
    PAIR_D_Y_GROUP = 4
};

typedef struct PackTask {
    const Level *level;
    const float *weight;
    size_t n, k;
    float *panels;
} PackTask;

/* W^T, a panel a task. */
static void pack_transposed_task(void *context, int thread, size_t index)
{
    const PackTask *task = context;
    size_t columns = task->level->tile_columns;
    (void)thread;
    task->level->pack_transposed(task->weight, task->n, task->k, index * columns, task->panels + index * columns * task->k);
}

/* W, a group of panels a task. */
static void pack_plain_task(void *context, int thread, size_t index)
{
    const PackTask *task = context;
    size_t columns = PANEL_GROUP * task->level->tile_columns, column = index * columns, end = chunk_end(index, columns, task->k);
    (void)thread;
    task->level->pack_plain(task->weight, task->n, task->k, column, end - column, task->panels + column * task->n);
}

typedef struct ProductTask {
    const Level *level;
    PanelJob job;
    const float *panels;
    size_t rows, rows_per_task, panel_count, groups; /* groups of panels */
} ProductTask;

static void product_task(void *context, int thread, size_t index)
{
    const ProductTask *task = context;
    size_t group = index % task->groups, part = index / task->groups;
    (void)thread;
    task->level->product_panels(&task->job, task->panels, part * task->rows_per_task,
                                chunk_end(part, task->rows_per_task, task->rows), group * PRODUCT_GROUP,
                                chunk_end(group, PRODUCT_GROUP, task->panel_count));
}

static void product_run(BackendStream *stream, const PanelJob *job, const float *panels, size_t rows)
{
    BackendDevice *device = stream->device;
    size_t tile_rows = device->level->tile_rows;
    ProductTask task = {.level = device->level, .job = *job, .panels = panels, .rows = rows};
    task.panel_count = chunk_count(job->end.out_row, device->level->tile_columns);
    task.groups = chunk_count(task.panel_count, PRODUCT_GROUP);
    size_t parts = chunk_count((size_t)device->thread_count * TASKS_PER_THREAD, task.groups);
    task.rows_per_task = chunk_count(chunk_count(rows, parts), tile_rows) * tile_rows;
    operation_run(stream, product_task, &task, task.groups * chunk_count(rows, task.rows_per_task));
}

static void panels_forward(BackendStream *stream, BackendMatrix *matrix, const float *x, size_t rows, const ProductEnd *end)
{
    BackendDevice *device = stream->device;
    size_t n = (size_t)matrix->n, k = (size_t)matrix->k;
    float *panels = (float *)(void *)matrix->panels->bytes;
    if (!matrix->packed) {
        PackTask pack = {device->level, host_floats(matrix->weight, n * k), n, k, panels};
        operation_run(stream, pack_transposed_task, &pack, chunk_count(n, device->level->tile_columns));
        matrix->packed = true;
    }
    product_run(stream, &(PanelJob){.a = x, .a_row = k, .depth = k, .end = *end}, panels, rows);
}

/* The panels of W are made anew for each product: that costs what reading a kept copy would, and needs no memory per matrix. */
static void panels_backward_input(BackendStream *stream, const BackendMatrix *matrix, const float *d_y, size_t rows,
                                  const ProductEnd *end)
{
    BackendDevice *device = stream->device;
    size_t n = (size_t)matrix->n, k = (size_t)matrix->k;
    PackTask pack = {device->level, host_floats(matrix->weight, n * k), n, k, device->shared};
    operation_run(stream, pack_plain_task, &pack, chunk_count(k, PANEL_GROUP * device->level->tile_columns));
    product_run(stream, &(PanelJob){.a = d_y, .a_row = n, .depth = n, .end = *end}, device->shared, rows);
}

typedef struct WeightTask {
    const Level *level;
    WeightJob job;
    size_t x_panels, d_y_panels, groups; /* groups of d_y panels */
} WeightTask;

static void weight_pack_task(void *context, int thread, size_t index)
{
    const WeightTask *task = context;
    size_t x_groups = chunk_count(task->x_panels, PANEL_GROUP);
    (void)thread;
    if (index < x_groups) {
        task->level->pack_x(&task->job, index * PANEL_GROUP, chunk_end(index, PANEL_GROUP, task->x_panels));
    } else {
        size_t group = index - x_groups;
        task->level->pack_d_y(&task->job, group * D_Y_GROUP, chunk_end(group, D_Y_GROUP, task->d_y_panels));
    }
}

static void weight_task(void *context, int thread, size_t index)
{
    const WeightTask *task = context;
    size_t group = index % task->groups;
    (void)thread;
    task->level->product_weight(&task->job, index / task->groups, group * WEIGHT_GROUP,
                                chunk_end(group, WEIGHT_GROUP, task->d_y_panels));
}

/* Floats from one packed panel to the next: whole cache lines and an odd number of them, lest all panels start in the same sets of a cache,
 * and room for what pack_d_y writes beyond the last row. */
static size_t panel_step(size_t floats)
{
    return (chunk_count(floats + 16, 16) | 1) * 16;
}

/* Passes of at most PASS_ROWS rows, alike in size, keep a panel in the second cache. */
static size_t pass_rows(size_t rows)
{
    return chunk_count(rows, chunk_count(rows, PASS_ROWS));
}

static size_t weight_shared_bytes(const Level *level, size_t rows, size_t n, size_t k)
{
    size_t pass = pass_rows(rows);
    size_t floats = chunk_count(n, level->tile_rows) * panel_step(pass * level->tile_rows) +
                    chunk_count(k, level->tile_columns) * panel_step(pass * level->tile_columns);
    return floats * sizeof(float);
}

static void panels_backward_weight(BackendStream *stream, const float *x, const float *d_y, size_t rows, size_t n, size_t k,
                                   bool accumulate, float *d_weight, float *d_bias)
{
    const Level *level = stream->device->level;
    size_t pass = pass_rows(rows);
    WeightTask task = {.level = level, .job = {.n = n, .k = k, .d_weight = d_weight, .d_bias = d_bias}};
    task.x_panels = chunk_count(k, level->tile_columns);
    task.d_y_panels = chunk_count(n, level->tile_rows);
    task.groups = chunk_count(task.d_y_panels, WEIGHT_GROUP);
    task.job.step_d_y = panel_step(pass * level->tile_rows);
    task.job.step_x = panel_step(pass * level->tile_columns);
    task.job.panels_d_y = stream->device->shared;
    task.job.panels_x = task.job.panels_d_y + task.d_y_panels * task.job.step_d_y;
    for (size_t first = 0; first < rows; first += pass) {
        task.job.rows = rows - first < pass ? rows - first : pass;
        task.job.x = x + first * k;
        task.job.d_y = d_y + first * n;
        task.job.accumulate = accumulate || first > 0;
        size_t packs = chunk_count(task.x_panels, PANEL_GROUP) + chunk_count(task.d_y_panels, D_Y_GROUP);
        operation_run(stream, weight_pack_task, &task, packs);
        operation_run(stream, weight_task, &task, task.x_panels * task.groups);
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

/* -- bf16 numbers: always by the level's own products. A matrix keeps both of its packed forms, which micro-batches share. */

static size_t pair_depth(size_t count)
{
    return chunk_count(count, PAIR_DEPTH) * PAIR_DEPTH;
}

typedef struct PairPackTask {
    const Level *level;
    const float *weight;
    size_t n, k;
    uint32_t *panels;
} PairPackTask;

static void pairs_pack_transposed_task(void *context, int thread, size_t index)
{
    const PairPackTask *task = context;
    size_t columns = task->level->tile_columns;
    (void)thread;
    task->level->pairs_pack_transposed(task->weight, task->n, task->k, index * columns,
                                       task->panels + index * columns * (pair_depth(task->k) / 2));
}

static void pairs_pack_plain_task(void *context, int thread, size_t index)
{
    const PairPackTask *task = context;
    size_t columns = PANEL_GROUP * task->level->tile_columns, column = index * columns, end = chunk_end(index, columns, task->k);
    (void)thread;
    task->level->pairs_pack_plain(task->weight, task->n, task->k, column, end - column,
                                  task->panels + column * (pair_depth(task->n) / 2));
}

typedef struct PairTask {
    const Level *level;
    PairJob job;
    const uint32_t *panels;
    size_t rows, rows_per_task, panel_count, groups; /* groups of panels */
} PairTask;

static void pairs_task(void *context, int thread, size_t index)
{
    const PairTask *task = context;
    size_t group = index % task->groups, part = index / task->groups;
    (void)thread;
    task->level->pairs_product(&task->job, task->panels, part * task->rows_per_task,
                               chunk_end(part, task->rows_per_task, task->rows), group * PRODUCT_GROUP,
                               chunk_end(group, PRODUCT_GROUP, task->panel_count));
}

/* Rows whose length is no multiple of PAIR_DEPTH are copied to where they may be read up to one, with zeros. */
static const uint16_t *pairs_pad(const uint16_t *a, size_t rows, size_t count, uint16_t *to)
{
    size_t depth = pair_depth(count);
    for (size_t r = 0; r < rows; r++) {
        memcpy(to + r * depth, a + r * count, count * sizeof *to);
        memset(to + r * depth + count, 0, (depth - count) * sizeof *to);
    }
    return to;
}

static size_t pairs_pad_bytes(size_t rows, size_t count)
{
    return pair_depth(count) == count ? 0 : rows * pair_depth(count) * sizeof(uint16_t);
}

static void pairs_run(BackendStream *stream, const uint16_t *a, size_t count, const ProductEnd *end, const uint32_t *panels,
                      size_t rows)
{
    BackendDevice *device = stream->device;
    size_t tile_rows = device->level->pair_rows, depth = pair_depth(count);
    PairTask task = {.level = device->level, .panels = panels, .rows = rows};
    task.job =
        (PairJob){.a = depth == count ? a : pairs_pad(a, rows, count, device->shared), .a_row = depth, .depth = depth, .end = *end};
    task.panel_count = chunk_count(end->out_row, device->level->tile_columns);
    task.groups = chunk_count(task.panel_count, PRODUCT_GROUP);
    size_t parts = chunk_count((size_t)device->thread_count * TASKS_PER_THREAD, task.groups);
    task.rows_per_task = chunk_count(chunk_count(rows, parts), tile_rows) * tile_rows;
    operation_run(stream, pairs_task, &task, task.groups * chunk_count(rows, task.rows_per_task));
}

static void pairs_forward(BackendStream *stream, BackendMatrix *matrix, const uint16_t *x, size_t rows, const ProductEnd *end)
{
    const Level *level = stream->device->level;
    size_t n = (size_t)matrix->n, k = (size_t)matrix->k;
    uint32_t *panels = (uint32_t *)(void *)matrix->panels->bytes;
    if (!matrix->packed) {
        PairPackTask pack = {level, host_floats(matrix->weight, n * k), n, k, panels};
        operation_run(stream, pairs_pack_transposed_task, &pack, chunk_count(n, level->tile_columns));
        matrix->packed = true;
    }
    pairs_run(stream, x, k, end, panels, rows);
}

static void pairs_backward_input(BackendStream *stream, BackendMatrix *matrix, const uint16_t *d_y, size_t rows,
                                 const ProductEnd *end)
{
    const Level *level = stream->device->level;
    size_t n = (size_t)matrix->n, k = (size_t)matrix->k;
    uint32_t *panels = (uint32_t *)(void *)matrix->plain_panels->bytes;
    if (!matrix->plain_packed) {
        PairPackTask pack = {level, host_floats(matrix->weight, n * k), n, k, panels};
        operation_run(stream, pairs_pack_plain_task, &pack, chunk_count(k, PANEL_GROUP * level->tile_columns));
        matrix->plain_packed = true;
    }
    pairs_run(stream, d_y, n, end, panels, rows);
}

typedef struct PairWeightTask {
    const Level *level;
    PairWeightJob job;
    size_t x_panels, d_y_panels, groups; /* groups of d_y panels */
} PairWeightTask;

static void pairs_weight_pack_task(void *context, int thread, size_t index)
{
    const PairWeightTask *task = context;
    size_t x_groups = chunk_count(task->x_panels, PANEL_GROUP);
    (void)thread;
    if (index < x_groups) {
        task->level->pairs_pack_x(&task->job, index * PANEL_GROUP, chunk_end(index, PANEL_GROUP, task->x_panels));
    } else {
        size_t group = index - x_groups;
        task->level->pairs_pack_d_y(&task->job, group * PAIR_D_Y_GROUP, chunk_end(group, PAIR_D_Y_GROUP, task->d_y_panels));
    }
}

static void pairs_weight_task(void *context, int thread, size_t index)
{
    const PairWeightTask *task = context;
    size_t group = index % task->groups;
    (void)thread;
    task->level->pairs_product_weight(&task->job, index / task->groups, group * WEIGHT_GROUP,
                                      chunk_end(group, WEIGHT_GROUP, task->d_y_panels));
}

static size_t pairs_weight_shared_bytes(const Level *level, size_t rows, size_t n, size_t k)
{
    size_t words = pair_depth(pass_rows(rows)) / 2;
    size_t all = chunk_count(n, level->pair_rows) * panel_step(words * level->pair_rows) +
                 chunk_count(k, level->tile_columns) * panel_step(words * level->tile_columns);
    return all * sizeof(uint32_t);
}

static void pairs_backward_weight(BackendStream *stream, const uint16_t *x, const uint16_t *d_y, size_t rows, size_t n, size_t k,
                                  bool accumulate, float *d_weight, float *d_bias)
{
    const Level *level = stream->device->level;
    size_t pass = pass_rows(rows), words = pair_depth(pass) / 2;
    PairWeightTask task = {.level = level, .job = {.n = n, .k = k, .d_weight = d_weight, .d_bias = d_bias}};
    task.x_panels = chunk_count(k, level->tile_columns);
    task.d_y_panels = chunk_count(n, level->pair_rows);
    task.groups = chunk_count(task.d_y_panels, WEIGHT_GROUP);
    task.job.step_d_y = panel_step(words * level->pair_rows);
    task.job.step_x = panel_step(words * level->tile_columns);
    task.job.panels_d_y = stream->device->shared;
    task.job.panels_x = task.job.panels_d_y + task.d_y_panels * task.job.step_d_y;
    for (size_t first = 0; first < rows; first += pass) {
        task.job.rows = rows - first < pass ? rows - first : pass;
        task.job.depth = pair_depth(task.job.rows);
        task.job.x = x + first * k;
        task.job.d_y = d_y + first * n;
        task.job.accumulate = accumulate || first > 0;
        size_t packs = chunk_count(task.x_panels, PANEL_GROUP) + chunk_count(task.d_y_panels, PAIR_D_Y_GROUP);
        operation_run(stream, pairs_weight_pack_task, &task, packs);
        operation_run(stream, pairs_weight_task, &task, task.x_panels * task.groups);
    }
}

/* -- Operations. */

void cpu_linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                        LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    bool pairs = weight->type == DEVICE_BF16;
    if (row_count == 0 || !operation_begin(stream, 0, pairs ? pairs_pad_bytes(row_count, k) : 0)) {
        return;
    }
    ProductEnd end = {
        .out = host_reals(y, row_count * n),
        .out_row = n,
        .bias = host_floats_or_null(bias, n),
        .gelu = epilogue == LINEAR_GELU,
        .pre = host_reals(epilogue == LINEAR_GELU ? pre : device_view_none(), row_count * n),
    };
    ASSERT(pairs || y.type == DEVICE_FP32);
    ASSERT(!host_reals_given(end.pre) || pre.type == y.type);
    if (pairs) {
        pairs_forward(stream, weight, host_bf16(x, row_count * k), row_count, &end);
    } else if (stream->device->panels) {
        panels_forward(stream, weight, host_floats(x, row_count * k), row_count, &end);
    } else {
        const float *in = host_floats(x, row_count * k), *w = host_floats(weight->weight, n * k);
        BlasTask task = {
            .a = in, .b = w, .b_transposed = true, .rows = row_count, .columns = n, .depth = k, .a_row = k, .b_row = k, .end = end};
        blas_run(stream, &task);
    }
    operation_end(stream);
}

static size_t backward_input_shared_bytes(const BackendDevice *device, const BackendMatrix *weight, size_t rows)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, columns = device->level->tile_columns;
    if (weight->type == DEVICE_BF16) {
        return pairs_pad_bytes(rows, n);
    }
    return device->panels ? chunk_count(k, columns) * columns * n * sizeof(float) : 0;
}

void cpu_linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                               bool accumulate, DeviceView d_x)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    const BackendDevice *device = stream->device;
    bool pairs = weight->type == DEVICE_BF16;
    size_t scratch = pairs || device->panels ? 0 : BLAS_ROWS * BLAS_COLUMNS * sizeof(float);
    if (row_count == 0 || !operation_begin(stream, scratch, backward_input_shared_bytes(device, weight, row_count))) {
        return;
    }
    ProductEnd end = {
        .out = host_reals(d_x, row_count * k),
        .out_row = k,
        .slope_pre = host_reals(pre, row_count * k),
        .accumulate = accumulate,
    };
    ASSERT(pairs || d_x.type == DEVICE_FP32);
    ASSERT(!host_reals_given(end.slope_pre) || pre.type == d_x.type);
    if (pairs) {
        pairs_backward_input(stream, weight, host_bf16(d_y, row_count * n), row_count, &end);
    } else if (device->panels) {
        panels_backward_input(stream, weight, host_floats(d_y, row_count * n), row_count, &end);
    } else {
        const float *in = host_floats(d_y, row_count * n), *w = host_floats(weight->weight, n * k);
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
    bool pairs = x.type == DEVICE_BF16;
    if (row_count == 0) {
        if (!accumulate) {
            weight_clear(stream, d_weight, outputs * inputs, d_bias, outputs);
        }
        return;
    }
    size_t shared = pairs            ? pairs_weight_shared_bytes(device->level, row_count, outputs, inputs)
                    : device->panels ? weight_shared_bytes(device->level, row_count, outputs, inputs)
                                     : 0;
    if (!operation_begin(stream, 0, shared)) {
        return;
    }
    float *d_w = host_floats(d_weight, outputs * inputs), *d_b = host_floats_or_null(d_bias, outputs);
    if (pairs) {
        const uint16_t *in = host_bf16(x, row_count * inputs), *d_out = host_bf16(d_y, row_count * outputs);
        pairs_backward_weight(stream, in, d_out, row_count, outputs, inputs, accumulate, d_w, d_b);
    } else {
        const float *in = host_floats(x, row_count * inputs), *d_out = host_floats(d_y, row_count * outputs);
        (device->panels ? panels_backward_weight : blas_backward_weight)(stream, in, d_out, row_count, outputs, inputs, accumulate,
                                                                         d_w, d_b);
    }
    operation_end(stream);
}
