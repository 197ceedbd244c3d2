/* What backend.h promises in words, on every backend: dropout's numbers bit for bit, AdamW and the loss by their formulas, ids that repeat,
 * sticky failures, and the extreme inputs that a diverging run brings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/token_block.h"
#include "kernels/host_floats.h"
#include "tests/kernels/harness.h"

/* Calls check on every setting, the reference included. */
static void on_every_backend(void (*check)(Harness *harness))
{
    BackendSetting settings[TEST_SETTING_COUNT_MAX], reference = {.backend = "reference", .threads = 1};
    size_t count = settings_list(settings, 2);
    Harness *harness = harness_open(&reference);
    check(harness);
    harness_close(&harness);
    for (size_t i = 0; i < count; i++) {
        harness = harness_open(&settings[i]);
        check(harness);
        harness_close(&harness);
    }
}

static const int32_t lengths[] = {70, 1, 13, 140};
enum { SEQUENCES = 4, PIECES = 70 + 1 + 13 + 140 };

static bool kept_by_definition(Dropout dropout, uint32_t slot, uint32_t position, uint32_t channel, uint32_t site)
{
    PhiloxBlock block = philox4x32_10(dropout.key, slot, position, channel / 4, site);
    return philox_uniform_float(block.word[channel % 4]) >= dropout.probability;
}

/* x is 1 everywhere and the residual 0, so that sum is the mask itself. */
static void norm_mask_is_as_defined(Harness *harness, Dropout dropout, int32_t d)
{
    const Backend *backend = harness_backend(harness);
    size_t width = (size_t)d, count = PIECES * width, at = 0, kept_count = 0;
    DeviceBlock block = harness_block(harness, lengths, SEQUENCES, 9);
    DeviceView sum = harness_zeros(harness, count), y = harness_zeros(harness, count), ones = harness_filled(harness, count, 1.0f);
    float *values = memory_allocate(count, sizeof *values), scale = (float)(1.0 / (1.0 - (double)dropout.probability));
    backend->norm_forward(harness_stream(harness), &block, ones, device_view_none(), harness_filled(harness, width, 1.0f),
                          harness_zeros(harness, width), 1e-5f, d, dropout, (Dropout){0}, sum, y, device_view_none(),
                          harness_zeros(harness, PIECES), harness_zeros(harness, PIECES));
    harness_read(harness, sum, values, count);
    for (int32_t s = 0; s < SEQUENCES; s++) {
        for (int32_t i = 0; i < lengths[s]; i++) {
            for (uint32_t c = 0; c < (uint32_t)d; c++, at++) {
                bool kept = kept_by_definition(dropout, harness_slot(s), (uint32_t)i, c, dropout.site);
                assert_true(values[at] == (kept ? scale : 0.0f));
                kept_count += kept;
            }
        }
    }
    /* Five standard deviations of a binomial share. */
    double share = (double)kept_count / (double)count, expected = 1.0 - (double)dropout.probability;
    assert_true(fabs(share - expected) < 5.0 * sqrt(expected * (1.0 - expected) / (double)count));
    free(values);
}

static void norm_masks(Harness *harness)
{
    norm_mask_is_as_defined(harness, (Dropout){.probability = 0.1f, .key = {{1u, 2u}}, .site = 7}, 384);
    norm_mask_is_as_defined(harness, (Dropout){.probability = 0.5f, .key = {{0xFFFFFFFFu, 0x80000000u}}, .site = 65535}, 77);
    norm_mask_is_as_defined(harness, (Dropout){.probability = 0.9f, .key = {{3u, 4u}}, .site = 0}, 13);
}

static void the_mask_of_a_row_is_as_defined(void **state)
{
    (void)state;
    on_every_backend(norm_masks);
}

