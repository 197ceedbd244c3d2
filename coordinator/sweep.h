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

/* `when`: the parameter is there only where an earlier one has one of these values. */
typedef struct SweepCondition {
    size_t parameter;   /* its number: below that of the one that depends on it; VALUE or VALUES */
    StringArray values; /* texts as in its own values */
} SweepCondition;

typedef struct SweepParameter {
    const OptionDescriptor *option; /* of the training options */
    DistributionKind kind;
    StringArray values; /* VALUE and VALUES: texts that option_set accepts, in the file's order */
    double minimum, maximum, q, mean, deviation;
    ARRAY(SweepCondition) conditions; /* all must hold; none: it is always there */
} SweepParameter;

/* How the search looks back and ahead. */
typedef struct SearchOptions {
    bool sobol;             /* random: Sobol's points instead of random ones */
    bool multivariate;      /* tpe: all parameters at once, default true */
    int64_t startup_trials; /* tpe: random ones before the first proposal, 10 */
    int64_t lag;            /* order logical: configuration c knows of those below c - lag, 4 */
} SearchOptions;

typedef enum TerminationRule { TERMINATION_NONE, TERMINATION_ASHA, TERMINATION_HYPERBAND, TERMINATION_MEDIAN } TerminationRule;

/* Early termination (terminator.h). Resources are counted in evaluations. */
typedef struct EarlyTermination {
    TerminationRule rule;
    int64_t min_iter;   /* the first rung, 1 */
    int64_t max_iter;   /* asha, hyperband: a trial with so many has all it gets; 0: no such limit */
    int64_t eta;        /* asha, hyperband: one of so many goes on, 3 */
    int64_t min_trials; /* median: nobody is stopped before so many others have come as far, 5 */
} EarlyTermination;

/* What the sweep may use up before nothing new is begun; 0: no limit. */
typedef struct SearchBudget {
    int64_t time_ms;    /* while a coordinator runs */
    int64_t compute_ms; /* of all worker groups together, while they have a trial */
    int64_t trials;     /* begun */
} SearchBudget;

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
    ARRAY(NamedPath) pseudo, weak;     /* further training files: labels by a model, or by sources to be voted on */
    DataOptions data;
    char *words; /* rule for words, default "corpus" */
    SearchMethod method;
    char *metric_dataset;       /* a dev name, "mean" or "worst"; default the first dev set */
    int32_t run_cap;            /* configurations; grid: default all */
    Int32Array seeds;           /* at least one */
    uint64_t search_seed;       /* of the sampler, default 1 */
    SweepParameter *parameters; /* in the file's order */
    size_t parameter_count;
    SearchOptions search;
    EarlyTermination early_termination;
    bool order_logical;     /* grid and random without early termination have no other order */
    StringArray warm_start; /* absolute folders of earlier sweeps */
    Json *warm_history;     /* [{"parameters", "score"}] of their completed configurations; NULL: none asked for, or one is gone
                               after this sweep has begun */
    int32_t max_retries;    /* 2 */
    /* resources: may differ between runs of the same sweep */
    int32_t ranks_per_trial, threads_per_rank, concurrent_trials;
    char *backend, *precision, *memory_limit;
    int64_t heartbeat_ms, lease_ms; /* resources.heartbeat, resources.lease in seconds */
    int64_t hang_ms;                /* resources.hang in seconds: a worker whose progress stands still for so long is hung */
    char *storage_path;             /* absolute */
    int64_t save_total_limit;
    SearchBudget budget;
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
/* Whether the conditions of a parameter, and of those that it depends on, hold with these options. */
bool sweep_parameter_active(const Sweep *sweep, size_t parameter, const TrainingOptions *options);
/* Whether results decide what is tried next, in the logical order: a configuration waits for those that it knows of. */
bool sweep_waits_in_order(const Sweep *sweep);

/* The resolved sweep as JSON: "identity" part (all that decides results) and "resources" part (limits, places). A new root. */
Json *sweep_json(const Sweep *sweep);
/* SHA-256 hex of the identity part. */
void sweep_identity(const Sweep *sweep, char hex[65]);
/* What differs between the identity parts of two sweep_json objects, one line per key ("parameters.learning_rate.max: 0.0003 -> 0.0005"). */
void sweep_difference(const Json *before, const Json *after, Text *text);

#endif
