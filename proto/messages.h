/* What coordinator, workers and readers say to one another, as plain structs, and their encoding (protobuf, nersweep.proto).
 *
 * The protocol, worker side (DEALER) W, coordinator (ROUTER) C, reader (DEALER) R:
 *   session    = W:HELLO  ( C:WELCOME work* / C:REJECT )
 *   work       = C:ASSIGN *( W:HEARTBEAT / W:REPORT C:ACK ) ( W:FINISHED C:ACK / C:RELEASE ) / C:SHUTDOWN
 *   reattach   = W:HELLO with its assignment  C:WELCOME ( C:ACK of what it reported / C:RELEASE )
 *   status     = R:STATUS_REQUEST C:STATUS_SNAPSHOT, and the feed (PUB/SUB): STATUS_EVENT with rising sequence
 *   control    = R:CONTROL C:ACK / C:REJECT
 * REPORT and FINISHED are repeated until they are acknowledged by the current epoch; acknowledged means durable. An ACK of a report is one of
 * all reports of its assignment up to it. The fence is a number that
 * rises with every assignment of the sweep: messages with another fence than the trial's current one are answered with RELEASE and change
 * nothing. All strings are bounded (MESSAGE_TEXT_LIMIT, JSON texts MESSAGE_JSON_LIMIT); decode checks every bound, range and required field. */
#ifndef NERSWEEP_PROTO_MESSAGES_H
#define NERSWEEP_PROTO_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

enum {
    PROTOCOL_VERSION = 1,
    MESSAGE_SIZE_LIMIT = 8 * 1024 * 1024,
    MESSAGE_REQUEST_LIMIT = 128 * 1024, /* to the coordinator */
    MESSAGE_TEXT_LIMIT = 4096,
    MESSAGE_JSON_LIMIT = 4 * 1024 * 1024,
    MESSAGE_STATISTICS_LIMIT = 64 * 1024,
    MESSAGE_DATASET_LIMIT = 64,
};

typedef enum MessageType {
    MESSAGE_HELLO = 1,
    MESSAGE_WELCOME,
    MESSAGE_REJECT,
    MESSAGE_ASSIGN,
    MESSAGE_HEARTBEAT,
    MESSAGE_REPORT,
    MESSAGE_FINISHED,
    MESSAGE_ACK,
    MESSAGE_RELEASE,
    MESSAGE_SHUTDOWN,
    MESSAGE_STATUS_REQUEST,
    MESSAGE_STATUS_SNAPSHOT,
    MESSAGE_STATUS_EVENT,
    MESSAGE_CONTROL,
    MESSAGE_TYPE_LIMIT
} MessageType;

/* An assignment's identity, on every message about it. */
typedef struct AssignmentId {
    uint32_t trial; /* from 0; configuration * seeds + seed index */
    uint64_t fence; /* 0: none */
} AssignmentId;

typedef struct MessageHello {
    char worker[64]; /* unique per process life of a worker group: host-pid-random */
    char host[128];
    int32_t pid;
    int32_t ranks, threads_per_rank;
    char backend[256];       /* what computes, for people */
    char software[64];       /* nersweep's version */
    char sweep[80];          /* identity of the sweep it was started for; empty: whichever this is */
    AssignmentId assignment; /* fence != 0: reattaching */
} MessageHello;

typedef struct MessageWelcome {
    char sweep[80];       /* SHA-256 hex of the resolved sweep */
    char *sweep_folder;   /* absolute path in the shared store */
    char *data_json;      /* {"model": PATH, "shards": FOLDER, ...}: the same for all trials */
    int64_t heartbeat_ms; /* send one at least this often */
    int64_t lease_ms;     /* without any message for this long the assignment is given to another */
} MessageWelcome;

typedef enum AssignmentKind { ASSIGNMENT_TRAIN = 1, ASSIGNMENT_TEST = 2 } AssignmentKind;

typedef struct MessageAssign {
    AssignmentId id;
    AssignmentKind kind;
    char *options_json; /* training options of this trial (canonical JSON of core/options) */
    char *metric_json;  /* {"name": "f1", "goal": "maximize", "dataset": NAME | "mean" | "worst"} */
    char *resume;       /* TRAIN: checkpoint (manifest name) to go on from, "" from the start. TEST: the checkpoint to score */
} MessageAssign;