/* Queries and keys of zero: every probability is 1 / length. Values are one at the key's own channel, so that the context shows the mask. */
static void attention_mask(Harness *harness)
{
    enum { HEADS = 3, WIDTH = 13, D = HEADS * WIDTH };
    const Dropout dropout = {.probability = 0.3f, .key = {{11u, 12u}}, .site = 900};
    const Backend *backend = harness_backend(harness);
    static const int32_t sizes[] = {13, 5};
    float *qkv = memory_allocate(18 * 3 * D, sizeof *qkv), *found = memory_allocate(18 * D, sizeof *found);
    for (size_t t = 0; t < 18; t++) {
        for (size_t head = 0; head < HEADS; head++) {
            qkv[t * 3 * D + 2 * D + head * WIDTH + (t < 13 ? t : t - 13)] = 1.0f;
        }
    }
    DeviceBlock block = harness_block(harness, sizes, 2, 9);
    DeviceView context = harness_zeros(harness, 18 * D);
    backend->attention_forward(harness_stream(harness), &block, harness_floats(harness, qkv, 18 * 3 * D), HEADS, WIDTH, dropout,
                               context, harness_zeros(harness, 18 * HEADS));
    harness_read(harness, context, found, 18 * D);
    for (uint32_t t = 0; t < 18; t++) {
        uint32_t sequence = t < 13 ? 0 : 1, query = t < 13 ? t : t - 13, length = (uint32_t)sizes[sequence];
        for (uint32_t head = 0; head < HEADS; head++) {
            for (uint32_t key = 0; key < length; key++) {
                bool kept = kept_by_definition(dropout, harness_slot((int32_t)sequence), query, key, dropout.site | head << 16);
                float value = found[t * D + head * WIDTH + key];
                assert_true(kept ? fabsf(value - 1.0f / 0.7f / (float)length) < 1e-5f : value == 0.0f);
            }
        }
    }
    free(qkv);
    free(found);
}

static void the_mask_of_attention_is_as_defined(void **state)
{
    (void)state;
    on_every_backend(attention_mask);
}

/* torch.optim.AdamW in double, 50 steps, gradients that change. The float moments carry about 6e-8 a step: 5e-6 relative over 50. */
static void adamw_formula(Harness *harness)
{
    enum { COUNT = 37, STEPS = 50 };
    const Backend *backend = harness_backend(harness);
    double p[COUNT], m[COUNT] = {0}, v[COUNT] = {0};
    float found[COUNT], gradient[COUNT];
    DeviceView parameter = harness_random(harness, 1, COUNT, 0.0f, 1.0f), first = harness_zeros(harness, COUNT);
    DeviceView second = harness_zeros(harness, COUNT), device_gradient = harness_zeros(harness, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        p[i] = (double)harness_random_value(1, i, 0.0f, 1.0f);
    }
    for (int64_t t = 1; t <= STEPS; t++) {
        AdamwStep step = {1e-2f / (float)t, 0.9f, 0.999f, 1e-8f, 0.1f, 0.5f, t};
        for (size_t i = 0; i < COUNT; i++) {
            gradient[i] = harness_random_value(100 + (uint32_t)t, i, 0.0f, 1.0f);
            double g = (double)gradient[i] * 0.5, rate = (double)step.learning_rate;
            p[i] *= 1.0 - rate * (double)step.weight_decay;
            m[i] = (double)step.beta1 * m[i] + (1.0 - (double)step.beta1) * g;
            v[i] = (double)step.beta2 * v[i] + (1.0 - (double)step.beta2) * g * g;
            double corrected = sqrt(v[i]) / sqrt(1.0 - pow((double)step.beta2, (double)t));
            p[i] -= rate / (1.0 - pow((double)step.beta1, (double)t)) * m[i] / (corrected + (double)step.epsilon);
        }
        backend->copy_to_device(harness_stream(harness), device_gradient, gradient, sizeof gradient);
        backend->adamw(harness_stream(harness), parameter, device_gradient, first, second, COUNT, &step);
    }
    harness_read(harness, parameter, found, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(fabs((double)found[i] - p[i]) <= 5e-6 * (1.0 + fabs(p[i])));
    }
}

static void adamw_is_torchs(void **state)
{
    (void)state;
    on_every_backend(adamw_formula);
}

/* A row gets the same bits alone as inside the whole table: what lazily updated embeddings rely on. */
static void adamw_of_rows(Harness *harness)
{
    enum { ROWS = 9, WIDTH = 100 };
    const Backend *backend = harness_backend(harness);
    AdamwStep step = {1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 0.3f, 7};
    float all[ROWS * WIDTH], rows[ROWS * WIDTH];
    DeviceView g = harness_random(harness, 2, ROWS * WIDTH, 0.0f, 1.0f), parameters[2];
    for (size_t apart = 0; apart < 2; apart++) {
        DeviceView p = harness_random(harness, 1, ROWS * WIDTH, 0.0f, 1.0f),
                   m = harness_random(harness, 3, ROWS * WIDTH, 0.0f, 0.1f);
        DeviceView v = harness_random(harness, 4, ROWS * WIDTH, 0.2f, 0.1f);
        size_t count = apart == 1 ? WIDTH : ROWS * WIDTH;
        for (size_t at = 0; at < ROWS * WIDTH; at += count) {
            backend->adamw(harness_stream(harness), device_view_floats(p, at), device_view_floats(g, at), device_view_floats(m, at),
                           device_view_floats(v, at), count, &step);
        }
        parameters[apart] = p;
    }
    harness_read(harness, parameters[0], all, ROWS * WIDTH);
    harness_read(harness, parameters[1], rows, ROWS * WIDTH);
    assert_memory_equal(all, rows, sizeof all);
}

