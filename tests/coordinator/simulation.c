#include "tests/coordinator/simulation.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "core/io/hash.h"
#include "tests/coordinator/fixtures.h"

enum {
    STEP_MS = 100,
    TIME_LIMIT_MS = 20 * 3600 * 1000,
    RESEND_MS = 1000,
    EVALUATION_MS = 3000,
    FULL_DISK_MS = 30000,
    FULL_DISK_LIMIT_MS = 10 * 60 * 1000, /* so long a coordinator waits */
};

SimulationCounts simulation_counts;

typedef struct Packet {
    int64_t deliver_ms;
    int worker;    /* receiver, or sender when to_coordinator */
    uint32_t life; /* of the worker when it was sent */
    bool to_coordinator;
    Message message;
} Packet;

typedef struct SimulatedWorker {
    uint32_t life; /* rises with each death */
    int64_t alive_from_ms, frozen_until_ms, cut_off_until_ms;
    bool greeted;
    int64_t hello_ms, heartbeat_ms, heard_ms, send_ms;
    uint64_t progress;
    AssignmentId id; /* fence 0: idle */
    uint64_t last_fence;
    AssignmentKind kind;
    SimulatedTrial trial;
    uint64_t options_hash;
    uint64_t done, acknowledged; /* evaluations */
    int64_t next_ms;             /* when the next one is done */
    bool finished;
    FinishOutcome outcome;
} SimulatedWorker;

typedef struct World {
    const SimulationOptions *options;
    const Sweep *sweep;
    SimulatedJournal *journal;
    SweepCore *core;
    uint64_t epoch;
    int64_t now_ms, coordinator_from_ms; /* it runs from then on */
    int64_t wall_ahead_ms;               /* of now_ms */
    int64_t disk_full_until_ms, waits_from_ms;
    CoreActions kept;             /* of a round that could not be written: nothing of it is sent yet */
    bool started;                 /* the coordinator has opened its epoch */
    ARRAY(uint64_t) acknowledged; /* of each trial: the last evaluation that a worker was told is durable */
    uint32_t draws;
    SimulatedWorker *workers;
    ARRAY(Packet) packets;
} World;

/* ------------------------------------------------------------------------------------------------ chance */

static double chance(World *world)
{
    PhiloxBlock block = philox4x32_10(philox_key(world->options->seed, RANDOM_BOOTSTRAP, 1), world->draws++, 0, 0, 0);
    return philox_uniform_double(block.word[0], block.word[1]);
}

static bool happens(World *world, double per_second)
{
    return per_second > 0 && chance(world) < per_second * STEP_MS * 1e-3;
}

/* ------------------------------------------------------------------------------------------------ the network */

static void post(World *world, int worker, bool to_coordinator, Message *message)
{
    int copies = world->now_ms < world->workers[worker].cut_off_until_ms ? 0 : 1;
    if (copies && world->options->drop > 0 && chance(world) < world->options->drop) {
        copies = 0;
        simulation_counts.dropped++;
    } else if (copies && world->options->repeat > 0 && chance(world) < world->options->repeat) {
        copies = 2;
        simulation_counts.repeated++;
    }
    for (int i = 0; i < copies; i++) {
        Packet packet = {.worker = worker, .life = world->workers[worker].life, .to_coordinator = to_coordinator};
        packet.deliver_ms =
            world->now_ms + (int64_t)(world->options->delay_limit_ms ? chance(world) * (double)world->options->delay_limit_ms : 0);
        message_copy(&packet.message, message);
        array_push(&world->packets, packet);
    }
    message_free(message);
}

static SocketPeer peer_of(int worker, uint32_t life)
{
    SocketPeer peer = {.size = 8};
    memcpy(peer.id, &worker, 4);
    memcpy(peer.id + 4, &life, 4);
    return peer;
}

/* ------------------------------------------------------------------------------------------------ what training comes to */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t words[2] = {a, b};
    return checksum64(words, sizeof words);
}

static SimulatedTrial trial_of(uint64_t options_hash)
{
    SimulatedTrial trial = {.evaluations = 2 + (uint32_t)(mix(options_hash, 1) % 4)};
    trial.diverges = mix(options_hash, 2) % 11 == 0;
    trial.fails = mix(options_hash, 3) % 13 == 0;
    return trial;
}

