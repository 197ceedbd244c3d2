/* The model's life and its parameters. plan.c reserves the memory of a pass, forward.c and backward.c run it.
 *
 * Dropout sites are numbered in model_internal.h (DropoutPlace). The embeddings' dropout and the classifier's stand behind a LayerNorm
 * (norm_forward's dropout_out), the other two of hidden states before one (dropout_in); biases are added by linear_forward before that. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

static Status create_matrix(Model *model, BackendMatrix **matrix, int32_t parameter, int32_t n, int32_t k, DeviceType type,
                            Diagnostic *diagnostic)
{
    return model->backend->matrix_create(matrix, model->device, parameter_view(model, parameter), n, k, type, diagnostic);
}

static Status create_matrices(Model *model, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int32_t layers = model->config.num_hidden_layers, d = model->config.hidden_size, f = model->config.intermediate_size;
    DeviceType type = model->product_type;
    model->matrices = memory_allocate((size_t)layers, sizeof *model->matrices);
    for (int32_t i = 0; i < layers; i++) {
        LayerMatrices *layer = &model->matrices[i];
        TRY(create_matrix(model, &layer->qkv, layer_parameter(i, LAYER_QUERY_WEIGHT), 3 * d, d, type, diagnostic));
        TRY(create_matrix(model, &layer->output, layer_parameter(i, LAYER_OUTPUT_WEIGHT), d, d, type, diagnostic));
        TRY(create_matrix(model, &layer->ffn_in, layer_parameter(i, LAYER_FFN_IN_WEIGHT), f, d, type, diagnostic));
        TRY(create_matrix(model, &layer->ffn_out, layer_parameter(i, LAYER_FFN_OUT_WEIGHT), d, f, type, diagnostic));
    }
    TRY(create_matrix(model, &model->classifier, head_parameter(layers, HEAD_WEIGHT), model->config.label_count, d, DEVICE_FP32,
                      diagnostic));
out:
    return status;
}

size_t model_matrix_bytes(const BertConfig *config, const Backend *backend, const BackendDevice *device, DeviceType product_type)
{
    int32_t d = config->hidden_size, f = config->intermediate_size;
    const int32_t shapes[][2] = {{3 * d, d}, {d, d}, {f, d}, {d, f}};
    size_t layer = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        layer += backend->matrix_bytes(device, shapes[i][0], shapes[i][1], product_type);
    return (size_t)config->num_hidden_layers * layer + backend->matrix_bytes(device, config->label_count, d, DEVICE_FP32);
}

Status model_create(Model **model, const BertConfig *config, const Backend *backend, BackendDevice *device, DeviceType product_type,
                    Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *model = NULL;
    Model *made = memory_allocate(1, sizeof *made);
    made->backend = backend;
    made->device = device;
    made->product_type = product_type;
    TRY(model_layout_create(&made->layout, config, diagnostic));
    bert_config_copy(&made->config, config);
    TRY(backend->stream_create(&made->stream, device, diagnostic));
    TRY(backend->buffer_create(&made->parameters, device, made->layout->float_count * sizeof(float), diagnostic));
    size_t loss_bytes = LOSS_CLASS_WEIGHTS_BYTES + (size_t)config->label_count * sizeof(float);
    TRY(backend->buffer_create(&made->loss, device, loss_bytes, diagnostic));
    TRY(create_matrices(made, diagnostic));
    *model = made;
    made = NULL;
out:
    model_destroy(&made);
    return status;
}

static void destroy_matrices(Model *model)
{
    const Backend *backend = model->backend;
    for (int32_t i = 0; model->matrices && i < model->config.num_hidden_layers; i++) {
        LayerMatrices *layer = &model->matrices[i];
        BackendMatrix **all[] = {&layer->qkv, &layer->output, &layer->ffn_in, &layer->ffn_out};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            if (*all[j])
                backend->matrix_destroy(all[j]);
        }
    }
    free(model->matrices);
    if (model->classifier)
        backend->matrix_destroy(&model->classifier);
}

void model_destroy(Model **model)
{
    Model *old = *model;
    if (!old)
        return;
    const Backend *backend = old->backend;
    if (old->stream) { /* the optimizer's last update may still be queued */
        Status ignored = backend->stream_synchronize(old->stream, NULL);
        (void)ignored;
    }
    destroy_matrices(old);
    BackendBuffer **buffers[] = {&old->parameters, &old->gradients, &old->loss, &old->activation_buffer};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        if (*buffers[i])
            backend->buffer_destroy(buffers[i]);
    }
    if (old->stream)
        backend->stream_destroy(&old->stream);
    free(old->training.layers);
    free(old->inference.layers);
    free(old->host.slots);
    free(old->host.scored_index);
    free(old->host.scored_positions);
    free(old->host.scored_slots);
    free(old->host.labels);
    free(old->host.weights);
    free(old->host.gradient_rows);
    free(old->rows.ids);
    free(old->rows.place);
    model_layout_destroy(&old->layout);
    bert_config_free(&old->config);
    free(old);
    *model = NULL;
}

