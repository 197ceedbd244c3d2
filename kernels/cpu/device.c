/* Device, memory, streams and matrices of the CPU backend, and its table: the module's entry. */
#include "kernels/cpu/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/memory.h"
#include "kernels/cpu/blas.h"

enum {
    HUGE_PAGE_BYTES = 2 << 20,
    LARGE_BYTES =
        HUGE_PAGE_BYTES / 4 /* what is worth huge pages of its own: on small ones products of such matrices took twice as long */
};

static void device_close(BackendDevice **device)
{
    BackendDevice *old = *device;
    *device = NULL;
    if (old == NULL) {
        return;
    }
    thread_pool_destroy(&old->pool);
    for (int i = 0; i < old->thread_count; i++) {
        cpu_buffer_destroy(&old->scratch_buffers[i]);
    }
    free(old->scratch_buffers);
    free(old->scratch);
    cpu_buffer_destroy(&old->shared_buffer);
    pthread_mutex_destroy(&old->mutex);
    free(old);
}

/* Products are the level's own where it has them; $NERSWEEP_CPU_PRODUCTS (panels, blas) chooses for tests and measurements. */
static Status products_choose(BackendDevice *device, Diagnostic *diagnostic)
{
    const char *wanted = getenv("NERSWEEP_CPU_PRODUCTS");
    device->panels = device->level->beats_blas;
    if (wanted != NULL && *wanted != '\0') {
        if (strcmp(wanted, "panels") != 0 && strcmp(wanted, "blas") != 0) {
            return FAIL(diagnostic, STATUS_USAGE, "NERSWEEP_CPU_PRODUCTS is '%s': it may be panels or blas", wanted);
        }
        device->panels = strcmp(wanted, "panels") == 0;
    }
    return STATUS_OK;
}

static Status device_open(BackendDevice **device, const BackendOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BackendDevice *made = NULL;
    if (options->thread_count < 1) {
        return FAIL(diagnostic, STATUS_USAGE, "a device needs at least 1 thread, not %d", options->thread_count);
    }
    made = memory_allocate(1, sizeof *made);
    pthread_mutex_init(&made->mutex, NULL);
    made->thread_count = options->thread_count;
    made->scratch = memory_allocate((size_t)options->thread_count, sizeof *made->scratch);
    made->scratch_buffers = memory_allocate((size_t)options->thread_count, sizeof *made->scratch_buffers);
    TRY(level_choose(&made->level, diagnostic));
    TRY(products_choose(made, diagnostic));
    TRY(thread_pool_create(&made->pool, options->thread_count, diagnostic));
    blas_prepare();
    *device = made;
    made = NULL;
out:
    device_close(&made);
    return status;
}

static void device_describe(const BackendDevice *device, char *text, size_t text_size)
{
    snprintf(text, text_size, "cpu: %s vectors, products by %s, %d thread%s", device->level->name,
             device->panels ? "own panels" : blas_description(), device->thread_count, device->thread_count == 1 ? "" : "s");
}

static void device_features(const BackendDevice *device, char *text, size_t text_size)
{
    snprintf(text, text_size, "%s%s%s", device->level->name, device->panels ? "" : ", ", device->panels ? "" : blas_description());
}

/* Whole huge pages, and one more to find a boundary in. The last page is whole too: a row of activations on small pages costs a page walk,
 * and products touch twelve rows at a time. */
static size_t mapping_bytes(size_t size_bytes)
{
    return chunk_count(size_bytes, HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES + HUGE_PAGE_BYTES;
}

/* Large memory comes straight from the system: zero without being touched, and on huge pages where the system has them. */
Status cpu_buffer_create(BackendBuffer **buffer, BackendDevice *device, size_t size_bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    void *bytes = NULL, *mapping = NULL;
    size_t mapped_bytes = 0;
    (void)device;
    if (size_bytes < LARGE_BYTES) {
        TRY(memory_try_allocate(&bytes, size_bytes == 0 ? 1 : size_bytes, 1, diagnostic));
    } else {
        if (size_bytes > SIZE_MAX / 2) {
            TRY_FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "out of memory: a buffer of %zu bytes", size_bytes);
        }
        mapped_bytes = mapping_bytes(size_bytes);
        mapping = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) {
            TRY_FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "out of memory: a buffer of %zu bytes", size_bytes);
        }
        size_t misfit = (uintptr_t)mapping % HUGE_PAGE_BYTES;
        bytes = (unsigned char *)mapping + (misfit == 0 ? 0 : HUGE_PAGE_BYTES - misfit);
        (void)madvise(bytes, mapped_bytes - HUGE_PAGE_BYTES, MADV_HUGEPAGE); /* only speed */
    }
    *buffer = memory_allocate(1, sizeof **buffer);
    **buffer = (BackendBuffer){.bytes = bytes, .size_bytes = size_bytes, .owner = mapping};
out:
    return status;
}

