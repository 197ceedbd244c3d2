/* Model folders in and out. */
#include "tests/model/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "model/folder.h"
#include "model/safetensors.h"

/* Special pieces stand where SciBERT-like vocabularies have them: not at 100. */
static const char VOCABULARY[] = "[PAD]\nthe\n[UNK]\n[CLS]\n##s\n[SEP]\nof\n\xc3\xa9t\xc3\xa9\n";

static void write_text(const char *folder, const char *name, const char *text)
{
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, name);
    ASSERT_OK(file_write_durable(file_system_posix(), path, text, strlen(text), &diagnostic), &diagnostic);
    free(path);
}

typedef struct Fixture {
    BertConfig config;
    TinyModel tiny;
    float *values;
    char *source, *folder; /* source holds vocab.txt, folder what was written */
} Fixture;

static Status write_folder(Fixture *fixture, const char *folder, const char *source, Diagnostic *diagnostic)
{
    Json *notes = json_object();
    json_set(notes, "words", json_string("corpus"));
    Status status = model_folder_write(folder, model_config(fixture->tiny.model), model_layout(fixture->tiny.model),
                                       fixture->values, source, true, 20, notes, file_system_posix(), diagnostic);
    json_destroy(&notes);
    return status;
}

static Fixture make_fixture(void)
{
    Fixture fixture = {
        .config = support_tiny_config(0.1f), .source = support_folder("folder-source"), .folder = support_folder("folder")};
    Diagnostic diagnostic = {0};
    write_text(fixture.source, "vocab.txt", VOCABULARY);
    fixture.tiny = support_model(backend_reference(), &fixture.config, 3);
    fixture.values = support_parameters(fixture.tiny.model);
    ASSERT_OK(write_folder(&fixture, fixture.folder, fixture.source, &diagnostic), &diagnostic);
    return fixture;
}

