/* What a message from a worker or a person does. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"

static void publish_worker(CoreStep *step, const char *name, const char *state)
{
    Json *event = json_object();
    char *text = memory_format("worker %s %s", name, state);
    json_set(event, "event", json_string("worker"));
    json_set(event, "text", json_string(text));
    json_set(event, "worker", json_string(name));
    json_set(event, "state", json_string(state));
    core_publish(step, event);
    free(text);
}

static void send_ack(CoreStep *step, const SocketPeer *peer, AssignmentId id, MessageType acknowledged, uint64_t sequence)
{
    core_send(step, peer, MESSAGE_ACK)->ack = (MessageAck){id, acknowledged, sequence};
}

/* What the same round has acknowledged of this assignment and not sent yet says this one as well: an ACK is of all reports up to its own. */
static void ack_report(CoreStep *step, WorkerSlot *slot, AssignmentId id, uint64_t sequence)
{
    CoreAction *action = slot->ack_at < step->actions->count ? &step->actions->items[slot->ack_at] : NULL;
    if (action && action->type == CORE_SEND && action->message.type == MESSAGE_ACK &&
        action->message.ack.acknowledged == MESSAGE_REPORT && action->message.ack.id.fence == id.fence &&
        action->message.ack.sequence < sequence && core_peer_equal(&action->peer, &slot->peer)) {
        action->message.ack.sequence = sequence;
        return;
    }
    slot->ack_at = step->actions->count;
    send_ack(step, &slot->peer, id, MESSAGE_REPORT, sequence);
}

static void release_stale(CoreStep *step, const SocketPeer *peer, AssignmentId id)
{
    core_send_reason(step, peer, MESSAGE_RELEASE, id, STATUS_STALE_EPOCH, "this assignment is not current any more");
}

/* ------------------------------------------------------------------------------------------------ who is speaking */

/* The slot that holds assigned work, tied to the peer that named its fence: knowing the fence is having the work. */
static WorkerSlot *adopt(CoreStep *step, const SocketPeer *peer, AssignmentKind kind, uint32_t trial)
{
    SweepCore *core = step->core;
    WorkerSlot *slot = core_slot_of_work(core, kind, trial);
    ASSERT(slot); /* assigned work always has one */
    if (!slot->connected || !core_peer_equal(&slot->peer, peer)) {
        WorkerSlot *other = core_slot_of_peer(core, peer);
        if (other && other != slot)
            other->connected = false;
        slot->peer = *peer;
        slot->connected = true;
    }
    core_slot_renew(step, slot);
    return slot;
}

static void send_welcome(CoreStep *step, const SocketPeer *peer)
{
    SweepCore *core = step->core;
    MessageWelcome *welcome = &core_send(step, peer, MESSAGE_WELCOME)->welcome;
    strncpy(welcome->sweep, core->identity, sizeof welcome->sweep - 1);
    welcome->sweep_folder = memory_copy_string(core->sweep_folder);
    welcome->data_json = memory_copy_string(core->data_json);
    welcome->heartbeat_ms = core->settings.heartbeat_ms;
    welcome->lease_ms = core->settings.lease_ms;
}

static WorkerSlot *slot_for_hello(CoreStep *step, const SocketPeer *peer, const MessageHello *hello)
{
    SweepCore *core = step->core;
    WorkerSlot *slot = core_slot_of_name(core, hello->worker), *other = core_slot_of_peer(core, peer);
    if (other && other != slot)
        other->connected = false;
    if (!slot) {
        slot = core_slot_add(core, hello->worker);
        if (!slot)
            return NULL;
        publish_worker(step, hello->worker, "joined");
    }
    memcpy(slot->host, hello->host, sizeof slot->host);
    memcpy(slot->backend, hello->backend, sizeof slot->backend);
    slot->pid = hello->pid;
    slot->ranks = hello->ranks;
    slot->threads_per_rank = hello->threads_per_rank;
    slot->peer = *peer;
    slot->connected = true;
    slot->leaving =
        slot->leaving && hello->assignment.fence; /* one that leaves still waits for the end of its work to be acknowledged */
    slot->seen_ns = step->now_ns;
    return slot;
}

