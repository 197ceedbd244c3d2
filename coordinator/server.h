/* Inside coordinator/ only: the shell around the core: sockets, journal, feed, worker groups. */
#ifndef NERSWEEP_COORDINATOR_SERVER_H
#define NERSWEEP_COORDINATOR_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "coordinator/coordinator.h"
#include "coordinator/core.h"
#include "coordinator/local_groups.h"
#include "coordinator/peers.h"
#include "core/store/journal.h"

typedef struct Server {
    const CoordinatorOptions *options;
    const Clock *clock;
    const FileSystem *fs;
    char host[128];
    SweepCore *core;
    uint64_t folded; /* records of the journal that core holds from the check before it was opened */
    Journal *journal;
    SocketContext *context;
    Socket *router, *feed;
    char *socket_folder; /* of an embedded run; else NULL */
    Endpoint endpoint;
    LocalGroups *groups; /* NULL: none */
    int lock;            /* -1: not held */
    CoreActions actions; /* of the round in hand, not yet carried out */
    char *keys;          /* the folder of the keys in use; NULL: none */
    Peers *peers;
    uint64_t dropped_messages; /* of peers over their rate */
    uint64_t refused_messages; /* that the peer's key does not permit */
    uint64_t feed_sequence;
    bool stop_asked;
    int64_t orphans_ns, lock_ns; /* when they were last looked at */
    char *journal_folder;
    pthread_t snapshot_thread; /* packs what came before this epoch, so that the next start is quick */
    bool snapshot_begun;
    atomic_bool snapshot_cancelled;
    WireScratch scratch; /* of the message in hand */
    Text bytes;
} Server;

int64_t server_now_ns(const Server *server);
/* 0: not; 1: to save and end; 2: to end at once. */
int server_interrupted(const Server *server);
/* Feeds an event to the core; what it decides waits in server->actions. */
NODISCARD Status server_step(Server *server, CoreEvent *event, Diagnostic *diagnostic);
/* server_commit.c: journals what was decided, syncs once, then sends, publishes and answers readers. */
NODISCARD Status server_commit(Server *server, Diagnostic *diagnostic);

#endif
