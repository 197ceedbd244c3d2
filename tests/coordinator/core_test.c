/* The core, one rule at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/options_patch.h"
#include "core/base/philox.h"
#include "tests/coordinator/core_harness.h"

static const char two_trials[] = "method: grid\nmax_retries: 1\nresources: {heartbeat: 1, lease: 10, hang: 100}\n"
                                 "parameters: {learning_rate: {values: [1.0e-5, 3e-5]}}\n";

static int set_up(void **state)
{
    static Harness harness;
    harness_open(&harness, two_trials);
    *state = &harness;
    return 0;
}

static int tear_down(void **state)
{
    harness_close(*state);
    return 0;
}

/* Worker a has trial 0. */
static AssignmentId assigned(Harness *harness)
{
    harness_hello(harness, 1, "host-1-a");
    assert_non_null(harness_sent(harness, 1, MESSAGE_WELCOME));
    const Message *message = harness_sent(harness, 1, MESSAGE_ASSIGN);
    assert_non_null(message);
    assert_int_equal(message->assign.id.trial, 0);
    assert_string_equal(message->assign.resume, "");
    return message->assign.id;
}

static void a_worker_gets_work_and_its_end_is_counted_once(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_report(harness, 1, id, 1, 0.5);
    assert_int_equal(harness_journaled(harness, RECORD_REPORTED), 1);
    assert_non_null(harness_sent(harness, 1, MESSAGE_ACK));
    harness_finished(harness, 1, id, FINISH_COMPLETED, false);
    assert_int_equal(harness_journaled(harness, RECORD_TRIAL_ENDED), 1);
    assert_int_equal(harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id.trial, 1);
    harness_finished(harness, 1, id, FINISH_COMPLETED, false); /* again: acknowledged, not counted */
    assert_non_null(harness_sent(harness, 1, MESSAGE_ACK));
    assert_int_equal(harness_journaled(harness, RECORD_TRIAL_ENDED), 0);
    assert_int_equal(harness->core->state_counts[WORK_ENDED], 1);
}

static void a_doubled_report_is_acknowledged_and_not_written(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_report(harness, 1, id, 1, 0.5);
    harness_report(harness, 1, id, 1, 0.5);
    assert_int_equal(harness_journaled(harness, RECORD_REPORTED), 0);
    assert_int_equal(harness_sent(harness, 1, MESSAGE_ACK)->ack.sequence, 1);
    harness_report(harness, 1, id, 3, 0.7); /* one is missing: it is waited for */
    assert_null(harness_sent(harness, 1, MESSAGE_ACK));
    assert_int_equal(harness->core->trials.items[0].evaluations.count, 1);
}

/* The shell journals all of a round before it sends any of it: one ACK tells of all reports of an assignment. */
static void reports_of_one_round_share_an_acknowledgement(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    CoreActions actions = {0};
    size_t acknowledged = 0, journaled = 0;
    for (uint64_t sequence = 1; sequence <= 5; sequence++) {
        Message message = {.type = MESSAGE_REPORT,
                           .report = {.id = id, .sequence = sequence, .step = (int64_t)sequence, .total_steps = 9, .score = 0.5}};
        CoreEvent event = {.type = CORE_MESSAGE, .peer = harness_peer(1), .message = &message, .wall_ms = harness->now_ms};
        assert_int_equal(sweep_core_step(harness->core, &event, harness->now_ms * 1000000, &actions, NULL), STATUS_OK);
    }
    for (size_t i = 0; i < actions.count; i++) {
        journaled += actions.items[i].type == CORE_JOURNAL;
        if (actions.items[i].type != CORE_SEND || actions.items[i].message.type != MESSAGE_ACK)
            continue;
        acknowledged++;
        assert_int_equal(actions.items[i].message.ack.sequence, 5);
    }
    assert_int_equal(journaled, 5);
    assert_int_equal(acknowledged, 1);
    core_actions_free(&actions);
    harness_report(harness, 1, id, 6, 0.5); /* what was sent is not said again */
    assert_int_equal(harness_sent(harness, 1, MESSAGE_ACK)->ack.sequence, 6);
}

