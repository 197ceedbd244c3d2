/* The reference's backward operations against finite differences of its forward ones, dropout on.
 *
 * The objective is a fixed random combination of an operation's outputs, added up in double. Its central difference over a step of 2^-6 has
 * an error of about step^2 f''' / 6 = 4e-5 f''', and the outputs' rounding to float adds about 6e-8 * sqrt(outputs) / 2^-6 = 1e-4 at
 * most: 2e-3 absolute and 2e-3 relative is safe, while a wrong or missing term is of the order of the gradient itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/token_block.h"
#include "tests/kernels/harness.h"

enum { INPUT_COUNT_MAX = 8, OUTPUT_SEED = 1000 };
static const float difference_step = 1.0f / 64.0f;
static const double tolerance = 2e-3;
static const Dropout a_third = {.probability = 0.3f, .key = {{0xABCDu, 0x4321u}}, .site = 5};
static const Dropout a_quarter = {.probability = 0.25f, .key = {{0xABCDu, 0x4321u}}, .site = 6};

typedef struct Input {
    const char *name;
    DeviceView view, gradient;
    size_t count;
} Input;

/* An operation under test: its inputs with their gradients, one output with its incoming gradient. */
typedef struct Check {
    Harness *harness;
    DeviceBlock block;
    int32_t rows, n, k; /* or heads and width */
    BackendMatrix *matrix;
    Input inputs[INPUT_COUNT_MAX];
    size_t input_count, output_count;
    DeviceView output, d_output, extra[4];
    double (*objective)(struct Check *check); /* NULL: the weighted sum of the output after forward */
    void (*forward)(struct Check *check);
    void (*backward)(struct Check *check);
} Check;

static DeviceView check_input(Check *check, const char *name, uint32_t seed, size_t count, float middle, float spread)
{
    Input *input = &check->inputs[check->input_count++];
    *input =
        (Input){name, harness_random(check->harness, seed, count, middle, spread), harness_zeros(check->harness, count), count};
    return input->view;
}

static void check_output(Check *check, size_t count)
{
    check->output = harness_zeros(check->harness, count);
    check->d_output = harness_random(check->harness, OUTPUT_SEED, count, 0.0f, 1.0f);
    check->output_count = count;
}

static double weighted_output(Check *check)
{
    float *values = memory_allocate(check->output_count, sizeof *values);
    double total = 0.0;
    check->forward(check);
    harness_read(check->harness, check->output, values, check->output_count);
    for (size_t i = 0; i < check->output_count; i++) {
        total += (double)values[i] * (double)harness_random_value(OUTPUT_SEED, i, 0.0f, 1.0f);
    }
    free(values);
    return total;
}

static double check_objective(Check *check)
{
    return check->objective == NULL ? weighted_output(check) : check->objective(check);
}

static void element_write(Check *check, DeviceView view, size_t i, float value)
{
    DeviceView at = device_view_floats(view, i);
    harness_backend(check->harness)->copy_to_device(harness_stream(check->harness), at, &value, sizeof value);
}

static void check_gradients(Check *check)
{
    check->forward(check);
    check->backward(check);
    for (size_t q = 0; q < check->input_count; q++) {
        const Input *input = &check->inputs[q];
        float *values = memory_allocate(input->count, sizeof *values), *gradient = memory_allocate(input->count, sizeof *gradient);
        harness_read(check->harness, input->view, values, input->count);
        harness_read(check->harness, input->gradient, gradient, input->count);
        for (size_t i = 0; i < input->count; i++) {
            element_write(check, input->view, i, values[i] + difference_step);
            double above = check_objective(check);
            element_write(check, input->view, i, values[i] - difference_step);
            double below = check_objective(check);
            element_write(check, input->view, i, values[i]);
            double difference = (above - below) / ((double)(values[i] + difference_step) - (double)(values[i] - difference_step));
            if (!(fabs(difference - (double)gradient[i]) <= tolerance + tolerance * fabs(difference))) {
                fail_msg("%s[%zu]: the gradient is %.6g, finite differences give %.6g", input->name, i, (double)gradient[i],
                         difference);
            }
        }
        free(values);
        free(gradient);
    }
    harness_close(&check->harness);
}

static Check check_begin(void (*forward)(Check *), void (*backward)(Check *))
{
    BackendSetting reference = {.backend = "reference", .threads = 1};
    return (Check){.harness = harness_open(&reference), .forward = forward, .backward = backward};
}

