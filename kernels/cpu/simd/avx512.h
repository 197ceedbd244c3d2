/* Vector primitives with AVX-512F (16 lanes), and BMI2 for masks. Its two sisters avx2.h and portable.h have the same names. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_AVX512_H
#define NERSWEEP_KERNELS_CPU_SIMD_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A tile of sums is TILE_ROWS x 2 vectors: as many as the 32 registers hold beside two vectors of b and one of a. */
enum { LANES = 16 };
#define TILE_ROWS 12
#define LEVEL_BEATS_BLAS true

typedef __m512 Floats; /* LANES floats */
typedef __m512i Words; /* LANES uint32 */

static inline Floats floats_zero(void)
{
    return _mm512_setzero_ps();
}
static inline Floats floats_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline Floats floats_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void floats_store(float *p, Floats v)
{
    _mm512_storeu_ps(p, v);
}
/* Past the caches, to p at a whole vector: for what is not read again soon. floats_stream_end comes before anybody else reads it. */
static inline void floats_stream(float *p, Floats v)
{
    _mm512_stream_ps(p, v);
}
static inline void floats_stream_end(void)
{
    _mm_sfence();
}
/* The first n lanes, 1 <= n < LANES; the others are zero, and untouched in memory. */
static inline Floats floats_load_first(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void floats_store_first(float *p, Floats v, size_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
static inline Floats floats_add(Floats a, Floats b)
{
    return _mm512_add_ps(a, b);
}
static inline Floats floats_subtract(Floats a, Floats b)
{
    return _mm512_sub_ps(a, b);
}
static inline Floats floats_multiply(Floats a, Floats b)
{
    return _mm512_mul_ps(a, b);
}
static inline Floats floats_divide(Floats a, Floats b)
{
    return _mm512_div_ps(a, b);
}
static inline Floats floats_multiply_add(Floats a, Floats b, Floats c) /* a b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline Floats floats_subtract_product(Floats c, Floats a, Floats b) /* c - a b */
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* A lane of b that is not a number stays one. */
static inline Floats floats_smaller(Floats a, Floats b)
{
    return _mm512_min_ps(a, b);
}
static inline Floats floats_larger(Floats a, Floats b)
{
    return _mm512_max_ps(a, b);
}
static inline Floats floats_root(Floats a)
{
    return _mm512_sqrt_ps(a);
}
/* Whether all lanes are 0, and none of them -0. */
static inline bool floats_no_bits(Floats a)
{
    return _mm512_test_epi32_mask(_mm512_castps_si512(a), _mm512_castps_si512(a)) == 0;
}
static inline Floats floats_round(Floats a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a 2^n for whole n in -126 .. 127 */
static inline Floats floats_scale(Floats a, Floats n)
{
    return _mm512_scalef_ps(a, n);
}
static inline Floats floats_choose_negative(Floats x, Floats if_negative, Floats otherwise)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), otherwise, if_negative);
}
/* Lane i where bit i is set, else 0. */
static inline Floats floats_keep(Floats v, uint32_t bits)
{
    return _mm512_maskz_mov_ps((__mmask16)bits, v);
}
static inline float floats_sum(Floats v)
{
    return _mm512_reduce_add_ps(v);
}
static inline float floats_largest(Floats v)
{
    return _mm512_reduce_max_ps(v);
}

/* Row i becomes column i. */
static inline void floats_transpose(Floats v[LANES])
{
    Floats a[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) { /* 4 x 4 blocks inside the 128-bit quarters */
        __m512d low = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1])),
                high = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
        __m512d low2 = _mm512_castps_pd(_mm512_unpacklo_ps(v[i + 2], v[i + 3]));
        __m512d high2 = _mm512_castps_pd(_mm512_unpackhi_ps(v[i + 2], v[i + 3]));
        a[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
        a[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
        a[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
        a[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* a 4 x 4 transpose of the quarters */
        Floats even = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), odd = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xDD);
        Floats even2 = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88), odd2 = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xDD);
        v[i] = _mm512_shuffle_f32x4(even, even2, 0x88);
        v[i + 4] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(even, even2, 0xDD);
        v[i + 12] = _mm512_shuffle_f32x4(odd, odd2, 0xDD);
    }
}