static void a_repeated_evaluation_keeps_the_first_result(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_report(harness, 1, id, 1, 0.5);
    harness_report(harness, 1, id, 1, 0.9);
    assert_true(sweep_core_best(harness->core, 0)->score == 0.5);
    bool warned = false;
    for (size_t i = 0; i < harness->actions.count; i++)
        if (harness->actions.items[i].type == CORE_PUBLISH)
            warned = warned || strcmp(json_string_value(json_get(harness->actions.items[i].event, "event")), "warning") == 0;
    assert_true(warned);
}

static void the_best_is_strictly_better(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_report(harness, 1, id, 1, 0.5);
    harness_report(harness, 1, id, 2, 0.6);
    harness_report(harness, 1, id, 3, 0.6);
    harness_report(harness, 1, id, 4, 0.1);
    assert_int_equal(harness->core->trials.items[0].best, 1);
}

static void a_silent_worker_loses_its_lease_and_the_trial_goes_on_elsewhere(void **state)
{
    Harness *harness = *state;
    AssignmentId old = assigned(harness);
    harness_report(harness, 1, old, 1, 0.5);
    harness->now_ms += 5000;
    harness_hello(harness, 2, "host-2-b"); /* gets trial 1 */
    assert_int_equal(harness_sent(harness, 2, MESSAGE_ASSIGN)->assign.id.trial, 1);
    harness_hello(harness, 3, "host-3-c"); /* waits */
    assert_null(harness_sent(harness, 3, MESSAGE_ASSIGN));
    const Message *assign = NULL;
    bool ended = false;
    for (int i = 0; i < 100 && !assign; i++) {
        harness_wait_ms(harness, 100);
        ended = ended || harness_journaled(harness, RECORD_ATTEMPT_ENDED);
        assign = harness_sent(harness, 3, MESSAGE_ASSIGN);
        if (!assign) {
            harness_heartbeat(harness, 3, (AssignmentId){0}, 0);
            harness_heartbeat(harness, 2, (AssignmentId){1, 2}, (uint64_t)i);
        }
    }
    assert_true(ended);
    assert_non_null(assign);
    assert_int_equal(assign->assign.id.trial, 0);
    assert_string_equal(assign->assign.resume, "t0/1");
    assert_true(assign->assign.id.fence > old.fence);
    harness_report(harness, 1, old, 2, 0.9); /* the first one comes back */
    assert_int_equal(harness_sent(harness, 1, MESSAGE_RELEASE)->reason.code, STATUS_STALE_EPOCH);
    assert_int_equal(harness_journaled(harness, RECORD_REPORTED), 0);
}

static void signs_of_life_keep_the_lease(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    for (int i = 0; i < 60; i++) {
        harness_wait_ms(harness, 1000);
        harness_heartbeat(harness, 1, id, (uint64_t)i);
    }
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_ASSIGNED);
}

static void a_worker_without_progress_hangs(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    bool killed = false;
    for (int i = 0; i < 1100 && !killed; i++) {
        harness_wait_ms(harness, 100);
        for (size_t k = 0; k < harness->actions.count; k++)
            killed = killed || harness->actions.items[k].type == CORE_KILL_WORKER;
        if (!killed && i % 10 == 0)
            harness_heartbeat(harness, 1, id, 7);
    }
    assert_true(killed);
    assert_non_null(harness_sent(harness, 1, MESSAGE_RELEASE));
    harness_wait_ms(harness, 2000);
    harness_hello(harness, 1, "host-1-a"); /* its network still speaks: no work for it */
    harness_heartbeat(harness, 1, (AssignmentId){0}, 7);
    assert_null(harness_sent(harness, 1, MESSAGE_ASSIGN));
    harness_heartbeat(harness, 1, (AssignmentId){0}, 8); /* it got on */
    assert_non_null(harness_sent(harness, 1, MESSAGE_ASSIGN));
}

