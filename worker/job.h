/* One trial without a coordinator, or a plan of its memory: a job file in, a result file out (worker/README.md). The same job again goes on from
 * its last checkpoint. */
#ifndef NERSWEEP_WORKER_JOB_H
#define NERSWEEP_WORKER_JOB_H

#include "worker/trial.h"

typedef struct JobOptions {
    const char *job_path;
    const char *result_path;
    const volatile int *interrupted; /* not 0: stop after this step; the same job goes on later */
    const Clock *clock;
} JobOptions;

/* Collective. workplace is open, without data. The result file is written whole, by rank 0, when the trial is done. STATUS_INTERRUPTED: the
 * checkpoints in the store are what the next run goes on from. */
NODISCARD Status job_run(Workplace *workplace, const JobOptions *options, Diagnostic *diagnostic);

#endif
