/* Gradients of the whole model, and what they must not depend on. */
#include "tests/model/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/philox.h"

static const int32_t LENGTHS[] = {7, 3, 12, 1, 9};
enum { SEQUENCES = sizeof LENGTHS / sizeof *LENGTHS };

static double train(Model *model, const TokenBlock *block, const ModelStep *step)
{
    Diagnostic diagnostic = {0};
    double loss = 0;
    ASSERT_OK(model_train_block(model, block, step, &loss, &diagnostic), &diagnostic);
    return loss;
}

/* Loss per denominator with the parameters moved along a direction. */
static double loss_at(Model *model, const TokenBlock *block, const ModelStep *step, const float *start, const double *direction,
                      const ModelParameter *parameter, double distance)
{
    Diagnostic diagnostic = {0};
    size_t count = model_layout(model)->float_count;
    float *moved = memory_allocate(count, sizeof *moved);
    memcpy(moved, start, count * sizeof *moved);
    for (size_t i = 0; i < parameter->count; i++)
        moved[parameter->offset + i] = (float)((double)moved[parameter->offset + i] + distance * direction[i]);
    ASSERT_OK(model_parameters_set(model, moved, &diagnostic), &diagnostic);
    free(moved);
    return train(model, block, step) / step->denominator;
}

/* Half along the gradient, so that the slope is not lost in rounding, half at random, so that a wrong gradient orthogonal to itself is seen. */
static void make_direction(const ModelParameter *parameter, const float *gradient, double *direction)
{
    double gradient_norm = 0, random_norm = 0;
    double *random = memory_allocate(parameter->count, sizeof *random);
    for (size_t i = 0; i < parameter->count; i++) {
        PhiloxKey key = {{17, (uint32_t)parameter->offset}};
        random[i] = (double)philox_uniform_float(philox4x32_10(key, (uint32_t)i, 0, 0, 0).word[0]) - 0.5;
        gradient_norm += (double)gradient[i] * (double)gradient[i];
        random_norm += random[i] * random[i];
    }
    for (size_t i = 0; i < parameter->count; i++)
        direction[i] = random[i] / sqrt(random_norm) + (gradient_norm > 1e-12 ? (double)gradient[i] / sqrt(gradient_norm) : 0);
    free(random);
}

/* Every tensor's gradient against central differences of the loss, with dropout, class weights, label smoothing and sample weights on. */
static void gradients_of_every_tensor_are_the_slope_of_the_loss(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0.2f);
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 4, 1);
    for (int32_t t = 0; t < block->piece_count; t++)
        block->weights[t] = 0.5f + 0.25f * (float)(t % 4);
    const float class_weights[] = {0.5f, 2.0f, 1.5f};
    ModelStep step = support_step(11, model_block_denominator(block, class_weights));
    step.class_weights = class_weights;
    step.label_smoothing = 0.1f;
    train(tiny.model, block, &step);
    const ModelLayout *layout = model_layout(tiny.model);
    float *gradient = support_gradients(tiny.model), *start = support_parameters(tiny.model);
    double worst = 0;
    for (int32_t p = 0; p < layout->parameter_count; p++) {
        const ModelParameter *parameter = &layout->parameters[p];
        const double distance = 5e-3;
        double *direction = memory_allocate(parameter->count, sizeof *direction), slope = 0;
        make_direction(parameter, gradient + parameter->offset, direction);
        for (size_t i = 0; i < parameter->count; i++)
            slope += direction[i] * (double)gradient[parameter->offset + i];
        double measured = (loss_at(tiny.model, block, &step, start, direction, parameter, distance) -
                           loss_at(tiny.model, block, &step, start, direction, parameter, -distance)) /
                          (2 * distance);
        /* Losses are good to about 1e-7, so slopes to 2e-5; the third derivative adds less than 1e-3 of the slope. */
        double allowed = 2e-5 + 1e-3 * fabs(slope);
        if (!(fabs(measured - slope) <= allowed))
            print_error("%s: slope %.6f, measured %.6f\n", parameter->name, slope, measured);
        assert_true(fabs(measured - slope) <= allowed);
        worst = fmax(worst, fabs(measured - slope) / allowed);
        free(direction);
    }
    printf("largest difference of a slope: %.0f%% of what is allowed\n", 100 * worst);
    free(gradient);
    free(start);
    token_block_destroy(&block);
    support_model_free(&tiny);
    bert_config_free(&config);
}

