/* Named fault points: places at which a test may kill, stop or fail this process, to show that nothing is lost there.
 *
 * NERSWEEP_FAULT="[program@]name[:nth[:action]]", nth counted from 1 (default 1), action `kill` (SIGKILL, default), `stop` (SIGSTOP), `hang`
 * (the calling thread never comes back) or `fail` (fault_point returns true and the caller reports an injected failure). NERSWEEP_FAULT_LOG=FILE: the name is appended to FILE before
 * the action, so that a test can assert that the point was really reached. NERSWEEP_FAULT_ONCE=FILE: only the process that creates FILE
 * acts, so that processes started again with the same environment are spared. `program@` names the only program that is meant. Without the variable a point costs one comparison. */
#ifndef NERSWEEP_CORE_BASE_FAULT_H
#define NERSWEEP_CORE_BASE_FAULT_H

#include <stdbool.h>

/* true: behave as if the operation that follows had failed. Thread-safe. */
bool fault_point(const char *name);

#endif
