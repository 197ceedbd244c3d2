/* AdamW over the flat buffers. */
#include "model/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

/* Neighbours in the flat buffer that one adamw call updates: same part and slice, same weight decay. Gaps between them are zero in all four
 * buffers and stay zero. The word embeddings are a run of their own, of which only rows are updated. */
typedef struct UpdateRun {
    size_t offset, count; /* floats */
    size_t moment;        /* where the moments of the first one lie */
    int32_t part;
    bool decays, words;
    BackendMatrix *matrix; /* of whose master these are elements, from first on; NULL: of none */
    size_t first;
} UpdateRun;

enum { LATE_STEPS_MAX = 128 };

/* Steps that rows of the word embeddings [V, d] have not been through. */
typedef struct LateRows {
    AdamwStep steps[LATE_STEPS_MAX];
    int32_t step_count;
    int32_t *seen;        /* [V] how many of steps a row has been through */
    int32_t *rows, *late; /* [V] while they are being copied to the device */
    BackendBuffer *device_rows, *device_late;
} LateRows;

struct Optimizer {
    Model *model;
    TrainingOptions options;
    BackendBuffer *first_moment; /* [moment_count], as the second one: of the word embeddings, then of each slice */
    BackendBuffer *second_moment;
    size_t moment_count;
    OptimizerRanks ranks;   /* alone: of one slice for each part and no calls */
    OptimizerSlice *wholes; /* [part_count] */
    BackendBuffer *sums;    /* [sum_count] doubles: of the words' stretches, then of each part's */
    double *host_sums;      /* [sum_count] */
    size_t *part_sums;      /* [part_count + 1] where those of a part begin */
    size_t sum_count;
    int64_t *part_t;    /* [part_count] steps since the part thawed */
    double *part_decay; /* [part_count] factor of layer-wise learning-rate decay */
    ARRAY(UpdateRun) runs;
    LateRows late;
};

static size_t stretches_of(size_t count)
{
    return (count + BACKEND_SQUARES_STRETCH - 1) / BACKEND_SQUARES_STRETCH;
}

static void add_run(Optimizer *optimizer, UpdateRun run)
{
    UpdateRun *last = optimizer->runs.count ? &optimizer->runs.items[optimizer->runs.count - 1] : NULL;
    bool next = last && last->part == run.part && last->decays == run.decays && !last->words &&
                run.offset - last->offset == run.moment - last->moment;
    if (next)
        last->count = run.offset + run.count - last->offset;
    else
        array_push(&optimizer->runs, run);
}

/* The word embeddings, and what slices and parameters have in common. */
static void make_runs(Optimizer *optimizer, const ModelLayout *layout)
{
    const ModelParameter *words = &layout->parameters[0];
    array_push(&optimizer->runs,
               ((UpdateRun){words->offset, words->count, words->offset, words->part, words->decays, true, NULL, 0}));
    int32_t first = 1;
    optimizer->moment_count = model_dense_offset(layout, 0);
    for (int32_t s = 0; s < optimizer->ranks.slice_count; s++) {
        const OptimizerSlice *slice = &optimizer->ranks.slices[s];
        size_t end = slice->offset + slice->count;
        ASSERT((slice->offset - model_dense_offset(layout, slice->part)) % BACKEND_SQUARES_STRETCH == 0);
        while (layout->parameters[first].offset + layout->parameters[first].count <= slice->offset)
            first++;
        for (int32_t i = first; i < layout->parameter_count && layout->parameters[i].offset < end; i++) {
            const ModelParameter *parameter = &layout->parameters[i];
            size_t from = parameter->offset > slice->offset ? parameter->offset : slice->offset,
                   to = parameter->offset + parameter->count;
            to = to < end ? to : end;
            add_run(optimizer, (UpdateRun){from, to - from, optimizer->moment_count + from - slice->offset, parameter->part,
                                           parameter->decays, false, NULL, 0});
        }
        optimizer->moment_count += slice->count;
    }
}

