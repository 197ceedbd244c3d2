#include "worker/communicator.h"

#include <errno.h>
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/log.h"
#include "core/base/memory.h"
#include "worker/peer_memory.h"

enum { FLOATS_AT_ONCE = 1 << 28, IDLE_SLEEP_NS = 5000000, LINGER_NS = 300000000 };
/* A segment's halves stay in a core's cache between being received and being added; several under way keep the network busy meanwhile. Of many
 * ranks each has SEGMENT_CELLS cells of a segment at least, so that their shares are of one size. */
enum {
    SEGMENT_FLOATS = 1 << 18,
    SEGMENT_CELLS = 4,
    SEGMENT_LIMIT = 8,
    SEGMENT_TAGS = 256,
    SHARE_TAG = SEGMENT_TAGS,
    PEER_TAG,
    LEVEL_LIMIT = 30
};
enum { READ_FLOATS = 1 << 15 }; /* at once before they are added, so that they are in the core's cache then */

/* What is done with a stretch of numbers. */
typedef enum Exchange {
    EXCHANGE_SUM,     /* up and down: all sums on every rank */
    EXCHANGE_SCATTER, /* up: on every rank the sums of its share */
    EXCHANGE_GATHER,  /* down: every rank's share to all */
} Exchange;

/* One segment on its way through the tree. Up: at level l it is exchanged with the rank that differs in bit l; each of the two keeps and adds
 * one half of what it had, so that after the last level everything has been added once, in the tree's order, and each rank has its share of
 * the sums. Down: the same exchanges backwards give every rank the whole (Rabenseifner 2004, with neighbours first).
 *
 * Numbers go to a rank of another host as messages. Two ranks of one host tell each other where theirs lie as soon as they may be read, and each
 * reads what it needs. Nobody writes what the other may be reading: up, that is the half which a rank does not keep; down, what it has already.
 * After communicator_wait all have read. */
typedef struct SegmentSum {
    Exchange exchange;
    unsigned char *values; /* NULL: this place is free */
    size_t number_bytes;
    size_t begin[LEVEL_LIMIT + 1]; /* of what is ours at each level */
    size_t end[LEVEL_LIMIT + 1];
    int32_t level;
    bool down;
    int32_t tag;
    uint64_t address, partner_address; /* of values here and there, where partners read each other's memory */
    float *received;                   /* [segment_floats / 2 + COMMUNICATOR_CELL_FLOATS], kept for the next segment */
    MPI_Request *requests;             /* [2] of the communicator's, so that all can be waited for at once */
} SegmentSum;

typedef struct WaitingSum {
    Exchange exchange;
    unsigned char *values;
    size_t number_bytes, count;
} WaitingSum;

