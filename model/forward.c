/* Forward: a block to the device, through the network, to logits. */
#include <stdlib.h>
#include <string.h>

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

static bool is_scored(const TokenBlock *block, ScoredPieces which, const bool *wanted, int32_t piece)
{
    switch (which) {
    case SCORED_LABELLED:
        return block->labels[piece] != TOKEN_LABEL_IGNORED;
    case SCORED_WANTED:
        return wanted[piece];
    case SCORED_ALL:
        break;
    }
    return true;
}

/* Which pieces are scored, and what is known of them. Returns R. */
static int32_t gather_scored(const TokenBlock *block, ScoredPieces which, const bool *wanted, HostRows *host)
{
    int32_t count = 0;
    for (int32_t t = 0; t < block->piece_count; t++) {
        if (!is_scored(block, which, wanted, t))
            continue;
        host->scored_index[count] = t;
        host->scored_positions[count] = block->positions[t];
        host->scored_slots[count] = host->slots[t];
        host->labels[count] = block->labels[t];
        host->weights[count] = block->weights[t];
        count++;
    }
    return count;
}

Status model_block_upload(Model *model, const TokenBlock *block, ScoredPieces which, const bool *wanted, Activations *activations,
                          ModelBlock *model_block, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const BertConfig *config = &model->config;
    if (block->piece_count > activations->piece_limit || block->sequence_count > activations->sequence_limit)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "a block of %d pieces in %d sequences is over the plan of %d pieces in %d sequences",
                 block->piece_count, block->sequence_count, activations->piece_limit, activations->sequence_limit);
    TRY(token_block_validate(block, config->vocab_size, config->max_position_embeddings, config->label_count, diagnostic));

    const Backend *backend = model->backend;
    BackendStream *stream = model->stream;
    const HostRows *host = &model->host;
    size_t pieces = (size_t)block->piece_count;
    model_block->all = (DeviceBlock){
        .piece_count = block->piece_count,
        .sequence_count = block->sequence_count,
        .longest = expand_slots(block, host->slots),
        .ids = activations->ids,
        .positions = activations->positions,
        .slots = activations->slots,
        .sequence_start = activations->sequence_start,
    };
    model_block->scored = (DeviceBlock){
        .piece_count = gather_scored(block, which, wanted, &model->host),
        .ids = device_view_none(),
        .positions = activations->scored_positions,
        .slots = activations->scored_slots,
        .sequence_start = activations->sequence_start,
    };
    size_t scored = (size_t)model_block->scored.piece_count;
    model_block->some = scored < pieces;
    backend->copy_to_device(stream, activations->ids, block->ids, pieces * sizeof *block->ids);
    backend->copy_to_device(stream, activations->positions, block->positions, pieces * sizeof *block->positions);
    backend->copy_to_device(stream, activations->slots, host->slots, pieces * sizeof *host->slots);
    backend->copy_to_device(stream, activations->sequence_start, block->sequence_start,
                            ((size_t)block->sequence_count + 1) * sizeof *block->sequence_start);
    backend->copy_to_device(stream, activations->scored_index, host->scored_index, scored * sizeof *host->scored_index);
    backend->copy_to_device(stream, activations->scored_positions, host->scored_positions, scored * sizeof *host->scored_positions);
    backend->copy_to_device(stream, activations->scored_slots, host->scored_slots, scored * sizeof *host->scored_slots);
out:
    return status;
}

#define WEIGHT(which) parameter_view(model, layer_parameter(index, which))

/* From the layer's input x, as products read it, to activations->context. */
static void attention_forward(Model *model, const DeviceBlock *block, const DropoutPlan *plan, int32_t index, DeviceView x,
                              const LayerActivations *activations)
{
    const Backend *backend = model->backend;
    int32_t d = model->config.hidden_size, heads = model->config.num_attention_heads;
    backend->linear_forward(model->stream, model->matrices[index].qkv, WEIGHT(LAYER_QUERY_BIAS), x, block->piece_count,
                            LINEAR_PLAIN, device_view_none(), activations->qkv);
    backend->attention_forward(model->stream, block, activations->qkv, heads, d / heads,
                               model_dropout_layer(model, plan, index, DROPOUT_ATTENTION), activations->context,
                               activations->log_sum_exp);
}

