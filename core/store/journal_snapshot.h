/* Snapshots of the journal: a file of records whose replay gives the same as that of the journal's first records. Who opens or reads the
 * journal begins with the newest whole snapshot and goes on with the records behind it.
 *
 *   header  {"nswsnap1", u64 epoch, u64 offset in its segment, u64 sequence of the next record, u64 checksum64 of these 32 bytes}
 *   records {u64 checksum64 of what follows up to the end of the payload, u32 size, u32 number modulo 2^31 times two, payload, padding to 8}
 *   end     {"nswsend1", u64 number of records, u64 checksum64 of these 16 bytes}
 *
 * A snapshot is visible only when whole and durable. One that was damaged later is passed over for an older one, or for the segments
 * alone, as long as these are there. What the records hold is the business of whoever folds the journal. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_SNAPSHOT_H
#define NERSWEEP_CORE_STORE_JOURNAL_SNAPSHOT_H

#include "core/store/journal.h"

typedef struct JournalSnapshot JournalSnapshot;

/* covers: everything before it must be durable and acknowledged, or sealed. Begin, append, then commit or abandon (always one).
 * Fault point: journal.snapshot_written. */
NODISCARD Status journal_snapshot_begin(JournalSnapshot **snapshot, const char *folder, const FileSystem *fs,
                                        JournalPosition covers, Diagnostic *diagnostic);
NODISCARD Status journal_snapshot_append(JournalSnapshot *snapshot, const void *payload, size_t size, Diagnostic *diagnostic);
NODISCARD Status journal_snapshot_commit(JournalSnapshot **snapshot,
                                         Diagnostic *diagnostic); /* *snapshot becomes NULL in any case */
void journal_snapshot_abandon(JournalSnapshot **snapshot);

/* Where the snapshots of a journal end, oldest first, whether they are whole or not. */
typedef ARRAY(JournalPosition) JournalPositions;
NODISCARD Status journal_snapshot_list(const char *folder, JournalPositions *positions, Diagnostic *diagnostic);
/* "FOLDER/snapshot-000002-000000004711.log". The caller frees it. */
char *journal_snapshot_path(const char *folder, JournalPosition position);

/* Reads and checks the newest whole snapshot and replays it with sequence 0. *position: where it ends, all zero without one. Damaged ones
 * are warned of in the log and passed over. */
NODISCARD Status journal_snapshot_replay(const char *folder, JournalReplay replay, void *context, JournalPosition *position,
                                         Diagnostic *diagnostic);
/* Checks the one that ends at *position, whose offset is filled in, and counts its records. STATUS_CORRUPT says where it is damaged. */
NODISCARD Status journal_snapshot_check(const char *folder, JournalPosition *position, uint64_t *count, Diagnostic *diagnostic);

#endif
