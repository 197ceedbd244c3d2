#include "kernels/check/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

enum { FENCE_FLOATS = 24, LINE_FLOATS = 16, ALLOCATION_COUNT_MAX = 128, MATRIX_COUNT_MAX = 16 };
static const float fence_value = -12345.678f;

typedef struct Allocation {
    BackendBuffer *buffer;
    size_t offset_bytes, size_bytes; /* of the array; fences before and after */
} Allocation;

struct Harness {
    const Backend *backend;
    BackendDevice *device;
    BackendStream *stream;
    Allocation allocations[ALLOCATION_COUNT_MAX];
    size_t allocation_count;
    BackendMatrix *matrices[MATRIX_COUNT_MAX];
    size_t matrix_count;
    Diagnostic failure; /* the first one; code STATUS_OK: none */
};

static void environment_set(const char *name, const char *value)
{
    if (value == NULL) {
        unsetenv(name);
    } else {
        setenv(name, value, 1);
    }
}

/* Keeps the first failure. */
static void note(Harness *harness, Status status, const Diagnostic *diagnostic)
{
    if (status != STATUS_OK && harness->failure.code == STATUS_OK) {
        harness->failure = *diagnostic;
    }
}

static void synchronize(Harness *harness)
{
    Diagnostic diagnostic = {0};
    Status status = harness->backend->stream_synchronize(harness->stream, &diagnostic);
    note(harness, status, &diagnostic);
}

static void require_memory(Status status, const Diagnostic *diagnostic)
{
    if (status != STATUS_OK) {
        log_diagnostic(LOG_ERROR, diagnostic);
        abort();
    }
}

Status harness_create(Harness **harness, const BackendSetting *setting, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Harness *made = memory_allocate(1, sizeof *made);
    BackendOptions options = {.thread_count = setting->threads};
    environment_set("NERSWEEP_CPU_FEATURES", setting->features);
    environment_set("NERSWEEP_CPU_PRODUCTS", setting->products);
    made->backend = setting->table;
    if (made->backend == NULL) {
        TRY(backend_open(&made->backend, setting->backend, diagnostic));
    }
    TRY(made->backend->device_open(&made->device, &options, diagnostic));
    TRY(made->backend->stream_create(&made->stream, made->device, diagnostic));
    *harness = made;
    made = NULL;
out:
    if (made != NULL && made->device != NULL) {
        made->backend->device_close(&made->device);
    }
    free(made);
    return status;
}

static void fences_check(Harness *harness, const Allocation *allocation)
{
    float before[FENCE_FLOATS], after[FENCE_FLOATS];
    size_t fence_bytes = sizeof before, start = allocation->offset_bytes, end = start + allocation->size_bytes;
    harness->backend->copy_to_host(harness->stream, before, device_view(allocation->buffer, start - fence_bytes), fence_bytes);
    harness->backend->copy_to_host(harness->stream, after, device_view(allocation->buffer, end), fence_bytes);
    synchronize(harness);
    for (size_t i = 0; i < FENCE_FLOATS; i++) {
        if (before[i] != fence_value || after[i] != fence_value) {
            Diagnostic diagnostic = {0};
            note(harness,
                 FAIL(&diagnostic, STATUS_INTERNAL, "an operation wrote beside an array of %zu bytes", allocation->size_bytes),
                 &diagnostic);
            return;
        }
    }
}

/* Destroys what the harness holds; every pointer is to be NULL afterwards. */
static bool objects_destroy(Harness *harness)
{
    const Backend *backend = harness->backend;
    bool cleared = true;
    for (size_t i = 0; i < harness->matrix_count; i++) {
        backend->matrix_destroy(&harness->matrices[i]);
        cleared = cleared && harness->matrices[i] == NULL;
    }
    for (size_t i = 0; i < harness->allocation_count; i++) {
        backend->buffer_destroy(&harness->allocations[i].buffer);
        cleared = cleared && harness->allocations[i].buffer == NULL;
    }
    backend->stream_destroy(&harness->stream);
    backend->device_close(&harness->device);
    return cleared && harness->stream == NULL && harness->device == NULL;
}