/* What follows attention works on each row by itself: from context and x to activations->output.y. */
static void rows_forward(Model *model, const DeviceBlock *block, const DropoutPlan *plan, int32_t index, DeviceView context,
                         DeviceView x, const LayerActivations *activations)
{
    const Backend *backend = model->backend;
    BackendStream *stream = model->stream;
    const BertConfig *config = &model->config;
    const LayerMatrices *matrices = &model->matrices[index];
    int32_t rows = block->piece_count, d = config->hidden_size;
    DeviceView none = device_view_none();

    const NormActivations *attention = &activations->attention;
    backend->linear_forward(stream, matrices->output, WEIGHT(LAYER_OUTPUT_BIAS), context, rows, LINEAR_PLAIN, none, attention->sum);
    backend->norm_forward(stream, block, attention->sum, x, WEIGHT(LAYER_ATTENTION_NORM_WEIGHT), WEIGHT(LAYER_ATTENTION_NORM_BIAS),
                          config->layer_norm_eps, d, model_dropout_layer(model, plan, index, DROPOUT_ATTENTION_OUTPUT),
                          model_dropout_off(), attention->sum, attention->y, attention->product, attention->mean, attention->rstd);

    const NormActivations *output = &activations->output;
    backend->linear_forward(stream, matrices->ffn_in, WEIGHT(LAYER_FFN_IN_BIAS), attention->product, rows, LINEAR_GELU,
                            activations->ffn_pre, activations->ffn);
    backend->linear_forward(stream, matrices->ffn_out, WEIGHT(LAYER_FFN_OUT_BIAS), activations->ffn, rows, LINEAR_PLAIN, none,
                            output->sum);
    backend->norm_forward(stream, block, output->sum, attention->y, WEIGHT(LAYER_FFN_NORM_WEIGHT), WEIGHT(LAYER_FFN_NORM_BIAS),
                          config->layer_norm_eps, d, model_dropout_layer(model, plan, index, DROPOUT_FFN_OUTPUT),
                          model_dropout_layer(model, plan, index, DROPOUT_CLASSIFIER), output->sum, output->y, output->product,
                          output->mean, output->rstd);
}

#undef WEIGHT

/* The last layer: behind its attention only the scored rows go on. */
static void last_rows_forward(Model *model, const ModelBlock *block, const DropoutPlan *plan, DeviceView x,
                              Activations *activations)
{
    const Backend *backend = model->backend;
    int32_t last = model->config.num_hidden_layers - 1, d = model->config.hidden_size;
    const LayerActivations *layer = &activations->layers[last];
    if (!block->some) {
        rows_forward(model, &block->all, plan, last, layer->context, x, layer);
        return;
    }
    int32_t all = block->all.piece_count, scored = block->scored.piece_count;
    backend->rows_gather(model->stream, layer->context, all, activations->scored_index, scored, d, activations->scored_context);
    backend->rows_gather(model->stream, x, all, activations->scored_index, scored, d, activations->scored_x);
    rows_forward(model, &block->scored, plan, last, activations->scored_context, activations->scored_x, layer);
}

static void embeddings_forward(Model *model, const DeviceBlock *block, const DropoutPlan *plan, const NormActivations *embeddings)
{
    const Backend *backend = model->backend;
    int32_t d = model->config.hidden_size;
    backend->embedding_forward(model->stream, block, parameter_view(model, EMBEDDING_WORD),
                               parameter_view(model, EMBEDDING_POSITION), parameter_view(model, EMBEDDING_TYPE), d,
                               embeddings->sum);
    backend->norm_forward(model->stream, block, embeddings->sum, device_view_none(), parameter_view(model, EMBEDDING_NORM_WEIGHT),
                          parameter_view(model, EMBEDDING_NORM_BIAS), model->config.layer_norm_eps, d, model_dropout_off(),
                          model_dropout_embeddings(model, plan), embeddings->sum, embeddings->y, embeddings->product,
                          embeddings->mean, embeddings->rstd);
}

/* Layers first .. end - 1, none of them the last one. */
static void layers_forward(Model *model, const DeviceBlock *block, const DropoutPlan *plan, int32_t first, int32_t end,
                           const Activations *activations)
{
    for (int32_t i = first; i < end; i++) {
        const LayerActivations *layer = &activations->layers[i];
        DeviceView x = layer_input(activations, i);
        attention_forward(model, block, plan, i, layer_product(activations, i), layer);
        rows_forward(model, block, plan, i, layer->context, x, layer);
    }
}

