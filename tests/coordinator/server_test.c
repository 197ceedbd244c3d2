/* The coordinator for real: sockets, journal, files, with fake workers. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator/place.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "core/store/journal_care.h"
#include "proto/records.h"
#include "tests/coordinator/daemon_fixture.h"
#include "tests/coordinator/fake_worker.h"

/* By a signal, as a person's ctrl-C is one. */
static void interrupt_at_once(int signal_number)
{
    (void)signal_number;
    interrupted = 2;
}

static CoordinatorOptions options_of(const Sweep *sweep)
{
    return (CoordinatorOptions){
        .sweep = sweep, .sweep_folder = sweep_folder, .exit_when_done = true, .interrupted = &interrupted, .clock = clock_system()};
}

static FakeWorker worker_of(const char *name)
{
    return (FakeWorker){.sweep_folder = sweep_folder, .name = name, .evaluations = 3};
}

static Json *status_of(void)
{
    Json *status;
    Diagnostic diagnostic = {0};
    if (sweep_status_read(sweep_folder, &status, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return status;
}

/* What must be the same however the sweep came to its end. */
static char *result_of(const Json *status)
{
    Json *result = json_object(), *trials = json_array();
    for (size_t i = 0; i < json_count(json_get(status, "trials")); i++) {
        const Json *trial = json_at(json_get(status, "trials"), i);
        Json *copy = json_object();
        json_set(copy, "state", json_copy(json_get(trial, "state")));
        json_set(copy, "parameters", json_copy(json_get(trial, "parameters")));
        json_set(copy, "evaluations", json_copy(json_get(trial, "evaluations")));
        json_append(trials, copy);
    }
    json_set(result, "trials", trials);
    json_set(result, "ranking", json_copy(json_get(status, "ranking")));
    json_set(result, "winner", json_copy(json_get(status, "winner")));
    char *text = json_text(result, JSON_CANONICAL);
    json_destroy(&result);
    return text;
}

static void count_event(void *context, const Json *event)
{
    int *counts = context;
    counts[0]++;
    counts[1] += strcmp(json_string_value(json_get(event, "event")), "trial_ended") == 0;
    assert_non_null(json_get(event, "text"));
}

static void a_sweep_runs_to_its_end(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    FakeWorker first = worker_of("elsewhere-1-a"), second = worker_of("elsewhere-2-b");
    int counts[2] = {0};
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    options.on_event = count_event;
    options.on_event_context = counts;
    fake_worker_start(&first);
    fake_worker_start(&second);
    if (coordinator_run(&options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    fake_worker_join(&first);
    fake_worker_join(&second);
    /* Whoever worked is told of the end; on a busy machine one may come when all is done. */
    assert_true(first.shutdowns == 1 || first.reports == 0);
    assert_true(second.shutdowns == 1 || second.reports == 0);
    assert_int_equal(first.reports + second.reports, 18);
    assert_int_equal(counts[1], 6);
    Json *status = status_of();
    assert_string_equal(json_string_value(json_get(status, "state")), "done");
    assert_int_equal(json_count(json_get(status, "trials")), 6);
    assert_true(json_number_value(json_get(json_get(json_get(status, "winner"), "test"), "f1"), 0) == 0.375);
    json_destroy(&status);
    Endpoint endpoint;
    assert_int_equal(endpoint_read(sweep_folder, &endpoint, NULL), STATUS_NOT_FOUND); /* nobody listens any more */
    char *saved = path_join(sweep_folder, "sweep.yaml");
    assert_true(path_exists(saved));
    free(saved);
    /* Once more: there is nothing to do, and nothing is written. */
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_OK);
    char *second_epoch = path_join(sweep_folder, "journal/epoch-000002.log");
    assert_false(path_exists(second_epoch));
    free(second_epoch);
    sweep_destroy(&sweep);
}

static void a_sweep_that_is_stopped_goes_on_where_it_was(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    FakeWorker alone = worker_of("elsewhere-1-a");
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    fake_worker_start(&alone);
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_OK);
    fake_worker_join(&alone);
    Json *status = status_of();
    char *expected = result_of(status);
    json_destroy(&status);

    assert_int_equal(folder_remove_tree(sweep_folder, NULL), STATUS_OK);
    assert_int_equal(folder_create(file_system_posix(), sweep_folder, NULL), STATUS_OK);
    FakeWorker worker = worker_of("elsewhere-1-a");
    signal(SIGUSR1, interrupt_at_once);
    worker.interrupts = pthread_self();
    worker.interrupt_after = 7; /* in the middle of the third trial */
    fake_worker_start(&worker);
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_INTERRUPTED);
    interrupted = 0;
    status = status_of();
    assert_string_equal(json_string_value(json_get(status, "state")), "running");
    json_destroy(&status);
    if (coordinator_run(&options, &diagnostic) != STATUS_OK) /* the worker, still alive, reattaches */
        fail_msg("%s", diagnostic.message);
    fake_worker_join(&worker);
    status = status_of();
    char *result = result_of(status);
    assert_string_equal(result, expected);
    free(result);
    free(expected);
    json_destroy(&status);
    sweep_destroy(&sweep);
}

/* A coordinator in a process of its own (faults are read once in a process): this program called again, see main. */
static pid_t start_coordinator(const char *fault)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("NERSWEEP_FAULT", fault, 1);
        execl("/proc/self/exe", "coordinator", sweep_folder, (char *)NULL);
        _exit(99);
    }
    return child;
}

