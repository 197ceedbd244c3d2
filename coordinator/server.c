#include "coordinator/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "coordinator/journal_fold.h"
#include "coordinator/place.h"
#include "coordinator/process.h"
#include "core/base/log.h"
#include "core/base/thread.h"
#include "core/io/file.h"
#include "core/store/journal_snapshot.h"

enum {
    ROUND_MS = 50,
    ROUND_MESSAGE_LIMIT = 1024,
    SAVE_LIMIT_MS = 30000,    /* workers may take so long to save when the run is interrupted */
    GOODBYE_LIMIT_MS = 10000, /* and so long to end when the sweep has ended */
    ORPHAN_INTERVAL_MS = 500,
    LOCK_INTERVAL_MS = 5000,
    EPOCH_TRIES = 5,
    SNAPSHOT_NICENESS = 15,
    SNAPSHOT_BYTES = 16 * 1024 * 1024, /* of segments without a snapshot that are worth one */
};

int64_t server_now_ns(const Server *server)
{
    return server->clock->monotonic_ns(server->clock->context);
}

Status server_step(Server *server, CoreEvent *event, Diagnostic *diagnostic)
{
    event->wall_ms = server->clock->wall_ms(server->clock->context);
    return sweep_core_step(server->core, event, server_now_ns(server), &server->actions, diagnostic);
}

/* ------------------------------------------------------------------------------------------------ opening */

static Status refuse_difference(const SweepCore *before, const Sweep *sweep, Diagnostic *diagnostic)
{
    Text text = {0};
    Json *now = sweep_json(sweep);
    sweep_difference(before->sweep_json, now, &text);
    Status status = FAIL(diagnostic, STATUS_MISMATCH,
                         "the sweep \"%s\" was begun with other settings; only limits and resources may change "
                         "(another name, or --new, starts another sweep). The difference:\n%s",
                         sweep->name, text.bytes ? text.bytes : "(the order of keys)\n");
    json_destroy(&now);
    text_free(&text);
    return status;
}

static Status sweep_result(const SweepCore *core, Diagnostic *diagnostic)
{
    switch (core->state) {
    case SWEEP_DONE:
        return STATUS_OK;
    case SWEEP_CANCELLED:
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "the sweep was cancelled");
    case SWEEP_FAILED:
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "the sweep failed: %s", core->reason ? core->reason : "no reason is known");
    default:
        return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted; the same command goes on where this one ended");
    }
}

/* Whether the journal is of this sweep, and whether it has anything left to do. What was read is kept for open_journal, when the lock says that
 * nobody else writes. */
static Status check_journal(Server *server, bool *ended, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const CoordinatorOptions *options = server->options;
    SweepCore *before = NULL;
    char identity[65];
    *ended = false;
    TRY(journal_fold_read(options->sweep, options->sweep_folder, &before, &server->folded, diagnostic));
    if (!before->opened)
        goto out;
    sweep_identity(options->sweep, identity);
    int64_t total = sweep_configuration_count(options->sweep) * (int64_t)options->sweep->seeds.count;
    if (strcmp(identity, before->identity) != 0)
        status = refuse_difference(before, options->sweep, diagnostic);
    else if (total < (int64_t)before->trials.count)
        status = FAIL(diagnostic, STATUS_MISMATCH,
                      "run_cap was lowered: it asks for %" PRId64 " trials, but %zu have begun; it can only be raised", total,
                      before->trials.count);
    else if (before->state == SWEEP_CANCELLED || (before->state != SWEEP_RUNNING && total == (int64_t)before->trials.count)) {
        *ended = true;
        if (options->exit_when_done)
            status = sweep_result(before, diagnostic);
    }
out:
    if (status == STATUS_OK && server->lock >= 0) {
        server->core = before;
        before = NULL;
    }
    sweep_core_destroy(&before);
    return status;
}

/* "tcp://HOST:*" for a feed beside a tcp address. */
static char *feed_beside(const char *address)
{
    const char *colon = strrchr(address, ':');
    return memory_format("%.*s:*", (int)(colon - address), address);
}

