/* Machines that fail one trial after the other (out of memory, a bad disk, a wrong driver) get no more work while others are there, so that a
 * sweep is not burnt on them.
 *
 * A failure is the machine's unless the trial has failed on another one as well: then it is the trial's, which has its own bound. What a
 * coordinator holds against a machine is forgotten by the next one: starting it again is how a mended machine comes back. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"
#include "coordinator/process.h"

enum { FAILURES_IN_A_ROW = 3 };

static bool host_of(const char *worker, char host[CORE_HOST_SIZE])
{
    int32_t pid;
    return worker && process_parse_worker(worker, host, CORE_HOST_SIZE, &pid);
}

static HostHealth *health_of(SweepCore *core, const char *host, bool add)
{
    for (size_t i = 0; i < core->hosts.count; i++)
        if (strcmp(core->hosts.items[i].host, host) == 0)
            return &core->hosts.items[i];
    if (!add || core->hosts.count >= CORE_WORKER_LIMIT)
        return NULL;
    HostHealth health = {0};
    strncpy(health.host, host, sizeof health.host - 1);
    array_push(&core->hosts, health);
    return &core->hosts.items[core->hosts.count - 1];
}

/* ------------------------------------------------------------------------------------------------ the fold */

void core_hosts_note_failure(SweepCore *core, Work *work)
{
    char host[CORE_HOST_SIZE];
    if (!host_of(work->worker, host))
        return;
    bool elsewhere = work->failed_on && strcmp(work->failed_on, host) != 0;
    work->failed_on = core_share(core, host);
    HostHealth *health = elsewhere ? NULL : health_of(core, host, true);
    if (health)
        health->failures++;
}

void core_hosts_note_success(SweepCore *core, Work *work)
{
    char host[CORE_HOST_SIZE];
    HostHealth *health = core->hosts.count && host_of(work->worker, host) ? health_of(core, host, false) : NULL;
    if (health)
        health->failures = 0;
    work->failed_on = NULL;
}

Status core_hosts_apply_quarantined(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    HostHealth *health = record->worker && record->worker[0] ? health_of(core, record->worker, true) : NULL;
    if (!health)
        return FAIL(diagnostic, STATUS_CORRUPT, "a machine without a name is quarantined, or one too many");
    health->quarantined = true;
    free(health->reason);
    health->reason = memory_copy_string(record->reason ? record->reason : "");
    return STATUS_OK;
}

void core_hosts_forget(SweepCore *core)
{
    for (size_t i = 0; i < core->hosts.count; i++)
        free(core->hosts.items[i].reason);
    array_free(&core->hosts);
}

const char *sweep_core_quarantine(const SweepCore *core, const char *worker)
{
    char host[CORE_HOST_SIZE];
    const HostHealth *health = host_of(worker, host) ? health_of((SweepCore *)core, host, false) : NULL;
    return health && health->quarantined ? health->reason : NULL;
}

/* ------------------------------------------------------------------------------------------------ decisions */

/* A machine that gets work, other than this one, is there. */
static bool others_are_there(const CoreStep *step, const char *host)
{
    const SweepCore *core = step->core;
    for (size_t i = 0; i < core->workers.count; i++) {
        const WorkerSlot *slot = &core->workers.items[i];
        char other[CORE_HOST_SIZE];
        bool lives =
            slot->connected && !slot->leaving && !slot->hung && step->now_ns - slot->seen_ns <= core_ms(core->settings.lease_ms);
        if (lives && host_of(slot->name, other) && strcmp(other, host) != 0 && !sweep_core_quarantine(core, slot->name))
            return true;
    }
    return false;
}

void core_hosts_after_failure(CoreStep *step, const char *worker, const char *reason)
{
    char host[CORE_HOST_SIZE];
    const HostHealth *health = host_of(worker, host) ? health_of(step->core, host, false) : NULL;
    if (!health || health->quarantined || health->failures < FAILURES_IN_A_ROW || !others_are_there(step, host))
        return;
    Record record = {.type = RECORD_HOST_QUARANTINED, .worker = memory_copy_string(host)};
    record.reason =
        memory_format("%u trials in a row failed on %s, the last one: %.3000s", (unsigned)health->failures, host, reason);
    core_decide(step, &record);
}

bool core_hosts_refuses(const CoreStep *step, const WorkerSlot *slot)
{
    char host[CORE_HOST_SIZE];
    return sweep_core_quarantine(step->core, slot->name) && host_of(slot->name, host) && others_are_there(step, host);
}