static int coordinate(const char *folder)
{
    Sweep *sweep;
    Diagnostic diagnostic = {0};
    log_set_level(LOG_ERROR);
    snprintf(sweep_folder, sizeof sweep_folder, "%s", folder);
    if (sweep_read(&sweep, "sweep.yaml", NULL, 0, NULL, &diagnostic) != STATUS_OK)
        return 98;
    CoordinatorOptions options = options_of(sweep);
    Status status = coordinator_run(&options, &diagnostic);
    sweep_destroy(&sweep);
    return status_exit_code(status);
}

/* With work in flight. */
static void kill_coordinator_at(const char *fault)
{
    pid_t child = start_coordinator(fault);
    int wait_status;
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL);
}

static void a_coordinator_killed_at_any_fault_point_loses_nothing(void **state)
{
    (void)state;
    static const char *const faults[] = {"coordinator.before_journal:9",    "coordinator.before_acknowledge:11",
                                         "coordinator.after_acknowledge:8", "coordinator.assigned:3",
                                         "journal.before_write:7",          "journal.before_fsync:12",
                                         "journal.after_fsync:13",          "coordinator.before_journal:1",
                                         "coordinator.assigned:1"};
    Sweep *sweep = fixture_sweep(daemon_search);
    Diagnostic diagnostic = {0};
    char *expected = NULL;
    for (size_t i = 0; i <= sizeof faults / sizeof *faults; i++) {
        FakeWorker worker = worker_of("elsewhere-1-a");
        CoordinatorOptions options = options_of(sweep);
        assert_int_equal(folder_remove_tree(sweep_folder, NULL), STATUS_OK);
        assert_int_equal(folder_create(file_system_posix(), sweep_folder, NULL), STATUS_OK);
        fake_worker_start(&worker);
        if (i > 0)
            kill_coordinator_at(faults[i - 1]);
        if (coordinator_run(&options, &diagnostic) != STATUS_OK)
            fail_msg("after %s: %s", i ? faults[i - 1] : "nothing", diagnostic.message);
        fake_worker_join(&worker);
        Json *status = status_of();
        char *result = result_of(status);
        json_destroy(&status);
        if (!expected)
            expected = memory_copy_string(result);
        if (strcmp(result, expected) != 0)
            fail_msg("after %s:\n%s\ninstead of\n%s", faults[i - 1], result, expected);
        free(result);
    }
    free(expected);
    sweep_destroy(&sweep);
}

static void a_second_coordinator_is_refused_with_the_holder(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    int lock;
    char pid[32];
    assert_int_equal(place_lock(sweep_folder, false, &lock, &diagnostic), STATUS_OK);
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_BUSY);
    snprintf(pid, sizeof pid, "pid %d", (int)getpid());
    assert_non_null(strstr(diagnostic.message, pid));
    place_unlock(&lock);
    sweep_destroy(&sweep);
}

static void a_predecessor_that_is_taken_over_can_write_no_more(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    /* Stopped by a fault point, as by a node that freezes, and let go on later. */
    pid_t child = start_coordinator("coordinator.before_journal:4:stop");
    FakeWorker worker = worker_of("elsewhere-1-a");
    fake_worker_start(&worker);
    int wait_status;
    assert_int_equal(waitpid(child, &wait_status, WUNTRACED), child);
    assert_true(WIFSTOPPED(wait_status));
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_BUSY);
    options.take_over = true;
    if (coordinator_run(&options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    fake_worker_join(&worker);
    Json *status = status_of();
    char *before = result_of(status);
    json_destroy(&status);
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == status_exit_code(STATUS_STALE_EPOCH));
    status = status_of();
    char *after = result_of(status);
    assert_string_equal(before, after);
    free(before);
    free(after);
    json_destroy(&status);
    sweep_destroy(&sweep);
}

