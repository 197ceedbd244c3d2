#include "coordinator/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"

enum { FORGET_LEASES = 10 }; /* a free worker that was silent for so many leases is forgotten */

/* ------------------------------------------------------------------------------------------------ start */

static void open_sweep(CoreStep *step)
{
    SweepCore *core = step->core;
    char identity[65];
    sweep_identity(core->sweep, identity);
    Json *json = sweep_json(core->sweep);
    Record record = {
        .type = RECORD_SWEEP_OPENED, .json = json_text(json, JSON_CANONICAL), .identity = memory_copy_string(identity)};
    json_destroy(&json);
    core_decide(step, &record);
}

/* What earlier sweeps know is part of this one from its beginning, whatever becomes of them. */
static void warm_start(CoreStep *step)
{
    SweepCore *core = step->core;
    if (!core->sweep->warm_history || core->warm_history || core->trials.count)
        return;
    Record record = {.type = RECORD_WARM_STARTED, .json = json_text(core->sweep->warm_history, JSON_CANONICAL)};
    core_decide(step, &record);
}

static void open_epoch(CoreStep *step, uint64_t epoch)
{
    Json *json = sweep_json(step->core->sweep);
    Record record = {.type = RECORD_EPOCH_OPENED, .epoch = epoch, .json = json_text(json, JSON_CANONICAL)};
    json_destroy(&json);
    core_decide(step, &record);
}

/* Work that was assigned under the coordinator before keeps its worker for one more lease: it may be alive and say HELLO. */
static void expect_workers_again(CoreStep *step)
{
    SweepCore *core = step->core;
    for (size_t i = core->first_open; i <= core->trials.count; i++) {
        bool test = i == core->trials.count;
        const Work *work = test ? &core->test : &core->trials.items[i].work;
        if (work->state != WORK_ASSIGNED)
            continue;
        WorkerSlot *slot = core_slot_of_name(core, work->worker);
        if (!slot || slot->busy)
            slot = core_slot_add(core, work->worker);
        ASSERT(slot); /* assigned work never exceeds the limit of slots */
        core_slot_occupy(step, slot, test ? ASSIGNMENT_TEST : ASSIGNMENT_TRAIN, test ? core->test_trial : (uint32_t)i);
        slot->seen_ns = step->now_ns;
    }
}

static void start(CoreStep *step, uint64_t epoch)
{
    SweepCore *core = step->core;
    if (!core->opened)
        open_sweep(step);
    open_epoch(step, epoch);
    warm_start(step);
    while (core->first_open < core->trials.count && core->trials.items[core->first_open].work.state == WORK_ENDED)
        core->first_open++;
    expect_workers_again(step);
    core_rungs_settle(step, true);
    for (size_t i = core->first_open; i < core->trials.count; i++)
        core_give_up_if_exhausted(step, (uint32_t)i);
    /* A cancellation whose consequences were not all journaled. */
    for (size_t i = core->first_open; core->cancelled && i < core->trials.count; i++)
        if (core->trials.items[i].work.state != WORK_ENDED)
            core_end_trial(step, (uint32_t)i, TRIAL_CANCELLED, "cancelled", NULL, true);
}

/* ------------------------------------------------------------------------------------------------ time */

static void release(CoreStep *step, const WorkerSlot *slot, const char *reason)
{
    if (slot->connected)
        core_send_reason(step, &slot->peer, MESSAGE_RELEASE,
                         (AssignmentId){slot->trial, core_work(step->core, slot->kind, slot->trial)->fence}, STATUS_TIMEOUT,
                         reason);
}

/* Ends the attempt of a worker that is silent or hangs, if it is. */
static void check_slot(CoreStep *step, WorkerSlot *slot)
{
    const CoreSettings *settings = &step->core->settings;
    char *reason = NULL;
    if (step->now_ns > slot->lease_end_ns)
        reason = memory_format("worker %s gave no sign of life for %.1f s", slot->name, (double)settings->lease_ms * 1e-3);
    else if (step->now_ns - slot->progress_ns > core_ms(settings->hang_ms))
        reason = memory_format("worker %s hangs: it made no progress for %.1f s", slot->name, (double)settings->hang_ms * 1e-3);
    if (!reason)
        return;
    release(step, slot, reason);
    core_kill_worker(step, slot);
    slot->hung = true;
    core_end_attempt(step, slot, FINISH_WORKER_FAULT, true, reason);
    free(reason);
}

/* When this process itself was stopped for a while, what workers said in the meantime waits unread: their leases are prolonged by the pause. */
static void forgive_pause(CoreStep *step)
{
    SweepCore *core = step->core;
    int64_t pause = step->now_ns - core->tick_ns;
    if (core->tick_ns && pause > core_ms(core->settings.lease_ms) / 2)
        for (size_t i = 0; i < core->workers.count; i++) {
            core->workers.items[i].lease_end_ns += pause;
            core->workers.items[i].progress_ns += pause;
            core->workers.items[i].seen_ns += pause;
        }
    core->tick_ns = step->now_ns;
}

static void tick(CoreStep *step)
{
    SweepCore *core = step->core;
    forgive_pause(step);
    int64_t forget_ns = FORGET_LEASES * core_ms(core->settings.lease_ms);
    for (size_t i = core->workers.count; i-- > 0;) {
        WorkerSlot *slot = &core->workers.items[i];
        if (slot->busy)
            check_slot(step, slot);
        else if (step->now_ns - slot->seen_ns > forget_ns)
            core_slot_remove(core, slot);
    }
}

static void publish_lost(CoreStep *step, const char *name, const char *reason)
{
    Json *event = json_object();
    char *text = memory_format("worker %s lost: %s", name, reason);
    json_set(event, "event", json_string("worker"));
    json_set(event, "text", json_string(text));
    json_set(event, "worker", json_string(name));
    json_set(event, "state", json_string("lost"));
    core_publish(step, event);
    free(text);
}

static void lose_worker(CoreStep *step, const char *name, const char *reason, bool counts_as_retry)
{
    WorkerSlot *slot = core_slot_of_name(step->core, name);
    if (!slot)
        return;
    if (step->core->state == SWEEP_RUNNING && !step->core->stopping) /* else they are meant to go */
        publish_lost(step, name, reason);
    if (slot->busy)
        core_end_attempt(step, slot, counts_as_retry ? FINISH_WORKER_FAULT : FINISH_INTERRUPTED, counts_as_retry, reason);
    core_slot_remove(step->core, core_slot_of_name(step->core, name));
}

Status sweep_core_step(SweepCore *core, const CoreEvent *event, int64_t now_ns, CoreActions *actions, Diagnostic *diagnostic)
{
    ASSERT(core->sweep);
    CoreStep step = {core, now_ns, actions};
    core->wall_ms = event->wall_ms;
    switch (event->type) {
    case CORE_START:
        start(&step, event->epoch);
        break;
    case CORE_MESSAGE:
        core_take_message(&step, &event->peer, event->message);
        break;
    case CORE_TICK:
        tick(&step);
        break;
    case CORE_WORKER_LOST:
        lose_worker(&step, event->worker, event->reason, event->counts_as_retry);
        break;
    case CORE_STOP:
        core->stopping = true;
        break;
    }
    return core_schedule(&step, diagnostic);
}
