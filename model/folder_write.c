/* Writing model folders. Every file is durable before the next is begun; the weights come last, so that a folder with weights is whole. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/folder.h"
#include "model/safetensors.h"
#include "model/vocabulary_file.h"

static Status write_bytes(const char *folder, const char *name, const void *bytes, size_t size, const FileSystem *fs,
                          Diagnostic *diagnostic)
{
    char *path = path_join(folder, name);
    Status status = file_write_durable(fs, path, bytes, size, diagnostic);
    free(path);
    return status;
}

static Status write_json(const char *folder, const char *name, const Json *json, JsonStyle style, const FileSystem *fs,
                         Diagnostic *diagnostic)
{
    char *text = json_text(json, style);
    char *line = memory_format("%s\n", text);
    Status status = write_bytes(folder, name, line, strlen(line), fs, diagnostic);
    free(line);
    free(text);
    return status;
}

/* label2id could not tell two labels of one name apart. */
static Status check_labels(const BertConfig *config, Diagnostic *diagnostic)
{
    for (int32_t i = 0; i < config->label_count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (strcmp(config->labels[i], config->labels[j]) == 0)
                return FAIL(diagnostic, STATUS_INVALID_INPUT, "label \"%s\" has two ids, %d and %d", config->labels[i], j, i);
        }
    }
    return STATUS_OK;
}

static Status write_config(const char *folder, const BertConfig *config, const FileSystem *fs, Diagnostic *diagnostic)
{
    Json *json = bert_config_json(config);
    Status status = write_json(folder, "config.json", json, JSON_INDENTED, fs, diagnostic);
    json_destroy(&json);
    return status;
}

static Status write_tokenizer(const char *folder, const BertConfig *config, const char *source_folder, bool lowercase,
                              int32_t max_seq_length, const FileSystem *fs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    VocabularyFile vocabulary = {0};
    TokenizerJson json = {0};
    char *source = path_join(source_folder, "vocab.txt");
    TRY(vocabulary_file_read(&vocabulary, source, (size_t)config->vocab_size, diagnostic));
    TRY(tokenizer_json_make(&json, &vocabulary, source, lowercase, max_seq_length, diagnostic));
    TRY(write_bytes(folder, "vocab.txt", vocabulary.bytes, vocabulary.size, fs, diagnostic));
    TRY(write_json(folder, "tokenizer.json", json.tokenizer, JSON_COMPACT, fs, diagnostic));
    TRY(write_json(folder, "tokenizer_config.json", json.configuration, JSON_INDENTED, fs, diagnostic));
    TRY(write_json(folder, "special_tokens_map.json", json.special_tokens_map, JSON_INDENTED, fs, diagnostic));
out:
    vocabulary_file_free(&vocabulary);
    tokenizer_json_free(&json);
    free(source);
    return status;
}

static Status write_notes(const char *folder, const Json *notes, int32_t max_seq_length, const FileSystem *fs,
                          Diagnostic *diagnostic)
{
    Json *copy = notes ? json_copy(notes) : json_object();
    if (!json_get(copy, "max_seq_length"))
        json_set(copy, "max_seq_length", json_integer(max_seq_length));
    Status status = write_json(folder, "nersweep.json", copy, JSON_INDENTED, fs, diagnostic);
    json_destroy(&copy);
    return status;
}

static Status write_weights(const char *folder, const ModelLayout *layout, const float *parameters, const FileSystem *fs,
                            Diagnostic *diagnostic)
{
    static const char *const metadata[] = {"format", "pt"}; /* Hugging Face's reader insists on it */
    TensorOut *tensors = memory_allocate((size_t)layout->parameter_count, sizeof *tensors);
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        tensors[i] = (TensorOut){
            .name = parameter->name,
            .rank = parameter->shape[1] ? 2 : 1,
            .shape = {parameter->shape[0], parameter->shape[1]},
            .values = parameters + parameter->offset,
            .count = parameter->count,
        };
    }
    char *path = path_join(folder, "model.safetensors");
    Status status = safetensors_write(path, tensors, (size_t)layout->parameter_count, metadata, 2, fs, diagnostic);
    free(path);
    free(tensors);
    return status;
}

Status model_folder_write(const char *folder, const BertConfig *config, const ModelLayout *layout, const float *parameters,
                          const char *source_folder, bool lowercase, int32_t max_seq_length, const Json *notes,
                          const FileSystem *fs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (max_seq_length < 1 || max_seq_length > config->max_position_embeddings)
        TRY_FAIL(diagnostic, STATUS_MISMATCH, "max_seq_length %d is not from 1 to the model's %d positions", max_seq_length,
                 config->max_position_embeddings);
    TRY(check_labels(config, diagnostic));
    TRY(write_tokenizer(folder, config, source_folder, lowercase, max_seq_length, fs, diagnostic));
    TRY(write_config(folder, config, fs, diagnostic));
    TRY(write_notes(folder, notes, max_seq_length, fs, diagnostic));
    TRY(write_weights(folder, layout, parameters, fs, diagnostic));
out:
    return status;
}
