/* A BERT token classifier on a backend: parameters, forward, backward.
 *
 * Embeddings -> LayerNorm -> dropout -> L layers (attention, output projection, dropout, residual, LayerNorm, FFN with erf GELU, dropout,
 * residual, LayerNorm) -> dropout -> linear to C labels. No pooler. As Hugging Face's BertForTokenClassification.
 * Memory for activations is planned once (model_plan) and nothing is allocated in a step. Not thread-safe: one model, one caller. */
#ifndef NERSWEEP_MODEL_MODEL_H
#define NERSWEEP_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/token_block.h"
#include "kernels/backend.h"
#include "kernels/host_floats.h"
#include "model/config.h"
#include "model/layout.h"

typedef struct Model Model;

/* Zero parameters. config is copied. backend and device must outlive the model. product_type: what the encoder's matrix products multiply, and
 * how their operands are kept: with DEVICE_BF16 sums, residuals, LayerNorms, the classifier, gradients and the parameters stay fp32. */
NODISCARD Status model_create(Model **model, const BertConfig *config, const Backend *backend, BackendDevice *device,
                              DeviceType product_type, Diagnostic *diagnostic);
void model_destroy(Model **model);
const BertConfig *model_config(const Model *model);
const ModelLayout *model_layout(const Model *model);
const Backend *model_backend(const Model *model);
BackendDevice *model_device(const Model *model);
BackendStream *model_stream(const Model *model);

/* Bytes that a model's matrices and their products (model_products) take beside the parameters, before there is one. */
size_t model_matrix_bytes(const BertConfig *config, const ModelLayout *layout, const Backend *backend, const BackendDevice *device,
                          DeviceType product_type);

/* N(0, initializer_range) for matrices and embeddings (the padding row of word embeddings zero), LayerNorm 1 and 0, biases 0; by Philox
 * RANDOM_INIT keyed by seed and parameter index, Box-Muller. head_only: only the classifier (weights N, bias 0). */
NODISCARD Status model_initialize(Model *model, uint64_t seed, bool head_only, Diagnostic *diagnostic);

/* Copies all parameters between the flat host array [layout->float_count] and the device; set refreshes the matrices. */
NODISCARD Status model_parameters_get(Model *model, float *values, Diagnostic *diagnostic);
NODISCARD Status model_parameters_set(Model *model, const float *values, Diagnostic *diagnostic);
/* All parameters, to be read before anything changes them; close with host_floats_close. */
NODISCARD Status model_parameters_open(Model *model, HostFloats *parameters, Diagnostic *diagnostic);
/* The flat device buffer in the model's layout. */
DeviceView model_parameters(Model *model);
/* The encoder's matrices as products of bf16 read them: numbers of that type where the layout has the masters, in a flat device buffer that has no
 * place for the word embeddings; what lies between the matrices is of no meaning. The view is of the number for what stands at `offset` of the
 * layout, from model_dense_offset(layout, 0) on; none where products are of fp32. */
DeviceView model_products(const Model *model, size_t offset);
/* Whether it is those that are read of a parameter (index in the layout) in a step, not the parameter itself. */
bool model_has_products(Model *model, int32_t parameter);

/* The matrix in whose master [offset, offset + count) floats of the layout lie, from its element *first on, or NULL. It lives as long as the
 * model. */
BackendMatrix *model_matrix_at(Model *model, size_t offset, size_t count, size_t *first);
int32_t model_matrix_count(const Model *model);
/* Before a part's matrices are updated by some of their elements: afterwards their products may be written to. */
void model_settle_part(Model *model, int32_t part);
/* After somebody wrote elements of the parameters of parts that train: matrices of fp32 are refreshed. Those of bf16 are as their products say. */
void model_refresh_fp32(Model *model, const bool *part_frozen);

/* -- gradients exist once model_plan was called with training = true. Of the word embeddings only rows are kept that the optimizer step touches:
 * the others' gradients are zero. */
/* Before the first block of a step: the ids in its blocks, over all micro-batches and ranks, ascending, each once (copied); none where the
 * embeddings are frozen. Places of gradients hold until the next call. Errors: STATUS_OUT_OF_MEMORY when there are more than ever before, which
 * model_plan_gradient_rows prevents. */
NODISCARD Status model_gradient_rows_set(Model *model, const int32_t *ids, int32_t count, Diagnostic *diagnostic);
NODISCARD Status model_plan_gradient_rows(Model *model, int64_t row_limit, Diagnostic *diagnostic);
const int32_t *model_gradient_rows(const Model *model, int32_t *count);
/* The gradients of a part, or of one parameter (index in the layout): *count floats in the model's layout, but of the word embeddings [R, d] of
 * those rows. Parts follow one another in memory. model_gradient_offset: of such a view in floats, below the layout's float_count. */
