/* One well-filled message of each type, for the tests of proto. */
#ifndef NERSWEEP_TESTS_PROTO_FIXTURES_H
#define NERSWEEP_TESTS_PROTO_FIXTURES_H

#include <stdio.h>
#include <string.h>

#include "proto/records.h"

static inline DatasetScore *fixture_datasets(size_t count)
{
    DatasetScore *datasets = memory_allocate(count, sizeof *datasets);
    for (size_t i = 0; i < count; i++) {
        snprintf(datasets[i].name, sizeof datasets[i].name, "dev%zu", i);
        datasets[i].f1 = 0.1 * (double)(i + 1);
        datasets[i].precision = 1.0 / 3.0;
        datasets[i].recall = 1.0;
        datasets[i].loss = 0.25;
    }
    return datasets;
}

static inline Message fixture_message(MessageType type)
{
    Message message = {.type = type, .epoch = 7};
    AssignmentId id = {41, UINT64_C(0xFEDCBA9876543210)};
    switch (type) {
    case MESSAGE_HELLO:
        strcpy(message.hello.worker, "node1-123-ab12");
        strcpy(message.hello.host, "node1");
        message.hello.pid = 123;
        message.hello.ranks = 2;
        message.hello.threads_per_rank = 4;
        strcpy(message.hello.backend, "cpu (OpenBLAS)");
        strcpy(message.hello.software, "0.1.0");
        strcpy(message.hello.sweep, "0123456789abcdef");
        message.hello.assignment = id;
        break;
    case MESSAGE_WELCOME:
        strcpy(message.welcome.sweep, "0123456789abcdef");
        message.welcome.sweep_folder = memory_copy_string("/store/sweep");
        message.welcome.data_json = memory_copy_string("{\"model\":\"m\"}");
        message.welcome.heartbeat_ms = 1000;
        message.welcome.lease_ms = 30000;
        break;
    case MESSAGE_ASSIGN:
        message.assign.id = id;
        message.assign.kind = ASSIGNMENT_TEST;
        message.assign.options_json = memory_copy_string("{}");
        message.assign.metric_json = memory_copy_string("{\"name\":\"f1\"}");
        message.assign.resume = memory_copy_string("trial-0041/step-7");
        break;
    case MESSAGE_HEARTBEAT:
        message.heartbeat.id = id;
        message.heartbeat.progress = 99;
        message.heartbeat.step = 12;
        message.heartbeat.total_steps = 100;
        message.heartbeat.loss = 0.125;
        message.heartbeat.pieces_per_s = 1e4;
        break;
    case MESSAGE_REPORT:
        message.report.id = id;
        message.report.sequence = 3;
        message.report.step = 30;
        message.report.total_steps = 90;
        message.report.epoch = 1.5;
        message.report.train_loss = 0.7;
        message.report.learning_rate = 3e-5;
        message.report.datasets = fixture_datasets(3);
        message.report.dataset_count = 3;
        message.report.score = 0.30000000000000004;
        message.report.checkpoint = memory_copy_string("trial-0041/step-30");
        message.report.stopped_early = true;
        break;
    case MESSAGE_FINISHED:
        message.finished.id = id;
        message.finished.outcome = FINISH_FAILED;
        message.finished.reason = memory_copy_string("loss is NaN");
        message.finished.diverged = true;
        message.finished.datasets = fixture_datasets(1);
        message.finished.dataset_count = 1;
        message.finished.statistics_json = memory_copy_string("{\"wall_s\":1}");
        break;
    case MESSAGE_ACK:
        message.ack.id = id;
        message.ack.acknowledged = MESSAGE_REPORT;
        message.ack.sequence = 3;
        break;
    case MESSAGE_REJECT:
    case MESSAGE_RELEASE:
    case MESSAGE_SHUTDOWN:
        message.reason.id = id;
        message.reason.code = STATUS_STALE_EPOCH;
        message.reason.reason = memory_copy_string("another worker has it");
        break;
    case MESSAGE_STATUS_SNAPSHOT:
    case MESSAGE_STATUS_EVENT:
        message.status.sequence = 17;
        message.status.json = memory_copy_string("{\"state\":\"running\"}");
        break;
    case MESSAGE_CONTROL:
        message.control.action = CONTROL_PAUSE;
        message.control.all_trials = true;
        message.control.trial = 5;
        break;
    default:
        break;
    }
    return message;
}

static inline Record fixture_record(RecordType type)
{
    Record record = {
        .type = type,
        .epoch = 3,
        .wall_ms = 1700000000123,
        .id = {41, 977},
        .configuration = 20,
        .seed_index = 1,
        .json = memory_copy_string("{\"a\":1}"),
        .options_json = memory_copy_string("{\"b\":2}"),
        .identity = memory_copy_string("0123"),
        .worker = memory_copy_string("node1-123-ab12"),
        .kind = ASSIGNMENT_TRAIN,
        .checkpoint = memory_copy_string("trial-0041/step-30"),
        .sequence = 3,
        .step = 30,
        .total_steps = 90,
        .training_epoch = 1.5,
        .train_loss = 0.7,
        .learning_rate = 3e-5,
        .score = 0.30000000000000004,
        .datasets = fixture_datasets(2),
        .dataset_count = 2,
        .attempt_outcome = FINISH_WORKER_FAULT,
        .counts_as_retry = true,
        .outcome = TRIAL_DIVERGED,
        .control = CONTROL_RESUME,
        .all_trials = true,
        .reason = memory_copy_string("why"),
    };
    return record;
}

#endif
