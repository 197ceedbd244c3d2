/* What the fuzz harnesses share. Each *_fuzz.c feeds bytes to one reader and aborts when a promise of its is broken; it is linked with libFuzzer
 * under the preset `fuzz`, and with runner.c, which runs a small corpus and seeded mutations of it, everywhere else. */
#ifndef NERSWEEP_TESTS_FUZZ_HARNESS_H
#define NERSWEEP_TESTS_FUZZ_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

/* libFuzzer's interface, defined by each harness. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A folder of this process, in memory where the system has such a file system; removed when the process ends. The logger is silent from
 * the first call on. */
const char *fuzz_folder(void);
/* Puts a file there; the path is freed by the caller. */
char *fuzz_write(const char *name, const void *bytes, size_t size);

/* A refusal must say what is wrong and in which file: in the diagnostic's place, or by name in its message. */
void fuzz_check_refusal(Status status, const Diagnostic *diagnostic, const char *path);
/* And in which line. */
void fuzz_check_refused_line(Status status, const Diagnostic *diagnostic, const char *path);

/* Is it UTF-8 (RFC 3629)? An oracle of its own: every character is encoded again and compared. */
bool fuzz_is_utf8(const uint8_t *bytes, size_t size);

#endif
