/* Every operation, forward and backward, over many shapes.
 *
 * Tolerances. The reference adds in double and rounds once. A sum of n products in float has a rounding error that grows as sqrt(n) times
 * 6e-8 times the size of the terms; inputs are in -1 .. 1 and n is below 2000 here, so 2e-5 absolute is some ten standard deviations of
 * it. Values that went through exp or a division have a few more roundings: 3e-5. What is computed element by element has 2e-6 relative. */
#include "kernels/check/operations.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/token_block.h"

static const double sum_error = 2e-5, function_error = 3e-5, element_error = 2e-6;

static const Dropout off = {.probability = 0.0f};
static const Dropout a_tenth = {.probability = 0.1f, .key = {{0x12345678u, 0x9ABCDEF0u}}, .site = 3};
static const Dropout a_half = {.probability = 0.5f, .key = {{0xCAFEu, 0xF00Du}}, .site = 40000};

/* -- linear layers. shape: rows, n, k */

static void linear_forward(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n;
    DeviceView x = harness_random(harness, 1, (size_t)rows * (size_t)k, 0.0f, 1.0f),
               bias = harness_random(harness, 3, (size_t)n, 0.0f, 1.0f);
    BackendMatrix *weight = harness_matrix(harness, harness_random(harness, 2, (size_t)n * (size_t)k, 0.0f, 0.3f), n, k);
    DeviceView plain = harness_filled(harness, outputs, 9.0f), bare = harness_filled(harness, outputs, 9.0f);
    DeviceView pre = harness_filled(harness, outputs, 9.0f), y = harness_filled(harness, outputs, 9.0f);
    DeviceView only = harness_filled(harness, outputs, 9.0f);
    backend->linear_forward(stream, weight, bias, x, rows, LINEAR_PLAIN, device_view_none(), plain);
    backend->linear_forward(stream, weight, device_view_none(), x, rows, LINEAR_PLAIN, device_view_none(), bare);
    backend->linear_forward(stream, weight, bias, x, rows, LINEAR_GELU, pre, y);
    backend->linear_forward(stream, weight, bias, x, rows, LINEAR_GELU, device_view_none(), only);
    result_add(result, harness, "y", plain, outputs, sum_error, 0);
    result_add(result, harness, "y without bias", bare, outputs, sum_error, 0);
    result_add(result, harness, "pre", pre, outputs, sum_error, 0);
    result_add(result, harness, "gelu", y, outputs, function_error, 0);
    result_add(result, harness, "gelu, pre not kept", only, outputs, function_error, 0);
}

static void linear_backward_input(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t inputs = (size_t)rows * (size_t)k;
    DeviceView d_y = harness_random(harness, 1, (size_t)rows * (size_t)n, 0.0f, 1.0f),
               pre = harness_random(harness, 3, inputs, 0.0f, 3.0f);
    BackendMatrix *weight = harness_matrix(harness, harness_random(harness, 2, (size_t)n * (size_t)k, 0.0f, 0.3f), n, k);
    DeviceView plain = harness_filled(harness, inputs, 9.0f), sloped = harness_filled(harness, inputs, 9.0f);
    DeviceView added = harness_random(harness, 4, inputs, 0.0f, 1.0f), both = harness_random(harness, 5, inputs, 0.0f, 1.0f);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), false, plain);
    backend->linear_backward_input(stream, weight, d_y, rows, pre, false, sloped);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), true, added);
    backend->linear_backward_input(stream, weight, d_y, rows, pre, true, both);
    result_add(result, harness, "d_x", plain, inputs, sum_error, 0);
    result_add(result, harness, "d_x times the slope", sloped, inputs, function_error, 0);
    result_add(result, harness, "d_x added", added, inputs, sum_error, 0);
    result_add(result, harness, "d_x times the slope, added", both, inputs, function_error, 0);
}

static void linear_backward_weight(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t weights = (size_t)n * (size_t)k;
    DeviceView x = harness_random(harness, 1, (size_t)rows * (size_t)k, 0.0f, 1.0f);
    DeviceView d_y = harness_random(harness, 2, (size_t)rows * (size_t)n, 0.0f, 0.3f);
    DeviceView d_weight = harness_random(harness, 3, weights, 0.0f, 1.0f),
               d_bias = harness_random(harness, 4, (size_t)n, 0.0f, 1.0f);
    DeviceView alone = harness_zeros(harness, weights);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, true, d_weight, d_bias);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, true, alone, device_view_none());
    DeviceView set = harness_filled(harness, weights, 7.0f), set_bias = harness_filled(harness, (size_t)n, 7.0f);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, false, set, set_bias);
    DeviceView lines = harness_filled_lines(harness, weights, 7.0f);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, false, lines, device_view_none());
    result_add(result, harness, "d_weight, set", set, weights, sum_error, 0);
    result_add(result, harness, "d_weight, set in lines", lines, weights, sum_error, 0);
    result_add(result, harness, "d_bias, set", set_bias, (size_t)n, sum_error, 0);
    result_add(result, harness, "d_weight", d_weight, weights, sum_error, 0);
    result_add(result, harness, "d_bias", d_bias, (size_t)n, sum_error, 0);
    result_add(result, harness, "d_weight from zero", alone, weights, sum_error, 0);
}

