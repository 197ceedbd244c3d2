/* Evaluation of a random tiny model on small shards: parts and batches must not matter. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inference/evaluator.h"

typedef struct Bench {
    Ground *ground;
    Workplace workplace;
    Communicator *communicator;
    Model *model;
} Bench;

static int setup(void **state)
{
    Bench *bench = memory_allocate(1, sizeof *bench);
    TrainingOptions options = ground_options("");
    char hex[17];
    Diagnostic diagnostic = {0};
    ground_setup((void **)&bench->ground);
    /* Windows so short that most sentences need several. */
    free(bench->ground->shards);
    bench->ground->shards = ground_make_shards(bench->ground, "short", 24);
    bench->communicator = communicator_alone();
    ground_workplace(bench->ground, bench->communicator, "store", &bench->workplace);
    must(workplace_start_model(&bench->workplace, &options, &bench->model, hex, &diagnostic), &diagnostic);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    Bench *bench = *state;
    model_destroy(&bench->model);
    workplace_close(&bench->workplace);
    communicator_close(&bench->communicator);
    ground_teardown((void **)&bench->ground);
    free(bench);
    return 0;
}

static Evaluation evaluate(Bench *bench, const char *split_name, EvaluationOptions options)
{
    Evaluation evaluation;
    Diagnostic diagnostic = {0};
    int32_t split = shard_split_find(bench->workplace.shards, split_name);
    assert_true(split >= 0);
    options.part_count = options.part_count ? options.part_count : 1;
    options.want_loss = true;
    must(evaluation_run(&evaluation, bench->model, bench->workplace.shards, split, &options, &diagnostic), &diagnostic);
    return evaluation;
}

static void assert_same_counts(const Evaluation *a, const Evaluation *b)
{
    size_t bytes = (size_t)a->counts->type_count * sizeof *a->counts->gold;
    assert_int_equal(a->counts->type_count, b->counts->type_count);
    assert_memory_equal(a->counts->gold, b->counts->gold, bytes);
    assert_memory_equal(a->counts->predicted, b->counts->predicted, bytes);
    assert_memory_equal(a->counts->correct, b->counts->correct, bytes);
    assert_int_equal(a->counts->tokens, b->counts->tokens);
    assert_int_equal(a->counts->tokens_correct, b->counts->tokens_correct);
    assert_int_equal(a->sequences, b->sequences);
    assert_int_equal(a->pieces, b->pieces);
    assert_int_equal(a->labelled_pieces, b->labelled_pieces);
}

static void the_batch_size_does_not_matter(void **state)
{
    Bench *bench = *state;
    Evaluation whole = evaluate(bench, "train", (EvaluationOptions){0});
    assert_int_equal(whole.sequences, 40);
    assert_true(whole.pieces > 0 && whole.counts->gold[0] > 0);
    for (int64_t pieces = 1; pieces <= 256; pieces *= 4) {
        Evaluation small = evaluate(bench, "train", (EvaluationOptions){.batch_pieces = pieces});
        assert_same_counts(&whole, &small);
        assert_true(whole.loss_sum == small.loss_sum);
        evaluation_free(&small);
    }
    evaluation_free(&whole);
}

static void parts_add_up_to_the_whole_and_are_balanced(void **state)
{
    Bench *bench = *state;
    Evaluation whole = evaluate(bench, "train", (EvaluationOptions){0});
    for (int32_t parts = 2; parts <= 7; parts++) {
        Evaluation sum = {.counts = score_counts_create(whole.counts->type_count)};
        for (int32_t part = 0; part < parts; part++) {
            Evaluation one = evaluate(bench, "train", (EvaluationOptions){.part = part, .part_count = parts});
            score_counts_merge(sum.counts, one.counts);
            sum.loss_sum += one.loss_sum;
            sum.sequences += one.sequences;
            sum.pieces += one.pieces;
            sum.labelled_pieces += one.labelled_pieces;
            assert_true(one.pieces < 2 * whole.pieces / parts);
            evaluation_free(&one);
        }
        assert_same_counts(&whole, &sum);
        assert_true(fabs(whole.loss_sum - sum.loss_sum) < 1e-9 * whole.loss_sum); /* only the order of a sum in doubles */
        evaluation_free(&sum);
    }
    evaluation_free(&whole);
}

static void more_parts_than_sentences_leave_some_empty(void **state)
{
    Bench *bench = *state;
    int64_t sequences = 0;
    for (int32_t part = 0; part < 50; part++) {
        Evaluation one = evaluate(bench, "dev:other", (EvaluationOptions){.part = part, .part_count = 50});
        sequences += one.sequences;
        evaluation_free(&one);
    }
    assert_int_equal(sequences, 9);
}

