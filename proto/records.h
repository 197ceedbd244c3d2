/* Journal records: every event and decision of a sweep, in order; the coordinator's durable state is their fold (protobuf, journal.proto). */
#ifndef NERSWEEP_PROTO_RECORDS_H
#define NERSWEEP_PROTO_RECORDS_H

#include "proto/messages.h"

enum { RECORD_FORMAT_VERSION = 1 };

typedef enum RecordType {
    RECORD_SWEEP_OPENED = 1, /* first record of every journal */
    RECORD_EPOCH_OPENED,     /* first record of every segment */
    RECORD_TRIAL_CREATED,    /* a decision of the sampler */
    RECORD_ASSIGNED,         /* a lease was given */
    RECORD_REPORTED,         /* an evaluation */
    RECORD_ATTEMPT_ENDED, /* lease expired, worker died, interrupted, worker at fault: the trial waits again (or failed: retries used up) */
    RECORD_TRIAL_ENDED, /* completed, failed, diverged, cancelled, stopped: counted, once */
    RECORD_TEST_SCORED, /* the winner's test score */
    RECORD_CONTROL,     /* pause, resume, cancel */
    RECORD_SWEEP_ENDED,
    RECORD_PROMOTED, /* a configuration goes on from its rung; with a trial and its fence: that one without leaving its worker */
    RECORD_BUDGET_SPENT,     /* nothing new is begun */
    RECORD_WARM_STARTED,     /* what earlier sweeps know */
    RECORD_HOST_QUARANTINED, /* worker is the machine's name: it gets no more work while others are there */
    RECORD_TYPE_LIMIT
} RecordType;

typedef enum TrialOutcome {
    TRIAL_COMPLETED = 1,
    TRIAL_FAILED = 2,
    TRIAL_DIVERGED = 3,
    TRIAL_CANCELLED = 4,
    TRIAL_STOPPED = 5 /* by early termination: counted with what it has reached */
} TrialOutcome;

/* One struct for all: fields that a type does not use are zero. Strings are owned (record_free). */
typedef struct Record {
    RecordType type;
    uint64_t epoch;                     /* coordinator's */
    int64_t wall_ms;                    /* for people, and for budgets */
    AssignmentId id;                    /* trial; fence where there is an assignment */
    uint32_t configuration, seed_index; /* TRIAL_CREATED; PROMOTED: the configuration */
    char *json; /* SWEEP_OPENED: the resolved sweep; TRIAL_CREATED: its parameters; ENDED: statistics; WARM_STARTED: history */
    char *options_json;  /* TRIAL_CREATED: training options */
    char *identity;      /* SWEEP_OPENED: sweep identity */
    char *worker;        /* ASSIGNED; HOST_QUARANTINED: the machine */
    AssignmentKind kind; /* ASSIGNED */
    char *checkpoint;    /* ASSIGNED: resume from; REPORTED: the new one */
    uint64_t sequence;   /* REPORTED */
    int64_t step, total_steps;
    double training_epoch, train_loss, learning_rate, score;
    DatasetScore *datasets;
    size_t dataset_count;
    FinishOutcome attempt_outcome; /* ATTEMPT_ENDED */
    bool counts_as_retry;          /* ATTEMPT_ENDED */
    TrialOutcome outcome;          /* TRIAL_ENDED */
    ControlAction control;
    bool all_trials;
    char *reason;
} Record;

/* "trial_created" ...: in the dump of a journal and on the status feed. "another" for what is none. */
const char *record_type_name(RecordType type);
void record_free(Record *record);
void record_copy(Record *to, const Record *from);
NODISCARD Status record_encode(const Record *record, Text *bytes, Diagnostic *diagnostic);
NODISCARD Status record_decode(Record *record, const void *bytes, size_t size, Diagnostic *diagnostic);

/* The same for many records, without allocating: see WireScratch. */
NODISCARD Status record_view(Record *record, WireScratch *scratch, const void *bytes, size_t size, Diagnostic *diagnostic);

#endif