/* A refresh makes the changed master count. */
static void matrix_refresh(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n, inputs = (size_t)rows * (size_t)k, weights = (size_t)n * (size_t)k;
    DeviceView master = harness_random(harness, 2, weights, 0.0f, 0.3f), changed = harness_random(harness, 7, weights, 0.0f, 0.3f);
    DeviceView x = harness_random(harness, 1, inputs, 0.0f, 1.0f), d_y = harness_random(harness, 6, outputs, 0.0f, 1.0f);
    DeviceView before = harness_zeros(harness, outputs), after = harness_zeros(harness, outputs),
               d_x = harness_zeros(harness, inputs);
    BackendMatrix *weight = harness_matrix(harness, master, n, k);
    backend->linear_forward(stream, weight, device_view_none(), x, rows, LINEAR_PLAIN, device_view_none(), before);
    backend->copy(stream, master, changed, weights * sizeof(float));
    backend->matrix_refresh(stream, weight);
    backend->linear_forward(stream, weight, device_view_none(), x, rows, LINEAR_PLAIN, device_view_none(), after);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), false, d_x);
    result_add(result, harness, "y before", before, outputs, sum_error, 0);
    result_add(result, harness, "y after", after, outputs, sum_error, 0);
    result_add(result, harness, "d_x after", d_x, inputs, sum_error, 0);
}

/* -- blocks of sequences */

static DeviceBlock block_of(Harness *harness, int32_t number)
{
    static const struct {
        int32_t count, lengths[16];
    } blocks[] = {
        {1, {1}},
        {1, {5}},
        {3, {3, 1, 7}},
        {5, {30, 17, 2, 61, 16}},
        {3, {12, 300, 49}},
        {16, {31, 28, 33, 12, 3, 40, 22, 32, 30, 64, 9, 27, 48, 47, 18, 1}},
        {4, {33, 48, 100, 200}},
    };
    return harness_block(harness, blocks[number - 1].lengths, blocks[number - 1].count, 37);
}

/* shape: block, d */
static void embedding(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = block_of(harness, shape[0]);
    size_t d = (size_t)shape[1], rows = (size_t)block.piece_count, longest = (size_t)block.longest;
    DeviceView word = harness_random(harness, 1, 37 * d, 0.0f, 1.0f),
               position = harness_random(harness, 2, longest * d, 0.0f, 1.0f);
    DeviceView type = harness_random(harness, 3, 2 * d, 0.0f, 1.0f), out = harness_filled(harness, rows * d, 9.0f);
    DeviceView d_out = harness_random(harness, 4, rows * d, 0.0f, 1.0f), d_word = harness_random(harness, 5, 37 * d, 0.0f, 1.0f);
    DeviceView d_position = harness_random(harness, 6, longest * d, 0.0f, 1.0f),
               d_type = harness_random(harness, 7, 2 * d, 0.0f, 1.0f);
    backend->embedding_forward(stream, &block, word, position, type, shape[1], out);
    backend->embedding_backward(stream, &block, d_out, shape[1], d_word, d_position, d_type);
    result_add(result, harness, "out", out, rows * d, element_error, 0);
    result_add(result, harness, "d_word", d_word, 37 * d, sum_error, 0);
    result_add(result, harness, "d_position", d_position, longest * d, sum_error, 0);
    result_add(result, harness, "d_type", d_type, 2 * d, sum_error, 0);
}

static void norm_with(Harness *harness, const int32_t *shape, Dropout in, Dropout out, bool residual, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = block_of(harness, shape[0]);
    size_t d = (size_t)shape[1], rows = (size_t)block.piece_count, count = rows * d;
    DeviceView x = harness_random(harness, 1, count, 0.5f, 1.0f), gamma = harness_random(harness, 3, d, 1.0f, 0.5f);
    DeviceView left = residual ? harness_random(harness, 2, count, -0.2f, 1.0f) : device_view_none();
    DeviceView beta = harness_random(harness, 4, d, 0.0f, 0.5f), y = harness_filled(harness, count, 9.0f);
    DeviceView sum = residual ? harness_filled(harness, count, 9.0f) : x; /* sum may be the place of x */
    DeviceView mean = harness_zeros(harness, rows), rstd = harness_zeros(harness, rows);
    DeviceView d_y = harness_random(harness, 5, count, 0.0f, 1.0f);
    DeviceView d_sum = residual ? harness_filled(harness, count, 9.0f) : d_y; /* d_y may be the place of d_sum */
    DeviceView d_x = residual ? harness_filled(harness, count, 9.0f) : device_view_none();
    DeviceView d_gamma = harness_random(harness, 6, d, 0.0f, 1.0f), d_beta = harness_random(harness, 7, d, 0.0f, 1.0f);
    backend->norm_forward(stream, &block, x, left, gamma, beta, 1e-12f, shape[1], in, out, sum, y, device_view_none(), mean, rstd);
    backend->norm_backward(stream, &block, d_y, sum, mean, rstd, gamma, shape[1], in, out, d_sum, d_x, d_gamma, d_beta);
    result_add(result, harness, "sum", sum, count, element_error, 0);
    result_add(result, harness, "mean", mean, rows, sum_error, 0);
    /* Rows of one or two nearly equal elements divide by a small difference: there the error is relative to the result. */
    result_add(result, harness, "rstd", rstd, rows, 0, 1e-4);
    result_add(result, harness, "y", y, count, 1e-4, 0);
    result_add(result, harness, "d_sum", d_sum, count, 2e-4, 1e-4);
    if (residual) {
        result_add(result, harness, "d_x", d_x, count, 2e-4, 1e-4);
    }
    result_add(result, harness, "d_gamma", d_gamma, d, 1e-4, 1e-5);
    result_add(result, harness, "d_beta", d_beta, d, sum_error, 0);
}

static void norm_plain(Harness *harness, const int32_t *shape, Result *result)
{
    norm_with(harness, shape, off, off, false, result);
}

static void norm_after_residual(Harness *harness, const int32_t *shape, Result *result)
{
    norm_with(harness, shape, a_tenth, off, true, result);
}

