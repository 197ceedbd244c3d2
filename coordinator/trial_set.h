/* Inside coordinator/ only: a set of trials that tells the lowest member in the same time whatever its size: bits, and above each 64 of them
 * one bit that says whether any is set. */
#ifndef NERSWEEP_COORDINATOR_TRIAL_SET_H
#define NERSWEEP_COORDINATOR_TRIAL_SET_H

#include <stdbool.h>
#include <stdint.h>

enum { TRIAL_SET_LEVELS = 4, TRIAL_SET_LIMIT = 1 << 20 }; /* members are below the limit */

typedef struct TrialSet TrialSet;
TrialSet *trial_set_create(void); /* empty; freed with free() */
void trial_set_add(TrialSet *set, uint32_t trial);
void trial_set_remove(TrialSet *set, uint32_t trial);
/* The lowest member that is not below `from`; false: there is none. */
bool trial_set_next(const TrialSet *set, uint32_t from, uint32_t *trial);

#endif
