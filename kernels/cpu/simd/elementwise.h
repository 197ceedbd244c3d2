/* Operations on flat arrays: AdamW, sum of squares, conversion. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_ELEMENTWISE_H
#define NERSWEEP_KERNELS_CPU_SIMD_ELEMENTWISE_H

#include <stdbool.h>

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd/math.h"

/* One step of a vector; the new parameter. Every element goes through the same instructions wherever it stands and whenever its turn comes, so
 * that a row updated alone, or late, gets the same bits. */
static inline Floats adamw_vector(const AdamwFactors *factors, Floats gradient, Floats p, Floats *m, Floats *v)
{
    Floats g = floats_multiply(gradient, floats_set(factors->clip));
    *m = floats_multiply_add(floats_set(factors->keep1), *m, floats_multiply(floats_set(factors->take1), g));
    Floats kept = floats_multiply(floats_set(factors->keep2), *v);
    *v = floats_multiply_add(floats_multiply(floats_set(factors->take2), g), g, kept);
    Floats below = floats_multiply_add(floats_root(*v), floats_set(factors->root_scale), floats_set(factors->epsilon));
    return floats_subtract_product(floats_multiply(p, floats_set(factors->decay)), floats_set(factors->rate),
                                   floats_divide(*m, below));
}

/* Vector i of the job; the new parameter, which is stored. */
static inline Floats adamw_at(const AdamwJob *job, const AdamwFactors *factors, size_t i, size_t left)
{
    Floats m = floats_load_upto(job->first_moment + i, left), v = floats_load_upto(job->second_moment + i, left);
    Floats p = adamw_vector(factors, floats_load_upto(job->gradient + i, left), floats_load_upto(job->parameter + i, left), &m, &v);
    floats_store_upto(job->first_moment + i, m, left);
    floats_store_upto(job->second_moment + i, v, left);
    floats_store_upto(job->parameter + i, p, left);
    return p;
}

/* The bf16 copy goes past the caches: the next step reads it when they have long held other things, and no line of it is read to be
 * overwritten. */
static void adamw(const AdamwJob *job, const AdamwFactors *factors, size_t first, size_t last)
{
    const AdamwFactors own = *factors; /* which no store below can change */
    const AdamwJob at = *job;
    size_t i = first;
    if (at.bf16 != NULL && (uintptr_t)(at.bf16 + first) % (2 * LANES * sizeof *at.bf16) == 0) {
        for (; last - i >= 2 * LANES; i += 2 * LANES) {
            Floats p = adamw_at(&at, &own, i, LANES);
            floats_stream_bf16_two(at.bf16 + i, p, adamw_at(&at, &own, i + LANES, LANES));
        }
        floats_stream_end();
    }
    for (; i < last; i += LANES) {
        Floats p = adamw_at(&at, &own, i, last - i);
        if (at.bf16 != NULL) {
            floats_store_bf16_upto(at.bf16 + i, p, last - i);
        }
    }
}

/* Where the first moment has died away, or never was, a step moves nothing: it decays, by products that need no root and no division. */
static inline void adamw_late_vectors(const AdamwJob *job, const AdamwFactors *steps, size_t step_count, size_t at, size_t vectors,
                                      size_t left)
{
    enum { VECTORS_MAX = 4 };
    Floats p[VECTORS_MAX], m[VECTORS_MAX], v[VECTORS_MAX];
    bool still = true;
    for (size_t j = 0; j < vectors; j++) {
        p[j] = floats_load_upto(job->parameter + at + j * LANES, left - j * LANES);
        m[j] = floats_load_upto(job->first_moment + at + j * LANES, left - j * LANES);
        v[j] = floats_load_upto(job->second_moment + at + j * LANES, left - j * LANES);
        still = floats_no_bits(m[j]) && still;
    }
    for (size_t step = 0; step < step_count; step++) {
        for (size_t j = 0; j < vectors; j++) {
            if (still) {
                p[j] = floats_multiply(p[j], floats_set(steps[step].decay));
                v[j] = floats_multiply(floats_set(steps[step].keep2), v[j]);
            } else {
                p[j] = adamw_vector(&steps[step], floats_zero(), p[j], &m[j], &v[j]);
            }
        }
    }
    for (size_t j = 0; j < vectors; j++) {
        floats_store_upto(job->parameter + at + j * LANES, p[j], left - j * LANES);
        floats_store_upto(job->first_moment + at + j * LANES, m[j], left - j * LANES);
        floats_store_upto(job->second_moment + at + j * LANES, v[j], left - j * LANES);
    }
}

/* Several vectors at once, since each step of one waits for the step before. */
static void adamw_late(const AdamwJob *job, const AdamwFactors *steps, size_t step_count, size_t first, size_t last)
{
    size_t i = first;
    for (; last - i >= 4 * LANES; i += 4 * LANES) {
        adamw_late_vectors(job, steps, step_count, i, 4, last - i);
    }
    for (; i < last; i += LANES) {
        adamw_late_vectors(job, steps, step_count, i, 1, last - i);
    }
}

/* Of one stretch, in float: at most 256 elements in one lane's sum. */
static double sum_of_squares(const float *x, size_t count)
{
    Floats sums[4] = {floats_zero(), floats_zero(), floats_zero(), floats_zero()};
    size_t i = 0;
    for (; count - i >= 4 * LANES; i += 4 * LANES) {
        for (size_t part = 0; part < 4; part++) {
            Floats v = floats_load(x + i + part * LANES);
            sums[part] = floats_multiply_add(v, v, sums[part]);
        }
    }
    for (; i < count; i += LANES) {
        Floats v = floats_load_upto(x + i, count - i);
        sums[0] = floats_multiply_add(v, v, sums[0]);
    }
    return (double)floats_sum(floats_add(floats_add(sums[0], sums[1]), floats_add(sums[2], sums[3])));
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
