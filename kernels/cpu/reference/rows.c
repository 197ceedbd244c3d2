/* Rows picked out of an array, and put back. */
#include <string.h>

#include "kernels/cpu/reference/reference.h"

void reference_rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows,
                           int32_t columns, DeviceView to)
{
    size_t width = (size_t)columns;
    const int32_t *picked = host_integers(index, (size_t)rows);
    const float *in = host_floats(from, (size_t)from_rows * width);
    float *out = host_floats(to, (size_t)rows * width);
    (void)stream;
    for (int32_t i = 0; i < rows; i++) {
        memcpy(out + (size_t)i * width, in + (size_t)picked[i] * width, width * sizeof(float));
    }
}

void reference_rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                            int32_t to_rows)
{
    size_t width = (size_t)columns;
    const int32_t *picked = host_integers(index, (size_t)rows);
    const float *in = host_floats(from, (size_t)rows * width);
    float *out = host_floats(to, (size_t)to_rows * width);
    (void)stream;
    memset(out, 0, (size_t)to_rows * width * sizeof(float));
    for (int32_t i = 0; i < rows; i++) {
        memcpy(out + (size_t)picked[i] * width, in + (size_t)i * width, width * sizeof(float));
    }
}
