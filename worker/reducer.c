#include "worker/reducer.h"

#include <stdlib.h>

#include "core/base/memory.h"

struct Reducer {
    Communicator *communicator;
    Model *model;
    BackendBuffer **waiting; /* [waiting_limit] sums of subtrees, the largest first; those from waiting_count on are free */
    int32_t waiting_limit, waiting_count;
    size_t waiting_bytes; /* of each; 0: they are not there */
    float *staged;        /* [float_count] on the host, where the host has no access to gradients; else NULL */
    bool *started;        /* [part_count] */
    int32_t started_count, early_count;
    const bool *part_frozen;
};

/* NULL where the host has no access to gradients. */
static float *host_gradient(const Reducer *reducer, DeviceView view)
{
    const Backend *backend = model_backend(reducer->model);
    uint8_t *bytes = backend->buffer_host_pointer ? backend->buffer_host_pointer(view.buffer) : NULL;
    return bytes ? (float *)(void *)(bytes + view.offset_bytes) : NULL;
}

Status reducer_create(Reducer **reducer, Communicator *communicator, Model *model, const Chunks *chunks, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *reducer = memory_allocate(1, sizeof **reducer);
    (*reducer)->communicator = communicator;
    (*reducer)->model = model;
    (*reducer)->started = memory_allocate((size_t)model_layout(model)->part_count, sizeof *(*reducer)->started);
    (*reducer)->waiting_limit = chunks_waiting_limit(chunks);
    (*reducer)->waiting = memory_allocate((size_t)(*reducer)->waiting_limit + 1, sizeof(BackendBuffer *));
    size_t count;
    if (communicator_size(communicator) > 1 && !host_gradient(*reducer, model_gradient_part(model, 0, &count))) {
        void *memory;
        TRY(memory_try_allocate(&memory, model_layout(model)->float_count, sizeof(float), diagnostic));
        (*reducer)->staged = memory;
    }
out:
    if (status != STATUS_OK)
        reducer_destroy(reducer);
    return status;
}

static void free_waiting(Reducer *reducer)
{
    for (int32_t i = 0; i < reducer->waiting_limit; i++) {
        if (reducer->waiting[i])
            model_backend(reducer->model)->buffer_destroy(&reducer->waiting[i]);
    }
    reducer->waiting_bytes = 0;
}

Status reducer_plan(Reducer *reducer, Diagnostic *diagnostic)
{
    size_t bytes = model_held_gradient_bytes(reducer->model);
    if (bytes == reducer->waiting_bytes)
        return STATUS_OK;
    free_waiting(reducer);
    for (int32_t i = 0; i < reducer->waiting_limit; i++) {
        Status status =
            model_backend(reducer->model)->buffer_create(&reducer->waiting[i], model_device(reducer->model), bytes, diagnostic);
        if (status != STATUS_OK) {
            diagnostic_prefix(diagnostic, "reserving %zu bytes for the gradients of a virtual rank", bytes);
            return status;
        }
    }
    reducer->waiting_bytes = bytes;
    return STATUS_OK;
}

void reducer_destroy(Reducer **reducer)
{
    Reducer *old = *reducer;
    if (!old)
        return;
    const Backend *backend = model_backend(old->model);
    Status ignored = backend->stream_synchronize(model_stream(old->model), NULL); /* sums may still be queued */
    (void)ignored;
    free_waiting(old);
    free(old->waiting);
    free(old->staged);
    free(old->started);
    free(old);
    *reducer = NULL;
}

void reducer_begin(Reducer *reducer, const bool *part_frozen)
{
    reducer->part_frozen = part_frozen;
    reducer->waiting_count = reducer->started_count = 0;
    for (int32_t part = 0; part < model_layout(reducer->model)->part_count; part++)
        reducer->started[part] = part_frozen[part];
}

/* The model's gradients of a part += those that wait at a place. */
static void queue_add(Reducer *reducer, int32_t place, int32_t part)
{
    size_t count;
    DeviceView gradient = model_gradient_part(reducer->model, part, &count);
    model_backend(reducer->model)
        ->add(model_stream(reducer->model), gradient, device_view(reducer->waiting[place], gradient.offset_bytes), count);
}

void reducer_keep_chunk(Reducer *reducer, int32_t index)
{
    for (int32_t rest = index; rest % 2 == 1; rest /= 2) {
        reducer->waiting_count--;
        for (int32_t part = 0; part < model_layout(reducer->model)->part_count; part++) {
            if (!reducer->part_frozen[part])
                queue_add(reducer, reducer->waiting_count, part);
        }
    }
    ASSERT(reducer->waiting_count < reducer->waiting_limit && reducer->waiting_bytes == model_held_gradient_bytes(reducer->model));
    model_gradients_exchange(reducer->model, &reducer->waiting[reducer->waiting_count++]);
}

/* Of the step's rows of the word embeddings, which come first in part 0. */
static size_t word_floats(const Reducer *reducer)
{
    size_t count;
    model_gradient_parameter(reducer->model, 0, &count);
    return count;
}

Status reducer_part_ready(Reducer *reducer, int32_t part, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Backend *backend = model_backend(reducer->model);
    BackendStream *stream = model_stream(reducer->model);
    size_t count;
    if (reducer->started[part])
        return STATUS_OK;
    reducer->started[part] = true;
    reducer->started_count++;
    for (int32_t place = reducer->waiting_count - 1; place >= 0; place--)
        queue_add(reducer, place, part);
    if (communicator_size(reducer->communicator) == 1)
        return STATUS_OK;
    DeviceView gradient = model_gradient_part(reducer->model, part, &count);
    float *values = reducer->staged ? reducer->staged + model_gradient_offset(gradient) : host_gradient(reducer, gradient);
    size_t rows = part == 0 ? word_floats(reducer) : 0;
    if (reducer->staged)
        backend->copy_to_host(stream, values, gradient, count * sizeof *values);
    if (reducer->staged || reducer->waiting_count > 0)
        status = backend->stream_synchronize(stream, diagnostic);
    /* Also after a failed copy: the other ranks wait for this one's share. */
    communicator_sum_float_start(reducer->communicator, values, rows);
    communicator_scatter_sum_start(reducer->communicator, values + rows, count - rows);
    return status;
}

void reducer_progress(Reducer *reducer)
{
    communicator_progress(reducer->communicator);
}

int32_t reducer_early_parts(const Reducer *reducer)
{
    return reducer->early_count;
}

Status reducer_finish(Reducer *reducer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(reducer->model);
    const Backend *backend = model_backend(reducer->model);
    reducer->early_count = reducer->started_count;
    for (int32_t part = layout->part_count - 1; part >= 0; part--) {
        Status started = reducer_part_ready(reducer, part, diagnostic);
        status = status == STATUS_OK ? started : status;
    }
    communicator_wait(reducer->communicator);
    if (status != STATUS_OK || !reducer->staged)
        return status;
    for (int32_t part = 0; part < layout->part_count; part++) {
        size_t count;
        DeviceView gradient = model_gradient_part(reducer->model, part, &count);
        if (!reducer->part_frozen[part])
            backend->copy_to_device(model_stream(reducer->model), gradient, reducer->staged + model_gradient_offset(gradient),
                                    count * sizeof(float));
    }
    return backend->stream_synchronize(model_stream(reducer->model), diagnostic);
}
