#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/hash.h"
#include "core/store/journal.h"
#include "tests/core/base/support.h"
#include "tests/core/io/faulty_file_system.h"

static Diagnostic diagnostic;

static int make_folder(void **state)
{
    *state = scratch_make();
    return 0;
}

static int remove_folder(void **state)
{
    char *folder = *state;
    scratch_remove(&folder);
    return 0;
}

/* What a replay gave: the payloads joined by commas. */
typedef struct Replayed {
    Text text;
    uint64_t count;
    uint64_t stop_at; /* 0: never */
} Replayed;

static Status note(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
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

static Journal *open_journal(const char *folder)
{
    Journal *journal;
    assert_ok(journal_open(&journal, folder, file_system_posix(), NULL, NULL, &diagnostic), &diagnostic);
    return journal;
}

static void append(Journal *journal, const char *text)
{
    assert_ok(journal_append(journal, text, strlen(text), &diagnostic), &diagnostic);
}

static void write_records(Journal *journal, const char *const *texts)
{
    for (; *texts; texts++)
        append(journal, *texts);
    assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
}

/* The same with a sync after each: each is a batch of its own. */
static void write_batches(const char *folder, const char *const *texts)
{
    Journal *journal = open_journal(folder);
    for (; *texts; texts++)
        write_records(journal, (const char *const[]){*texts, NULL});
    journal_close(&journal);
}

/* One epoch with these records, one sync. */
static void write_epoch(const char *folder, const char *const *texts)
{
    Journal *journal = open_journal(folder);
    write_records(journal, texts);
    journal_close(&journal);
    assert_null(journal);
}

static void assert_holds(const char *folder, const char *wanted)
{
    Replayed replayed = {0};
    assert_ok(journal_read(folder, note, &replayed, &diagnostic), &diagnostic);
    assert_string_equal(replayed.text.bytes ? replayed.text.bytes : "", wanted);
    text_free(&replayed.text);
}

static void assert_corrupt(const char *folder, const char *part)
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

static const char *log_path(const char *folder, int epoch)
{
    char name[32];
    snprintf(name, sizeof name, "epoch-%06d.log", epoch);
    return scratch_path(folder, name);
}

static const char *seal_path(const char *folder, int epoch)
{
    char name[32];
    snprintf(name, sizeof name, "epoch-%06d.json", epoch);
    return scratch_path(folder, name);
}

static void records_of_all_epochs_are_replayed_in_order(void **state)
{
    const char *folder = scratch_path(*state, "a/journal");
    write_epoch(folder, (const char *const[]){"one", "", "three", NULL});
    write_epoch(folder, (const char *const[]){NULL});
    Journal *journal;
    Replayed replayed = {0};
    assert_ok(journal_open(&journal, folder, file_system_posix(), note, &replayed, &diagnostic), &diagnostic);
    assert_string_equal(replayed.text.bytes, "one,,three,");
    text_free(&replayed.text);
    assert_int_equal(journal_epoch(journal), 3);
    write_records(journal, (const char *const[]){"four", NULL});
    write_records(journal, (const char *const[]){"five", NULL});
    journal_close(&journal);
    assert_holds(folder, "one,,three,four,five,");
    journal_close(&journal);
}

static void what_was_not_synced_is_gone(void **state)
{
    Journal *journal = open_journal(*state);
    append(journal, "buffered");
    journal_close(&journal);
    assert_holds(*state, "");
}

/* The format is a promise to later versions: these bytes were put together by another program after journal.h. */
static void the_bytes_are_those_of_the_format(void **state)
{
    static const unsigned char wanted[] = {0x6e, 0x73, 0x77, 0x6a, 0x72, 0x6e, 0x6c, 0x32, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                           0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9b, 0x47, 0x79, 0x96, 0xae, 0x6b,
                                           0x83, 0x93, 0x8b, 0x35, 0x8f, 0xd0, 0x76, 0xe6, 0x42, 0xa6, 0x05, 0x00, 0x00, 0x00, 0x03,
                                           0x00, 0x00, 0x00, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x00, 0x00, 0x00, 0x38, 0x5c, 0x2b, 0xf7,
                                           0xba, 0x2e, 0xd0, 0x79, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00};
    write_epoch(*state, (const char *const[]){"hello", "", NULL});
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    assert_int_equal(size, sizeof wanted);
    assert_memory_equal(bytes, wanted, size);
    free(bytes);
    write_epoch(*state, (const char *const[]){NULL});
    bytes = scratch_read(seal_path(*state, 2), &size);
    assert_string_equal(bytes, "{\"epoch\":2,\"seals\":1,\"length\":72}");
    free(bytes);
}

static void copy_file(const char *from, const char *to)
{
    size_t size;
    char *bytes = scratch_read(from, &size);
    scratch_write(to, bytes, size);
    free(bytes);
}

/* Written by the version before format 2; its last record is torn. */
static void a_journal_of_format_1_is_read_and_gone_on_with(void **state)
{
    static const char *const names[] = {"epoch-000001.log",  "epoch-000001.json", "epoch-000002.log",
                                        "epoch-000002.json", "epoch-000003.log",  "epoch-000003.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *from = memory_format("%s/tests/golden/journal-v1/%s", NERSWEEP_SOURCE_DIR, names[i]);
        copy_file(from, scratch_path(*state, names[i]));
        free(from);
    }
    assert_holds(*state, "first,the second,third,fourth,,fifth,");
    write_epoch(*state, (const char *const[]){"sixth", NULL});
    write_epoch(*state, (const char *const[]){"seventh", NULL});
    assert_holds(*state, "first,the second,third,fourth,,fifth,sixth,seventh,");
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    bytes[60] ^= 1;
    scratch_write(log_path(*state, 1), bytes, size);
    free(bytes);
    assert_corrupt(*state, "offset 56:");
}

/* A power cut may keep any part of a batch that was not synced; only a later batch shows that a bad record was whole once. */
static void a_batch_that_was_torn_in_its_middle_is_cut_off_and_no_damage(void **state)
{
    write_epoch(*state, (const char *const[]){"first", "the second", "third", NULL});
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    memset(bytes + 56, 0, 16);
    scratch_write(log_path(*state, 1), bytes, size);
    assert_holds(*state, "first,");
    free(bytes);
    Journal *journal = open_journal(*state);
    write_records(journal, (const char *const[]){"next", NULL});
    journal_close(&journal);
    assert_holds(*state, "first,next,");
}

static void a_format_of_a_later_version_is_refused(void **state)
{
    write_epoch(*state, (const char *const[]){"one", NULL});
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    bytes[7] = '3';
    uint64_t checksum = checksum64(bytes, 24);
    for (int i = 0; i < 8; i++)
        bytes[24 + i] = (char)(checksum >> 8 * i);
    scratch_write(log_path(*state, 1), bytes, size);
    free(bytes);
    Replayed replayed = {0};
    assert_status(journal_read(*state, note, &replayed, &diagnostic), STATUS_MISMATCH, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "format 3"));
    text_free(&replayed.text);
}