static Status bind_sockets(Server *server, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const CoordinatorOptions *options = server->options;
    char *listen = options->listen ? memory_copy_string(options->listen) : NULL;
    char *feed = options->feed ? memory_copy_string(options->feed) : NULL;
    TRY(socket_context_create(&server->context, diagnostic));
    if (!listen) {
        place_clean_sockets(options->sweep_folder);
        TRY(place_make_socket_folder(&server->socket_folder, diagnostic));
        listen = memory_format("ipc://%s/coordinator", server->socket_folder);
    }
    if (!feed && server->socket_folder)
        feed = memory_format("ipc://%s/feed", server->socket_folder);
    else if (!feed)
        feed = strncmp(listen, "tcp://", 6) == 0 ? feed_beside(listen) : memory_format("%s.feed", listen);
    TRY(place_secure(server->context, options, listen, feed, &server->keys, diagnostic));
    TRY(socket_bind(&server->router, server->context, SOCKET_ROUTER, listen, diagnostic));
    TRY(socket_bind(&server->feed, server->context, SOCKET_PUB, feed, diagnostic));
out:
    free(listen);
    free(feed);
    return status;
}

/* An address that others can connect to: all interfaces are called by this machine's name. */
static void public_address(const Server *server, const char *address, char *text, size_t size)
{
    static const char *const wildcards[] = {"tcp://0.0.0.0:", "tcp://[::]:", "tcp://*:"};
    for (size_t i = 0; i < sizeof wildcards / sizeof *wildcards; i++)
        if (strncmp(address, wildcards[i], strlen(wildcards[i])) == 0) {
            snprintf(text, size, "tcp://%s:%s", server->host, address + strlen(wildcards[i]));
            return;
        }
    snprintf(text, size, "%s", address);
}

static void *make_snapshot(void *context)
{
    Server *server = context;
    Diagnostic diagnostic = {0};
    uint64_t epoch;
    if (setpriority(PRIO_PROCESS, 0, SNAPSHOT_NICENESS) != 0) /* of this thread alone */
        LOG_DEBUG("the journal is packed with the priority of the rest");
    Status status = journal_snapshot_make(server->journal_folder, server->fs, &server->snapshot_cancelled, &epoch, &diagnostic);
    if (status == STATUS_OK)
        LOG_DEBUG("the journal up to epoch %" PRIu64 " is packed", epoch);
    else if (status != STATUS_INTERRUPTED)
        LOG_WARNING("the journal was not packed, which only makes the next start slower: %s", diagnostic.message);
    return NULL;
}

/* In the background: nothing waits for it, and the sealed segments that it reads do not change any more. */
static void begin_snapshot(Server *server)
{
    if (journal_replayed_bytes(server->journal) < SNAPSHOT_BYTES)
        return;
    server->snapshot_begun = thread_start(&server->snapshot_thread, make_snapshot, server) == 0;
}

static void end_snapshot(Server *server)
{
    atomic_store(&server->snapshot_cancelled, true);
    if (server->snapshot_begun)
        pthread_join(server->snapshot_thread, NULL);
}

static Status open_journal(Server *server, Diagnostic *diagnostic)
{
    const char *folder = server->journal_folder = path_join(server->options->sweep_folder, "journal");
    Status status = STATUS_BUSY;
    for (int i = 0; i < EPOCH_TRIES && status == STATUS_BUSY; i++) {
        uint64_t snapshot = journal_fold_snapshot(folder);
        if (i > 0)
            sweep_core_destroy(&server->core);
        if (!server->core) {
            server->core = sweep_core_create(server->options->sweep, server->options->sweep_folder);
            server->folded = 0;
        }
        JournalFold fold = {.core = server->core};
        status = journal_open_behind(&server->journal, folder, server->fs, server->folded, journal_fold_record, &fold, diagnostic);
        wire_scratch_free(&fold.scratch);
        if ((status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) && journal_fold_snapshot(folder) != snapshot)
            status = STATUS_BUSY;
        /* Less than was there before: somebody else wrote after all. */
        if (status == STATUS_OK && journal_record_count(server->journal) < server->folded) {
            journal_close(&server->journal);
            status = FAIL(diagnostic, STATUS_BUSY, "%s changed while it was being opened: try again", folder);
        }
    }
    if (status == STATUS_OK)
        begin_snapshot(server);
    return status;
}

/* ------------------------------------------------------------------------------------------------ workers that are gone */

static void note_lost(void *context, const char *worker, const char *reason)
{
    Server *server = context;
    bool stopping = server->core->stopping || server->core->state != SWEEP_RUNNING;
    if (stopping)
        LOG_DEBUG("worker group %s: %s", worker ? worker : "without a name", reason);
    else
        LOG_WARNING("worker group %s: %s; it is started again", worker ? worker : "(before it said HELLO)", reason);
    if (!worker)
        return;
    CoreEvent event = {.type = CORE_WORKER_LOST, .worker = worker, .reason = reason, .counts_as_retry = !stopping};
    Diagnostic diagnostic = {0};
    if (server_step(server, &event, &diagnostic) != STATUS_OK)
        log_diagnostic(LOG_ERROR, &diagnostic);
}

