/* Reading model folders. */
#include "model/folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/memory.h"
#include "model/model_internal.h"
#include "model/vocabulary_file.h"
#include "model/weights.h"

enum { TOKENIZER_CONFIG_LIMIT_BYTES = 16 * 1024 * 1024, NAME_SIZE = 160, SHAPE_TEXT_SIZE = 192, IGNORED_NAMES_SHOWN = 3 };

/* -- tokenizer files */

static Status read_lowercase(const char *folder, TokenizerFiles *files, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *json = NULL;
    char *path = path_join(folder, "tokenizer_config.json");
    if (!path_exists(path))
        goto out;
    TRY(json_read_file(&json, path, TOKENIZER_CONFIG_LIMIT_BYTES, diagnostic));
    const Json *value = json_get(json, "do_lower_case");
    files->lowercase_stated = json_is_boolean(value);
    files->lowercase = json_boolean_value(value, true);
out:
    json_destroy(&json);
    free(path);
    return status;
}

/* vocab_size of the folder's config.json; the largest size we take where there is none. */
static Status read_vocab_limit(const char *folder, size_t *limit, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BertConfig config = {0};
    char *path = path_join(folder, "config.json");
    *limit = 2000000;
    if (path_exists(path)) {
        TRY(bert_config_read(&config, path, diagnostic));
        *limit = (size_t)config.vocab_size;
    }
out:
    bert_config_free(&config);
    free(path);
    return status;
}

Status model_folder_tokenizer(const char *folder, TokenizerFiles *files, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    VocabularyFile vocabulary = {0};
    size_t limit;
    *files = (TokenizerFiles){.vocab_path = path_join(folder, "vocab.txt")};
    if (!path_exists(files->vocab_path))
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "%s: the model folder has no vocab.txt", folder);
    TRY(read_vocab_limit(folder, &limit, diagnostic));
    TRY(vocabulary_file_read(&vocabulary, files->vocab_path, limit, diagnostic));
    TRY(read_lowercase(folder, files, diagnostic));
    if (!files->lowercase_stated)
        files->lowercase = !vocabulary_file_is_cased(&vocabulary);
out:
    vocabulary_file_free(&vocabulary);
    if (status != STATUS_OK)
        tokenizer_files_free(files);
    return status;
}

void tokenizer_files_free(TokenizerFiles *files)
{
    free(files->vocab_path);
    *files = (TokenizerFiles){0};
}

/* -- weights */

/* The old TensorFlow names of LayerNorm, into target; false where the name has none. */
static bool old_norm_name(const char *name, char target[NAME_SIZE])
{
    static const char *const pairs[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t tail = strlen(pairs[i][0]);
        if (length >= tail && strcmp(name + length - tail, pairs[i][0]) == 0) {
            snprintf(target, NAME_SIZE, "%.*s%s", (int)(length - tail), name, pairs[i][1]);
            return true;
        }
    }
    return false;
}

static bool find_tensor(const Weights *weights, const char *name, size_t *index)
{
    static const char prefix[] = "bert.";
    size_t prefix_length = sizeof prefix - 1;
    const char *names[2] = {name, strncmp(name, prefix, prefix_length) == 0 ? name + prefix_length : NULL};
    for (size_t i = 0; i < 2 && names[i]; i++) {
        char old[NAME_SIZE];
        if (weights_find(weights, names[i], index) || (old_norm_name(names[i], old) && weights_find(weights, old, index)))
            return true;
    }
    return false;
}

static bool same_shape(const TensorEntry *entry, const ModelParameter *parameter)
{
    int32_t rank = parameter->shape[1] ? 2 : 1;
    return entry->rank == rank && entry->shape[0] == parameter->shape[0] && (rank == 1 || entry->shape[1] == parameter->shape[1]);
}

static const char *shape_text(char text[SHAPE_TEXT_SIZE], const int64_t *shape, int32_t rank)
{
    size_t used = (size_t)snprintf(text, SHAPE_TEXT_SIZE, "[");
    for (int32_t i = 0; i < rank && used < SHAPE_TEXT_SIZE; i++)
        used += (size_t)snprintf(text + used, SHAPE_TEXT_SIZE - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < SHAPE_TEXT_SIZE)
        snprintf(text + used, SHAPE_TEXT_SIZE - used, "]");
    return text;
}