/* An update brings the matrices up to date along with their masters. */
static void find_matrices(Optimizer *optimizer)
{
    int32_t found = 0;
    for (size_t i = 0; i < optimizer->runs.count; i++) {
        UpdateRun *run = &optimizer->runs.items[i];
        run->matrix = model_matrix_at(optimizer->model, run->offset, run->count, &run->first);
        found += run->matrix != NULL;
    }
    ASSERT(optimizer->ranks.add_up || found == model_matrix_count(optimizer->model));
}

static void make_slices(Optimizer *optimizer, const ModelLayout *layout, const OptimizerRanks *ranks)
{
    int32_t parts = layout->part_count;
    optimizer->wholes = memory_allocate((size_t)parts, sizeof *optimizer->wholes);
    optimizer->part_sums = memory_allocate((size_t)parts + 1, sizeof *optimizer->part_sums);
    optimizer->part_sums[0] = stretches_of(layout->parameters[0].count);
    for (int32_t part = 0; part < parts; part++) {
        size_t offset = model_dense_offset(layout, part), count = layout->part_offset[part + 1] - offset;
        optimizer->wholes[part] = (OptimizerSlice){offset, count, part};
        optimizer->part_sums[part + 1] = optimizer->part_sums[part] + stretches_of(count);
    }
    optimizer->sum_count = optimizer->part_sums[parts];
    optimizer->host_sums = memory_allocate(optimizer->sum_count, sizeof *optimizer->host_sums);
    optimizer->ranks = ranks ? *ranks : (OptimizerRanks){.slices = optimizer->wholes, .slice_count = parts};
}

static void make_part_decay(Optimizer *optimizer, const ModelLayout *layout)
{
    optimizer->part_t = memory_allocate((size_t)layout->part_count, sizeof *optimizer->part_t);
    optimizer->part_decay = memory_allocate((size_t)layout->part_count, sizeof *optimizer->part_decay);
    double factor = 1;
    for (int32_t part = layout->part_count - 1; part >= 0; part--) {
        optimizer->part_decay[part] = factor;
        factor *= optimizer->options.layerwise_lr_decay;
    }
}

Status optimizer_create(Optimizer **optimizer, Model *model, const TrainingOptions *options, const OptimizerRanks *ranks,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    const Backend *backend = model_backend(model);
    BackendDevice *device = model_device(model);
    *optimizer = NULL;
    Optimizer *made = memory_allocate(1, sizeof *made);
    made->model = model;
    made->options = *options;
    make_slices(made, layout, ranks);
    make_runs(made, layout);
    find_matrices(made);
    make_part_decay(made, layout);
    size_t bytes = made->moment_count * sizeof(float);
    TRY(backend->buffer_create(&made->first_moment, device, bytes, diagnostic));
    TRY(backend->buffer_create(&made->second_moment, device, bytes, diagnostic));
    TRY(backend->buffer_create(&made->sums, device, made->sum_count * sizeof(double), diagnostic));
    size_t words = (size_t)model_config(model)->vocab_size;
    made->late.seen = memory_allocate(words, sizeof *made->late.seen);
    made->late.rows = memory_allocate(words, sizeof *made->late.rows);
    made->late.late = memory_allocate(words, sizeof *made->late.late);
    TRY(backend->buffer_create(&made->late.device_rows, device, words * sizeof(int32_t), diagnostic));
    TRY(backend->buffer_create(&made->late.device_late, device, words * sizeof(int32_t), diagnostic));
    *optimizer = made;
    made = NULL;
out:
    optimizer_destroy(&made);
    return status;
}

void optimizer_destroy(Optimizer **optimizer)
{
    Optimizer *old = *optimizer;
    if (!old)
        return;
    const Backend *backend = model_backend(old->model);
    Status ignored = backend->stream_synchronize(model_stream(old->model), NULL); /* the last update may still be queued */
    (void)ignored;
    BackendBuffer **buffers[] = {&old->first_moment, &old->second_moment, &old->sums, &old->late.device_rows,
                                 &old->late.device_late};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        if (*buffers[i])
            backend->buffer_destroy(buffers[i]);
    }
    free(old->late.seen);
    free(old->late.rows);
    free(old->late.late);
    free(old->part_t);
    free(old->part_decay);
    free(old->wholes);
    free(old->part_sums);
    free(old->host_sums);
    array_free(&old->runs);
    free(old);
    *optimizer = NULL;
}