static void take_hello(CoreStep *step, const SocketPeer *peer, const MessageHello *hello)
{
    SweepCore *core = step->core;
    if (hello->sweep[0] && strcmp(hello->sweep, core->identity) != 0) {
        core_send_reason(step, peer, MESSAGE_REJECT, hello->assignment, STATUS_MISMATCH, "this coordinator serves another sweep");
        return;
    }
    if (core->state != SWEEP_RUNNING) {
        core_send_reason(step, peer, MESSAGE_SHUTDOWN, hello->assignment, STATUS_OK, "the sweep has ended");
        return;
    }
    WorkerSlot *slot = slot_for_hello(step, peer, hello);
    if (!slot) {
        core_send_reason(step, peer, MESSAGE_REJECT, hello->assignment, STATUS_LIMIT,
                         "this coordinator has as many workers as it takes");
        return;
    }
    send_welcome(step, peer);
    AssignmentKind kind;
    Work *work = core_work_of_fence(core, hello->assignment, &kind);
    bool current = work && work->state == WORK_ASSIGNED;
    if (hello->assignment.fence && !current)
        release_stale(step, peer, hello->assignment);
    if (current)
        (void)adopt(step, peer, kind, hello->assignment.trial);
    else if (slot->busy) /* it does not know of what it was given: the message was lost */
        core_send_assign(step, slot);
}

/* ------------------------------------------------------------------------------------------------ signs of life and reports */

static void publish_progress(CoreStep *step, const MessageHeartbeat *heartbeat)
{
    if (!step->core->publishes) /* the most frequent of all */
        return;
    Json *event = json_object(), *trial = json_object();
    char *text = memory_format("trial %" PRIu32 ": step %" PRId64 "/%" PRId64 ", loss %.4f, %.0f pieces/s", heartbeat->id.trial,
                               heartbeat->step, heartbeat->total_steps, heartbeat->loss, heartbeat->pieces_per_s);
    json_set(trial, "trial", json_integer(heartbeat->id.trial));
    json_set(trial, "step", json_integer(heartbeat->step));
    json_set(trial, "total_steps", json_integer(heartbeat->total_steps));
    json_set(trial, "loss", json_real(heartbeat->loss));
    json_set(trial, "pieces_per_s", json_real(heartbeat->pieces_per_s));
    json_set(event, "event", json_string("progress"));
    json_set(event, "text", json_string(text));
    json_set(event, "trial", trial);
    core_publish(step, event);
    free(text);
}

static void note_progress(const CoreStep *step, WorkerSlot *slot, uint64_t progress)
{
    if (progress == slot->progress)
        return;
    slot->progress = progress;
    slot->progress_ns = step->now_ns;
    slot->hung = false;
}

/* A peer that is not known gets no answer: silence makes it say HELLO again. */
static void take_idle_heartbeat(CoreStep *step, const SocketPeer *peer, uint64_t progress)
{
    SweepCore *core = step->core;
    WorkerSlot *slot = core_slot_of_peer(core, peer);
    if (core->state != SWEEP_RUNNING) {
        core_send_reason(step, peer, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "the sweep has ended");
    } else if (slot) {
        slot->seen_ns = step->now_ns;
        note_progress(step, slot, progress);
        if (slot->busy)
            core_send_assign(step, slot);
    }
}

static void take_heartbeat(CoreStep *step, const SocketPeer *peer, const MessageHeartbeat *heartbeat)
{
    SweepCore *core = step->core;
    AssignmentKind kind;
    if (heartbeat->id.fence == 0) {
        take_idle_heartbeat(step, peer, heartbeat->progress);
        return;
    }
    Work *work = core_work_of_fence(core, heartbeat->id, &kind);
    if (!work || work->state != WORK_ASSIGNED) {
        WorkerSlot *slot = core_slot_of_peer(core, peer);
        if (slot)
            slot->seen_ns = step->now_ns;
        release_stale(step, peer, heartbeat->id);
        return;
    }
    WorkerSlot *slot = adopt(step, peer, kind, heartbeat->id.trial);
    note_progress(step, slot, heartbeat->progress);
    if (kind == ASSIGNMENT_TRAIN) {
        core->trials.items[heartbeat->id.trial].live_step = heartbeat->step;
        core->trials.items[heartbeat->id.trial].live_total_steps = heartbeat->total_steps;
        publish_progress(step, heartbeat);
    }
}

