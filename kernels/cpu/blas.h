/* The BLAS library, behind one function. */
#ifndef NERSWEEP_KERNELS_CPU_BLAS_H
#define NERSWEEP_KERNELS_CPU_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/* c [m, n] = a b + beta c, all row-major with the given row lengths; a is [m, k], or [k, m] when a_transposed; b is [k, n], or [n, k] when
 * b_transposed. On the calling thread alone; several threads may call at once. */
void blas_product(bool a_transposed, bool b_transposed, size_t m, size_t n, size_t k, const float *a, size_t a_row, const float *b,
                  size_t b_row, float beta, float *c, size_t c_row);

/* Once before the first product: the library keeps to the calling thread (threads are ours). */
void blas_prepare(void);

/* Name, version and kernels of the library, for the log. */
const char *blas_description(void);

#endif
