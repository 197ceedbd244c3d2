#include "proto/records.h"

#include <stdlib.h>
#include <string.h>

#include "proto/fields.h"
#include "proto/wire.h"

enum { RECORD_SIZE_LIMIT = 16 * 1024 * 1024, RECORD_STRING_COUNT = 7 };

const char *record_type_name(RecordType type)
{
    static const char *const names[RECORD_TYPE_LIMIT] = {
        [RECORD_SWEEP_OPENED] = "sweep_opened",
        [RECORD_EPOCH_OPENED] = "epoch_opened",
        [RECORD_TRIAL_CREATED] = "trial_created",
        [RECORD_ASSIGNED] = "assigned",
        [RECORD_REPORTED] = "reported",
        [RECORD_ATTEMPT_ENDED] = "attempt_ended",
        [RECORD_TRIAL_ENDED] = "trial_ended",
        [RECORD_TEST_SCORED] = "test_scored",
        [RECORD_CONTROL] = "control",
        [RECORD_SWEEP_ENDED] = "sweep_ended",
        [RECORD_PROMOTED] = "promoted",
        [RECORD_BUDGET_SPENT] = "budget_spent",
        [RECORD_WARM_STARTED] = "warm_started",
        [RECORD_HOST_QUARANTINED] = "host_quarantined",
    };
    return (size_t)type < RECORD_TYPE_LIMIT && names[type] ? names[type] : "another";
}

static void record_strings(Record *record, char **strings[RECORD_STRING_COUNT])
{
    strings[0] = &record->json;
    strings[1] = &record->options_json;
    strings[2] = &record->identity;
    strings[3] = &record->worker;
    strings[4] = &record->checkpoint;
    strings[5] = &record->reason;
    strings[6] = NULL;
}

void record_free(Record *record)
{
    char **strings[RECORD_STRING_COUNT];
    record_strings(record, strings);
    for (size_t i = 0; strings[i]; i++)
        free(*strings[i]);
    free(record->datasets);
    memset(record, 0, sizeof *record);
}

void record_copy(Record *to, const Record *from)
{
    *to = *from;
    char **strings[RECORD_STRING_COUNT];
    record_strings(to, strings);
    for (size_t i = 0; strings[i]; i++)
        if (*strings[i])
            *strings[i] = memory_copy_string(*strings[i]);
    if (from->datasets) {
        to->datasets = memory_allocate(from->dataset_count ? from->dataset_count : 1, sizeof *to->datasets);
        memcpy(to->datasets, from->datasets, from->dataset_count * sizeof *to->datasets);
    }
}

/* Only what holds for every type; whether a record fits the state that it is applied to is for the state to say. */
static Status record_check(const Record *record, Diagnostic *diagnostic)
{
    static const char what[] = "journal record";
    Status status = STATUS_OK;
    TRY(wire_check_integer(record->type, RECORD_SWEEP_OPENED, RECORD_TYPE_LIMIT - 1, what, "type", diagnostic));
    TRY(wire_check_integer(record->kind, record->type == RECORD_ASSIGNED ? ASSIGNMENT_TRAIN : 0, ASSIGNMENT_TEST, what, "kind",
                           diagnostic));
    TRY(wire_check_integer(record->attempt_outcome, 0, FINISH_INTERRUPTED, what, "attempt_outcome", diagnostic));
    TRY(wire_check_integer(record->outcome, record->type == RECORD_TRIAL_ENDED ? TRIAL_COMPLETED : 0, TRIAL_STOPPED, what,
                           "outcome", diagnostic));
    TRY(wire_check_integer(record->control, record->type == RECORD_CONTROL ? CONTROL_CANCEL : 0, CONTROL_STOP, what, "control",
                           diagnostic));
    TRY(wire_check_integer(record->step, 0, INT64_C(1) << 53, what, "step", diagnostic));
    TRY(wire_check_integer(record->total_steps, 0, INT64_C(1) << 53, what, "total_steps", diagnostic));
    TRY(wire_check_finite(record->training_epoch, what, "training_epoch", diagnostic));
    TRY(wire_check_finite(record->learning_rate, what, "learning_rate", diagnostic));
    TRY(wire_check_datasets(record->datasets, record->dataset_count, what, diagnostic));
    TRY(wire_check_text(record->json, MESSAGE_JSON_LIMIT, what, "json", diagnostic));
    TRY(wire_check_text(record->options_json, MESSAGE_JSON_LIMIT, what, "options_json", diagnostic));
    TRY(wire_check_text(record->identity, MESSAGE_TEXT_LIMIT, what, "identity", diagnostic));
    TRY(wire_check_text(record->worker, MESSAGE_TEXT_LIMIT, what, "worker", diagnostic));
    TRY(wire_check_text(record->checkpoint, WIRE_CHECKPOINT_LIMIT, what, "checkpoint", diagnostic));
    TRY(wire_check_text(record->reason, MESSAGE_TEXT_LIMIT, what, "reason", diagnostic));
out:
    return status;
}

