/* Our encoding and that of protobuf-c's generated code: the same bytes, read alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdlib.h>

#include "journal.pb-c.h"
#include "nersweep.pb-c.h"
#include "tests/proto/fixtures.h"

/* ------------------------------------------------------------------------------------------------ by the generated code */

static void wire_pack(const void *message, Text *bytes)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    text_reserve(bytes, size);
    assert_int_equal(protobuf_c_message_pack(message, (uint8_t *)bytes->bytes + bytes->size), size);
    bytes->size += size;
    bytes->bytes[bytes->size] = '\0';
}

static Nersweep__DatasetScore **wire_datasets(const DatasetScore *scores, size_t count)
{
    Nersweep__DatasetScore **datasets = memory_allocate(count + 1, sizeof *datasets);
    Nersweep__DatasetScore *items = memory_allocate(count + 1, sizeof *items);
    datasets[0] = items; /* also with none, so that there is one thing to free */
    for (size_t i = 0; i < count; i++) {
        nersweep__dataset_score__init(&items[i]);
        items[i].name = (char *)scores[i].name;
        items[i].f1 = scores[i].f1;
        items[i].precision = scores[i].precision;
        items[i].recall = scores[i].recall;
        items[i].loss = scores[i].loss;
        datasets[i] = &items[i];
    }
    return datasets;
}

static void wire_datasets_free(Nersweep__DatasetScore **datasets)
{
    if (datasets)
        free(datasets[0]);
    free(datasets);
}

static char *text_of(const char *text)
{
    return (char *)(text ? text : "");
}

static Nersweep__AssignmentId assignment_of(const AssignmentId *id)
{
    Nersweep__AssignmentId wire = NERSWEEP__ASSIGNMENT_ID__INIT;
    wire.trial = id->trial;
    wire.fence = id->fence;
    return wire;
}

static void encode_hello(const MessageHello *hello, Text *body)
{
    Nersweep__Hello wire = NERSWEEP__HELLO__INIT;
    Nersweep__AssignmentId id = assignment_of(&hello->assignment);
    wire.worker = text_of(hello->worker);
    wire.host = text_of(hello->host);
    wire.pid = hello->pid;
    wire.ranks = hello->ranks;
    wire.threads_per_rank = hello->threads_per_rank;
    wire.backend = text_of(hello->backend);
    wire.software = text_of(hello->software);
    wire.sweep = text_of(hello->sweep);
    wire.assignment = &id;
    wire_pack(&wire, body);
}

static void encode_welcome(const MessageWelcome *welcome, Text *body)
{
    Nersweep__Welcome wire = NERSWEEP__WELCOME__INIT;
    wire.sweep = text_of(welcome->sweep);
    wire.sweep_folder = text_of(welcome->sweep_folder);
    wire.data_json = text_of(welcome->data_json);
    wire.heartbeat_ms = welcome->heartbeat_ms;
    wire.lease_ms = welcome->lease_ms;
    wire_pack(&wire, body);
}

static void encode_assign(const MessageAssign *assign, Text *body)
{
    Nersweep__Assign wire = NERSWEEP__ASSIGN__INIT;
    Nersweep__AssignmentId id = assignment_of(&assign->id);
    wire.id = &id;
    wire.kind = assign->kind;
    wire.options_json = text_of(assign->options_json);
    wire.metric_json = text_of(assign->metric_json);
    wire.resume = text_of(assign->resume);
    wire_pack(&wire, body);
}

static void encode_heartbeat(const MessageHeartbeat *heartbeat, Text *body)
{
    Nersweep__Heartbeat wire = NERSWEEP__HEARTBEAT__INIT;
    Nersweep__AssignmentId id = assignment_of(&heartbeat->id);
    wire.id = &id;
    wire.progress = heartbeat->progress;
    wire.step = heartbeat->step;
    wire.total_steps = heartbeat->total_steps;
    wire.loss = heartbeat->loss;
    wire.pieces_per_s = heartbeat->pieces_per_s;
    wire_pack(&wire, body);
}

