#include "proto/messages.h"

#include <stdlib.h>
#include <string.h>

#include "proto/fields.h"
#include "proto/wire.h"

/* ------------------------------------------------------------------------------------------------ life of a message */

const char *message_type_name(MessageType type)
{
    static const char *const names[MESSAGE_TYPE_LIMIT] = {
        [MESSAGE_HELLO] = "HELLO",
        [MESSAGE_WELCOME] = "WELCOME",
        [MESSAGE_REJECT] = "REJECT",
        [MESSAGE_ASSIGN] = "ASSIGN",
        [MESSAGE_HEARTBEAT] = "HEARTBEAT",
        [MESSAGE_REPORT] = "REPORT",
        [MESSAGE_FINISHED] = "FINISHED",
        [MESSAGE_ACK] = "ACK",
        [MESSAGE_RELEASE] = "RELEASE",
        [MESSAGE_SHUTDOWN] = "SHUTDOWN",
        [MESSAGE_STATUS_REQUEST] = "STATUS_REQUEST",
        [MESSAGE_STATUS_SNAPSHOT] = "STATUS_SNAPSHOT",
        [MESSAGE_STATUS_EVENT] = "STATUS_EVENT",
        [MESSAGE_CONTROL] = "CONTROL",
    };
    return type > 0 && type < MESSAGE_TYPE_LIMIT ? names[type] : "unknown message";
}

enum { MESSAGE_STRING_LIMIT = 3 };

/* The strings that a message owns; whoever frees, copies or fills in walks this list. */
static size_t message_strings(Message *message, char **strings[MESSAGE_STRING_LIMIT])
{
    size_t count = 0;
    switch (message->type) {
    case MESSAGE_WELCOME:
        strings[count++] = &message->welcome.sweep_folder;
        strings[count++] = &message->welcome.data_json;
        break;
    case MESSAGE_ASSIGN:
        strings[count++] = &message->assign.options_json;
        strings[count++] = &message->assign.metric_json;
        strings[count++] = &message->assign.resume;
        break;
    case MESSAGE_REPORT:
        strings[count++] = &message->report.checkpoint;
        break;
    case MESSAGE_FINISHED:
        strings[count++] = &message->finished.reason;
        strings[count++] = &message->finished.statistics_json;
        break;
    case MESSAGE_REJECT:
    case MESSAGE_RELEASE:
    case MESSAGE_SHUTDOWN:
        strings[count++] = &message->reason.reason;
        break;
    case MESSAGE_STATUS_SNAPSHOT:
    case MESSAGE_STATUS_EVENT:
        strings[count++] = &message->status.json;
        break;
    default:
        break;
    }
    return count;
}

/* The scores that a message owns, or NULL. */
static DatasetScore **message_datasets(Message *message, size_t *count)
{
    if (message->type == MESSAGE_REPORT) {
        *count = message->report.dataset_count;
        return &message->report.datasets;
    }
    if (message->type == MESSAGE_FINISHED) {
        *count = message->finished.dataset_count;
        return &message->finished.datasets;
    }
    *count = 0;
    return NULL;
}

void message_free(Message *message)
{
    char **strings[MESSAGE_STRING_LIMIT];
    size_t count = message_strings(message, strings), dataset_count;
    for (size_t i = 0; i < count; i++)
        free(*strings[i]);
    DatasetScore **datasets = message_datasets(message, &dataset_count);
    if (datasets)
        free(*datasets);
    memset(message, 0, sizeof *message);
}

void message_copy(Message *to, const Message *from)
{
    *to = *from;
    char **strings[MESSAGE_STRING_LIMIT];
    size_t count = message_strings(to, strings), dataset_count;
    for (size_t i = 0; i < count; i++)
        if (*strings[i])
            *strings[i] = memory_copy_string(*strings[i]);
    DatasetScore **datasets = message_datasets(to, &dataset_count);
    if (datasets && *datasets) {
        const DatasetScore *old = *datasets;
        *datasets = memory_allocate(dataset_count ? dataset_count : 1, sizeof *old);
        memcpy(*datasets, old, dataset_count * sizeof *old);
    }
}

/* ------------------------------------------------------------------------------------------------ on the wire */

/* A message of one of these types, as it is on the wire. */
#define FIELD(kind_, type, field)                              \
    {                                                          \
        .kind = FIELD_##kind_, .offset = offsetof(type, field) \
    }
#define NAME(type, field)                                                                                     \
    {                                                                                                         \
        .kind = FIELD_NAME, .offset = offsetof(type, field), .size = sizeof((type *)0)->field, .name = #field \
    }
#define ID(type, field)                                                                       \
    {                                                                                         \
        .kind = FIELD_STRUCT, .offset = offsetof(type, field), .table = &assignment_id_fields \
    }
#define DATASETS(type)                                                                                                        \
    {                                                                                                                         \
        .kind = FIELD_DATASETS, .offset = offsetof(type, datasets), .size = offsetof(type, dataset_count), .name = "datasets" \
    }
