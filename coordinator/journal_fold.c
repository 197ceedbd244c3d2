#include "coordinator/journal_fold.h"

#include <inttypes.h>
#include <stdlib.h>

#include "coordinator/coordinator.h"
#include "core/io/file.h"
#include "core/store/journal_snapshot.h"

Status journal_fold_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic)
{
    JournalFold *fold = context;
    Record record;
    fold->folded = sequence;
    Status status = record_view(&record, &fold->scratch, payload, size, diagnostic);
    if (status == STATUS_OK)
        status = sweep_core_apply(fold->core, &record, diagnostic);
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "journal record %" PRIu64, sequence);
    return status;
}

uint64_t journal_fold_snapshot(const char *folder)
{
    JournalEpochs epochs;
    Status status = journal_snapshot_list(folder, &epochs, NULL);
    uint64_t newest = status == STATUS_OK && epochs.count ? epochs.items[epochs.count - 1] : 0;
    array_free(&epochs);
    return newest;
}

Status journal_fold_read(const Sweep *sweep, const char *sweep_folder, SweepCore **core, uint64_t *records, Diagnostic *diagnostic)
{
    enum { TRIES = 4 };
    char *folder = path_join(sweep_folder, "journal");
    Status status = STATUS_BUSY;
    for (int tries = 1;; tries++) {
        uint64_t snapshot = journal_fold_snapshot(folder);
        *core = sweep_core_create(sweep, sweep_folder);
        JournalFold fold = {.core = *core};
        status = journal_read(folder, journal_fold_record, &fold, diagnostic);
        wire_scratch_free(&fold.scratch);
        if (records)
            *records = fold.folded;
        if (status == STATUS_OK)
            break;
        sweep_core_destroy(core);
        bool compacted = (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) && journal_fold_snapshot(folder) != snapshot;
        if (!compacted || tries == TRIES)
            break;
    }
    free(folder);
    return status;
}

Status sweep_status_read(const char *sweep_folder, Json **status_json, Diagnostic *diagnostic)
{
    SweepCore *core = NULL;
    *status_json = NULL;
    Status status = journal_fold_read(NULL, sweep_folder, &core, NULL, diagnostic);
    if (status == STATUS_OK && !core->opened)
        status = FAIL(diagnostic, STATUS_NOT_FOUND, "%s holds no sweep that has begun", sweep_folder);
    if (status == STATUS_OK)
        *status_json = sweep_core_status(core, STATUS_FULL);
    sweep_core_destroy(&core);
    return status;
}
