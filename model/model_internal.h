/* What the files of model/ share and nobody else sees: the model's struct, the order of parameters, the plan of activations. */
#ifndef NERSWEEP_MODEL_MODEL_INTERNAL_H
#define NERSWEEP_MODEL_MODEL_INTERNAL_H

#include "model/model.h"

/* Order of parameters inside each kind of part; layout.c holds their names and shapes. */
enum { EMBEDDING_WORD, EMBEDDING_POSITION, EMBEDDING_TYPE, EMBEDDING_NORM_WEIGHT, EMBEDDING_NORM_BIAS, EMBEDDING_PARAMETER_COUNT };
enum {
    LAYER_QUERY_WEIGHT,
    LAYER_KEY_WEIGHT,
    LAYER_VALUE_WEIGHT,
    LAYER_QUERY_BIAS,
    LAYER_KEY_BIAS,
    LAYER_VALUE_BIAS,
    LAYER_OUTPUT_WEIGHT,
    LAYER_OUTPUT_BIAS,
    LAYER_ATTENTION_NORM_WEIGHT,
    LAYER_ATTENTION_NORM_BIAS,
    LAYER_FFN_IN_WEIGHT,
    LAYER_FFN_IN_BIAS,
    LAYER_FFN_OUT_WEIGHT,
    LAYER_FFN_OUT_BIAS,
    LAYER_FFN_NORM_WEIGHT,
    LAYER_FFN_NORM_BIAS,
    LAYER_PARAMETER_COUNT
};
enum { HEAD_WEIGHT, HEAD_BIAS, HEAD_PARAMETER_COUNT };

/* Index of a parameter in the layout. */
static inline int32_t embedding_parameter(int32_t which)
{
    return which;
}
static inline int32_t layer_parameter(int32_t layer, int32_t which)
{
    return EMBEDDING_PARAMETER_COUNT + layer * LAYER_PARAMETER_COUNT + which;
}
static inline int32_t head_parameter(int32_t layers, int32_t which)
{
    return EMBEDDING_PARAMETER_COUNT + layers * LAYER_PARAMETER_COUNT + which;
}

typedef struct LayerMatrices {
    BackendMatrix *qkv;     /* [3d, d] */
    BackendMatrix *output;  /* [d, d] */
    BackendMatrix *ffn_in;  /* [f, d] */
    BackendMatrix *ffn_out; /* [d, f] */
} LayerMatrices;

/* What one LayerNorm keeps for backward. */
typedef struct NormActivations {
    DeviceView sum;     /* [T, d] */
    DeviceView mean;    /* [T] */
    DeviceView rstd;    /* [T] */
    DeviceView y;       /* [T, d] */
    DeviceView product; /* [T, d] y as products read it: the same place, or bf16 */
} NormActivations;

/* qkv, context, ffn_pre and ffn are of the products' type, as what backward keeps of their gradients. */
typedef struct LayerActivations {
    DeviceView qkv;         /* [T, 3d] */
    DeviceView context;     /* [T, d] */
    DeviceView log_sum_exp; /* [T, h] */
    NormActivations attention;
    DeviceView ffn_pre; /* [T, f]; none in inference */
    DeviceView ffn;     /* [T, f] */
    NormActivations output;
} LayerActivations;

/* Places in the one activation buffer. There are two of these over the same memory: for training every layer has places of its own, which
 * backward reads, or with checkpointing only its output has; in inference all layers share them. */
typedef struct Activations {
    int32_t piece_limit, sequence_limit; /* 0: not planned */
    bool checkpointed; /* what stands in a layer's places is what was computed last: its input computes it again */
    size_t size_bytes;
    DeviceView ids, positions, slots, sequence_start;        /* of the block */
    DeviceView gradient_rows;                                /* [T] int32 of each piece's word among those of the step; training */
    DeviceView scored_index, scored_positions, scored_slots; /* [R] */
    DeviceView labels, weights;                              /* [R] */
    NormActivations embeddings;
    LayerActivations *layers; /* [L] */
    DeviceView logits;        /* [R, C] */
    /* The last layer behind its attention, for R of T rows. scored_x is nobody's business afterwards. */
    DeviceView scored_context, scored_x; /* [R, d] */
    /* training only */
    DeviceView d_logits;  /* [R, C] */
    DeviceView d_scored;  /* [R, d] as d_hidden, behind the last layer's attention */
    DeviceView d_hidden;  /* [T, d] gradient of what flows between sublayers */
    DeviceView d_branch;  /* [T, d] gradient inside a sublayer */
    DeviceView d_context; /* [T, d] */
    DeviceView d_qkv;     /* [T, 3d] */
    DeviceView d_ffn;     /* [T, f] */
} Activations;

/* Host arrays [pieces of the larger plan]. */
typedef struct HostRows {
    int32_t capacity;
    uint32_t *slots;                          /* of each piece */
    int32_t *scored_index, *scored_positions; /* of the pieces that are scored */
    uint32_t *scored_slots;
    int32_t *labels;
    float *weights;
    int32_t *gradient_rows;
} HostRows;

