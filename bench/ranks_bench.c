/* bench_ranks: how long the ranks of one MPI world take to sum gradients, as training does. bench/ranks.py starts it under mpirun.
 *
 * usage: mpirun -n R bench_ranks [--rounds N]
 * Rank 0 prints one JSON object: ranks, of how many others it reads the memory ($NERSWEEP_EXCHANGE=messages: none), and for each size in bytes the median and the best time of a sum, start to wait, in seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "worker/communicator.h"

enum { ROUNDS = 30, ROUNDS_LIMIT = 1000, WARM_UP_ROUNDS = 3 };

static const size_t sizes_bytes[] = {64, 65536, 1 << 20, 8 << 20, 48 << 20};
enum { SIZES = sizeof sizes_bytes / sizeof *sizes_bytes };

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sum_once(Communicator *communicator, float *values, size_t count)
{
    const Clock *clock = clock_system();
    communicator_barrier(communicator);
    int64_t start_ns = clock->monotonic_ns(clock->context);
    communicator_sum_float_start(communicator, values, count);
    communicator_wait(communicator);
    return (double)(clock->monotonic_ns(clock->context) - start_ns) * 1e-9;
}

int main(int argc, char **argv)
{
    Communicator *communicator;
    Diagnostic diagnostic = {0};
    int rounds = argc == 3 && strcmp(argv[1], "--rounds") == 0 ? atoi(argv[2]) : ROUNDS;
    if ((argc != 1 && argc != 3) || rounds < 1 || rounds > ROUNDS_LIMIT) {
        fprintf(stderr, "usage: mpirun -n R bench_ranks [--rounds N]\n");
        return 2;
    }
    if (communicator_open(&communicator, 0, &diagnostic) != STATUS_OK) {
        fprintf(stderr, "bench_ranks: %s\n", diagnostic.message);
        return 1;
    }
    bool first = communicator_rank(communicator) == 0;
    float *values = memory_allocate(sizes_bytes[SIZES - 1] / sizeof(float), sizeof *values);
    double *times = memory_allocate((size_t)rounds, sizeof *times);
    if (first)
        printf("{\"ranks\": %d, \"memory_read_of\": %d, \"sums\": [", communicator_size(communicator),
               communicator_readers(communicator));
    for (size_t size = 0; size < SIZES; size++) {
        for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
            double time_s = sum_once(communicator, values, sizes_bytes[size] / sizeof(float));
            if (round >= 0)
                times[round] = time_s;
        }
        qsort(times, (size_t)rounds, sizeof *times, compare_doubles);
        if (first)
            printf("%s{\"bytes\": %zu, \"median_s\": %.9f, \"best_s\": %.9f}", size ? ", " : "", sizes_bytes[size],
                   times[rounds / 2], times[0]);
    }
    if (first)
        printf("]}\n");
    free(values);
    free(times);
    communicator_close(&communicator);
    return 0;
}
