/* A small training ground for tests: shards of the first sentences of examples/, a tiny BERT with random weights, job files, and the worker as
 * a program. */
#ifndef NERSWEEP_TESTS_WORKER_FIXTURE_H
#define NERSWEEP_TESTS_WORKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/io/json.h"
#include "shard/shard_store.h"
#include "worker/checkpoint.h"
#include "worker/workplace.h"

/* Fails the test with the diagnostic's message when status is not OK. */
void must(Status status, const Diagnostic *diagnostic);

typedef struct Ground {
    char *folder; /* temporary, removed by ground_teardown */
    char *model;  /* FOLDER/model: config.json, vocab.txt */
    char *shards; /* FOLDER/shards: train, dev:dev, dev:other, test */
} Ground;

/* The model's folder, made anew: two layers of random weights. */
void ground_write_model(const Ground *ground, int32_t hidden_size, int32_t intermediate_size);

/* cmocka: *state becomes a Ground. */
int ground_setup(void **state);
int ground_teardown(void **state);
/* cmocka, in a program that mpirun started with several ranks: *state becomes the Communicator of all of them. */
int world_setup(void **state);
int world_teardown(void **state);
/* Windows of max_seq_length pieces, documents of several sentences when it is below 64; for a second set of shards. The folder is freed by
 * the caller. */
char *ground_make_shards(const Ground *ground, const char *name, int64_t max_seq_length);

/* The first few sentences for training, and sentences with pseudo-labels of this weight (CoNLL with a column of weights, "" for none). The casing
 * is given. The folder is freed by the caller. */
char *ground_make_weighted_shards(const Ground *ground, const char *name, const char *pseudo, double weight);

/* Options for a few quick steps; overrides: "name=value" separated by spaces. */
TrainingOptions ground_options(const char *overrides);

/* A workplace with the reference backend and the ground's data; store is FOLDER/store_name. */
void ground_workplace(const Ground *ground, Communicator *communicator, const char *store_name, Workplace *workplace);
/* The same, and the model that a trial with these options starts with; to be destroyed before the workplace is closed. */
Model *ground_start_model(const Ground *ground, Communicator *communicator, const char *store_name, const TrainingOptions *options,
                          Workplace *workplace);

/* Writes FOLDER/NAME.json for a store of its own, FOLDER/NAME; the path is freed by the caller. */
char *ground_write_job(const Ground *ground, const char *name, const char *overrides, bool evaluate, bool test);

/* Sets a key of FOLDER/NAME.json. The value is taken over. */
void job_set(const Ground *ground, const char *name, const char *key, Json *value);

/* A program with extra environment ("NAME=VALUE", NULL-terminated, may be NULL), its stderr into FOLDER/stderr. Returns its exit code, or
 * 128 + signal. */
int program_run(const Ground *ground, const char *const *arguments, const char *const *environment);
/* The same without waiting; program_wait gives the exit code. */
int program_start(const Ground *ground, const char *const *arguments, const char *const *environment);
int program_wait(int pid);
/* What the last program wrote to stderr; freed by the caller. */
char *program_errors(const Ground *ground);
/* Path of nersweep-worker; static per build. */
const char *worker_program(void);

/* nersweep-worker --job FOLDER/NAME.json --result FOLDER/NAME.result.json. */
int job_program_run(const Ground *ground, const char *name, const char *const *environment);
/* The result file; json_destroy it. */
Json *job_result(const Ground *ground, const char *name);

/* Name of the result's checkpoint `which` (best, last); lives as long as the result. */
const char *job_checkpoint(const Json *result, const char *which);
/* Both jobs have the same evaluations, and the same bytes in their best and last checkpoints. */
void job_assert_same_result(const Ground *ground, const char *name, const char *expected_name);

/* "NAME sha256" lines of a manifest's files, in a text that the caller frees: equal texts are equal bytes. */
char *manifest_text(const char *store_folder, const char *checkpoint);
/* Names of all manifests, one a line; freed by the caller. */
char *manifest_names(const char *store_folder);

#endif
