#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file.h"
#include "proto/messages.h"
#include "proto/socket.h"

static SocketContext *new_context(void)
{
    SocketContext *context;
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    return context;
}

static Status receive_within(Socket *socket, SocketPeer *peer, Text *bytes, int64_t timeout_ms)
{
    bool ready;
    assert_int_equal(socket_poll(&socket, 1, &ready, NULL, 0, NULL, timeout_ms, NULL), STATUS_OK);
    return ready ? socket_receive(socket, peer, bytes, NULL) : STATUS_TIMEOUT;
}

static void a_router_answers_the_peer_that_asked(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *router, *first, *second;
    assert_int_equal(socket_bind(&router, context, SOCKET_ROUTER, "tcp://127.0.0.1:*", NULL), STATUS_OK);
    assert_null(strchr(socket_address(router), '*'));
    assert_int_equal(socket_connect(&first, context, SOCKET_DEALER, socket_address(router), NULL), STATUS_OK);
    assert_int_equal(socket_connect(&second, context, SOCKET_DEALER, socket_address(router), NULL), STATUS_OK);
    assert_int_equal(socket_send(first, NULL, "one", 3, NULL), STATUS_OK);
    assert_int_equal(socket_send(second, NULL, "two", 3, NULL), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        SocketPeer peer;
        Text bytes = {0};
        assert_int_equal(receive_within(router, &peer, &bytes, 5000), STATUS_OK);
        assert_int_equal(socket_send(router, &peer, bytes.bytes, bytes.size, NULL), STATUS_OK);
        text_free(&bytes);
    }
    Text bytes = {0};
    assert_int_equal(receive_within(first, NULL, &bytes, 5000), STATUS_OK);
    assert_string_equal(bytes.bytes, "one");
    assert_int_equal(receive_within(second, NULL, &bytes, 5000), STATUS_OK);
    assert_string_equal(bytes.bytes, "two");
    assert_int_equal(socket_receive(second, NULL, &bytes, NULL), STATUS_TIMEOUT);
    text_free(&bytes);
    socket_close(&first);
    socket_close(&second);
    socket_close(&router);
    assert_null(router);
    socket_context_destroy(&context);
}

static void a_port_that_is_taken_is_busy(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *holder, *late;
    Diagnostic diagnostic = {0};
    assert_int_equal(socket_bind(&holder, context, SOCKET_ROUTER, "tcp://127.0.0.1:*", NULL), STATUS_OK);
    assert_int_equal(socket_bind(&late, context, SOCKET_ROUTER, socket_address(holder), &diagnostic), STATUS_BUSY);
    assert_null(late);
    assert_non_null(strstr(diagnostic.message, socket_address(holder)));
    socket_close(&holder);
    socket_context_destroy(&context);
}

static void an_ipc_address_is_not_taken_away_from_who_listens_there(void **state)
{
    (void)state;
    char folder[] = "/tmp/nersweep-socket-XXXXXX", address[64];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "ipc://%s/s", folder);
    SocketContext *context = new_context();
    Socket *holder, *late;
    assert_int_equal(socket_bind(&holder, context, SOCKET_ROUTER, address, NULL), STATUS_OK);
    assert_int_equal(socket_bind(&late, context, SOCKET_ROUTER, address, NULL), STATUS_BUSY);
    socket_close(&holder);
    socket_context_destroy(&context);
    /* The socket's file that is left when its program is gone is no obstacle. */
    context = new_context();
    assert_true(path_exists(address + 6));
    assert_int_equal(socket_bind(&holder, context, SOCKET_ROUTER, address, NULL), STATUS_OK);
    socket_close(&holder);
    socket_context_destroy(&context);
    assert_int_equal(folder_remove_tree(folder, NULL), STATUS_OK);
}

static void addresses_that_cannot_be_are_refused_with_the_reason(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *socket;
    Diagnostic diagnostic = {0};
    char address[200] = "ipc:///tmp/";
    memset(address + strlen(address), 'x', 140);
    assert_int_equal(socket_bind(&socket, context, SOCKET_ROUTER, address, &diagnostic), STATUS_INVALID_INPUT);
    assert_non_null(strstr(diagnostic.message, "107 bytes"));
    assert_int_equal(socket_connect(&socket, context, SOCKET_DEALER, "localhost:5000", &diagnostic), STATUS_INVALID_INPUT);
    assert_non_null(strstr(diagnostic.message, "tcp://HOST:PORT"));
    assert_null(socket);
    socket_context_destroy(&context);
}

