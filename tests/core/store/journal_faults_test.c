/* Calls that fail, full disks, writers that are killed: nothing that was acknowledged is lost. */
#include "tests/core/store/journal_fixtures.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/core/io/faulty_file_system.h"

/* Opens, writes "one" and "two" with a sync each on a file system whose nth call fails; says how many were acknowledged. */
static int write_on(FaultyFileSystem *faulty, const char *folder, Status *status)
{
    Journal *journal = NULL;
    int acknowledged = 0;
    *status = journal_open(&journal, folder, &faulty->table, NULL, NULL, &diagnostic);
    static const char *const texts[] = {"one", "two"};
    for (int i = 0; i < 2 && *status == STATUS_OK; i++) {
        *status = journal_append(journal, texts[i], 3, &diagnostic);
        if (*status == STATUS_OK)
            *status = journal_sync(journal, &diagnostic);
        acknowledged += *status == STATUS_OK;
    }
    if (journal && *status != STATUS_OK && (*status != STATUS_NO_SPACE || journal_broken(journal)))
        assert_int_equal(journal_append(journal, "x", 1, NULL), *status); /* nothing may be acknowledged any more */
    journal_close(&journal);
    return acknowledged;
}

static void check_acknowledged(const char *folder, int acknowledged)
{
    Replayed replayed = {0};
    Journal *journal;
    assert_ok(journal_open(&journal, folder, file_system_posix(), note, &replayed, &diagnostic), &diagnostic);
    static const char *const held[] = {"zero,", "zero,one,", "zero,one,two,"};
    assert_in_range(replayed.count, 1 + acknowledged, 3);
    assert_string_equal(replayed.text.bytes, held[replayed.count - 1]); /* perhaps one that was not acknowledged, but whole */
    text_free(&replayed.text);
    write_records(journal, (const char *const[]){"after", NULL});
    journal_close(&journal);
    replayed = (Replayed){0};
    assert_ok(journal_read(folder, note, &replayed, &diagnostic), &diagnostic);
    assert_string_equal(replayed.text.bytes + replayed.text.size - 6, "after,");
    text_free(&replayed.text);
}

static void whatever_call_fails_no_acknowledged_record_is_lost(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++) { /* once; for ever; once, and the disk is full */
        long call = 1;
        for (bool failed = true; failed; call++) {
            char *folder = scratch_make();
            write_epoch(folder, (const char *const[]){"zero", NULL});
            FaultyFileSystem faulty;
            faulty_begin(&faulty);
            faulty.fail_at = call;
            faulty.dead = mode & 1;
            faulty.error_number = mode & 2 ? ENOSPC : EIO;
            faulty.largest_write = 5;
            Status status;
            int acknowledged = write_on(&faulty, folder, &status);
            failed = faulty.failed;
            if (status != STATUS_OK)
                assert_int_equal(status, mode & 2 ? STATUS_NO_SPACE : STATUS_IO);
            else
                assert_int_equal(acknowledged, 2);
            if (!faulty.dead)
                assert_int_equal(scratch_count(folder, ".tmp-"), 0);
            check_acknowledged(folder, acknowledged);
            scratch_remove(&folder);
        }
        assert_true(call > 20);
    }
}

static void a_full_disk_loses_no_acknowledged_record(void **state)
{
    (void)state;
    for (long long space = 0; space < 150; space += 7) {
        char *folder = scratch_make();
        write_epoch(folder, (const char *const[]){"zero", NULL});
        FaultyFileSystem faulty;
        faulty_begin(&faulty);
        faulty.space = space;
        Status status;
        int acknowledged = write_on(&faulty, folder, &status);
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_NO_SPACE);
            assert_true(strstr(diagnostic.message, folder) != NULL);
        }
        assert_int_equal(scratch_count(folder, ".tmp-"), 0);
        check_acknowledged(folder, acknowledged);
        scratch_remove(&folder);
    }
}

