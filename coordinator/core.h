/* The pure core of the coordinator: the state of a sweep and what is decided about it. No I/O, no clock, no random number of its own.
 *
 * Durable state is changed by sweep_core_apply alone, which folds journal records; sweep_core_step decides on records, applies them, and says
 * what the shell is to do. The shell journals and syncs the records of a step before it sends or publishes anything of it. A restarted
 * coordinator applies the journal and so is in the same durable state; what is volatile (connections, leases, live numbers) is rebuilt as
 * workers say HELLO again.
 *
 * Trials are numbered configuration * seeds + seed index and begin in that order, as workers become free. A trial is pending, assigned, held
 * at a rung of early termination, or ended once and for all. Retries count attempts in a row that failed without a new evaluation. */
#ifndef NERSWEEP_COORDINATOR_CORE_H
#define NERSWEEP_COORDINATOR_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/sweep.h"
#include "coordinator/terminator.h"
#include "coordinator/trial_set.h"
#include "core/io/json.h"
#include "proto/records.h"
#include "proto/socket.h"

enum {
    CORE_WORKER_LIMIT = 4096,
    CORE_TRIAL_LIMIT = 1000000,
    CORE_EVALUATION_LIMIT = 100000, /* of one trial */
    CORE_ATTEMPT_LIMIT = 10000,     /* of one trial, counted as retries or not */
    CORE_HOST_SIZE = 128,           /* of a machine's name, terminated */
    CORE_SHARED_TEXTS = 256,
    CORE_EVALUATION_DOUBLINGS = 17, /* 3 << 16 > CORE_EVALUATION_LIMIT */
};

/* ------------------------------------------------------------------------------------------------ state */

/* HELD: it has come to a rung and waits to be promoted or stopped; nobody works at it. */
typedef enum WorkState { WORK_PENDING, WORK_ASSIGNED, WORK_HELD, WORK_ENDED } WorkState;

/* A piece of work that is handed to one worker at a time: a trial's training, or the test of the winner. */
typedef struct Work {
    WorkState state;
    uint64_t fence;     /* of the current or the latest attempt; 0: there was none */
    const char *worker; /* that has or had it; NULL: nobody yet */
    int64_t assigned_wall_ms;
    uint32_t attempts, retries;
    const char *reason;    /* why the latest attempt, or the work, ended; may be NULL */
    const char *failed_on; /* the machine of the latest failure since the last evaluation; NULL: none */
    int64_t not_before_ns; /* volatile: back-off */
    uint32_t slot;         /* volatile: 1 + the place of the worker that has it; 0: none */
} Work;

/* What is known of a machine, by the names of its workers. */
typedef struct HostHealth {
    char host[CORE_HOST_SIZE];
    uint32_t failures; /* in a row that are its own */
    bool quarantined;
    char *reason; /* why, when quarantined */
} HostHealth;

/* A DatasetScore that shares its name with others. */
typedef struct KeptScore {
    const char *name;
    double f1, precision, recall, loss;
} KeptScore;

/* What this and other durable state points to lives as long as the core. */
typedef struct Evaluation {
    int64_t step, total_steps;
    double epoch, train_loss, learning_rate, score;
    const KeptScore *datasets; /* [dataset_count] */
    size_t dataset_count;
    const char *checkpoint;
} Evaluation;

typedef struct Trial {
    Work work;
    uint32_t configuration, seed_index;
    const char *parameters_json; /* of the sweep, for people: sweep_core_parameters */
    const char *options_patch;   /* of the first trial's options: sweep_core_options */
    const char *statistics_json; /* of its end; may be NULL */
    struct {
        Evaluation *items;
        size_t count;
    } evaluations;        /* number n of the trial at index n - 1 */
    size_t best;          /* index of the best; meaningless without evaluations */
    TrialOutcome outcome; /* when ended */
    bool paused;
    int64_t live_step, live_total_steps; /* volatile, of the last heartbeat */
} Trial;

/* Where a configuration stands in early termination. */
typedef struct ConfigurationState {
    uint32_t rung; /* the next one, or the one that it is at */
    bool entered;  /* at that rung, with the entry of these values */
    double value, best;
} ConfigurationState;

typedef enum SweepState { SWEEP_RUNNING, SWEEP_DONE, SWEEP_FAILED, SWEEP_CANCELLED } SweepState;

