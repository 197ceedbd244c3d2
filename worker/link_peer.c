/* The network thread of a link: one DEALER, a loop over what arrived and what is due. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "proto/endpoint.h"
#include "worker/link_internal.h"

enum {
    POLL_MS = 100,
    HELLO_INTERVAL_MS = 1000,
    HELLO_TRIES = 3, /* then the socket is made anew, at the address that the endpoint file gives then */
    CONNECT_INTERVAL_MS = 500,
    ENDPOINT_INTERVAL_MS = 1000,
    RESEND_INTERVAL_MS = 2000,
    DEFAULT_HEARTBEAT_MS = 2000,
    REFUSAL_LIMIT_MS = 10000, /* a new key takes a moment to be known everywhere */
    RECEIVE_LIMIT = 256,      /* messages handled before looking at the timers again */
};

typedef struct Peer {
    Link *link;
    SocketContext *context;
    Socket *socket;
    char address[256];  /* in use */
    Endpoint endpoint;  /* in use, where there is a sweep's folder */
    int64_t refused_ns; /* since when our key has been refused; 0: it has not */
    uint64_t epoch;     /* the coordinator's, as far as heard */
    bool greeted;       /* WELCOME came on this socket and nothing is silent */
    int hello_count;
    int64_t heartbeat_ms;
    int64_t hello_ns, heartbeat_ns, heard_ns, connect_ns, endpoint_ns;
    bool silence_said;
} Peer;

static int64_t peer_now(const Peer *peer)
{
    return peer->link->clock->monotonic_ns(peer->link->clock->context);
}

static bool is_due(int64_t now_ns, int64_t last_ns, int64_t interval_ms)
{
    return last_ns == 0 || now_ns - last_ns >= interval_ms * 1000000;
}

static void peer_end(Peer *peer, const Diagnostic *why)
{
    Link *link = peer->link;
    pthread_mutex_lock(&link->lock);
    if (!link->ended) {
        link->ended = true;
        link->why = *why;
        link->current = (AssignmentId){0};
        link_outbox_clear(link);
    }
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->lock);
}

/* Sends and forgets: what must arrive is sent again until it is acknowledged. */
static void peer_send(Peer *peer, Message *message)
{
    Text bytes = {0};
    Diagnostic diagnostic = {0};
    message->epoch = peer->epoch;
    Status status = message_encode(message, &bytes, &diagnostic);
    if (status == STATUS_OK && peer->socket)
        status = socket_send(peer->socket, NULL, bytes.bytes, bytes.size, &diagnostic);
    if (status != STATUS_OK)
        LOG_DEBUG("%s was not sent: %s", message_type_name(message->type), diagnostic.message);
    text_free(&bytes);
}

static void peer_disconnect(Peer *peer)
{
    socket_close(&peer->socket);
    peer->greeted = false;
    peer->hello_count = 0;
    peer->hello_ns = 0;
}

static void peer_connect(Peer *peer, int64_t now_ns)
{
    Diagnostic diagnostic = {0};
    Status status = STATUS_OK;
    peer->connect_ns = now_ns;
    const Link *link = peer->link;
    if (link->address)
        snprintf(peer->address, sizeof peer->address, "%s", link->address);
    else
        status = endpoint_read(link->sweep_folder, &peer->endpoint, &diagnostic);
    if (!link->address && status == STATUS_OK) {
        snprintf(peer->address, sizeof peer->address, "%s", peer->endpoint.address);
        status = endpoint_use_key(peer->context, &peer->endpoint, link->sweep_folder, KEY_ROLE_WORKER, link->key_file, &diagnostic);
    }
    peer->endpoint_ns = now_ns;
    if (status == STATUS_OK)
        status = socket_connect(&peer->socket, peer->context, SOCKET_DEALER, peer->address, &diagnostic);
    if (status == STATUS_OK)
        return;
    if (!peer->silence_said)
        LOG_WARNING("no coordinator yet: %s", diagnostic.message);
    peer->silence_said = true;
    /* An address that can never be one is no matter of time. */
    bool hopeless = status_class(status) == STATUS_CLASS_INPUT && status != STATUS_NOT_FOUND;
    if (hopeless && (link->address || status == STATUS_PERMISSION))
        peer_end(peer, &diagnostic);
}

