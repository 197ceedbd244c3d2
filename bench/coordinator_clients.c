/* A whole server in a process of its own and many TCP clients in this one, which speak the real protocol with the real encoder and decoder. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/coordinator_bench.h"
#include "coordinator/coordinator.h"
#include "core/io/file.h"
#include "proto/socket.h"

enum { CLIENT_LIMIT = 64, SAMPLE_LIMIT = 1 << 20, POLL_MS = 100, TMPFS = 0x01021994, RAMFS = 0x858458f6 };

/* What all clients share. */
typedef struct Load {
    char *address;
    int reports; /* of a trial */
    int window;  /* reports under way at most, of one client */
    SocketContext *context;
    atomic_bool stop;
} Load;

typedef struct Client {
    Load *load;
    pthread_t thread;
    int number;
    Socket *socket;
    AssignmentId id;
    uint64_t sent, acknowledged; /* reports of the trial */
    bool finishing;              /* FINISHED was sent */
    double *sent_s;              /* [reports + 1]: when each was sent, FINISHED last */
    uint64_t trials, reports;    /* acknowledged in all */
    float *latency_s;            /* [SAMPLE_LIMIT] */
    size_t samples;
    Text bytes;
} Client;

static void say(Client *client, Message *message)
{
    Diagnostic diagnostic = {0};
    text_clear(&client->bytes);
    bench_check(message_encode(message, &client->bytes, &diagnostic), &diagnostic);
    bench_check(socket_send(client->socket, NULL, client->bytes.bytes, client->bytes.size, &diagnostic), &diagnostic);
    message_free(message);
}

/* As many reports as the window allows, and FINISHED behind the last one. */
static void say_next(Client *client)
{
    Message message;
    uint64_t reports = (uint64_t)client->load->reports;
    while (client->id.fence && client->sent < reports && client->sent < client->acknowledged + (uint64_t)client->load->window) {
        bench_report(&message, client->id, ++client->sent);
        client->sent_s[client->sent - 1] = bench_now_s();
        say(client, &message);
    }
    if (client->id.fence && client->sent == reports && !client->finishing) {
        bench_finished(&message, client->id);
        client->sent_s[reports] = bench_now_s();
        client->finishing = true;
        say(client, &message);
    }
}

static void note_latency(Client *client, double sent_s)
{
    client->latency_s[client->samples++ % SAMPLE_LIMIT] = (float)(bench_now_s() - sent_s);
}

static void hear(Client *client, const Message *message)
{
    if (message->type == MESSAGE_ASSIGN && message->assign.id.fence > client->id.fence) {
        client->id = message->assign.id;
        client->sent = client->acknowledged = 0;
        client->finishing = false;
    } else if (message->type == MESSAGE_ACK && message->ack.id.fence == client->id.fence) {
        if (message->ack.acknowledged == MESSAGE_REPORT) { /* of all up to its own */
            for (; client->acknowledged < message->ack.sequence; client->acknowledged++, client->reports++)
                note_latency(client, client->sent_s[client->acknowledged]);
        } else {
            client->trials++;
            note_latency(client, client->sent_s[client->load->reports]);
        }
    }
}

static void *run_client(void *argument)
{
    Client *client = argument;
    Diagnostic diagnostic = {0};
    bench_check(socket_connect(&client->socket, client->load->context, SOCKET_DEALER, client->load->address, &diagnostic),
                &diagnostic);
    Message message = {.type = MESSAGE_HELLO};
    snprintf(message.hello.worker, sizeof message.hello.worker, "bench-%d-a", client->number + 1);
    strcpy(message.hello.host, "bench");
    message.hello.pid = 1;
    message.hello.ranks = message.hello.threads_per_rank = 1;
    say(client, &message);
    while (!atomic_load(&client->load->stop)) {
        bool ready;
        Status status = socket_poll(&client->socket, 1, &ready, NULL, 0, NULL, POLL_MS, &diagnostic);
        if (status != STATUS_OK && status != STATUS_INTERRUPTED)
            bench_check(status, &diagnostic);
        while (ready && socket_receive(client->socket, NULL, &client->bytes, &diagnostic) == STATUS_OK) {
            bench_check(message_decode(&message, client->bytes.bytes, client->bytes.size, &diagnostic), &diagnostic);
            hear(client, &message);
            message_free(&message);
        }
        say_next(client);
    }
    socket_close(&client->socket);
    text_free(&client->bytes);
    return NULL;
}

static int compare_latencies(const void *a, const void *b)
{
    float left = *(const float *)a, right = *(const float *)b;
    return left < right ? -1 : left > right;
}

/* Sums up: what was acknowledged in the seconds between two looks, and the latencies since the first. */
static void count(const Client *clients, uint64_t *trials, uint64_t *reports)
{
    *trials = *reports = 0;
    for (int i = 0; i < CLIENT_LIMIT; i++) {
        *trials += clients[i].trials;
        *reports += clients[i].reports;
    }
}

