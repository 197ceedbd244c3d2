/* The profile counts what is done, by a clock that moves one step at each look, so that every operation takes one step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "kernels/peaks.h"
#include "kernels/profile.h"
#include "tests/kernels/guarded_backend.h"

enum { STEP_NS = 50000000, ROWS = 5, N = 6, K = 4, FIRST = 1, SECOND = 2 };

typedef struct StepClock {
    Clock clock;
    int64_t now_ns;
} StepClock;

static int64_t step_clock_look(void *context)
{
    StepClock *clock = context;
    return clock->now_ns += STEP_NS;
}

static StepClock *step_clock(void)
{
    static StepClock clock;
    clock = (StepClock){.clock = {.context = &clock, .monotonic_ns = step_clock_look}};
    return &clock;
}

static void must(Status status, const Diagnostic *diagnostic)
{
    if (status != STATUS_OK) {
        fail_msg("%s: %s", status_name(status), diagnostic->message);
    }
}

/* A profiled device with a stream and buffers of 1000 floats. */
typedef struct Ground {
    Profile *profile;
    const Backend *backend;
    BackendDevice *device;
    BackendStream *stream;
    BackendBuffer *buffers[6];
    Diagnostic diagnostic;
} Ground;

static Ground ground_open(const Backend *inner)
{
    Ground ground = {.backend = inner};
    BackendOptions options = {.thread_count = 1};
    must(inner->device_open(&ground.device, &options, &ground.diagnostic), &ground.diagnostic);
    must(profile_attach(&ground.profile, &ground.backend, &ground.device, &step_clock()->clock, &ground.diagnostic),
         &ground.diagnostic);
    must(ground.backend->stream_create(&ground.stream, ground.device, &ground.diagnostic), &ground.diagnostic);
    for (size_t i = 0; i < 6; i++) {
        must(ground.backend->buffer_create(&ground.buffers[i], ground.device, 1000 * sizeof(float), &ground.diagnostic),
             &ground.diagnostic);
    }
    return ground;
}

static void ground_close(Ground *ground)
{
    for (size_t i = 0; i < 6; i++) {
        ground->backend->buffer_destroy(&ground->buffers[i]);
    }
    ground->backend->stream_destroy(&ground->stream);
    ground->backend->device_close(&ground->device);
    assert_null(ground->device);
}

static DeviceView view_of(const Ground *ground, size_t buffer, DeviceType type)
{
    return (DeviceView){ground->buffers[buffer], 0, type};
}

static const ProfileEntry *only_entry(const Ground *ground, ProfileOperation operation, int32_t section)
{
    const ProfileEntry *entries, *found = NULL;
    size_t count = profile_entries(ground->profile, &entries);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].operation == operation && entries[i].section == section) {
            assert_null(found);
            found = &entries[i];
        }
    }
    assert_non_null(found);
    return found;
}

static void assert_entry(const ProfileEntry *entry, int64_t calls, double flop, double bytes)
{
    assert_int_equal(entry->calls, calls);
    assert_int_equal(entry->time_ns, calls * STEP_NS);
    assert_true(entry->flop == flop);
    if (entry->bytes != bytes) {
        fail_msg("%s: %g bytes instead of %g", profile_operation_name(entry->operation), entry->bytes, bytes);
    }
}

