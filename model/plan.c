/* Activation memory: every place of a pass is found once, from the largest block that is to come. */
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/memory.h"
#include "model/model_internal.h"

enum { PLACE_ALIGNMENT_BYTES = 64 };

/* Hands out places of one buffer one after another; overflow is remembered and looked at once. */
typedef struct Planner {
    BackendBuffer *buffer; /* NULL while only the size is wanted */
    size_t used_bytes;
    bool overflow;
    size_t piece_limit;
    DeviceType product_type;
} Planner;

static DeviceView place_bytes(Planner *planner, size_t count, size_t size)
{
    DeviceView view = device_view(planner->buffer, planner->used_bytes);
    size_t bytes, end;
    if (!size_multiply(count, size, &bytes) || !size_add(planner->used_bytes, bytes, &end) ||
        !size_add(end, PLACE_ALIGNMENT_BYTES - 1, &end)) {
        planner->overflow = true;
        return view;
    }
    planner->used_bytes = end / PLACE_ALIGNMENT_BYTES * PLACE_ALIGNMENT_BYTES;
    return view;
}

/* [piece_limit, columns] floats. */
static DeviceView place_rows(Planner *planner, int32_t columns)
{
    size_t row_bytes = (size_t)columns * sizeof(float);
    return place_bytes(planner, planner->piece_limit, row_bytes);
}

/* [piece_limit, columns] of the products' type. */
static DeviceView place_product_rows(Planner *planner, int32_t columns)
{
    size_t row_bytes = (size_t)columns * device_type_bytes(planner->product_type);
    DeviceView view = place_bytes(planner, planner->piece_limit, row_bytes);
    view.type = planner->product_type;
    return view;
}

static NormActivations place_norm(Planner *planner, int32_t d)
{
    NormActivations norm;
    norm.sum = place_rows(planner, d);
    norm.mean = place_rows(planner, 1);
    norm.rstd = place_rows(planner, 1);
    norm.y = place_rows(planner, d);
    norm.product = planner->product_type == DEVICE_FP32 ? norm.y : place_product_rows(planner, d);
    return norm;
}

static LayerActivations place_layer(Planner *planner, const BertConfig *config)
{
    int32_t d = config->hidden_size, f = config->intermediate_size;
    LayerActivations layer;
    layer.qkv = place_product_rows(planner, 3 * d);
    layer.context = place_product_rows(planner, d);
    layer.log_sum_exp = place_rows(planner, config->num_attention_heads);
    layer.attention = place_norm(planner, d);
    layer.ffn_pre = place_product_rows(planner, f);
    layer.ffn = place_product_rows(planner, f);
    layer.output = place_norm(planner, d);
    return layer;
}

/* One layer's places for all; only y, which the next layer reads, is kept of each. Operands of products take turns between two places: a
 * layer's input and its output are there at the same time. */
static void place_layers_checkpointed(Planner *planner, const BertConfig *config, Activations *plan)
{
    LayerActivations shared = place_layer(planner, config);
    const DeviceView products[] = {plan->embeddings.product, shared.output.product};
    for (int32_t i = 0; i < config->num_hidden_layers; i++) {
        NormActivations *output = &plan->layers[i].output;
        plan->layers[i] = shared;
        if (i > 0)
            output->y = place_rows(planner, config->hidden_size);
        output->product = planner->product_type == DEVICE_FP32 ? output->y : products[(i + 1) % 2];
    }
}

static void place_layers_for_training(Planner *planner, const BertConfig *config, Activations *plan)
{
    if (plan->checkpointed)
        place_layers_checkpointed(planner, config, plan);
    for (int32_t i = 0; !plan->checkpointed && i < config->num_hidden_layers; i++)
        plan->layers[i] = place_layer(planner, config);
    int32_t d = config->hidden_size;
    plan->gradient_rows = place_rows(planner, 1);
    plan->scored_context = place_product_rows(planner, d);
    plan->d_logits = place_rows(planner, config->label_count);
    plan->d_scored = place_rows(planner, d);
    plan->d_hidden = place_rows(planner, d);
    plan->scored_x = plan->d_hidden; /* forward is done with it before backward begins */
    plan->d_branch = place_product_rows(planner, d);
    plan->d_context = place_product_rows(planner, d);
    plan->d_qkv = place_product_rows(planner, 3 * d);
    plan->d_ffn = place_product_rows(planner, config->intermediate_size);
}

/* Nothing is kept: each layer writes its output over its input, which its first LayerNorm was the last to read. */
static void place_layers_for_inference(Planner *planner, const BertConfig *config, Activations *plan)
{
    int32_t d = config->hidden_size;
    LayerActivations layer = {0};
    layer.qkv = place_product_rows(planner, 3 * d);
    layer.context = place_product_rows(planner, d);
    layer.log_sum_exp = place_rows(planner, config->num_attention_heads);
    layer.attention = plan->embeddings;
    layer.attention.y = place_rows(planner, d);
    layer.attention.product = planner->product_type == DEVICE_FP32 ? layer.attention.y : place_product_rows(planner, d);
    layer.ffn_pre = device_view_none();
    layer.ffn = place_product_rows(planner, config->intermediate_size);
    layer.output = plan->embeddings;
    plan->scored_context = layer.qkv; /* which attention was the last to read */
    plan->scored_x = device_view_floats(layer.qkv, planner->piece_limit * (size_t)d);
    plan->scored_x.type = DEVICE_FP32; /* two thirds of qkv are room for it in either type */
    for (int32_t i = 0; i < config->num_hidden_layers; i++)
        plan->layers[i] = layer;
}