static void retries_are_counted_and_end_the_trial(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_finished(harness, 1, id, FINISH_INTERRUPTED, false); /* not counted */
    assert_int_equal(harness->core->trials.items[0].work.retries, 0);
    harness_hello(harness, 1, "host-1-a");
    id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id;
    assert_int_equal(id.trial, 0);
    harness_finished(harness, 1, id, FINISH_WORKER_FAULT, false);
    assert_int_equal(harness->core->trials.items[0].work.retries, 1);
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_PENDING);
    id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id; /* trial 1 meanwhile: trial 0 backs off */
    assert_int_equal(id.trial, 1);
    harness_report(harness, 1, id, 1, 0.5);
    harness_finished(harness, 1, id, FINISH_COMPLETED, false);
    harness_wait_ms(harness, 1000);
    id = (AssignmentId){0, harness->core->trials.items[0].work.fence};
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_ASSIGNED);
    harness_report(harness, 1, id, 1, 0.4); /* progress: counted from the beginning again */
    assert_int_equal(harness->core->trials.items[0].work.retries, 0);
    for (int i = 0; i < 2; i++) {
        id.fence = harness->core->trials.items[0].work.fence;
        harness_finished(harness, 1, id, FINISH_WORKER_FAULT, false);
        harness_wait_ms(harness, 2000);
    }
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_ENDED);
    assert_int_equal(harness->core->trials.items[0].outcome, TRIAL_FAILED);
    assert_non_null(strstr(harness->core->trials.items[0].work.reason, "because"));
}

static void a_diverged_trial_is_not_tried_again(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_report(harness, 1, id, 1, NAN);
    assert_non_null(harness_sent(harness, 1, MESSAGE_ACK));
    assert_non_null(harness_sent(harness, 1, MESSAGE_RELEASE));
    assert_int_equal(harness->core->trials.items[0].outcome, TRIAL_DIVERGED);
    id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id;
    assert_int_equal(id.trial, 1);
    harness_finished(harness, 1, id, FINISH_FAILED, true);
    assert_int_equal(harness->core->trials.items[1].outcome, TRIAL_DIVERGED);
    assert_int_equal(harness->core->state, SWEEP_FAILED);
    assert_non_null(strstr(harness->core->reason, "diverged"));
    assert_non_null(harness_sent(harness, 1, MESSAGE_SHUTDOWN));
}

static void finish_both(Harness *harness)
{
    AssignmentId id = assigned(harness);
    for (int i = 0; i < 2; i++) {
        harness_report(harness, 1, id, 1, 0.5 + 0.1 * i);
        harness_finished(harness, 1, id, FINISH_COMPLETED, false);
        id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id;
    }
}

static void the_winner_alone_is_tested_once(void **state)
{
    Harness *harness = *state;
    finish_both(harness);
    const Message *assign = harness_sent(harness, 1, MESSAGE_ASSIGN);
    assert_int_equal(assign->assign.kind, ASSIGNMENT_TEST);
    assert_int_equal(assign->assign.id.trial, 1);
    assert_string_equal(assign->assign.resume, "t1/1");
    Message message = {.type = MESSAGE_FINISHED,
                       .finished = {.id = assign->assign.id, .outcome = FINISH_COMPLETED, .dataset_count = 1}};
    message.finished.datasets = memory_allocate(1, sizeof *message.finished.datasets);
    strcpy(message.finished.datasets[0].name, "test");
    message.finished.datasets[0].f1 = 0.25;
    harness_tell(harness, 1, message);
    assert_int_equal(harness_journaled(harness, RECORD_TEST_SCORED), 1);
    assert_int_equal(harness_journaled(harness, RECORD_SWEEP_ENDED), 1);
    assert_non_null(harness_sent(harness, 1, MESSAGE_SHUTDOWN));
    Json *status = sweep_core_status(harness->core, STATUS_FULL);
    assert_string_equal(json_string_value(json_get(status, "state")), "done");
    const Json *winner = json_get(status, "winner");
    assert_int_equal(json_integer_value(json_get(winner, "trial"), -1), 1);
    assert_true(json_number_value(json_get(json_get(winner, "test"), "f1"), 0) == 0.25);
    json_destroy(&status);
    harness_hello(harness, 2, "host-2-b"); /* too late */
    assert_non_null(harness_sent(harness, 2, MESSAGE_SHUTDOWN));
}

