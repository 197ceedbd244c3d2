#include "proto/socket.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/messages.h"

enum {
    SOCKET_LINGER_MS = 500,
    SOCKET_QUEUE_LIMIT = 10000, /* messages per peer and direction */
    SOCKET_HEARTBEAT_MS = 5000, /* ZeroMQ's own, finds connections that are dead without a FIN */
    SOCKET_HEARTBEAT_LIMIT_MS = 20000,
    SOCKET_KEEPALIVE_IDLE_S = 60,
    SOCKET_RECONNECT_MS = 100,
    SOCKET_RECONNECT_LIMIT_MS = 2000,
    SOCKET_SKIP_LIMIT = 1000, /* malformed messages skipped in one receive */
    SOCKET_POLL_LIMIT = 64,
    SOCKET_ADDRESS_SIZE = 256,
};

struct SocketContext {
    void *zmq;
};

struct Socket {
    void *zmq;
    SocketKind kind;
    char address[SOCKET_ADDRESS_SIZE];
};

static Status zmq_status(int error)
{
    switch (error) {
    case EADDRINUSE:
        return STATUS_BUSY;
    case EAGAIN:
        return STATUS_BUSY;
    case EINTR:
        return STATUS_INTERRUPTED;
    case EHOSTUNREACH:
    case ENOTCONN:
        return STATUS_UNREACHABLE;
    case EINVAL:
    case ENODEV:
    case EADDRNOTAVAIL:
    case EPROTONOSUPPORT:
    case ENOCOMPATPROTO:
        return STATUS_INVALID_INPUT;
    default:
        return status_from_errno(error);
    }
}

Status socket_context_create(SocketContext **context, Diagnostic *diagnostic)
{
    *context = NULL;
    void *zmq = zmq_ctx_new();
    if (!zmq)
        return FAIL(diagnostic, status_from_errno(errno), "cannot create a messaging context: %s", zmq_strerror(errno));
    *context = memory_allocate(1, sizeof **context);
    (*context)->zmq = zmq;
    return STATUS_OK;
}

void socket_context_destroy(SocketContext **context)
{
    if (!*context)
        return;
    while (zmq_ctx_term((*context)->zmq) != 0 && errno == EINTR)
        ;
    free(*context);
    *context = NULL;
}

static void set_integer(void *zmq, int option, int value)
{
    ASSERT(zmq_setsockopt(zmq, option, &value, sizeof value) == 0);
}

static void set_options(Socket *socket)
{
    int64_t size_limit = MESSAGE_SIZE_LIMIT;
    ASSERT(zmq_setsockopt(socket->zmq, ZMQ_MAXMSGSIZE, &size_limit, sizeof size_limit) == 0);
    set_integer(socket->zmq, ZMQ_LINGER, SOCKET_LINGER_MS);
    set_integer(socket->zmq, ZMQ_SNDHWM, SOCKET_QUEUE_LIMIT);
    set_integer(socket->zmq, ZMQ_RCVHWM, SOCKET_QUEUE_LIMIT);
    set_integer(socket->zmq, ZMQ_TCP_KEEPALIVE, 1);
    set_integer(socket->zmq, ZMQ_TCP_KEEPALIVE_IDLE, SOCKET_KEEPALIVE_IDLE_S);
    set_integer(socket->zmq, ZMQ_HEARTBEAT_IVL, SOCKET_HEARTBEAT_MS);
    set_integer(socket->zmq, ZMQ_HEARTBEAT_TIMEOUT, SOCKET_HEARTBEAT_LIMIT_MS);
    set_integer(socket->zmq, ZMQ_HEARTBEAT_TTL, SOCKET_HEARTBEAT_LIMIT_MS);
    set_integer(socket->zmq, ZMQ_RECONNECT_IVL, SOCKET_RECONNECT_MS);
    set_integer(socket->zmq, ZMQ_RECONNECT_IVL_MAX, SOCKET_RECONNECT_LIMIT_MS);
    if (socket->kind == SOCKET_ROUTER) {
        set_integer(socket->zmq, ZMQ_ROUTER_MANDATORY, 1);
        set_integer(socket->zmq, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (socket->kind == SOCKET_SUB)
        ASSERT(zmq_setsockopt(socket->zmq, ZMQ_SUBSCRIBE, "", 0) == 0);
    if (socket->kind == SOCKET_DEALER) {
        /* An id of its own lets the peer know it again after a broken connection. */
        uint8_t id[17] = {'n'};
        ASSERT(getrandom(id + 1, sizeof id - 1, 0) == (ssize_t)sizeof id - 1);
        ASSERT(zmq_setsockopt(socket->zmq, ZMQ_ROUTING_ID, id, sizeof id) == 0);
    }
}

/* The path of an ipc address, or NULL. */
static const char *ipc_path(const char *address)
{
    return strncmp(address, "ipc://", 6) == 0 ? address + 6 : NULL;
}

static Status check_address(const char *address, Diagnostic *diagnostic)
{
    const char *path = ipc_path(address);
    size_t path_limit = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (path && strlen(path) > path_limit)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "%.200s: the path of an ipc address may have at most %zu bytes, this one has %zu; use a shorter folder",
                    address, path_limit, strlen(path));
    if (strlen(address) >= SOCKET_ADDRESS_SIZE)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%.60s...: an address may have at most %d bytes", address,
                    SOCKET_ADDRESS_SIZE - 1);
    if (!path && strncmp(address, "tcp://", 6) != 0 && strncmp(address, "inproc://", 9) != 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: an address looks like tcp://HOST:PORT or ipc://PATH", address);
    return STATUS_OK;
}

/* ZeroMQ removes an ipc file before it binds, whoever listens there: so ask first. */
static bool ipc_is_taken(const char *address)
{
    const char *path = ipc_path(address);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof name.sun_path)
        return false;
    memcpy(name.sun_path, path, strlen(path));
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool taken = connect(probe, (struct sockaddr *)&name, sizeof name) == 0;
    close(probe);
    return taken;
}