static double largest_difference(const float *a, const float *b, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

/* The whole block in one go, or in two micro-batches of which the second adds to the first. Slots keep the dropout masks the same. */
static void two_half_batches_give_the_gradient_of_one_batch(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        BertConfig config = support_tiny_config(0.3f);
        TinyModel tiny = support_model(backend, &config, 3);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
        TokenBlock *first = support_part_of(block, 0, 2), *second = support_part_of(block, 2, SEQUENCES - 2);
        ModelStep step = support_step(3, model_block_denominator(block, NULL));
        double whole_loss = train(tiny.model, block, &step);
        float *whole = support_gradients(tiny.model);
        double split_loss = train(tiny.model, first, &step);
        step.zero_gradients = false;
        split_loss += train(tiny.model, second, &step);
        float *split = support_gradients(tiny.model);
        size_t count = model_layout(tiny.model)->float_count;
        assert_true(fabs(whole_loss - split_loss) < 1e-5);
        assert_true(largest_difference(whole, split, count) < 1e-6);
        float *zero = memory_allocate(count, sizeof *zero);
        assert_true(largest_difference(whole, zero, count) > 1e-2);
        free(zero);
        free(whole);
        free(split);
        token_block_destroy(&block);
        token_block_destroy(&first);
        token_block_destroy(&second);
        support_model_free(&tiny);
        bert_config_free(&config);
    }
}

static void backends_agree_on_loss_and_gradients(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0.3f);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
    ModelStep step = support_step(3, model_block_denominator(block, NULL));
    TinyModel oracle = support_model(backend_reference(), &config, 3);
    double wanted_loss = train(oracle.model, block, &step);
    float *wanted = support_gradients(oracle.model);
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        TinyModel tiny = support_model(backend, &config, 3);
        double loss = train(tiny.model, block, &step);
        float *gradient = support_gradients(tiny.model);
        assert_true(fabs(loss - wanted_loss) < 1e-4 * fabs(wanted_loss));
        assert_true(largest_difference(wanted, gradient, model_layout(tiny.model)->float_count) < 1e-5);
        free(gradient);
        support_model_free(&tiny);
    }
    free(wanted);
    token_block_destroy(&block);
    support_model_free(&oracle);
    bert_config_free(&config);
}

/* A sentence's logits, and its loss under dropout, whether it stands alone or among others, first or last. */
static void a_sentence_is_the_same_alone_and_packed(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        BertConfig config = support_tiny_config(0.4f);
        TinyModel tiny = support_model(backend, &config, 8);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 6);
        float packed[64 * 3], alone[64 * 3];
        Diagnostic diagnostic = {0};
        ASSERT_OK(model_forward(tiny.model, block, NULL, packed, &diagnostic), &diagnostic);
        ModelStep step = support_step(9, 1);
        double whole = train(tiny.model, block, &step), sum = 0;
        for (int32_t s = 0; s < SEQUENCES; s++) {
            TokenBlock *one = support_part_of(block, s, 1);
            ASSERT_OK(model_forward(tiny.model, one, NULL, alone, &diagnostic), &diagnostic);
            assert_true(largest_difference(alone, packed + block->sequence_start[s] * 3, (size_t)one->piece_count * 3) < 1e-5);
            sum += train(tiny.model, one, &step);
            token_block_destroy(&one);
        }
        assert_true(fabs(whole - sum) < 1e-4 * whole);
        /* Another slot has another mask: without this the test would pass with dropout off. */
        for (int32_t s = 0; s < SEQUENCES; s++)
            block->sequence_slot[s] += 100;
        assert_true(fabs(whole - train(tiny.model, block, &step)) > 1e-3);
        token_block_destroy(&block);
        support_model_free(&tiny);
        bert_config_free(&config);
    }
}

