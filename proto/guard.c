#include "proto/guard.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "core/base/log.h"
#include "core/base/thread.h"
#include "core/io/file.h"
#include "proto/zap.h"

enum {
    GUARD_SOCKET_LIMIT = 8, /* tcp sockets of one context that listen */
    GUARD_POLL_MS = 1000,
    GUARD_TURN_LIMIT = 256,  /* events and handshakes in one turn */
    SPARE_DESCRIPTORS = 256, /* for everything else in this process */
};

/* A socket that listens. */
typedef struct Watched {
    void *events; /* PAIR, read by the guard's thread alone; NULL: this place is free */
    bool closed;  /* the socket is gone: the guard forgets it */
    int connections;
} Watched;

struct Guard {
    pthread_t thread;
    int wake;          /* eventfd */
    void *zap;         /* REP; NULL without keys */
    char *keys_folder; /* or NULL */
    struct stat list_seen;
    int connection_limit;
    pthread_mutex_t lock; /* of everything below */
    bool stopping;
    Watched watched[GUARD_SOCKET_LIMIT];
    AllowList allowed;
    SocketCounts counts;
};

bool guard_more_parts(void *zmq)
{
    int more = 0;
    size_t size = sizeof more;
    return zmq_getsockopt(zmq, ZMQ_RCVMORE, &more, &size) == 0 && more;
}

/* All parts of a message are there at once, so this ends. */
void guard_skip_parts(void *zmq)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    while (guard_more_parts(zmq) && zmq_msg_recv(&part, zmq, ZMQ_DONTWAIT) >= 0)
        ;
    zmq_msg_close(&part);
}

bool monitor_next(void *events, uint16_t *event, uint32_t *value)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    bool got = zmq_msg_recv(&part, events, ZMQ_DONTWAIT) >= 0;
    *event = 0;
    *value = 0;
    if (got && zmq_msg_size(&part) == sizeof *event + sizeof *value) {
        memcpy(event, zmq_msg_data(&part), sizeof *event);
        memcpy(value, (const char *)zmq_msg_data(&part) + sizeof *event, sizeof *value);
    }
    if (got)
        guard_skip_parts(events);
    zmq_msg_close(&part);
    return got;
}