static void norm_of_embeddings(Harness *harness, const int32_t *shape, Result *result)
{
    norm_with(harness, shape, off, a_half, false, result);
}

/* Frozen gamma and beta; d_x in the place of d_sum, both dropouts on or d_x absent. */
static void norm_frozen(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = block_of(harness, shape[0]);
    size_t d = (size_t)shape[1], rows = (size_t)block.piece_count, count = rows * d;
    DeviceView x = harness_random(harness, 1, count, 0.5f, 1.0f), gamma = harness_random(harness, 3, d, 1.0f, 0.5f);
    DeviceView beta = harness_random(harness, 4, d, 0.0f, 0.5f), sum = harness_zeros(harness, count),
               y = harness_zeros(harness, count);
    DeviceView mean = harness_zeros(harness, rows), rstd = harness_zeros(harness, rows),
               d_y = harness_random(harness, 5, count, 0.0f, 1.0f);
    DeviceView same = harness_zeros(harness, count), apart = harness_zeros(harness, count), d_x = harness_zeros(harness, count);
    DeviceView none = device_view_none(), d_beta = harness_zeros(harness, d);
    backend->norm_forward(stream, &block, x, none, gamma, beta, 1e-5f, shape[1], a_half, a_tenth, sum, y, device_view_none(), mean,
                          rstd);
    backend->norm_backward(stream, &block, d_y, sum, mean, rstd, gamma, shape[1], off, a_tenth, same, same, none, none);
    backend->norm_backward(stream, &block, d_y, sum, mean, rstd, gamma, shape[1], a_half, a_tenth, apart, d_x, none, d_beta);
    result_add(result, harness, "y", y, count, 1e-4, 0);
    result_add(result, harness, "d_sum and d_x in one place", same, count, 2e-4, 1e-4);
    result_add(result, harness, "d_sum", apart, count, 2e-4, 1e-4);
    result_add(result, harness, "d_x", d_x, count, 2e-4, 1e-4);
    result_add(result, harness, "d_beta", d_beta, d, sum_error, 0);
}

/* shape: block, heads, width */
static void attention_with(Harness *harness, const int32_t *shape, Dropout dropout, float spread, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = block_of(harness, shape[0]);
    int32_t heads = shape[1], width = shape[2];
    size_t d = (size_t)heads * (size_t)width, rows = (size_t)block.piece_count;
    DeviceView qkv = harness_random(harness, 1, rows * 3 * d, 0.0f, spread),
               d_context = harness_random(harness, 2, rows * d, 0.0f, 1.0f);
    DeviceView context = harness_filled(harness, rows * d, 9.0f), log_sums = harness_filled(harness, rows * (size_t)heads, 9.0f);
    DeviceView d_qkv = harness_filled(harness, rows * 3 * d, 9.0f);
    backend->attention_forward(stream, &block, qkv, heads, width, dropout, context, log_sums);
    backend->attention_backward(stream, &block, qkv, context, log_sums, d_context, heads, width, dropout, d_qkv);
    /* Scores of size s carry an error of s * 6e-8 * a few into exp; gradients are sums of up to 300 products of that. */
    result_add(result, harness, "context", context, rows * d, 3e-5 * (double)spread, 0);
    result_add(result, harness, "log_sum_exp", log_sums, rows * (size_t)heads, 1e-5, 2e-6);
    result_add(result, harness, "d_qkv", d_qkv, rows * 3 * d, 1e-4 * (double)spread * (double)spread, 1e-4);
}

static void attention(Harness *harness, const int32_t *shape, Result *result)
{
    attention_with(harness, shape, off, 1.0f, result);
}

static void attention_with_dropout(Harness *harness, const int32_t *shape, Result *result)
{
    attention_with(harness, shape, a_tenth, 1.5f, result);
}

/* Scores far below zero and far above: the softmax must be taken relative to the largest. */
static void attention_of_large_scores(Harness *harness, const int32_t *shape, Result *result)
{
    attention_with(harness, shape, a_half, 8.0f, result);
}

/* -- the same of bf16 numbers. Operands are the same numbers for everybody and sums are fp32, so results that are kept as fp32 are as close as
 * ever; what is kept as bf16 may be rounded to either neighbour, at most 2^-7 of the value apart. */

static const double bf16_step = 1.0 / 128;

static void bf16_forward(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n, inputs = (size_t)rows * (size_t)k;
    DeviceView x = harness_bf16(harness, harness_random(harness, 1, inputs, 0.0f, 1.0f), inputs);
    DeviceView bias = harness_random(harness, 3, (size_t)n, 0.0f, 1.0f), nines = harness_filled(harness, outputs, 9.0f);
    DeviceView master = harness_random(harness, 2, (size_t)n * (size_t)k, 0.0f, 0.3f);
    BackendMatrix *weight = harness_matrix_of(harness, master, n, k, DEVICE_BF16);
    DeviceView plain = harness_filled(harness, outputs, 9.0f), narrow = harness_bf16(harness, nines, outputs);
    DeviceView pre = harness_bf16(harness, nines, outputs), y = harness_bf16(harness, nines, outputs);
    backend->linear_forward(stream, weight, bias, x, rows, LINEAR_PLAIN, device_view_none(), plain);
    backend->linear_forward(stream, weight, device_view_none(), x, rows, LINEAR_PLAIN, device_view_none(), narrow);
    backend->linear_forward(stream, weight, bias, x, rows, LINEAR_GELU, pre, y);
    DeviceView pre_lines = harness_bf16_lines(harness, nines, outputs), y_lines = harness_bf16_lines(harness, nines, outputs);
    backend->linear_forward(stream, weight, bias, x, rows, LINEAR_GELU, pre_lines, y_lines);
    result_add(result, harness, "y", plain, outputs, 2 * sum_error, 0);
    result_add(result, harness, "bf16 y without bias", narrow, outputs, 2 * sum_error, bf16_step);
    result_add(result, harness, "bf16 pre", pre, outputs, 2 * sum_error, bf16_step);
    result_add(result, harness, "bf16 gelu", y, outputs, 2e-4, bf16_step);
    result_add(result, harness, "bf16 pre in lines", pre_lines, outputs, 2 * sum_error, bf16_step);
    result_add(result, harness, "bf16 gelu in lines", y_lines, outputs, 2e-4, bf16_step);
}