static void decide_reported(CoreStep *step, const MessageReport *report)
{
    Record record = {
        .type = RECORD_REPORTED,
        .id = report->id,
        .sequence = report->sequence,
        .step = report->step,
        .total_steps = report->total_steps,
        .training_epoch = report->epoch,
        .train_loss = report->train_loss,
        .learning_rate = report->learning_rate,
        .score = report->score,
        .dataset_count = report->dataset_count,
        .checkpoint = memory_copy_string(report->checkpoint ? report->checkpoint : ""),
    };
    if (report->dataset_count) {
        record.datasets = memory_allocate(report->dataset_count, sizeof *record.datasets);
        memcpy(record.datasets, report->datasets, report->dataset_count * sizeof *record.datasets);
    }
    core_decide(step, &record);
}

/* A repeated evaluation keeps what was journaled first. That it is the same is the promise of training; a breach is said, not hidden. */
static void check_repeated(CoreStep *step, const MessageReport *report)
{
    const Evaluation *first = &step->core->trials.items[report->id.trial].evaluations.items[report->sequence - 1];
    if (first->score == report->score && first->step == report->step)
        return;
    Json *event = json_object();
    char *text =
        memory_format("trial %" PRIu32 ": evaluation %" PRIu64 " came again with another result (score %.17g at step %" PRId64
                      " instead of %.17g at step %" PRId64 "); the first is kept",
                      report->id.trial, report->sequence, report->score, report->step, first->score, first->step);
    json_set(event, "event", json_string("warning"));
    json_set(event, "text", json_string(text));
    core_publish(step, event);
    free(text);
}

static void take_report(CoreStep *step, const SocketPeer *peer, const MessageReport *report)
{
    SweepCore *core = step->core;
    AssignmentKind kind;
    Work *work = core_work_of_fence(core, report->id, &kind);
    if (!work || kind != ASSIGNMENT_TRAIN) {
        release_stale(step, peer, report->id);
        return;
    }
    Trial *trial = &core->trials.items[report->id.trial];
    bool applied = report->sequence <= trial->evaluations.count;
    if (applied) {
        check_repeated(step, report);
        send_ack(step, peer, report->id, MESSAGE_REPORT, report->sequence);
    }
    if (work->state != WORK_ASSIGNED) {
        if (!applied)
            release_stale(step, peer, report->id);
        return;
    }
    WorkerSlot *slot = adopt(step, peer, kind, report->id.trial);
    slot->progress_ns = step->now_ns;
    if (applied || report->sequence > trial->evaluations.count + 1 || report->sequence > CORE_EVALUATION_LIMIT)
        return; /* one before it is still on its way: it will be repeated, and so will this */
    if (!isfinite(report->score) || !isfinite(report->train_loss)) {
        send_ack(step, peer, report->id, MESSAGE_REPORT, report->sequence);
        char *reason = memory_format("diverged: loss or score is no finite number at step %" PRId64, report->step);
        core_end_trial(step, report->id.trial, TRIAL_DIVERGED, reason, NULL, true);
        free(reason);
        return;
    }
    decide_reported(step, report);
    ack_report(step, slot, report->id, report->sequence);
    core_rungs_after_report(step, report->id.trial);
}

/* ------------------------------------------------------------------------------------------------ the end of an assignment */

static void finish_test(CoreStep *step, WorkerSlot *slot, const MessageFinished *finished)
{
    if (finished->outcome == FINISH_COMPLETED && finished->dataset_count) {
        Record record = {
            .type = RECORD_TEST_SCORED, .id = finished->id, .kind = ASSIGNMENT_TEST, .dataset_count = finished->dataset_count};
        record.datasets = memory_allocate(finished->dataset_count, sizeof *record.datasets);
        memcpy(record.datasets, finished->datasets, finished->dataset_count * sizeof *record.datasets);
        core_slot_free(step->core, slot);
        core_decide(step, &record);
        return;
    }
    bool interrupted = finished->outcome == FINISH_INTERRUPTED;
    core_end_attempt(step, slot, finished->outcome == FINISH_COMPLETED ? FINISH_WORKER_FAULT : finished->outcome, !interrupted,
                     finished->outcome == FINISH_COMPLETED ? "the test gave no score" : finished->reason);
}