/* Its queue has no limit: at a full one ZeroMQ's own thread would wait. */
Status monitor_open(void **events, void *zmq_context, void *zmq_socket_, int wanted, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *name = memory_format("inproc://nersweep-events-%p", zmq_socket_);
    int none = 0;
    void *pair = zmq_socket(zmq_context, ZMQ_PAIR);
    *events = NULL;
    if (!pair || zmq_setsockopt(pair, ZMQ_RCVHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(pair, ZMQ_LINGER, &none, sizeof none) != 0)
        TRY_FAIL(diagnostic, STATUS_INTERNAL, "cannot create a socket: %s", zmq_strerror(errno));
    if (zmq_socket_monitor(zmq_socket_, name, wanted) != 0 || zmq_connect(pair, name) != 0)
        TRY_FAIL(diagnostic, STATUS_INTERNAL, "cannot watch a socket's connections: %s", zmq_strerror(errno));
    *events = pair;
    pair = NULL;
out:
    if (pair)
        zmq_close(pair);
    free(name);
    return status;
}

static void guard_wake(const Guard *guard)
{
    uint64_t one = 1;
    ssize_t ignored = write(guard->wake, &one, sizeof one); /* a full counter is awake already */
    (void)ignored;
}

/* Said at the first, second, fourth, ... time: a flood of refusals is no flood of lines. */
static bool is_worth_a_line(uint64_t count)
{
    return (count & (count - 1)) == 0;
}

/* shutdown() instead of close(), since the descriptor is ZeroMQ's. Should it have been given to another connection in between, that one is
 * cut off, and connects again. */
static void guard_count(Guard *guard, Watched *watched, uint16_t event, uint32_t descriptor)
{
    uint64_t refused = 0;
    pthread_mutex_lock(&guard->lock);
    if (event == ZMQ_EVENT_ACCEPTED) {
        watched->connections++;
        if (++guard->counts.connections > guard->connection_limit) {
            refused = ++guard->counts.refused_connections;
            shutdown((int)descriptor, SHUT_RDWR);
        }
    } else if (event == ZMQ_EVENT_DISCONNECTED && watched->connections > 0) {
        watched->connections--;
        guard->counts.connections--;
    }
    pthread_mutex_unlock(&guard->lock);
    if (refused && is_worth_a_line(refused))
        LOG_WARNING("%d connections are open: a further one was closed (%" PRIu64 " so far)", guard->connection_limit, refused);
}

static void guard_forget(Guard *guard, Watched *watched)
{
    zmq_close(watched->events);
    guard->counts.connections -= watched->connections;
    *watched = (Watched){0};
}

/* The list of allowed keys as it is now. One that cannot be read changes nothing: it may be replaced in this moment. */
static void guard_refresh_list(Guard *guard)
{
    static const AllowList none;
    struct stat now;
    Diagnostic diagnostic = {0};
    char *path = path_join(guard->keys_folder, "allowed.json");
    bool same = stat(path, &now) != 0 ||
                (now.st_ino == guard->list_seen.st_ino && now.st_size == guard->list_seen.st_size &&
                 now.st_mtim.tv_sec == guard->list_seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == guard->list_seen.st_mtim.tv_nsec);
    free(path);
    if (same)
        return;
    AllowList list = none;
    guard->list_seen = now;
    if (keys_read_allowed(guard->keys_folder, &list, &diagnostic) != STATUS_OK) {
        LOG_WARNING("the keys that were allowed so far stay so: %s", diagnostic.message);
        return;
    }
    pthread_mutex_lock(&guard->lock);
    guard->allowed = list;
    pthread_mutex_unlock(&guard->lock);
    LOG_INFO("%zu keys are allowed now", list.count);
}

KeyRole guard_role(Guard *guard, const char *public_key)
{
    pthread_mutex_lock(&guard->lock);
    KeyRole role = allow_list_role(&guard->allowed, public_key);
    pthread_mutex_unlock(&guard->lock);
    return role;
}

/* May this key connect to the socket that it wants? Its messages are marked with it, and its role is looked up for each of them. */
static bool guard_admits(Guard *guard, const ZapRequest *request, char public_key[KEY_TEXT_SIZE])
{
    if (!zmq_z85_encode(public_key, request->public_key, ZAP_KEY_SIZE))
        return false;
    KeyRole role = guard_role(guard, public_key);
    bool admitted = strcmp(request->domain, GUARD_FEED) == 0 ? key_role_may_subscribe(role) : role != KEY_ROLE_NONE;
    if (admitted)
        return true;
    pthread_mutex_lock(&guard->lock);
    uint64_t refused = ++guard->counts.refused_keys;
    pthread_mutex_unlock(&guard->lock);
    if (is_worth_a_line(refused))
        LOG_WARNING("a key of %s that is %s was refused (%" PRIu64 " so far)", request->address,
                    role == KEY_ROLE_NONE ? "not allowed" : "not allowed to read the feed", refused);
    return false;
}

static void guard_answer(Guard *guard, const zmq_msg_t *parts, size_t count)
{
    ZapFrame frames[ZAP_FRAME_LIMIT], answer[ZAP_REPLY_FRAMES];
    ZapRequest request;
    Diagnostic diagnostic = {0};
    char public_key[KEY_TEXT_SIZE];
    for (size_t i = 0; i < count; i++)
        frames[i] = (ZapFrame){zmq_msg_data((zmq_msg_t *)&parts[i]), zmq_msg_size(&parts[i])};
    bool admitted = zap_parse(&request, frames, count, &diagnostic) == STATUS_OK && guard_admits(guard, &request, public_key);
    zap_answer(&request, admitted ? public_key : NULL, answer);
    for (size_t i = 0; i < ZAP_REPLY_FRAMES; i++)
        if (zmq_send(guard->zap, answer[i].bytes, answer[i].size, i + 1 < ZAP_REPLY_FRAMES ? ZMQ_SNDMORE : 0) < 0)
            LOG_WARNING("a handshake stays without an answer: %s", zmq_strerror(errno));
}

/* One request for admission; false: there is none. */
static bool guard_take_request(Guard *guard)
{
    zmq_msg_t parts[ZAP_FRAME_LIMIT];
    size_t count = 0;
    zmq_msg_init(&parts[count++]);
    bool got = zmq_msg_recv(&parts[0], guard->zap, ZMQ_DONTWAIT) >= 0;
    while (got && count < ZAP_FRAME_LIMIT && guard_more_parts(guard->zap)) { /* all are there already */
        zmq_msg_init(&parts[count++]);
        got = zmq_msg_recv(&parts[count - 1], guard->zap, ZMQ_DONTWAIT) >= 0;
    }
    guard_skip_parts(guard->zap);
    if (got) {
        guard_refresh_list(guard);
        guard_answer(guard, parts, count);
    }
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&parts[i]);
    return got;
}

