/* Two ranks against one, both in this program under mpirun: rank 0 trains alone first, then both together. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "worker/reducer.h"
#include "worker/trial.h"

typedef struct Together {
    Communicator *world;
    Ground *ground; /* rank 0's; the others get its paths */
} Together;

typedef struct Run {
    TrialOutcome outcome;
    Status status;
    Diagnostic diagnostic;
    ARRAY(double) losses;
} Run;

static void note_loss(void *context, const TrainerProgress *progress)
{
    Run *run = context;
    array_push(&run->losses, progress->loss);
}

static TrainerStop stop_at_step_five(void *context)
{
    const Run *run = context;
    return run->losses.count >= 5 ? TRAINER_INTERRUPTED : TRAINER_GO_ON;
}

static void run_trial(const Ground *ground, Communicator *communicator, const char *store, const char *options, const char *resume,
                      bool stop, Run *run)
{
    Workplace workplace;
    *run = (Run){0};
    ground_workplace(ground, communicator, store, &workplace);
    TrialRequest request = {
        .options = ground_options(options),
        .evaluate = true,
        .test = true,
        .resume = resume,
        .hooks = {.context = run, .on_progress = note_loss, .should_stop = stop ? stop_at_step_five : NULL},
        .clock = clock_system(),
    };
    strcpy(request.metric.dataset, "worst");
    run->status = trial_train(&workplace, &request, &run->outcome, &run->diagnostic);
    workplace_close(&workplace);
}

static void run_free(Run *run)
{
    trial_outcome_free(&run->outcome);
    array_free(&run->losses);
}

/* Rank 0 makes the ground; the others learn where it is. */
static int together_setup(void **state)
{
    Together *together = memory_allocate(1, sizeof *together);
    Diagnostic diagnostic = {0};
    char folder[256] = "";
    must(communicator_open(&together->world, 2, &diagnostic), &diagnostic);
    log_set_level(LOG_ERROR);
    if (communicator_rank(together->world) == 0) {
        ground_setup((void **)&together->ground);
        snprintf(folder, sizeof folder, "%s", together->ground->folder);
    }
    communicator_broadcast(together->world, folder, sizeof folder, 0);
    if (!together->ground) {
        together->ground = memory_allocate(1, sizeof *together->ground);
        together->ground->folder = memory_copy_string(folder);
        together->ground->model = path_join(folder, "model");
        together->ground->shards = path_join(folder, "shards");
    }
    *state = together;
    return 0;
}

static int together_teardown(void **state)
{
    Together *together = *state;
    communicator_barrier(together->world);
    if (communicator_rank(together->world) == 0) {
        ground_teardown((void **)&together->ground);
    } else {
        free(together->ground->folder);
        free(together->ground->model);
        free(together->ground->shards);
        free(together->ground);
    }
    communicator_close(&together->world);
    free(together);
    return 0;
}

static void assert_two_ranks_train_as_one(Together *together, const char *name, const char *options)
{
    Run alone = {0}, both;
    bool first = communicator_rank(together->world) == 0;
    char *alone_store = memory_format("%s_alone", name), *both_store = memory_format("%s_both", name);
    if (first) {
        Communicator *communicator = communicator_alone();
        run_trial(together->ground, communicator, alone_store, options, NULL, false, &alone);
        communicator_close(&communicator);
    }
    run_trial(together->ground, together->world, both_store, options, NULL, false, &both);
    must(both.status, &both.diagnostic);
    if (first) {
        must(alone.status, &alone.diagnostic);
        assert_int_equal(both.losses.count, alone.losses.count);
        assert_true(both.losses.count >= 5);
        for (size_t i = 0; i < both.losses.count; i++) {
            if (!(fabs(both.losses.items[i] - alone.losses.items[i]) <= 1e-5))
                fail_msg("step %zu: loss %.9f on two ranks, %.9f on one", i, both.losses.items[i], alone.losses.items[i]);
        }
        /* Whole counts, so that the scores are the same, not only near. */
        const TrialEvaluation *x = trial_state_last(&both.outcome.training.state),
                              *y = trial_state_last(&alone.outcome.training.state);
        assert_int_equal(both.outcome.training.state.evaluations.count, alone.outcome.training.state.evaluations.count);
        for (size_t i = 0; i < x->dataset_count; i++)
            assert_true(fabs(x->datasets[i].loss - y->datasets[i].loss) < 1e-4);
        assert_int_equal(both.outcome.training.state.pieces, alone.outcome.training.state.pieces);
    }
    run_free(&alone);
    run_free(&both);
    free(alone_store);
    free(both_store);
}

