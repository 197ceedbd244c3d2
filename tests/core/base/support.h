/* What the tests of core/ share: scratch folders, child processes. Included after cmocka.h. */
#ifndef NERSWEEP_TESTS_CORE_BASE_SUPPORT_H
#define NERSWEEP_TESTS_CORE_BASE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

/* A new empty folder below the build folder; the caller frees it. */
char *scratch_make(void);
/* Removes the folder and all in it, frees the name. */
void scratch_remove(char **folder);

/* "folder/name", in one of a few static buffers. */
const char *scratch_path(const char *folder, const char *name);

void scratch_write(const char *path, const void *bytes, size_t size);
/* The caller frees the bytes, which are terminated. Fails the test when there is no such file. */
char *scratch_read(const char *path, size_t *size);
/* How many names in folder hold part. */
size_t scratch_count(const char *folder, const char *part);

/* Runs this test program again with the arguments, NERSWEEP_FAULT=fault and NERSWEEP_FAULT_LOG=fault_log in its environment (NULL:
 * not set). Returns its exit status, or 1000 + the signal that killed it. */
int child_run(const char *const *arguments, const char *fault, const char *fault_log);

/* Does function(context) abort? Runs it in a child process whose stderr is thrown away. */
bool aborts(void (*function)(void *context), void *context);

/* Fails the test with the diagnostic's text unless status is the wanted one. */
void check_status(Status status, Status wanted, const Diagnostic *diagnostic, const char *file, int line);
#define assert_status(call, wanted, diagnostic) check_status((call), (wanted), (diagnostic), __FILE__, __LINE__)
#define assert_ok(call, diagnostic) assert_status((call), STATUS_OK, (diagnostic))

#endif
