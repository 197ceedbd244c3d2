/* Rungs with thousands of entries, beside a plain sorted list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdlib.h>

#include "coordinator/terminator.h"
#include "core/base/philox.h"

enum { ENTRIES = 4000, CHECKED_EVERY = 37 };

/* The plain reference: sorted anew whenever something is asked. */
typedef struct Plain {
    RungEntry entries[ENTRIES];
    size_t count;
} Plain;

static int compare_entries(const void *a, const void *b)
{
    const RungEntry *left = a, *right = b;
    if (left->value != right->value)
        return left->value > right->value ? -1 : 1;
    return left->configuration < right->configuration ? -1 : 1;
}

static const RungEntry *plain_promotable(const Plain *plain, int64_t eta)
{
    for (size_t i = 0; i < plain->count / (size_t)eta; i++)
        if (!plain->entries[i].promoted)
            return &plain->entries[i];
    return NULL;
}

/* By the words of terminator.h. */
static bool plain_keeps(const Plain *plain, size_t rank, const EarlyTermination *termination, uint32_t below)
{
    static double values[ENTRIES];
    size_t others = 0, better = 0;
    for (size_t i = 0; i < plain->count; i++)
        if (i != rank && plain->entries[i].configuration < below) {
            values[others++] = plain->entries[i].value;
            better += i < rank;
        }
    if (termination->rule != TERMINATION_MEDIAN) {
        size_t kept = (others + 1) / (size_t)termination->eta;
        return better < (kept ? kept : 1);
    }
    if (others < (size_t)termination->min_trials)
        return true;
    double median = others % 2 ? values[others / 2] : 0.5 * (values[others / 2 - 1] + values[others / 2]);
    return plain->entries[rank].best >= median;
}

static void compare(const Plain *plain, const Rung *rung, uint32_t draw)
{
    static const EarlyTermination rules[] = {{.rule = TERMINATION_ASHA, .min_iter = 1, .eta = 3},
                                             {.rule = TERMINATION_MEDIAN, .min_iter = 1, .min_trials = 2}};
    const uint32_t belows[] = {UINT32_MAX, draw % ENTRIES};
    assert_int_equal(rung->count, plain->count);
    size_t rank = draw % plain->count;
    RungEntry expected = plain->entries[rank];
    const RungEntry *found = rung_find(rung, expected.configuration, expected.value);
    assert_non_null(found);
    assert_int_equal(rung_rank(rung, found), rank);
    assert_ptr_equal(rung_at(rung, rank), found);
    assert_int_equal(found->promoted, expected.promoted);
    assert_null(rung_find(rung, ENTRIES + 1, expected.value));
    for (int64_t eta = 2; eta < 5; eta++) {
        const RungEntry *ours = rung_promotable(rung, eta), *theirs = plain_promotable(plain, eta);
        assert_int_equal(ours != NULL, theirs != NULL);
        if (theirs)
            assert_int_equal(ours->configuration, theirs->configuration);
    }
    for (size_t r = 0; r < 2; r++)
        for (size_t b = 0; b < 2; b++)
            assert_int_equal(rung_keeps(rung, found, &rules[r], belows[b]), plain_keeps(plain, rank, &rules[r], belows[b]));
}

static void a_rung_of_thousands_is_the_sorted_list(void **state)
{
    (void)state;
    static Plain plain;
    for (uint64_t run = 0; run < 3; run++) {
        Rung rung = {0};
        plain.count = 0;
        assert_null(rung_promotable(&rung, 2));
        assert_null(rung_find(&rung, 0, 0.5));
        for (uint32_t c = 0; c < ENTRIES; c++) {
            PhiloxBlock block = philox4x32_10(philox_key(3, RANDOM_BOOTSTRAP, run), c, 0, 0, 0);
            double value = run == 0 ? (double)c : run == 1 ? -(double)c : block.word[0] % 500 * 1e-3; /* many alike */
            RungEntry entry = {value, value + block.word[1] % 3 * 1e-3, c, block.word[2] % 4 == 0};
            rung_add(&rung, entry);
            plain.entries[plain.count++] = entry;
            qsort(plain.entries, plain.count, sizeof *plain.entries, compare_entries);
            const RungEntry *next = rung_promotable(&rung, 3);
            if (next && block.word[3] % 2) {
                plain.entries[rung_rank(&rung, next)].promoted = true;
                rung_promote(&rung, rung_find(&rung, next->configuration, next->value));
            }
            if (c % CHECKED_EVERY == 0 || c + 1 == ENTRIES)
                compare(&plain, &rung, block.word[2]);
        }
        rung_free(&rung);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_rung_of_thousands_is_the_sorted_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
