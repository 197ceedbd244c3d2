#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "tests/proto/fixtures.h"

static void encode(const Message *message, Text *bytes)
{
    Diagnostic diagnostic = {0};
    if (message_encode(message, bytes, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
}

static void every_message_survives_its_encoding(void **state)
{
    (void)state;
    for (int type = MESSAGE_HELLO; type < MESSAGE_TYPE_LIMIT; type++) {
        Message sent = fixture_message((MessageType)type), received, copied;
        Text bytes = {0}, again = {0};
        Diagnostic diagnostic = {0};
        encode(&sent, &bytes);
        assert_int_equal(message_decode(&received, bytes.bytes, bytes.size, &diagnostic), STATUS_OK);
        assert_int_equal(received.type, type);
        assert_int_equal(received.version, PROTOCOL_VERSION);
        assert_int_equal(received.epoch, 7);
        message_copy(&copied, &received);
        message_free(&received);
        encode(&copied, &again);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.bytes, bytes.bytes, bytes.size);
        message_free(&copied);
        message_free(&sent);
        text_free(&bytes);
        text_free(&again);
    }
}

static void a_report_keeps_every_field_to_the_bit(void **state)
{
    (void)state;
    Message sent = fixture_message(MESSAGE_REPORT), received;
    Text bytes = {0};
    Diagnostic diagnostic = {0};
    encode(&sent, &bytes);
    assert_int_equal(message_decode(&received, bytes.bytes, bytes.size, &diagnostic), STATUS_OK);
    const MessageReport *a = &sent.report, *b = &received.report;
    assert_int_equal(b->id.trial, a->id.trial);
    assert_true(b->id.fence == a->id.fence);
    assert_true(b->sequence == a->sequence && b->step == a->step && b->total_steps == a->total_steps);
    assert_true(b->epoch == a->epoch && b->train_loss == a->train_loss && b->learning_rate == a->learning_rate &&
                b->score == a->score);
    assert_int_equal(b->dataset_count, 3);
    assert_memory_equal(b->datasets, a->datasets, 3 * sizeof *a->datasets);
    assert_string_equal(b->checkpoint, a->checkpoint);
    assert_true(b->stopped_early);
    message_free(&sent);
    message_free(&received);
    text_free(&bytes);
}

static void a_hello_keeps_every_field(void **state)
{
    (void)state;
    Message sent = fixture_message(MESSAGE_HELLO), received;
    Text bytes = {0};
    encode(&sent, &bytes);
    assert_int_equal(message_decode(&received, bytes.bytes, bytes.size, NULL), STATUS_OK);
    assert_memory_equal(&received.hello, &sent.hello, sizeof sent.hello);
    text_free(&bytes);
}

static void a_diverged_loss_travels_as_it_is(void **state)
{
    (void)state;
    Message sent = fixture_message(MESSAGE_REPORT), received;
    Text bytes = {0};
    sent.report.train_loss = NAN;
    sent.report.score = NAN;
    sent.report.datasets[0].loss = INFINITY;
    encode(&sent, &bytes);
    assert_int_equal(message_decode(&received, bytes.bytes, bytes.size, NULL), STATUS_OK);
    assert_true(isnan(received.report.train_loss) && isnan(received.report.score) && isinf(received.report.datasets[0].loss));
    message_free(&sent);
    message_free(&received);
    text_free(&bytes);
}

/* Each of these must be refused before it is sent; the same check runs after receiving. */
static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    struct {
        MessageType type;
        const char *expected;
    } cases[] = {
        {MESSAGE_HELLO, "ranks"},      {MESSAGE_HELLO, "worker"},     {MESSAGE_WELCOME, "lease_ms"}, {MESSAGE_ASSIGN, "kind"},
        {MESSAGE_ASSIGN, "fence"},     {MESSAGE_REPORT, "f1"},        {MESSAGE_REPORT, "epoch"},     {MESSAGE_REPORT, "sequence"},
        {MESSAGE_FINISHED, "outcome"}, {MESSAGE_FINISHED, "reason"},  {MESSAGE_ACK, "acknowledged"}, {MESSAGE_CONTROL, "action"},
        {MESSAGE_REJECT, "code"},      {MESSAGE_HEARTBEAT, "finite"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Message message = fixture_message(cases[i].type);
        switch (i) {
        case 0:
            message.hello.ranks = 0;
            break;
        case 1:
            strcpy(message.hello.worker, "a\nb");
            break;
        case 2:
            message.welcome.lease_ms = 10;
            break;
        case 3:
            message.assign.kind = (AssignmentKind)9;
            break;
        case 4:
            message.assign.id.fence = 0;
            break;
        case 5:
            message.report.datasets[1].f1 = 1.5;
            break;
        case 6:
            message.report.epoch = INFINITY;
            break;
        case 7:
            message.report.sequence = 0;
            break;
        case 8:
            message.finished.outcome = (FinishOutcome)0;
            break;
        case 9:
            free(message.finished.reason);
            message.finished.reason = memory_allocate(MESSAGE_TEXT_LIMIT + 2, 1);
            memset(message.finished.reason, 'x', MESSAGE_TEXT_LIMIT + 1);
            break;
        case 10:
            message.ack.acknowledged = MESSAGE_HELLO;
            break;
        case 11:
            message.control.action = (ControlAction)77;
            break;
        case 12:
            message.reason.code = STATUS_COUNT;
            break;
        default:
            message.heartbeat.pieces_per_s = NAN;
            break;
        }
        Text bytes = {0};
        Diagnostic diagnostic = {0};
        assert_int_equal(message_encode(&message, &bytes, &diagnostic), STATUS_INVALID_INPUT);
        if (!strstr(diagnostic.message, cases[i].expected))
            fail_msg("case %zu: \"%s\" does not name %s", i, diagnostic.message, cases[i].expected);
        assert_int_equal(bytes.size, 0);
        message_free(&message);
        text_free(&bytes);
    }
}

static void too_many_data_sets_are_refused(void **state)
{
    (void)state;
    Message message = fixture_message(MESSAGE_REPORT);
    Text bytes = {0};
    free(message.report.datasets);
    message.report.datasets = fixture_datasets(MESSAGE_DATASET_LIMIT + 1);
    message.report.dataset_count = MESSAGE_DATASET_LIMIT + 1;
    assert_int_equal(message_encode(&message, &bytes, NULL), STATUS_INVALID_INPUT);
    message_free(&message);
    text_free(&bytes);
}

/* The version is field 1 of the envelope: a varint right after its tag. */
static void another_protocol_version_can_still_be_answered(void **state)
{
    (void)state;
    Message sent = fixture_message(MESSAGE_HELLO), received;
    Text bytes = {0};
    Diagnostic diagnostic = {0};
    encode(&sent, &bytes);
    assert_int_equal(bytes.bytes[0], 0x08);
    assert_int_equal(bytes.bytes[1], PROTOCOL_VERSION);
    bytes.bytes[1] = PROTOCOL_VERSION + 1;
    assert_int_equal(message_decode(&received, bytes.bytes, bytes.size, &diagnostic), STATUS_MISMATCH);
    assert_int_equal(received.version, PROTOCOL_VERSION + 1);
    assert_int_equal(received.type, MESSAGE_HELLO);
    assert_non_null(strstr(diagnostic.message, "protocol version 2"));
    text_free(&bytes);
}

static void every_record_survives_its_encoding(void **state)
{
    (void)state;
    for (int type = RECORD_SWEEP_OPENED; type < RECORD_TYPE_LIMIT; type++) {
        Record written = fixture_record((RecordType)type), read, copied;
        Text bytes = {0}, again = {0};
        Diagnostic diagnostic = {0};
        assert_int_equal(record_encode(&written, &bytes, &diagnostic), STATUS_OK);
        assert_int_equal(record_decode(&read, bytes.bytes, bytes.size, &diagnostic), STATUS_OK);
        record_copy(&copied, &read);
        record_free(&read);
        assert_int_equal(copied.type, type);
        assert_true(copied.score == written.score && copied.wall_ms == written.wall_ms && copied.id.fence == written.id.fence);
        assert_string_equal(copied.options_json, written.options_json);
        assert_memory_equal(copied.datasets, written.datasets, 2 * sizeof *written.datasets);
        assert_int_equal(copied.control, written.control);
        assert_int_equal(record_encode(&copied, &again, &diagnostic), STATUS_OK);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.bytes, bytes.bytes, bytes.size);
        record_free(&written);
        record_free(&copied);
        text_free(&bytes);
        text_free(&again);
    }
}

