/* 20 steps of Hugging Face's Trainer on a tiny random BERT (tests/golden/make_train_goldens.py), taken again on every backend. */
#include "tests/model/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/json.h"
#include "model/folder.h"
#include "model/safetensors.h"

enum { STEPS = 20, FILE_LIMIT_BYTES = 1 << 20 };

/* Both sides compute in fp32 with sums in different orders; 1e-4 is the promise of the contract, what is seen is printed. */
static const double TOLERANCE = 1e-4;

typedef struct Golden {
    Json *batches, *steps;
    char *start; /* folder */
    BertConfig config;
} Golden;

typedef struct Deviation {
    double loss, loss_share, norm, weight, key_bias, logit;
} Deviation;

static Json *read_json(const char *path)
{
    Json *json = NULL;
    Diagnostic diagnostic = {0};
    char *full = support_source_path(path);
    ASSERT_OK(json_read_file(&json, full, FILE_LIMIT_BYTES, &diagnostic), &diagnostic);
    free(full);
    return json;
}

static Golden open_golden(void)
{
    Golden golden = {0};
    Diagnostic diagnostic = {0};
    golden.batches = read_json("tests/golden/train/batches.json");
    golden.steps = read_json("tests/golden/train/steps.json");
    golden.start = support_source_path("tests/golden/train/start");
    char *path = support_source_path("tests/golden/train/start/config.json");
    ASSERT_OK(bert_config_read(&golden.config, path, &diagnostic), &diagnostic);
    free(path);
    return golden;
}

static void close_golden(Golden *golden)
{
    json_destroy(&golden->batches);
    json_destroy(&golden->steps);
    bert_config_free(&golden->config);
    free(golden->start);
}

static void read_batch(TokenBlock *block, const Json *batch)
{
    token_block_clear(block);
    for (size_t s = 0; s < json_count(batch); s++) {
        const Json *sentence = json_at(batch, s), *ids_json = json_get(sentence, "input_ids"),
                   *labels_json = json_get(sentence, "labels");
        int32_t ids[64], labels[64];
        size_t length = json_count(ids_json);
        assert_in_range(length, 1, 64);
        for (size_t t = 0; t < length; t++) {
            ids[t] = (int32_t)json_integer_value(json_at(ids_json, t), -1);
            labels[t] = (int32_t)json_integer_value(json_at(labels_json, t), -1);
        }
        token_block_append(block, ids, labels, 1.0f, (int32_t)length, (uint32_t)s);
    }
}

static double number(const Json *object, const char *key)
{
    assert_true(json_is_number(json_get(object, key)));
    return json_number_value(json_get(object, key), NAN);
}

static TrainingOptions options_of(const Json *variant)
{
    const Json *given = json_get(variant, "options");
    TrainingOptions options = support_options();
    options.learning_rate = number(given, "learning_rate");
    options.weight_decay = number(given, "weight_decay");
    options.max_grad_norm = number(given, "max_grad_norm");
    options.warmup_steps = (int64_t)number(given, "warmup_steps");
    options.max_steps = (int64_t)number(given, "max_steps");
    options.label_smoothing_factor = number(given, "label_smoothing_factor");
    bool cosine = strcmp(json_string_value(json_get(given, "lr_scheduler_type")), "cosine") == 0;
    options.lr_scheduler_type = cosine ? SCHEDULE_COSINE : SCHEDULE_LINEAR;
    int64_t frozen_steps = (int64_t)number(given, "frozen_steps");
    if (frozen_steps > 0) {
        options.freeze_schedule.phase_count = 1;
        options.freeze_schedule.phases[0] = (FreezePhase){true, 1, (double)frozen_steps / STEPS};
    }
    return options;
}

static void keep_larger(double *largest, double value)
{
    if (!(value <= *largest)) /* NaN is the largest */
        *largest = value;
}

