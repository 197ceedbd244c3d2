/* What the tests of the journal share: folders, texts as records, and what a journal holds. */
#ifndef NERSWEEP_TESTS_CORE_STORE_JOURNAL_FIXTURES_H
#define NERSWEEP_TESTS_CORE_STORE_JOURNAL_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "core/store/journal.h"
#include "tests/core/base/support.h"

/* Of the last call that failed. */
extern Diagnostic diagnostic;

/* A folder of its own for each test, which is its state. */
int journal_make_folder(void **state);
int journal_remove_folder(void **state);
#define JOURNAL_TEST(test) cmocka_unit_test_setup_teardown(test, journal_make_folder, journal_remove_folder)

/* What a replay gave: the payloads joined by commas. */
typedef struct Replayed {
    Text text;
    uint64_t count;
    uint64_t stop_at; /* 0: never */
} Replayed;
/* A JournalReplay into it, which checks the numbers. */
Status note(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic);

Journal *open_journal(const char *folder);
void append(Journal *journal, const char *text);
/* With one sync. */
void write_records(Journal *journal, const char *const *texts);
/* The same with a sync after each: each is a batch of its own. */
void write_batches(const char *folder, const char *const *texts);
/* One epoch with these records, one sync. */
void write_epoch(const char *folder, const char *const *texts);
void assert_holds(const char *folder, const char *wanted);
/* Reading and opening both say so, and name this. */
void assert_corrupt(const char *folder, const char *part);
/* Live until the next call of scratch_path. */
const char *log_path(const char *folder, int epoch);
const char *seal_path(const char *folder, int epoch);

#endif
