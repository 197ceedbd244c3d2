/* Inside coordinator/ only: the parts of the step function. */
#ifndef NERSWEEP_COORDINATOR_CORE_INTERNAL_H
#define NERSWEEP_COORDINATOR_CORE_INTERNAL_H

#include "coordinator/core.h"

/* A step in hand. */
typedef struct CoreStep {
    SweepCore *core;
    int64_t now_ns;
    CoreActions *actions;
} CoreStep;

static inline int64_t core_ms(int64_t milliseconds)
{
    return milliseconds * 1000000;
}

/* core_memory.c: copies that live as long as the core; NULL stays NULL. core_share: of what comes again and again, like names of workers. */
const char *core_keep(SweepCore *core, const char *text);
const char *core_share(SweepCore *core, const char *text);
const KeptScore *core_keep_scores(SweepCore *core, const DatasetScore *scores, size_t count);
void core_add_evaluation(SweepCore *core, Trial *trial, const Evaluation *evaluation);
void core_memory_free(CoreMemory *memory);

/* core_actions.c: decides on a record: applies it, has it journaled and published. Takes what record owns. */
void core_decide(CoreStep *step, Record *record);
/* A new message to the peer, to be filled in at once: it lies among the actions. */
Message *core_send(CoreStep *step, const SocketPeer *peer, MessageType type);
void core_send_reason(CoreStep *step, const SocketPeer *peer, MessageType type, AssignmentId id, Status code, const char *reason);
void core_publish(CoreStep *step, Json *event);
void core_kill_worker(CoreStep *step, const WorkerSlot *slot);

/* core_workers.c: the slots. NULL where there is none. A slot's address is good until the next one is added or removed. */
WorkerSlot *core_slot_of_peer(SweepCore *core, const SocketPeer *peer);
WorkerSlot *core_slot_of_name(SweepCore *core, const char *name);
WorkerSlot *core_slot_of_work(SweepCore *core, AssignmentKind kind, uint32_t trial);
WorkerSlot *core_slot_add(SweepCore *core, const char *name); /* NULL: CORE_WORKER_LIMIT */
void core_slot_remove(SweepCore *core, WorkerSlot *slot);
/* Binds work to its slot, after a restart too; and frees the slot of it, if it has any. */
void core_slot_occupy(CoreStep *step, WorkerSlot *slot, AssignmentKind kind, uint32_t trial);
void core_slot_free(SweepCore *core, WorkerSlot *slot);
void core_slot_renew(CoreStep *step, WorkerSlot *slot);
bool core_peer_equal(const SocketPeer *a, const SocketPeer *b);

/* core_work.c: what happens to work. */
Work *core_work(SweepCore *core, AssignmentKind kind, uint32_t trial);
/* The work whose current or latest fence this is, or NULL: stale. */
Work *core_work_of_fence(SweepCore *core, AssignmentId id, AssignmentKind *kind);
void core_send_assign(CoreStep *step, const WorkerSlot *slot);
/* The attempt of this slot is over; the slot is free, the work waits, or has failed when its retries are used up. */
void core_end_attempt(CoreStep *step, WorkerSlot *slot, FinishOutcome outcome, bool counts_as_retry, const char *reason);
/* The trial is over; a slot that has it is told so (unless told is false: it knows). */
void core_end_trial(CoreStep *step, uint32_t trial, TrialOutcome outcome, const char *reason, const char *statistics_json,
                    bool tell);
/* Hands out what waits, and ends the sweep when nothing is left to do. */
NODISCARD Status core_schedule(CoreStep *step, Diagnostic *diagnostic);
void core_give_up_if_exhausted(CoreStep *step, uint32_t trial);

/* core_rungs.c: early termination. The fold's part: after a record about a trial was applied. */
void core_rungs_note_report(SweepCore *core, uint32_t trial, int64_t wall_ms);
void core_rungs_note_end(SweepCore *core, uint32_t trial);
NODISCARD Status core_rungs_apply_promoted(SweepCore *core, const Record *record, Diagnostic *diagnostic);
/* The decisions. After a report: the trial that is now held goes on at once, is stopped, or gives its worker back. */
void core_rungs_after_report(CoreStep *step, uint32_t trial);
/* Whatever can be decided without a worker asking for work. all: also what only a crash can have left undecided. */
void core_rungs_settle(CoreStep *step, bool all);
/* Whether a configuration is to be promoted, for the workers that ask for work; and that done: false when there is none. */
bool core_rungs_can_promote(SweepCore *core);
bool core_rungs_promote_next(CoreStep *step);
/* All that are held end: nothing will promote them. */
void core_rungs_stop_all(CoreStep *step);

/* core_hosts.c: machines that fail again and again. The fold's part: an attempt at this work failed by its worker's fault, went well, a machine
 * was quarantined, a new epoch has begun. */
void core_hosts_note_failure(SweepCore *core, Work *work);
void core_hosts_note_success(SweepCore *core, Work *work);
NODISCARD Status core_hosts_apply_quarantined(SweepCore *core, const Record *record, Diagnostic *diagnostic);
void core_hosts_forget(SweepCore *core);
/* The decision: quarantines the machine of this worker when it has failed too often and there are others. */
void core_hosts_after_failure(CoreStep *step, const char *worker, const char *reason);
/* Whether this worker's machine gets no work now: it is quarantined, and there are others. */
bool core_hosts_refuses(const CoreStep *step, const WorkerSlot *slot);

/* core_search.c: what is tried next. Creates the trial of the next number. */
NODISCARD Status core_create_trial(CoreStep *step, Diagnostic *diagnostic);
/* Whether a trial may be created now: there is one left, its turn has come, and the budget allows. */
bool core_may_create(const SweepCore *core);
bool core_all_begun(const SweepCore *core);
void core_check_budget(CoreStep *step);

/* core_state.c: the trial is among those that wait, if it does. */
void core_note_waiting(SweepCore *core, uint32_t trial);
/* The one place where a trial's state changes; counts what it used. */
void core_set_trial_state(SweepCore *core, Trial *trial, WorkState state, int64_t wall_ms);

/* core_messages.c */
void core_take_message(CoreStep *step, const SocketPeer *peer, const Message *message);

#endif
