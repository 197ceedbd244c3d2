/* Running nersweep-worker as a program. */
#ifndef NERSWEEP_CLI_PROCESS_H
#define NERSWEEP_CLI_PROCESS_H

#include <stdint.h>

#include "core/base/status.h"

/* Path of nersweep-worker: $NERSWEEP_WORKER, beside this program, or on PATH. The caller frees it. */
NODISCARD Status process_worker_path(char **path, Diagnostic *diagnostic);

/* Runs argv (NULL-terminated) and waits. The child dies with this process, and gets SIGTERM when *interrupted rises (SIGKILL at 2).
 * stdout of the child goes to our stderr. *exit_code: of the child, or 128 + signal. */
NODISCARD Status process_run(const char *const *argv, const volatile int *interrupted, int *exit_code, Diagnostic *diagnostic);

/* A worker group on this machine that does one job (worker/README.md). Borrowed. */
typedef struct WorkerJob {
    const char *job, *result;
    int64_t ranks, threads; /* of each rank */
    const char *backend, *log_level;
} WorkerJob;
/* nersweep-worker with this job, under mpirun where it is to have several ranks; otherwise as process_run. */
NODISCARD Status process_run_worker(const WorkerJob *job, const volatile int *interrupted, int *exit_code, Diagnostic *diagnostic);

#endif
