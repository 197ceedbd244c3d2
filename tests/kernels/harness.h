/* What every test of backends needs: an opened backend, device arrays filled with fixed random numbers, and results to compare. */
#ifndef NERSWEEP_TESTS_KERNELS_HARNESS_H
#define NERSWEEP_TESTS_KERNELS_HARNESS_H

#include "core/base/memory.h"
#include "kernels/backend.h"

/* A backend in one setting. features and products are the values of NERSWEEP_CPU_FEATURES and NERSWEEP_CPU_PRODUCTS, NULL elsewhere. */
typedef struct BackendSetting {
    const char *backend; /* "reference", "guarded", "cpu" */
    const char *features, *products;
    int threads;
} BackendSetting;

typedef struct Harness Harness;

/* Asserts that it opens. */
Harness *harness_open(const BackendSetting *setting);
/* Also asserts that the stream had no failure and that nobody wrote beside the arrays. */
void harness_close(Harness **harness);
const Backend *harness_backend(const Harness *harness);
BackendStream *harness_stream(const Harness *harness);
BackendDevice *harness_device(const Harness *harness);

/* Whether this processor has what the setting asks for. */
bool setting_available(const BackendSetting *setting);

/* Every setting of the CPU backend and of the guarded one that this machine has, with this number of threads; reference excluded. */
enum { SETTING_COUNT_MAX = 12 };
size_t settings_list(BackendSetting settings[SETTING_COUNT_MAX], int threads);
const char *setting_name(const BackendSetting *setting, char *text, size_t text_size);

/* Device arrays, which live until harness_close. They start at odd places and are fenced. Random numbers are uniform in middle -+ spread
 * and depend on seed and index alone. */
DeviceView harness_floats(Harness *harness, const float *values, size_t count);
DeviceView harness_random(Harness *harness, uint32_t seed, size_t count, float middle, float spread);
DeviceView harness_zeros(Harness *harness, size_t count);
DeviceView harness_filled(Harness *harness, size_t count, float value);
DeviceView harness_integers(Harness *harness, const int32_t *values, size_t count);
DeviceView harness_double(Harness *harness, double value);
/* The same numbers as bf16, in an array of its own. */
DeviceView harness_bf16(Harness *harness, DeviceView floats, size_t count);
BackendMatrix *harness_matrix(Harness *harness, DeviceView weight, int32_t n, int32_t k);
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
void result_assert_close(const Result *expected, const Result *found, const char *what);
void result_assert_same_bits(const Result *expected, const Result *found, const char *what);

#endif
