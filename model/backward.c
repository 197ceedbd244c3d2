/* One micro-batch of training: forward, loss, and backward down to the lowest part that trains. */
#include <math.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

/* What backward passes around. */
typedef struct Backward {
    Model *model;
    const ModelBlock *block;
    Activations *activations;
    const ModelStep *step;
    DropoutPlan dropout;
    int32_t lowest; /* lowest part that trains; part_count: none */
} Backward;

static bool part_trains(const ModelStep *step, int32_t part)
{
    return model_part_trains(step->part_frozen, part);
}

static int32_t lowest_training_part(const ModelLayout *layout, const ModelStep *step)
{
    int32_t part = 0;
    while (part < layout->part_count && !part_trains(step, part))
        part++;
    return part;
}

static Status announce_part(const Backward *backward, int32_t part, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelStep *step = backward->step;
    if (!step->part_ready || !part_trains(step, part))
        return STATUS_OK;
    TRY(backward->model->backend->stream_synchronize(backward->model->stream, diagnostic));
    TRY(step->part_ready(step->part_ready_context, part, diagnostic));
out:
    return status;
}

/* What stands behind a layer's attention: all rows, or in the last layer those that are scored. */
typedef struct LayerRows {
    const DeviceBlock *block;
    DeviceView context, d_hidden;
} LayerRows;

static bool only_scored_rows(const Backward *backward, int32_t layer)
{
    return backward->block->some && layer == backward->model->config.num_hidden_layers - 1;
}

static LayerRows layer_rows(const Backward *backward, int32_t layer)
{
    const Activations *all = backward->activations;
    if (only_scored_rows(backward, layer))
        return (LayerRows){&backward->block->scored, all->scored_context, all->d_scored};
    return (LayerRows){&backward->block->all, all->layers[layer].context, all->d_hidden};
}

static void head_backward(const Backward *backward)
{
    Model *model = backward->model;
    const Backend *backend = model->backend;
    const Activations *activations = backward->activations;
    int32_t layers = model->config.num_hidden_layers, rows = backward->block->scored.piece_count;
    if (part_trains(backward->step, layers + 1))
        backend->linear_backward_weight(model->stream, activations->layers[layers - 1].output.y, activations->d_logits, rows,
                                        model->config.label_count, model->config.hidden_size, !backward->step->zero_gradients,
                                        gradient_view(model, head_parameter(layers, HEAD_WEIGHT)),
                                        gradient_view(model, head_parameter(layers, HEAD_BIAS)));
    if (backward->lowest <= layers)
        backend->linear_backward_input(model->stream, model->classifier, activations->d_logits, rows, device_view_none(), false,
                                       layer_rows(backward, layers - 1).d_hidden);
}

static DeviceView layer_gradient(const Backward *backward, int32_t layer, int32_t which)
{
    if (!part_trains(backward->step, 1 + layer))
        return device_view_none();
    return gradient_view(backward->model, layer_parameter(layer, which));
}

/* d_weight = d_y^T x in the step's first block, += in the others, unless the layer is frozen. */
static void layer_weight_backward(const Backward *backward, int32_t layer, DeviceView x, DeviceView d_y, int32_t rows, int32_t n,
                                  int32_t k, int32_t weight, int32_t bias)
{
    if (!part_trains(backward->step, 1 + layer))
        return;
    backward->model->backend->linear_backward_weight(backward->model->stream, x, d_y, rows, n, k, !backward->step->zero_gradients,
                                                     layer_gradient(backward, layer, weight),
                                                     layer_gradient(backward, layer, bias));
    if (backward->step->progress)
        backward->step->progress(backward->step->part_ready_context);
}

