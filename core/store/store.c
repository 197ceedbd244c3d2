#include "core/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/store/store_internal.h"

bool store_hash_valid(const char *hex)
{
    return strspn(hex, "0123456789abcdef") == SHA256_HEX_SIZE - 1 && hex[SHA256_HEX_SIZE - 1] == '\0';
}

Status store_open(Store **store, const char *path, const FileSystem *fs, Diagnostic *diagnostic)
{
    *store = NULL;
    Status status = STATUS_OK;
    Store *opened = memory_allocate(1, sizeof *opened);
    opened->fs = fs;
    opened->path = path_absolute(path);
    opened->objects = path_join(opened->path, "objects");
    opened->manifests = path_join(opened->path, "manifests");
    TRY(folder_create(fs, opened->objects, diagnostic));
    TRY(folder_create(fs, opened->manifests, diagnostic));
    *store = opened;
    opened = NULL;
out:
    store_close(&opened);
    return status;
}

void store_close(Store **store)
{
    Store *closed = *store;
    *store = NULL;
    if (!closed)
        return;
    free(closed->path);
    free(closed->objects);
    free(closed->manifests);
    free(closed);
}

const char *store_path(const Store *store)
{
    return store->path;
}

char *store_object_path(const Store *store, const char *hex)
{
    return memory_format("%s/%.2s/%s", store->objects, hex, hex);
}

bool store_object_present(const Store *store, const char *hex, uint64_t size)
{
    struct stat found;
    char *path = store_object_path(store, hex);
    bool present = stat(path, &found) == 0 && S_ISREG(found.st_mode) && (uint64_t)found.st_size == size;
    free(path);
    return present;
}

/* True when the object is there and will stay: its age starts anew, so that store_collect leaves it alone until a manifest names it. */
static bool object_reused(const Store *store, const char *hex, uint64_t size)
{
    if (!store_object_present(store, hex, size))
        return false;
    char *path = store_object_path(store, hex), *folder = path_folder(path);
    bool reused = utimensat(AT_FDCWD, path, NULL, 0) == 0 && store_object_present(store, hex, size);
    /* Whoever put it there may have died before its name was durable. */
    Status synced = reused ? folder_sync(store->fs, folder, NULL) : STATUS_IO;
    free(folder);
    free(path);
    return synced == STATUS_OK;
}

/* Ends a writer with the object of this hash: under its name if it is new, otherwise not at all. */
static Status object_commit(Store *store, FileWriter **writer, const char *hex, uint64_t size, Diagnostic *diagnostic)
{
    if (object_reused(store, hex, size)) {
        file_writer_abandon(writer);
        return STATUS_OK;
    }
    Status status = STATUS_OK;
    char *path = store_object_path(store, hex), *folder = path_folder(path);
    TRY(folder_create(store->fs, folder, diagnostic));
    file_writer_set_path(*writer, path);
    TRY(file_writer_commit(writer, diagnostic));
out:
    free(folder);
    free(path);
    return status;
}

/* Objects are written beside their folders until their names are known. */
static Status object_begin(Store *store, FileWriter **writer, Diagnostic *diagnostic)
{
    char *path = path_join(store->objects, "object");
    Status status = file_writer_begin(writer, store->fs, path, diagnostic);
    free(path);
    return status;
}

Status store_put_bytes(Store *store, const void *bytes, size_t size, char hex[SHA256_HEX_SIZE], Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    FileWriter *writer = NULL;
    sha256_hex(bytes, size, hex);
    if (object_reused(store, hex, size))
        goto out;
    TRY(object_begin(store, &writer, diagnostic));
    TRY(file_writer_append(writer, bytes, size, diagnostic));
    TRY(object_commit(store, &writer, hex, size, diagnostic));
out:
    file_writer_abandon(&writer);
    return status;
}

Status store_put_file(Store *store, const char *path, char hex[SHA256_HEX_SIZE], uint64_t *size, Diagnostic *diagnostic)
{
    enum { CHUNK = 1024 * 1024 };
    Status status = STATUS_OK;
    FileWriter *writer = NULL;
    Sha256 hash;
    uint64_t total = 0;
    char *chunk = memory_allocate(CHUNK, 1);
    hex[0] = '\0';
    *size = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    TRY(object_begin(store, &writer, diagnostic));
    sha256_begin(&hash);
    for (;;) {
        ssize_t got = read(file, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            TRY_FAIL(diagnostic, status_from_errno(errno), "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            break;
        sha256_update(&hash, chunk, (size_t)got);
        TRY(file_writer_append(writer, chunk, (size_t)got, diagnostic));
        total += (uint64_t)got;
    }
    sha256_finish_hex(&hash, hex);
    TRY(object_commit(store, &writer, hex, total, diagnostic));
    *size = total;
out:
    file_writer_abandon(&writer);
    if (file >= 0)
        close(file);
    free(chunk);
    return status;
}
