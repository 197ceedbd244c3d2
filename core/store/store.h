/* The store: a folder, usually on a shared file system, that holds all that outlives a process: content-addressed files and manifests
 * that name them. A file is visible only when whole and durable; a manifest only after everything it names.
 *
 *   objects/ab/abcdef...   a file, named by the SHA-256 of its bytes
 *   manifests/NAME.json    {"version":1,"files":[{"name","sha256","size"}...],"notes":{...}}, written last
 */
#ifndef NERSWEEP_CORE_STORE_STORE_H
#define NERSWEEP_CORE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/io/file.h"
#include "core/io/hash.h"
#include "core/io/json.h"

typedef struct Store Store;

/* Opens (and makes, if need be) the store at path. fs must outlive it. */
NODISCARD Status store_open(Store **store, const char *path, const FileSystem *fs, Diagnostic *diagnostic);
void store_close(Store **store);
const char *store_path(const Store *store);

/* Puts bytes under their hash; storing the same bytes again is cheap and fine. */
NODISCARD Status store_put_bytes(Store *store, const void *bytes, size_t size, char hex[SHA256_HEX_SIZE], Diagnostic *diagnostic);
NODISCARD Status store_put_file(Store *store, const char *path, char hex[SHA256_HEX_SIZE], uint64_t *size, Diagnostic *diagnostic);
/* Path of an object, whether it exists or not. The caller frees it. */
char *store_object_path(const Store *store, const char *hex);

/* What a manifest lists. */
typedef struct StoreFile {
    char name[128]; /* the file's name in the folder that it stands for: one path part, no slash */
    char sha256[SHA256_HEX_SIZE];
    uint64_t size;
} StoreFile;
typedef struct StoreManifest {
    ARRAY(StoreFile) files;
    Json *notes; /* an object, owned by the manifest; may be NULL */
} StoreManifest;
void store_manifest_free(StoreManifest *manifest);

/* name: one or more path parts of [A-Za-z0-9._=-], e.g. "trial-0003.1/step-00000212". Written last and durably; replaces an older one.
 * Fault points: store.objects_written, store.manifest_written. */
NODISCARD Status store_manifest_put(Store *store, const char *name, const StoreManifest *manifest, Diagnostic *diagnostic);
NODISCARD Status store_manifest_get(Store *store, const char *name, StoreManifest *manifest, Diagnostic *diagnostic);
/* Manifest names below prefix (a folder of names, or "" for all), sorted; names are full. */
NODISCARD Status store_manifest_list(Store *store, const char *prefix, StringArray *names, Diagnostic *diagnostic);
/* Removes the manifest; its objects stay until store_collect. What is not there is fine. */
NODISCARD Status store_manifest_delete(Store *store, const char *name, Diagnostic *diagnostic);

/* Copies every file of a manifest into the new folder `folder`, each hash and size verified, the folder made visible whole (temporary
 * sibling + rename). STATUS_EXISTS when folder is there, STATUS_CORRUPT names the file whose bytes are not what the manifest says. */
NODISCARD Status store_manifest_extract(Store *store, const char *name, const char *folder, Diagnostic *diagnostic);

/* Deletes objects that no manifest names and that are older than grace_seconds (running writers), and left-over temporary files. */
NODISCARD Status store_collect(Store *store, int64_t grace_seconds, size_t *deleted, Diagnostic *diagnostic);

#endif
