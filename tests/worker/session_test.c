/* A worker as a program at work for a coordinator that is played by this test. */
#include "tests/worker/fixture.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/io/file.h"
#include "proto/socket.h"

enum { PATIENCE_MS = 60000, HEARTBEAT_MS = 100 };

/* A coordinator's end of the line. */
typedef struct Desk {
    const Ground *ground;
    char *sweep_folder;
    SocketContext *context;
    Socket *router;
    SocketPeer peer; /* of the last message */
    uint64_t epoch;
    int worker;            /* pid */
    Message assign;        /* the last; sent again to a worker that does not know of it */
    const char *precision; /* that the data name */
} Desk;

static int64_t now_ms(void)
{
    const Clock *clock = clock_system();
    return clock->monotonic_ns(clock->context) / 1000000;
}

/* Begins to listen at a new address and says so in the endpoint file. */
static void desk_open(Desk *desk)
{
    Diagnostic diagnostic = {0};
    char *address = memory_format("ipc://%s/socket-%" PRIu64, desk->sweep_folder, ++desk->epoch);
    char *endpoint = path_join(desk->sweep_folder, "endpoint.json");
    must(socket_context_create(&desk->context, &diagnostic), &diagnostic);
    must(socket_bind(&desk->router, desk->context, SOCKET_ROUTER, address, &diagnostic), &diagnostic);
    char *text = memory_format("{\"address\": \"%s\", \"feed\": \"\", \"host\": \"here\", \"pid\": 1, \"epoch\": %" PRIu64 "}",
                               address, desk->epoch);
    must(file_write_durable(file_system_posix(), endpoint, text, strlen(text), &diagnostic), &diagnostic);
    free(text);
    free(endpoint);
    free(address);
}

static void desk_close(Desk *desk)
{
    socket_close(&desk->router);
    socket_context_destroy(&desk->context);
}

static void desk_send_copy(Desk *desk, Message *message)
{
    Diagnostic diagnostic = {0};
    Text bytes = {0};
    message->epoch = desk->epoch;
    must(message_encode(message, &bytes, &diagnostic), &diagnostic);
    Status status = socket_send(desk->router, &desk->peer, bytes.bytes, bytes.size, &diagnostic);
    if (status != STATUS_UNREACHABLE) /* a killed worker's */
        must(status, &diagnostic);
    text_free(&bytes);
}

static void desk_send(Desk *desk, Message *message)
{
    desk_send_copy(desk, message);
    message_free(message);
}

static void desk_welcome(Desk *desk)
{
    Message message = {.type = MESSAGE_WELCOME};
    message.welcome.sweep_folder = memory_copy_string(desk->sweep_folder);
    message.welcome.data_json =
        memory_format("{\"model\": \"%s\", \"random_weights\": true, \"shards\": \"%s\", "
                      "\"precision\": \"%s\"}",
                      desk->ground->model, desk->ground->shards, desk->precision ? desk->precision : "auto");
    message.welcome.heartbeat_ms = HEARTBEAT_MS;
    message.welcome.lease_ms = 10 * HEARTBEAT_MS;
    desk_send(desk, &message);
}

/* A worker asks after silence, also while this test was busy elsewhere, and perhaps over a new connection. */
static void desk_answer_hello(Desk *desk, const MessageHello *hello)
{
    desk_welcome(desk);
    if (desk->assign.type && hello->assignment.fence == 0)
        desk_send_copy(desk, &desk->assign);
}

/* The next message of this type; others are passed over. False after timeout_ms. */
static bool desk_receive_within(Desk *desk, MessageType type, int64_t timeout_ms, Message *message)
{
    int64_t deadline = now_ms() + timeout_ms;
    Text bytes = {0};
    bool found = false;
    while (!found && now_ms() < deadline) {
        Diagnostic diagnostic = {0};
        if (socket_receive(desk->router, &desk->peer, &bytes, &diagnostic) != STATUS_OK) {
            bool ready = false;
            Status ignored = socket_poll(&desk->router, 1, &ready, NULL, 0, NULL, 20, &diagnostic);
            (void)ignored;
            continue;
        }
        must(message_decode(message, bytes.bytes, bytes.size, &diagnostic), &diagnostic);
        found = message->type == type;
        if (message->type == MESSAGE_HELLO && !found)
            desk_answer_hello(desk, &message->hello);
        if (!found)
            message_free(message);
    }
    text_free(&bytes);
    return found;
}