static Status socket_create(Socket **result, SocketContext *context, SocketKind kind, Diagnostic *diagnostic)
{
    static const int types[] = {
        [SOCKET_ROUTER] = ZMQ_ROUTER, [SOCKET_DEALER] = ZMQ_DEALER, [SOCKET_PUB] = ZMQ_PUB, [SOCKET_SUB] = ZMQ_SUB};
    *result = NULL;
    void *zmq = zmq_socket(context->zmq, types[kind]);
    if (!zmq)
        return FAIL(diagnostic, zmq_status(errno), "cannot create a socket: %s", zmq_strerror(errno));
    Socket *created = memory_allocate(1, sizeof *created);
    created->zmq = zmq;
    created->kind = kind;
    set_options(created);
    *result = created;
    return STATUS_OK;
}

Status socket_bind(Socket **result, SocketContext *context, SocketKind kind, const char *address, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *result = NULL;
    Socket *bound = NULL;
    TRY(check_address(address, diagnostic));
    if (ipc_is_taken(address))
        TRY_FAIL(diagnostic, STATUS_BUSY, "%s is taken: another program listens there", address);
    TRY(socket_create(&bound, context, kind, diagnostic));
    if (zmq_bind(bound->zmq, address) != 0) {
        int error = errno;
        if (error == EADDRINUSE)
            TRY_FAIL(diagnostic, STATUS_BUSY,
                     "%s is taken: another program listens there; choose another port, or * for a free one", address);
        TRY_FAIL(diagnostic, zmq_status(error), "cannot listen at %s: %s", address, zmq_strerror(error));
    }
    size_t size = sizeof bound->address;
    if (zmq_getsockopt(bound->zmq, ZMQ_LAST_ENDPOINT, bound->address, &size) != 0)
        TRY_FAIL(diagnostic, STATUS_INTERNAL, "cannot tell the address of %s: %s", address, zmq_strerror(errno));
    *result = bound;
    bound = NULL;
out:
    socket_close(&bound);
    return status;
}

Status socket_connect(Socket **result, SocketContext *context, SocketKind kind, const char *address, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *result = NULL;
    Socket *connected = NULL;
    TRY(check_address(address, diagnostic));
    TRY(socket_create(&connected, context, kind, diagnostic));
    if (zmq_connect(connected->zmq, address) != 0)
        TRY_FAIL(diagnostic, zmq_status(errno), "cannot connect to %s: %s", address, zmq_strerror(errno));
    memcpy(connected->address, address, strlen(address) + 1);
    *result = connected;
    connected = NULL;
out:
    socket_close(&connected);
    return status;
}

void socket_close(Socket **closed)
{
    if (!*closed)
        return;
    zmq_close((*closed)->zmq);
    free(*closed);
    *closed = NULL;
}

const char *socket_address(const Socket *socket_)
{
    return socket_->address;
}

