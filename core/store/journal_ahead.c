#include "core/store/journal_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/thread.h"

enum { AHEAD_BLOCKS = 3 }; /* one in use, one waiting, one being made */

struct Ahead {
    AheadMake make;
    void *context;
    pthread_t thread;
    bool threaded;
    /* The lock is of all below it but the blocks: those from taken to made are their taker's, the next one is the thread's. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Unpacked blocks[AHEAD_BLOCKS];
    size_t made, taken; /* in all; one that is in use counts as not taken yet */
    bool in_use, stop;
    bool ended; /* nothing more is made: the end, or a failure */
    Status status;
    Diagnostic diagnostic;
};

/* Makes one block, and says whether to go on. */
static bool make_one(Ahead *ahead)
{
    bool more = false;
    Diagnostic diagnostic = {0};
    Status status = ahead->make(ahead->context, &ahead->blocks[ahead->made % AHEAD_BLOCKS], &more, &diagnostic);
    pthread_mutex_lock(&ahead->lock);
    ahead->made += status == STATUS_OK && more;
    ahead->ended = status != STATUS_OK || !more;
    ahead->status = status;
    ahead->diagnostic = diagnostic;
    bool goes_on = !ahead->ended;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    return goes_on;
}

static bool wait_for_room(Ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    while (ahead->made - ahead->taken == AHEAD_BLOCKS && !ahead->stop)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    bool goes_on = !ahead->stop;
    pthread_mutex_unlock(&ahead->lock);
    return goes_on;
}

static void *run(void *context)
{
    Ahead *ahead = context;
    while (wait_for_room(ahead) && make_one(ahead))
        ;
    return NULL;
}

Ahead *ahead_begin(AheadMake make, void *context)
{
    Ahead *ahead = memory_allocate(1, sizeof *ahead);
    ahead->make = make;
    ahead->context = context;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    return ahead;
}

/* Not before the second block: most journals are small. */
static void start_thread(Ahead *ahead)
{
    ahead->threaded = thread_start(&ahead->thread, run, ahead) == 0;
}

Status ahead_next(Ahead *ahead, const Unpacked **unpacked, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool first = !ahead->in_use;
    if (!first) {
        pthread_mutex_lock(&ahead->lock);
        ahead->taken++;
        pthread_cond_signal(&ahead->changed);
        pthread_mutex_unlock(&ahead->lock);
    }
    if (!ahead->threaded && ahead->made == ahead->taken && !ahead->ended)
        make_one(ahead);
    if (!first && !ahead->threaded && !ahead->ended)
        start_thread(ahead);
    pthread_mutex_lock(&ahead->lock);
    while (ahead->made == ahead->taken && !ahead->ended)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    ahead->in_use = ahead->made > ahead->taken;
    if (!ahead->in_use && ahead->status != STATUS_OK) {
        status = ahead->status;
        if (diagnostic)
            *diagnostic = ahead->diagnostic;
    }
    pthread_mutex_unlock(&ahead->lock);
    *unpacked = ahead->in_use ? &ahead->blocks[ahead->taken % AHEAD_BLOCKS] : NULL;
    return status;
}

void ahead_end(Ahead **ended)
{
    Ahead *ahead = *ended;
    *ended = NULL;
    if (ahead->threaded) {
        pthread_mutex_lock(&ahead->lock);
        ahead->stop = true;
        pthread_cond_signal(&ahead->changed);
        pthread_mutex_unlock(&ahead->lock);
        pthread_join(ahead->thread, NULL);
    }
    for (size_t i = 0; i < AHEAD_BLOCKS; i++)
        unpacked_free(&ahead->blocks[i]);
    pthread_mutex_destroy(&ahead->lock);
    pthread_cond_destroy(&ahead->changed);
    free(ahead);
}
