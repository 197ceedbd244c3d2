#include <stdlib.h>
#include <string.h>

#include "coordinator/core_internal.h"

void core_actions_clear(CoreActions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        CoreAction *action = &actions->items[i];
        record_free(&action->record);
        message_free(&action->message);
        if (action->event)
            json_destroy(&action->event);
    }
    actions->count = 0;
}

void core_actions_free(CoreActions *actions)
{
    core_actions_clear(actions);
    array_free(actions);
}

void core_publish(CoreStep *step, Json *event)
{
    if (!step->core->publishes) {
        json_destroy(&event);
        return;
    }
    CoreAction action = {.type = CORE_PUBLISH, .event = event};
    array_push(step->actions, action);
}

void core_decide(CoreStep *step, Record *record)
{
    Diagnostic diagnostic = {0};
    record->epoch = step->core->epoch > record->epoch ? step->core->epoch : record->epoch;
    record->wall_ms = step->core->wall_ms;
    Status status = sweep_core_apply(step->core, record, &diagnostic);
    ASSERT(status == STATUS_OK); /* a decision of ours that does not follow from our state */
    CoreAction action = {.type = CORE_JOURNAL, .record = *record};
    array_push(step->actions, action);
    Json *event = step->core->publishes ? sweep_core_event_json(step->core, record) : NULL;
    if (event)
        core_publish(step, event);
    memset(record, 0, sizeof *record);
}

void core_send(CoreStep *step, const SocketPeer *peer, Message *message)
{
    CoreAction action = {.type = CORE_SEND, .peer = *peer, .message = *message};
    action.message.epoch = step->core->epoch;
    array_push(step->actions, action);
    memset(message, 0, sizeof *message);
}

void core_send_reason(CoreStep *step, const SocketPeer *peer, MessageType type, AssignmentId id, Status code, const char *reason)
{
    Message message = {.type = type, .reason = {.id = id, .code = code, .reason = memory_copy_string(reason)}};
    core_send(step, peer, &message);
}

void core_kill_worker(CoreStep *step, const WorkerSlot *slot)
{
    CoreAction action = {.type = CORE_KILL_WORKER, .pid = slot->pid};
    memcpy(action.host, slot->host, sizeof action.host);
    array_push(step->actions, action);
}
