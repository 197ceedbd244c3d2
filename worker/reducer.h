/* Gradients summed over ranks while backward goes on: the sum of a part starts as soon as the model says that the part is ready. */
#ifndef NERSWEEP_WORKER_REDUCER_H
#define NERSWEEP_WORKER_REDUCER_H

#include "model/model.h"
#include "worker/communicator.h"

typedef struct Reducer Reducer;
/* communicator and model must outlive it. */
NODISCARD Status reducer_create(Reducer **reducer, Communicator *communicator, Model *model, Diagnostic *diagnostic);
void reducer_destroy(Reducer **reducer);

/* A new step begins: nothing is summed yet. part_frozen: [part_count], lives until reducer_finish; frozen parts are left out. */
void reducer_begin(Reducer *reducer, const bool *part_frozen);
/* A ModelPartReady with the reducer as context. */
NODISCARD Status reducer_part_ready(void *reducer, int32_t part, Diagnostic *diagnostic);
/* Starts the parts that were not announced (this rank had nothing to do, or failed) and waits for all. Every rank must come here: the sums
 * are collective. Afterwards the device's gradients are the sums. */
NODISCARD Status reducer_finish(Reducer *reducer, Diagnostic *diagnostic);

#endif
