/* A job of kind "plan": what trainings would take, beside what one takes. */
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "tests/worker/fixture.h"

enum { LENGTH = 200 }; /* as the ground's shards have it */

/* FOLDER/NAME.json, with candidates of these options (NULL-terminated); assumed: without shards. */
static void write_plan(const Ground *ground, const char *name, const char *const *candidates, int trainings, bool assumed)
{
    Json *job = json_object(), *all = json_array(), *data = json_object();
    char *path = memory_format("%s/%s.json", ground->folder, name), *nowhere = path_join(ground->folder, "nowhere");
    Diagnostic diagnostic = {0};
    for (; *candidates; candidates++) {
        TrainingOptions options = ground_options(*candidates);
        json_append(all, options_to_json(training_option_table(), &options));
    }
    json_set(job, "kind", json_string("plan"));
    json_set(job, "model", json_string(ground->model));
    json_set(job, "shards", json_string(assumed ? nowhere : ground->shards));
    json_set(job, "candidates", all);
    json_set(job, "evaluate", json_boolean(true));
    json_set(job, "test", json_boolean(true));
    json_set(job, "trainings", json_integer(trainings));
    json_set(data, "max_seq_length", json_integer(LENGTH));
    json_set(data, "train_windows", json_integer(100));
    if (assumed)
        json_set(job, "assumed", json_copy(data));
    char *text = json_text(job, JSON_INDENTED);
    must(file_write_durable(file_system_posix(), path, text, strlen(text), &diagnostic), &diagnostic);
    json_destroy(&job);
    json_destroy(&data);
    free(text);
    free(path);
    free(nowhere);
}

static Json *plan(const Ground *ground, const char *name, const char *const *candidates, int trainings, bool assumed)
{
    write_plan(ground, name, candidates, trainings, assumed);
    if (job_program_run(ground, name, NULL) != 0) {
        char *errors = program_errors(ground);
        fail_msg("nersweep-worker failed: %s", errors);
    }
    return job_result(ground, name);
}

static int64_t number(const Json *json, const char *key)
{
    return json_integer_value(json_get(json, key), -1);
}

static const char *const counted[] = {"parameters_bytes",
                                      "packed_weights_bytes",
                                      "gradients_bytes",
                                      "moments_bytes",
                                      "activations_bytes",
                                      "evaluation_bytes",
                                      "workspace_bytes",
                                      "frozen_layers_bytes",
                                      "staging_bytes",
                                      "mapped_bytes",
                                      "disk_bytes",
                                      "micro_batch",
                                      "pieces",
                                      "sequences",
                                      "host_ranks"};

static void a_plan_is_that_of_the_training_that_follows(void **state)
{
    static const char *const cases[] = {"per_device_train_batch_size=4 gradient_accumulation_steps=2",
                                        "gradient_checkpointing=on num_train_epochs=2",
                                        "freeze_schedule=embeddings+1@9 frozen_dropout=false per_device_eval_batch_size=2",
                                        "deterministic=world virtual_ranks=4 oversample_factor=1.5"};
    const Ground *ground = *state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *candidates[] = {cases[c], NULL};
        Json *planned = plan(ground, "planned", candidates, 1, false);
        char *name = memory_format("trained%zu", c);
        free(ground_write_job(ground, name, cases[c], true, true));
        assert_int_equal(job_program_run(ground, name, NULL), 0);
        Json *result = job_result(ground, name);
        const Json *memory = json_get(result, "memory");
        for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
            if (number(planned, counted[i]) != number(memory, counted[i]))
                fail_msg("%s: %s is %lld, planned %lld", cases[c], counted[i], (long long)number(memory, counted[i]),
                         (long long)number(planned, counted[i]));
        assert_true(json_is_null(json_get(planned, "assumed_length")));
        assert_string_equal(json_string_value(json_get(planned, "precision")), "fp32");
        json_destroy(&result);
        json_destroy(&planned);
        free(name);
    }
}

