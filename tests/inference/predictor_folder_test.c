/* Model folders that do not fit together are refused, each with what is wrong; and what nersweep.json may say. */
#include <stdlib.h>
#include <string.h>

#include "inference/notes.h"
#include "inference/predictor.h"
#include "tests/inference/tiny_folder.h"

static const PredictorOptions OPTIONS = {.backend = "reference", .threads = 1, .stride = -1, .aggregation = AGGREGATE_FIRST};

static void refuse_with(const char *folder, const PredictorOptions *options, Status status, const char *part)
{
    Predictor *predictor = (Predictor *)1;
    Diagnostic diagnostic = {0};
    ASSERT_FAILS(predictor_open(&predictor, folder, options, &diagnostic), status, &diagnostic, part);
    assert_null(predictor);
}

/* A fresh folder in which one file is edited (old set), replaced, or removed (new NULL). */
static void refuse(const char *file, const char *old, const char *new, Status status, const char *part)
{
    char *folder = tiny_folder_make("predictor-hostile", false);
    if (old)
        tiny_folder_edit(folder, file, old, new);
    else
        tiny_folder_write(folder, file, new);
    refuse_with(folder, &OPTIONS, status, part);
    free(folder);
}

static void a_folder_without_a_part_is_refused_by_its_name(void **state)
{
    (void)state;
    refuse("vocab.txt", NULL, NULL, STATUS_NOT_FOUND, "vocab.txt");
    refuse("config.json", NULL, NULL, STATUS_NOT_FOUND, "config.json");
    refuse("model.safetensors", NULL, NULL, STATUS_NOT_FOUND, "model.safetensors");
    refuse_with("/nonexistent/model", &OPTIONS, STATUS_NOT_FOUND, "config.json");
}

static void labels_must_be_there_once_each_and_have_a_type(void **state)
{
    (void)state;
    refuse("config.json", "\"id2label\"", "\"id2lable\"", STATUS_MISMATCH, "no id2label");
    refuse("config.json", "\"1\": \"B-LOC\"", "\"1\": \"I-LOC\"", STATUS_MISMATCH, "\"I-LOC\" twice");
    refuse("config.json", "\"1\": \"B-LOC\"", "\"1\": \"LOC\"", STATUS_INVALID_INPUT, "LOC");
    refuse("config.json", "\"1\": \"B-LOC\"", "\"9\": \"B-LOC\"", STATUS_INVALID_INPUT, "id2label");
    refuse("config.json", "\"4\": \"I-PER\"", "\"4\": \"I-PER\", \"5\": \"B-X\"", STATUS_MISMATCH, "classifier");
    char *label = memory_allocate(400, 1), *edited;
    memset(label, 'x', 399);
    edited = memory_format("\"1\": \"B-%s\"", label);
    refuse("config.json", "\"1\": \"B-LOC\"", edited, STATUS_LIMIT, "longer than 127 bytes");
    free(edited);
    free(label);
}

static void a_vocabulary_of_another_model_is_refused(void **state)
{
    (void)state;
    refuse("vocab.txt", "kz\n", "kz\nkaa\n", STATUS_MISMATCH, "vocab");
    refuse("vocab.txt", "[SEP]\n", "sep\n", STATUS_MISMATCH, "[SEP]");
    refuse("vocab.txt", NULL, "", STATUS_INVALID_INPUT, "empty");
    refuse("config.json", "\"vocab_size\": ", "\"vocab_size\": 1", STATUS_MISMATCH, "word_embeddings");
    refuse("config.json", "\"hidden_size\": 16", "\"hidden_size\": 32", STATUS_MISMATCH, "shape");
    refuse("config.json", NULL, "[]", STATUS_INVALID_INPUT, "");
    refuse("model.safetensors", NULL, "garbage", STATUS_CORRUPT, "");
}

