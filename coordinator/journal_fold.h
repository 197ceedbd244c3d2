/* Inside coordinator/ only: a journal read into a core. */
#ifndef NERSWEEP_COORDINATOR_JOURNAL_FOLD_H
#define NERSWEEP_COORDINATOR_JOURNAL_FOLD_H

#include "coordinator/core.h"

/* A JournalReplay's context, and the JournalReplay. scratch is freed by the caller with record_scratch_free. */
typedef struct JournalFold {
    SweepCore *core;
    RecordScratch scratch;
} JournalFold;
Status journal_fold_record(void *fold, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic);
/* The epoch of the newest snapshot in a journal's folder, 0 without one. Where reading failed and this is another than before, segments were
 * compacted away meanwhile: try again. */
uint64_t journal_fold_snapshot(const char *folder);
/* The state that a sweep folder's journal has now; nothing is written. core->opened is false when it holds nothing. */
NODISCARD Status journal_fold_read(const char *sweep_folder, SweepCore **core, Diagnostic *diagnostic);

#endif
