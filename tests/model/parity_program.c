/* For parity_transformers.py: loads a pretrained folder, gives it a new head, writes it as a token classifier, and prints the logits of the
 * sentences (lines of piece ids) on standard input, one line of numbers a piece.
 *
 *     model_parity BACKEND SOURCE_FOLDER TARGET_FOLDER lowercase|cased */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "kernels/backend.h"
#include "model/folder.h"

enum { PIECE_LIMIT = 4096, SEQUENCE_LIMIT = 256 };
static const char *const LABELS[] = {"O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-\xc3\x89t\xc3\xa9", "I-\xc3\x89t\xc3\xa9"};
enum { LABEL_COUNT = sizeof LABELS / sizeof *LABELS };

static TokenBlock *read_block(FILE *file)
{
    TokenBlock *block = token_block_create(PIECE_LIMIT, SEQUENCE_LIMIT);
    char *line = NULL;
    size_t capacity = 0;
    while (block->sequence_count < SEQUENCE_LIMIT && getline(&line, &capacity, file) > 0) {
        Int32Array ids = {0};
        char *at = line, *end = line;
        for (long id = strtol(at, &end, 10); end != at; at = end, id = strtol(at, &end, 10))
            array_push(&ids, (int32_t)id);
        if (ids.count > 0)
            token_block_append(block, ids.items, NULL, 1, (int32_t)ids.count, (uint32_t)block->sequence_count);
        array_free(&ids);
    }
    free(line);
    return block;
}

static Status print_logits(Model *model, const TokenBlock *block, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    float *logits = memory_allocate((size_t)block->piece_count * LABEL_COUNT, sizeof *logits);
    TRY(model_plan(model, PIECE_LIMIT, SEQUENCE_LIMIT, false, diagnostic));
    TRY(model_forward(model, block, NULL, logits, diagnostic));
    for (int32_t t = 0; t < block->piece_count; t++) {
        for (int32_t c = 0; c < LABEL_COUNT; c++)
            printf("%.9g%s", (double)logits[t * LABEL_COUNT + c], c + 1 < LABEL_COUNT ? " " : "\n");
    }
out:
    free(logits);
    return status;
}

static Status write_folder(Model *model, const char *source, const char *target, bool lowercase, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    float *values = memory_allocate(model_layout(model)->float_count, sizeof *values);
    TRY(model_parameters_get(model, values, diagnostic));
    TRY(folder_create(file_system_posix(), target, diagnostic));
    TRY(model_folder_write(target, model_config(model), model_layout(model), values, source, lowercase, 256, NULL,
                           file_system_posix(), diagnostic));
out:
    free(values);
    return status;
}

static Status run(char **arguments, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Backend *backend = NULL;
    BackendDevice *device = NULL;
    Model *model = NULL;
    BertConfig config = {0};
    TokenBlock *block = NULL;
    char *config_path = path_join(arguments[2], "config.json");
    BackendOptions options = {.thread_count = 2};
    TRY(backend_open(&backend, arguments[1], diagnostic));
    TRY(backend->device_open(&device, &options, diagnostic));
    TRY(bert_config_read(&config, config_path, diagnostic));
    bert_config_set_labels(&config, LABELS, LABEL_COUNT);
    TRY(model_create(&model, &config, backend, device, DEVICE_FP32, diagnostic));
    TRY(model_folder_load(model, arguments[2], MODEL_HEAD_INITIALIZE, 1, diagnostic));
    TRY(write_folder(model, arguments[2], arguments[3], strcmp(arguments[4], "lowercase") == 0, diagnostic));
    block = read_block(stdin);
    TRY(print_logits(model, block, diagnostic));
out:
    token_block_destroy(&block);
    model_destroy(&model);
    if (device)
        backend->device_close(&device);
    bert_config_free(&config);
    free(config_path);
    return status;
}

int main(int argc, char **argv)
{
    Diagnostic diagnostic = {0};
    char text[DIAGNOSTIC_MESSAGE_SIZE + DIAGNOSTIC_PLACE_SIZE];
    if (argc != 5) {
        fprintf(stderr, "usage: %s BACKEND SOURCE_FOLDER TARGET_FOLDER lowercase|cased < IDS\n", argv[0]);
        return 2;
    }
    Status status = run(argv, &diagnostic);
    if (status != STATUS_OK)
        fprintf(stderr, "%s\n", diagnostic_format(&diagnostic, text, sizeof text));
    return status_exit_code(status);
}
