/* What may be in a message: every number's range and every text's length, checked before sending as after receiving. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "proto/wire.h"

enum { RANK_LIMIT = 65536, PERIOD_LIMIT_MS = 24 * 3600 * 1000 };
static const int64_t STEP_LIMIT = INT64_C(1) << 53; /* still exact as a number in JSON */

Status wire_refuse_text(size_t limit, const char *what, const char *field, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is longer than %zu bytes", what, field, limit);
}

Status wire_refuse_integer(int64_t value, int64_t minimum, int64_t maximum, const char *what, const char *field,
                           Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is %" PRId64 ", expected %" PRId64 " to %" PRId64, what, field, value,
                minimum, maximum);
}

Status wire_refuse_infinite(const char *what, const char *field, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is not a finite number", what, field);
}

static Status check_share(double value, const char *what, const char *field, Diagnostic *diagnostic)
{
    if (!(value >= 0.0 && value <= 1.0))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is %g, expected 0 to 1", what, field, value);
    return STATUS_OK;
}

/* A loss may be NaN or infinite: that is how a diverged trial looks, and it must be able to say so. */
Status wire_check_datasets(const DatasetScore *datasets, size_t count, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (count > MESSAGE_DATASET_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %zu data sets, at most %d are possible", what, count,
                 MESSAGE_DATASET_LIMIT);
    for (size_t i = 0; i < count; i++) {
        if (memchr(datasets[i].name, '\0', sizeof datasets[i].name) == NULL || !datasets[i].name[0])
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: data set %zu has no proper name", what, i);
        TRY(check_share(datasets[i].f1, what, "f1", diagnostic));
        TRY(check_share(datasets[i].precision, what, "precision", diagnostic));
        TRY(check_share(datasets[i].recall, what, "recall", diagnostic));
    }
out:
    return status;
}

static Status check_name(const char *text, size_t size, const char *what, const char *field, Diagnostic *diagnostic)
{
    size_t length = strnlen(text, size);
    if (length == 0 || length == size)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is empty or longer than %zu bytes", what, field, size - 1);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s holds a control character", what, field);
    return STATUS_OK;
}

/* An array of characters that may be empty but must end. */
static Status check_bounded(const char *text, size_t size, const char *what, const char *field, Diagnostic *diagnostic)
{
    if (memchr(text, '\0', size) == NULL)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is longer than %zu bytes", what, field, size - 1);
    return STATUS_OK;
}

static Status check_hello(const MessageHello *hello, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(check_name(hello->worker, sizeof hello->worker, what, "worker", diagnostic));
    TRY(check_name(hello->host, sizeof hello->host, what, "host", diagnostic));
    TRY(wire_check_integer(hello->pid, 1, INT32_MAX, what, "pid", diagnostic));
    TRY(wire_check_integer(hello->ranks, 1, RANK_LIMIT, what, "ranks", diagnostic));
    TRY(wire_check_integer(hello->threads_per_rank, 0, RANK_LIMIT, what, "threads_per_rank", diagnostic));
    TRY(check_bounded(hello->backend, sizeof hello->backend, what, "backend", diagnostic));
    TRY(check_bounded(hello->software, sizeof hello->software, what, "software", diagnostic));
    TRY(check_bounded(hello->sweep, sizeof hello->sweep, what, "sweep", diagnostic));
out:
    return status;
}

static Status check_welcome(const MessageWelcome *welcome, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(check_bounded(welcome->sweep, sizeof welcome->sweep, what, "sweep", diagnostic));
    TRY(wire_check_text(welcome->sweep_folder, MESSAGE_TEXT_LIMIT, what, "sweep_folder", diagnostic));
    TRY(wire_check_text(welcome->data_json, MESSAGE_JSON_LIMIT, what, "data_json", diagnostic));
    TRY(wire_check_integer(welcome->heartbeat_ms, 1, PERIOD_LIMIT_MS, what, "heartbeat_ms", diagnostic));
    TRY(wire_check_integer(welcome->lease_ms, welcome->heartbeat_ms, PERIOD_LIMIT_MS, what, "lease_ms", diagnostic));
out:
    return status;
}