Status harness_finish(Harness **harness, Diagnostic *diagnostic)
{
    Harness *old = *harness;
    *harness = NULL;
    synchronize(old);
    for (size_t i = 0; i < old->allocation_count; i++) {
        fences_check(old, &old->allocations[i]);
    }
    if (!objects_destroy(old)) {
        Diagnostic left = {0};
        note(old, FAIL(&left, STATUS_INTERNAL, "a pointer was not cleared by what destroys its object"), &left);
    }
    Status status = old->failure.code;
    if (status != STATUS_OK && diagnostic != NULL) {
        *diagnostic = old->failure;
    }
    free(old);
    return status;
}

const Backend *harness_backend(const Harness *harness)
{
    return harness->backend;
}

BackendStream *harness_stream(const Harness *harness)
{
    return harness->stream;
}

BackendDevice *harness_device(const Harness *harness)
{
    return harness->device;
}

/* Whether this processor has what the setting asks for: a level above that is none. */
static Status setting_find(const BackendSetting *setting, bool *available, Diagnostic *diagnostic)
{
    char text[512], wanted[64];
    Harness *harness = NULL;
    Status status = harness_create(&harness, setting, diagnostic);
    if (status != STATUS_OK) {
        return status;
    }
    harness->backend->device_describe(harness->device, text, sizeof text);
    snprintf(wanted, sizeof wanted, "cpu: %s ", setting->features);
    *available = strncmp(text, wanted, strlen(wanted)) == 0;
    return harness_finish(&harness, diagnostic);
}

Status settings_of_cpu(BackendSetting settings[SETTING_COUNT_MAX], size_t *count, int threads, Diagnostic *diagnostic)
{
    static const char *const features[] = {"amx", "avx512bf16", "avx512", "avx2", "portable"};
    Status status = STATUS_OK;
    *count = 0;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        BackendSetting own = {.backend = "cpu", .features = features[i], .products = "panels", .threads = threads}, blas = own;
        bool available = false;
        blas.products = "blas";
        TRY(setting_find(&own, &available, diagnostic));
        if (available) {
            settings[(*count)++] = own;
            settings[(*count)++] = blas;
        }
    }
out:
    return status;
}

const char *setting_name(const BackendSetting *setting, char *text, size_t text_size)
{
    if (setting->features == NULL) {
        snprintf(text, text_size, "%s", setting->backend);
    } else {
        snprintf(text, text_size, "%s %s %s, %d threads", setting->backend, setting->features, setting->products, setting->threads);
    }
    return text;
}

/* Arrays of 4-byte elements begin one float beside a cache line, which no vector load may mind. */
static DeviceView array_create(Harness *harness, const void *values, size_t size_bytes, size_t offset_floats)
{
    Diagnostic diagnostic = {0};
    size_t offset_bytes = (FENCE_FLOATS + offset_floats) * sizeof(float), fence_bytes = FENCE_FLOATS * sizeof(float);
    size_t total_bytes = offset_bytes + size_bytes + fence_bytes;
    float *image = memory_allocate(total_bytes / sizeof(float) + 1, sizeof *image);
    Allocation *allocation = &harness->allocations[harness->allocation_count++];
    ASSERT(harness->allocation_count <= ALLOCATION_COUNT_MAX);
    for (size_t i = 0; i < total_bytes / sizeof(float); i++) {
        image[i] = fence_value;
    }
    if (size_bytes > 0) {
        memcpy((char *)image + offset_bytes, values, size_bytes);
    }
    require_memory(harness->backend->buffer_create(&allocation->buffer, harness->device, total_bytes, &diagnostic), &diagnostic);
    allocation->offset_bytes = offset_bytes;
    allocation->size_bytes = size_bytes;
    harness->backend->copy_to_device(harness->stream, device_view(allocation->buffer, 0), image, total_bytes);
    synchronize(harness);
    free(image);
    return device_view(allocation->buffer, offset_bytes);
}

