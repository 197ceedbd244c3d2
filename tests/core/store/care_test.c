/* Snapshots, compaction, check, repair and backup of a journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/store/journal_care.h"
#include "core/store/journal_pack.h"
#include "tests/core/base/support.h"
#include "tests/core/io/faulty_file_system.h"

static Diagnostic diagnostic;

static int make_folder(void **state)
{
    *state = scratch_make();
    log_set_level(LOG_ERROR);
    return 0;
}

static int remove_folder(void **state)
{
    char *folder = *state;
    scratch_remove(&folder);
    return 0;
}

/* Records like those of a sweep: three kinds, much alike within a kind. */
static void append_record(Text *text, uint64_t number)
{
    switch (number % 3) {
    case 0:
        text_format(text,
                    "KIND-A {\"learning_rate\":%.9g,\"batch\":16,\"dropout\":0.1,\"name\":\"a long text that is always the "
                    "same\",\"n\":%llu}",
                    1.0 / (double)(number + 1), (unsigned long long)number);
        break;
    case 1:
        text_format(text, "KIND-B %llu", (unsigned long long)(number * number * 977));
        break;
    default:
        if (number % 5) /* else an empty one */
            text_append(text, (const char *)&number, sizeof number);
    }
}

static Status check_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    uint64_t *count = context;
    Text wanted = {0};
    append_record(&wanted, ++*count);
    bool same = sequence == *count && size == wanted.size && (size == 0 || memcmp(payload, wanted.bytes, size) == 0);
    text_free(&wanted);
    return same ? STATUS_OK : FAIL(replay_diagnostic, STATUS_INTERNAL, "record %llu is another", (unsigned long long)*count);
}

/* Opens an epoch, checks what it replays, and adds records with a sync after every tenth. Returns how many there are then. */
static uint64_t write_epoch(const char *folder, int records)
{
    Journal *journal;
    uint64_t count = 0;
    Text text = {0};
    assert_ok(journal_open(&journal, folder, file_system_posix(), check_record, &count, &diagnostic), &diagnostic);
    for (int i = 1; i <= records; i++) {
        text_clear(&text);
        append_record(&text, ++count);
        assert_ok(journal_append(journal, text.bytes, text.size, &diagnostic), &diagnostic);
        if (i % 10 == 0)
            assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
    }
    assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
    journal_close(&journal);
    text_free(&text);
    return count;
}

static void assert_holds(const char *folder, uint64_t wanted)
{
    uint64_t count = 0;
    assert_ok(journal_read(folder, check_record, &count, &diagnostic), &diagnostic);
    assert_int_equal(count, wanted);
}

static uint64_t make_snapshot(const char *folder)
{
    uint64_t epoch;
    assert_ok(journal_snapshot_make(folder, file_system_posix(), NULL, &epoch, &diagnostic), &diagnostic);
    return epoch;
}

static size_t size_of(const char *folder, const char *name)
{
    size_t size;
    free(scratch_read(scratch_path(folder, name), &size));
    return size;
}

static uint32_t read_number(const char *path, size_t at)
{
    size_t size;
    uint32_t number;
    char *bytes = scratch_read(path, &size);
    assert_true(at + sizeof number <= size);
    memcpy(&number, bytes + at, sizeof number);
    free(bytes);
    return number;
}

static void flip(const char *path, size_t at)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    assert_true(at < size);
    bytes[at] ^= 1;
    scratch_write(path, bytes, size);
    free(bytes);
}

static void a_snapshot_stands_for_the_segments_that_are_removed(void **state)
{
    const char *folder = *state;
    JournalCompaction compaction;
    write_epoch(folder, 3000);
    assert_int_equal(make_snapshot(folder), 0); /* nothing is sealed yet */
    write_epoch(folder, 500);
    write_epoch(folder, 30);
    assert_int_equal(make_snapshot(folder), 2);
    assert_int_equal(make_snapshot(folder), 2); /* again: nothing new */
    assert_true(size_of(folder, "snapshot-000002.log") < size_of(folder, "epoch-000001.log"));
    assert_holds(folder, 3530);
    assert_ok(journal_compact(folder, file_system_posix(), 1, &compaction, &diagnostic), &diagnostic);
    assert_int_equal(compaction.segments, 1);
    assert_int_equal(scratch_count(folder, "epoch-000001"), 0);
    assert_int_equal(scratch_count(folder, "epoch-000002"), 2);
    assert_holds(folder, 3530);
    assert_int_equal(write_epoch(folder, 20), 3550);
    assert_int_equal(write_epoch(folder, 0), 3550);
    assert_int_equal(make_snapshot(folder), 4); /* from the first snapshot and the segments behind it */
    assert_ok(journal_compact(folder, file_system_posix(), 0, &compaction, &diagnostic), &diagnostic);
    assert_int_equal(compaction.snapshots, 1);
    assert_int_equal(compaction.segments, 3);
    assert_holds(folder, 3550);
    assert_int_equal(write_epoch(folder, 7), 3557);
    assert_holds(folder, 3557);
}