/* A coordinator that moved is followed at once, without waiting for silence. */
static void peer_check_endpoint(Peer *peer, int64_t now_ns)
{
    Endpoint endpoint;
    if (peer->link->address || !is_due(now_ns, peer->endpoint_ns, ENDPOINT_INTERVAL_MS))
        return;
    peer->endpoint_ns = now_ns;
    if (endpoint_read(peer->link->sweep_folder, &endpoint, NULL) != STATUS_OK)
        return;
    if (strcmp(endpoint.address, peer->address) == 0 && endpoint.epoch == peer->endpoint.epoch)
        return;
    LOG_INFO("the coordinator is now at %s (epoch %" PRIu64 ")", endpoint.address, endpoint.epoch);
    peer_disconnect(peer);
}

static void peer_hello(Peer *peer, int64_t now_ns)
{
    Message message = {.type = MESSAGE_HELLO};
    pthread_mutex_lock(&peer->link->lock);
    message.hello = peer->link->hello;
    message.hello.assignment = peer->link->current;
    pthread_mutex_unlock(&peer->link->lock);
    peer_send(peer, &message);
    peer->hello_ns = now_ns;
    peer->hello_count++;
}

static void peer_heartbeat(Peer *peer, int64_t now_ns)
{
    Message message = {.type = MESSAGE_HEARTBEAT};
    pthread_mutex_lock(&peer->link->lock);
    message.heartbeat = peer->link->progress;
    message.heartbeat.id = peer->link->current;
    pthread_mutex_unlock(&peer->link->lock);
    peer_send(peer, &message);
    peer->heartbeat_ns = now_ns;
}

/* Reports in order; FINISHED only when every report before it is durable. at_once: whatever was sent before is sent again. */
static void peer_send_outbox(Peer *peer, int64_t now_ns, bool at_once)
{
    Link *link = peer->link;
    pthread_mutex_lock(&link->lock);
    for (size_t i = 0; i < link->outbox.count; i++) {
        OutboxEntry *entry = &link->outbox.items[i];
        if (entry->message.type == MESSAGE_FINISHED && i > 0)
            break;
        if (!at_once && !is_due(now_ns, entry->sent_ns, RESEND_INTERVAL_MS))
            continue;
        entry->sent_ns = now_ns;
        peer_send(peer, &entry->message);
    }
    pthread_mutex_unlock(&link->lock);
}

static void on_welcome(Peer *peer, Message *message, int64_t now_ns)
{
    Link *link = peer->link;
    pthread_mutex_lock(&link->lock);
    message_free(&link->welcome);
    link->welcome = *message;
    link->welcomed = true;
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->lock);
    if (!peer->greeted)
        LOG_INFO("connected to the coordinator at %s (epoch %" PRIu64 ")", peer->address, message->epoch);
    peer->heartbeat_ms = message->welcome.heartbeat_ms > 0 ? message->welcome.heartbeat_ms : DEFAULT_HEARTBEAT_MS;
    peer->greeted = true;
    peer->hello_count = 0;
    peer->silence_said = false;
    peer->refused_ns = 0;
    *message = (Message){0};
    peer_send_outbox(peer, now_ns, true);
}

static void on_assign(Peer *peer, Message *message)
{
    Link *link = peer->link;
    pthread_mutex_lock(&link->lock);
    if (link->welcomed && message->assign.id.fence > link->last_fence) {
        link_outbox_clear(link);
        message_free(&link->assign);
        link->current = message->assign.id;
        link->last_fence = link->current.fence;
        link->acknowledged = 0;
        link->progress = (MessageHeartbeat){.progress = link->progress.progress};
        link->assign = *message;
        link->has_assign = true;
        *message = (Message){0};
        pthread_cond_broadcast(&link->changed);
    }
    pthread_mutex_unlock(&link->lock);
}

static void outbox_remove_first(Link *link)
{
    message_free(&link->outbox.items[0].message);
    link->outbox.count--;
    memmove(link->outbox.items, link->outbox.items + 1, link->outbox.count * sizeof *link->outbox.items);
}

