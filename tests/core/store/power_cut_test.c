/* The journal and the store on a disk whose power fails: at every write and every sync of a scripted run, in several ways each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/store/journal_care.h"
#include "core/store/store.h"
#include "tests/core/base/support.h"
#include "tests/core/store/power_disk.h"

enum { SEEDS = 8 };

static Diagnostic diagnostic;

/* In memory where that is possible: syncs are made of nothing here, but so many files still are not. */
static char *make_disk(void)
{
    char name[] = "/dev/shm/nersweep-power-XXXXXX";
    return mkdtemp(name) ? memory_copy_string(name) : scratch_make();
}

static int make_folder(void **state)
{
    *state = make_disk();
    log_set_level(LOG_ERROR); /* a snapshot that was lost is warned of, a thousand times here */
    return 0;
}

static int remove_folder(void **state)
{
    char *folder = *state;
    scratch_remove(&folder);
    return 0;
}

/* ------------------------------------------------------------------------------------------------ the journal's run */

/* Record n is known by its number alone: n as text, and as many bytes behind it as its number says. */
static void append_record(Text *text, uint64_t number)
{
    size_t size = number * 7919 % 1100, begin = text->size;
    text_format(text, "%llu:", (unsigned long long)number);
    while (text->size - begin < size)
        text_append(text, "abcdefghijklmnopqrstuvwxyz", 1 + number % 26);
}

/* What was acknowledged after which operation of the disk. */
typedef struct Acknowledged {
    size_t operations;
    uint64_t records;
} Acknowledged;

typedef struct Run {
    PowerDisk disk;
    char *folder; /* of the journal */
    uint64_t written;
    ARRAY(Acknowledged) acknowledged;
} Run;

static void run_begin(Run *run, const char *root)
{
    *run = (Run){.folder = path_join(root, "journal")};
    power_disk_begin(&run->disk, root);
}

static void run_end(Run *run)
{
    power_disk_end(&run->disk);
    array_free(&run->acknowledged);
    free(run->folder);
}

/* One record is one number and its bytes; count is how many came so far. */
typedef struct Replayed {
    uint64_t count;
} Replayed;

static Status check_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    Replayed *replayed = context;
    Text wanted = {0};
    append_record(&wanted, ++replayed->count);
    bool same = wanted.size == size && memcmp(wanted.bytes, payload, size) == 0 && sequence == replayed->count;
    text_free(&wanted);
    return same ? STATUS_OK
                : FAIL(replay_diagnostic, STATUS_INTERNAL, "record %llu is not what was written",
                       (unsigned long long)replayed->count);
}

static void write_batch(Run *run, Journal *journal, int count)
{
    Text text = {0};
    for (int i = 0; i < count; i++) {
        text_clear(&text);
        append_record(&text, ++run->written);
        assert_ok(journal_append(journal, text.bytes, text.size, &diagnostic), &diagnostic);
    }
    text_free(&text);
    assert_ok(journal_sync(journal, &diagnostic), &diagnostic);
    Acknowledged acknowledged = {run->disk.operations.count, run->written};
    array_push(&run->acknowledged, acknowledged);
}

static void make_snapshot(Run *run, uint64_t wanted)
{
    uint64_t epoch;
    assert_ok(journal_snapshot_make(run->folder, &run->disk.table, NULL, &epoch, &diagnostic), &diagnostic);
    assert_int_equal(epoch, wanted);
}

static Journal *open_epoch(Run *run)
{
    Journal *journal;
    Replayed replayed = {0};
    assert_ok(journal_open(&journal, run->folder, &run->disk.table, check_record, &replayed, &diagnostic), &diagnostic);
    assert_int_equal(replayed.count, run->written);
    return journal;
}

static void compact(Run *run, int64_t keep)
{
    JournalCompaction compaction;
    assert_ok(journal_compact(run->folder, &run->disk.table, keep, &compaction, &diagnostic), &diagnostic);
}

/* Six epochs with batches of all sizes, snapshots made while a writer goes on, and compactions. */
static void scripted_run(Run *run)
{
    for (int epoch = 1; epoch <= 6; epoch++) {
        Journal *journal = open_epoch(run);
        if (epoch == 2)
            make_snapshot(run, 1);
        for (int batch = 0; batch < 8; batch++) {
            write_batch(run, journal, 1 + (epoch * 5 + batch * 3) % 7);
            if (epoch == 4 && batch == 3)
                make_snapshot(run, 3);
            if (epoch == 4 && batch == 5)
                compact(run, 1);
        }
        if (epoch == 5) {
            make_snapshot(run, 4);
            compact(run, 0);
        }
        journal_close(&journal);
    }
}

