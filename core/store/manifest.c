#include "core/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/store/store_internal.h"

enum { MANIFEST_VERSION = 1, MANIFEST_SIZE_LIMIT = 64 * 1024 * 1024, FILE_COUNT_LIMIT = 100000, NAME_LIMIT = 200, PART_LIMIT = 8 };

void store_manifest_free(StoreManifest *manifest)
{
    array_free(&manifest->files);
    json_destroy(&manifest->notes);
}

static bool part_valid(const char *part, size_t length)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=-";
    static const char ending[] = ".json"; /* a folder "a.json" would stand where the manifest "a" is */
    if (length == 0 || part[0] == '.' || strspn(part, allowed) < length)
        return false;
    return length < sizeof ending - 1 || memcmp(part + length - (sizeof ending - 1), ending, sizeof ending - 1) != 0;
}

static Status check_name(const char *name, Diagnostic *diagnostic)
{
    bool valid = strlen(name) <= NAME_LIMIT && !strstr(name, STORE_TEMPORARY_MARK);
    int parts = 0;
    for (const char *part = name; valid;) {
        size_t length = strcspn(part, "/");
        valid = part_valid(part, length) && ++parts <= PART_LIMIT;
        if (part[length] == '\0')
            break;
        part += length + 1;
    }
    if (!valid)
        return FAIL(
            diagnostic, STATUS_INVALID_INPUT,
            "\"%.*s\" is no manifest name: at most %d parts of letters, digits and ._=- between slashes, none of them beginning "
            "with a dot or ending in .json",
            NAME_LIMIT, name, PART_LIMIT);
    return STATUS_OK;
}

/* A file's name in the folder that a manifest stands for: it must not lead out of that folder. */
static bool file_name_valid(const char *name)
{
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) >= sizeof((StoreFile){0}).name)
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        if (*c < 0x20 || *c == 0x7F || *c == '/')
            return false;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names, hashes and that no name is there twice. path is for the message. */
static Status check_files(const StoreManifest *manifest, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t count = manifest->files.count;
    const char **names = memory_allocate(count, sizeof *names);
    if (count > FILE_COUNT_LIMIT)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s: a manifest has at most %d files", path, FILE_COUNT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        const StoreFile *file = &manifest->files.items[i];
        if (!file_name_valid(file->name))
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: file %zu: \"%s\" is no name for a file", path, i + 1, file->name);
        if (!store_hash_valid(file->sha256))
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: %s: its SHA-256 is no 64 hexadecimal digits", path, file->name);
        names[i] = file->name;
    }
    if (count > 1)
        qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: the file %s is there twice", path, names[i]);
    }
out:
    free(names);
    return status;
}

static char *manifest_path(const Store *store, const char *name)
{
    return memory_format("%s/%s.json", store->manifests, name);
}

static char *manifest_text(const StoreManifest *manifest)
{
    Json *json = json_object(), *files = json_array();
    json_set(json, "version", json_integer(MANIFEST_VERSION));
    for (size_t i = 0; i < manifest->files.count; i++) {
        const StoreFile *file = &manifest->files.items[i];
        Json *entry = json_object();
        json_set(entry, "name", json_string(file->name));
        json_set(entry, "sha256", json_string(file->sha256));
        json_set(entry, "size", json_integer((int64_t)file->size));
        json_append(files, entry);
    }
    json_set(json, "files", files);
    json_set(json, "notes", manifest->notes ? json_copy(manifest->notes) : json_object());
    char *text = json_text(json, JSON_CANONICAL); /* equal manifests are equal bytes */
    json_destroy(&json);
    return text;
}