static void free_fixture(Fixture *fixture)
{
    support_model_free(&fixture->tiny);
    bert_config_free(&fixture->config);
    free(fixture->values);
    free(fixture->source);
    free(fixture->folder);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    Diagnostic diagnostic = {0};
    char *paths[2] = {path_join(a, name), path_join(b, name)}, *bytes[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        ASSERT_OK(file_read(paths[i], 1 << 20, &bytes[i], &size[i], &diagnostic), &diagnostic);
        free(paths[i]);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    free(bytes[0]);
    free(bytes[1]);
}

static void a_written_folder_read_and_written_again_is_the_same_bytes(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    char *config_path = path_join(fixture.folder, "config.json"), *again = support_folder("folder-again");
    BertConfig config;
    ASSERT_OK(bert_config_read(&config, config_path, &diagnostic), &diagnostic);
    assert_string_equal(config.labels[2], "I-X");
    TinyModel other = support_model(backend_reference(), &config, 77);
    ASSERT_OK(model_folder_load(other.model, fixture.folder, MODEL_HEAD_REQUIRED, 0, &diagnostic), &diagnostic);
    float *read = support_parameters(other.model);
    assert_memory_equal(read, fixture.values, model_layout(other.model)->float_count * sizeof *read);
    Json *notes = NULL;
    char *notes_path = path_join(fixture.folder, "nersweep.json");
    ASSERT_OK(json_read_file(&notes, notes_path, 1 << 20, &diagnostic), &diagnostic);
    assert_string_equal(json_string_value(json_get(notes, "words")), "corpus");
    assert_int_equal(json_integer_value(json_get(notes, "max_seq_length"), 0), 20);
    ASSERT_OK(model_folder_write(again, &config, model_layout(other.model), read, fixture.folder, true, 20, notes,
                                 file_system_posix(), &diagnostic),
              &diagnostic);
    StringArray names = {0};
    ASSERT_OK(folder_list(again, &names, &diagnostic), &diagnostic);
    assert_int_equal(names.count, 7);
    for (size_t i = 0; i < names.count; i++)
        assert_same_file(fixture.folder, again, names.items[i]);
    assert_same_file(fixture.source, again, "vocab.txt");
    string_array_free(&names);
    json_destroy(&notes);
    free(notes_path);
    free(read);
    support_model_free(&other);
    bert_config_free(&config);
    free(config_path);
    free(again);
    free_fixture(&fixture);
}

static void special_ids_are_looked_up_and_not_assumed(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    Json *json = NULL;
    char *path = path_join(fixture.folder, "tokenizer.json");
    ASSERT_OK(json_read_file(&json, path, 1 << 20, &diagnostic), &diagnostic);
    const Json *specials = json_get(json_get(json, "post_processor"), "special_tokens");
    assert_int_equal(json_integer_value(json_at(json_get(json_get(specials, "[CLS]"), "ids"), 0), -1), 3);
    assert_int_equal(json_integer_value(json_at(json_get(json_get(specials, "[SEP]"), "ids"), 0), -1), 5);
    static const int64_t ids[] = {0, 2, 3, 5}; /* without [MASK], sorted */
    assert_int_equal(json_count(json_get(json, "added_tokens")), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_integer_value(json_get(json_at(json_get(json, "added_tokens"), i), "id"), -1), ids[i]);
    assert_int_equal(json_integer_value(json_get(json_get(json_get(json, "model"), "vocab"), "\xc3\xa9t\xc3\xa9"), -1), 7);
    assert_true(json_boolean_value(json_get(json_get(json, "normalizer"), "lowercase"), false));
    json_destroy(&json);
    free(path);
    free_fixture(&fixture);
}

/* -- weights as others write them */

typedef struct Rewrite {
    bool strip_prefix, old_norm_names, pooler;
    const char *drop;       /* tensor left out */
    const char *reshape;    /* tensor flattened */
    const char *not_finite; /* tensor with a NaN */
} Rewrite;

static char *renamed(const char *name, const Rewrite *rewrite)
{
    const char *start = rewrite->strip_prefix && strncmp(name, "bert.", 5) == 0 ? name + 5 : name;
    const char *norm = strstr(start, "LayerNorm.");
    if (!rewrite->old_norm_names || !norm)
        return memory_copy_string(start);
    return memory_format("%.*sLayerNorm.%s", (int)(norm - start), start, strstr(norm, "weight") ? "gamma" : "beta");
}

static void rewrite_weights(Fixture *fixture, const Rewrite *rewrite)
{
    Diagnostic diagnostic = {0};
    const ModelLayout *layout = model_layout(fixture->tiny.model);
    TensorOut tensors[64] = {0};
    size_t count = 0;
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        TensorOut *tensor = &tensors[count];
        if (rewrite->drop && strcmp(parameter->name, rewrite->drop) == 0)
            continue;
        *tensor = (TensorOut){.name = renamed(parameter->name, rewrite),
                              .rank = parameter->shape[1] ? 2 : 1,
                              .shape = {parameter->shape[0], parameter->shape[1]},
                              .values = fixture->values + parameter->offset,
                              .count = parameter->count};
        if (rewrite->reshape && strcmp(parameter->name, rewrite->reshape) == 0) {
            tensor->rank = 1;
            tensor->shape[0] = (int64_t)parameter->count;
        }
        if (rewrite->not_finite && strcmp(parameter->name, rewrite->not_finite) == 0)
            fixture->values[parameter->offset + 2] = NAN;
        count++;
    }
    if (rewrite->pooler)
        tensors[count++] = (TensorOut){
            .name = memory_copy_string("pooler.dense.bias"), .rank = 1, .shape = {4}, .values = fixture->values, .count = 4};
    char *path = path_join(fixture->folder, "model.safetensors");
    ASSERT_OK(safetensors_write(path, tensors, count, NULL, 0, file_system_posix(), &diagnostic), &diagnostic);
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)tensors[i].name);
    free(path);
}

static void a_pretrained_body_with_old_names_gets_a_new_head(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    rewrite_weights(&fixture,
                    &(Rewrite){.strip_prefix = true, .old_norm_names = true, .pooler = true, .drop = "classifier.weight"});
    TinyModel other = support_model(backend_reference(), &fixture.config, 77);
    const ModelLayout *layout = model_layout(other.model);
    size_t border = layout->part_offset[layout->part_count - 1];
    ASSERT_FAILS(model_folder_load(other.model, fixture.folder, MODEL_HEAD_REQUIRED, 9, &diagnostic), STATUS_MISMATCH, &diagnostic,
                 "classifier.weight");
    ASSERT_OK(model_folder_load(other.model, fixture.folder, MODEL_HEAD_INITIALIZE, 9, &diagnostic), &diagnostic);
    float *read = support_parameters(other.model);
    assert_memory_equal(read, fixture.values, border * sizeof *read);
    ASSERT_OK(model_initialize(other.model, 9, true, &diagnostic), &diagnostic);
    float *initialized = support_parameters(other.model);
    assert_memory_equal(read, initialized, layout->float_count * sizeof *read);
    free(read);
    free(initialized);
    support_model_free(&other);
    free_fixture(&fixture);
}