/* What rows get that have a gradient in some steps only: at once, and the steps without one made up for before the next with one and at the
 * end. Row r has a gradient in every (r + 1)th step; the last has none, nor moments, and the one before it no first moment at the start. */
static void adamw_late(Harness *harness)
{
    enum { ROWS = 6, WIDTH = 100, STEPS = 23, COUNT = ROWS * WIDTH };
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceView dense[3], sparse[3];
    for (uint32_t i = 0; i < 3; i++) {
        for (int32_t late = 0; late < 2; late++) {
            DeviceView *to = late ? &sparse[i] : &dense[i];
            *to = harness_random(harness, 1 + i, COUNT, i == 2 ? 0.2f : 0.0f, i == 0 ? 1.0f : 0.1f);
            if (i > 0)
                backend->fill_zero(stream, device_view_floats(*to, (ROWS - (i == 1 ? 2 : 1)) * WIDTH),
                                   (i == 1 ? 2 : 1) * WIDTH * sizeof(float));
        }
    }
    AdamwStep steps[STEPS];
    int32_t seen[ROWS] = {0}, row_of[ROWS], late_of[ROWS], count;
    for (int32_t t = 0; t <= STEPS; t++) {
        for (int32_t r = count = 0; r < ROWS; r++) {
            if (t == STEPS || (r < ROWS - 1 && (t + 1) % (r + 1) == 0)) {
                row_of[count] = r;
                late_of[count++] = t - seen[r];
                seen[r] = t + 1;
            }
        }
        DeviceView rows = harness_integers(harness, row_of, (size_t)count),
                   late = harness_integers(harness, late_of, (size_t)count);
        backend->adamw_late(stream, sparse[0], sparse[1], sparse[2], rows, late, count, WIDTH, steps, t);
        if (t == STEPS)
            break;
        steps[t] = (AdamwStep){1e-3f / (float)(t + 1), 0.9f, 0.999f, 1e-8f, t % 3 == 0 ? 0.0f : 0.1f, 0.3f, t + 1};
        DeviceView some = harness_random(harness, 50 + (uint32_t)t, (size_t)count * WIDTH, 0.0f, 1.0f);
        DeviceView all = harness_zeros(harness, COUNT);
        backend->rows_scatter(stream, some, rows, count, WIDTH, all, ROWS);
        backend->adamw(stream, dense[0], all, dense[1], dense[2], COUNT, &steps[t]);
        backend->adamw_rows(stream, sparse[0], some, sparse[1], sparse[2], rows, count, WIDTH, &steps[t]);
    }
    for (size_t i = 0; i < 3; i++) {
        float expected[COUNT], found[COUNT];
        harness_read(harness, dense[i], expected, COUNT);
        harness_read(harness, sparse[i], found, COUNT);
        assert_memory_equal(expected, found, sizeof expected);
    }
}

static void adamw_made_up_for_gives_the_same_bits(void **state)
{
    (void)state;
    on_every_backend(adamw_late);
}

static void adamw_gives_a_row_alone_the_same_bits(void **state)
{
    (void)state;
    on_every_backend(adamw_of_rows);
}

static void floats_on_the_host(Harness *harness)
{
    enum { COUNT = 40, OFFSET = 3 };
    Diagnostic diagnostic = {0};
    HostFloats floats;
    DeviceView x = harness_random(harness, 1, COUNT, 0.0f, 1.0f);
    Status status = host_floats_open(&floats, harness_backend(harness), harness_stream(harness), device_view_floats(x, OFFSET),
                                     COUNT - OFFSET, &diagnostic);
    assert_int_equal(status, STATUS_OK);
    for (size_t i = OFFSET; i < COUNT; i++)
        assert_true(floats.values[i - OFFSET] == harness_random_value(1, i, 0.0f, 1.0f));
    host_floats_close(&floats);
    assert_null(floats.values);
}