/* A settled matrix's copy is what its products read, also where it is none of the master. */
static void bf16_matrix_settled(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n, inputs = (size_t)rows * (size_t)k, weights = (size_t)n * (size_t)k;
    DeviceView x = harness_bf16(harness, harness_random(harness, 1, inputs, 0.0f, 1.0f), inputs), none = device_view_none();
    DeviceView master = harness_random(harness, 2, weights, 0.0f, 0.3f), changed = harness_random(harness, 7, weights, 0.0f, 0.3f);
    DeviceView copy = harness_bf16(harness, harness_filled(harness, weights, 9.0f), weights);
    DeviceView made = harness_zeros(harness, weights), y = harness_zeros(harness, outputs), other = harness_zeros(harness, outputs),
               again = harness_zeros(harness, outputs);
    BackendMatrix *weight = harness_matrix_over(harness, master, copy, n, k, DEVICE_BF16);
    backend->matrix_settle(stream, weight);
    backend->convert(stream, made, copy, weights);
    backend->convert(stream, copy, changed, weights);
    backend->linear_forward(stream, weight, none, x, rows, LINEAR_PLAIN, none, other);
    backend->matrix_refresh(stream, weight);
    backend->linear_forward(stream, weight, none, x, rows, LINEAR_PLAIN, none, y);
    backend->convert(stream, copy, changed, weights);
    backend->matrix_settle(stream, weight);
    backend->linear_forward(stream, weight, none, x, rows, LINEAR_PLAIN, none, again);
    result_add(result, harness, "the copy", made, weights, 0, 0);
    result_add(result, harness, "y of another copy", other, outputs, 2 * sum_error, 0);
    result_add(result, harness, "y", y, outputs, 2 * sum_error, 0);
    result_add(result, harness, "y of another copy again", again, outputs, 2 * sum_error, 0);
}

static void bf16_backward_input(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n, inputs = (size_t)rows * (size_t)k, weights = (size_t)n * (size_t)k;
    DeviceView d_y = harness_bf16(harness, harness_random(harness, 1, outputs, 0.0f, 1.0f), outputs);
    DeviceView pre = harness_bf16(harness, harness_random(harness, 3, inputs, 0.0f, 3.0f), inputs);
    DeviceView master = harness_random(harness, 2, weights, 0.0f, 0.3f), changed = harness_random(harness, 7, weights, 0.0f, 0.3f);
    BackendMatrix *weight = harness_matrix_of(harness, master, n, k, DEVICE_BF16);
    DeviceView plain = harness_filled(harness, inputs, 9.0f), added = harness_random(harness, 4, inputs, 0.0f, 1.0f);
    DeviceView sloped = harness_bf16(harness, plain, inputs), after = harness_zeros(harness, inputs);
    DeviceView narrow = harness_bf16(harness, added, inputs);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), false, plain);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), true, added);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), true, narrow);
    backend->linear_backward_input(stream, weight, d_y, rows, pre, false, sloped);
    DeviceView sloped_lines = harness_bf16_lines(harness, plain, inputs);
    backend->linear_backward_input(stream, weight, d_y, rows, pre, false, sloped_lines);
    backend->copy(stream, master, changed, weights * sizeof(float));
    backend->matrix_refresh(stream, weight);
    backend->linear_backward_input(stream, weight, d_y, rows, device_view_none(), false, after);
    result_add(result, harness, "d_x", plain, inputs, 2 * sum_error, 0);
    result_add(result, harness, "d_x added", added, inputs, 2 * sum_error, 0);
    result_add(result, harness, "bf16 d_x added", narrow, inputs, 2 * sum_error, bf16_step);
    result_add(result, harness, "bf16 d_x with slope", sloped, inputs, 1e-3, bf16_step);
    result_add(result, harness, "bf16 d_x with slope, in lines", sloped_lines, inputs, 1e-3, bf16_step);
    result_add(result, harness, "d_x after a refresh", after, inputs, 2 * sum_error, 0);
}

static void bf16_backward_weight(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n, inputs = (size_t)rows * (size_t)k, weights = (size_t)n * (size_t)k;
    DeviceView x = harness_bf16(harness, harness_random(harness, 1, inputs, 0.0f, 1.0f), inputs);
    DeviceView d_y = harness_bf16(harness, harness_random(harness, 2, outputs, 0.0f, 0.3f), outputs);
    DeviceView d_weight = harness_random(harness, 3, weights, 0.0f, 1.0f),
               d_bias = harness_random(harness, 4, (size_t)n, 0.0f, 1.0f);
    DeviceView set = harness_filled(harness, weights, 7.0f), set_bias = harness_filled(harness, (size_t)n, 7.0f);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, true, d_weight, d_bias);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, false, set, set_bias);
    DeviceView lines = harness_filled_lines(harness, weights, 7.0f);
    backend->linear_backward_weight(stream, x, d_y, rows, n, k, false, lines, device_view_none());
    result_add(result, harness, "d_weight, set in lines", lines, weights, 2 * sum_error, 0);
    result_add(result, harness, "d_weight", d_weight, weights, 2 * sum_error, 0);
    result_add(result, harness, "d_bias", d_bias, (size_t)n, 2 * sum_error, 0);
    result_add(result, harness, "d_weight, set", set, weights, 2 * sum_error, 0);
    result_add(result, harness, "d_bias, set", set_bias, (size_t)n, 2 * sum_error, 0);
}