/* Rows that nobody scores cost the last layer nothing, and change nothing: not the logits of those that are wanted, not the loss and not one
 * gradient, whichever pieces have labels. */
static void what_is_not_scored_changes_nothing(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        BertConfig config = support_tiny_config(0.4f);
        TinyModel tiny = support_model(backend, &config, 8);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 6);
        float all[64 * 3], some[64 * 3];
        bool wanted[64];
        Diagnostic diagnostic = {0};
        ASSERT_OK(model_forward(tiny.model, block, NULL, all, &diagnostic), &diagnostic);
        for (int32_t every = 1; every <= 64; every *= 2) {
            for (int32_t t = 0; t < block->piece_count; t++)
                wanted[t] = every < 64 && t % every == every - 1;
            ASSERT_OK(model_forward(tiny.model, block, wanted, some, &diagnostic), &diagnostic);
            for (int32_t t = 0; t < block->piece_count * 3; t++)
                assert_true(wanted[t / 3] ? fabsf(some[t] - all[t]) < 1e-6f : some[t] == 0.0f);
        }
        /* A label with the weight 0 is computed and weighs nothing; without a label the row is not even computed. */
        ModelStep step = support_step(9, 1);
        for (int32_t t = 0; t < block->piece_count; t++) {
            block->labels[t] = block->labels[t] == TOKEN_LABEL_IGNORED ? 0 : block->labels[t];
            block->weights[t] = t % 3 ? 0.0f : 1.0f;
        }
        double loss = train(tiny.model, block, &step);
        float *gradient = support_gradients(tiny.model);
        for (int32_t t = 0; t < block->piece_count; t++)
            block->labels[t] = t % 3 ? TOKEN_LABEL_IGNORED : block->labels[t];
        assert_true(fabs(loss - train(tiny.model, block, &step)) < 1e-5 * loss);
        float *found = support_gradients(tiny.model);
        assert_true(largest_difference(gradient, found, model_layout(tiny.model)->float_count) < 1e-5);
        /* No label at all: no loss, no gradient. */
        for (int32_t t = 0; t < block->piece_count; t++)
            block->labels[t] = TOKEN_LABEL_IGNORED;
        assert_true(train(tiny.model, block, &step) == 0.0);
        float *none = support_gradients(tiny.model);
        for (size_t i = 0; i < model_layout(tiny.model)->float_count; i++)
            assert_true(none[i] == 0.0f);
        free(gradient);
        free(found);
        free(none);
        token_block_destroy(&block);
        support_model_free(&tiny);
        bert_config_free(&config);
    }
}

/* A prefix that is given instead of computed gives the same gradients; its rows are the same bits alone and among others. */
static void a_given_prefix_stands_for_the_layers_that_made_it(void **state)
{
    (void)state;
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        BertConfig config = support_tiny_config(0.2f);
        TinyModel tiny = support_model(backend, &config, 8);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 6);
        Diagnostic diagnostic = {0};
        float hidden[64 * 16], alone[64 * 16];
        bool part_frozen[4] = {true, true, false, false};
        ASSERT_OK(model_prefix_forward(tiny.model, block, 1, hidden, &diagnostic), &diagnostic);
        for (int32_t s = 0; s < SEQUENCES && model_rows_independent(tiny.model); s++) {
            TokenBlock *one = support_part_of(block, s, 1);
            ASSERT_OK(model_prefix_forward(tiny.model, one, 1, alone, &diagnostic), &diagnostic);
            assert_memory_equal(alone, hidden + block->sequence_start[s] * 16, (size_t)one->piece_count * 16 * sizeof(float));
            token_block_destroy(&one);
        }
        ModelStep step = support_step(9, 1);
        step.part_frozen = part_frozen;
        step.frozen_dropout = false;
        double loss = train(tiny.model, block, &step);
        float *wanted = support_gradients(tiny.model);
        step.prefix = hidden;
        step.prefix_layers = 1;
        assert_true(train(tiny.model, block, &step) == loss);
        float *found = support_gradients(tiny.model);
        const ModelLayout *layout = model_layout(tiny.model);
        size_t first = layout->part_offset[2];
        assert_memory_equal(found + first, wanted + first, (layout->float_count - first) * sizeof(float));
        free(wanted);
        free(found);
        token_block_destroy(&block);
        support_model_free(&tiny);
        bert_config_free(&config);
    }
}