static void a_worker_reattaches_to_a_new_coordinator(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_report(harness, 1, id, 1, 0.5);
    harness_start(harness);
    harness_wait_ms(harness, 5000);
    harness_hello_with(harness, 7, "host-1-a", id); /* over a new connection */
    assert_non_null(harness_sent(harness, 7, MESSAGE_WELCOME));
    assert_null(harness_sent(harness, 7, MESSAGE_ASSIGN));
    assert_null(harness_sent(harness, 7, MESSAGE_RELEASE));
    harness_report(harness, 7, id, 2, 0.6);
    assert_non_null(harness_sent(harness, 7, MESSAGE_ACK));
    assert_int_equal(harness->core->trials.items[0].work.attempts, 1);
    harness_hello_with(harness, 8, "host-9-z", (AssignmentId){0, 77}); /* this one has nothing of ours */
    assert_non_null(harness_sent(harness, 8, MESSAGE_RELEASE));
}

static void a_worker_that_never_comes_back_loses_its_lease_after_a_restart(void **state)
{
    Harness *harness = *state;
    (void)assigned(harness);
    harness_start(harness);
    harness_wait_ms(harness, 9000);
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_ASSIGNED);
    harness_wait_ms(harness, 2000);
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_PENDING);
}

static void a_lost_worker_gives_its_trial_back_at_once(void **state)
{
    Harness *harness = *state;
    (void)assigned(harness);
    harness_step(harness,
                 (CoreEvent){.type = CORE_WORKER_LOST, .worker = "host-1-a", .reason = "it was killed", .counts_as_retry = false});
    assert_int_equal(harness_journaled(harness, RECORD_ATTEMPT_ENDED), 1);
    assert_int_equal(harness->core->trials.items[0].work.retries, 0);
    harness_hello(harness, 2, "host-2-b");
    assert_int_equal(harness_sent(harness, 2, MESSAGE_ASSIGN)->assign.id.trial, 0);
}

static void a_pause_of_the_coordinator_costs_no_lease(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_wait_ms(harness, 500);
    harness->now_ms += 60000; /* it was stopped for a minute */
    harness_step(harness, (CoreEvent){.type = CORE_TICK});
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_ASSIGNED);
    harness_heartbeat(harness, 1, id, 5);
    harness_wait_ms(harness, 5000);
    assert_int_equal(harness->core->trials.items[0].work.state, WORK_ASSIGNED);
}

static void an_assignment_that_was_lost_on_the_way_is_sent_again(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_heartbeat(harness, 1, (AssignmentId){0}, 0);
    assert_true(harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id.fence == id.fence);
    assert_int_equal(harness_journaled(harness, RECORD_ASSIGNED), 0);
    harness_hello(harness, 1, "host-1-a");
    assert_true(harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id.fence == id.fence);
}

static void trials_and_the_sweep_are_paused_resumed_and_cancelled(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    harness_control(harness, CONTROL_PAUSE, false, 0);
    assert_non_null(harness_sent(harness, 99, MESSAGE_ACK));
    assert_non_null(harness_sent(harness, 1, MESSAGE_RELEASE));
    assert_int_equal(harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id.trial, 1);
    harness_control(harness, CONTROL_PAUSE, true, 0);
    assert_non_null(harness_sent(harness, 1, MESSAGE_RELEASE));
    assert_string_equal(sweep_state_name(harness->core), "paused");
    harness_start(harness); /* it is durable */
    harness_hello(harness, 1, "host-1-a");
    assert_null(harness_sent(harness, 1, MESSAGE_ASSIGN));
    harness_control(harness, CONTROL_RESUME, true, 0);
    id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id;
    assert_int_equal(id.trial, 0);
    harness_control(harness, CONTROL_CANCEL, false, 0);
    assert_int_equal(harness->core->trials.items[0].outcome, TRIAL_CANCELLED);
    harness_control(harness, CONTROL_CANCEL, false, 0);
    assert_non_null(harness_sent(harness, 99, MESSAGE_REJECT));
    harness_control(harness, CONTROL_CANCEL, true, 0);
    assert_int_equal(harness->core->state, SWEEP_CANCELLED);
}

