#include "kernels/peaks.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/base/thread.h"

enum {
    SHAPE_BUDGET_MS = 90,   /* for one shape of product */
    MEMORY_BUDGET_MS = 250, /* for all passes over the memory */
    PASS_LIMIT = 200,
    MIB = 1 << 20,
    MEMORY_BYTES_MIN = 96 * MIB,
    MEMORY_BYTES_MAX = 512 * MIB
};

static int64_t now_ns(const Clock *clock)
{
    return clock->monotonic_ns(clock->context);
}

/* A clock that stands still measures nothing, and divides nothing by zero. */
static double rate(double amount, int64_t time_ns)
{
    return time_ns > 0 ? amount / ((double)time_ns * 1e-9) : 0.0;
}

typedef struct ProductShape {
    int32_t rows, n, k;
} ProductShape;

/* Objects of one product, freed together. */
typedef struct ProductGround {
    const Backend *backend;
    BackendStream *stream;
    BackendBuffer *weight, *copy, *x, *y;
    BackendMatrix *matrix;
} ProductGround;

static void product_free(ProductGround *ground)
{
    ground->backend->matrix_destroy(&ground->matrix);
    ground->backend->buffer_destroy(&ground->weight);
    ground->backend->buffer_destroy(&ground->copy);
    ground->backend->buffer_destroy(&ground->x);
    ground->backend->buffer_destroy(&ground->y);
    ground->backend->stream_destroy(&ground->stream);
}

static Status product_make(ProductGround *ground, BackendDevice *device, const ProductShape *shape, DeviceType type,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Backend *backend = ground->backend;
    size_t rows = (size_t)shape->rows, n = (size_t)shape->n, k = (size_t)shape->k;
    TRY(backend->stream_create(&ground->stream, device, diagnostic));
    TRY(backend->buffer_create(&ground->weight, device, n * k * sizeof(float), diagnostic));
    TRY(backend->buffer_create(&ground->x, device, rows * k * device_type_bytes(type), diagnostic));
    TRY(backend->buffer_create(&ground->y, device, rows * n * device_type_bytes(type), diagnostic));
    TRY(backend->buffer_create(&ground->copy, device, n * k * device_type_bytes(type), diagnostic));
    DeviceView copy = type == DEVICE_BF16 ? (DeviceView){ground->copy, 0, type} : device_view_none();
    TRY(backend->matrix_create(&ground->matrix, device, device_view(ground->weight, 0), copy, shape->n, shape->k, type,
                               diagnostic));
out:
    return status;
}

/* Raises *best to the rate of the best pass. Zeros are multiplied as fast as other numbers. */
static Status product_measure(const Backend *backend, BackendDevice *device, const ProductShape *shape, DeviceType type,
                              const Clock *clock, double *best, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ProductGround ground = {.backend = backend};
    double flop = 2.0 * (double)shape->rows * (double)shape->n * (double)shape->k;
    TRY(product_make(&ground, device, shape, type, diagnostic));
    DeviceView x = {ground.x, 0, type}, y = {ground.y, 0, type}, none = device_view_none();
    int64_t begin_ns = 0;
    for (int pass = 0; pass < PASS_LIMIT; pass++) { /* the first lays the weights out */
        int64_t start_ns = now_ns(clock);
        backend->linear_forward(ground.stream, ground.matrix, none, x, shape->rows, LINEAR_PLAIN, none, y);
        TRY(backend->stream_synchronize(ground.stream, diagnostic));
        int64_t end_ns = now_ns(clock);
        double reached = rate(flop, end_ns - start_ns);
        begin_ns = pass == 0 ? end_ns : begin_ns;
        *best = pass > 0 && reached > *best ? reached : *best;
        if (pass > 0 && end_ns - begin_ns >= (int64_t)SHAPE_BUDGET_MS * 1000000) {
            break;
        }
    }
out:
    product_free(&ground);
    return status;
}

/* Operands of 2 MB and less; the first is small enough for plain loops, and what would take too long after it is left out. */
static Status products_measure(const Backend *backend, BackendDevice *device, DeviceType type, const Clock *clock, double *best,
                               Diagnostic *diagnostic)
{
    static const ProductShape shapes[] = {{96, 96, 96}, {512, 384, 384}, {1024, 512, 512}, {768, 768, 768}, {512, 1536, 384}};
    Status status = STATUS_OK;
    *best = 0.0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        double flop = 2.0 * (double)shapes[i].rows * (double)shapes[i].n * (double)shapes[i].k;
        if (i > 0 && flop > *best * SHAPE_BUDGET_MS * 1e-3) {
            continue;
        }
        TRY(product_measure(backend, device, &shapes[i], type, clock, best, diagnostic));
    }
out:
    return status;
}

/* -- memory */

typedef struct UpdatePart {
    float *a;
    const float *b;
    size_t count;
} UpdatePart;

static void *update_run(void *context)
{
    const UpdatePart *part = context;
    float *restrict a = part->a;
    const float *restrict b = part->b;
    for (size_t i = 0; i < part->count; i++) {
        a[i] += 3.0f * b[i];
    }
    return NULL;
}

