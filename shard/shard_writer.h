/* Writes a shard store: a temporary file beside its place, filled in transactions of bounded size, then renamed. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SHARD_WRITER_H
#define NERSWEEP_SHARD_SHARD_WRITER_H

#include "core/io/json.h"
#include "shard/shard_metadata.h"
#include "shard/shard_records.h"

typedef struct ShardWriter ShardWriter;

/* One builder at a time: waits for another one in this folder (its result may be all that is needed), then removes what dead ones have left.
 * *lock: to be closed with close(2); -1 where the file system has no locks. */
NODISCARD Status shard_folder_lock(const char *folder, const volatile int *interrupted, int *lock, Diagnostic *diagnostic);

/* folder must be there. map_size_bytes: an upper bound of the file's size. labels: those of training, for what is no span. */
NODISCARD Status shard_writer_begin(ShardWriter **writer, const char *folder, size_t map_size_bytes, const LabelSet *labels,
                                    Diagnostic *diagnostic);
/* Splits in order 0, 1, ..; sequences of a split one after another. Gives the records their places, in them too. */
NODISCARD Status shard_writer_add(ShardWriter *writer, int32_t split, ShardRecords *records, Diagnostic *diagnostic);
/* Likewise a sequence with its windows out of another store. source: what its record says from now on. */
NODISCARD Status shard_writer_copy(ShardWriter *writer, int32_t split, uint16_t source, const ShardStore *from, int32_t from_split,
                                   int64_t index, Diagnostic *diagnostic);
/* Writes the metadata, makes all of it durable and visible. *writer becomes NULL in any case. */
NODISCARD Status shard_writer_commit(ShardWriter **writer, const Json *metadata, Diagnostic *diagnostic);
/* Leaves nothing behind. */
void shard_writer_abandon(ShardWriter **writer);

#endif