static void a_folder_that_is_not_there_has_no_records_and_is_not_made(void **state)
{
    const char *folder = scratch_path(*state, "none");
    assert_holds(folder, "");
    assert_false(path_exists(folder));
    assert_holds(*state, "");
    assert_int_equal(scratch_count(*state, "epoch"), 0);
}

static void reading_changes_nothing(void **state)
{
    write_epoch(*state, (const char *const[]){"one", NULL});
    assert_holds(*state, "one,");
    assert_int_equal(scratch_count(*state, "epoch"), 2);
}

static void a_torn_record_at_the_end_is_cut_off(void **state)
{
    write_epoch(*state, (const char *const[]){"first", "second", "the last record", NULL});
    size_t size;
    const char *path = log_path(*state, 1);
    char *bytes = scratch_read(path, &size);
    size_t last = size - 16 - 16; /* its frame and its 15 bytes, padded to 16 */
    for (size_t length = last; length <= size; length++) {
        char *folder = scratch_make();
        write_epoch(folder, (const char *const[]){NULL});
        scratch_write(log_path(folder, 1), bytes, length);
        const char *wanted = length < size ? "first,second," : "first,second,the last record,";
        assert_holds(folder, wanted);
        Replayed replayed = {0};
        Journal *journal;
        assert_ok(journal_open(&journal, folder, file_system_posix(), note, &replayed, &diagnostic), &diagnostic);
        assert_string_equal(replayed.text.bytes, wanted);
        text_free(&replayed.text);
        write_records(journal, (const char *const[]){"next", NULL});
        journal_close(&journal);
        assert_holds(folder, length < size ? "first,second,next," : "first,second,the last record,next,");
        scratch_remove(&folder);
    }
    /* What a crash may leave instead of the end: zeros, or garbage. */
    char *folder = scratch_make();
    write_epoch(folder, (const char *const[]){NULL});
    memset(bytes + last, 0, size - last);
    scratch_write(log_path(folder, 1), bytes, size);
    assert_holds(folder, "first,second,");
    memset(bytes + last, 0x5A, size - last);
    scratch_write(log_path(folder, 1), bytes, size);
    assert_holds(folder, "first,second,");
    scratch_remove(&folder);
    free(bytes);
}

