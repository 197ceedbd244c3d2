/* Gradient norm and AdamW (Loshchilov, Hutter 2019) as torch.optim.AdamW computes it. */
#include <math.h>

#include "kernels/cpu/reference/reference.h"

void reference_sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sum)
{
    const float *values = host_floats(x, count);
    double total = 0.0;
    (void)stream;
    for (size_t i = 0; i < count; i++) {
        total += (double)values[i] * (double)values[i];
    }
    *host_double(sum) += total;
}

void reference_adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                     DeviceView second_moment, size_t count, const AdamwStep *step)
{
    float *p = host_floats(parameter, count), *m = host_floats(first_moment, count), *v = host_floats(second_moment, count);
    const float *g = host_floats(gradient, count);
    double beta1 = (double)step->beta1, beta2 = (double)step->beta2, rate = (double)step->learning_rate;
    double correction1 = 1.0 - pow(beta1, (double)step->t), correction2 = 1.0 - pow(beta2, (double)step->t);
    (void)stream;
    ASSERT(step->t >= 1);
    for (size_t i = 0; i < count; i++) {
        double scaled = (double)g[i] * (double)step->gradient_scale;
        double decayed = (double)p[i] * (1.0 - rate * (double)step->weight_decay);
        double first = beta1 * (double)m[i] + (1.0 - beta1) * scaled;
        double second = beta2 * (double)v[i] + (1.0 - beta2) * scaled * scaled;
        m[i] = (float)first;
        v[i] = (float)second;
        p[i] = (float)(decayed - rate / correction1 * first / (sqrt(second) / sqrt(correction2) + (double)step->epsilon));
    }
}
