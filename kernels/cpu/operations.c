/* Everything but the products: each operation is cut into tasks by the shape alone, never by the number of threads. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/device.h"

enum {
    ROW_CHUNK = 32,         /* rows of a task; sums over rows are partial sums over such chunks */
    COLUMN_CHUNK = 64,      /* columns of a task where rows must stay in order */
    ELEMENT_CHUNK = 1 << 16 /* elements of a task on a flat array */
};

typedef struct Task {
    BackendDevice *device;
    const void *job;
    size_t count; /* rows, columns or elements */
    double *sums; /* one per chunk */
} Task;

static void embedding_forward_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    (void)thread;
    task->device->level->embedding_forward(task->job, index * ROW_CHUNK, chunk_end(index, ROW_CHUNK, task->count));
}

void cpu_embedding_forward(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position, DeviceView type,
                           int32_t d, DeviceView out)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    EmbeddingJob job = {
        .pieces = host_block(block),
        .d = (size_t)d,
        .word = host_floats(word, (size_t)d), /* the tables' heights are not known here; ids were checked with the block */
        .position = host_floats(position, (size_t)d),
        .type = host_floats(type, (size_t)d),
        .out = host_floats(out, (size_t)block->piece_count * (size_t)d),
    };
    Task task = {.device = stream->device, .job = &job, .count = (size_t)block->piece_count};
    operation_run(stream, embedding_forward_task, &task, chunk_count(task.count, ROW_CHUNK));
    operation_end(stream);
}

static void embedding_backward_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    (void)thread;
    task->device->level->embedding_backward(task->job, index * COLUMN_CHUNK, chunk_end(index, COLUMN_CHUNK, task->count));
}

void cpu_embedding_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_out, int32_t d, DeviceView d_word,
                            DeviceView d_position, DeviceView d_type)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    EmbeddingJob job = {
        .pieces = host_block(block),
        .d = (size_t)d,
        .d_out = host_floats(d_out, (size_t)block->piece_count * (size_t)d),
        .d_word = host_floats_or_null(d_word, (size_t)d),
        .d_position = host_floats_or_null(d_position, (size_t)d),
        .d_type = host_floats_or_null(d_type, (size_t)d),
    };
    Task task = {.device = stream->device, .job = &job, .count = (size_t)d};
    operation_run(stream, embedding_backward_task, &task, chunk_count(task.count, COLUMN_CHUNK));
    operation_end(stream);
}

static void norm_forward_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    size_t first = index * ROW_CHUNK, last = chunk_end(index, ROW_CHUNK, task->count);
    task->device->level->norm_forward(task->job, first, last, task->device->scratch[thread]);
}

void cpu_norm_forward(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                      DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                      DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd)
{
    size_t rows = (size_t)block->piece_count, width = (size_t)d;
    if (!operation_begin(stream, stream->device->level->norm_scratch(width), 0)) {
        return;
    }
    NormJob job = {
        .pieces = host_block(block),
        .d = width,
        .x = host_floats(x, rows * width),
        .residual = host_floats_or_null(residual, rows * width),
        .gamma = host_floats(gamma, width),
        .beta = host_floats(beta, width),
        .epsilon = epsilon,
        .dropout_in = dropout_in,
        .dropout_out = dropout_out,
        .sum = host_floats(sum, rows * width),
        .y = host_floats(y, rows * width),
        .y_product = host_reals(y_product, rows * width),
        .mean = host_floats(mean, rows),
        .rstd = host_floats(rstd, rows),
    };
    Task task = {.device = stream->device, .job = &job, .count = rows};
    operation_run(stream, norm_forward_task, &task, chunk_count(rows, ROW_CHUNK));
    operation_end(stream);
}

static void norm_backward_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const NormJob *job = task->job;
    size_t first = index * ROW_CHUNK, last = chunk_end(index, ROW_CHUNK, task->count);
    float *partial = job->partial == NULL ? NULL : job->partial + index * 2 * job->d;
    task->device->level->norm_backward(job, first, last, partial, task->device->scratch[thread]);
}

size_t cpu_norm_shared_bytes(size_t rows, size_t d)
{
    return chunk_count(rows, ROW_CHUNK) * 2 * d * sizeof(float);
}

