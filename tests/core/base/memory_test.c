#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/core/base/support.h"

static void sizes_that_overflow_are_noticed(void **state)
{
    (void)state;
    size_t result;
    assert_true(size_multiply(SIZE_MAX, 1, &result));
    assert_false(size_multiply(SIZE_MAX / 2, 3, &result));
    assert_true(size_add(SIZE_MAX - 1, 1, &result));
    assert_false(size_add(SIZE_MAX, 1, &result));
}

static void allocate_too_much(void *context)
{
    (void)context;
    free(memory_allocate(SIZE_MAX / 2, 3));
}

static void allocate_a_lot(void *context)
{
    (void)context;
    free(memory_allocate(SIZE_MAX / 4, 1));
}

static void memory_that_is_not_there_aborts(void **state)
{
    (void)state;
    assert_true(aborts(allocate_too_much, NULL));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose allocators end the process themselves */
    assert_true(aborts(allocate_a_lot, NULL));
#else
    (void)allocate_a_lot;
#endif
}

static void memory_is_zeroed_and_never_null(void **state)
{
    (void)state;
    unsigned char *memory = memory_allocate(1000, 3);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(memory[i], 0);
    free(memory);
    void *nothing = memory_allocate(0, 8);
    assert_non_null(nothing);
    nothing = memory_reallocate(nothing, 0, 8);
    assert_non_null(nothing);
    free(nothing);
}

static void copies_are_terminated_and_keep_inner_zeros(void **state)
{
    (void)state;
    char *copy = memory_copy_bytes("a\0b", 3);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = memory_copy_bytes(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
    copy = memory_format("%s-%03d", "epoch", 7);
    assert_string_equal(copy, "epoch-007");
    free(copy);
}

static void large_memory_is_asked_for_with_a_status(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    void *memory = &diagnostic;
    assert_status(memory_try_allocate(&memory, SIZE_MAX / 2, 3, &diagnostic), STATUS_OUT_OF_MEMORY, &diagnostic);
    assert_null(memory);
    assert_status(memory_try_allocate(&memory, SIZE_MAX, 1, &diagnostic), STATUS_OUT_OF_MEMORY, &diagnostic);
    for (size_t size = 0; size < 200; size += 13) {
        assert_ok(memory_try_allocate(&memory, size, 1, &diagnostic), &diagnostic);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(((unsigned char *)memory)[i], 0);
        free(memory);
    }
}

static void an_arena_hands_out_zeroed_aligned_memory_that_does_not_overlap(void **state)
{
    (void)state;
    Arena *arena = arena_create(2000);
    for (int round = 0; round < 3; round++) {
        unsigned char *pieces[200];
        for (size_t i = 0; i < 200; i++) {
            size_t size = i * 37 % 501;
            pieces[i] = arena_allocate(arena, size, 1);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            for (size_t j = 0; j < size; j++)
                assert_int_equal(pieces[i][j], 0);
            memset(pieces[i], (int)i, size);
        }
        for (size_t i = 0; i < 200; i++) {
            for (size_t j = 0; j < i * 37 % 501; j++)
                assert_int_equal(pieces[i][j], i);
        }
        arena_reset(arena);
    }
    arena_destroy(&arena);
    assert_null(arena);
    arena_destroy(&arena);
}

static void a_reset_arena_uses_its_blocks_again(void **state)
{
    (void)state;
    Arena *arena = arena_create(1024);
    size_t held = 0;
    for (int round = 0; round < 10; round++) {
        arena_allocate(arena, 100000, 1); /* larger than a block */
        for (int i = 0; i < 100; i++)
            arena_allocate(arena, 100, 1);
        if (round == 0)
            held = arena_bytes(arena);
        arena_reset(arena);
    }
    assert_true(held > 110000);
    assert_int_equal(arena_bytes(arena), held);
    char *text = arena_copy_bytes(arena, "word", 4);
    assert_string_equal(text, "word");
    assert_ptr_not_equal(arena_allocate(arena, 0, 1), arena_allocate(arena, 0, 1));
    arena_destroy(&arena);
}

static void allocate_too_much_from_an_arena(void *context)
{
    arena_allocate(context, SIZE_MAX / 2, 3);
}

static void an_arena_notices_sizes_that_overflow(void **state)
{
    (void)state;
    Arena *arena = arena_create(0);
    assert_true(aborts(allocate_too_much_from_an_arena, arena));
    arena_destroy(&arena);
}

static void an_array_keeps_what_is_pushed(void **state)
{
    (void)state;
    Int32Array array = {0};
    for (int32_t i = 0; i < 10000; i++)
        array_push(&array, i * 3);
    assert_int_equal(array.count, 10000);
    for (int32_t i = 0; i < 10000; i++)
        assert_int_equal(array.items[i], i * 3);
    array_reserve(&array, 50000);
    assert_true(array.capacity >= 50000);
    assert_int_equal(array.items[9999], 29997);
    array_free(&array);
    assert_null(array.items);
    assert_int_equal(array.capacity, 0);
}

static void text_grows_and_is_always_terminated(void **state)
{
    (void)state;
    Text text = {0};
    for (int i = 0; i < 1000; i++)
        text_format(&text, "%d,", i);
    assert_int_equal(text.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(text.bytes), text.size);
    assert_memory_equal(text.bytes, "0,1,2,", 6);
    text_clear(&text);
    assert_string_equal(text.bytes, "");
    text_append_string(&text, "a");
    text_append(&text, "\0b", 2);
    assert_int_equal(text.size, 3);
    assert_memory_equal(text.bytes, "a\0b", 4);
    char *taken = text_take(&text);
    assert_memory_equal(taken, "a\0b", 4);
    free(taken);
    assert_int_equal(text.size, 0);
    taken = text_take(&text); /* of nothing */
    assert_string_equal(taken, "");
    free(taken);
    text_append_string(&text, "x");
    text_free(&text);
    assert_null(text.bytes);
}

static void one_long_piece_of_formatted_text_fits(void **state)
{
    (void)state;
    static char large[100001];
    memset(large, 'y', sizeof large - 1);
    Text text = {0};
    text_append_string(&text, "x");
    text_format(&text, "%s%d", large, 5);
    assert_int_equal(text.size, 100002);
    assert_int_equal(text.bytes[100001], '5');
    text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_overflow_are_noticed),
        cmocka_unit_test(memory_that_is_not_there_aborts),
        cmocka_unit_test(memory_is_zeroed_and_never_null),
        cmocka_unit_test(copies_are_terminated_and_keep_inner_zeros),
        cmocka_unit_test(large_memory_is_asked_for_with_a_status),
        cmocka_unit_test(an_arena_hands_out_zeroed_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(a_reset_arena_uses_its_blocks_again),
        cmocka_unit_test(an_arena_notices_sizes_that_overflow),
        cmocka_unit_test(an_array_keeps_what_is_pushed),
        cmocka_unit_test(text_grows_and_is_always_terminated),
        cmocka_unit_test(one_long_piece_of_formatted_text_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
