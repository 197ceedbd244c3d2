#include "tests/kernels/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/profile.h"
#include "tests/kernels/guarded_backend.h"

static void succeed(Status status, const Diagnostic *diagnostic)
{
    if (status != STATUS_OK) {
        fail_msg("%s: %s", status_name(status), diagnostic->message);
    }
}

Harness *harness_open(const BackendSetting *setting)
{
    Harness *harness = NULL;
    Diagnostic diagnostic = {0};
    succeed(harness_create(&harness, setting, &diagnostic), &diagnostic);
    return harness;
}

void harness_close(Harness **harness)
{
    Diagnostic diagnostic = {0};
    succeed(harness_finish(harness, &diagnostic), &diagnostic);
    assert_null(*harness);
}

static Status profiled_open(BackendDevice **device, const BackendOptions *options, Diagnostic *diagnostic)
{
    const Backend *backend = backend_guarded();
    Profile *profile;
    Status status = backend->device_open(device, options, diagnostic);
    return status == STATUS_OK ? profile_attach(&profile, &backend, device, clock_system(), diagnostic) : status;
}

/* The slots of a profile work for all profiles; this table opens a device of its own. */
static const Backend *backend_profiled(void)
{
    static Backend table;
    if (table.version == 0) {
        const Backend *backend = backend_guarded();
        BackendDevice *device = NULL;
        Profile *profile;
        BackendOptions options = {.thread_count = 1};
        Diagnostic diagnostic = {0};
        succeed(backend->device_open(&device, &options, &diagnostic), &diagnostic);
        succeed(profile_attach(&profile, &backend, &device, clock_system(), &diagnostic), &diagnostic);
        table = *backend;
        table.name = "guarded";
        table.device_open = profiled_open;
        backend->device_close(&device);
    }
    return &table;
}

size_t settings_list(BackendSetting settings[TEST_SETTING_COUNT_MAX], int threads)
{
    Diagnostic diagnostic = {0};
    size_t count = 0;
    succeed(settings_of_cpu(settings, &count, threads, &diagnostic), &diagnostic);
    settings[count++] = (BackendSetting){.backend = "guarded", .threads = threads, .table = backend_guarded()};
    settings[count++] = (BackendSetting){.backend = "profiled", .threads = threads, .table = backend_profiled()};
    return count;
}

void result_assert_close(const Result *expected, const Result *found, const char *what)
{
    ResultDifference worst = result_compare(expected, found);
    if (!(worst.share <= 1.0)) {
        fail_msg("%s: %s[%zu] is %.9g, the reference has %.9g, allowed difference %.3g", what, worst.section, worst.index,
                 worst.found, worst.expected, worst.allowed);
    }
}

void result_assert_same_bits(const Result *expected, const Result *found, const char *what)
{
    assert_int_equal(expected->values.count, found->values.count);
    for (size_t s = 0; s < expected->sections.count; s++) {
        const ResultSection *section = &expected->sections.items[s];
        const float *a = expected->values.items + section->first, *b = found->values.items + section->first;
        for (size_t i = 0; i < section->count; i++) {
            if (memcmp(a + i, b + i, sizeof *a) != 0) {
                fail_msg("%s: %s[%zu] is %.9g and %.9g", what, section->name, i, (double)a[i], (double)b[i]);
            }
        }
    }
}