/* Sums of squares of gradients from `sum` on, each of a stretch. */
static void queue_sums(Optimizer *optimizer, DeviceView gradient, size_t count, size_t sum)
{
    Model *model = optimizer->model;
    ASSERT(sum + stretches_of(count) <= optimizer->sum_count);
    model_backend(model)->sum_of_squares(model_stream(model), gradient, count, device_view(optimizer->sums, sum * sizeof(double)));
}

static void clear_sums(Optimizer *optimizer)
{
    model_backend(optimizer->model)
        ->fill_zero(model_stream(optimizer->model), device_view(optimizer->sums, 0), optimizer->sum_count * sizeof(double));
}

/* The first count of them. */
static Status fetch_sums(Optimizer *optimizer, size_t count, Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(optimizer->model);
    BackendStream *stream = model_stream(optimizer->model);
    backend->copy_to_host(stream, optimizer->host_sums, device_view(optimizer->sums, 0), count * sizeof *optimizer->host_sums);
    return backend->stream_synchronize(stream, diagnostic);
}

static Status add_up(Optimizer *optimizer, Status own, double *values, size_t count, Diagnostic *diagnostic)
{
    const OptimizerRanks *ranks = &optimizer->ranks;
    return ranks->add_up ? ranks->add_up(ranks->context, own, values, count, diagnostic) : own;
}

static double total_of(const double *sums, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += sums[i];
    return total;
}

/* *broken: whether a parameter's gradient, or what this rank has of it, is not finite. */
static Status inspect_parameter(Optimizer *optimizer, int32_t index, bool *broken, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelParameter *parameter = &model_layout(optimizer->model)->parameters[index];
    size_t sums = 0, count;
    DeviceView words = model_gradient_parameter(optimizer->model, index, &count);
    clear_sums(optimizer);
    if (index == 0) {
        queue_sums(optimizer, words, count, 0);
        sums = stretches_of(count);
    }
    for (int32_t s = 0; index > 0 && s < optimizer->ranks.slice_count; s++) {
        const OptimizerSlice *slice = &optimizer->ranks.slices[s];
        size_t from = slice->offset > parameter->offset ? slice->offset : parameter->offset, to = slice->offset + slice->count;
        to = to < parameter->offset + parameter->count ? to : parameter->offset + parameter->count;
        if (from >= to)
            continue;
        queue_sums(optimizer, model_gradient_at(optimizer->model, from), to - from, sums);
        sums += stretches_of(to - from);
    }
    TRY(fetch_sums(optimizer, sums, diagnostic));
    *broken = !isfinite(total_of(optimizer->host_sums, sums));
out:
    return status;
}

/* Says which gradient broke: with one parameter's name a user sees whether it was the head, a layer or the embeddings. All ranks come here,
 * since all have the same norm. */
static Status fail_diverged(Optimizer *optimizer, const bool *part_frozen, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(optimizer->model);
    const char *name = NULL;
    double *broken = memory_allocate((size_t)layout->parameter_count, sizeof *broken);
    for (int32_t i = 0; i < layout->parameter_count && status == STATUS_OK; i++) {
        bool is_broken = false;
        if (model_part_trains(part_frozen, layout->parameters[i].part))
            status = inspect_parameter(optimizer, i, &is_broken, diagnostic);
        broken[i] = is_broken;
    }
    TRY(add_up(optimizer, status, broken, (size_t)layout->parameter_count, diagnostic));
    for (int32_t i = 0; i < layout->parameter_count && !name; i++)
        name = broken[i] > 0 ? layout->parameters[i].name : NULL;
    TRY_FAIL(diagnostic, STATUS_DIVERGED, "the gradient of %s is not finite: the learning rate may be too high",
             name ? name : "all parameters together");
out:
    free(broken);
    return status;
}

