#include "core/base/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

/* What a thread finds. */
typedef struct Found {
    sigset_t mask;
    void *self;
    atomic_bool go_on;
} Found;

static void *look(void *argument)
{
    Found *found = argument;
    found->self = argument;
    pthread_sigmask(SIG_SETMASK, NULL, &found->mask);
    return argument;
}

static void *wait_until_told(void *argument)
{
    Found *found = argument;
    while (!atomic_load(&found->go_on))
        usleep(100);
    return NULL;
}

static void a_thread_runs_with_its_argument_and_blocks_all_signals(void **state)
{
    (void)state;
    Found found = {0};
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(thread_start(&thread, look, &found), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &found);
    assert_ptr_equal(found.self, &found);
    for (int number = 1; number < NSIG; number++) {
        bool taken_by_libc = number == SIGKILL || number == SIGSTOP || (number > SIGSYS && number < SIGRTMIN);
        if (!taken_by_libc && !sigismember(&found.mask, number))
            fail_msg("signal %d reaches the thread", number);
    }
}

static void the_callers_mask_stays_as_it_was(void **state)
{
    (void)state;
    Found found = {0};
    sigset_t own, before, after;
    pthread_t thread;
    sigemptyset(&own);
    sigaddset(&own, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &own, &before);
    assert_int_equal(thread_start(&thread, look, &found), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    assert_true(sigismember(&after, SIGUSR2));
    assert_false(sigismember(&after, SIGUSR1));
    assert_false(sigismember(&after, SIGTERM));
}

static pthread_t signalled; /* the thread that ran the handler */
static volatile sig_atomic_t signals;

static void note_thread(int number)
{
    (void)number;
    signalled = pthread_self();
    signals = signals + 1;
}

static void a_signal_to_the_process_is_handled_by_the_program(void **state)
{
    (void)state;
    Found found = {0};
    pthread_t thread;
    struct sigaction action = {.sa_handler = note_thread}, before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, &before);
    assert_int_equal(thread_start(&thread, wait_until_told, &found), 0);
    for (int i = 0; i < 100; i++) {
        signals = 0;
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        while (signals == 0)
            usleep(100);
        assert_true(pthread_equal(signalled, pthread_self()));
    }
    atomic_store(&found.go_on, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_runs_with_its_argument_and_blocks_all_signals),
        cmocka_unit_test(the_callers_mask_stays_as_it_was),
        cmocka_unit_test(a_signal_to_the_process_is_handled_by_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
