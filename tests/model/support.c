#include "tests/model/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/philox.h"
#include "core/io/file.h"
#include "tests/kernels/guarded_backend.h"

const char *const SUPPORT_BACKENDS[] = {"reference", "guarded", "cpu"};
const size_t SUPPORT_BACKEND_COUNT = sizeof SUPPORT_BACKENDS / sizeof *SUPPORT_BACKENDS;

void support_assert_ok(Status status, const Diagnostic *diagnostic, const char *file, int line)
{
    char text[DIAGNOSTIC_MESSAGE_SIZE + DIAGNOSTIC_PLACE_SIZE];
    if (status == STATUS_OK)
        return;
    print_error("%s: %s\n", status_name(status), diagnostic_format(diagnostic, text, sizeof text));
    _fail(file, line);
}

void support_assert_fails(Status got, Status wanted, const Diagnostic *diagnostic, const char *part, const char *file, int line)
{
    if (got == wanted && strstr(diagnostic->message, part))
        return;
    print_error("wanted %s with \"%s\", got %s with \"%s\"\n", status_name(wanted), part, status_name(got), diagnostic->message);
    _fail(file, line);
}

const Backend *support_backend(const char *name)
{
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    if (strcmp(name, "guarded") == 0)
        return backend_guarded();
    ASSERT_OK(backend_open(&backend, name, &diagnostic), &diagnostic);
    return backend;
}

BertConfig support_tiny_config(float dropout)
{
    static const char *const labels[] = {"O", "B-X", "I-X"};
    BertConfig config = {
        .vocab_size = 50,
        .hidden_size = 16,
        .num_hidden_layers = 2,
        .num_attention_heads = 4,
        .intermediate_size = 24,
        .max_position_embeddings = 20,
        .type_vocab_size = 2,
        .hidden_dropout_prob = dropout,
        .attention_probs_dropout_prob = dropout,
        .classifier_dropout = dropout,
        .layer_norm_eps = 1e-12f,
        .initializer_range = 0.3f,
    };
    bert_config_set_labels(&config, labels, 3);
    return config;
}

static float uniform(PhiloxKey key, uint32_t counter)
{
    return philox_uniform_float(philox4x32_10(key, counter, 0, 0, 0).word[0]);
}

TinyModel support_model(const Backend *backend, const BertConfig *config, uint64_t seed)
{
    return support_model_of(backend, config, seed, DEVICE_FP32);
}

TinyModel support_model_of(const Backend *backend, const BertConfig *config, uint64_t seed, DeviceType product_type)
{
    TinyModel tiny = {0};
    Diagnostic diagnostic = {0};
    BackendOptions options = {.thread_count = 1};
    ASSERT_OK(backend->device_open(&tiny.device, &options, &diagnostic), &diagnostic);
    ASSERT_OK(model_create(&tiny.model, config, backend, tiny.device, product_type, &diagnostic), &diagnostic);
    ASSERT_OK(model_initialize(tiny.model, seed, false, &diagnostic), &diagnostic);
    const ModelLayout *layout = model_layout(tiny.model);
    float *values = support_parameters(tiny.model);
    PhiloxKey key = {{(uint32_t)seed, 99}};
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        for (size_t j = 0; !parameter->decays && j < parameter->count; j++)
            values[parameter->offset + j] += 0.4f * (uniform(key, (uint32_t)(parameter->offset + j)) - 0.5f);
    }
    ASSERT_OK(model_parameters_set(tiny.model, values, &diagnostic), &diagnostic);
    ASSERT_OK(model_plan(tiny.model, 256, 32, true, &diagnostic), &diagnostic);
    ASSERT_OK(model_plan(tiny.model, 256, 32, false, &diagnostic), &diagnostic);
    int32_t *ids = memory_allocate((size_t)config->vocab_size, sizeof *ids);
    for (int32_t i = 0; i < config->vocab_size; i++)
        ids[i] = i;
    ASSERT_OK(model_gradient_rows_set(tiny.model, ids, config->vocab_size, &diagnostic), &diagnostic);
    free(ids);
    free(values);
    return tiny;
}

void support_model_free(TinyModel *tiny)
{
    const Backend *backend = model_backend(tiny->model);
    model_destroy(&tiny->model);
    backend->device_close(&tiny->device);
}