/* False when the size does not fit into a size_t. */
static bool place_all(Activations *plan, const BertConfig *config, DeviceType product_type, BackendBuffer *buffer, bool training)
{
    Planner planner = {.buffer = buffer, .piece_limit = (size_t)plan->piece_limit, .product_type = product_type};
    if (!plan->layers)
        plan->layers = memory_allocate((size_t)config->num_hidden_layers, sizeof *plan->layers);
    plan->ids = place_rows(&planner, 1);
    plan->positions = place_rows(&planner, 1);
    plan->slots = place_rows(&planner, 1);
    plan->sequence_start = place_bytes(&planner, (size_t)plan->sequence_limit + 1, sizeof(int32_t));
    plan->scored_index = place_rows(&planner, 1);
    plan->scored_positions = place_rows(&planner, 1);
    plan->scored_slots = place_rows(&planner, 1);
    plan->labels = place_rows(&planner, 1);
    plan->weights = place_rows(&planner, 1);
    plan->embeddings = place_norm(&planner, config->hidden_size);
    plan->logits = place_rows(&planner, config->label_count);
    if (training)
        place_layers_for_training(&planner, config, plan);
    else
        place_layers_for_inference(&planner, config, plan);
    plan->size_bytes = planner.used_bytes;
    return !planner.overflow;
}

static void place_both(Model *model)
{
    (void)place_all(&model->training, &model->config, model->product_type, model->activation_buffer, true);
    (void)place_all(&model->inference, &model->config, model->product_type, model->activation_buffer, false);
}

static Status reserve_activations(Model *model, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool fits = place_all(&model->training, &model->config, model->product_type, NULL, true);
    fits = place_all(&model->inference, &model->config, model->product_type, NULL, false) && fits;
    if (!fits)
        TRY_FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "activations of this many pieces are larger than any memory");
    size_t wanted = model->training.piece_limit ? model->training.size_bytes : 0;
    if (model->inference.piece_limit && model->inference.size_bytes > wanted)
        wanted = model->inference.size_bytes;
    if (wanted > model->activation_bytes) {
        if (model->activation_buffer)
            model->backend->buffer_destroy(&model->activation_buffer);
        model->activation_bytes = 0;
        status = fault_point("model.reserve_activations")
                     ? FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "injected: out of memory")
                     : model->backend->buffer_create(&model->activation_buffer, model->device, wanted, diagnostic);
        if (status != STATUS_OK) {
            diagnostic_prefix(diagnostic, "reserving %zu bytes for activations", wanted);
            goto out;
        }
        model->activation_bytes = wanted;
    }
    place_both(model);
out:
    return status;
}

static void reserve_host_rows(HostRows *host, int32_t piece_limit)
{
    size_t count = (size_t)piece_limit;
    if (piece_limit <= host->capacity)
        return;
    host->slots = memory_reallocate(host->slots, count, sizeof *host->slots);
    host->scored_index = memory_reallocate(host->scored_index, count, sizeof *host->scored_index);
    host->scored_positions = memory_reallocate(host->scored_positions, count, sizeof *host->scored_positions);
    host->scored_slots = memory_reallocate(host->scored_slots, count, sizeof *host->scored_slots);
    host->labels = memory_reallocate(host->labels, count, sizeof *host->labels);
    host->weights = memory_reallocate(host->weights, count, sizeof *host->weights);
    host->gradient_rows = memory_reallocate(host->gradient_rows, count, sizeof *host->gradient_rows);
    host->capacity = piece_limit;
}

Status model_plan(Model *model, int32_t piece_limit, int32_t sequence_limit, bool training, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Activations *plan = training ? &model->training : &model->inference;
    Activations before = *plan;
    if (piece_limit < 1 || sequence_limit < 1)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a plan for %d pieces in %d sequences: both must be at least 1", piece_limit,
                    sequence_limit);
    if (training)
        TRY(model_plan_gradient_rows(model, piece_limit, diagnostic));
    if (piece_limit > plan->piece_limit)
        plan->piece_limit = piece_limit;
    if (sequence_limit > plan->sequence_limit)
        plan->sequence_limit = sequence_limit;
    TRY(reserve_activations(model, diagnostic));
    reserve_host_rows(&model->host, plan->piece_limit);
out:
    if (status != STATUS_OK) {
        plan->piece_limit = before.piece_limit;
        plan->sequence_limit = before.sequence_limit;
        /* Without a buffer nothing is planned any more: a block is refused instead of written nowhere. */
        if (!model->activation_buffer)
            model->training.piece_limit = model->inference.piece_limit = 0;
        place_both(model);
    }
    return status;
}

size_t model_planned_bytes(const Model *model)
{
    return model->activation_bytes + model_held_gradient_bytes(model);
}

void model_set_checkpointing(Model *model, bool on)
{
    model->training.checkpointed = on;
    model->training.piece_limit = model->training.sequence_limit = 0;
}

size_t model_activation_bytes(const BertConfig *config, DeviceType product_type, int32_t piece_limit, int32_t sequence_limit,
                              ModelPass pass)
{
    Activations plan = {
        .piece_limit = piece_limit, .sequence_limit = sequence_limit, .checkpointed = pass == MODEL_TRAINING_CHECKPOINTED};
    bool fits = place_all(&plan, config, product_type, NULL, pass != MODEL_INFERENCE);
    free(plan.layers);
    return fits ? plan.size_bytes : SIZE_MAX;
}