static void what_did_not_fit_on_the_disk_is_written_when_there_is_space_again(void **state)
{
    for (long long space = 0; space < 200; space += 11) {
        char *folder = memory_format("%s/%lld", (char *)*state, space);
        FaultyFileSystem faulty;
        Journal *journal;
        faulty_begin(&faulty);
        assert_ok(journal_open(&journal, folder, &faulty.table, NULL, NULL, &diagnostic), &diagnostic);
        write_records(journal, (const char *const[]){"one", NULL});
        faulty.space = space;
        for (int i = 0; i < 20; i++)
            append(journal, "a record of some length");
        for (int tries = 0; tries < 3; tries++)
            assert_status(journal_sync(journal, &diagnostic), STATUS_NO_SPACE, &diagnostic);
        assert_non_null(strstr(diagnostic.message, "free some space"));
        assert_holds(folder, "one,"); /* nothing half-written is left */
        append(journal, "two");
        faulty.space = -1;
        assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
        journal_close(&journal);
        Replayed replayed = {0};
        assert_ok(journal_read(folder, note, &replayed, &diagnostic), &diagnostic);
        assert_int_equal(replayed.count, 22);
        text_free(&replayed.text);
        free(folder);
    }
}

/* The child: opens the journal, writes "one" and then "two"; says by its exit status how many were acknowledged. */
static int write_in_child(const char *folder)
{
    Journal *journal;
    if (journal_open(&journal, folder, file_system_posix(), NULL, NULL, NULL) != STATUS_OK)
        return 10;
    int acknowledged = 0;
    static const char *const texts[] = {"one", "two"};
    for (int i = 0; i < 2; i++) {
        if (journal_append(journal, texts[i], 3, NULL) != STATUS_OK || journal_sync(journal, NULL) != STATUS_OK)
            break;
        acknowledged++;
    }
    journal_close(&journal);
    return 20 + acknowledged;
}

static void a_writer_killed_anywhere_loses_no_acknowledged_record(void **state)
{
    (void)state;
    static const struct {
        const char *fault;
        int acknowledged;
        bool kills;
        const char *holds;
    } cases[] = {
        {"journal.epoch_created:1", 0, true, "zero,"},
        {"journal.before_write:2", 1, true, "zero,one,"},
        {"journal.before_fsync:2", 1, true, "zero,one,two,"}, /* written, if not durable: a process died, not the machine */
        {"journal.after_fsync:2", 1, true, "zero,one,two,"},
        {"file.before_rename:1", 0, true, "zero,"}, /* of the seal: claimed, not sealed */
        {"file.after_rename:1", 0, true, "zero,"},
        {"journal.epoch_created:1:fail", 10, false, "zero,"},
        {"journal.before_write:2:fail", 21, false, "zero,one,"},
        {"journal.before_fsync:2:fail", 21, false, "zero,one,two,"},
        {"journal.after_fsync:1:fail", 20, false, "zero,one,"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = scratch_make(), *other = scratch_make();
        write_epoch(folder, (const char *const[]){"zero", NULL});
        const char *arguments[] = {"write", folder, NULL};
        int result = child_run(arguments, cases[i].fault, scratch_path(other, "log"));
        assert_int_equal(result, cases[i].kills ? 1000 + SIGKILL : cases[i].acknowledged);
        assert_true(path_exists(scratch_path(other, "log"))); /* the point was reached */
        assert_holds(folder, cases[i].holds);
        check_acknowledged(folder, cases[i].kills ? cases[i].acknowledged : cases[i].acknowledged % 10);
        scratch_remove(&folder);
        scratch_remove(&other);
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "write") == 0)
        return write_in_child(arguments[2]);
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(whatever_call_fails_no_acknowledged_record_is_lost),
        JOURNAL_TEST(a_full_disk_loses_no_acknowledged_record),
        JOURNAL_TEST(what_did_not_fit_on_the_disk_is_written_when_there_is_space_again),
        JOURNAL_TEST(a_writer_killed_anywhere_loses_no_acknowledged_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