TokenBlock *support_block(const BertConfig *config, const int32_t *lengths, int32_t count, uint32_t first_slot, uint64_t seed)
{
    TokenBlock *block = token_block_create(64, 8);
    int32_t ids[512], labels[512];
    for (int32_t s = 0; s < count; s++) {
        PhiloxKey key = {{(uint32_t)seed, (uint32_t)s}};
        assert_true(lengths[s] <= 512);
        for (int32_t t = 0; t < lengths[s]; t++) {
            ids[t] = (int32_t)(uniform(key, (uint32_t)t * 2) * (float)config->vocab_size);
            labels[t] = (int32_t)(uniform(key, (uint32_t)t * 2 + 1) * (float)(config->label_count + 1)) - 1;
            if (labels[t] < 0)
                labels[t] = TOKEN_LABEL_IGNORED;
        }
        labels[0] = 0; /* every sequence has a labelled piece */
        token_block_append(block, ids, labels, 1.0f, lengths[s], first_slot + (uint32_t)s);
    }
    return block;
}

TokenBlock *support_part_of(const TokenBlock *block, int32_t first, int32_t count)
{
    TokenBlock *part = token_block_create(64, 8);
    for (int32_t s = first; s < first + count; s++) {
        int32_t start = block->sequence_start[s];
        token_block_append(part, block->ids + start, block->labels + start, block->weights[start],
                           block->sequence_start[s + 1] - start, block->sequence_slot[s]);
    }
    return part;
}

Int32Array support_ids(const TokenBlock *block)
{
    Int32Array ids = {0};
    for (int32_t t = 0; t < block->piece_count; t++) {
        size_t at = 0;
        while (at < ids.count && ids.items[at] < block->ids[t])
            at++;
        if (at < ids.count && ids.items[at] == block->ids[t])
            continue;
        array_push(&ids, 0);
        memmove(ids.items + at + 1, ids.items + at, (ids.count - 1 - at) * sizeof *ids.items);
        ids.items[at] = block->ids[t];
    }
    return ids;
}

float *support_parameters(Model *model)
{
    Diagnostic diagnostic = {0};
    size_t count = model_layout(model)->float_count;
    float *values = memory_allocate(count, sizeof *values);
    HostFloats parameters;
    ASSERT_OK(model_parameters_open(model, &parameters, &diagnostic), &diagnostic);
    memcpy(values, parameters.values, count * sizeof *values);
    host_floats_close(&parameters);
    return values;
}

float *support_gradients(Model *model)
{
    Diagnostic diagnostic = {0};
    const ModelLayout *layout = model_layout(model);
    size_t d = (size_t)model_config(model)->hidden_size, count;
    int32_t row_count;
    const int32_t *rows = model_gradient_rows(model, &row_count);
    float *values = memory_allocate(layout->float_count, sizeof *values);
    for (int32_t i = 0; i < row_count; i++)
        model_backend(model)->copy_to_host(model_stream(model), values + (size_t)rows[i] * d,
                                           device_view_floats(model_gradient_parameter(model, 0, &count), (size_t)i * d),
                                           d * sizeof *values);
    for (int32_t i = 1; i < layout->parameter_count; i++) {
        DeviceView gradient = model_gradient_parameter(model, i, &count);
        model_backend(model)->copy_to_host(model_stream(model), values + layout->parameters[i].offset, gradient,
                                           count * sizeof *values);
    }
    ASSERT_OK(model_backend(model)->stream_synchronize(model_stream(model), &diagnostic), &diagnostic);
    return values;
}

void support_moments(Optimizer *optimizer, size_t count, float *first_moment, float *second_moment, int64_t *part_t)
{
    Diagnostic diagnostic = {0};
    HostFloats first, second;
    ASSERT_OK(optimizer_state_open(optimizer, &first, &second, part_t, &diagnostic), &diagnostic);
    memcpy(first_moment, first.values, count * sizeof *first_moment);
    memcpy(second_moment, second.values, count * sizeof *second_moment);
    host_floats_close(&first);
    host_floats_close(&second);
}

TrainingOptions support_options(void)
{
    return (TrainingOptions){
        .num_train_epochs = 1,
        .max_steps = -1,
        .learning_rate = 1e-3,
        .weight_decay = 0.01,
        .adam_beta1 = 0.9,
        .adam_beta2 = 0.999,
        .adam_epsilon = 1e-8,
        .max_grad_norm = 1,
        .layerwise_lr_decay = 1,
    };
}

ModelStep support_step(int64_t step, double denominator)
{
    return (ModelStep){
        .seed = 5,
        .step = step,
        .dropout = true,
        .denominator = denominator,
        .frozen_dropout = true,
        .zero_gradients = true,
    };
}

char *support_folder(const char *name)
{
    Diagnostic diagnostic = {0};
    char *path = memory_format("%s/tests/scratch/model/%s", NERSWEEP_BINARY_DIR, name);
    ASSERT_OK(folder_remove_tree(path, &diagnostic), &diagnostic);
    ASSERT_OK(folder_create(file_system_posix(), path, &diagnostic), &diagnostic);
    return path;
}

char *support_source_path(const char *path)
{
    return path_join(NERSWEEP_SOURCE_DIR, path);
}
