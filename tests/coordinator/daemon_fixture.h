/* A coordinator as a daemon in a thread of the test, and what is said to it. */
#ifndef NERSWEEP_TESTS_COORDINATOR_DAEMON_FIXTURE_H
#define NERSWEEP_TESTS_COORDINATOR_DAEMON_FIXTURE_H

#include <pthread.h>

#include "coordinator/coordinator.h"
#include "proto/messages.h"
#include "proto/socket.h"
#include "tests/coordinator/fixtures.h"

/* Of a sweep with six trials. */
extern const char daemon_search[];
/* The sweep's folder, and what interrupts its coordinator. */
extern char sweep_folder[128];
extern volatile int interrupted;

/* A new folder with corpora, as fixture_set_up, and in it that of the sweep. */
int daemon_set_up(void **state);
#define DAEMON_TEST(test) cmocka_unit_test_setup_teardown(test, daemon_set_up, fixture_tear_down)

typedef struct Daemon {
    CoordinatorOptions options;
    Status status;
    Diagnostic diagnostic;
    pthread_t thread;
    Endpoint endpoint;
} Daemon;
/* Runs options until they, or somebody, say that it ends. It listens when this returns. */
void daemon_start(Daemon *daemon, const CoordinatorOptions *options);
void daemon_join(Daemon *daemon);

void fixture_ask(Socket *socket, Message message);
/* The next message within ten seconds, to be freed with message_free. */
Message fixture_receive(Socket *socket);

#endif
