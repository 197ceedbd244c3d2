#include "kernels/check/numerics.h"

#include <stdlib.h>
#include <string.h>

static void keep_worst(NumericsOperation *operation, const int32_t *shape, const ResultDifference *difference)
{
    if (operation->difference.section == NULL || difference->share > operation->difference.share) {
        memcpy(operation->shape, shape, sizeof operation->shape);
        operation->difference = *difference;
    }
}

/* One operation on one shape in one setting, which has not failed yet. */
static void shape_check(const OperationCase *operation, const int32_t *shape, const Result *expected, NumericsReport *report)
{
    Result found;
    if (operation_case_run(operation, shape, &report->setting, &found, &report->failure) == STATUS_OK) {
        ResultDifference difference = result_compare(expected, &found);
        keep_worst(&report->operations.items[report->operations.count - 1], shape, &difference);
    } else {
        diagnostic_prefix(&report->failure, "%s", operation->name);
    }
    result_free(&found);
}

static Status operation_check(const OperationCase *operation, NumericsReport *reports, size_t count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BackendSetting reference = {.backend = "reference", .threads = 1};
    Result expected = {0};
    NumericsOperation begun = {.name = operation->name, .family = operation->family};
    for (size_t i = 0; i < count; i++) {
        if (reports[i].failure.code == STATUS_OK) {
            array_push(&reports[i].operations, begun);
        }
    }
    for (size_t s = 0; s < operation_case_shape_count(operation); s++) {
        const int32_t *shape = operation->shapes[s];
        TRY(operation_case_run(operation, shape, &reference, &expected, diagnostic));
        for (size_t i = 0; i < count; i++) {
            if (reports[i].failure.code == STATUS_OK) {
                shape_check(operation, shape, &expected, &reports[i]);
            }
        }
        result_free(&expected);
    }
out:
    result_free(&expected);
    return status;
}

Status numerics_check(const BackendSetting *settings, size_t count, NumericsReport *reports,
                      void (*progress)(void *context, size_t done, size_t total), void *context, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t case_count;
    const OperationCase *cases = operation_cases(&case_count);
    for (size_t i = 0; i < count; i++) {
        reports[i] = (NumericsReport){.setting = settings[i]};
    }
    for (size_t i = 0; i < case_count; i++) {
        if (progress != NULL) {
            progress(context, i, case_count);
        }
        TRY(operation_check(&cases[i], reports, count, diagnostic));
    }
out:
    return status;
}

void numerics_report_free(NumericsReport *report)
{
    array_free(&report->operations);
}

const NumericsOperation *numerics_worst(const NumericsReport *report)
{
    const NumericsOperation *worst = NULL;
    for (size_t i = 0; i < report->operations.count; i++) {
        const NumericsOperation *operation = &report->operations.items[i];
        if (worst == NULL || operation->difference.share > worst->difference.share) {
            worst = operation;
        }
    }
    return worst;
}

bool numerics_right(const NumericsReport *report)
{
    const NumericsOperation *worst = numerics_worst(report);
    return report->failure.code == STATUS_OK && worst != NULL && worst->difference.share <= 1.0;
}