static void encode_report(const MessageReport *report, Text *body)
{
    Nersweep__Report wire = NERSWEEP__REPORT__INIT;
    Nersweep__AssignmentId id = assignment_of(&report->id);
    wire.id = &id;
    wire.sequence = report->sequence;
    wire.step = report->step;
    wire.total_steps = report->total_steps;
    wire.epoch = report->epoch;
    wire.train_loss = report->train_loss;
    wire.learning_rate = report->learning_rate;
    wire.datasets = wire_datasets(report->datasets, report->dataset_count);
    wire.n_datasets = report->dataset_count;
    wire.score = report->score;
    wire.checkpoint = text_of(report->checkpoint);
    wire.stopped_early = report->stopped_early;
    wire_pack(&wire, body);
    wire_datasets_free(wire.datasets);
}

static void encode_finished(const MessageFinished *finished, Text *body)
{
    Nersweep__Finished wire = NERSWEEP__FINISHED__INIT;
    Nersweep__AssignmentId id = assignment_of(&finished->id);
    wire.id = &id;
    wire.outcome = finished->outcome;
    wire.reason = text_of(finished->reason);
    wire.diverged = finished->diverged;
    wire.datasets = wire_datasets(finished->datasets, finished->dataset_count);
    wire.n_datasets = finished->dataset_count;
    wire.statistics_json = text_of(finished->statistics_json);
    wire_pack(&wire, body);
    wire_datasets_free(wire.datasets);
}

static void encode_ack(const MessageAck *ack, Text *body)
{
    Nersweep__Ack wire = NERSWEEP__ACK__INIT;
    Nersweep__AssignmentId id = assignment_of(&ack->id);
    wire.id = &id;
    wire.acknowledged = ack->acknowledged;
    wire.sequence = ack->sequence;
    wire_pack(&wire, body);
}

static void encode_reason(const MessageReason *reason, Text *body)
{
    Nersweep__Reason wire = NERSWEEP__REASON__INIT;
    Nersweep__AssignmentId id = assignment_of(&reason->id);
    wire.id = &id;
    wire.code = text_of(status_name(reason->code));
    wire.reason = text_of(reason->reason);
    wire_pack(&wire, body);
}

static void encode_status(const MessageStatus *feed, Text *body)
{
    Nersweep__Status wire = NERSWEEP__STATUS__INIT;
    wire.sequence = feed->sequence;
    wire.json = text_of(feed->json);
    wire_pack(&wire, body);
}

static void encode_control(const MessageControl *control, Text *body)
{
    Nersweep__Control wire = NERSWEEP__CONTROL__INIT;
    wire.action = control->action;
    wire.all_trials = control->all_trials;
    wire.trial = control->trial;
    wire_pack(&wire, body);
}

static void encode_body(const Message *message, Text *body)
{
    switch (message->type) {
    case MESSAGE_HELLO:
        encode_hello(&message->hello, body);
        break;
    case MESSAGE_WELCOME:
        encode_welcome(&message->welcome, body);
        break;
    case MESSAGE_ASSIGN:
        encode_assign(&message->assign, body);
        break;
    case MESSAGE_HEARTBEAT:
        encode_heartbeat(&message->heartbeat, body);
        break;
    case MESSAGE_REPORT:
        encode_report(&message->report, body);
        break;
    case MESSAGE_FINISHED:
        encode_finished(&message->finished, body);
        break;
    case MESSAGE_ACK:
        encode_ack(&message->ack, body);
        break;
    case MESSAGE_REJECT:
    case MESSAGE_RELEASE:
    case MESSAGE_SHUTDOWN:
        encode_reason(&message->reason, body);
        break;
    case MESSAGE_STATUS_SNAPSHOT:
    case MESSAGE_STATUS_EVENT:
        encode_status(&message->status, body);
        break;
    case MESSAGE_CONTROL:
        encode_control(&message->control, body);
        break;
    default: /* STATUS_REQUEST says all by its type */
        break;
    }
}

