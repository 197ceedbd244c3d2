/* Running nersweep-worker as a program. */
#ifndef NERSWEEP_CLI_PROCESS_H
#define NERSWEEP_CLI_PROCESS_H

#include "core/base/status.h"

/* Path of nersweep-worker: $NERSWEEP_WORKER, beside this program, or on PATH. The caller frees it. */
NODISCARD Status process_worker_path(char **path, Diagnostic *diagnostic);

/* Runs argv (NULL-terminated) and waits. The child dies with this process, and gets SIGTERM when *interrupted rises (SIGKILL at 2).
 * stdout of the child goes to our stderr. *exit_code: of the child, or 128 + signal. */
NODISCARD Status process_run(const char *const *argv, const volatile int *interrupted, int *exit_code, Diagnostic *diagnostic);

#endif
