/* Speed of a backend: GF/s of the products, milliseconds of every operation, and pieces per second of a whole training step made of them.
 *
 *     bench_kernels [--backend cpu] [--threads 2] [--steps 20] [--model minilm|bert-base] [--dropout 0.1] [--pieces N]
 *                   [--clock wall|cpu] [--precision fp32|bf16]
 *
 * A step is the encoder's forward and backward pass over a packed block of sentences, the gradient norm and AdamW: everything but the
 * reading of data. Each layer has weights of its own, so that caches are as cold as in training. The best of all steps is printed beside the
 * median, since machines are shared; with --clock cpu and one thread what others take from the processor does not count.
 * NERSWEEP_CPU_FEATURES and NERSWEEP_CPU_PRODUCTS choose what is measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/base/token_block.h"
#include "kernels/backend.h"

enum { VOCABULARY = 30522, LABELS = 13, OPERATION_COUNT_MAX = 32, LAYERS_MAX = 24, SEQUENCES_MAX = 64, STEPS_MAX = 1000 };

typedef struct Shape {
    const char *name;
    int32_t layers, d, heads, inner;
} Shape;

static const Shape shapes[] = {{"minilm", 6, 384, 12, 1536}, {"bert-base", 12, 768, 12, 3072}};

/* What an operation took in this step, and in the best one. */
typedef struct Timing {
    const char *name;
    double step_ms, best_ms, flops; /* flops: per step, 0 where they say nothing */
} Timing;

typedef struct Bench {
    const Backend *backend;
    BackendDevice *device;
    BackendStream *stream;
    Shape shape;
    float dropout;
    DeviceType type; /* of the encoder's products */
    Timing timings[OPERATION_COUNT_MAX];
    size_t timing_count;
    bool cpu_clock;
    int64_t began_ns;
    DeviceBlock block;
} Bench;

/* A weight with its bias, gradients and moments, in one stretch: [n, k] then [n]. */
typedef struct Linear {
    int32_t n, k;
    DeviceView parameter, gradient, first, second;
    BackendMatrix *matrix;
} Linear;

typedef struct Norm {
    DeviceView parameter, gradient, sum, mean, rstd; /* parameter: gamma, beta */
} Norm;

typedef struct Layer {
    Linear qkv, projection, up, down;
    Norm middle, last;
    DeviceView in, in_product, qkv_out, log_sum_exp, context, middle_out, middle_product, pre, active;
} Layer;

static void must(Status status, const Diagnostic *diagnostic)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_kernels: %s\n", diagnostic->message);
        exit(status_exit_code(status));
    }
}

static DeviceView view_create(Bench *bench, size_t count, float spread)
{
    Diagnostic diagnostic = {0};
    BackendBuffer *buffer; /* lives as long as the process */
    must(bench->backend->buffer_create(&buffer, bench->device, count * sizeof(float), &diagnostic), &diagnostic);
    DeviceView view = device_view(buffer, 0);
    if (spread > 0) {
        float *values = memory_allocate(count, sizeof *values);
        for (size_t i = 0; i < count; i++) {
            PhiloxBlock words = philox4x32_10((PhiloxKey){{1, 2}}, (uint32_t)i, 0, 0, 0);
            values[i] = spread * (2.0f * philox_uniform_float(words.word[0]) - 1.0f);
        }
        bench->backend->copy_to_device(bench->stream, view, values, count * sizeof(float));
        must(bench->backend->stream_synchronize(bench->stream, &diagnostic), &diagnostic);
        free(values);
    }
    return view;
}

/* An operand or a result of products. */
static DeviceView product_view(Bench *bench, size_t count)
{
    DeviceView view = view_create(bench, count, 0);
    view.type = bench->type;
    return view;
}

static DeviceView view_integers(Bench *bench, const int32_t *values, size_t count)
{
    Diagnostic diagnostic = {0};
    DeviceView view = view_create(bench, count, 0);
    bench->backend->copy_to_device(bench->stream, view, values, count * sizeof *values);
    must(bench->backend->stream_synchronize(bench->stream, &diagnostic), &diagnostic);
    return view;
}

