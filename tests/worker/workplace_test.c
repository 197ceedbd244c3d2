/* Whether shards, vocabulary, start model and labels fit one another. */
#include "tests/worker/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file.h"
#include "model/folder.h"

static void shards_of_another_vocabulary_are_refused_by_name(void **state)
{
    const Ground *ground = *state;
    Workplace workplace;
    Diagnostic diagnostic = {0};
    WorkplaceOptions place = {.backend = "reference", .threads = 1};
    Communicator *communicator = communicator_alone();
    char *vocab = path_join(ground->folder, "other_vocab.txt"), *store = path_join(ground->folder, "refused");
    TrainingData data = {.model = ground->model, .random_weights = true, .vocab = vocab, .shards = ground->shards, .store = store};
    must(file_write_durable(file_system_posix(), vocab, "[PAD]\n[UNK]\n", 12, &diagnostic), &diagnostic);
    must(workplace_open(&workplace, communicator, &place, &diagnostic), &diagnostic);
    assert_int_equal(workplace_set_data(&workplace, &data, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "another vocabulary"));
    assert_non_null(strstr(diagnostic.message, "other_vocab.txt"));
    workplace_close(&workplace);
    communicator_close(&communicator);
    free(vocab);
    free(store);
}

static void shards_that_are_too_long_for_the_model_are_refused(void **state)
{
    const Ground *ground = *state;
    Workplace workplace;
    Diagnostic diagnostic = {0};
    WorkplaceOptions place = {.backend = "reference", .threads = 1};
    Communicator *communicator = communicator_alone();
    char *shards = ground_make_shards(ground, "long_shards", 512), *store = path_join(ground->folder, "refused");
    TrainingData data = {.model = ground->model, .random_weights = true, .shards = shards, .store = store};
    must(workplace_open(&workplace, communicator, &place, &diagnostic), &diagnostic);
    assert_int_equal(workplace_set_data(&workplace, &data, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "256 positions"));
    workplace_close(&workplace);
    communicator_close(&communicator);
    free(shards);
    free(store);
}

static void shards_are_copied_once_when_they_may_not_be_read_where_they_are(void **state)
{
    const Ground *ground = *state;
    Diagnostic diagnostic = {0};
    char *local, *again;
    ShardStore *store;
    assert_int_equal(setenv("TMPDIR", ground->folder, 1), 0);
    must(shards_make_local(ground->shards, true, &local, &diagnostic), &diagnostic);
    must(shards_make_local(ground->shards, true, &again, &diagnostic), &diagnostic);
    unsetenv("TMPDIR");
    assert_string_equal(local, again);
    assert_string_not_equal(local, ground->shards);
    must(shard_store_open(&store, local, &diagnostic), &diagnostic);
    assert_int_equal(shard_sequence_count(store, shard_split_find(store, "train")), 40);
    shard_store_close(&store);
    free(again);
    must(shards_make_local(ground->shards, false, &again, &diagnostic), &diagnostic);
    assert_string_equal(again, ground->shards);
    free(local);
    free(again);
}

static void shards_of_another_casing_are_refused_unless_it_was_asked_for(void **state)
{
    const Ground *ground = *state;
    Workplace workplace;
    Diagnostic diagnostic = {0};
    WorkplaceOptions place = {.backend = "reference", .threads = 1};
    Communicator *communicator = communicator_alone();
    char *store = path_join(ground->folder, "refused"), *config = path_join(ground->model, "tokenizer_config.json");
    TrainingData data = {.model = ground->model, .random_weights = true, .shards = ground->shards, .store = store};
    must(file_write_durable(file_system_posix(), config, "{\"do_lower_case\": false}", 24, &diagnostic), &diagnostic);
    must(workplace_open(&workplace, communicator, &place, &diagnostic), &diagnostic);
    assert_int_equal(workplace_set_data(&workplace, &data, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "do_lower_case false"));
    data.shards = ground_make_weighted_shards(ground, "casing_given", "", 1);
    must(workplace_set_data(&workplace, &data, &diagnostic), &diagnostic);
    workplace_close(&workplace);
    communicator_close(&communicator);
    unlink(config);
    free(data.shards);
    free(config);
    free(store);
}

static void a_classifier_for_other_labels_is_not_used(void **state)
{
    const Ground *ground = *state;
    Diagnostic diagnostic = {0};
    Workplace workplace;
    Communicator *communicator = communicator_alone();
    ground_workplace(ground, communicator, "other_labels", &workplace);
    TrainingOptions options = ground_options("");
    char *folder = path_join(ground->folder, "labelled"), hex[2][17];
    Model *model = NULL;
    must(folder_create(file_system_posix(), folder, &diagnostic), &diagnostic);
    must(workplace_start_model(&workplace, &options, &model, hex[0], &diagnostic), &diagnostic);
    FloatArray values = {0};
    array_reserve(&values, model_layout(model)->float_count);
    must(model_parameters_get(model, values.items, &diagnostic), &diagnostic);
    for (int swapped = 0; swapped < 2; swapped++) {
        BertConfig config = {0};
        bert_config_copy(&config, &workplace.config);
        if (swapped) { /* the same labels, the first two in the other order */
            char *first = config.labels[0];
            config.labels[0] = config.labels[1];
            config.labels[1] = first;
        }
        must(model_folder_write(folder, &config, model_layout(model), values.items, ground->model, true, 200, NULL,
                                file_system_posix(), &diagnostic),
             &diagnostic);
        Workplace other;
        Ground labelled = {.folder = ground->folder, .model = folder, .shards = ground->shards};
        WorkplaceOptions place = {.backend = "reference", .threads = 1};
        TrainingData data = {.model = folder, .shards = labelled.shards, .store = workplace.work_folder};
        must(workplace_open(&other, communicator, &place, &diagnostic), &diagnostic);
        must(workplace_set_data(&other, &data, &diagnostic), &diagnostic);
        Model *started = NULL;
        options.seed = 7; /* another head, where there is a new one */
        must(workplace_start_model(&other, &options, &started, hex[1], &diagnostic), &diagnostic);
        assert_int_equal(strcmp(hex[0], hex[1]) == 0, !swapped);
        model_destroy(&started);
        workplace_close(&other);
        bert_config_free(&config);
    }
    array_free(&values);
    model_destroy(&model);
    workplace_close(&workplace);
    communicator_close(&communicator);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_of_another_vocabulary_are_refused_by_name),
        cmocka_unit_test(shards_that_are_too_long_for_the_model_are_refused),
        cmocka_unit_test(shards_of_another_casing_are_refused_unless_it_was_asked_for),
        cmocka_unit_test(a_classifier_for_other_labels_is_not_used),
        cmocka_unit_test(shards_are_copied_once_when_they_may_not_be_read_where_they_are),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
