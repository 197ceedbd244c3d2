/* The profile of a training run as a file: operations by name against the device's peaks, and what no operation covers. */
#ifndef NERSWEEP_WORKER_PROFILE_REPORT_H
#define NERSWEEP_WORKER_PROFILE_REPORT_H

#include "core/io/json.h"
#include "kernels/peaks.h"
#include "kernels/profile.h"
#include "model/config.h"
#include "worker/trainer.h"
#include "worker/work_section.h"

typedef struct ProfileSummary {
    const Profile *profile;
    const BackendPeaks *peaks;
    const BertConfig *config; /* names the matrices by their shapes */
    const char *precision;    /* "fp32", "bf16" */
    const char *device;       /* as the backend describes it */
    int32_t threads, ranks;   /* threads of this rank; the profile is of rank 0 */
    const ProfiledSteps *steps;
} ProfileSummary;

/* {"device", "precision", "threads", "ranks", "rank", "synchronized",
 *  "peaks": {"fp32_gflops", "bf16_gflops", "memory_gb_per_s", "memory_mb"},
 *  "training": {"steps", "pieces", "own_pieces", "first_step_s" (not among them, unless it is all there is), "wall_s", "operations_s",
 *               "planning_s", "reading_s", "reduction_s", "host_s", "roofline_s", "share_of_roofline", "operations": [...]},
 *  "evaluation": {"wall_s", "operations_s", "host_s", "roofline_s", "share_of_roofline", "operations": [...]},
 *  "other": {the same, but "setup_s" and "checkpoint_s" for "host_s"}}.
 * An operation: {"operation", "matrix", "n", "k" (of linear layers), "type", "calls", "wall_s", "share_of_wall", "flop", "bytes", "gflops",
 * "gb_per_s", "roofline_s", "bound" ("compute", "memory"), "share_of_roofline"}, the longest first. share_of_roofline: roofline_s / wall_s;
 * what is found in caches can be above 1 where memory is the bound. A new root. */
Json *profile_summary_json(const ProfileSummary *summary);

#endif