typedef struct Announced {
    int32_t parts[8];
    int32_t count;
    Model *model;
} Announced;

static Status note_part(void *context, int32_t part, Diagnostic *diagnostic)
{
    Announced *announced = context;
    (void)diagnostic;
    assert_true(announced->count < 8);
    announced->parts[announced->count++] = part;
    return STATUS_OK;
}

static bool part_is_zero(const ModelLayout *layout, const float *values, int32_t part)
{
    for (size_t i = layout->part_offset[part]; i < layout->part_offset[part + 1]; i++) {
        if (values[i] != 0)
            return false;
    }
    return true;
}

/* Parts: embeddings 0, layers 1 and 2, head 3. Whatever is frozen, the others' gradients are those of the unfrozen model. */
static void frozen_parts_get_no_gradient_and_are_not_announced(void **state)
{
    (void)state;
    static const bool cases[][4] = {{true, false, false, false}, {true, true, false, false}, {true, true, true, false},
                                    {false, true, false, false}, {false, true, true, false}, {true, true, true, true},
                                    {false, false, false, true}};
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        const Backend *backend = support_backend(SUPPORT_BACKENDS[b]);
        BertConfig config = support_tiny_config(0.2f);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
        TinyModel full = support_model(backend, &config, 3);
        ModelStep step = support_step(1, 10);
        double full_loss = train(full.model, block, &step);
        float *wanted = support_gradients(full.model);
        const ModelLayout *layout = model_layout(full.model);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            TinyModel tiny = support_model(backend, &config, 3);
            Announced announced = {0};
            step.part_frozen = cases[c];
            step.part_ready = note_part;
            step.part_ready_context = &announced;
            assert_true(train(tiny.model, block, &step) == full_loss);
            float *got = support_gradients(tiny.model);
            int32_t expected = 0;
            for (int32_t part = 3; part >= 0; part--) {
                size_t first = layout->part_offset[part], count = layout->part_offset[part + 1] - first;
                if (cases[c][part]) {
                    assert_true(part_is_zero(layout, got, part));
                    continue;
                }
                assert_memory_equal(got + first, wanted + first, count * sizeof *got);
                assert_int_equal(announced.parts[expected++], part);
            }
            assert_int_equal(announced.count, expected);
            free(got);
            support_model_free(&tiny);
        }
        free(wanted);
        token_block_destroy(&block);
        support_model_free(&full);
        bert_config_free(&config);
    }
}

/* With everything but the head frozen and the classifier's dropout off, a prefix without dropout has the loss of evaluation. */
static void a_frozen_prefix_runs_without_dropout_when_asked(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0.4f);
    config.classifier_dropout = 0;
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
    static const bool all_but_head[] = {true, true, true, false}, embeddings[] = {true, false, false, false},
                      no_prefix[] = {false, true, true, false};
    ModelStep step = support_step(1, 1);
    step.dropout = false;
    double plain = train(tiny.model, block, &step);
    step.dropout = true;
    double dropped = train(tiny.model, block, &step);
    assert_true(plain != dropped);

    step.frozen_dropout = false;
    assert_true(train(tiny.model, block, &step) == dropped); /* nothing is frozen */
    step.part_frozen = all_but_head;
    assert_true(train(tiny.model, block, &step) == plain);
    step.part_frozen = no_prefix;
    assert_true(train(tiny.model, block, &step) == dropped);
    step.part_frozen = embeddings;
    double partly = train(tiny.model, block, &step);
    assert_true(partly != plain && partly != dropped);
    step.frozen_dropout = true;
    step.part_frozen = all_but_head;
    assert_true(train(tiny.model, block, &step) == dropped);
    token_block_destroy(&block);
    support_model_free(&tiny);
    bert_config_free(&config);
}

