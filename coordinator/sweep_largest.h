/* Which of a sweep's trials take the most memory, before there is one. */
#ifndef NERSWEEP_COORDINATOR_SWEEP_LARGEST_H
#define NERSWEEP_COORDINATOR_SWEEP_LARGEST_H

#include "coordinator/sweep.h"

typedef ARRAY(TrainingOptions) TrainingOptionsArray;

/* Appends the options of trials as large as any: each option by which memory grows at the most that it can be (a range's bound, wherever its
 * distribution would draw), once for each freezing schedule there is. Other options are at their first value, or the default. A parameter
 * with conditions may also be at its default. */
NODISCARD Status sweep_largest_options(const Sweep *sweep, TrainingOptionsArray *largest, Diagnostic *diagnostic);

#endif
