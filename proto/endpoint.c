#include "proto/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "core/io/json.h"

enum { ENDPOINT_SIZE_LIMIT = 4096 };

static char *endpoint_path(const char *sweep_folder)
{
    return path_join(sweep_folder, "endpoint.json");
}

Status endpoint_write(const char *sweep_folder, const Endpoint *endpoint, Diagnostic *diagnostic)
{
    Json *json = json_object();
    json_set(json, "address", json_string(endpoint->address));
    json_set(json, "feed", json_string(endpoint->feed));
    json_set(json, "host", json_string(endpoint->host));
    json_set(json, "pid", json_integer(endpoint->pid));
    json_set(json, "epoch", json_integer((int64_t)endpoint->epoch));
    json_set(json, "server_key", json_string(endpoint->server_key));
    char *text = json_text(json, JSON_INDENTED), *path = endpoint_path(sweep_folder);
    Status status = file_write_durable(file_system_posix(), path, text, strlen(text), diagnostic);
    free(path);
    free(text);
    json_destroy(&json);
    return status;
}

static Status copy_string(const Json *json, const char *key, const char *name, char *text, size_t size, Diagnostic *diagnostic)
{
    const char *value;
    Status status = json_require_string(json, key, name, &value, diagnostic);
    if (status != STATUS_OK)
        return status;
    if (strlen(value) >= size)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s is longer than %zu bytes", name, key, size - 1);
    memcpy(text, value, strlen(value) + 1);
    return STATUS_OK;
}

Status endpoint_parse(Endpoint *endpoint, const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *json = NULL;
    int64_t pid, epoch;
    memset(endpoint, 0, sizeof *endpoint);
    TRY(json_parse(&json, text, size, name, diagnostic));
    TRY(copy_string(json, "address", name, endpoint->address, sizeof endpoint->address, diagnostic));
    TRY(copy_string(json, "feed", name, endpoint->feed, sizeof endpoint->feed, diagnostic));
    TRY(copy_string(json, "host", name, endpoint->host, sizeof endpoint->host, diagnostic));
    if (json_get(json, "server_key")) /* not in files of versions before 0.2 */
        TRY(copy_string(json, "server_key", name, endpoint->server_key, sizeof endpoint->server_key, diagnostic));
    TRY(json_require_integer(json, "pid", name, 1, INT32_MAX, &pid, diagnostic));
    TRY(json_require_integer(json, "epoch", name, 1, INT64_MAX, &epoch, diagnostic));
    endpoint->pid = (int32_t)pid;
    endpoint->epoch = (uint64_t)epoch;
out:
    json_destroy(&json);
    return status;
}

Status endpoint_read(const char *sweep_folder, Endpoint *endpoint, Diagnostic *diagnostic)
{
    char *text = NULL, *path = endpoint_path(sweep_folder);
    size_t size;
    memset(endpoint, 0, sizeof *endpoint);
    Status status = file_read(path, ENDPOINT_SIZE_LIMIT, &text, &size, diagnostic);
    if (status == STATUS_OK)
        status = endpoint_parse(endpoint, text, size, path, diagnostic);
    free(text);
    free(path);
    return status;
}

Status endpoint_use_key(SocketContext *context, const Endpoint *endpoint, const char *sweep_folder, KeyRole role,
                        const char *key_file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ClientKey key = {0};
    char *folder = keys_folder_of(sweep_folder);
    char *path = key_file ? memory_copy_string(key_file) : memory_format("%s/%s.key", folder, key_role_name(role));
    if (!endpoint->server_key[0]) {
        socket_context_use_key(context, NULL);
        if (key_file)
            status = FAIL(diagnostic, STATUS_MISMATCH, "the coordinator at %s listens without keys, but a key was named for it: %s",
                          endpoint->address, key_file);
        goto out;
    }
    TRY(keys_read_client(path, &key, diagnostic));
    if (strcmp(key.server_key, endpoint->server_key) != 0)
        TRY_FAIL(
            diagnostic, STATUS_MISMATCH,
            "the key in %s is for another server than the one at %s: the keys were replaced after that coordinator had started "
            "(start it again), or it is not who it says",
            path, endpoint->address);
    socket_context_use_key(context, &key);
out:
    keys_forget(&key, sizeof key);
    free(path);
    free(folder);
    return status;
}