#define TABLE(fields)                            \
    {                                            \
        fields, sizeof(fields) / sizeof(*fields) \
    }

typedef struct Envelope {
    uint32_t version, type;
    uint64_t epoch;
    FieldBytes body;
} Envelope;
enum { ENVELOPE_BODY = 4 };
static const Field envelope_fields[] = {
    [1] = FIELD(32, Envelope, version),
    [2] = FIELD(32, Envelope, type),
    [3] = FIELD(64, Envelope, epoch),
    [ENVELOPE_BODY] = FIELD(BYTES, Envelope, body),
};
static const FieldTable envelope_table = TABLE(envelope_fields);

/* The code travels by name: the numbers of Status are not part of the protocol. */
typedef struct WireReason {
    AssignmentId id;
    const char *code;
    char *reason;
} WireReason;

static const Field hello_fields[] = {
    [1] = NAME(MessageHello, worker),
    [2] = NAME(MessageHello, host),
    [3] = FIELD(32, MessageHello, pid),
    [4] = FIELD(32, MessageHello, ranks),
    [5] = FIELD(32, MessageHello, threads_per_rank),
    [6] = NAME(MessageHello, backend),
    [7] = NAME(MessageHello, software),
    [8] = NAME(MessageHello, sweep),
    [9] = ID(MessageHello, assignment),
};
static const Field welcome_fields[] = {
    [1] = NAME(MessageWelcome, sweep),
    [2] = FIELD(TEXT, MessageWelcome, sweep_folder),
    [3] = FIELD(TEXT, MessageWelcome, data_json),
    [4] = FIELD(64, MessageWelcome, heartbeat_ms),
    [5] = FIELD(64, MessageWelcome, lease_ms),
};
static const Field assign_fields[] = {
    [1] = ID(MessageAssign, id),
    [2] = FIELD(32, MessageAssign, kind),
    [3] = FIELD(TEXT, MessageAssign, options_json),
    [4] = FIELD(TEXT, MessageAssign, metric_json),
    [5] = FIELD(TEXT, MessageAssign, resume),
};
static const Field heartbeat_fields[] = {
    [1] = ID(MessageHeartbeat, id),
    [2] = FIELD(64, MessageHeartbeat, progress),
    [3] = FIELD(64, MessageHeartbeat, step),
    [4] = FIELD(64, MessageHeartbeat, total_steps),
    [5] = FIELD(REAL, MessageHeartbeat, loss),
    [6] = FIELD(REAL, MessageHeartbeat, pieces_per_s),
};
static const Field report_fields[] = {
    [1] = ID(MessageReport, id),
    [2] = FIELD(64, MessageReport, sequence),
    [3] = FIELD(64, MessageReport, step),
    [4] = FIELD(64, MessageReport, total_steps),
    [5] = FIELD(REAL, MessageReport, epoch),
    [6] = FIELD(REAL, MessageReport, train_loss),
    [7] = FIELD(REAL, MessageReport, learning_rate),
    [8] = DATASETS(MessageReport),
    [9] = FIELD(REAL, MessageReport, score),
    [10] = FIELD(TEXT, MessageReport, checkpoint),
    [11] = FIELD(BOOLEAN, MessageReport, stopped_early),
};
static const Field finished_fields[] = {
    [1] = ID(MessageFinished, id),
    [2] = FIELD(32, MessageFinished, outcome),
    [3] = FIELD(TEXT, MessageFinished, reason),
    [4] = FIELD(BOOLEAN, MessageFinished, diverged),
    [5] = DATASETS(MessageFinished),
    [6] = FIELD(TEXT, MessageFinished, statistics_json),
};
static const Field ack_fields[] = {
    [1] = ID(MessageAck, id),
    [2] = FIELD(32, MessageAck, acknowledged),
    [3] = FIELD(64, MessageAck, sequence),
};
static const Field reason_fields[] = {
    [1] = ID(WireReason, id),
    [2] = FIELD(TEXT, WireReason, code),
    [3] = FIELD(TEXT, WireReason, reason),
};
static const Field status_fields[] = {
    [1] = FIELD(64, MessageStatus, sequence),
    [2] = FIELD(TEXT, MessageStatus, json),
};
static const Field control_fields[] = {
    [1] = FIELD(32, MessageControl, action),
    [2] = FIELD(BOOLEAN, MessageControl, all_trials),
    [3] = FIELD(32, MessageControl, trial),
};

