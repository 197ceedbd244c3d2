/* The training loop in this process, one rank without MPI. */
#include "tests/worker/trial_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/io/file.h"
#include "model/folder.h"

static void the_same_trial_twice_gives_the_same_bytes(void **state)
{
    Run a, b;
    run_trial(*state, &(Wish){.store = "a", .options = ""}, &a);
    run_trial(*state, &(Wish){.store = "b", .options = ""}, &b);
    must(a.status, &a.diagnostic);
    must(b.status, &b.diagnostic);
    const TrialState *states[] = {&a.outcome.training.state, &b.outcome.training.state};
    assert_int_equal(states[0]->step, 10);
    assert_int_equal(states[0]->evaluations.count, 4); /* steps 3, 6, 9 and the last */
    assert_int_equal(states[0]->evaluations.items[3].step, 10);
    assert_int_equal(states[0]->evaluations.items[0].dataset_count, 2);
    for (size_t i = 0; i < 4; i++)
        assert_same_file(a.store, states[0]->evaluations.items[i].checkpoint, b.store, states[1]->evaluations.items[i].checkpoint);
    assert_memory_equal(a.losses.items, b.losses.items, a.losses.count * sizeof(float));
    assert_true(a.losses.items[9] < a.losses.items[0]);
    run_free(&a);
    run_free(&b);
}

static void another_seed_gives_other_weights(void **state)
{
    Run a, b;
    run_trial(*state, &(Wish){.store = "seed42", .options = "max_steps=2"}, &a);
    run_trial(*state, &(Wish){.store = "seed43", .options = "max_steps=2 seed=43"}, &b);
    char *x = manifest_text(a.store, trial_state_last(&a.outcome.training.state)->checkpoint);
    char *y = manifest_text(b.store, trial_state_last(&b.outcome.training.state)->checkpoint);
    assert_string_not_equal(x, y);
    free(x);
    free(y);
    run_free(&a);
    run_free(&b);
}

/* The same model file, whatever attempt wrote it. */
static void a_trial_resumed_from_any_evaluation_ends_with_the_same_bytes(void **state)
{
    static const char options[] = "gradient_accumulation_steps=2 per_device_train_batch_size=4 freeze_schedule=embeddings+1@0.6 "
                                  "warmup_ratio=0.2 weight_decay=0.01 oversample_factor=1.5 num_train_epochs=1.5";
    const Ground *ground = *state;
    Run whole, part, rest;
    run_trial(ground, &(Wish){.store = "whole", .options = options, .fence = 1}, &whole);
    must(whole.status, &whole.diagnostic);
    const TrialState *expected = &whole.outcome.training.state;
    assert_true(expected->evaluations.count >= 3);
    for (size_t i = 0; i + 1 < expected->evaluations.count; i++) {
        char name[32], resume[CHECKPOINT_NAME_SIZE];
        snprintf(name, sizeof name, "part%zu", i);
        /* acknowledge_only: no state is deleted but those before the one to go on from */
        Wish interrupted = {.store = name,
                            .options = options,
                            .fence = 1,
                            .stop_after_step = expected->evaluations.items[i].step + 1,
                            .acknowledge_only = i + 1};
        run_trial(ground, &interrupted, &part);
        assert_int_equal(part.status, STATUS_INTERRUPTED);
        assert_int_equal(part.outcome.training.stop, TRAINER_INTERRUPTED);
        checkpoint_name((AssignmentId){3, 1}, expected->evaluations.items[i].step, resume);
        run_trial(ground, &(Wish){.store = name, .options = options, .fence = 2, .resume = resume}, &rest);
        must(rest.status, &rest.diagnostic);
        const TrialState *got = &rest.outcome.training.state;
        assert_int_equal(got->evaluations.count, expected->evaluations.count);
        assert_int_equal(got->best, expected->best);
        assert_int_equal(got->pieces, expected->pieces);
        for (size_t e = 0; e < got->evaluations.count; e++) {
            const TrialEvaluation *x = &expected->evaluations.items[e], *y = &got->evaluations.items[e];
            assert_true(x->score == y->score && x->train_loss == y->train_loss && x->learning_rate == y->learning_rate);
            if (e >= i)
                assert_same_file(whole.store, x->checkpoint, rest.store, y->checkpoint);
        }
        run_free(&part);
        run_free(&rest);
    }
    run_free(&whole);
}

