/* A coordinator with keys, and one among peers that flood it: it serves those who behave. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "tests/coordinator/daemon_fixture.h"
#include "tests/coordinator/fake_worker.h"

static char keys[160];

static int set_up(void **state)
{
    daemon_set_up(state);
    snprintf(keys, sizeof keys, "%s/keys", sweep_folder);
    return 0;
}

/* ------------------------------------------------------------------------------------------------ both ends */

static void start_with_keys(Daemon *daemon_, const char *keys_folder)
{
    CoordinatorOptions options = {.sweep = fixture_sweep(daemon_search),
                                  .sweep_folder = sweep_folder,
                                  .listen = "tcp://127.0.0.1:*",
                                  .keys = keys_folder,
                                  .make_keys = keys_folder != NULL,
                                  .interrupted = &interrupted,
                                  .clock = clock_system()};
    daemon_start(daemon_, &options);
}

/* Until it was told to stop. */
static void wait_for_stop(Daemon *daemon_)
{
    Sweep *sweep = (Sweep *)daemon_->options.sweep;
    daemon_join(daemon_);
    if (daemon_->status != STATUS_OK && daemon_->status != STATUS_INTERRUPTED) /* before the sweep's end */
        fail_msg("%s", daemon_->diagnostic.message);
    sweep_destroy(&sweep);
}

typedef struct Client {
    SocketContext *context;
    Socket *socket;
} Client;

