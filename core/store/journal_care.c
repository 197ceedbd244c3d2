#include "core/store/journal_care.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/hash.h"
#include "core/store/journal_segment.h"

/* ------------------------------------------------------------------------------------------------ check */

void journal_report_free(JournalReport *report)
{
    array_free(&report->files);
}

static uint64_t size_of(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? (uint64_t)found.st_size : 0;
}

/* *newest: the newest whole one, 0 without one; *expected: the number of the first record behind it. */
static Status check_snapshots(const char *folder, JournalReport *report, uint64_t *newest, uint64_t *expected,
                              Diagnostic *diagnostic)
{
    JournalEpochs epochs;
    Status status = journal_snapshot_list(folder, &epochs, diagnostic);
    for (size_t i = 0; status == STATUS_OK && i < epochs.count; i++) {
        JournalFile file = {.snapshot = true, .version = 1, .first_sequence = 1};
        char *path = journal_snapshot_path(folder, epochs.items[i]);
        snprintf(file.name, sizeof file.name, "%s", path_base_name(path));
        file.size_bytes = size_of(path);
        if (journal_snapshot_check(folder, epochs.items[i], &file.records, &file.damage) == STATUS_OK) {
            *newest = epochs.items[i];
            *expected = file.records + 1;
        }
        array_push(&report->files, file);
        free(path);
    }
    array_free(&epochs);
    return status;
}

/* What the segment itself says; 0: it has no whole header. */
static uint64_t own_first_sequence(const char *path)
{
    char *header = NULL;
    size_t size = 0;
    Status status = path_exists(path) ? file_read_part(path, 0, SEGMENT_HEADER_SIZE, &header, &size, NULL) : STATUS_NOT_FOUND;
    bool whole =
        status == STATUS_OK && size == SEGMENT_HEADER_SIZE && segment_load_number(header + 24, 8) == checksum64(header, 24);
    uint64_t sequence = whole ? segment_load_number(header + 16, 8) : 0;
    free(header);
    return sequence;
}

static Status load_for_check(const char *folder, uint64_t epoch, bool last, JournalFile *file, Segment *segment)
{
    Status status = STATUS_OK;
    uint64_t length;
    TRY(segment_read_seal(folder, epoch + 1, &file->sealed, &length, &file->damage));
    if (file->sealed)
        TRY(segment_load(segment, folder, epoch, file->first_sequence, &length, &file->damage));
    else
        TRY(segment_load_live(segment, folder, epoch, file->first_sequence, &file->damage));
    if (!file->sealed && !last)
        status = FAIL(&file->damage, STATUS_CORRUPT, "%s/epoch-%06llu.json, the seal of %s, is missing: restore it from a backup",
                      folder, (unsigned long long)epoch + 1, file->name);
out:
    return status;
}

/* *expected: the number that the first record should have, 0 when nothing is known of it; then the same for the next segment. */
static bool check_segment(const char *folder, uint64_t epoch, bool last, uint64_t *expected, JournalFile *file)
{
    Segment segment = {0};
    char *path = segment_log_path(folder, epoch);
    snprintf(file->name, sizeof file->name, "%s", path_base_name(path));
    file->size_bytes = size_of(path);
    file->first_sequence = own_first_sequence(path);
    if (file->first_sequence == 0)
        file->first_sequence = *expected;
    Status status = load_for_check(folder, epoch, last, file, &segment);
    if (status == STATUS_OK && *expected > 0 && file->first_sequence != *expected)
        status = FAIL(&file->damage, STATUS_CORRUPT, "%s begins with record %llu where %llu is next: restore it from a backup",
                      path, (unsigned long long)file->first_sequence, (unsigned long long)*expected);
    file->records = segment.record_count;
    file->version = segment.version;
    file->torn = status == STATUS_OK && !file->sealed && segment.length < segment.size;
    file->torn_at = file->torn ? segment.length : 0;
    *expected = status == STATUS_OK ? file->first_sequence + segment.record_count : 0;
    segment_free(&segment);
    free(path);
    return status == STATUS_OK;
}