void cpu_norm_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                       DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView d_sum,
                       DeviceView d_x, DeviceView d_gamma, DeviceView d_beta)
{
    size_t rows = (size_t)block->piece_count, width = (size_t)d, chunks = chunk_count(rows, ROW_CHUNK);
    const Level *level = stream->device->level;
    if (!operation_begin(stream, level->norm_scratch(width), cpu_norm_shared_bytes(rows, width))) {
        return;
    }
    NormJob job = {
        .pieces = host_block(block),
        .d = width,
        .gamma = host_floats(gamma, width),
        .d_y = host_floats(d_y, rows * width),
        .dropout_in = dropout_in,
        .dropout_out = dropout_out,
        .sum = host_floats(sum, rows * width),
        .mean = host_floats(mean, rows),
        .rstd = host_floats(rstd, rows),
        .d_sum = host_floats(d_sum, rows * width),
        .d_x = host_reals(d_x, rows * width),
        .d_gamma = host_floats_or_null(d_gamma, width),
        .d_beta = host_floats_or_null(d_beta, width),
    };
    job.partial = job.d_gamma == NULL && job.d_beta == NULL ? NULL : stream->device->shared;
    Task task = {.device = stream->device, .job = &job, .count = rows};
    operation_run(stream, norm_backward_task, &task, chunks);
    if (job.d_gamma != NULL) {
        level->add_rows(job.d_gamma, job.partial, 2 * width, chunks, width);
    }
    if (job.d_beta != NULL) {
        level->add_rows(job.d_beta, job.partial + width, 2 * width, chunks, width);
    }
    operation_end(stream);
}

/* Neighbouring heads of a sequence: their numbers share cache lines, or lie in the next ones. */
typedef struct HeadGroups {
    AttentionJob job;
    size_t heads, count; /* of one group; groups of one sequence */
} HeadGroups;

static HeadGroups head_groups(const BackendDevice *device, const AttentionJob *job)
{
    enum { TASKS_PER_THREAD = 8 };
    size_t all = (size_t)job->pieces.sequence_count * job->heads, heads = all / ((size_t)device->thread_count * TASKS_PER_THREAD);
    heads = heads < 1 ? 1 : heads > job->heads ? job->heads : heads;
    return (HeadGroups){.job = *job, .heads = heads, .count = chunk_count(job->heads, heads)};
}

static void attention_forward_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const HeadGroups *groups = task->job;
    size_t group = index % groups->count, end = chunk_end(group, groups->heads, groups->job.heads);
    for (size_t head = group * groups->heads; head < end; head++) {
        task->device->level->attention_forward(&groups->job, index / groups->count, head, task->device->scratch[thread]);
    }
}

static void attention_backward_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const HeadGroups *groups = task->job;
    size_t group = index % groups->count, end = chunk_end(group, groups->heads, groups->job.heads);
    for (size_t head = group * groups->heads; head < end; head++) {
        task->device->level->attention_backward(&groups->job, index / groups->count, head, task->device->scratch[thread]);
    }
}

/* The longest sequence as it is, not as the block claims: scratch memory is sized by it. */
static size_t block_longest(const HostBlock *pieces)
{
    int32_t longest = 0;
    for (int32_t s = 0; s < pieces->sequence_count; s++) {
        int32_t length = pieces->sequence_start[s + 1] - pieces->sequence_start[s];
        ASSERT(length >= 0);
        longest = length > longest ? length : longest;
    }
    ASSERT(pieces->sequence_count == 0 || pieces->sequence_start[pieces->sequence_count] <= pieces->piece_count);
    return (size_t)longest;
}

void cpu_attention_forward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                           Dropout dropout, DeviceView context, DeviceView log_sum_exp)
{
    size_t rows = (size_t)block->piece_count, width = (size_t)head_width, d = (size_t)heads * width;
    HostBlock pieces = host_block(block);
    if (!operation_begin(stream, stream->device->level->attention_scratch(block_longest(&pieces), width), 0)) {
        return;
    }
    AttentionJob job = {
        .pieces = pieces,
        .heads = (size_t)heads,
        .width = width,
        .dropout = dropout,
        .qkv = host_reals(qkv, rows * 3 * d),
        .context = host_reals(context, rows * d),
        .log_sum_exp = host_floats(log_sum_exp, rows * (size_t)heads),
    };
    HeadGroups groups = head_groups(stream->device, &job);
    Task task = {.device = stream->device, .job = &groups};
    operation_run(stream, attention_forward_task, &task, (size_t)block->sequence_count * groups.count);
    operation_end(stream);
}