const BertConfig *model_config(const Model *model)
{
    return &model->config;
}

const ModelLayout *model_layout(const Model *model)
{
    return model->layout;
}

const Backend *model_backend(const Model *model)
{
    return model->backend;
}

BackendDevice *model_device(const Model *model)
{
    return model->device;
}

BackendStream *model_stream(const Model *model)
{
    return model->stream;
}

DeviceView model_parameters(Model *model)
{
    return device_view(model->parameters, 0);
}

void model_rows_late(Model *model, bool late)
{
    model->rows_late = late;
}

Status model_parameters_get(Model *model, float *values, Diagnostic *diagnostic)
{
    ASSERT(!model->rows_late);
    model->backend->copy_to_host(model->stream, values, model_parameters(model), model->layout->float_count * sizeof(float));
    return model->backend->stream_synchronize(model->stream, diagnostic);
}

Status model_parameters_open(Model *model, HostFloats *parameters, Diagnostic *diagnostic)
{
    ASSERT(!model->rows_late);
    return host_floats_open(parameters, model->backend, model->stream, model_parameters(model), model->layout->float_count,
                            diagnostic);
}

Status model_parameters_set(Model *model, const float *values, Diagnostic *diagnostic)
{
    ASSERT(!model->rows_late);
    model->backend->copy_to_device(model->stream, model_parameters(model), values, model->layout->float_count * sizeof(float));
    model_refresh(model, NULL);
    return model->backend->stream_synchronize(model->stream, diagnostic);
}

int32_t model_matrix_count(const Model *model)
{
    return (int32_t)(sizeof(LayerMatrices) / sizeof(BackendMatrix *)) * model->config.num_hidden_layers + 1;
}

BackendMatrix *model_matrix_at(const Model *model, size_t offset, size_t count)
{
    int32_t layers = model->config.num_hidden_layers, d = model->config.hidden_size, f = model->config.intermediate_size;
    const ModelParameter *parameters = model->layout->parameters;
    for (int32_t i = 0; i < layers; i++) {
        const LayerMatrices *layer = &model->matrices[i];
        const struct {
            BackendMatrix *matrix;
            int32_t parameter, n, k;
        } all[] = {{layer->qkv, LAYER_QUERY_WEIGHT, 3 * d, d},
                   {layer->output, LAYER_OUTPUT_WEIGHT, d, d},
                   {layer->ffn_in, LAYER_FFN_IN_WEIGHT, f, d},
                   {layer->ffn_out, LAYER_FFN_OUT_WEIGHT, d, f}};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            bool same = parameters[layer_parameter(i, all[j].parameter)].offset == offset;
            if (same && (size_t)all[j].n * (size_t)all[j].k == count)
                return all[j].matrix;
        }
    }
    const ModelParameter *head = &parameters[head_parameter(layers, HEAD_WEIGHT)];
    return head->offset == offset && head->count == count ? model->classifier : NULL;
}

void model_refresh(Model *model, const bool *part_frozen)
{
    const Backend *backend = model->backend;
    int32_t layers = model->config.num_hidden_layers;
    for (int32_t i = 0; i < layers; i++) {
        if (part_frozen && part_frozen[1 + i])
            continue;
        backend->matrix_refresh(model->stream, model->matrices[i].qkv);
        backend->matrix_refresh(model->stream, model->matrices[i].output);
        backend->matrix_refresh(model->stream, model->matrices[i].ffn_in);
        backend->matrix_refresh(model->stream, model->matrices[i].ffn_out);
    }
    if (!part_frozen || !part_frozen[layers + 1])
        backend->matrix_refresh(model->stream, model->classifier);
}

bool model_rows_independent(const Model *model)
{
    return model->backend->rows_independent(model->device);
}

Dropout model_dropout_off(void)
{
    return (Dropout){0};
}

static Dropout dropout_of(const DropoutPlan *plan, float probability, int32_t site)
{
    return (Dropout){.probability = probability, .key = plan->key, .site = (uint32_t)site};
}

Dropout model_dropout_embeddings(const Model *model, const DropoutPlan *plan)
{
    if (!plan->on || plan->prefix > 0)
        return model_dropout_off();
    return dropout_of(plan, model->config.hidden_dropout_prob, 0);
}

Dropout model_dropout_layer(const Model *model, const DropoutPlan *plan, int32_t layer, DropoutPlace place)
{
    const BertConfig *config = &model->config;
    int32_t part = place == DROPOUT_CLASSIFIER ? config->num_hidden_layers + 1 : 1 + layer;
    if (!plan->on || plan->prefix > part || (place == DROPOUT_CLASSIFIER && layer != config->num_hidden_layers - 1))
        return model_dropout_off();
    float probability = place == DROPOUT_ATTENTION    ? config->attention_probs_dropout_prob
                        : place == DROPOUT_CLASSIFIER ? config->classifier_dropout
                                                      : config->hidden_dropout_prob;
    return dropout_of(plan, probability, 4 * layer + (int32_t)place);
}