static Client connect_as(const Daemon *daemon_, KeyRole role)
{
    Client client;
    Diagnostic diagnostic = {0};
    assert_int_equal(socket_context_create(&client.context, NULL), STATUS_OK);
    if (endpoint_use_key(client.context, &daemon_->endpoint, sweep_folder, role, NULL, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    assert_int_equal(socket_connect(&client.socket, client.context, SOCKET_DEALER, daemon_->endpoint.address, NULL), STATUS_OK);
    return client;
}

static void client_close(Client *client)
{
    socket_close(&client->socket);
    socket_context_destroy(&client->context);
}

enum { STATISTICS_SIZE = 60000, NOBODYS_FENCE = 1 << 30 };

/* To be freed with message_free. */
static Message sample(MessageType type)
{
    Message message = {.type = type};
    if (type == MESSAGE_HELLO) {
        strcpy(message.hello.worker, "intruder-1-a");
        strcpy(message.hello.host, "intruder");
        message.hello.pid = message.hello.ranks = 1;
    } else if (type == MESSAGE_REPORT) {
        message.report.id = (AssignmentId){0, NOBODYS_FENCE};
        message.report.sequence = 1;
        message.report.score = 1;
    } else if (type == MESSAGE_FINISHED) {
        message.finished.id = (AssignmentId){0, NOBODYS_FENCE};
        message.finished.outcome = FINISH_FAILED;
        message.finished.statistics_json = memory_allocate(STATISTICS_SIZE + 1, 1);
        memset(message.finished.statistics_json, ' ', STATISTICS_SIZE);
    } else if (type == MESSAGE_CONTROL)
        message.control = (MessageControl){.action = CONTROL_STOP, .all_trials = true};
    return message;
}

static void assert_refused(const Daemon *daemon_, KeyRole role, MessageType type)
{
    Client client = connect_as(daemon_, role);
    Message message = sample(type);
    fixture_ask(client.socket, message);
    message_free(&message);
    Message answer = fixture_receive(client.socket);
    if (answer.type != MESSAGE_REJECT || answer.reason.code != STATUS_PERMISSION ||
        !strstr(answer.reason.reason, message_type_name(type)) || !strstr(answer.reason.reason, key_role_name(role)))
        fail_msg("%s by a %s key: %s", message_type_name(type), key_role_name(role), message_type_name(answer.type));
    message_free(&answer);
    client_close(&client);
}

static Json *status_from(const Client *client)
{
    Json *json = NULL;
    fixture_ask(client->socket, (Message){.type = MESSAGE_STATUS_REQUEST});
    Message answer = fixture_receive(client->socket);
    assert_int_equal(answer.type, MESSAGE_STATUS_SNAPSHOT);
    assert_int_equal(json_parse(&json, answer.status.json, strlen(answer.status.json), "status", NULL), STATUS_OK);
    message_free(&answer);
    return json;
}

static int64_t defence(const Json *status, const char *what)
{
    return json_integer_value(json_get(json_get(status, "security"), what), -1);
}

static void stop(const Client *client)
{
    fixture_ask(client->socket, sample(MESSAGE_CONTROL));
    for (int i = 0; i < 100; i++) { /* what was asked for before may be answered first */
        Message answer = fixture_receive(client->socket);
        MessageType type = answer.type;
        message_free(&answer);
        if (type == MESSAGE_ACK)
            return;
    }
    fail_msg("the stop was not acknowledged");
}

/* ------------------------------------------------------------------------------------------------ tests */

static void each_role_gets_what_it_is_for_and_a_sweep_runs_to_its_end(void **state)
{
    (void)state;
    static const struct {
        KeyRole role;
        MessageType type;
    } forbidden[] = {
        {KEY_ROLE_READER, MESSAGE_HELLO},    {KEY_ROLE_READER, MESSAGE_HEARTBEAT},      {KEY_ROLE_READER, MESSAGE_REPORT},
        {KEY_ROLE_READER, MESSAGE_FINISHED}, {KEY_ROLE_READER, MESSAGE_CONTROL},        {KEY_ROLE_OPERATOR, MESSAGE_HELLO},
        {KEY_ROLE_OPERATOR, MESSAGE_REPORT}, {KEY_ROLE_OPERATOR, MESSAGE_FINISHED},     {KEY_ROLE_OPERATOR, MESSAGE_HEARTBEAT},
        {KEY_ROLE_WORKER, MESSAGE_CONTROL},  {KEY_ROLE_WORKER, MESSAGE_STATUS_REQUEST},
    };
    enum { FORBIDDEN = sizeof forbidden / sizeof *forbidden };
    Daemon daemon_;
    start_with_keys(&daemon_, keys);
    assert_true(daemon_.endpoint.server_key[0]);
    for (size_t i = 0; i < FORBIDDEN; i++)
        assert_refused(&daemon_, forbidden[i].role, forbidden[i].type);
    FakeWorker worker = {.sweep_folder = sweep_folder, .name = "elsewhere-1-a", .evaluations = 3};
    fake_worker_start(&worker);
    fake_worker_join(&worker);
    assert_int_equal(worker.reports, 18);
    Client reader = connect_as(&daemon_, KEY_ROLE_READER), operator_ = connect_as(&daemon_, KEY_ROLE_OPERATOR);
    Json *status = status_from(&reader);
    assert_string_equal(json_string_value(json_get(status, "state")), "done");
    assert_int_equal(defence(status, "refused_messages"), FORBIDDEN);
    assert_true(json_boolean_value(json_get(json_get(status, "security"), "keys"), false));
    json_destroy(&status);
    stop(&operator_);
    client_close(&reader);
    client_close(&operator_);
    wait_for_stop(&daemon_);
}

#ifdef __SANITIZE_THREAD__
enum { IS_SLOWED_DOWN = true }; /* the server is ten times slower: a flood need not be as wild, three times the rate will do */
#else
enum { IS_SLOWED_DOWN = false };
#endif

/* Sends what costs the most, as fast as it goes, and reads no answer. */
typedef struct Flood {
    const Daemon *daemon_;
    MessageType type;
    atomic_bool end;
    uint64_t sent;
    pthread_t thread;
} Flood;

static void *flood(void *context)
{
    Flood *self = context;
    Client client = connect_as(self->daemon_, KEY_ROLE_WORKER);
    Text bytes = {0};
    Message message = sample(self->type);
    if (message_encode(&message, &bytes, NULL) != STATUS_OK)
        abort();
    message_free(&message);
    while (!atomic_load(&self->end)) {
        Status status = socket_send(client.socket, NULL, bytes.bytes, bytes.size, NULL);
        self->sent += status == STATUS_OK;
        if (status != STATUS_OK)
            sched_yield();
        if (IS_SLOWED_DOWN && self->sent % 16 == 0)
            usleep(1000);
    }
    text_free(&bytes);
    client_close(&client);
    return NULL;
}

static void peers_that_flood_stop_nobody_else(void **state)
{
    (void)state;
    static const MessageType floods[] = {MESSAGE_HEARTBEAT, MESSAGE_FINISHED, MESSAGE_STATUS_REQUEST};
    enum { FLOODS = sizeof floods / sizeof *floods, FLOOD_LIMIT_S = 120 }; /* seconds, but for the thread sanitizer */
    Daemon daemon_;
    Flood flooders[FLOODS] = {0};
    start_with_keys(&daemon_, NULL);
    for (int i = 0; i < FLOODS; i++) {
        flooders[i].daemon_ = &daemon_;
        flooders[i].type = floods[i];
        assert_int_equal(pthread_create(&flooders[i].thread, NULL, flood, &flooders[i]), 0);
    }
    /* The sweep of the one who behaves goes on in the middle of it, and readers see it. */
    FakeWorker worker = {.sweep_folder = sweep_folder, .name = "elsewhere-1-a", .evaluations = 3};
    Client reader = connect_as(&daemon_, KEY_ROLE_READER);
    const Clock *clock = clock_system();
    int64_t limit_ns = clock->monotonic_ns(clock->context) + (int64_t)FLOOD_LIMIT_S * 1000000000;
    fake_worker_start(&worker);
    Json *status = NULL;
    do {
        json_destroy(&status);
        status = status_from(&reader);
    } while ((strcmp(json_string_value(json_get(status, "state")), "done") != 0 || defence(status, "dropped_messages") == 0) &&
             clock->monotonic_ns(clock->context) < limit_ns);
    assert_string_equal(json_string_value(json_get(status, "state")), "done");
    assert_true(defence(status, "dropped_messages") > 0);
    json_destroy(&status);
    for (int i = 0; i < FLOODS; i++)
        atomic_store(&flooders[i].end, true);
    for (int i = 0; i < FLOODS; i++) {
        pthread_join(flooders[i].thread, NULL);
        assert_true(flooders[i].sent > 0);
    }
    fake_worker_join(&worker);
    assert_int_equal(worker.reports, 18);
    stop(&reader);
    client_close(&reader);
    wait_for_stop(&daemon_);
}

static void an_address_of_all_machines_needs_keys_or_the_word(void **state)
{
    (void)state;
    Sweep *sweep = fixture_sweep(daemon_search);
    CoordinatorOptions options = {.sweep = sweep,
                                  .sweep_folder = sweep_folder,
                                  .listen = "tcp://0.0.0.0:*",
                                  .interrupted = &interrupted,
                                  .clock = clock_system()};
    Diagnostic diagnostic = {0};
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_PERMISSION);
    assert_non_null(strstr(diagnostic.message, "nersweep keys"));
    options.listen = "tcp://127.0.0.1:*";
    options.feed = "tcp://0.0.0.0:*"; /* one open door is enough */
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_PERMISSION);
    interrupted = 2;
    options.insecure = true;
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_INTERRUPTED);
    options.insecure = false;
    options.make_keys = true;
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_INTERRUPTED);
    assert_true(path_is_folder(keys));
    options.make_keys = false; /* they are found the next time */
    assert_int_equal(coordinator_run(&options, &diagnostic), STATUS_INTERRUPTED);
    sweep_destroy(&sweep);
}

