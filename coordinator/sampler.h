/* Samplers: which training options a configuration has. Grid and random are pure functions of (sweep, configuration), so they may be asked in
 * any order and by any coordinator (semantics.md section 5: always logical). */
#ifndef NERSWEEP_COORDINATOR_SAMPLER_H
#define NERSWEEP_COORDINATOR_SAMPLER_H

#include "coordinator/sweep.h"

typedef struct Sampler {
    const char *name;
    /* How many configurations there are without a cap; -1: as many as wanted. */
    int64_t (*count)(const Sweep *sweep);
    /* Fills *options, which holds the defaults. */
    Status (*propose)(const Sweep *sweep, uint32_t configuration, TrainingOptions *options, Diagnostic *diagnostic);
} Sampler;

/* NULL: the method has none in this version. */
const Sampler *sampler_find(SearchMethod method);

/* The training options of a configuration with one of the sweep's seeds. */
NODISCARD Status sampler_trial_options(const Sweep *sweep, uint32_t configuration, uint32_t seed_index, TrainingOptions *options,
                                       Diagnostic *diagnostic);

/* The lowest and the highest multiple of q in a quantised range; low > high: there is none. */
void sampler_multiples(const SweepParameter *parameter, double *low, double *high);
/* Whether the parameter's option takes this value, as a drawn value is written. */
bool sampler_accepts(const SweepParameter *parameter, double value, Diagnostic *diagnostic);

#endif
