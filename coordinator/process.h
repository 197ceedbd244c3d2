/* Processes of this machine, as /proc shows them. */
#ifndef NERSWEEP_COORDINATOR_PROCESS_H
#define NERSWEEP_COORDINATOR_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void process_host(char *host, size_t size); /* this machine's name, always terminated */
int32_t process_parent(int32_t pid);        /* 0: there is no such process */
/* A process pid that runs, and already ran at wall_ms (a second of leeway): a pid that was given to another process since does not count. */
bool process_ran_at(int32_t pid, int64_t wall_ms);
/* Takes "HOST-PID-RANDOM" apart; false: it is not of that form. */
bool process_parse_worker(const char *worker, char *host, size_t host_size, int32_t *pid);

#endif
