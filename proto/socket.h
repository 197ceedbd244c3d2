/* ZeroMQ sockets that carry bounded frames: one message per frame. Non-blocking sends with bounded queues; a full queue is reported, not
 * waited for. Not thread-safe (but a context may be shared).
 *
 * What leaves the machine is encrypted and both ends prove who they are (CURVE), or there is no connection: a context without keys has local
 * addresses only, unless it is told to permit others. A thread of the context (once it listens at a tcp address or has a server's keys)
 * answers handshakes and closes the connections that are too many. */
#ifndef NERSWEEP_PROTO_SOCKET_H
#define NERSWEEP_PROTO_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "proto/keys.h"

typedef struct SocketContext SocketContext;
typedef struct Socket Socket;

typedef enum SocketKind { SOCKET_ROUTER, SOCKET_DEALER, SOCKET_PUB, SOCKET_SUB } SocketKind;

NODISCARD Status socket_context_create(SocketContext **context, Diagnostic *diagnostic);
void socket_context_destroy(SocketContext **context); /* drops what is unsent after 500 ms */

/* For all sockets made afterwards. Server: the keys of a folder (proto/keys.h); peers prove theirs, which must be in its list of allowed
 * keys, also when that changes later. Client: the key, and the server that it is for (NULL: none any more). */
NODISCARD Status socket_context_serve_keys(SocketContext *context, const char *keys_folder, Diagnostic *diagnostic);
void socket_context_use_key(SocketContext *context, const ClientKey *key);
/* Other addresses than local ones without keys: whoever reaches them can read and do everything. */
void socket_context_permit_plain(SocketContext *context);
/* The server's public key; empty without. */
const char *socket_context_server_key(const SocketContext *context);

/* Of a context that listens, before it does; what is 0 stays as it is. */
typedef struct SocketLimits {
    int connections;  /* at once, over all its tcp sockets */
    int handshake_ms; /* a connection that has not proved itself by then is closed */
} SocketLimits;
void socket_context_set_limits(SocketContext *context, const SocketLimits *limits);

typedef struct SocketCounts {
    int connections;              /* open now, proved or not */
    uint64_t refused_connections; /* closed because there were too many */
    uint64_t refused_keys;        /* handshakes with a key that is not allowed, or not for this socket */
} SocketCounts;
void socket_context_counts(SocketContext *context, SocketCounts *counts);

/* ipc, inproc, and tcp to this machine itself (127.0.0.0/8, [::1], localhost). */
bool socket_address_is_local(const char *address);
/* A new pair of CURVE keys. */
NODISCARD Status socket_make_keys(KeyPair *pair, Diagnostic *diagnostic);

/* address: "tcp://HOST:PORT" (bind: port * takes a free one), "ipc://PATH", "inproc://NAME". STATUS_BUSY: the port is taken. */
NODISCARD Status socket_bind(Socket **socket, SocketContext *context, SocketKind kind, const char *address, Diagnostic *diagnostic);
NODISCARD Status socket_connect(Socket **socket, SocketContext *context, SocketKind kind, const char *address,
                                Diagnostic *diagnostic);
void socket_close(Socket **socket);
/* The address bound, with the port that was taken; lives as long as the socket. */
const char *socket_address(const Socket *socket);

/* Peer of a ROUTER: its routing id, and what it may do (by its key; KEY_ROLE_LOCAL without keys). */
typedef struct SocketPeer {
    uint8_t id[64];
    uint8_t size;
    KeyRole role;
} SocketPeer;

/* peer: ROUTER only, else NULL. STATUS_BUSY: queue full; STATUS_UNREACHABLE: the peer is gone. */
NODISCARD Status socket_send(Socket *socket, const SocketPeer *peer, const void *bytes, size_t size, Diagnostic *diagnostic);
/* bytes is replaced by the frame. STATUS_TIMEOUT: nothing there (never waits). Frames over MESSAGE_SIZE_LIMIT (at a ROUTER:
 * MESSAGE_REQUEST_LIMIT) never arrive. */
NODISCARD Status socket_receive(Socket *socket, SocketPeer *peer, Text *bytes, Diagnostic *diagnostic);
/* Of a socket that was connected with a key: STATUS_PERMISSION once the other side has refused it or is not the server that the key is for,
 * STATUS_OK as long as nothing is known of that. ZeroMQ goes on trying by itself. */
NODISCARD Status socket_refusal(Socket *socket, Diagnostic *diagnostic);

/* Waits until a socket has a message or a descriptor is readable, or timeout_ms passed (-1: for ever). ready: [socket_count], fd_ready: [fd_count].
 * STATUS_INTERRUPTED on a signal. */
NODISCARD Status socket_poll(Socket *const *sockets, size_t socket_count, bool *ready, const int *fds, size_t fd_count,
                             bool *fd_ready, int64_t timeout_ms, Diagnostic *diagnostic);

#endif
