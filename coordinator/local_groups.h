/* Worker groups as children of this process: started, watched, restarted with back-off, killed together. A child dies with its parent
 * (PR_SET_PDEATHSIG), whatever ended it. */
#ifndef NERSWEEP_COORDINATOR_LOCAL_GROUPS_H
#define NERSWEEP_COORDINATOR_LOCAL_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct LocalGroups LocalGroups;

typedef struct LocalGroupsOptions {
    int count, ranks, threads;
    const char *program, *address, *backend;
    const char *key_file;     /* of a worker; NULL: the coordinator has no keys */
    bool insecure;            /* the address is not of this machine alone, and there are no keys */
    const char *sweep_folder; /* logs/worker-K.log below it takes what group K prints */
} LocalGroupsOptions;

/* A group ended without having been asked to. worker: the name that it said HELLO with, or NULL. */
typedef void (*LocalGroupLost)(void *context, const char *worker, const char *reason);

/* Nothing is started yet. STATUS_NOT_FOUND: the program is not there. */
NODISCARD Status local_groups_create(LocalGroups **groups, const LocalGroupsOptions *options, Diagnostic *diagnostic);
void local_groups_destroy(LocalGroups **groups); /* kills what still runs */

/* Reaps what ended, and starts what is to run (restart false: nothing). An error says that every group was given up, with its last words. */
NODISCARD Status local_groups_tick(LocalGroups *groups, int64_t now_ns, bool restart, LocalGroupLost lost, void *context,
                                   Diagnostic *diagnostic);
/* A worker of this machine said HELLO: if it is rank 0 of a group, the group is known by that name from now on. */
void local_groups_hello(LocalGroups *groups, int32_t pid, const char *worker);
/* The worker got on with its work: its failures before are forgotten. */
void local_groups_progress(LocalGroups *groups, const char *worker);
/* Asks every group to save and end (SIGTERM to rank 0). */
void local_groups_terminate(LocalGroups *groups);
void local_groups_kill(LocalGroups *groups);
void local_groups_kill_worker(LocalGroups *groups, int32_t pid);
size_t local_groups_alive(const LocalGroups *groups);

#endif