void cpu_attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                            DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                            DeviceView d_qkv)
{
    size_t rows = (size_t)block->piece_count, width = (size_t)head_width, d = (size_t)heads * width;
    HostBlock pieces = host_block(block);
    if (!operation_begin(stream, stream->device->level->attention_scratch(block_longest(&pieces), width), 0)) {
        return;
    }
    AttentionJob job = {
        .pieces = pieces,
        .heads = (size_t)heads,
        .width = width,
        .dropout = dropout,
        .qkv = host_reals(qkv, rows * 3 * d),
        .context = host_reals(context, rows * d),
        .log_sum_exp = host_floats(log_sum_exp, rows * (size_t)heads),
        .d_context = host_reals(d_context, rows * d),
        .d_qkv = host_reals(d_qkv, rows * 3 * d),
    };
    HeadGroups groups = head_groups(stream->device, &job);
    Task task = {.device = stream->device, .job = &groups};
    operation_run(stream, attention_backward_task, &task, (size_t)block->sequence_count * groups.count);
    operation_end(stream);
}

typedef struct RowsJob {
    const unsigned char *from;
    unsigned char *to;
    const int32_t *index; /* ascending */
    size_t row_bytes, to_rows;
} RowsJob;

static void rows_gather_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const RowsJob *job = task->job;
    (void)thread;
    for (size_t i = index * ROW_CHUNK; i < chunk_end(index, ROW_CHUNK, task->count); i++) {
        memcpy(job->to + i * job->row_bytes, job->from + (size_t)job->index[i] * job->row_bytes, job->row_bytes);
    }
}

void cpu_rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows, int32_t columns,
                     DeviceView to)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    RowsJob job = {.from = host_real_bytes(from, (size_t)from_rows * (size_t)columns),
                   .to = host_real_bytes(to, (size_t)rows * (size_t)columns),
                   .index = host_integers(index, (size_t)rows),
                   .row_bytes = (size_t)columns * device_type_bytes(from.type)};
    Task task = {.device = stream->device, .job = &job, .count = (size_t)rows};
    operation_run(stream, rows_gather_task, &task, chunk_count(task.count, ROW_CHUNK));
    operation_end(stream);
}

/* A task copies some rows and clears the gap before each of them; the last one clears what is left. */
static void rows_scatter_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const RowsJob *job = task->job;
    size_t first = index * ROW_CHUNK, last = chunk_end(index, ROW_CHUNK, task->count), row_bytes = job->row_bytes;
    size_t cleared = first == 0 ? 0 : (size_t)job->index[first - 1] + 1;
    (void)thread;
    for (size_t i = first; i < last; i++) {
        size_t row = (size_t)job->index[i];
        memset(job->to + cleared * row_bytes, 0, (row - cleared) * row_bytes);
        memcpy(job->to + row * row_bytes, job->from + i * row_bytes, row_bytes);
        cleared = row + 1;
    }
    if (last == task->count) {
        memset(job->to + cleared * row_bytes, 0, (job->to_rows - cleared) * row_bytes);
    }
}

void cpu_rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                      int32_t to_rows)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    RowsJob job = {.from = host_real_bytes(from, (size_t)rows * (size_t)columns),
                   .to = host_real_bytes(to, (size_t)to_rows * (size_t)columns),
                   .index = host_integers(index, (size_t)rows),
                   .row_bytes = (size_t)columns * device_type_bytes(from.type),
                   .to_rows = (size_t)to_rows};
    Task task = {.device = stream->device, .job = &job, .count = (size_t)rows};
    if (rows == 0) {
        memset(job.to, 0, job.to_rows * job.row_bytes);
    }
    operation_run(stream, rows_scatter_task, &task, chunk_count(task.count, ROW_CHUNK));
    operation_end(stream);
}

typedef struct ConvertJob {
    HostReals to, from;
} ConvertJob;

static void convert_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const ConvertJob *job = task->job;
    size_t first = index * ELEMENT_CHUNK, count = chunk_end(index, ELEMENT_CHUNK, task->count) - first;
    HostReals to = host_reals_at(job->to, first), from = host_reals_at(job->from, first);
    (void)thread;
    if (to.bf16 != NULL && from.bf16 == NULL) {
        task->device->level->to_bf16(from.floats, to.bf16, count);
    } else if (to.bf16 == NULL && from.bf16 != NULL) {
        task->device->level->to_floats(from.bf16, to.floats, count);
    } else if (to.bf16 != NULL) {
        memcpy(to.bf16, from.bf16, count * sizeof *to.bf16);
    } else {
        memcpy(to.floats, from.floats, count * sizeof *to.floats);
    }
}

void cpu_convert(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    if (count == 0 || !operation_begin(stream, 0, 0)) {
        return;
    }
    ConvertJob job = {host_reals(to, count), host_reals(from, count)};
    Task task = {.device = stream->device, .job = &job, .count = count};
    operation_run(stream, convert_task, &task, chunk_count(count, ELEMENT_CHUNK));
    operation_end(stream);
}

