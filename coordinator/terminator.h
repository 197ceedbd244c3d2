/* Terminators: whether a trial is ended early after an evaluation. Pure functions of the durable state. */
#ifndef NERSWEEP_COORDINATOR_TERMINATOR_H
#define NERSWEEP_COORDINATOR_TERMINATOR_H

#include "coordinator/core.h"

typedef struct Terminator {
    const char *name; /* early_terminate.type */
    /* true: the trial is to end now, with what it has reached. */
    bool (*ends)(const SweepCore *core, uint32_t trial);
} Terminator;

/* The one of a sweep without early_terminate: every trial runs to its end. */
const Terminator *terminator_none(void);

#endif
