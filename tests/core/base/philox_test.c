/* Known answers: those that Random123, the authors' own implementation, is tested with (kat_vectors, philox4x32 10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/philox.h"

static void check(PhiloxKey key, const uint32_t counter[4], const uint32_t wanted[4])
{
    PhiloxBlock block = philox4x32_10(key, counter[0], counter[1], counter[2], counter[3]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(block.word[i], wanted[i]);
}

static void blocks_are_those_of_the_authors(void **state)
{
    (void)state;
    check((PhiloxKey){{0, 0}}, (uint32_t[]){0, 0, 0, 0}, (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check((PhiloxKey){{0xffffffff, 0xffffffff}}, (uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
          (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check((PhiloxKey){{0xa4093822, 0x299f31d0}}, (uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
          (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void keys_differ_by_seed_purpose_and_step(void **state)
{
    (void)state;
    PhiloxKey key = philox_key(0x0123456789ABCDEFu, RANDOM_DROPOUT, 5);
    assert_int_equal(key.word[0], 0x89ABCDEFu ^ 0x9E3779B9u);
    assert_int_equal(key.word[1], 0x01234567u ^ 5u);
    PhiloxKey other = philox_key(0x0123456789ABCDEFu, RANDOM_SHUFFLE, 5);
    assert_int_not_equal(key.word[0], other.word[0]);
    other = philox_key(0x0123456789ABCDEFu, RANDOM_DROPOUT, 6);
    assert_int_not_equal(key.word[1], other.word[1]);
}

static void uniform_numbers_stay_below_one(void **state)
{
    (void)state;
    assert_true(philox_uniform_float(0) == 0.0f);
    assert_true(philox_uniform_float(UINT32_MAX) < 1.0f);
    assert_true(philox_uniform_float(0x80000000u) == 0.5f);
    assert_true(philox_uniform_double(0, 0) == 0.0);
    assert_true(philox_uniform_double(UINT32_MAX, UINT32_MAX) < 1.0);
    assert_true(philox_uniform_double(0x80000000u, 0) == 0.5);
}

static void uniform_integers_stay_below_their_bound_and_reach_all_values(void **state)
{
    (void)state;
    assert_int_equal(philox_uniform_below(UINT32_MAX, UINT32_MAX, 1), 0);
    assert_int_equal(philox_uniform_below(UINT32_MAX, UINT32_MAX, 7), 6);
    assert_int_equal(philox_uniform_below(UINT32_MAX, UINT32_MAX, UINT64_MAX), UINT64_MAX - 1);
    unsigned counts[7] = {0};
    PhiloxKey key = philox_key(1, RANDOM_SEARCH, 0);
    enum { DRAWS = 70000 };
    for (uint32_t i = 0; i < DRAWS; i++) {
        PhiloxBlock block = philox4x32_10(key, i, 0, 0, 0);
        counts[philox_uniform_below(block.word[0], block.word[1], 7)]++;
    }
    /* Binomial, standard deviation 93: five of them. */
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], DRAWS / 7 - 465, DRAWS / 7 + 465);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_of_the_authors),
        cmocka_unit_test(keys_differ_by_seed_purpose_and_step),
        cmocka_unit_test(uniform_numbers_stay_below_one),
        cmocka_unit_test(uniform_integers_stay_below_their_bound_and_reach_all_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