/* ------------------------------------------------------------------------------------------------ what must hold after a cut */

static uint64_t acknowledged_at(const Run *run, size_t operations)
{
    uint64_t records = 0;
    for (size_t i = 0; i < run->acknowledged.count && run->acknowledged.items[i].operations <= operations; i++)
        records = run->acknowledged.items[i].records;
    return records;
}

/* Every file of the folder but the segment that opening makes: sealed segments and snapshots never change. */
static void append_sealed(const char *folder, Text *text)
{
    JournalReport report;
    if (!path_exists(folder) || journal_check(folder, &report, &diagnostic) != STATUS_OK)
        return; /* nothing was there yet */
    for (size_t i = 0; !report.sound && i < report.files.count; i++)
        if (report.files.items[i].damage.code != STATUS_OK)
            fail_msg("%s", report.files.items[i].damage.message);
    for (size_t i = 0; i < report.files.count; i++) {
        const JournalFile *file = &report.files.items[i];
        if (!file->sealed && !file->snapshot)
            continue;
        size_t size;
        char *bytes = scratch_read(scratch_path(folder, file->name), &size);
        text_format(text, "%s %zu:", file->name, size);
        text_append(text, bytes, size);
        free(bytes);
    }
    journal_report_free(&report);
}

/* Opens the journal that a cut has left, on a disk whose power may fail in turn, and goes on with it. */
static void check_cut(const Run *run, size_t operations, const char *root, Run *next)
{
    uint64_t must = acknowledged_at(run, operations);
    Text before = {0}, after = {0};
    run_begin(next, root);
    append_sealed(next->folder, &before);
    Replayed replayed = {0}, again = {0};
    Journal *journal;
    assert_ok(journal_open(&journal, next->folder, &next->disk.table, check_record, &replayed, &diagnostic), &diagnostic);
    if (replayed.count < must || replayed.count > run->written)
        fail_msg("%llu records after the cut, %llu were acknowledged", (unsigned long long)replayed.count,
                 (unsigned long long)must);
    next->written = replayed.count;
    Acknowledged acknowledged = {0, must};
    array_push(&next->acknowledged, acknowledged);
    append_sealed(next->folder, &after);
    assert_true(after.size >= before.size && (before.size == 0 || memcmp(after.bytes, before.bytes, before.size) == 0));
    write_batch(next, journal, 3);
    journal_close(&journal);
    assert_ok(journal_read(next->folder, check_record, &again, &diagnostic), &diagnostic);
    assert_int_equal(again.count, next->written);
    text_free(&before);
    text_free(&after);
}

static void whenever_the_power_fails_no_acknowledged_record_is_lost(void **state)
{
    Run run;
    int cuts = 0, lost_some = 0;
    run_begin(&run, *state);
    scripted_run(&run);
    for (size_t operations = 0; operations <= run.disk.operations.count; operations++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++, cuts++) {
            char *first = make_disk(), *second = make_disk();
            Run next, last;
            power_disk_cut(&run.disk, operations, seed, first);
            check_cut(&run, operations, first, &next);
            lost_some += next.written < run.written;
            /* and once more while the next coordinator opened what was left */
            size_t again = (operations * 31 + seed * 17) % (next.disk.operations.count + 1);
            power_disk_cut(&next.disk, again, seed + operations, second);
            check_cut(&next, again, second, &last);
            run_end(&last);
            run_end(&next);
            scratch_remove(&first);
            scratch_remove(&second);
        }
    }
    run_end(&run);
    print_message("%d cuts, and as many again while opening\n", cuts);
    assert_true(cuts >= 1000 && lost_some > 100);
}

/* ------------------------------------------------------------------------------------------------ the store */

typedef struct Step {
    size_t operations;
    int version; /* of the manifest at this time; -1: deleted */
} Step;
enum { MANIFESTS = 3 };

typedef struct StoreRun {
    PowerDisk disk;
    ARRAY(Step) steps[MANIFESTS];
} StoreRun;

/* A file of a checkpoint is known by the manifest's number and version. */
static void checkpoint_text(Text *text, int manifest, int version, int file)
{
    text_clear(text);
    while (text->size < (size_t)(200 + 900 * file))
        text_format(text, "%d %d %d;", manifest, file ? version : 0, file); /* the first file is the same in all versions */
}

