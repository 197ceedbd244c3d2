/* Sequences as records of the shard store. Made by any thread; where a record stands among the others, and its checksum, come in when it is
 * written (shard_writer.h). Internal to shard/. */
#ifndef NERSWEEP_SHARD_SHARD_RECORDS_H
#define NERSWEEP_SHARD_SHARD_RECORDS_H

#include "shard/align.h"
#include "shard/sequence_reader.h"
#include "shard/shard_format.h"

typedef struct RecordPlace {
    size_t offset, size; /* in bytes, multiples of 8 */
    bool is_window;
} RecordPlace;

/* A record of each sequence, followed by those of its windows. */
typedef struct ShardRecords {
    ARRAY(unsigned char) bytes;
    ARRAY(RecordPlace) places;
} ShardRecords;
void shard_records_clear(ShardRecords *records);
void shard_records_free(ShardRecords *records);

/* gold: [sequence->token_count]. windows are those of this sequence; specials are put around them here. */
void shard_records_add(ShardRecords *records, uint32_t source, const SequenceBatch *batch, const Sequence *sequence,
                       const int32_t *gold, const AlignedPieces *pieces, const WindowArray *windows,
                       const WordpieceSpecials *specials);

#endif