_Static_assert(sizeof(RecordType) == 4 && sizeof(TrialOutcome) == 4, "enumerations are read as 32 bits");

#define OF_RECORD(kind_, field)                                  \
    {                                                            \
        .kind = FIELD_##kind_, .offset = offsetof(Record, field) \
    }
static const Field record_fields[] = {
    [1] = {.kind = FIELD_FORMAT, .size = RECORD_FORMAT_VERSION},
    [2] = OF_RECORD(32, type),
    [3] = OF_RECORD(64, epoch),
    [4] = OF_RECORD(64, wall_ms),
    [5] = {.kind = FIELD_STRUCT, .offset = offsetof(Record, id), .table = &assignment_id_fields},
    [6] = OF_RECORD(32, configuration),
    [7] = OF_RECORD(32, seed_index),
    [8] = OF_RECORD(TEXT, json),
    [9] = OF_RECORD(TEXT, options_json),
    [10] = OF_RECORD(TEXT, identity),
    [11] = OF_RECORD(TEXT, worker),
    [12] = OF_RECORD(32, kind),
    [13] = OF_RECORD(TEXT, checkpoint),
    [14] = OF_RECORD(64, sequence),
    [15] = OF_RECORD(64, step),
    [16] = OF_RECORD(64, total_steps),
    [17] = OF_RECORD(REAL, training_epoch),
    [18] = OF_RECORD(REAL, train_loss),
    [19] = OF_RECORD(REAL, learning_rate),
    [20] = OF_RECORD(REAL, score),
    [21] = {FIELD_DATASETS, offsetof(Record, datasets), offsetof(Record, dataset_count), NULL, "datasets"},
    [22] = OF_RECORD(32, attempt_outcome),
    [23] = OF_RECORD(BOOLEAN, counts_as_retry),
    [24] = OF_RECORD(32, outcome),
    [25] = OF_RECORD(32, control),
    [26] = OF_RECORD(BOOLEAN, all_trials),
    [27] = OF_RECORD(TEXT, reason),
};
static const FieldTable record_table = {record_fields, sizeof record_fields / sizeof *record_fields};

Status record_encode(const Record *record, Text *bytes, Diagnostic *diagnostic)
{
    Status status = record_check(record, diagnostic);
    if (status == STATUS_OK)
        fields_write(&record_table, record, bytes);
    return status;
}

Status record_view(Record *record, WireScratch *scratch, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    const char *refused;
    if (size > RECORD_SIZE_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a journal record of %zu bytes; at most %d are possible", size,
                    RECORD_SIZE_LIMIT);
    memset(record, 0, sizeof *record);
    bool whole = fields_read(&record_table, record, scratch, bytes, size, &refused);
    if (whole && scratch->format != RECORD_FORMAT_VERSION)
        return FAIL(diagnostic, STATUS_MISMATCH, "a journal record of format %u; this nersweep reads format %d", scratch->format,
                    RECORD_FORMAT_VERSION);
    if (!whole)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a journal record that cannot be decoded");
    return record_check(record, diagnostic);
}

Status record_decode(Record *record, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    WireScratch scratch = {0};
    Record view;
    memset(record, 0, sizeof *record);
    Status status = record_view(&view, &scratch, bytes, size, diagnostic);
    if (status == STATUS_OK)
        record_copy(record, &view);
    wire_scratch_free(&scratch);
    return status;
}
