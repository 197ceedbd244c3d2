/* Vector primitives in the compiler's own vectors of 4 lanes, for any processor. See avx512.h for what each is. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_PORTABLE_H
#define NERSWEEP_KERNELS_CPU_SIMD_PORTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/bf16.h"

enum { LANES = 4 };
#define TILE_ROWS 4
#define LEVEL_BEATS_BLAS false

typedef float Floats __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(16)));
typedef uint64_t Doublewords __attribute__((vector_size(32)));
typedef int32_t Integers __attribute__((vector_size(16)));

static inline Floats floats_choose(Words mask, Floats if_set, Floats otherwise)
{
    return (Floats)(((Words)if_set & mask) | ((Words)otherwise & ~mask));
}

static inline Floats floats_zero(void)
{
    return (Floats){0.0f, 0.0f, 0.0f, 0.0f};
}
static inline Floats floats_set(float x)
{
    return (Floats){x, x, x, x};
}
static inline Floats floats_load(const float *p)
{
    Floats v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void floats_store(float *p, Floats v)
{
    memcpy(p, &v, sizeof v);
}
/* Past the caches, to p at a whole vector: for what is not read again soon. floats_stream_end comes before anybody else reads it. */
static inline void floats_stream(float *p, Floats v)
{
    floats_store(p, v);
}
static inline void floats_stream_end(void)
{
}
static inline Floats floats_load_first(const float *p, size_t n)
{
    Floats v = floats_zero();
    for (size_t i = 0; i < n; i++) {
        v[i] = p[i];
    }
    return v;
}
static inline void floats_store_first(float *p, Floats v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = v[i];
    }
}
static inline Floats floats_add(Floats a, Floats b)
{
    return a + b;
}
static inline Floats floats_subtract(Floats a, Floats b)
{
    return a - b;
}
static inline Floats floats_multiply(Floats a, Floats b)
{
    return a * b;
}
static inline Floats floats_divide(Floats a, Floats b)
{
    return a / b;
}
static inline Floats floats_multiply_add(Floats a, Floats b, Floats c)
{
    return a * b + c;
}
static inline Floats floats_subtract_product(Floats c, Floats a, Floats b)
{
    return c - a * b;
}
static inline Floats floats_smaller(Floats a, Floats b)
{
    return floats_choose((Words)(a < b), a, b);
}
static inline Floats floats_larger(Floats a, Floats b)
{
    return floats_choose((Words)(a > b), a, b);
}
static inline Floats floats_root(Floats a)
{
    for (int i = 0; i < LANES; i++) {
        a[i] = __builtin_sqrtf(a[i]);
    }
    return a;
}
/* Adding 1.5 * 2^23 leaves no bit for a fraction; for numbers below 2^22. */
static inline bool floats_no_bits(Floats a)
{
    Words bits = (Words)a;
    return (bits[0] | bits[1] | bits[2] | bits[3]) == 0;
}
static inline Floats floats_round(Floats a)
{
    return (a + 12582912.0f) - 12582912.0f;
}
static inline Floats floats_scale(Floats a, Floats n)
{
    Words in_range = (Words)(n >= -126.0f) & (Words)(n <= 127.0f); /* a lane that is not a number cannot be converted */
    Integers exponent = __builtin_convertvector(floats_choose(in_range, n, floats_zero()), Integers);
    return a * (Floats)((exponent + 127) << 23);
}
static inline Floats floats_choose_negative(Floats x, Floats if_negative, Floats otherwise)
{
    return floats_choose((Words)(x < 0.0f), if_negative, otherwise);
}
static inline Floats floats_keep(Floats v, uint32_t bits)
{
    Words own = {1, 2, 4, 8};
    return (Floats)((Words)v & (Words)((own & bits) == own));
}
static inline float floats_sum(Floats v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}
static inline float floats_largest(Floats v)
{
    float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
    return a > b ? a : b;
}

static inline void floats_transpose(Floats v[LANES])
{
    for (int i = 0; i < LANES; i++) {
        for (int j = 0; j < i; j++) {
            float swapped = v[i][j];
            v[i][j] = v[j][i];
            v[j][i] = swapped;
        }
    }
}

static inline Words words_set(uint32_t x)
{
    return (Words){x, x, x, x};
}
static inline Words words_count_from(uint32_t first)
{
    return (Words){0, 1, 2, 3} + first;
}
static inline Words words_xor(Words a, Words b, Words c)
{
    return a ^ b ^ c;
}
static inline Words words_multiply(Words a, Words b, Words *high)
{
    Doublewords product = __builtin_convertvector(a, Doublewords) * __builtin_convertvector(b, Doublewords);
    *high = __builtin_convertvector(product >> 32, Words);
    return __builtin_convertvector(product, Words);
}
static inline uint32_t words_at_least(Words a, Words b)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < LANES; i++) {
        bits |= (uint32_t)(a[i] >= b[i]) << i;
    }
    return bits;
}
static inline uint64_t bits_spread(uint32_t bits)
{
    return (bits & 1u) | (bits & 2u) << 3 | (bits & 4u) << 6 | (bits & 8u) << 9;
}

static inline Floats floats_of_words(Words v)
{
    return (Floats)v;
}
static inline Words words_of_floats(Floats v)
{
    return (Words)v;
}
static inline Words words_load(const void *p)
{
    Words v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void words_store(void *p, Words v)
{
    memcpy(p, &v, sizeof v);
}
static inline Words words_load_halves(const uint16_t *p)
{
    return (Words){p[0], p[1], p[2], p[3]};
}
static inline Words words_upper(Words v)
{
    return v << 16;
}
static inline Words words_or(Words a, Words b)
{
    return a | b;
}
static inline Floats floats_load_bf16(const uint16_t *p)
{
    return floats_of_words(words_upper(words_load_halves(p)));
}
static inline void floats_store_bf16(uint16_t *p, Floats v)
{
    for (size_t i = 0; i < LANES; i++) {
        p[i] = bf16_from_float(v[i]);
    }
}
static inline void floats_store_bf16_two(uint16_t *p, Floats first, Floats second)
{
    floats_store_bf16(p, first);
    floats_store_bf16(p + LANES, second);
}
static inline void floats_stream_bf16_two(uint16_t *p, Floats first, Floats second)
{
    floats_store_bf16_two(p, first, second); /* no vector of this level is a whole cache line of them */
}
static inline Floats pairs_multiply_add(Floats sum, Words a, Words b)
{
    const Words high = words_set(0xFFFF0000u);
    sum = floats_multiply_add(floats_of_words(words_upper(a)), floats_of_words(words_upper(b)), sum);
    return floats_multiply_add(floats_of_words(a & high), floats_of_words(b & high), sum);
}

#endif
