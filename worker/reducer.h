/* Gradients summed over the chunks of a step: first over those of this rank, then over ranks while backward goes on: the sum of a part
 * starts as soon as the model says that the part is ready. A rank gets the sums that it updates weights by (worker/shares.h).
 *
 * Both by the tree of worker/chunks.h. The chunks of a rank are added as a binary counter counts: gradients of chunk c are added to the
 * subtrees that it completes, and what waits for its neighbour is kept in a buffer of its own, log2(chunks) of them at most. */
#ifndef NERSWEEP_WORKER_REDUCER_H
#define NERSWEEP_WORKER_REDUCER_H

#include "model/model.h"
#include "worker/chunks.h"

typedef struct Reducer Reducer;
/* communicator and model must outlive it; the model's gradients exist already. */
NODISCARD Status reducer_create(Reducer **reducer, Communicator *communicator, Model *model, const Chunks *chunks,
                                Diagnostic *diagnostic);
void reducer_destroy(Reducer **reducer);

/* Reserves what waits, in buffers as large as the model's gradients now are; to be called when these may have been planned anew.
 * Errors: STATUS_OUT_OF_MEMORY with the bytes wanted. */
NODISCARD Status reducer_plan(Reducer *reducer, Diagnostic *diagnostic);

/* A new step begins: nothing is summed yet. part_frozen: [part_count], lives until reducer_finish; frozen parts are left out. */
void reducer_begin(Reducer *reducer, const bool *part_frozen);
/* The gradients of chunk `index` (from 0, in order, not the last of this rank) are complete; the model then has another buffer for those of the
 * next chunk, whose contents are of no meaning. */
void reducer_keep_chunk(Reducer *reducer, int32_t index);
/* What a ModelPartReady does for the last chunk of this rank. */
NODISCARD Status reducer_part_ready(Reducer *reducer, int32_t part, Diagnostic *diagnostic);
/* Lets sums over ranks get on. */
void reducer_progress(Reducer *reducer);
/* Starts the parts that were not announced (this rank had nothing to do, or failed) and waits for all. Every rank must come here: the sums
 * are collective. Afterwards the device's gradients of the word embeddings and of this rank's share of each part (communicator_share, from
 * model_dense_offset on) are the sums; the others are of no meaning. */
NODISCARD Status reducer_finish(Reducer *reducer, Diagnostic *diagnostic);
/* Of the last step: parts whose sums were begun before reducer_finish. */
int32_t reducer_early_parts(const Reducer *reducer);

#endif
