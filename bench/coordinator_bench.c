/* The coordinator's speed: the core alone, start-up from a journal, and a whole server on a disk with many TCP clients. See coordinator.py. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/coordinator_bench.h"
#include "coordinator/journal_fold.h"
#include "core/base/log.h"
#include "core/store/journal_snapshot.h"

static const char head[] = "name: bench\nmodel: model\n"
                           "data: {train: train.conll, dev: {main: dev.conll}, max_seq_length: 128}\n"
                           "method: random\nseeds: [1]\n"
                           "resources: {heartbeat: 5, lease: 60}\n"
                           "parameters:\n"
                           "  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 3.0e-4}\n"
                           "  warmup_ratio: {distribution: uniform, min: 0.0, max: 0.2}\n"
                           "  weight_decay: {values: [0.0, 0.01, 0.1]}\n";

double bench_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void bench_check(Status status, const Diagnostic *diagnostic)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "bench_coordinator: %s\n", diagnostic->message);
    exit(status_exit_code(status));
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

Sweep *bench_sweep(int trials)
{
    Diagnostic diagnostic = {0};
    Sweep *sweep;
    char *text = memory_format("%srun_cap: %d\n", head, trials);
    bench_check(folder_create(file_system_posix(), "model", &diagnostic), &diagnostic);
    put("model/config.json", "{}");
    put("train.conll", "Ann B-PER\n");
    put("dev.conll", "Bob B-PER\n");
    put("sweep.yaml", text);
    free(text);
    bench_check(sweep_read(&sweep, "sweep.yaml", NULL, 0, NULL, &diagnostic), &diagnostic);
    return sweep;
}

void bench_report(Message *message, AssignmentId id, uint64_t sequence)
{
    *message = (Message){.type = MESSAGE_REPORT};
    MessageReport *report = &message->report;
    report->id = id;
    report->sequence = sequence;
    report->step = (int64_t)sequence * 100;
    report->total_steps = BENCH_REPORTS * 100;
    report->epoch = (double)sequence;
    report->train_loss = 1.0 / (double)(1 + sequence);
    report->learning_rate = 1e-5;
    report->dataset_count = 1;
    report->datasets = memory_allocate(1, sizeof *report->datasets);
    strcpy(report->datasets[0].name, "main");
    report->datasets[0].f1 = report->score = 1.0 / (double)(2 + (id.trial * 7 + sequence) % 1000);
    report->checkpoint = memory_format("trial-%06" PRIu32 "/f%08" PRIu64 "-step-%08d", id.trial, id.fence, (int)sequence * 100);
}

void bench_finished(Message *message, AssignmentId id)
{
    *message = (Message){.type = MESSAGE_FINISHED};
    message->finished.id = id;
    message->finished.outcome = FINISH_COMPLETED;
    message->finished.reason = memory_copy_string("");
    message->finished.statistics_json = memory_copy_string("{\"wall_s\":12.5,\"pieces\":123456,\"pieces_per_s\":9876.5}");
}

/* ------------------------------------------------------------------------------------------------ the core alone */

typedef struct Inside {
    SweepCore *core;
    CoreActions actions;
    Journal *journal; /* NULL: none */
    Text bytes;
    uint64_t records;
} Inside;

static void keep(Inside *inside)
{
    Diagnostic diagnostic = {0};
    for (size_t i = 0; i < inside->actions.count; i++) {
        if (inside->actions.items[i].type != CORE_JOURNAL)
            continue;
        inside->records++;
        if (!inside->journal)
            continue;
        text_clear(&inside->bytes);
        bench_check(record_encode(&inside->actions.items[i].record, &inside->bytes, &diagnostic), &diagnostic);
        bench_check(journal_append(inside->journal, inside->bytes.bytes, inside->bytes.size, &diagnostic), &diagnostic);
    }
}

static AssignmentId step(Inside *inside, const Message *message, const char *peer)
{
    Diagnostic diagnostic = {0};
    AssignmentId id = {0};
    CoreEvent event = {.type = message ? CORE_MESSAGE : CORE_START, .message = message, .epoch = 1, .wall_ms = 1790000000000};
    event.peer.size = (uint8_t)strlen(peer);
    memcpy(event.peer.id, peer, event.peer.size);
    bench_check(sweep_core_step(inside->core, &event, 1, &inside->actions, &diagnostic), &diagnostic);
    for (size_t i = 0; i < inside->actions.count; i++)
        if (inside->actions.items[i].type == CORE_SEND && inside->actions.items[i].message.type == MESSAGE_ASSIGN)
            id = inside->actions.items[i].message.assign.id;
    keep(inside);
    core_actions_free(&inside->actions);
    return id;
}

