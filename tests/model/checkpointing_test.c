/* Gradient checkpointing: less memory, the same bits. */
#include "tests/model/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum { LAYERS = 5, PARTS = LAYERS + 2, SEQUENCES = 5, WIDTH = 16 };
static const int32_t LENGTHS[SEQUENCES] = {7, 3, 12, 1, 9};

/* What a step may differ in; everything has dropout. */
typedef struct Case {
    int32_t frozen; /* parts, from the embeddings on */
    bool frozen_dropout, prefix;
    int32_t label_every; /* of so many pieces one has a label; 1: all rows are scored */
} Case;

static const Case CASES[] = {
    {0, true, false, 1},  {0, true, false, 3}, {3, true, false, 3},
    {3, false, false, 3}, {3, false, true, 3}, {PARTS - 1, false, false, 2},
};

typedef struct Trained {
    double loss[2];
    float *gradients;
} Trained;

/* Two micro-batches of one step. */
static Trained train(Model *model, const Case *wish)
{
    Diagnostic diagnostic = {0};
    Trained trained;
    bool part_frozen[PARTS];
    for (int32_t part = 0; part < PARTS; part++)
        part_frozen[part] = part < wish->frozen;
    ModelStep step = support_step(9, 12);
    step.part_frozen = part_frozen;
    step.frozen_dropout = wish->frozen_dropout;
    for (int i = 0; i < 2; i++) {
        TokenBlock *block = support_block(model_config(model), LENGTHS, SEQUENCES, (uint32_t)(SEQUENCES * i), 6);
        float *hidden = memory_allocate((size_t)block->piece_count * WIDTH, sizeof *hidden);
        for (int32_t t = 0; t < block->piece_count; t++)
            block->labels[t] = t % wish->label_every ? TOKEN_LABEL_IGNORED : t % 3;
        if (wish->prefix) {
            ASSERT_OK(model_prefix_forward(model, block, 2, hidden, &diagnostic), &diagnostic);
            step.prefix = hidden;
            step.prefix_layers = 2;
        }
        step.zero_gradients = i == 0;
        ASSERT_OK(model_train_block(model, block, &step, &trained.loss[i], &diagnostic), &diagnostic);
        free(hidden);
        token_block_destroy(&block);
    }
    trained.gradients = support_gradients(model);
    return trained;
}

static BertConfig deep_config(void)
{
    BertConfig config = support_tiny_config(0.3f);
    config.num_hidden_layers = LAYERS;
    return config;
}

static void assert_same_bits(const Backend *backend, DeviceType type)
{
    BertConfig config = deep_config();
    TinyModel kept = support_model_of(backend, &config, 8, type), again = support_model_of(backend, &config, 8, type);
    const ModelLayout *layout = model_layout(kept.model);
    Diagnostic diagnostic = {0};
    model_set_checkpointing(again.model, true);
    ASSERT_OK(model_plan(again.model, 64, 8, true, &diagnostic), &diagnostic);
    for (size_t c = 0; c < sizeof CASES / sizeof *CASES; c++) {
        Trained wanted = train(kept.model, &CASES[c]), found = train(again.model, &CASES[c]);
        size_t first = layout->part_offset[CASES[c].frozen];
        assert_true(wanted.loss[0] == found.loss[0] && wanted.loss[1] == found.loss[1]);
        assert_true(wanted.loss[0] != wanted.loss[1]);
        assert_memory_equal(wanted.gradients + first, found.gradients + first, (layout->float_count - first) * sizeof(float));
        free(wanted.gradients);
        free(found.gradients);
    }
    support_model_free(&kept);
    support_model_free(&again);
    bert_config_free(&config);
}

static void losses_and_gradients_are_the_same_bits(void **state)
{
    static const char *const levels[] = {"amx", "avx512bf16", "avx512", "avx2", "portable"};
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        bool has_levels = strcmp(SUPPORT_BACKENDS[b], "cpu") == 0;
        for (size_t l = 0; l < (has_levels ? sizeof levels / sizeof *levels : 1); l++) {
            setenv("NERSWEEP_CPU_FEATURES", levels[l], 1);
            assert_same_bits(support_backend(SUPPORT_BACKENDS[b]), DEVICE_FP32);
            assert_same_bits(support_backend(SUPPORT_BACKENDS[b]), DEVICE_BF16);
        }
    }
    unsetenv("NERSWEEP_CPU_FEATURES");
}

