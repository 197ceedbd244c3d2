/* What the parts of bench_coordinator share. */
#ifndef NERSWEEP_BENCH_COORDINATOR_BENCH_H
#define NERSWEEP_BENCH_COORDINATOR_BENCH_H

#include "coordinator/core.h"
#include "proto/messages.h"

enum { BENCH_REPORTS = 3 }; /* of a trial, as in the peer's script */

double bench_now_s(void);
/* Ends the program with the message unless status is STATUS_OK. */
void bench_check(Status status, const Diagnostic *diagnostic);
/* Makes a sweep of so many trials in the current folder. */
Sweep *bench_sweep(int trials);
/* What a worker says; freed with message_free. */
void bench_report(Message *message, AssignmentId id, uint64_t sequence);
void bench_finished(Message *message, AssignmentId id);
/* A server in the current folder, which goes on with the journal there, and 64 clients for so many seconds. */
int bench_serve(int seconds, int reports, int window);

#endif