static void two_ranks_have_the_loss_of_one_at_every_step(void **state)
{
    assert_two_ranks_train_as_one(*state, "plain", "num_train_epochs=3");
}

static void also_with_accumulation_freezing_and_oversampling(void **state)
{
    assert_two_ranks_train_as_one(*state, "mixed",
                                  "gradient_accumulation_steps=3 per_device_train_batch_size=3 freeze_schedule=embeddings+1@1 "
                                  "oversample_factor=2 label_smoothing_factor=0.1 weight_decay=0.01");
}

/* One rank has nothing to do in most steps, and still takes part in every sum. */
static void also_with_fewer_sentences_than_ranks(void **state)
{
    assert_two_ranks_train_as_one(*state, "single", "per_device_train_batch_size=1 max_steps=8");
}

static void pieces_are_shared_out_evenly(void **state)
{
    Together *together = *state;
    Run run;
    int64_t pieces[2] = {0};
    run_trial(together->ground, together->world, "even", "per_device_train_batch_size=16 num_train_epochs=1", NULL, false, &run);
    must(run.status, &run.diagnostic);
    communicator_gather_int64(together->world, run.outcome.training.profiled.own_pieces, pieces, 0);
    if (communicator_rank(together->world) == 0) {
        double smaller = (double)(pieces[0] < pieces[1] ? pieces[0] : pieces[1]),
               larger = (double)(pieces[0] + pieces[1]) - smaller;
        assert_int_equal(pieces[0] + pieces[1], run.outcome.training.profiled.pieces);
        assert_true(larger <= 1.1 * smaller);
    }
    run_free(&run);
}

/* Every part of the model in every step, and with a frozen phase all but the frozen ones; alone there is nobody to send to. */
static void sums_begin_while_backward_goes_on(void **state)
{
    Together *together = *state;
    Run run;
    int64_t parts = 4; /* embeddings, two layers, head */
    run_trial(together->ground, together->world, "early", "per_device_train_batch_size=16 num_train_epochs=2", NULL, false, &run);
    must(run.status, &run.diagnostic);
    assert_int_equal(run.outcome.training.early_parts, parts * run.outcome.training.state.step);
    run_free(&run);
    run_trial(together->ground, together->world, "early_frozen",
              "per_device_train_batch_size=16 num_train_epochs=2 freeze_schedule=embeddings+1@1", NULL, false, &run);
    must(run.status, &run.diagnostic);
    assert_int_equal(run.outcome.training.early_parts, (parts + parts - 2) * run.outcome.training.state.step / 2);
    run_free(&run);
}

typedef struct Watch {
    Reducer *reducer;
    Communicator *world;
    bool sent, arrived; /* all but the embeddings, before the embeddings' backward */
} Watch;

/* Lets sums get on for as long as it takes, and no longer than ten seconds. */
static Status watch_part(void *context, int32_t part, Diagnostic *diagnostic)
{
    Watch *watch = context;
    const Clock *clock = clock_system();
    Status status = reducer_part_ready(watch->reducer, part, diagnostic);
    if (part != 1)
        return status;
    watch->sent = true;
    int64_t end_ns = clock->monotonic_ns(clock->context) + 10000000000;
    while (communicator_numbers_left(watch->world) > 0 && clock->monotonic_ns(clock->context) < end_ns)
        reducer_progress(watch->reducer);
    watch->arrived = communicator_numbers_left(watch->world) == 0;
    return status;
}

