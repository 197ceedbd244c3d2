/* Sockets that leave the machine, with real connections: keys, roles, and peers that mean no good. All of it on loopback, where keys are
 * asked for as anywhere once a context has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "proto/messages.h"
#include "proto/socket.h"

enum { SOON_MS = 5000, NEVER_MS = 400 };

static char folder[64], keys[80];

/* A server with keys, and what its clients need. */
typedef struct Server {
    SocketContext *context;
    Socket *router, *feed;
} Server;

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    strcpy(folder, "/tmp/nersweep-security-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(keys, sizeof keys, "%s/keys", folder);
    assert_int_equal(keys_create(keys, false, NULL), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(folder_remove_tree(folder, NULL), STATUS_OK);
    return 0;
}

static Server serve_with(const SocketLimits *limits, bool with_keys)
{
    Server server;
    Diagnostic diagnostic = {0};
    assert_int_equal(socket_context_create(&server.context, NULL), STATUS_OK);
    if (limits)
        socket_context_set_limits(server.context, limits);
    if (with_keys && socket_context_serve_keys(server.context, keys, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    assert_int_equal(socket_bind(&server.router, server.context, SOCKET_ROUTER, "tcp://127.0.0.1:*", NULL), STATUS_OK);
    assert_int_equal(socket_bind(&server.feed, server.context, SOCKET_PUB, "tcp://127.0.0.1:*", NULL), STATUS_OK);
    return server;
}

static Server serve(void)
{
    return serve_with(NULL, true);
}

static void server_close(Server *server)
{
    socket_close(&server->router);
    socket_close(&server->feed);
    socket_context_destroy(&server->context);
}

typedef struct Client {
    SocketContext *context;
    Socket *socket;
} Client;

static Client connect_with(const ClientKey *key, SocketKind kind, const Socket *to)
{
    Client client;
    assert_int_equal(socket_context_create(&client.context, NULL), STATUS_OK);
    if (key)
        socket_context_use_key(client.context, key);
    assert_int_equal(socket_connect(&client.socket, client.context, kind, socket_address(to), NULL), STATUS_OK);
    return client;
}

static void client_close(Client *client)
{
    socket_close(&client->socket);
    socket_context_destroy(&client->context);
}

static ClientKey key_of(KeyRole role)
{
    ClientKey key;
    Diagnostic diagnostic = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/%s.key", keys, key_role_name(role));
    if (keys_read_client(path, &key, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return key;
}

static Client connect_as(KeyRole role, SocketKind kind, const Socket *to)
{
    ClientKey key = key_of(role);
    return connect_with(&key, kind, to);
}

static bool arrives(Socket *at, SocketPeer *peer, Text *bytes, int timeout_ms)
{
    bool ready;
    assert_int_equal(socket_poll(&at, 1, &ready, NULL, 0, NULL, timeout_ms, NULL), STATUS_OK);
    return ready && socket_receive(at, peer, bytes, NULL) == STATUS_OK;
}

/* A message gets through, with the role expected. */
static void assert_serves(Server *server, Client *client, KeyRole role)
{
    SocketPeer peer;
    Text bytes = {0};
    assert_int_equal(socket_send(client->socket, NULL, "hello", 5, NULL), STATUS_OK);
    assert_true(arrives(server->router, &peer, &bytes, SOON_MS));
    assert_string_equal(bytes.bytes, "hello");
    assert_int_equal(peer.role, role);
    assert_int_equal(socket_send(server->router, &peer, "there", 5, NULL), STATUS_OK);
    assert_true(arrives(client->socket, NULL, &bytes, SOON_MS));
    assert_string_equal(bytes.bytes, "there");
    text_free(&bytes);
}

/* Whatever happened: somebody with a proper key is served. */
static void assert_goes_on(Server *server)
{
    Client client = connect_as(KEY_ROLE_WORKER, SOCKET_DEALER, server->router);
    assert_serves(server, &client, KEY_ROLE_WORKER);
    client_close(&client);
}

static void assert_silent(Server *server)
{
    SocketPeer peer;
    Text bytes = {0};
    assert_false(arrives(server->router, &peer, &bytes, NEVER_MS));
    text_free(&bytes);
}

static Status wait_for_refusal(Client *client, Diagnostic *diagnostic)
{
    bool ready;
    for (int i = 0; i < SOON_MS / 20; i++) {
        assert_int_equal(socket_poll(&client->socket, 1, &ready, NULL, 0, NULL, 20, NULL), STATUS_OK);
        Status status = socket_refusal(client->socket, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static bool feed_reaches(Server *server, Client *reader, int timeout_ms)
{
    Text bytes = {0};
    bool got = false;
    for (int i = 0; i < timeout_ms / 20 && !got; i++) {
        assert_int_equal(socket_send(server->feed, NULL, "event", 5, NULL), STATUS_OK);
        got = arrives(reader->socket, NULL, &bytes, 20);
    }
    text_free(&bytes);
    return got;
}

/* ------------------------------------------------------------------------------------------------ keys */

static void each_message_carries_the_role_of_its_key(void **state)
{
    (void)state;
    Server server = serve();
    for (int role = KEY_ROLE_WORKER; role <= KEY_ROLE_OPERATOR; role++) {
        Client client = connect_as((KeyRole)role, SOCKET_DEALER, server.router);
        assert_serves(&server, &client, (KeyRole)role);
        assert_int_equal(socket_refusal(client.socket, NULL), STATUS_OK);
        client_close(&client);
    }
    SocketCounts counts;
    socket_context_counts(server.context, &counts);
    assert_true(counts.refused_keys == 0);
    server_close(&server);
}

static void the_feed_is_for_readers_and_operators(void **state)
{
    (void)state;
    Server server = serve();
    Diagnostic diagnostic = {0};
    Client reader = connect_as(KEY_ROLE_READER, SOCKET_SUB, server.feed);
    Client operator_ = connect_as(KEY_ROLE_OPERATOR, SOCKET_SUB, server.feed);
    Client worker = connect_as(KEY_ROLE_WORKER, SOCKET_SUB, server.feed);
    Client nobody = connect_with(NULL, SOCKET_SUB, server.feed);
    assert_true(feed_reaches(&server, &reader, SOON_MS));
    assert_true(feed_reaches(&server, &operator_, SOON_MS));
    assert_false(feed_reaches(&server, &worker, NEVER_MS));
    assert_int_equal(wait_for_refusal(&worker, &diagnostic), STATUS_PERMISSION);
    assert_false(feed_reaches(&server, &nobody, NEVER_MS));
    client_close(&reader);
    client_close(&operator_);
    client_close(&worker);
    client_close(&nobody);
    server_close(&server);
}

static void a_key_that_is_not_in_the_list_is_refused_and_told_so(void **state)
{
    (void)state;
    Server server = serve();
    Diagnostic diagnostic = {0};
    ClientKey stranger = key_of(KEY_ROLE_WORKER);
    assert_int_equal(socket_make_keys(&stranger.pair, NULL), STATUS_OK);
    Client client = connect_with(&stranger, SOCKET_DEALER, server.router);
    assert_int_equal(socket_send(client.socket, NULL, "hello", 5, NULL), STATUS_OK);
    assert_int_equal(wait_for_refusal(&client, &diagnostic), STATUS_PERMISSION);
    assert_non_null(strstr(diagnostic.message, "refuses the worker key"));
    assert_silent(&server);
    SocketCounts counts;
    socket_context_counts(server.context, &counts);
    assert_true(counts.refused_keys > 0);
    client_close(&client);
    assert_goes_on(&server);
    server_close(&server);
}

static void without_a_key_or_with_one_of_another_server_there_is_no_connection(void **state)
{
    (void)state;
    Server server = serve();
    Diagnostic diagnostic = {0};
    Client nobody = connect_with(NULL, SOCKET_DEALER, server.router);
    assert_int_equal(socket_send(nobody.socket, NULL, "hello", 5, NULL), STATUS_OK);
    assert_int_not_equal(wait_for_refusal(&nobody, &diagnostic), STATUS_OK); /* of both sides, the first to see it hangs up */
    assert_non_null(strstr(diagnostic.message, "wants a key"));
    ClientKey astray = key_of(KEY_ROLE_WORKER);
    KeyPair other;
    assert_int_equal(socket_make_keys(&other, NULL), STATUS_OK);
    memcpy(astray.server_key, other.public_key, sizeof astray.server_key);
    Client client = connect_with(&astray, SOCKET_DEALER, server.router);
    assert_int_equal(socket_send(client.socket, NULL, "hello", 5, NULL), STATUS_OK);
    assert_int_equal(wait_for_refusal(&client, &diagnostic), STATUS_UNREACHABLE);
    assert_silent(&server);
    client_close(&nobody);
    client_close(&client);
    assert_goes_on(&server);
    server_close(&server);
}

static void a_renewed_key_takes_the_rights_of_the_old_one_away_at_once(void **state)
{
    (void)state;
    Server server = serve();
    Diagnostic diagnostic = {0};
    ClientKey old = key_of(KEY_ROLE_READER);
    Client open = connect_with(&old, SOCKET_DEALER, server.router);
    Client worker = connect_as(KEY_ROLE_WORKER, SOCKET_DEALER, server.router);
    assert_serves(&server, &open, KEY_ROLE_READER);
    assert_int_equal(keys_renew(keys, KEY_ROLE_READER, NULL), STATUS_OK);
    Client late = connect_with(&old, SOCKET_DEALER, server.router);
    assert_int_equal(wait_for_refusal(&late, &diagnostic), STATUS_PERMISSION);
    assert_serves(&server, &open, KEY_ROLE_NONE); /* still connected, but without rights */
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    Client renewed = connect_as(KEY_ROLE_READER, SOCKET_DEALER, server.router);
    assert_serves(&server, &renewed, KEY_ROLE_READER);
    client_close(&open);
    client_close(&late);
    client_close(&worker);
    client_close(&renewed);
    server_close(&server);
}

static void a_list_that_cannot_be_read_changes_nothing(void **state)
{
    (void)state;
    Server server = serve();
    char path[128];
    Client worker = connect_as(KEY_ROLE_WORKER, SOCKET_DEALER, server.router);
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    snprintf(path, sizeof path, "%s/allowed.json", keys);
    log_set_level(LOG_SILENT);
    assert_int_equal(file_write_durable(file_system_posix(), path, "{\"worker\": [", 12, NULL), STATUS_OK);
    assert_goes_on(&server);
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    client_close(&worker);
    server_close(&server);
}

/* ------------------------------------------------------------------------------------------------ bytes of others */

static int port_of(const Socket *socket_)
{
    return atoi(strrchr(socket_address(socket_), ':') + 1);
}

static int connect_raw(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(raw >= 0 && connect(raw, (struct sockaddr *)&to, sizeof to) == 0);
    return raw;
}

static bool is_closed_within(int raw, int timeout_ms)
{
    char bytes[4096];
    struct pollfd item = {.fd = raw, .events = POLLIN};
    for (;;) {
        if (poll(&item, 1, timeout_ms) <= 0)
            return false;
        ssize_t count = recv(raw, bytes, sizeof bytes, 0);
        if (count <= 0)
            return true;
    }
}

static void put(int raw, const void *bytes, size_t size)
{
    /* The other side may have hung up, which is as good an answer as any. */
    (void)!send(raw, bytes, size, MSG_NOSIGNAL);
}

static void garbage_on_the_port_ends_that_connection_alone(void **state)
{
    (void)state;
    Server server = serve();
    Client worker = connect_as(KEY_ROLE_WORKER, SOCKET_DEALER, server.router);
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    uint8_t bytes[8192];
    uint32_t seed = 12345;
    for (int round = 0; round < 50; round++) {
        int raw = connect_raw(port_of(round % 2 ? server.feed : server.router));
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(seed >> 24);
        }
        if (round % 5 == 0)
            memcpy(bytes, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 28);
        if (round % 5 == 1) /* a proper start of a greeting, then anything */
            memcpy(bytes, "\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE", 17);
        put(raw, bytes, sizeof bytes);
        close(raw);
    }
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    assert_goes_on(&server);
    client_close(&worker);
    server_close(&server);
}

/* ZMTP 3.0 without keys, by hand: greeting, READY, then what is asked for. */
static int greet_raw(int port)
{
    static const uint8_t greeting[64] = {0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0, 'N', 'U', 'L', 'L'};
    static const char ready[] = "\4\x1C\5READY\xBSocket-Type\0\0\0\6DEALER";
    int raw = connect_raw(port);
    put(raw, greeting, sizeof greeting);
    put(raw, ready, sizeof ready - 1);
    char answer[512];
    size_t size = 0;
    while (size < sizeof answer && !memmem(answer, size, "READY", 5)) { /* nothing may be said before */
        ssize_t count = recv(raw, answer + size, sizeof answer - size, 0);
        assert_true(count > 0);
        size += (size_t)count;
    }
    return raw;
}

static void a_frame_over_the_limit_ends_its_connection_before_it_takes_memory(void **state)
{
    (void)state;
    Server server = serve_with(NULL, false);
    SocketPeer peer;
    Text bytes = {0};
    int raw = greet_raw(port_of(server.router));
    put(raw, "\0\2hi", 4);
    assert_true(arrives(server.router, &peer, &bytes, SOON_MS)); /* by hand is as good as by library */
    assert_string_equal(bytes.bytes, "hi");
    assert_int_equal(peer.role, KEY_ROLE_LOCAL);
    static const uint8_t huge[] = {2, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}; /* 2^63 - 1 bytes follow */
    put(raw, huge, sizeof huge);
    assert_true(is_closed_within(raw, SOON_MS));
    close(raw);
    raw = greet_raw(port_of(server.router));
    uint8_t over[9] = {2, 0, 0, 0, 0, 0, 2, 0, 1}; /* MESSAGE_REQUEST_LIMIT + 1 */
    put(raw, over, sizeof over);
    assert_true(is_closed_within(raw, SOON_MS));
    close(raw);
    Client client = connect_with(NULL, SOCKET_DEALER, server.router);
    assert_serves(&server, &client, KEY_ROLE_LOCAL);
    client_close(&client);
    text_free(&bytes);
    server_close(&server);
}

/* More than the server's queue holds, and gone before any of it was read: with ZeroMQ's heartbeats (every 5 s) that ended the process. */
static void a_peer_that_fills_its_queue_and_hangs_up_ends_nothing_else(void **state)
{
    (void)state;
    enum { FRAMES = 200000, HEARTBEAT_MS = 5000 };
    Server server = serve_with(NULL, false);
    Client witness = connect_with(NULL, SOCKET_DEALER, server.router);
    assert_serves(&server, &witness, KEY_ROLE_LOCAL);
    static char frames[FRAMES * 4];
    for (int i = 0; i < FRAMES; i++)
        memcpy(frames + 4 * i, "\0\2hi", 4);
    int raw = greet_raw(port_of(server.router));
    size_t sent = 0;
    for (int i = 0; i < 100 && sent < sizeof frames; i++) {
        ssize_t count = send(raw, frames + sent, sizeof frames - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += count > 0 ? (size_t)count : 0;
        usleep(2000);
    }
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(raw, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(raw);
    usleep((HEARTBEAT_MS + 1000) * 1000);
    SocketPeer peer;
    Text bytes = {0};
    int received = 0;
    while (arrives(server.router, &peer, &bytes, NEVER_MS))
        received++;
    assert_in_range(received, 1000, FRAMES);
    assert_serves(&server, &witness, KEY_ROLE_LOCAL);
    text_free(&bytes);
    client_close(&witness);
    server_close(&server);
}

static void connections_that_say_nothing_are_closed_and_keep_nobody_out(void **state)
{
    (void)state;
    enum { SILENT = 64 };
    Server server = serve_with(&(SocketLimits){.handshake_ms = 500}, true);
    int raw[SILENT];
    for (int i = 0; i < SILENT; i++) {
        raw[i] = connect_raw(port_of(server.router));
        if (i % 2)
            put(raw[i], "\xff\0\0\0\0\0\0\0\1\x7f\3", 11); /* half a greeting */
    }
    assert_goes_on(&server);
    for (int i = 0; i < SILENT; i++) {
        assert_true(is_closed_within(raw[i], SOON_MS));
        close(raw[i]);
    }
    assert_goes_on(&server);
    server_close(&server);
}

static void connections_over_the_limit_are_closed_and_those_before_stay(void **state)
{
    (void)state;
    enum { LIMIT = 8, TOO_MANY = 40 };
    Server server = serve_with(&(SocketLimits){.connections = LIMIT}, true);
    Client worker = connect_as(KEY_ROLE_WORKER, SOCKET_DEALER, server.router);
    SocketCounts counts;
    int raw[TOO_MANY], closed = 0;
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    log_set_level(LOG_SILENT);
    for (int i = 0; i < TOO_MANY; i++)
        raw[i] = connect_raw(port_of(i % 2 ? server.router : server.feed));
    for (int i = 0; i < TOO_MANY; i++)
        closed += is_closed_within(raw[i], 200);
    assert_int_equal(closed, TOO_MANY - (LIMIT - 1));
    socket_context_counts(server.context, &counts);
    assert_int_equal(counts.connections, LIMIT);
    assert_true(counts.refused_connections == (uint64_t)closed);
    assert_serves(&server, &worker, KEY_ROLE_WORKER);
    for (int i = 0; i < TOO_MANY; i++)
        close(raw[i]);
    assert_goes_on(&server);
    client_close(&worker);
    server_close(&server);
}

/* Stands between a client and the server, and keeps what the client says. */
typedef struct Eavesdropper {
    int listener, port, to_port;
    pthread_t thread;
    atomic_bool stop;
    uint8_t said[65536];
    atomic_size_t said_size;
} Eavesdropper;

static void *eavesdrop(void *argument)
{
    Eavesdropper *ear = argument;
    int client = accept(ear->listener, NULL, NULL), server = connect_raw(ear->to_port);
    while (!atomic_load(&ear->stop)) {
        struct pollfd items[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        uint8_t bytes[4096];
        if (poll(items, 2, 20) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            ssize_t count = items[i].revents ? recv(items[i].fd, bytes, sizeof bytes, MSG_DONTWAIT) : 0;
            size_t size = atomic_load(&ear->said_size);
            if (count <= 0)
                continue;
            put(i ? client : server, bytes, (size_t)count);
            if (i == 0 && size + (size_t)count <= sizeof ear->said) {
                memcpy(ear->said + size, bytes, (size_t)count);
                atomic_store(&ear->said_size, size + (size_t)count);
            }
        }
    }
    close(client);
    close(server);
    return NULL;
}

static void listen_in(Eavesdropper *ear, const Socket *to)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof name;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ear->to_port = port_of(to);
    ear->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(ear->listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(ear->listener, 1), 0);
    assert_int_equal(getsockname(ear->listener, (struct sockaddr *)&name, &size), 0);
    ear->port = ntohs(name.sin_port);
    assert_int_equal(pthread_create(&ear->thread, NULL, eavesdrop, ear), 0);
}

static void a_recorded_conversation_can_neither_be_read_nor_said_again(void **state)
{
    (void)state;
    static Eavesdropper ear;
    static const char secret[] = "HELLO, I am worker-1 and this is private";
    Server server = serve();
    ClientKey key = key_of(KEY_ROLE_WORKER);
    SocketContext *context;
    Socket *socket_;
    SocketPeer peer;
    Text bytes = {0};
    char address[64];
    listen_in(&ear, server.router);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", ear.port);
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    socket_context_use_key(context, &key);
    assert_int_equal(socket_connect(&socket_, context, SOCKET_DEALER, address, NULL), STATUS_OK);
    assert_int_equal(socket_send(socket_, NULL, secret, sizeof secret - 1, NULL), STATUS_OK);
    assert_true(arrives(server.router, &peer, &bytes, SOON_MS));
    assert_string_equal(bytes.bytes, secret);
    atomic_store(&ear.stop, true);
    pthread_join(ear.thread, NULL);
    close(ear.listener);
    size_t size = atomic_load(&ear.said_size);
    assert_true(size > 300 && size < sizeof ear.said); /* a whole handshake and the message */
    assert_null(memmem(ear.said, size, "private", 7));
    int raw = connect_raw(port_of(server.router));
    put(raw, ear.said, size);
    assert_silent(&server);
    close(raw);
    assert_goes_on(&server);
    text_free(&bytes);
    socket_close(&socket_);
    socket_context_destroy(&context);
    server_close(&server);
}

/* ------------------------------------------------------------------------------------------------ addresses */

static void only_addresses_of_this_machine_are_local(void **state)
{
    (void)state;
    static const char *const local[] = {"ipc:///tmp/x",  "inproc://x",         "tcp://127.0.0.1:*",
                                        "tcp://[::1]:5", "tcp://localhost:80", "tcp://127.255.0.7:1"};
    static const char *const other[] = {"tcp://0.0.0.0:*",       "tcp://*:5555",          "tcp://[::]:5", "tcp://10.0.0.1:5555",
                                        "tcp://128.0.0.1:1",     "tcp://node1:5555",      "tcp://",       "tcp://127.0.0.1",
                                        "tcp://127.0.0.1.x.y:1", "tcp://localhost.x:80",  "udp://x:1",    "",
                                        "tcp://127.1:1",         "tcp://eth0;127.0.0.1:5"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!socket_address_is_local(local[i]))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (socket_address_is_local(other[i]))
            fail_msg("%s", other[i]);
}

static void without_keys_no_other_address_is_used_unless_it_is_permitted(void **state)
{
    (void)state;
    SocketContext *context;
    Socket *socket_;
    Diagnostic diagnostic = {0};
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    assert_int_equal(socket_bind(&socket_, context, SOCKET_ROUTER, "tcp://0.0.0.0:*", &diagnostic), STATUS_PERMISSION);
    assert_non_null(strstr(diagnostic.message, "nersweep keys"));
    assert_non_null(strstr(diagnostic.message, "--insecure"));
    assert_int_equal(socket_connect(&socket_, context, SOCKET_DEALER, "tcp://10.255.255.1:5", &diagnostic), STATUS_PERMISSION);
    assert_non_null(strstr(diagnostic.message, "--key FILE"));
    assert_int_equal(socket_bind(&socket_, context, SOCKET_ROUTER, "ipc://@nersweep", &diagnostic), STATUS_INVALID_INPUT);
    socket_context_permit_plain(context);
    assert_int_equal(socket_bind(&socket_, context, SOCKET_ROUTER, "tcp://0.0.0.0:*", &diagnostic), STATUS_OK);
    socket_close(&socket_);
    socket_context_destroy(&context);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_message_carries_the_role_of_its_key),
        TEST(the_feed_is_for_readers_and_operators),
        TEST(a_key_that_is_not_in_the_list_is_refused_and_told_so),
        TEST(without_a_key_or_with_one_of_another_server_there_is_no_connection),
        TEST(a_renewed_key_takes_the_rights_of_the_old_one_away_at_once),
        TEST(a_list_that_cannot_be_read_changes_nothing),
        TEST(garbage_on_the_port_ends_that_connection_alone),
        TEST(a_frame_over_the_limit_ends_its_connection_before_it_takes_memory),
        TEST(a_peer_that_fills_its_queue_and_hangs_up_ends_nothing_else),
        TEST(connections_that_say_nothing_are_closed_and_keep_nobody_out),
        TEST(connections_over_the_limit_are_closed_and_those_before_stay),
        TEST(a_recorded_conversation_can_neither_be_read_nor_said_again),
        cmocka_unit_test(only_addresses_of_this_machine_are_local),
        cmocka_unit_test(without_keys_no_other_address_is_used_unless_it_is_permitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
