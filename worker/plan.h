/* A job of kind "plan": what trainings would take of memory, without one (worker/README.md). `nersweep run --dry-run` asks. */
#ifndef NERSWEEP_WORKER_PLAN_H
#define NERSWEEP_WORKER_PLAN_H

#include "worker/workplace.h"

/* Collective. Plans a training with each of the job's options, and the largest so many times over; rank 0 writes that plan to result_path.
 * Errors: those of memory_plan_choose and memory_plan_multiply where there is not enough. */
NODISCARD Status plan_run(const Workplace *workplace, const Json *job, const char *job_path, const char *result_path,
                          Diagnostic *diagnostic);

#endif
