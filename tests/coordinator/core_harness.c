#include "tests/coordinator/core_harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void harness_step(Harness *harness, CoreEvent event)
{
    Diagnostic diagnostic = {0};
    core_actions_free(&harness->actions);
    event.wall_ms = harness->now_ms;
    if (sweep_core_step(harness->core, &event, harness->now_ms * 1000000, &harness->actions, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    for (size_t i = 0; i < harness->actions.count; i++)
        if (harness->actions.items[i].type == CORE_JOURNAL) {
            Text bytes = {0};
            assert_int_equal(record_encode(&harness->actions.items[i].record, &bytes, NULL), STATUS_OK);
            array_push(&harness->journal, bytes);
        }
}

void harness_start(Harness *harness)
{
    uint64_t epoch = harness->core ? harness->core->epoch + 1 : 1;
    Diagnostic diagnostic = {0};
    sweep_core_destroy(&harness->core);
    harness->core = sweep_core_create(harness->sweep, "/store/tiny");
    for (size_t i = 0; i < harness->journal.count; i++) {
        Record record;
        assert_int_equal(record_decode(&record, harness->journal.items[i].bytes, harness->journal.items[i].size, NULL), STATUS_OK);
        if (sweep_core_apply(harness->core, &record, &diagnostic) != STATUS_OK)
            fail_msg("%s", diagnostic.message);
        record_free(&record);
    }
    harness_step(harness, (CoreEvent){.type = CORE_START, .epoch = epoch});
}

SocketPeer harness_peer(uint8_t number)
{
    return (SocketPeer){.id = {number}, .size = 1};
}

void harness_tell(Harness *harness, uint8_t from, Message message)
{
    harness_step(harness, (CoreEvent){.type = CORE_MESSAGE, .peer = harness_peer(from), .message = &message});
    message_free(&message);
}

void harness_hello_with(Harness *harness, uint8_t from, const char *name, AssignmentId id)
{
    Message message = {.type = MESSAGE_HELLO};
    strcpy(message.hello.worker, name);
    strcpy(message.hello.host, "host");
    message.hello.pid = from;
    message.hello.ranks = 1;
    message.hello.assignment = id;
    harness_tell(harness, from, message);
}

void harness_hello(Harness *harness, uint8_t from, const char *name)
{
    harness_hello_with(harness, from, name, (AssignmentId){0});
}

void harness_heartbeat(Harness *harness, uint8_t from, AssignmentId id, uint64_t progress)
{
    Message message = {.type = MESSAGE_HEARTBEAT, .heartbeat = {.id = id, .progress = progress}};
    harness_tell(harness, from, message);
}

void harness_report(Harness *harness, uint8_t from, AssignmentId id, uint64_t sequence, double score)
{
    Message message = {.type = MESSAGE_REPORT,
                       .report = {.id = id, .sequence = sequence, .step = (int64_t)sequence, .total_steps = 1000, .score = score}};
    message.report.checkpoint = memory_format("t%u/%d", (unsigned)id.trial, (int)sequence);
    harness_tell(harness, from, message);
}

void harness_finished(Harness *harness, uint8_t from, AssignmentId id, FinishOutcome outcome, bool diverged)
{
    Message message = {.type = MESSAGE_FINISHED, .finished = {.id = id, .outcome = outcome, .diverged = diverged}};
    message.finished.reason = memory_copy_string("because");
    harness_tell(harness, from, message);
}

void harness_control(Harness *harness, ControlAction action, bool all, uint32_t trial)
{
    Message message = {.type = MESSAGE_CONTROL, .control = {action, all, trial}};
    harness_tell(harness, 99, message);
}

void harness_wait_ms(Harness *harness, int64_t milliseconds)
{
    for (int64_t until = harness->now_ms + milliseconds; harness->now_ms < until;) {
        harness->now_ms += 100;
        harness_step(harness, (CoreEvent){.type = CORE_TICK});
    }
}

const Message *harness_sent(const Harness *harness, uint8_t to, MessageType type)
{
    for (size_t i = 0; i < harness->actions.count; i++) {
        const CoreAction *action = &harness->actions.items[i];
        if (action->type == CORE_SEND && action->peer.id[0] == to && action->message.type == type)
            return &action->message;
    }
    return NULL;
}

size_t harness_journaled(const Harness *harness, RecordType type)
{
    size_t count = 0;
    for (size_t i = 0; i < harness->actions.count; i++)
        count += harness->actions.items[i].type == CORE_JOURNAL && harness->actions.items[i].record.type == type;
    return count;
}

void harness_open(Harness *harness, const char *sweep_text)
{
    memset(harness, 0, sizeof *harness);
    fixture_enter();
    harness->sweep = fixture_sweep(sweep_text);
    harness->now_ms = 1000;
    harness_start(harness);
}

void harness_close(Harness *harness)
{
    core_actions_free(&harness->actions);
    sweep_core_destroy(&harness->core);
    sweep_destroy(&harness->sweep);
    for (size_t i = 0; i < harness->journal.count; i++)
        text_free(&harness->journal.items[i]);
    array_free(&harness->journal);
    fixture_leave();
}
