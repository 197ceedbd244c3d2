#include "model/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/model_internal.h"

enum { PARAMETER_ALIGNMENT_FLOATS = 16 };

/* Columns of a shape in the table below, as multiples of what the configuration says. */
typedef enum Extent {
    EXTENT_NONE,
    EXTENT_HIDDEN,
    EXTENT_FFN,
    EXTENT_VOCABULARY,
    EXTENT_POSITIONS,
    EXTENT_TYPES,
    EXTENT_LABELS
} Extent;

typedef struct ParameterKind {
    const char *name;
    Extent rows, columns;
    bool decays;
    bool joined; /* follows its predecessor without a gap: together they are one matrix or vector */
} ParameterKind;

static const ParameterKind EMBEDDING_KINDS[EMBEDDING_PARAMETER_COUNT] = {
    [EMBEDDING_WORD] = {"word_embeddings.weight", EXTENT_VOCABULARY, EXTENT_HIDDEN, true, false},
    [EMBEDDING_POSITION] = {"position_embeddings.weight", EXTENT_POSITIONS, EXTENT_HIDDEN, true, false},
    [EMBEDDING_TYPE] = {"token_type_embeddings.weight", EXTENT_TYPES, EXTENT_HIDDEN, true, false},
    [EMBEDDING_NORM_WEIGHT] = {"LayerNorm.weight", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [EMBEDDING_NORM_BIAS] = {"LayerNorm.bias", EXTENT_HIDDEN, EXTENT_NONE, false, false},
};

static const ParameterKind LAYER_KINDS[LAYER_PARAMETER_COUNT] = {
    [LAYER_QUERY_WEIGHT] = {"attention.self.query.weight", EXTENT_HIDDEN, EXTENT_HIDDEN, true, false},
    [LAYER_KEY_WEIGHT] = {"attention.self.key.weight", EXTENT_HIDDEN, EXTENT_HIDDEN, true, true},
    [LAYER_VALUE_WEIGHT] = {"attention.self.value.weight", EXTENT_HIDDEN, EXTENT_HIDDEN, true, true},
    [LAYER_QUERY_BIAS] = {"attention.self.query.bias", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [LAYER_KEY_BIAS] = {"attention.self.key.bias", EXTENT_HIDDEN, EXTENT_NONE, false, true},
    [LAYER_VALUE_BIAS] = {"attention.self.value.bias", EXTENT_HIDDEN, EXTENT_NONE, false, true},
    [LAYER_OUTPUT_WEIGHT] = {"attention.output.dense.weight", EXTENT_HIDDEN, EXTENT_HIDDEN, true, false},
    [LAYER_OUTPUT_BIAS] = {"attention.output.dense.bias", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [LAYER_ATTENTION_NORM_WEIGHT] = {"attention.output.LayerNorm.weight", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [LAYER_ATTENTION_NORM_BIAS] = {"attention.output.LayerNorm.bias", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [LAYER_FFN_IN_WEIGHT] = {"intermediate.dense.weight", EXTENT_FFN, EXTENT_HIDDEN, true, false},
    [LAYER_FFN_IN_BIAS] = {"intermediate.dense.bias", EXTENT_FFN, EXTENT_NONE, false, false},
    [LAYER_FFN_OUT_WEIGHT] = {"output.dense.weight", EXTENT_HIDDEN, EXTENT_FFN, true, false},
    [LAYER_FFN_OUT_BIAS] = {"output.dense.bias", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [LAYER_FFN_NORM_WEIGHT] = {"output.LayerNorm.weight", EXTENT_HIDDEN, EXTENT_NONE, false, false},
    [LAYER_FFN_NORM_BIAS] = {"output.LayerNorm.bias", EXTENT_HIDDEN, EXTENT_NONE, false, false},
};

static const ParameterKind HEAD_KINDS[HEAD_PARAMETER_COUNT] = {
    [HEAD_WEIGHT] = {"classifier.weight", EXTENT_LABELS, EXTENT_HIDDEN, true, false},
    [HEAD_BIAS] = {"classifier.bias", EXTENT_LABELS, EXTENT_NONE, false, false},
};

static int32_t extent_of(const BertConfig *config, Extent extent)
{
    switch (extent) {
    case EXTENT_NONE:
        return 0;
    case EXTENT_HIDDEN:
        return config->hidden_size;
    case EXTENT_FFN:
        return config->intermediate_size;
    case EXTENT_VOCABULARY:
        return config->vocab_size;
    case EXTENT_POSITIONS:
        return config->max_position_embeddings;
    case EXTENT_TYPES:
        return config->type_vocab_size;
    case EXTENT_LABELS:
        return config->label_count;
    }
    return 0;
}

static size_t aligned(size_t floats)
{
    return (floats + PARAMETER_ALIGNMENT_FLOATS - 1) / PARAMETER_ALIGNMENT_FLOATS * PARAMETER_ALIGNMENT_FLOATS;
}

/* Appends the parameters of one part. The bounds of the configuration keep every sum far below 2^63. */
static void append_part(ModelLayout *layout, const BertConfig *config, const ParameterKind *kinds, int32_t count, int32_t part,
                        const char *prefix)
{
    layout->float_count = aligned(layout->float_count);
    layout->part_offset[part] = layout->float_count;
    for (int32_t i = 0; i < count; i++) {
        const ParameterKind *kind = &kinds[i];
        ModelParameter *parameter = &layout->parameters[layout->parameter_count++];
        int length = snprintf(parameter->name, sizeof parameter->name, "%s%s", prefix, kind->name);
        ASSERT(length > 0 && (size_t)length < sizeof parameter->name);
        parameter->shape[0] = extent_of(config, kind->rows);
        parameter->shape[1] = extent_of(config, kind->columns);
        parameter->count = (size_t)parameter->shape[0] * (parameter->shape[1] ? (size_t)parameter->shape[1] : 1);
        parameter->offset = kind->joined ? layout->float_count : aligned(layout->float_count);
        parameter->part = part;
        parameter->decays = kind->decays;
        layout->float_count = parameter->offset + parameter->count;
    }
}

Status model_layout_create(ModelLayout **layout, const BertConfig *config, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *layout = NULL;
    TRY(bert_config_check(config, "model", diagnostic));
    if (config->label_count < 1)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "a token classifier needs at least one label, the configuration has none");
    int32_t layers = config->num_hidden_layers;
    ModelLayout *made = memory_allocate(1, sizeof *made);
    int32_t total = EMBEDDING_PARAMETER_COUNT + layers * LAYER_PARAMETER_COUNT + HEAD_PARAMETER_COUNT;
    made->parameters = memory_allocate((size_t)total, sizeof *made->parameters);
    made->part_count = layers + 2;
    made->part_offset = memory_allocate((size_t)made->part_count + 1, sizeof *made->part_offset);

    append_part(made, config, EMBEDDING_KINDS, EMBEDDING_PARAMETER_COUNT, 0, "bert.embeddings.");
    for (int32_t i = 0; i < layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "bert.encoder.layer.%d.", i);
        append_part(made, config, LAYER_KINDS, LAYER_PARAMETER_COUNT, 1 + i, prefix);
    }
    append_part(made, config, HEAD_KINDS, HEAD_PARAMETER_COUNT, layers + 1, "");
    made->float_count = aligned(made->float_count);
    made->part_offset[made->part_count] = made->float_count;
    ASSERT(made->parameter_count == total);
    *layout = made;
out:
    return status;
}

void model_layout_destroy(ModelLayout **layout)
{
    if (!*layout)
        return;
    free((*layout)->parameters);
    free((*layout)->part_offset);
    free(*layout);
    *layout = NULL;
}

const ModelParameter *model_layout_find(const ModelLayout *layout, const char *name)
{
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        if (strcmp(layout->parameters[i].name, name) == 0)
            return &layout->parameters[i];
    }
    return NULL;
}