static void finish_trial(CoreStep *step, WorkerSlot *slot, const MessageFinished *finished)
{
    uint32_t trial = finished->id.trial;
    const char *reason = finished->reason ? finished->reason : "";
    switch (finished->outcome) {
    case FINISH_COMPLETED:
        if (step->core->trials.items[trial].evaluations.count)
            core_end_trial(step, trial, TRIAL_COMPLETED, reason, finished->statistics_json, false);
        else
            core_end_trial(step, trial, TRIAL_FAILED, "it ended without an evaluation", finished->statistics_json, false);
        break;
    case FINISH_FAILED:
        core_end_trial(step, trial, finished->diverged ? TRIAL_DIVERGED : TRIAL_FAILED, reason, finished->statistics_json, false);
        break;
    default:
        core_end_attempt(step, slot, finished->outcome, finished->outcome == FINISH_WORKER_FAULT, reason);
    }
}

static void take_finished(CoreStep *step, const SocketPeer *peer, const MessageFinished *finished)
{
    AssignmentKind kind;
    Work *work = core_work_of_fence(step->core, finished->id, &kind);
    if (!work) {
        release_stale(step, peer, finished->id);
        return;
    }
    if (work->state == WORK_ASSIGNED) {
        WorkerSlot *slot = adopt(step, peer, kind, finished->id.trial);
        slot->leaving = finished->outcome == FINISH_INTERRUPTED;
        if (kind == ASSIGNMENT_TEST)
            finish_test(step, slot, finished);
        else
            finish_trial(step, slot, finished);
    }
    send_ack(step, peer, finished->id, MESSAGE_FINISHED, 0); /* again, when it was repeated */
}

/* ------------------------------------------------------------------------------------------------ people */

static void control_trial(CoreStep *step, ControlAction action, uint32_t trial)
{
    SweepCore *core = step->core;
    if (core->trials.items[trial].work.state == WORK_ENDED)
        return;
    WorkerSlot *slot = core_slot_of_work(core, ASSIGNMENT_TRAIN, trial);
    if (action == CONTROL_CANCEL) {
        core_end_trial(step, trial, TRIAL_CANCELLED, "cancelled", NULL, true);
    } else if (action == CONTROL_PAUSE && slot) {
        if (slot->connected)
            core_send_reason(step, &slot->peer, MESSAGE_RELEASE, (AssignmentId){trial, core->trials.items[trial].work.fence},
                             STATUS_INTERRUPTED, "paused");
        core_end_attempt(step, slot, FINISH_INTERRUPTED, false, "paused");
    }
}

static void take_control(CoreStep *step, const SocketPeer *peer, const MessageControl *control)
{
    SweepCore *core = step->core;
    const char *refused = NULL;
    if (control->action == CONTROL_STOP) {
        array_push(step->actions, (CoreAction){.type = CORE_STOP_ASKED});
    } else if (core->state != SWEEP_RUNNING) {
        refused = "the sweep has ended";
    } else if (!control->all_trials && control->trial >= core->trials.count) {
        refused = "there is no such trial, or it has not begun yet";
    } else if (!control->all_trials && core->trials.items[control->trial].work.state == WORK_ENDED) {
        refused = "this trial has ended";
    }
    if (refused) {
        core_send_reason(step, peer, MESSAGE_REJECT, (AssignmentId){0}, STATUS_NOT_FOUND, refused);
        return;
    }
    if (control->action != CONTROL_STOP) {
        Record record = {.type = RECORD_CONTROL, .control = control->action, .all_trials = control->all_trials};
        record.id.trial = control->all_trials ? 0 : control->trial;
        core_decide(step, &record);
        if (!control->all_trials)
            control_trial(step, control->action, control->trial);
        for (size_t i = core->first_open; control->all_trials && i < core->trials.count; i++)
            control_trial(step, control->action, (uint32_t)i);
    }
    send_ack(step, peer, (AssignmentId){0}, MESSAGE_CONTROL, 0);
}

void core_take_message(CoreStep *step, const SocketPeer *peer, const Message *message)
{
    switch (message->type) {
    case MESSAGE_HELLO:
        take_hello(step, peer, &message->hello);
        break;
    case MESSAGE_HEARTBEAT:
        take_heartbeat(step, peer, &message->heartbeat);
        break;
    case MESSAGE_REPORT:
        take_report(step, peer, &message->report);
        break;
    case MESSAGE_FINISHED:
        take_finished(step, peer, &message->finished);
        break;
    case MESSAGE_CONTROL:
        take_control(step, peer, &message->control);
        break;
    default:
        core_send_reason(step, peer, MESSAGE_REJECT, (AssignmentId){0}, STATUS_INVALID_INPUT,
                         "this is nothing to say to a coordinator");
    }
}
