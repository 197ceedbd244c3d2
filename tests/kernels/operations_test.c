/* One suite over every backend and setting: each operation gives what the reference gives, and the same bits with 1, 2 and 3 threads. Cases and
 * tolerances are those of kernels/check/operations.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/check/operations.h"
#include "tests/kernels/harness.h"

static Result case_result(const OperationCase *operation, const int32_t *shape, const BackendSetting *setting)
{
    Result result;
    Diagnostic diagnostic = {0};
    Status status = operation_case_run(operation, shape, setting, &result, &diagnostic);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", status_name(status), diagnostic.message);
    }
    return result;
}

static void describe(char *text, size_t text_size, const BackendSetting *setting, const int32_t *shape)
{
    char name[128];
    snprintf(text, text_size, "%s, shape %d %d %d", setting_name(setting, name, sizeof name), shape[0], shape[1], shape[2]);
}

static void an_operation_gives_what_the_reference_gives(void **state)
{
    const OperationCase *operation = *state;
    BackendSetting reference = {.backend = "reference", .threads = 1}, settings[TEST_SETTING_COUNT_MAX];
    size_t count = settings_list(settings, 2);
    for (size_t s = 0; s < operation_case_shape_count(operation); s++) {
        const int32_t *shape = operation->shapes[s];
        Result expected = case_result(operation, shape, &reference);
        for (size_t i = 0; i < count; i++) {
            char what[256];
            describe(what, sizeof what, &settings[i], shape);
            Result found = case_result(operation, shape, &settings[i]);
            result_assert_close(&expected, &found, what);
            result_free(&found);
        }
        result_free(&expected);
    }
}

static void an_operation_gives_the_same_bits_for_any_number_of_threads(void **state)
{
    const OperationCase *operation = *state;
    BackendSetting settings[TEST_SETTING_COUNT_MAX];
    size_t count = settings_list(settings, 1);
    for (size_t s = 0; s < operation_case_shape_count(operation); s++) {
        const int32_t *shape = operation->shapes[s];
        for (size_t i = 0; i < count; i++) {
            BackendSetting setting = settings[i];
            Result expected = case_result(operation, shape, &setting);
            for (setting.threads = 2; setting.features != NULL && setting.threads <= 3; setting.threads++) {
                char what[256];
                describe(what, sizeof what, &setting, shape);
                Result found = case_result(operation, shape, &setting);
                result_assert_same_bits(&expected, &found, what);
                result_free(&found);
            }
            result_free(&expected);
        }
    }
}

int main(void)
{
    size_t count;
    const OperationCase *cases = operation_cases(&count);
    char(*names)[128] = memory_allocate(2 * count, sizeof *names);
    struct CMUnitTest *tests = memory_allocate(2 * count, sizeof *tests);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[2 * i], sizeof *names, "%s_gives_what_the_reference_gives", cases[i].name);
        snprintf(names[2 * i + 1], sizeof *names, "%s_gives_the_same_bits_for_any_number_of_threads", cases[i].name);
        tests[2 * i] =
            (struct CMUnitTest){names[2 * i], an_operation_gives_what_the_reference_gives, NULL, NULL, (void *)&cases[i]};
        tests[2 * i + 1] = (struct CMUnitTest){names[2 * i + 1], an_operation_gives_the_same_bits_for_any_number_of_threads, NULL,
                                               NULL, (void *)&cases[i]};
    }
    int failed = _cmocka_run_group_tests("kernels_operations", tests, 2 * count, NULL, NULL);
    free(tests);
    free(names);
    return failed;
}
