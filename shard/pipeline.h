/* An ordered pipeline with bounded memory: cut -> read -> work -> write, on several threads. Internal to shard/.
 *
 * Slots go round: `fill` puts the next piece of input into one, `read` and `work` make something of it, `finish` takes it out. fill is called
 * by one thread at a time and finish by the calling thread only, both in the order of the input; read and work by any thread, on several
 * slots at once. Every thread takes the next thing that there is to do, so that none waits while there is something. What happens is the same
 * for any number of threads: of several errors the one that comes first in the input counts, and everything before it was finished. */
#ifndef NERSWEEP_SHARD_PIPELINE_H
#define NERSWEEP_SHARD_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct PipelineStages {
    void *context;
    /* *more = false: the slot stays empty, the input is at its end. After an error, what the slot holds still goes through all that follows. */
    Status (*fill)(void *context, void *slot, bool *more, Diagnostic *diagnostic);
    /* After an error, which comes before one of fill, what the slot holds still goes through work and finish; no further one is begun. */
    Status (*read)(void *context, void *slot, Diagnostic *diagnostic);
    /* Between read and work, in the order of the input: what depends on what was read before. All others wait meanwhile. */
    void (*order)(void *context, void *slot);
    Status (*work)(void *context, void *slot, Diagnostic *diagnostic);
    Status (*finish)(void *context, void *slot, Diagnostic *diagnostic);
    size_t (*cost)(void *context, const void *slot); /* bytes that a filled slot holds on to */
    size_t cost_limit;                               /* no further slot is filled while those filled cost more */
} PipelineStages;

/* Slots that keep `threads` threads busy. */
size_t pipeline_slot_count(int32_t threads);
/* slots: [slot_count]. threads counts the calling one. */
NODISCARD Status pipeline_run(const PipelineStages *stages, void *const *slots, size_t slot_count, int32_t threads,
                              Diagnostic *diagnostic);

/* Processors that this process may use. */
int32_t pipeline_processors(void);

#endif