/* FFN sublayer: rows.d_hidden holds d(output.y) before and d(attention.y) after. */
static void ffn_backward(const Backward *backward, int32_t index)
{
    Model *model = backward->model;
    const Backend *backend = model->backend;
    const Activations *all = backward->activations;
    const LayerActivations *layer = &all->layers[index];
    const DropoutPlan *dropout = &backward->dropout;
    LayerRows some = layer_rows(backward, index);
    int32_t rows = some.block->piece_count, d = model->config.hidden_size, f = model->config.intermediate_size;

    backend->norm_backward(model->stream, some.block, some.d_hidden, layer->output.sum, layer->output.mean, layer->output.rstd,
                           parameter_view(model, layer_parameter(index, LAYER_FFN_NORM_WEIGHT)), d,
                           model_dropout_layer(model, dropout, index, DROPOUT_FFN_OUTPUT),
                           model_dropout_layer(model, dropout, index, DROPOUT_CLASSIFIER), some.d_hidden, all->d_branch,
                           layer_gradient(backward, index, LAYER_FFN_NORM_WEIGHT),
                           layer_gradient(backward, index, LAYER_FFN_NORM_BIAS));
    layer_weight_backward(backward, index, layer->ffn, all->d_branch, rows, d, f, LAYER_FFN_OUT_WEIGHT, LAYER_FFN_OUT_BIAS);
    backend->linear_backward_input(model->stream, model->matrices[index].ffn_out, all->d_branch, rows, layer->ffn_pre, false,
                                   all->d_ffn);
    layer_weight_backward(backward, index, layer->attention.product, all->d_ffn, rows, f, d, LAYER_FFN_IN_WEIGHT,
                          LAYER_FFN_IN_BIAS);
    backend->linear_backward_input(model->stream, model->matrices[index].ffn_in, all->d_ffn, rows, device_view_none(), true,
                                   some.d_hidden);
}

/* From the gradients of the rows behind attention to those of all rows: rows that nobody looked at have none. d_context [R, d]. */
static void scatter_gradients(const Backward *backward, DeviceView d_context)
{
    Model *model = backward->model;
    const Activations *all = backward->activations;
    int32_t scored = backward->block->scored.piece_count, pieces = backward->block->all.piece_count, d = model->config.hidden_size;
    model->backend->rows_scatter(model->stream, d_context, all->scored_index, scored, d, all->d_context, pieces);
    model->backend->rows_scatter(model->stream, all->d_scored, all->scored_index, scored, d, all->d_hidden, pieces);
}

/* Attention sublayer: d_hidden of its rows holds d(attention.y) before, d_hidden of all rows that of the layer's input after, unless nothing below trains. */
static void attention_backward(const Backward *backward, int32_t index)
{
    Model *model = backward->model;
    const Backend *backend = model->backend;
    const Activations *all = backward->activations;
    const LayerActivations *layer = &all->layers[index];
    const DropoutPlan *dropout = &backward->dropout;
    LayerRows some = layer_rows(backward, index);
    bool scatters = only_scored_rows(backward, index);
    int32_t rows = some.block->piece_count, pieces = backward->block->all.piece_count;
    int32_t d = model->config.hidden_size, heads = model->config.num_attention_heads;
    DeviceView d_context = scatters ? all->d_qkv : all->d_context; /* d_qkv is not needed yet */

    backend->norm_backward(model->stream, some.block, some.d_hidden, layer->attention.sum, layer->attention.mean,
                           layer->attention.rstd, parameter_view(model, layer_parameter(index, LAYER_ATTENTION_NORM_WEIGHT)), d,
                           model_dropout_layer(model, dropout, index, DROPOUT_ATTENTION_OUTPUT), model_dropout_off(), some.d_hidden,
                           all->d_branch, layer_gradient(backward, index, LAYER_ATTENTION_NORM_WEIGHT),
                           layer_gradient(backward, index, LAYER_ATTENTION_NORM_BIAS));
    layer_weight_backward(backward, index, some.context, all->d_branch, rows, d, d, LAYER_OUTPUT_WEIGHT, LAYER_OUTPUT_BIAS);
    backend->linear_backward_input(model->stream, model->matrices[index].output, all->d_branch, rows, device_view_none(), false,
                                   d_context);
    if (scatters)
        scatter_gradients(backward, d_context);
    backend->attention_backward(model->stream, &backward->block->all, layer->qkv, layer->context, layer->log_sum_exp,
                                all->d_context, heads, d / heads, model_dropout_layer(model, dropout, index, DROPOUT_ATTENTION),
                                all->d_qkv);
    layer_weight_backward(backward, index, layer_product(all, index), all->d_qkv, pieces, 3 * d, d, LAYER_QUERY_WEIGHT,
                          LAYER_QUERY_BIAS);
    if (backward->lowest <= index)
        backend->linear_backward_input(model->stream, model->matrices[index].qkv, all->d_qkv, pieces, device_view_none(), true,
                                       all->d_hidden);
}

