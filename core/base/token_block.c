#include "core/base/token_block.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

/* The capacity that follows `capacity` and holds `wanted`. Counts are 32 bits wide because ids and positions are. */
static int32_t grown_capacity(int32_t capacity, int64_t wanted)
{
    ASSERT(wanted >= 0 && wanted < INT32_MAX);
    int64_t grown = (int64_t)capacity + capacity / 2;
    if (grown < wanted)
        grown = wanted;
    if (grown >= INT32_MAX)
        grown = INT32_MAX - 1;
    return (int32_t)grown;
}

static void reserve_pieces(TokenBlock *block, int64_t wanted)
{
    if (block->ids && wanted <= block->piece_capacity)
        return;
    block->piece_capacity = grown_capacity(block->piece_capacity, wanted);
    size_t count = (size_t)block->piece_capacity;
    block->ids = memory_reallocate(block->ids, count, sizeof *block->ids);
    block->positions = memory_reallocate(block->positions, count, sizeof *block->positions);
    block->labels = memory_reallocate(block->labels, count, sizeof *block->labels);
    block->weights = memory_reallocate(block->weights, count, sizeof *block->weights);
}

static void reserve_sequences(TokenBlock *block, int64_t wanted)
{
    if (block->sequence_start && wanted <= block->sequence_capacity)
        return;
    block->sequence_capacity = grown_capacity(block->sequence_capacity, wanted);
    size_t count = (size_t)block->sequence_capacity;
    block->sequence_start = memory_reallocate(block->sequence_start, count + 1, sizeof *block->sequence_start);
    block->sequence_slot = memory_reallocate(block->sequence_slot, count, sizeof *block->sequence_slot);
}

TokenBlock *token_block_create(int32_t piece_capacity, int32_t sequence_capacity)
{
    TokenBlock *block = memory_allocate(1, sizeof *block);
    reserve_pieces(block, piece_capacity > 0 ? piece_capacity : 0);
    reserve_sequences(block, sequence_capacity > 0 ? sequence_capacity : 0);
    token_block_clear(block);
    return block;
}

void token_block_destroy(TokenBlock **block)
{
    if (!*block)
        return;
    free((*block)->ids);
    free((*block)->positions);
    free((*block)->labels);
    free((*block)->weights);
    free((*block)->sequence_start);
    free((*block)->sequence_slot);
    free(*block);
    *block = NULL;
}

void token_block_clear(TokenBlock *block)
{
    block->piece_count = 0;
    block->sequence_count = 0;
    block->sequence_start[0] = 0;
}

void token_block_append(TokenBlock *block, const int32_t *ids, const int32_t *labels, float weight, int32_t length, uint32_t slot)
{
    ASSERT(length >= 0);
    reserve_pieces(block, (int64_t)block->piece_count + length);
    reserve_sequences(block, (int64_t)block->sequence_count + 1);
    int32_t first = block->piece_count;
    for (int32_t i = 0; i < length; i++) {
        block->ids[first + i] = ids[i];
        block->positions[first + i] = i;
        block->labels[first + i] = labels ? labels[i] : TOKEN_LABEL_IGNORED;
        block->weights[first + i] = weight;
    }
    block->piece_count += length;
    block->sequence_slot[block->sequence_count++] = slot;
    block->sequence_start[block->sequence_count] = block->piece_count;
}

static Status validate_sequences(const TokenBlock *block, Diagnostic *diagnostic)
{
    if (block->piece_count < 0 || block->sequence_count < 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "token block: negative counts (%d pieces, %d sequences)", block->piece_count,
                    block->sequence_count);
    const int32_t *start = block->sequence_start;
    for (int32_t s = 0; s < block->sequence_count; s++) {
        if (start[s] > start[s + 1])
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "token block: sequence %d starts at piece %d, after its end %d", s,
                        start[s], start[s + 1]);
    }
    if (start[0] != 0 || start[block->sequence_count] != block->piece_count)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "token block: the sequences span pieces %d to %d, the block holds %d",
                    start[0], start[block->sequence_count], block->piece_count);
    return STATUS_OK;
}

Status token_block_validate(const TokenBlock *block, int32_t vocab_size, int32_t max_positions, int32_t label_count,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(validate_sequences(block, diagnostic));
    for (int32_t s = 0; s < block->sequence_count; s++) {
        for (int32_t i = block->sequence_start[s]; i < block->sequence_start[s + 1]; i++) {
            int32_t id = block->ids[i], position = block->positions[i], label = block->labels[i];
            if (id < 0 || id >= vocab_size)
                TRY_FAIL(diagnostic, STATUS_INVALID_INPUT,
                         "token block: id %d of piece %d (sequence %d) is not below the vocabulary's size %d", id, i, s,
                         vocab_size);
            if (position < 0 || position >= max_positions)
                TRY_FAIL(diagnostic, STATUS_INVALID_INPUT,
                         "token block: position %d of piece %d (sequence %d) is not below the model's limit of %d positions",
                         position, i, s, max_positions);
            if (label != TOKEN_LABEL_IGNORED && (label < 0 || label >= label_count))
                TRY_FAIL(diagnostic, STATUS_INVALID_INPUT,
                         "token block: label %d of piece %d (sequence %d) is not below the %d labels", label, i, s, label_count);
        }
    }
out:
    return status;
}
