#include "cli/sweep_place.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/sweep.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/io/file.h"
#include "proto/endpoint.h"
#include "proto/messages.h"

enum { STATUS_WAIT_MS = 2000 };

static bool is_sweep_folder(const char *folder)
{
    char *journal = path_join(folder, "journal");
    bool is = path_is_folder(journal);
    free(journal);
    return is;
}

static Status find_only_sweep(char **folder, Diagnostic *diagnostic)
{
    StringArray names = {0};
    Text found = {0};
    size_t count = 0;
    Diagnostic ignored = {0};
    if (folder_list("runs", &names, &ignored) == STATUS_OK)
        for (size_t i = 0; i < names.count; i++) {
            char *path = path_join("runs", names.items[i]);
            if (is_sweep_folder(path)) {
                text_format(&found, "%s%s", count ? ", " : "", names.items[i]);
                free(*folder);
                *folder = path_absolute(path);
                count++;
            }
            free(path);
        }
    Status status = STATUS_OK;
    if (count == 0)
        status = FAIL(diagnostic, STATUS_NOT_FOUND, "there is no sweep below runs/: name a sweep file or a sweep's folder");
    else if (count > 1)
        status = FAIL(diagnostic, STATUS_USAGE, "there are several sweeps below runs/ (%s): name one", found.bytes);
    if (status != STATUS_OK) {
        free(*folder);
        *folder = NULL;
    }
    text_free(&found);
    string_array_free(&names);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

Status sweep_place_find(const char *argument, char **folder, Diagnostic *diagnostic)
{
    *folder = NULL;
    if (argument == NULL)
        return find_only_sweep(folder, diagnostic);
    if (path_is_folder(argument) && is_sweep_folder(argument)) {
        *folder = path_absolute(argument);
        return STATUS_OK;
    }
    if ((ends_with(argument, ".yaml") || ends_with(argument, ".yml")) && path_exists(argument)) {
        Sweep *sweep = NULL;
        SweepProblemArray problems = {0};
        Status status = sweep_read(&sweep, argument, NULL, 0, &problems, diagnostic);
        if (status == STATUS_OK)
            *folder = path_join(sweep->storage_path, sweep->name);
        sweep_destroy(&sweep);
        array_free(&problems);
        if (status != STATUS_OK || is_sweep_folder(*folder))
            return status;
        status = FAIL(diagnostic, STATUS_NOT_FOUND, "the sweep of %s has not been started: %s has no journal", argument, *folder);
        free(*folder);
        *folder = NULL;
        return status;
    }
    char *below = path_join("runs", argument);
    bool there = is_sweep_folder(below);
    if (there)
        *folder = path_absolute(below);
    free(below);
    return there ? STATUS_OK
                 : FAIL(diagnostic, STATUS_NOT_FOUND, "%s is no sweep file, no sweep's folder and no name below runs/", argument);
}

Status sweep_place_context(SocketContext **context, const char *folder, const Endpoint *endpoint, const SweepAccess *access,
                           Diagnostic *diagnostic)
{
    Status status = socket_context_create(context, diagnostic);
    if (status != STATUS_OK)
        return status;
    if (access->insecure)
        socket_context_permit_plain(*context);
    status = endpoint_use_key(*context, endpoint, folder, KEY_ROLE_READER, access->key_file, diagnostic);
    if (status != STATUS_OK)
        socket_context_destroy(context);
    return status;
}

static Status ask_coordinator(const char *folder, const Endpoint *endpoint, const SweepAccess *access, Json **status_json,
                              Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    SocketContext *context = NULL;
    Socket *socket = NULL;
    Message message = {.type = MESSAGE_STATUS_REQUEST, .epoch = endpoint->epoch};
    Text bytes = {0};
    bool ready = false;
    TRY(sweep_place_context(&context, folder, endpoint, access, diagnostic));
    TRY(socket_connect(&socket, context, SOCKET_DEALER, endpoint->address, diagnostic));
    TRY(message_encode(&message, &bytes, diagnostic));
    TRY(socket_send(socket, NULL, bytes.bytes, bytes.size, diagnostic));
    TRY(socket_poll(&socket, 1, &ready, NULL, 0, NULL, STATUS_WAIT_MS, diagnostic));
    if (!ready) {
        TRY(socket_refusal(socket, diagnostic));
        TRY_FAIL(diagnostic, STATUS_TIMEOUT, "the coordinator at %s does not answer", endpoint->address);
    }
    TRY(socket_receive(socket, NULL, &bytes, diagnostic));
    TRY(message_decode(&message, bytes.bytes, bytes.size, diagnostic));
    if (message.type == MESSAGE_REJECT)
        TRY_FAIL(diagnostic, message.reason.code == STATUS_OK ? STATUS_MISMATCH : message.reason.code,
                 "the coordinator at %s refuses: %s", endpoint->address, message.reason.reason);
    if (message.type != MESSAGE_STATUS_SNAPSHOT)
        TRY_FAIL(diagnostic, STATUS_MISMATCH, "the coordinator at %s answered with %s", endpoint->address,
                 message_type_name(message.type));
    TRY(json_parse(status_json, message.status.json, strlen(message.status.json), "status", diagnostic));
out:
    message_free(&message);
    text_free(&bytes);
    socket_close(&socket);
    socket_context_destroy(&context);
    return status;
}

Status sweep_place_status(const char *folder, const SweepAccess *access, Json **status_json, bool *live, Diagnostic *diagnostic)
{
    Endpoint endpoint;
    Diagnostic why = {0};
    *live = false;
    if (endpoint_read(folder, &endpoint, &why) == STATUS_OK) {
        Status status = ask_coordinator(folder, &endpoint, access, status_json, &why);
        *live = status == STATUS_OK;
        if (status_class(status) == STATUS_CLASS_INPUT)
            LOG_WARNING("what follows is from the journal, since the coordinator cannot be asked: %s", why.message);
    }
    return *live ? STATUS_OK : sweep_status_read(folder, status_json, diagnostic);
}

static void print_parameters(const Json *parameters, FILE *stream)
{
    for (size_t i = 0; i < json_count(parameters); i++) {
        const Json *value = json_value_at(parameters, i);
        const char *text = json_string_value(value);
        if (text)
            fprintf(stream, " %s=%s", json_key_at(parameters, i), text);
        else if (json_is_boolean(value))
            fprintf(stream, " %s=%s", json_key_at(parameters, i), json_boolean_value(value, false) ? "true" : "false");
        else
            fprintf(stream, " %s=%.4g", json_key_at(parameters, i), json_number_value(value, 0));
    }
}

static void print_trial(const Json *trial, FILE *stream, bool best, bool colours)
{
    int64_t step = json_integer_value(json_get(trial, "step"), 0), total = json_integer_value(json_get(trial, "total_steps"), 0);
    const char *state = json_string_value(json_get(trial, "state"));
    const Json *score = json_get(trial, "best_score");
    char score_text[24] = "-", step_text[48] = "-";
    if (json_is_number(score))
        snprintf(score_text, sizeof score_text, "%.4f", json_number_value(score, 0));
    if (total > 0)
        snprintf(step_text, sizeof step_text, "%lld/%lld", (long long)step, (long long)total);
    fprintf(stream, "%s%5lld  %-10s %12s  %8s ", best && colours ? "\033[1;32m" : "",
            (long long)json_integer_value(json_get(trial, "trial"), 0), state ? state : "?", step_text, score_text);
    print_parameters(json_get(trial, "parameters"), stream);
    const char *reason = json_string_value(json_get(trial, "reason"));
    if (reason && reason[0])
        fprintf(stream, "  (%s)", reason);
    fprintf(stream, "%s%s\n", best ? "  <- best" : "", best && colours ? "\033[0m" : "");
}

void sweep_place_print(const Json *status_json, FILE *stream, bool colours, int64_t limit)
{
    const Json *trials = json_get(status_json, "trials"), *winner = json_get(status_json, "winner");
    int64_t winner_trial = json_is_object(winner) ? json_integer_value(json_get(winner, "trial"), -1) : -1;
    int64_t ended = 0, running = 0;
    for (size_t i = 0; i < json_count(trials); i++) {
        const char *state = json_string_value(json_get(json_at(trials, i), "state"));
        running += state && strcmp(state, "running") == 0;
        ended += state && strcmp(state, "running") != 0 && strcmp(state, "pending") != 0 && strcmp(state, "paused") != 0;
    }
    int64_t total = json_integer_value(json_get(status_json, "trials_total"), (int64_t)json_count(trials));
    const char *name = json_string_value(json_get(status_json, "name")), *state = json_string_value(json_get(status_json, "state"));
    fprintf(stream, "sweep %s: %s, %lld of %lld trials ended, %lld running\n", name ? name : "?", state ? state : "?",
            (long long)ended, (long long)total, (long long)running);
    fprintf(stream, "trial  state              step   best F1  parameters\n");
    for (size_t i = 0; i < json_count(trials) && (int64_t)i < limit; i++) {
        const Json *trial = json_at(trials, i);
        print_trial(trial, stream, json_integer_value(json_get(trial, "trial"), -2) == winner_trial, colours);
    }
    if ((int64_t)json_count(trials) > limit)
        fprintf(stream, "... and %lld more\n", (long long)((int64_t)json_count(trials) - limit));
}
