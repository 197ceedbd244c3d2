#include "worker/step_size.h"

#include <stdlib.h>

#include "core/base/memory.h"

enum { MEASURED_EPOCHS_LIMIT = 32 };

/* One step's windows: lengths and chunks, [count] each. */
typedef struct StepWindows {
    Int32Array lengths, chunk_of;
} StepWindows;

/* Raises *size to that of a chunk's part of the micro-batch [first, first + micro_batch). */
static void measure_block(const StepWindows *windows, int64_t count, int32_t chunk, int64_t first, int64_t micro_batch,
                          StepSize *size)
{
    int32_t pieces = 0, sequences = 0;
    for (int64_t i = first; i < count && i < first + micro_batch; i++) {
        bool own = windows->chunk_of.items[i] == chunk;
        pieces += own ? windows->lengths.items[i] : 0;
        sequences += own;
    }
    size->pieces = pieces > size->pieces ? pieces : size->pieces;
    size->sequences = sequences > size->sequences ? sequences : size->sequences;
}

void step_size_measure(StepSize *size, const BatchPlan *plan, const ShardWindowInfo *infos, const Chunks *chunks,
                       int64_t micro_batch)
{
    StepWindows step = {0};
    for (int64_t index = 0; index < batch_plan_step_count(plan); index++) {
        const int64_t *windows;
        int32_t count;
        int64_t pieces = 0;
        batch_plan_step(plan, index, &windows, &count);
        array_reserve(&step.lengths, (size_t)count + 1);
        array_reserve(&step.chunk_of, (size_t)count + 1);
        for (int32_t i = 0; i < count; i++) {
            step.lengths.items[i] = infos[windows[i]].length;
            pieces += step.lengths.items[i];
        }
        batch_split_ranks(step.lengths.items, count, chunks->count, step.chunk_of.items);
        size->step_pieces = pieces > size->step_pieces ? pieces : size->step_pieces;
        for (int32_t chunk = chunks->first; chunk < chunks->first + chunks->own; chunk++) {
            for (int64_t first = 0; first < count; first += micro_batch)
                measure_block(&step, count, chunk, first, micro_batch, size);
        }
    }
    array_free(&step.lengths);
    array_free(&step.chunk_of);
}

Status step_size_measure_epochs(StepSize *size, BatchPlan *plan, const ShardWindowInfo *infos, const Chunks *chunks,
                                int64_t micro_batch, int64_t total_steps, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t steps = batch_plan_step_count(plan), epochs = (total_steps + steps - 1) / steps;
    for (int64_t epoch = 0; epoch < epochs && epoch < MEASURED_EPOCHS_LIMIT; epoch++) {
        TRY(batch_plan_turn(plan, epoch, diagnostic));
        step_size_measure(size, plan, infos, chunks, micro_batch);
    }
out:
    return status;
}
