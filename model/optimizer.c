/* AdamW over the flat buffers. */
#include "model/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

/* Neighbours in the flat buffer that one adamw call updates: same part, same weight decay. Gaps between them are zero in all four buffers
 * and stay zero. The word embeddings are a run of their own, of which only rows are updated. */
typedef struct UpdateRun {
    size_t offset, count; /* floats */
    int32_t parameter;    /* the first one */
    int32_t part;
    bool decays;
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
    BackendBuffer *first_moment;
    BackendBuffer *second_moment;
    BackendBuffer *sum; /* one double */
    int64_t *part_t;    /* [part_count] steps since the part thawed */
    double *part_decay; /* [part_count] factor of layer-wise learning-rate decay */
    UpdateRun *runs;
    int32_t run_count;
    LateRows late;
};

static void make_runs(Optimizer *optimizer, const ModelLayout *layout)
{
    optimizer->runs = memory_allocate((size_t)layout->parameter_count, sizeof *optimizer->runs);
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        UpdateRun *last = optimizer->run_count ? &optimizer->runs[optimizer->run_count - 1] : NULL;
        if (!last || i == 1 || last->part != parameter->part || last->decays != parameter->decays) {
            last = &optimizer->runs[optimizer->run_count++];
            *last = (UpdateRun){.offset = parameter->offset, .parameter = i, .part = parameter->part, .decays = parameter->decays};
        }
        last->count = parameter->offset + parameter->count - last->offset;
    }
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