static void a_checkpoint_of_other_options_is_refused(void **state)
{
    Run a, b;
    run_trial(*state, &(Wish){.store = "other_options", .options = "max_steps=4"}, &a);
    must(a.status, &a.diagnostic);
    run_trial(*state,
              &(Wish){.store = "other_options",
                      .options = "max_steps=4 learning_rate=0.001",
                      .resume = trial_state_last(&a.outcome.training.state)->checkpoint},
              &b);
    assert_int_equal(b.status, STATUS_MISMATCH);
    assert_non_null(strstr(b.diagnostic.message, "options"));
    assert_true(b.outcome.training.resume_refused);
    run_free(&a);
    run_free(&b);
}

static void a_checkpoint_of_another_precision_is_refused(void **state)
{
    Run a, b;
    run_trial(*state, &(Wish){.store = "other_precision", .options = "max_steps=4"}, &a);
    must(a.status, &a.diagnostic);
    run_trial(*state,
              &(Wish){.store = "other_precision",
                      .options = "max_steps=4",
                      .product_type = DEVICE_BF16,
                      .resume = trial_state_last(&a.outcome.training.state)->checkpoint},
              &b);
    assert_int_equal(b.status, STATUS_MISMATCH);
    assert_non_null(strstr(b.diagnostic.message, "precision"));
    assert_true(b.outcome.training.resume_refused);
    run_free(&a);
    run_free(&b);
}

