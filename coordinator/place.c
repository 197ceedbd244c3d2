#include "coordinator/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "coordinator/process.h"
#include "core/base/log.h"
#include "core/io/file.h"

enum { HOLDER_SIZE = 256 };
static const char socket_folder_name[] = "nersweep-socket-";

/* ------------------------------------------------------------------------------------------------ lock */

static Status refuse_lock(int file, const char *folder, Diagnostic *diagnostic)
{
    char holder[HOLDER_SIZE] = "";
    ssize_t size = pread(file, holder, sizeof holder - 1, 0);
    holder[size > 0 ? size : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return FAIL(diagnostic, STATUS_BUSY,
                "another coordinator (%s) holds the sweep in %s; wait for it to end, or stop it, or use --take-over",
                holder[0] ? holder : "host and pid unknown", folder);
}

Status place_lock(const char *folder, bool take_over, int *lock, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *path = path_join(folder, "lock"), host[128], holder[HOLDER_SIZE];
    *lock = -1;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            TRY_FAIL(diagnostic, status_from_errno(errno), "cannot lock %s: %s", path, strerror(errno));
        if (!take_over)
            status = refuse_lock(file, folder, diagnostic);
        goto out;
    }
    process_host(host, sizeof host);
    int size = snprintf(holder, sizeof holder, "host %s, pid %d\n", host, (int)getpid());
    if (ftruncate(file, 0) != 0 || pwrite(file, holder, (size_t)size, 0) != size)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot write %s: %s", path, strerror(errno));
    *lock = file;
    file = -1;
out:
    if (file >= 0)
        close(file);
    free(path);
    return status;
}

void place_unlock(int *lock)
{
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}

/* ------------------------------------------------------------------------------------------------ endpoint */

Status place_secure(SocketContext *context, const CoordinatorOptions *options, const char *listen, const char *feed, char **keys,
                    Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *folder = options->keys ? memory_copy_string(options->keys) : keys_folder_of(options->sweep_folder);
    bool wanted = options->keys || !socket_address_is_local(listen) || !socket_address_is_local(feed);
    *keys = NULL;
    if (options->insecure)
        socket_context_permit_plain(context);
    if (options->insecure || !wanted)
        goto out;
    if (options->make_keys) {
        status = keys_create(folder, false, diagnostic);
        if (status == STATUS_OK)
            LOG_INFO("made keys for this sweep in %s", folder);
        else if (status != STATUS_EXISTS) /* already, or somebody else's just now */
            goto out;
        status = STATUS_OK;
    }
    if (!options->keys && !path_exists(folder))
        goto out;
    TRY(socket_context_serve_keys(context, folder, diagnostic));
    *keys = folder;
    folder = NULL;
out:
    free(folder);
    return status;
}

void place_remove_endpoint(const char *folder, uint64_t epoch)
{
    Endpoint endpoint;
    if (endpoint_read(folder, &endpoint, NULL) != STATUS_OK || endpoint.epoch != epoch)
        return;
    char *path = path_join(folder, "endpoint.json");
    unlink(path); /* a file that stays names an address where nobody answers: readers cope with that */
    free(path);
}

Status place_save_sweep(const char *folder, const Sweep *sweep, Diagnostic *diagnostic)
{
    char *path = path_join(folder, "sweep.yaml");
    Status status = file_write_durable(file_system_posix(), path, sweep->text, strlen(sweep->text), diagnostic);
    free(path);
    return status;
}

/* ------------------------------------------------------------------------------------------------ sockets */

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && folder[0] == '/' && strlen(folder) <= 60 ? folder : "/tmp"; /* a socket's path is short */
}

Status place_make_socket_folder(char **folder, Diagnostic *diagnostic)
{
    *folder = memory_format("%s/%sXXXXXX", temporary_folder(), socket_folder_name);
    if (mkdtemp(*folder))
        return STATUS_OK;
    Status status = FAIL(diagnostic, status_from_errno(errno), "cannot make a folder like %s for the coordinator's sockets: %s",
                         *folder, strerror(errno));
    free(*folder);
    *folder = NULL;
    return status;
}

void place_clean_sockets(const char *sweep_folder)
{
    Endpoint endpoint;
    char host[128];
    process_host(host, sizeof host);
    if (endpoint_read(sweep_folder, &endpoint, NULL) != STATUS_OK || strcmp(endpoint.host, host) != 0 ||
        process_parent(endpoint.pid) != 0 || strncmp(endpoint.address, "ipc://", 6) != 0)
        return;
    char *folder = path_folder(endpoint.address + 6);
    /* Only what place_make_socket_folder made; the endpoint file is a file like any other. */
    if (strncmp(path_base_name(folder), socket_folder_name, sizeof socket_folder_name - 1) == 0 && !strstr(folder, "..")) {
        static const char *const names[] = {"coordinator", "feed"};
        for (int i = 0; i < 2; i++) {
            char *path = path_join(folder, names[i]);
            unlink(path);
            free(path);
        }
        rmdir(folder);
    }
    free(folder);
}
