#include "core/store/journal_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/io/hash.h"
#include "core/store/journal_segment.h"

enum { HEADER_SIZE = 40, FRAME_SIZE = 16, END_SIZE = 24, ALIGNMENT = 8, BUFFER_SIZE = 1024 * 1024 };
#define SNAPSHOT_SIZE_LIMIT ((size_t)16 << 30)
#define NUMBER_MASK UINT32_C(0x7FFFFFFF)

static const char snapshot_magic[8] = {'n', 's', 'w', 's', 'n', 'a', 'p', '1'};
static const char end_magic[8] = {'n', 's', 'w', 's', 'e', 'n', 'd', '1'};

struct JournalSnapshot {
    FileWriter *writer;
    char *path;
    uint64_t count;
    Text buffered;
};

char *journal_snapshot_path(const char *folder, JournalPosition position)
{
    return memory_format("%s/snapshot-%06llu-%012llu.log", folder, (unsigned long long)position.epoch,
                         (unsigned long long)position.next_sequence);
}

/* ------------------------------------------------------------------------------------------------ writing */

static Status flush(JournalSnapshot *snapshot, Diagnostic *diagnostic)
{
    Status status = file_writer_append(snapshot->writer, snapshot->buffered.bytes, snapshot->buffered.size, diagnostic);
    text_clear(&snapshot->buffered);
    return status;
}

Status journal_snapshot_begin(JournalSnapshot **snapshot, const char *folder, const FileSystem *fs, JournalPosition covers,
                              Diagnostic *diagnostic)
{
    *snapshot = NULL;
    JournalSnapshot *begun = memory_allocate(1, sizeof *begun);
    begun->path = journal_snapshot_path(folder, covers);
    Status status = file_writer_begin(&begun->writer, fs, begun->path, diagnostic);
    if (status != STATUS_OK) {
        journal_snapshot_abandon(&begun);
        return status;
    }
    unsigned char header[HEADER_SIZE];
    memcpy(header, snapshot_magic, sizeof snapshot_magic);
    segment_store_number(header + 8, covers.epoch, 8);
    segment_store_number(header + 16, covers.offset, 8);
    segment_store_number(header + 24, covers.next_sequence, 8);
    segment_store_number(header + 32, checksum64(header, 32), 8);
    text_append(&begun->buffered, (const char *)header, sizeof header);
    *snapshot = begun;
    return STATUS_OK;
}

Status journal_snapshot_append(JournalSnapshot *snapshot, const void *payload, size_t size, Diagnostic *diagnostic)
{
    if (size > JOURNAL_RECORD_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "a record of a snapshot has %zu bytes, over the limit of %d", size,
                    JOURNAL_RECORD_LIMIT);
    segment_append_record(&snapshot->buffered, ++snapshot->count, false, payload, size);
    return snapshot->buffered.size < BUFFER_SIZE ? STATUS_OK : flush(snapshot, diagnostic);
}