static void a_damaged_snapshot_is_passed_over_while_the_segments_are_there(void **state)
{
    const char *folder = *state;
    JournalReport report;
    write_epoch(folder, 100);
    write_epoch(folder, 50);
    write_epoch(folder, 5);
    make_snapshot(folder);
    const char *path = scratch_path(folder, "snapshot-000002.log");
    size_t size = size_of(folder, "snapshot-000002.log");
    for (size_t at = 0; at < size; at += 97) {
        flip(path, at);
        assert_holds(folder, 155);
        flip(path, at);
    }
    flip(path, size / 2);
    assert_ok(journal_check(folder, &report, &diagnostic), &diagnostic);
    assert_true(report.sound); /* nothing is lost, but it is told */
    assert_int_equal(report.files.items[0].damage.code, STATUS_CORRUPT);
    journal_report_free(&report);
    assert_int_equal(make_snapshot(folder), 2); /* another in its place */
    JournalCompaction compaction;
    assert_ok(journal_compact(folder, file_system_posix(), 0, &compaction, &diagnostic), &diagnostic);
    flip(path, size / 2);
    uint64_t count = 0;
    assert_status(journal_read(folder, check_record, &count, &diagnostic), STATUS_CORRUPT, &diagnostic);
    assert_ok(journal_check(folder, &report, &diagnostic), &diagnostic);
    assert_false(report.sound);
    journal_report_free(&report);
}

/* Of several blocks, which are read ahead. What the good ones held is not replayed again from the segments or the snapshot before. */
static void a_snapshot_damaged_in_a_later_block_gives_way_in_the_middle(void **state)
{
    const char *folder = *state;
    const uint64_t records = 80000;
    write_epoch(folder, (int)records / 2);
    write_epoch(folder, (int)records / 2);
    assert_int_equal(make_snapshot(folder), 1);
    write_epoch(folder, 10);
    assert_int_equal(make_snapshot(folder), 2);
    const char *path = scratch_path(folder, "snapshot-000002.log");
    size_t size = size_of(folder, "snapshot-000002.log");
    size_t block = (size_t)read_number(path, 8) + 16;
    assert_true(size > 3 * block);
    const size_t places[] = {block / 2, block + block / 2, size / 2, size - 40, size - 10, size - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        flip(path, places[i]);
        assert_holds(folder, records + 10);
        flip(path, places[i]);
    }
    flip(path, size / 2);
    assert_int_equal(write_epoch(folder, 5), records + 15);
    JournalCompaction compaction;
    assert_ok(journal_compact(folder, file_system_posix(), 0, &compaction, &diagnostic),
              &diagnostic); /* what the whole one stands for */
    assert_holds(folder, records + 15);
    assert_int_equal(make_snapshot(folder), 3); /* from the one before and the segments behind that */
    assert_holds(folder, records + 15);
}

static Status none_expected(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    (void)context, (void)payload;
    return FAIL(replay_diagnostic, STATUS_INTERNAL, "record %llu of %zu bytes came again", (unsigned long long)sequence, size);
}

static void records_that_are_known_do_not_come_again(void **state)
{
    const char *folder = *state;
    Journal *journal;
    uint64_t count = 0;
    write_epoch(folder, 300);
    assert_ok(journal_open_behind(&journal, folder, file_system_posix(), 300, none_expected, NULL, &diagnostic), &diagnostic);
    journal_close(&journal);
    assert_int_equal(make_snapshot(folder), 1);
    flip(scratch_path(folder, "snapshot-000001.log"), 30); /* nobody looks there */
    assert_ok(journal_open_behind(&journal, folder, file_system_posix(), 300, none_expected, NULL, &diagnostic), &diagnostic);
    assert_int_equal(journal_record_count(journal), 300);
    journal_close(&journal);
    flip(scratch_path(folder, "snapshot-000001.log"), 30);
    count = 299; /* one of its records is not known: it comes, and no other */
    assert_ok(journal_open_behind(&journal, folder, file_system_posix(), 299, check_record, &count, &diagnostic), &diagnostic);
    assert_int_equal(count, 300);
    journal_close(&journal);
    assert_holds(folder, 300);
}