Status journal_check(const char *folder, JournalReport *report, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint64_t last, newest = 0, behind_snapshot = 1, expected = 1;
    *report = (JournalReport){.sound = true};
    TRY(segment_last_epoch(folder, &last, diagnostic));
    if (last == 0)
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "%s holds no journal", folder);
    TRY(check_snapshots(folder, report, &newest, &behind_snapshot, diagnostic));
    for (uint64_t epoch = 1; epoch <= last; epoch++) {
        JournalFile file = {.covered = epoch <= newest};
        char *path = segment_log_path(folder, epoch);
        bool there = path_exists(path);
        free(path);
        if (file.covered && !there) { /* removed by a compaction */
            expected = 0;
            continue;
        }
        if (epoch == newest + 1)
            expected = behind_snapshot;
        /* The last may be claimed only; then the one before has no seal either. */
        if (!check_segment(folder, epoch, epoch + 1 >= last, &expected, &file) && !file.covered)
            report->sound = false;
        array_push(&report->files, file);
    }
    report->next_sequence = newest == last ? behind_snapshot : expected;
out:
    if (status != STATUS_OK)
        journal_report_free(report);
    return status;
}

/* ------------------------------------------------------------------------------------------------ repair */

/* The file that has a torn end; NULL: none. */
static const JournalFile *find_torn(const JournalReport *report)
{
    for (size_t i = 0; i < report->files.count; i++)
        if (report->files.items[i].torn)
            return &report->files.items[i];
    return NULL;
}

static const JournalFile *find_damaged(const JournalReport *report)
{
    for (size_t i = 0; i < report->files.count; i++)
        if (report->files.items[i].damage.code != STATUS_OK && !report->files.items[i].covered && !report->files.items[i].snapshot)
            return &report->files.items[i];
    return NULL;
}