static void take_steps(const Golden *golden, const Json *variant, Model *model, Deviation *seen)
{
    Diagnostic diagnostic = {0};
    TrainingOptions options = options_of(variant);
    Schedule schedule = schedule_make(&options, STEPS);
    Optimizer *optimizer = NULL;
    TokenBlock *block = token_block_create(64, 4);
    bool frozen[8];
    assert_int_equal(schedule.total_steps, STEPS);
    assert_int_equal(json_count(golden->batches), STEPS);
    ASSERT_OK(model_plan(model, 64, 4, true, &diagnostic), &diagnostic);
    ASSERT_OK(optimizer_create(&optimizer, model, &options, NULL, &diagnostic), &diagnostic);
    for (int64_t i = 0; i < STEPS; i++) {
        read_batch(block, json_at(golden->batches, (size_t)i));
        freeze_parts(&options.freeze_schedule, i, STEPS, model_layout(model)->part_count, frozen);
        ModelStep step = support_step(i, model_block_denominator(block, NULL));
        step.dropout = false;
        step.label_smoothing = (float)options.label_smoothing_factor;
        step.part_frozen = frozen;
        double loss_sum = 0, norm = 0;
        Int32Array ids = {0};
        if (!frozen[0])
            ids = support_ids(block);
        ASSERT_OK(optimizer_begin_step(optimizer, ids.items, (int32_t)ids.count, &diagnostic), &diagnostic);
        array_free(&ids);
        ASSERT_OK(model_train_block(model, block, &step, &loss_sum, &diagnostic), &diagnostic);
        ASSERT_OK(optimizer_step(optimizer, frozen, schedule_factor(&schedule, i), &norm, &diagnostic), &diagnostic);
        double loss = json_number_value(json_at(json_get(variant, "losses"), (size_t)i), NAN);
        double wanted_norm = json_number_value(json_at(json_get(variant, "gradient_norms"), (size_t)i), NAN);
        keep_larger(&seen->loss, fabs(loss_sum / step.denominator - loss));
        keep_larger(&seen->loss_share, fabs(loss_sum / step.denominator - loss) / loss);
        keep_larger(&seen->norm, fabs(norm - wanted_norm) / wanted_norm);
    }
    optimizer_settle(optimizer);
    ASSERT_OK(model_backend(model)->stream_synchronize(model_stream(model), &diagnostic), &diagnostic);
    token_block_destroy(&block);
    optimizer_destroy(&optimizer);
}

/* The softmax over keys does not see a constant added to all scores, so the bias of the keys has no gradient but rounding noise, which AdamW
 * blows up to steps of the learning rate's size: it ends somewhere near in every program, and nothing depends on where. */
static bool is_key_bias(const ModelParameter *parameter)
{
    return strstr(parameter->name, ".key.bias") != NULL;
}

static float *read_end(const char *variant, const ModelLayout *layout)
{
    Diagnostic diagnostic = {0};
    Safetensors *file = NULL;
    char *name = memory_format("tests/golden/train/%s.safetensors", variant), *path = support_source_path(name);
    float *values = memory_allocate(layout->float_count, sizeof *values);
    ASSERT_OK(safetensors_open(&file, path, &diagnostic), &diagnostic);
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        const TensorEntry *entry = safetensors_find(file, parameter->name);
        assert_non_null(entry);
        ASSERT_OK(safetensors_read_floats(entry, values + parameter->offset, parameter->count, &diagnostic), &diagnostic);
    }
    safetensors_close(&file);
    free(path);
    free(name);
    return values;
}

static void compare_weights(const float *ended, const float *wanted, const ModelLayout *layout, Deviation *seen)
{
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        double *largest = is_key_bias(parameter) ? &seen->key_bias : &seen->weight;
        for (size_t j = parameter->offset; j < parameter->offset + parameter->count; j++)
            keep_larger(largest, fabs((double)ended[j] - (double)wanted[j]));
    }
}

/* Both ends are the same function of the text, key biases included. */
static void compare_logits(const Golden *golden, Model *model, const float *wanted, Deviation *seen)
{
    float logits[2][64 * 5];
    Diagnostic diagnostic = {0};
    TokenBlock *block = token_block_create(64, 4);
    read_batch(block, json_at(golden->batches, 0));
    ASSERT_OK(model_forward(model, block, NULL, logits[0], &diagnostic), &diagnostic);
    ASSERT_OK(model_parameters_set(model, wanted, &diagnostic), &diagnostic);
    ASSERT_OK(model_forward(model, block, NULL, logits[1], &diagnostic), &diagnostic);
    for (int32_t i = 0; i < block->piece_count * 5; i++)
        keep_larger(&seen->logit, fabs((double)logits[0][i] - (double)logits[1][i]));
    token_block_destroy(&block);
}