static void desk_receive(Desk *desk, MessageType type, Message *message)
{
    if (desk_receive_within(desk, type, PATIENCE_MS, message))
        return;
    char *errors = program_errors(desk->ground);
    fprintf(stderr, "%s\n", errors);
    fail_msg("no %s came", message_type_name(type));
}

static AssignmentId desk_greet(Desk *desk)
{
    Message hello;
    desk_receive(desk, MESSAGE_HELLO, &hello);
    AssignmentId id = hello.hello.assignment;
    assert_int_equal(hello.hello.ranks, 1);
    message_free(&hello);
    desk_welcome(desk);
    return id;
}

static void desk_assign(Desk *desk, AssignmentKind kind, AssignmentId id, const char *options_text, const char *resume)
{
    TrainingOptions options = ground_options(options_text);
    Json *json = options_to_json(training_option_table(), &options);
    Message message = {.type = MESSAGE_ASSIGN};
    message.assign.id = id;
    message.assign.kind = kind;
    message.assign.options_json = json_text(json, JSON_CANONICAL);
    message.assign.metric_json = memory_copy_string("{\"name\": \"f1\", \"goal\": \"maximize\", \"dataset\": \"mean\"}");
    message.assign.resume = memory_copy_string(resume);
    json_destroy(&json);
    message_free(&desk->assign);
    desk->assign = message;
    desk_send_copy(desk, &desk->assign);
}

static void desk_acknowledge(Desk *desk, AssignmentId id, MessageType type, uint64_t sequence)
{
    Message message = {.type = MESSAGE_ACK};
    message.ack = (MessageAck){id, type, sequence};
    if (type == MESSAGE_FINISHED) {
        message_free(&desk->assign);
        desk->assign = (Message){0};
    }
    desk_send(desk, &message);
}

static void desk_say(Desk *desk, MessageType type, AssignmentId id, Status code, const char *reason)
{
    Message message = {.type = type};
    if (type == MESSAGE_RELEASE) {
        message_free(&desk->assign);
        desk->assign = (Message){0};
    }
    message.reason = (MessageReason){id, code, memory_copy_string(reason)};
    desk_send(desk, &message);
}

static void start_worker(Desk *desk, const char *give_up_s, const char *const *environment)
{
    const char *arguments[] = {worker_program(), "--sweep", desk->sweep_folder, "--backend", "reference", "--threads", "1",
                               "--give-up",      give_up_s, "--log-level",      "debug",     NULL};
    desk->worker = program_start(desk->ground, arguments, environment);
}

static void desk_setup(Desk *desk, const Ground *ground, const char *name)
{
    Diagnostic diagnostic = {0};
    *desk = (Desk){.ground = ground, .sweep_folder = path_join(ground->folder, name)};
    must(folder_create(file_system_posix(), desk->sweep_folder, &diagnostic), &diagnostic);
    desk_open(desk);
}

static void desk_end(Desk *desk, int exit_code)
{
    int code = program_wait(desk->worker);
    if (code != exit_code) {
        char *errors = program_errors(desk->ground);
        fail_msg("exit code %d instead of %d: %s", code, exit_code, errors);
    }
    desk_close(desk);
    message_free(&desk->assign);
    free(desk->sweep_folder);
}

/* Takes and acknowledges the reports from `first` on until FINISHED came and is acknowledged; best and last checkpoint are remembered. */
typedef struct Log {
    uint64_t reports;
    char last[CHECKPOINT_NAME_SIZE];
    FinishOutcome outcome;
    char precision[16]; /* that the statistics say */
} Log;

