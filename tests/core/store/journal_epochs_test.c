/* Who may write: claims, seals, paused writers, and many coordinators at once. */
#include "tests/core/store/journal_fixtures.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void what_a_paused_writer_appends_after_its_successor_is_ignored(void **state)
{
    Journal *paused = open_journal(*state);
    write_records(paused, (const char *const[]){"one", NULL});
    append(paused, "two, too late");
    Journal *successor = open_journal(*state);
    write_records(successor, (const char *const[]){"two", NULL});
    assert_status(journal_sync(paused, &diagnostic), STATUS_STALE_EPOCH, &diagnostic);
    assert_status(journal_append(paused, "x", 1, &diagnostic), STATUS_STALE_EPOCH, &diagnostic);
    assert_status(journal_sync(paused, &diagnostic), STATUS_STALE_EPOCH, &diagnostic);
    /* Even what reaches the file, whole, beyond the seal. */
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    FILE *file = fopen(log_path(*state, 1), "ab");
    fwrite(bytes + 32, 1, size - 32, file);
    fclose(file);
    free(bytes);
    assert_holds(*state, "one,two,");
    journal_close(&paused);
    journal_close(&successor);
    write_epoch(*state, (const char *const[]){"three", NULL});
    assert_holds(*state, "one,two,three,");
}

static void an_idle_writer_learns_that_its_epoch_is_over(void **state)
{
    Journal *paused = open_journal(*state), *successor = open_journal(*state);
    assert_status(journal_sync(paused, &diagnostic), STATUS_STALE_EPOCH, &diagnostic);
    assert_ok(journal_sync(successor, &diagnostic), &diagnostic);
    journal_close(&paused);
    journal_close(&successor);
}

/* Lets another coordinator open the journal in the middle of a call of this one. */
typedef struct Intruder {
    FileSystem table;
    const char *folder;
    long fsync_at; /* after this fsync (from 1); 0: never */
    bool on_claim; /* right after a segment was created */
    long fsyncs;
    Journal *journal;
    char holds[256]; /* what the intruder replayed */
} Intruder;

static void intrude(Intruder *intruder)
{
    Replayed replayed = {0};
    Diagnostic own = {0};
    assert_null(intruder->journal);
    assert_ok(journal_open(&intruder->journal, intruder->folder, file_system_posix(), note, &replayed, &own), &own);
    snprintf(intruder->holds, sizeof intruder->holds, "%s", replayed.text.bytes ? replayed.text.bytes : "");
    text_free(&replayed.text);
}

static int intruder_open(void *context, const char *path, int flags, mode_t mode)
{
    Intruder *intruder = context;
    int file = open(path, flags, mode);
    if (intruder->on_claim && (flags & O_APPEND)) {
        intruder->on_claim = false;
        intrude(intruder);
    }
    return file;
}

static int intruder_fsync(void *context, int file)
{
    Intruder *intruder = context;
    int result = fsync(file);
    if (++intruder->fsyncs == intruder->fsync_at)
        intrude(intruder);
    return result;
}

static void intruder_begin(Intruder *intruder, const char *folder)
{
    *intruder = (Intruder){.folder = folder, .table = *file_system_posix()};
    intruder->table.context = intruder;
    intruder->table.open = intruder_open;
    intruder->table.fsync = intruder_fsync;
}

static void a_record_is_not_acknowledged_when_a_successor_came_during_its_fsync(void **state)
{
    Intruder intruder;
    intruder_begin(&intruder, *state);
    Journal *journal;
    assert_ok(journal_open(&journal, *state, &intruder.table, NULL, NULL, &diagnostic), &diagnostic);
    write_records(journal, (const char *const[]){"one", NULL});
    intruder.fsync_at = intruder.fsyncs + 1;
    append(journal, "two");
    assert_status(journal_sync(journal, &diagnostic), STATUS_STALE_EPOCH, &diagnostic);
    assert_non_null(intruder.journal);
    assert_string_equal(intruder.holds, "one,two,"); /* it was durable, but its writer could not know that it counts */
    journal_close(&journal);
    journal_close(&intruder.journal);
    assert_holds(*state, "one,two,");
}

static void a_slow_opener_gives_way_to_a_faster_one(void **state)
{
    write_epoch(*state, (const char *const[]){"one", NULL});
    Intruder intruder;
    intruder_begin(&intruder, *state);
    intruder.on_claim = true;
    Journal *journal;
    assert_status(journal_open(&journal, *state, &intruder.table, NULL, NULL, &diagnostic), STATUS_BUSY, &diagnostic);
    assert_null(journal);
    assert_int_equal(journal_epoch(intruder.journal), 3);
    assert_string_equal(intruder.holds, "one,");
    write_records(intruder.journal, (const char *const[]){"two", NULL});
    journal_close(&intruder.journal);
    assert_holds(*state, "one,two,");
    write_epoch(*state, (const char *const[]){"three", NULL});
    assert_holds(*state, "one,two,three,");
}

static int claim_fails(void *context, const char *path, int flags, mode_t mode)
{
    (void)context;
    if (flags & O_APPEND) {
        errno = EEXIST;
        return -1;
    }
    return open(path, flags, mode);
}

static void an_epoch_that_is_taken_in_the_same_moment_is_busy(void **state)
{
    FileSystem fs = *file_system_posix();
    fs.open = claim_fails;
    Journal *journal;
    assert_status(journal_open(&journal, *state, &fs, NULL, NULL, &diagnostic), STATUS_BUSY, &diagnostic);
    assert_null(journal);
}

enum { OPENERS = 4, OPENINGS = 12 };

