#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/base/status.h"
#include "tests/core/base/support.h"

static void every_status_has_a_name_and_an_exit_code_of_its_class(void **state)
{
    (void)state;
    for (int status = STATUS_OK; status < STATUS_COUNT; status++) {
        assert_true(strlen(status_name((Status)status)) > 1);
        int exit_code = status_exit_code((Status)status);
        assert_true(exit_code == 0 || exit_code == 1 || exit_code == 2 || exit_code == 75 || exit_code == 130);
        assert_int_equal(exit_code == 0, status == STATUS_OK);
        assert_int_equal(status_class((Status)status) == STATUS_CLASS_NONE, status == STATUS_OK);
        if (status_class((Status)status) == STATUS_CLASS_RETRYABLE)
            assert_true(exit_code == 75 || exit_code == 130);
    }
    assert_int_equal(status_exit_code(STATUS_USAGE), 2);
}

static void an_unknown_status_is_an_internal_error(void **state)
{
    (void)state;
    assert_string_equal(status_name((Status)4711), status_name(STATUS_INTERNAL));
    assert_int_equal(status_class((Status)-1), STATUS_CLASS_WORKER);
}

static void errno_values_become_the_status_that_says_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(status_from_errno(ENOENT), STATUS_NOT_FOUND);
    assert_int_equal(status_from_errno(ENOSPC), STATUS_NO_SPACE);
    assert_int_equal(status_from_errno(EDQUOT), STATUS_NO_SPACE);
    assert_int_equal(status_from_errno(EACCES), STATUS_PERMISSION);
    assert_int_equal(status_from_errno(ENOMEM), STATUS_OUT_OF_MEMORY);
    assert_int_equal(status_from_errno(EINTR), STATUS_INTERRUPTED);
    assert_int_equal(status_from_errno(EEXIST), STATUS_EXISTS);
    assert_int_equal(status_from_errno(EIO), STATUS_IO);
    assert_int_equal(status_from_errno(0), STATUS_IO); /* a failure never becomes a success */
}

static void a_failure_fills_the_diagnostic_and_returns_its_code(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    assert_int_equal(FAIL(&diagnostic, STATUS_BUSY, "port %d is in use", 80), STATUS_BUSY);
    assert_int_equal(diagnostic.code, STATUS_BUSY);
    assert_string_equal(diagnostic.message, "port 80 is in use");
    assert_string_equal(diagnostic.input_file, "");
    assert_true(diagnostic.source_line > 0);
    assert_non_null(strstr(diagnostic.source_file, "status_test.c"));
    assert_int_equal(FAIL(NULL, STATUS_BUSY, "nobody listens"), STATUS_BUSY);
}

static void a_place_is_formatted_as_far_as_it_is_known(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    char text[128];
    Status status = FAIL_AT(&diagnostic, STATUS_INVALID_INPUT, "a.conll", 3, 7, "no label");
    assert_int_equal(status, STATUS_INVALID_INPUT);
    assert_string_equal(diagnostic_format(&diagnostic, text, sizeof text), "a.conll:3:7: no label");
    diagnostic.input_column = 0;
    assert_string_equal(diagnostic_format(&diagnostic, text, sizeof text), "a.conll:3: no label");
    diagnostic.input_line = 0;
    assert_string_equal(diagnostic_format(&diagnostic, text, sizeof text), "a.conll: no label");
    diagnostic.input_file[0] = '\0';
    assert_string_equal(diagnostic_format(&diagnostic, text, sizeof text), "no label");
    assert_string_equal(diagnostic_format(&diagnostic, text, 4), "no ");
}

static void a_message_may_be_passed_on_within_its_own_diagnostic(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    Status status = FAIL_AT(&diagnostic, STATUS_IO, "file", 1, 1, "inner");
    status = FAIL_AT(&diagnostic, status, diagnostic.input_file, 2, 2, "outer (%s)", diagnostic.message);
    assert_int_equal(status, STATUS_IO);
    assert_string_equal(diagnostic.message, "outer (inner)");
    assert_string_equal(diagnostic.input_file, "file");
}

static void long_texts_are_cut_and_always_terminated(void **state)
{
    (void)state;
    static char large[5000];
    memset(large, 'x', sizeof large - 1);
    Diagnostic diagnostic = {0};
    Status status = FAIL_AT(&diagnostic, STATUS_IO, large, 1, 1, "%s", large);
    assert_int_equal(status, STATUS_IO);
    assert_int_equal(strlen(diagnostic.message), DIAGNOSTIC_MESSAGE_SIZE - 1);
    assert_int_equal(strlen(diagnostic.input_file), DIAGNOSTIC_PLACE_SIZE - 1);
    diagnostic_prefix(&diagnostic, "while %s", "reading");
    assert_memory_equal(diagnostic.message, "while reading: xxx", 18);
    assert_int_equal(strlen(diagnostic.message), DIAGNOSTIC_MESSAGE_SIZE - 1);
    diagnostic_prefix(&diagnostic, "%s", large);
    assert_int_equal(strlen(diagnostic.message), DIAGNOSTIC_MESSAGE_SIZE - 1);
    diagnostic_prefix(NULL, "nobody");
}

static void messages_are_printable_utf8_whatever_they_quote(void **state)
{
    (void)state;
    static const struct {
        const char *quoted, *shown;
    } cases[] = {
        {"a\nb\tc\x1b[31m\x7f", "a b c [31m "},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"x\xF0\x9F\x98", "x???"},                             /* cut off */
        {"\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80", "?????????"}, /* overlong, a surrogate, beyond the last character */
        {"\x80\xFF\xC2", "???"},
        {"\xC2\x9B"
         "31m\xC2\xA0",
         "??31m\xC2\xA0"}, /* a C1 control; a no-break space is none */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Diagnostic diagnostic = {0};
        Status status = FAIL(&diagnostic, STATUS_INVALID_INPUT, "%s", cases[i].quoted);
        assert_int_equal(status, STATUS_INVALID_INPUT);
        assert_string_equal(diagnostic.message, cases[i].shown);
        status = FAIL(&diagnostic, STATUS_INVALID_INPUT, "!");
        diagnostic_prefix(&diagnostic, "%s", cases[i].quoted);
        assert_memory_equal(diagnostic.message, cases[i].shown, strlen(cases[i].shown));
    }
}

static void break_a_promise(void *context)
{
    ASSERT(context != NULL);
}

static void a_broken_promise_aborts(void **state)
{
    assert_true(aborts(break_a_promise, NULL));
    assert_false(aborts(break_a_promise, &state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_and_an_exit_code_of_its_class),
        cmocka_unit_test(an_unknown_status_is_an_internal_error),
        cmocka_unit_test(errno_values_become_the_status_that_says_what_to_do),
        cmocka_unit_test(a_failure_fills_the_diagnostic_and_returns_its_code),
        cmocka_unit_test(a_place_is_formatted_as_far_as_it_is_known),
        cmocka_unit_test(a_message_may_be_passed_on_within_its_own_diagnostic),
        cmocka_unit_test(long_texts_are_cut_and_always_terminated),
        cmocka_unit_test(messages_are_printable_utf8_whatever_they_quote),
        cmocka_unit_test(a_broken_promise_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
