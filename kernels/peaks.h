/* What a device reaches at best: the roof that times of operations are held against (Williams, Waterman, Patterson 2009). */
#ifndef NERSWEEP_KERNELS_PEAKS_H
#define NERSWEEP_KERNELS_PEAKS_H

#include "core/base/clock.h"
#include "kernels/backend.h"

typedef struct BackendPeaks {
    double flop_per_s[2]; /* of products, by DeviceType */
    double bytes_per_s;   /* of memory, beyond the caches */
    size_t memory_bytes;  /* that were walked over for it */
} BackendPeaks;

/* Measures within about a second, on the threads that the device has; the best pass of each counts.
 * Products: the backend's own linear_forward on weights that are laid out already, over blocks that stay in the caches; so the peak is that of the
 * backend's best inner loop, no theoretical one.
 * Memory: a += s b by thread_count threads over arrays that are together twice as large as the last cache, within 96 to 512 MiB, and smaller
 * where there is no such memory. Unlike in STREAM's triad a = b + s c each line that is written was read before, so that no traffic goes
 * uncounted. A copy by the backend where the host cannot reach its memory.
 * Errors: as the backend's calls. */
NODISCARD Status backend_peaks_measure(BackendPeaks *peaks, const Backend *backend, BackendDevice *device, int thread_count,
                                       const Clock *clock, Diagnostic *diagnostic);

/* Seconds that so much work takes at least: max(flop / peak of the type, bytes / peak of memory). *by_memory: which of them it is. */
double backend_peaks_roofline_s(const BackendPeaks *peaks, DeviceType type, double flop, double bytes, bool *by_memory);

#endif
