/* Where a sweep lives, found from what a person types: a sweep file, a sweep's folder, or its name below runs/. */
#ifndef NERSWEEP_CLI_SWEEP_PLACE_H
#define NERSWEEP_CLI_SWEEP_PLACE_H

#include <stdio.h>

#include "coordinator/coordinator.h"
#include "core/io/json.h"

/* argument NULL: the only sweep below runs/. STATUS_NOT_FOUND lists what is there. The caller frees *folder (absolute). */
NODISCARD Status sweep_place_find(const char *argument, char **folder, Diagnostic *diagnostic);

/* The sweep's status: from its running coordinator when it answers within 2 s (*live = true), else from the journal. */
NODISCARD Status sweep_place_status(const char *folder, Json **status_json, bool *live, Diagnostic *diagnostic);

/* A table for people: head line, one line per trial (all, or the best `limit` of the ranking first). */
void sweep_place_print(const Json *status_json, FILE *stream, bool colours, int64_t limit);

#endif
