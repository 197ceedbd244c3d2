#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdlib.h>

#include "coordinator/trial_set.h"
#include "core/base/memory.h"
#include "core/base/philox.h"

/* The plain reference: one flag for each trial. */
static bool next_of_flags(const bool *flags, uint32_t from, uint32_t *trial)
{
    for (*trial = from; *trial < TRIAL_SET_LIMIT; ++*trial)
        if (flags[*trial])
            return true;
    return false;
}

static void compare(const TrialSet *set, const bool *flags, uint32_t from)
{
    uint32_t ours = 0, theirs = 0;
    bool found = trial_set_next(set, from, &ours);
    assert_int_equal(found, next_of_flags(flags, from, &theirs));
    if (found)
        assert_int_equal(ours, theirs);
}

static void the_lowest_member_is_that_of_plain_flags(void **state)
{
    (void)state;
    static const uint32_t ranges[] = {8, 64, 65, 5000, 300000, TRIAL_SET_LIMIT};
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        TrialSet *set = trial_set_create();
        bool *flags = memory_allocate(TRIAL_SET_LIMIT, sizeof *flags);
        for (uint32_t i = 0; i < 300; i++) {
            PhiloxBlock block = philox4x32_10(philox_key(1, RANDOM_BOOTSTRAP, r), i, 0, 0, 0);
            uint32_t trial = block.word[0] % ranges[r];
            bool add = block.word[1] % 3 > 0;
            if (add)
                trial_set_add(set, trial);
            else
                trial_set_remove(set, trial);
            flags[trial] = add;
            compare(set, flags, 0);
            compare(set, flags, trial);
            compare(set, flags, trial + 1);
            compare(set, flags, block.word[2] % ranges[r]);
        }
        free(set);
        free(flags);
    }
}

static void both_ends_are_members_like_others(void **state)
{
    (void)state;
    TrialSet *set = trial_set_create();
    uint32_t trial;
    assert_false(trial_set_next(set, 0, &trial));
    trial_set_add(set, TRIAL_SET_LIMIT - 1);
    assert_true(trial_set_next(set, 0, &trial) && trial == TRIAL_SET_LIMIT - 1);
    assert_true(trial_set_next(set, TRIAL_SET_LIMIT - 1, &trial) && trial == TRIAL_SET_LIMIT - 1);
    assert_false(trial_set_next(set, TRIAL_SET_LIMIT, &trial));
    trial_set_add(set, 0);
    trial_set_add(set, 0);
    assert_true(trial_set_next(set, 0, &trial) && trial == 0);
    trial_set_remove(set, 0);
    trial_set_remove(set, 0);
    trial_set_remove(set, TRIAL_SET_LIMIT - 1);
    assert_false(trial_set_next(set, 0, &trial));
    free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_member_is_that_of_plain_flags),
        cmocka_unit_test(both_ends_are_members_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