static void take_statistics(const Message *message, Log *log)
{
    Json *json = NULL;
    Diagnostic diagnostic = {0};
    const char *text = message->finished.statistics_json;
    must(json_parse(&json, text, strlen(text), "statistics", &diagnostic), &diagnostic);
    const char *precision = json_string_value(json_get(json, "precision"));
    snprintf(log->precision, sizeof log->precision, "%s", precision ? precision : "");
    json_destroy(&json);
}

static void desk_follow(Desk *desk, AssignmentId id, uint64_t first, Log *log)
{
    *log = (Log){0};
    for (uint64_t sequence = first;;) {
        Message message;
        Text bytes = {0};
        bool ready;
        Diagnostic diagnostic = {0};
        assert_int_equal(socket_poll(&desk->router, 1, &ready, NULL, 0, NULL, PATIENCE_MS, &diagnostic), STATUS_OK);
        if (socket_receive(desk->router, &desk->peer, &bytes, &diagnostic) != STATUS_OK)
            continue;
        must(message_decode(&message, bytes.bytes, bytes.size, &diagnostic), &diagnostic);
        text_free(&bytes);
        if (message.type == MESSAGE_HELLO)
            desk_answer_hello(desk, &message.hello);
        /* One that is ahead of its turn is not acknowledged: it comes again. */
        if (message.type == MESSAGE_REPORT && message.report.id.fence == id.fence && message.report.sequence <= sequence) {
            log->reports += message.report.sequence == sequence;
            sequence += message.report.sequence == sequence;
            snprintf(log->last, sizeof log->last, "%s", message.report.checkpoint);
            desk_acknowledge(desk, id, MESSAGE_REPORT, message.report.sequence);
        }
        bool finished = message.type == MESSAGE_FINISHED && message.finished.id.fence == id.fence;
        if (finished) {
            log->outcome = message.finished.outcome;
            take_statistics(&message, log);
            desk_acknowledge(desk, id, MESSAGE_FINISHED, 0);
        }
        message_free(&message);
        if (finished)
            return;
    }
}

/* The bytes that a trial must end with, whatever happens to it: those of a job with the same options. */
static void assert_same_as_job(const Desk *desk, const char *checkpoint, const char *options)
{
    const Ground *ground = desk->ground;
    char *store = path_join(ground->folder, "oracle");
    if (!path_exists(store)) {
        free(ground_write_job(ground, "oracle", options, true, false));
        char *errors = path_join(ground->folder, "stderr"), *kept = path_join(ground->folder, "stderr.kept");
        assert_int_equal(rename(errors, kept), 0); /* the session's */
        assert_int_equal(job_program_run(ground, "oracle", NULL), 0);
        assert_int_equal(rename(kept, errors), 0);
        free(errors);
        free(kept);
    }
    Json *result = job_result(ground, "oracle");
    char *expected = manifest_text(store, json_string_value(json_get(json_get(result, "last"), "checkpoint")));
    char *got = manifest_text(desk->sweep_folder, checkpoint);
    assert_string_equal(got, expected);
    free(expected);
    free(got);
    free(store);
    json_destroy(&result);
}

static const char plain[] = "num_train_epochs=4 eval_steps=4";

static void a_session_trains_tests_and_shuts_down(void **state)
{
    Desk desk;
    Log log;
    Message message;
    AssignmentId train = {5, 11}, test = {5, 12};
    desk_setup(&desk, *state, "whole");
    start_worker(&desk, "60", NULL);
    assert_int_equal(desk_greet(&desk).fence, 0);
    desk_assign(&desk, ASSIGNMENT_TRAIN, train, plain, "");
    desk_follow(&desk, train, 1, &log);
    assert_int_equal(log.outcome, FINISH_COMPLETED);
    assert_int_equal(log.reports, 5);
    assert_same_as_job(&desk, log.last, plain);
    desk_assign(&desk, ASSIGNMENT_TEST, test, plain, log.last);
    desk_receive(&desk, MESSAGE_FINISHED, &message);
    assert_int_equal(message.finished.outcome, FINISH_COMPLETED);
    assert_int_equal(message.finished.dataset_count, 1);
    assert_string_equal(message.finished.datasets[0].name, "test");
    message_free(&message);
    desk_acknowledge(&desk, test, MESSAGE_FINISHED, 0);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "the sweep has ended");
    desk_end(&desk, 0);
}

