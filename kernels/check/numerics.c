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

Status numerics_expect(NumericsExpected *expected, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BackendSetting reference = {.backend = "reference", .threads = 1};
    size_t count;
    const OperationCase *cases = operation_cases(&count);
    *expected = (NumericsExpected){0};
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < operation_case_shape_count(&cases[i]); s++) {
            Result result;
            status = operation_case_run(&cases[i], cases[i].shapes[s], &reference, &result, diagnostic);
            array_push(&expected->results, result);
            TRY(status);
        }
    }
out:
    return status;
}

void numerics_expected_free(NumericsExpected *expected)
{
    for (size_t i = 0; i < expected->results.count; i++) {
        result_free(&expected->results.items[i]);
    }
    array_free(&expected->results);
}

/* expected: of this operation's shapes. Ends with the first failure. */
static Status operation_check(const OperationCase *operation, const Result *expected, NumericsReport *report)
{
    Status status = STATUS_OK;
    NumericsOperation found = {.name = operation->name, .family = operation->family};
    for (size_t s = 0; s < operation_case_shape_count(operation); s++) {
        Result result;
        status = operation_case_run(operation, operation->shapes[s], &report->setting, &result, &report->failure);
        if (status == STATUS_OK) {
            ResultDifference difference = result_compare(&expected[s], &result);
            keep_worst(&found, operation->shapes[s], &difference);
        }
        result_free(&result);
        TRY(status);
    }
    array_push(&report->operations, found);
out:
    if (status != STATUS_OK) {
        diagnostic_prefix(&report->failure, "%s", operation->name);
    }
    return status;
}

void numerics_check(const NumericsExpected *expected, const BackendSetting *setting, size_t *begun, NumericsReport *report)
{
    size_t count, next = 0;
    const OperationCase *cases = operation_cases(&count);
    *report = (NumericsReport){.setting = *setting};
    for (size_t i = 0; i < count; i++) {
        if (begun != NULL) {
            *begun = i;
        }
        if (operation_check(&cases[i], &expected->results.items[next], report) != STATUS_OK) {
            return;
        }
        next += operation_case_shape_count(&cases[i]);
    }
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
