/* Inside coordinator/ only: the shell around the core: sockets, journal, feed, worker groups. */
#ifndef NERSWEEP_COORDINATOR_SERVER_H
#define NERSWEEP_COORDINATOR_SERVER_H

#include "coordinator/coordinator.h"
#include "coordinator/core.h"
#include "coordinator/local_groups.h"
#include "core/store/journal.h"

typedef struct Server {
    const CoordinatorOptions *options;
    const Clock *clock;
    char host[128];
    SweepCore *core;
    Journal *journal;
    SocketContext *context;
    Socket *router, *feed;
    char *socket_folder; /* of an embedded run; else NULL */
    Endpoint endpoint;
    LocalGroups *groups;       /* NULL: none */
    int lock;                  /* -1: not held */
    CoreActions actions;       /* of the round in hand, not yet carried out */
    ARRAY(SocketPeer) readers; /* that asked for a snapshot in this round */
    uint64_t feed_sequence;
    bool stop_asked;
    int64_t orphans_ns, lock_ns; /* when they were last looked at */
    Text bytes;
} Server;

int64_t server_now_ns(const Server *server);
/* Feeds an event to the core; what it decides waits in server->actions. */
NODISCARD Status server_step(Server *server, CoreEvent *event, Diagnostic *diagnostic);
/* server_commit.c: journals what was decided, syncs once, then sends, publishes and answers readers. */
NODISCARD Status server_commit(Server *server, Diagnostic *diagnostic);

#endif