typedef struct Opener {
    const char *folder;
    int number;
    int acknowledged[OPENINGS * 3];
    int acknowledged_count;
    int epochs;
    const char *problem;
} Opener;

/* Opens the journal again and again while others do, and remembers what was acknowledged to it. */
static void *open_often(void *argument)
{
    Opener *opener = argument;
    for (int i = 0; i < OPENINGS; i++) {
        Journal *journal;
        Diagnostic own = {0};
        Status status = journal_open(&journal, opener->folder, file_system_posix(), NULL, NULL, &own);
        if (status == STATUS_BUSY) { /* as a coordinator would: wait, each its own time, and try again */
            usleep(1000 * (unsigned)(opener->number * 7 + i));
            continue;
        }
        if (status != STATUS_OK) {
            opener->problem = strdup(own.message);
            return NULL;
        }
        opener->epochs++;
        for (int j = 0; j < 3; j++) {
            int value = (opener->number * OPENINGS + i) * 3 + j;
            if (journal_append(journal, &value, sizeof value, &own) != STATUS_OK || journal_sync(journal, &own) != STATUS_OK)
                break;
            opener->acknowledged[opener->acknowledged_count++] = value;
        }
        if (own.code != STATUS_OK && own.code != STATUS_STALE_EPOCH)
            opener->problem = strdup(own.message);
        journal_close(&journal);
    }
    return NULL;
}

typedef struct Seen {
    int times[OPENERS * OPENINGS * 3];
} Seen;

static Status count_value(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    (void)sequence;
    int value;
    if (size != sizeof value)
        return FAIL(replay_diagnostic, STATUS_INTERNAL, "a record of %zu bytes", size);
    memcpy(&value, payload, sizeof value);
    ((Seen *)context)->times[value]++;
    return STATUS_OK;
}

static void many_coordinators_at_once_lose_nothing_that_was_acknowledged(void **state)
{
    Opener openers[OPENERS] = {0};
    pthread_t threads[OPENERS];
    for (int i = 0; i < OPENERS; i++) {
        openers[i] = (Opener){.folder = *state, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, open_often, &openers[i]), 0);
    }
    int acknowledged = 0, epochs = 0;
    for (int i = 0; i < OPENERS; i++) {
        pthread_join(threads[i], NULL);
        acknowledged += openers[i].acknowledged_count;
        epochs += openers[i].epochs;
    }
    for (int i = 0; i < OPENERS; i++) {
        if (openers[i].problem)
            fail_msg("%s", openers[i].problem);
    }
    assert_true(acknowledged > 0 && epochs > 1);
    Seen seen = {0};
    assert_ok(journal_read(*state, count_value, &seen, &diagnostic), &diagnostic);
    for (int i = 0; i < OPENERS; i++) {
        for (int j = 0; j < openers[i].acknowledged_count; j++)
            assert_int_equal(seen.times[openers[i].acknowledged[j]], 1);
    }
    for (size_t i = 0; i < sizeof seen.times / sizeof *seen.times; i++)
        assert_in_range(seen.times[i], 0, 1);
    assert_int_equal(scratch_count(*state, ".tmp-"), 0);
}

typedef struct Writer {
    const char *folder;
    atomic_int acknowledged;
    atomic_bool done;
} Writer;

static void *write_much(void *argument)
{
    Writer *writer = argument;
    for (int epoch = 0; epoch < 4; epoch++) {
        Journal *journal;
        if (journal_open(&journal, writer->folder, file_system_posix(), NULL, NULL, NULL) != STATUS_OK)
            return NULL;
        char record[700];
        memset(record, 'r', sizeof record);
        for (int i = 0; i < 60; i++) {
            for (int j = 0; j < 10; j++) {
                if (journal_append(journal, record, sizeof record - (size_t)j, NULL) != STATUS_OK)
                    return NULL;
            }
            if (journal_sync(journal, NULL) != STATUS_OK)
                return NULL;
            atomic_fetch_add(&writer->acknowledged, 10);
        }
        journal_close(&journal);
    }
    atomic_store(&writer->done, true);
    return NULL;
}

static Status count_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    (void)payload;
    int *count = context;
    if (sequence != (uint64_t)++ * count || size != 700 - (sequence - 1) % 10)
        return FAIL(replay_diagnostic, STATUS_INTERNAL, "record %llu has %zu bytes", (unsigned long long)sequence, size);
    return STATUS_OK;
}

static void a_reader_sees_all_that_was_acknowledged_while_the_writer_goes_on(void **state)
{
    Writer writer = {.folder = *state};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_much, &writer), 0);
    for (int reads = 0; !atomic_load(&writer.done) && reads < 2000; reads++) {
        int before = atomic_load(&writer.acknowledged), count = 0;
        assert_ok(journal_read(*state, count_record, &count, &diagnostic), &diagnostic);
        assert_true(count >= before);
    }
    pthread_join(thread, NULL);
    assert_true(atomic_load(&writer.done));
    int count = 0;
    assert_ok(journal_read(*state, count_record, &count, &diagnostic), &diagnostic);
    assert_int_equal(count, 4 * 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(what_a_paused_writer_appends_after_its_successor_is_ignored),
        JOURNAL_TEST(an_idle_writer_learns_that_its_epoch_is_over),
        JOURNAL_TEST(a_record_is_not_acknowledged_when_a_successor_came_during_its_fsync),
        JOURNAL_TEST(a_slow_opener_gives_way_to_a_faster_one),
        JOURNAL_TEST(an_epoch_that_is_taken_in_the_same_moment_is_busy),
        JOURNAL_TEST(many_coordinators_at_once_lose_nothing_that_was_acknowledged),
        JOURNAL_TEST(a_reader_sees_all_that_was_acknowledged_while_the_writer_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
