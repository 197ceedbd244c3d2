#include "tests/coordinator/fake_worker.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/coordinator.h"
#include "proto/messages.h"
#include "proto/socket.h"

enum { WAIT_MS = 20, QUIET_ROUNDS = 20, GOODBYE_S = 10 };

typedef struct Speaker {
    FakeWorker *worker;
    SocketContext *context;
    Socket *socket;
    uint64_t epoch; /* of the coordinator spoken with */
    AssignmentId id;
    AssignmentKind kind;
    uint64_t done; /* acknowledged evaluations of the trial */
    bool greeted;
} Speaker;

static void speak(Speaker *speaker, Message *message)
{
    Text bytes = {0};
    Diagnostic diagnostic = {0};
    if (message_encode(message, &bytes, &diagnostic) == STATUS_OK)
        (void)!socket_send(speaker->socket, NULL, bytes.bytes, bytes.size, &diagnostic);
    text_free(&bytes);
    message_free(message);
}

static void connect_anew(Speaker *speaker)
{
    Endpoint endpoint;
    if (endpoint_read(speaker->worker->sweep_folder, &endpoint, NULL) != STATUS_OK ||
        (speaker->socket && endpoint.epoch == speaker->epoch))
        return;
    socket_close(&speaker->socket);
    if (endpoint_use_key(speaker->context, &endpoint, speaker->worker->sweep_folder, KEY_ROLE_WORKER, NULL, NULL) != STATUS_OK)
        return;
    if (socket_connect(&speaker->socket, speaker->context, SOCKET_DEALER, endpoint.address, NULL) != STATUS_OK)
        return;
    speaker->epoch = endpoint.epoch;
    speaker->greeted = false;
}

/* What is to be said next, again and again until the answer comes. */
static void say_next(Speaker *speaker)
{
    FakeWorker *worker = speaker->worker;
    Message message = {0};
    if (!speaker->greeted) {
        message.type = MESSAGE_HELLO;
        snprintf(message.hello.worker, sizeof message.hello.worker, "%s", worker->name);
        strcpy(message.hello.host, "elsewhere");
        message.hello.pid = 1;
        message.hello.ranks = 1;
        message.hello.assignment = speaker->id;
    } else if (speaker->id.fence == 0) {
        message.type = MESSAGE_HEARTBEAT;
    } else if (speaker->kind == ASSIGNMENT_TRAIN && speaker->done < (uint64_t)worker->evaluations) {
        message.type = MESSAGE_REPORT;
        message.report.id = speaker->id;
        message.report.sequence = speaker->done + 1;
        message.report.step = (int64_t)speaker->done + 1;
        message.report.total_steps = worker->evaluations;
        message.report.score = 1.0 / (double)(2 + (speaker->id.trial * 7 + speaker->done) % 5);
        message.report.checkpoint = memory_format("trial-%" PRIu32 "/%" PRIu64, speaker->id.trial, speaker->done + 1);
    } else {
        message.type = MESSAGE_FINISHED;
        message.finished.id = speaker->id;
        message.finished.outcome = FINISH_COMPLETED;
        if (speaker->kind == ASSIGNMENT_TEST) {
            message.finished.dataset_count = 1;
            message.finished.datasets = memory_allocate(1, sizeof *message.finished.datasets);
            strcpy(message.finished.datasets[0].name, "test");
            message.finished.datasets[0].f1 = 0.375;
        }
    }
    speak(speaker, &message);
}

static void take_ack(Speaker *speaker, const MessageAck *ack)
{
    FakeWorker *worker = speaker->worker;
    if (ack->id.fence != speaker->id.fence)
        return;
    if (ack->acknowledged == MESSAGE_FINISHED) {
        speaker->id = (AssignmentId){0};
    } else if (ack->sequence == speaker->done + 1) {
        speaker->done++;
        int reports = atomic_fetch_add(&worker->reports, 1) + 1;
        if (reports == worker->interrupt_after)
            pthread_kill(worker->interrupts, SIGUSR1);
    }
}

static void take(Speaker *speaker, const Message *message)
{
    unsigned long long done = 0;
    switch (message->type) {
    case MESSAGE_WELCOME:
        speaker->greeted = true;
        break;
    case MESSAGE_ASSIGN:
        if (message->assign.id.fence <= speaker->id.fence)
            break;
        speaker->id = message->assign.id;
        speaker->kind = message->assign.kind;
        if (message->assign.resume[0] && sscanf(message->assign.resume, "trial-%*u/%llu", &done) != 1)
            abort();
        speaker->done = done;
        break;
    case MESSAGE_ACK:
        take_ack(speaker, &message->ack);
        break;
    case MESSAGE_RELEASE:
        if (message->reason.id.fence == speaker->id.fence)
            speaker->id = (AssignmentId){0};
        break;
    case MESSAGE_SHUTDOWN:
        atomic_fetch_add(&speaker->worker->shutdowns, 1);
        atomic_store(&speaker->worker->stop, true);
        break;
    default:
        break;
    }
}

static bool hear(Speaker *speaker)
{
    bool ready = false;
    Text bytes = {0};
    Message message;
    if (socket_poll(&speaker->socket, 1, &ready, NULL, 0, NULL, WAIT_MS, NULL) != STATUS_OK || !ready)
        return false;
    if (socket_receive(speaker->socket, NULL, &bytes, NULL) == STATUS_OK &&
        message_decode(&message, bytes.bytes, bytes.size, NULL) == STATUS_OK) {
        take(speaker, &message);
        message_free(&message);
    }
    text_free(&bytes);
    return true;
}

static void *run(void *context)
{
    Speaker speaker = {.worker = context};
    int quiet = 0;
    if (socket_context_create(&speaker.context, NULL) != STATUS_OK)
        abort();
    while (!atomic_load(&speaker.worker->stop)) {
        connect_anew(&speaker);
        if (!speaker.socket) {
            nanosleep(&(struct timespec){0, 20 * 1000 * 1000}, NULL);
            continue;
        }
        bool heard = hear(&speaker);
        quiet = heard ? 0 : quiet + 1;
        if (heard || quiet % QUIET_ROUNDS == 1)
            say_next(&speaker);
    }
    socket_close(&speaker.socket);
    socket_context_destroy(&speaker.context);
    return NULL;
}

void fake_worker_start(FakeWorker *worker)
{
    if (pthread_create(&worker->thread, NULL, run, worker) != 0)
        abort();
}

void fake_worker_join(FakeWorker *worker)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GOODBYE_S;
    /* One that came so late that nobody was there any more has no goodbye to wait for. */
    if (pthread_timedjoin_np(worker->thread, NULL, &until) == 0)
        return;
    atomic_store(&worker->stop, true);
    pthread_join(worker->thread, NULL);
}