static void a_record_of_another_format_is_refused(void **state)
{
    (void)state;
    Record written = fixture_record(RECORD_REPORTED), read;
    Text bytes = {0};
    Diagnostic diagnostic = {0};
    assert_int_equal(record_encode(&written, &bytes, &diagnostic), STATUS_OK);
    assert_int_equal(bytes.bytes[0], 0x08);
    bytes.bytes[1] = RECORD_FORMAT_VERSION + 1;
    assert_int_equal(record_decode(&read, bytes.bytes, bytes.size, &diagnostic), STATUS_MISMATCH);
    record_free(&written);
    text_free(&bytes);
}

static void every_record_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int type = RECORD_SWEEP_OPENED; type < RECORD_TYPE_LIMIT; type++) {
        assert_string_not_equal(record_type_name((RecordType)type), "another");
        for (int other = RECORD_SWEEP_OPENED; other < type; other++)
            assert_string_not_equal(record_type_name((RecordType)type), record_type_name((RecordType)other));
    }
    assert_string_equal(record_type_name(RECORD_TYPE_LIMIT), "another");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_its_encoding),
        cmocka_unit_test(a_report_keeps_every_field_to_the_bit),
        cmocka_unit_test(a_hello_keeps_every_field),
        cmocka_unit_test(a_diverged_loss_travels_as_it_is),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(too_many_data_sets_are_refused),
        cmocka_unit_test(another_protocol_version_can_still_be_answered),
        cmocka_unit_test(every_record_survives_its_encoding),
        cmocka_unit_test(a_record_of_another_format_is_refused),
        cmocka_unit_test(every_record_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
