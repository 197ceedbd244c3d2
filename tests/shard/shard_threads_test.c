#include "support.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/io/hash.h"

typedef struct Reading {
    const ShardStore *store;
    int64_t start;
    uint64_t sum; /* of the checksums of all records: does not depend on the order */
    Status status;
} Reading;

static void *read_from(void *argument)
{
    Reading *reading = argument;
    Diagnostic diagnostic = {0};
    int64_t windows = shard_window_count(reading->store, 0), sequences = shard_sequence_count(reading->store, 0);
    for (int64_t i = 0; i < windows && reading->status == STATUS_OK; i++) {
        ShardWindow window;
        reading->status = shard_window_read(reading->store, 0, (i + reading->start) % windows, &window, &diagnostic);
        if (reading->status == STATUS_OK)
            reading->sum += checksum64(window.ids, 3 * sizeof *window.ids * (size_t)window.length);
    }
    for (int64_t i = 0; i < sequences && reading->status == STATUS_OK; i++) {
        ShardSequence sequence;
        reading->status = shard_sequence_read(reading->store, 0, (i + reading->start) % sequences, &sequence, &diagnostic);
        if (reading->status == STATUS_OK)
            reading->sum += checksum64(sequence.gold, sizeof *sequence.gold * (size_t)sequence.token_count);
    }
    return NULL;
}

static void many_threads_read_one_store(void **state)
{
    enum { THREADS = 4 };
    char *train = memory_format("%s/examples/train.conll", NERSWEEP_SOURCE_DIR);
    ShardStore *store = store_of(*state, train, NULL);
    Reading alone = {.store = store}, readings[THREADS];
    pthread_t threads[THREADS];
    read_from(&alone);
    assert_int_equal(alone.status, STATUS_OK);
    for (int i = 0; i < THREADS; i++) {
        readings[i] = (Reading){.store = store, .start = i * 37};
        assert_int_equal(pthread_create(&threads[i], NULL, read_from, &readings[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readings[i].status, STATUS_OK);
        assert_int_equal(readings[i].sum, alone.sum);
    }
    shard_store_close(&store);
    free(train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_threads_read_one_store)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
