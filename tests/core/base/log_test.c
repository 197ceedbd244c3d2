#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/core/base/support.h"

/* The log goes into a file, and what was written since the last look is read from it. */
typedef struct Sink {
    char *folder;
    int file;
    char text[1 << 20];
} Sink;

static int open_sink(void **state)
{
    Sink *sink = calloc(1, sizeof *sink);
    sink->folder = scratch_make();
    sink->file = open(scratch_path(sink->folder, "log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    assert_true(sink->file >= 0);
    log_set_file_descriptor(sink->file);
    log_set_level(LOG_INFO);
    log_set_json(false);
    log_set_name("test");
    *state = sink;
    return 0;
}

static int close_sink(void **state)
{
    Sink *sink = *state;
    log_set_file_descriptor(STDERR_FILENO);
    close(sink->file);
    scratch_remove(&sink->folder);
    free(sink);
    return 0;
}

static const char *logged(Sink *sink)
{
    ssize_t size = pread(sink->file, sink->text, sizeof sink->text - 1, 0);
    assert_true(size >= 0);
    sink->text[size] = '\0';
    assert_int_equal(ftruncate(sink->file, 0), 0);
    return sink->text;
}

static void a_line_for_people_has_time_level_name_and_message(void **state)
{
    log_set_name("worker/2");
    LOG_INFO("step %d of %d", 3, 9);
    const char *line = logged(*state);
    int hours, minutes, seconds;
    assert_int_equal(sscanf(line, "%2d:%2d:%2d", &hours, &minutes, &seconds), 3);
    assert_string_equal(line + 8, " info worker/2: step 3 of 9\n");
}

static void lower_levels_are_silent(void **state)
{
    LOG_DEBUG("not seen");
    assert_string_equal(logged(*state), "");
    log_write(LOG_DEBUG, "not seen either");
    assert_string_equal(logged(*state), "");
    log_set_level(LOG_SILENT);
    LOG_ERROR("not even this");
    log_write(LOG_SILENT, "nor this");
    assert_string_equal(logged(*state), "");
    log_set_level(LOG_DEBUG);
    LOG_DEBUG("seen");
    assert_non_null(strstr(logged(*state), " debug test: seen\n"));
}

static void level_names_are_parsed(void **state)
{
    (void)state;
    LogLevel level = LOG_SILENT;
    assert_true(log_parse_level("warning", &level));
    assert_int_equal(level, LOG_WARNING);
    assert_false(log_parse_level("Warning", &level));
    assert_false(log_parse_level("", &level));
    assert_int_equal(level, LOG_WARNING);
}

static void control_characters_break_no_line(void **state)
{
    LOG_WARNING("a\nb\tc\033[31md");
    const char *line = logged(*state);
    assert_string_equal(line + 8, " warning test: a b c?[31md\n");
}

static void json_lines_are_escaped(void **state)
{
    log_set_json(true);
    LOG_ERROR("quote \" backslash \\ newline \n bell \a umlaut \xC3\xA4 broken \xC3 overlong \xC0\x80 surrogate \xED\xA0\x80");
    const char *line = logged(*state);
    assert_non_null(strstr(line, "\"level\":\"error\",\"name\":\"test\",\"message\":\""));
    assert_non_null(strstr(line,
                           "quote \\\" backslash \\\\ newline \\u000a bell \\u0007 umlaut \xC3\xA4 broken \xEF\xBF\xBD overlong "
                           "\xEF\xBF\xBD\xEF\xBF\xBD surrogate \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}\n"));
    assert_memory_equal(line, "{\"time\":\"2", 10);
}

static void a_diagnostic_is_logged_with_its_place(void **state)
{
    Diagnostic diagnostic = {0};
    Status status = FAIL_AT(&diagnostic, STATUS_INVALID_INPUT, "a.yaml", 3, 5, "unknown key");
    assert_int_equal(status, STATUS_INVALID_INPUT);
    log_diagnostic(LOG_ERROR, &diagnostic);
    assert_non_null(strstr(logged(*state), " error test: a.yaml:3:5: unknown key\n"));
    log_set_json(true);
    log_diagnostic(LOG_ERROR, &diagnostic);
    assert_non_null(strstr(
        logged(*state), "\"file\":\"a.yaml\",\"line\":3,\"column\":5,\"status\":\"invalid input\",\"message\":\"unknown key\"}\n"));
    log_set_level(LOG_SILENT);
    log_diagnostic(LOG_ERROR, &diagnostic);
    assert_string_equal(logged(*state), "");
}

static void a_message_that_is_too_long_still_ends_its_line(void **state)
{
    char *large = calloc(1, 20001);
    memset(large, '\001', 20000); /* six bytes each in JSON */
    for (int json = 0; json < 2; json++) {
        log_set_json(json);
        LOG_INFO("%s", large);
        LOG_INFO("next");
        const char *text = logged(*state);
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        assert_true(end - text < 8192);
        if (json)
            assert_memory_equal(end - 2, "\"}\n", 3);
        assert_non_null(strstr(end + 1, "next"));
    }
    free(large);
}

static void a_long_name_is_cut(void **state)
{
    log_set_name("0123456789012345678901234567890123456789");
    LOG_INFO("x");
    assert_non_null(strstr(logged(*state), " 0123456789012345678901234567890: x\n"));
}

enum { THREADS = 4, LINES = 200 };

static void *write_lines(void *argument)
{
    char word[64];
    memset(word, 'a' + (int)(intptr_t)argument, sizeof word - 1);
    word[sizeof word - 1] = '\0';
    for (int i = 0; i < LINES; i++) {
        log_set_name(i % 2 ? "one" : "two");
        LOG_INFO("%s", word);
    }
    return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    char *text = strdup(logged(*state));
    int lines = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        char *word = strrchr(line, ' ') + 1;
        assert_int_equal(strlen(word), 63);
        assert_int_equal(strspn(word, (char[]){word[0], '\0'}), 63);
        lines++;
    }
    free(text);
    assert_int_equal(lines, THREADS * LINES);
}

static void a_closed_log_harms_nobody(void **state)
{
    (void)state;
    log_set_file_descriptor(-1);
    LOG_INFO("into the void");
}

static void the_clock_goes_forward_and_sleeps(void **state)
{
    (void)state;
    const Clock *clock = clock_system();
    int64_t before = clock->monotonic_ns(clock->context), wall = clock->wall_ms(clock->context);
    clock->sleep_ns(clock->context, 5000000);
    clock->sleep_ns(clock->context, -1);
    assert_true(clock->monotonic_ns(clock->context) - before >= 5000000);
    assert_true(wall > 1600000000000); /* milliseconds since 1970, some time after 2020 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_for_people_has_time_level_name_and_message, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(lower_levels_are_silent, open_sink, close_sink),
        cmocka_unit_test(level_names_are_parsed),
        cmocka_unit_test_setup_teardown(control_characters_break_no_line, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(json_lines_are_escaped, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(a_diagnostic_is_logged_with_its_place, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(a_message_that_is_too_long_still_ends_its_line, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(a_long_name_is_cut, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(lines_of_many_threads_do_not_mix, open_sink, close_sink),
        cmocka_unit_test_setup_teardown(a_closed_log_harms_nobody, open_sink, close_sink),
        cmocka_unit_test(the_clock_goes_forward_and_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
