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

/* What the reference gives: the result of each case on each shape, in their order. Freed by numerics_expected_free in any case. Errors: those of the
 * reference. */
typedef struct NumericsExpected {
    ARRAY(Result) results;
} NumericsExpected;
NODISCARD Status numerics_expect(NumericsExpected *expected, Diagnostic *diagnostic);
void numerics_expected_free(NumericsExpected *expected);

/* Fills the report, which is freed with numerics_report_free; what fails or is wrong stands in it. *begun, which may be NULL, is the number of the
 * operation that is being run. Sets environment variables as harness_create does. */
void numerics_check(const NumericsExpected *expected, const BackendSetting *setting, size_t *begun, NumericsReport *report);
/* The same in a process of its own that has time_limit_s: one that dies or hangs is a failure of the setting, which names the operation. The caller
 * has no thread that holds a lock. Errors: those of fork and mmap. */
NODISCARD Status numerics_check_apart(const NumericsExpected *expected, const BackendSetting *setting, unsigned time_limit_s,
                                      NumericsReport *report, Diagnostic *diagnostic);
void numerics_report_free(NumericsReport *report);

/* The operation that is furthest off; NULL: none was run. */
const NumericsOperation *numerics_worst(const NumericsReport *report);
bool numerics_right(const NumericsReport *report);

#endif