static void a_port_that_is_taken_is_refused_before_anything_is_written(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    SocketContext *context;
    Socket *holder;
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    assert_int_equal(socket_bind(&holder, context, SOCKET_ROUTER, "tcp://127.0.0.1:*", NULL), STATUS_OK);
    options.listen = socket_address(holder);
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_BUSY);
    assert_non_null(strstr(diagnostic.message, "taken"));
    char *journal = path_join(sweep_folder, "journal");
    assert_false(path_exists(journal));
    free(journal);
    socket_close(&holder);
    socket_context_destroy(&context);
    sweep_destroy(&sweep);
}

static void an_edited_sweep_is_refused_with_the_difference(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    FakeWorker worker = worker_of("elsewhere-1-a");
    fake_worker_start(&worker);
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_OK);
    fake_worker_join(&worker);
    sweep_destroy(&sweep);
    sweep = fixture_sweep("method: grid\nseeds: [1, 2]\nparameters: {learning_rate: {values: [1.0e-5, 3e-5, 7e-5]}}\n");
    options.sweep = sweep;
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "parameters.learning_rate.values"));
    assert_non_null(strstr(diagnostic.message, "7e-"));
    sweep_destroy(&sweep);
    sweep = fixture_sweep("method: grid\nrun_cap: 1\nseeds: [1, 2]\nparameters: {learning_rate: {values: [1.0e-5, 3e-5, 5e-5]}}\n");
    options.sweep = sweep;
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "run_cap"));
    sweep_destroy(&sweep);
}

/* A subscription takes a moment; a control gives an event each time, until one arrives. */
static void wait_for_subscription(Socket *feed, Socket *requests)
{
    bool ready = false;
    for (int i = 0; i < 200 && !ready; i++) {
        fixture_ask(requests, (Message){.type = MESSAGE_CONTROL, .control = {.action = CONTROL_RESUME, .all_trials = true}});
        Message answer = fixture_receive(requests);
        assert_int_equal(answer.type, MESSAGE_ACK);
        assert_int_equal(socket_poll(&feed, 1, &ready, NULL, 0, NULL, 50, NULL), STATUS_OK);
    }
    assert_true(ready);
}

static void readers_get_a_snapshot_and_every_event_after_it(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    Daemon daemon_ = {.options = options_of(sweep)};
    daemon_.options.exit_when_done = false;
    daemon_.options.listen = "tcp://127.0.0.1:*";
    daemon_start(&daemon_, &daemon_.options);
    Endpoint endpoint = daemon_.endpoint;
    SocketContext *context;
    Socket *feed, *requests;
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    assert_int_equal(socket_connect(&feed, context, SOCKET_SUB, endpoint.feed, NULL), STATUS_OK);
    assert_int_equal(socket_connect(&requests, context, SOCKET_DEALER, endpoint.address, NULL), STATUS_OK);
    wait_for_subscription(feed, requests);
    fixture_ask(requests, (Message){.type = MESSAGE_STATUS_REQUEST});
    Message snapshot = fixture_receive(requests);
    assert_int_equal(snapshot.type, MESSAGE_STATUS_SNAPSHOT);
    assert_non_null(strstr(snapshot.status.json, "\"state\":\"running\""));
    uint64_t sequence = snapshot.status.sequence;
    message_free(&snapshot);
    FakeWorker worker = worker_of("elsewhere-1-a");
    fake_worker_start(&worker);
    bool ended = false;
    for (int i = 0; i < 1000 && !ended; i++) {
        Message event = fixture_receive(feed);
        assert_int_equal(event.type, MESSAGE_STATUS_EVENT);
        if (event.status.sequence <= sequence) { /* in the snapshot already */
            message_free(&event);
            continue;
        }
        assert_true(event.status.sequence == sequence + 1); /* no gap */
        sequence = event.status.sequence;
        ended = strstr(event.status.json, "\"event\":\"sweep_ended\"") != NULL;
        message_free(&event);
    }
    assert_true(ended);
    fake_worker_join(&worker);
    fixture_ask(requests, (Message){.type = MESSAGE_STATUS_REQUEST});
    snapshot = fixture_receive(requests);
    assert_non_null(strstr(snapshot.status.json, "\"state\":\"done\""));
    assert_true(snapshot.status.sequence >= sequence);
    message_free(&snapshot);
    fixture_ask(requests, (Message){.type = MESSAGE_CONTROL, .control = {.action = CONTROL_STOP, .all_trials = true}});
    Message answer = fixture_receive(requests);
    assert_int_equal(answer.type, MESSAGE_ACK);
    daemon_join(&daemon_);
    assert_int_equal(daemon_.status, STATUS_OK);
    socket_close(&feed);
    socket_close(&requests);
    socket_context_destroy(&context);
    sweep_destroy(&sweep);
}