static void a_segment_cut_in_its_header_is_empty(void **state)
{
    Journal *journal = open_journal(*state);
    journal_close(&journal);
    size_t size;
    const char *path = log_path(*state, 1);
    char *bytes = scratch_read(path, &size);
    assert_int_equal(size, 32);
    for (size_t length = 0; length <= 32; length++) {
        scratch_write(path, bytes, length);
        assert_holds(*state, "");
    }
    bytes[20] ^= 1; /* the whole length, other bytes */
    scratch_write(path, bytes, 32);
    assert_holds(*state, "");
    write_epoch(*state, (const char *const[]){"one", NULL});
    assert_holds(*state, "one,");
    free(bytes);
}

/* Flips one bit of every byte of a file in turn; visit says what must come of it. */
static void flip_every_byte(const char *path, void (*check)(const char *folder, size_t at), const char *folder)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= (char)(1u << at % 8);
        scratch_write(path, bytes, size);
        check(folder, at);
        bytes[at] ^= (char)(1u << at % 8);
    }
    scratch_write(path, bytes, size);
    free(bytes);
}

/* Records at offsets 32 (24 bytes), 56 (32 bytes) and 88 (24 bytes). */
static const char *const three_records[] = {"first", "the second", "third", NULL};

static void check_flip_in_last_segment(const char *folder, size_t at)
{
    Replayed replayed = {0};
    Status status = journal_read(folder, note, &replayed, &diagnostic);
    if (at >= 88) { /* the last record: it cannot be told from a torn one */
        assert_ok(status, &diagnostic);
        assert_string_equal(replayed.text.bytes, "first,the second,");
    } else {
        char offset[32];
        snprintf(offset, sizeof offset, "offset %d:", at < 32 ? 0 : at < 56 ? 32 : 56);
        assert_status(status, STATUS_CORRUPT, &diagnostic);
        assert_non_null(strstr(diagnostic.message, offset));
        assert_non_null(strstr(diagnostic.message, "epoch-000001.log"));
        assert_int_equal(replayed.count, 0);
    }
    text_free(&replayed.text);
}

static void a_flipped_byte_before_the_last_record_is_told_with_its_offset(void **state)
{
    write_batches(*state, three_records);
    flip_every_byte(log_path(*state, 1), check_flip_in_last_segment, *state);
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    bytes[60] ^= 1;
    scratch_write(log_path(*state, 1), bytes, size);
    free(bytes);
    assert_corrupt(*state, "offset 56:");
    /* Trying again does not make it better, and takes no further epochs. */
    assert_corrupt(*state, "offset 56:");
    assert_false(path_exists(log_path(*state, 3)));
}

static void check_flip_in_sealed_segment(const char *folder, size_t at)
{
    (void)at;
    Replayed replayed = {0};
    assert_status(journal_read(folder, note, &replayed, &diagnostic), STATUS_CORRUPT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "epoch-000001.log"));
    text_free(&replayed.text);
}

static void a_flipped_byte_in_a_sealed_segment_is_never_taken_for_a_torn_end(void **state)
{
    write_epoch(*state, three_records);
    write_epoch(*state, (const char *const[]){"fourth", NULL});
    flip_every_byte(log_path(*state, 1), check_flip_in_sealed_segment, *state);
    assert_holds(*state, "first,the second,third,fourth,");
}

