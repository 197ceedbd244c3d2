/* Inside coordinator/ only: a journal read into a core. */
#ifndef NERSWEEP_COORDINATOR_JOURNAL_FOLD_H
#define NERSWEEP_COORDINATOR_JOURNAL_FOLD_H

#include "coordinator/core.h"

/* A JournalReplay's context, and the JournalReplay. scratch is freed by the caller with wire_scratch_free. */
typedef struct JournalFold {
    SweepCore *core;
    uint64_t folded; /* the number of the last record that came */
    WireScratch scratch;
} JournalFold;
Status journal_fold_record(void *fold, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic);
/* The epoch of the newest snapshot in a journal's folder, 0 without one. Where reading failed and this is another than before, segments were
 * compacted away meanwhile: try again. */
uint64_t journal_fold_snapshot(const char *folder);
/* The state that a sweep folder's journal has now, of so many records (records may be NULL); nothing is written. sweep as for
 * sweep_core_create. core->opened is false when it holds nothing. */
NODISCARD Status journal_fold_read(const Sweep *sweep, const char *sweep_folder, SweepCore **core, uint64_t *records,
                                   Diagnostic *diagnostic);

#endif