static void a_peer_that_never_was_is_unreachable(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *router;
    SocketPeer nobody = {.id = {1, 2, 3}, .size = 3};
    assert_int_equal(socket_bind(&router, context, SOCKET_ROUTER, "inproc://nobody", NULL), STATUS_OK);
    assert_int_equal(socket_send(router, &nobody, "x", 1, NULL), STATUS_UNREACHABLE);
    /* and the router goes on working */
    Socket *dealer;
    SocketPeer peer;
    Text bytes = {0};
    assert_int_equal(socket_connect(&dealer, context, SOCKET_DEALER, "inproc://nobody", NULL), STATUS_OK);
    assert_int_equal(socket_send(dealer, NULL, "y", 1, NULL), STATUS_OK);
    assert_int_equal(receive_within(router, &peer, &bytes, 5000), STATUS_OK);
    assert_string_equal(bytes.bytes, "y");
    text_free(&bytes);
    socket_close(&dealer);
    socket_close(&router);
    socket_context_destroy(&context);
}

static void a_frame_over_the_limit_never_arrives(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *router, *dealer;
    assert_int_equal(socket_bind(&router, context, SOCKET_ROUTER, "tcp://127.0.0.1:*", NULL), STATUS_OK);
    assert_int_equal(socket_connect(&dealer, context, SOCKET_DEALER, socket_address(router), NULL), STATUS_OK);
    char *bytes = memory_allocate(MESSAGE_SIZE_LIMIT + 1, 1);
    assert_int_equal(socket_send(dealer, NULL, bytes, MESSAGE_SIZE_LIMIT + 1, NULL), STATUS_INVALID_INPUT);
    free(bytes);
    socket_close(&dealer);
    socket_close(&router);
    socket_context_destroy(&context);
}

static void the_feed_reaches_its_readers_and_a_full_queue_does_not_wait(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *feed, *reader;
    Text bytes = {0};
    assert_int_equal(socket_bind(&feed, context, SOCKET_PUB, "inproc://feed", NULL), STATUS_OK);
    assert_int_equal(socket_connect(&reader, context, SOCKET_SUB, "inproc://feed", NULL), STATUS_OK);
    Status status = STATUS_TIMEOUT;
    for (int i = 0; i < 200 && status == STATUS_TIMEOUT; i++) { /* the subscription takes a moment */
        assert_int_equal(socket_send(feed, NULL, "event", 5, NULL), STATUS_OK);
        status = receive_within(reader, NULL, &bytes, 20);
    }
    assert_int_equal(status, STATUS_OK);
    assert_string_equal(bytes.bytes, "event");
    for (int i = 0; i < 50000; i++) /* more than any queue holds: the feed drops, it does not block */
        assert_int_equal(socket_send(feed, NULL, "event", 5, NULL), STATUS_OK);
    text_free(&bytes);
    socket_close(&reader);
    socket_close(&feed);
    socket_context_destroy(&context);
}

static void a_full_queue_to_nobody_is_reported(void **state)
{
    (void)state;
    SocketContext *context = new_context();
    Socket *dealer;
    assert_int_equal(socket_connect(&dealer, context, SOCKET_DEALER, "tcp://127.0.0.1:1", NULL), STATUS_OK);
    Status status = STATUS_OK;
    for (int i = 0; i < 100000 && status == STATUS_OK; i++)
        status = socket_send(dealer, NULL, "x", 1, NULL);
    assert_int_equal(status, STATUS_BUSY);
    socket_close(&dealer);
    socket_context_destroy(&context);
}

static void a_descriptor_wakes_the_poll(void **state)
{
    (void)state;
    int ends[2];
    bool ready;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(socket_poll(NULL, 0, NULL, ends, 1, &ready, 0, NULL), STATUS_OK);
    assert_false(ready);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(socket_poll(NULL, 0, NULL, ends, 1, &ready, 1000, NULL), STATUS_OK);
    assert_true(ready);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_router_answers_the_peer_that_asked),
        cmocka_unit_test(a_port_that_is_taken_is_busy),
        cmocka_unit_test(an_ipc_address_is_not_taken_away_from_who_listens_there),
        cmocka_unit_test(addresses_that_cannot_be_are_refused_with_the_reason),
        cmocka_unit_test(a_peer_that_never_was_is_unreachable),
        cmocka_unit_test(a_frame_over_the_limit_never_arrives),
        cmocka_unit_test(the_feed_reaches_its_readers_and_a_full_queue_does_not_wait),
        cmocka_unit_test(a_full_queue_to_nobody_is_reported),
        cmocka_unit_test(a_descriptor_wakes_the_poll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