static void an_empty_block_announces_its_parts_and_leaves_zero_gradients(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0);
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2), *empty = token_block_create(0, 0);
    ModelStep step = support_step(1, 1);
    train(tiny.model, block, &step);
    Announced announced = {0};
    step.part_ready = note_part;
    step.part_ready_context = &announced;
    assert_true(train(tiny.model, empty, &step) == 0);
    assert_int_equal(announced.count, 4);
    float *gradient = support_gradients(tiny.model);
    for (int32_t part = 0; part < 4; part++)
        assert_true(part_is_zero(model_layout(tiny.model), gradient, part));
    free(gradient);
    token_block_destroy(&block);
    token_block_destroy(&empty);
    support_model_free(&tiny);
    bert_config_free(&config);
}

static void a_step_without_labels_moves_nothing(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0);
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
    for (int32_t t = 0; t < block->piece_count; t++)
        block->labels[t] = TOKEN_LABEL_IGNORED;
    assert_true(model_block_denominator(block, NULL) == 0);
    ModelStep step = support_step(1, model_block_denominator(block, NULL));
    assert_true(train(tiny.model, block, &step) == 0);
    float *gradient = support_gradients(tiny.model);
    for (int32_t part = 0; part < 4; part++)
        assert_true(part_is_zero(model_layout(tiny.model), gradient, part));
    free(gradient);
    token_block_destroy(&block);
    support_model_free(&tiny);
    bert_config_free(&config);
}

static void what_does_not_fit_the_plan_or_the_model_is_refused(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0);
    Diagnostic diagnostic = {0};
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    double loss;
    int32_t lengths[33];
    for (int32_t i = 0; i < 33; i++)
        lengths[i] = i < 16 ? 17 : 1;
    ModelStep step = support_step(1, 1);
    float logits[300 * 3];
    TokenBlock *block = support_block(&config, lengths, 16, 0, 2); /* 272 pieces */
    ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_LIMIT, &diagnostic, "272 pieces");
    ASSERT_FAILS(model_forward(tiny.model, block, NULL, logits, &diagnostic), STATUS_LIMIT, &diagnostic, "plan of 256 pieces");
    ASSERT_OK(model_plan(tiny.model, 300, 16, false, &diagnostic), &diagnostic);
    ASSERT_OK(model_forward(tiny.model, block, NULL, logits, &diagnostic), &diagnostic);
    ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_LIMIT, &diagnostic, "256");
    ASSERT_OK(model_plan(tiny.model, 300, 16, true, &diagnostic), &diagnostic);
    ASSERT_OK(model_train_block(tiny.model, block, &step, &loss, &diagnostic), &diagnostic);
    token_block_destroy(&block);

    block = support_block(&config, lengths + 15, 18, 0, 2);
    block->ids[3] = config.vocab_size;
    ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_INVALID_INPUT, &diagnostic, "vocabulary");
    token_block_destroy(&block);
    block = support_block(&config, (const int32_t[]){21}, 1, 0, 2);
    ASSERT_FAILS(model_forward(tiny.model, block, NULL, logits, &diagnostic), STATUS_INVALID_INPUT, &diagnostic, "position");
    token_block_destroy(&block);
    support_model_free(&tiny);
    bert_config_free(&config);
}

