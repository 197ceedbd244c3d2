/* Starting a sweep in its folder: what `run` and `coordinator` share before the event loop begins. */
#ifndef NERSWEEP_CLI_SWEEP_START_H
#define NERSWEEP_CLI_SWEEP_START_H

#include "coordinator/sweep.h"

/* Reads the sweep file; every problem is printed on stderr as file:line:column: error: ... */
NODISCARD Status sweep_start_read(Sweep **sweep, const char *path, const StringArray *overrides, Diagnostic *diagnostic);

/* Makes the sweep's folder (absolute; the caller frees it), refuses another sweep of this name with the difference shown (start_new: takes
 * the next free name NAME-2, NAME-3 ... instead), builds the shards. */
NODISCARD Status sweep_start_prepare(Sweep *sweep, bool start_new, const volatile int *interrupted, char **folder,
                                     Diagnostic *diagnostic);

/* Whether folder holds this sweep, and no other of its name. */
bool sweep_start_is_same(const Sweep *sweep, const char *folder);

#endif