static void a_product_is_counted_with_its_operands(void **state)
{
    (void)state;
    Ground ground = ground_open(backend_reference());
    const Backend *backend = ground.backend;
    BackendMatrix *matrix = NULL;
    DeviceView weight = view_of(&ground, 0, DEVICE_FP32), bias = view_of(&ground, 1, DEVICE_FP32), none = device_view_none();
    DeviceView copy = view_of(&ground, 5, DEVICE_BF16), x = view_of(&ground, 2, DEVICE_BF16), y = view_of(&ground, 3, DEVICE_BF16),
               wide = view_of(&ground, 4, DEVICE_FP32);
    must(backend->matrix_create(&matrix, ground.device, weight, copy, N, K, DEVICE_BF16, &ground.diagnostic), &ground.diagnostic);
    double flop = 2.0 * ROWS * N * K, laid_out = 2.0 * N * K, made = 4.0 * N * K + laid_out;
    double forward = 2.0 * ROWS * K + 4.0 * N + 2.0 * ROWS * N + laid_out, backward = 2.0 * ROWS * N + 4.0 * ROWS * K + laid_out;
    backend->linear_forward(ground.stream, matrix, bias, x, ROWS, LINEAR_PLAIN, none, y);
    assert_entry(only_entry(&ground, PROFILE_LINEAR_FORWARD, 0), 1, flop, forward + made);
    backend->linear_forward(ground.stream, matrix, bias, x, ROWS, LINEAR_PLAIN, none, y);
    assert_entry(only_entry(&ground, PROFILE_LINEAR_FORWARD, 0), 2, 2 * flop, 2 * forward + made);
    backend->matrix_refresh(ground.stream, matrix);
    backend->linear_backward_input(ground.stream, matrix, y, ROWS, none, true, wide);
    assert_entry(only_entry(&ground, PROFILE_LINEAR_BACKWARD_INPUT, 0), 1, flop, backward + 4.0 * ROWS * K + made);
    backend->linear_backward_weight(ground.stream, x, y, ROWS, N, K, false, wide, bias);
    assert_entry(only_entry(&ground, PROFILE_LINEAR_BACKWARD_WEIGHT, 0), 1, flop, 2.0 * ROWS * (K + N) + 4.0 * N * K + 4.0 * N);
    const ProfileEntry *entry = only_entry(&ground, PROFILE_LINEAR_FORWARD, 0);
    assert_true(entry->n == N && entry->k == K && entry->type == DEVICE_BF16);
    backend->matrix_destroy(&matrix);
    assert_null(matrix);
    ground_close(&ground);
}

static void attention_is_counted_by_the_lengths_of_its_sequences(void **state)
{
    static const int32_t starts[] = {0, 3, 8}; /* lengths 3 and 5 */
    const Backend *inner = *state;
    Ground ground = ground_open(inner);
    DeviceView view = view_of(&ground, 1, DEVICE_FP32);
    DeviceBlock block = {8, 2, 5, view, view, view, view_of(&ground, 0, DEVICE_FP32)};
    Dropout off = {.probability = 0.0f};
    int32_t heads = 2, width = 4, d = 8;
    ground.backend->copy_to_device(ground.stream, block.sequence_start, starts, sizeof starts);
    ground.backend->attention_forward(ground.stream, &block, view_of(&ground, 2, DEVICE_FP32), heads, width, off,
                                      view_of(&ground, 3, DEVICE_FP32), view_of(&ground, 4, DEVICE_FP32));
    assert_entry(only_entry(&ground, PROFILE_ATTENTION_FORWARD, 0), 1, 4.0 * d * (9 + 25), 4.0 * (8 * 4 * d + 8 * heads));
    assert_entry(only_entry(&ground, PROFILE_COPY_TO_DEVICE, 0), 1, 0.0, 2.0 * sizeof starts);
    ground_close(&ground);
}

static void what_no_operation_covers_is_the_sections(void **state)
{
    (void)state;
    Ground ground = ground_open(backend_reference());
    assert_int_equal(profile_enter(ground.profile, FIRST), 0);
    for (int i = 0; i < 3; i++) {
        ground.backend->fill_zero(ground.stream, view_of(&ground, 0, DEVICE_FP32), 400); /* two looks at the clock each */
    }
    assert_int_equal(profile_enter(ground.profile, SECOND), FIRST);
    ground.backend->fill_zero(ground.stream, view_of(&ground, 0, DEVICE_FP32), 400);
    assert_int_equal(profile_enter(ground.profile, FIRST), SECOND);
    assert_int_equal(profile_enter(ground.profile, 0), FIRST);
    /* From entering to leaving FIRST there are 7 steps, of which 3 are operations; then one more from the second visit. */
    assert_int_equal(profile_section_ns(ground.profile, FIRST), (7 - 3 + 1) * (int64_t)STEP_NS);
    assert_int_equal(profile_section_ns(ground.profile, SECOND), (3 - 1) * (int64_t)STEP_NS);
    assert_entry(only_entry(&ground, PROFILE_FILL_ZERO, FIRST), 3, 0.0, 1200.0);
    assert_entry(only_entry(&ground, PROFILE_FILL_ZERO, SECOND), 1, 0.0, 400.0);
    profile_forget(ground.profile, FIRST);
    assert_int_equal(profile_section_ns(ground.profile, FIRST), 0);
    assert_int_equal(profile_section_ns(ground.profile, SECOND), (3 - 1) * (int64_t)STEP_NS);
    const ProfileEntry *entries;
    assert_int_equal(profile_entries(ground.profile, &entries), 1);
    assert_entry(only_entry(&ground, PROFILE_FILL_ZERO, SECOND), 1, 0.0, 400.0);
    assert_int_equal(profile_enter(NULL, FIRST), 0); /* switched off */
    profile_forget(NULL, FIRST);
    ground_close(&ground);
}

