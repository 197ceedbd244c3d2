/* nersweep watch: the status feed, live (Clone pattern: subscribe, take the snapshot, drop what is not newer; a gap asks for it again). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/sweep_place.h"
#include "core/base/clock.h"
#include "proto/messages.h"
#include "proto/socket.h"

enum { POLL_MS = 500, SILENCE_MS = 10000, ASK_AGAIN_MS = 2000, SHOWN_TRIALS = 40 };

typedef struct WatchFlags {
    char *key;
    bool insecure, json;
} WatchFlags;
static const OptionDescriptor watch_descriptors[] = {
    SWEEP_ACCESS_FLAGS(WatchFlags),
    FLAG_BOOLEAN(WatchFlags, json, "print each event as one JSON line"),
};
static const OptionTable watch_table = {"Options", watch_descriptors, sizeof watch_descriptors / sizeof watch_descriptors[0],
                                        sizeof(WatchFlags)};

typedef struct Watch {
    const WatchFlags *flags;
    Socket *sockets[2]; /* feed, requests */
    Json *snapshot;
    uint64_t sequence; /* of the last event seen */
    bool asked, ended, dirty;
    int64_t heard_ns, asked_ns;
} Watch;

static int64_t now_ns(void)
{
    return clock_system()->monotonic_ns(clock_system()->context);
}

static Status ask_snapshot(Watch *watch, Diagnostic *diagnostic)
{
    Message request = {.type = MESSAGE_STATUS_REQUEST};
    Text bytes = {0};
    Status status = message_encode(&request, &bytes, diagnostic);
    if (status == STATUS_OK)
        status = socket_send(watch->sockets[1], NULL, bytes.bytes, bytes.size, diagnostic);
    text_free(&bytes);
    watch->asked = status == STATUS_OK;
    watch->asked_ns = now_ns();
    return status;
}

static void draw(Watch *watch)
{
    if (!isatty(STDOUT_FILENO) || watch->flags->json || watch->snapshot == NULL || !watch->dirty)
        return;
    fputs("\033[H\033[J", stdout);
    sweep_place_print(watch->snapshot, stdout, command_colours(stdout), SHOWN_TRIALS);
    fflush(stdout);
    watch->dirty = false;
}

static bool is_final(const Json *snapshot)
{
    const char *state = json_string_value(json_get(snapshot, "state"));
    return state && (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0);
}

static Status take_message(Watch *watch, const Text *bytes, Diagnostic *diagnostic)
{
    Message message = {0};
    Json *json = NULL;
    Status status = message_decode(&message, bytes->bytes, bytes->size, diagnostic);
    if (status != STATUS_OK)
        return status;
    watch->heard_ns = now_ns();
    if (message.type == MESSAGE_STATUS_SNAPSHOT) {
        watch->asked = false;
        TRY(json_parse(&json, message.status.json, strlen(message.status.json), "status", diagnostic));
        json_destroy(&watch->snapshot);
        watch->snapshot = json;
        watch->dirty = true;
        watch->ended = is_final(json);
        if (message.status.sequence < watch->sequence && !watch->ended)
            TRY(ask_snapshot(watch, diagnostic)); /* an event has overtaken it */
        else
            watch->sequence = message.status.sequence;
    } else if (message.type == MESSAGE_STATUS_EVENT && message.status.sequence > watch->sequence) {
        TRY(json_parse(&json, message.status.json, strlen(message.status.json), "event", diagnostic));
        const char *text = json_string_value(json_get(json, "text"));
        watch->sequence = message.status.sequence;
        if (watch->flags->json)
            puts(message.status.json);
        else if (!isatty(STDOUT_FILENO) && text)
            puts(text);
        json_destroy(&json);
        TRY(command_flush(diagnostic));
        if (!watch->asked)
            TRY(ask_snapshot(watch, diagnostic));
    } else if (message.type == MESSAGE_REJECT)
        TRY_FAIL(diagnostic, message.reason.code == STATUS_OK ? STATUS_MISMATCH : message.reason.code,
                 "the coordinator refuses: %s", message.reason.reason);
out:
    message_free(&message);
    return status;
}