/* A worker group that said HELLO, or that the journal says has work. Volatile. */
typedef struct WorkerSlot {
    char name[64], host[128], backend[256];
    int32_t pid, ranks, threads_per_rank;
    SocketPeer peer;
    bool connected;      /* peer is known */
    bool leaving;        /* it was interrupted: gets no work until it says HELLO without any */
    bool hung;           /* gets no work until its progress moves */
    bool busy;           /* changed by core_slot_occupy and core_slot_free alone */
    AssignmentKind kind; /* when busy */
    uint32_t trial;
    int64_t seen_ns, lease_end_ns, progress_ns;
    uint64_t progress;
    size_t ack_at; /* of the actions: where a report of its was acknowledged last */
} WorkerSlot;

/* A trial that waits until some time. */
typedef struct BackOff {
    int64_t until_ns;
    uint32_t trial;
} BackOff;

/* What of the resolved sweep the core needs; from the journal, so that readers without the sweep file have it too. */
typedef struct CoreSettings {
    char *name, *metric_json;
    Int32Array seeds;
    int64_t configurations, max_retries, lease_ms, heartbeat_ms, hang_ms;
    bool has_test;
    EarlyTermination termination;
    SearchBudget budget;
} CoreSettings;

typedef ARRAY(double *) PointArray; /* values of sampler_point; NULL: none of this space */

/* core_memory.c */
typedef struct CoreMemory {
    ARRAY(void *) blocks;
    char *at, *end;                                    /* of the last block: what is free */
    const char *shared[CORE_SHARED_TEXTS];             /* texts that come again and again, by their hash */
    void *free_evaluations[CORE_EVALUATION_DOUBLINGS]; /* places of 3, 6, 12, ...; each begins with the address of the next */
} CoreMemory;

typedef struct SweepCore {
    const Sweep *sweep; /* NULL: only for reading, nothing is decided */
    /* durable */
    bool opened;
    uint64_t epoch, next_fence;
    char *identity;
    char *first_options_json; /* all training options of the first trial, canonical; NULL before it */
    CoreMemory memory;        /* of what trials point to */
    Json *sweep_json;
    CoreSettings settings;
    ARRAY(Trial) trials;
    TrialSet *waiting; /* pending and not paused; without some that back off */
    TrialSet *held;
    size_t state_counts[WORK_ENDED + 1]; /* trials in each WorkState */
    ARRAY(ConfigurationState) configurations;
    ARRAY(Rung) rungs[TERMINATOR_BRACKET_LIMIT]; /* of each bracket */
    Json *warm_history;                          /* as in Sweep */
    int64_t running_ms, compute_ms;              /* used up until the last record */
    int64_t record_wall_ms;                      /* of the last record */
    int64_t assigned_wall_sum_ms;                /* over the trials that are assigned */
    bool budget_spent;                           /* nothing new is begun */
    ARRAY(HostHealth) hosts;                     /* on which something has failed in this epoch */
    SweepState state;
    bool paused, cancelled;
    char *reason; /* of a failed sweep */
    Work test;
    uint32_t test_trial;
    const KeptScore *test_scores; /* [test_score_count], of test_trial; none: not scored */
    size_t test_score_count;
    /* volatile */
    char *sweep_folder, *data_json;
    ARRAY(WorkerSlot) workers;
    size_t busy_workers;
    ARRAY(BackOff) backing_off; /* a heap: the earliest first, of those the lowest trial */
    Text patch;                 /* to be made */
    uint64_t records;           /* so many were folded */
    uint64_t winner_records;    /* then `winner` was looked for; 0: never */
    bool has_winner;
    uint32_t winner;
    size_t first_open;              /* no trial before it is open */
    PointArray points, warm_points; /* of configurations, of the warm history; read when first needed */
    bool stopping;
    int64_t tick_ns; /* of the last tick; 0: none yet */
    int64_t wall_ms; /* of the event in hand */
    bool publishes;  /* CORE_PUBLISH is wanted: true unless the shell knows of no reader */
} SweepCore;

/* sweep: NULL for reading, else outlives the core. sweep_folder (may be NULL) is what workers are told. */
SweepCore *sweep_core_create(const Sweep *sweep, const char *sweep_folder);
void sweep_core_destroy(SweepCore **core);
/* Folds a record of the journal into the state. STATUS_CORRUPT: it does not follow from what came before. */
NODISCARD Status sweep_core_apply(SweepCore *core, const Record *record, Diagnostic *diagnostic);

/* ------------------------------------------------------------------------------------------------ events and actions */