static void guard_wait(Guard *guard)
{
    zmq_pollitem_t items[GUARD_SOCKET_LIMIT + 2] = {{.fd = guard->wake, .events = ZMQ_POLLIN}};
    int count = 1;
    if (guard->zap)
        items[count++] = (zmq_pollitem_t){.socket = guard->zap, .events = ZMQ_POLLIN};
    pthread_mutex_lock(&guard->lock);
    for (size_t i = 0; i < GUARD_SOCKET_LIMIT; i++)
        if (guard->watched[i].events)
            items[count++] = (zmq_pollitem_t){.socket = guard->watched[i].events, .events = ZMQ_POLLIN};
    pthread_mutex_unlock(&guard->lock);
    if (zmq_poll(items, count, GUARD_POLL_MS) < 0 && errno != EINTR)
        LOG_WARNING("waiting for connections: %s", zmq_strerror(errno));
    uint64_t times;
    ssize_t ignored = read(guard->wake, &times, sizeof times);
    (void)ignored;
}

static void guard_tend(Guard *guard, Watched *watched)
{
    uint16_t event;
    uint32_t value;
    pthread_mutex_lock(&guard->lock);
    void *events = watched->events;
    pthread_mutex_unlock(&guard->lock);
    for (int i = 0; events && i < GUARD_TURN_LIMIT && monitor_next(events, &event, &value); i++)
        guard_count(guard, watched, event, value);
    pthread_mutex_lock(&guard->lock);
    if (events && (watched->closed || guard->stopping))
        guard_forget(guard, watched);
    pthread_mutex_unlock(&guard->lock);
}

static bool guard_goes_on(Guard *guard)
{
    pthread_mutex_lock(&guard->lock);
    bool goes_on = !guard->stopping;
    pthread_mutex_unlock(&guard->lock);
    return goes_on;
}

static void *guard_run(void *argument)
{
    Guard *guard = argument;
    while (guard_goes_on(guard)) {
        guard_wait(guard);
        for (int i = 0; guard->zap && i < GUARD_TURN_LIMIT && guard_take_request(guard); i++)
            ;
        for (size_t i = 0; i < GUARD_SOCKET_LIMIT; i++)
            guard_tend(guard, &guard->watched[i]);
        if (guard->keys_folder)
            guard_refresh_list(guard);
    }
    for (size_t i = 0; i < GUARD_SOCKET_LIMIT; i++)
        guard_tend(guard, &guard->watched[i]);
    return NULL;
}

