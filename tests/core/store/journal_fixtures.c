#include "tests/core/store/journal_fixtures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Diagnostic diagnostic;

int journal_make_folder(void **state)
{
    *state = scratch_make();
    return 0;
}

int journal_remove_folder(void **state)
{
    char *folder = *state;
    scratch_remove(&folder);
    return 0;
}

Status note(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    Replayed *replayed = context;
    if (sequence != ++replayed->count)
        return FAIL(replay_diagnostic, STATUS_INTERNAL, "record %llu came as number %llu", (unsigned long long)sequence,
                    (unsigned long long)replayed->count);
    if (sequence == replayed->stop_at)
        return FAIL(replay_diagnostic, STATUS_MISMATCH, "stopped");
    text_append(&replayed->text, payload, size);
    text_append_string(&replayed->text, ",");
    return STATUS_OK;
}

Journal *open_journal(const char *folder)
{
    Journal *journal;
    assert_ok(journal_open(&journal, folder, file_system_posix(), NULL, NULL, &diagnostic), &diagnostic);
    return journal;
}

void append(Journal *journal, const char *text)
{
    assert_ok(journal_append(journal, text, strlen(text), &diagnostic), &diagnostic);
}

void write_records(Journal *journal, const char *const *texts)
{
    for (; *texts; texts++)
        append(journal, *texts);
    assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
}

/* The same with a sync after each: each is a batch of its own. */
void write_batches(const char *folder, const char *const *texts)
{
    Journal *journal = open_journal(folder);
    for (; *texts; texts++)
        write_records(journal, (const char *const[]){*texts, NULL});
    journal_close(&journal);
}

/* One epoch with these records, one sync. */
void write_epoch(const char *folder, const char *const *texts)
{
    Journal *journal = open_journal(folder);
    write_records(journal, texts);
    journal_close(&journal);
    assert_null(journal);
}

void assert_holds(const char *folder, const char *wanted)
{
    Replayed replayed = {0};
    assert_ok(journal_read(folder, note, &replayed, &diagnostic), &diagnostic);
    assert_string_equal(replayed.text.bytes ? replayed.text.bytes : "", wanted);
    text_free(&replayed.text);
}

void assert_corrupt(const char *folder, const char *part)
{
    Replayed replayed = {0};
    assert_status(journal_read(folder, note, &replayed, &diagnostic), STATUS_CORRUPT, &diagnostic);
    text_free(&replayed.text);
    if (!strstr(diagnostic.message, part))
        fail_msg("\"%s\" does not tell %s", diagnostic.message, part);
    Journal *journal;
    assert_status(journal_open(&journal, folder, file_system_posix(), NULL, NULL, &diagnostic), STATUS_CORRUPT, &diagnostic);
    assert_null(journal);
}

const char *log_path(const char *folder, int epoch)
{
    char name[32];
    snprintf(name, sizeof name, "epoch-%06d.log", epoch);
    return scratch_path(folder, name);
}

const char *seal_path(const char *folder, int epoch)
{
    char name[32];
    snprintf(name, sizeof name, "epoch-%06d.json", epoch);
    return scratch_path(folder, name);
}