static void a_snapshot_that_could_not_be_finished_leaves_no_trace(void **state)
{
    const char *folder = *state;
    write_epoch(folder, 200);
    write_epoch(folder, 1);
    for (long call = 1;; call++) {
        FaultyFileSystem faulty;
        faulty_begin(&faulty);
        faulty.fail_at = call;
        faulty.error_number = ENOSPC;
        uint64_t epoch;
        Status status = journal_snapshot_make(folder, &faulty.table, NULL, &epoch, &diagnostic);
        assert_int_equal(scratch_count(folder, ".tmp-"), 0);
        assert_holds(folder, 201);
        if (!faulty.failed)
            break;
        if (status == STATUS_OK) /* the close of a folder failed, which tells nothing */
            assert_int_equal(scratch_count(folder, "snapshot"), 1);
        else
            assert_int_equal(status, STATUS_NO_SPACE);
        if (scratch_count(folder, "snapshot")) /* only its name was not known to be durable */
            assert_int_equal(unlink(scratch_path(folder, "snapshot-000001.log")), 0);
    }
    assert_int_equal(scratch_count(folder, "snapshot"), 1);
    atomic_bool cancelled = true;
    uint64_t epoch;
    write_epoch(folder, 30000);
    write_epoch(folder, 0);
    assert_status(journal_snapshot_make(folder, file_system_posix(), &cancelled, &epoch, &diagnostic), STATUS_INTERRUPTED,
                  &diagnostic);
    assert_int_equal(scratch_count(folder, "snapshot"), 1);
    assert_int_equal(scratch_count(folder, ".tmp-"), 0);
}

static const JournalFile *file_named(const JournalReport *report, const char *name)
{
    for (size_t i = 0; i < report->files.count; i++)
        if (strcmp(report->files.items[i].name, name) == 0)
            return &report->files.items[i];
    fail_msg("%s is not in the report", name);
    return NULL;
}

