/* The optimizer shared out over the ranks (Rajbhandari et al. 2020, "ZeRO", stage 1): of each part of the model, the word embeddings aside, a rank gets
 * the sums of gradients of its share alone, holds the moments of that share, updates its weights, and sends them to all. Word embeddings are
 * everybody's: their rows are sparse, and a step's are read by all ranks before anybody could send them. */
#ifndef NERSWEEP_WORKER_SHARES_H
#define NERSWEEP_WORKER_SHARES_H

#include "kernels/profile.h"
#include "model/optimizer.h"
#include "worker/communicator.h"

typedef struct Shares Shares;
/* All arguments must outlive it. profile: of the model's device; may be NULL. */
NODISCARD Status shares_create(Shares **shares, Communicator *communicator, Model *model, Profile *profile, Diagnostic *diagnostic);
void shares_destroy(Shares **shares);
/* For optimizer_create; lives as long as shares. NULL: there is but one rank. */
const OptimizerRanks *shares_ranks(const Shares *shares);

/* Floats of each moment that a rank holds of the parts that train. */
size_t shares_moment_floats(const Communicator *communicator, int32_t rank, const ModelLayout *layout, const bool *part_frozen);

/* Moments of all ranks, brought to rank 0 piece by piece while it writes them. */
typedef struct MomentStream MomentStream;
/* Collective: what moments_next gives are the moments as they now are. All ranks get the same status, and *stream is NULL on failure. */
NODISCARD Status moments_open(MomentStream **stream, Communicator *communicator, Model *model, Optimizer *optimizer,
                              Diagnostic *diagnostic);
/* On rank 0: the next floats of the first moment in the model's layout, then of the second one, valid until the next call. Never more than are
 * left of a moment. */
void moments_next(MomentStream *stream, const float **values, size_t *count);
/* [part_count] of the optimizer. */
const int64_t *moments_part_t(const MomentStream *stream);
/* Collective: other ranks send what rank 0 reads; what it did not read is thrown away. */
void moments_close(MomentStream **stream);

#endif
