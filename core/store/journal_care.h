/* Care for a journal on disk: what `nersweep journal` does. Nothing here needs the coordinator to stand still. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_CARE_H
#define NERSWEEP_CORE_STORE_JOURNAL_CARE_H

#include <stdbool.h>

#include "core/store/journal_snapshot.h"

/* A file of the journal, as journal_check found it. */
typedef struct JournalFile {
    char name[64];
    uint64_t size_bytes, records; /* whole ones, of a snapshot or a segment */
    uint64_t first_sequence;
    bool torn; /* the last segment: its end is, from torn_at on */
    uint64_t torn_at;
    bool snapshot, sealed, covered; /* covered: the newest snapshot stands for all of it */
    int version;
    Diagnostic damage; /* code STATUS_OK: none */
} JournalFile;

typedef struct JournalReport {
    ARRAY(JournalFile) files; /* snapshots, then segments by epoch */
    uint64_t next_sequence;
    bool sound; /* all that is needed to read the journal is there and whole */
} JournalReport;
void journal_report_free(JournalReport *report);

/* Looks at every file: checksums, sequence numbers, seals, epochs. Damage is in the report, not a failure of the call. */
NODISCARD Status journal_check(const char *folder, JournalReport *report, Diagnostic *diagnostic);

/* Cuts the torn end off the last segment, after a copy of the whole file beside it ("NAME.torn-OFFSET"). Nothing else is ever changed:
 * STATUS_CORRUPT where more than the end is damaged, STATUS_NOT_FOUND where nothing is torn. No coordinator may run. *copy (may be NULL)
 * is the copy's path; the caller frees it. */
NODISCARD Status journal_repair(const char *folder, const FileSystem *fs, char **copy, Diagnostic *diagnostic);

/* Removes what the newest whole snapshot stands for: older snapshots, and segments but for the newest keep_segments of them. */
typedef struct JournalCompaction {
    size_t segments, snapshots;
    uint64_t freed_bytes;
} JournalCompaction;
NODISCARD Status journal_compact(const char *folder, const FileSystem *fs, int64_t keep_segments, JournalCompaction *compaction,
                                 Diagnostic *diagnostic);

/* Copies the journal into the new folder `target`, which is visible only when whole, while a coordinator may go on: the copy is what a
 * reader would have seen at one moment. */
NODISCARD Status journal_backup(const char *folder, const char *target, const FileSystem *fs, Diagnostic *diagnostic);

#endif
