/* A backend of which one operation is wrong is found, and the operation named. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/check/numerics.h"

/* Spoils the first number of an output: by a hundredth, or of bf16 by half. */
static void spoil(DeviceView view)
{
    unsigned char *place = (unsigned char *)backend_reference()->buffer_host_pointer(view.buffer) + view.offset_bytes;
    if (view.type == DEVICE_BF16) {
        *(uint16_t *)(void *)place ^= 0x40;
    } else {
        *(float *)(void *)place += 0.01f;
    }
}

static void linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                           LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    backend_reference()->linear_forward(stream, weight, bias, x, rows, epilogue, pre, y);
    spoil(y);
}

static void linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                   bool accumulate, DeviceView d_weight, DeviceView d_bias)
{
    backend_reference()->linear_backward_weight(stream, x, d_y, rows, n, k, accumulate, d_weight, d_bias);
    if (n > 64) { /* only where it is large, as with a library that has another path then */
        spoil(d_weight);
    }
}

static void attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                               DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                               DeviceView d_qkv)
{
    backend_reference()->attention_backward(stream, block, qkv, context, log_sum_exp, d_context, heads, head_width, dropout, d_qkv);
    spoil(d_qkv);
}

static void adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                  DeviceView second_moment, size_t count, const AdamwStep *step)
{
    backend_reference()->adamw(stream, parameter, gradient, first_moment, second_moment, count, step);
    ((float *)backend_reference()->buffer_host_pointer(parameter.buffer))[parameter.offset_bytes / sizeof(float)] = NAN;
}

static void fill_zero(BackendStream *stream, DeviceView to, size_t size_bytes)
{
    backend_reference()->fill_zero(stream, to, size_bytes + sizeof(float));
}

/* What is broken, and which cases of the suite must say so. */
typedef struct Break {
    Backend table;
    const char *wrong[6];
} Break;

enum { BREAK_COUNT = 5 };

static void breaks_make(Break breaks[BREAK_COUNT])
{
    for (size_t i = 0; i < BREAK_COUNT; i++) {
        breaks[i] = (Break){.table = *backend_reference()};
    }
    breaks[1].table.linear_forward = linear_forward;
    breaks[1].wrong[0] = "linear_forward";
    breaks[1].wrong[1] = "matrix_refresh";
    breaks[1].wrong[2] = "bf16_forward";
    breaks[1].wrong[3] = "adamw_of_matrix";
    breaks[1].wrong[4] = "bf16_adamw_of_matrix";
    breaks[1].wrong[5] = "bf16_matrix_settled";
    breaks[2].table.linear_backward_weight = linear_backward_weight;
    breaks[2].wrong[0] = "linear_backward_weight";
    breaks[2].wrong[1] = "bf16_backward_weight";
    breaks[3].table.attention_backward = attention_backward;
    breaks[3].wrong[0] = "attention";
    breaks[3].wrong[1] = "attention_with_dropout";
    breaks[3].wrong[2] = "attention_of_large_scores";
    breaks[3].wrong[3] = "bf16_attention";
    breaks[3].wrong[4] = "bf16_attention_without_dropout";
    breaks[4].table.adamw = adamw;
    breaks[4].wrong[0] = "adamw";
}

