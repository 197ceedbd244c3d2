#include "kernels/host_floats.h"

#include <stdlib.h>

#include "core/base/memory.h"

Status host_floats_open(HostFloats *floats, const Backend *backend, BackendStream *stream, DeviceView view, size_t count,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    void *copy = NULL;
    uint8_t *bytes = backend->buffer_host_pointer ? backend->buffer_host_pointer(view.buffer) : NULL;
    *floats = (HostFloats){0};
    if (!bytes) {
        TRY(memory_try_allocate(&copy, count, sizeof(float), diagnostic));
        backend->copy_to_host(stream, copy, view, count * sizeof(float));
    }
    TRY(backend->stream_synchronize(stream, diagnostic));
    floats->copy = copy;
    floats->values = bytes ? (const float *)(const void *)(bytes + view.offset_bytes) : copy;
    copy = NULL;
out:
    free(copy);
    return status;
}

void host_floats_close(HostFloats *floats)
{
    free(floats->copy);
    *floats = (HostFloats){0};
}
