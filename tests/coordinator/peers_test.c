#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/peers.h"

static const int64_t SECOND_NS = 1000000000;

static SocketPeer peer_of(uint32_t number)
{
    SocketPeer peer = {.size = 17, .role = KEY_ROLE_WORKER};
    memcpy(peer.id + 3, &number, sizeof number);
    return peer;
}

static int admitted(Peers *peers, uint32_t number, size_t size_bytes, int messages, int64_t now_ns)
{
    SocketPeer peer = peer_of(number);
    int count = 0;
    for (int i = 0; i < messages; i++)
        count += peers_admit(peers, &peer, size_bytes, now_ns);
    return count;
}

static void a_peer_has_a_burst_and_then_its_rate_and_the_others_have_theirs(void **state)
{
    (void)state;
    Peers *peers = peers_create();
    int64_t now_ns = 5 * SECOND_NS;
    assert_int_equal(admitted(peers, 1, 10, PEER_MESSAGES_BURST + 500, now_ns), PEER_MESSAGES_BURST);
    assert_int_equal(admitted(peers, 2, 10, 500, now_ns), 500);
    now_ns += SECOND_NS / 10;
    assert_int_equal(admitted(peers, 1, 10, PEER_MESSAGES_PER_S, now_ns), PEER_MESSAGES_PER_S / 10);
    now_ns += 100 * SECOND_NS; /* a long pause is worth no more than a burst */
    assert_int_equal(admitted(peers, 1, 10, 2 * PEER_MESSAGES_BURST, now_ns), PEER_MESSAGES_BURST);
    assert_int_equal(admitted(peers, 1, 10, 10, now_ns - 50 * SECOND_NS), 0); /* nor is a clock that jumps back */
    peers_destroy(&peers);
    assert_null(peers);
}

static void large_messages_use_up_the_bytes_first(void **state)
{
    (void)state;
    Peers *peers = peers_create();
    enum { LARGE = 128 * 1024 };
    assert_int_equal(admitted(peers, 1, LARGE, 10000, SECOND_NS), PEER_BYTES_BURST / LARGE);
    assert_int_equal(admitted(peers, 1, LARGE, 10000, 2 * SECOND_NS), PEER_BYTES_PER_S / LARGE);
    peers_destroy(&peers);
}

static void there_is_room_for_so_many_peers_and_for_new_ones_when_the_old_are_quiet(void **state)
{
    (void)state;
    Peers *peers = peers_create();
    for (uint32_t i = 0; i < PEER_LIMIT; i++)
        assert_int_equal(admitted(peers, i, 10, 1, SECOND_NS), 1);
    assert_int_equal(admitted(peers, PEER_LIMIT, 10, 1, SECOND_NS), 0);
    assert_int_equal(admitted(peers, 7, 10, 1, SECOND_NS), 1); /* those who are there stay */
    assert_int_equal(admitted(peers, 7, 10, PEER_MESSAGES_BURST, 2 * SECOND_NS), PEER_MESSAGES_BURST);
    assert_int_equal(admitted(peers, PEER_LIMIT, 10, 1, 2 * SECOND_NS), 1);
    assert_int_equal(admitted(peers, 7, 10, 1, 2 * SECOND_NS), 0); /* whoever has used up its burst is not forgotten */
    peers_destroy(&peers);
}

static size_t readers_at(Peers *peers, int64_t now_ns)
{
    SocketPeerArray readers = {0};
    peers_take_readers(peers, now_ns, &readers);
    size_t count = readers.count;
    array_free(&readers);
    return count;
}

static void a_reader_gets_one_snapshot_in_a_while_however_often_it_asks(void **state)
{
    (void)state;
    Peers *peers = peers_create();
    SocketPeer peer = peer_of(1), other = peer_of(2);
    int64_t now_ns = SECOND_NS, pause_ns = (int64_t)PEER_SNAPSHOT_PAUSE_MS * 1000000;
    peers_ask(peers, &peer); /* not admitted yet: not known */
    assert_int_equal(readers_at(peers, now_ns), 0);
    assert_true(peers_admit(peers, &peer, 10, now_ns) && peers_admit(peers, &other, 10, now_ns));
    for (int i = 0; i < 100; i++)
        peers_ask(peers, &peer);
    assert_int_equal(readers_at(peers, now_ns), 1);
    assert_int_equal(readers_at(peers, now_ns), 0);
    peers_ask(peers, &peer);
    peers_ask(peers, &other);
    assert_int_equal(readers_at(peers, now_ns + 1), 1); /* the other one */
    assert_int_equal(readers_at(peers, now_ns + pause_ns - 1), 0);
    assert_int_equal(readers_at(peers, now_ns + pause_ns), 1); /* late, not forgotten */
    peers_destroy(&peers);
}

static void many_readers_are_answered_in_turns(void **state)
{
    (void)state;
    Peers *peers = peers_create();
    for (uint32_t i = 0; i < 200; i++) {
        SocketPeer peer = peer_of(i);
        assert_true(peers_admit(peers, &peer, 10, SECOND_NS));
        peers_ask(peers, &peer);
    }
    size_t total = 0;
    for (int turn = 0; turn < 4; turn++) {
        size_t count = readers_at(peers, SECOND_NS);
        assert_true(count <= 64);
        total += count;
    }
    assert_int_equal(total, 200);
    peers_destroy(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_has_a_burst_and_then_its_rate_and_the_others_have_theirs),
        cmocka_unit_test(large_messages_use_up_the_bytes_first),
        cmocka_unit_test(there_is_room_for_so_many_peers_and_for_new_ones_when_the_old_are_quiet),
        cmocka_unit_test(a_reader_gets_one_snapshot_in_a_while_however_often_it_asks),
        cmocka_unit_test(many_readers_are_answered_in_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
