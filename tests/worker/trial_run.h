/* One trial trained in this process, one rank without MPI, on the training ground, and what it left behind. */
#ifndef NERSWEEP_TESTS_WORKER_TRIAL_RUN_H
#define NERSWEEP_TESTS_WORKER_TRIAL_RUN_H

#include "core/base/memory.h"
#include "tests/worker/fixture.h"
#include "worker/trial.h"

/* What a run left behind. */
typedef struct Run {
    TrialOutcome outcome;
    Status status;
    Diagnostic diagnostic;
    FloatArray losses; /* [steps] */
    char *store;
} Run;

/* How a run differs from a whole trial with default options. */
typedef struct Wish {
    const char *store, *options, *resume, *dataset;
    int64_t stop_after_step;
    uint64_t fence, acknowledge_only;
    bool no_evaluation;
    DeviceType product_type;
    const HostFiles *host_files;
    uint64_t memory_limit_bytes;
} Wish;

/* Trains a trial into the store FOLDER/wish->store; run->status says how it went. To be given to run_free. */
void run_trial(const Ground *ground, const Wish *wish, Run *run);
void run_free(Run *run);

/* The checkpoints have the same bytes, and a model among them. */
void assert_same_file(const char *store_a, const char *name_a, const char *store_b, const char *name_b);

#endif