DeviceView harness_floats(Harness *harness, const float *values, size_t count)
{
    return array_create(harness, values, count * sizeof *values, 1);
}

float harness_random_value(uint32_t seed, size_t index, float middle, float spread)
{
    PhiloxBlock block = philox4x32_10((PhiloxKey){{seed, 0x7E57u}}, (uint32_t)(index / 4), 0, 0, 0);
    return middle + spread * (2.0f * philox_uniform_float(block.word[index % 4]) - 1.0f);
}

DeviceView harness_random(Harness *harness, uint32_t seed, size_t count, float middle, float spread)
{
    float *values = memory_allocate(count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = harness_random_value(seed, i, middle, spread);
    }
    DeviceView view = harness_floats(harness, values, count);
    free(values);
    return view;
}

DeviceView harness_filled(Harness *harness, size_t count, float value)
{
    return harness_random(harness, 0, count, value, 0.0f);
}

DeviceView harness_filled_lines(Harness *harness, size_t count, float value)
{
    float *values = memory_allocate(count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = value;
    }
    DeviceView view = array_create(harness, values, count * sizeof *values, LINE_FLOATS - FENCE_FLOATS % LINE_FLOATS);
    free(values);
    return view;
}

DeviceView harness_zeros(Harness *harness, size_t count)
{
    return harness_filled(harness, count, 0.0f);
}

DeviceView harness_integers(Harness *harness, const int32_t *values, size_t count)
{
    return array_create(harness, values, count * sizeof *values, 1);
}

DeviceView harness_double(Harness *harness, double value)
{
    return array_create(harness, &value, sizeof value, 0);
}

DeviceView harness_doubles(Harness *harness, size_t count)
{
    double *zeros = memory_allocate(count, sizeof *zeros);
    DeviceView view = array_create(harness, zeros, count * sizeof *zeros, 0);
    free(zeros);
    return view;
}

static DeviceView bf16_create(Harness *harness, DeviceView floats, size_t count, size_t offset_floats)
{
    static const uint32_t nothing[1];
    uint32_t *zeros = memory_allocate(count / 2 + 2, sizeof *zeros);
    DeviceView view = array_create(harness, count == 0 ? nothing : zeros, (count / 2 + 2) * sizeof *zeros, offset_floats);
    free(zeros);
    view.type = DEVICE_BF16;
    harness->backend->convert(harness->stream, view, floats, count);
    return view;
}

DeviceView harness_bf16(Harness *harness, DeviceView floats, size_t count)
{
    return bf16_create(harness, floats, count, 1);
}

DeviceView harness_bf16_lines(Harness *harness, DeviceView floats, size_t count)
{
    return bf16_create(harness, floats, count, LINE_FLOATS - FENCE_FLOATS % LINE_FLOATS);
}

BackendMatrix *harness_matrix(Harness *harness, DeviceView weight, int32_t n, int32_t k)
{
    return harness_matrix_of(harness, weight, n, k, DEVICE_FP32);
}

BackendMatrix *harness_matrix_of(Harness *harness, DeviceView weight, int32_t n, int32_t k, DeviceType type)
{
    size_t count = (size_t)n * (size_t)k;
    bool copied = type == DEVICE_BF16;
    DeviceView nines = copied ? harness_bf16(harness, harness_filled(harness, count, 9.0f), count) : device_view_none();
    return harness_matrix_over(harness, weight, nines, n, k, type);
}

BackendMatrix *harness_matrix_over(Harness *harness, DeviceView weight, DeviceView copy, int32_t n, int32_t k, DeviceType type)
{
    Diagnostic diagnostic = {0};
    BackendMatrix **matrix = &harness->matrices[harness->matrix_count++];
    ASSERT(harness->matrix_count <= MATRIX_COUNT_MAX);
    require_memory(harness->backend->matrix_create(matrix, harness->device, weight, copy, n, k, type, &diagnostic), &diagnostic);
    return *matrix;
}