/* One pass over two arrays of count floats. The calling thread does the last part. */
static Status update_pass(float *memory, size_t count, int thread_count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t threads = (size_t)thread_count, share = count / threads, started = 0;
    UpdatePart *parts = memory_allocate(threads, sizeof *parts);
    pthread_t *handles = memory_allocate(threads, sizeof *handles);
    for (size_t i = 0; i < threads; i++) {
        size_t first = i * share, own = i + 1 < threads ? share : count - first;
        parts[i] = (UpdatePart){memory + first, memory + count + first, own};
    }
    for (; started + 1 < threads; started++) {
        int error = thread_start(&handles[started], update_run, &parts[started]);
        if (error != 0) {
            TRY_FAIL(diagnostic, status_from_errno(error), "cannot start %d threads to measure the memory", thread_count);
        }
    }
    update_run(&parts[threads - 1]);
out:
    for (size_t i = 0; i < started; i++) {
        pthread_join(handles[i], NULL);
    }
    free(parts);
    free(handles);
    return status;
}

static size_t walked_bytes(void)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t wanted = cache > 0 ? 2 * (size_t)cache : MEMORY_BYTES_MIN;
    return wanted < MEMORY_BYTES_MIN ? MEMORY_BYTES_MIN : wanted > MEMORY_BYTES_MAX ? MEMORY_BYTES_MAX : wanted;
}

static Status memory_pass(const Backend *backend, BackendStream *stream, BackendBuffer *buffer, size_t floats, int thread_count,
                          double *bytes, Diagnostic *diagnostic)
{
    void *memory = backend->buffer_host_pointer == NULL ? NULL : backend->buffer_host_pointer(buffer);
    if (memory != NULL) {
        *bytes = 3.0 * sizeof(float) * (double)(floats / 2);
        return update_pass(memory, floats / 2, thread_count, diagnostic);
    }
    size_t half_bytes = floats / 2 * sizeof(float);
    *bytes = 2.0 * (double)half_bytes;
    backend->copy(stream, device_view(buffer, 0), device_view(buffer, half_bytes), half_bytes);
    return backend->stream_synchronize(stream, diagnostic);
}

static Status memory_measure(BackendPeaks *peaks, const Backend *backend, BackendDevice *device, int thread_count,
                             const Clock *clock, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BackendStream *stream = NULL;
    BackendBuffer *buffer = NULL;
    size_t size_bytes = walked_bytes();
    TRY(backend->stream_create(&stream, device, diagnostic));
    while ((status = backend->buffer_create(&buffer, device, size_bytes, diagnostic)) == STATUS_OUT_OF_MEMORY && size_bytes > MIB) {
        size_bytes /= 2;
    }
    TRY(status);
    peaks->memory_bytes = size_bytes;
    /* Memory that was never written is one page of zeros in the caches. */
    backend->fill_zero(stream, device_view(buffer, 0), size_bytes);
    TRY(backend->stream_synchronize(stream, diagnostic));
    int64_t begin_ns = 0;
    for (int pass = 0; pass < PASS_LIMIT; pass++) {
        double bytes = 0.0;
        int64_t start_ns = now_ns(clock);
        TRY(memory_pass(backend, stream, buffer, size_bytes / sizeof(float), thread_count, &bytes, diagnostic));
        int64_t end_ns = now_ns(clock);
        double reached = rate(bytes, end_ns - start_ns);
        begin_ns = pass == 0 ? end_ns : begin_ns;
        peaks->bytes_per_s = pass > 0 && reached > peaks->bytes_per_s ? reached : peaks->bytes_per_s;
        if (pass > 1 && end_ns - begin_ns >= (int64_t)MEMORY_BUDGET_MS * 1000000) {
            break;
        }
    }
out:
    backend->buffer_destroy(&buffer);
    backend->stream_destroy(&stream);
    return status;
}

Status backend_peaks_measure(BackendPeaks *peaks, const Backend *backend, BackendDevice *device, int thread_count,
                             const Clock *clock, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *peaks = (BackendPeaks){0};
    TRY(products_measure(backend, device, DEVICE_FP32, clock, &peaks->flop_per_s[DEVICE_FP32], diagnostic));
    TRY(products_measure(backend, device, DEVICE_BF16, clock, &peaks->flop_per_s[DEVICE_BF16], diagnostic));
    TRY(memory_measure(peaks, backend, device, thread_count, clock, diagnostic));
out:
    return status;
}

double backend_peaks_roofline_s(const BackendPeaks *peaks, DeviceType type, double flop, double bytes, bool *by_memory)
{
    double compute_s = peaks->flop_per_s[type] > 0.0 ? flop / peaks->flop_per_s[type] : 0.0;
    double memory_s = peaks->bytes_per_s > 0.0 ? bytes / peaks->bytes_per_s : 0.0;
    *by_memory = memory_s > compute_s;
    return *by_memory ? memory_s : compute_s;
}
