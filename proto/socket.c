#include "proto/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/guard.h"
#include "proto/messages.h"

enum {
    SOCKET_LINGER_MS = 500,
    SOCKET_QUEUE_LIMIT = 10000,   /* messages per peer and direction */
    SUBSCRIPTION_LIMIT = 4096,    /* bytes; a handshake must fit too */
    REQUEST_QUEUE_LIMIT = 1000,   /* messages of one peer that wait at a ROUTER */
    SOCKET_KEEPALIVE_IDLE_S = 20, /* then a probe each interval; after so many in vain the connection is dead */
    SOCKET_KEEPALIVE_INTERVAL_S = 5,
    SOCKET_KEEPALIVE_PROBES = 4,
    SOCKET_UNREAD_LIMIT_MS = 30000, /* a peer that takes nothing for so long is cut off, and what waits for it is freed */
    SOCKET_BACKLOG = 256,
    HANDSHAKE_LIMIT_MS = 10000,
    CONNECTION_LIMIT = 4096,
    SOCKET_RECONNECT_MS = 100,
    SOCKET_RECONNECT_LIMIT_MS = 2000,
    SOCKET_SKIP_LIMIT = 1000, /* malformed messages skipped in one receive */
    SOCKET_POLL_LIMIT = 64,
    SOCKET_ADDRESS_SIZE = 256,
    CLIENT_EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    VAIN_HANDSHAKE_LIMIT = 3,
};

struct SocketContext {
    void *zmq;
    bool permit_plain, serves_keys, uses_key;
    KeyPair server;
    ClientKey client;
    SocketLimits limits;
    Guard *guard; /* NULL: nothing listens where others could come from */
};

typedef enum Refusal { REFUSAL_NONE, REFUSAL_KEY, REFUSAL_MECHANISM, REFUSAL_VAIN } Refusal;

struct Socket {
    SocketContext *context;
    void *zmq;
    SocketKind kind;
    char address[SOCKET_ADDRESS_SIZE];
    bool is_guarded;
    size_t guard_place;
    void *events;    /* of a socket that connects by tcp: PAIR */
    Refusal refusal; /* by the other side, as far as known */
    int vain_handshakes;
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

/* ------------------------------------------------------------------------------------------------ context */

Status socket_context_create(SocketContext **context, Diagnostic *diagnostic)
{
    *context = NULL;
    void *zmq = zmq_ctx_new();
    if (!zmq)
        return FAIL(diagnostic, status_from_errno(errno), "cannot create a messaging context: %s", zmq_strerror(errno));
    *context = memory_allocate(1, sizeof **context);
    (*context)->zmq = zmq;
    (*context)->limits = (SocketLimits){.connections = CONNECTION_LIMIT, .handshake_ms = HANDSHAKE_LIMIT_MS};
    return STATUS_OK;
}

void socket_context_destroy(SocketContext **context)
{
    if (!*context)
        return;
    guard_stop(&(*context)->guard);
    while (zmq_ctx_term((*context)->zmq) != 0 && errno == EINTR)
        ;
    keys_forget(*context, sizeof **context);
    free(*context);
    *context = NULL;
}

Status socket_context_serve_keys(SocketContext *context, const char *keys_folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ASSERT(!context->guard && !context->uses_key);
    if (!zmq_has("curve"))
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "this build of ZeroMQ has no CURVE encryption: install one with libsodium");
    TRY(keys_read_server(keys_folder, &context->server, diagnostic));
    TRY(guard_start(&context->guard, context->zmq, keys_folder, context->limits.connections, diagnostic));
    context->serves_keys = true;
out:
    return status;
}

void socket_context_use_key(SocketContext *context, const ClientKey *key)
{
    ASSERT(!context->serves_keys);
    context->uses_key = key != NULL;
    if (key)
        context->client = *key;
    else
        keys_forget(&context->client, sizeof context->client);
}