static void cross_entropy_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    (void)thread;
    task->sums[index] = task->device->level->cross_entropy(task->job, index * ROW_CHUNK, chunk_end(index, ROW_CHUNK, task->count));
}

static double sum_in_order(const double *sums, size_t count)
{
    double total = 0.0;
    for (size_t i = 0; i < count; i++) {
        total += sums[i];
    }
    return total;
}

void cpu_cross_entropy(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights, DeviceView class_weights,
                       float label_smoothing, float gradient_scale, int32_t rows, int32_t label_count, DeviceView loss_sum,
                       DeviceView d_logits)
{
    size_t row_count = (size_t)rows, classes = (size_t)label_count, chunks = chunk_count(row_count, ROW_CHUNK);
    if (!operation_begin(stream, 0, (chunks + 1) * sizeof(double))) {
        return;
    }
    LossJob job = {
        .logits = host_floats(logits, row_count * classes),
        .weights = host_floats(weights, row_count),
        .class_weights = host_floats_or_null(class_weights, classes),
        .labels = host_integers(labels, row_count),
        .smoothing = label_smoothing,
        .gradient_scale = gradient_scale,
        .label_count = classes,
        .d_logits = host_floats_or_null(d_logits, row_count * classes),
    };
    Task task = {.device = stream->device, .job = &job, .count = row_count, .sums = stream->device->shared};
    operation_run(stream, cross_entropy_task, &task, chunks);
    *host_double(loss_sum) += sum_in_order(task.sums, chunks);
    operation_end(stream);
}

typedef struct AddJob {
    float *sums;
    const float *values;
} AddJob;

/* Memory sets its pace: the compiler's own vectors are wide enough. */
static void add_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const AddJob *job = task->job;
    size_t end = chunk_end(index, ELEMENT_CHUNK, task->count);
    (void)thread;
    for (size_t i = index * ELEMENT_CHUNK; i < end; i++) {
        job->sums[i] += job->values[i];
    }
}

void cpu_add(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    AddJob job = {.sums = host_floats(to, count), .values = host_floats(from, count)};
    Task task = {.device = stream->device, .job = &job, .count = count};
    operation_run(stream, add_task, &task, chunk_count(count, ELEMENT_CHUNK));
    operation_end(stream);
}

static void sum_of_squares_task(void *context, int thread, size_t index)
{
    const Task *task = context;
    const float *x = task->job;
    size_t end = chunk_end(index, ELEMENT_CHUNK, task->count);
    (void)thread;
    for (size_t first = index * ELEMENT_CHUNK; first < end; first += BACKEND_SQUARES_STRETCH) {
        size_t count = end - first < BACKEND_SQUARES_STRETCH ? end - first : BACKEND_SQUARES_STRETCH;
        task->sums[first / BACKEND_SQUARES_STRETCH] += task->device->level->sum_of_squares(x + first, count);
    }
}

void cpu_sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sums)
{
    if (!operation_begin(stream, 0, 0)) {
        return;
    }
    Task task = {.device = stream->device,
                 .job = host_floats(x, count),
                 .count = count,
                 .sums = host_view(sums, chunk_count(count, BACKEND_SQUARES_STRETCH), sizeof(double))};
    operation_run(stream, sum_of_squares_task, &task, chunk_count(count, ELEMENT_CHUNK));
    operation_end(stream);
}

typedef struct AdamwTask {
    const Level *level;
    AdamwJob job;
    AdamwFactors factors;
    size_t count; /* elements, or rows */
    /* rows only */
    const int32_t *rows, *late;
    const AdamwFactors *steps;
    size_t columns, step_count;
} AdamwTask;

static AdamwFactors adamw_factors(const AdamwStep *step)
{
    double rate = (double)step->learning_rate, beta1 = (double)step->beta1, beta2 = (double)step->beta2;
    ASSERT(step->t >= 1);
    return (AdamwFactors){
        .clip = step->gradient_scale,
        .epsilon = step->epsilon,
        .decay = (float)(1.0 - rate * (double)step->weight_decay),
        .rate = (float)(rate / (1.0 - pow(beta1, (double)step->t))),
        .root_scale = (float)(1.0 / sqrt(1.0 - pow(beta2, (double)step->t))),
        .keep1 = step->beta1,
        .take1 = (float)(1.0 - beta1),
        .keep2 = step->beta2,
        .take2 = (float)(1.0 - beta2),
    };
}

static void adamw_task(void *context, int thread, size_t index)
{
    const AdamwTask *task = context;
    (void)thread;
    task->level->adamw(&task->job, &task->factors, index * ELEMENT_CHUNK, chunk_end(index, ELEMENT_CHUNK, task->count));
}