static void a_head_for_other_labels_is_replaced_or_refused(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    static const char *const labels[] = {"O", "B-A", "I-A", "B-B", "I-B"};
    bert_config_set_labels(&fixture.config, labels, 5);
    TinyModel other = support_model(backend_reference(), &fixture.config, 77);
    ASSERT_FAILS(model_folder_load(other.model, fixture.folder, MODEL_HEAD_REQUIRED, 9, &diagnostic), STATUS_MISMATCH, &diagnostic,
                 "\"classifier.weight\" has the shape [3, 16], the configuration asks for [5, 16]");
    ASSERT_OK(model_folder_load(other.model, fixture.folder, MODEL_HEAD_INITIALIZE, 9, &diagnostic), &diagnostic);
    support_model_free(&other);
    free_fixture(&fixture);
}

static void refuse_weights(const Rewrite *rewrite, Status wanted, const char *message)
{
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    rewrite_weights(&fixture, rewrite);
    TinyModel other = support_model(backend_reference(), &fixture.config, 77);
    float *before = support_parameters(other.model);
    ASSERT_FAILS(model_folder_load(other.model, fixture.folder, MODEL_HEAD_INITIALIZE, 0, &diagnostic), wanted, &diagnostic,
                 message);
    float *after = support_parameters(other.model);
    assert_memory_equal(before, after, model_layout(other.model)->float_count * sizeof *before);
    free(before);
    free(after);
    support_model_free(&other);
    free_fixture(&fixture);
}

static void missing_misshapen_and_broken_tensors_are_named(void **state)
{
    (void)state;
    refuse_weights(&(Rewrite){.drop = "bert.encoder.layer.1.output.dense.bias"}, STATUS_MISMATCH,
                   "\"bert.encoder.layer.1.output.dense.bias\" of shape [16] is missing");
    refuse_weights(&(Rewrite){.reshape = "bert.embeddings.position_embeddings.weight"}, STATUS_MISMATCH,
                   "has the shape [320], the configuration asks for [20, 16]");
    refuse_weights(&(Rewrite){.not_finite = "bert.embeddings.LayerNorm.bias"}, STATUS_CORRUPT, "bert.embeddings.LayerNorm.bias");
}

static void a_folder_of_another_size_or_without_weights_is_refused(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    BertConfig deeper = support_tiny_config(0);
    deeper.num_hidden_layers = 3;
    TinyModel other = support_model(backend_reference(), &deeper, 77);
    ASSERT_FAILS(model_folder_load(other.model, fixture.folder, MODEL_HEAD_REQUIRED, 0, &diagnostic), STATUS_MISMATCH, &diagnostic,
                 "2 layers of 4 heads");
    support_model_free(&other);
    bert_config_free(&deeper);
    char *path = path_join(fixture.folder, "model.safetensors");
    assert_int_equal(unlink(path), 0);
    ASSERT_FAILS(model_folder_load(fixture.tiny.model, fixture.folder, MODEL_HEAD_REQUIRED, 0, &diagnostic), STATUS_NOT_FOUND,
                 &diagnostic, "model.safetensors");
    free(path);
    free_fixture(&fixture);
}

/* -- vocabularies */

