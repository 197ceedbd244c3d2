/* Random start weights, the same on every machine: Philox and Box-Muller in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/philox.h"
#include "model/model_internal.h"

/* Two independent N(0, 1) from two words (Box, Muller 1958); u > 0 because of the half. */
static void normal_pair(uint32_t first, uint32_t second, double *a, double *b)
{
    const double pi = 3.14159265358979323846;
    double u = ((double)first + 0.5) / 4294967296.0;
    double angle = 2 * pi * (((double)second + 0.5) / 4294967296.0);
    double radius = sqrt(-2 * log(u));
    *a = radius * cos(angle);
    *b = radius * sin(angle);
}

static void fill_normal(float *values, size_t count, double deviation, uint64_t seed, int32_t parameter)
{
    PhiloxKey key = philox_key(seed, RANDOM_INIT, (uint32_t)parameter);
    for (size_t i = 0; i < count; i += 4) {
        PhiloxBlock block = philox4x32_10(key, (uint32_t)(i / 4), (uint32_t)((i / 4) >> 32), 0, 0);
        double normal[4];
        normal_pair(block.word[0], block.word[1], &normal[0], &normal[1]);
        normal_pair(block.word[2], block.word[3], &normal[2], &normal[3]);
        for (size_t j = 0; j < 4 && i + j < count; j++)
            values[i + j] = (float)(deviation * normal[j]);
    }
}

static bool is_norm_weight(int32_t index, int32_t layers)
{
    if (index == embedding_parameter(EMBEDDING_NORM_WEIGHT))
        return true;
    if (index < EMBEDDING_PARAMETER_COUNT || index >= head_parameter(layers, 0))
        return false;
    int32_t which = (index - EMBEDDING_PARAMETER_COUNT) % LAYER_PARAMETER_COUNT;
    return which == LAYER_ATTENTION_NORM_WEIGHT || which == LAYER_FFN_NORM_WEIGHT;
}

/* As torch's padding_idx: the padding piece stands for nothing. */
static void clear_padding_row(const BertConfig *config, float *word_embeddings)
{
    int64_t padding = config->source ? json_integer_value(json_get(config->source, "pad_token_id"), 0) : 0;
    if (padding >= 0 && padding < config->vocab_size)
        memset(word_embeddings + (size_t)padding * (size_t)config->hidden_size, 0, (size_t)config->hidden_size * sizeof(float));
}

void model_initialize_parameters(const BertConfig *config, const ModelLayout *layout, uint64_t seed, bool head_only, float *values)
{
    for (int32_t i = head_only ? head_parameter(config->num_hidden_layers, 0) : 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        float *target = values + parameter->offset;
        if (parameter->decays) {
            fill_normal(target, parameter->count, (double)config->initializer_range, seed, i);
            continue;
        }
        float constant = is_norm_weight(i, config->num_hidden_layers) ? 1.0f : 0.0f;
        for (size_t j = 0; j < parameter->count; j++)
            target[j] = constant;
    }
    if (!head_only)
        clear_padding_row(config, values + layout->parameters[embedding_parameter(EMBEDDING_WORD)].offset);
}

Status model_initialize(Model *model, uint64_t seed, bool head_only, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    void *memory = NULL;
    TRY(memory_try_allocate(&memory, model->layout->float_count, sizeof(float), diagnostic));
    float *values = memory;
    if (head_only)
        TRY(model_parameters_get(model, values, diagnostic));
    model_initialize_parameters(&model->config, model->layout, seed, head_only, values);
    TRY(model_parameters_set(model, values, diagnostic));
out:
    free(memory);
    return status;
}