static void the_host_reads_floats_wherever_they_lie(void **state)
{
    (void)state;
    on_every_backend(floats_on_the_host);
}

/* -log softmax of (1, 2, 3) at label 1 is 1.4076059644; twice the row's weight doubles it, an ignored row adds nothing. Smoothed by 0.3 the
 * target is (0.1, 0.8, 0.1), and classes weighted (1, 2, 3) give the sum below. */
static void loss_by_hand(Harness *harness)
{
    static const float logits[] = {1, 2, 3, 5, -5, 0}, weights[] = {2, 1}, class_weights[] = {1, 2, 3};
    static const int32_t gold[] = {1, TOKEN_LABEL_IGNORED};
    const Backend *backend = harness_backend(harness);
    DeviceView in = harness_floats(harness, logits, 6), by_row = harness_floats(harness, weights, 2), none = device_view_none();
    DeviceView labels = harness_integers(harness, gold, 2), loss = harness_double(harness, 0.0),
               smoothed = harness_double(harness, 0.0);
    DeviceView d_logits = harness_filled(harness, 6, 9.0f);
    float gradient[6];
    backend->cross_entropy(harness_stream(harness), in, labels, by_row, none, 0.0f, 0.5f, 2, 3, loss, d_logits);
    backend->cross_entropy(harness_stream(harness), in, labels, by_row, harness_floats(harness, class_weights, 3), 0.3f, 0.5f, 2, 3,
                           smoothed, none);
    harness_read(harness, d_logits, gradient, 6);
    double p[3] = {exp(1.0 - 3.4076059644443806), exp(2.0 - 3.4076059644443806), exp(3.0 - 3.4076059644443806)};
    double parts[3] = {0.1 * 1.0 * 2.4076059644443806, 0.8 * 2.0 * 1.4076059644443806, 0.1 * 3.0 * 0.4076059644443806};
    assert_true(fabs(harness_read_double(harness, loss) - 2.0 * 1.4076059644443806) < 1e-6);
    assert_true(fabs(harness_read_double(harness, smoothed) - 2.0 * (parts[0] + parts[1] + parts[2])) < 1e-6);
    assert_true(fabs((double)gradient[0] - p[0]) < 1e-6 && fabs((double)gradient[1] - (p[1] - 1.0)) < 1e-6);
    assert_true(fabs((double)gradient[2] - p[2]) < 1e-6 && gradient[3] == 0.0f && gradient[4] == 0.0f && gradient[5] == 0.0f);
}

static void the_loss_is_torchs(void **state)
{
    (void)state;
    on_every_backend(loss_by_hand);
}

/* GELU over its whole range against erfc in double: the tail below -5 must not vanish too early nor come back. */
static void gelu_range(Harness *harness)
{
    enum { COUNT = 4001 };
    static const float one = 1.0f;
    const Backend *backend = harness_backend(harness);
    float *x = memory_allocate(COUNT, sizeof *x), *y = memory_allocate(COUNT, sizeof *y);
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = -20.0f + 0.01f * (float)i;
    }
    x[0] = -3e4f, x[COUNT - 1] = 3e4f;
    BackendMatrix *matrix = harness_matrix(harness, harness_floats(harness, &one, 1), 1, 1);
    DeviceView in = harness_floats(harness, x, COUNT), out = harness_zeros(harness, COUNT);
    backend->linear_forward(harness_stream(harness), matrix, device_view_none(), in, COUNT, LINEAR_GELU, device_view_none(), out);
    harness_read(harness, out, y, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        double expected = 0.5 * (double)x[i] * erfc(-(double)x[i] * M_SQRT1_2);
        /* exp(-x^2 / 2) makes the rounding of x^2 / 2 relative: 6e-8 * 18 at -6. Below 1e-30 nothing counts. */
        assert_true(fabs((double)y[i] - expected) <= 3e-6 * fabs(expected) + 1e-30);
    }
    free(x);
    free(y);
}

static void gelu_is_right_far_from_zero(void **state)
{
    (void)state;
    on_every_backend(gelu_range);
}

