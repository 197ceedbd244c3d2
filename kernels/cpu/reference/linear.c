/* Linear layers with GELU (Hendrycks, Gimpel 2016: x times the normal distribution's cumulative function, the exact form with erf). */
#include <math.h>

#include "kernels/cpu/reference/reference.h"

static double gelu(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

static double gelu_derivative(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * (0.5 * M_2_SQRTPI * M_SQRT1_2);
}

void reference_linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                              LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    const float *w = reference_matrix(weight), *b = host_floats_or_null(bias, n), *in = host_floats(x, row_count * k);
    float *out = host_floats(y, row_count * n), *kept = host_floats_or_null(pre, row_count * n);
    (void)stream;
    for (size_t r = 0; r < row_count; r++) {
        for (size_t j = 0; j < n; j++) {
            double total = b == NULL ? 0.0 : (double)b[j];
            for (size_t i = 0; i < k; i++) {
                total += (double)in[r * k + i] * (double)w[j * k + i];
            }
            if (epilogue == LINEAR_GELU) {
                if (kept != NULL) {
                    kept[r * n + j] = (float)total;
                }
                total = gelu(total);
            }
            out[r * n + j] = (float)total;
        }
    }
}

void reference_linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                                     bool accumulate, DeviceView d_x)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    const float *w = reference_matrix(weight), *in = host_floats(d_y, row_count * n),
                *kept = host_floats_or_null(pre, row_count * k);
    float *out = host_floats(d_x, row_count * k);
    (void)stream;
    for (size_t r = 0; r < row_count; r++) {
        for (size_t i = 0; i < k; i++) {
            double total = 0.0;
            for (size_t j = 0; j < n; j++) {
                total += (double)in[r * n + j] * (double)w[j * k + i];
            }
            if (kept != NULL) {
                total *= gelu_derivative((double)kept[r * k + i]);
            }
            out[r * k + i] = (float)(total + (accumulate ? (double)out[r * k + i] : 0.0));
        }
    }
}

void reference_linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                      DeviceView d_weight, DeviceView d_bias)
{
    size_t out_count = (size_t)n, in_count = (size_t)k, row_count = (size_t)rows;
    const float *in = host_floats(x, row_count * in_count), *d_out = host_floats(d_y, row_count * out_count);
    float *d_w = host_floats(d_weight, out_count * in_count), *d_b = host_floats_or_null(d_bias, out_count);
    (void)stream;
    for (size_t j = 0; j < out_count; j++) {
        double column = 0.0;
        for (size_t r = 0; r < row_count; r++) {
            column += (double)d_out[r * out_count + j];
        }
        if (d_b != NULL) {
            d_b[j] = (float)((double)d_b[j] + column);
        }
        for (size_t i = 0; i < in_count; i++) {
            double total = 0.0;
            for (size_t r = 0; r < row_count; r++) {
                total += (double)d_out[r * out_count + j] * (double)in[r * in_count + i];
            }
            d_w[j * in_count + i] = (float)((double)d_w[j * in_count + i] + total);
        }
    }
}