static inline Words words_set(uint32_t x)
{
    return _mm512_set1_epi32((int)x);
}
static inline Words words_count_from(uint32_t first)
{
    return _mm512_add_epi32(words_set(first), _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}
static inline Words words_xor(Words a, Words b, Words c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
/* The two halves of the 64-bit products. */
static inline Words words_multiply(Words a, Words b, Words *high)
{
    Words even = _mm512_mul_epu32(a, b), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), b);
    *high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
    return _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}
/* Bit i: lane i of a >= b, unsigned. */
static inline uint32_t words_at_least(Words a, Words b)
{
    return _mm512_cmpge_epu32_mask(a, b);
}
/* Bit 4 i of the result is bit i of bits. */
static inline uint64_t bits_spread(uint32_t bits)
{
    return _pdep_u64(bits, 0x1111111111111111u);
}

/* The words' bits as floats and back, for moving them about. */
static inline Floats floats_of_words(Words v)
{
    return _mm512_castsi512_ps(v);
}
static inline Words words_of_floats(Floats v)
{
    return _mm512_castps_si512(v);
}
static inline Words words_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
static inline void words_store(void *p, Words v)
{
    _mm512_storeu_si512(p, v);
}
/* LANES bf16 numbers, one in each word's lower half. */
static inline Words words_load_halves(const uint16_t *p)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline Words words_upper(Words v) /* each word's lower half moved up */
{
    return _mm512_slli_epi32(v, 16);
}
static inline Words words_lower(Words v) /* and the upper half moved down */
{
    return _mm512_srli_epi32(v, 16);
}
static inline Words words_or(Words a, Words b)
{
    return _mm512_or_si512(a, b);
}
static inline Floats floats_load_bf16(const uint16_t *p)
{
    return floats_of_words(words_upper(words_load_halves(p)));
}
static inline void floats_store_bf16(uint16_t *p, Floats v)
{
#ifdef __AVX512BF16__
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(v));
#else
    Words bits = words_of_floats(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), words_set(1));
    Words rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, words_set(0x7FFF)));
    rounded = _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits, words_set(0x400000));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
#endif
}
/* Two vectors as neighbours. */
static inline void floats_store_bf16_two(uint16_t *p, Floats first, Floats second)
{
#ifdef __AVX512BF16__
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(second, first));
#else
    floats_store_bf16(p, first);
    floats_store_bf16(p + LANES, second);
#endif
}
#ifdef __AVX512BF16__
/* Pairs of bf16 numbers: each lane's earlier number in the lower half. And the numbers of pairs. */
static inline Words pairs_of_floats(Floats earlier, Floats later)
{
    const Words order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                         19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(later, earlier));
}
static inline Floats pairs_earlier(Words pairs)
{
    return floats_of_words(words_upper(pairs));
}
static inline Floats pairs_later(Words pairs)
{
    return floats_of_words(_mm512_and_si512(pairs, words_set(0xFFFF0000u)));
}
#endif
/* The same past the caches, to p at a whole vector. */
static inline void floats_stream_bf16_two(uint16_t *p, Floats first, Floats second)
{
#ifdef __AVX512BF16__
    _mm512_stream_si512((__m512i *)(void *)p, (__m512i)_mm512_cvtne2ps_pbh(second, first));
#else
    floats_store_bf16_two(p, first, second);
#endif
}
/* sum + a's lower b's lower + a's upper b's upper, of bf16 numbers in words */
static inline Floats pairs_multiply_add(Floats sum, Words a, Words b)
{
#ifdef __AVX512BF16__
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
#else
    const Words high = words_set(0xFFFF0000u);
    sum = floats_multiply_add(floats_of_words(words_upper(a)), floats_of_words(words_upper(b)), sum);
    return floats_multiply_add(floats_of_words(_mm512_and_si512(a, high)), floats_of_words(_mm512_and_si512(b, high)), sum);
#endif
}

#endif
