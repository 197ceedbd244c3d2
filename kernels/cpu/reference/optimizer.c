/* Sums of gradients, their norm, and AdamW (Loshchilov, Hutter 2019) as torch.optim.AdamW computes it. */
#include <math.h>

#include "kernels/cpu/reference/reference.h"

void reference_add(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    float *sums = host_floats(to, count);
    const float *values = host_floats(from, count);
    (void)stream;
    for (size_t i = 0; i < count; i++) {
        sums[i] += values[i];
    }
}

void reference_sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sums)
{
    const float *values = host_floats(x, count);
    double *totals = host_view(sums, (count + BACKEND_SQUARES_STRETCH - 1) / BACKEND_SQUARES_STRETCH, sizeof(double));
    (void)stream;
    for (size_t first = 0; first < count; first += BACKEND_SQUARES_STRETCH) {
        double total = 0.0;
        for (size_t i = first; i < count && i < first + BACKEND_SQUARES_STRETCH; i++) {
            total += (double)values[i] * (double)values[i];
        }
        totals[first / BACKEND_SQUARES_STRETCH] += total;
    }
}

typedef struct Adamw {
    double scale, decay, rate, correction2_root, epsilon, beta1, beta2;
} Adamw;

static Adamw adamw_of(const AdamwStep *step)
{
    double rate = (double)step->learning_rate, t = (double)step->t;
    ASSERT(step->t >= 1);
    return (Adamw){.scale = (double)step->gradient_scale,
                   .decay = 1.0 - rate * (double)step->weight_decay,
                   .rate = rate / (1.0 - pow((double)step->beta1, t)),
                   .correction2_root = sqrt(1.0 - pow((double)step->beta2, t)),
                   .epsilon = (double)step->epsilon,
                   .beta1 = (double)step->beta1,
                   .beta2 = (double)step->beta2};
}

static void adamw_element(const Adamw *adamw, float gradient, float *p, float *m, float *v)
{
    double scaled = (double)gradient * adamw->scale;
    double first = adamw->beta1 * (double)*m + (1.0 - adamw->beta1) * scaled;
    double second = adamw->beta2 * (double)*v + (1.0 - adamw->beta2) * scaled * scaled;
    *m = (float)first;
    *v = (float)second;
    *p = (float)((double)*p * adamw->decay - adamw->rate * first / (sqrt(second) / adamw->correction2_root + adamw->epsilon));
}

void reference_adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                     DeviceView second_moment, size_t count, const AdamwStep *step)
{
    float *p = host_floats(parameter, count), *m = host_floats(first_moment, count), *v = host_floats(second_moment, count);
    const float *g = host_floats(gradient, count);
    Adamw adamw = adamw_of(step);
    (void)stream;
    for (size_t i = 0; i < count; i++) {
        adamw_element(&adamw, g[i], &p[i], &m[i], &v[i]);
    }
}

void reference_adamw_matrix(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                            DeviceView first_moment, DeviceView second_moment, const AdamwStep *step)
{
    DeviceView weight = device_view_floats(matrix->weight, first), copy = device_view_floats(matrix->copy, first);
    reference_adamw(stream, weight, gradient, first_moment, second_moment, count, step);
    backend_reference()->convert(stream, copy, weight, count);
}

void reference_adamw_rows(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                          DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step)
{
    const int32_t *row = host_integers(rows, (size_t)row_count);
    for (int32_t i = 0; i < row_count; i++) {
        size_t offset = (size_t)row[i] * (size_t)columns;
        reference_adamw(stream, device_view_floats(parameter, offset), device_view_floats(gradient, (size_t)i * (size_t)columns),
                        device_view_floats(first_moment, offset), device_view_floats(second_moment, offset), (size_t)columns, step);
    }
}

void reference_adamw_late(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment,
                          DeviceView rows, DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps,
                          int32_t step_count)
{
    const int32_t *row = host_integers(rows, (size_t)row_count), *behind = host_integers(late, (size_t)row_count);
    size_t count = (size_t)columns;
    (void)stream;
    for (int32_t i = 0; i < row_count; i++) {
        size_t offset = (size_t)row[i] * count;
        float *p = host_floats(device_view_floats(parameter, offset), count);
        float *m = host_floats(device_view_floats(first_moment, offset), count);
        float *v = host_floats(device_view_floats(second_moment, offset), count);
        ASSERT(behind[i] >= 0 && behind[i] <= step_count);
        for (int32_t step = step_count - behind[i]; step < step_count; step++) {
            Adamw adamw = adamw_of(&steps[step]);
            for (size_t j = 0; j < count; j++) {
                adamw_element(&adamw, 0.0f, &p[j], &m[j], &v[j]);
            }
        }
    }
}
