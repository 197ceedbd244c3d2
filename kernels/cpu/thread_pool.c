#include "kernels/cpu/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include "core/base/memory.h"
#include "core/base/thread.h"

/* Turns of waiting awake, each some tens of cycles: longer than the gaps between the operations of a training step, shorter than anything
 * that a person or a scheduler would notice. */
enum { SPIN_TURNS = 5000, DENORMALS_ARE_ZERO = 0x8040 };

struct ThreadPool {
    int thread_count; /* with the caller */
    int started;      /* threads made: thread_count - 1 once the pool stands */
    pthread_t *threads;
    struct Worker {
        ThreadPool *pool;
        int thread;
    } * workers;

    pthread_mutex_t mutex; /* guards what follows but the atomics */
    pthread_cond_t wake;   /* a loop opened, or the pool ends */
    pthread_cond_t idle;   /* the last thread left a loop */
    bool stopping;
    bool open; /* a loop may be joined */
    int sleeping;
    ThreadPoolTask task;
    void *context;
    size_t count;
    atomic_uint generation; /* counts loops; written under the mutex, watched without it */
    atomic_int active;      /* threads inside the loop; likewise */

    _Alignas(64) atomic_size_t next; /* the next task, on a cache line of its own */
};

unsigned thread_pool_set_mode(void)
{
#ifdef __x86_64__
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | DENORMALS_ARE_ZERO);
    return mode;
#else
    return 0;
#endif
}

void thread_pool_restore_mode(unsigned mode)
{
#ifdef __x86_64__
    _mm_setcsr(mode);
#else
    (void)mode;
#endif
}

static inline void spin_pause(void)
{
#ifdef __x86_64__
    _mm_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Takes tasks until none is left. */
static void loop_work(ThreadPool *pool, ThreadPoolTask task, void *context, size_t count, int thread)
{
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= count) {
            return;
        }
        task(context, thread, index);
    }
}

/* Waits for a loop after generation seen, first awake, then asleep. Returns holding the mutex. */
static void loop_await(ThreadPool *pool, unsigned seen)
{
    for (int turn = 0; turn < SPIN_TURNS && atomic_load_explicit(&pool->generation, memory_order_relaxed) == seen; turn++) {
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->generation, memory_order_relaxed) == seen && !pool->stopping) {
        pool->sleeping++;
        pthread_cond_wait(&pool->wake, &pool->mutex);
        pool->sleeping--;
    }
}

static void *worker_main(void *argument)
{
    struct Worker *worker = argument;
    ThreadPool *pool = worker->pool;
    unsigned seen = 0;
    (void)thread_pool_set_mode();
    for (;;) {
        loop_await(pool, seen);
        if (pool->stopping) {
            pthread_mutex_unlock(&pool->mutex);
            return NULL;
        }
        seen = atomic_load_explicit(&pool->generation, memory_order_relaxed);
        bool joined = pool->open; /* a thread that wakes late finds the loop closed: nobody waited for it */
        ThreadPoolTask task = pool->task;
        void *context = pool->context;
        size_t count = pool->count;
        if (joined) {
            atomic_fetch_add_explicit(&pool->active, 1, memory_order_relaxed);
        }
        pthread_mutex_unlock(&pool->mutex);
        if (!joined) {
            continue;
        }
        loop_work(pool, task, context, count, worker->thread);
        pthread_mutex_lock(&pool->mutex);
        if (atomic_fetch_sub_explicit(&pool->active, 1, memory_order_release) == 1) {
            pthread_cond_signal(&pool->idle);
        }
        pthread_mutex_unlock(&pool->mutex);
    }
}

void thread_pool_run(ThreadPool *pool, ThreadPoolTask task, void *context, size_t count)
{
    if (pool->thread_count == 1 || count <= 1) {
        for (size_t index = 0; index < count; index++) {
            task(context, 0, index);
        }
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->task = task;
    pool->context = context;
    pool->count = count;
    pool->open = true;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    bool wake = pool->sleeping > 0;
    pthread_mutex_unlock(&pool->mutex);
    if (wake) {
        pthread_cond_broadcast(&pool->wake);
    }

    loop_work(pool, task, context, count, 0);

    pthread_mutex_lock(&pool->mutex);
    pool->open = false;
    pthread_mutex_unlock(&pool->mutex);
    for (int turn = 0; turn < SPIN_TURNS && atomic_load_explicit(&pool->active, memory_order_acquire) > 0; turn++) {
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->active, memory_order_acquire) > 0) {
        pthread_cond_wait(&pool->idle, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static int workers_start(ThreadPool *pool)
{
    int error = 0;
    for (int i = 0; i < pool->thread_count - 1 && error == 0; i++) {
        pool->workers[i] = (struct Worker){.pool = pool, .thread = i + 1};
        error = thread_start(&pool->threads[i], worker_main, &pool->workers[i]);
        if (error == 0) {
            pool->started++;
            pthread_setname_np(pool->threads[i], "nersweep-cpu");
        }
    }
    return error;
}

Status thread_pool_create(ThreadPool **pool, int thread_count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ThreadPool *made = NULL;
    ASSERT(thread_count >= 1);
    TRY(memory_try_allocate((void **)&made, 1, sizeof *made, diagnostic));
    made->thread_count = thread_count;
    made->threads = memory_allocate((size_t)thread_count, sizeof *made->threads);
    made->workers = memory_allocate((size_t)thread_count, sizeof *made->workers);
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->wake, NULL);
    pthread_cond_init(&made->idle, NULL);
    int error = workers_start(made);
    if (error != 0) {
        TRY_FAIL(diagnostic, status_from_errno(error), "cannot start compute thread %d of %d: %s; use fewer threads",
                 made->started + 2, thread_count, strerror(error));
    }
    *pool = made;
    made = NULL;
out:
    thread_pool_destroy(&made);
    return status;
}

void thread_pool_destroy(ThreadPool **pool)
{
    ThreadPool *old = *pool;
    *pool = NULL;
    if (old == NULL) {
        return;
    }
    pthread_mutex_lock(&old->mutex);
    old->stopping = true;
    atomic_fetch_add_explicit(&old->generation, 1, memory_order_release); /* ends the awake waiting */
    pthread_cond_broadcast(&old->wake);
    pthread_mutex_unlock(&old->mutex);
    for (int i = 0; i < old->started; i++) {
        pthread_join(old->threads[i], NULL);
    }
    pthread_cond_destroy(&old->idle);
    pthread_cond_destroy(&old->wake);
    pthread_mutex_destroy(&old->mutex);
    free(old->workers);
    free(old->threads);
    free(old);
}
