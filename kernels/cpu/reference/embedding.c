/* Embeddings: three rows added, and their gradients. */
#include "kernels/cpu/reference/reference.h"

void reference_embedding_forward(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position,
                                 DeviceView type, int32_t d, DeviceView out)
{
    HostBlock pieces = host_block(block);
    size_t width = (size_t)d;
    (void)stream;
    for (int32_t t = 0; t < pieces.piece_count; t++) {
        const float *word_row = host_floats(device_view_floats(word, (size_t)pieces.ids[t] * width), width);
        const float *position_row = host_floats(device_view_floats(position, (size_t)pieces.positions[t] * width), width);
        const float *type_row = host_floats(type, width);
        float *out_row = host_floats(device_view_floats(out, (size_t)t * width), width);
        for (size_t i = 0; i < width; i++) {
            out_row[i] = word_row[i] + position_row[i] + type_row[i];
        }
    }
}

static void add_row(DeviceView to, size_t row, const float *values, size_t width)
{
    if (to.buffer == NULL) {
        return;
    }
    float *to_row = host_floats(device_view_floats(to, row * width), width);
    for (size_t i = 0; i < width; i++) {
        to_row[i] += values[i];
    }
}

void reference_embedding_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_out, int32_t d, DeviceView d_word,
                                  DeviceView d_position, DeviceView d_type)
{
    HostBlock pieces = host_block(block);
    size_t width = (size_t)d;
    (void)stream;
    for (int32_t t = 0; t < pieces.piece_count; t++) {
        const float *row = host_floats(device_view_floats(d_out, (size_t)t * width), width);
        add_row(d_word, (size_t)pieces.ids[t], row, width);
        add_row(d_position, (size_t)pieces.positions[t], row, width);
        add_row(d_type, 0, row, width);
    }
}