static void oracle_message(const Message *message, Text *bytes)
{
    Text body = {0};
    encode_body(message, &body);
    Nersweep__Envelope envelope = NERSWEEP__ENVELOPE__INIT;
    envelope.version = PROTOCOL_VERSION;
    envelope.type = message->type;
    envelope.epoch = message->epoch;
    envelope.body.data = (uint8_t *)body.bytes;
    envelope.body.len = body.size;
    wire_pack(&envelope, bytes);
    text_free(&body);
}

static void oracle_record(const Record *record, Text *bytes)
{
    Nersweep__JournalRecord wire = NERSWEEP__JOURNAL_RECORD__INIT;
    Nersweep__AssignmentId id = NERSWEEP__ASSIGNMENT_ID__INIT;
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
}

/* ------------------------------------------------------------------------------------------------ comparing */

static void assert_same_bytes(const Text *ours, const Text *theirs, const char *what)
{
    if (ours->size != theirs->size || memcmp(ours->bytes, theirs->bytes, ours->size) != 0)
        fail_msg("%s: %zu bytes, the generated code has %zu, or others", what, ours->size, theirs->size);
}

/* Both ways: what the generated code wrote is read, and gives the same bytes again. */
static void compare_message(const Message *message)
{
    Text ours = {0}, theirs = {0}, again = {0};
    WireScratch scratch = {0};
    Message read;
    Diagnostic diagnostic = {0};
    if (message_encode(message, &ours, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    oracle_message(message, &theirs);
    assert_same_bytes(&ours, &theirs, message_type_name(message->type));
    if (message_view(&read, &scratch, theirs.bytes, theirs.size, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    assert_int_equal(message_encode(&read, &again, &diagnostic), STATUS_OK);
    assert_same_bytes(&again, &theirs, message_type_name(message->type));
    wire_scratch_free(&scratch);
    text_free(&ours);
    text_free(&theirs);
    text_free(&again);
}

static void compare_record(const Record *record)
{
    Text ours = {0}, theirs = {0}, again = {0};
    WireScratch scratch = {0};
    Record read;
    Diagnostic diagnostic = {0};
    if (record_encode(record, &ours, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    oracle_record(record, &theirs);
    assert_same_bytes(&ours, &theirs, record_type_name(record->type));
    if (record_view(&read, &scratch, theirs.bytes, theirs.size, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    assert_int_equal(record_encode(&read, &again, &diagnostic), STATUS_OK);
    assert_same_bytes(&again, &theirs, record_type_name(record->type));
    wire_scratch_free(&scratch);
    text_free(&ours);
    text_free(&theirs);
    text_free(&again);
}

static void every_message_is_the_generated_codes(void **state)
{
    (void)state;
    for (int type = MESSAGE_HELLO; type < MESSAGE_TYPE_LIMIT; type++) {
        Message message = fixture_message((MessageType)type);
        compare_message(&message);
        message.epoch = 0;
        compare_message(&message);
        message.epoch = UINT64_MAX;
        compare_message(&message);
        message_free(&message);
    }
}

/* Lengths of one byte, of two and of three, in the message and in what is inside it. */
static void long_texts_are_the_generated_codes(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 60, 61, 62, 63, 126, 127, 128, 129, 500, 16382, 16383, 16384, 16385, 60000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        Message message = fixture_message(MESSAGE_FINISHED);
        Record record = fixture_record(RECORD_TRIAL_ENDED);
        free(message.finished.statistics_json);
        message.finished.statistics_json = memory_allocate(lengths[i] + 1, 1);
        memset(message.finished.statistics_json, 'x', lengths[i]);
        free(record.json);
        record.json = memory_copy_string(message.finished.statistics_json);
        if (lengths[i] < sizeof message.finished.datasets->name) {
            memset(message.finished.datasets->name, 0, sizeof message.finished.datasets->name);
            memset(message.finished.datasets->name, 'y', lengths[i] ? lengths[i] : 1);
        }
        compare_message(&message);
        compare_record(&record);
        message_free(&message);
        record_free(&record);
    }
}

static void zeros_and_extremes_are_the_generated_codes(void **state)
{
    (void)state;
    static const double reals[] = {0.0, -0.0, 1.0, -1.5, 5e-324, 1.7976931348623157e308};
    static const int64_t steps[] = {0, 1, 127, 128, 16383, 16384, INT64_C(1) << 53};
    for (size_t r = 0; r < sizeof reals / sizeof *reals; r++)
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            Message message = fixture_message(MESSAGE_REPORT);
            Record record = fixture_record(RECORD_REPORTED);
            message.report.id.trial = record.id.trial = s == 0 ? 0 : UINT32_MAX;
            message.report.step = record.step = steps[s];
            message.report.train_loss = record.train_loss = reals[r];
            message.report.stopped_early = record.counts_as_retry = s % 2;
            compare_message(&message);
            record.wall_ms = s % 2 ? -1 : 0;
            record.sequence = UINT64_MAX;
            compare_record(&record);
            message_free(&message);
            record_free(&record);
        }
}

static void every_record_is_the_generated_codes(void **state)
{
    (void)state;
    for (int type = RECORD_SWEEP_OPENED; type < RECORD_TYPE_LIMIT; type++) {
        Record record = fixture_record((RecordType)type), least = {.type = (RecordType)type, .kind = ASSIGNMENT_TRAIN};
        least.outcome = TRIAL_COMPLETED;
        least.control = CONTROL_CANCEL;
        compare_record(&record);
        compare_record(&least);
        record_free(&record);
    }
}

/* A later version may add fields. */
static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    static const unsigned char added[] = {0xF0, 0x07, 0x05,                                              /* field 126: a number */
                                          0xF9, 0x07, 1,    2,   3,  4, 5, 6, 7, 8, 0xFD, 7, 1, 2, 3, 4, /* 127: of 8 bytes, of 4 */
                                          0xFA, 0x07, 0x02, 'a', 'b'};
    Message message = fixture_message(MESSAGE_ACK), read;
    Text bytes = {0};
    assert_int_equal(message_encode(&message, &bytes, NULL), STATUS_OK);
    text_append(&bytes, (const char *)added, sizeof added);
    assert_int_equal(message_decode(&read, bytes.bytes, bytes.size, NULL), STATUS_OK);
    assert_true(read.ack.sequence == message.ack.sequence);
    text_free(&bytes);
}

static void a_name_that_is_too_long_is_named(void **state)
{
    (void)state;
    Message message = fixture_message(MESSAGE_HELLO), read;
    Nersweep__Hello wire = NERSWEEP__HELLO__INIT;
    Nersweep__Envelope envelope = NERSWEEP__ENVELOPE__INIT;
    Text body = {0}, bytes = {0};
    Diagnostic diagnostic = {0};
    char *name = memory_allocate(sizeof message.hello.worker + 1, 1);
    memset(name, 'w', sizeof message.hello.worker);
    wire.worker = name;
    wire.host = wire.backend = wire.software = wire.sweep = text_of("");
    wire_pack(&wire, &body);
    envelope.version = PROTOCOL_VERSION;
    envelope.type = MESSAGE_HELLO;
    envelope.body.data = (uint8_t *)body.bytes;
    envelope.body.len = body.size;
    wire_pack(&envelope, &bytes);
    assert_int_equal(message_decode(&read, bytes.bytes, bytes.size, &diagnostic), STATUS_INVALID_INPUT);
    assert_non_null(strstr(diagnostic.message, "worker is too long"));
    free(name);
    text_free(&body);
    text_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_the_generated_codes),
        cmocka_unit_test(long_texts_are_the_generated_codes),
        cmocka_unit_test(zeros_and_extremes_are_the_generated_codes),
        cmocka_unit_test(every_record_is_the_generated_codes),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(a_name_that_is_too_long_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
