/* One BERT in every form of weights gives one model; indexes that lie are refused. */
#include "tests/model/support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/io/file.h"
#include "model/folder.h"
#include "model/weights.h"

static void write_text(const char *folder, const char *name, const char *text, size_t size)
{
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, name);
    ASSERT_OK(file_write_durable(file_system_posix(), path, text, size, &diagnostic), &diagnostic);
    free(path);
}

static void copy_golden_as(const char *folder, const char *file, const char *name)
{
    Diagnostic diagnostic = {0};
    char *relative = memory_format("tests/golden/torch/%s", file), *path = support_source_path(relative), *bytes;
    size_t size;
    ASSERT_OK(file_read(path, 1 << 20, &bytes, &size, &diagnostic), &diagnostic);
    write_text(folder, name, bytes, size);
    free(bytes);
    free(path);
    free(relative);
}

static void copy_golden(const char *folder, const char *file)
{
    copy_golden_as(folder, file, file);
}

/* A folder with a golden file under the given name, and the tiny model's config.json. */
static char *make_folder(const char *name, const char *file)
{
    static const char config[] = "{\"model_type\": \"bert\", \"vocab_size\": 50, \"hidden_size\": 16, \"num_hidden_layers\": 2, "
                                 "\"num_attention_heads\": 4, \"intermediate_size\": 24, \"max_position_embeddings\": 20, "
                                 "\"type_vocab_size\": 2, \"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.1, "
                                 "\"attention_probs_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-12, \"initializer_range\": 0.02}";
    char *folder = support_folder(name);
    write_text(folder, "config.json", config, sizeof config - 1);
    copy_golden_as(folder, file, "pytorch_model.bin");
    return folder;
}

/* The model that a folder gives, with a head from the seed. */
static float *load(const char *folder, size_t *count)
{
    Diagnostic diagnostic = {0};
    BertConfig config = support_tiny_config(0);
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    ASSERT_OK(model_folder_load(tiny.model, folder, MODEL_HEAD_INITIALIZE, 5, &diagnostic), &diagnostic);
    float *values = support_parameters(tiny.model);
    *count = model_layout(tiny.model)->float_count;
    support_model_free(&tiny);
    bert_config_free(&config);
    return values;
}

/* Writes tensors first, first + step ... of the folder's weights as a safetensors file. */
static void write_part(const char *from, const char *to, const char *name, size_t first, size_t step)
{
    Diagnostic diagnostic = {0};
    Weights *weights = NULL;
    TensorOut tensors[64] = {0};
    size_t count = 0;
    ASSERT_OK(weights_open(&weights, from, &diagnostic), &diagnostic);
    for (size_t i = first; i < weights_count(weights); i += step) {
        const TensorEntry *entry = weights_at(weights, i);
        TensorOut *out = &tensors[count];
        if (entry->type == TENSOR_I64)
            continue;
        *out = (TensorOut){.name = entry->name, .rank = entry->rank, .count = 1};
        for (int32_t axis = 0; axis < entry->rank; axis++)
            out->count *= (size_t)(out->shape[axis] = entry->shape[axis]);
        float *values = memory_allocate(out->count, sizeof *values);
        ASSERT_OK(weights_read_floats(weights, i, values, out->count, &diagnostic), &diagnostic);
        out->values = values;
        count++;
    }
    char *path = path_join(to, name);
    ASSERT_OK(safetensors_write(path, tensors, count, NULL, 0, file_system_posix(), &diagnostic), &diagnostic);
    for (size_t i = 0; i < count; i++)
        free((float *)(uintptr_t)tensors[i].values);
    free(path);
    weights_close(&weights);
}

static char *index_text(const char *from)
{
    Diagnostic diagnostic = {0};
    Weights *weights = NULL;
    Json *index = json_object(), *map = json_object();
    ASSERT_OK(weights_open(&weights, from, &diagnostic), &diagnostic);
    for (size_t i = 0; i < weights_count(weights); i++)
        if (weights_at(weights, i)->type != TENSOR_I64)
            json_set(map, weights_at(weights, i)->name,
                     json_string(i % 2 ? "model-00002-of-00002.safetensors" : "model-00001-of-00002.safetensors"));
    json_set(index, "weight_map", map);
    char *text = json_text(index, JSON_INDENTED);
    json_destroy(&index);
    weights_close(&weights);
    return text;
}

static void remove_weights(const char *folder)
{
    char *path = path_join(folder, "pytorch_model.bin");
    assert_int_equal(unlink(path), 0);
    free(path);
}

static char *make_sharded(const char *name)
{
    char *folder = make_folder(name, "bert-zip.bin"), *text = index_text(folder);
    write_part(folder, folder, "model-00001-of-00002.safetensors", 0, 2);
    write_part(folder, folder, "model-00002-of-00002.safetensors", 1, 2);
    write_text(folder, "model.safetensors.index.json", text, strlen(text));
    remove_weights(folder);
    free(text);
    return folder;
}

static void every_form_of_the_same_weights_gives_the_same_model(void **state)
{
    (void)state;
    char *folders[5] = {make_folder("weights-zip", "bert-zip.bin"), make_folder("weights-legacy", "bert-legacy.bin"),
                        make_folder("weights-bfloat16-zip", "bert-bfloat16-zip.bin"),
                        make_folder("weights-bfloat16-legacy", "bert-bfloat16-legacy.bin"), make_sharded("weights-sharded")};
    size_t count, other_count;
    float *wanted = load(folders[0], &count);
    assert_true(wanted[0] == -2.0f && wanted[1] != wanted[2]);
    for (size_t i = 1; i < 5; i++) {
        float *values = load(folders[i], &other_count);
        assert_int_equal(count, other_count);
        assert_memory_equal(values, wanted, count * sizeof *values); /* the golden numbers are exact in bfloat16 */
        free(values);
    }
    /* one safetensors file, which comes before all others: made from a file of another number type */
    write_part(folders[3], folders[4], "model.safetensors", 0, 1);
    char *index = path_join(folders[4], "model.safetensors.index.json");
    write_text(folders[4], "model.safetensors.index.json", "{", 1); /* never looked at */
    float *values = load(folders[4], &other_count);
    assert_memory_equal(values, wanted, count * sizeof *values);
    free(values);
    free(index);
    free(wanted);
    for (size_t i = 0; i < 5; i++)
        free(folders[i]);
}

