#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/token_block.h"
#include "tests/core/base/support.h"

static void sequences_stand_one_after_another(void **state)
{
    (void)state;
    TokenBlock *block = token_block_create(0, 0);
    const int32_t first[] = {101, 7, 102}, labels[] = {TOKEN_LABEL_IGNORED, 2, TOKEN_LABEL_IGNORED}, second[] = {101, 102};
    token_block_append(block, first, labels, 0.5f, 3, 9);
    token_block_append(block, second, NULL, 1.0f, 2, 4);
    assert_int_equal(block->piece_count, 5);
    assert_int_equal(block->sequence_count, 2);
    assert_memory_equal(block->ids, ((int32_t[]){101, 7, 102, 101, 102}), 5 * sizeof(int32_t));
    assert_memory_equal(block->positions, ((int32_t[]){0, 1, 2, 0, 1}), 5 * sizeof(int32_t));
    assert_memory_equal(block->labels, ((int32_t[]){-100, 2, -100, -100, -100}), 5 * sizeof(int32_t));
    assert_memory_equal(block->sequence_start, ((int32_t[]){0, 3, 5}), 3 * sizeof(int32_t));
    assert_memory_equal(block->sequence_slot, ((uint32_t[]){9, 4}), 2 * sizeof(uint32_t));
    assert_true(block->weights[1] == 0.5f && block->weights[4] == 1.0f);
    token_block_clear(block);
    assert_int_equal(block->piece_count, 0);
    assert_int_equal(block->sequence_start[0], 0);
    token_block_destroy(&block);
    assert_null(block);
    token_block_destroy(&block);
}

static void a_block_grows_beyond_its_hint(void **state)
{
    (void)state;
    TokenBlock *block = token_block_create(4, 1);
    int32_t ids[5];
    for (int32_t s = 0; s < 3000; s++) {
        for (int i = 0; i < 5; i++)
            ids[i] = s * 5 + i;
        token_block_append(block, ids, ids, 1.0f, 5, (uint32_t)s);
    }
    for (int32_t i = 0; i < 15000; i++) {
        assert_int_equal(block->ids[i], i);
        assert_int_equal(block->labels[i], i);
        assert_int_equal(block->positions[i], i % 5);
    }
    for (int32_t s = 0; s <= 3000; s++)
        assert_int_equal(block->sequence_start[s], s * 5);
    assert_ok(token_block_validate(block, 15000, 5, 15000, NULL), NULL);
    token_block_destroy(&block);
}

static void an_empty_sequence_and_an_empty_block_are_valid(void **state)
{
    (void)state;
    TokenBlock *block = token_block_create(0, 0);
    Diagnostic diagnostic = {0};
    assert_ok(token_block_validate(block, 1, 1, 1, &diagnostic), &diagnostic);
    token_block_append(block, NULL, NULL, 1.0f, 0, 0);
    assert_ok(token_block_validate(block, 1, 1, 1, &diagnostic), &diagnostic);
    token_block_destroy(&block);
}

static void append_a_negative_length(void *context)
{
    token_block_append(context, NULL, NULL, 1.0f, -1, 0);
}

static void append_more_than_counts_can_hold(void *context)
{
    TokenBlock *block = context;
    block->piece_count = INT32_MAX - 1;
    token_block_append(block, (int32_t[]){1, 2, 3}, NULL, 1.0f, 3, 0);
}

static void impossible_lengths_abort(void **state)
{
    (void)state;
    TokenBlock *block = token_block_create(0, 0);
    assert_true(aborts(append_a_negative_length, block));
    assert_true(aborts(append_more_than_counts_can_hold, block));
    token_block_destroy(&block);
}

static void what_is_out_of_range_is_named_with_its_index(void **state)
{
    (void)state;
    TokenBlock *block = token_block_create(8, 2);
    const int32_t ids[] = {5, 6, 7}, labels[] = {TOKEN_LABEL_IGNORED, 1, 0};
    token_block_append(block, ids, labels, 1.0f, 3, 0);
    token_block_append(block, ids, labels, 1.0f, 3, 1);
    Diagnostic diagnostic = {0};
    assert_ok(token_block_validate(block, 8, 3, 2, &diagnostic), &diagnostic);
    assert_status(token_block_validate(block, 7, 3, 2, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "id 7 of piece 2 (sequence 0)"));
    block->ids[4] = -1;
    assert_status(token_block_validate(block, 8, 3, 2, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "id -1 of piece 4 (sequence 1)"));
    block->ids[4] = 6;
    assert_status(token_block_validate(block, 8, 2, 2, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "position 2 of piece 2"));
    assert_status(token_block_validate(block, 8, 3, 1, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "label 1 of piece 1"));
    block->labels[5] = -99;
    assert_status(token_block_validate(block, 8, 3, 2, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "label -99 of piece 5"));
    block->labels[5] = 0;
    block->sequence_start[1] = 7;
    assert_status(token_block_validate(block, 8, 3, 2, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    block->sequence_start[1] = 3;
    block->sequence_start[2] = 5;
    assert_status(token_block_validate(block, 8, 3, 2, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    token_block_destroy(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_stand_one_after_another),
        cmocka_unit_test(a_block_grows_beyond_its_hint),
        cmocka_unit_test(an_empty_sequence_and_an_empty_block_are_valid),
        cmocka_unit_test(impossible_lengths_abort),
        cmocka_unit_test(what_is_out_of_range_is_named_with_its_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