/* A number that is none must reach the loss, where the trial is found to have diverged, and not be hidden by a clamp. */
static void poison(Harness *harness)
{
    enum { D = 32, LENGTH = 5 };
    static const int32_t length[] = {LENGTH}, gold[] = {0, 0, 0, 0, 0};
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = harness_stream(harness);
    DeviceBlock block = harness_block(harness, length, 1, 9);
    float qkv[LENGTH * 3 * D] = {0}, context[LENGTH * D], y[LENGTH * D];
    qkv[7] = NAN;
    DeviceView out = harness_zeros(harness, LENGTH * D), activated = harness_zeros(harness, LENGTH * D);
    BackendMatrix *matrix = harness_matrix(harness, harness_random(harness, 1, D * D, 0.0f, 1.0f), D, D);
    DeviceView loss = harness_double(harness, 0.0);
    backend->attention_forward(stream, &block, harness_floats(harness, qkv, LENGTH * 3 * D), 1, D, (Dropout){0}, out,
                               harness_zeros(harness, LENGTH));
    backend->linear_forward(stream, matrix, device_view_none(), out, LENGTH, LINEAR_GELU, device_view_none(), activated);
    backend->cross_entropy(stream, activated, harness_integers(harness, gold, LENGTH), harness_filled(harness, LENGTH, 1.0f),
                           device_view_none(), 0.0f, 1.0f, LENGTH, D, loss, device_view_none());
    harness_read(harness, out, context, LENGTH * D);
    harness_read(harness, activated, y, LENGTH * D);
    assert_true(isnan(context[0]) && isnan(y[0]));
    assert_true(isnan(harness_read_double(harness, loss)));
}

static void a_value_that_is_no_number_reaches_the_loss(void **state)
{
    (void)state;
    on_every_backend(poison);
}

static void no_rows(Harness *harness)
{
    const Backend *backend = harness_backend(harness);
    BackendMatrix *matrix = harness_matrix(harness, harness_zeros(harness, 6), 2, 3);
    DeviceView some = harness_filled(harness, 8, 4.0f), unset = harness_filled(harness, 6, 4.0f),
               sum = harness_double(harness, 1.5);
    float values[8];
    backend->linear_forward(harness_stream(harness), matrix, device_view_none(), some, 0, LINEAR_PLAIN, device_view_none(), some);
    backend->linear_backward_input(harness_stream(harness), matrix, some, 0, device_view_none(), false, some);
    backend->linear_backward_weight(harness_stream(harness), some, some, 0, 2, 3, true, some, device_view_none());
    backend->linear_backward_weight(harness_stream(harness), some, some, 0, 2, 3, false, unset,
                                    device_view_none()); /* no rows: zero */
    DeviceView index = harness_integers(harness, (const int32_t[]){0}, 1), cleared = harness_filled(harness, 6, 4.0f);
    backend->rows_gather(harness_stream(harness), some, 2, index, 0, 3, some);
    backend->rows_scatter(harness_stream(harness), some, index, 0, 3, cleared, 2); /* but what is scattered to becomes zero */
    backend->sum_of_squares(harness_stream(harness), some, 0, sum);
    backend->add(harness_stream(harness), some, cleared, 0);
    backend->fill_zero(harness_stream(harness), some, 0);
    harness_read(harness, some, values, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_true(values[i] == 4.0f);
    }
    harness_read(harness, cleared, values, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(values[i] == 0.0f);
    }
    harness_read(harness, unset, values, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(values[i] == 0.0f);
    }
    assert_true(harness_read_double(harness, sum) == 1.5);
}

static void no_rows_change_nothing(void **state)
{
    (void)state;
    on_every_backend(no_rows);
}

/* Buffers: zero, aligned, and an impossible size is refused with a diagnostic. */
static void buffers(Harness *harness)
{
    const Backend *backend = harness_backend(harness);
    static const size_t sizes[] = {0, 1, 100, 3 << 20};
    Diagnostic diagnostic = {0};
    BackendBuffer *buffer = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(backend->buffer_create(&buffer, harness_device(harness), sizes[i], &diagnostic), STATUS_OK);
        unsigned char *bytes = memory_allocate(sizes[i] + 1, 1);
        memset(bytes, 1, sizes[i] + 1);
        backend->copy_to_host(harness_stream(harness), bytes, device_view(buffer, 0), sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_int_equal(bytes[j], 0);
        }
        assert_int_equal(bytes[sizes[i]], 1);
        assert_int_equal((uintptr_t)backend->buffer_host_pointer(buffer) % 64, 0);
        free(bytes);
        backend->buffer_destroy(&buffer);
        assert_null(buffer);
        backend->buffer_destroy(&buffer);
    }
    assert_int_equal(backend->buffer_create(&buffer, harness_device(harness), SIZE_MAX / 4, &diagnostic), STATUS_OUT_OF_MEMORY);
    assert_true(strlen(diagnostic.message) > 0);
}

