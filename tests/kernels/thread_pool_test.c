/* The pool of the CPU backend. */
#include "kernels/cpu/thread_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "core/base/memory.h"

typedef struct Counts {
    int thread_count;
    size_t count;
    int *times; /* how often each task was done; no atomics: two threads at one task would be a race */
    atomic_int wrong_threads;
} Counts;

static void count_task(void *context, int thread, size_t index)
{
    Counts *counts = context;
    counts->times[index]++;
    if (thread < 0 || thread >= counts->thread_count) {
        atomic_fetch_add(&counts->wrong_threads, 1);
    }
}

static void every_task_is_done_once(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 17, 1000};
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        ThreadPool *pool = NULL;
        assert_int_equal(thread_pool_create(&pool, threads, NULL), STATUS_OK);
        for (int round = 0; round < 200; round++) {
            Counts counts = {.thread_count = threads, .count = sizes[(size_t)round % 6]};
            counts.times = memory_allocate(counts.count, sizeof *counts.times);
            thread_pool_run(pool, count_task, &counts, counts.count);
            for (size_t i = 0; i < counts.count; i++) {
                assert_int_equal(counts.times[i], 1);
            }
            assert_int_equal(atomic_load(&counts.wrong_threads), 0);
            free(counts.times);
        }
        thread_pool_destroy(&pool);
        assert_null(pool);
    }
}

/* After a pause longer than the awake waiting the threads sleep, and must be woken. */
static void sleeping_threads_wake_for_the_next_loop(void **state)
{
    ThreadPool *pool = NULL;
    (void)state;
    assert_int_equal(thread_pool_create(&pool, 3, NULL), STATUS_OK);
    for (int round = 0; round < 5; round++) {
        int times[8] = {0};
        Counts counts = {.thread_count = 3, .count = 8, .times = times};
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        thread_pool_run(pool, count_task, &counts, counts.count);
        for (size_t i = 0; i < counts.count; i++) {
            assert_int_equal(times[i], 1);
        }
    }
    thread_pool_destroy(&pool);
}

static void a_pool_that_never_worked_can_be_destroyed(void **state)
{
    ThreadPool *pool = NULL;
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(thread_pool_create(&pool, 4, NULL), STATUS_OK);
        thread_pool_destroy(&pool);
    }
    thread_pool_destroy(&pool);
}

#ifdef __x86_64__
typedef struct Product {
    volatile float small; /* half of it is denormal */
    float halves[64];
} Product;

static void halve_task(void *context, int thread, size_t index)
{
    Product *product = context;
    (void)thread;
    product->halves[index] = product->small * 0.5f;
}

static void denormals_are_zero_in_every_thread_and_as_before_outside(void **state)
{
    ThreadPool *pool = NULL;
    Product product = {.small = 1.2e-38f};
    (void)state;
    assert_int_equal(thread_pool_create(&pool, 3, NULL), STATUS_OK);
    unsigned mode = thread_pool_set_mode();
    thread_pool_run(pool, halve_task, &product, 64);
    thread_pool_restore_mode(mode);
    for (size_t i = 0; i < 64; i++) {
        assert_true(product.halves[i] == 0.0f);
    }
    halve_task(&product, 0, 0);
    assert_true(product.halves[0] != 0.0f);
    thread_pool_destroy(&pool);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_done_once),
        cmocka_unit_test(sleeping_threads_wake_for_the_next_loop),
        cmocka_unit_test(a_pool_that_never_worked_can_be_destroyed),
#ifdef __x86_64__
        cmocka_unit_test(denormals_are_zero_in_every_thread_and_as_before_outside),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