/* Inputs of linear layers: 0 x, 1 weight, 2 bias. extra[0]: pre, extra[1]: d_pre. */
static void linear_forward_as(Check *check, LinearEpilogue epilogue, DeviceView pre)
{
    const Backend *backend = harness_backend(check->harness);
    backend->matrix_refresh(harness_stream(check->harness), check->matrix);
    backend->linear_forward(harness_stream(check->harness), check->matrix, check->inputs[2].view, check->inputs[0].view,
                            check->rows, epilogue, pre, check->output);
}

static void linear_plain_forward(Check *check)
{
    linear_forward_as(check, LINEAR_PLAIN, device_view_none());
}

static void linear_backward(Check *check)
{
    const Backend *backend = harness_backend(check->harness);
    BackendStream *stream = harness_stream(check->harness);
    const Input *in = check->inputs;
    backend->linear_backward_input(stream, check->matrix, check->d_output, check->rows, device_view_none(), false, in[0].gradient);
    backend->linear_backward_weight(stream, in[0].view, check->d_output, check->rows, check->n, check->k, true, in[1].gradient,
                                    in[2].gradient);
}

static void the_gradient_of_a_linear_layer_is_that_of_finite_differences(void **state)
{
    Check check = check_begin(linear_plain_forward, linear_backward);
    (void)state;
    check.rows = 4, check.n = 5, check.k = 3;
    check_input(&check, "x", 1, 12, 0.0f, 1.0f);
    check.matrix = harness_matrix(check.harness, check_input(&check, "weight", 2, 15, 0.0f, 1.0f), 5, 3);
    check_input(&check, "bias", 3, 5, 0.0f, 1.0f);
    check_output(&check, 20);
    check_gradients(&check);
}

/* Two layers, y = W2 gelu(x): the backward of the second multiplies with the slope at x. */
static void gelu_forward(Check *check)
{
    const Backend *backend = harness_backend(check->harness);
    BackendStream *stream = harness_stream(check->harness);
    /* gelu(x) as the epilogue of an identity layer */
    backend->linear_forward(stream, check->matrix, device_view_none(), check->inputs[0].view, check->rows, LINEAR_GELU,
                            check->extra[0], check->output);
}

static void gelu_backward(Check *check)
{
    harness_backend(check->harness)
        ->linear_backward_input(harness_stream(check->harness), check->matrix, check->d_output, check->rows, check->extra[0], false,
                                check->inputs[0].gradient);
}

