/* What the training thread (link.c) and the network thread (link_peer.c) share. */
#ifndef NERSWEEP_WORKER_LINK_INTERNAL_H
#define NERSWEEP_WORKER_LINK_INTERNAL_H

#include <pthread.h>

#include "proto/keys.h"
#include "worker/link.h"

typedef struct OutboxEntry {
    Message message;
    int64_t sent_ns; /* 0: never */
} OutboxEntry;

struct Link {
    /* set before the thread starts */
    char *address, *sweep_folder, *key_file;
    ClientKey key; /* where the address is fixed and key_file is given */
    bool insecure;
    MessageHello hello;
    int64_t give_up_ms;
    const Clock *clock;
    int wake; /* eventfd: there is something to send */
    pthread_t thread;
    bool thread_started;

    pthread_mutex_t lock;   /* of everything below */
    pthread_cond_t changed; /* any change that the training thread may wait for */
    bool stopping;
    bool ended;
    Diagnostic why; /* of the end */
    bool welcomed;
    Message welcome;
    bool has_assign;
    Message assign;       /* not yet taken by the training thread */
    AssignmentId current; /* fence 0: idle */
    uint64_t last_fence;  /* the highest ever assigned here: what is not above it is a repetition */
    uint64_t acknowledged;
    ARRAY(OutboxEntry) outbox; /* oldest first */
    MessageHeartbeat progress; /* without the id */
};

/* The thread's body. */
void *link_peer_run(void *link);

/* With the lock held. */
void link_outbox_clear(Link *link);

#endif