static void reports_are_repeated_until_they_are_acknowledged(void **state)
{
    Desk desk;
    Log log;
    Message first, second;
    AssignmentId id = {1, 3};
    desk_setup(&desk, *state, "repeated");
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "");
    do
        desk_receive(&desk, MESSAGE_REPORT, &first);
    while (first.report.sequence != 1);
    do {
        desk_receive(&desk, MESSAGE_REPORT, &second);
        if (second.report.sequence != 1)
            message_free(&second);
    } while (second.type != MESSAGE_REPORT || second.report.sequence != 1);
    assert_true(first.report.score == second.report.score && first.report.train_loss == second.report.train_loss);
    assert_string_equal(first.report.checkpoint, second.report.checkpoint);
    message_free(&first);
    message_free(&second);
    desk_acknowledge(&desk, id, MESSAGE_REPORT, 1);
    desk_follow(&desk, id, 2, &log);
    assert_int_equal(log.reports, 4);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
}

/* While it is gone the worker trains on; to the next one it says what it has, and nothing is lost. */
static void a_coordinator_that_moves_is_found_again(void **state)
{
    Desk desk;
    Log log;
    Message report;
    AssignmentId id = {2, 8};
    desk_setup(&desk, *state, "moved");
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "");
    desk_receive(&desk, MESSAGE_REPORT, &report);
    assert_int_equal(report.report.sequence, 1);
    message_free(&report);
    desk_close(&desk);
    nanosleep(&(struct timespec){1, 0}, NULL);
    desk_open(&desk);
    AssignmentId held = desk_greet(&desk);
    assert_int_equal(held.fence, 8);
    assert_int_equal(held.trial, 2);
    desk_follow(&desk, id, 1, &log);
    assert_int_equal(log.reports, 5);
    assert_same_as_job(&desk, log.last, plain);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
}

static void an_acknowledgement_of_an_earlier_epoch_does_not_count(void **state)
{
    Desk desk;
    Message report;
    AssignmentId id = {2, 8};
    desk_setup(&desk, *state, "stale");
    desk.epoch = 7;
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "");
    desk_receive(&desk, MESSAGE_REPORT, &report);
    message_free(&report);
    desk.epoch = 6;
    desk_acknowledge(&desk, id, MESSAGE_REPORT, 100);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "a stale coordinator's");
    desk.epoch = 7;
    int64_t again = 0;
    for (int64_t deadline = now_ms() + 5000; now_ms() < deadline && !again;) {
        if (!desk_receive_within(&desk, MESSAGE_REPORT, 3000, &report))
            break;
        again = report.report.sequence == 1;
        message_free(&report);
    }
    assert_true(again);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
}

static void a_released_trial_is_dropped_and_goes_on_under_another_fence(void **state)
{
    Desk desk;
    Log log;
    Message message;
    char resume[CHECKPOINT_NAME_SIZE];
    AssignmentId id = {4, 20}, next = {4, 21};
    desk_setup(&desk, *state, "released");
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "");
    desk_receive(&desk, MESSAGE_REPORT, &message);
    assert_int_equal(message.report.sequence, 1);
    snprintf(resume, sizeof resume, "%s", message.report.checkpoint);
    message_free(&message);
    desk_say(&desk, MESSAGE_RELEASE, id, STATUS_OK, "given to another");
    do { /* its heartbeats say that it is idle */
        desk_receive(&desk, MESSAGE_HEARTBEAT, &message);
    } while (message.heartbeat.id.fence != 0);
    desk_assign(&desk, ASSIGNMENT_TRAIN, next, plain, resume);
    desk_follow(&desk, next, 2, &log);
    assert_int_equal(log.outcome, FINISH_COMPLETED);
    assert_int_equal(log.reports, 4);
    assert_non_null(strstr(log.last, "trial-000004/f00000021-step-00000020"));
    assert_same_as_job(&desk, log.last, plain);
    /* Nothing of the first attempt is left but what was reported. */
    char *names = manifest_names(desk.sweep_folder);
    assert_null(strstr(names, "f00000020-step-00000008"));
    free(names);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
}