static void embeddings_backward(const Backward *backward)
{
    Model *model = backward->model;
    const NormActivations *embeddings = &backward->activations->embeddings;
    DeviceView d_hidden = backward->activations->d_hidden;
    int32_t d = model->config.hidden_size;
    model->backend->norm_backward(model->stream, &backward->block->all, d_hidden, embeddings->sum, embeddings->mean,
                                  embeddings->rstd, parameter_view(model, EMBEDDING_NORM_WEIGHT), d, model_dropout_off(),
                                  model_dropout_embeddings(model, &backward->dropout), d_hidden, device_view_none(),
                                  gradient_view(model, EMBEDDING_NORM_WEIGHT), gradient_view(model, EMBEDDING_NORM_BIAS));
    DeviceBlock rows = backward->block->all; /* the gradient of a word is a row of the step, not of the vocabulary */
    rows.ids = backward->activations->gradient_rows;
    model->backend->embedding_backward(model->stream, &rows, d_hidden, d, gradient_view(model, EMBEDDING_WORD),
                                       gradient_view(model, EMBEDDING_POSITION), gradient_view(model, EMBEDDING_TYPE));
}

/* From the head down. An empty block (a rank without a sentence in this step) still announces its parts. */
static Status run_backward(const Backward *backward, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool empty = backward->block->all.piece_count == 0;
    int32_t layers = backward->model->config.num_hidden_layers;
    if (!empty && backward->lowest <= layers + 1)
        head_backward(backward);
    TRY(announce_part(backward, layers + 1, diagnostic));
    for (int32_t i = layers - 1; i >= 0 && backward->lowest <= 1 + i; i--) {
        if (!empty) {
            if (backward->activations->checkpointed && i < layers - 1) /* the last one's are still there */
                model_layer_queue(backward->model, backward->block, &backward->dropout, i, backward->activations);
            ffn_backward(backward, i);
            attention_backward(backward, i);
        }
        TRY(announce_part(backward, 1 + i, diagnostic));
    }
    if (!empty && backward->lowest == 0)
        embeddings_backward(backward);
    TRY(announce_part(backward, 0, diagnostic));
out:
    return status;
}

/* Queues the loss; its sum goes to the first bytes of the loss buffer. */
static void queue_loss(Model *model, const ModelBlock *block, const ModelStep *step, const Activations *activations)
{
    const Backend *backend = model->backend;
    DeviceView loss = device_view(model->loss, 0), class_weights = device_view_none();
    const HostRows *host = &model->host;
    size_t scored = (size_t)block->scored.piece_count;
    backend->copy_to_device(model->stream, activations->labels, host->labels, scored * sizeof *host->labels);
    backend->copy_to_device(model->stream, activations->weights, host->weights, scored * sizeof *host->weights);
    if (step->class_weights) {
        class_weights = device_view(model->loss, LOSS_CLASS_WEIGHTS_BYTES);
        backend->copy_to_device(model->stream, class_weights, step->class_weights,
                                (size_t)model->config.label_count * sizeof *step->class_weights);
    }
    backend->fill_zero(model->stream, loss, sizeof(double));
    /* A step without one labelled token has no loss and moves nothing, where a division by zero would end the trial. */
    float scale = step->denominator > 0 ? (float)(1.0 / step->denominator) : 0.0f;
    backend->cross_entropy(model->stream, activations->logits, activations->labels, activations->weights, class_weights,
                           step->label_smoothing, scale, block->scored.piece_count, model->config.label_count, loss,
                           activations->d_logits);
}

