/* Threads that a package starts beside those of the program. */
#ifndef NERSWEEP_CORE_BASE_THREAD_H
#define NERSWEEP_CORE_BASE_THREAD_H

#include <pthread.h>

#include "core/base/status.h"

/* pthread_create, but the new thread blocks all signals: they are for the program's own threads, which wait for them. The caller's mask stays as
 * it is. Returns an error number, 0 for none; without an error *thread is to be joined or detached. */
NODISCARD int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
