/* The coordinator as a whole: one event loop (server.c) around the pure core (core.h). For cli/: run it in this process.
 *
 * A sweep's folder, STORAGE/NAME:
 *   sweep.yaml (as submitted) · shards/ · journal/ · objects/ manifests/ (core/store) · endpoint.json · lock · logs/ */
#ifndef NERSWEEP_COORDINATOR_COORDINATOR_H
#define NERSWEEP_COORDINATOR_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/sweep.h"
#include "core/base/clock.h"
#include "core/io/file.h"
#include "core/io/json.h"
#include "proto/endpoint.h" /* where a running coordinator listens */

typedef struct CoordinatorOptions {
    const Sweep *sweep;
    const char *sweep_folder;   /* absolute; exists, with shards/ built */
    const char *listen;         /* ROUTER address; NULL: ipc in a private folder (embedded run) */
    const char *feed;           /* PUB address; NULL: beside listen */
    const char *keys;           /* folder of keys; NULL: that of the sweep where an address can be reached from other machines, else none */
    bool make_keys;             /* the sweep's, where they are needed and not there */
    bool insecure;              /* such addresses without keys */
    bool take_over;             /* seal a predecessor that still holds the lock */
    bool exit_when_done;        /* end when the sweep has (run); daemons stay for readers until told to stop otherwise */
    int64_t linger_ms;          /* after the end, serve readers this long */
    int local_groups;           /* worker groups to start and keep alive on this machine; 0: none */
    const char *worker_program; /* path of nersweep-worker, for local groups */
    int ranks_per_group, threads_per_rank;
    const char *backend;             /* for local groups */
    const volatile int *interrupted; /* 1: stop assigning, let workers save (SIGTERM), end with STATUS_INTERRUPTED; 2: at once */
    const Clock *clock;
    const FileSystem *fs; /* of the journal; NULL: the system's */
    void (*on_event)(void *context, const Json *event); /* each status event, for the progress display of `run`; may be NULL */
    void *on_event_context;
} CoordinatorOptions;

/* Runs until the sweep has ended. Status messages of the sweep go to the feed; the final ranking can be read with sweep_results_read.
 * A full disk is waited for, ten minutes at most; nothing is acknowledged meanwhile.
 * Errors: STATUS_NO_SPACE the disk stayed full; STATUS_BUSY another coordinator holds this sweep (host, pid named) or the port is taken; STATUS_MISMATCH the journal belongs to another sweep. */
NODISCARD Status coordinator_run(const CoordinatorOptions *options, Diagnostic *diagnostic);

/* Events (on_event, and the JSON of MESSAGE_STATUS_EVENT): {"event": KIND, "text": a line for people, "sequence", "wall_ms", ...} with KIND
 *   trial_created, assigned, reported, attempt_ended, trial_ended: "trial" as in the status below, without "evaluations"; reported also has
 *     "evaluation"
 *   progress: "trial": {"trial","step","total_steps","loss","pieces_per_s"} (from heartbeats; never in the journal)
 *   worker: "worker", "state": joined|lost
 *   opened, control, test_scored, sweep_ended, promoted, budget_spent, warm_started: "state"; test_scored and sweep_ended also "winner" */

/* The status as JSON, read from the journal alone, with or without a running coordinator:
 * {"name","identity","state":"running|paused|done|...","metric":{..},"trials":[{"trial","configuration","seed","state","parameters":{..},
 *  "step","total_steps","epoch","score","best_score","best_step","best_checkpoint","attempts","evaluations":[..],"reason"}],
 *  "ranking":[{"configuration","mean","spread","trials":[..]}],"winner":{"trial","checkpoint","score","test":{..}|null}|null,
 *  "trials_total","workers":[{"worker","host","pid","trial"|null}]}
 * state: running, paused, done, failed, cancelled. A trial's state: pending, running, paused (by somebody, or at a rung of early
 * termination), completed, stopped (by early termination), failed, diverged, cancelled; trials are
 * listed once they have begun, trials_total counts those to come too. spread: standard deviation over the seeds' best scores. The ranking
 * puts configurations with a failed or cancelled seed last, a diverged seed counts 0. workers: of a running coordinator. */
NODISCARD Status sweep_status_read(const char *sweep_folder, Json **status, Diagnostic *diagnostic);

#endif