static void check_flip_in_seal(const char *folder, size_t at)
{
    (void)at;
    Replayed replayed = {0};
    Status status = journal_read(folder, note, &replayed, &diagnostic);
    assert_true(status == STATUS_CORRUPT);
    text_free(&replayed.text);
}

static void a_damaged_or_missing_seal_is_corrupt(void **state)
{
    write_epoch(*state, three_records);
    write_epoch(*state, (const char *const[]){"fourth", NULL});
    write_epoch(*state, (const char *const[]){"fifth", NULL});
    flip_every_byte(seal_path(*state, 2), check_flip_in_seal, *state);
    assert_holds(*state, "first,the second,third,fourth,fifth,");
    assert_int_equal(truncate(log_path(*state, 1), 100), 0);
    assert_corrupt(*state, "has 100 bytes, but 112 were sealed");
    assert_int_equal(unlink(log_path(*state, 1)), 0);
    assert_corrupt(*state, "has 0 bytes, but 112 were sealed");
    scratch_write(log_path(*state, 1), "", 0);
    assert_int_equal(unlink(seal_path(*state, 2)), 0);
    assert_corrupt(*state, "epoch-000002.json is missing");
}

static void a_segment_of_another_epoch_is_corrupt(void **state)
{
    write_epoch(*state, three_records);
    size_t size;
    char *bytes = scratch_read(log_path(*state, 1), &size);
    write_epoch(*state, (const char *const[]){"x", NULL});
    scratch_write(log_path(*state, 2), bytes, size);
    free(bytes);
    assert_corrupt(*state, "another segment");
}

static void a_claim_without_its_seal_is_sealed_by_the_next_opener(void **state)
{
    write_epoch(*state, three_records);
    scratch_write(log_path(*state, 2), "", 0); /* claimed, and died */
    assert_holds(*state, "first,the second,third,");
    Journal *journal = open_journal(*state);
    assert_int_equal(journal_epoch(journal), 3);
    assert_true(path_exists(seal_path(*state, 2)));
    write_records(journal, (const char *const[]){"fourth", NULL});
    journal_close(&journal);
    assert_holds(*state, "first,the second,third,fourth,");
}

static void a_seal_without_its_segment_is_an_empty_epoch(void **state)
{
    write_epoch(*state, three_records);
    scratch_write(seal_path(*state, 2), "{\"epoch\":2,\"seals\":1,\"length\":112}", 34);
    assert_holds(*state, "first,the second,third,");
    Journal *journal = open_journal(*state);
    assert_int_equal(journal_epoch(journal), 3);
    write_records(journal, (const char *const[]){"fourth", NULL});
    journal_close(&journal);
    assert_holds(*state, "first,the second,third,fourth,");
}

static void a_segment_that_cannot_be_read_is_not_taken_for_an_empty_one(void **state)
{
    write_epoch(*state, three_records);
    const char *path = log_path(*state, 1), *aside = scratch_path(*state, "aside");
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink("epoch-000001.log", path), 0); /* stat fails, but not for want of a file */
    Journal *journal;
    Replayed replayed = {0};
    assert_int_not_equal(journal_read(*state, note, &replayed, &diagnostic), STATUS_OK);
    assert_int_not_equal(journal_open(&journal, *state, file_system_posix(), NULL, NULL, &diagnostic), STATUS_OK);
    assert_null(journal);
    assert_false(path_exists(seal_path(*state, 2)));
    assert_int_equal(rename(aside, path), 0);
    assert_holds(*state, "first,the second,third,");
    write_epoch(*state, (const char *const[]){"fourth", NULL});
    assert_holds(*state, "first,the second,third,fourth,");
}

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

