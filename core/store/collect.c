#include "core/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/store/store_internal.h"

typedef struct HashName {
    char hex[SHA256_HEX_SIZE];
} HashName;

typedef struct Collector {
    Store *store;
    ARRAY(HashName) named; /* hashes that manifests name, sorted */
    time_t oldest_kept;    /* what was changed before this time may go */
    size_t deleted;
    Diagnostic *diagnostic;
} Collector;

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_HEX_SIZE);
}

/* A manifest that cannot be read stops the collection: what it names must not be deleted. */
static Status gather_named(Collector *collector)
{
    Status status = STATUS_OK;
    StringArray names = {0};
    StoreManifest manifest = {0};
    TRY(store_manifest_list(collector->store, "", &names, collector->diagnostic));
    for (size_t i = 0; i < names.count; i++) {
        Diagnostic attempt = {0};
        status = store_manifest_get(collector->store, names.items[i], &manifest, &attempt);
        if (status == STATUS_NOT_FOUND) /* deleted since it was listed */
            status = STATUS_OK;
        else if (status != STATUS_OK && collector->diagnostic)
            *collector->diagnostic = attempt;
        TRY(status);
        for (size_t j = 0; j < manifest.files.count; j++) {
            HashName name;
            memcpy(name.hex, manifest.files.items[j].sha256, sizeof name.hex);
            array_push(&collector->named, name);
        }
        store_manifest_free(&manifest);
    }
    if (collector->named.count > 1)
        qsort(collector->named.items, collector->named.count, sizeof *collector->named.items, compare_hashes);
out:
    store_manifest_free(&manifest);
    string_array_free(&names);
    return status;
}

static bool is_named(const Collector *collector, const char *hex)
{
    HashName wanted = {{0}};
    memcpy(wanted.hex, hex, sizeof wanted.hex);
    return collector->named.count > 0 &&
           bsearch(&wanted, collector->named.items, collector->named.count, sizeof wanted, compare_hashes) != NULL;
}

static Status delete_if_old(Collector *collector, const char *path)
{
    const FileSystem *fs = collector->store->fs;
    struct stat found;
    if (lstat(path, &found) != 0 || !S_ISREG(found.st_mode) || found.st_mtime > collector->oldest_kept)
        return STATUS_OK;
    if (fs->unlink(fs->context, path) == 0)
        collector->deleted++;
    else if (errno != ENOENT)
        return FAIL(collector->diagnostic, status_from_errno(errno), "cannot remove %s: %s", path, strerror(errno));
    return STATUS_OK;
}

static bool is_temporary(const char *name)
{
    return strstr(name, STORE_TEMPORARY_MARK) != NULL;
}

/* Looks through a folder and those in it, depth levels deep. */
static Status collect_folder(Collector *collector, const char *folder, bool objects, int depth)
{
    Status status = STATUS_OK;
    StringArray entries = {0};
    TRY(folder_list(folder, &entries, collector->diagnostic));
    for (size_t i = 0; i < entries.count; i++) {
        const char *entry = entries.items[i];
        char *path = path_join(folder, entry);
        if (is_temporary(entry) || (objects && store_hash_valid(entry) && !is_named(collector, entry)))
            status = delete_if_old(collector, path);
        else if (depth > 1 && path_is_folder(path))
            status = collect_folder(collector, path, objects, depth - 1);
        free(path);
        TRY(status);
    }
out:
    string_array_free(&entries);
    return status;
}

Status store_collect(Store *store, int64_t grace_seconds, size_t *deleted, Diagnostic *diagnostic)
{
    enum { OBJECT_DEPTH = 2, MANIFEST_DEPTH = 9 };
    Status status = STATUS_OK;
    *deleted = 0;
    /* Not time(): it may lag behind the clock that file times are taken from, and the youngest file would be of the future. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    Collector collector = {.store = store, .oldest_kept = now.tv_sec - (time_t)grace_seconds, .diagnostic = diagnostic};
    if (grace_seconds < 0)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "a grace of %lld seconds is no time", (long long)grace_seconds);
    TRY(gather_named(&collector));
    TRY(collect_folder(&collector, store->objects, true, OBJECT_DEPTH));
    TRY(collect_folder(&collector, store->manifests, false, MANIFEST_DEPTH));
out:
    *deleted = collector.deleted;
    array_free(&collector.named);
    return status;
}
