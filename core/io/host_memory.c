#include "core/io/host_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/file.h"

enum { HOST_FILE_LIMIT = 1 << 20, GROUP_DEPTH_LIMIT = 64 };

static char *read_system(void *context, const char *path)
{
    char *text = NULL;
    size_t size;
    (void)context;
    return file_read(path, HOST_FILE_LIMIT, &text, &size, NULL) == STATUS_OK ? text : NULL;
}

const HostFiles *host_files_system(void)
{
    static const HostFiles files = {.read = read_system};
    return &files;
}

/* A number at the beginning of text, digits only. */
static bool scan_bytes(const char *text, uint64_t *bytes)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *bytes = strtoull(text, &end, 10);
    return errno == 0 && (*end == '\0' || strchr(" \t\n", *end) != NULL);
}

/* The number behind a key at the beginning of a line: "MemAvailable:   123 kB", "inactive_file 123". */
static bool find_number(const char *text, const char *key, uint64_t *number)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && strchr(" \t", line[length]) && line[length])
            return scan_bytes(line + length + strspn(line + length, " \t"), number);
    }
    return false;
}

/* The same in kB, as /proc gives them. */
static bool find_kilobytes(const char *text, const char *key, uint64_t *bytes)
{
    if (!text || !find_number(text, key, bytes) || *bytes > UINT64_MAX / 1024)
        return false;
    *bytes *= 1024;
    return true;
}

/* What differs between the two versions of control groups. */
typedef struct GroupFiles {
    const char *root, *limit, *usage, *active, *inactive;
} GroupFiles;
static const GroupFiles version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file",
                                     "total_inactive_file"};
static const GroupFiles version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "active_file", "inactive_file"};

static char *read_group_file(const HostFiles *files, const GroupFiles *names, const char *group, const char *name)
{
    char *path = memory_format("%s%s/%s", names->root, group, name), *text = files->read(files->context, path);
    free(path);
    return text;
}

/* Version 1 says "none" with a number near the largest one, version 2 with "max". */
static bool read_limit(const HostFiles *files, const GroupFiles *names, const char *group, uint64_t *bytes)
{
    char *text = read_group_file(files, names, group, names->limit);
    bool known = text && scan_bytes(text, bytes) && *bytes < UINT64_MAX / 4;
    free(text);
    return known;
}

/* Bytes in use that the group could not get back by dropping page cache. */
static uint64_t read_usage(const HostFiles *files, const GroupFiles *names, const char *group)
{
    uint64_t usage = 0, active = 0, inactive = 0;
    char *text = read_group_file(files, names, group, names->usage), *stat = read_group_file(files, names, group, "memory.stat");
    if (!text || !scan_bytes(text, &usage))
        usage = 0;
    if (!stat || !find_number(stat, names->active, &active) || !find_number(stat, names->inactive, &inactive))
        active = inactive = 0;
    free(text);
    free(stat);
    return active < usage && inactive < usage - active ? usage - active - inactive : 0;
}

static void add_group(const HostFiles *files, const GroupFiles *names, const char *group, HostMemory *memory)
{
    uint64_t limit;
    if (!read_limit(files, names, group, &limit))
        return;
    uint64_t usage = read_usage(files, names, group), available = usage < limit ? limit - usage : 0;
    if (available >= memory->group_available_bytes)
        return;
    memory->group_available_bytes = available;
    memory->group_limit_bytes = limit;
    snprintf(memory->group_file, sizeof memory->group_file, "%s%s/%s", names->root, group, names->limit);
}

/* A group and all above it. In a container its name may be that outside of it: then only the root is there, which is the container's own. */
static void add_groups(const HostFiles *files, const GroupFiles *names, const char *name, size_t length, HostMemory *memory)
{
    char *group = memory_copy_bytes(name, length);
    for (int depth = 0; depth < GROUP_DEPTH_LIMIT; depth++) {
        char *slash = strrchr(group, '/');
        if (slash && slash[1] == '\0')
            *slash = '\0'; /* "/", the root */
        add_group(files, names, group, memory);
        if (*group == '\0' || !slash)
            break;
        *strrchr(group, '/') = '\0';
    }
    free(group);
}

/* Lines "ID:CONTROLLERS:NAME": "0::/a/b" of version 2, "4:memory:/a/b" of version 1. */
static void read_groups(const HostFiles *files, const char *text, HostMemory *memory)
{
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t size = strcspn(line, "\n"), id = strcspn(line, ":\n");
        const char *controllers = line + id + 1;
        if (id >= size || line[id] != ':')
            continue;
        size_t count = strcspn(controllers, ":\n");
        const char *name = controllers + count + 1;
        if (controllers[count] != ':' || *name != '/')
            continue;
        size_t length = size - (size_t)(name - line);
        bool has_memory = false;
        for (const char *word = controllers; word < controllers + count; word += strcspn(word, ",:") + 1)
            has_memory |= strcspn(word, ",:") == 6 && strncmp(word, "memory", 6) == 0;
        if (count == 0)
            add_groups(files, &version_2, name, length, memory);
        else if (has_memory)
            add_groups(files, &version_1, name, length, memory);
    }
}

void host_memory_read(const HostFiles *files, HostMemory *memory)
{
    *memory = (HostMemory){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, ""};
    char *text = files->read(files->context, "/proc/meminfo"), *groups = files->read(files->context, "/proc/self/cgroup");
    if (!find_kilobytes(text, "MemTotal:", &memory->total_bytes))
        memory->total_bytes = UINT64_MAX;
    if (!find_kilobytes(text, "MemAvailable:", &memory->available_bytes))
        memory->available_bytes = UINT64_MAX;
    if (groups)
        read_groups(files, groups, memory);
    free(text);
    free(groups);
}

bool host_process_anonymous_bytes(const HostFiles *files, uint64_t *bytes)
{
    char *text = files->read(files->context, "/proc/self/status");
    bool known = find_kilobytes(text, "RssAnon:", bytes);
    free(text);
    return known;
}