static void hostile_frames_and_other_versions_do_no_harm(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    Daemon daemon_ = {.options = options_of(sweep)};
    daemon_.options.listen = "tcp://127.0.0.1:*";
    daemon_start(&daemon_, &daemon_.options);
    Endpoint endpoint = daemon_.endpoint;
    SocketContext *context;
    Socket *socket;
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    assert_int_equal(socket_connect(&socket, context, SOCKET_DEALER, endpoint.address, NULL), STATUS_OK);
    assert_int_equal(socket_send(socket, NULL, "\xff\xff\xff", 3, NULL), STATUS_OK);
    assert_int_equal(socket_send(socket, NULL, "", 0, NULL), STATUS_OK);
    assert_int_equal(socket_send(socket, NULL, "\x08\x09\x10\x01", 4, NULL), STATUS_OK); /* HELLO of version 9 */
    for (;;) {
        Message answer = fixture_receive(socket);
        bool rejected =
            answer.type == MESSAGE_REJECT && answer.reason.code == STATUS_MISMATCH && strstr(answer.reason.reason, "version 9");
        message_free(&answer);
        if (rejected)
            break;
    }
    FakeWorker worker = worker_of("elsewhere-1-a");
    fake_worker_start(&worker);
    daemon_join(&daemon_);
    assert_int_equal(daemon_.status, STATUS_OK);
    fake_worker_join(&worker);
    socket_close(&socket);
    socket_context_destroy(&context);
    sweep_destroy(&sweep);
}

/* Records that change nothing, but take much room. */
static void fill_journal(const char *folder)
{
    Journal *journal;
    Record record = {.type = RECORD_CONTROL, .control = CONTROL_RESUME, .all_trials = true, .epoch = 1};
    char reason[4001];
    Text bytes = {0};
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    record.reason = reason;
    assert_int_equal(record_encode(&record, &bytes, NULL), STATUS_OK);
    assert_int_equal(journal_open(&journal, folder, file_system_posix(), NULL, NULL, NULL), STATUS_OK);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(journal_append(journal, bytes.bytes, bytes.size, NULL), STATUS_OK);
    assert_int_equal(journal_sync(journal, NULL), STATUS_OK);
    journal_close(&journal);
    text_free(&bytes);
}

static void a_long_journal_is_packed_while_the_coordinator_serves(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    FakeWorker worker = worker_of("elsewhere-1-a");
    Daemon daemon_ = {.options = options_of(sweep)};
    JournalCompaction compaction;
    char *folder = path_join(sweep_folder, "journal"), *snapshot = path_join(folder, "snapshot-000002.log");
    fake_worker_start(&worker);
    assert_int_equal(coordinator_run(&daemon_.options, NULL), STATUS_OK);
    fake_worker_join(&worker);
    Json *status = status_of();
    char *expected = result_of(status), *result;
    json_destroy(&status);
    fill_journal(folder);
    daemon_.options.exit_when_done = false;
    daemon_start(&daemon_, &daemon_.options);
    for (int i = 0; i < 3000 && !path_exists(snapshot); i++)
        usleep(10000);
    assert_true(path_exists(snapshot));
    __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
    daemon_join(&daemon_);
    interrupted = 0;
    assert_int_equal(journal_compact(folder, file_system_posix(), 0, &compaction, NULL), STATUS_OK);
    assert_int_equal(compaction.segments, 2);
    status = status_of();
    result = result_of(status);
    assert_string_equal(result, expected);
    json_destroy(&status);
    free(result);
    free(expected);
    free(snapshot);
    free(folder);
    sweep_destroy(&sweep);
}

/* A disk without space for some of the journal's writes, or for ever. */
typedef struct FullDisk {
    FileSystem table;
    atomic_int writes;
    int full_from, full_until; /* of the writes, counted from 1 */
    atomic_int refused;
} FullDisk;