static void bf16_norm(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = block_of(harness, shape[0]);
    size_t d = (size_t)shape[1], rows = (size_t)block.piece_count, count = rows * d;
    DeviceView x = harness_random(harness, 1, count, 0.0f, 1.0f), d_y = harness_random(harness, 2, count, 0.0f, 1.0f);
    DeviceView gamma = harness_random(harness, 3, d, 1.0f, 0.5f), beta = harness_random(harness, 4, d, 0.0f, 0.5f);
    DeviceView sum = harness_zeros(harness, count), y = harness_zeros(harness, count), none = device_view_none();
    DeviceView product = harness_bf16(harness, y, count), d_x = harness_bf16(harness, y, count),
               d_sum = harness_zeros(harness, count);
    DeviceView mean = harness_zeros(harness, rows), rstd = harness_zeros(harness, rows);
    backend->norm_forward(stream, &block, x, none, gamma, beta, 1e-5f, shape[1], a_half, a_tenth, sum, y, product, mean, rstd);
    backend->norm_backward(stream, &block, d_y, sum, mean, rstd, gamma, shape[1], a_half, a_tenth, d_sum, d_x, none, none);
    result_add(result, harness, "bf16 y", product, count, 1e-4, bf16_step);
    result_add(result, harness, "bf16 d_x", d_x, count, 2e-4, bf16_step);
}

static void bf16_attention_with(Harness *harness, const int32_t *shape, Dropout dropout, float spread, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = block_of(harness, shape[0]);
    int32_t heads = shape[1], width = shape[2];
    size_t d = (size_t)heads * (size_t)width, rows = (size_t)block.piece_count;
    DeviceView qkv = harness_bf16(harness, harness_random(harness, 1, rows * 3 * d, 0.0f, spread), rows * 3 * d);
    DeviceView d_context = harness_bf16(harness, harness_random(harness, 2, rows * d, 0.0f, 1.0f), rows * d);
    DeviceView context = harness_bf16(harness, harness_filled(harness, rows * d, 9.0f), rows * d);
    DeviceView log_sums = harness_filled(harness, rows * (size_t)heads, 9.0f);
    DeviceView d_qkv = harness_bf16(harness, harness_filled(harness, rows * 3 * d, 9.0f), rows * 3 * d);
    backend->attention_forward(stream, &block, qkv, heads, width, dropout, context, log_sums);
    backend->attention_backward(stream, &block, qkv, context, log_sums, d_context, heads, width, dropout, d_qkv);
    result_add(result, harness, "bf16 context", context, rows * d, 1e-4 * (double)spread, bf16_step);
    result_add(result, harness, "log_sum_exp", log_sums, rows * (size_t)heads, 1e-5, 2e-6);
    /* The context that backward reads was rounded before: a step of each of its numbers, times probability and key, over the sequence. All
     * three grow with the numbers. */
    result_add(result, harness, "bf16 d_qkv", d_qkv, rows * 3 * d, 5e-3 * (double)(spread * spread), bf16_step);
}

static void bf16_attention(Harness *harness, const int32_t *shape, Result *result)
{
    bf16_attention_with(harness, shape, a_tenth, 1.0f, result);
}

static void bf16_attention_without_dropout(Harness *harness, const int32_t *shape, Result *result)
{
    bf16_attention_with(harness, shape, off, 1.0f, result);
}

/* Scores of many hundred: softmax is one-hot, and must not overflow. */
static void bf16_attention_of_large_scores(Harness *harness, const int32_t *shape, Result *result)
{
    bf16_attention_with(harness, shape, a_half, 24.0f, result);
}

/* -- loss and optimizer. shape: rows, labels */

static void loss_with(Harness *harness, const int32_t *shape, bool class_weights, float smoothing, bool gradient, Result *result)
{
    const Backend *backend = harness_backend(harness);
    size_t rows = (size_t)shape[0], classes = (size_t)shape[1];
    int32_t *gold = memory_allocate(rows, sizeof *gold);
    for (size_t r = 0; r < rows; r++) {
        gold[r] = r % 3 == 1 ? TOKEN_LABEL_IGNORED : (int32_t)(r * 7 % classes);
    }
    DeviceView labels = harness_integers(harness, gold, rows), logits = harness_random(harness, 1, rows * classes, 0.0f, 6.0f);
    DeviceView weights = harness_random(harness, 2, rows, 1.0f, 0.9f), loss = harness_double(harness, 2.5);
    DeviceView by_class = class_weights ? harness_random(harness, 3, classes, 1.0f, 0.9f) : device_view_none();
    DeviceView d_logits = gradient ? harness_filled(harness, rows * classes, 9.0f) : device_view_none();
    free(gold);
    backend->cross_entropy(harness_stream(harness), logits, labels, weights, by_class, smoothing, 0.25f, shape[0], shape[1], loss,
                           d_logits);
    result_add_double(result, harness, "loss", loss, 1e-6, 2e-7);
    if (gradient) {
        result_add(result, harness, "d_logits", d_logits, rows * classes, 1e-6, 1e-6);
    }
}