static void put_checkpoint(StoreRun *run, Store *store, int manifest, int version)
{
    StoreManifest files = {.notes = json_object()};
    Text text = {0};
    char name[64];
    json_set(files.notes, "version", json_integer(version));
    for (int i = 0; i < 2; i++) {
        StoreFile file = {0};
        checkpoint_text(&text, manifest, version, i);
        snprintf(file.name, sizeof file.name, "file-%d", i);
        file.size = text.size;
        assert_ok(store_put_bytes(store, text.bytes, text.size, file.sha256, &diagnostic), &diagnostic);
        array_push(&files.files, file);
    }
    snprintf(name, sizeof name, "trial-%d/step", manifest);
    assert_ok(store_manifest_put(store, name, &files, &diagnostic), &diagnostic);
    Step step = {run->disk.operations.count, version};
    array_push(&run->steps[manifest], step);
    text_free(&text);
    store_manifest_free(&files);
}

static void run_store(StoreRun *run, const char *root)
{
    Store *store;
    size_t deleted;
    power_disk_begin(&run->disk, root);
    assert_ok(store_open(&store, root, &run->disk.table, &diagnostic), &diagnostic);
    for (int version = 1; version <= 4; version++) {
        for (int manifest = 0; manifest < MANIFESTS; manifest++)
            put_checkpoint(run, store, manifest, version);
        if (version == 2) {
            assert_ok(store_manifest_delete(store, "trial-1/step", &diagnostic), &diagnostic);
            Step step = {run->disk.operations.count, -1};
            array_push(&run->steps[1], step);
        }
        assert_ok(store_collect(store, 0, &deleted, &diagnostic), &diagnostic);
    }
    store_close(&store);
}

/* Whatever is listed is whole, and no older than what was acknowledged. */
static void check_store(const StoreRun *run, size_t operations, const char *root)
{
    Store *store;
    StringArray names;
    int seen[MANIFESTS] = {0};
    PowerDisk disk; /* only for its cheap syncs */
    power_disk_begin(&disk, root);
    assert_ok(store_open(&store, root, &disk.table, &diagnostic), &diagnostic);
    assert_ok(store_manifest_list(store, "", &names, &diagnostic), &diagnostic);
    for (size_t i = 0; i < names.count; i++) {
        StoreManifest manifest;
        Text wanted = {0};
        int number = names.items[i][strlen("trial-")] - '0';
        assert_ok(store_manifest_get(store, names.items[i], &manifest, &diagnostic), &diagnostic);
        int version = seen[number] = (int)json_integer_value(json_get(manifest.notes, "version"), 0);
        for (size_t k = 0; k < manifest.files.count; k++) {
            char *path = store_object_path(store, manifest.files.items[k].sha256);
            size_t size;
            char *bytes = scratch_read(path, &size);
            checkpoint_text(&wanted, number, version, (int)k);
            if (size != wanted.size || memcmp(bytes, wanted.bytes, size) != 0)
                fail_msg("%s, version %d: %s is torn", names.items[i], version, path);
            free(bytes);
            free(path);
        }
        text_free(&wanted);
        store_manifest_free(&manifest);
    }
    string_array_free(&names);
    for (int i = 0; i < MANIFESTS; i++) {
        int acknowledged = 0, coming = 0;
        for (size_t k = 0; k < run->steps[i].count; k++) {
            coming = run->steps[i].items[k].version;
            if (run->steps[i].items[k].operations > operations)
                break;
            acknowledged = coming;
        }
        /* What was acknowledged last, or what was being done. 0: it is not there, as when it is deleted. */
        if (seen[i] != (acknowledged < 0 ? 0 : acknowledged) && seen[i] != (coming < 0 ? 0 : coming))
            fail_msg("manifest %d has version %d, acknowledged was %d", i, seen[i], acknowledged);
    }
    store_close(&store);
    power_disk_end(&disk);
}

static void whenever_the_power_fails_a_checkpoint_is_whole_or_not_there(void **state)
{
    StoreRun run = {0};
    int cuts = 0;
    run_store(&run, *state);
    for (size_t operations = 0; operations <= run.disk.operations.count; operations++)
        for (uint64_t seed = 0; seed < SEEDS; seed++, cuts++) {
            char *folder = make_disk();
            power_disk_cut(&run.disk, operations, seed, folder);
            check_store(&run, operations, folder);
            scratch_remove(&folder);
        }
    print_message("%d cuts\n", cuts);
    assert_true(cuts >= 1000);
    for (int i = 0; i < MANIFESTS; i++)
        array_free(&run.steps[i]);
    power_disk_end(&run.disk);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(whenever_the_power_fails_no_acknowledged_record_is_lost),
        TEST(whenever_the_power_fails_a_checkpoint_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
