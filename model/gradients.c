/* Where gradients lie. One step sees some hundred of the word embeddings' rows, which are half of a small model's parameters: only these have
 * places, right before the gradients of everything else, so that those of a part are one stretch for sums over ranks. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

enum { ALIGNMENT_FLOATS = 16 };

/* Floats before the second parameter's gradient. */
static size_t row_space(const BertConfig *config, int32_t row_limit)
{
    size_t floats = (size_t)row_limit * (size_t)config->hidden_size;
    return (floats + ALIGNMENT_FLOATS - 1) / ALIGNMENT_FLOATS * ALIGNMENT_FLOATS;
}

static int32_t bounded_rows(const BertConfig *config, int64_t row_limit)
{
    return row_limit < config->vocab_size ? (int32_t)row_limit : config->vocab_size;
}

size_t model_gradient_bytes(const BertConfig *config, size_t float_count, int64_t row_limit)
{
    size_t others = float_count - row_space(config, config->vocab_size);
    return (row_space(config, bounded_rows(config, row_limit)) + others) * sizeof(float);
}

size_t model_held_gradient_bytes(const Model *model)
{
    return model->gradients ? model_gradient_bytes(&model->config, model->layout->float_count, model->rows.limit) : 0;
}

void model_gradients_exchange(Model *model, BackendBuffer **buffer)
{
    BackendBuffer *before = model->gradients;
    ASSERT(before != NULL && *buffer != NULL);
    model->gradients = *buffer;
    *buffer = before;
}

Status model_plan_gradient_rows(Model *model, int64_t row_limit, Diagnostic *diagnostic)
{
    GradientRows *rows = &model->rows;
    int32_t vocabulary = model->config.vocab_size, limit = bounded_rows(&model->config, row_limit);
    if (model->gradients && limit <= rows->limit)
        return STATUS_OK;
    if (!rows->place) {
        rows->place = memory_allocate((size_t)vocabulary, sizeof *rows->place);
        memset(rows->place, 0xff, (size_t)vocabulary * sizeof *rows->place);
    }
    if (model->gradients)
        model->backend->buffer_destroy(&model->gradients);
    size_t bytes = model_gradient_bytes(&model->config, model->layout->float_count, limit);
    Status status = model->backend->buffer_create(&model->gradients, model->device, bytes, diagnostic);
    if (status != STATUS_OK) {
        diagnostic_prefix(diagnostic, "reserving %zu bytes for gradients", bytes);
        return status;
    }
    rows->limit = limit;
    rows->ids = memory_reallocate(rows->ids, (size_t)rows->limit, sizeof *rows->ids);
    return STATUS_OK;
}

Status model_gradient_rows_set(Model *model, const int32_t *ids, int32_t count, Diagnostic *diagnostic)
{
    GradientRows *rows = &model->rows;
    Status status = model_plan_gradient_rows(model, count, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (int32_t i = 0; i < rows->count; i++)
        rows->place[rows->ids[i]] = -1;
    rows->count = count;
    for (int32_t i = 0; i < count; i++) {
        ASSERT(ids[i] >= 0 && ids[i] < model->config.vocab_size && (i == 0 || ids[i - 1] < ids[i]));
        rows->ids[i] = ids[i];
        rows->place[ids[i]] = i;
    }
    return STATUS_OK;
}

const int32_t *model_gradient_rows(const Model *model, int32_t *count)
{
    *count = model->rows.count;
    return model->rows.ids;
}

Status model_gradient_places(const Model *model, const TokenBlock *block, int32_t *places, Diagnostic *diagnostic)
{
    for (int32_t t = 0; t < block->piece_count; t++) {
        places[t] = model->rows.place[block->ids[t]];
        if (places[t] < 0)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "piece %d has id %d, which is none of the step's %d", t, block->ids[t],
                        model->rows.count);
    }
    return STATUS_OK;
}

DeviceView model_gradient_parameter(const Model *model, int32_t index, size_t *count)
{
    const ModelParameter *parameters = model->layout->parameters;
    size_t offset = row_space(&model->config, model->rows.limit);
    ASSERT(model->gradients != NULL);
    if (index == EMBEDDING_WORD) {
        *count = (size_t)model->rows.count * (size_t)model->config.hidden_size;
        offset -= *count;
    } else {
        *count = parameters[index].count;
        offset += parameters[index].offset - parameters[EMBEDDING_WORD + 1].offset;
    }
    return device_view(model->gradients, offset * sizeof(float));
}

DeviceView model_gradient_part(const Model *model, int32_t part, size_t *count)
{
    const ModelLayout *layout = model->layout;
    size_t others = layout->parameters[EMBEDDING_WORD + 1].offset, words;
    if (part == 0) {
        DeviceView first = model_gradient_parameter(model, EMBEDDING_WORD, &words);
        *count = words + layout->part_offset[1] - others;
        return first;
    }
    ASSERT(model->gradients != NULL);
    *count = layout->part_offset[part + 1] - layout->part_offset[part];
    return device_view(model->gradients,
                       (row_space(&model->config, model->rows.limit) + layout->part_offset[part] - others) * sizeof(float));
}

DeviceView model_gradient_at(const Model *model, size_t offset)
{
    size_t others = model->layout->parameters[EMBEDDING_WORD + 1].offset;
    ASSERT(model->gradients != NULL && offset >= others);
    return device_view(model->gradients, (row_space(&model->config, model->rows.limit) + offset - others) * sizeof(float));
}

size_t model_gradient_offset(DeviceView gradient)
{
    return gradient.offset_bytes / sizeof(float);
}

void model_gradients_clear(Model *model, const bool *part_frozen)
{
    for (int32_t part = 0; part < model->layout->part_count; part++) {
        size_t count;
        DeviceView gradient = model_gradient_part(model, part, &count);
        if (model_part_trains(part_frozen, part))
            model->backend->fill_zero(model->stream, gradient, count * sizeof(float));
    }
}

/* Weights and biases of linear layers are set by the first block; to embeddings and LayerNorms every block adds. */
void model_gradients_begin(Model *model, const bool *part_frozen)
{
    static const int32_t norms[] = {LAYER_ATTENTION_NORM_WEIGHT, LAYER_ATTENTION_NORM_BIAS, LAYER_FFN_NORM_WEIGHT,
                                    LAYER_FFN_NORM_BIAS};
    size_t count;
    DeviceView gradient = model_gradient_part(model, 0, &count);
    if (model_part_trains(part_frozen, 0))
        model->backend->fill_zero(model->stream, gradient, count * sizeof(float));
    for (int32_t i = 0; i < model->config.num_hidden_layers; i++) {
        for (size_t norm = 0; model_part_trains(part_frozen, 1 + i) && norm < sizeof norms / sizeof *norms; norm++) {
            gradient = model_gradient_parameter(model, layer_parameter(i, norms[norm]), &count);
            model->backend->fill_zero(model->stream, gradient, count * sizeof(float));
        }
    }
}
