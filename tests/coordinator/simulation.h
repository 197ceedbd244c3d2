/* A seeded world around the core: workers that train, die, freeze, lie still and take each other's names; a network that drops, doubles, delays,
 * reorders and parts; a coordinator that is killed between and within its journal writes; a wall clock that jumps; a disk that is full for a
 * while. The same seed gives the same run. Nothing is acknowledged that is not durable, or the test fails. */
#ifndef NERSWEEP_TESTS_COORDINATOR_SIMULATION_H
#define NERSWEEP_TESTS_COORDINATOR_SIMULATION_H

#include "coordinator/core.h"

typedef struct SimulationOptions {
    uint64_t seed;
    int workers;
    double drop, repeat;                             /* share of messages */
    int64_t delay_limit_ms;                          /* each takes up to so long: they overtake one another */
    double worker_kill, worker_freeze, worker_fault; /* per worker and second */
    double coordinator_kill, coordinator_pause;      /* per second */
    double partition;  /* per worker and second: it is cut off for longer than a lease, and trains on */
    double clock_jump; /* per second: the wall clock goes up to two hours forth or back */
    double disk_full;  /* per second: for up to half a minute, one time in twenty for longer than a coordinator waits */
    bool twins;        /* two workers each say the same name */
} SimulationOptions;

/* The journal: encoded records, durable ones only. */
typedef struct SimulatedJournal {
    ARRAY(Text) records;
} SimulatedJournal;
void simulated_journal_free(SimulatedJournal *journal);

/* All that can happen, some of it in every sweep. */
SimulationOptions simulation_storm(uint64_t seed, int workers);

/* Runs until the sweep has ended, going on from journal, which grows. The result is what must be the same whatever happened: trials,
 * parameters, evaluations, ranking, winner, test score. Fails the test when it takes too long, or when a trial ends twice. */
char *simulation_run(const Sweep *sweep, const SimulationOptions *options, SimulatedJournal *journal);
/* Fails the test unless a coordinator that dies after any record (of stride records) of a calm run, with all its workers, comes to the same. */
void simulation_check_cuts(const Sweep *sweep, size_t stride);

/* How often things happened, so that a test can say that they did. */
typedef struct SimulationCounts {
    uint64_t dropped, repeated, workers_killed, workers_frozen, faults, coordinators_killed, pauses, torn_batches, stale_releases,
        partitions, jumps, full_disks, given_up, killed_waiting;
} SimulationCounts;
extern SimulationCounts simulation_counts;

/* What a trial of the simulated world comes to, from its options alone. */
typedef struct SimulatedTrial {
    uint32_t evaluations;
    bool diverges, fails;
} SimulatedTrial;

#endif