static void a_loss_that_is_not_finite_names_step_layer_and_operation(void **state)
{
    (void)state;
    static const struct {
        const char *parameter, *place;
    } cases[] = {
        {"classifier.bias", "classifier, logits"},
        {"bert.embeddings.LayerNorm.bias", "embeddings, LayerNorm"},
        {"bert.encoder.layer.0.attention.self.value.bias", "layer 0, query, key and value"},
        {"bert.encoder.layer.0.output.LayerNorm.weight", "layer 0, LayerNorm after feed-forward"},
        {"bert.encoder.layer.1.attention.output.dense.bias", "layer 1, attention output"},
        {"bert.encoder.layer.1.intermediate.dense.bias", "layer 1, feed-forward input"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        BertConfig config = support_tiny_config(0);
        Diagnostic diagnostic = {0};
        TinyModel tiny = support_model(backend_reference(), &config, 3);
        TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
        float *values = support_parameters(tiny.model);
        values[model_layout_find(model_layout(tiny.model), cases[c].parameter)->offset] = NAN;
        ASSERT_OK(model_parameters_set(tiny.model, values, &diagnostic), &diagnostic);
        Announced announced = {0};
        ModelStep step = support_step(41, 1);
        step.part_ready = note_part;
        step.part_ready_context = &announced;
        double loss;
        ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_DIVERGED, &diagnostic, "step 41");
        assert_non_null(strstr(diagnostic.message, cases[c].place));
        assert_int_equal(announced.count, 4);
        free(values);
        token_block_destroy(&block);
        support_model_free(&tiny);
        bert_config_free(&config);
    }
}

static void a_piece_that_is_none_of_the_steps_words_is_refused(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0);
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    TokenBlock *block = support_block(&config, LENGTHS, SEQUENCES, 0, 2);
    Int32Array ids = support_ids(block);
    Diagnostic diagnostic = {0};
    ModelStep step = support_step(1, 1);
    double loss;
    assert_true(ids.count > 2);
    ASSERT_OK(model_gradient_rows_set(tiny.model, ids.items, (int32_t)ids.count, &diagnostic), &diagnostic);
    ASSERT_OK(model_train_block(tiny.model, block, &step, &loss, &diagnostic), &diagnostic);
    ASSERT_OK(model_gradient_rows_set(tiny.model, ids.items, (int32_t)ids.count - 1, &diagnostic), &diagnostic);
    ASSERT_FAILS(model_train_block(tiny.model, block, &step, &loss, &diagnostic), STATUS_INVALID_INPUT, &diagnostic,
                 "none of the step's");
    static const bool frozen[] = {true, false, false, false}; /* nobody asks for the rows */
    step.part_frozen = frozen;
    ASSERT_OK(model_train_block(tiny.model, block, &step, &loss, &diagnostic), &diagnostic);
    array_free(&ids);
    token_block_destroy(&block);
    support_model_free(&tiny);
    bert_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_every_tensor_are_the_slope_of_the_loss),
        cmocka_unit_test(two_half_batches_give_the_gradient_of_one_batch),
        cmocka_unit_test(backends_agree_on_loss_and_gradients),
        cmocka_unit_test(a_sentence_is_the_same_alone_and_packed),
        cmocka_unit_test(what_is_not_scored_changes_nothing),
        cmocka_unit_test(a_given_prefix_stands_for_the_layers_that_made_it),
        cmocka_unit_test(frozen_parts_get_no_gradient_and_are_not_announced),
        cmocka_unit_test(a_frozen_prefix_runs_without_dropout_when_asked),
        cmocka_unit_test(a_piece_that_is_none_of_the_steps_words_is_refused),
        cmocka_unit_test(an_empty_block_announces_its_parts_and_leaves_zero_gradients),
        cmocka_unit_test(a_step_without_labels_moves_nothing),
        cmocka_unit_test(what_does_not_fit_the_plan_or_the_model_is_refused),
        cmocka_unit_test(a_loss_that_is_not_finite_names_step_layer_and_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