/* The last of the layers whose output is given stands as if it had been computed. */
static void upload_prefix(Model *model, const TokenBlock *block, const ModelStep *step, int32_t lowest)
{
    ASSERT(step->prefix_layers >= 1 && step->prefix_layers < lowest && step->prefix_layers < model->config.num_hidden_layers);
    model->backend->copy_to_device(model->stream, layer_input(&model->training, step->prefix_layers), step->prefix,
                                   (size_t)block->piece_count * (size_t)model->config.hidden_size * sizeof *step->prefix);
    if (model->product_type != DEVICE_FP32)
        model->backend->convert(model->stream, layer_product(&model->training, step->prefix_layers),
                                layer_input(&model->training, step->prefix_layers),
                                (size_t)block->piece_count * (size_t)model->config.hidden_size);
}

Status model_train_block(Model *model, const TokenBlock *block, const ModelStep *step, double *loss_sum, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ModelBlock model_block;
    double loss = 0;
    *loss_sum = 0;
    if (!model->gradients || !model->training.piece_limit)
        return FAIL(diagnostic, STATUS_LIMIT, "the model was not planned for training");
    Backward backward = {
        .model = model,
        .block = &model_block,
        .activations = &model->training,
        .step = step,
        .lowest = lowest_training_part(model->layout, step),
    };
    backward.dropout = (DropoutPlan){
        .on = step->dropout,
        .key = philox_key(step->seed, RANDOM_DROPOUT, (uint32_t)step->step),
        .prefix = step->frozen_dropout ? 0 : backward.lowest,
    };
    TRY(model_block_upload(model, block, SCORED_LABELLED, NULL, &model->training, &model_block, diagnostic));
    if (step->zero_gradients && block->piece_count == 0)
        model_gradients_clear(model, step->part_frozen);
    else if (step->zero_gradients)
        model_gradients_begin(model, step->part_frozen);
    if (backward.lowest == 0) {
        TRY(model_gradient_places(model, block, model->host.gradient_rows, diagnostic));
        model->backend->copy_to_device(model->stream, model->training.gradient_rows, model->host.gradient_rows,
                                       (size_t)block->piece_count * sizeof *model->host.gradient_rows);
    }
    if (block->piece_count > 0) {
        if (step->prefix)
            upload_prefix(model, block, step, backward.lowest);
        model_forward_queue(model, &model_block, &backward.dropout, step->prefix ? step->prefix_layers : 0, &model->training);
        queue_loss(model, &model_block, step, &model->training);
        model->backend->copy_to_host(model->stream, &loss, device_view(model->loss, 0), sizeof loss);
    }
    TRY(run_backward(&backward, diagnostic));
    TRY(model->backend->stream_synchronize(model->stream, diagnostic));
    *loss_sum = loss;
    /* Looked at last, so that the ranks of a step have announced the same parts whether their own loss is finite or not. */
    if (!isfinite(loss)) {
        char place[128];
        TRY(model_find_divergence(model, &model_block, &backward.dropout, step->prefix ? step->prefix_layers : 0, place,
                                  sizeof place, diagnostic));
        TRY_FAIL(diagnostic, STATUS_DIVERGED,
                 "the loss is not finite at step %lld; the first value that is not a number: %s. The learning rate may be too high",
                 (long long)step->step, place);
    }
out:
    return status;
}

double model_block_denominator(const TokenBlock *block, const float *class_weights)
{
    double sum = 0;
    for (int32_t t = 0; t < block->piece_count; t++) {
        int32_t label = block->labels[t];
        if (label != TOKEN_LABEL_IGNORED)
            sum += (double)block->weights[t] * (class_weights ? (double)class_weights[label] : 1.0);
    }
    return sum;
}