Status journal_snapshot_commit(JournalSnapshot **snapshot, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    JournalSnapshot *ending = *snapshot;
    unsigned char end[END_SIZE];
    memcpy(end, end_magic, sizeof end_magic);
    segment_store_number(end + 8, ending->count, 8);
    segment_store_number(end + 16, checksum64(end, 16), 8);
    text_append(&ending->buffered, (const char *)end, sizeof end);
    TRY(flush(ending, diagnostic));
    if (fault_point("journal.snapshot_written"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at journal.snapshot_written in %s", ending->path);
    TRY(file_writer_commit(&ending->writer, diagnostic));
out:
    journal_snapshot_abandon(snapshot);
    return status;
}

void journal_snapshot_abandon(JournalSnapshot **snapshot)
{
    JournalSnapshot *ended = *snapshot;
    *snapshot = NULL;
    if (!ended)
        return;
    file_writer_abandon(&ended->writer);
    text_free(&ended->buffered);
    free(ended->path);
    free(ended);
}

/* ------------------------------------------------------------------------------------------------ finding */

/* The digits from *at on that stand before `end`; false: there are none, or too many. */
static bool read_digits(const char **at, char end, uint64_t *number)
{
    enum { DIGITS_LIMIT = 18 };
    const char *digit = *at;
    *number = 0;
    for (; *digit >= '0' && *digit <= '9' && digit - *at < DIGITS_LIMIT; digit++)
        *number = *number * 10 + (uint64_t)(*digit - '0');
    bool found = digit > *at && *digit == end;
    *at = digit + 1;
    return found;
}

static bool position_of_name(const char *name, JournalPosition *position)
{
    static const char prefix[] = "snapshot-";
    *position = (JournalPosition){0};
    const char *at = name + sizeof prefix - 1;
    return strncmp(name, prefix, sizeof prefix - 1) == 0 && read_digits(&at, '-', &position->epoch) &&
           read_digits(&at, '.', &position->next_sequence) && strcmp(at, "log") == 0 && position->epoch > 0 &&
           position->epoch <= SEGMENT_EPOCH_LIMIT && position->next_sequence > 0;
}

static int compare_positions(const void *a, const void *b)
{
    const JournalPosition *left = a, *right = b;
    if (left->next_sequence != right->next_sequence)
        return left->next_sequence < right->next_sequence ? -1 : 1;
    return left->epoch < right->epoch ? -1 : left->epoch > right->epoch;
}

Status journal_snapshot_list(const char *folder, JournalPositions *positions, Diagnostic *diagnostic)
{
    *positions = (JournalPositions){0};
    StringArray names = {0};
    if (!path_exists(folder))
        return STATUS_OK;
    Status status = folder_list(folder, &names, diagnostic);
    for (size_t i = 0; i < names.count; i++) {
        JournalPosition position;
        if (position_of_name(names.items[i], &position))
            array_push(positions, position);
    }
    if (positions->count > 1)
        qsort(positions->items, positions->count, sizeof *positions->items, compare_positions);
    string_array_free(&names);
    return status;
}

/* ------------------------------------------------------------------------------------------------ reading */

static Status damaged(const char *path, size_t offset, const char *what, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_CORRUPT, "%s: %s at offset %zu: restore the file from a backup", path, what, offset);
}

static size_t padded(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Checks all of a snapshot's bytes. */
static Status check_bytes(const char *path, const char *bytes, size_t size, JournalPosition *position, uint64_t *count,
                          Diagnostic *diagnostic)
{
    if (size < HEADER_SIZE + END_SIZE || memcmp(bytes, snapshot_magic, sizeof snapshot_magic - 1) != 0 ||
        segment_load_number(bytes + 32, 8) != checksum64(bytes, 32))
        return damaged(path, 0, "the header is damaged", diagnostic);
    if (bytes[7] != snapshot_magic[7])
        return FAIL(diagnostic, STATUS_MISMATCH, "%s is of format %c; this nersweep reads format %c: use a newer one", path,
                    bytes[7], snapshot_magic[7]);
    if (segment_load_number(bytes + 8, 8) != position->epoch || segment_load_number(bytes + 24, 8) != position->next_sequence)
        return damaged(path, 0, "the header is that of another snapshot", diagnostic);
    position->offset = segment_load_number(bytes + 16, 8);
    size_t end = size - END_SIZE, offset = HEADER_SIZE;
    if (memcmp(bytes + end, end_magic, sizeof end_magic) != 0 ||
        segment_load_number(bytes + end + 16, 8) != checksum64(bytes + end, 16))
        return damaged(path, end, "its end is damaged", diagnostic);
    for (*count = 0; offset < end; ++*count) {
        size_t payload_size = end - offset >= FRAME_SIZE ? segment_load_number(bytes + offset + 8, 4) : SIZE_MAX;
        if (payload_size > JOURNAL_RECORD_LIMIT || end - offset - FRAME_SIZE < padded(payload_size) ||
            segment_load_number(bytes + offset + 12, 4) != ((*count + 1) & NUMBER_MASK) << 1 ||
            segment_load_number(bytes + offset, 8) != checksum64(bytes + offset + 8, FRAME_SIZE - 8 + payload_size))
            return damaged(path, offset, "a record is damaged", diagnostic);
        offset += FRAME_SIZE + padded(payload_size);
    }
    if (segment_load_number(bytes + end + 8, 8) != *count || position->offset % ALIGNMENT != 0 ||
        position->offset < SEGMENT_HEADER_SIZE)
        return damaged(path, end, "records are missing", diagnostic);
    return STATUS_OK;
}

/* A snapshot that was read and found whole. */
typedef struct Loaded {
    char *bytes;
    size_t size;
    uint64_t count;
} Loaded;

static Status load(const char *folder, JournalPosition *position, Loaded *loaded, Diagnostic *diagnostic)
{
    *loaded = (Loaded){0};
    char *path = journal_snapshot_path(folder, *position);
    Status status = file_read_part(path, 0, SNAPSHOT_SIZE_LIMIT, &loaded->bytes, &loaded->size, diagnostic);
    if (status == STATUS_OK)
        status = check_bytes(path, loaded->bytes, loaded->size, position, &loaded->count, diagnostic);
    if (status != STATUS_OK) {
        free(loaded->bytes);
        *loaded = (Loaded){0};
    }
    free(path);
    return status;
}

static Status replay_loaded(const Loaded *loaded, JournalReplay replay, void *context, Diagnostic *diagnostic)
{
    size_t offset = HEADER_SIZE;
    for (uint64_t i = 0; i < loaded->count && replay; i++) {
        size_t size = segment_load_number(loaded->bytes + offset + 8, 4);
        Status status = replay(context, 0, loaded->bytes + offset + FRAME_SIZE, size, diagnostic);
        if (status != STATUS_OK)
            return status;
        offset += FRAME_SIZE + padded(size);
    }
    return STATUS_OK;
}

Status journal_snapshot_check(const char *folder, JournalPosition *position, uint64_t *count, Diagnostic *diagnostic)
{
    Loaded loaded;
    Status status = load(folder, position, &loaded, diagnostic);
    *count = loaded.count;
    free(loaded.bytes);
    return status;
}

Status journal_snapshot_replay(const char *folder, JournalReplay replay, void *context, JournalPosition *position,
                               Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    JournalPositions positions;
    Loaded loaded = {0};
    *position = (JournalPosition){0};
    TRY(journal_snapshot_list(folder, &positions, diagnostic));
    for (size_t i = positions.count; i-- > 0 && !loaded.bytes;) {
        Diagnostic problem = {0};
        status = load(folder, &positions.items[i], &loaded, &problem);
        if (status == STATUS_CORRUPT) {
            LOG_WARNING("%s; what came before it is read instead", problem.message);
            continue;
        }
        if (status != STATUS_OK && diagnostic)
            *diagnostic = problem;
        TRY(status);
        *position = positions.items[i];
    }
    status = loaded.bytes ? replay_loaded(&loaded, replay, context, diagnostic) : STATUS_OK;
out:
    free(loaded.bytes);
    array_free(&positions);
    return status;
}