static void trial_in_bf16_until_its_first_report(const Ground *ground, char resume[CHECKPOINT_NAME_SIZE])
{
    Desk desk;
    Message message;
    AssignmentId id = {6, 30};
    desk_setup(&desk, ground, "precision");
    desk.precision = "bf16";
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "");
    desk_receive(&desk, MESSAGE_REPORT, &message);
    snprintf(resume, CHECKPOINT_NAME_SIZE, "%s", message.report.checkpoint);
    message_free(&message);
    desk_say(&desk, MESSAGE_RELEASE, id, STATUS_OK, "given to another");
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
}

/* The reference multiplies fp32: a trial that begins there under auto does, one that goes on keeps to what it was begun in. */
static void auto_is_the_precision_of_the_checkpoint_or_of_the_device(void **state)
{
    Desk desk;
    Log log;
    AssignmentId next = {6, 31}, other = {7, 32}, test = {6, 33};
    char resume[CHECKPOINT_NAME_SIZE], last[CHECKPOINT_NAME_SIZE];
    trial_in_bf16_until_its_first_report(*state, resume);
    desk_setup(&desk, *state, "precision");
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, next, plain, resume);
    desk_follow(&desk, next, 2, &log);
    assert_int_equal(log.outcome, FINISH_COMPLETED);
    assert_string_equal(log.precision, "bf16");
    snprintf(last, sizeof last, "%s", log.last);
    desk_assign(&desk, ASSIGNMENT_TRAIN, other, plain, "");
    desk_follow(&desk, other, 1, &log);
    assert_int_equal(log.outcome, FINISH_COMPLETED);
    assert_string_equal(log.precision, "fp32");
    desk_assign(&desk, ASSIGNMENT_TEST, test, plain, last);
    desk_follow(&desk, test, 1, &log);
    assert_int_equal(log.outcome, FINISH_COMPLETED);
    assert_string_equal(log.precision, "bf16");
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
    char *said = program_errors(*state);
    const char *warning = strstr(said, "precision bf16, that of the checkpoint: fp32 would be quicker on this processor");
    assert_non_null(warning);
    assert_null(strstr(warning + 1, "precision bf16"));
    free(said);
}

static bool has_ended(int pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void a_worker_killed_and_started_again_goes_on_with_the_same_bytes(void **state)
{
    static const char *const faults[] = {"worker.mid_step:7", "worker.evaluating:2", "worker.checkpoint_written:2",
                                         "worker.before_report:2", "worker.after_report:2"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        Desk desk;
        Log log;
        Message message;
        char name[32], resume[CHECKPOINT_NAME_SIZE] = "";
        char *fault = memory_format("NERSWEEP_FAULT=%s", faults[i]);
        const char *environment[] = {fault, NULL};
        uint64_t reported = 0;
        AssignmentId id = {6, 30}, next = {6, 31};
        snprintf(name, sizeof name, "killed%zu", i);
        desk_setup(&desk, *state, name);
        start_worker(&desk, "60", environment);
        desk_greet(&desk);
        desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "");
        /* A killed worker's last report may be on its way, or never have left. */
        for (bool dead = false, more = true; !dead || more; dead = has_ended(desk.worker)) {
            more = desk_receive_within(&desk, MESSAGE_REPORT, 300, &message);
            if (!more)
                continue;
            if (message.report.sequence == reported + 1) {
                snprintf(resume, sizeof resume, "%s", message.report.checkpoint);
                reported++;
            }
            desk_acknowledge(&desk, id, MESSAGE_REPORT, message.report.sequence);
            message_free(&message);
        }
        assert_int_equal(program_wait(desk.worker), 128 + SIGKILL);
        assert_true(reported <= 2);
        start_worker(&desk, "60", NULL);
        desk_greet(&desk);
        desk_assign(&desk, ASSIGNMENT_TRAIN, next, plain, resume);
        desk_follow(&desk, next, reported + 1, &log);
        assert_int_equal(log.reports, 5 - reported);
        assert_same_as_job(&desk, log.last, plain);
        desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
        desk_end(&desk, 0);
        free(fault);
    }
}

