/* Is what computes here right? Every operation of the suite on every setting against the reference: processors, libraries and compilers have been
 * wrong before (old builds of BLAS on new processors). */
#ifndef NERSWEEP_KERNELS_CHECK_NUMERICS_H
#define NERSWEEP_KERNELS_CHECK_NUMERICS_H

#include "kernels/check/operations.h"

/* The worst of one operation over its shapes. */
typedef struct NumericsOperation {
    const char *name, *family;
    int32_t shape[4];            /* on which it was furthest off */
    ResultDifference difference; /* right when share <= 1 */
} NumericsOperation;

typedef struct NumericsReport {
    BackendSetting setting;
    Diagnostic failure; /* of the setting as a whole, after which no operation was run; code STATUS_OK: none */
    ARRAY(NumericsOperation) operations;
} NumericsReport;

/* Fills reports [count]; each is freed with numerics_report_free in any case. What fails or is wrong stands in its report. progress, which may be
 * NULL, is called before each operation. Errors: those of the reference itself. Sets environment variables as harness_create does. */
NODISCARD Status numerics_check(const BackendSetting *settings, size_t count, NumericsReport *reports,
                                void (*progress)(void *context, size_t done, size_t total), void *context, Diagnostic *diagnostic);
void numerics_report_free(NumericsReport *report);

/* The operation that is furthest off; NULL: none was run. */
const NumericsOperation *numerics_worst(const NumericsReport *report);
bool numerics_right(const NumericsReport *report);

#endif
