/* What every check of a backend needs: an opened backend, device arrays filled with fixed random numbers, and results to compare.
 *
 * A failure of the backend (an operation that wrote beside an array, a stream that failed) sticks to the harness and is reported at its end; what is
 * read after it means nothing. Where a backend has no memory for these small arrays the program ends, as in memory_allocate. */
#ifndef NERSWEEP_KERNELS_CHECK_HARNESS_H
#define NERSWEEP_KERNELS_CHECK_HARNESS_H

#include "core/base/memory.h"
#include "kernels/backend.h"

/* A backend in one setting. features and products are the values of NERSWEEP_CPU_FEATURES and NERSWEEP_CPU_PRODUCTS, NULL elsewhere. */
typedef struct BackendSetting {
    const char *backend; /* "reference", "cpu" */
    const char *features, *products;
    int threads;
    const Backend *table; /* NULL: the one of that name */
} BackendSetting;

typedef struct Harness Harness;

/* Sets the environment variables of the setting (they stay), opens the backend and a stream. Errors: those of backend_open and device_open. */
NODISCARD Status harness_create(Harness **harness, const BackendSetting *setting, Diagnostic *diagnostic);
/* Closes all. Errors: the first failure of the stream; STATUS_INTERNAL where an operation wrote beside an array. */
NODISCARD Status harness_finish(Harness **harness, Diagnostic *diagnostic);
const Backend *harness_backend(const Harness *harness);
BackendStream *harness_stream(const Harness *harness);
BackendDevice *harness_device(const Harness *harness);

/* Every setting of the CPU backend that this machine has, best first: each level of its processor with its own products and with the BLAS's. Errors:
 * those of opening it. */
enum { SETTING_COUNT_MAX = 12 };
NODISCARD Status settings_of_cpu(BackendSetting settings[SETTING_COUNT_MAX], size_t *count, int threads, Diagnostic *diagnostic);
const char *setting_name(const BackendSetting *setting, char *text, size_t text_size);

/* Device arrays, which live until harness_finish. They start at odd places and are fenced. Random numbers are uniform in middle -+ spread
 * and depend on seed and index alone. */
DeviceView harness_floats(Harness *harness, const float *values, size_t count);
DeviceView harness_random(Harness *harness, uint32_t seed, size_t count, float middle, float spread);
/* The same, but beginning a cache line: some stores want that. */
DeviceView harness_filled_lines(Harness *harness, size_t count, float value);
DeviceView harness_zeros(Harness *harness, size_t count);
DeviceView harness_filled(Harness *harness, size_t count, float value);
DeviceView harness_integers(Harness *harness, const int32_t *values, size_t count);
DeviceView harness_double(Harness *harness, double value);
DeviceView harness_doubles(Harness *harness, size_t count); /* zeros */
/* The same numbers as bf16, in an array of its own. */
DeviceView harness_bf16(Harness *harness, DeviceView floats, size_t count);
/* The same, beginning with a cache line. */
DeviceView harness_bf16_lines(Harness *harness, DeviceView floats, size_t count);
BackendMatrix *harness_matrix(Harness *harness, DeviceView weight, int32_t n, int32_t k);
/* copy: as matrix_create has it. */
BackendMatrix *harness_matrix_over(Harness *harness, DeviceView weight, DeviceView copy, int32_t n, int32_t k, DeviceType type);
BackendMatrix *harness_matrix_of(Harness *harness, DeviceView weight, int32_t n, int32_t k, DeviceType type);
/* Of either type. */
void harness_read(Harness *harness, DeviceView view, float *values, size_t count);
double harness_read_double(Harness *harness, DeviceView view);
float harness_random_value(uint32_t seed, size_t index, float middle, float spread);

/* A block of sequences of these lengths; slots are scattered, ids below vocabulary. */
DeviceBlock harness_block(Harness *harness, const int32_t *lengths, int32_t sequence_count, int32_t vocabulary);
uint32_t harness_slot(int32_t sequence);

/* Outputs of an operation, one section per array. A section's values may differ from the reference's by absolute + relative * |value|. */
typedef struct ResultSection {
    const char *name;
    size_t first, count;
    double absolute, relative;
} ResultSection;
typedef struct Result {
    FloatArray values;
    ARRAY(ResultSection) sections;
} Result;
void result_add(Result *result, Harness *harness, const char *name, DeviceView view, size_t count, double absolute,
                double relative);
void result_add_double(Result *result, Harness *harness, const char *name, DeviceView view, double absolute, double relative);
void result_free(Result *result);

/* The value that is furthest from the expected one by what is allowed there. */
typedef struct ResultDifference {
    const char *section; /* NULL: there is no value */
    size_t index;
    double expected, found, allowed;
    double
        share; /* |found - expected| / allowed; 0 where they are equal, infinite where they are not and must be, or where one is no number */
} ResultDifference;
/* Both are results of the same case. They are close when share <= 1. */
ResultDifference result_compare(const Result *expected, const Result *found);

#endif
