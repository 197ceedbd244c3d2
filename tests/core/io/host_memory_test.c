/* What the host has: texts of /proc and /sys, whole and broken. */
#include "core/io/host_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/memory.h"

typedef struct Page {
    const char *path, *text;
} Page;

/* The pages of a made-up host, up to one without a path. */
static char *read_page(void *context, const char *path)
{
    for (const Page *page = context; page->path; page++)
        if (strcmp(page->path, path) == 0)
            return memory_copy_string(page->text);
    return NULL;
}

static HostMemory memory_of(const Page *pages)
{
    HostMemory memory;
    const HostFiles files = {.context = (void *)(uintptr_t)pages, .read = read_page};
    host_memory_read(&files, &memory);
    return memory;
}

#define MEMINFO                                                                                                            \
    {                                                                                                                      \
        "/proc/meminfo", "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\nSwapTotal: 5 kB\n" \
    }

static void a_host_without_groups_has_what_meminfo_says(void **state)
{
    (void)state;
    HostMemory memory = memory_of((const Page[]){MEMINFO, {NULL, NULL}});
    assert_int_equal(memory.total_bytes, 16000 * 1024);
    assert_int_equal(memory.available_bytes, 8000 * 1024);
    assert_true(memory.group_limit_bytes == UINT64_MAX && memory.group_available_bytes == UINT64_MAX);
    assert_string_equal(memory.group_file, "");
}

/* The job's limit binds, not the looser one of the step below it; page cache counts as free. */
static void groups_of_version_2_bound_with_the_tightest_above(void **state)
{
    (void)state;
    HostMemory memory = memory_of(
        (const Page[]){MEMINFO,
                       {"/proc/self/cgroup", "0::/job/step\n"},
                       {"/sys/fs/cgroup/job/step/memory.max", "9000000\n"},
                       {"/sys/fs/cgroup/job/step/memory.current", "1000\n"},
                       {"/sys/fs/cgroup/job/memory.max", "5000000\n"},
                       {"/sys/fs/cgroup/job/memory.current", "3000000\n"},
                       {"/sys/fs/cgroup/job/memory.stat", "anon 1\nfile 700000\ninactive_file 400000\nactive_file 200000\n"},
                       {"/sys/fs/cgroup/memory.max", "max\n"},
                       {NULL, NULL}});
    assert_int_equal(memory.group_limit_bytes, 5000000);
    assert_int_equal(memory.group_available_bytes, 5000000 - (3000000 - 600000));
    assert_string_equal(memory.group_file, "/sys/fs/cgroup/job/memory.max");
}

/* As in a container: /proc names the group as it is called outside, the root is the container's own. */
static void a_group_that_is_not_there_leaves_the_root(void **state)
{
    (void)state;
    HostMemory memory = memory_of(
        (const Page[]){{"/proc/self/cgroup", "12:pids:/x\n4:cpu,memory:/docker/abc\n1:name=systemd:/\n"},
                       {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096000"},
                       {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "96000"},
                       {"/sys/fs/cgroup/memory/memory.stat", "cache 5\ntotal_inactive_file 16000\ntotal_active_file 10000\n"},
                       {NULL, NULL}});
    assert_int_equal(memory.group_limit_bytes, 4096000);
    assert_int_equal(memory.group_available_bytes, 4096000 - (96000 - 26000));
    assert_string_equal(memory.group_file, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
    assert_true(memory.available_bytes == UINT64_MAX);
}

static void a_group_above_its_limit_has_nothing_left(void **state)
{
    (void)state;
    HostMemory memory = memory_of((const Page[]){{"/proc/self/cgroup", "0::/\n"},
                                                 {"/sys/fs/cgroup/memory.max", "1000\n"},
                                                 {"/sys/fs/cgroup/memory.current", "1200\n"},
                                                 {NULL, NULL}});
    assert_int_equal(memory.group_available_bytes, 0);
}

static void what_cannot_be_read_bounds_nothing(void **state)
{
    (void)state;
    static const char *const broken[] = {"",
                                         "\n",
                                         ":",
                                         "0",
                                         "0:",
                                         "0::",
                                         "0::\n",
                                         "0:memory",
                                         "::/\n:\n",
                                         "0::relative\n",
                                         "4:memory:/x\n",
                                         "0:: /\n4:,,,:/\n",
                                         "0::/a//b/\n"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        HostMemory memory = memory_of((const Page[]){{"/proc/meminfo", "MemTotal: many kB\nMemAvailable:\nXMemAvailable: 5 kB\n"},
                                                     {"/proc/self/cgroup", broken[i]},
                                                     {"/sys/fs/cgroup/memory.max", "-5\n"},
                                                     {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
                                                     {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "99999999999999999999999\n"},
                                                     {NULL, NULL}});
        assert_true(memory.total_bytes == UINT64_MAX && memory.available_bytes == UINT64_MAX);
        assert_true(memory.group_limit_bytes == UINT64_MAX && memory.group_available_bytes == UINT64_MAX);
    }
}

static void a_process_knows_what_it_holds(void **state)
{
    (void)state;
    enum { BLOCK = 64 << 20 };
    uint64_t before, after;
    assert_true(host_process_anonymous_bytes(host_files_system(), &before));
    char *block = memory_allocate(BLOCK, 1);
    for (size_t i = 0; i < BLOCK; i += 4096)
        ((volatile char *)block)[i] = 1;
    assert_true(host_process_anonymous_bytes(host_files_system(), &after));
    assert_true(after >= before + BLOCK - (1 << 20) && after < before + BLOCK + (8 << 20));
    free(block);
    const Page pages[] = {{"/proc/self/status", "Name:\tx\nVmRSS:\t 5 kB\n"}, {NULL, NULL}};
    const HostFiles files = {.context = (void *)(uintptr_t)pages, .read = read_page};
    assert_false(host_process_anonymous_bytes(&files, &before));
    HostMemory memory;
    host_memory_read(host_files_system(), &memory);
    assert_true(memory.available_bytes <= memory.total_bytes && memory.total_bytes < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_without_groups_has_what_meminfo_says),
        cmocka_unit_test(groups_of_version_2_bound_with_the_tightest_above),
        cmocka_unit_test(a_group_that_is_not_there_leaves_the_root),
        cmocka_unit_test(a_group_above_its_limit_has_nothing_left),
        cmocka_unit_test(what_cannot_be_read_bounds_nothing),
        cmocka_unit_test(a_process_knows_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
