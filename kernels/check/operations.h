/* The suite of operations: each one, forward and backward, over many shapes, to be held against the reference. tests/kernels runs it in the tests,
 * kernels/check/numerics on a user's machine. */
#ifndef NERSWEEP_KERNELS_CHECK_OPERATIONS_H
#define NERSWEEP_KERNELS_CHECK_OPERATIONS_H

#include "kernels/check/harness.h"

/* A case runs an operation on one shape and adds its outputs to the result. */
typedef struct OperationCase {
    const char *name;
    const char *family; /* for short reports; cases of a family stand together */
    void (*run)(Harness *harness, const int32_t *shape, Result *result);
    int32_t shapes[12][4]; /* ended by a shape that begins with 0 */
} OperationCase;

/* Static. */
const OperationCase *operation_cases(size_t *count);
size_t operation_case_shape_count(const OperationCase *operation);

/* result: freed by the caller in any case. Errors: those of harness_create and harness_finish. */
NODISCARD Status operation_case_run(const OperationCase *operation, const int32_t *shape, const BackendSetting *setting,
                                    Result *result, Diagnostic *diagnostic);

#endif