static void a_raised_run_cap_goes_on_after_the_end(void **state)
{
    Harness *harness = *state;
    finish_both(harness);
    Message message = {.type = MESSAGE_FINISHED,
                       .finished = {.id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id, .outcome = FINISH_COMPLETED}};
    message.finished.dataset_count = 1;
    message.finished.datasets = memory_allocate(1, sizeof *message.finished.datasets);
    strcpy(message.finished.datasets[0].name, "test");
    harness_tell(harness, 1, message);
    assert_int_equal(harness->core->state, SWEEP_DONE);
    harness->sweep->run_cap = 0;
    array_push(&harness->sweep->parameters[0].values, memory_copy_string("5e-05"));
    harness_start(harness);
    assert_int_equal(harness->core->state, SWEEP_RUNNING);
    harness_hello(harness, 1, "host-1-a");
    AssignmentId id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id;
    assert_int_equal(id.trial, 2);
    harness_report(harness, 1, id, 1, 0.9); /* a new winner: it has a test of its own */
    harness_finished(harness, 1, id, FINISH_COMPLETED, false);
    assert_int_equal(harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.kind, ASSIGNMENT_TEST);
    assert_int_equal(harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id.trial, 2);
}

static void a_worker_of_another_sweep_is_turned_away(void **state)
{
    Harness *harness = *state;
    Message message = {.type = MESSAGE_HELLO};
    strcpy(message.hello.worker, "host-1-a");
    strcpy(message.hello.host, "host");
    strcpy(message.hello.sweep, "another");
    message.hello.pid = message.hello.ranks = 1;
    harness_tell(harness, 1, message);
    assert_int_equal(harness_sent(harness, 1, MESSAGE_REJECT)->reason.code, STATUS_MISMATCH);
}

static void a_journal_that_does_not_add_up_is_corrupt(void **state)
{
    Harness *harness = *state;
    AssignmentId id = assigned(harness);
    Diagnostic diagnostic = {0};
    Record records[] = {
        {.type = RECORD_SWEEP_OPENED},
        {.type = RECORD_REPORTED, .id = {7, 1}, .sequence = 1},
        {.type = RECORD_REPORTED, .id = id, .sequence = 2},
        {.type = RECORD_TRIAL_CREATED, .id = {5, 0}, .configuration = 5},
        {.type = RECORD_ASSIGNED, .id = {0, 9}, .kind = ASSIGNMENT_TRAIN},
        {.type = RECORD_ATTEMPT_ENDED, .id = {0, 9}},
        {.type = RECORD_TEST_SCORED, .id = id},
        {.type = (RecordType)77},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        assert_int_equal(sweep_core_apply(harness->core, &records[i], &diagnostic), STATUS_CORRUPT);
        assert_true(diagnostic.message[0]);
    }
    SweepCore *empty = sweep_core_create(NULL, NULL);
    assert_int_equal(sweep_core_apply(empty, &records[1], &diagnostic), STATUS_CORRUPT);
    sweep_core_destroy(&empty);
}