Status socket_send(Socket *to, const SocketPeer *peer, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    ASSERT((peer != NULL) == (to->kind == SOCKET_ROUTER));
    if (size > MESSAGE_SIZE_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a frame of %zu bytes; at most %d are possible", size, MESSAGE_SIZE_LIMIT);
    if (peer && zmq_send(to->zmq, peer->id, peer->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        int error = errno;
        if (error == EHOSTUNREACH)
            return FAIL(diagnostic, STATUS_UNREACHABLE, "the peer is gone");
        return FAIL(diagnostic, zmq_status(error), "cannot send to a peer: %s", zmq_strerror(error));
    }
    if (zmq_send(to->zmq, bytes, size, ZMQ_DONTWAIT) < 0) {
        int error = errno;
        return FAIL(diagnostic, zmq_status(error), "cannot send to %s: %s", to->address,
                    error == EAGAIN ? "the queue is full" : zmq_strerror(error));
    }
    return STATUS_OK;
}

static bool more_parts(Socket *from)
{
    int more = 0;
    size_t size = sizeof more;
    return zmq_getsockopt(from->zmq, ZMQ_RCVMORE, &more, &size) == 0 && more;
}

/* Reads the rest of a message away. Its parts are all there already, so this ends. */
static void skip_parts(Socket *from)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    while (more_parts(from) && zmq_msg_recv(&part, from->zmq, ZMQ_DONTWAIT) >= 0)
        ;
    zmq_msg_close(&part);
}

/* One message. *proper is false when it is none of ours (wrong number of parts): it is skipped. */
static Status receive_one(Socket *from, SocketPeer *peer, Text *bytes, bool *proper, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    zmq_msg_t part;
    zmq_msg_init(&part);
    *proper = false;
    if (zmq_msg_recv(&part, from->zmq, ZMQ_DONTWAIT) < 0) {
        int error = errno;
        TRY_FAIL(diagnostic, error == EAGAIN ? STATUS_TIMEOUT : zmq_status(error), "nothing received: %s", zmq_strerror(error));
    }
    if (from->kind == SOCKET_ROUTER) {
        size_t size = zmq_msg_size(&part);
        bool usable = size > 0 && size <= sizeof peer->id && more_parts(from);
        if (usable) {
            memset(peer, 0, sizeof *peer);
            memcpy(peer->id, zmq_msg_data(&part), size);
            peer->size = (uint8_t)size;
        }
        if (!usable || zmq_msg_recv(&part, from->zmq, ZMQ_DONTWAIT) < 0) {
            skip_parts(from);
            goto out;
        }
    }
    if (more_parts(from)) {
        skip_parts(from);
        goto out;
    }
    text_clear(bytes);
    text_append(bytes, zmq_msg_data(&part), zmq_msg_size(&part));
    *proper = zmq_msg_size(&part) <= MESSAGE_SIZE_LIMIT;
out:
    zmq_msg_close(&part);
    return status;
}

Status socket_receive(Socket *from, SocketPeer *peer, Text *bytes, Diagnostic *diagnostic)
{
    ASSERT((peer != NULL) == (from->kind == SOCKET_ROUTER));
    for (int skipped = 0; skipped < SOCKET_SKIP_LIMIT; skipped++) {
        bool proper;
        Status status = receive_one(from, peer, bytes, &proper, diagnostic);
        if (status != STATUS_OK || proper)
            return status;
    }
    return FAIL(diagnostic, STATUS_TIMEOUT, "nothing but malformed messages received");
}

Status socket_poll(Socket *const *sockets, size_t socket_count, bool *ready, const int *fds, size_t fd_count, bool *fd_ready,
                   int64_t timeout_ms, Diagnostic *diagnostic)
{
    zmq_pollitem_t items[SOCKET_POLL_LIMIT] = {0};
    ASSERT(socket_count <= SOCKET_POLL_LIMIT && fd_count <= SOCKET_POLL_LIMIT - socket_count);
    for (size_t i = 0; i < socket_count; i++)
        items[i] = (zmq_pollitem_t){.socket = sockets[i]->zmq, .events = ZMQ_POLLIN};
    for (size_t i = 0; i < fd_count; i++)
        items[socket_count + i] = (zmq_pollitem_t){.fd = fds[i], .events = ZMQ_POLLIN};
    long timeout = timeout_ms > INT_MAX ? INT_MAX : (long)timeout_ms;
    int result = zmq_poll(items, (int)(socket_count + fd_count), timeout);
    int error = errno;
    for (size_t i = 0; i < socket_count; i++)
        ready[i] = result > 0 && items[i].revents != 0;
    for (size_t i = 0; i < fd_count; i++)
        fd_ready[i] = result > 0 && items[socket_count + i].revents != 0;
    if (result < 0)
        return FAIL(diagnostic, zmq_status(error), "waiting for messages: %s", zmq_strerror(error));
    return STATUS_OK;
}