static void without_shards_every_sentence_is_as_long_as_it_may_be(void **state)
{
    static const char *const candidates[] = {"per_device_train_batch_size=8 gradient_accumulation_steps=2", NULL};
    Json *by_shards = plan(*state, "by_shards", candidates, 1, false), *assumed = plan(*state, "assumed", candidates, 1, true);
    assert_int_equal(number(assumed, "assumed_length"), LENGTH);
    assert_int_equal(number(assumed, "pieces"), 8 * LENGTH);
    assert_int_equal(number(assumed, "sequences"), 8);
    assert_true(number(assumed, "pieces") > number(by_shards, "pieces"));
    assert_true(number(assumed, "activations_bytes") > number(by_shards, "activations_bytes"));
    /* The classifiers are for other numbers of labels: beside the parameters it is rows of embeddings that lack. */
    assert_true(number(assumed, "gradients_bytes") - number(assumed, "parameters_bytes") >=
                number(by_shards, "gradients_bytes") - number(by_shards, "parameters_bytes"));
    assert_true(number(assumed, "activations_bytes") + number(assumed, "evaluation_bytes") >=
                number(by_shards, "activations_bytes") + number(by_shards, "evaluation_bytes"));
    json_destroy(&by_shards);
    json_destroy(&assumed);
}

/* A batch of evaluation is of a whole block, whatever training takes. */
static void evaluation_is_counted_without_shards(void **state)
{
    static const char *const few[] = {"per_device_train_batch_size=1 per_device_eval_batch_size=1", NULL};
    static const char *const many[] = {"per_device_train_batch_size=1 per_device_eval_batch_size=16", NULL};
    Json *small = plan(*state, "small_blocks", few, 1, true), *large = plan(*state, "large_blocks", many, 1, true);
    assert_int_equal(number(large, "activations_bytes"), number(small, "activations_bytes"));
    assert_true(number(large, "evaluation_bytes") > 4 * number(small, "evaluation_bytes"));
    json_destroy(&small);
    json_destroy(&large);
}

static void the_steps_of_every_epoch_are_looked_at(void **state)
{
    static const char *const one[] = {"per_device_train_batch_size=3 num_train_epochs=1 max_steps=-1", NULL};
    static const char *const many[] = {"per_device_train_batch_size=3 num_train_epochs=20 max_steps=-1", NULL};
    Json *short_plan = plan(*state, "one_epoch", one, 1, false), *long_plan = plan(*state, "many_epochs", many, 1, false);
    assert_true(number(long_plan, "pieces") > number(short_plan, "pieces"));
    json_destroy(&short_plan);
    json_destroy(&long_plan);
}

/* Chunks of a step are computed one after another, and their gradients wait. */
static void chunks_share_the_assumed_sentences(void **state)
{
    static const char *const candidates[] = {"per_device_train_batch_size=10 deterministic=world virtual_ranks=4", NULL};
    Json *json = plan(*state, "chunks", candidates, 1, true);
    assert_int_equal(number(json, "sequences"), 3);
    assert_int_equal(number(json, "pieces"), 3 * LENGTH);
    json_destroy(&json);
}

static void the_largest_candidate_is_shown(void **state)
{
    static const char *const candidates[] = {"per_device_train_batch_size=2", "per_device_train_batch_size=8",
                                             "per_device_train_batch_size=4", NULL};
    Json *json = plan(*state, "largest", candidates, 1, false);
    assert_int_equal(number(json, "micro_batch"), 8);
    assert_int_equal(number(json_get(json, "options"), "per_device_train_batch_size"), 8);
    json_destroy(&json);
}

