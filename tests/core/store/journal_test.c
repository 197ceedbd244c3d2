/* A journal, as bytes and as records: what is read back, what is cut off, what is damage. */
#include "tests/core/store/journal_fixtures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/hash.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(records_of_all_epochs_are_replayed_in_order),
        JOURNAL_TEST(what_was_not_synced_is_gone),
        JOURNAL_TEST(the_bytes_are_those_of_the_format),
        JOURNAL_TEST(a_journal_of_format_1_is_read_and_gone_on_with),
        JOURNAL_TEST(a_batch_that_was_torn_in_its_middle_is_cut_off_and_no_damage),
        JOURNAL_TEST(a_format_of_a_later_version_is_refused),
        JOURNAL_TEST(a_folder_that_is_not_there_has_no_records_and_is_not_made),
        JOURNAL_TEST(reading_changes_nothing),
        JOURNAL_TEST(a_torn_record_at_the_end_is_cut_off),
        JOURNAL_TEST(a_segment_cut_in_its_header_is_empty),
        JOURNAL_TEST(a_flipped_byte_before_the_last_record_is_told_with_its_offset),
        JOURNAL_TEST(a_flipped_byte_in_a_sealed_segment_is_never_taken_for_a_torn_end),
        JOURNAL_TEST(a_damaged_or_missing_seal_is_corrupt),
        JOURNAL_TEST(a_segment_of_another_epoch_is_corrupt),
        JOURNAL_TEST(a_claim_without_its_seal_is_sealed_by_the_next_opener),
        JOURNAL_TEST(a_seal_without_its_segment_is_an_empty_epoch),
        JOURNAL_TEST(a_segment_that_cannot_be_read_is_not_taken_for_an_empty_one),
        JOURNAL_TEST(limits_and_the_visitors_failure_are_told),
        JOURNAL_TEST(foreign_files_in_the_folder_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