static void a_key_of_a_coordinator_before_is_refused_with_what_to_do(void **state)
{
    (void)state;
    Daemon daemon_;
    SocketContext *context;
    Diagnostic diagnostic = {0};
    start_with_keys(&daemon_, keys);
    Client operator_ = connect_as(&daemon_, KEY_ROLE_OPERATOR);
    Json *status = status_from(&operator_);
    json_destroy(&status);
    assert_int_equal(socket_context_create(&context, NULL), STATUS_OK);
    char *reader = memory_format("%s/reader.key", keys);
    Endpoint plain = daemon_.endpoint;
    plain.server_key[0] = '\0'; /* somebody has replaced the file, to be told what is not for him */
    assert_int_equal(endpoint_use_key(context, &plain, sweep_folder, KEY_ROLE_READER, reader, &diagnostic), STATUS_MISMATCH);
    stop(&operator_);
    wait_for_stop(&daemon_);
    assert_int_equal(keys_create(keys, true, NULL), STATUS_OK);
    assert_int_equal(endpoint_use_key(context, &daemon_.endpoint, sweep_folder, KEY_ROLE_READER, NULL, &diagnostic),
                     STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "start it again"));
    free(reader);
    socket_context_destroy(&context);
    client_close(&operator_);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_role_gets_what_it_is_for_and_a_sweep_runs_to_its_end),
        TEST(peers_that_flood_stop_nobody_else),
        TEST(an_address_of_all_machines_needs_keys_or_the_word),
        TEST(a_key_of_a_coordinator_before_is_refused_with_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