DeviceView model_gradient_part(const Model *model, int32_t part, size_t *count);
DeviceView model_gradient_parameter(const Model *model, int32_t index, size_t *count);
size_t model_gradient_offset(DeviceView gradient);
/* The gradient of what lies at an offset of the layout, in floats: of anything but the word embeddings. */
DeviceView model_gradient_at(const Model *model, size_t offset);
/* Takes another buffer of the same size for the gradients and gives back the one there was, as it is; and that size. */
void model_gradients_exchange(Model *model, BackendBuffer **buffer);
size_t model_held_gradient_bytes(const Model *model);
/* All gradients of parts that train become zero. */
void model_gradients_clear(Model *model, const bool *part_frozen);
/* Said by the optimizer: whether rows of word embeddings wait for steps in which they had no gradient. Until they no longer do, nobody may read
 * all parameters. */
void model_rows_late(Model *model, bool late);

/* Reserves activation memory for blocks of at most piece_limit pieces and sequence_limit sequences. May be called again with larger limits.
 * Training and inference are planned apart and share one buffer; model_forward takes the inference plan where the block fits into it, the
 * training plan otherwise.
 * Errors: STATUS_OUT_OF_MEMORY with the bytes wanted. */
NODISCARD Status model_plan(Model *model, int32_t piece_limit, int32_t sequence_limit, bool training, Diagnostic *diagnostic);
/* Device bytes of activations and gradients. */
size_t model_planned_bytes(const Model *model);

/* Gradient checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost"), with one checkpoint a layer: training keeps
 * only what each layer reads, and backward computes a layer's activations again, to the same bits. Holds for what is planned afterwards; an
 * earlier plan for training is forgotten. */
void model_set_checkpointing(Model *model, bool on);

typedef enum ModelPass { MODEL_INFERENCE, MODEL_TRAINING, MODEL_TRAINING_CHECKPOINTED } ModelPass;
/* What model_plan_gradient_rows takes, and what model_plan takes for activations, without taking it. SIZE_MAX: more than there is in any memory. */
size_t model_gradient_bytes(const BertConfig *config, size_t float_count /* of the layout */, int64_t row_limit);
size_t model_activation_bytes(const BertConfig *config, DeviceType product_type, int32_t piece_limit, int32_t sequence_limit,
                              ModelPass pass);

/* Logits of every piece, or of those that are wanted [T] (NULL: all; the others' are zero, and cost less): logits [T, C] on the host. No
 * dropout. */
NODISCARD Status model_forward(Model *model, const TokenBlock *block, const bool *wanted, float *logits, Diagnostic *diagnostic);

/* Output of the embeddings and of the first `layers` (1 to L - 1) encoder layers without dropout: hidden [T, d] on the host. Where
 * model_rows_independent says so, a sequence's rows are the same bits in whatever block it stands. */
NODISCARD Status model_prefix_forward(Model *model, const TokenBlock *block, int32_t layers, float *hidden, Diagnostic *diagnostic);
bool model_rows_independent(const Model *model);

/* Called on the host when all gradients of a part are complete (parts from the head down to the embeddings), so that an all-reduce can run
 * while backward goes on. The device's work for that part is finished when it is called. */
typedef Status (*ModelPartReady)(void *context, int32_t part, Diagnostic *diagnostic);

typedef struct ModelStep {
    uint64_t seed;
    int64_t step;       /* optimizer step, from 0: with seed the key of dropout */
    bool dropout;       /* false: all probabilities 0 */
    double denominator; /* labelled tokens (or their summed weights) of the whole optimizer step, all ranks and micro-batches */
    float label_smoothing;
    const float *class_weights; /* [C] on the host, or NULL */
    const bool *part_frozen;    /* [part_count]; frozen parts get no gradient, no backward below the lowest part that trains */
    bool frozen_dropout;        /* false: a fully frozen prefix runs without dropout */
    const float
        *prefix; /* [T, d] of model_prefix_forward over prefix_layers, which are not computed again; NULL: all is computed */
    int32_t prefix_layers;     /* frozen together with the embeddings, and without dropout */
    bool zero_gradients;       /* first micro-batch of the step: gradients start from zero */
    ModelPartReady part_ready; /* or NULL; called only for parts that train */
    void *part_ready_context;
    void (*progress)(
        void *part_ready_context); /* or NULL; called between products of backward, so that what was begun in part_ready gets on */
} ModelStep;

/* Forward and backward of one micro-batch; gradients += d(loss sum / denominator), = where zero_gradients says that it is the first. *loss_sum receives the undivided loss of this block.
 * An empty block is fine (it announces its parts). Errors: STATUS_DIVERGED when the loss is not finite (step, layer and operation named; after all parts were
 * announced, so that ranks stay in step), STATUS_LIMIT when the block is over the plan, STATUS_INVALID_INPUT as token_block_validate, or for a piece
 * that is none of model_gradient_rows while the embeddings train. */
NODISCARD Status model_train_block(Model *model, const TokenBlock *block, const ModelStep *step, double *loss_sum,
                                   Diagnostic *diagnostic);

/* This block's share of ModelStep.denominator: the weights of its labelled pieces, times their class weights [C] (or NULL), summed. A step
 * whose denominator is 0 has no gradient. */
double model_block_denominator(const TokenBlock *block, const float *class_weights);

#endif
