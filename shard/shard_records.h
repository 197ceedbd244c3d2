/* Sequences as records of the shard store. Made by any thread, checksum and all; where a record stands among the others comes in when it is
 * written (shard_writer.h). Internal to shard/. */
#ifndef NERSWEEP_SHARD_SHARD_RECORDS_H
#define NERSWEEP_SHARD_SHARD_RECORDS_H

#include "shard/align.h"
#include "shard/sequence_batch.h"
#include "shard/shard_format.h"

typedef struct RecordPlace {
    size_t offset, size; /* in bytes; sizes are multiples of 8 */
    bool is_window;
    ShardWindowInfo info; /* of a window */
} RecordPlace;

/* A record of each sequence, followed by those of its windows. */
typedef struct ShardRecords {
    ARRAY(unsigned char) bytes;
    ARRAY(RecordPlace) places;
    Int32Array offsets; /* of one sequence's texts */
} ShardRecords;
void shard_records_clear(ShardRecords *records);
void shard_records_free(ShardRecords *records);

/* What the records of an input have in common. */
typedef struct RecordRules {
    const WordpieceSpecials *specials; /* put around windows here */
    int32_t outside, later_piece;      /* labels that are no span, or -1 */
    uint16_t source;
} RecordRules;

/* gold: [sequence->token_count]. windows are those of this sequence. */
void shard_records_add(ShardRecords *records, const RecordRules *rules, const SequenceBatch *batch, const Sequence *sequence,
                       const int32_t *gold, const AlignedPieces *pieces, const WindowArray *windows);

#endif
