/* exp, GELU and its derivative on vectors, and dropout masks: written once over the primitives of avx512.h, avx2.h or portable.h, one of
 * which the including file has included before. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_MATH_H
#define NERSWEEP_KERNELS_CPU_SIMD_MATH_H

#include <math.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/cpu/host_buffer.h"

/* The full vector at p, or its first lanes where fewer than LANES remain. */
static inline Floats floats_load_upto(const float *p, size_t remaining)
{
    return remaining >= LANES ? floats_load(p) : floats_load_first(p, remaining);
}
static inline void floats_store_upto(float *p, Floats v, size_t remaining)
{
    if (remaining >= LANES) {
        floats_store(p, v);
    } else {
        floats_store_first(p, v, remaining);
    }
}
/* The same of bf16 numbers. */
static inline Floats floats_load_bf16_upto(const uint16_t *p, size_t remaining)
{
    uint16_t first[LANES] = {0};
    if (remaining >= LANES) {
        return floats_load_bf16(p);
    }
    memcpy(first, p, remaining * sizeof *p);
    return floats_load_bf16(first);
}
static inline void floats_store_bf16_upto(uint16_t *p, Floats v, size_t remaining)
{
    uint16_t all[LANES];
    if (remaining >= LANES) {
        floats_store_bf16(p, v);
        return;
    }
    floats_store_bf16(all, v);
    memcpy(p, all, remaining * sizeof *p);
}
/* Number i and its neighbours of reals of either type. */
static inline Floats reals_load_upto(HostReals reals, size_t i, size_t remaining)
{
    return reals.bf16 != NULL ? floats_load_bf16_upto(reals.bf16 + i, remaining) : floats_load_upto(reals.floats + i, remaining);
}
static inline void reals_store_upto(HostReals reals, size_t i, Floats v, size_t remaining)
{
    if (reals.bf16 != NULL) {
        floats_store_bf16_upto(reals.bf16 + i, v, remaining);
    } else {
        floats_store_upto(reals.floats + i, v, remaining);
    }
}
/* Bits for floats_keep that keep the lanes below remaining. */
static inline uint32_t first_bits(size_t remaining)
{
    return remaining >= LANES ? (uint32_t)((UINT64_C(1) << LANES) - 1) : (1u << remaining) - 1;
}

/* Polynomials are long chains of operations that wait for each other, so vectors are taken BATCH at a time: the steps of one fill the
 * waiting of the others. */
enum { BATCH = 4 };
#define FOR_BATCH(i) _Pragma("GCC unroll 4") for (size_t i = 0; i < BATCH; i++)

/* x[i] = exp(x[i]) for x <= 80, about 1 ulp; below -87 it stays at 1.6e-38. x = n ln 2 + r with |r| <= ln 2 / 2, where Taylor's polynomial of
 * degree 7 is off by less than 6e-9 of the value. ln 2 in two parts, the first exact in a product with n. */
static inline __attribute__((always_inline)) void batch_exp(Floats x[BATCH])
{
    static const float taylor[] = {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f};
    Floats n[BATCH], r[BATCH], p[BATCH];
    FOR_BATCH(i) x[i] = floats_smaller(floats_set(80.0f), floats_larger(floats_set(-87.0f), x[i]));
    FOR_BATCH(i) n[i] = floats_round(floats_multiply(x[i], floats_set(1.44269504089f)));
    FOR_BATCH(i) r[i] = floats_subtract_product(x[i], n[i], floats_set(0.693359375f));
    FOR_BATCH(i) r[i] = floats_subtract_product(r[i], n[i], floats_set(-2.12194440055e-4f));
    FOR_BATCH(i) p[i] = floats_multiply_add(floats_set(1.0f / 5040.0f), r[i], floats_set(taylor[0]));
#pragma GCC unroll 4
    for (int term = 1; term < 5; term++) {
        FOR_BATCH(i) p[i] = floats_multiply_add(p[i], r[i], floats_set(taylor[term]));
    }
    FOR_BATCH(i) p[i] = floats_multiply_add(floats_multiply(p[i], r[i]), r[i], floats_add(r[i], floats_set(1.0f)));
    FOR_BATCH(i) x[i] = floats_scale(p[i], n[i]);
}

/* below[i]: the normal distribution's cumulative function at x[i]; bell[i] = exp(-x[i]^2 / 2).
 * It is erfc(u) / 2 for x = -u sqrt(2) <= 0, so that the tail keeps its relative precision, and 1 minus that for x > 0.
 * erfc(u) = exp(-u^2) t P(t), t = 1 / (1 + 0.3 u): P is a Chebyshev fit over u in 0 .. 10, off by less than 2.5e-8 of the value. */