/* Stretches are added in the order of the layout, whoever summed them. */
static Status measure_norm(Optimizer *optimizer, const bool *part_frozen, double *norm, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Model *model = optimizer->model;
    const ModelLayout *layout = model_layout(model);
    size_t words_count;
    DeviceView words = model_gradient_parameter(model, 0, &words_count);
    clear_sums(optimizer);
    if (model_part_trains(part_frozen, 0))
        queue_sums(optimizer, words, words_count, 0);
    for (int32_t s = 0; s < optimizer->ranks.slice_count; s++) {
        const OptimizerSlice *slice = &optimizer->ranks.slices[s];
        size_t stretch = (slice->offset - model_dense_offset(layout, slice->part)) / BACKEND_SQUARES_STRETCH;
        if (model_part_trains(part_frozen, slice->part))
            queue_sums(optimizer, model_gradient_at(model, slice->offset), slice->count,
                       optimizer->part_sums[slice->part] + stretch);
    }
    status = fetch_sums(optimizer, optimizer->sum_count, diagnostic);
    double *shared = optimizer->host_sums + optimizer->part_sums[0];
    TRY(add_up(optimizer, status, shared, optimizer->sum_count - optimizer->part_sums[0], diagnostic));
    *norm = sqrt(total_of(optimizer->host_sums, optimizer->sum_count));
    if (!isfinite(*norm))
        TRY(fail_diverged(optimizer, part_frozen, diagnostic));
out:
    return status;
}

/* Where a stretch of parameters lies, and its moments. */
typedef struct Moved {
    DeviceView parameter, first_moment, second_moment;
} Moved;

static Moved moved_at(const Optimizer *optimizer, size_t offset, size_t moment)
{
    return (Moved){device_view_floats(model_parameters(optimizer->model), offset),
                   device_view_floats(device_view(optimizer->first_moment, 0), moment),
                   device_view_floats(device_view(optimizer->second_moment, 0), moment)};
}

/* Queues the steps that count rows of late->rows still need. */
static void queue_late(Optimizer *optimizer, int32_t count)
{
    LateRows *late = &optimizer->late;
    Model *model = optimizer->model;
    const Backend *backend = model_backend(model);
    BackendStream *stream = model_stream(model);
    const ModelParameter *words = &model_layout(model)->parameters[0];
    int32_t behind = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t row = late->rows[i], missed = late->step_count - late->seen[row];
        if (missed == 0)
            continue;
        late->rows[behind] = row;
        late->late[behind++] = missed;
        late->seen[row] = late->step_count;
    }
    if (behind == 0)
        return;
    backend->copy_to_device(stream, device_view(late->device_rows, 0), late->rows, (size_t)behind * sizeof *late->rows);
    backend->copy_to_device(stream, device_view(late->device_late, 0), late->late, (size_t)behind * sizeof *late->late);
    Moved moved = moved_at(optimizer, words->offset, words->offset);
    backend->adamw_late(stream, moved.parameter, moved.first_moment, moved.second_moment, device_view(late->device_rows, 0),
                        device_view(late->device_late, 0), behind, words->shape[1], late->steps, late->step_count);
}

static void forget_late(Optimizer *optimizer)
{
    LateRows *late = &optimizer->late;
    late->step_count = 0;
    memset(late->seen, 0, (size_t)model_config(optimizer->model)->vocab_size * sizeof *late->seen);
    model_rows_late(optimizer->model, false);
}

static void settle_rows(Optimizer *optimizer)
{
    LateRows *late = &optimizer->late;
    int32_t words = model_config(optimizer->model)->vocab_size;
    if (late->step_count == 0)
        return;
    for (int32_t row = 0; row < words; row++)
        late->rows[row] = row;
    queue_late(optimizer, words);
    forget_late(optimizer);
}

