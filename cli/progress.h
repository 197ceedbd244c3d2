/* A progress bar on a terminal, a plain line every few seconds elsewhere; on stderr. */
#ifndef NERSWEEP_CLI_PROGRESS_H
#define NERSWEEP_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Progress {
    const char *title; /* static */
    int64_t started_ns, shown_ns;
    bool terminal, shown;
} Progress;

void progress_begin(Progress *progress, const char *title);
/* done of total; detail (may be NULL) is put behind. Shows at most ten times a second on a terminal, every 5 s elsewhere. */
void progress_show(Progress *progress, uint64_t done, uint64_t total, const char *detail);
/* Clears the bar. */
void progress_end(Progress *progress);

#endif