static inline __attribute__((always_inline)) void batch_normal(const Floats x[BATCH], Floats below[BATCH], Floats bell[BATCH])
{
    static const float fit[] = {-0.1307708773f, 0.4919342706f, -0.5261516628f, 0.5645142422f, -0.1069833625f,
                                0.2205391691f,  0.1467960222f, 0.1709491199f,  0.1691730577f};
    Floats t[BATCH], p[BATCH];
    FOR_BATCH(i) bell[i] = floats_multiply(floats_multiply(x[i], x[i]), floats_set(-0.5f));
    batch_exp(bell);
    FOR_BATCH(i) t[i] = floats_larger(x[i], floats_subtract(floats_zero(), x[i]));
    FOR_BATCH(i) t[i] = floats_multiply_add(t[i], floats_set(0.3f * 0.70710678119f), floats_set(1.0f));
    FOR_BATCH(i) t[i] = floats_divide(floats_set(1.0f), t[i]);
    FOR_BATCH(i) p[i] = floats_multiply_add(floats_set(fit[0]), t[i], floats_set(fit[1]));
#pragma GCC unroll 8
    for (int term = 2; term < 9; term++) {
        FOR_BATCH(i) p[i] = floats_multiply_add(p[i], t[i], floats_set(fit[term]));
    }
    FOR_BATCH(i) p[i] = floats_multiply(floats_multiply(floats_multiply(p[i], t[i]), bell[i]), floats_set(0.5f));
    FOR_BATCH(i) below[i] = floats_choose_negative(x[i], p[i], floats_subtract(floats_set(1.0f), p[i]));
}

/* x[i] times an even polynomial in x[i], highest coefficient first, plus 1/2, for x held within -+ limit. */
static inline __attribute__((always_inline)) void batch_half_plus_odd(Floats x[BATCH], const float *coefficients, const int count,
                                                                      const float limit, Floats result[BATCH])
{
    Floats square[BATCH];
    FOR_BATCH(i) x[i] = floats_smaller(floats_set(limit), floats_larger(floats_set(-limit), x[i]));
    FOR_BATCH(i) square[i] = floats_multiply(x[i], x[i]);
    FOR_BATCH(i) result[i] = floats_multiply_add(floats_set(coefficients[0]), square[i], floats_set(coefficients[1]));
#pragma GCC unroll 12
    for (int term = 2; term < count; term++) {
        FOR_BATCH(i) result[i] = floats_multiply_add(result[i], square[i], floats_set(coefficients[term]));
    }
    FOR_BATCH(i) result[i] = floats_multiply_add(result[i], x[i], floats_set(0.5f));
}

static inline __attribute__((always_inline)) void batch_load(Floats v[BATCH], const float *at)
{
    FOR_BATCH(i) v[i] = floats_load(at + i * LANES);
}

/* Numbers i and on of reals of either type; whole: there is all of a batch, else `remaining` numbers, and the other lanes are anything. */
static inline __attribute__((always_inline)) void batch_load_reals(const bool whole, Floats v[BATCH], HostReals reals, size_t i,
                                                                   size_t remaining)
{
    if (!whole) {
        for (size_t j = 0; j < BATCH; j++) {
            v[j] = j * LANES < remaining ? reals_load_upto(reals, i + j * LANES, remaining - j * LANES) : floats_zero();
        }
    } else if (reals.bf16 != NULL) {
        FOR_BATCH(j) v[j] = floats_load_bf16(reals.bf16 + i + j * LANES);
    } else {
        batch_load(v, reals.floats + i);
    }
}

static inline __attribute__((always_inline)) void batch_store_reals(const bool whole, const Floats v[BATCH], HostReals reals,
                                                                    size_t i, size_t remaining)
{
    if (!whole) {
        for (size_t j = 0; j < BATCH && j * LANES < remaining; j++) {
            reals_store_upto(reals, i + j * LANES, v[j], remaining - j * LANES);
        }
    } else if (reals.bf16 != NULL) {
        floats_store_bf16_two(reals.bf16 + i, v[0], v[1]);
        floats_store_bf16_two(reals.bf16 + i + 2 * LANES, v[2], v[3]);
    } else {
        FOR_BATCH(j) floats_store(reals.floats + i + j * LANES, v[j]);
    }
}

/* The same past the caches, where a batch of bf16 numbers makes whole cache lines. */
static inline __attribute__((always_inline)) void batch_stream_reals(const bool whole, const Floats v[BATCH], HostReals reals,
                                                                     size_t i, size_t remaining)
{
    if (whole && reals.bf16 != NULL && (uintptr_t)(reals.bf16 + i) % (2 * LANES * sizeof *reals.bf16) == 0) {
        floats_stream_bf16_two(reals.bf16 + i, v[0], v[1]);
        floats_stream_bf16_two(reals.bf16 + i + 2 * LANES, v[2], v[3]);
    } else {
        batch_store_reals(whole, v, reals, i, remaining);
    }
}

/* Of count values in place, count a multiple of BATCH * LANES. */
static void values_exp(float *values, size_t count)
{
    for (size_t j = 0; j < count; j += BATCH * LANES) {
        Floats v[BATCH];
        batch_load(v, values + j);
        batch_exp(v);
        FOR_BATCH(i) floats_store(values + j + i * LANES, v[i]);
    }
}

/* GELU and its derivative of x in place. */
static inline __attribute__((always_inline)) void batch_gelu(Floats x[BATCH])
{
    Floats below[BATCH], bell[BATCH];
    batch_normal(x, below, bell);
    FOR_BATCH(i) x[i] = floats_multiply(x[i], below[i]);
}