static void cross_entropy(Harness *harness, const int32_t *shape, Result *result)
{
    loss_with(harness, shape, false, 0.0f, true, result);
}

static void cross_entropy_smoothed_and_weighted(Harness *harness, const int32_t *shape, Result *result)
{
    loss_with(harness, shape, true, 0.1f, true, result);
}

static void cross_entropy_without_gradient(Harness *harness, const int32_t *shape, Result *result)
{
    loss_with(harness, shape, true, 0.0f, false, result);
}

/* shape: count. No tolerance: one rounding is one rounding everywhere. */
static void add(Harness *harness, const int32_t *shape, Result *result)
{
    size_t count = (size_t)shape[0];
    DeviceView to = harness_random(harness, 1, count + 1, 0.0f, 1.0f), from = harness_random(harness, 2, count + 2, 0.0f, 1e-3f);
    harness_backend(harness)->add(harness_stream(harness), to, device_view_floats(from, 2), count);
    result_add(result, harness, "sum", to, count + 1, 0, 0); /* the number behind stays */
}

/* shape: count */
static void sum_of_squares(Harness *harness, const int32_t *shape, Result *result)
{
    size_t count = (size_t)shape[0], stretches = (count + BACKEND_SQUARES_STRETCH - 1) / BACKEND_SQUARES_STRETCH;
    DeviceView x = harness_random(harness, 1, count, 0.1f, 1.0f), sums = harness_doubles(harness, stretches + 1);
    for (int times = 0; times < 2; times++) /* it adds to what is there */
        harness_backend(harness)->sum_of_squares(harness_stream(harness), x, count, sums);
    for (size_t i = 0; i <= stretches; i++)
        result_add_double(result, harness, i < stretches ? "sum of a stretch" : "what is behind the sums",
                          device_view(sums.buffer, sums.offset_bytes + i * sizeof(double)), 1e-7, 1e-6);
}

static void adamw(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    size_t count = (size_t)shape[0];
    DeviceView p = harness_random(harness, 1, count, 0.0f, 1.0f), g = harness_random(harness, 2, count, 0.0f, 1e-2f);
    DeviceView m = harness_random(harness, 3, count, 0.0f, 1e-3f), v = harness_random(harness, 4, count, 2e-6f, 1e-6f);
    for (int64_t t = 1; t <= 5; t++) {
        AdamwStep step = {3e-3f, 0.9f, 0.999f, 1e-8f, t % 2 == 0 ? 0.01f : 0.0f, 0.75f, t};
        backend->adamw(harness_stream(harness), p, g, m, v, count, &step);
    }
    result_add(result, harness, "parameter", p, count, 1e-6, element_error);
    result_add(result, harness, "first moment", m, count, 1e-9, element_error);
    result_add(result, harness, "second moment", v, count, 1e-12, element_error);
}

/* The elements before `cut` last, if there are any. state: gradient, moments. */
static void adamw_in_two(Harness *harness, BackendMatrix *matrix, size_t count, size_t cut, const DeviceView *state,
                         const AdamwStep *step)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    if (cut > 0) {
        backend->matrix_settle(stream, matrix);
    }
    backend->adamw_matrix(stream, matrix, cut, count - cut, device_view_floats(state[0], cut), device_view_floats(state[1], cut),
                          device_view_floats(state[2], cut), step);
    if (cut > 0) {
        backend->adamw_matrix(stream, matrix, 0, cut, state[0], state[1], state[2], step);
    }
}

/* The products before and after: what the matrix is made of follows its master. Rounding to bf16 may turn on the last bit of a parameter;
 * a step moves products by a hundred times the error that is allowed. */
static void adamw_of_matrix_type(Harness *harness, const int32_t *shape, DeviceType type, Result *result)
{
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    int32_t rows = shape[0], n = shape[1], k = shape[2];
    size_t outputs = (size_t)rows * (size_t)n, inputs = (size_t)rows * (size_t)k, count = (size_t)n * (size_t)k;
    double error = type == DEVICE_BF16 ? 5e-3 : 2 * sum_error;
    DeviceView none = device_view_none(), x = harness_random(harness, 1, inputs, 0.0f, 1.0f),
               d_y = harness_random(harness, 5, outputs, 0.0f, 1.0f);
    DeviceView p = harness_random(harness, 2, count, 0.0f, 0.3f), g = harness_random(harness, 3, count, 0.0f, 1e-2f);
    DeviceView m = harness_random(harness, 4, count, 0.0f, 1e-3f), v = harness_random(harness, 6, count, 2e-6f, 1e-6f);
    DeviceView y[2] = {harness_zeros(harness, outputs), harness_zeros(harness, outputs)}, d_x = harness_zeros(harness, inputs);
    BackendMatrix *weight = harness_matrix_of(harness, p, n, k, type);
    DeviceView in = type == DEVICE_BF16 ? harness_bf16(harness, x, inputs) : x;
    DeviceView d_out = type == DEVICE_BF16 ? harness_bf16(harness, d_y, outputs) : d_y;
    for (int64_t t = 1; t <= 2; t++) {
        backend->linear_forward(stream, weight, none, in, rows, LINEAR_PLAIN, none, y[0]);
        AdamwStep step = {5e-2f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.75f, t};
        adamw_in_two(harness, weight, count, t == 2 ? count / 3 : 0, (DeviceView[]){g, m, v}, &step);
    }
    backend->linear_backward_input(stream, weight, d_out, rows, none, false, d_x);
    backend->linear_forward(stream, weight, none, in, rows, LINEAR_PLAIN, none, y[1]);
    result_add(result, harness, "y after one step", y[0], outputs, error, 0);
    result_add(result, harness, "y after two steps", y[1], outputs, error, 0);
    result_add(result, harness, "d_x after two steps", d_x, inputs, error, 0);
    result_add(result, harness, "parameter", p, count, 1e-6, element_error);
    result_add(result, harness, "first moment", m, count, 1e-9, element_error);
    result_add(result, harness, "second moment", v, count, 1e-12, element_error);
}