/* Workers of this machine that an earlier coordinator started died with it; that is no fault of their trials. Their leases end at once. */
static Status end_orphans(Server *server, Diagnostic *diagnostic)
{
    int64_t now_ns = server_now_ns(server);
    if (server->orphans_ns && now_ns - server->orphans_ns < (int64_t)ORPHAN_INTERVAL_MS * 1000000)
        return STATUS_OK;
    server->orphans_ns = now_ns;
    for (size_t i = server->core->workers.count; i-- > 0;) {
        const WorkerSlot *slot = &server->core->workers.items[i];
        char host[128], name[64];
        int32_t pid;
        if (slot->connected || !slot->busy || !process_parse_worker(slot->name, host, sizeof host, &pid) ||
            strcmp(host, server->host) != 0)
            continue;
        const Work *work = slot->kind == ASSIGNMENT_TEST ? &server->core->test : &server->core->trials.items[slot->trial].work;
        if (process_ran_at(pid, work->assigned_wall_ms))
            continue;
        memcpy(name, slot->name, sizeof name);
        CoreEvent event = {.type = CORE_WORKER_LOST, .worker = name, .reason = "it ended together with the coordinator before"};
        Status status = server_step(server, &event, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (i > server->core->workers.count)
            i = server->core->workers.count;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ messages */

static void reject(Server *server, const SocketPeer *peer, Status code, const char *reason)
{
    CoreAction action = {.type = CORE_SEND};
    action.peer = *peer;
    action.message = (Message){.type = MESSAGE_REJECT, .epoch = server->core->epoch};
    action.message.reason.code = code;
    action.message.reason.reason = memory_copy_string(reason);
    array_push(&server->actions, action);
}

/* Said at the first, second, fourth, ... time: a flood of messages is no flood of lines. */
static bool is_worth_a_line(uint64_t count)
{
    return (count & (count - 1)) == 0;
}

/* Whether the peer's key permits the message; if not, it is told so. */
static bool is_permitted(Server *server, const SocketPeer *peer, MessageType type)
{
    if (key_role_may_send(peer->role, type))
        return true;
    char *reason = peer->role == KEY_ROLE_NONE
                       ? memory_format("the key of this connection is not allowed any more")
                       : memory_format("a %s key does not permit %s", key_role_name(peer->role), message_type_name(type));
    reject(server, peer, STATUS_PERMISSION, reason);
    if (is_worth_a_line(++server->refused_messages))
        LOG_WARNING("a message was refused: %s (%" PRIu64 " so far)", reason, server->refused_messages);
    free(reason);
    return false;
}

/* Whether the peer keeps to its rate; what is over it is not even decoded. */
static bool is_admitted(Server *server, const SocketPeer *peer)
{
    if (peers_admit(server->peers, peer, server->bytes.size, server_now_ns(server)))
        return true;
    if (is_worth_a_line(++server->dropped_messages))
        LOG_WARNING("a peer sends more than %d messages or %d MiB a second: what is over that is dropped (%" PRIu64 " so far)",
                    PEER_MESSAGES_PER_S, PEER_BYTES_PER_S >> 20, server->dropped_messages);
    return false;
}

/* What the worker groups of this machine are judged by. */
static void note_message(Server *server, const SocketPeer *peer, const Message *message)
{
    if (!server->groups)
        return;
    if (message->type == MESSAGE_HELLO && strcmp(message->hello.host, server->host) == 0)
        local_groups_hello(server->groups, message->hello.pid, message->hello.worker);
    if (message->type != MESSAGE_REPORT && message->type != MESSAGE_FINISHED)
        return;
    if (message->type == MESSAGE_FINISHED && message->finished.outcome == FINISH_WORKER_FAULT)
        return;
    for (size_t i = 0; i < server->core->workers.count; i++) {
        const WorkerSlot *slot = &server->core->workers.items[i];
        if (slot->connected && slot->peer.size == peer->size && memcmp(slot->peer.id, peer->id, peer->size) == 0)
            local_groups_progress(server->groups, slot->name);
    }
}

static Status take_frame(Server *server, const SocketPeer *peer, Diagnostic *diagnostic)
{
    Message message;
    Diagnostic problem = {0};
    Status status = message_view(&message, &server->scratch, server->bytes.bytes, server->bytes.size, &problem);
    if (status == STATUS_MISMATCH)
        reject(server, peer, STATUS_MISMATCH, problem.message);
    if (status != STATUS_OK) {
        if (is_worth_a_line(++server->refused_messages))
            LOG_WARNING("a message was refused: %s (%" PRIu64 " so far)", problem.message, server->refused_messages);
        return STATUS_OK;
    }
    if (!is_permitted(server, peer, message.type))
        return STATUS_OK;
    /* Whoever reads the feed asks for a snapshot first, and can do without what came before it. */
    if (message.type == MESSAGE_STATUS_REQUEST || message.type == MESSAGE_CONTROL)
        server->core->publishes = true;
    if (message.type == MESSAGE_STATUS_REQUEST) {
        peers_ask(server->peers, peer);
        return STATUS_OK;
    }
    note_message(server, peer, &message);
    CoreEvent event = {.type = CORE_MESSAGE, .peer = *peer, .message = &message};
    return server_step(server, &event, diagnostic);
}

static Status take_messages(Server *server, Diagnostic *diagnostic)
{
    for (int i = 0; i < ROUND_MESSAGE_LIMIT; i++) {
        SocketPeer peer;
        Status status = socket_receive(server->router, &peer, &server->bytes, diagnostic);
        if (status == STATUS_TIMEOUT || status == STATUS_INTERRUPTED)
            return STATUS_OK;
        if (status == STATUS_OK && is_admitted(server, &peer))
            status = take_frame(server, &peer, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ the loop */

/* A predecessor that was taken over may have let go of the lock by now. */
static void retry_lock(Server *server)
{
    int64_t now_ns = server_now_ns(server);
    if (server->lock >= 0 || now_ns - server->lock_ns < (int64_t)LOCK_INTERVAL_MS * 1000000)
        return;
    server->lock_ns = now_ns;
    if (place_lock(server->options->sweep_folder, true, &server->lock, NULL) != STATUS_OK)
        server->lock = -1;
}

/* One round: wait, take what came, look at the time, make it durable, say it. */
static Status round_once(Server *server, bool restart_groups, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool ready;
    status = socket_poll(&server->router, 1, &ready, NULL, 0, NULL, ROUND_MS, diagnostic);
    if (status != STATUS_OK && status != STATUS_INTERRUPTED)
        goto out;
    TRY(take_messages(server, diagnostic));
    TRY(end_orphans(server, diagnostic));
    CoreEvent event = {.type = CORE_TICK};
    TRY(server_step(server, &event, diagnostic));
    if (server->groups)
        TRY(local_groups_tick(server->groups, server_now_ns(server), restart_groups, note_lost, server, diagnostic));
    TRY(server_commit(server, diagnostic));
    retry_lock(server);
out:
    return status;
}

/* The sweep cannot end: the test of its winner failed again and again. */
static Status check_test(const Server *server, Diagnostic *diagnostic)
{
    const SweepCore *core = server->core;
    if (core->state != SWEEP_RUNNING || core->test.state != WORK_PENDING || core->test.retries <= core->settings.max_retries)
        return STATUS_OK;
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "all trials have ended, but scoring the best on the test set failed: %.600s",
                core->test.reason ? core->test.reason : "no reason is known");
}

/* Raised by a signal handler, or by another thread. */
int server_interrupted(const Server *server)
{
    return server->options->interrupted ? __atomic_load_n(server->options->interrupted, __ATOMIC_RELAXED) : 0;
}

static Status stop_core(Server *server, Diagnostic *diagnostic)
{
    CoreEvent event = {.type = CORE_STOP};
    LOG_INFO("stopping: workers save and end");
    Status status = server_step(server, &event, diagnostic);
    if (server->groups)
        local_groups_terminate(server->groups);
    return status;
}

/* After an interruption: until the groups have saved, or at once when asked twice. */
static Status wait_for_groups(Server *server, Diagnostic *diagnostic)
{
    Status status = stop_core(server, diagnostic);
    int64_t limit_ns = server_now_ns(server) + (int64_t)SAVE_LIMIT_MS * 1000000;
    while (status == STATUS_OK && server->groups && local_groups_alive(server->groups) && server_interrupted(server) < 2 &&
           server_now_ns(server) < limit_ns)
        status = round_once(server, false, diagnostic);
    return status == STATUS_OK ? server_commit(server, diagnostic) : status;
}

/* After the end of the sweep: until the groups are gone and readers have had their time. */
static Status linger(Server *server, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t ended_ns = server_now_ns(server), linger_ns = ended_ns + server->options->linger_ms * 1000000;
    int64_t limit_ns = ended_ns + (int64_t)GOODBYE_LIMIT_MS * 1000000;
    while (status == STATUS_OK && server_interrupted(server) < 2) {
        int64_t now_ns = server_now_ns(server);
        bool groups = server->groups && local_groups_alive(server->groups) && now_ns < limit_ns;
        if (!groups && (now_ns >= linger_ns || server_interrupted(server)))
            break;
        status = round_once(server, false, diagnostic);
    }
    return status;
}

static Status serve(Server *server, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    while (true) {
        bool running = server->core->state == SWEEP_RUNNING;
        if (server_interrupted(server) || server->stop_asked) {
            TRY(wait_for_groups(server, diagnostic));
            return sweep_result(server->core, diagnostic);
        }
        if (!running && server->options->exit_when_done) {
            TRY(linger(server, diagnostic));
            return sweep_result(server->core, diagnostic);
        }
        TRY(check_test(server, diagnostic));
        TRY(round_once(server, running, diagnostic));
    }
out:
    return status;
}

/* ------------------------------------------------------------------------------------------------ the whole */

static Status start_groups(Server *server, Diagnostic *diagnostic)
{
    const CoordinatorOptions *options = server->options;
    if (options->local_groups <= 0)
        return STATUS_OK;
    char *key_file = server->keys ? path_join(server->keys, "worker.key") : NULL;
    LocalGroupsOptions groups = {
        .count = options->local_groups,
        .ranks = options->ranks_per_group > 0 ? options->ranks_per_group : 1,
        .threads = options->threads_per_rank > 0 ? options->threads_per_rank : 1,
        .program = options->worker_program,
        .address = server->endpoint.address,
        .backend = options->backend,
        .key_file = key_file,
        .insecure = options->insecure,
        .sweep_folder = options->sweep_folder,
    };
    Status status = local_groups_create(&server->groups, &groups, diagnostic);
    free(key_file);
    return status;
}

static Status start_server(Server *server, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *folder = server->options->sweep_folder;
    TRY(bind_sockets(server, diagnostic));
    public_address(server, socket_address(server->router), server->endpoint.address, sizeof server->endpoint.address);
    public_address(server, socket_address(server->feed), server->endpoint.feed, sizeof server->endpoint.feed);
    memcpy(server->endpoint.host, server->host, sizeof server->endpoint.host);
    memcpy(server->endpoint.server_key, socket_context_server_key(server->context), sizeof server->endpoint.server_key);
    server->endpoint.pid = (int32_t)getpid();
    TRY(start_groups(server, diagnostic)); /* checks; the first round starts them */
    TRY(open_journal(server, diagnostic));
    server->endpoint.epoch = journal_epoch(server->journal);
    server->feed_sequence = server->endpoint.epoch << 32;       /* rises over restarts */
    TRY(endpoint_write(folder, &server->endpoint, diagnostic)); /* whoever comes early is answered by the first round */
    server->core->publishes = server->options->on_event != NULL;
    CoreEvent event = {.type = CORE_START, .epoch = server->endpoint.epoch};
    TRY(server_step(server, &event, diagnostic));
    TRY(server_commit(server, diagnostic));
    TRY(place_save_sweep(folder, server->options->sweep, diagnostic));
    LOG_INFO("coordinator of sweep %s listens at %s (epoch %" PRIu64 ", %s)", server->options->sweep->name,
             server->endpoint.address, server->endpoint.epoch, server->keys ? "with keys" : "without keys");
out:
    return status;
}

static void close_server(Server *server)
{
    local_groups_destroy(&server->groups);
    if (server->endpoint.epoch)
        place_remove_endpoint(server->options->sweep_folder, server->endpoint.epoch);
    end_snapshot(server);
    free(server->journal_folder);
    journal_close(&server->journal);
    sweep_core_destroy(&server->core);
    socket_close(&server->router);
    socket_close(&server->feed);
    socket_context_destroy(&server->context);
    if (server->socket_folder && folder_remove_tree(server->socket_folder, NULL) != STATUS_OK)
        LOG_DEBUG("%s stays behind", server->socket_folder);
    free(server->socket_folder);
    core_actions_free(&server->actions);
    peers_destroy(&server->peers);
    free(server->keys);
    wire_scratch_free(&server->scratch);
    text_free(&server->bytes);
    place_unlock(&server->lock);
}

Status coordinator_run(const CoordinatorOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool ended;
    Server server = {.options = options, .clock = options->clock ? options->clock : clock_system(), .lock = -1};
    server.fs = options->fs ? options->fs : file_system_posix();
    process_host(server.host, sizeof server.host);
    server.peers = peers_create();
    TRY(place_lock(options->sweep_folder, options->take_over, &server.lock, diagnostic));
    TRY(check_journal(&server, &ended, diagnostic));
    if (ended && options->exit_when_done)
        goto out;
    TRY(start_server(&server, diagnostic));
    status = serve(&server, diagnostic);
out:
    close_server(&server);
    return status;
}
