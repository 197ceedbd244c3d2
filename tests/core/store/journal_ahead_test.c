/* Blocks made ahead by a thread: in order, never more than there is room for, and not touched while they are in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/store/journal_ahead.h"

enum { BLOCKS = 40, WITHOUT_FAILURE = -1, AHEAD_MOST = 2 };

typedef struct Source {
    atomic_int made;
    int fails_at; /* the block that cannot be made */
} Source;

/* A block is its own number. */
static Status make(void *context, Unpacked *unpacked, bool *more, Diagnostic *diagnostic)
{
    Source *source = context;
    int number = atomic_load(&source->made);
    if (number == source->fails_at)
        return FAIL(diagnostic, STATUS_CORRUPT, "block %d is damaged", number);
    *more = number < BLOCKS;
    if (!*more)
        return STATUS_OK;
    text_clear(&unpacked->bytes);
    text_append(&unpacked->bytes, (const char *)&number, sizeof number);
    atomic_fetch_add(&source->made, 1);
    return STATUS_OK;
}

static int number_of(const Unpacked *unpacked)
{
    int number;
    assert_int_equal(unpacked->bytes.size, sizeof number);
    memcpy(&number, unpacked->bytes.bytes, sizeof number);
    return number;
}

static void blocks_come_in_order_and_stay_while_they_are_in_use(void **state)
{
    (void)state;
    Source source = {.fails_at = WITHOUT_FAILURE};
    Ahead *ahead = ahead_begin(make, &source);
    const Unpacked *unpacked;
    for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(ahead_next(ahead, &unpacked, NULL), STATUS_OK);
        assert_int_equal(number_of(unpacked), i);
        if (i % 8 == 2) { /* time for all that the thread could make */
            usleep(20000);
            assert_int_equal(number_of(unpacked), i);
            assert_in_range(atomic_load(&source.made), i + 1, i + 1 + AHEAD_MOST);
        }
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ahead_next(ahead, &unpacked, NULL), STATUS_OK);
        assert_null(unpacked);
    }
    ahead_end(&ahead);
    assert_null(ahead);
}

static void a_failure_comes_behind_the_blocks_before_it_and_stays(void **state)
{
    (void)state;
    for (int fails_at = 0; fails_at < 6; fails_at++) {
        Source source = {.fails_at = fails_at};
        Diagnostic diagnostic = {0};
        Ahead *ahead = ahead_begin(make, &source);
        const Unpacked *unpacked;
        char expected[64];
        snprintf(expected, sizeof expected, "block %d is damaged", fails_at);
        for (int i = 0; i < fails_at; i++) {
            assert_int_equal(ahead_next(ahead, &unpacked, &diagnostic), STATUS_OK);
            assert_int_equal(number_of(unpacked), i);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ahead_next(ahead, &unpacked, &diagnostic), STATUS_CORRUPT);
            assert_null(unpacked);
            assert_string_equal(diagnostic.message, expected);
        }
        ahead_end(&ahead);
    }
}

static void whoever_has_enough_may_end_at_any_block(void **state)
{
    (void)state;
    for (int taken = 0; taken < 6; taken++)
        for (int waits = 0; waits < 2; waits++) {
            Source source = {.fails_at = WITHOUT_FAILURE};
            Ahead *ahead = ahead_begin(make, &source);
            const Unpacked *unpacked;
            for (int i = 0; i < taken; i++)
                assert_int_equal(ahead_next(ahead, &unpacked, NULL), STATUS_OK);
            usleep(waits ? 2000 : 0); /* the thread waits for room, or is at work */
            ahead_end(&ahead);
            int made = atomic_load(&source.made);
            assert_in_range(made, taken, taken + AHEAD_MOST);
            usleep(1000);
            assert_int_equal(atomic_load(&source.made), made);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_in_order_and_stay_while_they_are_in_use),
        cmocka_unit_test(a_failure_comes_behind_the_blocks_before_it_and_stays),
        cmocka_unit_test(whoever_has_enough_may_end_at_any_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
