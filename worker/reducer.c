#include "worker/reducer.h"

#include <stdlib.h>

#include "core/base/memory.h"

struct Reducer {
    Communicator *communicator;
    Model *model;
    float *staged; /* [float_count] on the host, where the host has no access to gradients; else NULL */
    bool *started; /* [part_count] */
    const bool *part_frozen;
};

/* NULL where the host has no access to gradients. */
static float *host_gradient(const Reducer *reducer, DeviceView view)
{
    const Backend *backend = model_backend(reducer->model);
    uint8_t *bytes = backend->buffer_host_pointer ? backend->buffer_host_pointer(view.buffer) : NULL;
    return bytes ? (float *)(void *)(bytes + view.offset_bytes) : NULL;
}

Status reducer_create(Reducer **reducer, Communicator *communicator, Model *model, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *reducer = memory_allocate(1, sizeof **reducer);
    (*reducer)->communicator = communicator;
    (*reducer)->model = model;
    (*reducer)->started = memory_allocate((size_t)model_layout(model)->part_count, sizeof *(*reducer)->started);
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

void reducer_destroy(Reducer **reducer)
{
    if (!*reducer)
        return;
    free((*reducer)->staged);
    free((*reducer)->started);
    free(*reducer);
    *reducer = NULL;
}

void reducer_begin(Reducer *reducer, const bool *part_frozen)
{
    reducer->part_frozen = part_frozen;
    for (int32_t part = 0; part < model_layout(reducer->model)->part_count; part++)
        reducer->started[part] = part_frozen[part];
}

Status reducer_part_ready(void *context, int32_t part, Diagnostic *diagnostic)
{
    Reducer *reducer = context;
    Status status = STATUS_OK;
    size_t count;
    if (reducer->started[part] || communicator_size(reducer->communicator) == 1)
        return STATUS_OK;
    DeviceView gradient = model_gradient_part(reducer->model, part, &count);
    float *values = reducer->staged ? reducer->staged + model_gradient_offset(gradient) : host_gradient(reducer, gradient);
    if (reducer->staged) {
        model_backend(reducer->model)->copy_to_host(model_stream(reducer->model), values, gradient, count * sizeof *values);
        status = model_backend(reducer->model)->stream_synchronize(model_stream(reducer->model), diagnostic);
    }
    /* Also after a failed copy: the other ranks wait for this one's share. */
    communicator_sum_float_start(reducer->communicator, values, count);
    reducer->started[part] = true;
    return status;
}

Status reducer_finish(Reducer *reducer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(reducer->model);
    const Backend *backend = model_backend(reducer->model);
    if (communicator_size(reducer->communicator) == 1)
        return STATUS_OK;
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