static void configurations_are_ranked_by_the_mean_of_their_seeds(void **state)
{
    Harness *harness = *state;
    sweep_core_destroy(&harness->core);
    sweep_destroy(&harness->sweep);
    for (size_t i = 0; i < harness->journal.count; i++)
        text_free(&harness->journal.items[i]);
    harness->journal.count = 0;
    harness->sweep = fixture_sweep("method: grid\nseeds: [1, 2]\nparameters: {learning_rate: {values: [1e-5, 2e-5, 3e-5]}}\n");
    harness_start(harness);
    static const double scores[] = {0.9, 0.1, 0.6, 0.5, 0.95, -1}; /* -1: fails */
    harness_hello(harness, 1, "host-1-a");
    for (uint32_t i = 0; i < 6; i++) {
        AssignmentId id = harness_sent(harness, 1, MESSAGE_ASSIGN)->assign.id;
        assert_int_equal(id.trial, i);
        if (scores[i] >= 0)
            harness_report(harness, 1, id, 1, scores[i]);
        harness_finished(harness, 1, id, scores[i] >= 0 ? FINISH_COMPLETED : FINISH_FAILED, false);
    }
    Ranking ranking = {0};
    sweep_core_ranking(harness->core, &ranking);
    assert_int_equal(ranking.count, 3);
    assert_int_equal(ranking.items[0].configuration, 1); /* 0.55 */
    assert_int_equal(ranking.items[1].configuration, 0); /* 0.5 */
    assert_int_equal(ranking.items[2].configuration, 2); /* a seed failed */
    assert_true(fabs(ranking.items[0].mean - 0.55) < 1e-12 && fabs(ranking.items[0].spread - sqrt(0.005)) < 1e-12);
    uint32_t winner;
    double score;
    assert_true(sweep_core_winner(harness->core, &winner, &score));
    assert_int_equal(winner, 2);
    assert_true(score == 0.6);
    array_free(&ranking);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void options_come_back_from_their_patch(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"a\":1,\"b\":[1,2],\"c\":\"x\"}",
                                        "{\"a\":2,\"b\":[1,2],\"c\":\"y, z\"}",
                                        "{\"a\":1,\"b\":[1,3],\"c\":\"x\"}",
                                        "{\"a\":1,\"b\":[2],\"c\":\"x\"}",
                                        "{}",
                                        "",
                                        ",,,",
                                        "{\"a\":1,\"b\":[1,2],\"c\":\"1:x\"}"};
    Text patch = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            options_patch_make(texts[i], texts[j], &patch);
            char *text = options_patch_apply(texts[i], patch.bytes);
            assert_string_equal(text, texts[j]);
            assert_true(i != j || patch.size == 0);
            free(text);
        }
    text_free(&patch);
}

/* What a worker has now, waited for as long as a back-off may last; fence 0: nothing. */
static AssignmentId wait_for_work(Harness *harness, const char *name)
{
    for (int tries = 0; tries < 100; tries++) {
        for (size_t i = 0; i < harness->core->workers.count; i++) {
            const WorkerSlot *slot = &harness->core->workers.items[i];
            if (strcmp(slot->name, name) == 0 && slot->busy)
                return (AssignmentId){slot->trial, harness->core->trials.items[slot->trial].work.fence};
        }
        harness_wait_ms(harness, 100);
    }
    return (AssignmentId){0};
}

/* Fails whatever it is given, at most so many times; how often it was given something. */
static int fail_in_a_row(Harness *harness, uint8_t from, const char *name, int attempts)
{
    int failed = 0;
    for (; failed < attempts; failed++) {
        AssignmentId id = wait_for_work(harness, name);
        if (!id.fence)
            break;
        harness_finished(harness, from, id, FINISH_WORKER_FAULT, false);
    }
    return failed;
}

static const char many_trials[] =
    "method: random\nrun_cap: 40\nmax_retries: 1\nresources: {heartbeat: 1, lease: 1000, hang: 1000}\n"
    "parameters: {learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}}\n";