static double percentile_ms(const Client *clients, double share)
{
    size_t total = 0;
    float *all = memory_allocate((size_t)CLIENT_LIMIT * SAMPLE_LIMIT, sizeof *all);
    for (int i = 0; i < CLIENT_LIMIT; i++) {
        size_t samples = clients[i].samples < SAMPLE_LIMIT ? clients[i].samples : SAMPLE_LIMIT;
        memcpy(all + total, clients[i].latency_s, samples * sizeof *all);
        total += samples;
    }
    qsort(all, total, sizeof *all, compare_latencies);
    double ms = total ? (double)all[(size_t)((double)(total - 1) * share)] * 1e3 : 0.0;
    free(all);
    return ms;
}

static pid_t start_server(const Sweep *sweep, const char *folder)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    Diagnostic diagnostic = {0};
    CoordinatorOptions options = {.sweep = sweep, .sweep_folder = folder, .listen = "tcp://127.0.0.1:*", .clock = clock_system()};
    Status status = coordinator_run(&options, &diagnostic);
    if (status != STATUS_OK && status != STATUS_INTERRUPTED)
        fprintf(stderr, "the coordinator ended: %s\n", diagnostic.message);
    _exit(0);
}

/* Of all of a process's threads. */
static double process_cpu_s(pid_t process)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &used) != 0)
        abort();
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static Endpoint wait_for_endpoint(const char *folder, pid_t server, double *waited_s)
{
    Endpoint endpoint;
    double begin = bench_now_s();
    while (endpoint_read(folder, &endpoint, NULL) != STATUS_OK || endpoint.pid != server) {
        if (waitpid(server, NULL, WNOHANG) == server)
            exit(1);
        usleep(1000);
    }
    *waited_s = bench_now_s() - begin;
    return endpoint;
}

static void refuse_memory(const char *folder)
{
    struct statfs found;
    if (statfs(folder, &found) != 0 || found.f_type == TMPFS || (unsigned)found.f_type == (unsigned)RAMFS) {
        fprintf(stderr, "bench_coordinator: %s is no disk: what is measured there is not durable\n", folder);
        exit(2);
    }
}

int bench_serve(int seconds, int reports, int window)
{
    static Client clients[CLIENT_LIMIT];
    Diagnostic diagnostic = {0};
    Sweep *sweep = bench_sweep(CORE_TRIAL_LIMIT);
    char *folder = path_absolute(".");
    double opened_s;
    uint64_t trials[2], sums[2];
    refuse_memory(folder);
    pid_t server = start_server(sweep, folder);
    Endpoint endpoint = wait_for_endpoint(folder, server, &opened_s);
    Load load = {.address = endpoint.address, .reports = reports, .window = window};
    bench_check(socket_context_create(&load.context, &diagnostic), &diagnostic);
    for (int i = 0; i < CLIENT_LIMIT; i++) {
        clients[i] = (Client){.load = &load, .number = i};
        clients[i].sent_s = memory_allocate((size_t)reports + 1, sizeof(double));
        clients[i].latency_s = memory_allocate(SAMPLE_LIMIT, sizeof(float));
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
            abort();
    }
    sleep(1); /* all have joined and the first trials are under way */
    count(clients, &trials[0], &sums[0]);
    double begin = bench_now_s(), server_cpu_s = process_cpu_s(server), clients_cpu_s = process_cpu_s(getpid());
    sleep((unsigned)seconds);
    count(clients, &trials[1], &sums[1]);
    double s = bench_now_s() - begin;
    server_cpu_s = process_cpu_s(server) - server_cpu_s;
    clients_cpu_s = process_cpu_s(getpid()) - clients_cpu_s;
    atomic_store(&load.stop, true);
    for (int i = 0; i < CLIENT_LIMIT; i++)
        pthread_join(clients[i].thread, NULL);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    double messages = (double)(trials[1] - trials[0] + sums[1] - sums[0] + 1);
    printf("{\"mode\":\"serve\",\"clients\":%d,\"reports_per_trial\":%d,\"window\":%d,\"open_s\":%.3f,\"transitions_per_s\":%.0f,"
           "\"trials_per_s\":%.0f,\"reports_per_s\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"server_cpu_us_per_message\":%.2f,"
           "\"clients_cpu_us_per_message\":%.2f}\n",
           CLIENT_LIMIT, reports, window, opened_s, 2.0 * (double)(trials[1] - trials[0]) / s, (double)(trials[1] - trials[0]) / s,
           (double)(sums[1] - sums[0]) / s, percentile_ms(clients, 0.5), percentile_ms(clients, 0.99),
           server_cpu_s * 1e6 / messages, clients_cpu_s * 1e6 / messages);
    for (int i = 0; i < CLIENT_LIMIT; i++) {
        free(clients[i].sent_s);
        free(clients[i].latency_s);
    }
    socket_context_destroy(&load.context);
    sweep_destroy(&sweep);
    free(folder);
    return 0;
}
