/* A worker group at work for a coordinator: takes assignments until it is told to shut down. */
#ifndef NERSWEEP_WORKER_SESSION_H
#define NERSWEEP_WORKER_SESSION_H

#include "worker/trial.h"

typedef struct SessionOptions {
    const char *coordinator;  /* address, or NULL */
    const char *sweep_folder; /* or NULL */
    const char *key_file;     /* or NULL */
    bool insecure;
    int64_t give_up_ms;
    const volatile int *interrupted; /* not 0: stop after this step and tell the coordinator */
    const Clock *clock;
} SessionOptions;

/* Collective. workplace is open, without data. STATUS_OK after a SHUTDOWN; STATUS_INTERRUPTED; STATUS_UNREACHABLE when there was no coordinator
 * for give_up_ms; the coordinator's reason when it refuses this worker. */
NODISCARD Status session_run(Workplace *workplace, const SessionOptions *options, Diagnostic *diagnostic);

#endif