static Status cut_off(const FileSystem *fs, const char *path, uint64_t length, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int file = fs->open(fs->context, path, O_WRONLY | O_CLOEXEC, 0);
    if (file < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    if (fs->ftruncate(fs->context, file, (off_t)length) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot cut %s: %s", path, strerror(errno));
    TRY(file_fsync(fs, file, path, diagnostic));
out:
    fs->close(fs->context, file);
    return status;
}

Status journal_repair(const char *folder, const FileSystem *fs, char **copy, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    JournalReport report = {0};
    char *path = NULL, *aside = NULL, *bytes = NULL;
    size_t size;
    TRY(journal_check(folder, &report, diagnostic));
    const JournalFile *damaged = find_damaged(&report), *torn = find_torn(&report);
    if (damaged)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%.900s; this is more than a torn end, and is not repaired", damaged->damage.message);
    if (!torn)
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "%s: nothing is torn", folder);
    path = path_join(folder, torn->name);
    aside = memory_format("%s.torn-%llu", path, (unsigned long long)torn->torn_at);
    TRY(file_read(path, SEGMENT_SIZE_LIMIT, &bytes, &size, diagnostic));
    TRY(file_write_durable(fs, aside, bytes, size, diagnostic));
    TRY(cut_off(fs, path, torn->torn_at, diagnostic));
    if (copy) {
        *copy = aside;
        aside = NULL;
    }
out:
    free(bytes);
    free(aside);
    free(path);
    journal_report_free(&report);
    return status;
}

/* ------------------------------------------------------------------------------------------------ compaction */

static Status remove_file(const FileSystem *fs, char *path, JournalCompaction *compaction, Diagnostic *diagnostic)
{
    uint64_t size = size_of(path);
    Status status = STATUS_OK;
    if (fs->unlink(fs->context, path) == 0)
        compaction->freed_bytes += size;
    else if (errno != ENOENT)
        status = FAIL(diagnostic, status_from_errno(errno), "cannot remove %s: %s", path, strerror(errno));
    free(path);
    return status;
}

Status journal_compact(const char *folder, const FileSystem *fs, int64_t keep_segments, JournalCompaction *compaction,
                       Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    JournalEpochs epochs = {0};
    uint64_t newest;
    *compaction = (JournalCompaction){0};
    TRY(journal_snapshot_newest(folder, &newest, diagnostic));
    TRY(journal_snapshot_list(folder, &epochs, diagnostic));
    for (size_t i = 0; i < epochs.count && epochs.items[i] < newest; i++) {
        TRY(remove_file(fs, journal_snapshot_path(folder, epochs.items[i]), compaction, diagnostic));
        compaction->snapshots++;
    }
    for (uint64_t epoch = 1; epoch <= newest && newest - epoch >= (uint64_t)keep_segments; epoch++) {
        char *path = segment_log_path(folder, epoch);
        compaction->segments += path_exists(path);
        TRY(remove_file(fs, path, compaction, diagnostic));
        TRY(remove_file(fs, segment_seal_path(folder, epoch), compaction, diagnostic)); /* of the segment before */
    }
    if (newest > 0)
        TRY(folder_sync(fs, folder, diagnostic));
out:
    array_free(&epochs);
    return status;
}

/* ------------------------------------------------------------------------------------------------ backup */

/* At most `limit` bytes of a file into the new file at `to`. */
static Status copy_file(const FileSystem *fs, const char *from, const char *to, uint64_t limit, Diagnostic *diagnostic)
{
    enum { CHUNK = 4 * 1024 * 1024 };
    Status status = STATUS_OK;
    FileWriter *writer = NULL;
    char *bytes = NULL;
    size_t size;
    TRY(file_writer_begin(&writer, fs, to, diagnostic));
    for (uint64_t offset = 0; offset < limit; offset += size) {
        free(bytes);
        bytes = NULL;
        TRY(file_read_part(from, offset, limit - offset < CHUNK ? (size_t)(limit - offset) : CHUNK, &bytes, &size, diagnostic));
        if (size == 0)
            break;
        TRY(file_writer_append(writer, bytes, size, diagnostic));
    }
    TRY(file_writer_commit(&writer, diagnostic));
out:
    file_writer_abandon(&writer);
    free(bytes);
    return status;
}

static Status copy_segment(const char *folder, const char *target, uint64_t epoch, uint64_t last, uint64_t *next_sequence,
                           const FileSystem *fs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Segment segment = {0};
    bool sealed;
    uint64_t length;
    char *from = segment_log_path(folder, epoch), *to = segment_log_path(target, epoch);
    char *seal_from = segment_seal_path(folder, epoch + 1), *seal_to = segment_seal_path(target, epoch + 1);
    TRY(segment_read_seal(folder, epoch + 1, &sealed, &length, diagnostic));
    if (sealed)
        TRY(segment_load(&segment, folder, epoch, *next_sequence, &length, diagnostic));
    else
        TRY(segment_load_live(&segment, folder, epoch, *next_sequence, diagnostic));
    *next_sequence += segment.record_count;
    if (path_exists(from))
        TRY(copy_file(fs, from, to, segment.length, diagnostic));
    if (sealed && epoch < last)
        TRY(copy_file(fs, seal_from, seal_to, UINT64_MAX, diagnostic));
out:
    segment_free(&segment);
    free(from);
    free(to);
    free(seal_from);
    free(seal_to);
    return status;
}

static Status copy_all(const char *folder, const char *target, const FileSystem *fs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint64_t last, newest, records = 0;
    char *from = NULL, *to = NULL;
    TRY(segment_last_epoch(folder, &last, diagnostic));
    if (last == 0)
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "%s holds no journal", folder);
    TRY(journal_snapshot_newest(folder, &newest, diagnostic));
    if (newest > 0) {
        from = journal_snapshot_path(folder, newest);
        to = journal_snapshot_path(target, newest);
        TRY(copy_file(fs, from, to, UINT64_MAX, diagnostic));
        TRY(journal_snapshot_check(target, newest, &records, diagnostic));
    }
    for (uint64_t epoch = newest + 1, next_sequence = records + 1; epoch <= last; epoch++)
        TRY(copy_segment(folder, target, epoch, last, &next_sequence, fs, diagnostic));
out:
    free(from);
    free(to);
    return status;
}

Status journal_backup(const char *folder, const char *target, const FileSystem *fs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *temporary = memory_format("%s.tmp-%ld", target, (long)getpid()), *parent = path_folder(target);
    if (path_exists(target))
        TRY_FAIL(diagnostic, STATUS_EXISTS, "%s exists already: choose another folder, or remove it first", target);
    TRY(folder_create(fs, temporary, diagnostic));
    TRY(copy_all(folder, temporary, fs, diagnostic));
    TRY(folder_sync(fs, temporary, diagnostic));
    if (fs->rename(fs->context, temporary, target) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot rename the finished copy to %s: %s", target, strerror(errno));
    TRY(folder_sync(fs, parent, diagnostic));
out:
    if (status != STATUS_OK && path_is_folder(temporary)) {
        Status removed = folder_remove_tree(temporary, NULL);
        (void)removed; /* the first failure is the one to tell */
    }
    free(parent);
    free(temporary);
    return status;
}
