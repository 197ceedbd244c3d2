/* What the tests of shard/ share: a folder of their own, corpus files, a small vocabulary, captured log lines. */
#ifndef NERSWEEP_TESTS_SHARD_SUPPORT_H
#define NERSWEEP_TESTS_SHARD_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "shard/shard_store.h"

/* cmocka setup and teardown: *state is the path of an empty folder, removed at the end. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* Memory for what is read from a store, until scratch_teardown. Not for several threads. */
Arena *scratch_arena(void);

/* Writes a file into the folder; the path is freed by the caller. */
char *scratch_write_bytes(const char *folder, const char *name, const char *bytes, size_t size);
char *scratch_write(const char *folder, const char *name, const char *text);

/* Fails the test with the diagnostic when status is not OK. */
void must(Status status, const Diagnostic *diagnostic);
/* Asserts that text holds part. */
void must_contain(const char *text, const char *part);

/* A vocabulary of special pieces and every printable ASCII character as first and later piece, and the words given (NULL-terminated, may be
 * NULL): every ASCII word has pieces. The path is freed by the caller. */
char *vocabulary_write(const char *folder, const char *const *words);

/* Log lines from now on go to a file; log_captured returns its text (to be freed) and puts the log back. */
void log_capture(const char *folder);
char *log_captured(const char *folder);

/* Default data options. */
DataOptions data_options(void);
/* Builds train (and dev unless NULL) with default options, max_seq_length 32 and stride 8, and opens it. */
ShardStore *store_of(const char *folder, const char *train, const char *dev);

/* Root of the real corpora (NERSWEEP_SHARED_DATA, or shared/data beside the sources), or NULL. Freed by the caller. */
char *shared_data(void);

#endif
