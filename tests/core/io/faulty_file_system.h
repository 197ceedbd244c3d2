/* A file system on which calls fail: the posix one behind a counter. For the tests of everything that writes through a FileSystem. */
#ifndef NERSWEEP_TESTS_CORE_IO_FAULTY_FILE_SYSTEM_H
#define NERSWEEP_TESTS_CORE_IO_FAULTY_FILE_SYSTEM_H

#include <stdbool.h>

#include "core/io/file.h"

typedef struct FaultyFileSystem {
    FileSystem table;     /* to be handed out */
    long calls;           /* made so far, all but unlink */
    long fail_at;         /* this call (from 1) fails; 0: none */
    int error_number;     /* with this */
    bool dead;            /* and so does every later one, unlink too, as after a crash */
    bool failed;          /* it was reached */
    size_t largest_write; /* a write takes no more bytes; 0: all */
    long interrupts;      /* this many writes and fsyncs end with EINTR first */
    long long space;      /* bytes until ENOSPC; negative: endless */
    long writes, fsyncs, renames, links;
} FaultyFileSystem;

void faulty_begin(FaultyFileSystem *faulty);

#endif
