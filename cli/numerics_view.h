/* nersweep doctor --numerics: does what computes here compute right? */
#ifndef NERSWEEP_CLI_NUMERICS_VIEW_H
#define NERSWEEP_CLI_NUMERICS_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

/* Runs every operation on every level of this processor and with the BLAS, and prints a line for each, or one JSON object. *wrong: how many of the
 * *count settings are not to be used. The environment is as before afterwards. Errors: there is no backend to look at. */
NODISCARD Status numerics_examine(bool as_json, size_t *count, size_t *wrong, Diagnostic *diagnostic);

#endif
