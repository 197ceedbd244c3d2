/* How much memory this host and this process's control groups have, and how much of it the process holds: from /proc and /sys. */
#ifndef NERSWEEP_CORE_IO_HOST_MEMORY_H
#define NERSWEEP_CORE_IO_HOST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Where the texts come from, so that tests can lose or break them. */
typedef struct HostFiles {
    void *context;
    /* The whole text of a file of /proc or /sys, freed by the caller; NULL: it is not there, or not to be read. */
    char *(*read)(void *context, const char *path);
} HostFiles;
const HostFiles *host_files_system(void);

enum { HOST_GROUP_NAME_SIZE = 256 };

/* UINT64_MAX: no bound, or none that could be read. */
typedef struct HostMemory {
    uint64_t total_bytes;           /* MemTotal */
    uint64_t available_bytes;       /* MemAvailable: without swapping, page cache given back */
    uint64_t group_limit_bytes;     /* of the control group (v1 or v2, this process's or one above it) that leaves the least room */
    uint64_t group_available_bytes; /* what it leaves: the limit without what is in use, page cache given back */
    char group_file[HOST_GROUP_NAME_SIZE]; /* the file that says the limit; "" where there is none */
} HostMemory;

/* A file that is missing or reads as something else than it should bounds nothing. */
void host_memory_read(const HostFiles *files, HostMemory *memory);

/* RssAnon of this process: memory of its own that is present, without mapped files. False: not known. */
bool host_process_anonymous_bytes(const HostFiles *files, uint64_t *bytes);

#endif