void model_layer_queue(Model *model, const ModelBlock *block, const DropoutPlan *plan, int32_t index, Activations *activations)
{
    const LayerActivations *layer = &activations->layers[index];
    DeviceView x = layer_input(activations, index), product = layer_product(activations, index);
    size_t count = (size_t)block->all.piece_count * (size_t)model->config.hidden_size;
    if (model->product_type != DEVICE_FP32)
        model->backend->convert(model->stream, product, x, count);
    attention_forward(model, &block->all, plan, index, product, layer);
    if (index == model->config.num_hidden_layers - 1)
        last_rows_forward(model, block, plan, x, activations);
    else
        rows_forward(model, &block->all, plan, index, layer->context, x, layer);
}

void model_forward_queue(Model *model, const ModelBlock *block, const DropoutPlan *plan, int32_t first, Activations *activations)
{
    int32_t layers = model->config.num_hidden_layers;
    const LayerActivations *last = &activations->layers[layers - 1];
    DeviceView x = layer_input(activations, layers - 1);
    if (first == 0)
        embeddings_forward(model, &block->all, plan, &activations->embeddings);
    layers_forward(model, &block->all, plan, first, layers - 1, activations);
    attention_forward(model, &block->all, plan, layers - 1, layer_product(activations, layers - 1), last);
    last_rows_forward(model, block, plan, x, activations);
    model->backend->linear_forward(model->stream, model->classifier, parameter_view(model, head_parameter(layers, HEAD_BIAS)),
                                   last->output.y, block->scored.piece_count, LINEAR_PLAIN, device_view_none(),
                                   activations->logits);
}

/* A model that was planned for training alone can evaluate too. */
static Activations *inference_activations(Model *model, const TokenBlock *block)
{
    bool fits = block->piece_count <= model->inference.piece_limit && block->sequence_count <= model->inference.sequence_limit;
    return fits || !model->training.piece_limit ? &model->inference : &model->training;
}

Status model_prefix_forward(Model *model, const TokenBlock *block, int32_t layers, float *hidden, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Activations *activations = inference_activations(model, block);
    ModelBlock model_block;
    DropoutPlan plan = {.on = false};
    ASSERT(!model->rows_late);
    ASSERT(layers >= 1 && layers < model->config.num_hidden_layers);
    TRY(model_block_upload(model, block, SCORED_ALL, NULL, activations, &model_block, diagnostic));
    if (block->piece_count > 0) {
        embeddings_forward(model, &model_block.all, &plan, &activations->embeddings);
        layers_forward(model, &model_block.all, &plan, 0, layers, activations);
        model->backend->copy_to_host(model->stream, hidden, layer_input(activations, layers),
                                     (size_t)block->piece_count * (size_t)model->config.hidden_size * sizeof *hidden);
    }
    TRY(model->backend->stream_synchronize(model->stream, diagnostic));
out:
    return status;
}

/* Rows of the scored pieces, which stand one after another, to their places among all, from the end on: no row moves down. */
static void spread_logits(const HostRows *host, int32_t scored, int32_t pieces, size_t columns, float *logits)
{
    int32_t next = scored - 1;
    for (int32_t t = pieces - 1; t >= 0; t--) {
        float *row = logits + (size_t)t * columns;
        if (next >= 0 && host->scored_index[next] == t)
            memmove(row, logits + (size_t)next-- * columns, columns * sizeof *logits);
        else
            memset(row, 0, columns * sizeof *logits);
    }
}

Status model_forward(Model *model, const TokenBlock *block, const bool *wanted, float *logits, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ASSERT(!model->rows_late);
    Activations *activations = inference_activations(model, block);
    size_t columns = (size_t)model->config.label_count;
    ModelBlock model_block;
    DropoutPlan plan = {.on = false};
    TRY(model_block_upload(model, block, wanted ? SCORED_WANTED : SCORED_ALL, wanted, activations, &model_block, diagnostic));
    if (block->piece_count > 0) {
        model_forward_queue(model, &model_block, &plan, 0, activations);
        model->backend->copy_to_host(model->stream, logits, activations->logits,
                                     (size_t)model_block.scored.piece_count * columns * sizeof *logits);
    }
    TRY(model->backend->stream_synchronize(model->stream, diagnostic));
    if (model_block.some)
        spread_logits(&model->host, model_block.scored.piece_count, block->piece_count, columns, logits);
out:
    return status;
}
