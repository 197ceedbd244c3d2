/* Dropout, and LayerNorm (Ba, Kiros, Hinton 2016) with what stands around it. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/reference/reference.h"

double reference_dropout(Dropout dropout, uint32_t slot, uint32_t position, uint32_t channel, uint32_t site)
{
    if (dropout.probability == 0.0f) {
        return 1.0;
    }
    PhiloxBlock block = philox4x32_10(dropout.key, slot, position, channel / 4, site);
    bool kept = philox_uniform_float(block.word[channel % 4]) >= dropout.probability;
    return kept ? 1.0 / (1.0 - (double)dropout.probability) : 0.0;
}

void reference_norm_forward(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                            DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                            DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd)
{
    HostBlock pieces = host_block(block);
    size_t width = (size_t)d, count = (size_t)pieces.piece_count * width;
    ReferenceReals product = reference_reals_open(y_product, count);
    const float *scale = host_floats(gamma, width), *shift = host_floats(beta, width);
    (void)stream;
    for (int32_t t = 0; t < pieces.piece_count; t++) {
        uint32_t slot = pieces.slots[t], position = (uint32_t)pieces.positions[t];
        size_t row = (size_t)t * width;
        const float *x_row = host_floats(device_view_floats(x, row), width);
        const float *residual_row = residual.buffer == NULL ? NULL : host_floats(device_view_floats(residual, row), width);
        float *sum_row = host_floats(device_view_floats(sum, row), width), *y_row = host_floats(device_view_floats(y, row), width);
        double total = 0.0, squares = 0.0;
        for (size_t i = 0; i < width; i++) {
            double value = reference_dropout(dropout_in, slot, position, (uint32_t)i, dropout_in.site) * (double)x_row[i];
            sum_row[i] = (float)(value + (residual_row == NULL ? 0.0 : (double)residual_row[i]));
            total += (double)sum_row[i];
        }
        double average = total / (double)d;
        for (size_t i = 0; i < width; i++) {
            double distance = (double)sum_row[i] - average;
            squares += distance * distance;
        }
        double inverse = 1.0 / sqrt(squares / (double)d + (double)epsilon);
        for (size_t i = 0; i < width; i++) {
            double value = ((double)sum_row[i] - average) * inverse * (double)scale[i] + (double)shift[i];
            y_row[i] = (float)(value * reference_dropout(dropout_out, slot, position, (uint32_t)i, dropout_out.site));
        }
        if (product.values != NULL && product.values + row != y_row) {
            memcpy(product.values + row, y_row, width * sizeof *y_row);
        }
        *host_floats(device_view_floats(mean, (size_t)t), 1) = (float)average;
        *host_floats(device_view_floats(rstd, (size_t)t), 1) = (float)inverse;
    }
    reference_reals_close(&product, true);
}

/* Adds one column's sums over the rows; before the rows' gradients, which may be written over d_y. */
static void column_backward(const HostBlock *pieces, DeviceView d_y, DeviceView sum, DeviceView mean, DeviceView rstd, size_t width,
                            size_t column, Dropout dropout, DeviceView d_gamma, DeviceView d_beta)
{
    double scale = 0.0, shift = 0.0;
    for (int32_t t = 0; t < pieces->piece_count; t++) {
        size_t at = (size_t)t * width + column;
        double average = (double)*host_floats(device_view_floats(mean, (size_t)t), 1);
        double inverse = (double)*host_floats(device_view_floats(rstd, (size_t)t), 1);
        double normal = ((double)*host_floats(device_view_floats(sum, at), 1) - average) * inverse;
        double out = (double)*host_floats(device_view_floats(d_y, at), 1) *
                     reference_dropout(dropout, pieces->slots[t], (uint32_t)pieces->positions[t], (uint32_t)column, dropout.site);
        scale += out * normal;
        shift += out;
    }
    if (d_gamma.buffer != NULL) {
        float *to = host_floats(device_view_floats(d_gamma, column), 1);
        *to = (float)((double)*to + scale);
    }
    if (d_beta.buffer != NULL) {
        float *to = host_floats(device_view_floats(d_beta, column), 1);
        *to = (float)((double)*to + shift);
    }
}

void reference_norm_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                             DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out,
                             DeviceView d_sum, DeviceView d_x, DeviceView d_gamma, DeviceView d_beta)
{
    HostBlock pieces = host_block(block);
    size_t width = (size_t)d;
    const float *scale = host_floats(gamma, width);
    ReferenceReals d_x_reals = reference_reals_open(d_x, (size_t)pieces.piece_count * width);
    (void)stream;
    for (size_t i = 0; i < width; i++) {
        column_backward(&pieces, d_y, sum, mean, rstd, width, i, dropout_out, d_gamma, d_beta);
    }
    for (int32_t t = 0; t < pieces.piece_count; t++) {
        uint32_t slot = pieces.slots[t], position = (uint32_t)pieces.positions[t];
        size_t row = (size_t)t * width;
        const float *d_y_row = host_floats(device_view_floats(d_y, row), width);
        const float *sum_row = host_floats(device_view_floats(sum, row), width);
        float *d_sum_row = host_floats(device_view_floats(d_sum, row), width);
        float *d_x_row = d_x_reals.values == NULL ? NULL : d_x_reals.values + row;
        double average = (double)*host_floats(device_view_floats(mean, (size_t)t), 1);
        double inverse = (double)*host_floats(device_view_floats(rstd, (size_t)t), 1);
        double along_one = 0.0, along_normal = 0.0; /* means of g and of g * normal, g the gradient of the normalised row */
        for (size_t i = 0; i < width; i++) {
            double out = (double)d_y_row[i] * reference_dropout(dropout_out, slot, position, (uint32_t)i, dropout_out.site);
            double normal = ((double)sum_row[i] - average) * inverse;
            along_one += out * (double)scale[i] / (double)d;
            along_normal += out * (double)scale[i] * normal / (double)d;
        }
        for (size_t i = 0; i < width; i++) {
            double out = (double)d_y_row[i] * reference_dropout(dropout_out, slot, position, (uint32_t)i, dropout_out.site);
            double normal = ((double)sum_row[i] - average) * inverse;
            double value = inverse * (out * (double)scale[i] - along_one - normal * along_normal);
            d_sum_row[i] = (float)value;
            if (d_x_row != NULL) {
                d_x_row[i] = (float)(value * reference_dropout(dropout_in, slot, position, (uint32_t)i, dropout_in.site));
            }
        }
    }
    reference_reals_close(&d_x_reals, true);
}