void socket_context_permit_plain(SocketContext *context)
{
    context->permit_plain = true;
}

const char *socket_context_server_key(const SocketContext *context)
{
    return context->server.public_key;
}

void socket_context_set_limits(SocketContext *context, const SocketLimits *limits)
{
    ASSERT(!context->guard);
    if (limits->connections)
        context->limits.connections = limits->connections;
    if (limits->handshake_ms)
        context->limits.handshake_ms = limits->handshake_ms;
}

void socket_context_counts(SocketContext *context, SocketCounts *counts)
{
    *counts = (SocketCounts){0};
    if (context->guard)
        guard_counts(context->guard, counts);
}

Status socket_make_keys(KeyPair *pair, Diagnostic *diagnostic)
{
    if (zmq_curve_keypair(pair->public_key, pair->secret_key) != 0)
        return FAIL(diagnostic, STATUS_UNSUPPORTED, "cannot make CURVE keys: %s", zmq_strerror(errno));
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ sockets */

static void set_integer(void *zmq, int option, int value)
{
    ASSERT(zmq_setsockopt(zmq, option, &value, sizeof value) == 0);
}

/* Of what arrives. To a feed nothing comes but subscriptions. */
static int64_t frame_limit(SocketKind kind)
{
    return kind == SOCKET_ROUTER ? MESSAGE_REQUEST_LIMIT : kind == SOCKET_PUB ? SUBSCRIPTION_LIMIT : MESSAGE_SIZE_LIMIT;
}

/* The kernel finds dead connections. ZeroMQ's own heartbeats would end this process when a peer hangs up while its messages wait at a full
 * queue (docs/decisions/046). */
static void set_options(Socket *socket)
{
    int64_t size_limit = frame_limit(socket->kind);
    ASSERT(zmq_setsockopt(socket->zmq, ZMQ_MAXMSGSIZE, &size_limit, sizeof size_limit) == 0);
    set_integer(socket->zmq, ZMQ_LINGER, SOCKET_LINGER_MS);
    set_integer(socket->zmq, ZMQ_SNDHWM, SOCKET_QUEUE_LIMIT);
    set_integer(socket->zmq, ZMQ_RCVHWM, socket->kind == SOCKET_ROUTER ? REQUEST_QUEUE_LIMIT : SOCKET_QUEUE_LIMIT);
    set_integer(socket->zmq, ZMQ_BACKLOG, SOCKET_BACKLOG);
    set_integer(socket->zmq, ZMQ_HANDSHAKE_IVL, socket->context->limits.handshake_ms);
    set_integer(socket->zmq, ZMQ_TCP_MAXRT, SOCKET_UNREAD_LIMIT_MS);
    set_integer(socket->zmq, ZMQ_TCP_KEEPALIVE, 1);
    set_integer(socket->zmq, ZMQ_TCP_KEEPALIVE_IDLE, SOCKET_KEEPALIVE_IDLE_S);
    set_integer(socket->zmq, ZMQ_TCP_KEEPALIVE_INTVL, SOCKET_KEEPALIVE_INTERVAL_S);
    set_integer(socket->zmq, ZMQ_TCP_KEEPALIVE_CNT, SOCKET_KEEPALIVE_PROBES);
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

bool socket_address_is_local(const char *address)
{
    struct in_addr number;
    char host[SOCKET_ADDRESS_SIZE];
    if (strncmp(address, "tcp://", 6) != 0)
        return ipc_path(address) || strncmp(address, "inproc://", 9) == 0;
    const char *colon = strrchr(address, ':');
    size_t size = (size_t)(colon - (address + 6));
    if (colon < address + 6 || size >= sizeof host)
        return false;
    memcpy(host, address + 6, size);
    host[size] = '\0';
    if (inet_pton(AF_INET, host, &number) == 1)
        return ntohl(number.s_addr) >> 24 == IN_LOOPBACKNET;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || strcmp(host, "::1") == 0;
}

/* Whether this context may speak with others at the address. */
static Status check_secured(const SocketContext *context, const char *address, bool listens, Diagnostic *diagnostic)
{
    if (context->serves_keys || context->uses_key || context->permit_plain || socket_address_is_local(address))
        return STATUS_OK;
    if (listens)
        return FAIL(
            diagnostic, STATUS_PERMISSION,
            "%s can be reached from other machines, and there are no keys: make them (nersweep keys SWEEP.yaml, or --make-keys "
            "here), or listen at this machine only (tcp://127.0.0.1:PORT), or say --insecure where everyone on the network may "
            "read and change the sweep",
            address);
    return FAIL(
        diagnostic, STATUS_PERMISSION,
        "%s is on another machine, and there is no key for it: name the key file (--key FILE; nersweep keys makes them), or say "
        "--insecure if the coordinator was started so",
        address);
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
    if (path && path[0] == '@')
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: an abstract address is open to every user of the machine; name a file",
                    address);
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
    created->context = context;
    created->zmq = zmq;
    created->kind = kind;
    set_options(created);
    *result = created;
    return STATUS_OK;
}

static bool set_text(void *zmq, int option, const char *text)
{
    return zmq_setsockopt(zmq, option, text, strlen(text) + 1) == 0;
}

/* Whoever connects must prove a key. ZeroMQ asks nobody which keys are allowed where nobody answers: socket_context_serve_keys has started
 * the one who does, who stays until this socket is closed. */
static Status secure_server(const Socket *socket, Diagnostic *diagnostic)
{
    const char *domain = socket->kind == SOCKET_PUB ? GUARD_FEED : GUARD_REQUESTS;
    set_integer(socket->zmq, ZMQ_CURVE_SERVER, 1);
    if (!set_text(socket->zmq, ZMQ_CURVE_SECRETKEY, socket->context->server.secret_key) ||
        zmq_setsockopt(socket->zmq, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "the server's key cannot be used: %s", zmq_strerror(errno));
    return STATUS_OK;
}

static Status secure_client(const Socket *socket, Diagnostic *diagnostic)
{
    const ClientKey *key = &socket->context->client;
    if (!set_text(socket->zmq, ZMQ_CURVE_SERVERKEY, key->server_key) ||
        !set_text(socket->zmq, ZMQ_CURVE_PUBLICKEY, key->pair.public_key) ||
        !set_text(socket->zmq, ZMQ_CURVE_SECRETKEY, key->pair.secret_key))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "the key cannot be used: %s", zmq_strerror(errno));
    return STATUS_OK;
}

static bool is_tcp(const char *address)
{
    return strncmp(address, "tcp://", 6) == 0;
}

static Status guard_socket(Socket *socket, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    SocketContext *context = socket->context;
    if (!context->guard)
        TRY(guard_start(&context->guard, context->zmq, NULL, context->limits.connections, diagnostic));
    TRY(guard_watch(context->guard, context->zmq, socket->zmq, &socket->guard_place, diagnostic));
    socket->is_guarded = true;
out:
    return status;
}

Status socket_bind(Socket **result, SocketContext *context, SocketKind kind, const char *address, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *result = NULL;
    Socket *bound = NULL;
    TRY(check_address(address, diagnostic));
    if (ipc_is_taken(address))
        TRY_FAIL(diagnostic, STATUS_BUSY, "%s is taken: another program listens there", address);
    TRY(check_secured(context, address, true, diagnostic));
    TRY(socket_create(&bound, context, kind, diagnostic));
    if (context->serves_keys)
        TRY(secure_server(bound, diagnostic));
    if (is_tcp(address))
        TRY(guard_socket(bound, diagnostic));
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
    TRY(check_secured(context, address, false, diagnostic));
    TRY(socket_create(&connected, context, kind, diagnostic));
    if (context->uses_key)
        TRY(secure_client(connected, diagnostic));
    if (is_tcp(address))
        TRY(monitor_open(&connected->events, context->zmq, connected->zmq, CLIENT_EVENTS, diagnostic));
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
    if ((*closed)->is_guarded)
        guard_unwatch((*closed)->context->guard, (*closed)->zmq, (*closed)->guard_place);
    if ((*closed)->events) {
        zmq_socket_monitor((*closed)->zmq, NULL, 0);
        zmq_close((*closed)->events);
    }
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
    size_t limit = to->kind == SOCKET_DEALER ? MESSAGE_REQUEST_LIMIT : MESSAGE_SIZE_LIMIT;
    if (size > limit)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a frame of %zu bytes; at most %zu are possible", size, limit);
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

/* By the key that the message's connection has proved. */
static KeyRole message_role(const SocketContext *context, zmq_msg_t *part)
{
    if (!context->serves_keys)
        return KEY_ROLE_LOCAL;
    const char *public_key = zmq_msg_gets(part, "User-Id");
    return public_key ? guard_role(context->guard, public_key) : KEY_ROLE_NONE;
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
        bool usable = size > 0 && size <= sizeof peer->id && guard_more_parts(from->zmq);
        if (usable) {
            memset(peer, 0, sizeof *peer);
            memcpy(peer->id, zmq_msg_data(&part), size);
            peer->size = (uint8_t)size;
        }
        if (!usable || zmq_msg_recv(&part, from->zmq, ZMQ_DONTWAIT) < 0) {
            guard_skip_parts(from->zmq);
            goto out;
        }
    }
    if (guard_more_parts(from->zmq)) {
        guard_skip_parts(from->zmq);
        goto out;
    }
    if (peer)
        peer->role = message_role(from->context, &part);
    text_clear(bytes);
    text_append(bytes, zmq_msg_data(&part), zmq_msg_size(&part));
    *proper = zmq_msg_size(&part) <= (size_t)frame_limit(from->kind);
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

static void note_refusals(Socket *socket)
{
    uint16_t event;
    uint32_t value;
    while (socket->events && monitor_next(socket->events, &event, &value)) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            socket->refusal = REFUSAL_NONE;
            socket->vain_handshakes = 0;
        } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            socket->refusal = REFUSAL_KEY;
        else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL && value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
            socket->refusal = REFUSAL_MECHANISM;
        else if (++socket->vain_handshakes >= VAIN_HANDSHAKE_LIMIT && socket->refusal == REFUSAL_NONE)
            socket->refusal = REFUSAL_VAIN;
    }
}