static void check_tells_the_place_of_every_damage(void **state)
{
    const char *folder = *state;
    JournalReport report;
    assert_status(journal_check(folder, &report, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    for (int i = 0; i < 4; i++)
        write_epoch(folder, 50);
    assert_ok(journal_check(folder, &report, &diagnostic), &diagnostic);
    assert_true(report.sound);
    assert_int_equal(report.files.count, 4);
    assert_int_equal(report.next_sequence, 201);
    assert_true(report.files.items[0].sealed && !report.files.items[3].sealed);
    journal_report_free(&report);
    flip(scratch_path(folder, "epoch-000001.log"), 40);
    flip(scratch_path(folder, "epoch-000003.log"), 32);
    assert_int_equal(unlink(scratch_path(folder, "epoch-000003.json")), 0);
    assert_ok(journal_check(folder, &report, &diagnostic), &diagnostic);
    assert_false(report.sound);
    assert_non_null(strstr(file_named(&report, "epoch-000001.log")->damage.message, "offset 32:"));
    assert_non_null(strstr(file_named(&report, "epoch-000002.log")->damage.message, "seal"));
    assert_non_null(strstr(file_named(&report, "epoch-000003.log")->damage.message, "offset 32:"));
    assert_int_equal(file_named(&report, "epoch-000004.log")->damage.code, STATUS_OK);
    journal_report_free(&report);
    char *copy = NULL;
    assert_status(journal_repair(folder, file_system_posix(), &copy, &diagnostic), STATUS_CORRUPT, &diagnostic);
    assert_null(copy);
}

static void repair_cuts_a_torn_end_off_and_keeps_a_copy(void **state)
{
    const char *folder = *state;
    write_epoch(folder, 50);
    write_epoch(folder, 5);
    assert_status(journal_repair(folder, file_system_posix(), NULL, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    const char *path = scratch_path(folder, "epoch-000002.log");
    size_t size, whole = size_of(folder, "epoch-000002.log");
    FILE *file = fopen(path, "ab");
    fputs("half a record", file);
    fclose(file);
    JournalReport report;
    assert_ok(journal_check(folder, &report, &diagnostic), &diagnostic);
    assert_true(report.sound && report.files.items[1].torn);
    assert_int_equal(report.files.items[1].torn_at, whole);
    journal_report_free(&report);
    char *copy = NULL;
    assert_ok(journal_repair(folder, file_system_posix(), &copy, &diagnostic), &diagnostic);
    assert_int_equal(size_of(folder, "epoch-000002.log"), whole);
    free(scratch_read(copy, &size));
    assert_int_equal(size, whole + strlen("half a record"));
    free(copy);
    assert_holds(folder, 55);
    assert_status(journal_repair(folder, file_system_posix(), NULL, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
}

static void a_backup_made_while_a_writer_goes_on_can_be_gone_on_with(void **state)
{
    const char *folder = scratch_path(*state, "journal"), *target = scratch_path(*state, "copies/backup");
    write_epoch(folder, 300);
    write_epoch(folder, 20);
    make_snapshot(folder);
    Journal *journal;
    Text text = {0};
    uint64_t count = 0, backed_up = 0;
    assert_ok(journal_open(&journal, folder, file_system_posix(), check_record, &count, &diagnostic), &diagnostic);
    for (int i = 0; i < 10; i++) {
        if (i == 5)
            assert_ok(journal_backup(folder, target, file_system_posix(), &diagnostic), &diagnostic);
        text_clear(&text);
        append_record(&text, ++count);
        assert_ok(journal_append(journal, text.bytes, text.size, &diagnostic), &diagnostic);
        assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
    }
    text_free(&text);
    journal_close(&journal);
    assert_holds(folder, 330);
    assert_ok(journal_read(target, check_record, &backed_up, &diagnostic), &diagnostic);
    assert_int_equal(backed_up, 325);
    assert_int_equal(write_epoch(target, 3), 328);
    assert_status(journal_backup(folder, target, file_system_posix(), &diagnostic), STATUS_EXISTS, &diagnostic);
    assert_holds(folder, 330);
    flip(scratch_path(folder, "epoch-000002.log"), 50);
    assert_status(journal_backup(folder, scratch_path(*state, "another"), file_system_posix(), &diagnostic), STATUS_CORRUPT,
                  &diagnostic);
    assert_int_equal(scratch_count(*state, "another"), 0); /* not even a part of it */
}

static void blocks_come_back_as_they_were_and_hostile_ones_do_no_harm(void **state)
{
    (void)state;
    Packer *packer = packer_create();
    Text block = {0}, record = {0};
    Unpacked unpacked = {0};
    for (uint64_t number = 1; number <= 300; number++) {
        text_clear(&record);
        append_record(&record, number);
        packer_add(packer, record.bytes, record.size);
    }
    packer_take(packer, &block);
    assert_ok(unpack_block(&unpacked, block.bytes, block.size, &diagnostic), &diagnostic);
    assert_int_equal(unpacked.ends.count, 300);
    uint64_t count = 0;
    for (size_t i = 0, begin = 0; i < 300; begin = unpacked.ends.items[i++])
        assert_ok(check_record(&count, i + 1, unpacked.bytes.bytes + begin, unpacked.ends.items[i] - begin, &diagnostic),
                  &diagnostic);
    for (size_t at = 0; at < block.size; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            block.bytes[at] ^= (char)(1 << bit);
            Status status = unpack_block(&unpacked, block.bytes, block.size, &diagnostic);
            assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
            block.bytes[at] ^= (char)(1 << bit);
        }
    for (size_t size = 0; size < block.size; size++)
        assert_status(unpack_block(&unpacked, block.bytes, size, &diagnostic), STATUS_CORRUPT, &diagnostic);
    unpacked_free(&unpacked);
    text_free(&block);
    text_free(&record);
    packer_destroy(&packer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_stands_for_the_segments_that_are_removed),
        TEST(a_damaged_snapshot_is_passed_over_while_the_segments_are_there),
        TEST(a_snapshot_damaged_in_a_later_block_gives_way_in_the_middle),
        TEST(records_that_are_known_do_not_come_again),
        TEST(a_snapshot_that_could_not_be_finished_leaves_no_trace),
        TEST(check_tells_the_place_of_every_damage),
        TEST(repair_cuts_a_torn_end_off_and_keeps_a_copy),
        TEST(a_backup_made_while_a_writer_goes_on_can_be_gone_on_with),
        TEST(blocks_come_back_as_they_were_and_hostile_ones_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
