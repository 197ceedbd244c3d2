/* The ranks of one worker group. The only file of the project that knows MPI is communicator.c.
 *
 * Collective: every rank calls, in the same order. A failure inside MPI means that a rank is gone; it ends the whole group at once
 * (MPI_ERRORS_ARE_FATAL), and whoever waits for the group sees that. To be called from one thread. */
#ifndef NERSWEEP_WORKER_COMMUNICATOR_H
#define NERSWEEP_WORKER_COMMUNICATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct Communicator Communicator;

/* Starts MPI and checks that the world is what was asked for: ranks_wanted ranks, 0 for any. A group of one rank that no launcher started
 * does without MPI. Ranks of one host read each other's memory where the system allows it and $NERSWEEP_EXCHANGE is not "messages". Errors: STATUS_USAGE
 * for another value than that or "memory"; STATUS_MISMATCH with what the world has and how to start it. */
NODISCARD Status communicator_open(Communicator **communicator, int32_t ranks_wanted, Diagnostic *diagnostic);
/* One rank without MPI. */
Communicator *communicator_alone(void);
void communicator_close(Communicator **communicator); /* ends MPI too */
/* Ends all ranks without asking them. */
void communicator_abort(Communicator *communicator, int exit_code) __attribute__((noreturn));

/* After a failure was printed, before the process ends: mpirun ends the other ranks as soon as one has failed, and what they have just
 * written may be lost with them. Gives it time to pass that on; returns at once where no launcher stands behind this process. */
void communicator_linger(void);

int32_t communicator_rank(const Communicator *communicator);
int32_t communicator_size(const Communicator *communicator);
/* With how many others this rank exchanges numbers by reading their memory. */
int32_t communicator_readers(const Communicator *communicator);

void communicator_barrier(Communicator *communicator);
void communicator_broadcast(Communicator *communicator, void *bytes, size_t size, int32_t root);
/* As above, for waits that may be long: sleeps between looks instead of spinning. */
void communicator_broadcast_idle(Communicator *communicator, void *bytes, size_t size, int32_t root);
void communicator_sum_int64(Communicator *communicator, int64_t *values, int32_t count);
void communicator_max_int64(Communicator *communicator, int64_t *values, int32_t count);
/* Only over the ranks of the caller's host. */
void communicator_sum_host_int64(Communicator *communicator, int64_t *values, int32_t count);
void communicator_sum_double(Communicator *communicator, double *values, int32_t count);
/* values: [size] on the root, not touched elsewhere. */
void communicator_gather_int64(Communicator *communicator, int64_t value, int64_t *values, int32_t root);

/* Sums in place while the caller goes on; the memory belongs to MPI until the wait. Every rank ends with the same bits; sums are started in
 * the same order on all ranks. Where there are 2^n ranks they are added pairwise by their numbers, (0 + 1) + (2 + 3) ..., on any network and with
 * any library; otherwise in the library's order. */
void communicator_sum_float_start(Communicator *communicator, float *values, size_t count);
/* The same, but each rank gets the sums of its share alone; the rest of values is of no meaning then. Half the messages. */
void communicator_scatter_sum_start(Communicator *communicator, float *values, size_t count);
/* Every rank's share of count numbers of number_bytes each (4 or 2) goes to all, as a sum is started and waited for: the other half. */
void communicator_gather_start(Communicator *communicator, void *numbers, size_t count, size_t number_bytes);
/* Every word is that of the one rank that has one which is not 0. */
void communicator_merge_words(Communicator *communicator, uint32_t *words, size_t count);

/* How count floats, or numbers of another size, are shared out: piece by piece, of which there are communicator_share_count with communicator_piece_floats each (the last may be
 * shorter), and of each piece every rank has one stretch [*begin, *end) of the whole, maybe an empty one. Stretches begin at multiples of
 * COMMUNICATOR_CELL_FLOATS. All depends on count and the number of ranks alone. */
enum { COMMUNICATOR_CELL_FLOATS = 4096 };
size_t communicator_share_count(const Communicator *communicator, size_t count);
size_t communicator_piece_floats(const Communicator *communicator, size_t count);
void communicator_share(const Communicator *communicator, int32_t rank, size_t count, size_t index, size_t *begin, size_t *end);
/* Every rank's stretch of one piece to rank 0. own: this rank's stretch; piece: [communicator_piece_floats], on rank 0. */
void communicator_collect_piece(Communicator *communicator, const float *own, size_t count, size_t index, float *piece);

void communicator_progress(Communicator *communicator); /* lets what was started get on */
void communicator_wait(Communicator *communicator);     /* for all that were started */
/* How many of the started numbers are still on their way. */
size_t communicator_numbers_left(const Communicator *communicator);

/* All ranks get the failure of the lowest rank that has one, with its diagnostic (made to name the rank), or STATUS_OK; and the largest
 * *control of all. So that no rank is left waiting for one that gave up. */
NODISCARD Status communicator_agree(Communicator *communicator, Status status, int64_t *control, Diagnostic *diagnostic);

#endif