/* So many connections as this process may have descriptors for, after it has asked for enough. */
static int possible_connections(int wanted)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)wanted + SPARE_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return wanted;
    struct rlimit raised = {.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    if (limit.rlim_cur >= needed)
        return wanted;
    return limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (int)limit.rlim_cur - SPARE_DESCRIPTORS : (int)limit.rlim_cur / 2;
}

static void guard_destroy(Guard **guard)
{
    Guard *old = *guard;
    if (!old)
        return;
    if (old->zap)
        zmq_close(old->zap);
    if (old->wake >= 0)
        close(old->wake);
    pthread_mutex_destroy(&old->lock);
    free(old->keys_folder);
    free(old);
    *guard = NULL;
}

static Status guard_open_zap(Guard *guard, void *zmq_context, const char *keys_folder, Diagnostic *diagnostic)
{
    int none = 0;
    guard->keys_folder = memory_copy_string(keys_folder);
    guard->zap = zmq_socket(zmq_context, ZMQ_REP);
    if (!guard->zap || zmq_setsockopt(guard->zap, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(guard->zap, "inproc://zeromq.zap.01") != 0)
        return FAIL(diagnostic, STATUS_INTERNAL, "cannot answer handshakes: %s", zmq_strerror(errno));
    return keys_read_allowed(keys_folder, &guard->allowed, diagnostic);
}

Status guard_start(Guard **result, void *zmq_context, const char *keys_folder, int connections, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Guard *guard = memory_allocate(1, sizeof *guard);
    *result = NULL;
    pthread_mutex_init(&guard->lock, NULL);
    guard->connection_limit = possible_connections(connections);
    guard->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (guard->wake < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot make an event descriptor: %s", strerror(errno));
    if (keys_folder)
        TRY(guard_open_zap(guard, zmq_context, keys_folder, diagnostic));
    int error = thread_start(&guard->thread, guard_run, guard);
    if (error != 0)
        TRY_FAIL(diagnostic, status_from_errno(error), "cannot start the thread that answers handshakes: %s", strerror(error));
    *result = guard;
    guard = NULL;
out:
    guard_destroy(&guard);
    return status;
}

void guard_stop(Guard **guard)
{
    if (!*guard)
        return;
    pthread_mutex_lock(&(*guard)->lock);
    (*guard)->stopping = true;
    pthread_mutex_unlock(&(*guard)->lock);
    guard_wake(*guard);
    pthread_join((*guard)->thread, NULL);
    guard_destroy(guard);
}

Status guard_watch(Guard *guard, void *zmq_context, void *zmq_socket_, size_t *place, Diagnostic *diagnostic)
{
    void *events;
    Status status = monitor_open(&events, zmq_context, zmq_socket_, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED, diagnostic);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&guard->lock);
    for (*place = 0; *place < GUARD_SOCKET_LIMIT && guard->watched[*place].events; ++*place)
        ;
    if (*place < GUARD_SOCKET_LIMIT)
        guard->watched[*place].events = events;
    pthread_mutex_unlock(&guard->lock);
    guard_wake(guard);
    if (*place < GUARD_SOCKET_LIMIT)
        return STATUS_OK;
    zmq_socket_monitor(zmq_socket_, NULL, 0);
    zmq_close(events);
    return FAIL(diagnostic, STATUS_LIMIT, "more than %d tcp addresses to listen at", GUARD_SOCKET_LIMIT);
}

void guard_unwatch(Guard *guard, void *zmq_socket_, size_t place)
{
    zmq_socket_monitor(zmq_socket_, NULL, 0);
    pthread_mutex_lock(&guard->lock);
    guard->watched[place].closed = true;
    pthread_mutex_unlock(&guard->lock);
    guard_wake(guard);
}

void guard_counts(Guard *guard, SocketCounts *counts)
{
    pthread_mutex_lock(&guard->lock);
    *counts = guard->counts;
    pthread_mutex_unlock(&guard->lock);
}