static void adamw_of_matrix(Harness *harness, const int32_t *shape, Result *result)
{
    adamw_of_matrix_type(harness, shape, DEVICE_FP32, result);
}

static void bf16_adamw_of_matrix(Harness *harness, const int32_t *shape, Result *result)
{
    adamw_of_matrix_type(harness, shape, DEVICE_BF16, result);
}

/* shape: rows in all, rows picked, columns. Late by 0 to 2 steps. */
static void adamw_of_rows(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    size_t total = (size_t)shape[0], picked = (size_t)shape[1], columns = (size_t)shape[2], count = total * columns;
    AdamwStep steps[] = {{3e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.75f, 3}, {2e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.5f, 4}};
    int32_t *index = memory_allocate(picked, sizeof *index), *late = memory_allocate(picked, sizeof *late);
    for (size_t i = 0; i < picked; i++) {
        index[i] = (int32_t)(i * total / picked);
        late[i] = (int32_t)(i % 3);
    }
    DeviceView rows = harness_integers(harness, index, picked), behind = harness_integers(harness, late, picked);
    DeviceView p = harness_random(harness, 1, count, 0.0f, 1.0f), g = harness_random(harness, 2, picked * columns, 0.0f, 1e-2f);
    DeviceView m = harness_random(harness, 3, count, 0.0f, 1e-3f), v = harness_random(harness, 4, count, 2e-6f, 1e-6f);
    backend->adamw_late(harness_stream(harness), p, m, v, rows, behind, shape[1], shape[2], steps, 2);
    backend->adamw_rows(harness_stream(harness), p, g, m, v, rows, shape[1], shape[2], &steps[0]);
    result_add(result, harness, "parameter", p, count, 1e-6, element_error);
    result_add(result, harness, "first moment", m, count, 1e-9, element_error);
    result_add(result, harness, "second moment", v, count, 1e-12, element_error);
    free(index);
    free(late);
}

static void copies(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    size_t count = (size_t)shape[0];
    DeviceView from = harness_random(harness, 1, count + 3, 0.0f, 1.0f), to = harness_filled(harness, count, 9.0f);
    DeviceView cleared = harness_filled(harness, count, 9.0f);
    backend->copy(harness_stream(harness), to, device_view_floats(from, 3), count * sizeof(float));
    backend->fill_zero(harness_stream(harness), device_view_floats(cleared, 1), (count - 1) * sizeof(float));
    result_add(result, harness, "copied", to, count, 0, 0);
    result_add(result, harness, "cleared", cleared, count, 0, 0);
}

/* shape: rows in all, rows picked, columns. The first row is picked, so is the last when all are. */
static void rows(Harness *harness, const int32_t *shape, Result *result)
{
    const Backend *backend = harness_backend(harness);
    size_t total = (size_t)shape[0], picked = (size_t)shape[1], columns = (size_t)shape[2];
    int32_t *index = memory_allocate(picked, sizeof *index);
    for (size_t i = 0; i < picked; i++) {
        index[i] = (int32_t)(i * total / picked);
    }
    DeviceView device_index = harness_integers(harness, index, picked);
    DeviceView from = harness_random(harness, 1, total * columns, 0.0f, 1.0f);
    DeviceView gathered = harness_filled(harness, picked * columns, 9.0f), to = harness_filled(harness, total * columns, 9.0f);
    backend->rows_gather(harness_stream(harness), from, shape[0], device_index, shape[1], shape[2], gathered);
    backend->rows_scatter(harness_stream(harness), gathered, device_index, shape[1], shape[2], to, shape[0]);
    result_add(result, harness, "gathered", gathered, picked * columns, 0, 0);
    result_add(result, harness, "scattered", to, total * columns, 0, 0);
    DeviceView narrow = harness_bf16(harness, from, total * columns),
               some = harness_bf16(harness, harness_filled(harness, picked * columns, 9.0f), picked * columns);
    DeviceView nines = harness_filled(harness, total * columns, 9.0f), narrow_to = harness_bf16(harness, nines, total * columns);
    backend->rows_gather(harness_stream(harness), narrow, shape[0], device_index, shape[1], shape[2], some);
    backend->rows_scatter(harness_stream(harness), some, device_index, shape[1], shape[2], narrow_to, shape[0]);
    result_add(result, harness, "bf16 gathered", some, picked * columns, 0, 0);
    result_add(result, harness, "bf16 scattered", narrow_to, total * columns, 0, 0);
    free(index);
}

/* Odd sizes below, at and above whatever a tile, a vector, a chunk or a pass may be. */
#define LINEAR_SHAPES                                                                                                          \
    {                                                                                                                          \
        {1, 1, 1}, {1, 3, 5}, {2, 9, 13}, {7, 17, 31}, {13, 33, 48}, {12, 32, 16}, {61, 96, 64}, {25, 9, 384}, {300, 200, 70}, \
            {700, 40, 24}, {20, 90, 1070},                                                                                     \
        {                                                                                                                      \
            53, 150, 210                                                                                                       \
        }                                                                                                                      \
    }

