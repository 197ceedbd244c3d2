/* ZeroMQ sockets that carry bounded frames: one message per frame. Non-blocking sends with bounded queues; a full queue is reported, not
 * waited for. Not thread-safe (but a context may be shared). */
#ifndef NERSWEEP_PROTO_SOCKET_H
#define NERSWEEP_PROTO_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

typedef struct SocketContext SocketContext;
typedef struct Socket Socket;

typedef enum SocketKind { SOCKET_ROUTER, SOCKET_DEALER, SOCKET_PUB, SOCKET_SUB } SocketKind;

NODISCARD Status socket_context_create(SocketContext **context, Diagnostic *diagnostic);
void socket_context_destroy(SocketContext **context); /* drops what is unsent after 500 ms */

/* address: "tcp://HOST:PORT" (bind: port * takes a free one), "ipc://PATH", "inproc://NAME". STATUS_BUSY: the port is taken. */
NODISCARD Status socket_bind(Socket **socket, SocketContext *context, SocketKind kind, const char *address, Diagnostic *diagnostic);
NODISCARD Status socket_connect(Socket **socket, SocketContext *context, SocketKind kind, const char *address,
                                Diagnostic *diagnostic);
void socket_close(Socket **socket);
/* The address bound, with the port that was taken; lives as long as the socket. */
const char *socket_address(const Socket *socket);

/* Peer of a ROUTER: its routing id. */
typedef struct SocketPeer {
    uint8_t id[64];
    uint8_t size;
} SocketPeer;

/* peer: ROUTER only, else NULL. STATUS_BUSY: queue full; STATUS_UNREACHABLE: the peer is gone. */
NODISCARD Status socket_send(Socket *socket, const SocketPeer *peer, const void *bytes, size_t size, Diagnostic *diagnostic);
/* bytes is replaced by the frame. STATUS_TIMEOUT: nothing there (never waits). Frames over MESSAGE_SIZE_LIMIT never arrive. */
NODISCARD Status socket_receive(Socket *socket, SocketPeer *peer, Text *bytes, Diagnostic *diagnostic);

/* Waits until a socket has a message or a descriptor is readable, or timeout_ms passed (-1: for ever). ready: [socket_count], fd_ready: [fd_count].
 * STATUS_INTERRUPTED on a signal. */
NODISCARD Status socket_poll(Socket *const *sockets, size_t socket_count, bool *ready, const int *fds, size_t fd_count,
                             bool *fd_ready, int64_t timeout_ms, Diagnostic *diagnostic);

#endif