Status optimizer_settle(Optimizer *optimizer, Diagnostic *diagnostic)
{
    const OptimizerRanks *ranks = &optimizer->ranks;
    settle_rows(optimizer);
    return ranks->complete ? ranks->complete(ranks->context, diagnostic) : STATUS_OK;
}

Status optimizer_begin_step(Optimizer *optimizer, const int32_t *ids, int32_t count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LateRows *late = &optimizer->late;
    TRY(model_gradient_rows_set(optimizer->model, ids, count, diagnostic));
    if (count == 0 || late->step_count == LATE_STEPS_MAX)
        settle_rows(optimizer);
    if (count > 0)
        memcpy(late->rows, ids, (size_t)count * sizeof *ids);
    queue_late(optimizer, count);
    /* The copies that were queued read host arrays which the next call writes. */
    TRY(model_backend(optimizer->model)->stream_synchronize(model_stream(optimizer->model), diagnostic));
out:
    return status;
}

/* The rows of this step; the others stay behind. */
static void queue_words(Optimizer *optimizer, const UpdateRun *run, const AdamwStep *step)
{
    LateRows *late = &optimizer->late;
    Model *model = optimizer->model;
    const Backend *backend = model_backend(model);
    BackendStream *stream = model_stream(model);
    size_t floats;
    int32_t count;
    const int32_t *rows = model_gradient_rows(model, &count);
    DeviceView gradient = model_gradient_parameter(model, 0, &floats);
    ASSERT(late->step_count < LATE_STEPS_MAX);
    late->steps[late->step_count++] = *step;
    for (int32_t i = 0; i < count; i++)
        late->seen[rows[i]] = late->step_count;
    model_rows_late(model, true);
    backend->copy_to_device(stream, device_view(late->device_rows, 0), rows, (size_t)count * sizeof *rows);
    Moved moved = moved_at(optimizer, run->offset, run->moment);
    backend->adamw_rows(stream, moved.parameter, gradient, moved.first_moment, moved.second_moment,
                        device_view(late->device_rows, 0), count, model_layout(model)->parameters[0].shape[1], step);
}

static void queue_run(Optimizer *optimizer, const UpdateRun *run, const AdamwStep *step)
{
    Model *model = optimizer->model;
    const Backend *backend = model_backend(model);
    Moved moved = moved_at(optimizer, run->offset, run->moment);
    DeviceView gradient = model_gradient_at(model, run->offset);
    if (run->matrix)
        backend->adamw_matrix(model_stream(model), run->matrix, run->first, run->count, gradient, moved.first_moment,
                              moved.second_moment, step);
    else
        backend->adamw(model_stream(model), moved.parameter, gradient, moved.first_moment, moved.second_moment, run->count, step);
}

static void queue_part(Optimizer *optimizer, int32_t part, double learning_rate, double gradient_scale)
{
    const TrainingOptions *options = &optimizer->options;
    for (size_t i = 0; i < optimizer->runs.count; i++) {
        const UpdateRun *run = &optimizer->runs.items[i];
        if (run->part != part)
            continue;
        AdamwStep step = {
            .learning_rate = (float)(learning_rate * optimizer->part_decay[part]),
            .beta1 = (float)options->adam_beta1,
            .beta2 = (float)options->adam_beta2,
            .epsilon = (float)options->adam_epsilon,
            .weight_decay = run->decays ? (float)options->weight_decay : 0.0f,
            .gradient_scale = (float)gradient_scale,
            .t = optimizer->part_t[part],
        };
        if (run->words)
            queue_words(optimizer, run, &step);
        else
            queue_run(optimizer, run, &step);
    }
}

