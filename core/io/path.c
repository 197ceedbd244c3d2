#include "core/io/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/io/file_internal.h"

bool path_exists(const char *path)
{
    struct stat ignored;
    return stat(path, &ignored) == 0;
}

bool path_is_folder(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

char *path_join(const char *folder, const char *name)
{
    if (name[0] == '/' || !folder[0])
        return memory_copy_string(name);
    size_t length = strlen(folder);
    return memory_format("%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
}

/* Length of path without the slashes at its end; a path of slashes keeps one. */
static size_t trimmed_length(const char *path, size_t length)
{
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

char *path_folder(const char *path)
{
    size_t length = trimmed_length(path, strlen(path));
    while (length > 0 && path[length - 1] != '/')
        length--;
    if (length == 0)
        return memory_copy_string(".");
    return memory_copy_bytes(path, trimmed_length(path, length));
}

const char *path_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_absolute(const char *path)
{
    if (path[0] == '/')
        return memory_copy_string(path);
    char *current = getcwd(NULL, 0);
    if (!current) /* the current folder was removed: what is relative to it has no absolute name */
        return memory_copy_string(path);
    char *joined = path_join(current, path);
    free(current);
    return joined;
}

char *path_program_folder(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return memory_copy_string(".");
    path[length] = '\0';
    return path_folder(path);
}

/* File systems that other machines may write to behind our back: memory maps and locks mean nothing on them (statfs(2) gives the
 * numbers). FUSE's number does not say where the data lies; its type, as mounted, does. */
static const struct {
    unsigned long magic;
    const char *name;
} network_file_systems[] = {
    {0x6969, "NFS"},        {0x517B, "SMB"},          {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB2"},  {0x0BD00BD0, "Lustre"},
    {0x00C36400, "Ceph"},   {0x5346414F, "AFS"},      {0x6B414653, "AFS"},  {0x73757245, "Coda"},  {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"}, {0xAAD7AAEA, "PanFS"},    {0x01161970, "GFS2"}, {0x7461636F, "OCFS2"}, {0x564C, "NCP"},
    {0x013111A8, "IBRIX"},  {0x20030528, "OrangeFS"}, {0x61636673, "ACFS"}, {0xA501FCF5, "VxFS"},  {0xBEEFDEAD, "SNFS"},
};

enum { FUSE = 0x65735546 };

const char *path_network_name(uint32_t magic, const char *mount_type)
{
    for (size_t i = 0; i < sizeof network_file_systems / sizeof *network_file_systems; i++)
        if (magic == (uint32_t)network_file_systems[i].magic)
            return network_file_systems[i].name;
    /* "fuseblk" has a block device of this machine below it, and so has the overlay of containers without privileges. */
    bool fuse = magic == FUSE && strncmp(mount_type, "fuse.", 5) == 0 && strcmp(mount_type, "fuse.fuse-overlayfs") != 0;
    return fuse ? mount_type : NULL;
}

/* The type of the file system of a device, as /proc/self/mountinfo gives it: "fuse.sshfs". False: it is not there. */
static bool find_mount_type(dev_t device, char *type, size_t size)
{
    char line[4096], wanted[64];
    bool found = false;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    snprintf(wanted, sizeof wanted, " %u:%u ", major(device), minor(device));
    while (mounts && !found && fgets(line, sizeof line, mounts)) {
        const char *behind = strstr(line, " - ");
        if (!strstr(line, wanted) || !behind)
            continue;
        size_t length = strcspn(behind + 3, " ");
        found = length < size;
        snprintf(type, size, "%.*s", (int)length, behind + 3);
    }
    if (mounts)
        fclose(mounts);
    return found;
}

/* The nearest folder above path that exists, path itself if it does. */
static char *nearest_existing(const char *path)
{
    char *current = path_absolute(path);
    while (!path_exists(current) && strcmp(current, "/") != 0 && strcmp(current, ".") != 0) {
        char *parent = path_folder(current);
        free(current);
        current = parent;
    }
    return current;
}

Status path_require_local(const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *existing = nearest_existing(path);
    struct statfs found;
    if (statfs(existing, &found) != 0) {
        status = file_fail(diagnostic, errno, existing, "ask for the file system of");
        goto out;
    }
    uint32_t magic = (uint32_t)found.f_type; /* which is signed and of different widths */
    char type[64] = "";
    struct stat place;
    if (magic == FUSE && stat(existing, &place) == 0 && !find_mount_type(place.st_dev, type, sizeof type))
        snprintf(type, sizeof type, "fuse.unknown");
    const char *name = path_network_name(magic, type);
    if (name)
        TRY_FAIL(
            diagnostic, STATUS_UNSUPPORTED,
            "%s lies on %s, a network file system, where memory-mapped databases are not safe: choose a folder on a local disk",
            path, name);
out:
    free(existing);
    return status;
}

Status path_free_bytes(const char *path, uint64_t *bytes, Diagnostic *diagnostic)
{
    *bytes = 0;
    Status status = STATUS_OK;
    char *existing = nearest_existing(path);
    struct statvfs found;
    if (statvfs(existing, &found) != 0)
        status = file_fail(diagnostic, errno, existing, "ask for the free space of");
    else if (__builtin_mul_overflow((uint64_t)found.f_bavail, (uint64_t)found.f_frsize, bytes))
        *bytes = UINT64_MAX;
    free(existing);
    return status;
}
