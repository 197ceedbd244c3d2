/* A worker without training: a thread that speaks the protocol with a real coordinator, found through the sweep's endpoint file. */
#ifndef NERSWEEP_TESTS_COORDINATOR_FAKE_WORKER_H
#define NERSWEEP_TESTS_COORDINATOR_FAKE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct FakeWorker {
    const char *sweep_folder, *name;
    int evaluations;    /* of a trial */
    atomic_int reports; /* acknowledged, in all */
    atomic_bool stop;
    atomic_int shutdowns; /* received; the thread ends after the first */
    pthread_t interrupts; /* gets SIGUSR1 after interrupt_after reports */
    int interrupt_after;  /* 0: never */
    pthread_t thread;
} FakeWorker;

void fake_worker_start(FakeWorker *worker);
void fake_worker_join(FakeWorker *worker); /* until it was shut down, or stop is set; after 10 s it is stopped */

#endif