Status socket_refusal(Socket *socket, Diagnostic *diagnostic)
{
    note_refusals(socket);
    switch (socket->refusal) {
    case REFUSAL_KEY:
        return FAIL(diagnostic, STATUS_PERMISSION, "%s refuses the %s key: it is not allowed there, or not any more",
                    socket->address, key_role_name(socket->context->client.role));
    case REFUSAL_MECHANISM:
        return FAIL(diagnostic, STATUS_PERMISSION,
                    socket->context->uses_key ? "%s has no keys, but one was given for it" : "%s wants a key, and none was given",
                    socket->address);
    case REFUSAL_VAIN:
        return FAIL(diagnostic, STATUS_UNREACHABLE, "%s ends each connection before it is ready: %s", socket->address,
                    socket->context->uses_key ? "the key is for another server, or something else listens there"
                                              : "it wants a key and none was given, or something else listens there");
    default:
        return STATUS_OK;
    }
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
    for (size_t i = 0; i < socket_count; i++) {
        ready[i] = result > 0 && items[i].revents != 0;
        note_refusals(sockets[i]);
    }
    for (size_t i = 0; i < fd_count; i++)
        fd_ready[i] = result > 0 && items[socket_count + i].revents != 0;
    if (result < 0)
        return FAIL(diagnostic, zmq_status(error), "waiting for messages: %s", zmq_strerror(error));
    return STATUS_OK;
}
