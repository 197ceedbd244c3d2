#include "worker/chunks.h"

#include <inttypes.h>

Status chunks_make(Chunks *chunks, const Communicator *communicator, const TrainingOptions *options, Diagnostic *diagnostic)
{
    int32_t rank = communicator_rank(communicator), size = communicator_size(communicator);
    int64_t wanted = options->virtual_ranks;
    *chunks = (Chunks){.count = size, .first = rank, .own = 1};
    if (options->deterministic == DETERMINISTIC_RANK)
        return STATUS_OK;
    if (wanted % size != 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "deterministic: world cuts a step into virtual_ranks (%" PRId64
                    ") parts, which %d ranks cannot share evenly: start another number of ranks, or give other virtual_ranks",
                    wanted, size);
    chunks->count = (int32_t)wanted;
    chunks->own = (int32_t)wanted / size;
    chunks->first = rank * chunks->own;
    return STATUS_OK;
}

int32_t chunks_waiting_limit(const Chunks *chunks)
{
    int32_t limit = 0;
    while ((1 << limit) < chunks->own)
        limit++;
    return limit;
}

double chunks_sum(const Chunks *chunks, Communicator *communicator, double *values)
{
    /* All but one of the numbers added here are zero, so that the order in which ranks are added changes no bit. */
    communicator_sum_double(communicator, values, chunks->count);
    for (int32_t width = 1; width < chunks->count; width *= 2)
        for (int32_t i = 0; i + width < chunks->count; i += 2 * width)
            values[i] += values[i + width];
    return values[0];
}
