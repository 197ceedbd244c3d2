/* Operations on flat arrays: AdamW, sum of squares, conversion. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_ELEMENTWISE_H
#define NERSWEEP_KERNELS_CPU_SIMD_ELEMENTWISE_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/math.h"

/* Every element is computed by the same instructions wherever it stands, so that a row updated alone gets the same bits. */
static void adamw(const AdamwJob *job, size_t first, size_t last)
{
    Floats keep1 = floats_set(job->keep1), take1 = floats_set(job->take1), keep2 = floats_set(job->keep2),
           take2 = floats_set(job->take2);
    Floats clip = floats_set(job->step.gradient_scale), epsilon = floats_set(job->step.epsilon);
    Floats decay = floats_set(job->decay), rate = floats_set(job->rate), root_scale = floats_set(job->root_scale);
    for (size_t i = first; i < last; i += LANES) {
        size_t left = last - i;
        Floats g = floats_multiply(floats_load_upto(job->gradient + i, left), clip);
        Floats m = floats_multiply_add(keep1, floats_load_upto(job->first_moment + i, left), floats_multiply(take1, g));
        Floats v = floats_multiply(keep2, floats_load_upto(job->second_moment + i, left));
        v = floats_multiply_add(floats_multiply(take2, g), g, v);
        Floats p = floats_multiply(floats_load_upto(job->parameter + i, left), decay);
        Floats below = floats_multiply_add(floats_root(v), root_scale, epsilon);
        floats_store_upto(job->first_moment + i, m, left);
        floats_store_upto(job->second_moment + i, v, left);
        floats_store_upto(job->parameter + i, floats_subtract_product(p, rate, floats_divide(m, below)), left);
    }
}

/* In float over stretches of 4096 elements (at most 256 in one lane's sum), in double over the stretches. */
static double sum_of_squares(const float *x, size_t count)
{
    enum { STRETCH = 4096 };
    double total = 0.0;
    for (size_t begin = 0; begin < count; begin += STRETCH) {
        size_t end = count - begin < STRETCH ? count : begin + STRETCH, i = begin;
        Floats sums[4] = {floats_zero(), floats_zero(), floats_zero(), floats_zero()};
        for (; end - i >= 4 * LANES; i += 4 * LANES) {
            for (size_t part = 0; part < 4; part++) {
                Floats v = floats_load(x + i + part * LANES);
                sums[part] = floats_multiply_add(v, v, sums[part]);
            }
        }
        for (; i < end; i += LANES) {
            Floats v = floats_load_upto(x + i, end - i);
            sums[0] = floats_multiply_add(v, v, sums[0]);
        }
        total += (double)floats_sum(floats_add(floats_add(sums[0], sums[1]), floats_add(sums[2], sums[3])));
    }
    return total;
}

static void to_bf16(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        floats_store_bf16_upto(to + i, floats_load_upto(from + i, count - i), count - i);
    }
}

static void to_floats(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        floats_store_upto(to + i, floats_load_bf16_upto(from + i, count - i), count - i);
    }
}

#endif