static void a_checkpoint_with_a_flipped_bit_is_refused(void **state)
{
    Run a, b;
    Diagnostic diagnostic = {0};
    Store *store;
    StoreManifest manifest = {0};
    run_trial(*state, &(Wish){.store = "flipped", .options = "max_steps=4"}, &a);
    const char *checkpoint = trial_state_last(&a.outcome.training.state)->checkpoint;
    char *name = memory_format("%s.state", checkpoint);
    must(store_open(&store, a.store, file_system_posix(), &diagnostic), &diagnostic);
    must(store_manifest_get(store, name, &manifest, &diagnostic), &diagnostic);
    for (size_t i = 0; i < manifest.files.count; i++) {
        if (strcmp(manifest.files.items[i].name, "optimizer.safetensors") != 0)
            continue;
        char *path = store_object_path(store, manifest.files.items[i].sha256), *bytes;
        size_t size;
        must(file_read(path, 1 << 26, &bytes, &size, &diagnostic), &diagnostic);
        bytes[size - 100] ^= 1;
        must(file_write_durable(file_system_posix(), path, bytes, size, &diagnostic), &diagnostic);
        free(bytes);
        free(path);
    }
    run_trial(*state, &(Wish){.store = "flipped", .options = "max_steps=4", .resume = checkpoint}, &b);
    assert_int_equal(b.status, STATUS_CORRUPT);
    store_manifest_free(&manifest);
    store_close(&store);
    free(name);
    run_free(&a);
    run_free(&b);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void old_checkpoints_beyond_the_limit_are_deleted_but_never_the_best(void **state)
{
    Run run;
    run_trial(*state, &(Wish){.store = "limited", .options = "eval_steps=1 save_total_limit=2 num_train_epochs=2"}, &run);
    must(run.status, &run.diagnostic);
    const TrialState *got = &run.outcome.training.state;
    const char *best = trial_state_best(got)->checkpoint, *last = trial_state_last(got)->checkpoint;
    char *names = manifest_names(run.store), *last_state = memory_format("%s.state\n", last);
    assert_non_null(strstr(names, best));
    assert_non_null(strstr(names, last));
    assert_non_null(strstr(names, last_state));
    assert_int_equal(count_lines(names), 3); /* two models, one state */
    free(names);
    free(last_state);
    run_free(&run);
}

static void nothing_that_is_not_acknowledged_is_deleted(void **state)
{
    Run run;
    char name[CHECKPOINT_NAME_SIZE];
    run_trial(*state,
              &(Wish){.store = "unacknowledged", .options = "eval_steps=1 save_total_limit=1 max_steps=6", .acknowledge_only = 3},
              &run);
    must(run.status, &run.diagnostic);
    char *names = manifest_names(run.store);
    for (int64_t step = 3; step <= 6; step++) {
        checkpoint_name((AssignmentId){3, 0}, step, name);
        char *with_state = memory_format("%s.state\n", name);
        assert_non_null(strstr(names, with_state));
        free(with_state);
    }
    checkpoint_name((AssignmentId){3, 0}, 2, name);
    char *earlier_state = memory_format("%s.state\n", name);
    assert_null(strstr(names, earlier_state));
    free(earlier_state);
    free(names);
    run_free(&run);
}

/* With a learning rate of nearly nothing no evaluation betters the first. */
static void training_stops_when_the_score_no_longer_rises(void **state)
{
    Run run;
    run_trial(*state, &(Wish){.store = "early", .options = "eval_steps=1 early_stopping_patience=3 learning_rate=1e-12"}, &run);
    must(run.status, &run.diagnostic);
    assert_true(run.outcome.training.stopped_early);
    assert_int_equal(run.outcome.training.state.step, 4);
    assert_int_equal(run.outcome.training.state.best, 0);
    run_free(&run);
}

static void an_early_stopped_trial_stays_stopped_when_resumed(void **state)
{
    static const char options[] = "eval_steps=1 early_stopping_patience=3 learning_rate=1e-12";
    Run a, b;
    run_trial(*state, &(Wish){.store = "early2", .options = options, .fence = 1}, &a);
    run_trial(
        *state,
        &(Wish){
            .store = "early2", .options = options, .fence = 2, .resume = trial_state_last(&a.outcome.training.state)->checkpoint},
        &b);
    must(b.status, &b.diagnostic);
    assert_true(b.outcome.training.stopped_early);
    assert_int_equal(b.outcome.training.trained_pieces, 0);
    run_free(&a);
    run_free(&b);
}

static void without_evaluation_there_is_one_checkpoint_at_the_end(void **state)
{
    Run run;
    run_trial(*state, &(Wish){.store = "blind", .options = "eval_steps=1 max_steps=3", .no_evaluation = true}, &run);
    must(run.status, &run.diagnostic);
    assert_int_equal(run.outcome.training.state.evaluations.count, 1);
    assert_int_equal(run.outcome.training.state.evaluations.items[0].step, 3);
    assert_int_equal(run.outcome.training.state.evaluations.items[0].dataset_count, 0);
    run_free(&run);
}

/* The loss of the first step by hand: all label weights equal change nothing, and a weight of 0 leaves a label's pieces out. */
static void label_weights_scale_the_loss_and_its_denominator(void **state)
{
    Run plain, doubled, without_o, balanced;
    run_trial(*state, &(Wish){.store = "wa", .options = ""}, &plain);
    run_trial(*state, &(Wish){.store = "wb", .options = "class_weights=O=2,PER=2,LOC=2,ORG=2,MISC=2"}, &doubled);
    run_trial(*state, &(Wish){.store = "wc", .options = "class_weights=O=0"}, &without_o);
    run_trial(*state, &(Wish){.store = "wd", .options = "class_weights=balanced"}, &balanced);
    must(plain.status, &plain.diagnostic);
    must(doubled.status, &doubled.diagnostic);
    must(without_o.status, &without_o.diagnostic);
    must(balanced.status, &balanced.diagnostic);
    for (size_t i = 0; i < plain.losses.count; i++)
        assert_true(fabsf(plain.losses.items[i] - doubled.losses.items[i]) < 1e-5f * plain.losses.items[i]);
    assert_true(fabsf(plain.losses.items[0] - without_o.losses.items[0]) > 1e-4f);
    /* Without a word on O a model soon calls everything an entity: its loss over the entities falls below the one that weighs O. */
    assert_true(without_o.losses.items[9] < without_o.losses.items[0]);
    assert_true(fabsf(balanced.losses.items[0] - without_o.losses.items[0]) > 1e-4f);
    run_free(&plain);
    run_free(&doubled);
    run_free(&without_o);
    run_free(&balanced);
}

static void a_weight_for_a_label_that_is_not_there_is_refused(void **state)
{
    Run run;
    run_trial(*state, &(Wish){.store = "we", .options = "class_weights=PRE=2"}, &run);
    assert_int_equal(run.status, STATUS_INVALID_INPUT);
    assert_non_null(strstr(run.diagnostic.message, "PRE is neither a label nor a type"));
    run_free(&run);
}

/* The rule is part of the model folder, so that prediction decodes as the evaluation that chose it did. */
static void the_decoding_travels_with_the_model(void **state)
{
    const Ground *ground = *state;
    Run run;
    run_trial(ground, &(Wish){.store = "va", .options = "decode=viterbi"}, &run);
    must(run.status, &run.diagnostic);
    Json *notes = NULL;
    Store *store = NULL;
    Diagnostic diagnostic = {0};
    char *pulled = path_join(ground->folder, "pulled-viterbi"), *path = path_join(pulled, "nersweep.json");
    must(store_open(&store, run.store, file_system_posix(), &diagnostic), &diagnostic);
    must(store_manifest_extract(store, trial_state_last(&run.outcome.training.state)->checkpoint, pulled, &diagnostic),
         &diagnostic);
    must(json_read_file(&notes, path, 1 << 20, &diagnostic), &diagnostic);
    assert_string_equal(json_string_value(json_get(notes, "decode")), "viterbi");
    json_destroy(&notes);
    store_close(&store);
    free(pulled);
    free(path);
    run_free(&run);
}

static void an_unknown_metric_dataset_is_named_with_those_that_there_are(void **state)
{
    Run run;
    run_trial(*state, &(Wish){.store = "metric", .options = "max_steps=1", .dataset = "main"}, &run);
    assert_int_equal(run.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(run.diagnostic.message, "\"main\""));
    assert_non_null(strstr(run.diagnostic.message, "dev, other"));
    run_free(&run);
}

/* A model folder with the random start weights, one of them replaced. The path is freed by the caller. */
static char *write_start_model(const Ground *ground, const char *name, const char *parameter, float value)
{
    Workplace workplace;
    Diagnostic diagnostic = {0};
    TrainingOptions options = ground_options("");
    Communicator *communicator = communicator_alone();
    char *folder = path_join(ground->folder, name);
    Model *model = ground_start_model(ground, communicator, "start", &options, &workplace);
    const ModelLayout *layout = model_layout(model);
    float *values = memory_allocate(layout->float_count, sizeof *values);
    must(model_parameters_get(model, values, &diagnostic), &diagnostic);
    values[model_layout_find(layout, parameter)->offset] = value;
    must(folder_create(file_system_posix(), folder, &diagnostic), &diagnostic);
    must(model_folder_write(folder, model_config(model), layout, values, workplace.work_folder, true, 200, NULL,
                            file_system_posix(), &diagnostic),
         &diagnostic);
    free(values);
    model_destroy(&model);
    workplace_close(&workplace);
    communicator_close(&communicator);
    return folder;
}

static void a_loss_that_is_not_finite_is_a_diverged_trial(void **state)
{
    const Ground *ground = *state;
    Workplace workplace;
    TrialOutcome outcome;
    Diagnostic diagnostic = {0};
    WorkplaceOptions place = {.backend = "reference", .threads = 1};
    Communicator *communicator = communicator_alone();
    char *folder = write_start_model(ground, "huge_model", "bert.embeddings.LayerNorm.weight", 1e38f);
    char *store = path_join(ground->folder, "huge");
    TrainingData data = {.model = folder, .shards = ground->shards, .store = store};
    must(workplace_open(&workplace, communicator, &place, &diagnostic), &diagnostic);
    must(workplace_set_data(&workplace, &data, &diagnostic), &diagnostic);
    TrialRequest request = {.options = ground_options(""), .evaluate = true, .clock = clock_system()};
    assert_int_equal(trial_train(&workplace, &request, &outcome, &diagnostic), STATUS_DIVERGED);
    assert_int_equal(outcome.training.state.evaluations.count, 0);
    trial_outcome_free(&outcome);
    workplace_close(&workplace);
    communicator_close(&communicator);
    free(folder);
    free(store);
}

static void evaluations_fall_on_fractions_of_epochs(void **state)
{
    (void)state;
    TrainingOptions options = ground_options("eval_steps=0 eval_every_epochs=0.5");
    int64_t expected[] = {3, 5, 8, 10, 13, 14}, step = 0; /* llround(2.5) = 3, 5, 7.5 -> 8, 10, 12.5 -> 13; the last */
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        step = trainer_next_evaluation(&options, true, 5, 14, step);
        assert_int_equal(step, expected[i]);
    }
    options = ground_options("eval_steps=0 eval_every_epochs=0.01");
    assert_int_equal(trainer_next_evaluation(&options, true, 5, 14, 7), 8);
    options = ground_options("eval_steps=0 eval_every_epochs=100");
    assert_int_equal(trainer_next_evaluation(&options, true, 5, 14, 0), 14);
    assert_int_equal(trainer_next_evaluation(&options, false, 5, 14, 0), 14);
}

