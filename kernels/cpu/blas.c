/* The only file that includes OpenBLAS. */
#include "kernels/cpu/blas.h"

#include <cblas.h>

void blas_prepare(void)
{
    openblas_set_num_threads(1);
}

const char *blas_description(void)
{
    return openblas_get_config();
}

void blas_product(bool a_transposed, bool b_transposed, size_t m, size_t n, size_t k, const float *a, size_t a_row, const float *b,
                  size_t b_row, float beta, float *c, size_t c_row)
{
    cblas_sgemm(CblasRowMajor, a_transposed ? CblasTrans : CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, 1.0f, a, (blasint)a_row, b, (blasint)b_row, beta, c, (blasint)c_row);
}