static double score_of(uint64_t options_hash, uint64_t evaluation)
{
    return (double)(mix(options_hash, 100 + evaluation) % 1000) / 1000.0; /* coarse, so that ties happen */
}

/* ------------------------------------------------------------------------------------------------ a worker */

static void worker_reset(SimulatedWorker *worker)
{
    uint32_t life = worker->life;
    *worker = (SimulatedWorker){.life = life};
}

static void worker_assigned(World *world, SimulatedWorker *worker, const MessageAssign *assign)
{
    if (assign->id.fence <= worker->last_fence)
        return;
    uint32_t trial = 0;
    uint64_t done = 0;
    if (assign->resume[0])
        assert_int_equal(sscanf(assign->resume, "trial-%" SCNu32 "/%" SCNu64, &trial, &done), 2);
    assert_true(!assign->resume[0] || trial == assign->id.trial);
    worker->id = assign->id;
    worker->last_fence = assign->id.fence;
    worker->kind = assign->kind;
    worker->options_hash = checksum64(assign->options_json, strlen(assign->options_json));
    worker->trial = trial_of(worker->options_hash);
    worker->done = worker->acknowledged = done;
    worker->finished = false;
    worker->next_ms = world->now_ms + (int64_t)(chance(world) * EVALUATION_MS);
}

static void worker_take(World *world, int index, const Message *message)
{
    SimulatedWorker *worker = &world->workers[index];
    worker->heard_ms = world->now_ms;
    switch (message->type) {
    case MESSAGE_WELCOME:
        worker->greeted = true;
        break;
    case MESSAGE_ASSIGN:
        worker_assigned(world, worker, &message->assign);
        break;
    case MESSAGE_ACK:
        if (message->ack.id.fence != worker->id.fence || !worker->id.fence)
            break;
        if (message->ack.acknowledged == MESSAGE_REPORT && message->ack.sequence > worker->acknowledged)
            worker->acknowledged = message->ack.sequence;
        if (message->ack.acknowledged == MESSAGE_FINISHED && worker->finished) {
            bool leaves = worker->outcome == FINISH_INTERRUPTED;
            worker->id = (AssignmentId){0};
            if (leaves) {
                worker->life++;
                worker_reset(worker);
                worker->alive_from_ms = world->now_ms + 1000;
            }
        }
        break;
    case MESSAGE_RELEASE:
        simulation_counts.stale_releases++;
        if (message->reason.id.fence == worker->id.fence)
            worker->id = (AssignmentId){0};
        break;
    default:
        break;
    }
}

static void worker_send_report(World *world, int index, uint64_t sequence)
{
    SimulatedWorker *worker = &world->workers[index];
    Message message = {.type = MESSAGE_REPORT};
    MessageReport *report = &message.report;
    report->id = worker->id;
    report->sequence = sequence;
    report->step = (int64_t)sequence * 10;
    report->total_steps = worker->trial.evaluations * 10;
    report->epoch = (double)sequence;
    report->train_loss = worker->trial.diverges && sequence == 2 ? NAN : 1.0 / (double)sequence;
    report->score = score_of(worker->options_hash, sequence);
    report->dataset_count = 1;
    report->datasets = memory_allocate(1, sizeof *report->datasets);
    strcpy(report->datasets[0].name, "main");
    report->datasets[0].f1 = report->score;
    report->checkpoint = memory_format("trial-%" PRIu32 "/%" PRIu64, worker->id.trial, sequence);
    post(world, index, true, &message);
}

static void worker_send_finished(World *world, int index)
{
    SimulatedWorker *worker = &world->workers[index];
    Message message = {.type = MESSAGE_FINISHED};
    message.finished.id = worker->id;
    message.finished.outcome = worker->outcome;
    message.finished.reason = memory_copy_string(worker->outcome == FINISH_FAILED ? "bad options" : "");
    message.finished.statistics_json = memory_copy_string("{}");
    if (worker->kind == ASSIGNMENT_TEST && worker->outcome == FINISH_COMPLETED) {
        message.finished.dataset_count = 1;
        message.finished.datasets = memory_allocate(1, sizeof *message.finished.datasets);
        strcpy(message.finished.datasets[0].name, "test");
        message.finished.datasets[0].f1 = score_of(worker->options_hash, 99);
    }
    post(world, index, true, &message);
}