/* Rows of the word embeddings that have a gradient in this step. */
typedef struct GradientRows {
    int32_t *ids;         /* [limit], count of them in use, ascending */
    int32_t count, limit; /* limit: there is room for */
    int32_t *place;       /* [V] index in ids; -1: has none */
} GradientRows;

struct Model {
    BertConfig config;
    ModelLayout *layout;
    const Backend *backend;
    BackendDevice *device;
    BackendStream *stream;
    DeviceType product_type; /* of the encoder's products; the classifier's are fp32 */
    BackendBuffer *parameters;
    BackendBuffer *products; /* model_products; NULL where they are of fp32 */
    BackendBuffer
        *gradients; /* NULL until planned for training: room for rows.limit rows of d, which those of this step end, then the
                               * layout from its second parameter on */
    GradientRows rows;
    bool rows_late;          /* parameters are behind their steps */
    BackendBuffer *loss;     /* one double, then class weights [C] */
    LayerMatrices *matrices; /* [L] */
    BackendMatrix *classifier;
    BackendBuffer *activation_buffer;
    size_t activation_bytes;
    Activations training, inference;
    HostRows host; /* while a block is being copied to the device */
};

/* Where the class weights stand in the loss buffer. */
enum { LOSS_CLASS_WEIGHTS_BYTES = 64 };

static inline DeviceView parameter_view(const Model *model, int32_t index)
{
    return device_view(model->parameters, model->layout->parameters[index].offset * sizeof(float));
}
static inline DeviceView gradient_view(const Model *model, int32_t index)
{
    size_t count;
    return model_gradient_parameter(model, index, &count);
}

/* What of the gradients the first block of a step does not set. */
void model_gradients_begin(Model *model, const bool *part_frozen);
/* Each piece's row among those of the step. */
NODISCARD Status model_gradient_places(const Model *model, const TokenBlock *block, int32_t *places, Diagnostic *diagnostic);

/* Start weights into a flat host array; with head_only nothing but the head is written. */
void model_initialize_parameters(const BertConfig *config, const ModelLayout *layout, uint64_t seed, bool head_only, float *values);

/* Which places drop out in this pass. The prefix: parts 0 .. prefix - 1 run without. */
typedef struct DropoutPlan {
    bool on;
    PhiloxKey key;
    int32_t prefix;
} DropoutPlan;

/* Dropout sites (Dropout.site), fixed for ever because checkpoints of interrupted trials go on with the same masks: embeddings 0; layer i:
 * 1 + 4i attention probabilities, 2 + 4i attention output, 3 + 4i FFN output; 4 + 4i of the last layer: before the classifier. */
typedef enum DropoutPlace {
    DROPOUT_ATTENTION = 1,
    DROPOUT_ATTENTION_OUTPUT = 2,
    DROPOUT_FFN_OUTPUT = 3,
    DROPOUT_CLASSIFIER = 4
} DropoutPlace;
Dropout model_dropout_embeddings(const Model *model, const DropoutPlan *plan);
Dropout model_dropout_layer(const Model *model, const DropoutPlan *plan, int32_t layer, DropoutPlace place);
Dropout model_dropout_off(void);

/* A block on the device. Only R of its T pieces are scored: those that the loss counts, or whose logits are wanted. No other row of the last
 * layer is looked at behind its attention, so none is computed: not forward, and backward its gradient is zero. */
typedef struct ModelBlock {
    DeviceBlock all;    /* T pieces */
    DeviceBlock scored; /* R pieces: who they are for dropout; no sequences */
    bool some;          /* R < T */
} ModelBlock;

typedef enum ScoredPieces { SCORED_ALL, SCORED_LABELLED, SCORED_WANTED } ScoredPieces;

/* Copies a block to the device; model_block and activations are filled for it. wanted: [T], of SCORED_WANTED only. The host arrays must live
 * until the stream is synchronised. STATUS_LIMIT when it is larger than planned. */
NODISCARD Status model_block_upload(Model *model, const TokenBlock *block, ScoredPieces which, const bool *wanted,
                                    Activations *activations, ModelBlock *model_block, Diagnostic *diagnostic);
/* What a layer reads: [T, d]. */
static inline DeviceView layer_input(const Activations *activations, int32_t layer)
{
    return layer ? activations->layers[layer - 1].output.y : activations->embeddings.y;
}

/* The same as products read it. */
static inline DeviceView layer_product(const Activations *activations, int32_t layer)
{
    return layer ? activations->layers[layer - 1].output.product : activations->embeddings.product;
}

/* From the block on the device to activations->logits [R, C]. first: layer to begin with, its input is in place already; 0: from the
 * embeddings. */
void model_forward_queue(Model *model, const ModelBlock *block, const DropoutPlan *plan, int32_t first, Activations *activations);

/* Computes one layer's activations again from its input, to the same bits. Of the last layer only before backward begins. */
void model_layer_queue(Model *model, const ModelBlock *block, const DropoutPlan *plan, int32_t index, Activations *activations);

/* After a training pass from layer `first` whose loss was not finite: names the first layer and operation with a value that is not, into
 * text. Whatever backward left behind is overwritten. */
NODISCARD Status model_find_divergence(Model *model, const ModelBlock *block, const DropoutPlan *plan, int32_t first, char *text,
                                       size_t text_size, Diagnostic *diagnostic);

#endif