static void on_ack(Peer *peer, const MessageAck *ack)
{
    Link *link = peer->link;
    pthread_mutex_lock(&link->lock);
    bool ours = ack->id.fence != 0 && ack->id.fence == link->current.fence;
    if (ours && ack->acknowledged == MESSAGE_REPORT) {
        if (ack->sequence > link->acknowledged)
            link->acknowledged = ack->sequence;
        while (link->outbox.count > 0 && link->outbox.items[0].message.type == MESSAGE_REPORT &&
               link->outbox.items[0].message.report.sequence <= ack->sequence)
            outbox_remove_first(link);
    } else if (ours && ack->acknowledged == MESSAGE_FINISHED && link->outbox.count > 0 &&
               link->outbox.items[0].message.type == MESSAGE_FINISHED) {
        outbox_remove_first(link);
        link->current = (AssignmentId){0};
    }
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->lock);
    peer_send_outbox(peer, peer_now(peer), false); /* a FINISHED may have become the first */
}

static void on_release(Peer *peer, const MessageReason *reason)
{
    Link *link = peer->link;
    pthread_mutex_lock(&link->lock);
    if (reason->id.fence != 0 && reason->id.fence == link->current.fence) {
        LOG_INFO("trial %" PRIu32 " was taken back: %s", reason->id.trial,
                 reason->reason && reason->reason[0] ? reason->reason : "no reason given");
        link->current = (AssignmentId){0};
        link->has_assign = false;
        message_free(&link->assign);
        link->assign = (Message){0};
        link_outbox_clear(link);
        pthread_cond_broadcast(&link->changed);
    }
    pthread_mutex_unlock(&link->lock);
}

static void on_reject(Peer *peer, const MessageReason *reason)
{
    Diagnostic why = {0};
    const char *text = reason->reason && reason->reason[0] ? reason->reason : status_name(reason->code);
    if (status_class(reason->code) == STATUS_CLASS_RETRYABLE) {
        LOG_INFO("the coordinator has no place for this worker yet: %s", text);
        return;
    }
    Status code =
        FAIL(&why, reason->code == STATUS_OK ? STATUS_MISMATCH : reason->code, "the coordinator refuses this worker: %s", text);
    (void)code;
    peer_end(peer, &why);
}

/* message is owned by the caller; what is kept is taken out of it. */
static void peer_handle(Peer *peer, Message *message, int64_t now_ns)
{
    static const Diagnostic orderly = {.code = STATUS_OK};
    if (message->epoch < peer->epoch) {
        LOG_DEBUG("%s of the earlier epoch %" PRIu64 " is ignored", message_type_name(message->type), message->epoch);
        return;
    }
    peer->epoch = message->epoch;
    peer->heard_ns = now_ns;
    switch (message->type) {
    case MESSAGE_WELCOME:
        on_welcome(peer, message, now_ns);
        break;
    case MESSAGE_ASSIGN:
        on_assign(peer, message);
        break;
    case MESSAGE_ACK:
        on_ack(peer, &message->ack);
        break;
    case MESSAGE_RELEASE:
        on_release(peer, &message->reason);
        break;
    case MESSAGE_REJECT:
        on_reject(peer, &message->reason);
        break;
    case MESSAGE_SHUTDOWN:
        peer_end(peer, &orderly);
        break;
    default:
        LOG_DEBUG("%s is nothing for a worker", message_type_name(message->type));
        break;
    }
}

static void peer_receive(Peer *peer, int64_t now_ns)
{
    Text bytes = {0};
    for (int i = 0; i < RECEIVE_LIMIT && peer->socket; i++) {
        Message message = {0};
        Diagnostic diagnostic = {0};
        if (socket_receive(peer->socket, NULL, &bytes, &diagnostic) != STATUS_OK)
            break;
        Status status = message_decode(&message, bytes.bytes, bytes.size, &diagnostic);
        if (status == STATUS_OK)
            peer_handle(peer, &message, now_ns);
        else if (status == STATUS_MISMATCH && message.type == MESSAGE_REJECT)
            peer_end(peer, &diagnostic);
        else
            LOG_WARNING("a message of the coordinator is not to be read: %s", diagnostic.message);
        message_free(&message);
    }
    text_free(&bytes);
}