typedef enum CoreEventType {
    CORE_START,       /* after replay, once; epoch */
    CORE_MESSAGE,     /* peer, message */
    CORE_TICK,        /* at least ten times a second */
    CORE_WORKER_LOST, /* worker (its process is known to be gone), reason, counts_as_retry */
    CORE_STOP,        /* assign nothing more */
} CoreEventType;

typedef struct CoreEvent {
    CoreEventType type;
    int64_t wall_ms; /* for records; only budgets depend on it */
    uint64_t epoch;
    SocketPeer peer;
    const Message *message;
    const char *worker, *reason;
    bool counts_as_retry;
} CoreEvent;

typedef enum CoreActionType {
    CORE_JOURNAL,     /* record */
    CORE_SEND,        /* peer, message */
    CORE_PUBLISH,     /* event */
    CORE_KILL_WORKER, /* pid, host: if it is a child of ours; it hangs or is silent */
    CORE_STOP_ASKED,  /* a CONTROL_STOP came in */
} CoreActionType;

/* Owned by the array that it is in. */
typedef struct CoreAction {
    CoreActionType type;
    union {
        Record record;
        struct {
            SocketPeer peer;
            Message message;
        };
        Json *event;
        struct {
            int32_t pid;
            char host[128];
        };
    };
} CoreAction;
typedef ARRAY(CoreAction) CoreActions;
void core_actions_free(CoreActions *actions);
void core_actions_clear(CoreActions *actions); /* the same, but keeps room for as many more */

/* Appends to actions. Fails only where a sampler fails; the state is then that of the records in actions. STATUS_REQUEST is for the shell. */
NODISCARD Status sweep_core_step(SweepCore *core, const CoreEvent *event, int64_t now_ns, CoreActions *actions,
                                 Diagnostic *diagnostic);

/* ------------------------------------------------------------------------------------------------ status (status.c) */

typedef enum StatusDetail { STATUS_FULL, STATUS_WITHOUT_EVALUATIONS, STATUS_OPEN_TRIALS_ONLY } StatusDetail;
/* As described in coordinator.h. A new root. */
Json *sweep_core_status(const SweepCore *core, StatusDetail detail);
/* All training options of a trial as canonical JSON. The caller frees it. */
char *sweep_core_options(const SweepCore *core, uint32_t trial);
/* The searched options of a trial. A new root: they are kept as text, which a million of them need not be parsed for. */
Json *sweep_core_parameters(const SweepCore *core, uint32_t trial);
/* One trial of it. */
Json *sweep_core_trial_json(const SweepCore *core, uint32_t trial, bool with_evaluations);
/* The event of a record that was just applied, or NULL. A new root. */
Json *sweep_core_event_json(const SweepCore *core, const Record *record);
const char *sweep_state_name(const SweepCore *core);

/* A configuration in the ranking. */
typedef struct RankedConfiguration {
    uint32_t configuration;
    uint32_t scored, lost; /* seeds with a score; seeds that failed or were cancelled */
    double mean, spread;
    bool eligible;       /* has a completed trial with a checkpoint */
    uint32_t best_trial; /* of the completed ones, when eligible */
} RankedConfiguration;
typedef ARRAY(RankedConfiguration) Ranking;
/* Best first; freed with array_free. */
void sweep_core_ranking(const SweepCore *core, Ranking *ranking);
/* The best trial of the best configuration; false: no trial was completed. */
bool sweep_core_winner(const SweepCore *core, uint32_t *trial, double *score);
/* Why the machine of a worker of this name gets no work, or NULL. */
const char *sweep_core_quarantine(const SweepCore *core, const char *worker);
/* The best evaluation of a trial, or NULL. */
const Evaluation *sweep_core_best(const SweepCore *core, uint32_t trial);
int64_t sweep_core_trials_total(const SweepCore *core);

/* What has come of a configuration: LOST when a seed failed or was cancelled, STOPPED when one was stopped early. */
typedef enum ConfigurationOutcome {
    CONFIGURATION_OPEN,
    CONFIGURATION_COMPLETE,
    CONFIGURATION_STOPPED,
    CONFIGURATION_LOST
} ConfigurationOutcome;
typedef struct ConfigurationResult {
    ConfigurationOutcome outcome;
    double score;        /* mean of its seeds' scores */
    int64_t evaluations; /* of the seed that came furthest */
} ConfigurationResult;
ConfigurationResult sweep_core_configuration_result(const SweepCore *core, uint32_t configuration);
/* What a trial counts as, by its best checkpoint; false: nothing yet, or never. A diverged trial scores as the worst there is, 0. */
bool sweep_core_trial_score(const SweepCore *core, uint32_t trial, double *score);

#endif
