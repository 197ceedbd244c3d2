/* The sweep file: read, checked as a whole (all problems at once, with line, column and the nearest known name), resolved. */
#ifndef NERSWEEP_COORDINATOR_SWEEP_H
#define NERSWEEP_COORDINATOR_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/io/json.h"
#include "core/options/options.h"

typedef enum SearchMethod { SEARCH_GRID, SEARCH_RANDOM, SEARCH_TPE } SearchMethod;
typedef enum DistributionKind {
    DISTRIBUTION_VALUE,
    DISTRIBUTION_VALUES,
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_INT_UNIFORM,
    DISTRIBUTION_Q_UNIFORM,
    DISTRIBUTION_LOG_UNIFORM_VALUES,
    DISTRIBUTION_Q_LOG_UNIFORM_VALUES,
    DISTRIBUTION_NORMAL,
} DistributionKind;

typedef struct SweepParameter {
    const OptionDescriptor *option; /* of the training options */
    DistributionKind kind;
    StringArray values; /* VALUE and VALUES: texts that option_set accepts, in the file's order */
    double minimum, maximum, q, mean, deviation;
} SweepParameter;

typedef struct NamedPath {
    char *name;
    char *path; /* absolute */
} NamedPath;

typedef struct Sweep {
    char *name;                        /* [A-Za-z0-9._-]+, at most 64 */
    char *file;                        /* the sweep file's path */
    char *text;                        /* its bytes */
    char *model;                       /* absolute folder */
    ARRAY(NamedPath) train, dev, test; /* dev names default to "dev" */
    DataOptions data;
    char *words; /* rule for words, default "corpus" */
    SearchMethod method;
    char *metric_dataset;       /* a dev name, "mean" or "worst"; default the first dev set */
    int32_t run_cap;            /* configurations; grid: default all */
    Int32Array seeds;           /* at least one */
    uint64_t search_seed;       /* of the sampler, default 1 */
    SweepParameter *parameters; /* in the file's order */
    size_t parameter_count;
    bool order_logical;
    int32_t max_retries; /* 2 */
    /* resources: may differ between runs of the same sweep */
    int32_t ranks_per_trial, threads_per_rank, concurrent_trials;
    char *backend, *precision;
    int64_t heartbeat_ms, lease_ms; /* resources.heartbeat, resources.lease in seconds */
    int64_t hang_ms;                /* resources.hang in seconds: a worker whose progress stands still for so long is hung */
    char *storage_path;             /* absolute */
    int64_t save_total_limit;
} Sweep;

/* A problem of a sweep file. */
typedef struct SweepProblem {
    long line, column;
    char message[512];
} SweepProblem;
typedef ARRAY(SweepProblem) SweepProblemArray;

/* overrides: "data.train=FILE", "resources.concurrent_trials=2" ... ([count], may be NULL). Relative paths in the file are relative to the
 * current folder. On STATUS_INVALID_INPUT problems lists everything that is wrong and the diagnostic the first; freed with array_free. */
NODISCARD Status sweep_read(Sweep **sweep, const char *path, const char *const *overrides, size_t override_count,
                            SweepProblemArray *problems, Diagnostic *diagnostic);
void sweep_destroy(Sweep **sweep);
int64_t sweep_configuration_count(const Sweep *sweep); /* run_cap, or the grid's size when smaller */

/* The resolved sweep as JSON: "identity" part (all that decides results) and "resources" part (limits, places). A new root. */
Json *sweep_json(const Sweep *sweep);
/* SHA-256 hex of the identity part. */
void sweep_identity(const Sweep *sweep, char hex[65]);
/* What differs between the identity parts of two sweep_json objects, one line per key ("parameters.learning_rate.max: 0.0003 -> 0.0005"). */
void sweep_difference(const Json *before, const Json *after, Text *text);

#endif