static void trainings_at_once_are_added_up(void **state)
{
    static const char *const candidates[] = {"per_device_train_batch_size=8", NULL};
    const Ground *ground = *state;
    Json *json = plan(ground, "three", candidates, 3, false);
    assert_int_equal(number(json, "trainings"), 3);
    assert_int_equal(number(json, "trainings_bytes"), 3 * number(json, "host_bytes"));
    int64_t limit = number(json, "host_bytes") + (1 << 20);
    json_destroy(&json);

    /* memory_limit is of each. */
    char *bytes = memory_format("%lld", (long long)limit);
    write_plan(ground, "limited", candidates, 3, false);
    job_set(ground, "limited", "memory_limit", json_string(bytes));
    assert_int_equal(job_program_run(ground, "limited", NULL), 0);
    job_set(ground, "limited", "memory_limit", json_string("1M"));
    assert_int_equal(job_program_run(ground, "limited", NULL), 1);
    char *said = program_errors(ground);
    assert_non_null(strstr(said, "training takes"));
    assert_non_null(strstr(said, "memory_limit allows 1 MB"));
    assert_null(strstr(said, "no shards yet"));
    free(said);
    free(bytes);
}

/* Four thousand BERTs of twelve layers with embeddings of a million pieces are more than any machine has. */
static void what_no_machine_has_is_refused(void **state)
{
    static const char *const candidates[] = {"per_device_train_batch_size=8", NULL};
    static const char config[] = "{\"model_type\": \"bert\", \"vocab_size\": 1000000, \"hidden_size\": 768, "
                                 "\"num_hidden_layers\": 12, \"num_attention_heads\": 12, \"intermediate_size\": 3072, "
                                 "\"max_position_embeddings\": 512, \"type_vocab_size\": 2, \"hidden_act\": \"gelu\", "
                                 "\"hidden_dropout_prob\": 0.1, \"attention_probs_dropout_prob\": 0.1, "
                                 "\"layer_norm_eps\": 1e-12, \"initializer_range\": 0.02}";
    Diagnostic diagnostic = {0};
    Ground large = *(const Ground *)*state;
    large.model = path_join(large.folder, "large");
    char *path = path_join(large.model, "config.json");
    must(folder_create(file_system_posix(), large.model, &diagnostic), &diagnostic);
    must(file_write_durable(file_system_posix(), path, config, sizeof config - 1, &diagnostic), &diagnostic);
    write_plan(&large, "crowd", candidates, 4096, true);
    assert_int_equal(job_program_run(&large, "crowd", NULL), 1);
    char *said = program_errors(&large);
    assert_non_null(strstr(said, "4096 trainings at once take"));
    assert_non_null(strstr(said, "run fewer at once"));
    assert_non_null(strstr(said, "every sentence counts as one of max_seq_length, 200 pieces"));
    free(said);
    free(path);
    free(large.model);
}

static void refused(const Ground *ground, const char *part)
{
    assert_int_equal(job_program_run(ground, "bad", NULL), 1);
    char *said = program_errors(ground);
    if (!strstr(said, part))
        fail_msg("\"%s\" is not in: %s", part, said);
    free(said);
}

static void a_bad_plan_is_refused(void **state)
{
    static const char *const none[] = {NULL}, *const candidates[] = {"", NULL};
    const Ground *ground = *state;
    write_plan(ground, "bad", none, 1, true);
    refused(ground, "\"candidates\" is to hold 1 to");
    write_plan(ground, "bad", candidates, 0, true);
    refused(ground, "trainings");
    write_plan(ground, "bad", candidates, 1, true);
    job_set(ground, "bad", "metric", json_object());
    refused(ground, "unknown key \"metric\"");
    write_plan(ground, "bad", candidates, 1, false);
    job_set(ground, "bad", "shards", json_string("/nowhere"));
    refused(ground, "/nowhere");
    write_plan(ground, "bad", candidates, 1, false);
    job_set(ground, "bad", "kind", json_string("guess"));
    refused(ground, "a job of kind \"guess\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_that_of_the_training_that_follows),
        cmocka_unit_test(without_shards_every_sentence_is_as_long_as_it_may_be),
        cmocka_unit_test(evaluation_is_counted_without_shards),
        cmocka_unit_test(the_steps_of_every_epoch_are_looked_at),
        cmocka_unit_test(chunks_share_the_assumed_sentences),
        cmocka_unit_test(the_largest_candidate_is_shown),
        cmocka_unit_test(trainings_at_once_are_added_up),
        cmocka_unit_test(what_no_machine_has_is_refused),
        cmocka_unit_test(a_bad_plan_is_refused),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
