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
    ReferenceReals weights = reference_reals_open(weight->copy, n * k);
    const float *w = weights.values, *b = host_floats_or_null(bias, n);
    ReferenceReals x_reals = reference_reals_open(x, row_count * k), y_reals = reference_reals_open(y, row_count * n),
                   pre_reals = reference_reals_open(pre, row_count * n);
    const float *in = x_reals.values;
    float *out = y_reals.values, *kept = pre_reals.values;
    (void)stream;
    ASSERT(x.type == weight->type);
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
    reference_reals_close(&weights, false);
    reference_reals_close(&x_reals, false);
    reference_reals_close(&y_reals, true);
    reference_reals_close(&pre_reals, true);
}

void reference_linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                                     bool accumulate, DeviceView d_x)
{
    size_t n = (size_t)weight->n, k = (size_t)weight->k, row_count = (size_t)rows;
    ReferenceReals d_y_reals = reference_reals_open(d_y, row_count * n), pre_reals = reference_reals_open(pre, row_count * k),
                   d_x_reals = reference_reals_open(d_x, row_count * k);
    ReferenceReals weights = reference_reals_open(weight->copy, n * k);
    const float *w = weights.values, *in = d_y_reals.values, *kept = pre_reals.values;
    float *out = d_x_reals.values;
    (void)stream;
    ASSERT(d_y.type == weight->type);
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
    reference_reals_close(&weights, false);
    reference_reals_close(&d_y_reals, false);
    reference_reals_close(&pre_reals, false);
    reference_reals_close(&d_x_reals, true);
}

void reference_linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                      bool accumulate, DeviceView d_weight, DeviceView d_bias)
{
    size_t out_count = (size_t)n, in_count = (size_t)k, row_count = (size_t)rows;
    ReferenceReals x_reals = reference_reals_open(x, row_count * in_count),
                   d_y_reals = reference_reals_open(d_y, row_count * out_count);
    const float *in = x_reals.values, *d_out = d_y_reals.values;
    float *d_w = host_floats(d_weight, out_count * in_count), *d_b = host_floats_or_null(d_bias, out_count);
    (void)stream;
    for (size_t j = 0; j < out_count; j++) {
        double column = 0.0;
        for (size_t r = 0; r < row_count; r++) {
            column += (double)d_out[r * out_count + j];
        }
        if (d_b != NULL) {
            d_b[j] = (float)((accumulate ? (double)d_b[j] : 0.0) + column);
        }
        for (size_t i = 0; i < in_count; i++) {
            double total = 0.0;
            for (size_t r = 0; r < row_count; r++) {
                total += (double)d_out[r * out_count + j] * (double)in[r * in_count + i];
            }
            d_w[j * in_count + i] = (float)((accumulate ? (double)d_w[j * in_count + i] : 0.0) + total);
        }
    }
    reference_reals_close(&x_reals, false);
    reference_reals_close(&d_y_reals, false);
}
