/* What happens to a trial and to the test: assigned, ended, retried; and the end of the sweep. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"

enum { BACK_OFF_MS = 500, BACK_OFF_LIMIT_MS = 60000 };

Work *core_work(SweepCore *core, AssignmentKind kind, uint32_t trial)
{
    return kind == ASSIGNMENT_TEST ? &core->test : &core->trials.items[trial].work;
}

Work *core_work_of_fence(SweepCore *core, AssignmentId id, AssignmentKind *kind)
{
    if (id.fence == 0)
        return NULL;
    if (core->test.fence == id.fence && core->test_trial == id.trial) {
        *kind = ASSIGNMENT_TEST;
        return &core->test;
    }
    if (id.trial < core->trials.count && core->trials.items[id.trial].work.fence == id.fence) {
        *kind = ASSIGNMENT_TRAIN;
        return &core->trials.items[id.trial].work;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------------------ assigning */

/* Where the work begins: the trial's last checkpoint; for the test the winner's best. */
static const char *start_checkpoint(const SweepCore *core, AssignmentKind kind, uint32_t trial)
{
    const Trial *item = &core->trials.items[trial];
    if (item->evaluations.count == 0)
        return "";
    return item->evaluations.items[kind == ASSIGNMENT_TEST ? item->best : item->evaluations.count - 1].checkpoint;
}

void core_send_assign(CoreStep *step, const WorkerSlot *slot)
{
    SweepCore *core = step->core;
    MessageAssign *assign = &core_send(step, &slot->peer, MESSAGE_ASSIGN)->assign;
    assign->id = (AssignmentId){slot->trial, core_work(core, slot->kind, slot->trial)->fence};
    assign->kind = slot->kind;
    assign->options_json = sweep_core_options(core, slot->trial);
    assign->metric_json = memory_copy_string(core->settings.metric_json);
    assign->resume = memory_copy_string(start_checkpoint(core, slot->kind, slot->trial));
}

static void assign(CoreStep *step, WorkerSlot *slot, AssignmentKind kind, uint32_t trial)
{
    SweepCore *core = step->core;
    Record record = {.type = RECORD_ASSIGNED, .kind = kind, .id = {trial, core->next_fence}};
    record.worker = memory_copy_string(slot->name);
    record.checkpoint = memory_copy_string(start_checkpoint(core, kind, trial));
    core_decide(step, &record);
    core->trials.items[trial].live_step = core->trials.items[trial].live_total_steps = 0;
    core_slot_occupy(step, slot, kind, trial);
    core_send_assign(step, slot);
}

static bool comes_before(const BackOff *a, const BackOff *b)
{
    return a->until_ns < b->until_ns || (a->until_ns == b->until_ns && a->trial < b->trial);
}