static const FieldTable body_tables[MESSAGE_TYPE_LIMIT] = {
    [MESSAGE_HELLO] = TABLE(hello_fields),
    [MESSAGE_WELCOME] = TABLE(welcome_fields),
    [MESSAGE_REJECT] = TABLE(reason_fields),
    [MESSAGE_ASSIGN] = TABLE(assign_fields),
    [MESSAGE_HEARTBEAT] = TABLE(heartbeat_fields),
    [MESSAGE_REPORT] = TABLE(report_fields),
    [MESSAGE_FINISHED] = TABLE(finished_fields),
    [MESSAGE_ACK] = TABLE(ack_fields),
    [MESSAGE_RELEASE] = TABLE(reason_fields),
    [MESSAGE_SHUTDOWN] = TABLE(reason_fields),
    [MESSAGE_STATUS_SNAPSHOT] = TABLE(status_fields),
    [MESSAGE_STATUS_EVENT] = TABLE(status_fields),
    [MESSAGE_CONTROL] = TABLE(control_fields),
    /* STATUS_REQUEST says all by its type */
};

static bool is_reason(MessageType type)
{
    return type == MESSAGE_REJECT || type == MESSAGE_RELEASE || type == MESSAGE_SHUTDOWN;
}

/* The struct of a message's type: all members of the union begin where it does. */
static void *message_body(Message *message)
{
    return &message->hello;
}

Status message_encode(const Message *message, Text *bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t before = bytes->size;
    TRY(message_check(message, diagnostic));
    Envelope envelope = {.version = PROTOCOL_VERSION, .type = message->type, .epoch = message->epoch};
    fields_write(&envelope_table, &envelope, bytes);
    size_t envelope_end = bytes->size, opened = field_open(bytes, ENVELOPE_BODY), begin = bytes->size;
    WireReason reason = {0};
    if (is_reason(message->type))
        reason = (WireReason){message->reason.id, status_name(message->reason.code), message->reason.reason};
    fields_write(&body_tables[message->type], is_reason(message->type) ? (const void *)&reason : &message->hello, bytes);
    if (bytes->size > begin)
        field_close(bytes, opened);
    else
        bytes->size = envelope_end;
    if (bytes->size - before > MESSAGE_SIZE_LIMIT) {
        size_t size = bytes->size - before;
        bytes->size = before;
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %zu bytes are more than a frame may have (%d)",
                 message_type_name(message->type), size, MESSAGE_SIZE_LIMIT);
    }
out:
    return status;
}

static Status view_reason(MessageReason *reason, const WireReason *wire, Diagnostic *diagnostic)
{
    *reason = (MessageReason){wire->id, STATUS_COUNT, wire->reason};
    for (int code = 0; code < STATUS_COUNT; code++)
        if (strcmp(status_name((Status)code), wire->code ? wire->code : "") == 0)
            reason->code = (Status)code;
    if (reason->code == STATUS_COUNT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "reason: unknown status code \"%.60s\"", wire->code ? wire->code : "");
    return STATUS_OK;
}

static Status view_body(Message *message, WireScratch *scratch, FieldBytes body, Diagnostic *diagnostic)
{
    static char nothing[1];
    const char *refused, *name = message_type_name(message->type);
    WireReason reason = {0};
    char **strings[MESSAGE_STRING_LIMIT];
    void *target = is_reason(message->type) ? (void *)&reason : message_body(message);
    if (!fields_read(&body_tables[message->type], target, scratch, body.at, (size_t)(body.end - body.at), &refused))
        return refused ? FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is too long", name, refused)
                       : FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: malformed", name);
    Status status = is_reason(message->type) ? view_reason(&message->reason, &reason, diagnostic) : STATUS_OK;
    for (size_t i = 0, count = message_strings(message, strings); i < count; i++)
        if (!*strings[i])
            *strings[i] = nothing;
    return status;
}

Status message_view(Message *message, WireScratch *scratch, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Envelope envelope = {0};
    const char *refused;
    memset(message, 0, sizeof *message);
    if (size > MESSAGE_SIZE_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "a frame of %zu bytes; at most %d are possible", size, MESSAGE_SIZE_LIMIT);
    if (!fields_read(&envelope_table, &envelope, scratch, bytes, size, &refused))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "a frame that is no message of this protocol");
    message->version = envelope.version;
    message->epoch = envelope.epoch;
    message->type = envelope.type < MESSAGE_TYPE_LIMIT ? (MessageType)envelope.type : (MessageType)0;
    if (envelope.version != PROTOCOL_VERSION)
        TRY_FAIL(diagnostic, STATUS_MISMATCH,
                 "the other side speaks protocol version %u, this one %d: use the same nersweep on both", envelope.version,
                 PROTOCOL_VERSION);
    if (message->type == 0)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "message type %u is unknown", envelope.type);
    TRY(view_body(message, scratch, envelope.body, diagnostic));
    TRY(message_check(message, diagnostic));
out:
    if (status != STATUS_OK) {
        Message refusal = {.version = message->version, .type = message->type};
        memset(message, 0, sizeof *message);
        if (status == STATUS_MISMATCH)
            *message = refusal;
    }
    return status;
}

Status message_decode(Message *message, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    WireScratch scratch = {0};
    Message view;
    Status status = message_view(&view, &scratch, bytes, size, diagnostic);
    if (status == STATUS_OK)
        message_copy(message, &view);
    else
        *message = view;
    wire_scratch_free(&scratch);
    return status;
}
