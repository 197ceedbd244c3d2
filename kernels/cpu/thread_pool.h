/* A fixed set of threads for short parallel loops.
 *
 * The caller takes part as thread 0. Which thread does which task is left to chance, so a task's result must depend on its index alone:
 * that is what makes results the same bits for any number of threads. Threads wait awake for a moment between loops and then sleep. */
#ifndef NERSWEEP_KERNELS_CPU_THREAD_POOL_H
#define NERSWEEP_KERNELS_CPU_THREAD_POOL_H

#include <stddef.h>

#include "core/base/status.h"

typedef struct ThreadPool ThreadPool;

/* thread: 0 .. thread_count - 1, for scratch memory; index: 0 .. count - 1. */
typedef void (*ThreadPoolTask)(void *context, int thread, size_t index);

/* thread_count counts the caller. Errors: the system's, when it gives no more threads. */
NODISCARD Status thread_pool_create(ThreadPool **pool, int thread_count, Diagnostic *diagnostic);
void thread_pool_destroy(ThreadPool **pool);

/* Does count tasks and returns when all are done. One caller at a time. */
void thread_pool_run(ThreadPool *pool, ThreadPoolTask task, void *context, size_t count);

/* Denormal numbers count as zero in every thread of a pool, so that results do not depend on which thread computed them; the caller of
 * thread_pool_run sets the same mode around its calls. Returns the mode before, for thread_pool_restore_mode. */
unsigned thread_pool_set_mode(void);
void thread_pool_restore_mode(unsigned mode);

#endif