static void train_on(const Backend *backend, const char *backend_name, const Golden *golden, const char *variant_name)
{
    Deviation seen = {0};
    Diagnostic diagnostic = {0};
    TinyModel tiny = {0};
    BackendOptions options = {.thread_count = 2};
    const Json *variant = json_get(golden->steps, variant_name);
    assert_non_null(variant);
    ASSERT_OK(backend->device_open(&tiny.device, &options, &diagnostic), &diagnostic);
    ASSERT_OK(model_create(&tiny.model, &golden->config, backend, tiny.device, DEVICE_FP32, &diagnostic), &diagnostic);
    ASSERT_OK(model_folder_load(tiny.model, golden->start, MODEL_HEAD_REQUIRED, 0, &diagnostic), &diagnostic);
    take_steps(golden, variant, tiny.model, &seen);
    float *ended = support_parameters(tiny.model), *wanted = read_end(variant_name, model_layout(tiny.model));
    compare_weights(ended, wanted, model_layout(tiny.model), &seen);
    compare_logits(golden, tiny.model, wanted, &seen);
    printf("%-9s %-8s largest differences: loss %.1e, norm %.1e (relative), weights %.1e (key biases %.1e), logits %.1e\n",
           backend_name, variant_name, seen.loss, seen.norm, seen.weight, seen.key_bias, seen.logit);
    assert_true(seen.loss < TOLERANCE);
    assert_true(seen.norm < TOLERANCE);
    assert_true(seen.weight < TOLERANCE);
    assert_true(seen.logit < TOLERANCE);
    assert_true(seen.key_bias < STEPS * number(json_get(variant, "options"), "learning_rate"));
    free(ended);
    free(wanted);
    support_model_free(&tiny);
}

/* Products of bf16 numbers on the CPU backend: every loss within 2% of Hugging Face's in fp32, and the same bits twice. */
static void train_in_bf16(const char *variant_name)
{
    Golden golden = open_golden();
    const Backend *backend = support_backend("cpu");
    float *ended[2];
    size_t floats = 0;
    for (size_t run = 0; run < 2; run++) {
        Deviation seen = {0};
        Diagnostic diagnostic = {0};
        TinyModel tiny = {0};
        BackendOptions options = {.thread_count = run == 0 ? 1 : 2};
        ASSERT_OK(backend->device_open(&tiny.device, &options, &diagnostic), &diagnostic);
        ASSERT_OK(model_create(&tiny.model, &golden.config, backend, tiny.device, DEVICE_BF16, &diagnostic), &diagnostic);
        ASSERT_OK(model_folder_load(tiny.model, golden.start, MODEL_HEAD_REQUIRED, 0, &diagnostic), &diagnostic);
        take_steps(&golden, json_get(golden.steps, variant_name), tiny.model, &seen);
        printf("bf16      %-8s largest differences: loss %.1e (relative), norm %.1e (relative)\n", variant_name, seen.loss_share,
               seen.norm);
        assert_true(seen.loss_share < 0.02);
        assert_true(seen.loss > 0); /* it was not fp32 after all */
        ended[run] = support_parameters(tiny.model);
        floats = model_layout(tiny.model)->float_count;
        support_model_free(&tiny);
    }
    assert_memory_equal(ended[0], ended[1], floats * sizeof(float));
    free(ended[0]);
    free(ended[1]);
    close_golden(&golden);
}

static void bf16_products_give_the_losses_of_hugging_face_within_two_percent(void **state)
{
    (void)state;
    train_in_bf16("plain");
    train_in_bf16("cosine");
    train_in_bf16("freezing");
}

static void train_as_hugging_face(const char *variant_name)
{
    Golden golden = open_golden();
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        train_on(support_backend(SUPPORT_BACKENDS[b]), SUPPORT_BACKENDS[b], &golden, variant_name);
    }
    close_golden(&golden);
}

static void plain_training_gives_the_losses_and_weights_of_hugging_face(void **state)
{
    (void)state;
    train_as_hugging_face("plain");
}

static void cosine_schedule_and_label_smoothing_are_those_of_hugging_face(void **state)
{
    (void)state;
    train_as_hugging_face("cosine");
}

static void parts_that_thaw_start_their_adamw_as_in_hugging_face(void **state)
{
    (void)state;
    train_as_hugging_face("freezing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_training_gives_the_losses_and_weights_of_hugging_face),
        cmocka_unit_test(cosine_schedule_and_label_smoothing_are_those_of_hugging_face),
        cmocka_unit_test(parts_that_thaw_start_their_adamw_as_in_hugging_face),
        cmocka_unit_test(bf16_products_give_the_losses_of_hugging_face_within_two_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