static void the_gradient_of_gelu_is_that_of_finite_differences(void **state)
{
    static const float identity[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    Check check = check_begin(gelu_forward, gelu_backward);
    (void)state;
    check.rows = 30;
    check.matrix = harness_matrix(check.harness, harness_floats(check.harness, identity, 9), 3, 3);
    check_input(&check, "x", 1, 90, 0.0f, 4.0f);
    check.extra[0] = harness_zeros(check.harness, 90);
    check_output(&check, 90);
    check_gradients(&check);
}

/* Inputs: 0 x, 1 residual, 2 gamma, 3 beta. extra: sum, mean, rstd. */
static void norm_forward(Check *check)
{
    const Input *in = check->inputs;
    harness_backend(check->harness)
        ->norm_forward(harness_stream(check->harness), &check->block, in[0].view, in[1].view, in[2].view, in[3].view, 1e-5f,
                       check->n, a_third, a_quarter, check->extra[0], check->output, device_view_none(), check->extra[1],
                       check->extra[2]);
}

static void norm_backward(Check *check)
{
    const Input *in = check->inputs;
    harness_backend(check->harness)
        ->norm_backward(harness_stream(check->harness), &check->block, check->d_output, check->extra[0], check->extra[1],
                        check->extra[2], in[2].view, check->n, a_third, a_quarter, in[1].gradient, in[0].gradient, in[2].gradient,
                        in[3].gradient);
}

static void the_gradient_of_a_norm_is_that_of_finite_differences(void **state)
{
    static const int32_t lengths[] = {2, 3};
    Check check = check_begin(norm_forward, norm_backward);
    (void)state;
    check.block = harness_block(check.harness, lengths, 2, 10);
    check.n = 11;
    check_input(&check, "x", 1, 55, 0.3f, 1.0f);
    check_input(&check, "residual", 2, 55, 0.0f, 2.0f);
    check_input(&check, "gamma", 3, 11, 1.0f, 0.5f);
    check_input(&check, "beta", 4, 11, 0.0f, 0.5f);
    check.extra[0] = harness_zeros(check.harness, 55);
    check.extra[1] = harness_zeros(check.harness, 5);
    check.extra[2] = harness_zeros(check.harness, 5);
    check_output(&check, 55);
    check_gradients(&check);
}

/* Inputs: 0 qkv. extra: log_sum_exp. */
static void attention_forward(Check *check)
{
    harness_backend(check->harness)
        ->attention_forward(harness_stream(check->harness), &check->block, check->inputs[0].view, check->n, check->k, a_quarter,
                            check->output, check->extra[0]);
}

static void attention_backward(Check *check)
{
    harness_backend(check->harness)
        ->attention_backward(harness_stream(check->harness), &check->block, check->inputs[0].view, check->output, check->extra[0],
                             check->d_output, check->n, check->k, a_quarter, check->inputs[0].gradient);
}

static void the_gradient_of_attention_is_that_of_finite_differences(void **state)
{
    static const int32_t lengths[] = {4, 1, 6};
    Check check = check_begin(attention_forward, attention_backward);
    (void)state;
    check.block = harness_block(check.harness, lengths, 3, 10);
    check.n = 2, check.k = 3;
    check_input(&check, "qkv", 1, 11 * 18, 0.0f, 1.0f);
    check.extra[0] = harness_zeros(check.harness, 11 * 2);
    check_output(&check, 11 * 6);
    check_gradients(&check);
}

/* Inputs: 0 word, 1 position, 2 type. */
static void embedding_forward(Check *check)
{
    const Input *in = check->inputs;
    harness_backend(check->harness)
        ->embedding_forward(harness_stream(check->harness), &check->block, in[0].view, in[1].view, in[2].view, check->n,
                            check->output);
}

static void embedding_backward(Check *check)
{
    const Input *in = check->inputs;
    harness_backend(check->harness)
        ->embedding_backward(harness_stream(check->harness), &check->block, check->d_output, check->n, in[0].gradient,
                             in[1].gradient, in[2].gradient);
}

static void the_gradient_of_the_embeddings_is_that_of_finite_differences(void **state)
{
    static const int32_t lengths[] = {4, 3};
    Check check = check_begin(embedding_forward, embedding_backward);
    (void)state;
    check.block = harness_block(check.harness, lengths, 2, 3);
    check.n = 5;
    check_input(&check, "word", 1, 15, 0.0f, 1.0f);
    check_input(&check, "position", 2, 20, 0.0f, 1.0f);
    check_input(&check, "type", 3, 5, 0.0f, 1.0f);
    check_output(&check, 35);
    check_gradients(&check);
}

/* Inputs: 0 logits. extra: labels, weights, class weights, loss. The gradient is scaled by 1 / 2. */
static void loss_with(Check *check, DeviceView d_logits)
{
    harness_backend(check->harness)
        ->cross_entropy(harness_stream(check->harness), check->inputs[0].view, check->extra[0], check->extra[1], check->extra[2],
                        0.1f, 0.5f, check->rows, check->n, check->extra[3], d_logits);
}

static void loss_forward(Check *check)
{
    loss_with(check, device_view_none());
}

static void loss_backward(Check *check)
{
    loss_with(check, check->inputs[0].gradient);
}

static double loss_objective(Check *check)
{
    double before = harness_read_double(check->harness, check->extra[3]);
    check->forward(check);
    return 0.5 * (harness_read_double(check->harness, check->extra[3]) - before);
}

static void the_gradient_of_the_loss_is_that_of_finite_differences(void **state)
{
    static const int32_t labels[] = {2, TOKEN_LABEL_IGNORED, 0, 4};
    Check check = check_begin(loss_forward, loss_backward);
    (void)state;
    check.rows = 4, check.n = 5;
    check.objective = loss_objective;
    check_input(&check, "logits", 1, 20, 0.0f, 3.0f);
    check.extra[0] = harness_integers(check.harness, labels, 4);
    check.extra[1] = harness_random(check.harness, 2, 4, 1.0f, 0.5f);
    check.extra[2] = harness_random(check.harness, 3, 5, 1.0f, 0.5f);
    check.extra[3] = harness_double(check.harness, 0.0);
    check_gradients(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_of_a_linear_layer_is_that_of_finite_differences),
        cmocka_unit_test(the_gradient_of_gelu_is_that_of_finite_differences),
        cmocka_unit_test(the_gradient_of_a_norm_is_that_of_finite_differences),
        cmocka_unit_test(the_gradient_of_attention_is_that_of_finite_differences),
        cmocka_unit_test(the_gradient_of_the_embeddings_is_that_of_finite_differences),
        cmocka_unit_test(the_gradient_of_the_loss_is_that_of_finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
