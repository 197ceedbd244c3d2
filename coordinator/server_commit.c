/* Group commit: all that a round decided becomes durable with one sync before any of it is said to anybody. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/server.h"
#include "core/base/fault.h"
#include "core/base/log.h"

enum { FULL_DISK_RETRY_MS = 250, FULL_DISK_LIMIT_MS = 10 * 60 * 1000 };

static Status injected(const char *name, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_IO, "injected failure at %s", name);
}

/* Until what is buffered is durable. A full disk may be somebody else's doing and pass; workers train on and repeat what they reported. */
static Status sync_journal(Server *server, Diagnostic *diagnostic)
{
    int64_t begin_ns = server_now_ns(server);
    for (bool told = false;; told = true) {
        Status status = journal_sync(server->journal, diagnostic);
        if (status == STATUS_OK && told)
            LOG_INFO("there is space again: going on");
        if (status != STATUS_NO_SPACE || journal_broken(server->journal))
            return status;
        if (server_interrupted(server) || server_now_ns(server) - begin_ns > (int64_t)FULL_DISK_LIMIT_MS * 1000000)
            return status;
        if (!told && diagnostic)
            LOG_ERROR("%s; nothing is acknowledged until then", diagnostic->message);
        server->clock->sleep_ns(server->clock->context, (int64_t)FULL_DISK_RETRY_MS * 1000000);
    }
}

static Status journal_records(Server *server, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool any = false;
    for (size_t i = 0; i < server->actions.count; i++)
        any = any || server->actions.items[i].type == CORE_JOURNAL;
    if (!any)
        return STATUS_OK;
    if (fault_point("coordinator.before_journal"))
        return injected("coordinator.before_journal", diagnostic);
    for (size_t i = 0; i < server->actions.count; i++) {
        if (server->actions.items[i].type != CORE_JOURNAL)
            continue;
        text_clear(&server->bytes);
        TRY(record_encode(&server->actions.items[i].record, &server->bytes, diagnostic));
        TRY(journal_append(server->journal, server->bytes.bytes, server->bytes.size, diagnostic));
    }
    TRY(sync_journal(server, diagnostic));
    if (fault_point("coordinator.before_acknowledge"))
        status = injected("coordinator.before_acknowledge", diagnostic);
out:
    return status;
}

/* A message that cannot be delivered is not an error: its receiver is gone or slow, and the protocol repeats what matters. */
static void send_message(Server *server, const SocketPeer *peer, const Message *message)
{
    Diagnostic diagnostic = {0};
    text_clear(&server->bytes);
    Status status = message_encode(message, &server->bytes, &diagnostic);
    if (status == STATUS_OK)
        status = socket_send(server->router, peer, server->bytes.bytes, server->bytes.size, &diagnostic);
    if (status != STATUS_OK)
        LOG_DEBUG("%s not delivered: %s", message_type_name(message->type), diagnostic.message);
}

static Status send_action(Server *server, const CoreAction *action, Diagnostic *diagnostic)
{
    const char *point = NULL;
    send_message(server, &action->peer, &action->message);
    if (action->message.type == MESSAGE_ASSIGN)
        point = "coordinator.assigned";
    else if (action->message.type == MESSAGE_ACK)
        point = "coordinator.after_acknowledge";
    return point && fault_point(point) ? injected(point, diagnostic) : STATUS_OK;
}

static void publish(Server *server, Json *event)
{
    Message message = {.type = MESSAGE_STATUS_EVENT, .epoch = server->core->epoch};
    message.status.sequence = ++server->feed_sequence;
    json_set(event, "sequence", json_integer((int64_t)server->feed_sequence));
    if (!json_get(event, "wall_ms"))
        json_set(event, "wall_ms", json_integer(server->clock->wall_ms(server->clock->context)));
    message.status.json = json_text(event, JSON_COMPACT);
    Diagnostic diagnostic = {0};
    text_clear(&server->bytes);
    Status status = message_encode(&message, &server->bytes, &diagnostic);
    if (status == STATUS_OK)
        status = socket_send(server->feed, NULL, server->bytes.bytes, server->bytes.size, &diagnostic);
    if (status != STATUS_OK)
        LOG_DEBUG("event not published: %s", diagnostic.message);
    message_free(&message);
    if (server->options->on_event)
        server->options->on_event(server->options->on_event_context, event);
}

/* What the sockets had to fend off since this coordinator started. */
static Json *defence_json(const Server *server)
{
    SocketCounts counts;
    Json *json = json_object();
    socket_context_counts(server->context, &counts);
    json_set(json, "keys", json_boolean(server->keys != NULL));
    json_set(json, "connections", json_integer(counts.connections));
    json_set(json, "refused_connections", json_integer((int64_t)counts.refused_connections));
    json_set(json, "refused_keys", json_integer((int64_t)counts.refused_keys));
    json_set(json, "refused_messages", json_integer((int64_t)server->refused_messages));
    json_set(json, "dropped_messages", json_integer((int64_t)server->dropped_messages));
    return json;
}

/* The most of the status that fits into a message. */
static char *snapshot_text(const Server *server)
{
    static const StatusDetail details[] = {STATUS_FULL, STATUS_WITHOUT_EVALUATIONS, STATUS_OPEN_TRIALS_ONLY};
    enum { LEAST_OF_A_TRIAL = 200 }; /* bytes; what cannot fit is not put together, which would take seconds for a million trials */
    bool all_fit = server->core->trials.count <= MESSAGE_JSON_LIMIT / LEAST_OF_A_TRIAL;
    char *text = NULL;
    for (size_t i = all_fit ? 0 : 2; i < sizeof details / sizeof *details; i++) {
        Json *json = sweep_core_status(server->core, details[i]);
        json_set(json, "security", defence_json(server));
        free(text);
        text = json_text(json, JSON_COMPACT);
        json_destroy(&json);
        if (strlen(text) <= MESSAGE_JSON_LIMIT)
            break;
    }
    return text;
}

static void answer_readers(Server *server)
{
    SocketPeerArray readers = {0};
    peers_take_readers(server->peers, server_now_ns(server), &readers);
    if (!readers.count)
        return;
    Message message = {.type = MESSAGE_STATUS_SNAPSHOT, .epoch = server->core->epoch};
    message.status.sequence = server->feed_sequence;
    message.status.json = snapshot_text(server);
    for (size_t i = 0; i < readers.count; i++)
        send_message(server, &readers.items[i], &message);
    message_free(&message);
    array_free(&readers);
}

Status server_commit(Server *server, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(journal_records(server, diagnostic));
    for (size_t i = 0; i < server->actions.count; i++) {
        CoreAction *action = &server->actions.items[i];
        switch (action->type) {
        case CORE_SEND:
            TRY(send_action(server, action, diagnostic));
            break;
        case CORE_PUBLISH:
            publish(server, action->event);
            break;
        case CORE_KILL_WORKER:
            if (server->groups && strcmp(action->host, server->host) == 0)
                local_groups_kill_worker(server->groups, action->pid);
            break;
        case CORE_STOP_ASKED:
            server->stop_asked = true;
            break;
        case CORE_JOURNAL:
            break;
        }
    }
    answer_readers(server);
out:
    core_actions_clear(&server->actions);
    return status;
}
