/* The harness of kernels/check, with assertions, and every setting that tests compare. */
#ifndef NERSWEEP_TESTS_KERNELS_HARNESS_H
#define NERSWEEP_TESTS_KERNELS_HARNESS_H

#include "kernels/check/harness.h"

/* Asserts that it opens. */
Harness *harness_open(const BackendSetting *setting);
/* Asserts that the stream had no failure and that nobody wrote beside the arrays. */
void harness_close(Harness **harness);

/* Every setting of the CPU backend that this machine has with this number of threads, the guarded backend, and a profile around it; reference
 * excluded. */
enum { TEST_SETTING_COUNT_MAX = SETTING_COUNT_MAX + 2 };
size_t settings_list(BackendSetting settings[TEST_SETTING_COUNT_MAX], int threads);

void result_assert_close(const Result *expected, const Result *found, const char *what);
void result_assert_same_bits(const Result *expected, const Result *found, const char *what);

#endif
