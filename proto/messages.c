#include "proto/messages.h"

#include <stdlib.h>
#include <string.h>

#include "nersweep.pb-c.h"
#include "proto/wire.h"

/* ------------------------------------------------------------------------------------------------ what records.c uses too */

/* What one unpacking takes, piece by piece out of few blocks, which go all at once. The first block begins with this. */
typedef struct WireArena {
    struct WireArena *next; /* larger blocks for what did not fit */
    size_t used, size;      /* of this block, behind its head */
    size_t left;            /* of the whole allowance; in the first one alone */
    _Alignas(16) char bytes[];
} WireArena;

static WireArena *arena_block(size_t size)
{
    WireArena *arena = malloc(sizeof *arena + size);
    if (arena)
        *arena = (WireArena){.size = size};
    return arena;
}

static void *wire_allocate(void *context, size_t size)
{
    WireArena *first = context, *block = first->next ? first->next : first;
    size_t rounded = (size + 15) / 16 * 16;
    if (size > first->left || rounded < size)
        return NULL;
    first->left -= size;
    if (rounded > block->size - block->used) {
        size_t more = 4 * block->size < first->left ? 4 * block->size : first->left;
        WireArena *added = arena_block(rounded > more ? rounded : more);
        if (!added)
            return NULL;
        added->next = first->next;
        first->next = added;
        block = added;
    }
    block->used += rounded;
    return block->bytes + block->used - rounded;
}

static void wire_release(void *context, void *memory)
{
    (void)context;
    (void)memory; /* goes with its block */
}

static void arena_free(WireArena *first)
{
    for (WireArena *next; first; first = next) {
        next = first->next;
        free(first);
    }
}

void *wire_unpack(const void *descriptor, const void *bytes, size_t size)
{
    enum { ROOM = 1024 };
    WireArena *arena = arena_block(ROOM + 2 * size);
    if (!arena)
        return NULL;
    arena->left = WIRE_ALLOCATION_LIMIT;
    ProtobufCAllocator allocator = {wire_allocate, wire_release, arena};
    void *unpacked = protobuf_c_message_unpack(descriptor, &allocator, size, bytes);
    /* The message itself is what it allocates first. */
    ASSERT(!unpacked || unpacked == arena->bytes);
    if (!unpacked)
        arena_free(arena);
    return unpacked;
}

void wire_free(void *unpacked)
{
    if (unpacked)
        arena_free((WireArena *)((char *)unpacked - offsetof(WireArena, bytes)));
}

void wire_pack(const void *message, Text *bytes)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    text_reserve(bytes, size);
    ASSERT(protobuf_c_message_pack(message, (uint8_t *)bytes->bytes + bytes->size) == size);
    bytes->size += size;
    bytes->bytes[bytes->size] = '\0';
}

Nersweep__DatasetScore **wire_datasets(const DatasetScore *scores, size_t count)
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

void wire_datasets_free(Nersweep__DatasetScore **datasets)
{
    if (datasets)
        free(datasets[0]);
    free(datasets);
}

