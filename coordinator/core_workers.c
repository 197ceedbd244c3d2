/* The worker groups that the coordinator knows. */
#include <string.h>

#include "coordinator/core_internal.h"

bool core_peer_equal(const SocketPeer *a, const SocketPeer *b)
{
    return a->size == b->size && memcmp(a->id, b->id, a->size) == 0;
}

WorkerSlot *core_slot_of_peer(SweepCore *core, const SocketPeer *peer)
{
    for (size_t i = 0; i < core->workers.count; i++)
        if (core->workers.items[i].connected && core_peer_equal(&core->workers.items[i].peer, peer))
            return &core->workers.items[i];
    return NULL;
}

WorkerSlot *core_slot_of_name(SweepCore *core, const char *name)
{
    for (size_t i = 0; i < core->workers.count; i++)
        if (strcmp(core->workers.items[i].name, name) == 0)
            return &core->workers.items[i];
    return NULL;
}

WorkerSlot *core_slot_of_work(SweepCore *core, AssignmentKind kind, uint32_t trial)
{
    uint32_t place = core_work(core, kind, trial)->slot;
    return place ? &core->workers.items[place - 1] : NULL;
}

WorkerSlot *core_slot_add(SweepCore *core, const char *name)
{
    if (core->workers.count >= CORE_WORKER_LIMIT)
        return NULL;
    WorkerSlot slot = {0};
    strncpy(slot.name, name, sizeof slot.name - 1);
    array_push(&core->workers, slot);
    return &core->workers.items[core->workers.count - 1];
}

void core_slot_free(SweepCore *core, WorkerSlot *slot)
{
    if (!slot->busy)
        return;
    slot->busy = false;
    core->busy_workers--;
    core_work(core, slot->kind, slot->trial)->slot = 0;
}

/* The last one takes its place. */
void core_slot_remove(SweepCore *core, WorkerSlot *slot)
{
    core_slot_free(core, slot);
    *slot = core->workers.items[--core->workers.count];
    if (slot->busy)
        core_work(core, slot->kind, slot->trial)->slot = (uint32_t)(slot - core->workers.items) + 1;
}

void core_slot_renew(CoreStep *step, WorkerSlot *slot)
{
    slot->seen_ns = step->now_ns;
    slot->lease_end_ns = step->now_ns + core_ms(step->core->settings.lease_ms);
}

void core_slot_occupy(CoreStep *step, WorkerSlot *slot, AssignmentKind kind, uint32_t trial)
{
    ASSERT(!slot->busy);
    slot->busy = true;
    slot->kind = kind;
    slot->trial = trial;
    step->core->busy_workers++;
    core_work(step->core, kind, trial)->slot = (uint32_t)(slot - step->core->workers.items) + 1;
    slot->progress_ns = step->now_ns;
    slot->lease_end_ns = step->now_ns + core_ms(step->core->settings.lease_ms);
}
