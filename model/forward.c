/* Forward: a block to the device, through the network, to logits. */
#include <stdlib.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

static int32_t expand_slots(const TokenBlock *block, uint32_t *slots)
{
    int32_t longest = 0;
    for (int32_t s = 0; s < block->sequence_count; s++) {
        int32_t first = block->sequence_start[s], end = block->sequence_start[s + 1];
        for (int32_t t = first; t < end; t++)
            slots[t] = block->sequence_slot[s];
        if (end - first > longest)
            longest = end - first;
    }
    return longest;
}

Status model_block_upload(Model *model, const TokenBlock *block, Activations *activations, DeviceBlock *device_block,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const BertConfig *config = &model->config;
    if (block->piece_count > activations->piece_limit || block->sequence_count > activations->sequence_limit)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "a block of %d pieces in %d sequences is over the plan of %d pieces in %d sequences",
                 block->piece_count, block->sequence_count, activations->piece_limit, activations->sequence_limit);
    TRY(token_block_validate(block, config->vocab_size, config->max_position_embeddings, config->label_count, diagnostic));

    const Backend *backend = model->backend;
    size_t pieces = (size_t)block->piece_count;
    *device_block = (DeviceBlock){
        .piece_count = block->piece_count,
        .sequence_count = block->sequence_count,
        .longest = expand_slots(block, model->slots),
        .ids = activations->ids,
        .positions = activations->positions,
        .slots = activations->slots,
        .sequence_start = activations->sequence_start,
    };
    backend->copy_to_device(model->stream, activations->ids, block->ids, pieces * sizeof *block->ids);
    backend->copy_to_device(model->stream, activations->positions, block->positions, pieces * sizeof *block->positions);
    backend->copy_to_device(model->stream, activations->slots, model->slots, pieces * sizeof *model->slots);
    backend->copy_to_device(model->stream, activations->sequence_start, block->sequence_start,
                            ((size_t)block->sequence_count + 1) * sizeof *block->sequence_start);
out:
    return status;
}

/* From the layer's input x to activations->output.y. */
static void layer_forward(Model *model, const DeviceBlock *block, const DropoutPlan *plan, int32_t index, DeviceView x,
                          const LayerActivations *activations)
{
    const Backend *backend = model->backend;
    BackendStream *stream = model->stream;
    const BertConfig *config = &model->config;
    const LayerMatrices *matrices = &model->matrices[index];
    int32_t rows = block->piece_count, d = config->hidden_size, heads = config->num_attention_heads;
    DeviceView none = device_view_none();
#define WEIGHT(which) parameter_view(model, layer_parameter(index, which))

    backend->linear_forward(stream, matrices->qkv, WEIGHT(LAYER_QUERY_BIAS), x, rows, LINEAR_PLAIN, none, activations->qkv);
    backend->attention_forward(stream, block, activations->qkv, heads, d / heads,
                               model_dropout_layer(model, plan, index, DROPOUT_ATTENTION), activations->context,
                               activations->log_sum_exp);
    const NormActivations *attention = &activations->attention;
    backend->linear_forward(stream, matrices->output, WEIGHT(LAYER_OUTPUT_BIAS), activations->context, rows, LINEAR_PLAIN, none,
                            attention->sum);
    backend->norm_forward(stream, block, attention->sum, x, WEIGHT(LAYER_ATTENTION_NORM_WEIGHT), WEIGHT(LAYER_ATTENTION_NORM_BIAS),
                          config->layer_norm_eps, d, model_dropout_layer(model, plan, index, DROPOUT_ATTENTION_OUTPUT),
                          model_dropout_off(), attention->sum, attention->y, attention->mean, attention->rstd);

    const NormActivations *output = &activations->output;
    backend->linear_forward(stream, matrices->ffn_in, WEIGHT(LAYER_FFN_IN_BIAS), attention->y, rows, LINEAR_GELU,
                            activations->ffn_pre, activations->ffn);
    backend->linear_forward(stream, matrices->ffn_out, WEIGHT(LAYER_FFN_OUT_BIAS), activations->ffn, rows, LINEAR_PLAIN, none,
                            output->sum);
    backend->norm_forward(stream, block, output->sum, attention->y, WEIGHT(LAYER_FFN_NORM_WEIGHT), WEIGHT(LAYER_FFN_NORM_BIAS),
                          config->layer_norm_eps, d, model_dropout_layer(model, plan, index, DROPOUT_FFN_OUTPUT),
                          model_dropout_layer(model, plan, index, DROPOUT_CLASSIFIER), output->sum, output->y, output->mean,
                          output->rstd);
#undef WEIGHT
}

void model_forward_queue(Model *model, const DeviceBlock *block, const DropoutPlan *plan, Activations *activations)
{
    const Backend *backend = model->backend;
    const BertConfig *config = &model->config;
    int32_t d = config->hidden_size, layers = config->num_hidden_layers;
    const NormActivations *embeddings = &activations->embeddings;

    backend->embedding_forward(model->stream, block, parameter_view(model, EMBEDDING_WORD),
                               parameter_view(model, EMBEDDING_POSITION), parameter_view(model, EMBEDDING_TYPE), d,
                               embeddings->sum);
    backend->norm_forward(model->stream, block, embeddings->sum, device_view_none(), parameter_view(model, EMBEDDING_NORM_WEIGHT),
                          parameter_view(model, EMBEDDING_NORM_BIAS), config->layer_norm_eps, d, model_dropout_off(),
                          model_dropout_embeddings(model, plan), embeddings->sum, embeddings->y, embeddings->mean,
                          embeddings->rstd);
    DeviceView x = embeddings->y;
    for (int32_t i = 0; i < layers; i++) {
        layer_forward(model, block, plan, i, x, &activations->layers[i]);
        x = activations->layers[i].output.y;
    }
    backend->linear_forward(model->stream, model->classifier, parameter_view(model, head_parameter(layers, HEAD_BIAS)), x,
                            block->piece_count, LINEAR_PLAIN, device_view_none(), activations->logits);
}

Status model_forward(Model *model, const TokenBlock *block, float *logits, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    /* A model that was planned for training alone can evaluate too. */
    bool fits = block->piece_count <= model->inference.piece_limit && block->sequence_count <= model->inference.sequence_limit;
    Activations *activations = fits || !model->training.piece_limit ? &model->inference : &model->training;
    DeviceBlock device_block;
    DropoutPlan plan = {.on = false};
    TRY(model_block_upload(model, block, activations, &device_block, diagnostic));
    if (block->piece_count > 0) {
        model_forward_queue(model, &device_block, &plan, activations);
        model->backend->copy_to_host(model->stream, logits, activations->logits,
                                     (size_t)block->piece_count * (size_t)model->config.label_count * sizeof *logits);
    }
    TRY(model->backend->stream_synchronize(model->stream, diagnostic));
out:
    return status;
}