static void back_off(SweepCore *core, BackOff added)
{
    array_push(&core->backing_off, added);
    BackOff *heap = core->backing_off.items;
    size_t at = core->backing_off.count - 1;
    for (; at > 0 && comes_before(&added, &heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = added;
}

static void remove_first_back_off(SweepCore *core)
{
    BackOff *heap = core->backing_off.items, last = heap[--core->backing_off.count];
    size_t count = core->backing_off.count, at = 0;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
}

/* Those whose time has come wait again, unless something else has become of them. */
static void end_back_offs(const CoreStep *step)
{
    SweepCore *core = step->core;
    while (core->backing_off.count && core->backing_off.items[0].until_ns <= step->now_ns) {
        core_note_waiting(core, core->backing_off.items[0].trial);
        remove_first_back_off(core);
    }
}

/* The lowest that waits. What is met on the way and backs off is put aside until then. */
static bool find_waiting(const CoreStep *step, int64_t *next)
{
    SweepCore *core = step->core;
    uint32_t trial;
    end_back_offs(step);
    while (trial_set_next(core->waiting, 0, &trial)) {
        int64_t until_ns = core->trials.items[trial].work.not_before_ns;
        if (until_ns <= step->now_ns) {
            *next = trial;
            return true;
        }
        trial_set_remove(core->waiting, trial);
        back_off(core, (BackOff){until_ns, trial});
    }
    return false;
}

/* The lowest waiting trial, one that is promoted, or a new one; -1: none now. */
static Status next_trial(CoreStep *step, int64_t *next, Diagnostic *diagnostic)
{
    SweepCore *core = step->core;
    *next = -1;
    do
        if (find_waiting(step, next))
            return STATUS_OK;
    while (core_rungs_promote_next(step)); /* somebody may have paused it by hand */
    if (!core_may_create(core))
        return STATUS_OK;
    Status status = core_create_trial(step, diagnostic);
    if (status == STATUS_OK)
        *next = (int64_t)core->trials.count - 1;
    return status;
}

/* ------------------------------------------------------------------------------------------------ ending */

static int64_t back_off_ns(const Work *work)
{
    int64_t ms = BACK_OFF_MS;
    for (uint32_t i = 1; i < work->retries && ms < BACK_OFF_LIMIT_MS; i++)
        ms *= 2;
    return core_ms(ms < BACK_OFF_LIMIT_MS ? ms : BACK_OFF_LIMIT_MS);
}

void core_give_up_if_exhausted(CoreStep *step, uint32_t trial)
{
    const Work *work = &step->core->trials.items[trial].work;
    bool retries = work->retries > step->core->settings.max_retries, attempts = work->attempts >= CORE_ATTEMPT_LIMIT;
    if (work->state != WORK_PENDING || (!retries && !attempts))
        return;
    char *reason = memory_format("given up after %" PRIu32 " attempts, the last one: %.3000s", work->attempts,
                                 work->reason ? work->reason : "");
    core_end_trial(step, trial, TRIAL_FAILED, reason, NULL, false);
    free(reason);
}

void core_end_attempt(CoreStep *step, WorkerSlot *slot, FinishOutcome outcome, bool counts_as_retry, const char *reason)
{
    SweepCore *core = step->core;
    AssignmentKind kind = slot->kind;
    uint32_t trial = slot->trial;
    Work *work = core_work(core, kind, trial);
    Record record = {
        .type = RECORD_ATTEMPT_ENDED, .id = {trial, work->fence}, .attempt_outcome = outcome, .counts_as_retry = counts_as_retry};
    record.kind = kind;
    record.reason = memory_copy_string(reason);
    core_slot_free(core, slot);
    core_decide(step, &record);
    work->not_before_ns = counts_as_retry ? step->now_ns + back_off_ns(work) : 0;
    if (counts_as_retry && outcome == FINISH_WORKER_FAULT)
        core_hosts_after_failure(step, slot->name, reason);
    if (kind == ASSIGNMENT_TRAIN)
        core_give_up_if_exhausted(step, trial);
}

void core_end_trial(CoreStep *step, uint32_t trial, TrialOutcome outcome, const char *reason, const char *statistics_json,
                    bool tell)
{
    SweepCore *core = step->core;
    AssignmentId id = {trial, core->trials.items[trial].work.fence};
    WorkerSlot *slot = core_slot_of_work(core, ASSIGNMENT_TRAIN, trial);
    Record record = {.type = RECORD_TRIAL_ENDED, .id = id, .outcome = outcome};
    record.reason = memory_copy_string(reason);
    record.json = statistics_json && statistics_json[0] ? memory_copy_string(statistics_json) : NULL;
    if (slot) {
        core_slot_free(core, slot);
        if (tell && slot->connected)
            core_send_reason(step, &slot->peer, MESSAGE_RELEASE, id, STATUS_OK, reason);
    }
    core_decide(step, &record);
    while (core->first_open < core->trials.count && core->trials.items[core->first_open].work.state == WORK_ENDED)
        core->first_open++;
}

/* ------------------------------------------------------------------------------------------------ the whole sweep */

static void say_goodbye(CoreStep *step)
{
    SweepCore *core = step->core;
    for (size_t i = 0; i < core->workers.count; i++)
        if (core->workers.items[i].connected)
            core_send_reason(step, &core->workers.items[i].peer, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK,
                             "the sweep has ended");
}

static void end_sweep(CoreStep *step, TrialOutcome outcome, uint32_t winner, const char *reason)
{
    Record record = {.type = RECORD_SWEEP_ENDED, .outcome = outcome, .id = {winner, 0}, .reason = memory_copy_string(reason)};
    core_decide(step, &record);
    say_goodbye(step);
}

static const char *first_reason(const SweepCore *core)
{
    for (size_t i = 0; i < core->trials.count; i++)
        if (core->trials.items[i].work.reason && core->trials.items[i].work.reason[0])
            return core->trials.items[i].work.reason;
    return core->budget_spent ? "its budget is used up" : "no reason is known";
}

/* Looking for it takes as long as there are trials; what comes in while the winner is tested does not change it. */
static bool find_winner(SweepCore *core, uint32_t *winner)
{
    double score;
    if (core->winner_records != core->records)
        core->has_winner = sweep_core_winner(core, &core->winner, &score);
    core->winner_records = core->records;
    *winner = core->winner;
    return core->has_winner;
}

/* Ends the sweep when it has nothing left to do. *test: the winner is still to be scored on the test set. */
static void end_if_done(CoreStep *step, bool *test, uint32_t *winner)
{
    SweepCore *core = step->core;
    *test = false;
    if (core->state != SWEEP_RUNNING || !(core->cancelled || core_all_begun(core)))
        return;
    bool none_runs = core->state_counts[WORK_PENDING] + core->state_counts[WORK_ASSIGNED] == 0;
    if (none_runs && !core->paused && !core->stopping && !core_rungs_can_promote(core))
        core_rungs_stop_all(step);
    if (core->state_counts[WORK_ENDED] < core->trials.count)
        return;
    bool won = find_winner(core, winner);
    if (core->cancelled) {
        end_sweep(step, TRIAL_CANCELLED, 0, "cancelled");
    } else if (!won) {
        char *reason = memory_format("no trial was completed; the first: %.3000s", first_reason(core));
        end_sweep(step, TRIAL_FAILED, 0, reason);
        free(reason);
    } else if (!core->settings.has_test || (core->test.state == WORK_ENDED && core->test_trial == *winner)) {
        end_sweep(step, TRIAL_COMPLETED, *winner, core->budget_spent ? "its budget is used up" : "");
    } else {
        *test = true;
    }
}

static bool is_free(const CoreStep *step, const WorkerSlot *slot)
{
    return slot->connected && !slot->busy && !slot->leaving && !slot->hung &&
           step->now_ns - slot->seen_ns <= core_ms(step->core->settings.lease_ms) && /* a silent one may be gone */
           !core_hosts_refuses(step, slot);
}

Status core_schedule(CoreStep *step, Diagnostic *diagnostic)
{
    SweepCore *core = step->core;
    bool test;
    uint32_t winner = 0;
    core_rungs_settle(step, false);
    core_check_budget(step);
    end_if_done(step, &test, &winner);
    if (core->state != SWEEP_RUNNING || core->stopping || core->paused || core->cancelled)
        return STATUS_OK;
    for (size_t i = 0; i < core->workers.count && core->busy_workers < core->workers.count; i++) {
        WorkerSlot *slot = &core->workers.items[i];
        if (!is_free(step, slot))
            continue;
        if (test) {
            /* ended for an earlier winner: it waits again */
            bool waits = core->test.state != WORK_ASSIGNED && core->test.not_before_ns <= step->now_ns;
            if (waits && core->test.retries <= core->settings.max_retries)
                assign(step, slot, ASSIGNMENT_TEST, winner);
            return STATUS_OK;
        }
        int64_t trial;
        Status status = next_trial(step, &trial, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (trial < 0)
            return STATUS_OK;
        assign(step, slot, ASSIGNMENT_TRAIN, (uint32_t)trial);
    }
    return STATUS_OK;
}