static void nersweep_json_is_checked_value_by_value(void **state)
{
    (void)state;
    refuse("nersweep.json", NULL, "{", STATUS_INVALID_INPUT, "");
    refuse("nersweep.json", NULL, "[1, 2]", STATUS_INVALID_INPUT, "format");
    refuse("nersweep.json", NULL, "\x01\xFF garbage", STATUS_INVALID_INPUT, "");
    refuse("nersweep.json", "\"format\": 1", "\"format\": 2", STATUS_INVALID_INPUT, "format");
    refuse("nersweep.json", "\"IOB2\"", "\"XYZ\"", STATUS_INVALID_INPUT, "XYZ");
    refuse("nersweep.json", "\"treebank\"", "\"penn\"", STATUS_INVALID_INPUT, "penn");
    refuse("nersweep.json", "\"treebank\"", "7", STATUS_INVALID_INPUT, "words");
    refuse("nersweep.json", "\"max_seq_length\": 64", "\"max_seq_length\": 65", STATUS_INVALID_INPUT, "max_seq_length");
    refuse("nersweep.json", "\"max_seq_length\": 64", "\"max_seq_length\": 2", STATUS_INVALID_INPUT, "max_seq_length");
    refuse("nersweep.json", "\"max_seq_length\": 64", "\"max_seq_length\": 1e400", STATUS_INVALID_INPUT, "");
    refuse("nersweep.json", "\"stride\": 8", "\"stride\": 62", STATUS_INVALID_INPUT, "stride");
    refuse("nersweep.json", "\"stride\": 8", "\"stride\": -1", STATUS_INVALID_INPUT, "stride");
}

static void options_that_do_not_fit_the_model_are_wrong_usage(void **state)
{
    (void)state;
    char *folder = tiny_folder_make("predictor-options", false);
    PredictorOptions options = OPTIONS;
    options.max_seq_length = TINY_POSITIONS + 1;
    refuse_with(folder, &options, STATUS_USAGE, "max_seq_length 65");
    options.max_seq_length = 10; /* with the folder's stride of 8 */
    refuse_with(folder, &options, STATUS_USAGE, "smaller stride");
    options = OPTIONS;
    options.stride = 62;
    refuse_with(folder, &options, STATUS_USAGE, "stride 62");
    options = OPTIONS;
    options.words = "corpus";
    refuse_with(folder, &options, STATUS_USAGE, "\"corpus\"");
    free(folder);
}

static void a_folder_of_others_has_default_notes(void **state)
{
    (void)state;
    char *folder = tiny_folder_make("predictor-foreign", false);
    PredictionNotes notes;
    Diagnostic diagnostic = {0};
    ASSERT_OK(prediction_notes_read(&notes, folder, TINY_POSITIONS, &diagnostic), &diagnostic);
    assert_int_equal(notes.stride, 8);
    tiny_folder_write(folder, "nersweep.json", NULL);
    ASSERT_OK(prediction_notes_read(&notes, folder, 512, &diagnostic), &diagnostic);
    assert_int_equal(notes.max_seq_length, 512);
    assert_int_equal(notes.stride, 50);
    assert_int_equal(notes.words, WORDS_TREEBANK);
    /* Few positions: the usual stride would leave no step. */
    for (int32_t positions = 3; positions < 60; positions++) {
        ASSERT_OK(prediction_notes_read(&notes, folder, positions, &diagnostic), &diagnostic);
        assert_true(notes.stride >= 0 && notes.stride < notes.max_seq_length - 2);
    }
    Predictor *predictor = NULL;
    ASSERT_OK(predictor_open(&predictor, folder, &OPTIONS, &diagnostic), &diagnostic);
    predictor_close(&predictor);
    assert_null(predictor);
    free(folder);
}

static void aggregation_has_the_pipelines_names(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "simple", "first", "average", "max"};
    AggregationStrategy strategy;
    for (int i = 0; i < 5; i++) {
        assert_true(aggregation_parse(names[i], &strategy));
        assert_int_equal(strategy, i);
    }
    assert_false(aggregation_parse("First", &strategy));
    assert_false(aggregation_parse("", &strategy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_without_a_part_is_refused_by_its_name),
        cmocka_unit_test(labels_must_be_there_once_each_and_have_a_type),
        cmocka_unit_test(a_vocabulary_of_another_model_is_refused),
        cmocka_unit_test(nersweep_json_is_checked_value_by_value),
        cmocka_unit_test(options_that_do_not_fit_the_model_are_wrong_usage),
        cmocka_unit_test(a_folder_of_others_has_default_notes),
        cmocka_unit_test(aggregation_has_the_pipelines_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