static double rss_mb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        abort();
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* All trials through the core in this process, with or without a journal; one worker. Prints the speed at powers of ten. stuck: the first trial is
 * paused and waits all the time, before thousands that have ended. */
static int run_core(int trials, bool journaled, bool stuck)
{
    Diagnostic diagnostic = {0};
    Sweep *sweep = bench_sweep(trials + 1 + stuck); /* one is left, so that the sweep has not ended */
    Inside inside = {.core = sweep_core_create(sweep, ".")};
    inside.core->publishes = false;
    if (journaled)
        bench_check(journal_open(&inside.journal, "journal", file_system_posix(), NULL, NULL, &diagnostic), &diagnostic);
    Message hello = {.type = MESSAGE_HELLO}, message;
    strcpy(hello.hello.worker, "bench-1-a");
    step(&inside, NULL, "x");
    AssignmentId id = step(&inside, &hello, "x");
    if (stuck) {
        Message pause = {.type = MESSAGE_CONTROL, .control = {.action = CONTROL_PAUSE, .trial = id.trial}};
        id = step(&inside, &pause, "x");
    }
    double before_mb = rss_mb(), begin = bench_now_s(), mark = begin;
    int next = 1000, last = 0;
    for (int done = 1; done <= trials; done++) {
        for (uint64_t sequence = 1; sequence <= BENCH_REPORTS; sequence++) {
            bench_report(&message, id, sequence);
            step(&inside, &message, "x");
            message_free(&message);
        }
        bench_finished(&message, id);
        id = step(&inside, &message, "x");
        message_free(&message);
        if (inside.journal && done % 1000 == 0)
            bench_check(journal_sync(inside.journal, &diagnostic), &diagnostic);
        if (done == next || done == trials) {
            double now = bench_now_s();
            printf("{\"mode\":\"core\",\"trials\":%d,\"trials_per_s\":%.0f}\n", done, (done - last) / (now - mark));
            fflush(stdout);
            last = done;
            mark = now;
            next *= 10;
        }
    }
    if (inside.journal)
        bench_check(journal_sync(inside.journal, &diagnostic), &diagnostic);
    printf("{\"mode\":\"core\",\"records\":%" PRIu64 ",\"bytes_per_trial\":%.0f}\n", inside.records,
           (rss_mb() - before_mb) * 1e6 / trials);
    journal_close(&inside.journal);
    text_free(&inside.bytes);
    sweep_core_destroy(&inside.core);
    sweep_destroy(&sweep);
    return 0;
}

/* Start-up: what the journal in ./journal folds to. */
static int run_start(void)
{
    Diagnostic diagnostic = {0};
    SweepCore *core;
    double before_mb = rss_mb(), begin = bench_now_s();
    bench_check(journal_fold_read(NULL, ".", &core, NULL, &diagnostic), &diagnostic);
    double s = bench_now_s() - begin;
    printf("{\"mode\":\"start\",\"trials\":%zu,\"s\":%.3f,\"bytes_per_trial\":%.0f}\n", core->trials.count, s,
           core->trials.count ? (rss_mb() - before_mb) * 1e6 / (double)core->trials.count : 0.0);
    sweep_core_destroy(&core);
    return 0;
}

/* Packs the journal in ./journal, as a coordinator does in the background. */
static int run_pack(void)
{
    Diagnostic diagnostic = {0};
    Journal *journal;
    uint64_t epoch;
    bench_check(journal_open(&journal, "journal", file_system_posix(), NULL, NULL, &diagnostic), &diagnostic);
    journal_close(&journal);
    double begin = bench_now_s();
    bench_check(journal_snapshot_make("journal", file_system_posix(), NULL, &epoch, &diagnostic), &diagnostic);
    printf("{\"mode\":\"pack\",\"epoch\":%" PRIu64 ",\"s\":%.3f}\n", epoch, bench_now_s() - begin);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    log_set_level(LOG_WARNING);
    if (strcmp(mode, "core") == 0 && argc == 3)
        return run_core(atoi(argv[2]), false, false);
    if (strcmp(mode, "stuck") == 0 && argc == 3)
        return run_core(atoi(argv[2]), false, true);
    if (strcmp(mode, "journal") == 0 && argc == 3)
        return run_core(atoi(argv[2]), true, false);
    if (strcmp(mode, "start") == 0 && argc == 2)
        return run_start();
    if (strcmp(mode, "pack") == 0 && argc == 2)
        return run_pack();
    if (strcmp(mode, "serve") == 0 && argc == 5)
        return bench_serve(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    fprintf(stderr,
            "usage: bench_coordinator core TRIALS | stuck TRIALS | journal TRIALS | start | pack | serve SECONDS REPORTS WINDOW\n"
            "(in an empty folder; the last three in that of journal)\n");
    return 2;
}
