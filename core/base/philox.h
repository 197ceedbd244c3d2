/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator.
 *
 * Every random number of nersweep is a pure function of a key (seed, purpose, step) and a counter (what it is for), so none depends
 * on thread count, packing, rank or restart (semantics.md section 4). */
#ifndef NERSWEEP_CORE_BASE_PHILOX_H
#define NERSWEEP_CORE_BASE_PHILOX_H

#include <stdint.h>

typedef struct PhiloxKey {
    uint32_t word[2];
} PhiloxKey;
typedef struct PhiloxBlock {
    uint32_t word[4];
} PhiloxBlock;

typedef enum RandomPurpose {
    RANDOM_DROPOUT = 1,    /* step = optimizer step; counter (slot in the global batch, token in the sequence, channel / 4, site) */
    RANDOM_SHUFFLE = 2,    /* step = epoch; counter (index, 0, 0, 0) */
    RANDOM_OVERSAMPLE = 3, /* step = epoch; counter (window, 0, 0, 0) */
    RANDOM_INIT = 4,       /* step = parameter index; counter (element / 4, 0, 0, 0) */
    RANDOM_SEARCH = 5,     /* step = trial; counter (parameter index, draw, 0, 0) */
    RANDOM_BOOTSTRAP = 6,  /* step = resample; counter (index / 4, 0, 0, 0) */
} RandomPurpose;

/* key = {low half of seed xor purpose * 0x9E3779B9, step xor high half of seed}. Header-inline so that kernels can vectorise it. */
static inline PhiloxKey philox_key(uint64_t seed, RandomPurpose purpose, uint32_t step)
{
    PhiloxKey key = {{(uint32_t)seed ^ ((uint32_t)purpose * 0x9E3779B9u), (uint32_t)(seed >> 32) ^ step}};
    return key;
}

static inline PhiloxBlock philox4x32_10(PhiloxKey key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    PhiloxBlock block = {{c0, c1, c2, c3}};
    return block;
}

/* Uniform in [0, 1): the top 24 bits. */
static inline float philox_uniform_float(uint32_t word)
{
    return (float)(word >> 8) * (1.0f / 16777216.0f);
}

/* Uniform in [0, 1) from two words: 53 bits. */
static inline double philox_uniform_double(uint32_t high, uint32_t low)
{
    return (double)((((uint64_t)high << 32) | low) >> 11) * (1.0 / 9007199254740992.0);
}

/* Uniform integer in [0, bound), bound >= 1, by multiply-shift of 64 bits (bias below 2^-32 for bounds below 2^32). */
static inline uint64_t philox_uniform_below(uint32_t high, uint32_t low, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)(((uint64_t)high << 32) | low) * bound) >> 64);
}

#endif
