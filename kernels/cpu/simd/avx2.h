/* Vector primitives with AVX2, FMA and BMI2 (8 lanes). See avx512.h for what each is. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_AVX2_H
#define NERSWEEP_KERNELS_CPU_SIMD_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8 };
#define TILE_ROWS 6
#define LEVEL_BEATS_BLAS true

typedef __m256 Floats;
typedef __m256i Words;

static inline __m256i lane_numbers(void)
{
    return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
}
static inline __m256i first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane_numbers());
}

static inline Floats floats_zero(void)
{
    return _mm256_setzero_ps();
}
static inline Floats floats_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline Floats floats_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void floats_store(float *p, Floats v)
{
    _mm256_storeu_ps(p, v);
}
/* Past the caches, to p at a whole vector: for what is not read again soon. floats_stream_end comes before anybody else reads it. */
static inline void floats_stream(float *p, Floats v)
{
    _mm256_stream_ps(p, v);
}
static inline void floats_stream_end(void)
{
    _mm_sfence();
}
static inline Floats floats_load_first(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, first_lanes(n));
}
static inline void floats_store_first(float *p, Floats v, size_t n)
{
    _mm256_maskstore_ps(p, first_lanes(n), v);
}
static inline Floats floats_add(Floats a, Floats b)
{
    return _mm256_add_ps(a, b);
}
static inline Floats floats_subtract(Floats a, Floats b)
{
    return _mm256_sub_ps(a, b);
}
static inline Floats floats_multiply(Floats a, Floats b)
{
    return _mm256_mul_ps(a, b);
}
static inline Floats floats_divide(Floats a, Floats b)
{
    return _mm256_div_ps(a, b);
}
static inline Floats floats_multiply_add(Floats a, Floats b, Floats c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline Floats floats_subtract_product(Floats c, Floats a, Floats b)
{
    return _mm256_fnmadd_ps(a, b, c);
}
static inline Floats floats_smaller(Floats a, Floats b)
{
    return _mm256_min_ps(a, b);
}
static inline Floats floats_larger(Floats a, Floats b)
{
    return _mm256_max_ps(a, b);
}
static inline Floats floats_root(Floats a)
{
    return _mm256_sqrt_ps(a);
}
static inline bool floats_no_bits(Floats a)
{
    return _mm256_testz_si256(_mm256_castps_si256(a), _mm256_castps_si256(a)) != 0;
}
static inline Floats floats_round(Floats a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline Floats floats_scale(Floats a, Floats n)
{
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(exponent));
}
static inline Floats floats_choose_negative(Floats x, Floats if_negative, Floats otherwise)
{
    return _mm256_blendv_ps(otherwise, if_negative, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
static inline Floats floats_keep(Floats v, uint32_t bits)
{
    __m256i own = _mm256_sllv_epi32(_mm256_set1_epi32(1), lane_numbers());
    __m256i kept = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), own), own);
    return _mm256_and_ps(v, _mm256_castsi256_ps(kept));
}
static inline float floats_sum(Floats v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float floats_largest(Floats v)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline void floats_transpose(Floats v[LANES])
{
    Floats a[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        __m256d low = _mm256_castps_pd(_mm256_unpacklo_ps(v[i], v[i + 1])),
                high = _mm256_castps_pd(_mm256_unpackhi_ps(v[i], v[i + 1]));
        __m256d low2 = _mm256_castps_pd(_mm256_unpacklo_ps(v[i + 2], v[i + 3]));
        __m256d high2 = _mm256_castps_pd(_mm256_unpackhi_ps(v[i + 2], v[i + 3]));
        a[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, low2));
        a[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, low2));
        a[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high, high2));
        a[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high, high2));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
    }
}

static inline Words words_set(uint32_t x)
{
    return _mm256_set1_epi32((int)x);
}
static inline Words words_count_from(uint32_t first)
{
    return _mm256_add_epi32(words_set(first), lane_numbers());
}
static inline Words words_xor(Words a, Words b, Words c)
{
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
static inline Words words_multiply(Words a, Words b, Words *high)
{
    Words even = _mm256_mul_epu32(a, b), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), b);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
static inline uint32_t words_at_least(Words a, Words b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a)));
}
static inline uint64_t bits_spread(uint32_t bits)
{
    return _pdep_u64(bits, 0x1111111111111111u);
}

static inline Floats floats_of_words(Words v)
{
    return _mm256_castsi256_ps(v);
}
static inline Words words_of_floats(Floats v)
{
    return _mm256_castps_si256(v);
}
static inline Words words_load(const void *p)
{
    return _mm256_loadu_si256(p);
}
static inline void words_store(void *p, Words v)
{
    _mm256_storeu_si256(p, v);
}
static inline Words words_load_halves(const uint16_t *p)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline Words words_upper(Words v)
{
    return _mm256_slli_epi32(v, 16);
}
static inline Words words_or(Words a, Words b)
{
    return _mm256_or_si256(a, b);
}
static inline Floats floats_load_bf16(const uint16_t *p)
{
    return floats_of_words(words_upper(words_load_halves(p)));
}
static inline void floats_store_bf16(uint16_t *p, Floats v)
{
    Words bits = words_of_floats(v), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), words_set(1));
    Words rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, words_set(0x7FFF)));
    Words nan = words_of_floats(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    rounded = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, words_or(bits, words_set(0x400000)), nan), 16);
    __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    _mm_storeu_si128((__m128i *)(void *)p, packed);
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
    return floats_multiply_add(floats_of_words(_mm256_and_si256(a, high)), floats_of_words(_mm256_and_si256(b, high)), sum);
}

#endif
