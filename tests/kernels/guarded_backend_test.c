/* The guard itself: it must bite. */
#include "tests/kernels/guarded_backend.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/host_floats.h"

static BackendDevice *device;
static BackendStream *stream;
static BackendBuffer *buffer;

static int guard_open(void **state)
{
    Diagnostic diagnostic = {0};
    BackendOptions options = {.thread_count = 1};
    (void)state;
    assert_int_equal(backend_guarded()->device_open(&device, &options, &diagnostic), STATUS_OK);
    assert_int_equal(backend_guarded()->stream_create(&stream, device, &diagnostic), STATUS_OK);
    assert_int_equal(backend_guarded()->buffer_create(&buffer, device, 64, &diagnostic), STATUS_OK);
    return 0;
}

static int guard_close(void **state)
{
    (void)state;
    backend_guarded()->buffer_destroy(&buffer);
    backend_guarded()->stream_destroy(&stream);
    backend_guarded()->device_close(&device);
    return 0;
}

/* Whether reading the byte kills a process. */
static bool reading_crashes(const volatile unsigned char *byte)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*byte == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void memory_cannot_be_read_by_the_host(void **state)
{
    (void)state;
    assert_null(backend_guarded()->buffer_host_pointer(buffer));
    assert_true(reading_crashes(guarded_buffer_bytes(buffer)));
}

static void memory_is_closed_again_after_an_operation(void **state)
{
    static const float values[] = {1, 2, 3, 4};
    float copied[4] = {0};
    (void)state;
    backend_guarded()->copy_to_device(stream, device_view(buffer, 16), values, sizeof values);
    assert_true(reading_crashes(guarded_buffer_bytes(buffer)));
    backend_guarded()->copy_to_host(stream, copied, device_view(buffer, 16), sizeof copied);
    assert_memory_equal(values, copied, sizeof values);
    assert_true(reading_crashes(guarded_buffer_bytes(buffer)));
}

static void floats_that_the_host_cannot_reach_are_copied(void **state)
{
    static const float values[] = {1, 2, 3, 4};
    Diagnostic diagnostic = {0};
    HostFloats floats;
    (void)state;
    backend_guarded()->copy_to_device(stream, device_view(buffer, 16), values, sizeof values);
    assert_int_equal(host_floats_open(&floats, backend_guarded(), stream, device_view(buffer, 16), 4, &diagnostic), STATUS_OK);
    assert_memory_equal(floats.values, values, sizeof values);
    host_floats_close(&floats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_cannot_be_read_by_the_host, guard_open, guard_close),
        cmocka_unit_test_setup_teardown(memory_is_closed_again_after_an_operation, guard_open, guard_close),
        cmocka_unit_test_setup_teardown(floats_that_the_host_cannot_reach_are_copied, guard_open, guard_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