static void ties_keep_the_earlier_checkpoint_and_the_threshold_counts(void **state)
{
    (void)state;
    TrialState trial;
    double scores[] = {0.5, 0.5, 0.505, 0.52, 0.4};
    int64_t best[] = {0, 0, 2, 3, 3}, stale[] = {0, 1, 2, 0, 1};
    trial_state_init(&trial, 100);
    for (size_t i = 0; i < 5; i++) {
        trial_state_add(&trial, &(TrialEvaluation){.score = scores[i]}, 0.01);
        assert_int_equal(trial.best, best[i]);
        assert_int_equal(trial.stale, stale[i]);
    }
    trial_state_free(&trial);
}

/* Losses of a run in which every step sees all windows: their order is of no importance. */
static void run_weighted(const Ground *ground, const char *name, const char *pseudo, double weight, Run *run)
{
    Ground weighted = *ground;
    weighted.shards = ground_make_weighted_shards(ground, name, pseudo, weight);
    run_trial(&weighted,
              &(Wish){.store = name,
                      .options = "per_device_train_batch_size=64 hidden_dropout=0 attention_dropout=0 classifier_dropout=0 "
                                 "max_steps=6 learning_rate=0.01 weight_decay=0.01",
                      .no_evaluation = true},
              run);
    must(run->status, &run->diagnostic);
    assert_int_equal(run->losses.count, 6);
    free(weighted.shards);
}

