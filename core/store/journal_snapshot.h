/* Snapshots of the journal: one file that holds the records of all epochs up to one, packed (journal_pack.h). Who opens or reads the journal
 * begins with the newest whole snapshot and goes on with the segments behind it; the records and their order are those of the segments.
 *
 *   blocks  {u64 checksum64 of what follows up to the block's end, u32 size, u32 number of the block, block, padding to 8}
 *   end     {"nswsnap1", u64 epoch, u64 number of records, u64 checksum64 of these 24 bytes}, behind the blocks
 *
 * A snapshot is visible only when whole and durable. One that was damaged later is passed over for an older one, or for the segments
 * alone, as long as these are there. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_SNAPSHOT_H
#define NERSWEEP_CORE_STORE_JOURNAL_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/store/journal.h"

/* Makes a snapshot of all sealed epochs; *epoch is the last of them, 0 when there is none and nothing was made. Only sealed segments and
 * older snapshots are read, so a coordinator may go on meanwhile. *cancelled (may be NULL) ends it early with STATUS_INTERRUPTED and
 * without a trace. Fault point: journal.snapshot_written. */
NODISCARD Status journal_snapshot_make(const char *folder, const FileSystem *fs, const atomic_bool *cancelled, uint64_t *epoch,
                                       Diagnostic *diagnostic);

/* The epochs of a journal's snapshots, oldest first, whether they are whole or not. */
typedef ARRAY(uint64_t) JournalEpochs;
NODISCARD Status journal_snapshot_list(const char *folder, JournalEpochs *epochs, Diagnostic *diagnostic);
/* "FOLDER/snapshot-000002.log". The caller frees it. */
char *journal_snapshot_path(const char *folder, uint64_t epoch);
/* Checks all of a snapshot and counts its records. STATUS_CORRUPT says where it is damaged. */
NODISCARD Status journal_snapshot_check(const char *folder, uint64_t epoch, uint64_t *count, Diagnostic *diagnostic);
/* The newest whole one; 0: there is none. */
NODISCARD Status journal_snapshot_newest(const char *folder, uint64_t *epoch, Diagnostic *diagnostic);

/* What the newest one says of itself, as in journal_snapshot_replay, whether its blocks are whole or not. */
NODISCARD Status journal_snapshot_end(const char *folder, uint64_t *epoch, uint64_t *next_sequence, Diagnostic *diagnostic);
/* Checks and replays the newest whole snapshot, block by block. *epoch: its own, 0 without one; *next_sequence: of the first record behind it.
 * Damaged ones are warned of in the log, and the one before is replayed from its first record on: its records are the same ones, and replay
 * passes over those that it has. */
NODISCARD Status journal_snapshot_replay(const char *folder, JournalReplay replay, void *context, uint64_t *epoch,
                                         uint64_t *next_sequence, Diagnostic *diagnostic);

#endif
