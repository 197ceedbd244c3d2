/* One trial on a workplace: start weights or a checkpoint in, checkpoints and scores out. */
#ifndef NERSWEEP_WORKER_TRIAL_H
#define NERSWEEP_WORKER_TRIAL_H

#include "worker/trainer.h"
#include "worker/workplace.h"

typedef struct TrialRequest {
    AssignmentId id;
    TrainingOptions options;
    TrialMetric metric;
    bool evaluate;
    bool test;            /* score the split "test" with the best and the last checkpoint at the end */
    const char *resume;   /* checkpoint to go on from; NULL or "": from the start */
    bool resume_optional; /* one that does not fit is dropped and the trial begun anew */
    TrainerHooks hooks;
    const HostFiles *host_files; /* NULL: the system's */
    const Clock *clock;
} TrialRequest;

typedef struct TrialOutcome {
    TrainerResult training;
    bool tested;
    DatasetScore best_test, last_test;
    MemoryPlan memory; /* as far as it was planned */
    double wall_s;
} TrialOutcome;

/* Collective. outcome is filled in as far as it came, also on failure, and freed by trial_outcome_free. */
NODISCARD Status trial_train(const Workplace *workplace, const TrialRequest *request, TrialOutcome *outcome,
                             Diagnostic *diagnostic);
void trial_outcome_free(TrialOutcome *outcome);

/* Collective. Scores the split "test" (all of its files) with a checkpoint. */
NODISCARD Status trial_test(const Workplace *workplace, const TrialRequest *request, const char *checkpoint, DatasetScore *score,
                            TrainerStop *stop, Diagnostic *diagnostic);

/* {"wall_s", "train_s", "evaluate_s", "checkpoint_s", "pieces", "pieces_per_s", "peak_rss_mb", "backend"}: what never decides anything. A new
 * root. */
Json *trial_statistics_json(const Workplace *workplace, const TrialOutcome *outcome);
double process_peak_rss_mb(void);

#endif