/* A coordinator that does not let us in says so once, and ends us when it stays so. */
static void peer_check_refusal(Peer *peer, int64_t now_ns)
{
    Diagnostic why = {0};
    Status status = socket_refusal(peer->socket, &why);
    if (status == STATUS_OK)
        return;
    if (!peer->refused_ns) {
        peer->refused_ns = now_ns;
        LOG_WARNING("%s", why.message);
    }
    if (status == STATUS_PERMISSION && is_due(now_ns, peer->refused_ns, REFUSAL_LIMIT_MS))
        peer_end(peer, &why);
}

/* Whatever is due now. */
static void peer_tend(Peer *peer, int64_t now_ns)
{
    int64_t silence_ms = 2 * peer->heartbeat_ms > HELLO_INTERVAL_MS ? 2 * peer->heartbeat_ms : HELLO_INTERVAL_MS;
    if (now_ns - peer->heard_ns >= peer->link->give_up_ms * 1000000) {
        Diagnostic why = {0};
        Status code = FAIL(&why, STATUS_UNREACHABLE, "no coordinator for %" PRId64 " s: giving up", peer->link->give_up_ms / 1000);
        (void)code;
        peer_end(peer, &why);
        return;
    }
    if (peer->socket)
        peer_check_endpoint(peer, now_ns);
    if (!peer->socket && is_due(now_ns, peer->connect_ns, CONNECT_INTERVAL_MS))
        peer_connect(peer, now_ns);
    if (!peer->socket)
        return;
    if (!peer->greeted)
        peer_check_refusal(peer, now_ns);
    /* Nothing was heard for a while: ask, which a coordinator that is there answers with a WELCOME. */
    if (peer->greeted && is_due(now_ns, peer->heard_ns, silence_ms) && is_due(now_ns, peer->hello_ns, silence_ms)) {
        if (peer->hello_count >= HELLO_TRIES) {
            LOG_WARNING("the coordinator at %s is silent; looking for it again while training goes on", peer->address);
            peer_disconnect(peer);
            return;
        }
        peer_hello(peer, now_ns);
    }
    if (!peer->greeted && is_due(now_ns, peer->hello_ns, HELLO_INTERVAL_MS)) {
        if (peer->hello_count >= HELLO_TRIES) {
            peer_disconnect(peer);
            return;
        }
        peer_hello(peer, now_ns);
    }
    if (peer->greeted && is_due(now_ns, peer->heartbeat_ns, peer->heartbeat_ms * 2 / 3))
        peer_heartbeat(peer, now_ns);
    if (peer->greeted)
        peer_send_outbox(peer, now_ns, false);
}

static bool peer_goes_on(Peer *peer)
{
    pthread_mutex_lock(&peer->link->lock);
    bool goes_on = !peer->link->stopping && !peer->link->ended;
    pthread_mutex_unlock(&peer->link->lock);
    return goes_on;
}

static void peer_sleep(Peer *peer)
{
    bool ready = false, woken = false;
    Diagnostic diagnostic = {0};
    Status status = socket_poll(&peer->socket, peer->socket ? 1 : 0, &ready, &peer->link->wake, 1, &woken, POLL_MS, &diagnostic);
    if (status != STATUS_OK && status != STATUS_INTERRUPTED && status != STATUS_TIMEOUT)
        peer_end(peer, &diagnostic);
    uint64_t count;
    ssize_t ignored = read(peer->link->wake, &count, sizeof count);
    (void)ignored;
}

void *link_peer_run(void *context)
{
    Peer peer = {.link = context, .heartbeat_ms = DEFAULT_HEARTBEAT_MS};
    Diagnostic diagnostic = {0};
    peer.heard_ns = peer_now(&peer);
    if (socket_context_create(&peer.context, &diagnostic) != STATUS_OK)
        peer_end(&peer, &diagnostic);
    else if (peer.link->insecure)
        socket_context_permit_plain(peer.context);
    if (peer.context && peer.link->address && peer.link->key_file)
        socket_context_use_key(peer.context, &peer.link->key);
    while (peer_goes_on(&peer)) {
        int64_t now_ns = peer_now(&peer);
        peer_receive(&peer, now_ns);
        peer_tend(&peer, now_ns);
        peer_sleep(&peer);
    }
    socket_close(&peer.socket);
    socket_context_destroy(&peer.context);
    return NULL;
}
