#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"

void core_actions_clear(CoreActions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        CoreAction *action = &actions->items[i];
        if (action->type == CORE_JOURNAL)
            record_free(&action->record);
        else if (action->type == CORE_SEND)
            message_free(&action->message);
        else if (action->type == CORE_PUBLISH)
            json_destroy(&action->event);
    }
    actions->count = 0;
}

void core_actions_free(CoreActions *actions)
{
    core_actions_clear(actions);
    array_free(actions);
}

/* Not zeroed: there are thousands in a round, and they are large. */
static CoreAction *add_action(CoreStep *step, CoreActionType type)
{
    CoreActions *actions = step->actions;
    array_reserve(actions, actions->count + 1);
    actions->items[actions->count].type = type;
    return &actions->items[actions->count++];
}

void core_publish(CoreStep *step, Json *event)
{
    if (!step->core->publishes) {
        json_destroy(&event);
        return;
    }
    add_action(step, CORE_PUBLISH)->event = event;
}

void core_decide(CoreStep *step, Record *record)
{
    Diagnostic diagnostic = {0};
    record->epoch = step->core->epoch > record->epoch ? step->core->epoch : record->epoch;
    record->wall_ms = step->core->wall_ms;
    Status status = sweep_core_apply(step->core, record, &diagnostic);
    ASSERT(status == STATUS_OK); /* a decision of ours that does not follow from our state */
    add_action(step, CORE_JOURNAL)->record = *record;
    Json *event = step->core->publishes ? sweep_core_event_json(step->core, record) : NULL;
    if (event)
        core_publish(step, event);
    memset(record, 0, sizeof *record);
}

Message *core_send(CoreStep *step, const SocketPeer *peer, MessageType type)
{
    CoreAction *action = add_action(step, CORE_SEND);
    action->peer = *peer;
    memset(&action->message, 0, sizeof action->message);
    action->message.type = type;
    action->message.epoch = step->core->epoch;
    return &action->message;
}

void core_send_reason(CoreStep *step, const SocketPeer *peer, MessageType type, AssignmentId id, Status code, const char *reason)
{
    core_send(step, peer, type)->reason = (MessageReason){.id = id, .code = code, .reason = memory_copy_string(reason)};
}

void core_kill_worker(CoreStep *step, const WorkerSlot *slot)
{
    CoreAction *action = add_action(step, CORE_KILL_WORKER);
    action->pid = slot->pid;
    memcpy(action->host, slot->host, sizeof action->host);
}