typedef struct MessageHeartbeat {
    AssignmentId id;   /* fence 0: idle */
    uint64_t progress; /* rises whenever the training thread gets on; a hung rank is one whose number stands still */
    int64_t step, total_steps;
    double loss;
    double pieces_per_s;
} MessageHeartbeat;

typedef struct DatasetScore {
    char name[64]; /* dev set's name, or "test" */
    double f1, precision, recall, loss;
} DatasetScore;

typedef struct MessageReport {
    AssignmentId id;
    uint64_t sequence; /* evaluation number within the trial from 1, the same in every attempt */
    int64_t step, total_steps;
    double epoch;      /* training epochs done */
    double train_loss; /* mean since the last evaluation */
    double learning_rate;
    DatasetScore *datasets; /* [dataset_count] */
    size_t dataset_count;
    double score;     /* of the sweep's metric */
    char *checkpoint; /* manifest name of the model folder; its state for resuming is checkpoint + ".state" */
    bool stopped_early;
} MessageReport;

typedef enum FinishOutcome {
    FINISH_COMPLETED = 1,
    FINISH_FAILED = 2,       /* the trial is at fault: fails alike everywhere (diverged, bad options) */
    FINISH_WORKER_FAULT = 3, /* this worker is at fault: another may succeed */
    FINISH_INTERRUPTED = 4,  /* stopped from outside (time limit, ctrl-C): goes on elsewhere, not counted as a retry */
} FinishOutcome;

typedef struct MessageFinished {
    AssignmentId id;
    FinishOutcome outcome;
    char *reason; /* "" or the diagnostic */
    bool diverged;
    DatasetScore *datasets; /* TEST assignments: the scores */
    size_t dataset_count;
    char *statistics_json; /* {"wall_s", "pieces", "pieces_per_s", "peak_rss_mb", ...}: kept beside the result, never part of it */
} MessageFinished;

typedef struct MessageAck {
    AssignmentId id;
    MessageType acknowledged; /* MESSAGE_REPORT, MESSAGE_FINISHED or MESSAGE_CONTROL */
    uint64_t sequence;        /* of the report */
} MessageAck;

typedef struct MessageReason { /* REJECT, RELEASE, SHUTDOWN */
    AssignmentId id;
    Status code;
    char *reason;
} MessageReason;

typedef struct MessageStatus { /* STATUS_SNAPSHOT and STATUS_EVENT */
    uint64_t sequence;         /* of the feed: a snapshot includes all events up to it */
    char *json;
} MessageStatus;

typedef enum ControlAction { CONTROL_CANCEL = 1, CONTROL_PAUSE = 2, CONTROL_RESUME = 3, CONTROL_STOP = 4 } ControlAction;
typedef struct MessageControl {
    ControlAction action;
    bool all_trials;
    uint32_t trial;
} MessageControl;

/* One message. Pointers inside are owned by it after message_decode or when set with memory_copy_string; message_free frees them. */
typedef struct Message {
    MessageType type;
    uint32_t version; /* PROTOCOL_VERSION of the sender; encode fills it */
    uint64_t epoch;   /* the coordinator's epoch that the sender knows; 0: none */
    union {
        MessageHello hello;
        MessageWelcome welcome;
        MessageAssign assign;
        MessageHeartbeat heartbeat;
        MessageReport report;
        MessageFinished finished;
        MessageAck ack;
        MessageReason reason;
        MessageStatus status;
        MessageControl control;
    };
} Message;

const char *message_type_name(MessageType type);
void message_free(Message *message);
void message_copy(Message *to, const Message *from);
/* Appends the encoded message to bytes. */
NODISCARD Status message_encode(const Message *message, Text *bytes, Diagnostic *diagnostic);
/* Hostile bytes are fine: STATUS_INVALID_INPUT says what is wrong, and *message holds nothing. STATUS_MISMATCH: another protocol version
 * (message->version and type HELLO/REJECT are still filled in, so that it can be answered). */
NODISCARD Status message_decode(Message *message, const void *bytes, size_t size, Diagnostic *diagnostic);

/* For those who decode many: what a message or record points to lives here until the next one, and is not to be freed with it. Zero-initialised
 * is empty. */
typedef struct WireScratch {
    Text texts;
    ARRAY(DatasetScore) datasets;
    uint32_t format; /* of a record */
} WireScratch;
void wire_scratch_free(WireScratch *scratch);
/* As message_decode, without allocating. */
NODISCARD Status message_view(Message *message, WireScratch *scratch, const void *bytes, size_t size, Diagnostic *diagnostic);

#endif