static void worker_train(World *world, SimulatedWorker *worker)
{
    if (!worker->id.fence || worker->finished)
        return;
    worker->progress++;
    if (happens(world, world->options->worker_fault)) {
        simulation_counts.faults++;
        worker->finished = true;
        worker->outcome = chance(world) < 0.5 ? FINISH_WORKER_FAULT : FINISH_INTERRUPTED;
        return;
    }
    uint64_t goal = worker->kind == ASSIGNMENT_TEST ? worker->done : worker->trial.fails ? 1 : worker->trial.evaluations;
    if (worker->done < goal && world->now_ms >= worker->next_ms) {
        worker->done++;
        worker->next_ms = world->now_ms + EVALUATION_MS / 2 + (int64_t)(chance(world) * EVALUATION_MS);
        worker->send_ms = 0;
    }
    bool fails = worker->kind == ASSIGNMENT_TRAIN && worker->trial.fails && worker->done >= 1;
    if ((fails || worker->done >= goal) && worker->acknowledged >= worker->done) {
        worker->finished = true;
        worker->outcome = fails ? FINISH_FAILED : FINISH_COMPLETED;
        worker->send_ms = 0;
    }
}

static void worker_speak(World *world, int index)
{
    SimulatedWorker *worker = &world->workers[index];
    if ((!worker->greeted || world->now_ms - worker->heard_ms > 4000) && world->now_ms - worker->hello_ms >= RESEND_MS) {
        Message message = {.type = MESSAGE_HELLO};
        snprintf(message.hello.worker, sizeof message.hello.worker, "host-%d-%" PRIu32,
                 1000 + (world->options->twins ? index / 2 : index), world->options->twins ? 0 : worker->life);
        strcpy(message.hello.host, "host");
        message.hello.pid = 1000 + index;
        message.hello.ranks = message.hello.threads_per_rank = 1;
        message.hello.assignment = worker->id;
        worker->hello_ms = world->now_ms;
        post(world, index, true, &message);
    }
    if (!worker->greeted)
        return;
    if (world->now_ms - worker->heartbeat_ms >= 1000) {
        Message message = {.type = MESSAGE_HEARTBEAT};
        message.heartbeat.id = worker->id;
        message.heartbeat.progress = worker->progress;
        worker->heartbeat_ms = world->now_ms;
        post(world, index, true, &message);
    }
    if (!worker->id.fence || (worker->send_ms && world->now_ms - worker->send_ms < RESEND_MS))
        return;
    worker->send_ms = world->now_ms;
    for (uint64_t sequence = worker->acknowledged + 1; sequence <= worker->done; sequence++)
        worker_send_report(world, index, sequence);
    if (worker->finished)
        worker_send_finished(world, index);
}

static void worker_live(World *world, int index)
{
    SimulatedWorker *worker = &world->workers[index];
    if (world->now_ms < worker->alive_from_ms || world->now_ms < worker->frozen_until_ms)
        return;
    if (happens(world, world->options->worker_kill)) {
        simulation_counts.workers_killed++;
        worker->life++;
        worker_reset(worker);
        worker->alive_from_ms = world->now_ms + 2000;
        return;
    }
    if (happens(world, world->options->worker_freeze)) { /* longer than its lease: it comes back and thinks it still has it */
        simulation_counts.workers_frozen++;
        worker->frozen_until_ms = world->now_ms + 30000;
        return;
    }
    if (happens(world, world->options->partition)) {
        simulation_counts.partitions++;
        worker->cut_off_until_ms = world->now_ms + 5000 + (int64_t)(chance(world) * 25000);
    }
    worker_train(world, worker);
    worker_speak(world, index);
}

/* ------------------------------------------------------------------------------------------------ the coordinator */

void simulated_journal_free(SimulatedJournal *journal)
{
    for (size_t i = 0; i < journal->records.count; i++)
        text_free(&journal->records.items[i]);
    array_free(&journal->records);
}

static SweepCore *replay(const World *world);

/* Whatever was acknowledged, by whichever coordinator, is in what the journal holds. */
static void check_acknowledged(const World *world)
{
    for (size_t i = 0; i < world->acknowledged.count; i++)
        if (world->acknowledged.items[i] &&
            (i >= world->core->trials.count || world->core->trials.items[i].evaluations.count < world->acknowledged.items[i]))
            fail_msg("seed %" PRIu64 ": evaluation %" PRIu64 " of trial %zu was acknowledged and is lost", world->options->seed,
                     world->acknowledged.items[i], i);
}

