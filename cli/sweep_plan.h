/* nersweep run --dry-run: what a sweep would do, and take. */
#ifndef NERSWEEP_CLI_SWEEP_PLAN_H
#define NERSWEEP_CLI_SWEEP_PLAN_H

#include "coordinator/sweep.h"

/* How the sweep would run on this machine. Borrowed. */
typedef struct SweepRunning {
    int32_t groups; /* worker groups, each with a trial */
    int32_t ranks;  /* of each */
    int32_t threads;
    const char *backend;
} SweepRunning;

/* Trials, training sentences, disk, and the memory plan of the sweep's largest trial, which the worker program makes: as lines or as JSON on
 * stdout. By the sweep's shards where they are there, else every sentence counts as one of max_seq_length. Nothing is left behind. Errors:
 * STATUS_LIMIT where the trials would never fit, STATUS_OUT_OF_MEMORY where they do not now; the worker says why on stderr. */
NODISCARD Status sweep_plan_show(const Sweep *sweep, const SweepRunning *running, bool as_json, Diagnostic *diagnostic);

#endif