static Status watch_loop(Watch *watch, const volatile int *interrupted, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Text bytes = {0};
    TRY(ask_snapshot(watch, diagnostic));
    watch->heard_ns = now_ns();
    while (!watch->ended && !*interrupted) {
        bool ready[2] = {false, false};
        status = socket_poll(watch->sockets, 2, ready, NULL, 0, NULL, POLL_MS, diagnostic);
        if (status == STATUS_INTERRUPTED)
            continue;
        if (status != STATUS_OK)
            goto out;
        for (int i = 0; i < 2; i++)
            while (ready[i] && socket_receive(watch->sockets[i], NULL, &bytes, diagnostic) == STATUS_OK)
                TRY(take_message(watch, &bytes, diagnostic));
        draw(watch);
        for (int i = 0; i < 2; i++)
            TRY(socket_refusal(watch->sockets[i], diagnostic));
        if (now_ns() - watch->heard_ns > (int64_t)SILENCE_MS * 1000000)
            TRY_FAIL(diagnostic, STATUS_UNREACHABLE, "the coordinator has been silent for %d s", SILENCE_MS / 1000);
        bool unanswered = watch->asked && now_ns() - watch->asked_ns > (int64_t)ASK_AGAIN_MS * 1000000;
        if (unanswered || now_ns() - watch->heard_ns > (int64_t)SILENCE_MS * 500000)
            TRY(ask_snapshot(watch, diagnostic));
    }
    if (*interrupted)
        status = STATUS_OK; /* leaving a display is no failure */
out:
    text_free(&bytes);
    return status;
}

static Status watch_coordinator(const char *folder, const Endpoint *endpoint, const WatchFlags *flags, const SweepAccess *access,
                                Json **last, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Watch watch = {.flags = flags};
    SocketContext *context = NULL;
    TRY(sweep_place_context(&context, folder, endpoint, access, diagnostic));
    TRY(socket_connect(&watch.sockets[0], context, SOCKET_SUB, endpoint->feed, diagnostic));
    TRY(socket_connect(&watch.sockets[1], context, SOCKET_DEALER, endpoint->address, diagnostic));
    TRY(watch_loop(&watch, command_catch_interrupts(), diagnostic));
out:
    *last = watch.snapshot;
    socket_close(&watch.sockets[0]);
    socket_close(&watch.sockets[1]);
    socket_context_destroy(&context);
    return status;
}

static int watch_run(const Command *command, int argc, char **argv)
{
    WatchFlags flags = {0};
    OptionBinding binding = {&watch_table, &flags};
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0}, ignored = {0};
    Endpoint endpoint;
    char *folder = NULL;
    Json *last = NULL, *final = NULL;
    bool live = false;
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code < 0 && positional.count > 1)
        code = command_usage_error(command, "one sweep is expected, not %zu", positional.count);
    if (code >= 0)
        goto out;
    code = 0;
    SweepAccess access = {.key_file = flags.key, .insecure = flags.insecure};
    Status status = sweep_place_find(positional.count ? positional.items[0] : NULL, &folder, &diagnostic);
    if (status == STATUS_OK && endpoint_read(folder, &endpoint, &ignored) == STATUS_OK)
        status = watch_coordinator(folder, &endpoint, &flags, &access, &last, &diagnostic);
    /* Gone or silent: what the journal says is the truth. */
    if (status == STATUS_OK || status == STATUS_UNREACHABLE)
        status = sweep_place_status(folder, &access, &final, &live, &diagnostic);
    if (status != STATUS_OK)
        code = command_fail(&diagnostic);
    else if (flags.json)
        command_print_json(&final, JSON_COMPACT);
    else
        sweep_place_print(final, stdout, command_colours(stdout), 1000);
out:
    json_destroy(&last);
    json_destroy(&final);
    free(folder);
    array_free(&positional);
    options_free(&watch_table, &flags);
    return code;
}

const Command command_watch = {"watch", "[SWEEP] [--json] [--key FILE]", "a sweep live in the terminal", watch_run};