typedef struct Seen {
    int64_t next;
    int64_t gold, predicted;
} Seen;

static void see_sequence(void *context, int64_t sequence, const SpanArray *gold, const ScoredSpanArray *predicted)
{
    Seen *seen = context;
    assert_int_equal(sequence, seen->next++);
    seen->gold += (int64_t)gold->count;
    seen->predicted += (int64_t)predicted->count;
}

static void every_sequence_is_shown_once_in_order(void **state)
{
    Bench *bench = *state;
    Seen seen = {0};
    Evaluation evaluation =
        evaluate(bench, "dev:dev", (EvaluationOptions){.on_sequence = see_sequence, .context = &seen, .batch_pieces = 64});
    int64_t gold = 0, predicted = 0;
    for (int32_t type = 0; type < evaluation.counts->type_count; type++) {
        gold += evaluation.counts->gold[type];
        predicted += evaluation.counts->predicted[type];
    }
    assert_int_equal(seen.next, 16);
    assert_int_equal(seen.gold, gold);
    assert_int_equal(seen.predicted, predicted);
    evaluation_free(&evaluation);
}

/* A head that always says O: nothing is predicted, and the tokens that are O are right. */
static void a_model_that_says_o_predicts_nothing(void **state)
{
    Bench *bench = *state;
    Diagnostic diagnostic = {0};
    const ModelLayout *layout = model_layout(bench->model);
    float *values = memory_allocate(layout->float_count, sizeof *values);
    must(model_parameters_get(bench->model, values, &diagnostic), &diagnostic);
    float before = values[model_layout_find(layout, "classifier.bias")->offset];
    int32_t outside = label_set_find(shard_store_labels(bench->workplace.shards), "O");
    float *bias = values + model_layout_find(layout, "classifier.bias")->offset;
    bias[outside] = 100;
    must(model_parameters_set(bench->model, values, &diagnostic), &diagnostic);
    Evaluation evaluation = evaluate(bench, "dev:dev", (EvaluationOptions){0});
    int64_t gold_tokens = 0;
    for (int32_t type = 0; type < evaluation.counts->type_count; type++) {
        assert_int_equal(evaluation.counts->predicted[type], 0);
        gold_tokens += evaluation.counts->gold[type];
    }
    assert_true(gold_tokens > 0);
    assert_true(evaluation.counts->tokens_correct > 0 && evaluation.counts->tokens_correct < evaluation.counts->tokens);
    bias[outside] = before;
    must(model_parameters_set(bench->model, values, &diagnostic), &diagnostic);
    evaluation_free(&evaluation);
    free(values);
}

static void an_interrupt_ends_it(void **state)
{
    Bench *bench = *state;
    volatile int interrupted = 1;
    Evaluation evaluation;
    Diagnostic diagnostic = {0};
    EvaluationOptions options = {.part_count = 1, .interrupted = &interrupted};
    assert_int_equal(evaluation_run(&evaluation, bench->model, bench->workplace.shards, 0, &options, &diagnostic),
                     STATUS_INTERRUPTED);
    assert_null(evaluation.counts);
}

static void a_model_with_other_labels_is_refused(void **state)
{
    Bench *bench = *state;
    Model *model;
    BertConfig config = {0};
    Evaluation evaluation;
    Diagnostic diagnostic = {0};
    EvaluationOptions options = {.part_count = 1};
    static const char *const names[] = {"B-X", "I-X", "O"};
    bert_config_copy(&config, &bench->workplace.config);
    bert_config_set_labels(&config, names, 3);
    must(model_create(&model, &config, bench->workplace.backend, bench->workplace.device, DEVICE_FP32, &diagnostic), &diagnostic);
    assert_int_equal(evaluation_run(&evaluation, model, bench->workplace.shards, 0, &options, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "3 labels"));
    model_destroy(&model);
    bert_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_batch_size_does_not_matter),
        cmocka_unit_test(parts_add_up_to_the_whole_and_are_balanced),
        cmocka_unit_test(more_parts_than_sentences_leave_some_empty),
        cmocka_unit_test(every_sequence_is_shown_once_in_order),
        cmocka_unit_test(a_model_that_says_o_predicts_nothing),
        cmocka_unit_test(an_interrupt_ends_it),
        cmocka_unit_test(a_model_with_other_labels_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