/* Of a layer in fp32: 3d + d + 4d + 2f + statistics before, d after, and one layer's as before. */
static void only_the_inputs_of_layers_take_memory(void **state)
{
    (void)state;
    BertConfig config = deep_config();
    size_t d = (size_t)config.hidden_size, f = (size_t)config.intermediate_size, h = (size_t)config.num_attention_heads;
    size_t layer = 4096 * (8 * d + 2 * f + h + 4) * sizeof(float), input = 4096 * d * sizeof(float);
    size_t all = model_activation_bytes(&config, DEVICE_FP32, 4096, 64, MODEL_TRAINING);
    size_t checkpointed = model_activation_bytes(&config, DEVICE_FP32, 4096, 64, MODEL_TRAINING_CHECKPOINTED);
    assert_int_equal(all - checkpointed, (LAYERS - 1) * (layer - input));
    assert_true(model_activation_bytes(&config, DEVICE_BF16, 4096, 64, MODEL_TRAINING_CHECKPOINTED) < checkpointed);
    assert_true(model_activation_bytes(&config, DEVICE_FP32, 4096, 64, MODEL_INFERENCE) < checkpointed);
    assert_true(model_activation_bytes(&config, DEVICE_FP32, INT32_MAX, 64, MODEL_TRAINING) > (size_t)1 << 40);

    Diagnostic diagnostic = {0};
    TinyModel tiny = support_model(backend_reference(), &config, 8);
    size_t gradients = model_layout(tiny.model)->float_count * sizeof(float);
    model_set_checkpointing(tiny.model, true);
    ASSERT_OK(model_plan(tiny.model, 4096, 64, true, &diagnostic), &diagnostic);
    assert_int_equal(model_planned_bytes(tiny.model), gradients + checkpointed);
    support_model_free(&tiny);
    bert_config_free(&config);
}

/* Until it is planned again: places of the old plan are not those of the new one. */
static void a_plan_made_before_is_forgotten(void **state)
{
    (void)state;
    BertConfig config = deep_config();
    Diagnostic diagnostic = {0};
    TinyModel tiny = support_model(backend_reference(), &config, 8);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 6);
    ModelStep step = support_step(9, 1);
    double loss;
    model_set_checkpointing(tiny.model, true);
    ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_LIMIT, &diagnostic, "not planned");
    token_block_destroy(&block);
    support_model_free(&tiny);
    bert_config_free(&config);
}

static void a_loss_that_is_not_finite_is_traced_to_its_layer(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"bert.encoder.layer.1.output.LayerNorm.weight", "layer 1, LayerNorm after feed-forward"},
        {"bert.encoder.layer.2.attention.self.value.bias", "layer 2, query, key and value"},
        {"bert.encoder.layer.4.intermediate.dense.bias", "layer 4, feed-forward input"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        BertConfig config = deep_config();
        Diagnostic diagnostic = {0};
        TinyModel tiny = support_model(backend_reference(), &config, 3);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
        float *values = support_parameters(tiny.model);
        values[model_layout_find(model_layout(tiny.model), cases[c][0])->offset] = NAN;
        ASSERT_OK(model_parameters_set(tiny.model, values, &diagnostic), &diagnostic);
        model_set_checkpointing(tiny.model, true);
        ASSERT_OK(model_plan(tiny.model, 64, 8, true, &diagnostic), &diagnostic);
        ModelStep step = support_step(41, 1);
        double loss;
        ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_DIVERGED, &diagnostic, cases[c][1]);
        free(values);
        token_block_destroy(&block);
        support_model_free(&tiny);
        bert_config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_are_the_same_bits),
        cmocka_unit_test(only_the_inputs_of_layers_take_memory),
        cmocka_unit_test(a_plan_made_before_is_forgotten),
        cmocka_unit_test(a_loss_that_is_not_finite_is_traced_to_its_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
