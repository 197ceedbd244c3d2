#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator/local_groups.h"
#include "coordinator/process.h"
#include "core/base/clock.h"
#include "tests/coordinator/fixtures.h"

typedef struct Losses {
    int count;
    char worker[64], reason[256];
} Losses;

static void note_loss(void *context, const char *worker, const char *reason)
{
    Losses *losses = context;
    losses->count++;
    snprintf(losses->worker, sizeof losses->worker, "%s", worker ? worker : "");
    snprintf(losses->reason, sizeof losses->reason, "%s", reason);
}

static int set_up(void **state)
{
    (void)state;
    fixture_enter();
    /* Says who it is and what it was called with, then waits to be killed. */
    fixture_write("worker", "#!/bin/sh\necho \"$$\" >pid.new\nmv pid.new pid\necho \"$@\"\nexec sleep 1000\n");
    return chmod("worker", 0755);
}

static int tear_down(void **state)
{
    (void)state;
    fixture_leave();
    return 0;
}

static LocalGroups *groups_of(int count)
{
    LocalGroups *groups;
    Diagnostic diagnostic = {0};
    LocalGroupsOptions options = {.count = count,
                                  .ranks = 1,
                                  .threads = 3,
                                  .program = "./worker",
                                  .address = "ipc:///x",
                                  .backend = "cpu",
                                  .sweep_folder = fixture_folder()};
    if (local_groups_create(&groups, &options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return groups;
}

static int64_t now_ns(void)
{
    return clock_system()->monotonic_ns(clock_system()->context);
}

static void tick(LocalGroups *groups, Losses *losses)
{
    Diagnostic diagnostic = {0};
    if (local_groups_tick(groups, now_ns(), true, note_loss, losses, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
}

/* The process id that the worker wrote. */
static int32_t wait_for_pid(void)
{
    int pid = 0;
    for (int i = 0; i < 1000 && pid == 0; i++) {
        FILE *file = fopen("pid", "r");
        if (file) {
            if (fscanf(file, "%d", &pid) != 1)
                pid = 0;
            fclose(file);
        }
        usleep(10000);
    }
    assert_true(pid > 0);
    assert_int_equal(unlink("pid"), 0);
    return pid;
}

static bool is_gone(int32_t pid)
{
    for (int i = 0; i < 500; i++) {
        if (!process_ran_at(pid, INT64_MAX / 2))
            return true;
        usleep(10000);
    }
    return false;
}

static void a_group_is_started_with_its_arguments_and_a_log(void **state)
{
    (void)state;
    LocalGroups *groups = groups_of(1);
    Losses losses = {0};
    tick(groups, &losses);
    assert_int_equal(local_groups_alive(groups), 1);
    int32_t pid = wait_for_pid();
    assert_int_equal(process_parent(pid), getpid());
    usleep(50000);
    char line[256] = "";
    FILE *log = fopen("logs/worker-0.log", "r");
    assert_non_null(log);
    assert_non_null(fgets(line, sizeof line, log));
    fclose(log);
    assert_string_equal(line, "--coordinator ipc:///x --ranks 1 --threads 3 --backend cpu\n");
    local_groups_destroy(&groups);
    assert_null(groups);
    assert_true(is_gone(pid));
}

static void a_killed_group_is_reported_and_started_again(void **state)
{
    (void)state;
    LocalGroups *groups = groups_of(1);
    Losses losses = {0};
    tick(groups, &losses);
    int32_t pid = wait_for_pid();
    local_groups_hello(groups, pid, "host-1-a");
    assert_int_equal(kill(pid, SIGKILL), 0);
    for (int i = 0; i < 500 && losses.count == 0; i++) {
        usleep(10000);
        tick(groups, &losses);
    }
    assert_int_equal(losses.count, 1);
    assert_string_equal(losses.worker, "host-1-a");
    assert_non_null(strstr(losses.reason, "signal 9"));
    for (int i = 0; i < 500 && local_groups_alive(groups) == 0; i++) {
        usleep(10000);
        tick(groups, &losses);
    }
    int32_t again = wait_for_pid();
    assert_true(again != pid);
    local_groups_terminate(groups); /* it has not said HELLO: its own process is asked */
    assert_true(is_gone(again) || local_groups_alive(groups) == 1);
    local_groups_destroy(&groups);
}

static void progress_forgives_earlier_failures(void **state)
{
    (void)state;
    LocalGroups *groups = groups_of(1);
    Losses losses = {0};
    for (int life = 0; life < 8; life++) { /* five failures in a row would end it */
        for (int i = 0; i < 2000 && local_groups_alive(groups) == 0; i++) {
            usleep(5000);
            tick(groups, &losses);
        }
        int32_t pid = wait_for_pid();
        local_groups_hello(groups, pid, "host-1-a");
        local_groups_progress(groups, "host-1-a");
        local_groups_kill_worker(groups, pid);
        for (int i = 0; i < 2000 && losses.count == life; i++) {
            usleep(5000);
            tick(groups, &losses);
        }
        assert_int_equal(losses.count, life + 1);
    }
    local_groups_destroy(&groups);
}

static void groups_die_with_the_coordinator_however_it_ends(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        LocalGroups *groups = groups_of(1);
        Losses losses = {0};
        tick(groups, &losses);
        pause();
        _exit(0);
    }
    int32_t worker = wait_for_pid();
    assert_true(process_ran_at(worker, INT64_MAX / 2));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(is_gone(worker));
}

static void worker_names_are_taken_apart(void **state)
{
    (void)state;
    char host[128];
    int32_t pid;
    assert_true(process_parse_worker("node-7.cluster-4711-ab12", host, sizeof host, &pid));
    assert_string_equal(host, "node-7.cluster");
    assert_int_equal(pid, 4711);
    assert_false(process_parse_worker("node", host, sizeof host, &pid));
    assert_false(process_parse_worker("node-ab12", host, sizeof host, &pid));
    assert_false(process_parse_worker("node-x-ab12", host, sizeof host, &pid));
    assert_false(process_parse_worker("-5-ab12", host, sizeof host, &pid));
    assert_true(process_ran_at(getpid(), clock_system()->wall_ms(NULL)));
    assert_false(process_ran_at(getpid(), 1000)); /* this process did not run in 1970: the pid was another's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_is_started_with_its_arguments_and_a_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_group_is_reported_and_started_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progress_forgives_earlier_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_die_with_the_coordinator_however_it_ends, set_up, tear_down),
        cmocka_unit_test(worker_names_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
