/* What each peer may take of the server's time: a token bucket for messages and one for bytes, and a pause between two snapshots. A peer over
 * its rate is not listened to; the others are. */
#ifndef NERSWEEP_COORDINATOR_PEERS_H
#define NERSWEEP_COORDINATOR_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/socket.h"

enum {
    PEER_MESSAGES_PER_S = 5000, /* a worker group sends a few a second */
    PEER_MESSAGES_BURST = 10000,
    PEER_BYTES_PER_S = 16 << 20,
    PEER_BYTES_BURST = 32 << 20,
    PEER_LIMIT = 4096, /* that have sent something in the last seconds */
    PEER_SNAPSHOT_PAUSE_MS = 500,
};

typedef struct Peers Peers;
Peers *peers_create(void);
void peers_destroy(Peers **peers);

/* A message of size_bytes came. false: it is one too many, to be dropped unread. */
bool peers_admit(Peers *peers, const SocketPeer *peer, size_t size_bytes, int64_t now_ns);
/* An admitted peer wants a snapshot of the status: it is among the readers as soon as its pause is over. Asking again meanwhile is no second
 * wish. */
void peers_ask(Peers *peers, const SocketPeer *peer);
/* Puts those that get a snapshot now into the empty array readers. */
typedef ARRAY(SocketPeer) SocketPeerArray;
void peers_take_readers(Peers *peers, int64_t now_ns, SocketPeerArray *readers);

#endif