static void a_buffer_is_zero_and_aligned_and_an_impossible_one_is_refused(void **state)
{
    (void)state;
    on_every_backend(buffers);
}

/* Scratch memory for a product of 2^31 x 2^31 cannot be had: the first operation fails, the stream says so from then on, and operations that
 * follow do nothing. Only a system that promises any memory (vm.overcommit_memory = 1) would not refuse. */
static void a_failed_operation_sticks_to_its_stream(void **state)
{
    BackendSetting setting = {.backend = "cpu", .products = "panels", .threads = 2};
    char overcommit = '0';
    (void)state;
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "r");
    if (file != NULL) {
        overcommit = (char)fgetc(file);
        fclose(file);
    }
    if (overcommit == '1') {
        return;
    }
    Harness *harness = harness_open(&setting);
    const Backend *backend = harness_backend(harness);
    BackendStream *stream = NULL;
    Diagnostic diagnostic = {0};
    DeviceView some = harness_filled(harness, 8, 4.0f), sum = harness_double(harness, 1.5);
    assert_int_equal(backend->stream_create(&stream, harness_device(harness), &diagnostic), STATUS_OK);
    backend->linear_backward_weight(stream, some, some, 600, INT32_MAX, INT32_MAX, true, some, device_view_none());
    backend->sum_of_squares(stream, some, 8, sum);
    assert_int_equal(backend->stream_synchronize(stream, &diagnostic), STATUS_OUT_OF_MEMORY);
    assert_true(strlen(diagnostic.message) > 0);
    assert_int_equal(backend->stream_synchronize(stream, NULL), STATUS_OUT_OF_MEMORY);
    backend->stream_destroy(&stream);
    assert_true(harness_read_double(harness, sum) == 1.5);
    backend->sum_of_squares(harness_stream(harness), some, 8, sum); /* other streams of the device go on */
    assert_true(harness_read_double(harness, sum) == 1.5 + 8 * 16.0);
    harness_close(&harness);
}

/* Of the CPU backend, by its own panels, for a block of a few short sequences. */
static size_t workspace_bytes_of(int threads, int32_t f, DeviceType type)
{
    Diagnostic diagnostic = {0};
    const Backend *backend;
    BackendDevice *device;
    BackendOptions options = {.thread_count = threads};
    BackendShape shape = {.rows = 40, .longest = 8, .d = 96, .heads = 2, .f = f, .product_type = type};
    setenv("NERSWEEP_CPU_PRODUCTS", "panels", 1);
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_OK);
    assert_int_equal(backend->device_open(&device, &options, &diagnostic), STATUS_OK);
    size_t bytes = backend->workspace_bytes(device, &shape);
    backend->device_close(&device);
    return bytes;
}

static void the_workspace_has_room_for_panels_of_the_deepest_matrix_in_each_thread(void **state)
{
    enum { DEEP = 16384, NARROWEST = 8, THREADS = 4 };
    static const DeviceType types[] = {DEVICE_FP32, DEVICE_BF16};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t panel_bytes = (size_t)NARROWEST * DEEP * device_type_bytes(types[i]);
        assert_true(workspace_bytes_of(THREADS, DEEP, types[i]) - workspace_bytes_of(1, DEEP, types[i]) >=
                    (THREADS - 1) * panel_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_of_a_row_is_as_defined),
        cmocka_unit_test(the_mask_of_attention_is_as_defined),
        cmocka_unit_test(adamw_is_torchs),
        cmocka_unit_test(adamw_gives_a_row_alone_the_same_bits),
        cmocka_unit_test(adamw_made_up_for_gives_the_same_bits),
        cmocka_unit_test(the_host_reads_floats_wherever_they_lie),
        cmocka_unit_test(the_loss_is_torchs),
        cmocka_unit_test(gelu_is_right_far_from_zero),
        cmocka_unit_test(a_value_that_is_no_number_reaches_the_loss),
        cmocka_unit_test(no_rows_change_nothing),
        cmocka_unit_test(a_buffer_is_zero_and_aligned_and_an_impossible_one_is_refused),
        cmocka_unit_test(a_failed_operation_sticks_to_its_stream),
        cmocka_unit_test(the_workspace_has_room_for_panels_of_the_deepest_matrix_in_each_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