static void limits_and_the_visitors_failure_are_told(void **state)
{
    Journal *journal = open_journal(*state);
    char *large = calloc(1, JOURNAL_RECORD_LIMIT + 1);
    assert_status(journal_append(journal, large, JOURNAL_RECORD_LIMIT + 1, &diagnostic), STATUS_LIMIT, &diagnostic);
    for (int i = 0; i < 3; i++)
        assert_ok(journal_append(journal, large, JOURNAL_RECORD_LIMIT, &diagnostic), &diagnostic);
    assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
    Status status = STATUS_OK;
    int appended = 0;
    for (; status == STATUS_OK; appended++) { /* without a sync the buffer ends somewhere */
        assert_true(appended < 10);
        status = journal_append(journal, large, JOURNAL_RECORD_LIMIT, &diagnostic);
    }
    assert_int_equal(status, STATUS_LIMIT);
    free(large);
    journal_close(&journal);
    Replayed replayed = {.stop_at = 2};
    assert_status(journal_read(*state, note, &replayed, &diagnostic), STATUS_MISMATCH, &diagnostic);
    assert_int_equal(replayed.count, 2);
    text_free(&replayed.text);
    replayed = (Replayed){.stop_at = 3};
    assert_status(journal_open(&journal, *state, file_system_posix(), note, &replayed, &diagnostic), STATUS_MISMATCH, &diagnostic);
    assert_null(journal);
    text_free(&replayed.text);
}

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

static void foreign_files_in_the_folder_are_left_alone(void **state)
{
    static const char *const names[] = {"epoch-000009.log.bak", "epoch-9.log", "epoch-000001.json.tmp-1-1",
                                        "epoch-.log",           "notes.txt",   "epoch-00000x.log",
                                        "epoch-000000.log"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        scratch_write(scratch_path(*state, names[i]), "x", 1);
    Journal *journal = open_journal(*state);
    assert_int_equal(journal_epoch(journal), 1);
    write_records(journal, (const char *const[]){"one", NULL});
    journal_close(&journal);
    assert_holds(*state, "one,");
    scratch_write(scratch_path(*state, "epoch-9999999.log"), "x", 1);
    assert_status(journal_open(&journal, *state, file_system_posix(), NULL, NULL, &diagnostic), STATUS_LIMIT, &diagnostic);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "write") == 0)
        return write_in_child(arguments[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(records_of_all_epochs_are_replayed_in_order),
        TEST(what_was_not_synced_is_gone),
        TEST(the_bytes_are_those_of_the_format),
        TEST(a_journal_of_format_1_is_read_and_gone_on_with),
        TEST(a_batch_that_was_torn_in_its_middle_is_cut_off_and_no_damage),
        TEST(a_format_of_a_later_version_is_refused),
        TEST(a_folder_that_is_not_there_has_no_records_and_is_not_made),
        TEST(reading_changes_nothing),
        TEST(a_torn_record_at_the_end_is_cut_off),
        TEST(a_segment_cut_in_its_header_is_empty),
        TEST(a_flipped_byte_before_the_last_record_is_told_with_its_offset),
        TEST(a_flipped_byte_in_a_sealed_segment_is_never_taken_for_a_torn_end),
        TEST(a_damaged_or_missing_seal_is_corrupt),
        TEST(a_segment_of_another_epoch_is_corrupt),
        TEST(a_claim_without_its_seal_is_sealed_by_the_next_opener),
        TEST(a_seal_without_its_segment_is_an_empty_epoch),
        TEST(a_segment_that_cannot_be_read_is_not_taken_for_an_empty_one),
        TEST(what_a_paused_writer_appends_after_its_successor_is_ignored),
        TEST(an_idle_writer_learns_that_its_epoch_is_over),
        TEST(a_record_is_not_acknowledged_when_a_successor_came_during_its_fsync),
        TEST(a_slow_opener_gives_way_to_a_faster_one),
        TEST(an_epoch_that_is_taken_in_the_same_moment_is_busy),
        TEST(limits_and_the_visitors_failure_are_told),
        TEST(whatever_call_fails_no_acknowledged_record_is_lost),
        TEST(a_full_disk_loses_no_acknowledged_record),
        TEST(what_did_not_fit_on_the_disk_is_written_when_there_is_space_again),
        TEST(a_writer_killed_anywhere_loses_no_acknowledged_record),
        TEST(many_coordinators_at_once_lose_nothing_that_was_acknowledged),
        TEST(a_reader_sees_all_that_was_acknowledged_while_the_writer_goes_on),
        TEST(foreign_files_in_the_folder_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