static int64_t time_ns(const Bench *bench)
{
    struct timespec now;
    if (!bench->cpu_clock) {
        return clock_system()->monotonic_ns(NULL);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void measure_begin(Bench *bench)
{
    bench->began_ns = time_ns(bench);
}

/* Books the time since measure_begin or the last measure_end. */
static void measure_end(Bench *bench, const char *name, double flops)
{
    Diagnostic diagnostic = {0};
    size_t i = 0;
    must(bench->backend->stream_synchronize(bench->stream, &diagnostic), &diagnostic);
    int64_t now_ns = time_ns(bench);
    while (i < bench->timing_count && strcmp(bench->timings[i].name, name) != 0) {
        i++;
    }
    if (i == bench->timing_count) {
        ASSERT(i < OPERATION_COUNT_MAX);
        bench->timings[bench->timing_count++] = (Timing){.name = name, .best_ms = INFINITY};
    }
    bench->timings[i].step_ms += (double)(now_ns - bench->began_ns) * 1e-6;
    bench->timings[i].flops += flops;
    bench->began_ns = now_ns;
}

static Linear linear_create(Bench *bench, int32_t n, int32_t k, DeviceType type)
{
    Diagnostic diagnostic = {0};
    size_t count = (size_t)n * (size_t)k + (size_t)n;
    Linear linear = {.n = n, .k = k};
    linear.parameter = view_create(bench, count, 0.03f);
    linear.gradient = view_create(bench, count, 0);
    linear.first = view_create(bench, count, 0);
    linear.second = view_create(bench, count, 0);
    DeviceView copy = device_view_none();
    if (type == DEVICE_BF16) {
        copy = view_create(bench, count / 2 + 1, 0);
        copy.type = type;
    }
    must(bench->backend->matrix_create(&linear.matrix, bench->device, linear.parameter, copy, n, k, type, &diagnostic),
         &diagnostic);
    return linear;
}

static DeviceView linear_bias(const Linear *linear, DeviceView view)
{
    return device_view_floats(view, (size_t)linear->n * (size_t)linear->k);
}

static double linear_flops(const Bench *bench, const Linear *linear)
{
    return 2.0 * (double)bench->block.piece_count * (double)linear->n * (double)linear->k;
}

static Norm norm_create(Bench *bench)
{
    size_t d = (size_t)bench->shape.d, rows = (size_t)bench->block.piece_count;
    return (Norm){view_create(bench, 2 * d, 1.0f), view_create(bench, 2 * d, 0), view_create(bench, rows * d, 0),
                  view_create(bench, rows, 0), view_create(bench, rows, 0)};
}

static Layer layer_create(Bench *bench)
{
    int32_t d = bench->shape.d, inner = bench->shape.inner;
    size_t rows = (size_t)bench->block.piece_count, width = (size_t)d;
    Layer layer = {
        .qkv = linear_create(bench, 3 * d, d, bench->type),
        .projection = linear_create(bench, d, d, bench->type),
        .up = linear_create(bench, inner, d, bench->type),
        .down = linear_create(bench, d, inner, bench->type),
        .middle = norm_create(bench),
        .last = norm_create(bench),
        .in = view_create(bench, rows * width, 0.5f),
        .qkv_out = product_view(bench, rows * 3 * width),
        .log_sum_exp = view_create(bench, rows * (size_t)bench->shape.heads, 0),
        .context = product_view(bench, rows * width),
        .middle_out = view_create(bench, rows * width, 0),
        .pre = product_view(bench, rows * (size_t)inner),
        .active = product_view(bench, rows * (size_t)inner),
    };
    layer.in_product = bench->type == DEVICE_FP32 ? layer.in : product_view(bench, rows * width);
    layer.middle_product = bench->type == DEVICE_FP32 ? layer.middle_out : product_view(bench, rows * width);
    return layer;
}

static Dropout dropout_at(const Bench *bench, uint32_t site)
{
    return (Dropout){.probability = bench->dropout, .key = {{1, 2}}, .site = site};
}

static void forward_linear(Bench *bench, const char *name, const Linear *linear, DeviceView x, LinearEpilogue epilogue,
                           DeviceView pre, DeviceView y)
{
    bench->backend->linear_forward(bench->stream, linear->matrix, linear_bias(linear, linear->parameter), x,
                                   bench->block.piece_count, epilogue, pre, y);
    measure_end(bench, name, linear_flops(bench, linear));
}

static void forward_norm(Bench *bench, const Norm *norm, DeviceView x, DeviceView residual, uint32_t site, DeviceView y,
                         DeviceView y_product)
{
    DeviceView beta = device_view_floats(norm->parameter, (size_t)bench->shape.d);
    bench->backend->norm_forward(bench->stream, &bench->block, x, residual, norm->parameter, beta, 1e-12f, bench->shape.d,
                                 dropout_at(bench, site), (Dropout){0}, norm->sum, y, y_product, norm->mean, norm->rstd);
    measure_end(bench, "norm forward", 0);
}

static void layer_forward(Bench *bench, const Layer *layer, uint32_t site, DeviceView scratch, DeviceView out,
                          DeviceView out_product)
{
    const Shape *shape = &bench->shape;
    DeviceView none = device_view_none();
    forward_linear(bench, "qkv forward", &layer->qkv, layer->in_product, LINEAR_PLAIN, none, layer->qkv_out);
    bench->backend->attention_forward(bench->stream, &bench->block, layer->qkv_out, shape->heads, shape->d / shape->heads,
                                      dropout_at(bench, site), layer->context, layer->log_sum_exp);
    measure_end(bench, "attention forward", 0);
    forward_linear(bench, "projection forward", &layer->projection, layer->context, LINEAR_PLAIN, none, scratch);
    forward_norm(bench, &layer->middle, scratch, layer->in, site + 1, layer->middle_out, layer->middle_product);
    forward_linear(bench, "up forward + gelu", &layer->up, layer->middle_product, LINEAR_GELU, layer->pre, layer->active);
    forward_linear(bench, "down forward", &layer->down, layer->active, LINEAR_PLAIN, none, scratch);
    forward_norm(bench, &layer->last, scratch, layer->middle_out, site + 2, out, out_product);
}

static void backward_linear(Bench *bench, const char *name, const Linear *linear, DeviceView x, DeviceView d_y, DeviceView pre,
                            bool add, DeviceView d_x)
{
    int32_t rows = bench->block.piece_count;
    bench->backend->linear_backward_weight(bench->stream, x, d_y, rows, linear->n, linear->k, false, linear->gradient,
                                           linear_bias(linear, linear->gradient));
    measure_end(bench, "weight gradients", linear_flops(bench, linear));
    bench->backend->linear_backward_input(bench->stream, linear->matrix, d_y, rows, pre, add, d_x);
    measure_end(bench, name, linear_flops(bench, linear));
}

static void backward_norm(Bench *bench, const Norm *norm, DeviceView d_y, uint32_t site, DeviceView d_sum, DeviceView d_x)
{
    DeviceView d_beta = device_view_floats(norm->gradient, (size_t)bench->shape.d);
    bench->backend->norm_backward(bench->stream, &bench->block, d_y, norm->sum, norm->mean, norm->rstd, norm->parameter,
                                  bench->shape.d, dropout_at(bench, site), (Dropout){0}, d_sum, d_x, norm->gradient, d_beta);
    measure_end(bench, "norm backward", 0);
}

/* d_out becomes the gradient of the layer's input; d_x, d_wide, d_context: scratch [T, d], [T, max(inner, 3 d)], [T, d]. */
static void layer_backward(Bench *bench, const Layer *layer, uint32_t site, DeviceView d_out, DeviceView d_x, DeviceView d_wide,
                           DeviceView d_context)
{
    const Shape *shape = &bench->shape;
    DeviceView none = device_view_none();
    backward_norm(bench, &layer->last, d_out, site + 2, d_out, d_x);
    backward_linear(bench, "down d_x * gelu'", &layer->down, layer->active, d_x, layer->pre, false, d_wide);
    backward_linear(bench, "up d_x", &layer->up, layer->middle_product, d_wide, none, true, d_out);
    backward_norm(bench, &layer->middle, d_out, site + 1, d_out, d_x);
    backward_linear(bench, "projection d_x", &layer->projection, layer->context, d_x, none, false, d_context);
    bench->backend->attention_backward(bench->stream, &bench->block, layer->qkv_out, layer->context, layer->log_sum_exp, d_context,
                                       shape->heads, shape->d / shape->heads, dropout_at(bench, site), d_wide);
    measure_end(bench, "attention backward", 0);
    backward_linear(bench, "qkv d_x", &layer->qkv, layer->in_product, d_wide, none, true, d_out);
}

static void linear_update(Bench *bench, const Linear *linear, DeviceView squares, int64_t t)
{
    size_t weights = (size_t)linear->n * (size_t)linear->k, count = weights + (size_t)linear->n;
    AdamwStep step = {1e-5f, 0.9f, 0.999f, 1e-8f, 0.01f, 1.0f, t};
    bench->backend->sum_of_squares(bench->stream, linear->gradient, count, squares);
    measure_end(bench, "sum of squares", 0);
    bench->backend->adamw_matrix(bench->stream, linear->matrix, 0, weights, linear->gradient, linear->first, linear->second, &step);
    bench->backend->adamw(bench->stream, linear_bias(linear, linear->parameter), linear_bias(linear, linear->gradient),
                          linear_bias(linear, linear->first), linear_bias(linear, linear->second), (size_t)linear->n, &step);
    measure_end(bench, "adamw", 0);
}

typedef struct Network {
    Layer layers[LAYERS_MAX];
    Norm embedding_norm;
    Linear head;
    DeviceView word, position, type, d_word, d_position, d_type, scratch, out, logits, labels, weights, d_out, d_x, d_wide,
        d_context, d_logits, loss, squares;
} Network;

static void network_create(Bench *bench, Network *network)
{
    size_t d = (size_t)bench->shape.d, rows = (size_t)bench->block.piece_count, inner = (size_t)bench->shape.inner;
    int32_t *labels = memory_allocate(rows, sizeof *labels);
    for (size_t i = 0; i < rows; i++) {
        labels[i] = i % 3 == 2 ? TOKEN_LABEL_IGNORED : (int32_t)(i % LABELS);
    }
    for (int32_t l = 0; l < bench->shape.layers; l++) {
        network->layers[l] = layer_create(bench);
    }
    network->embedding_norm = norm_create(bench);
    network->head = linear_create(bench, LABELS, bench->shape.d, DEVICE_FP32);
    network->word = view_create(bench, VOCABULARY * d, 0.02f);
    network->position = view_create(bench, 512 * d, 0.02f);
    network->type = view_create(bench, d, 0.02f);
    network->d_word = view_create(bench, VOCABULARY * d, 0);
    network->d_position = view_create(bench, 512 * d, 0);
    network->d_type = view_create(bench, d, 0);
    network->scratch = view_create(bench, rows * d, 0);
    network->out = view_create(bench, rows * d, 0);
    network->logits = view_create(bench, rows * LABELS, 0);
    network->d_logits = view_create(bench, rows * LABELS, 0);
    network->labels = view_integers(bench, labels, rows);
    network->weights = view_create(bench, rows, 1.0f);
    network->d_out = view_create(bench, rows * d, 0);
    network->d_x = product_view(bench, rows * d);
    network->d_wide = product_view(bench, rows * (inner > 3 * d ? inner : 3 * d));
    network->d_context = product_view(bench, rows * d);
    network->loss = view_create(bench, 2, 0);
    size_t largest = (inner > 3 * d ? inner : 3 * d) * (d + 1); /* of a linear layer; a double for each stretch of it */
    network->squares = view_create(bench, 2 * (largest / BACKEND_SQUARES_STRETCH + 1), 0);
    free(labels);
}

static void network_step(Bench *bench, Network *network, int64_t t)
{
    const Backend *backend = bench->backend;
    BackendStream *stream = bench->stream;
    int32_t d = bench->shape.d, rows = bench->block.piece_count;
    Layer *layers = network->layers;
    measure_begin(bench);
    backend->embedding_forward(stream, &bench->block, network->word, network->position, network->type, d, network->scratch);
    measure_end(bench, "embedding forward", 0);
    forward_norm(bench, &network->embedding_norm, network->scratch, device_view_none(), 0, layers[0].in, layers[0].in_product);
    for (int32_t l = 0; l < bench->shape.layers; l++) {
        bool last = l + 1 == bench->shape.layers;
        layer_forward(bench, &layers[l], 3 * (uint32_t)l + 1, network->scratch, last ? network->out : layers[l + 1].in,
                      last ? device_view_none() : layers[l + 1].in_product);
    }
    forward_linear(bench, "head forward", &network->head, network->out, LINEAR_PLAIN, device_view_none(), network->logits);
    backend->cross_entropy(stream, network->logits, network->labels, network->weights, device_view_none(), 0.0f, 1.0f / (float)rows,
                           rows, LABELS, network->loss, network->d_logits);
    measure_end(bench, "cross entropy", 0);
    backward_linear(bench, "head d_x", &network->head, network->out, network->d_logits, device_view_none(), false, network->d_out);
    for (int32_t l = bench->shape.layers - 1; l >= 0; l--) {
        layer_backward(bench, &layers[l], 3 * (uint32_t)l + 1, network->d_out, network->d_x, network->d_wide, network->d_context);
    }
    backward_norm(bench, &network->embedding_norm, network->d_out, 0, network->d_out, device_view_none());
    backend->embedding_backward(stream, &bench->block, network->d_out, d, network->d_word, network->d_position, network->d_type);
    measure_end(bench, "embedding backward", 0);
    for (int32_t l = 0; l < bench->shape.layers; l++) {
        linear_update(bench, &layers[l].qkv, network->squares, t);
        linear_update(bench, &layers[l].projection, network->squares, t);
        linear_update(bench, &layers[l].up, network->squares, t);
        linear_update(bench, &layers[l].down, network->squares, t);
    }
    linear_update(bench, &network->head, network->squares, t);
}

/* Sentences of 12 to 50 pieces, 31 on average. */
static void block_create(Bench *bench, int32_t pieces)
{
    Diagnostic diagnostic = {0};
    int32_t ids[64];
    TokenBlock *block = token_block_create(pieces, SEQUENCES_MAX);
    for (uint32_t s = 0; block->piece_count < pieces; s++) {
        int32_t length = 12 + (int32_t)(s * 17 % 39);
        length = length > pieces - block->piece_count ? pieces - block->piece_count : length;
        for (int32_t i = 0; i < length; i++) {
            ids[i] = (int32_t)((s * 131u + (uint32_t)i * 7919u) % VOCABULARY);
        }
        bench->block.longest = length > bench->block.longest ? length : bench->block.longest;
        token_block_append(block, ids, NULL, 1.0f, length, s);
    }
    size_t rows = (size_t)block->piece_count;
    int32_t *slots = memory_allocate(rows, sizeof *slots);
    for (int32_t s = 0; s < block->sequence_count; s++) {
        for (int32_t t = block->sequence_start[s]; t < block->sequence_start[s + 1]; t++) {
            slots[t] = (int32_t)block->sequence_slot[s];
        }
    }
    must(token_block_validate(block, VOCABULARY, 512, LABELS, &diagnostic), &diagnostic);
    bench->block.piece_count = block->piece_count;
    bench->block.sequence_count = block->sequence_count;
    bench->block.ids = view_integers(bench, block->ids, rows);
    bench->block.positions = view_integers(bench, block->positions, rows);
    bench->block.slots = view_integers(bench, slots, rows);
    bench->block.sequence_start = view_integers(bench, block->sequence_start, (size_t)block->sequence_count + 1);
    free(slots);
    token_block_destroy(&block);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_run(Bench *bench, int steps)
{
    static Network network;
    double totals[STEPS_MAX], flops = 0.0, products_ms = 0.0;
    network_create(bench, &network);
    for (int step = 0; step <= steps; step++) { /* the first only warms up */
        double total_ms = 0.0;
        network_step(bench, &network, step + 1);
        for (size_t i = 0; i < bench->timing_count; i++) {
            Timing *timing = &bench->timings[i];
            total_ms += timing->step_ms;
            if (step > 0 && timing->step_ms < timing->best_ms) {
                timing->best_ms = timing->step_ms;
            }
            timing->step_ms = 0.0;
            timing->flops = step < steps ? 0.0 : timing->flops;
        }
        if (step > 0) {
            totals[step - 1] = total_ms;
        }
    }
    for (size_t i = 0; i < bench->timing_count; i++) {
        const Timing *timing = &bench->timings[i];
        printf("  %-20s %8.3f ms", timing->name, timing->best_ms);
        if (timing->flops > 0.0) {
            printf("  %6.1f GF/s", timing->flops / timing->best_ms * 1e-6);
            flops += timing->flops;
            products_ms += timing->best_ms;
        }
        printf("\n");
    }
    qsort(totals, (size_t)steps, sizeof *totals, compare_doubles);
    double pieces = (double)bench->block.piece_count;
    printf("  products together: %.1f GF/s over %.1f ms\n", flops / products_ms * 1e-6, products_ms);
    printf("  step: best %.1f ms = %.0f pieces/s, median %.1f ms = %.0f pieces/s\n", totals[0], pieces / totals[0] * 1e3,
           totals[steps / 2], pieces / totals[steps / 2] * 1e3);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_kernels [--backend NAME] [--threads N] [--steps N] [--model minilm|bert-base] [--dropout P] [--pieces N] "
            "[--clock wall|cpu] [--precision fp32|bf16]\n");
    return 2;
}

int main(int argc, char **argv)
{
    Diagnostic diagnostic = {0};
    char description[512];
    const char *name = "cpu", *model = "minilm";
    int steps = 20, pieces = 505;
    BackendOptions options = {.thread_count = 2};
    Bench bench = {.dropout = 0.1f};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL) {
            return usage();
        } else if (strcmp(argv[i], "--backend") == 0) {
            name = value;
        } else if (strcmp(argv[i], "--threads") == 0) {
            options.thread_count = atoi(value);
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = atoi(value);
        } else if (strcmp(argv[i], "--model") == 0) {
            model = value;
        } else if (strcmp(argv[i], "--dropout") == 0) {
            bench.dropout = strtof(value, NULL);
        } else if (strcmp(argv[i], "--pieces") == 0) {
            pieces = atoi(value);
        } else if (strcmp(argv[i], "--clock") == 0) {
            bench.cpu_clock = strcmp(value, "cpu") == 0;
        } else if (strcmp(argv[i], "--precision") == 0) {
            bench.type = strcmp(value, "bf16") == 0 ? DEVICE_BF16 : DEVICE_FP32;
        } else {
            return usage();
        }
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bench.shape = strcmp(shapes[i].name, model) == 0 ? shapes[i] : bench.shape;
    }
    if (bench.shape.name == NULL || steps < 1 || steps > STEPS_MAX || pieces < 1 || pieces > 1900) {
        return usage();
    }
    must(backend_open(&bench.backend, name, &diagnostic), &diagnostic);
    must(bench.backend->device_open(&bench.device, &options, &diagnostic), &diagnostic);
    must(bench.backend->stream_create(&bench.stream, bench.device, &diagnostic), &diagnostic);
    bench.backend->device_describe(bench.device, description, sizeof description);
    block_create(&bench, pieces);
    printf("%s, %d pieces in %d sentences, dropout %g; %s\n", bench.shape.name, bench.block.piece_count, bench.block.sequence_count,
           (double)bench.dropout, description);
    bench_run(&bench, steps);
    return 0;
}
