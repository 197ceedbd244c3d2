#include "tests/coordinator/daemon_fixture.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"

const char daemon_search[] = "method: grid\nseeds: [1, 2]\nresources: {heartbeat: 0.5, lease: 5}\n"
                             "parameters: {learning_rate: {values: [1.0e-5, 3e-5, 5e-5]}}\n";
char sweep_folder[128];
volatile int interrupted;

int daemon_set_up(void **state)
{
    log_set_level(LOG_ERROR);
    interrupted = 0;
    fixture_set_up(state);
    snprintf(sweep_folder, sizeof sweep_folder, "%s/runs/tiny", fixture_folder());
    assert_int_equal(folder_create(file_system_posix(), sweep_folder, NULL), STATUS_OK);
    return 0;
}

static void *run_daemon(void *context)
{
    Daemon *daemon_ = context;
    daemon_->status = coordinator_run(&daemon_->options, &daemon_->diagnostic);
    return NULL;
}

void daemon_start(Daemon *daemon_, const CoordinatorOptions *options)
{
    *daemon_ = (Daemon){.options = *options};
    assert_int_equal(pthread_create(&daemon_->thread, NULL, run_daemon, daemon_), 0);
    for (int i = 0; i < 500 && endpoint_read(sweep_folder, &daemon_->endpoint, NULL) != STATUS_OK; i++)
        usleep(10000);
    assert_true(daemon_->endpoint.address[0]);
}

void daemon_join(Daemon *daemon_)
{
    pthread_join(daemon_->thread, NULL);
}

void fixture_ask(Socket *socket, Message message)
{
    Text bytes = {0};
    assert_int_equal(message_encode(&message, &bytes, NULL), STATUS_OK);
    assert_int_equal(socket_send(socket, NULL, bytes.bytes, bytes.size, NULL), STATUS_OK);
    text_free(&bytes);
}

Message fixture_receive(Socket *socket)
{
    bool ready = false;
    Message message = {0};
    Text bytes = {0};
    assert_int_equal(socket_poll(&socket, 1, &ready, NULL, 0, NULL, 10000, NULL), STATUS_OK);
    assert_true(ready);
    assert_int_equal(socket_receive(socket, NULL, &bytes, NULL), STATUS_OK);
    assert_int_equal(message_decode(&message, bytes.bytes, bytes.size, NULL), STATUS_OK);
    text_free(&bytes);
    return message;
}
