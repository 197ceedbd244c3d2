#include "core/io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file_internal.h"

enum { TREE_DEPTH_LIMIT = 128 };

static Status folder_create_one(const FileSystem *fs, const char *path, Diagnostic *diagnostic)
{
    /* Asked first: on a read-only or foreign parent mkdir may complain of that before it sees that the folder is there. */
    if (path_is_folder(path))
        return STATUS_OK;
    if (fs->mkdir(fs->context, path, 0777) != 0) {
        int error_number = errno;
        if (error_number == EEXIST && path_is_folder(path))
            return STATUS_OK; /* somebody else made it in the same moment */
        if (error_number == EEXIST)
            return FAIL(diagnostic, STATUS_EXISTS, "cannot create the folder %s: something else has this name", path);
        return file_fail(diagnostic, error_number, path, "create the folder");
    }
    char *parent = path_folder(path);
    Status status = folder_sync(fs, parent, diagnostic);
    free(parent);
    return status;
}

Status folder_create(const FileSystem *fs, const char *path, Diagnostic *diagnostic)
{
    if (!path[0])
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a folder needs a name");
    Status status = STATUS_OK;
    char *part = memory_copy_string(path);
    for (char *slash = part; (slash = strchr(slash + 1, '/')) != NULL;) {
        if (slash[-1] == '/')
            continue;
        *slash = '\0';
        TRY(folder_create_one(fs, part, diagnostic));
        *slash = '/';
    }
    TRY(folder_create_one(fs, part, diagnostic));
out:
    free(part);
    return status;
}

/* Empties the folder that descriptor `folder` stands for (closed here); path is for messages. Links are removed, never followed. */
static Status remove_contents(int folder, const char *path, int depth, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    DIR *directory = fdopendir(folder);
    if (!directory) {
        int error_number = errno;
        close(folder);
        return file_fail(diagnostic, error_number, path, "read the folder");
    }
    if (depth > TREE_DEPTH_LIMIT)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "cannot remove %s: folders lie more than %d deep in each other", path, TREE_DEPTH_LIMIT);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
            continue;
        int error_number = errno;
        int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) {
            if (errno == ENOENT)
                continue;
            status = file_fail(diagnostic, error_number, path, "remove a file in");
            goto out;
        }
        TRY(remove_contents(inner, path, depth + 1, diagnostic));
        if (unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
            status = file_fail(diagnostic, errno, path, "remove a folder in");
            goto out;
        }
    }
out:
    closedir(directory);
    return status;
}

Status folder_remove_tree(const char *path, Diagnostic *diagnostic)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return STATUS_OK;
    int error_number = errno;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? STATUS_OK : file_fail(diagnostic, error_number, path, "remove");
    Status status = remove_contents(folder, path, 1, diagnostic);
    if (status == STATUS_OK && rmdir(path) != 0 && errno != ENOENT)
        status = file_fail(diagnostic, errno, path, "remove the folder");
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

Status folder_list(const char *path, StringArray *names, Diagnostic *diagnostic)
{
    *names = (StringArray){0};
    DIR *directory = opendir(path);
    if (!directory)
        return file_fail(diagnostic, errno, path, "read the folder");
    int error_number = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry) {
            error_number = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            array_push(names, memory_copy_string(entry->d_name));
    }
    closedir(directory);
    if (error_number) {
        string_array_free(names);
        return file_fail(diagnostic, error_number, path, "read the folder");
    }
    if (names->count > 1)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return STATUS_OK;
}

void string_array_free(StringArray *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    array_free(names);
}