Status optimizer_create(Optimizer **optimizer, Model *model, const TrainingOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    const Backend *backend = model_backend(model);
    BackendDevice *device = model_device(model);
    size_t bytes = layout->float_count * sizeof(float);
    *optimizer = NULL;
    Optimizer *made = memory_allocate(1, sizeof *made);
    made->model = model;
    made->options = *options;
    make_runs(made, layout);
    make_part_decay(made, layout);
    TRY(backend->buffer_create(&made->first_moment, device, bytes, diagnostic));
    TRY(backend->buffer_create(&made->second_moment, device, bytes, diagnostic));
    TRY(backend->buffer_create(&made->sum, device, sizeof(double), diagnostic));
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
    BackendBuffer **buffers[] = {&old->first_moment, &old->second_moment, &old->sum, &old->late.device_rows,
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
    free(old->runs);
    free(old);
    *optimizer = NULL;
}

/* Sum of squares of gradients added up on the device. */
static void queue_sum(Optimizer *optimizer, DeviceView gradient, size_t count)
{
    Model *model = optimizer->model;
    model_backend(model)->sum_of_squares(model_stream(model), gradient, count, device_view(optimizer->sum, 0));
}

static Status fetch_sum(Optimizer *optimizer, double *sum, Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(optimizer->model);
    BackendStream *stream = model_stream(optimizer->model);
    backend->copy_to_host(stream, sum, device_view(optimizer->sum, 0), sizeof *sum);
    return backend->stream_synchronize(stream, diagnostic);
}

static void clear_sum(Optimizer *optimizer)
{
    model_backend(optimizer->model)->fill_zero(model_stream(optimizer->model), device_view(optimizer->sum, 0), sizeof(double));
}

/* Says which gradient broke: with one parameter's name a user sees whether it was the head, a layer or the embeddings. */
static Status fail_diverged(Optimizer *optimizer, const bool *part_frozen, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(optimizer->model);
    const char *name = NULL;
    for (int32_t i = 0; i < layout->parameter_count && !name; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        double sum = 0;
        if (!model_part_trains(part_frozen, parameter->part))
            continue;
        size_t count;
        DeviceView gradient = model_gradient_parameter(optimizer->model, i, &count);
        clear_sum(optimizer);
        queue_sum(optimizer, gradient, count);
        TRY(fetch_sum(optimizer, &sum, diagnostic));
        if (!isfinite(sum))
            name = parameter->name;
    }
    TRY_FAIL(diagnostic, STATUS_DIVERGED, "the gradient of %s is not finite: the learning rate may be too high",
             name ? name : "all parameters together");
out:
    return status;
}

static Status measure_norm(Optimizer *optimizer, const bool *part_frozen, double *norm, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(optimizer->model);
    double sum = 0;
    clear_sum(optimizer);
    for (int32_t part = 0; part < layout->part_count; part++) {
        size_t count;
        DeviceView gradient = model_gradient_part(optimizer->model, part, &count);
        if (model_part_trains(part_frozen, part))
            queue_sum(optimizer, gradient, count);
    }
    TRY(fetch_sum(optimizer, &sum, diagnostic));
    *norm = sqrt(sum);
    if (!isfinite(*norm))
        TRY(fail_diverged(optimizer, part_frozen, diagnostic));
out:
    return status;
}

/* Where a stretch of parameters lies, and its moments. */
typedef struct Moved {
    DeviceView parameter, first_moment, second_moment;
} Moved;

static Moved moved_at(const Optimizer *optimizer, size_t offset)
{
    return (Moved){device_view_floats(model_parameters(optimizer->model), offset),
                   device_view_floats(device_view(optimizer->first_moment, 0), offset),
                   device_view_floats(device_view(optimizer->second_moment, 0), offset)};
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
    Moved moved = moved_at(optimizer, words->offset);
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

void optimizer_settle(Optimizer *optimizer)
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

Status optimizer_begin_step(Optimizer *optimizer, const int32_t *ids, int32_t count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LateRows *late = &optimizer->late;
    TRY(model_gradient_rows_set(optimizer->model, ids, count, diagnostic));
    if (count == 0 || late->step_count == LATE_STEPS_MAX)
        optimizer_settle(optimizer);
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
    DeviceView gradient = model_gradient_parameter(model, run->parameter, &floats);
    ASSERT(late->step_count < LATE_STEPS_MAX);
    late->steps[late->step_count++] = *step;
    for (int32_t i = 0; i < count; i++)
        late->seen[rows[i]] = late->step_count;
    model_rows_late(model, true);
    backend->copy_to_device(stream, device_view(late->device_rows, 0), rows, (size_t)count * sizeof *rows);
    Moved moved = moved_at(optimizer, run->offset);
    backend->adamw_rows(stream, moved.parameter, gradient, moved.first_moment, moved.second_moment,
                        device_view(late->device_rows, 0), count, model_layout(model)->parameters[run->parameter].shape[1], step);
}

static void queue_run(Optimizer *optimizer, const UpdateRun *run, const AdamwStep *step)
{
    Model *model = optimizer->model;
    size_t count;
    DeviceView gradient = model_gradient_parameter(model, run->parameter, &count);
    Moved moved = moved_at(optimizer, run->offset);
    model_backend(model)->adamw(model_stream(model), moved.parameter, gradient, moved.first_moment, moved.second_moment, run->count,
                                step);
}

static void queue_updates(Optimizer *optimizer, const bool *part_frozen, double learning_rate, double gradient_scale)
{
    const TrainingOptions *options = &optimizer->options;
    for (int32_t i = 0; i < optimizer->run_count; i++) {
        const UpdateRun *run = &optimizer->runs[i];
        if (!model_part_trains(part_frozen, run->part))
            continue;
        AdamwStep step = {
            .learning_rate = (float)(learning_rate * optimizer->part_decay[run->part]),
            .beta1 = (float)options->adam_beta1,
            .beta2 = (float)options->adam_beta2,
            .epsilon = (float)options->adam_epsilon,
            .weight_decay = run->decays ? (float)options->weight_decay : 0.0f,
            .gradient_scale = (float)gradient_scale,
            .t = optimizer->part_t[run->part],
        };
        if (run->parameter == 0)
            queue_words(optimizer, run, &step);
        else
            queue_run(optimizer, run, &step);
    }
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
    queue_updates(optimizer, part_frozen, optimizer->options.learning_rate * factor, scale);
    model_refresh(optimizer->model, part_frozen);
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
    optimizer_settle(optimizer);
    TRY(host_floats_open(first_moment, model_backend(model), model_stream(model), device_view(optimizer->first_moment, 0),
                         layout->float_count, diagnostic));
    TRY(host_floats_open(second_moment, model_backend(model), model_stream(model), device_view(optimizer->second_moment, 0),
                         layout->float_count, diagnostic));
    for (int32_t part = 0; part < layout->part_count; part++)
        part_t[part] = optimizer->part_t[part];
out:
    return status;
}

Status optimizer_state_set(Optimizer *optimizer, const float *first_moment, const float *second_moment, const int64_t *part_t,
                           Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(optimizer->model);
    BackendStream *stream = model_stream(optimizer->model);
    const ModelLayout *layout = model_layout(optimizer->model);
    size_t bytes = layout->float_count * sizeof(float);
    for (int32_t part = 0; part < layout->part_count; part++) {
        if (part_t[part] < 0)
            return FAIL(diagnostic, STATUS_CORRUPT, "the optimizer's state says %lld steps for part %d", (long long)part_t[part],
                        part);
    }
    for (int32_t part = 0; part < layout->part_count; part++)
        optimizer->part_t[part] = part_t[part];
    forget_late(optimizer); /* what waits belonged to the state before */
    backend->copy_to_device(stream, device_view(optimizer->first_moment, 0), first_moment, bytes);
    backend->copy_to_device(stream, device_view(optimizer->second_moment, 0), second_moment, bytes);
    return backend->stream_synchronize(stream, diagnostic);
}
