/* Finding, refusing and describing backends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "kernels/backend.h"

typedef struct Place {
    char folder[64], module[128];
    char *before; /* NERSWEEP_BACKEND_PATH as it was */
} Place;

/* An empty folder as the place of modules. */
static int place_open(void **state)
{
    static Place place;
    const char *before = getenv("NERSWEEP_BACKEND_PATH");
    place.before = before == NULL ? NULL : strdup(before);
    snprintf(place.folder, sizeof place.folder, "/tmp/nersweep-backend-XXXXXX");
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.module, sizeof place.module, "%s/nersweep-backend-cpu.so", place.folder);
    setenv("NERSWEEP_BACKEND_PATH", place.folder, 1);
    *state = &place;
    return 0;
}

static int place_close(void **state)
{
    Place *place = *state;
    unlink(place->module);
    rmdir(place->folder);
    if (place->before != NULL) {
        setenv("NERSWEEP_BACKEND_PATH", place->before, 1);
    }
    free(place->before);
    return 0;
}

static void the_reference_is_always_there(void **state)
{
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    (void)state;
    assert_int_equal(backend_open(&backend, "reference", &diagnostic), STATUS_OK);
    assert_string_equal(backend->name, "reference");
    assert_int_equal(backend->version, BACKEND_VERSION);
}

static void an_unknown_backend_is_refused_with_the_known_ones(void **state)
{
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    (void)state;
    assert_int_equal(backend_open(&backend, "quantum", &diagnostic), STATUS_USAGE);
    assert_non_null(strstr(diagnostic.message, "reference"));
}

static void a_missing_module_is_reported_with_the_places_looked_at(void **state)
{
    const Place *place = *state;
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_NOT_FOUND);
    assert_non_null(strstr(diagnostic.message, place->module));
    assert_non_null(strstr(diagnostic.message, "../lib/nersweep"));
}

static void auto_falls_back_to_the_reference(void **state)
{
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    (void)state;
    log_set_level(LOG_SILENT);
    assert_int_equal(backend_open(&backend, "auto", &diagnostic), STATUS_OK);
    assert_string_equal(backend->name, "reference");
}

static void a_file_that_is_no_module_is_named(void **state)
{
    const Place *place = *state;
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    FILE *file = fopen(place->module, "w");
    assert_non_null(file);
    fputs("not a module", file);
    fclose(file);
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_NOT_FOUND);
    assert_non_null(strstr(diagnostic.message, place->module));
}

/* The build makes two odd modules beside this test: one of a future version, one without the entry. */
static void odd_module(const Place *place, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/%s", NERSWEEP_BINARY_DIR, name);
    assert_int_equal(symlink(path, place->module), 0);
}

static void a_module_of_another_version_is_refused(void **state)
{
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    odd_module(*state, "backend-of-another-version.so");
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "version 999"));
    assert_null(backend);
}

static void a_library_without_the_entry_is_refused(void **state)
{
    const Backend *backend = NULL;
    Diagnostic diagnostic = {0};
    odd_module(*state, "backend-without-entry.so");
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, BACKEND_ENTRY_SYMBOL));
}

static void device_refuses(const char *variable, const char *value)
{
    const Backend *backend = NULL;
    BackendDevice *device = NULL;
    Diagnostic diagnostic = {0};
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_OK);
    setenv(variable, value, 1);
    assert_int_equal(backend->device_open(&device, &(BackendOptions){.thread_count = 1}, &diagnostic), STATUS_USAGE);
    unsetenv(variable);
    assert_non_null(strstr(diagnostic.message, value));
    assert_null(device);
}

static void unknown_features_and_products_are_refused(void **state)
{
    (void)state;
    device_refuses("NERSWEEP_CPU_FEATURES", "avx9000");
    device_refuses("NERSWEEP_CPU_PRODUCTS", "abacus");
}

static void no_threads_are_refused(void **state)
{
    static const char *const names[] = {"reference", "cpu"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const Backend *backend = NULL;
        BackendDevice *device = NULL;
        Diagnostic diagnostic = {0};
        assert_int_equal(backend_open(&backend, names[i], &diagnostic), STATUS_OK);
        assert_int_equal(backend->device_open(&device, &(BackendOptions){.thread_count = 0}, &diagnostic), STATUS_USAGE);
        assert_null(device);
    }
}

static void a_device_says_what_it_uses(void **state)
{
    const Backend *backend = NULL;
    BackendDevice *device = NULL;
    Diagnostic diagnostic = {0};
    char text[256], small[8], features[256];
    (void)state;
    assert_int_equal(backend_open(&backend, "cpu", &diagnostic), STATUS_OK);
    setenv("NERSWEEP_CPU_FEATURES", "portable", 1);
    assert_int_equal(backend->device_open(&device, &(BackendOptions){.thread_count = 2}, &diagnostic), STATUS_OK);
    unsetenv("NERSWEEP_CPU_FEATURES");
    backend->device_describe(device, text, sizeof text);
    backend->device_describe(device, small, sizeof small);
    backend->device_features(device, features, sizeof features);
    backend->device_close(&device);
    assert_non_null(strstr(text, "portable"));
    assert_non_null(strstr(text, "OpenBLAS"));
    assert_non_null(strstr(text, "2 threads"));
    assert_int_equal(strncmp(features, "portable, OpenBLAS", strlen("portable, OpenBLAS")), 0);
    assert_null(strstr(features, "thread"));
    assert_int_equal(strlen(small), sizeof small - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_always_there),
        cmocka_unit_test(an_unknown_backend_is_refused_with_the_known_ones),
        cmocka_unit_test_setup_teardown(a_missing_module_is_reported_with_the_places_looked_at, place_open, place_close),
        cmocka_unit_test_setup_teardown(auto_falls_back_to_the_reference, place_open, place_close),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_module_is_named, place_open, place_close),
        cmocka_unit_test_setup_teardown(a_module_of_another_version_is_refused, place_open, place_close),
        cmocka_unit_test_setup_teardown(a_library_without_the_entry_is_refused, place_open, place_close),
        cmocka_unit_test(unknown_features_and_products_are_refused),
        cmocka_unit_test(no_threads_are_refused),
        cmocka_unit_test(a_device_says_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
