/* How often each window of the training data is seen in an epoch (semantics.md section 4): a factor on windows with spans, with spans of
 * chosen types or forms, or the repeat factors of Gupta et al. 2019 (LVIS), section 4.2. */
#ifndef NERSWEEP_SHARD_OVERSAMPLE_H
#define NERSWEEP_SHARD_OVERSAMPLE_H

#include "core/options/options.h"
#include "shard/shard_store.h"

/* factors: [windows of the split] >= 1, freed by the caller with free(). A window has a span when a piece counted in the loss is of one of
 * its tokens. STATUS_INVALID_INPUT: a type or form of the options is nowhere in the split. */
NODISCARD Status oversample_factors(double **factors, const ShardStore *store, int32_t split, const TrainingOptions *options,
                                    Diagnostic *diagnostic);

#endif