Status wire_datasets_read(DatasetScore **scores, size_t *score_count, Nersweep__DatasetScore *const *datasets, size_t count,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (count > MESSAGE_DATASET_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%zu data sets, at most %d are possible", count, MESSAGE_DATASET_LIMIT);
    *scores = count ? memory_allocate(count, sizeof **scores) : NULL;
    *score_count = count;
    for (size_t i = 0; i < count; i++) {
        DatasetScore *score = &(*scores)[i];
        TRY(wire_copy_text(score->name, sizeof score->name, datasets[i]->name, "data set", "name", diagnostic));
        score->f1 = datasets[i]->f1;
        score->precision = datasets[i]->precision;
        score->recall = datasets[i]->recall;
        score->loss = datasets[i]->loss;
    }
out:
    return status;
}

Status wire_copy_text(char *to, size_t size, const char *text, const char *what, const char *field, Diagnostic *diagnostic)
{
    size_t length = text ? strlen(text) : 0;
    if (length >= size)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is longer than %zu bytes", what, field, size - 1);
    memset(to, 0, size);
    if (length)
        memcpy(to, text, length);
    return STATUS_OK;
}

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

/* The strings that a message owns; both free and copy walk this list. */
static size_t message_strings(Message *message, char **strings[3])
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
    char **strings[3];
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
    char **strings[3];
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

/* ------------------------------------------------------------------------------------------------ encoding */

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

Status message_encode(const Message *message, Text *bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Text body = {0}, frame = {0};
    TRY(message_check(message, diagnostic));
    encode_body(message, &body);
    Nersweep__Envelope envelope = NERSWEEP__ENVELOPE__INIT;
    envelope.version = PROTOCOL_VERSION;
    envelope.type = message->type;
    envelope.epoch = message->epoch;
    envelope.body.data = (uint8_t *)body.bytes;
    envelope.body.len = body.size;
    wire_pack(&envelope, &frame);
    if (frame.size > MESSAGE_SIZE_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %zu bytes are more than a frame may have (%d)",
                 message_type_name(message->type), frame.size, MESSAGE_SIZE_LIMIT);
    text_append(bytes, frame.bytes, frame.size);
out:
    text_free(&body);
    text_free(&frame);
    return status;
}

/* ------------------------------------------------------------------------------------------------ decoding */

static void assignment_read(AssignmentId *id, const Nersweep__AssignmentId *wire)
{
    *id = wire ? (AssignmentId){wire->trial, wire->fence} : (AssignmentId){0};
}

static Status decode_hello(MessageHello *hello, const Nersweep__Hello *wire, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(wire_copy_text(hello->worker, sizeof hello->worker, wire->worker, "HELLO", "worker", diagnostic));
    TRY(wire_copy_text(hello->host, sizeof hello->host, wire->host, "HELLO", "host", diagnostic));
    hello->pid = wire->pid;
    hello->ranks = wire->ranks;
    hello->threads_per_rank = wire->threads_per_rank;
    TRY(wire_copy_text(hello->backend, sizeof hello->backend, wire->backend, "HELLO", "backend", diagnostic));
    TRY(wire_copy_text(hello->software, sizeof hello->software, wire->software, "HELLO", "software", diagnostic));
    TRY(wire_copy_text(hello->sweep, sizeof hello->sweep, wire->sweep, "HELLO", "sweep", diagnostic));
    assignment_read(&hello->assignment, wire->assignment);
out:
    return status;
}

static Status decode_welcome(MessageWelcome *welcome, const Nersweep__Welcome *wire, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(wire_copy_text(welcome->sweep, sizeof welcome->sweep, wire->sweep, "WELCOME", "sweep", diagnostic));
    welcome->sweep_folder = memory_copy_string(text_of(wire->sweep_folder));
    welcome->data_json = memory_copy_string(text_of(wire->data_json));
    welcome->heartbeat_ms = wire->heartbeat_ms;
    welcome->lease_ms = wire->lease_ms;
out:
    return status;
}

static Status decode_assign(MessageAssign *assign, const Nersweep__Assign *wire, Diagnostic *diagnostic)
{
    (void)diagnostic;
    assignment_read(&assign->id, wire->id);
    assign->kind = (AssignmentKind)wire->kind;
    assign->options_json = memory_copy_string(text_of(wire->options_json));
    assign->metric_json = memory_copy_string(text_of(wire->metric_json));
    assign->resume = memory_copy_string(text_of(wire->resume));
    return STATUS_OK;
}

static Status decode_heartbeat(MessageHeartbeat *heartbeat, const Nersweep__Heartbeat *wire, Diagnostic *diagnostic)
{
    (void)diagnostic;
    assignment_read(&heartbeat->id, wire->id);
    heartbeat->progress = wire->progress;
    heartbeat->step = wire->step;
    heartbeat->total_steps = wire->total_steps;
    heartbeat->loss = wire->loss;
    heartbeat->pieces_per_s = wire->pieces_per_s;
    return STATUS_OK;
}

static Status decode_report(MessageReport *report, const Nersweep__Report *wire, Diagnostic *diagnostic)
{
    assignment_read(&report->id, wire->id);
    report->sequence = wire->sequence;
    report->step = wire->step;
    report->total_steps = wire->total_steps;
    report->epoch = wire->epoch;
    report->train_loss = wire->train_loss;
    report->learning_rate = wire->learning_rate;
    report->score = wire->score;
    report->checkpoint = memory_copy_string(text_of(wire->checkpoint));
    report->stopped_early = wire->stopped_early;
    return wire_datasets_read(&report->datasets, &report->dataset_count, wire->datasets, wire->n_datasets, diagnostic);
}

static Status decode_finished(MessageFinished *finished, const Nersweep__Finished *wire, Diagnostic *diagnostic)
{
    assignment_read(&finished->id, wire->id);
    finished->outcome = (FinishOutcome)wire->outcome;
    finished->reason = memory_copy_string(text_of(wire->reason));
    finished->diverged = wire->diverged;
    finished->statistics_json = memory_copy_string(text_of(wire->statistics_json));
    return wire_datasets_read(&finished->datasets, &finished->dataset_count, wire->datasets, wire->n_datasets, diagnostic);
}

static Status decode_ack(MessageAck *ack, const Nersweep__Ack *wire, Diagnostic *diagnostic)
{
    (void)diagnostic;
    assignment_read(&ack->id, wire->id);
    ack->acknowledged = (MessageType)wire->acknowledged;
    ack->sequence = wire->sequence;
    return STATUS_OK;
}

static Status decode_reason(MessageReason *reason, const Nersweep__Reason *wire, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    assignment_read(&reason->id, wire->id);
    reason->code = STATUS_COUNT;
    for (int code = 0; code < STATUS_COUNT; code++)
        if (strcmp(status_name((Status)code), text_of(wire->code)) == 0)
            reason->code = (Status)code;
    if (reason->code == STATUS_COUNT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "reason: unknown status code \"%.60s\"", text_of(wire->code));
    reason->reason = memory_copy_string(text_of(wire->reason));
out:
    return status;
}

static Status decode_status(MessageStatus *feed, const Nersweep__Status *wire, Diagnostic *diagnostic)
{
    (void)diagnostic;
    feed->sequence = wire->sequence;
    feed->json = memory_copy_string(text_of(wire->json));
    return STATUS_OK;
}

static Status decode_control(MessageControl *control, const Nersweep__Control *wire, Diagnostic *diagnostic)
{
    (void)diagnostic;
    control->action = (ControlAction)wire->action;
    control->all_trials = wire->all_trials;
    control->trial = wire->trial;
    return STATUS_OK;
}

static const ProtobufCMessageDescriptor *body_descriptor(MessageType type)
{
    switch (type) {
    case MESSAGE_HELLO:
        return &nersweep__hello__descriptor;
    case MESSAGE_WELCOME:
        return &nersweep__welcome__descriptor;
    case MESSAGE_ASSIGN:
        return &nersweep__assign__descriptor;
    case MESSAGE_HEARTBEAT:
        return &nersweep__heartbeat__descriptor;
    case MESSAGE_REPORT:
        return &nersweep__report__descriptor;
    case MESSAGE_FINISHED:
        return &nersweep__finished__descriptor;
    case MESSAGE_ACK:
        return &nersweep__ack__descriptor;
    case MESSAGE_REJECT:
    case MESSAGE_RELEASE:
    case MESSAGE_SHUTDOWN:
        return &nersweep__reason__descriptor;
    case MESSAGE_STATUS_SNAPSHOT:
    case MESSAGE_STATUS_EVENT:
        return &nersweep__status__descriptor;
    case MESSAGE_CONTROL:
        return &nersweep__control__descriptor;
    default:
        return NULL;
    }
}

static Status decode_body(Message *message, const void *wire, Diagnostic *diagnostic)
{
    switch (message->type) {
    case MESSAGE_HELLO:
        return decode_hello(&message->hello, wire, diagnostic);
    case MESSAGE_WELCOME:
        return decode_welcome(&message->welcome, wire, diagnostic);
    case MESSAGE_ASSIGN:
        return decode_assign(&message->assign, wire, diagnostic);
    case MESSAGE_HEARTBEAT:
        return decode_heartbeat(&message->heartbeat, wire, diagnostic);
    case MESSAGE_REPORT:
        return decode_report(&message->report, wire, diagnostic);
    case MESSAGE_FINISHED:
        return decode_finished(&message->finished, wire, diagnostic);
    case MESSAGE_ACK:
        return decode_ack(&message->ack, wire, diagnostic);
    case MESSAGE_REJECT:
    case MESSAGE_RELEASE:
    case MESSAGE_SHUTDOWN:
        return decode_reason(&message->reason, wire, diagnostic);
    case MESSAGE_STATUS_SNAPSHOT:
    case MESSAGE_STATUS_EVENT:
        return decode_status(&message->status, wire, diagnostic);
    default:
        return decode_control(&message->control, wire, diagnostic);
    }
}

Status message_decode(Message *message, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Nersweep__Envelope *envelope = NULL;
    void *body = NULL;
    memset(message, 0, sizeof *message);
    if (size > MESSAGE_SIZE_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "a frame of %zu bytes; at most %d are possible", size, MESSAGE_SIZE_LIMIT);
    envelope = wire_unpack(&nersweep__envelope__descriptor, bytes, size);
    if (!envelope)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "a frame that is no message of this protocol");
    message->version = envelope->version;
    message->epoch = envelope->epoch;
    message->type = envelope->type < MESSAGE_TYPE_LIMIT ? (MessageType)envelope->type : (MessageType)0;
    if (envelope->version != PROTOCOL_VERSION)
        TRY_FAIL(diagnostic, STATUS_MISMATCH,
                 "the other side speaks protocol version %u, this one %d: use the same nersweep on both", envelope->version,
                 PROTOCOL_VERSION);
    if (message->type == 0)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "message type %u is unknown", envelope->type);
    const ProtobufCMessageDescriptor *descriptor = body_descriptor(message->type);
    if (descriptor) {
        body = wire_unpack(descriptor, envelope->body.data, envelope->body.len);
        if (!body)
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: malformed", message_type_name(message->type));
        TRY(decode_body(message, body, diagnostic));
    }
    TRY(message_check(message, diagnostic));
out:
    wire_free(body);
    if (status != STATUS_OK) {
        uint32_t version = message->version;
        MessageType type = message->type;
        message_free(message);
        if (status == STATUS_MISMATCH) {
            message->version = version;
            message->type = type;
        }
    }
    wire_free(envelope);
    return status;
}
