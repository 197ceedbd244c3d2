/* The chunks that an optimizer step is cut into, and which of them are this rank's.
 *
 * deterministic rank: one for each rank. deterministic world: virtual_ranks of them whatever the number of ranks, each of which has a run of
 * neighbours. What is added over chunks (gradients, losses) is added pairwise by one binary tree over their numbers: (0 + 1) + (2 + 3) ...; the
 * subtree of a rank is a subtree of the whole, so the sums are the same bits however many ranks there are. */
#ifndef NERSWEEP_WORKER_CHUNKS_H
#define NERSWEEP_WORKER_CHUNKS_H

#include "core/options/options.h"
#include "worker/communicator.h"

typedef struct Chunks {
    int32_t count;      /* of a step */
    int32_t first, own; /* this rank's are [first, first + own) */
} Chunks;

/* STATUS_INVALID_INPUT, naming both numbers, where the ranks do not divide virtual_ranks. */
NODISCARD Status chunks_make(Chunks *chunks, const Communicator *communicator, const TrainingOptions *options,
                             Diagnostic *diagnostic);

/* Gradients that wait for their neighbours at most, while a rank adds up its chunks: log2 of own. */
int32_t chunks_waiting_limit(const Chunks *chunks);

/* Collective. values: [count], one of each chunk, 0 for those of other ranks; overwritten. Every rank gets the sum by the tree. */
double chunks_sum(const Chunks *chunks, Communicator *communicator, double *values);

#endif
