#include "coordinator/trial_set.h"

#include "core/base/memory.h"

enum { WORD_BITS = 64, WORD_SHIFT = 6 };

/* Level 0 has a bit for each trial; bit n of a higher one says whether word n of the one below has any. */
struct TrialSet {
    uint64_t words[TRIAL_SET_LIMIT / WORD_BITS + TRIAL_SET_LIMIT / (WORD_BITS * WORD_BITS) +
                   TRIAL_SET_LIMIT / (WORD_BITS * WORD_BITS * WORD_BITS) + 1];
};

static const uint32_t level_begin[TRIAL_SET_LEVELS] = {
    0,
    TRIAL_SET_LIMIT / WORD_BITS,
    TRIAL_SET_LIMIT / WORD_BITS + TRIAL_SET_LIMIT / (WORD_BITS * WORD_BITS),
    TRIAL_SET_LIMIT / WORD_BITS + TRIAL_SET_LIMIT / (WORD_BITS * WORD_BITS) + TRIAL_SET_LIMIT / (WORD_BITS * WORD_BITS * WORD_BITS),
};

TrialSet *trial_set_create(void)
{
    return memory_allocate(1, sizeof(TrialSet));
}

void trial_set_add(TrialSet *set, uint32_t trial)
{
    ASSERT(trial < TRIAL_SET_LIMIT);
    for (int level = 0; level < TRIAL_SET_LEVELS; level++, trial >>= WORD_SHIFT) {
        uint64_t *word = &set->words[level_begin[level] + trial / WORD_BITS], before = *word;
        *word |= UINT64_C(1) << trial % WORD_BITS;
        if (before)
            return; /* those above know */
    }
}

void trial_set_remove(TrialSet *set, uint32_t trial)
{
    ASSERT(trial < TRIAL_SET_LIMIT);
    for (int level = 0; level < TRIAL_SET_LEVELS; level++, trial >>= WORD_SHIFT) {
        uint64_t *word = &set->words[level_begin[level] + trial / WORD_BITS];
        *word &= ~(UINT64_C(1) << trial % WORD_BITS);
        if (*word)
            return;
    }
}

/* Up to the first level where something follows in the same word, and down again along the lowest bits. */
bool trial_set_next(const TrialSet *set, uint32_t from, uint32_t *trial)
{
    uint32_t at = from;
    for (int level = 0; level < TRIAL_SET_LEVELS && at < (uint32_t)TRIAL_SET_LIMIT >> WORD_SHIFT * level; level++) {
        uint64_t rest = set->words[level_begin[level] + at / WORD_BITS] >> at % WORD_BITS;
        if (rest) {
            at += (uint32_t)__builtin_ctzll(rest);
            while (level-- > 0)
                at = at * WORD_BITS + (uint32_t)__builtin_ctzll(set->words[level_begin[level] + at]);
            *trial = at;
            return true;
        }
        at = at / WORD_BITS + 1; /* the word itself is done with */
    }
    return false;
}