static double largest_difference(const Run *a, const Run *b)
{
    double largest = 0;
    for (size_t i = 0; i < a->losses.count; i++)
        largest = fmax(largest, fabs((double)a->losses.items[i] - (double)b->losses.items[i]));
    return largest;
}

static void two_copies_of_half_the_weight_train_as_one(void **state)
{
#define SENTENCES(weight) "Leiden\tB-LOC\t" weight "\nlies\tO\t" weight "\n\nBram\tB-PER\t" weight "\n"
    Run once, halves, doubled, heavy;
    run_weighted(*state, "once", SENTENCES("1"), 1, &once);
    run_weighted(*state, "halves", SENTENCES("0.5") "\n" SENTENCES("0.5"), 1, &halves);
    run_weighted(*state, "heavy", SENTENCES("0.25") "\n" SENTENCES("0.25"), 2, &heavy);
    run_weighted(*state, "doubled", SENTENCES("1") "\n" SENTENCES("1"), 1, &doubled);
    /* Sums in another order: rounding only. The losses after the first depend on the gradients of all steps before. */
    assert_true(largest_difference(&once, &halves) < 2e-6);
    assert_true(largest_difference(&once, &heavy) < 2e-6);
    assert_true(largest_difference(&once, &doubled) > 1e-3); /* weights that are not taken would give this */
    run_free(&once);
    run_free(&halves);
    run_free(&heavy);
    run_free(&doubled);
#undef SENTENCES
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_trial_twice_gives_the_same_bytes),
        cmocka_unit_test(another_seed_gives_other_weights),
        cmocka_unit_test(a_trial_resumed_from_any_evaluation_ends_with_the_same_bytes),
        cmocka_unit_test(a_checkpoint_of_other_options_is_refused),
        cmocka_unit_test(a_checkpoint_of_another_precision_is_refused),
        cmocka_unit_test(a_checkpoint_with_a_flipped_bit_is_refused),
        cmocka_unit_test(old_checkpoints_beyond_the_limit_are_deleted_but_never_the_best),
        cmocka_unit_test(nothing_that_is_not_acknowledged_is_deleted),
        cmocka_unit_test(training_stops_when_the_score_no_longer_rises),
        cmocka_unit_test(an_early_stopped_trial_stays_stopped_when_resumed),
        cmocka_unit_test(without_evaluation_there_is_one_checkpoint_at_the_end),
        cmocka_unit_test(label_weights_scale_the_loss_and_its_denominator),
        cmocka_unit_test(a_weight_for_a_label_that_is_not_there_is_refused),
        cmocka_unit_test(the_decoding_travels_with_the_model),
        cmocka_unit_test(an_unknown_metric_dataset_is_named_with_those_that_there_are),
        cmocka_unit_test(a_loss_that_is_not_finite_is_a_diverged_trial),
        cmocka_unit_test(evaluations_fall_on_fractions_of_epochs),
        cmocka_unit_test(ties_keep_the_earlier_checkpoint_and_the_threshold_counts),
        cmocka_unit_test(two_copies_of_half_the_weight_train_as_one),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
