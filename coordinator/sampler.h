/* Samplers: which training options a configuration has. Grid and random (Sobol's points too) are pure functions of (sweep, configuration), so
 * they may be asked in any order and by any coordinator; TPE is one of (sweep, configuration, what is known of others). What was proposed is
 * in the journal before it is used. */
#ifndef NERSWEEP_COORDINATOR_SAMPLER_H
#define NERSWEEP_COORDINATOR_SAMPLER_H

#include "coordinator/sweep.h"
#include "coordinator/tpe.h"

typedef struct Sampler {
    const char *name;
    /* How many configurations there are without a cap; -1: as many as wanted. */
    int64_t (*count)(const Sweep *sweep);
    /* Fills *options, which holds the defaults. past: split; its values are those of sampler_point; NULL: nothing is known. */
    Status (*propose)(const Sweep *sweep, uint32_t configuration, const TpeHistory *past, TrainingOptions *options,
                      Diagnostic *diagnostic);
    bool looks_back; /* at past */
} Sampler;

const Sampler *sampler_find(SearchMethod method);

/* The training options of a configuration with one of the sweep's seeds. */
NODISCARD Status sampler_trial_options(const Sweep *sweep, uint32_t configuration, uint32_t seed_index, const TpeHistory *past,
                                       TrainingOptions *options, Diagnostic *diagnostic);
/* The same for another seed of a configuration whose options are there already. */
NODISCARD Status sampler_other_seed(const Sweep *sweep, uint32_t seed_index, const char *options_json, TrainingOptions *options,
                                    Diagnostic *diagnostic);

/* The parameters of a trial as numbers: values: [parameter_count], of a choice its index, NaN where a parameter is not there. false: they
 * are none of this sweep's: one is missing, or outside its range. */
bool sampler_point(const Sweep *sweep, const Json *parameters, double *values);

/* The lowest and the highest multiple of q in a quantised range; low > high: there is none. */
void sampler_multiples(const SweepParameter *parameter, double *low, double *high);
/* Whether the parameter's option takes this value, as a drawn value is written. */
bool sampler_accepts(const SweepParameter *parameter, double value, Diagnostic *diagnostic);

/* Between the files of the samplers. */
NODISCARD Status sampler_set_number(const SweepParameter *parameter, double value, TrainingOptions *options,
                                    Diagnostic *diagnostic);
NODISCARD Status sampler_draw_random(const Sweep *sweep, uint32_t configuration, uint32_t parameter, TrainingOptions *options,
                                     Diagnostic *diagnostic);
NODISCARD Status sampler_propose_tpe(const Sweep *sweep, uint32_t configuration, const TpeHistory *past, TrainingOptions *options,
                                     Diagnostic *diagnostic);
/* The range of TPE's kernels: normal distributions end at four deviations. */
ParzenDimension sampler_dimension(const SweepParameter *parameter);

#endif