static void lower_case_is_stated_or_guessed_from_the_vocabulary(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    TokenizerFiles files;
    ASSERT_OK(model_folder_tokenizer(fixture.folder, &files, &diagnostic), &diagnostic);
    assert_true(files.lowercase && files.lowercase_stated);
    tokenizer_files_free(&files);
    write_text(fixture.folder, "tokenizer_config.json", "{\"do_lower_case\": false}");
    ASSERT_OK(model_folder_tokenizer(fixture.folder, &files, &diagnostic), &diagnostic);
    assert_true(!files.lowercase && files.lowercase_stated);
    tokenizer_files_free(&files);
    write_text(fixture.folder, "tokenizer_config.json", "{}");
    ASSERT_OK(model_folder_tokenizer(fixture.folder, &files, &diagnostic), &diagnostic);
    assert_true(files.lowercase && !files.lowercase_stated); /* [CLS] is no cased piece */
    tokenizer_files_free(&files);
    write_text(fixture.folder, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nThe\nthe\n");
    ASSERT_OK(model_folder_tokenizer(fixture.folder, &files, &diagnostic), &diagnostic);
    assert_true(!files.lowercase && !files.lowercase_stated);
    assert_true(strstr(files.vocab_path, "/vocab.txt") != NULL);
    tokenizer_files_free(&files);
    write_text(fixture.folder, "tokenizer_config.json", "{");
    assert_int_equal(model_folder_tokenizer(fixture.folder, &files, &diagnostic), STATUS_INVALID_INPUT);
    free_fixture(&fixture);
}

static void refuse_vocabulary(const char *vocabulary, Status wanted, const char *message)
{
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    char *target = support_folder("folder-again");
    write_text(fixture.source, "vocab.txt", vocabulary);
    ASSERT_FAILS(write_folder(&fixture, target, fixture.source, &diagnostic), wanted, &diagnostic, message);
    StringArray names = {0};
    ASSERT_OK(folder_list(target, &names, &diagnostic), &diagnostic);
    assert_int_equal(names.count, 0);
    string_array_free(&names);
    free(target);
    free_fixture(&fixture);
}

static void vocabularies_that_do_not_fit_the_model_are_refused(void **state)
{
    (void)state;
    Text text = {0};
    text_append_string(&text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
    for (int i = 4; i < 51; i++)
        text_format(&text, "w%d\n", i);
    refuse_vocabulary(text.bytes, STATUS_MISMATCH, "51 pieces, the model has embeddings for 50");
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    TokenizerFiles files;
    write_text(fixture.folder, "vocab.txt", text.bytes);
    ASSERT_FAILS(model_folder_tokenizer(fixture.folder, &files, &diagnostic), STATUS_MISMATCH, &diagnostic, "51 pieces");
    free_fixture(&fixture);
    text_free(&text);
    refuse_vocabulary("[PAD]\n[UNK]\n[SEP]\nthe\n", STATUS_MISMATCH, "[CLS]");
    refuse_vocabulary("", STATUS_INVALID_INPUT, "empty");
    refuse_vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xc3\x28\n", STATUS_INVALID_INPUT, "UTF-8");
}

static void two_labels_of_one_name_and_impossible_lengths_are_refused(void **state)
{
    (void)state;
    Fixture fixture = make_fixture();
    Diagnostic diagnostic = {0};
    static const char *const labels[] = {"O", "B-A", "B-A"};
    const ModelLayout *layout = model_layout(fixture.tiny.model);
    ASSERT_FAILS(model_folder_write(fixture.folder, &fixture.config, layout, fixture.values, fixture.source, true, 21, NULL,
                                    file_system_posix(), &diagnostic),
                 STATUS_MISMATCH, &diagnostic, "max_seq_length 21");
    bert_config_set_labels(&fixture.config, labels, 3);
    ASSERT_FAILS(model_folder_write(fixture.folder, &fixture.config, layout, fixture.values, fixture.source, true, 20, NULL,
                                    file_system_posix(), &diagnostic),
                 STATUS_INVALID_INPUT, &diagnostic, "B-A");
    free_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_folder_read_and_written_again_is_the_same_bytes),
        cmocka_unit_test(special_ids_are_looked_up_and_not_assumed),
        cmocka_unit_test(a_pretrained_body_with_old_names_gets_a_new_head),
        cmocka_unit_test(a_head_for_other_labels_is_replaced_or_refused),
        cmocka_unit_test(missing_misshapen_and_broken_tensors_are_named),
        cmocka_unit_test(a_folder_of_another_size_or_without_weights_is_refused),
        cmocka_unit_test(lower_case_is_stated_or_guessed_from_the_vocabulary),
        cmocka_unit_test(vocabularies_that_do_not_fit_the_model_are_refused),
        cmocka_unit_test(two_labels_of_one_name_and_impossible_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
