#include "coordinator/process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_SIZE = 4096, LEEWAY_MS = 1000 };

void process_host(char *host, size_t size)
{
    if (gethostname(host, size) != 0)
        snprintf(host, size, "localhost");
    host[size - 1] = '\0';
}

static bool read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    fclose(file);
    return got > 0;
}

/* State, parent and start (clock ticks after boot) of /proc/PID/stat; the name before them may hold anything but ends with the last ')'. */
static bool read_stat(int32_t pid, char *state, int32_t *parent, unsigned long long *start_ticks)
{
    char path[64], text[STAT_SIZE];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pid <= 0 || !read_text(path, text, sizeof text))
        return false;
    const char *rest = strrchr(text, ')');
    int parent_pid;
    if (!rest || sscanf(rest + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", state,
                        &parent_pid, start_ticks) != 3)
        return false;
    *parent = parent_pid;
    return true;
}

int32_t process_parent(int32_t pid)
{
    char state;
    int32_t parent;
    unsigned long long start;
    return read_stat(pid, &state, &parent, &start) ? parent : 0;
}

static int64_t boot_wall_ms(void)
{
    char text[64 * 1024];
    const char *line = read_text("/proc/stat", text, sizeof text) ? strstr(text, "\nbtime ") : NULL;
    return line ? strtoll(line + 7, NULL, 10) * 1000 : 0;
}

bool process_ran_at(int32_t pid, int64_t wall_ms)
{
    char state;
    int32_t parent;
    unsigned long long start;
    if (!read_stat(pid, &state, &parent, &start) || state == 'Z' || state == 'X')
        return false;
    int64_t boot_ms = boot_wall_ms(), ticks = sysconf(_SC_CLK_TCK);
    if (boot_ms == 0 || ticks <= 0)
        return true; /* nothing better is known */
    return boot_ms + (int64_t)start * 1000 / ticks <= wall_ms + LEEWAY_MS;
}

bool process_parse_worker(const char *worker, char *host, size_t host_size, int32_t *pid)
{
    const char *last = strrchr(worker, '-'), *before = last;
    while (before && before > worker && *--before != '-')
        ;
    if (!last || !before || before == worker || *before != '-' || (size_t)(before - worker) >= host_size)
        return false;
    char *end;
    errno = 0;
    long number = strtol(before + 1, &end, 10);
    if (end != last || errno || number <= 0 || number > INT_MAX)
        return false;
    memcpy(host, worker, (size_t)(before - worker));
    host[before - worker] = '\0';
    *pid = (int32_t)number;
    return true;
}