Status store_manifest_put(Store *store, const char *name, const StoreManifest *manifest, Diagnostic *diagnostic)
{
    Status status = check_name(name, diagnostic);
    if (status != STATUS_OK)
        return status;
    char *path = manifest_path(store, name), *folder = path_folder(path), *text = NULL;
    if (manifest->notes && !json_is_object(manifest->notes))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: the notes of a manifest must be an object", path);
    TRY(check_files(manifest, path, diagnostic));
    for (size_t i = 0; i < manifest->files.count; i++) {
        const StoreFile *file = &manifest->files.items[i];
        if (file->size > INT64_MAX || !store_object_present(store, file->sha256, file->size))
            TRY_FAIL(diagnostic, STATUS_NOT_FOUND,
                     "%s: the store has no object %s of %llu bytes for the file %s: put it there first", path, file->sha256,
                     (unsigned long long)file->size, file->name);
    }
    if (fault_point("store.objects_written"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at store.objects_written before %s", path);
    TRY(folder_create(store->fs, folder, diagnostic));
    text = manifest_text(manifest);
    TRY(file_write_durable(store->fs, path, text, strlen(text), diagnostic));
    if (fault_point("store.manifest_written"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at store.manifest_written after %s", path);
out:
    free(text);
    free(folder);
    free(path);
    return status;
}

static Status read_file_entry(const Json *entry, const char *path, StoreFile *file, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *name, *sha256;
    int64_t size;
    *file = (StoreFile){0};
    TRY(json_require_string(entry, "name", path, &name, diagnostic));
    TRY(json_require_string(entry, "sha256", path, &sha256, diagnostic));
    TRY(json_require_integer(entry, "size", path, 0, INT64_MAX, &size, diagnostic));
    if (!file_name_valid(name) || !store_hash_valid(sha256))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: a file's name or SHA-256 is not valid", path);
    memcpy(file->name, name, strlen(name) + 1);
    memcpy(file->sha256, sha256, SHA256_HEX_SIZE);
    file->size = (uint64_t)size;
out:
    return status;
}

/* Fills manifest from its JSON text. */
static Status read_manifest(const Json *json, const char *path, StoreManifest *manifest, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t version;
    TRY(json_require_integer(json, "version", path, MANIFEST_VERSION, MANIFEST_VERSION, &version, diagnostic));
    const Json *files = json_get(json, "files"), *notes = json_get(json, "notes");
    if (!json_is_array(files) || (notes && !json_is_object(notes)))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: expected an array \"files\" and an object \"notes\"", path);
    for (size_t i = 0; i < json_count(files); i++) {
        StoreFile file;
        TRY(read_file_entry(json_at(files, i), path, &file, diagnostic));
        array_push(&manifest->files, file);
    }
    TRY(check_files(manifest, path, diagnostic));
    manifest->notes = notes ? json_copy(notes) : json_object();
out:
    return status;
}

Status store_manifest_get(Store *store, const char *name, StoreManifest *manifest, Diagnostic *diagnostic)
{
    *manifest = (StoreManifest){0};
    Status status = check_name(name, diagnostic);
    if (status != STATUS_OK)
        return status;
    Json *json = NULL;
    char *path = manifest_path(store, name);
    status = json_read_file(&json, path, MANIFEST_SIZE_LIMIT, diagnostic);
    if (status == STATUS_OK)
        status = read_manifest(json, path, manifest, diagnostic);
    if (status == STATUS_INVALID_INPUT || status == STATUS_LIMIT) {
        /* Manifests are put in place whole: this one was not written by us, or was damaged. */
        status = STATUS_CORRUPT;
        if (diagnostic)
            diagnostic->code = status;
    }
    if (status != STATUS_OK)
        store_manifest_free(manifest);
    json_destroy(&json);
    free(path);
    return status;
}

/* A failure to tell is one: a folder that is skipped would make store_collect delete what its manifests name. */
static Status look_for_folder(const char *path, bool *is_folder, Diagnostic *diagnostic)
{
    struct stat found;
    *is_folder = false;
    if (stat(path, &found) == 0)
        *is_folder = S_ISDIR(found.st_mode);
    else if (errno != ENOENT && errno != ENOTDIR)
        return FAIL(diagnostic, status_from_errno(errno), "cannot look at %s: %s", path, strerror(errno));
    return STATUS_OK;
}

/* Adds the names of the manifests in the folder that stands for prefix. */
static Status list_folder(const Store *store, const char *prefix, int depth, StringArray *names, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    StringArray entries = {0};
    char *folder = prefix[0] ? path_join(store->manifests, prefix) : memory_copy_string(store->manifests);
    bool is_folder;
    TRY(look_for_folder(folder, &is_folder, diagnostic));
    if (is_folder)
        TRY(folder_list(folder, &entries, diagnostic));
    for (size_t i = 0; i < entries.count; i++) {
        const char *entry = entries.items[i];
        size_t length = strlen(entry);
        char *path = path_join(folder, entry), *name = prefix[0] ? path_join(prefix, entry) : memory_copy_string(entry);
        status = look_for_folder(path, &is_folder, diagnostic);
        if (status == STATUS_OK && is_folder) {
            if (depth < PART_LIMIT)
                status = list_folder(store, name, depth + 1, names, diagnostic);
        } else if (status == STATUS_OK && length > 5 && strcmp(entry + length - 5, ".json") == 0) {
            name[strlen(name) - 5] = '\0';
            if (check_name(name, NULL) == STATUS_OK) {
                array_push(names, name);
                name = NULL;
            }
        }
        free(name);
        free(path);
        TRY(status);
    }
out:
    string_array_free(&entries);
    free(folder);
    return status;
}

Status store_manifest_list(Store *store, const char *prefix, StringArray *names, Diagnostic *diagnostic)
{
    *names = (StringArray){0};
    Status status = STATUS_OK;
    if (prefix[0])
        TRY(check_name(prefix, diagnostic));
    TRY(list_folder(store, prefix, 1, names, diagnostic));
    if (names->count > 1)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
out:
    if (status != STATUS_OK)
        string_array_free(names);
    return status;
}

Status store_manifest_delete(Store *store, const char *name, Diagnostic *diagnostic)
{
    Status status = check_name(name, diagnostic);
    if (status != STATUS_OK)
        return status;
    char *path = manifest_path(store, name), *folder = path_folder(path);
    if (store->fs->unlink(store->fs->context, path) == 0)
        TRY(folder_sync(store->fs, folder, diagnostic));
    else if (errno != ENOENT && errno != ENOTDIR)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot remove %s: %s", path, strerror(errno));
out:
    free(folder);
    free(path);
    return status;
}

/* Copies one object to path, making sure that its bytes are those that the manifest names. */
static Status extract_file(Store *store, const char *name, const StoreFile *file, const char *path, Diagnostic *diagnostic)
{
    enum { CHUNK = 1024 * 1024 };
    Status status = STATUS_OK;
    FileWriter *writer = NULL;
    Sha256 hash;
    uint64_t size = 0;
    char hex[SHA256_HEX_SIZE];
    char *object = store_object_path(store, file->sha256), *chunk = memory_allocate(CHUNK, 1);
    int input = open(object, O_RDONLY | O_CLOEXEC);
    if (input < 0)
        TRY_FAIL(diagnostic, errno == ENOENT ? STATUS_CORRUPT : status_from_errno(errno), "%s of %s: cannot open %s: %s",
                 file->name, name, object, strerror(errno));
    TRY(file_writer_begin(&writer, store->fs, path, diagnostic));
    sha256_begin(&hash);
    while (size <= file->size) {
        ssize_t got = read(input, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            TRY_FAIL(diagnostic, status_from_errno(errno), "cannot read %s: %s", object, strerror(errno));
        if (got == 0)
            break;
        sha256_update(&hash, chunk, (size_t)got);
        size += (uint64_t)got;
        TRY(file_writer_append(writer, chunk, (size_t)got, diagnostic));
    }
    sha256_finish_hex(&hash, hex);
    if (size != file->size || strcmp(hex, file->sha256) != 0)
        TRY_FAIL(diagnostic, STATUS_CORRUPT,
                 "%s of %s: the bytes of %s are not what was stored: remove that file and store it again", file->name, name,
                 object);
    TRY(file_writer_commit(&writer, diagnostic));
out:
    file_writer_abandon(&writer);
    if (input >= 0)
        close(input);
    free(chunk);
    free(object);
    return status;
}

/* "folder.tmp-PID-N", a new folder beside the wanted one. */
static Status create_sibling(const FileSystem *fs, const char *folder, char **sibling, Diagnostic *diagnostic)
{
    enum { NAME_TRIES = 1000 };
    *sibling = NULL;
    int error_number = 0;
    for (int number = 0; number < NAME_TRIES; number++) {
        char *name = memory_format("%s" STORE_TEMPORARY_MARK "%ld-%d", folder, (long)getpid(), number);
        if (fs->mkdir(fs->context, name, 0777) == 0) {
            *sibling = name;
            return STATUS_OK;
        }
        error_number = errno;
        free(name);
        if (error_number != EEXIST)
            break;
    }
    return FAIL(diagnostic, status_from_errno(error_number), "cannot create a folder beside %s: %s", folder,
                strerror(error_number));
}

Status store_manifest_extract(Store *store, const char *name, const char *folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const FileSystem *fs = store->fs;
    StoreManifest manifest = {0};
    char *target = path_absolute(folder), *parent = NULL, *temporary = NULL;
    for (size_t length = strlen(target); length > 1 && target[length - 1] == '/'; length--)
        target[length - 1] = '\0';
    parent = path_folder(target);
    TRY(store_manifest_get(store, name, &manifest, diagnostic));
    if (path_exists(target))
        TRY_FAIL(diagnostic, STATUS_EXISTS, "%s exists already: choose another folder, or remove it first", target);
    TRY(folder_create(fs, parent, diagnostic));
    TRY(create_sibling(fs, target, &temporary, diagnostic));
    for (size_t i = 0; i < manifest.files.count; i++) {
        char *path = path_join(temporary, manifest.files.items[i].name);
        status = extract_file(store, name, &manifest.files.items[i], path, diagnostic);
        free(path);
        TRY(status);
    }
    TRY(folder_sync(fs, temporary, diagnostic));
    if (fs->rename(fs->context, temporary, target) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot rename the finished folder to %s: %s", target, strerror(errno));
    free(temporary);
    temporary = NULL;
    TRY(folder_sync(fs, parent, diagnostic));
out:
    if (temporary) {
        Status removed = folder_remove_tree(temporary, NULL);
        (void)removed; /* the first failure is the one to tell */
    }
    free(temporary);
    free(parent);
    free(target);
    store_manifest_free(&manifest);
    return status;
}