static void a_machine_that_fails_three_times_in_a_row_gets_no_more_work_while_others_are_there(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, many_trials);
    harness_hello(&harness, 1, "good-100-a");
    AssignmentId kept = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id; /* keeps it busy */
    harness_hello(&harness, 2, "bad-200-b");
    assert_int_equal(fail_in_a_row(&harness, 2, "bad-200-b", 10), 3);
    assert_non_null(sweep_core_quarantine(harness.core, "bad-200-b"));
    assert_non_null(strstr(sweep_core_quarantine(harness.core, "bad-201-c"), "3 trials in a row failed on bad"));
    assert_null(sweep_core_quarantine(harness.core, "good-100-a"));
    /* Another worker of the same machine gets none either; the other machine goes on. */
    harness_hello(&harness, 3, "bad-201-c");
    assert_int_equal(wait_for_work(&harness, "bad-201-c").fence, 0);
    harness_report(&harness, 1, kept, 1, 0.5);
    harness_finished(&harness, 1, kept, FINISH_COMPLETED, false);
    assert_true(wait_for_work(&harness, "good-100-a").fence > kept.fence);
    /* Where no other machine is left, a bad one is better than none. */
    harness_step(&harness, (CoreEvent){.type = CORE_WORKER_LOST, .worker = "good-100-a", .reason = "gone"});
    assert_true(wait_for_work(&harness, "bad-200-b").fence || wait_for_work(&harness, "bad-201-c").fence);
    /* The next coordinator begins anew. */
    harness_start(&harness);
    assert_null(sweep_core_quarantine(harness.core, "bad-200-b"));
    harness_close(&harness);
}

static void failures_that_are_the_trials_or_not_in_a_row_do_not_count_against_a_machine(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, many_trials);
    harness_hello(&harness, 1, "good-100-a");
    harness_hello(&harness, 2, "fair-200-b");
    for (int round = 0; round < 4; round++) {
        /* Two failures, then an evaluation: the count begins again. */
        assert_int_equal(fail_in_a_row(&harness, 2, "fair-200-b", 2), 2);
        AssignmentId id = wait_for_work(&harness, "fair-200-b");
        assert_true(id.fence > 0);
        harness_report(&harness, 2, id, harness.core->trials.items[id.trial].evaluations.count + 1, 0.5);
        harness_finished(&harness, 2, id, FINISH_COMPLETED, false);
        assert_null(sweep_core_quarantine(harness.core, "fair-200-b"));
    }
    harness_close(&harness);

    /* A trial that has failed on one machine fails on the other: that is not held against it. */
    harness_open(&harness, many_trials);
    harness_hello(&harness, 1, "good-100-a");
    AssignmentId failing = wait_for_work(&harness, "good-100-a");
    harness_finished(&harness, 1, failing, FINISH_WORKER_FAULT, false);
    wait_for_work(&harness, "good-100-a"); /* another trial, while the first waits */
    harness_wait_ms(&harness, 2000);
    harness_hello(&harness, 2, "fair-200-b");
    AssignmentId again = wait_for_work(&harness, "fair-200-b");
    assert_int_equal(again.trial, failing.trial);
    harness_finished(&harness, 2, again, FINISH_WORKER_FAULT, false);
    assert_int_equal(harness.core->hosts.count, 1);
    assert_string_equal(harness.core->hosts.items[0].host, "good");
    assert_int_equal(harness.core->hosts.items[0].failures, 1);
    harness_close(&harness);
}

/* The lowest number first, of those whose time has come; what is paused or has ended meanwhile stays out. */
static void trials_that_back_off_go_on_by_their_numbers(void **state)
{
    (void)state;
    enum { WORKERS = 5 };
    Harness harness;
    AssignmentId ids[WORKERS];
    harness_open(&harness, many_trials);
    for (uint8_t w = 0; w < WORKERS; w++) {
        char name[32];
        snprintf(name, sizeof name, "host%d-%d-a", w, w + 1);
        harness_hello(&harness, w + 1, name);
        ids[w] = harness_sent(&harness, w + 1, MESSAGE_ASSIGN)->assign.id;
        assert_int_equal(ids[w].trial, w);
    }
    for (uint8_t w = WORKERS; w-- > 0;) { /* the last one first; each gets a new trial meanwhile */
        harness_finished(&harness, w + 1, ids[w], FINISH_WORKER_FAULT, false);
        ids[w] = harness_sent(&harness, w + 1, MESSAGE_ASSIGN)->assign.id;
        assert_int_equal(ids[w].trial, WORKERS + WORKERS - 1 - w);
        harness_wait_ms(&harness, 100);
    }
    harness_control(&harness, CONTROL_PAUSE, false, 1);
    harness_control(&harness, CONTROL_CANCEL, false, 2);
    harness_wait_ms(&harness, 2000);
    static const uint32_t expected[] = {0, 3, 4, 10};
    for (size_t i = 0; i < 4; i++) {
        harness_report(&harness, 1, ids[0], 1, 0.5);
        harness_finished(&harness, 1, ids[0], FINISH_COMPLETED, false);
        ids[0] = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
        assert_int_equal(ids[0].trial, expected[i]);
    }
    harness_control(&harness, CONTROL_RESUME, false, 1);
    harness_report(&harness, 1, ids[0], 1, 0.5);
    harness_finished(&harness, 1, ids[0], FINISH_COMPLETED, false);
    assert_int_equal(harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id.trial, 1);
    harness_close(&harness);
}