/* The log of a call of load(). */
static float *load_with_log(const char *folder, size_t *count, char **log)
{
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, "log.txt");
    size_t size;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(file > 2);
    log_set_file_descriptor(file);
    float *values = load(folder, count);
    log_set_file_descriptor(2);
    close(file);
    ASSERT_OK(file_read(path, 1 << 20, log, &size, &diagnostic), &diagnostic);
    free(path);
    return values;
}

/* bert-base-cased and BioBERT, SciBERT and LegalBERT, FinBERT, a half-precision copy (tests/golden/make_torch_bins.py says how they differ),
 * and bert-large-cased's form: parts with an index. All have the numbers of bert-zip.bin. */
static void models_as_they_are_published_give_the_same_body(void **state)
{
    (void)state;
    static const struct {
        const char *file, *notice;
    } kinds[] = {
        {"published-base.bin", "ignored 10 tensors that a token classifier has no place for: bert.pooler.dense.bias"},
        {"published-scibert.bin", "ignored 12 tensors"},
        {"published-finbert.bin", "ignored 5 tensors that a token classifier has no place for: bert.embeddings.position_ids"},
        {"published-half.bin", "ignored 10 tensors"},
        {"pytorch_model-00001-of-00002.bin", "ignored 10 tensors"},
    };
    size_t count, other_count;
    char *folder = make_folder("weights-published-none", "bert-zip.bin"), *log;
    float *wanted = load(folder, &count);
    free(folder);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *name = memory_format("weights-published-%zu", i);
        folder = make_folder(name, kinds[i].file);
        if (strstr(kinds[i].file, "-of-")) {
            remove_weights(folder);
            copy_golden(folder, kinds[i].file);
            copy_golden(folder, "pytorch_model-00002-of-00002.bin");
            copy_golden(folder, "pytorch_model.bin.index.json");
        }
        float *values = load_with_log(folder, &other_count, &log);
        assert_int_equal(count, other_count);
        assert_memory_equal(values, wanted, count * sizeof *values);
        if (!strstr(log, kinds[i].notice))
            fail_msg("%s: \"%s\" is not in: %s", kinds[i].file, kinds[i].notice, log);
        free(log);
        free(values);
        free(folder);
        free(name);
    }
    free(wanted);
}

static void refuse_index(const char *index, Status wanted, const char *message)
{
    Diagnostic diagnostic = {0};
    Weights *weights = NULL;
    char *folder = make_sharded("weights-index");
    write_text(folder, "model.safetensors.index.json", index, strlen(index));
    ASSERT_FAILS(weights_open(&weights, folder, &diagnostic), wanted, &diagnostic, message);
    assert_null(weights);
    free(folder);
}

static void indexes_that_lie_are_refused(void **state)
{
    (void)state;
    refuse_index("{", STATUS_INVALID_INPUT, "");
    refuse_index("[]", STATUS_CORRUPT, "weight_map");
    refuse_index("{\"weight_map\": {}}", STATUS_CORRUPT, "weight_map");
    refuse_index("{\"weight_map\": {\"a\": 7}}", STATUS_CORRUPT, "tensor \"a\"");
    refuse_index("{\"weight_map\": {\"a\": \"../model.safetensors\"}}", STATUS_CORRUPT, "no plain name");
    refuse_index("{\"weight_map\": {\"a\": \"/etc/model.safetensors\"}}", STATUS_CORRUPT, "no plain name");
    refuse_index("{\"weight_map\": {\"a\": \".safetensors\"}}", STATUS_CORRUPT, "no plain name");
    refuse_index("{\"weight_map\": {\"a\": \"config.json\"}}", STATUS_CORRUPT, "no plain name");
    refuse_index("{\"weight_map\": {\"a\": \"model-00003-of-00002.safetensors\"}}", STATUS_NOT_FOUND, "model-00003");
    refuse_index("{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}", STATUS_CORRUPT,
                 "tensor \"a\" is not in the file");
}

static void a_tensor_in_two_files_is_refused(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    Weights *weights = NULL;
    char *folder = make_sharded("weights-twice"), *source = make_folder("weights-source", "bert-zip.bin");
    write_part(source, folder, "model-00002-of-00002.safetensors", 0, 1);
    ASSERT_FAILS(weights_open(&weights, folder, &diagnostic), STATUS_CORRUPT, &diagnostic, "is there twice");
    free(source);
    free(folder);
}

static void a_folder_without_weights_says_what_was_looked_for(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    Weights *weights = NULL;
    char *folder = make_folder("weights-none", "bert-zip.bin");
    remove_weights(folder);
    ASSERT_FAILS(weights_open(&weights, folder, &diagnostic), STATUS_NOT_FOUND, &diagnostic, "no pytorch_model.bin");
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_the_same_weights_gives_the_same_model),
        cmocka_unit_test(models_as_they_are_published_give_the_same_body),
        cmocka_unit_test(indexes_that_lie_are_refused),
        cmocka_unit_test(a_tensor_in_two_files_is_refused),
        cmocka_unit_test(a_folder_without_weights_says_what_was_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
