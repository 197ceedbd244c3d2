/* A backend that behaves as a GPU does towards the host: its memory cannot be touched but by its own operations.
 *
 * It computes with the reference, but its buffers lie on pages without any access (mprotect), except for the time of an operation that names
 * them, and buffer_host_pointer is NULL. Whoever reads or writes device memory from the host without a copy crashes. Matrices keep their
 * copy of the weights in such a buffer too, as it was at the last refresh. One thread at a time. */
#ifndef NERSWEEP_TESTS_KERNELS_GUARDED_BACKEND_H
#define NERSWEEP_TESTS_KERNELS_GUARDED_BACKEND_H

#include "kernels/backend.h"

/* Static. */
const Backend *backend_guarded(void);

/* Where a buffer's memory is, for tests of the guard itself. */
const volatile unsigned char *guarded_buffer_bytes(const BackendBuffer *buffer);

#endif