/* One worker that keeps failing, beside a plain list: of the trials whose time has come it gets the lowest, else a new one. */
static void a_back_off_ends_at_its_time_whatever_the_others_do(void **state)
{
    (void)state;
    enum { TRIALS = 400, RETRIES = 6 };
    Harness harness;
    int64_t until_ms[TRIALS + 1] = {0};
    int failures[TRIALS + 1] = {0}; /* RETRIES + 1: it was given up */
    uint32_t begun = 1, expected = 0, again = 0;
    harness_open(&harness, "method: random\nrun_cap: 400\nmax_retries: 6\nresources: {heartbeat: 1, lease: 10000, hang: 10000}\n"
                           "parameters: {learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}}\n");
    harness_hello(&harness, 1, "alone-1-a");
    while (begun < TRIALS) {
        AssignmentId id = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
        assert_int_equal(id.trial, expected);
        harness_wait_ms(&harness, philox4x32_10(philox_key(1, RANDOM_BOOTSTRAP, 0), begun, again, 0, 0).word[0] % 300);
        until_ms[id.trial] = harness.now_ms + (INT64_C(500) << failures[id.trial]++);
        for (expected = 0; expected < begun; expected++)
            if (failures[expected] <= RETRIES && until_ms[expected] <= harness.now_ms)
                break;
        again += expected < begun;
        begun += expected == begun;
        harness_finished(&harness, 1, id, FINISH_WORKER_FAULT, false);
    }
    assert_true(again > TRIALS / 2);
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_worker_gets_work_and_its_end_is_counted_once),
        TEST(a_doubled_report_is_acknowledged_and_not_written),
        TEST(reports_of_one_round_share_an_acknowledgement),
        TEST(a_repeated_evaluation_keeps_the_first_result),
        TEST(the_best_is_strictly_better),
        TEST(a_silent_worker_loses_its_lease_and_the_trial_goes_on_elsewhere),
        TEST(signs_of_life_keep_the_lease),
        TEST(a_worker_without_progress_hangs),
        TEST(retries_are_counted_and_end_the_trial),
        TEST(a_diverged_trial_is_not_tried_again),
        TEST(the_winner_alone_is_tested_once),
        TEST(a_worker_reattaches_to_a_new_coordinator),
        TEST(a_worker_that_never_comes_back_loses_its_lease_after_a_restart),
        TEST(a_lost_worker_gives_its_trial_back_at_once),
        TEST(a_pause_of_the_coordinator_costs_no_lease),
        TEST(an_assignment_that_was_lost_on_the_way_is_sent_again),
        TEST(trials_and_the_sweep_are_paused_resumed_and_cancelled),
        TEST(a_raised_run_cap_goes_on_after_the_end),
        TEST(a_worker_of_another_sweep_is_turned_away),
        TEST(a_journal_that_does_not_add_up_is_corrupt),
        TEST(configurations_are_ranked_by_the_mean_of_their_seeds),
        cmocka_unit_test(trials_that_back_off_go_on_by_their_numbers),
        cmocka_unit_test(a_back_off_ends_at_its_time_whatever_the_others_do),
        cmocka_unit_test(options_come_back_from_their_patch),
        cmocka_unit_test(a_machine_that_fails_three_times_in_a_row_gets_no_more_work_while_others_are_there),
        cmocka_unit_test(failures_that_are_the_trials_or_not_in_a_row_do_not_count_against_a_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