static void sigterm_in_mid_trial_is_reported_as_interrupted(void **state)
{
    Desk desk;
    Message message;
    AssignmentId id = {0, 2};
    desk_setup(&desk, *state, "terminated");
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, "num_train_epochs=500 eval_steps=5", "");
    desk_receive(&desk, MESSAGE_REPORT, &message);
    desk_acknowledge(&desk, id, MESSAGE_REPORT, message.report.sequence);
    message_free(&message);
    assert_int_equal(kill(desk.worker, SIGTERM), 0);
    for (;;) {
        desk_receive(&desk, MESSAGE_FINISHED, &message);
        FinishOutcome outcome = message.finished.outcome;
        message_free(&message);
        assert_int_equal(outcome, FINISH_INTERRUPTED);
        break;
    }
    desk_acknowledge(&desk, id, MESSAGE_FINISHED, 0);
    desk_end(&desk, 130);
}

static void a_trial_that_cannot_be_is_failed_with_the_reason(void **state)
{
    Desk desk;
    Message message;
    AssignmentId id = {0, 2};
    desk_setup(&desk, *state, "impossible");
    start_worker(&desk, "60", NULL);
    desk_greet(&desk);
    desk_assign(&desk, ASSIGNMENT_TRAIN, id, plain, "trial-000000/f00000001-step-00000099");
    desk_receive(&desk, MESSAGE_FINISHED, &message);
    assert_int_equal(message.finished.outcome, FINISH_FAILED);
    assert_false(message.finished.diverged);
    assert_non_null(strstr(message.finished.reason, "trial-000000/f00000001-step-00000099"));
    message_free(&message);
    desk_acknowledge(&desk, id, MESSAGE_FINISHED, 0);
    desk_say(&desk, MESSAGE_SHUTDOWN, (AssignmentId){0}, STATUS_OK, "done");
    desk_end(&desk, 0);
}

static void a_worker_that_is_refused_says_why(void **state)
{
    Desk desk;
    Message message;
    desk_setup(&desk, *state, "refused");
    start_worker(&desk, "60", NULL);
    desk_receive(&desk, MESSAGE_HELLO, &message);
    message_free(&message);
    desk_say(&desk, MESSAGE_REJECT, (AssignmentId){0}, STATUS_MISMATCH, "this coordinator serves another sweep");
    desk_end(&desk, 1);
    char *errors = program_errors(*state);
    assert_non_null(strstr(errors, "this coordinator serves another sweep"));
    free(errors);
}

static void a_worker_without_a_coordinator_gives_up(void **state)
{
    Desk desk;
    desk_setup(&desk, *state, "nobody");
    desk_close(&desk);
    start_worker(&desk, "1", NULL);
    desk_end(&desk, 75);
    char *errors = program_errors(*state);
    assert_non_null(strstr(errors, "no coordinator for 1 s"));
    free(errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_trains_tests_and_shuts_down),
        cmocka_unit_test(reports_are_repeated_until_they_are_acknowledged),
        cmocka_unit_test(a_coordinator_that_moves_is_found_again),
        cmocka_unit_test(an_acknowledgement_of_an_earlier_epoch_does_not_count),
        cmocka_unit_test(a_released_trial_is_dropped_and_goes_on_under_another_fence),
        cmocka_unit_test(auto_is_the_precision_of_the_checkpoint_or_of_the_device),
        cmocka_unit_test(a_worker_killed_and_started_again_goes_on_with_the_same_bytes),
        cmocka_unit_test(sigterm_in_mid_trial_is_reported_as_interrupted),
        cmocka_unit_test(a_trial_that_cannot_be_is_failed_with_the_reason),
        cmocka_unit_test(a_worker_that_is_refused_says_why),
        cmocka_unit_test(a_worker_without_a_coordinator_gives_up),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
