#include "core/base/clock.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

enum { NS_PER_SECOND = 1000000000, NS_PER_MS = 1000000, MS_PER_SECOND = 1000 };

static int64_t system_monotonic_ns(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int64_t system_wall_ms(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / NS_PER_MS;
}

static void system_sleep_ns(void *context, int64_t duration_ns)
{
    (void)context;
    if (duration_ns <= 0)
        return;
    struct timespec left = {.tv_sec = duration_ns / NS_PER_SECOND, .tv_nsec = duration_ns % NS_PER_SECOND};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
}

const Clock *clock_system(void)
{
    static const Clock system_clock = {NULL, system_monotonic_ns, system_wall_ms, system_sleep_ns};
    return &system_clock;
}