static ssize_t full_write(void *context, int file, const void *bytes, size_t size)
{
    FullDisk *disk = context;
    int number = atomic_fetch_add(&disk->writes, 1) + 1;
    if (number >= disk->full_from && number < disk->full_until) {
        atomic_fetch_add(&disk->refused, 1);
        errno = ENOSPC;
        return -1;
    }
    return file_system_posix()->write(NULL, file, bytes, size);
}

static FullDisk full_disk(int from, int until)
{
    FullDisk disk = {.table = *file_system_posix(), .full_from = from, .full_until = until};
    disk.table.write = full_write;
    return disk;
}

static void a_full_disk_is_waited_for_and_nothing_is_lost(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = options_of(sweep);
    FullDisk disk = full_disk(12, 15);
    Diagnostic diagnostic = {0};
    FakeWorker worker = worker_of("elsewhere-1-a");
    disk.table.context = &disk;
    options.fs = &disk.table;
    log_set_level(LOG_SILENT);
    fake_worker_start(&worker);
    if (coordinator_run(&options, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    fake_worker_join(&worker);
    assert_int_equal(disk.refused, 3);
    assert_int_equal(worker.reports, 18);
    Json *status = status_of();
    assert_string_equal(json_string_value(json_get(status, "state")), "done");
    json_destroy(&status);
    sweep_destroy(&sweep);
}

static void a_disk_that_stays_full_ends_the_run_with_nothing_acknowledged(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    Daemon daemon_ = {.options = options_of(sweep)};
    FullDisk disk = full_disk(12, INT_MAX);
    FakeWorker worker = worker_of("elsewhere-1-a");
    disk.table.context = &disk;
    daemon_.options.fs = &disk.table;
    log_set_level(LOG_SILENT);
    daemon_start(&daemon_, &daemon_.options);
    fake_worker_start(&worker);
    while (disk.refused < 2)
        usleep(10000);
    __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
    daemon_join(&daemon_);
    interrupted = 0;
    worker.stop = true;
    fake_worker_join(&worker);
    assert_int_equal(daemon_.status, STATUS_NO_SPACE);
    assert_int_equal(status_exit_code(daemon_.status), 75);
    /* What the worker was told is what the journal holds. */
    Json *status = status_of();
    int evaluations = 0;
    for (size_t i = 0; i < json_count(json_get(status, "trials")); i++)
        evaluations += (int)json_count(json_get(json_at(json_get(status, "trials"), i), "evaluations"));
    assert_int_equal(worker.reports, evaluations);
    json_destroy(&status);
    sweep_destroy(&sweep);
}

static void a_worker_group_that_never_works_ends_the_run_with_its_last_words(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = options_of(sweep);
    Diagnostic diagnostic = {0};
    fixture_write("worker", "#!/bin/sh\necho starting\necho the library is missing >&2\nexit 3\n");
    options.local_groups = 1;
    options.ranks_per_group = options.threads_per_rank = 1;
    options.backend = "auto";
    options.worker_program = "nowhere/worker";
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_NOT_FOUND);
    char *program = path_absolute("worker");
    assert_int_equal(chmod(program, 0755), 0);
    options.worker_program = program;
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_INTERNAL);
    assert_non_null(strstr(diagnostic.message, "5 times in a row"));
    assert_non_null(strstr(diagnostic.message, "the library is missing"));
    free(program);
    sweep_destroy(&sweep);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return coordinate(argv[1]);
    const struct CMUnitTest tests[] = {
        DAEMON_TEST(a_sweep_runs_to_its_end),
        DAEMON_TEST(a_sweep_that_is_stopped_goes_on_where_it_was),
        DAEMON_TEST(a_coordinator_killed_at_any_fault_point_loses_nothing),
        DAEMON_TEST(a_second_coordinator_is_refused_with_the_holder),
        DAEMON_TEST(a_predecessor_that_is_taken_over_can_write_no_more),
        DAEMON_TEST(a_port_that_is_taken_is_refused_before_anything_is_written),
        DAEMON_TEST(an_edited_sweep_is_refused_with_the_difference),
        DAEMON_TEST(readers_get_a_snapshot_and_every_event_after_it),
        DAEMON_TEST(hostile_frames_and_other_versions_do_no_harm),
        DAEMON_TEST(a_long_journal_is_packed_while_the_coordinator_serves),
        DAEMON_TEST(a_full_disk_is_waited_for_and_nothing_is_lost),
        DAEMON_TEST(a_disk_that_stays_full_ends_the_run_with_nothing_acknowledged),
        DAEMON_TEST(a_worker_group_that_never_works_ends_the_run_with_its_last_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