static Status check_fence(const AssignmentId *id, const char *what, Diagnostic *diagnostic)
{
    if (id->fence == 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: it names no assignment (fence 0)", what);
    return STATUS_OK;
}

static Status check_assign(const MessageAssign *assign, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(check_fence(&assign->id, what, diagnostic));
    TRY(wire_check_integer(assign->kind, ASSIGNMENT_TRAIN, ASSIGNMENT_TEST, what, "kind", diagnostic));
    TRY(wire_check_text(assign->options_json, MESSAGE_JSON_LIMIT, what, "options_json", diagnostic));
    TRY(wire_check_text(assign->metric_json, MESSAGE_TEXT_LIMIT, what, "metric_json", diagnostic));
    TRY(wire_check_text(assign->resume, WIRE_CHECKPOINT_LIMIT, what, "resume", diagnostic));
out:
    return status;
}

static Status check_heartbeat(const MessageHeartbeat *heartbeat, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(wire_check_integer(heartbeat->step, 0, STEP_LIMIT, what, "step", diagnostic));
    TRY(wire_check_integer(heartbeat->total_steps, 0, STEP_LIMIT, what, "total_steps", diagnostic));
    TRY(wire_check_finite(heartbeat->pieces_per_s, what, "pieces_per_s", diagnostic));
out:
    return status;
}

static Status check_report(const MessageReport *report, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(check_fence(&report->id, what, diagnostic));
    if (report->sequence == 0 || report->sequence > (uint64_t)STEP_LIMIT)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: sequence %" PRIu64 " is out of range; the first is 1", what,
                 report->sequence);
    TRY(wire_check_integer(report->step, 0, STEP_LIMIT, what, "step", diagnostic));
    TRY(wire_check_integer(report->total_steps, 0, STEP_LIMIT, what, "total_steps", diagnostic));
    TRY(wire_check_finite(report->epoch, what, "epoch", diagnostic));
    TRY(wire_check_finite(report->learning_rate, what, "learning_rate", diagnostic));
    TRY(wire_check_datasets(report->datasets, report->dataset_count, what, diagnostic));
    TRY(wire_check_text(report->checkpoint, WIRE_CHECKPOINT_LIMIT, what, "checkpoint", diagnostic));
out:
    return status;
}

static Status check_finished(const MessageFinished *finished, const char *what, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(check_fence(&finished->id, what, diagnostic));
    TRY(wire_check_integer(finished->outcome, FINISH_COMPLETED, FINISH_INTERRUPTED, what, "outcome", diagnostic));
    TRY(wire_check_text(finished->reason, MESSAGE_TEXT_LIMIT, what, "reason", diagnostic));
    TRY(wire_check_datasets(finished->datasets, finished->dataset_count, what, diagnostic));
    TRY(wire_check_text(finished->statistics_json, MESSAGE_STATISTICS_LIMIT, what, "statistics_json", diagnostic));
out:
    return status;
}

static Status check_ack(const MessageAck *ack, const char *what, Diagnostic *diagnostic)
{
    if (ack->acknowledged != MESSAGE_REPORT && ack->acknowledged != MESSAGE_FINISHED && ack->acknowledged != MESSAGE_CONTROL)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: message type %d is never acknowledged", what, (int)ack->acknowledged);
    return STATUS_OK;
}

Status message_check(const Message *message, Diagnostic *diagnostic)
{
    const char *what = message_type_name(message->type);
    Status status = STATUS_OK;
    switch (message->type) {
    case MESSAGE_HELLO:
        return check_hello(&message->hello, what, diagnostic);
    case MESSAGE_WELCOME:
        return check_welcome(&message->welcome, what, diagnostic);
    case MESSAGE_ASSIGN:
        return check_assign(&message->assign, what, diagnostic);
    case MESSAGE_HEARTBEAT:
        return check_heartbeat(&message->heartbeat, what, diagnostic);
    case MESSAGE_REPORT:
        return check_report(&message->report, what, diagnostic);
    case MESSAGE_FINISHED:
        return check_finished(&message->finished, what, diagnostic);
    case MESSAGE_ACK:
        return check_ack(&message->ack, what, diagnostic);
    case MESSAGE_REJECT:
    case MESSAGE_RELEASE:
    case MESSAGE_SHUTDOWN:
        TRY(wire_check_integer(message->reason.code, STATUS_OK, STATUS_COUNT - 1, what, "code", diagnostic));
        TRY(wire_check_text(message->reason.reason, MESSAGE_TEXT_LIMIT, what, "reason", diagnostic));
        break;
    case MESSAGE_STATUS_REQUEST:
        break;
    case MESSAGE_STATUS_SNAPSHOT:
    case MESSAGE_STATUS_EVENT:
        TRY(wire_check_text(message->status.json, MESSAGE_JSON_LIMIT, what, "json", diagnostic));
        break;
    case MESSAGE_CONTROL:
        TRY(wire_check_integer(message->control.action, CONTROL_CANCEL, CONTROL_STOP, what, "action", diagnostic));
        break;
    default:
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "message type %d is unknown", (int)message->type);
    }
out:
    return status;
}
