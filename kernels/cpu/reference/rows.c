/* Rows picked out of an array, and put back. */
#include <string.h>

#include "kernels/cpu/reference/reference.h"

void reference_rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows,
                           int32_t columns, DeviceView to)
{
    size_t width = (size_t)columns, row_bytes = width * device_type_bytes(from.type);
    const int32_t *picked = host_integers(index, (size_t)rows);
    const unsigned char *in = host_real_bytes(from, (size_t)from_rows * width);
    unsigned char *out = host_real_bytes(to, (size_t)rows * width);
    (void)stream;
    ASSERT(from.type == to.type);
    for (int32_t i = 0; i < rows; i++) {
        memcpy(out + (size_t)i * row_bytes, in + (size_t)picked[i] * row_bytes, row_bytes);
    }
}

void reference_rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                            int32_t to_rows)
{
    size_t width = (size_t)columns, row_bytes = width * device_type_bytes(from.type);
    const int32_t *picked = host_integers(index, (size_t)rows);
    const unsigned char *in = host_real_bytes(from, (size_t)rows * width);
    unsigned char *out = host_real_bytes(to, (size_t)to_rows * width);
    (void)stream;
    ASSERT(from.type == to.type);
    memset(out, 0, (size_t)to_rows * row_bytes);
    for (int32_t i = 0; i < rows; i++) {
        memcpy(out + (size_t)picked[i] * row_bytes, in + (size_t)i * row_bytes, row_bytes);
    }
}