static int synchronizations;

static Status counted_synchronize(BackendStream *stream, Diagnostic *diagnostic)
{
    synchronizations++;
    return backend_guarded()->stream_synchronize(stream, diagnostic);
}

static void memory_out_of_the_hosts_reach_is_waited_for(void **state)
{
    (void)state;
    Backend counted = *backend_guarded();
    counted.stream_synchronize = counted_synchronize;
    Ground ground = ground_open(&counted);
    assert_true(profile_synchronizes(ground.profile));
    synchronizations = 0;
    ground.backend->fill_zero(ground.stream, view_of(&ground, 0, DEVICE_FP32), 400);
    assert_int_equal(synchronizations, 2);
    ground_close(&ground);
    counted = *backend_reference();
    counted.stream_synchronize = counted_synchronize;
    ground = ground_open(&counted);
    assert_false(profile_synchronizes(ground.profile));
    synchronizations = 0;
    ground.backend->fill_zero(ground.stream, view_of(&ground, 0, DEVICE_FP32), 400);
    assert_int_equal(synchronizations, 0);
    ground_close(&ground);
}

static void a_profiled_device_looks_like_the_one_within(void **state)
{
    (void)state;
    Ground ground = ground_open(backend_reference());
    char text[128];
    BackendDevice *another = NULL;
    BackendOptions options = {.thread_count = 1};
    Diagnostic diagnostic = {0};
    assert_string_equal(ground.backend->name, "reference");
    ground.backend->device_describe(ground.device, text, sizeof text);
    assert_non_null(strstr(text, "reference"));
    assert_non_null(ground.backend->buffer_host_pointer(ground.buffers[0]));
    assert_int_equal(ground.backend->device_open(&another, &options, &diagnostic), STATUS_UNSUPPORTED);
    ground_close(&ground);
}

/* Every pass takes one step of the clock, so the smallest product is all that there is time for. */
static void peaks_are_the_best_passes(void **state)
{
    const Backend *backend = *state;
    BackendPeaks peaks;
    BackendDevice *device = NULL;
    BackendOptions options = {.thread_count = 2};
    Diagnostic diagnostic = {0};
    double pass_s = STEP_NS * 1e-9, product = 2.0 * 96 * 96 * 96 / pass_s;
    must(backend->device_open(&device, &options, &diagnostic), &diagnostic);
    must(backend_peaks_measure(&peaks, backend, device, 2, &step_clock()->clock, &diagnostic), &diagnostic);
    backend->device_close(&device);
    assert_float_equal(peaks.flop_per_s[DEVICE_FP32], product, 1.0);
    assert_float_equal(peaks.flop_per_s[DEVICE_BF16], product, 1.0);
    assert_true(peaks.memory_bytes >= 96 << 20 && peaks.memory_bytes <= 512 << 20);
    /* Two reads and a write of half of it; or, where the host has no access, a read of one half and a write of the other. */
    double moved = (strcmp(backend->name, "guarded") == 0 ? 1.0 : 1.5) * (double)peaks.memory_bytes;
    assert_float_equal(peaks.bytes_per_s / 1e6, moved / pass_s / 1e6, 1.0);
}

static void the_roofline_is_the_slower_of_both(void **state)
{
    (void)state;
    BackendPeaks peaks = {.flop_per_s = {100.0, 1000.0}, .bytes_per_s = 10.0};
    bool by_memory;
    assert_true(backend_peaks_roofline_s(&peaks, DEVICE_FP32, 400.0, 20.0, &by_memory) == 4.0 && !by_memory);
    assert_true(backend_peaks_roofline_s(&peaks, DEVICE_BF16, 400.0, 20.0, &by_memory) == 2.0 && by_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_counted_with_its_operands),
        cmocka_unit_test_prestate(attention_is_counted_by_the_lengths_of_its_sequences, (void *)backend_reference()),
        cmocka_unit_test_prestate(attention_is_counted_by_the_lengths_of_its_sequences, (void *)backend_guarded()),
        cmocka_unit_test(what_no_operation_covers_is_the_sections),
        cmocka_unit_test(memory_out_of_the_hosts_reach_is_waited_for),
        cmocka_unit_test(a_profiled_device_looks_like_the_one_within),
        cmocka_unit_test_prestate(peaks_are_the_best_passes, (void *)backend_reference()),
        cmocka_unit_test_prestate(peaks_are_the_best_passes, (void *)backend_guarded()),
        cmocka_unit_test(the_roofline_is_the_slower_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
