/* The model's life and its parameters. plan.c reserves the memory of a pass, forward.c and backward.c run it.
 *
 * Dropout sites are numbered in model_internal.h (DropoutPlace). The embeddings' dropout and the classifier's stand behind a LayerNorm
 * (norm_forward's dropout_out), the other two of hidden states before one (dropout_in); biases are added by linear_forward before that. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

/* A matrix, its first parameter, its shape and the type of its products. */
typedef struct MatrixPlace {
    BackendMatrix **matrix;
    int32_t part, parameter, n, k;
    DeviceType type;
} MatrixPlace;

enum { LAYER_MATRIX_COUNT = sizeof(LayerMatrices) / sizeof(BackendMatrix *) };

int32_t model_matrix_count(const Model *model)
{
    return LAYER_MATRIX_COUNT * model->config.num_hidden_layers + 1;
}

static MatrixPlace matrix_place(Model *model, int32_t index)
{
    int32_t layers = model->config.num_hidden_layers, d = model->config.hidden_size, f = model->config.intermediate_size;
    int32_t layer = index / LAYER_MATRIX_COUNT, part = 1 + layer;
    DeviceType type = model->product_type;
    if (layer == layers)
        return (MatrixPlace){&model->classifier,        part, head_parameter(layers, HEAD_WEIGHT),
                             model->config.label_count, d,    DEVICE_FP32};
    LayerMatrices *matrices = &model->matrices[layer];
    const MatrixPlace places[LAYER_MATRIX_COUNT] = {
        {&matrices->qkv, part, layer_parameter(layer, LAYER_QUERY_WEIGHT), 3 * d, d, type},
        {&matrices->output, part, layer_parameter(layer, LAYER_OUTPUT_WEIGHT), d, d, type},
        {&matrices->ffn_in, part, layer_parameter(layer, LAYER_FFN_IN_WEIGHT), f, d, type},
        {&matrices->ffn_out, part, layer_parameter(layer, LAYER_FFN_OUT_WEIGHT), d, f, type},
    };
    return places[index % LAYER_MATRIX_COUNT];
}

static Status create_matrices(Model *model, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    model->matrices = memory_allocate((size_t)model->config.num_hidden_layers, sizeof *model->matrices);
    for (int32_t i = 0; i < model_matrix_count(model); i++) {
        MatrixPlace place = matrix_place(model, i);
        size_t offset = model->layout->parameters[place.parameter].offset;
        DeviceView copy = place.type == DEVICE_BF16 ? model_products(model, offset) : device_view_none();
        TRY(model->backend->matrix_create(place.matrix, model->device, parameter_view(model, place.parameter), copy, place.n,
                                          place.k, place.type, diagnostic));
    }
out:
    return status;
}

static size_t bytes_of_products(const ModelLayout *layout, DeviceType product_type)
{
    return product_type == DEVICE_BF16 ? (layout->float_count - model_dense_offset(layout, 0)) * device_type_bytes(product_type)
                                       : 0;
}

size_t model_matrix_bytes(const BertConfig *config, const ModelLayout *layout, const Backend *backend, const BackendDevice *device,
                          DeviceType product_type)
{
    int32_t d = config->hidden_size, f = config->intermediate_size;
    const int32_t shapes[][2] = {{3 * d, d}, {d, d}, {f, d}, {d, f}};
    size_t layer = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        layer += backend->matrix_bytes(device, shapes[i][0], shapes[i][1], product_type);
    return (size_t)config->num_hidden_layers * layer + backend->matrix_bytes(device, config->label_count, d, DEVICE_FP32) +
           bytes_of_products(layout, product_type);
}

DeviceView model_products(const Model *model, size_t offset)
{
    size_t first = model_dense_offset(model->layout, 0);
    if (!model->products)
        return device_view_none();
    ASSERT(offset >= first && offset < model->layout->float_count);
    return device_view_floats((DeviceView){model->products, 0, DEVICE_BF16}, offset - first);
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
    size_t product_bytes = bytes_of_products(made->layout, product_type);
    if (product_bytes > 0)
        TRY(backend->buffer_create(&made->products, device, product_bytes, diagnostic));
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
    for (int32_t i = 0; model->matrices && i < model_matrix_count(model); i++) {
        BackendMatrix **matrix = matrix_place(model, i).matrix;
        if (*matrix)
            model->backend->matrix_destroy(matrix);
    }
    free(model->matrices);
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
    BackendBuffer **buffers[] = {&old->parameters, &old->products, &old->gradients, &old->loss, &old->activation_buffer};
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
    for (int32_t i = 0; i < model_matrix_count(model); i++)
        model->backend->matrix_refresh(model->stream, *matrix_place(model, i).matrix);
    return model->backend->stream_synchronize(model->stream, diagnostic);
}

/* Finds the matrix in whose master count floats of the layout lie, from its element *first on. */
static bool find_matrix(Model *model, size_t offset, size_t count, MatrixPlace *place, size_t *first)
{
    for (int32_t i = 0; i < model_matrix_count(model); i++) {
        *place = matrix_place(model, i);
        size_t begin = model->layout->parameters[place->parameter].offset, end = begin + (size_t)place->n * (size_t)place->k;
        *first = offset - begin;
        if (begin <= offset && offset + count <= end)
            return true;
    }
    return false;
}

BackendMatrix *model_matrix_at(Model *model, size_t offset, size_t count, size_t *first)
{
    MatrixPlace place;
    return find_matrix(model, offset, count, &place, first) ? *place.matrix : NULL;
}

bool model_has_products(Model *model, int32_t parameter)
{
    const ModelParameter *found = &model->layout->parameters[parameter];
    MatrixPlace place;
    size_t first;
    return find_matrix(model, found->offset, found->count, &place, &first) && place.type == DEVICE_BF16;
}

void model_settle_part(Model *model, int32_t part)
{
    for (int32_t i = 0; i < model_matrix_count(model); i++) {
        MatrixPlace place = matrix_place(model, i);
        if (place.part == part)
            model->backend->matrix_settle(model->stream, *place.matrix);
    }
}

void model_refresh_fp32(Model *model, const bool *part_frozen)
{
    for (int32_t i = 0; i < model_matrix_count(model); i++) {
        MatrixPlace place = matrix_place(model, i);
        if (place.type == DEVICE_FP32 && !part_frozen[place.part])
            model->backend->matrix_refresh(model->stream, *place.matrix);
    }
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