static void adamw_run(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                      DeviceView second_moment, size_t count, uint16_t *bf16, const AdamwStep *step)
{
    AdamwTask task = {
        .level = stream->device->level,
        .job = {host_floats(parameter, count), host_floats(first_moment, count), host_floats(second_moment, count),
                host_floats(gradient, count), bf16},
        .factors = adamw_factors(step),
        .count = count,
    };
    operation_run(stream, adamw_task, &task, chunk_count(count, ELEMENT_CHUNK));
}

void cpu_adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment, DeviceView second_moment,
               size_t count, const AdamwStep *step)
{
    if (operation_begin(stream, 0, 0)) {
        adamw_run(stream, parameter, gradient, first_moment, second_moment, count, NULL, step);
        operation_end(stream);
    }
}

void cpu_adamw_matrix(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                      DeviceView first_moment, DeviceView second_moment, const AdamwStep *step)
{
    bool whole = count == (size_t)matrix->n * (size_t)matrix->k;
    ASSERT(whole || matrix->bf16 == NULL || matrix->fresh);
    if (operation_begin(stream, 0, 0)) {
        uint16_t *bf16 = matrix->bf16 == NULL ? NULL : matrix->bf16 + first;
        adamw_run(stream, device_view_floats(matrix->weight, first), gradient, first_moment, second_moment, count, bf16, step);
        matrix->fresh = true;
        operation_end(stream);
    }
}

/* The moments and the parameter of one row. */
static AdamwJob adamw_row(const AdamwTask *task, size_t i)
{
    size_t offset = (size_t)task->rows[i] * task->columns;
    return (AdamwJob){.parameter = task->job.parameter + offset,
                      .first_moment = task->job.first_moment + offset,
                      .second_moment = task->job.second_moment + offset};
}

static void adamw_rows_task(void *context, int thread, size_t index)
{
    const AdamwTask *task = context;
    (void)thread;
    for (size_t i = index * ROW_CHUNK; i < chunk_end(index, ROW_CHUNK, task->count); i++) {
        AdamwJob row = adamw_row(task, i);
        row.gradient = task->job.gradient + i * task->columns;
        task->level->adamw(&row, &task->factors, 0, task->columns);
    }
}

/* A matrix's first float: how many rows it has nobody says here. */
static AdamwJob adamw_matrix(DeviceView parameter, DeviceView first_moment, DeviceView second_moment)
{
    return (AdamwJob){.parameter = host_floats(parameter, 1),
                      .first_moment = host_floats(first_moment, 1),
                      .second_moment = host_floats(second_moment, 1)};
}

void cpu_adamw_rows(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                    DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step)
{
    if (row_count == 0 || !operation_begin(stream, 0, 0)) {
        return;
    }
    AdamwTask task = {
        .level = stream->device->level,
        .job = adamw_matrix(parameter, first_moment, second_moment),
        .factors = adamw_factors(step),
        .count = (size_t)row_count,
        .rows = host_integers(rows, (size_t)row_count),
        .columns = (size_t)columns,
    };
    task.job.gradient = host_floats(gradient, task.count * task.columns);
    operation_run(stream, adamw_rows_task, &task, chunk_count(task.count, ROW_CHUNK));
    operation_end(stream);
}

static void adamw_late_task(void *context, int thread, size_t index)
{
    const AdamwTask *task = context;
    (void)thread;
    for (size_t i = index * ROW_CHUNK; i < chunk_end(index, ROW_CHUNK, task->count); i++) {
        AdamwJob row = adamw_row(task, i);
        size_t late = (size_t)task->late[i];
        if (late > 0) {
            task->level->adamw_late(&row, task->steps + task->step_count - late, late, 0, task->columns);
        }
    }
}

void cpu_adamw_late(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment, DeviceView rows,
                    DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps, int32_t step_count)
{
    size_t count = (size_t)step_count;
    if (row_count == 0 || count == 0 || !operation_begin(stream, 0, count * sizeof(AdamwFactors))) {
        return;
    }
    AdamwFactors *factors = stream->device->shared;
    for (size_t i = 0; i < count; i++) {
        factors[i] = adamw_factors(&steps[i]);
    }
    AdamwTask task = {
        .level = stream->device->level,
        .job = adamw_matrix(parameter, first_moment, second_moment),
        .count = (size_t)row_count,
        .rows = host_integers(rows, (size_t)row_count),
        .late = host_integers(late, (size_t)row_count),
        .steps = factors,
        .columns = (size_t)columns,
        .step_count = count,
    };
    operation_run(stream, adamw_late_task, &task, chunk_count(task.count, ROW_CHUNK));
    operation_end(stream);
}
