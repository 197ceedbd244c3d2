/* Where a sweep lives, found from what a person types: a sweep file, a sweep's folder, or its name below runs/. */
#ifndef NERSWEEP_CLI_SWEEP_PLACE_H
#define NERSWEEP_CLI_SWEEP_PLACE_H

#include <stdio.h>

#include "coordinator/coordinator.h"
#include "core/io/json.h"

/* argument NULL: the only sweep below runs/. STATUS_NOT_FOUND lists what is there. The caller frees *folder (absolute). */
NODISCARD Status sweep_place_find(const char *argument, char **folder, Diagnostic *diagnostic);

/* How a coordinator on another machine is reached. */
typedef struct SweepAccess {
    const char *key_file; /* NULL: reader.key in keys/ of the sweep's folder, where it is wanted */
    bool insecure;
} SweepAccess;
#define SWEEP_ACCESS_FLAGS(flags_type)                                                                                 \
    FLAG_STRING(flags_type, key,                                                                                       \
                "reader.key or operator.key of the coordinator's keys; default: that in keys/ of the sweep's folder"), \
        FLAG_BOOLEAN(flags_type, insecure, "speak with a coordinator on another machine without keys")
/* A context for sockets that connect to the endpoint of the sweep in folder. */
NODISCARD Status sweep_place_context(SocketContext **context, const char *folder, const Endpoint *endpoint,
                                     const SweepAccess *access, Diagnostic *diagnostic);

/* The sweep's status: from its running coordinator when it answers within 2 s (*live = true), else from the journal, with a warning where
 * the coordinator does not let us in. */
NODISCARD Status sweep_place_status(const char *folder, const SweepAccess *access, Json **status_json, bool *live,
                                    Diagnostic *diagnostic);

/* A table for people: head line, one line per trial (all, or the best `limit` of the ranking first). */
void sweep_place_print(const Json *status_json, FILE *stream, bool colours, int64_t limit);

#endif