void cpu_buffer_destroy(BackendBuffer **buffer)
{
    BackendBuffer *old = *buffer;
    *buffer = NULL;
    if (old == NULL) {
        return;
    }
    if (old->owner != NULL) {
        munmap(old->owner, mapping_bytes(old->size_bytes));
    } else {
        free(old->bytes);
    }
    free(old);
}

static void *buffer_host_pointer(BackendBuffer *buffer)
{
    return buffer->bytes;
}

static Status stream_create(BackendStream **stream, BackendDevice *device, Diagnostic *diagnostic)
{
    (void)diagnostic;
    *stream = memory_allocate(1, sizeof **stream);
    (*stream)->device = device;
    return STATUS_OK;
}

static void stream_destroy(BackendStream **stream)
{
    free(*stream);
    *stream = NULL;
}

static Status stream_synchronize(BackendStream *stream, Diagnostic *diagnostic)
{
    Status status = stream->failure.code;
    if (status != STATUS_OK && diagnostic != NULL) {
        *diagnostic = stream->failure;
    }
    return status;
}

/* Grows *memory, which lies in *buffer, to wanted bytes; what it held is not kept. */
static Status scratch_grow(BackendDevice *device, BackendBuffer **buffer, void **memory, size_t wanted, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    cpu_buffer_destroy(buffer);
    *memory = NULL;
    TRY(cpu_buffer_create(buffer, device, wanted, diagnostic));
    *memory = (*buffer)->bytes;
out:
    return status;
}

static Status scratch_reserve(BackendDevice *device, size_t scratch_bytes, size_t shared_bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (scratch_bytes > device->scratch_bytes) {
        device->scratch_bytes = 0;
        for (int i = 0; i < device->thread_count; i++) {
            TRY(scratch_grow(device, &device->scratch_buffers[i], &device->scratch[i], scratch_bytes, diagnostic));
        }
        device->scratch_bytes = scratch_bytes;
    }
    if (shared_bytes > device->shared_bytes) {
        device->shared_bytes = 0;
        TRY(scratch_grow(device, &device->shared_buffer, &device->shared, shared_bytes, diagnostic));
        device->shared_bytes = shared_bytes;
    }
out:
    return status;
}

bool operation_begin(BackendStream *stream, size_t scratch_bytes, size_t shared_bytes)
{
    BackendDevice *device = stream->device;
    if (stream->failure.code != STATUS_OK) {
        return false;
    }
    pthread_mutex_lock(&device->mutex);
    if (scratch_reserve(device, scratch_bytes, shared_bytes, &stream->failure) != STATUS_OK) {
        pthread_mutex_unlock(&device->mutex);
        return false;
    }
    stream->mode = thread_pool_set_mode();
    return true;
}

void operation_end(BackendStream *stream)
{
    thread_pool_restore_mode(stream->mode);
    pthread_mutex_unlock(&stream->device->mutex);
}

void operation_run(BackendStream *stream, ThreadPoolTask task, void *context, size_t count)
{
    thread_pool_run(stream->device->pool, task, context, count);
}

static void copy_to_device(BackendStream *stream, DeviceView to, const void *from, size_t size_bytes)
{
    if (stream->failure.code == STATUS_OK && size_bytes > 0) {
        memcpy(host_view(to, size_bytes, 1), from, size_bytes);
    }
}

static void copy_to_host(BackendStream *stream, void *to, DeviceView from, size_t size_bytes)
{
    if (stream->failure.code == STATUS_OK && size_bytes > 0) {
        memcpy(to, host_view(from, size_bytes, 1), size_bytes);
    }
}

static void copy(BackendStream *stream, DeviceView to, DeviceView from, size_t size_bytes)
{
    if (stream->failure.code == STATUS_OK && size_bytes > 0) {
        memcpy(host_view(to, size_bytes, 1), host_view(from, size_bytes, 1), size_bytes);
    }
}

enum { FILL_CHUNK_BYTES = 1 << 20 };

typedef struct FillJob {
    unsigned char *bytes;
    size_t size_bytes;
} FillJob;

static void fill_task(void *context, int thread, size_t index)
{
    FillJob *job = context;
    size_t begin = index * FILL_CHUNK_BYTES;
    (void)thread;
    memset(job->bytes + begin, 0, chunk_end(index, FILL_CHUNK_BYTES, job->size_bytes) - begin);
}

static void fill_zero(BackendStream *stream, DeviceView to, size_t size_bytes)
{
    if (size_bytes > 0 && operation_begin(stream, 0, 0)) {
        FillJob job = {host_view(to, size_bytes, 1), size_bytes};
        operation_run(stream, fill_task, &job, chunk_count(size_bytes, FILL_CHUNK_BYTES));
        operation_end(stream);
    }
}

static void matrix_refresh(BackendStream *stream, BackendMatrix *matrix)
{
    (void)stream;
    matrix->fresh = false;
}

