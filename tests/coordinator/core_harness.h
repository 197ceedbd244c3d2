/* The core on its own: events in, actions looked at, its journal kept so that it can be started again. */
#ifndef NERSWEEP_TESTS_COORDINATOR_CORE_HARNESS_H
#define NERSWEEP_TESTS_COORDINATOR_CORE_HARNESS_H

#include "coordinator/core.h"
#include "tests/coordinator/fixtures.h"

typedef struct Harness {
    Sweep *sweep;
    SweepCore *core;
    int64_t now_ms;
    CoreActions actions; /* of the last step */
    ARRAY(Text) journal;
} Harness;

/* In a folder of fixtures, with a sweep of this text, started. */
void harness_open(Harness *harness, const char *sweep_text);
void harness_close(Harness *harness);

void harness_step(Harness *harness, CoreEvent event);
void harness_start(Harness *harness);
SocketPeer harness_peer(uint8_t number);
void harness_tell(Harness *harness, uint8_t from, Message message);
void harness_hello_with(Harness *harness, uint8_t from, const char *name, AssignmentId id);
void harness_hello(Harness *harness, uint8_t from, const char *name);
void harness_heartbeat(Harness *harness, uint8_t from, AssignmentId id, uint64_t progress);
void harness_report(Harness *harness, uint8_t from, AssignmentId id, uint64_t sequence, double score);
void harness_finished(Harness *harness, uint8_t from, AssignmentId id, FinishOutcome outcome, bool diverged);
void harness_control(Harness *harness, ControlAction action, bool all, uint32_t trial);
void harness_wait_ms(Harness *harness, int64_t milliseconds);
/* The message of a type that was sent to a peer in the last step, or NULL. */
const Message *harness_sent(const Harness *harness, uint8_t to, MessageType type);
size_t harness_journaled(const Harness *harness, RecordType type);

#endif
