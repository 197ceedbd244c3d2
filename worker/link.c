#include "worker/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/thread.h"
#include "worker/link_internal.h"

static struct timespec deadline_after(int64_t timeout_ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += timeout_ms / 1000;
    time.tv_nsec += timeout_ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

static void wake_peer(Link *link)
{
    uint64_t one = 1;
    ssize_t ignored = write(link->wake, &one, sizeof one); /* a full counter is awake already */
    (void)ignored;
}

static int start_thread(Link *link)
{
    int error = thread_start(&link->thread, link_peer_run, link);
    link->thread_started = error == 0;
    return error;
}

Status link_start(Link **link, const LinkOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ASSERT(options->address || options->sweep_folder);
    Link *made = memory_allocate(1, sizeof *made);
    made->address = options->address ? memory_copy_string(options->address) : NULL;
    made->sweep_folder = options->sweep_folder ? memory_copy_string(options->sweep_folder) : NULL;
    made->key_file = options->key_file ? memory_copy_string(options->key_file) : NULL;
    made->insecure = options->insecure;
    made->hello = options->hello;
    made->give_up_ms = options->give_up_ms;
    made->clock = options->clock;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&made->lock, NULL);
    made->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    *link = made;
    if (made->key_file)
        TRY(keys_read_client(made->key_file, &made->key, diagnostic));
    if (made->wake < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot make an event descriptor: %s", strerror(errno));
    int error = start_thread(made);
    if (error != 0)
        TRY_FAIL(diagnostic, status_from_errno(error), "cannot start the thread that speaks with the coordinator: %s",
                 strerror(error));
out:
    if (status != STATUS_OK)
        link_stop(link);
    return status;
}

void link_stop(Link **link)
{
    Link *old = *link;
    if (!old)
        return;
    pthread_mutex_lock(&old->lock);
    old->stopping = true;
    pthread_mutex_unlock(&old->lock);
    if (old->thread_started) {
        wake_peer(old);
        pthread_join(old->thread, NULL);
    }
    link_outbox_clear(old);
    array_free(&old->outbox);
    message_free(&old->welcome);
    message_free(&old->assign);
    pthread_mutex_destroy(&old->lock);
    pthread_cond_destroy(&old->changed);
    if (old->wake >= 0)
        close(old->wake);
    free(old->address);
    free(old->sweep_folder);
    free(old->key_file);
    keys_forget(&old->key, sizeof old->key);
    free(old);
    *link = NULL;
}

void link_outbox_clear(Link *link)
{
    for (size_t i = 0; i < link->outbox.count; i++)
        message_free(&link->outbox.items[i].message);
    link->outbox.count = 0;
}

LinkEvent link_wait(Link *link, int64_t timeout_ms, Message *assign, Diagnostic *why)
{
    LinkEvent event = LINK_NOTHING;
    struct timespec deadline = deadline_after(timeout_ms);
    pthread_mutex_lock(&link->lock);
    while (!link->ended && !link->has_assign && pthread_cond_timedwait(&link->changed, &link->lock, &deadline) != ETIMEDOUT)
        ;
    if (link->ended) {
        event = LINK_ENDED;
        *why = link->why;
    } else if (link->has_assign) {
        event = LINK_ASSIGNED;
        *assign = link->assign;
        link->assign = (Message){0};
        link->has_assign = false;
    }
    pthread_mutex_unlock(&link->lock);
    return event;
}

void link_welcome(Link *link, Message *welcome)
{
    pthread_mutex_lock(&link->lock);
    message_copy(welcome, &link->welcome);
    pthread_mutex_unlock(&link->lock);
}

bool link_holds(Link *link, AssignmentId id)
{
    pthread_mutex_lock(&link->lock);
    bool holds = !link->ended && link->current.fence == id.fence && link->current.trial == id.trial;
    pthread_mutex_unlock(&link->lock);
    return holds;
}

void link_touch(Link *link)
{
    pthread_mutex_lock(&link->lock);
    link->progress.progress++;
    pthread_mutex_unlock(&link->lock);
}

void link_set_progress(Link *link, int64_t step, int64_t total_steps, double loss, double pieces_per_s)
{
    pthread_mutex_lock(&link->lock);
    link->progress.progress++;
    link->progress.step = step;
    link->progress.total_steps = total_steps;
    link->progress.loss = loss;
    link->progress.pieces_per_s = pieces_per_s;
    pthread_mutex_unlock(&link->lock);
}

static AssignmentId message_assignment(const Message *message)
{
    return message->type == MESSAGE_REPORT ? message->report.id : message->finished.id;
}

void link_send(Link *link, Message *message)
{
    AssignmentId id = message_assignment(message);
    ASSERT(message->type == MESSAGE_REPORT || message->type == MESSAGE_FINISHED);
    pthread_mutex_lock(&link->lock);
    while (!link->ended && link->current.fence == id.fence && link->outbox.count >= LINK_OUTBOX_LIMIT)
        pthread_cond_wait(&link->changed, &link->lock);
    bool wanted = !link->ended && link->current.fence == id.fence;
    if (wanted) {
        OutboxEntry entry = {.message = *message};
        array_push(&link->outbox, entry);
        *message = (Message){0};
    }
    pthread_mutex_unlock(&link->lock);
    if (wanted)
        wake_peer(link);
    else
        message_free(message);
}

uint64_t link_acknowledged(Link *link)
{
    pthread_mutex_lock(&link->lock);
    uint64_t acknowledged = link->acknowledged;
    pthread_mutex_unlock(&link->lock);
    return acknowledged;
}

bool link_settle(Link *link, int64_t timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms);
    pthread_mutex_lock(&link->lock);
    while (!link->ended && link->outbox.count > 0 && pthread_cond_timedwait(&link->changed, &link->lock, &deadline) != ETIMEDOUT)
        ;
    bool settled = link->ended || link->outbox.count == 0;
    pthread_mutex_unlock(&link->lock);
    return settled;
}