static bool is_expected(const Break *broken, const char *name)
{
    for (size_t i = 0; i < 6 && broken->wrong[i] != NULL; i++) {
        if (strcmp(broken->wrong[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void a_wrong_operation_is_named_and_no_other(void **state)
{
    static Break breaks[BREAK_COUNT];
    NumericsReport reports[BREAK_COUNT];
    size_t case_count;
    (void)operation_cases(&case_count);
    breaks_make(breaks);
    for (size_t i = 0; i < BREAK_COUNT; i++) {
        BackendSetting setting = {.backend = "broken", .threads = 1, .table = &breaks[i].table};
        numerics_check(*state, &setting, NULL, &reports[i]);
        const NumericsReport *report = &reports[i];
        assert_int_equal(report->failure.code, STATUS_OK);
        assert_int_equal(report->operations.count, case_count);
        assert_true(numerics_right(report) == (i == 0));
        for (size_t o = 0; o < case_count; o++) {
            const NumericsOperation *operation = &report->operations.items[o];
            bool right = operation->difference.share <= 1.0;
            if (right == is_expected(&breaks[i], operation->name)) {
                fail_msg("break %zu: %s was found %s", i, operation->name, right ? "right" : "wrong");
            }
        }
    }
    /* The reference differs from itself in nothing, and a value that is no number is as wrong as can be. */
    assert_true(numerics_worst(&reports[0])->difference.share == 0.0);
    assert_true(isinf(numerics_worst(&reports[4])->difference.share));
    assert_string_equal(numerics_worst(&reports[4])->difference.section, "parameter");
    assert_true(numerics_worst(&reports[2])->shape[1] > 64);
    for (size_t i = 0; i < BREAK_COUNT; i++) {
        numerics_report_free(&reports[i]);
    }
}

static void writing_beside_an_array_is_a_failure(void **state)
{
    Backend table = *backend_reference();
    NumericsReport report;
    table.fill_zero = fill_zero;
    BackendSetting setting = {.backend = "broken", .threads = 1, .table = &table};
    numerics_check(*state, &setting, NULL, &report);
    assert_false(numerics_right(&report));
    assert_int_equal(report.failure.code, STATUS_INTERNAL);
    assert_string_equal(report.failure.message, "copies: an operation wrote beside an array of 4 bytes");
    numerics_report_free(&report);
}

static void a_backend_that_does_not_open_is_a_failure(void **state)
{
    NumericsReport report;
    BackendSetting setting = {.backend = "nowhere", .threads = 1};
    numerics_check(*state, &setting, NULL, &report);
    assert_false(numerics_right(&report));
    assert_non_null(strstr(report.failure.message, "no backend is called 'nowhere'"));
    numerics_report_free(&report);
}

static void dying_adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                        DeviceView second_moment, size_t count, const AdamwStep *step)
{
    (void)stream, (void)parameter, (void)gradient, (void)first_moment, (void)second_moment, (void)count, (void)step;
    kill(getpid(), SIGKILL);
}

static void endless_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                            LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    (void)stream, (void)weight, (void)bias, (void)x, (void)rows, (void)epilogue, (void)pre, (void)y;
    for (;;) {
        pause();
    }
}

static void an_operation_that_dies_or_hangs_is_named_and_ends_nothing_else(void **state)
{
    Backend dying = *backend_reference(), endless = dying;
    NumericsReport report;
    Diagnostic diagnostic = {0};
    dying.adamw = dying_adamw;
    endless.linear_forward = endless_forward;
    BackendSetting setting = {.backend = "broken", .threads = 1, .table = &dying};
    assert_int_equal(numerics_check_apart(*state, &setting, 300, &report, &diagnostic), STATUS_OK);
    assert_false(numerics_right(&report));
    assert_non_null(strstr(report.failure.message, "adamw: the process died by signal 9"));
    numerics_report_free(&report);
    setting.table = &endless;
    assert_int_equal(numerics_check_apart(*state, &setting, 1, &report, &diagnostic), STATUS_OK);
    assert_false(numerics_right(&report));
    assert_non_null(strstr(report.failure.message, "linear_forward: not done within 1 s"));
    numerics_report_free(&report);
}

static void a_setting_looked_at_apart_has_the_same_report(void **state)
{
    Break breaks[BREAK_COUNT];
    NumericsReport here, apart;
    Diagnostic diagnostic = {0};
    breaks_make(breaks);
    BackendSetting setting = {.backend = "broken", .threads = 1, .table = &breaks[3].table};
    numerics_check(*state, &setting, NULL, &here);
    assert_int_equal(numerics_check_apart(*state, &setting, 300, &apart, &diagnostic), STATUS_OK);
    assert_int_equal(here.operations.count, apart.operations.count);
    for (size_t i = 0; i < here.operations.count; i++) {
        const NumericsOperation *a = &here.operations.items[i], *b = &apart.operations.items[i];
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->difference.section, b->difference.section);
        assert_true(a->difference.share == b->difference.share && memcmp(a->shape, b->shape, sizeof a->shape) == 0);
    }
    numerics_report_free(&here);
    numerics_report_free(&apart);
}

static NumericsExpected expected;

static int expect(void **state)
{
    Diagnostic diagnostic = {0};
    *state = &expected;
    return numerics_expect(&expected, &diagnostic) == STATUS_OK ? 0 : -1;
}

static int forget(void **state)
{
    (void)state;
    numerics_expected_free(&expected);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_operation_is_named_and_no_other),
        cmocka_unit_test(writing_beside_an_array_is_a_failure),
        cmocka_unit_test(a_backend_that_does_not_open_is_a_failure),
        cmocka_unit_test(an_operation_that_dies_or_hangs_is_named_and_ends_nothing_else),
        cmocka_unit_test(a_setting_looked_at_apart_has_the_same_report),
    };
    return cmocka_run_group_tests(tests, expect, forget);
}
