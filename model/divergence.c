/* Where a step went wrong: the first array of the forward pass that holds a value which is no number. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

/* One array of the pass, in the order in which they are computed. */
typedef struct Stage {
    const char *operation;
    DeviceView values;
    int32_t rows, columns;
} Stage;

enum { STAGES_OF_A_LAYER = 8 };

/* Its exponent is not all ones. */
static bool bf16_is_finite(const unsigned char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return (bits & 0x7F80u) != 0x7F80u;
}

static Status stage_is_finite(Model *model, const Stage *stage, float *room, bool *finite, Diagnostic *diagnostic)
{
    size_t count = (size_t)stage->rows * (size_t)stage->columns;
    size_t size_bytes = device_type_bytes(stage->values.type);
    model->backend->copy_to_host(model->stream, room, stage->values, count * size_bytes);
    Status status = model->backend->stream_synchronize(model->stream, diagnostic);
    *finite = true;
    for (size_t i = 0; status == STATUS_OK && i < count && *finite; i++)
        *finite = size_bytes == sizeof *room ? isfinite(room[i]) : bf16_is_finite((const unsigned char *)room + i * size_bytes);
    return status;
}

/* Writes the first of some stages that is not finite into text; text stays empty when all are. */
static Status stages_search(Model *model, const Stage *stages, size_t count, const char *where, float *room, char *text,
                            size_t text_size, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < count && text[0] == '\0'; i++) {
        bool finite;
        Status status = stage_is_finite(model, &stages[i], room, &finite, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (!finite)
            snprintf(text, text_size, "%s, %s", where, stages[i].operation);
    }
    return STATUS_OK;
}

static Status layer_search(Model *model, const ModelBlock *block, int32_t index, float *room, char *text, size_t text_size,
                           Diagnostic *diagnostic)
{
    const LayerActivations *layer = &model->training.layers[index];
    int32_t d = model->config.hidden_size, f = model->config.intermediate_size, all = block->all.piece_count;
    int32_t rows = index == model->config.num_hidden_layers - 1 ? block->scored.piece_count : all;
    const Stage stages[STAGES_OF_A_LAYER] = {
        {"query, key and value", layer->qkv, all, 3 * d},    {"attention", layer->context, all, d},
        {"attention output", layer->attention.sum, rows, d}, {"LayerNorm after attention", layer->attention.y, rows, d},
        {"feed-forward input", layer->ffn_pre, rows, f},     {"GELU", layer->ffn, rows, f},
        {"feed-forward output", layer->output.sum, rows, d}, {"LayerNorm after feed-forward", layer->output.y, rows, d},
    };
    char where[32];
    snprintf(where, sizeof where, "layer %d", index);
    return stages_search(model, stages, STAGES_OF_A_LAYER, where, room, text, text_size, diagnostic);
}

Status model_find_divergence(Model *model, const ModelBlock *block, const DropoutPlan *plan, int32_t first, char *text,
                             size_t text_size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Activations *pass = &model->training;
    int32_t d = model->config.hidden_size, f = model->config.intermediate_size, layers = model->config.num_hidden_layers;
    int32_t widest = f > 3 * d ? f : 3 * d, classes = model->config.label_count;
    void *room = NULL;
    text[0] = '\0';
    TRY(memory_try_allocate(&room, (size_t)block->all.piece_count * (size_t)(widest > classes ? widest : classes), sizeof(float),
                            diagnostic));
    const Stage embeddings[] = {{"sum of word, position and type", pass->embeddings.sum, block->all.piece_count, d},
                                {"LayerNorm", pass->embeddings.y, block->all.piece_count, d}};
    const Stage head[] = {{"logits", pass->logits, block->scored.piece_count, classes}};
    if (first == 0)
        TRY(stages_search(model, embeddings, sizeof embeddings / sizeof *embeddings, "embeddings", room, text, text_size,
                          diagnostic));
    for (int32_t i = first; i < layers && text[0] == '\0'; i++) {
        if (pass->checkpointed)
            model_layer_queue(model, block, plan, i, pass);
        TRY(layer_search(model, block, i, room, text, text_size, diagnostic));
    }
    TRY(stages_search(model, head, 1, "classifier", room, text, text_size, diagnostic));
    if (text[0] == '\0')
        snprintf(text, text_size, "the cross entropy itself");
out:
    free(room);
    return status;
}