static const OperationCase cases[] = {
    {"linear_forward", "linear", linear_forward, LINEAR_SHAPES},
    {"linear_backward_input", "linear", linear_backward_input, LINEAR_SHAPES},
    {"linear_backward_weight", "linear", linear_backward_weight, LINEAR_SHAPES},
    {"matrix_refresh", "linear", matrix_refresh, {{5, 33, 7}, {14, 64, 32}}},
    {"embedding", "embedding", embedding, {{1, 1}, {3, 13}, {4, 64}, {6, 100}}},
    {"norm", "norm", norm_plain, {{1, 8}, {3, 13}, {4, 64}, {6, 384}, {5, 100}}},
    {"norm_after_residual", "norm", norm_after_residual, {{1, 8}, {3, 13}, {4, 70}, {6, 384}}},
    {"norm_of_embeddings", "norm", norm_of_embeddings, {{1, 16}, {3, 13}, {6, 128}}},
    {"norm_frozen", "norm", norm_frozen, {{2, 31}, {6, 96}}},
    {"attention", "attention", attention, {{1, 2, 8}, {2, 1, 13}, {3, 3, 32}, {4, 2, 64}, {6, 3, 16}, {5, 1, 32}}},
    {"attention_with_dropout",
     "attention",
     attention_with_dropout,
     {{1, 2, 8}, {3, 2, 13}, {4, 2, 32}, {4, 1, 64}, {6, 3, 32}, {5, 2, 16}}},
    {"attention_of_large_scores", "attention", attention_of_large_scores, {{3, 2, 13}, {4, 2, 32}}},
    {"cross_entropy", "loss", cross_entropy, {{1, 1}, {1, 2}, {4, 9}, {100, 16}, {131, 37}}},
    {"cross_entropy_smoothed_and_weighted", "loss", cross_entropy_smoothed_and_weighted, {{1, 3}, {5, 9}, {133, 25}}},
    {"cross_entropy_without_gradient", "loss", cross_entropy_without_gradient, {{7, 9}}},
    {"add", "optimizer", add, {{1}, {15}, {4096}, {70000}, {200001}}},
    {"sum_of_squares", "optimizer", sum_of_squares, {{1}, {15}, {4096}, {70000}, {200001}}},
    {"adamw", "optimizer", adamw, {{1}, {17}, {1000}, {70003}}},
    {"adamw_of_rows", "optimizer", adamw_of_rows, {{1, 1, 1}, {7, 3, 5}, {100, 60, 70}, {129, 33, 64}, {64, 64, 31}, {500, 1, 9}}},
    {"adamw_of_matrix", "optimizer", adamw_of_matrix, {{1, 1, 1}, {3, 33, 7}, {9, 64, 96}, {5, 300, 230}}},
    {"bf16_adamw_of_matrix", "optimizer", bf16_adamw_of_matrix, {{1, 1, 1}, {3, 33, 7}, {9, 64, 96}, {5, 300, 230}}},
    {"rows", "rows and copies", rows, {{1, 1, 1}, {7, 3, 5}, {100, 60, 13}, {129, 33, 64}, {64, 64, 31}, {500, 1, 9}}},
    {"copies", "rows and copies", copies, {{1}, {1000}, {300000}}},
    {"bf16_forward",
     "bf16 linear",
     bf16_forward,
     {{1, 1, 1}, {1, 9, 32}, {5, 33, 31}, {17, 64, 96}, {33, 40, 64}, {100, 128, 65}, {65, 96, 33}, {505, 96, 64}, {20, 256, 40}}},
    {"bf16_matrix_settled", "bf16 linear", bf16_matrix_settled, {{3, 33, 7}, {9, 64, 96}, {5, 300, 230}}},
    {"bf16_backward_input",
     "bf16 linear",
     bf16_backward_input,
     {{1, 1, 1}, {1, 32, 9}, {5, 31, 33}, {17, 96, 64}, {33, 64, 40}, {100, 65, 128}, {505, 64, 96}, {20, 40, 256}}},
    {"bf16_backward_weight",
     "bf16 linear",
     bf16_backward_weight,
     {{1, 1, 1},
      {2, 9, 32},
      {5, 31, 33},
      {31, 16, 20},
      {33, 64, 40},
      {40, 700, 80},
      {33, 40, 1056},
      {100, 65, 100},
      {505, 64, 96},
      {700, 33, 33},
      {1400, 40, 32}}},
    {"bf16_norm", "bf16 norm", bf16_norm, {{3, 16}, {4, 33}, {6, 96}}},
    {"bf16_attention",
     "bf16 attention",
     bf16_attention,
     {{1, 1, 8}, {4, 3, 32}, {3, 2, 13}, {5, 2, 64}, {7, 2, 64}, {7, 1, 80}, {7, 2, 13}, {6, 2, 48}}},
    {"bf16_attention_without_dropout", "bf16 attention", bf16_attention_without_dropout, {{1, 1, 8}, {6, 2, 32}, {7, 1, 100}}},
    {"bf16_attention_of_large_scores", "bf16 attention", bf16_attention_of_large_scores, {{3, 2, 13}, {4, 2, 32}, {7, 1, 64}}},
};

const OperationCase *operation_cases(size_t *count)
{
    *count = sizeof cases / sizeof *cases;
    return cases;
}

size_t operation_case_shape_count(const OperationCase *operation)
{
    size_t count = 0;
    while (count < sizeof operation->shapes / sizeof *operation->shapes && operation->shapes[count][0] != 0) {
        count++;
    }
    return count;
}

Status operation_case_run(const OperationCase *operation, const int32_t *shape, const BackendSetting *setting, Result *result,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Harness *harness = NULL;
    *result = (Result){0};
    TRY(harness_create(&harness, setting, diagnostic));
    operation->run(harness, shape, result);
    TRY(harness_finish(&harness, diagnostic));
out:
    return status;
}
