/* Floats on a device, to be read by the host: where they lie if it has access, else as a copy. */
#ifndef NERSWEEP_KERNELS_HOST_FLOATS_H
#define NERSWEEP_KERNELS_HOST_FLOATS_H

#include "kernels/backend.h"

typedef struct HostFloats {
    const float *values; /* [count], valid until the device writes there again */
    float *copy;         /* owned; NULL: there is none */
} HostFloats;

/* What was queued on the stream before is done. Errors: the stream's, STATUS_OUT_OF_MEMORY for the copy. */
NODISCARD Status host_floats_open(HostFloats *floats, const Backend *backend, BackendStream *stream, DeviceView view, size_t count,
                                  Diagnostic *diagnostic);
void host_floats_close(HostFloats *floats);

#endif
