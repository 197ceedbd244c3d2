#include "proto/records.h"

#include <stdlib.h>
#include <string.h>

#include "journal.pb-c.h"
#include "proto/record_reader.h"
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

static char *text_of(const char *text)
{
    return (char *)(text ? text : "");
}

Status record_encode(const Record *record, Text *bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Nersweep__JournalRecord wire = NERSWEEP__JOURNAL_RECORD__INIT;
    Nersweep__AssignmentId id = NERSWEEP__ASSIGNMENT_ID__INIT;
    TRY(record_check(record, diagnostic));
    id.trial = record->id.trial;
    id.fence = record->id.fence;
    wire.format = RECORD_FORMAT_VERSION;
    wire.type = record->type;
    wire.epoch = record->epoch;
    wire.wall_ms = record->wall_ms;
    wire.id = &id;
    wire.configuration = record->configuration;
    wire.seed_index = record->seed_index;
    wire.json = text_of(record->json);
    wire.options_json = text_of(record->options_json);
    wire.identity = text_of(record->identity);
    wire.worker = text_of(record->worker);
    wire.kind = record->kind;
    wire.checkpoint = text_of(record->checkpoint);
    wire.sequence = record->sequence;
    wire.step = record->step;
    wire.total_steps = record->total_steps;
    wire.training_epoch = record->training_epoch;
    wire.train_loss = record->train_loss;
    wire.learning_rate = record->learning_rate;
    wire.score = record->score;
    wire.attempt_outcome = record->attempt_outcome;
    wire.counts_as_retry = record->counts_as_retry;
    wire.outcome = record->outcome;
    wire.control = record->control;
    wire.all_trials = record->all_trials;
    wire.reason = text_of(record->reason);
    wire.datasets = wire_datasets(record->datasets, record->dataset_count);
    wire.n_datasets = record->dataset_count;
    wire_pack(&wire, bytes);
    wire_datasets_free(wire.datasets);
out:
    return status;
}

Status record_view(Record *record, RecordScratch *scratch, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    uint32_t format;
    if (size > RECORD_SIZE_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a journal record of %zu bytes; at most %d are possible", size,
                    RECORD_SIZE_LIMIT);
    bool whole = record_read(record, &format, scratch, bytes, size);
    if (whole && format != RECORD_FORMAT_VERSION)
        return FAIL(diagnostic, STATUS_MISMATCH, "a journal record of format %u; this nersweep reads format %d", format,
                    RECORD_FORMAT_VERSION);
    if (!whole)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a journal record that cannot be decoded");
    return record_check(record, diagnostic);
}

Status record_decode(Record *record, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    RecordScratch scratch = {0};
    Record view;
    memset(record, 0, sizeof *record);
    Status status = record_view(&view, &scratch, bytes, size, diagnostic);
    if (status == STATUS_OK)
        record_copy(record, &view);
    record_scratch_free(&scratch);
    return status;
}
