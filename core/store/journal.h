/* The journal: append-only segments of checksummed records in a folder of the store, one segment per epoch, one writer per epoch.
 *
 *   epoch-000002.log      made with exclusive creation by the coordinator that opens epoch 2: this claims the epoch.
 *                         header {"nswjrnl2", u64 epoch, u64 sequence of its first record, u64 checksum64 of these 24 bytes},
 *                         then records {u64 checksum64 of what follows up to the end of the payload, u32 size, u32 mark, payload, padding
 *                         to 8 bytes}; mark: sequence modulo 2^31, times two, plus 1 where a batch (what one sync wrote) begins
 *   epoch-000002.json     made with exclusive creation after the claim: {"epoch":2,"seals":1,"length":L}
 *   snapshot-000002.log   the records of all epochs up to the second, packed: journal_snapshot.h
 *
 * Opening epoch n seals the segment of epoch n - 1 at the length of its last whole record: whatever a paused predecessor still appends
 * lies beyond the seal and is ignored by every reader. A torn end of the last segment is cut off likewise: all from the first bad record
 * on, unless a later batch shows that it was whole once, because a batch is written only when the one before it is durable. A damaged
 * record before that is STATUS_CORRUPT with file and offset. Little-endian. Group commit: append many, then one journal_sync.
 *
 * Segments of format 1 ("nswjrnl1", records {u32 size, u32 0, u64 checksum64(sequence ++ payload), payload, padding}) are read as well;
 * they stay as they are until a snapshot stands for them.
 *
 * Why the claim comes before the seal: a writer acknowledges only when, after its fsync, no later epoch is claimed. So what it has
 * acknowledged was durable before the claim, and the successor, who measures the segment after the claim, seals all of it. A claim
 * without its seal (its owner died or is slow) is sealed by the next one who opens the journal; exclusive creation decides. Sequence
 * numbers count records over all segments, from 1. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_H
#define NERSWEEP_CORE_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/io/file.h"

enum { JOURNAL_RECORD_LIMIT = 16 * 1024 * 1024, JOURNAL_FORMAT_VERSION = 2 };

typedef struct Journal Journal;

/* Called for each durable record in order while opening; payload lives during the call. */
typedef Status (*JournalReplay)(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic);

/* Opens the next epoch of the journal in folder (made if need be) and replays what all earlier ones hold.
 * STATUS_BUSY when another writer took the epoch in the same moment: try again. Fault points: journal.epoch_created. */
NODISCARD Status journal_open(Journal **journal, const char *folder, const FileSystem *fs, JournalReplay replay, void *context,
                              Diagnostic *diagnostic);
/* The same for a caller who has the first `known` records from journal_read: they are not replayed, and a snapshot that holds no more is not
 * read again. */
NODISCARD Status journal_open_behind(Journal **journal, const char *folder, const FileSystem *fs, uint64_t known,
                                     JournalReplay replay, void *context, Diagnostic *diagnostic);
/* Replays without writing or sealing anything: for readers (best, report, status without a coordinator). A missing folder has no records. */
NODISCARD Status journal_read(const char *folder, JournalReplay replay, void *context, Diagnostic *diagnostic);
void journal_close(Journal **journal);

uint64_t journal_epoch(const Journal *journal);
/* Records that it had when it was opened. */
uint64_t journal_record_count(const Journal *journal);
/* Bytes of the segments that opening replayed because no snapshot stands for them. */
uint64_t journal_replayed_bytes(const Journal *journal);
/* Buffers a record; it is durable only after journal_sync. */
NODISCARD Status journal_append(Journal *journal, const void *payload, size_t size, Diagnostic *diagnostic);
/* Writes and fsyncs what was appended. On failure nothing of it may be acknowledged and the journal refuses further appends, unless it
 * is STATUS_NO_SPACE and the journal is not broken: what is buffered then waits for another try.
 * STATUS_STALE_EPOCH when a later epoch exists. Fault points: journal.before_write, journal.before_fsync, journal.after_fsync. */
NODISCARD Status journal_sync(Journal *journal, Diagnostic *diagnostic);
bool journal_broken(const Journal *journal);

#endif
