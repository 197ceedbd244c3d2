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
    for (size_t i = 0; i < core->workers.count; i++) {
        WorkerSlot *slot = &core->workers.items[i];
        if (slot->busy && slot->kind == kind && (kind == ASSIGNMENT_TEST || slot->trial == trial))
            return slot;
    }
    return NULL;
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

void core_slot_remove(SweepCore *core, WorkerSlot *slot)
{
    *slot = core->workers.items[--core->workers.count];
}

void core_slot_renew(CoreStep *step, WorkerSlot *slot)
{
    slot->seen_ns = step->now_ns;
    slot->lease_end_ns = step->now_ns + core_ms(step->core->settings.lease_ms);
}

void core_slot_occupy(CoreStep *step, WorkerSlot *slot, AssignmentKind kind, uint32_t trial)
{
    slot->busy = true;
    slot->kind = kind;
    slot->trial = trial;
    slot->progress_ns = step->now_ns;
    slot->lease_end_ns = step->now_ns + core_ms(step->core->settings.lease_ms);
}
