/* The environment is read once per process, so each case is a process of its own: this program again, with a number of calls to make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "tests/core/base/support.h"

enum { CHILD_OK = 40 };

static atomic_int failures;

static void *reach_often(void *argument)
{
    (void)argument;
    for (int i = 0; i < 1000; i++) {
        if (fault_point("a.point"))
            atomic_fetch_add(&failures, 1);
    }
    return NULL;
}

/* Exits with CHILD_OK plus the number of the call that failed (0: none). */
static int child_main(const char *mode)
{
    if (strcmp(mode, "threads") == 0) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, reach_often, NULL);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        return CHILD_OK + atomic_load(&failures);
    }
    int failed = 0;
    for (int i = 1; i <= atoi(mode); i++) {
        if (fault_point("other.point"))
            return 1;
        if (fault_point("a.point"))
            failed = failed ? 99 : i;
    }
    return CHILD_OK + failed;
}

static int reach(const char *mode, const char *fault, const char *fault_log)
{
    return child_run((const char *const[]){mode, NULL}, fault, fault_log);
}

static void without_the_variable_nothing_happens(void **state)
{
    (void)state;
    assert_int_equal(reach("3", NULL, NULL), CHILD_OK);
    assert_int_equal(reach("3", "", NULL), CHILD_OK);
}

static void another_point_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(reach("3", "a.point.with.a.longer.name:1:fail", NULL), CHILD_OK);
    assert_int_equal(reach("3", "a:1:fail", NULL), CHILD_OK);
}

static void the_nth_time_fails_and_only_that_one(void **state)
{
    (void)state;
    assert_int_equal(reach("5", "a.point:1:fail", NULL), CHILD_OK + 1);
    assert_int_equal(reach("5", "a.point:3:fail", NULL), CHILD_OK + 3);
    assert_int_equal(reach("5", "a.point:6:fail", NULL), CHILD_OK);
}

static void killing_is_the_default_and_is_logged_before(void **state)
{
    (void)state;
    char *folder = scratch_make();
    const char *log = scratch_path(folder, "log");
    assert_int_equal(reach("5", "a.point", log), 1000 + SIGKILL);
    assert_int_equal(reach("5", "a.point:2", log), 1000 + SIGKILL);
    assert_int_equal(reach("5", "a.point:2:kill", log), 1000 + SIGKILL);
    assert_int_equal(reach("1", "a.point:2:kill", log), CHILD_OK);
    size_t size;
    char *text = scratch_read(log, &size);
    assert_string_equal(text, "a.point\na.point\na.point\n");
    free(text);
    scratch_remove(&folder);
}

static void a_stopped_process_goes_on_where_it_was(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("NERSWEEP_FAULT", "a.point:1:stop", 1);
        execl("/proc/self/exe", "fault_test", "2", (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    kill(child, SIGCONT);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHILD_OK);
}

static void a_misspelt_request_is_refused_loudly(void **state)
{
    (void)state;
    static const char *const misspelt[] = {
        "a.point:0", "a.point:x", "a.point:", "a.point:1:explode", "a.point:1x:fail", ":1:fail", "a.point:99999999999999999999"};
    for (size_t i = 0; i < sizeof misspelt / sizeof *misspelt; i++)
        assert_int_equal(reach("1", misspelt[i], NULL), 1000 + SIGABRT);
}

static void threads_share_one_count(void **state)
{
    (void)state;
    assert_int_equal(reach("threads", "a.point:2500:fail", NULL), CHILD_OK + 1);
    assert_int_equal(reach("threads", "a.point:4001:fail", NULL), CHILD_OK);
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1)
        return child_main(arguments[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_variable_nothing_happens),
        cmocka_unit_test(another_point_is_left_alone),
        cmocka_unit_test(the_nth_time_fails_and_only_that_one),
        cmocka_unit_test(killing_is_the_default_and_is_logged_before),
        cmocka_unit_test(a_stopped_process_goes_on_where_it_was),
        cmocka_unit_test(a_misspelt_request_is_refused_loudly),
        cmocka_unit_test(threads_share_one_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
