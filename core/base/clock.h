/* Time as a table, so that tests can stop it, jump it or turn it back. */
#ifndef NERSWEEP_CORE_BASE_CLOCK_H
#define NERSWEEP_CORE_BASE_CLOCK_H

#include <stdint.h>

typedef struct Clock {
    void *context;
    int64_t (*monotonic_ns)(void *context); /* never goes back; for durations and leases */
    int64_t (*wall_ms)(void *context);      /* milliseconds since 1970-01-01 UTC; for people */
    void (*sleep_ns)(void *context, int64_t duration_ns);
} Clock;

/* The system's clock. Static, thread-safe. */
const Clock *clock_system(void);

#endif
