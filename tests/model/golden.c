#include "tests/model/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/folder.h"
#include "model/safetensors.h"

enum { FILE_LIMIT_BYTES = 1 << 20 };

static Json *read_json(const char *path)
{
    Json *json = NULL;
    Diagnostic diagnostic = {0};
    char *full = support_source_path(path);
    ASSERT_OK(json_read_file(&json, full, FILE_LIMIT_BYTES, &diagnostic), &diagnostic);
    free(full);
    return json;
}

Golden golden_open(void)
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

void golden_close(Golden *golden)
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
        options.freeze_schedule.phases[0] = (FreezePhase){true, 1, (double)frozen_steps / GOLDEN_STEPS};
    }
    return options;
}

static void keep_larger(double *largest, double value)
{
    if (!(value <= *largest)) /* NaN is the largest */
        *largest = value;
}

static TokenBlock *own_block(const TokenBlock *block, const GoldenRanks *ranks)
{
    int32_t count = block->sequence_count, rank = ranks ? ranks->rank : 0, size = ranks ? ranks->size : 1;
    int32_t first = count * rank / size;
    return support_part_of(block, first, count * (rank + 1) / size - first);
}

/* One step; returns its loss. */
static double take_step(Model *model, Optimizer *optimizer, const TokenBlock *block, const ModelStep *step, double factor,
                        const GoldenRanks *ranks, double *norm)
{
    Diagnostic diagnostic = {0};
    double loss_sum = 0;
    TokenBlock *own = own_block(block, ranks);
    Int32Array ids = {0};
    if (!step->part_frozen[0])
        ids = support_ids(block);
    ASSERT_OK(optimizer_begin_step(optimizer, ids.items, (int32_t)ids.count, &diagnostic), &diagnostic);
    if (ranks)
        ranks->begin(ranks->context, step->part_frozen);
    ASSERT_OK(model_train_block(model, own, step, &loss_sum, &diagnostic), &diagnostic);
    if (ranks) {
        ranks->finish(ranks->context);
        loss_sum = ranks->add(ranks->context, loss_sum);
    }
    ASSERT_OK(optimizer_step(optimizer, step->part_frozen, factor, norm, &diagnostic), &diagnostic);
    array_free(&ids);
    token_block_destroy(&own);
    return loss_sum / step->denominator;
}

void golden_take_steps(const Golden *golden, const Json *variant, Model *model, const GoldenRanks *ranks, Deviation *seen)
{
    Diagnostic diagnostic = {0};
    TrainingOptions options = options_of(variant);
    Schedule schedule = schedule_make(&options, GOLDEN_STEPS);
    Optimizer *optimizer = NULL;
    TokenBlock *block = token_block_create(64, 4);
    bool frozen[8];
    assert_int_equal(schedule.total_steps, GOLDEN_STEPS);
    assert_int_equal(json_count(golden->batches), GOLDEN_STEPS);
    ASSERT_OK(optimizer_create(&optimizer, model, &options, ranks ? ranks->optimizer : NULL, &diagnostic), &diagnostic);
    for (int64_t i = 0; i < GOLDEN_STEPS; i++) {
        double norm = 0;
        read_batch(block, json_at(golden->batches, (size_t)i));
        freeze_parts(&options.freeze_schedule, i, GOLDEN_STEPS, model_layout(model)->part_count, frozen);
        ModelStep step = support_step(i, model_block_denominator(block, NULL));
        step.dropout = false;
        step.label_smoothing = (float)options.label_smoothing_factor;
        step.part_frozen = frozen;
        step.part_ready = ranks ? ranks->part_ready : NULL;
        step.part_ready_context = ranks ? ranks->context : NULL;
        double found = take_step(model, optimizer, block, &step, schedule_factor(&schedule, i), ranks, &norm);
        double loss = json_number_value(json_at(json_get(variant, "losses"), (size_t)i), NAN);
        double wanted_norm = json_number_value(json_at(json_get(variant, "gradient_norms"), (size_t)i), NAN);
        keep_larger(&seen->loss, fabs(found - loss));
        keep_larger(&seen->loss_share, fabs(found - loss) / loss);
        keep_larger(&seen->norm, fabs(norm - wanted_norm) / wanted_norm);
    }
    ASSERT_OK(optimizer_settle(optimizer, &diagnostic), &diagnostic);
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

const Json *golden_variant(const Golden *golden, const char *name)
{
    const Json *variant = json_get(golden->steps, name);
    assert_non_null(variant);
    return variant;
}

TinyModel golden_model(const Golden *golden, const Backend *backend, DeviceType product_type, int32_t thread_count)
{
    Diagnostic diagnostic = {0};
    TinyModel tiny = {0};
    BackendOptions options = {.thread_count = thread_count};
    ASSERT_OK(backend->device_open(&tiny.device, &options, &diagnostic), &diagnostic);
    ASSERT_OK(model_create(&tiny.model, &golden->config, backend, tiny.device, product_type, &diagnostic), &diagnostic);
    ASSERT_OK(model_folder_load(tiny.model, golden->start, MODEL_HEAD_REQUIRED, 0, &diagnostic), &diagnostic);
    ASSERT_OK(model_plan(tiny.model, 64, 4, true, &diagnostic), &diagnostic);
    return tiny;
}

void golden_compare(const Golden *golden, const char *variant_name, Model *model, const char *title, Deviation *seen)
{
    const Json *variant = golden_variant(golden, variant_name);
    float *ended = support_parameters(model), *wanted = read_end(variant_name, model_layout(model));
    compare_weights(ended, wanted, model_layout(model), seen);
    compare_logits(golden, model, wanted, seen);
    printf("%-9s %-8s largest differences: loss %.1e, norm %.1e (relative), weights %.1e (key biases %.1e), logits %.1e\n", title,
           variant_name, seen->loss, seen->norm, seen->weight, seen->key_bias, seen->logit);
    assert_true(seen->loss < GOLDEN_TOLERANCE);
    assert_true(seen->norm < GOLDEN_TOLERANCE);
    assert_true(seen->weight < GOLDEN_TOLERANCE);
    assert_true(seen->logit < GOLDEN_TOLERANCE);
    assert_true(seen->key_bias < GOLDEN_STEPS * number(json_get(variant, "options"), "learning_rate"));
    free(ended);
    free(wanted);
}