struct Communicator {
    bool alone;
    int32_t rank, size;
    ARRAY(MPI_Request) requests;
    int32_t levels;                    /* log2 of size, -1 where size is not a power of two */
    int32_t partner_pids[LEVEL_LIMIT]; /* whose memory is read at a level; 0: messages */
    bool any_reads;                    /* by any rank */
    bool unread;                       /* something was started since the last wait */
    size_t segment_floats;             /* of one segment */
    ARRAY(WaitingSum) waiting;         /* what no segment was made of yet, from waiting_first on */
    size_t waiting_first;
    SegmentSum segments[SEGMENT_LIMIT];
    MPI_Request segment_requests[2 * SEGMENT_LIMIT];
    int32_t next_tag;
    size_t numbers_left;
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

static int32_t levels_of(int32_t size)
{
    int32_t levels = 0;
    while ((1 << levels) < size)
        levels++;
    return 1 << levels == size ? levels : -1;
}

/* $NERSWEEP_EXCHANGE. */
static Status reads_wanted(bool *wanted, Diagnostic *diagnostic)
{
    const char *name = getenv("NERSWEEP_EXCHANGE");
    *wanted = !name || strcmp(name, "memory") == 0;
    if (*wanted || strcmp(name, "messages") == 0)
        return STATUS_OK;
    return FAIL(diagnostic, STATUS_USAGE, "NERSWEEP_EXCHANGE is '%s': it may be memory or messages", name);
}

/* Whether this rank and another one can read each other's memory: its process id, else 0. *failed: why it cannot, though it is of this host. */
static int32_t partner_pid(PeerCard *own, int64_t host, int32_t partner, int *failed)
{
    struct {
        PeerCard card;
        int64_t host;
    } mine = {*own, host}, theirs;
    int outcomes[2];
    MPI_Sendrecv(&mine, sizeof mine, MPI_BYTE, partner, PEER_TAG, &theirs, sizeof theirs, MPI_BYTE, partner, PEER_TAG,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    outcomes[0] = host == theirs.host ? peer_card_try(&theirs.card) : EXDEV;
    MPI_Sendrecv(&outcomes[0], 1, MPI_INT, partner, PEER_TAG, &outcomes[1], 1, MPI_INT, partner, PEER_TAG, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    *failed = outcomes[0] != EXDEV && own->pid != 0 && theirs.card.pid != 0 ? outcomes[0] : 0;
    return outcomes[0] == 0 && outcomes[1] == 0 ? (int32_t)theirs.card.pid : 0;
}

/* Collective: at which levels of the tree partners read each other's memory, if both want to. */
static void find_partners(Communicator *communicator, bool wanted)
{
    MPI_Comm ranks_here;
    PeerCard own;
    int64_t host = communicator->rank, any = 0; /* a host goes by its lowest rank */
    int failed = 0;
    peer_card_fill(&own);
    own.pid = wanted ? own.pid : 0;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &ranks_here);
    MPI_Allreduce(MPI_IN_PLACE, &host, 1, MPI_INT64_T, MPI_MIN, ranks_here);
    MPI_Comm_free(&ranks_here);
    for (int32_t level = 0; level < communicator->levels; level++) {
        int why;
        communicator->partner_pids[level] = partner_pid(&own, host, communicator->rank ^ (1 << level), &why);
        any |= communicator->partner_pids[level] != 0;
        failed = why ? why : failed;
    }
    communicator_max_int64(communicator, &any, 1);
    communicator->any_reads = any;
    if (failed && host == communicator->rank)
        LOG_INFO("ranks of this host may not read each other's memory (%s): they send messages, which takes longer",
                 strerror(failed));
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
    bool reads;
    Status status = reads_wanted(&reads, diagnostic);
    if (status != STATUS_OK)
        return status;
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
    (*communicator)->levels = levels_of(size);
    (*communicator)->segment_floats = (size_t)size * SEGMENT_CELLS * COMMUNICATOR_CELL_FLOATS;
    if ((*communicator)->segment_floats < SEGMENT_FLOATS)
        (*communicator)->segment_floats = SEGMENT_FLOATS;
    for (size_t i = 0; i < 2 * SEGMENT_LIMIT; i++)
        (*communicator)->segment_requests[i] = MPI_REQUEST_NULL;
    for (size_t i = 0; i < SEGMENT_LIMIT; i++)
        (*communicator)->segments[i].requests = (*communicator)->segment_requests + 2 * i;
    find_partners(*communicator, reads);
    return STATUS_OK;
}

void communicator_close(Communicator **communicator)
{
    if (!*communicator)
        return;
    if (!(*communicator)->alone)
        MPI_Finalize();
    array_free(&(*communicator)->requests);
    array_free(&(*communicator)->waiting);
    for (size_t i = 0; i < SEGMENT_LIMIT; i++)
        free((*communicator)->segments[i].received);
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

int32_t communicator_readers(const Communicator *communicator)
{
    int32_t readers = 0;
    for (int32_t level = 0; level < communicator->levels; level++)
        readers += communicator->partner_pids[level] != 0;
    return readers;
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

/* Where [begin, end) is cut: halves are whole cells. */
static size_t middle_of(size_t begin, size_t end)
{
    size_t cells = ((end - begin) / 2 + COMMUNICATOR_CELL_FLOATS / 2) / COMMUNICATOR_CELL_FLOATS;
    return begin + (cells * COMMUNICATOR_CELL_FLOATS < end - begin ? cells * COMMUNICATOR_CELL_FLOATS : 0);
}

/* The half of level `level` that a rank with bit `level` set or not set keeps. */
static void keep_half(SegmentSum *segment, int32_t level, bool upper)
{
    size_t middle = middle_of(segment->begin[level], segment->end[level]);
    segment->begin[level + 1] = upper ? middle : segment->begin[level];
    segment->end[level + 1] = upper ? segment->end[level] : middle;
}

size_t communicator_share_count(const Communicator *communicator, size_t count)
{
    if (communicator->size == 1 || communicator->levels < 0)
        return count > 0;
    return (count + communicator->segment_floats - 1) / communicator->segment_floats;
}

/* Ranks that are no power of two: runs of cells one after another. */
static size_t cell_run_begin(const Communicator *communicator, int32_t rank, size_t count)
{
    size_t cells = (count + COMMUNICATOR_CELL_FLOATS - 1) / COMMUNICATOR_CELL_FLOATS;
    size_t begin = cells * (size_t)rank / (size_t)communicator->size * COMMUNICATOR_CELL_FLOATS;
    return begin < count ? begin : count;
}

void communicator_share(const Communicator *communicator, int32_t rank, size_t count, size_t index, size_t *begin, size_t *end)
{
    ASSERT(index < communicator_share_count(communicator, count));
    if (communicator->levels < 0) {
        *begin = cell_run_begin(communicator, rank, count);
        *end = cell_run_begin(communicator, rank + 1, count);
        return;
    }
    *begin = communicator->size == 1 ? 0 : index * communicator->segment_floats;
    *end = communicator->size == 1 || count - *begin < communicator->segment_floats ? count : *begin + communicator->segment_floats;
    for (int32_t level = 0; level < communicator->levels; level++) {
        size_t middle = middle_of(*begin, *end);
        if (rank & (1 << level))
            *begin = middle;
        else
            *end = middle;
    }
}

static MPI_Datatype number_type(size_t number_bytes)
{
    ASSERT(number_bytes == sizeof(float) || number_bytes == sizeof(uint16_t));
    return number_bytes == sizeof(float) ? MPI_FLOAT : MPI_UINT16_T;
}

static size_t kept_count(const SegmentSum *segment)
{
    return segment->end[segment->level + 1] - segment->begin[segment->level + 1];
}

/* Where the half of the segment's present level begins that this rank does not keep. */
static size_t other_half(const Communicator *communicator, const SegmentSum *segment, size_t *count)
{
    *count = segment->end[segment->level] - segment->begin[segment->level] - kept_count(segment);
    return communicator->rank & (1 << segment->level) ? segment->begin[segment->level] : segment->end[segment->level + 1];
}

/* Begins to exchange the segment's present level with its partner. */
static void segment_post(const Communicator *communicator, SegmentSum *segment)
{
    int32_t level = segment->level, partner = communicator->rank ^ (1 << level);
    keep_half(segment, level, communicator->rank & (1 << level));
    if (communicator->partner_pids[level]) {
        segment->address = (uintptr_t)segment->values;
        MPI_Irecv(&segment->partner_address, 1, MPI_UINT64_T, partner, segment->tag, MPI_COMM_WORLD, &segment->requests[0]);
        MPI_Isend(&segment->address, 1, MPI_UINT64_T, partner, segment->tag, MPI_COMM_WORLD, &segment->requests[1]);
        return;
    }
    MPI_Datatype type = number_type(segment->number_bytes);
    size_t kept = segment->begin[level + 1], other_count, other = other_half(communicator, segment, &other_count);
    void *in = segment->down ? (void *)(segment->values + other * segment->number_bytes) : segment->received;
    size_t in_count = segment->down ? other_count : kept_count(segment), out = segment->down ? kept : other,
           out_count = segment->down ? kept_count(segment) : other_count;
    MPI_Irecv(in, (int)in_count, type, partner, segment->tag, MPI_COMM_WORLD, &segment->requests[0]);
    MPI_Isend(segment->values + out * segment->number_bytes, (int)out_count, type, partner, segment->tag, MPI_COMM_WORLD,
              &segment->requests[1]);
}

/* Reads the partner's numbers from `first` on. As with a message that cannot come, the group ends where they are gone. */
static void read_partner(Communicator *communicator, const SegmentSum *segment, size_t first, size_t count, void *to)
{
    uint64_t address = segment->partner_address + first * segment->number_bytes;
    int failed = peer_memory_read(communicator->partner_pids[segment->level], address, to, count * segment->number_bytes);
    if (!failed)
        return;
    LOG_ERROR("rank %d cannot read the memory of rank %d any more (%s): the group ends", communicator->rank,
              communicator->rank ^ (1 << segment->level), strerror(failed));
    communicator_abort(communicator, status_exit_code(STATUS_INTERNAL));
}

static void add_floats(float *to, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += values[i];
}

/* Takes over what the partner has for this rank: its message came, or says that it is there to be read. */
static void segment_take(Communicator *communicator, SegmentSum *segment)
{
    size_t kept = segment->begin[segment->level + 1], count = kept_count(segment), other_count;
    size_t other = other_half(communicator, segment, &other_count);
    float *sums = (float *)(void *)segment->values + kept;
    bool reads = communicator->partner_pids[segment->level] != 0;
    if (segment->down && reads)
        read_partner(communicator, segment, other, other_count, segment->values + other * segment->number_bytes);
    if (segment->down)
        return;
    if (!reads) {
        add_floats(sums, segment->received, count);
        return;
    }
    for (size_t done = 0, now; done < count; done += now) {
        now = count - done < READ_FLOATS ? count - done : READ_FLOATS;
        read_partner(communicator, segment, kept + done, now, segment->received);
        add_floats(sums + done, segment->received, now);
    }
}

/* After an exchange: the next one, or the place is free. */
static void segment_advance(Communicator *communicator, SegmentSum *segment)
{
    bool done = false;
    segment_take(communicator, segment);
    if (segment->down) {
        done = segment->level == 0;
        segment->level -= !done;
    } else if (segment->level + 1 < communicator->levels) {
        segment->level++;
    } else {
        done = segment->exchange == EXCHANGE_SCATTER;
        segment->down = true;
    }
    if (done) {
        segment->values = NULL;
        communicator->numbers_left -= segment->end[0];
    } else {
        segment_post(communicator, segment);
    }
}

/* Makes a segment of what waits. False: nothing does. */
static bool segment_begin(Communicator *communicator, SegmentSum *segment)
{
    if (communicator->waiting_first == communicator->waiting.count) {
        communicator->waiting_first = communicator->waiting.count = 0;
        return false;
    }
    WaitingSum *sum = &communicator->waiting.items[communicator->waiting_first];
    size_t count = sum->count < communicator->segment_floats ? sum->count : communicator->segment_floats;
    if (!segment->received)
        segment->received = memory_allocate(communicator->segment_floats / 2 + COMMUNICATOR_CELL_FLOATS, sizeof *segment->received);
    segment->exchange = sum->exchange;
    segment->values = sum->values;
    segment->number_bytes = sum->number_bytes;
    segment->begin[0] = 0;
    segment->end[0] = count;
    segment->level = 0;
    segment->down = sum->exchange == EXCHANGE_GATHER;
    for (; segment->down && segment->level + 1 < communicator->levels; segment->level++)
        keep_half(segment, segment->level, communicator->rank & (1 << segment->level));
    segment->tag = communicator->next_tag; /* segments are made in the same order everywhere */
    communicator->next_tag = (communicator->next_tag + 1) % SEGMENT_TAGS;
    sum->values += count * sum->number_bytes;
    sum->count -= count;
    communicator->waiting_first += sum->count == 0;
    segment_post(communicator, segment);
    return true;
}

/* Among ranks that are no power of two: MPI's own sum, and each rank's share from it to all. */
static void exchange_by_library(Communicator *communicator, const WaitingSum *sum)
{
    MPI_Request request;
    size_t count = sum->count;
    if (sum->exchange == EXCHANGE_GATHER) {
        for (int32_t rank = 0; rank < communicator->size; rank++) {
            size_t begin = cell_run_begin(communicator, rank, count), end = cell_run_begin(communicator, rank + 1, count);
            ASSERT(end - begin <= INT_MAX);
            MPI_Ibcast(sum->values + begin * sum->number_bytes, (int)(end - begin), number_type(sum->number_bytes), rank,
                       MPI_COMM_WORLD, &request);
            array_push(&communicator->requests, request);
        }
        return;
    }
    for (size_t done = 0; done < count; done += FLOATS_AT_ONCE) {
        size_t now = count - done < FLOATS_AT_ONCE ? count - done : FLOATS_AT_ONCE;
        MPI_Iallreduce(MPI_IN_PLACE, (float *)(void *)sum->values + done, (int)now, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
        array_push(&communicator->requests, request);
    }
}

static void exchange_start(Communicator *communicator, Exchange exchange, void *values, size_t count, size_t number_bytes)
{
    WaitingSum sum = {exchange, values, number_bytes, count};
    if (communicator->size == 1 || count == 0)
        return;
    communicator->numbers_left += count;
    communicator->unread = true;
    if (communicator->levels >= 0)
        array_push(&communicator->waiting, sum);
    else
        exchange_by_library(communicator, &sum);
    communicator_progress(communicator);
}

void communicator_sum_float_start(Communicator *communicator, float *values, size_t count)
{
    exchange_start(communicator, EXCHANGE_SUM, values, count, sizeof *values);
}

void communicator_scatter_sum_start(Communicator *communicator, float *values, size_t count)
{
    exchange_start(communicator, EXCHANGE_SCATTER, values, count, sizeof *values);
}

void communicator_gather_start(Communicator *communicator, void *numbers, size_t count, size_t number_bytes)
{
    exchange_start(communicator, EXCHANGE_GATHER, numbers, count, number_bytes);
}

void communicator_merge_words(Communicator *communicator, uint32_t *words, size_t count)
{
    ASSERT(count <= INT_MAX);
    if (communicator->size > 1)
        MPI_Allreduce(MPI_IN_PLACE, words, (int)count, MPI_UINT32_T, MPI_BOR, MPI_COMM_WORLD);
}

size_t communicator_piece_floats(const Communicator *communicator, size_t count)
{
    return communicator->levels >= 0 && communicator->size > 1 && count > communicator->segment_floats
               ? communicator->segment_floats
               : count;
}

void communicator_collect_piece(Communicator *communicator, const float *own, size_t count, size_t index, float *piece)
{
    size_t start, begin, end;
    communicator_share(communicator, communicator->rank, count, index, &begin, &end);
    ASSERT(end - begin <= INT_MAX);
    if (communicator->rank != 0) {
        MPI_Send(own, (int)(end - begin), MPI_FLOAT, 0, SHARE_TAG, MPI_COMM_WORLD);
        return;
    }
    start = communicator->levels >= 0 ? index * communicator->segment_floats : 0;
    memcpy(piece + (begin - start), own, (end - begin) * sizeof *own);
    for (int32_t rank = 1; rank < communicator->size; rank++) {
        communicator_share(communicator, rank, count, index, &begin, &end);
        ASSERT(end - begin <= INT_MAX);
        MPI_Recv(piece + (begin - start), (int)(end - begin), MPI_FLOAT, rank, SHARE_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
}

void communicator_progress(Communicator *communicator)
{
    int done;
    if (communicator->size == 1)
        return;
    if (communicator->requests.count > 0)
        MPI_Testall((int)communicator->requests.count, communicator->requests.items, &done, MPI_STATUSES_IGNORE);
    for (size_t i = 0; i < SEGMENT_LIMIT; i++) {
        SegmentSum *segment = &communicator->segments[i];
        for (done = 1; done;) {
            if (!segment->values && !segment_begin(communicator, segment))
                break;
            MPI_Testall(2, segment->requests, &done, MPI_STATUSES_IGNORE);
            if (done)
                segment_advance(communicator, segment);
        }
    }
}

void communicator_wait(Communicator *communicator)
{
    if (communicator->size == 1)
        return;
    if (communicator->requests.count > 0) {
        MPI_Waitall((int)communicator->requests.count, communicator->requests.items, MPI_STATUSES_IGNORE);
        communicator->requests.count = communicator->numbers_left = 0;
    }
    int ready = 0;
    for (communicator_progress(communicator); ready != MPI_UNDEFINED; communicator_progress(communicator))
        MPI_Waitany(2 * SEGMENT_LIMIT, communicator->segment_requests, &ready, MPI_STATUS_IGNORE);
    if (communicator->unread && communicator->any_reads)
        MPI_Barrier(MPI_COMM_WORLD);
    communicator->unread = false;
}

size_t communicator_numbers_left(const Communicator *communicator)
{
    return communicator->numbers_left;
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