static Status read_parameter(Weights *weights, const ModelParameter *parameter, float *values, bool *used, Diagnostic *diagnostic)
{
    const char *path = weights_path(weights);
    char wanted_text[SHAPE_TEXT_SIZE], found_text[SHAPE_TEXT_SIZE];
    int64_t wanted[2] = {parameter->shape[0], parameter->shape[1]};
    shape_text(wanted_text, wanted, parameter->shape[1] ? 2 : 1);
    size_t index;
    if (!find_tensor(weights, parameter->name, &index))
        return FAIL_AT(diagnostic, STATUS_MISMATCH, path, 0, 0, "tensor \"%s\" of shape %s is missing", parameter->name,
                       wanted_text);
    const TensorEntry *entry = weights_at(weights, index);
    if (!same_shape(entry, parameter))
        return FAIL_AT(diagnostic, STATUS_MISMATCH, path, 0, 0, "tensor \"%s\" has the shape %s, the configuration asks for %s",
                       entry->name, shape_text(found_text, entry->shape, entry->rank), wanted_text);
    used[index] = true;
    Status status = weights_read_floats(weights, index, values + parameter->offset, parameter->count, diagnostic);
    for (size_t i = 0; status == STATUS_OK && i < parameter->count; i++) {
        if (!isfinite(values[parameter->offset + i]))
            status =
                FAIL_AT(diagnostic, STATUS_CORRUPT, path, 0, 0, "tensor \"%s\" holds a number that is not finite", entry->name);
    }
    return status;
}

static bool head_fits(const Weights *weights, const ModelLayout *layout)
{
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        size_t index;
        if (parameter->part == layout->part_count - 1 &&
            (!find_tensor(weights, parameter->name, &index) || !same_shape(weights_at(weights, index), parameter)))
            return false;
    }
    return true;
}

static void log_ignored(const Weights *weights, const bool *used)
{
    Text names = {0};
    size_t ignored = 0;
    for (size_t i = 0; i < weights_count(weights); i++) {
        if (used[i])
            continue;
        if (ignored++ < IGNORED_NAMES_SHOWN)
            text_format(&names, "%s%s", ignored > 1 ? ", " : "", weights_at(weights, i)->name);
    }
    if (ignored > 0)
        LOG_INFO("%s: ignored %zu tensors that a token classifier has no place for: %s%s", weights_path(weights), ignored,
                 names.bytes, ignored > IGNORED_NAMES_SHOWN ? ", ..." : "");
    text_free(&names);
}

/* What shapes alone do not tell apart. */
static Status check_folder_config(const Model *model, const char *folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BertConfig found = {0};
    const BertConfig *wanted = model_config(model);
    char *path = path_join(folder, "config.json");
    TRY(bert_config_read(&found, path, diagnostic));
    if (found.num_hidden_layers != wanted->num_hidden_layers || found.num_attention_heads != wanted->num_attention_heads)
        TRY_FAIL(diagnostic, STATUS_MISMATCH, "%s: %d layers of %d heads, the model was made for %d layers of %d heads", path,
                 found.num_hidden_layers, found.num_attention_heads, wanted->num_hidden_layers, wanted->num_attention_heads);
out:
    bert_config_free(&found);
    free(path);
    return status;
}

static Status read_parameters(Weights *weights, const Model *model, ModelHead head, uint64_t seed, float *values,
                              Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    bool *used = memory_allocate(weights_count(weights) + 1, sizeof *used);
    bool initialize = head == MODEL_HEAD_INITIALIZE && !head_fits(weights, layout);
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        if (!initialize || parameter->part != layout->part_count - 1)
            TRY(read_parameter(weights, parameter, values, used, diagnostic));
    }
    if (initialize) {
        model_initialize_parameters(model_config(model), layout, seed, true, values);
        LOG_INFO("%s: no classifier for %d labels, a new one starts from seed %llu", weights_path(weights),
                 model_config(model)->label_count, (unsigned long long)seed);
    }
    log_ignored(weights, used);
out:
    free(used);
    return status;
}

Status model_folder_load(Model *model, const char *folder, ModelHead head, uint64_t seed, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Weights *weights = NULL;
    void *memory = NULL;
    TRY(check_folder_config(model, folder, diagnostic));
    TRY(weights_open(&weights, folder, diagnostic));
    TRY(memory_try_allocate(&memory, model_layout(model)->float_count, sizeof(float), diagnostic));
    TRY(read_parameters(weights, model, head, seed, memory, diagnostic));
    TRY(model_parameters_set(model, memory, diagnostic));
out:
    weights_close(&weights);
    free(memory);
    return status;
}
