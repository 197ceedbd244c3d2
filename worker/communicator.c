#include "worker/communicator.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"

enum { FLOATS_AT_ONCE = 1 << 28, IDLE_SLEEP_NS = 5000000, LINGER_NS = 300000000 };

struct Communicator {
    bool alone;
    int32_t rank, size;
    ARRAY(MPI_Request) requests;
};

Communicator *communicator_alone(void)
{
    Communicator *communicator = memory_allocate(1, sizeof *communicator);
    communicator->alone = true;
    communicator->size = 1;
    return communicator;
}

/* Whether mpirun or srun --mpi=... stands behind this process. */
static bool started_by_launcher(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

/* Tasks that srun started beside this one without telling MPI about them, or 0. */
static int32_t tasks_without_mpi(void)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    if (!tasks || started_by_launcher())
        return 0;
    long count = strtol(tasks, NULL, 10);
    return count > 1 && count <= INT32_MAX ? (int32_t)count : 0;
}

Status communicator_open(Communicator **communicator, int32_t ranks_wanted, Diagnostic *diagnostic)
{
    *communicator = NULL;
    int32_t lost_tasks = tasks_without_mpi();
    if (ranks_wanted == 0 && lost_tasks > 0)
        ranks_wanted = lost_tasks;
    if (ranks_wanted <= 1 && !started_by_launcher()) {
        *communicator = communicator_alone();
        return STATUS_OK;
    }
    int provided, rank, size;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return FAIL(diagnostic, STATUS_INTERNAL, "MPI could not be started");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (ranks_wanted > 0 && size != ranks_wanted) {
        MPI_Finalize();
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "asked for %d ranks, the MPI world has %d: was it started with srun --mpi=pmix -n %d, or mpirun -n %d?",
                    ranks_wanted, size, ranks_wanted, ranks_wanted);
    }
    if (provided < MPI_THREAD_FUNNELED) {
        MPI_Finalize();
        return FAIL(diagnostic, STATUS_UNSUPPORTED, "this MPI allows no threads beside its own: MPI_THREAD_FUNNELED is needed");
    }
    *communicator = memory_allocate(1, sizeof **communicator);
    (*communicator)->rank = rank;
    (*communicator)->size = size;
    return STATUS_OK;
}

void communicator_close(Communicator **communicator)
{
    if (!*communicator)
        return;
    if (!(*communicator)->alone)
        MPI_Finalize();
    array_free(&(*communicator)->requests);
    free(*communicator);
    *communicator = NULL;
}

void communicator_abort(Communicator *communicator, int exit_code)
{
    if (!communicator->alone)
        MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code);
}

void communicator_linger(void)
{
    if (started_by_launcher())
        nanosleep(&(struct timespec){0, LINGER_NS}, NULL);
}

int32_t communicator_rank(const Communicator *communicator)
{
    return communicator->rank;
}

int32_t communicator_size(const Communicator *communicator)
{
    return communicator->size;
}

void communicator_barrier(Communicator *communicator)
{
    if (communicator->size > 1)
        MPI_Barrier(MPI_COMM_WORLD);
}

void communicator_broadcast(Communicator *communicator, void *bytes, size_t size, int32_t root)
{
    ASSERT(size <= INT_MAX);
    if (communicator->size > 1)
        MPI_Bcast(bytes, (int)size, MPI_BYTE, root, MPI_COMM_WORLD);
}

void communicator_broadcast_idle(Communicator *communicator, void *bytes, size_t size, int32_t root)
{
    ASSERT(size <= INT_MAX);
    if (communicator->size == 1)
        return;
    MPI_Request request;
    int done = 0;
    MPI_Ibcast(bytes, (int)size, MPI_BYTE, root, MPI_COMM_WORLD, &request);
    for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done; MPI_Test(&request, &done, MPI_STATUS_IGNORE))
        nanosleep(&(struct timespec){0, IDLE_SLEEP_NS}, NULL);
}

void communicator_sum_int64(Communicator *communicator, int64_t *values, int32_t count)
{
    if (communicator->size > 1)
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
}

void communicator_max_int64(Communicator *communicator, int64_t *values, int32_t count)
{
    if (communicator->size > 1)
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
}

void communicator_sum_host_int64(Communicator *communicator, int64_t *values, int32_t count)
{
    if (communicator->size == 1)
        return;
    MPI_Comm host;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, host);
    MPI_Comm_free(&host);
}

void communicator_sum_double(Communicator *communicator, double *values, int32_t count)
{
    if (communicator->size > 1)
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

void communicator_gather_int64(Communicator *communicator, int64_t value, int64_t *values, int32_t root)
{
    if (communicator->size > 1)
        MPI_Gather(&value, 1, MPI_INT64_T, values, 1, MPI_INT64_T, root, MPI_COMM_WORLD);
    else
        values[0] = value;
}

void communicator_sum_float_start(Communicator *communicator, float *values, size_t count)
{
    for (size_t done = 0; done < count && communicator->size > 1; done += FLOATS_AT_ONCE) {
        size_t now = count - done < FLOATS_AT_ONCE ? count - done : FLOATS_AT_ONCE;
        MPI_Request request;
        MPI_Iallreduce(MPI_IN_PLACE, values + done, (int)now, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
        array_push(&communicator->requests, request);
    }
    communicator_progress(communicator);
}

void communicator_progress(Communicator *communicator)
{
    int done;
    if (communicator->requests.count > 0)
        MPI_Testall((int)communicator->requests.count, communicator->requests.items, &done, MPI_STATUSES_IGNORE);
}

void communicator_wait(Communicator *communicator)
{
    if (communicator->requests.count > 0)
        MPI_Waitall((int)communicator->requests.count, communicator->requests.items, MPI_STATUSES_IGNORE);
    communicator->requests.count = 0;
}

Status communicator_agree(Communicator *communicator, Status status, int64_t *control, Diagnostic *diagnostic)
{
    if (communicator->size == 1)
        return status;
    /* The larger, the lower the rank that failed; 0: none did. */
    int64_t words[2] = {status == STATUS_OK ? 0 : communicator->size - communicator->rank, *control};
    communicator_max_int64(communicator, words, 2);
    *control = words[1];
    if (words[0] == 0)
        return STATUS_OK;
    int32_t failed_rank = communicator->size - (int32_t)words[0];
    Diagnostic shared = {0};
    if (communicator->rank == failed_rank) {
        if (diagnostic)
            shared = *diagnostic;
        shared.code = status;
        diagnostic_prefix(&shared, "rank %d", failed_rank);
    }
    shared.source_file = NULL; /* a pointer means nothing to another process */
    communicator_broadcast(communicator, &shared, sizeof shared, failed_rank);
    if (diagnostic) {
        const char *own_file = diagnostic->source_file;
        *diagnostic = shared;
        diagnostic->source_file = communicator->rank == failed_rank ? own_file : __FILE__;
    }
    return shared.code;
}