static void note_acknowledged(World *world, const MessageAck *ack)
{
    if (ack->acknowledged != MESSAGE_REPORT)
        return;
    while (world->acknowledged.count <= ack->id.trial)
        array_push(&world->acknowledged, 0);
    uint64_t *last = &world->acknowledged.items[ack->id.trial];
    /* A diverged evaluation is acknowledged with the end of its trial, and is none of its evaluations. */
    bool diverged = world->core->trials.items[ack->id.trial].work.state == WORK_ENDED;
    if (!diverged && ack->sequence > *last)
        *last = ack->sequence;
}

static void journal_record(World *world, const Record *record)
{
    Text bytes = {0};
    Diagnostic diagnostic = {0};
    if (record_encode(record, &bytes, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    array_push(&world->journal->records, bytes);
}

/* As the shell does: journal all, then send. torn: only so many records become durable, and nothing is sent. */
static void carry_out(World *world, CoreActions *actions, bool torn)
{
    size_t records = 0, durable = SIZE_MAX;
    for (size_t i = 0; i < actions->count; i++)
        records += actions->items[i].type == CORE_JOURNAL;
    if (torn)
        durable = (size_t)(chance(world) * (double)(records + 1));
    if (torn && records > 1 && durable > 0 && durable < records)
        simulation_counts.torn_batches++;
    for (size_t i = 0, done = 0; i < actions->count; i++)
        if (actions->items[i].type == CORE_JOURNAL && done++ < durable)
            journal_record(world, &actions->items[i].record);
    for (size_t i = 0; i < actions->count && !torn; i++) {
        CoreAction *action = &actions->items[i];
        if (action->type != CORE_SEND)
            continue;
        int worker;
        uint32_t life;
        memcpy(&worker, action->peer.id, 4);
        memcpy(&life, action->peer.id + 4, 4);
        if (action->message.type == MESSAGE_ACK)
            note_acknowledged(world, &action->message.ack);
        if (world->workers[worker].life == life) {
            Message message;
            message_copy(&message, &action->message);
            post(world, worker, false, &message);
        }
    }
    core_actions_free(actions);
}

static void step(World *world, CoreEvent *event, CoreActions *actions)
{
    Diagnostic diagnostic = {0};
    event->wall_ms = world->now_ms + world->wall_ahead_ms;
    if (sweep_core_step(world->core, event, world->now_ms * 1000000, actions, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
}

static SweepCore *replay(const World *world)
{
    SweepCore *core = sweep_core_create(world->sweep, "/store/tiny");
    Diagnostic diagnostic = {0};
    for (size_t i = 0; i < world->journal->records.count; i++) {
        Record record;
        const Text *bytes = &world->journal->records.items[i];
        if (record_decode(&record, bytes->bytes, bytes->size, &diagnostic) != STATUS_OK ||
            sweep_core_apply(core, &record, &diagnostic) != STATUS_OK)
            fail_msg("record %zu: %s", i, diagnostic.message);
        record_free(&record);
    }
    return core;
}

/* It opens its epoch, for which the disk must have space. */
static void coordinator_open(World *world)
{
    CoreActions actions = {0};
    CoreEvent event = {.type = CORE_START, .epoch = world->epoch};
    world->started = true;
    step(world, &event, &actions);
    carry_out(world, &actions, false);
}

static void coordinator_start(World *world)
{
    sweep_core_destroy(&world->core);
    world->core = replay(world);
    check_acknowledged(world);
    world->epoch = world->core->epoch + 1;
    world->started = false;
    if (world->now_ms >= world->disk_full_until_ms)
        coordinator_open(world);
}

/* Killed while it writes these actions, of which any part may be durable, or none. */
static void coordinator_die(World *world, CoreActions *actions)
{
    carry_out(world, actions, true);
    coordinator_start(world);
    world->coordinator_from_ms = world->now_ms + (int64_t)(chance(world) * 20000);
}

static bool writes(const CoreActions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        if (actions->items[i].type == CORE_JOURNAL)
            return true;
    return false;
}

/* As the shell does with a full disk: what was written of the batch is cut off again, nothing is sent, nothing is taken, until there is space,
 * somebody kills it, or it has waited for too long and ends. */
static void coordinator_wait(World *world)
{
    enum { KILLED_LESS_OFTEN = 20 }; /* or none would wait for long */
    bool killed = happens(world, world->options->coordinator_kill / KILLED_LESS_OFTEN);
    bool full = world->now_ms < world->disk_full_until_ms;
    if (killed && full) {
        simulation_counts.killed_waiting++;
        coordinator_die(world, &world->kept);
    } else if (!full) {
        carry_out(world, &world->kept, false);
    } else if (world->now_ms - world->waits_from_ms > FULL_DISK_LIMIT_MS) {
        simulation_counts.given_up++;
        core_actions_free(&world->kept);
        coordinator_start(world);
    }
}

static void fill_disk(World *world)
{
    simulation_counts.full_disks++;
    double length_ms = chance(world) < 0.05 ? 1.5 * FULL_DISK_LIMIT_MS : FULL_DISK_MS * chance(world);
    world->disk_full_until_ms = world->now_ms + (int64_t)length_ms;
}

/* All that arrived and the tick, one group commit. */
static void coordinator_round(World *world)
{
    if (happens(world, world->options->coordinator_pause)) {
        simulation_counts.pauses++;
        world->coordinator_from_ms = world->now_ms + 25000;
    }
    if (happens(world, world->options->clock_jump)) {
        simulation_counts.jumps++;
        world->wall_ahead_ms += (int64_t)((chance(world) - 0.5) * 4 * 3600 * 1000);
    }
    if (world->now_ms >= world->disk_full_until_ms && happens(world, world->options->disk_full))
        fill_disk(world);
    if (world->now_ms < world->coordinator_from_ms)
        return;
    if (world->kept.count) {
        coordinator_wait(world);
        return;
    }
    if (!world->started) { /* it was refused before */
        if (world->now_ms >= world->disk_full_until_ms)
            coordinator_open(world);
        return;
    }
    CoreActions actions = {0};
    for (size_t i = 0; i < world->packets.count;) {
        Packet *packet = &world->packets.items[i];
        if (!packet->to_coordinator || packet->deliver_ms > world->now_ms) {
            i++;
            continue;
        }
        CoreEvent event = {.type = CORE_MESSAGE, .peer = peer_of(packet->worker, packet->life), .message = &packet->message};
        step(world, &event, &actions);
        message_free(&packet->message);
        *packet = world->packets.items[--world->packets.count];
    }
    CoreEvent event = {.type = CORE_TICK};
    step(world, &event, &actions);
    /* Time alone would seldom meet the moment in which several records are being written. */
    bool writing = world->options->coordinator_kill > 0 && actions.count > 2 && chance(world) < 0.05;
    bool killed = writing || happens(world, world->options->coordinator_kill);
    if (killed) {
        simulation_counts.coordinators_killed++;
        coordinator_die(world, &actions);
    } else if (world->now_ms < world->disk_full_until_ms && writes(&actions)) {
        world->kept = actions;
        world->waits_from_ms = world->now_ms;
    } else {
        carry_out(world, &actions, false);
    }
}

static void deliver_to_workers(World *world)
{
    for (size_t i = 0; i < world->packets.count;) {
        Packet *packet = &world->packets.items[i];
        SimulatedWorker *worker = &world->workers[packet->worker];
        if (packet->to_coordinator || packet->deliver_ms > world->now_ms || world->now_ms < worker->frozen_until_ms) {
            i++;
            continue;
        }
        if (packet->life == worker->life && world->now_ms >= worker->alive_from_ms)
            worker_take(world, packet->worker, &packet->message);
        message_free(&packet->message);
        *packet = world->packets.items[--world->packets.count];
    }
}

/* ------------------------------------------------------------------------------------------------ the result */

static void check_journal(const World *world)
{
    size_t sweep_ends = 0, tests = 0;
    uint32_t *ends = memory_allocate(world->core->trials.count + 1, sizeof *ends);
    for (size_t i = 0; i < world->journal->records.count; i++) {
        Record record;
        assert_int_equal(
            record_decode(&record, world->journal->records.items[i].bytes, world->journal->records.items[i].size, NULL), STATUS_OK);
        if (record.type == RECORD_TRIAL_ENDED)
            ends[record.id.trial]++;
        sweep_ends += record.type == RECORD_SWEEP_ENDED;
        tests += record.type == RECORD_TEST_SCORED;
        record_free(&record);
    }
    for (size_t i = 0; i < world->core->trials.count; i++)
        assert_int_equal(ends[i], 1);
    assert_int_equal(sweep_ends, 1);
    /* A budget that a jump of the clock used up may leave no completed trial to test. */
    if (tests != (world->core->state == SWEEP_DONE))
        fail_msg("seed %" PRIu64 ": %zu tests, the sweep is %s", world->options->seed, tests, sweep_state_name(world->core));
    free(ends);
}

static char *result_text(const SweepCore *core)
{
    static const char *const keys[] = {"trial",     "configuration",   "seed",       "state", "parameters", "best_score",
                                       "best_step", "best_checkpoint", "evaluations"};
    Json *status = sweep_core_status(core, STATUS_FULL), *result = json_object(), *trials = json_array();
    for (size_t i = 0; i < core->trials.count; i++) {
        Json *trial = json_object();
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            json_set(trial, keys[k], json_copy(json_get(json_at(json_get(status, "trials"), i), keys[k])));
        json_append(trials, trial);
    }
    json_set(result, "trials", trials);
    json_set(result, "state", json_copy(json_get(status, "state")));
    json_set(result, "ranking", json_copy(json_get(status, "ranking")));
    json_set(result, "winner", json_copy(json_get(status, "winner")));
    char *text = json_text(result, JSON_CANONICAL);
    json_destroy(&result);
    json_destroy(&status);
    return text;
}

SimulationOptions simulation_storm(uint64_t seed, int workers)
{
    return (SimulationOptions){
        .seed = seed,
        .workers = workers,
        .drop = 0.15,
        .repeat = 0.15,
        .delay_limit_ms = 2500,
        .worker_kill = 0.02,
        .worker_freeze = 0.01,
        .worker_fault = 0.02,
        .coordinator_kill = 0.03,
        .coordinator_pause = 0.01,
        .partition = 0.01,
        .clock_jump = 0.01,
        .disk_full = 0.02,
    };
}

void simulation_check_cuts(const Sweep *sweep, size_t stride)
{
    SimulatedJournal calm = {0};
    char *expected = simulation_run(sweep, &(SimulationOptions){.seed = 1, .workers = 3}, &calm);
    for (size_t cut = 0; cut < calm.records.count; cut += stride) {
        SimulatedJournal journal = {0};
        for (size_t i = 0; i < cut; i++) {
            Text copy = {0};
            text_append(&copy, calm.records.items[i].bytes, calm.records.items[i].size);
            array_push(&journal.records, copy);
        }
        /* all workers are new: those before died too */
        char *result = simulation_run(sweep, &(SimulationOptions){.seed = cut, .workers = 3}, &journal);
        if (strcmp(result, expected) != 0)
            fail_msg("after record %zu:\n%s\ninstead of\n%s", cut, result, expected);
        free(result);
        simulated_journal_free(&journal);
    }
    free(expected);
    simulated_journal_free(&calm);
}

char *simulation_run(const Sweep *sweep, const SimulationOptions *options, SimulatedJournal *journal)
{
    World world = {.options = options, .sweep = sweep, .journal = journal};
    world.workers = memory_allocate((size_t)options->workers, sizeof *world.workers);
    world.now_ms = 1000;
    coordinator_start(&world);
    for (; world.core->state == SWEEP_RUNNING || world.kept.count; world.now_ms += STEP_MS) {
        if (world.now_ms > TIME_LIMIT_MS)
            fail_msg("seed %" PRIu64 ": the sweep does not end: %zu of %zu trials", options->seed,
                     world.core->state_counts[WORK_ENDED], world.core->trials.count);
        deliver_to_workers(&world);
        for (int i = 0; i < options->workers; i++)
            worker_live(&world, i);
        coordinator_round(&world);
    }
    /* What counts is what is durable. */
    sweep_core_destroy(&world.core);
    world.core = replay(&world);
    check_acknowledged(&world);
    char *text = NULL;
    if (world.core->state == SWEEP_RUNNING) { /* killed while its end was being written: once more */
        text = simulation_run(sweep, options, journal);
    } else {
        check_journal(&world);
        text = result_text(world.core);
    }
    for (size_t i = 0; i < world.packets.count; i++)
        message_free(&world.packets.items[i].message);
    array_free(&world.packets);
    array_free(&world.acknowledged);
    core_actions_free(&world.kept);
    free(world.workers);
    sweep_core_destroy(&world.core);
    return text;
}