static void matrix_destroy(BackendMatrix **matrix)
{
    free(*matrix);
    *matrix = NULL;
}

static Status matrix_create(BackendMatrix **matrix, BackendDevice *device, DeviceView weight, DeviceView copy, int32_t n, int32_t k,
                            DeviceType type, Diagnostic *diagnostic)
{
    size_t count = (size_t)n * (size_t)k;
    (void)device;
    (void)diagnostic;
    (void)host_floats(weight, count);
    ASSERT((copy.buffer != NULL) == (type == DEVICE_BF16));
    *matrix = memory_allocate(1, sizeof **matrix);
    **matrix = (BackendMatrix){.weight = weight, .type = type, .n = n, .k = k, .bf16 = host_reals(copy, count).bf16};
    return STATUS_OK;
}

/* The BLAS may add up in another order for another number of rows; our own products never do. */
static bool rows_independent(const BackendDevice *device)
{
    return device->panels;
}

static DeviceType product_type(const BackendDevice *device)
{
    return level_bf16_is_quicker(device->level) ? DEVICE_BF16 : DEVICE_FP32;
}

/* Of a buffer, as far as it is touched: what is small comes from the allocator, what is large on whole pages. */
static size_t touched_bytes(size_t size_bytes)
{
    return size_bytes < LARGE_BYTES ? size_bytes : mapping_bytes(size_bytes) - HUGE_PAGE_BYTES;
}

static size_t matrix_bytes(const BackendDevice *device, int32_t n, int32_t k, DeviceType type)
{
    (void)device;
    (void)n;
    (void)k;
    (void)type;
    return 0;
}

static size_t workspace_bytes(const BackendDevice *device, const BackendShape *shape)
{
    size_t rows = (size_t)shape->rows, d = (size_t)shape->d, f = (size_t)shape->f, width = d / (size_t)shape->heads;
    const size_t matrices[][2] = {{3 * d, d}, {d, d}, {f, d}, {d, f}};
    const Level *level = device->level;
    size_t shared = cpu_norm_shared_bytes(rows, d), scratch = 0;
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        size_t bytes = linear_shared_bytes(device, rows, matrices[i][0], matrices[i][1], shape->product_type);
        shared = bytes > shared ? bytes : shared;
        bytes = linear_scratch_bytes(device, matrices[i][0], matrices[i][1], shape->product_type);
        scratch = bytes > scratch ? bytes : scratch;
    }
    const size_t scratches[] = {level->norm_scratch(d), level->attention_scratch((size_t)shape->longest, width)};
    for (size_t i = 0; i < sizeof scratches / sizeof *scratches; i++) {
        scratch = scratches[i] > scratch ? scratches[i] : scratch;
    }
    return touched_bytes(shared) + touched_bytes(scratch) * (size_t)device->thread_count;
}

const Backend *nersweep_backend_entry(void);

__attribute__((visibility("default"))) const Backend *nersweep_backend_entry(void)
{
    static const Backend table = {
        .version = BACKEND_VERSION,
        .name = "cpu",
        .device_open = device_open,
        .device_close = device_close,
        .device_describe = device_describe,
        .device_features = device_features,
        .rows_independent = rows_independent,
        .product_type = product_type,
        .matrix_bytes = matrix_bytes,
        .workspace_bytes = workspace_bytes,
        .buffer_create = cpu_buffer_create,
        .buffer_destroy = cpu_buffer_destroy,
        .buffer_host_pointer = buffer_host_pointer,
        .stream_create = stream_create,
        .stream_destroy = stream_destroy,
        .stream_synchronize = stream_synchronize,
        .copy_to_device = copy_to_device,
        .copy_to_host = copy_to_host,
        .copy = copy,
        .fill_zero = fill_zero,
        .convert = cpu_convert,
        .matrix_create = matrix_create,
        .matrix_destroy = matrix_destroy,
        .matrix_refresh = matrix_refresh,
        .matrix_settle = cpu_matrix_settle,
        .embedding_forward = cpu_embedding_forward,
        .embedding_backward = cpu_embedding_backward,
        .norm_forward = cpu_norm_forward,
        .norm_backward = cpu_norm_backward,
        .linear_forward = cpu_linear_forward,
        .linear_backward_input = cpu_linear_backward_input,
        .linear_backward_weight = cpu_linear_backward_weight,
        .attention_forward = cpu_attention_forward,
        .attention_backward = cpu_attention_backward,
        .rows_gather = cpu_rows_gather,
        .rows_scatter = cpu_rows_scatter,
        .cross_entropy = cpu_cross_entropy,
        .add = cpu_add,
        .sum_of_squares = cpu_sum_of_squares,
        .adamw = cpu_adamw,
        .adamw_matrix = cpu_adamw_matrix,
        .adamw_rows = cpu_adamw_rows,
        .adamw_late = cpu_adamw_late,
    };
    return &table;
}