static void sums_of_upper_layers_are_there_before_the_embeddings_backward_begins(void **state)
{
    Together *together = *state;
    Workplace workplace;
    Diagnostic diagnostic = {0};
    TrainingOptions options = ground_options("");
    Watch watch = {.world = together->world};
    static const int32_t ids[] = {2, 7, 9, 3};
    static const int32_t rows[] = {2, 3, 7, 9}, labels[] = {TOKEN_LABEL_IGNORED, 0, 1, TOKEN_LABEL_IGNORED};
    static const bool part_frozen[4] = {false};
    double loss;
    Model *model = ground_start_model(together->ground, together->world, "watched", &options, &workplace);
    must(model_plan(model, 16, 4, true, &diagnostic), &diagnostic);
    must(model_gradient_rows_set(model, rows, 4, &diagnostic), &diagnostic);
    must(reducer_create(&watch.reducer, together->world, model, &(Chunks){2, communicator_rank(together->world), 1}, &diagnostic),
         &diagnostic);
    TokenBlock *block = token_block_create(16, 4);
    token_block_append(block, ids, labels, 1.0f, 4, 0);
    ModelStep step = {.seed = 1,
                      .denominator = 4,
                      .part_frozen = part_frozen,
                      .zero_gradients = true,
                      .part_ready = watch_part,
                      .part_ready_context = &watch};
    reducer_begin(watch.reducer, part_frozen);
    must(model_train_block(model, block, &step, &loss, &diagnostic), &diagnostic);
    assert_true(watch.sent && watch.arrived);
    must(reducer_finish(watch.reducer, &diagnostic), &diagnostic);
    token_block_destroy(&block);
    reducer_destroy(&watch.reducer);
    model_destroy(&model);
    workplace_close(&workplace);
}

static void two_ranks_resumed_give_the_same_bytes(void **state)
{
    Together *together = *state;
    Run whole, part, rest;
    char resume[CHECKPOINT_NAME_SIZE];
    run_trial(together->ground, together->world, "whole", "", NULL, false, &whole);
    must(whole.status, &whole.diagnostic);
    run_trial(together->ground, together->world, "part", "", NULL, true, &part);
    /* Only rank 0 counts steps and wants to stop; both do. */
    assert_int_equal(part.status, STATUS_INTERRUPTED);
    assert_int_equal(part.outcome.training.stop, TRAINER_INTERRUPTED);
    checkpoint_name((AssignmentId){0}, 3, resume);
    run_trial(together->ground, together->world, "part", "", resume, false, &rest);
    must(rest.status, &rest.diagnostic);
    if (communicator_rank(together->world) == 0) {
        char *x_store = path_join(together->ground->folder, "whole"), *y_store = path_join(together->ground->folder, "part");
        char *x = manifest_text(x_store, trial_state_last(&whole.outcome.training.state)->checkpoint);
        char *y = manifest_text(y_store, trial_state_last(&rest.outcome.training.state)->checkpoint);
        assert_string_equal(x, y);
        free(x);
        free(y);
        free(x_store);
        free(y_store);
    }
    run_free(&whole);
    run_free(&part);
    run_free(&rest);
}

/* Both ranks count on the same host; computing activations twice changes no bit of their sums. */
static void two_ranks_with_checkpointing_give_the_same_bytes(void **state)
{
    Together *together = *state;
    Run kept, again;
    run_trial(together->ground, together->world, "kept", "gradient_checkpointing=off", NULL, false, &kept);
    run_trial(together->ground, together->world, "again", "gradient_checkpointing=on", NULL, false, &again);
    must(kept.status, &kept.diagnostic);
    must(again.status, &again.diagnostic);
    assert_true(again.outcome.memory.checkpointed && !kept.outcome.memory.checkpointed);
    const MemoryPlan *plan = &kept.outcome.memory;
    uint64_t own = memory_plan_total_bytes(plan);
    int64_t sums[] = {(int64_t)own, (int64_t)plan->bytes[MEMORY_MOMENTS]}, parameters = (int64_t)plan->bytes[MEMORY_PARAMETERS];
    communicator_sum_int64(together->world, sums, 2);
    /* Moments are shared out, but for those of the word embeddings. */
    assert_true(sums[1] > 2 * parameters && sums[1] < 4 * parameters);
    assert_int_equal(plan->host_ranks, 2);
    assert_int_equal(plan->host_bytes, sums[0]);
    assert_true(plan->host_bytes > own);
    if (communicator_rank(together->world) == 0) {
        assert_memory_equal(kept.losses.items, again.losses.items, kept.losses.count * sizeof *kept.losses.items);
        char *x_store = path_join(together->ground->folder, "kept"), *y_store = path_join(together->ground->folder, "again");
        char *x = manifest_text(x_store, trial_state_last(&kept.outcome.training.state)->checkpoint);
        char *y = manifest_text(y_store, trial_state_last(&again.outcome.training.state)->checkpoint);
        assert_string_equal(x, y);
        char *texts[] = {x_store, y_store, x, y};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            free(texts[i]);
    }
    run_free(&kept);
    run_free(&again);
}

