/* Rank 0's link to the coordinator. A thread of its own owns the socket and the whole protocol (proto/messages.h): heartbeats, sending again
 * until acknowledged, finding the coordinator again after silence or a move. The training thread only fills and reads a small shared state,
 * and never waits for the network unless it asks to. */
#ifndef NERSWEEP_WORKER_LINK_H
#define NERSWEEP_WORKER_LINK_H

#include "core/base/clock.h"
#include "proto/messages.h"

typedef struct Link Link;

typedef struct LinkOptions {
    const char *address;      /* of the coordinator; NULL: found through sweep_folder */
    const char *sweep_folder; /* FOLDER/endpoint.json says where the coordinator listens; may be NULL when address is not */
    const char *key_file;     /* NULL: SWEEP_FOLDER/keys/worker.key where the coordinator wants one */
    bool insecure;            /* another machine's address without keys is fine */
    MessageHello hello;       /* who we are; without an assignment */
    int64_t give_up_ms;       /* without a coordinator for this long the link is lost */
    const Clock *clock;
} LinkOptions;

/* Starts the thread; does not wait for the coordinator. Texts are copied, the clock must outlive the link. Errors: key_file cannot be read. */
NODISCARD Status link_start(Link **link, const LinkOptions *options, Diagnostic *diagnostic);
/* What is not acknowledged yet is dropped. */
void link_stop(Link **link);

typedef enum LinkEvent {
    LINK_NOTHING,  /* the time is over */
    LINK_ASSIGNED, /* *assign is filled; message_free it. The welcome before it is there, see link_welcome */
    LINK_ENDED,    /* no more work: the diagnostic's code is STATUS_OK after an orderly SHUTDOWN, else why */
} LinkEvent;
LinkEvent link_wait(Link *link, int64_t timeout_ms, Message *assign, Diagnostic *why);
/* The last WELCOME: sweep folder and data. message_free it. */
void link_welcome(Link *link, Message *welcome);

/* False once the assignment was released, or replaced, or the link has ended: drop it at once. */
bool link_holds(Link *link, AssignmentId id);
/* The training thread got on. */
void link_touch(Link *link);
void link_set_progress(Link *link, int64_t step, int64_t total_steps, double loss, double pieces_per_s);

/* REPORT or FINISHED: taken over (message->type becomes 0), sent until acknowledged. Waits while over LINK_OUTBOX_LIMIT are unsent. */
enum { LINK_OUTBOX_LIMIT = 256 };
void link_send(Link *link, Message *message);
/* Sequence of the last acknowledged report of this assignment; 0: none. */
uint64_t link_acknowledged(Link *link);
/* Waits until nothing is unacknowledged any more: true; false after timeout_ms. */
bool link_settle(Link *link, int64_t timeout_ms);

#endif
