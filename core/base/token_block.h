/* The packed token block: what goes from shard/ to model/. Sequences stand one after another without padding.
 *
 * Shapes: T pieces, S sequences. Sequence s owns pieces sequence_start[s] .. sequence_start[s + 1] - 1. */
#ifndef NERSWEEP_CORE_BASE_TOKEN_BLOCK_H
#define NERSWEEP_CORE_BASE_TOKEN_BLOCK_H

#include <stdint.h>

#include "core/base/status.h"

enum { TOKEN_LABEL_IGNORED = -100 };

/* All arrays belong to the block and live until token_block_destroy; token_block_clear keeps the memory. */
typedef struct TokenBlock {
    int32_t piece_count;    /* T */
    int32_t sequence_count; /* S */
    int32_t *ids;           /* [T] piece ids, special pieces included */
    int32_t *positions;     /* [T] position in the sequence, from 0 */
    int32_t *labels;        /* [T] label id or TOKEN_LABEL_IGNORED */
    float *weights;         /* [T] weight of the piece's label in the loss, 1 by default */
    int32_t *sequence_start; /* [S + 1] */
    uint32_t *sequence_slot; /* [S] index of the sequence in the optimizer step's global batch: the counter of its random numbers */
    int32_t piece_capacity;
    int32_t sequence_capacity;
} TokenBlock;

/* An empty block; the capacities are hints. */
TokenBlock *token_block_create(int32_t piece_capacity, int32_t sequence_capacity);
void token_block_destroy(TokenBlock **block);
void token_block_clear(TokenBlock *block);

/* Appends one sequence of length pieces. labels may be NULL (all ignored), weight applies to all of its labels. Copies. */
void token_block_append(TokenBlock *block, const int32_t *ids, const int32_t *labels, float weight, int32_t length, uint32_t slot);

/* Checks ids against [0, vocab_size), positions against max_positions and labels against [0, label_count) or ignored. */
NODISCARD Status token_block_validate(const TokenBlock *block, int32_t vocab_size, int32_t max_positions, int32_t label_count,
                                      Diagnostic *diagnostic);

#endif