static void a_failure_of_one_rank_is_the_failure_of_all(void **state)
{
    Together *together = *state;
    Diagnostic diagnostic = {0};
    int32_t rank = communicator_rank(together->world);
    int64_t control = rank == 0 ? 2 : 1;
    Status own = rank == 1 ? FAIL(&diagnostic, STATUS_CORRUPT, "a page is torn") : STATUS_OK;
    assert_int_equal(communicator_agree(together->world, own, &control, &diagnostic), STATUS_CORRUPT);
    assert_string_equal(diagnostic.message, "rank 1: a page is torn");
    assert_int_equal(control, 2);
    assert_int_equal(communicator_agree(together->world, STATUS_OK, &control, &diagnostic), STATUS_OK);
}

static void parts_of_an_evaluation_add_up_to_the_whole(void **state)
{
    Together *together = *state;
    Workplace workplace;
    DatasetScore both = {0}, alone = {0};
    Diagnostic diagnostic = {0};
    TrainingOptions options = ground_options("");
    int64_t stop = 0;
    Communicator *single = communicator_alone();
    Model *model = ground_start_model(together->ground, together->world, "evaluated", &options, &workplace);
    SplitScoring scoring = {.communicator = together->world, .model = model, .shards = workplace.shards, .options = &options};
    for (int32_t split = 0; split < shard_split_count(workplace.shards); split++) {
        scoring.communicator = together->world;
        must(split_score(&scoring, split, &both, &stop, &diagnostic), &diagnostic);
        scoring.communicator = single;
        must(split_score(&scoring, split, &alone, &stop, &diagnostic), &diagnostic);
        assert_true(both.f1 == alone.f1 && both.precision == alone.precision && both.recall == alone.recall);
        assert_true(fabs(both.loss - alone.loss) < 1e-6);
    }
    model_destroy(&model);
    workplace_close(&workplace);
    communicator_close(&single);
}

static DeviceType fp32_products(const BackendDevice *device)
{
    (void)device;
    return DEVICE_FP32;
}

static DeviceType bf16_products(const BackendDevice *device)
{
    (void)device;
    return DEVICE_BF16;
}

static void bf16_is_taken_where_every_rank_is_quicker_in_it(void **state)
{
    Together *together = *state;
    Backend fp32 = {.product_type = fp32_products}, bf16 = {.product_type = bf16_products};
    Workplace workplace = {.communicator = together->world, .backend = &bf16, .precision_auto = true};
    assert_int_equal(workplace_quicker_type(&workplace), DEVICE_BF16);
    for (int32_t without = 0; without < communicator_size(together->world); without++) {
        workplace.backend = communicator_rank(together->world) == without ? &fp32 : &bf16;
        workplace.product_type = DEVICE_BF16;
        workplace_choose_precision(&workplace, "");
        assert_int_equal(workplace.product_type, DEVICE_FP32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ranks_have_the_loss_of_one_at_every_step),
        cmocka_unit_test(also_with_accumulation_freezing_and_oversampling),
        cmocka_unit_test(also_with_fewer_sentences_than_ranks),
        cmocka_unit_test(pieces_are_shared_out_evenly),
        cmocka_unit_test(sums_begin_while_backward_goes_on),
        cmocka_unit_test(sums_of_upper_layers_are_there_before_the_embeddings_backward_begins),
        cmocka_unit_test(two_ranks_resumed_give_the_same_bytes),
        cmocka_unit_test(two_ranks_with_checkpointing_give_the_same_bytes),
        cmocka_unit_test(a_failure_of_one_rank_is_the_failure_of_all),
        cmocka_unit_test(parts_of_an_evaluation_add_up_to_the_whole),
        cmocka_unit_test(bf16_is_taken_where_every_rank_is_quicker_in_it),
    };
    return cmocka_run_group_tests(tests, together_setup, together_teardown);
}
