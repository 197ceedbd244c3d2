#include "coordinator/peers.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"

enum {
    SLOT_COUNT = 2 * PEER_LIMIT,
    CLEAR_INTERVAL_NS = 100 * 1000 * 1000,
    READERS_AT_ONCE = 64, /* a snapshot may have megabytes */
};

typedef struct PeerState {
    SocketPeer peer; /* size 0: a free slot */
    double messages, bytes;
    int64_t seen_ns; /* the buckets are filled up to here */
    bool asked;
    bool answered;
    int64_t answered_ns;
} PeerState;

struct Peers {
    PeerState *slots; /* [SLOT_COUNT], open addressing */
    size_t count;
    uint8_t seed[8]; /* nobody can choose ids that meet in one slot */
    SocketPeerArray waiting;
    int64_t cleared_ns; /* when the quiet ones were last forgotten */
};

Peers *peers_create(void)
{
    Peers *peers = memory_allocate(1, sizeof *peers);
    peers->slots = memory_allocate(SLOT_COUNT, sizeof *peers->slots);
    random_bytes(peers->seed, sizeof peers->seed);
    return peers;
}

void peers_destroy(Peers **peers)
{
    if (!*peers)
        return;
    free((*peers)->slots);
    array_free(&(*peers)->waiting);
    free(*peers);
    *peers = NULL;
}

/* The peer's slot, or the free one where it belongs. */
static PeerState *find_slot(const Peers *peers, PeerState *slots, const SocketPeer *peer)
{
    uint8_t bytes[sizeof peers->seed + sizeof peer->id];
    memcpy(bytes, peers->seed, sizeof peers->seed);
    memcpy(bytes + sizeof peers->seed, peer->id, peer->size);
    size_t place = (size_t)checksum64(bytes, sizeof peers->seed + peer->size) % SLOT_COUNT;
    while (slots[place].peer.size &&
           (slots[place].peer.size != peer->size || memcmp(slots[place].peer.id, peer->id, peer->size) != 0))
        place = (place + 1) % SLOT_COUNT;
    return &slots[place];
}

static double filled(double tokens, double rate, double burst, int64_t elapsed_ns)
{
    tokens += rate * (double)elapsed_ns * 1e-9;
    return tokens < burst ? tokens : burst;
}

static void fill(PeerState *state, int64_t now_ns)
{
    int64_t elapsed_ns = now_ns > state->seen_ns ? now_ns - state->seen_ns : 0;
    state->messages = filled(state->messages, PEER_MESSAGES_PER_S, PEER_MESSAGES_BURST, elapsed_ns);
    state->bytes = filled(state->bytes, PEER_BYTES_PER_S, PEER_BYTES_BURST, elapsed_ns);
    if (now_ns > state->seen_ns)
        state->seen_ns = now_ns;
}

static bool pause_is_over(const PeerState *state, int64_t now_ns)
{
    return !state->answered || now_ns - state->answered_ns >= (int64_t)PEER_SNAPSHOT_PAUSE_MS * 1000000;
}

/* A peer whose buckets are full again and whose pause is over is like one that was never here. */
static void forget_the_quiet(Peers *peers, int64_t now_ns)
{
    PeerState *old = peers->slots;
    peers->slots = memory_allocate(SLOT_COUNT, sizeof *peers->slots);
    peers->count = 0;
    peers->cleared_ns = now_ns;
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        PeerState *state = &old[i];
        if (!state->peer.size)
            continue;
        fill(state, now_ns);
        if (state->asked || !pause_is_over(state, now_ns) || state->messages < PEER_MESSAGES_BURST ||
            state->bytes < PEER_BYTES_BURST) {
            *find_slot(peers, peers->slots, &state->peer) = *state;
            peers->count++;
        }
    }
    free(old);
}

bool peers_admit(Peers *peers, const SocketPeer *peer, size_t size_bytes, int64_t now_ns)
{
    PeerState *state = find_slot(peers, peers->slots, peer);
    if (!state->peer.size) {
        if (peers->count == PEER_LIMIT && (!peers->cleared_ns || now_ns - peers->cleared_ns >= CLEAR_INTERVAL_NS))
            forget_the_quiet(peers, now_ns);
        if (peers->count == PEER_LIMIT)
            return false;
        state = find_slot(peers, peers->slots, peer);
        *state = (PeerState){.peer = *peer, .messages = PEER_MESSAGES_BURST, .bytes = PEER_BYTES_BURST, .seen_ns = now_ns};
        peers->count++;
    }
    fill(state, now_ns);
    if (state->messages < 1 || state->bytes < (double)size_bytes)
        return false;
    state->messages -= 1;
    state->bytes -= (double)size_bytes;
    return true;
}

void peers_ask(Peers *peers, const SocketPeer *peer)
{
    PeerState *state = find_slot(peers, peers->slots, peer);
    if (!state->peer.size || state->asked)
        return;
    state->asked = true;
    array_push(&peers->waiting, *peer);
}

void peers_take_readers(Peers *peers, int64_t now_ns, SocketPeerArray *readers)
{
    size_t kept = 0;
    for (size_t i = 0; i < peers->waiting.count; i++) {
        SocketPeer peer = peers->waiting.items[i];
        PeerState *state = find_slot(peers, peers->slots, &peer);
        if (!pause_is_over(state, now_ns) || readers->count == READERS_AT_ONCE) {
            peers->waiting.items[kept++] = peer;
            continue;
        }
        state->asked = false;
        state->answered = true;
        state->answered_ns = now_ns;
        array_push(readers, peer);
    }
    peers->waiting.count = kept;
}