static inline __attribute__((always_inline)) void batch_gelu_derivative(Floats x[BATCH])
{
    Floats below[BATCH], bell[BATCH];
    batch_normal(x, below, bell);
    FOR_BATCH(i) x[i] = floats_multiply(x[i], floats_set(0.39894228040f));
    FOR_BATCH(i) x[i] = floats_multiply_add(x[i], bell[i], below[i]);
}

/* The same for results that are kept as bf16, whose rounding is 2e-3 of the value. The normal distribution's cumulative function is a
 * minimax polynomial off by 4e-6, and 3e-5 beyond its limit; the derivative's is off by 5e-5 (2e-4 with rounding), 7e-5 beyond. */
static inline __attribute__((always_inline)) void batch_gelu_coarse(Floats x[BATCH])
{
    static const float fit[] = {8.063385934e-11f,  -7.003446364e-09f, 2.716150964e-07f,  -6.294992340e-06f, 9.890802348e-05f,
                                -1.133921884e-03f, 9.877476427e-03f,  -6.641059478e-02f, 3.989227095e-01f};
    Floats held[BATCH], below[BATCH];
    FOR_BATCH(i) held[i] = x[i];
    batch_half_plus_odd(held, fit, 9, 4.0f, below);
    FOR_BATCH(i) x[i] = floats_multiply(x[i], below[i]);
}

static inline __attribute__((always_inline)) void batch_gelu_derivative_coarse(Floats x[BATCH])
{
    static const float fit[] = {-2.210805110e-11f, 2.521320872e-09f,  -1.268054220e-07f, 3.721935391e-06f,  -7.122194326e-05f,
                                9.405415224e-04f,  -8.815855346e-03f, 5.860928915e-02f,  -2.649256573e-01f, 7.976261335e-01f};
    Floats slope[BATCH];
    batch_half_plus_odd(x, fit, 10, 4.5f, slope);
    FOR_BATCH(i) x[i] = slope[i];
}

static inline Floats floats_exp(Floats x)
{
    Floats v[BATCH] = {x, x, x, x}; /* the compiler computes one */
    batch_exp(v);
    return v[0];
}

/* A dropout as the loops want it: an element is kept where its word is at least threshold. */
typedef struct Mask {
    PhiloxKey key;
    uint32_t threshold;
    float scale; /* of kept elements */
    bool on;
} Mask;

/* word >> 8 >= probability 2^24 is what "uniform number >= probability" means in exact arithmetic. */
static inline Mask mask_of(Dropout dropout)
{
    ASSERT(dropout.probability >= 0.0f && dropout.probability < 1.0f);
    return (Mask){
        .key = dropout.key,
        .threshold = (uint32_t)ceil((double)dropout.probability * 16777216.0) << 8,
        .scale = (float)(1.0 / (1.0 - (double)dropout.probability)),
        .on = dropout.probability > 0.0f,
    };
}

/* Bit i of the result: channel 4 quad + i is kept, for 4 LANES channels. Philox with one counter per lane. */
static inline uint64_t mask_bits(const Mask *mask, uint32_t slot, uint32_t position, uint32_t quad, uint32_t site)
{
    Words c0 = words_set(slot), c1 = words_set(position), c2 = words_count_from(quad), c3 = words_set(site);
    const Words first = words_set(0xD2511F53u), second = words_set(0xCD9E8D57u);
    uint32_t k0 = mask->key.word[0], k1 = mask->key.word[1];
    for (int round = 0; round < 10; round++) {
        Words high0, high1, low0 = words_multiply(c0, first, &high0), low1 = words_multiply(c2, second, &high1);
        c0 = words_xor(high1, c1, words_set(k0));
        c2 = words_xor(high0, c3, words_set(k1));
        c1 = low1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Words threshold = words_set(mask->threshold);
    return bits_spread(words_at_least(c0, threshold)) | bits_spread(words_at_least(c1, threshold)) << 1 |
           bits_spread(words_at_least(c2, threshold)) << 2 | bits_spread(words_at_least(c3, threshold)) << 3;
}

/* The mask of a row: bit c % 64 of bits[c / 64] for channel c < count. Nothing where dropout is off. */
static inline void mask_row(const Mask *mask, uint32_t slot, uint32_t position, uint32_t site, size_t count, uint64_t *bits)
{
    if (!mask->on) {
        return;
    }
    for (size_t c = 0; c < count; c += 64) {
        uint64_t word = 0;
        for (size_t part = 0; part < 64; part += 4 * LANES) {
            word |= mask_bits(mask, slot, position, (uint32_t)((c + part) / 4), site) << part;
        }
        bits[c / 64] = word;
    }
}

/* v, the vector at channel c (a multiple of LANES), with dropout. */
static inline Floats mask_apply(const Mask *mask, const uint64_t *bits, size_t c, Floats v)
{
    if (!mask->on) {
        return v;
    }
    return floats_keep(floats_multiply(v, floats_set(mask->scale)), (uint32_t)(bits[c / 64] >> (c % 64)) & first_bits(LANES));
}

#endif
