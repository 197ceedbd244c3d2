/* Dropout masks of attention with a query in each lane: one vector of counters gives the words of four neighbouring keys, which are four
 * masks of lanes. The same words as mask_bits (math.h), where lanes are keys.
 *
 * A vector of 32-bit numbers is held as two, its even and its odd lanes, in the lower halves of 64 bits with anything above them, as VPMULUDQ
 * reads and leaves them: nothing is put together before the last round. Source: Salmon et al. 2011, Philox 4x32-10. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_LANE_MASK_H
#define NERSWEEP_KERNELS_CPU_SIMD_LANE_MASK_H

#include "kernels/cpu/simd/math.h"

enum { LANE_MASK_KEYS = 4 };

typedef struct SplitWords {
    Words even, odd;
} SplitWords;

static const uint32_t philox_first = 0xD2511F53u, philox_second = 0xCD9E8D57u;
static const uint32_t philox_key_step[2] = {0x9E3779B9u, 0xBB67AE85u};

static inline SplitWords split_of(Words v)
{
    return (SplitWords){v, _mm512_srli_epi64(v, 32)};
}
static inline SplitWords split_multiply(SplitWords a, uint32_t factor)
{
    const Words all = words_set(factor);
    return (SplitWords){_mm512_mul_epu32(a.even, all), _mm512_mul_epu32(a.odd, all)};
}
/* Upper halves of products, which lie above the lower ones. */
static inline SplitWords split_high(SplitWords products)
{
    return (SplitWords){_mm512_shuffle_epi32(products.even, _MM_PERM_DDBB), _mm512_shuffle_epi32(products.odd, _MM_PERM_DDBB)};
}
static inline SplitWords split_xor(SplitWords a, SplitWords b, uint32_t key)
{
    const Words all = words_set(key);
    return (SplitWords){words_xor(a.even, b.even, all), words_xor(a.odd, b.odd, all)};
}
static inline Words split_join(SplitWords v)
{
    return _mm512_mask_blend_epi32(0xAAAA, v.even, _mm512_slli_epi64(v.odd, 32));
}

/* LANES queries. Of the first two rounds, what does not depend on the key. */
typedef struct LaneMask {
    bool on;
    uint32_t threshold;
    PhiloxKey key;
    SplitWords position, third,
        fourth; /* third: the second round's product; fourth: the second counter word to come, but for its product */
} LaneMask;

/* Queries from t on, of which `remaining` are there. */
static LaneMask lane_mask(const Mask *mask, const HostBlock *pieces, size_t t, size_t remaining, uint32_t site)
{
    LaneMask lanes = {.on = mask->on, .threshold = mask->threshold, .key = mask->key};
    if (!mask->on) {
        return lanes;
    }
    const SplitWords zero = {words_set(0), words_set(0)};
    SplitWords slot = split_of(_mm512_maskz_loadu_epi32((__mmask16)first_bits(remaining), pieces->slots + t));
    lanes.position = split_of(_mm512_maskz_loadu_epi32((__mmask16)first_bits(remaining), pieces->positions + t));
    slot = split_multiply(slot, philox_first);
    lanes.third = split_multiply(split_xor(split_high(slot), zero, site ^ mask->key.word[1]), philox_second);
    lanes.fourth = split_xor(slot, zero, mask->key.word[1] + philox_key_step[1]);
    return lanes;
}

/* kept[i]: the lanes that keep key LANE_MASK_KEYS quad + i. */
static inline __attribute__((always_inline)) void lane_mask_bits(const LaneMask *lanes, uint32_t quad,
                                                                 uint32_t kept[LANE_MASK_KEYS])
{
    if (!lanes->on) {
        FOR_BATCH(i) kept[i] = first_bits(LANES);
        return;
    }
    const SplitWords zero = {words_set(0), words_set(0)};
    uint32_t k0 = lanes->key.word[0], k1 = lanes->key.word[1];
    uint64_t product = (uint64_t)quad * philox_second;
    SplitWords c3 = split_multiply(split_xor(lanes->position, zero, (uint32_t)(product >> 32) ^ k0), philox_first);
    k0 += philox_key_step[0];
    k1 += philox_key_step[1];
    SplitWords c0 = split_xor(split_high(lanes->third), zero, (uint32_t)product ^ k0), c1 = lanes->third;
    SplitWords c2 = split_xor(split_high(c3), lanes->fourth, 0);
#pragma GCC unroll 8
    for (int round = 2; round < 10; round++) {
        SplitWords first = split_multiply(c0, philox_first), second = split_multiply(c2, philox_second);
        k0 += philox_key_step[0];
        k1 += philox_key_step[1];
        c0 = split_xor(split_high(second), c1, k0);
        c2 = split_xor(split_high(first), c3, k1);
        c1 = second;
        c3 = first;
    }
    const Words threshold = words_set(lanes->threshold);
    kept[0] = words_at_least(split_join(c0), threshold);
    kept[1] = words_at_least(split_join(c1), threshold);
    kept[2] = words_at_least(split_join(c2), threshold);
    kept[3] = words_at_least(split_join(c3), threshold);
}

#endif