void harness_read(Harness *harness, DeviceView view, float *values, size_t count)
{
    if (view.type == DEVICE_BF16) {
        DeviceView floats = harness_zeros(harness, count);
        harness->backend->convert(harness->stream, floats, view, count);
        view = floats;
    }
    harness->backend->copy_to_host(harness->stream, values, view, count * sizeof *values);
    synchronize(harness);
}

double harness_read_double(Harness *harness, DeviceView view)
{
    double value = 0.0;
    harness->backend->copy_to_host(harness->stream, &value, view, sizeof value);
    synchronize(harness);
    return value;
}

uint32_t harness_slot(int32_t sequence)
{
    return 7u + 1000003u * (uint32_t)sequence;
}

DeviceBlock harness_block(Harness *harness, const int32_t *lengths, int32_t sequence_count, int32_t vocabulary)
{
    DeviceBlock block = {.sequence_count = sequence_count};
    Int32Array ids = {0}, positions = {0}, slots = {0}, starts = {0};
    array_push(&starts, 0);
    for (int32_t s = 0; s < sequence_count; s++) {
        for (int32_t i = 0; i < lengths[s]; i++) {
            float id = harness_random_value(99, ids.count, (float)vocabulary / 2, (float)vocabulary / 2 - 0.01f);
            array_push(&ids, (int32_t)id);
            array_push(&positions, i);
            array_push(&slots, (int32_t)harness_slot(s));
        }
        array_push(&starts, (int32_t)ids.count);
        block.longest = lengths[s] > block.longest ? lengths[s] : block.longest;
    }
    block.piece_count = (int32_t)ids.count;
    block.ids = harness_integers(harness, ids.items, ids.count);
    block.positions = harness_integers(harness, positions.items, positions.count);
    block.slots = harness_integers(harness, slots.items, slots.count);
    block.sequence_start = harness_integers(harness, starts.items, starts.count);
    array_free(&ids);
    array_free(&positions);
    array_free(&slots);
    array_free(&starts);
    return block;
}

static void section_add(Result *result, const char *name, const float *values, size_t count, double absolute, double relative)
{
    ResultSection section = {name, result->values.count, count, absolute, relative};
    array_push(&result->sections, section);
    for (size_t i = 0; i < count; i++) {
        array_push(&result->values, values[i]);
    }
}

void result_add(Result *result, Harness *harness, const char *name, DeviceView view, size_t count, double absolute, double relative)
{
    float *values = memory_allocate(count, sizeof *values);
    harness_read(harness, view, values, count);
    section_add(result, name, values, count, absolute, relative);
    free(values);
}

/* As two floats, high and low part, so that equal bits of the result mean equal bits of the double. */
void result_add_double(Result *result, Harness *harness, const char *name, DeviceView view, double absolute, double relative)
{
    double value = harness_read_double(harness, view);
    float parts[2] = {(float)value, 0.0f};
    parts[1] = (float)(value - (double)parts[0]);
    section_add(result, name, parts, 1, absolute, relative);
    section_add(result, "low part of it", parts + 1, 1, absolute + relative * fabs(value), relative);
}

void result_free(Result *result)
{
    array_free(&result->values);
    array_free(&result->sections);
}

ResultDifference result_compare(const Result *expected, const Result *found)
{
    ResultDifference worst = {.section = NULL};
    ASSERT(expected->values.count == found->values.count && expected->sections.count == found->sections.count);
    for (size_t s = 0; s < expected->sections.count; s++) {
        const ResultSection *section = &expected->sections.items[s];
        for (size_t i = 0; i < section->count; i++) {
            double a = (double)expected->values.items[section->first + i], b = (double)found->values.items[section->first + i];
            double allowed = section->absolute + section->relative * fabs(a), error = fabs(a - b);
            double share = error == 0.0 ? 0.0 : allowed > 0.0 ? error / allowed : INFINITY;
            share = isnan(error) ? INFINITY : share;
            if (worst.section == NULL || share > worst.share) {
                worst = (ResultDifference){section->name, i, a, b, allowed, share};
            }
        }
    }
    return worst;
}