/* A rank that failed still takes part in what the others wait for. */
static Status update(Optimizer *optimizer, const bool *part_frozen, double learning_rate, double gradient_scale,
                     Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const OptimizerRanks *ranks = &optimizer->ranks;
    for (int32_t part = 0; part < model_layout(optimizer->model)->part_count; part++) {
        if (!model_part_trains(part_frozen, part))
            continue;
        if (ranks->add_up)
            model_settle_part(optimizer->model, part);
        queue_part(optimizer, part, learning_rate, gradient_scale);
        Status sent =
            ranks->part_updated ? ranks->part_updated(ranks->context, part, status == STATUS_OK ? diagnostic : NULL) : STATUS_OK;
        status = status == STATUS_OK ? sent : status;
    }
    Status all =
        ranks->all_updated ? ranks->all_updated(ranks->context, part_frozen, status == STATUS_OK ? diagnostic : NULL) : STATUS_OK;
    if (ranks->add_up)
        model_refresh_fp32(optimizer->model, part_frozen);
    return status == STATUS_OK ? all : status;
}

Status optimizer_step(Optimizer *optimizer, const bool *part_frozen, double factor, double *gradient_norm, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(optimizer->model);
    double norm = 0;
    TRY(measure_norm(optimizer, part_frozen, &norm, diagnostic));
    double scale = 1;
    if (optimizer->options.max_grad_norm > 0) /* 0 switches clipping off, as in Hugging Face's Trainer */
        scale = fmin(1.0, optimizer->options.max_grad_norm / (norm + 1e-6));
    for (int32_t part = 0; part < layout->part_count; part++) {
        if (model_part_trains(part_frozen, part))
            optimizer->part_t[part]++;
    }
    TRY(update(optimizer, part_frozen, optimizer->options.learning_rate * factor, scale, diagnostic));
    if (gradient_norm)
        *gradient_norm = norm;
out:
    return status;
}

Status optimizer_state_open(Optimizer *optimizer, HostFloats *first_moment, HostFloats *second_moment, int64_t *part_t,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Model *model = optimizer->model;
    const ModelLayout *layout = model_layout(model);
    *first_moment = *second_moment = (HostFloats){0};
    settle_rows(optimizer);
    TRY(host_floats_open(first_moment, model_backend(model), model_stream(model), device_view(optimizer->first_moment, 0),
                         optimizer->moment_count, diagnostic));
    TRY(host_floats_open(second_moment, model_backend(model), model_stream(model), device_view(optimizer->second_moment, 0),
                         optimizer->moment_count, diagnostic));
    for (int32_t part = 0; part < layout->part_count; part++)
        part_t[part] = optimizer->part_t[part];
out:
    return status;
}

/* Returns where the moments behind those lie. */
static size_t set_moments(Optimizer *optimizer, size_t moment, const float *first_moment, const float *second_moment, size_t count)
{
    const Backend *backend = model_backend(optimizer->model);
    BackendStream *stream = model_stream(optimizer->model);
    Moved moved = moved_at(optimizer, 0, moment);
    backend->copy_to_device(stream, moved.first_moment, first_moment, count * sizeof *first_moment);
    backend->copy_to_device(stream, moved.second_moment, second_moment, count * sizeof *second_moment);
    return moment + count;
}

Status optimizer_state_set(Optimizer *optimizer, const float *first_moment, const float *second_moment, const int64_t *part_t,
                           Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(optimizer->model);
    BackendStream *stream = model_stream(optimizer->model);
    const ModelLayout *layout = model_layout(optimizer->model);
    for (int32_t part = 0; part < layout->part_count; part++) {
        if (part_t[part] < 0)
            return FAIL(diagnostic, STATUS_CORRUPT, "the optimizer's state says %lld steps for part %d", (long long)part_t[part],
                        part);
    }
    for (int32_t part = 0; part < layout->part_count; part++)
        optimizer->part_t[part] = part_t[part];
    forget_late(optimizer); /* what waits belonged to the state before */
    size_t moment = set_moments(optimizer, 0, first_moment, second_moment, model_dense_offset(layout, 0));
    for (int32_t s = 0; s < optimizer->ranks.slice_count; s++) {
        const OptimizerSlice *slice = &optimizer->ranks.slices[s];
        moment = set_moments(optimizer, moment, first_moment + slice->offset, second_moment + slice->offset, slice->count);
    }
    return backend->stream_synchronize(stream, diagnostic);
}
