#include "core/store/journal_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/io/hash.h"
#include "core/store/journal_ahead.h"
#include "core/store/journal_segment.h"

enum { FRAME_SIZE = 16, END_SIZE = 32, ALIGNMENT = 8, BLOCK_SIZE_LIMIT = 4 * JOURNAL_RECORD_LIMIT };

static const char snapshot_magic[8] = {'n', 's', 'w', 's', 'n', 'a', 'p', '1'};

char *journal_snapshot_path(const char *folder, uint64_t epoch)
{
    return memory_format("%s/snapshot-%06llu.log", folder, (unsigned long long)epoch);
}

static size_t padded(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ------------------------------------------------------------------------------------------------ finding */

static uint64_t epoch_of_name(const char *name)
{
    unsigned long long epoch = 0;
    int end = 0;
    char again[64];
    if (sscanf(name, "snapshot-%18llu.log%n", &epoch, &end) != 1 || end == 0 || epoch == 0 || epoch > SEGMENT_EPOCH_LIMIT)
        return 0;
    snprintf(again, sizeof again, "snapshot-%06llu.log", epoch);
    return strcmp(name, again) == 0 ? epoch : 0;
}

static int compare_epochs(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

Status journal_snapshot_list(const char *folder, JournalEpochs *epochs, Diagnostic *diagnostic)
{
    *epochs = (JournalEpochs){0};
    StringArray names = {0};
    if (!path_exists(folder))
        return STATUS_OK;
    Status status = folder_list(folder, &names, diagnostic);
    for (size_t i = 0; i < names.count; i++)
        if (epoch_of_name(names.items[i]) > 0)
            array_push(epochs, epoch_of_name(names.items[i]));
    if (epochs->count > 1)
        qsort(epochs->items, epochs->count, sizeof *epochs->items, compare_epochs);
    string_array_free(&names);
    return status;
}

/* ------------------------------------------------------------------------------------------------ reading */

/* A snapshot that is open: read block by block, since all of it would fill more memory than it is worth. */
typedef struct Snapshot {
    char *path;
    int file;
    uint64_t end; /* of the blocks */
    uint64_t record_count;
    Text bytes; /* what was read last */
} Snapshot;

static Status damaged(const Snapshot *snapshot, uint64_t offset, const char *what, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_CORRUPT, "%s: %s at offset %" PRIu64 ": restore the file from a backup", snapshot->path, what,
                offset);
}

/* Puts size bytes from an offset on behind the first `kept` ones of snapshot->bytes. */
static Status read_bytes(Snapshot *snapshot, uint64_t offset, size_t kept, size_t size, Diagnostic *diagnostic)
{
    Text *bytes = &snapshot->bytes;
    bytes->size = kept;
    text_reserve(bytes, size);
    while (bytes->size < kept + size) {
        ssize_t got = pread(snapshot->file, bytes->bytes + bytes->size, kept + size - bytes->size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(diagnostic, status_from_errno(errno), "cannot read %s: %s", snapshot->path, strerror(errno));
        if (got == 0)
            return damaged(snapshot, offset, "the file was cut off", diagnostic);
        bytes->size += (size_t)got;
        offset += (size_t)got;
    }
    return STATUS_OK;
}

static void close_snapshot(Snapshot *snapshot)
{
    if (snapshot->path && snapshot->file >= 0)
        close(snapshot->file);
    free(snapshot->path);
    text_free(&snapshot->bytes);
    *snapshot = (Snapshot){0};
}

static Status open_file(Snapshot *snapshot, uint64_t *size, Diagnostic *diagnostic)
{
    struct stat found;
    snapshot->file = open(snapshot->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* what is put there must not be waited for */
    if (snapshot->file < 0 || fstat(snapshot->file, &found) != 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", snapshot->path, strerror(errno));
    if (!S_ISREG(found.st_mode))
        return FAIL(diagnostic, STATUS_CORRUPT, "%s is no file", snapshot->path);
    *size = (uint64_t)found.st_size;
    return STATUS_OK;
}

/* Opens it and checks its end, which says how many records it has. */
static Status open_snapshot(Snapshot *snapshot, const char *folder, uint64_t epoch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint64_t size = 0;
    *snapshot = (Snapshot){.path = journal_snapshot_path(folder, epoch), .file = -1};
    TRY(open_file(snapshot, &size, diagnostic));
    if (size < END_SIZE) {
        status = damaged(snapshot, 0, "the file is too short", diagnostic);
        goto out;
    }
    snapshot->end = size - END_SIZE;
    TRY(read_bytes(snapshot, snapshot->end, 0, END_SIZE, diagnostic));
    const char *last = snapshot->bytes.bytes;
    if (memcmp(last, snapshot_magic, sizeof snapshot_magic - 1) != 0 || segment_load_number(last + 24, 8) != checksum64(last, 24))
        status = damaged(snapshot, snapshot->end, "the end is damaged", diagnostic);
    else if (last[7] != snapshot_magic[7])
        status = FAIL(diagnostic, STATUS_MISMATCH, "%s is of format %c; this nersweep reads format %c: use a newer one",
                      snapshot->path, last[7], snapshot_magic[7]);
    else if (segment_load_number(last + 8, 8) != epoch)
        status = damaged(snapshot, snapshot->end, "the end is that of another snapshot", diagnostic);
    snapshot->record_count = segment_load_number(last + 16, 8);
out:
    if (status != STATUS_OK)
        close_snapshot(snapshot);
    return status;
}

/* The block whose frame is at *offset, which goes on to the next one. */
static Status read_block(Snapshot *snapshot, uint64_t *offset, size_t *size, Diagnostic *diagnostic)
{
    uint64_t left = snapshot->end - *offset;
    *size = 0;
    if (left < FRAME_SIZE)
        return damaged(snapshot, *offset, "a block is damaged", diagnostic);
    Status status = read_bytes(snapshot, *offset, 0, FRAME_SIZE, diagnostic);
    if (status != STATUS_OK)
        return status;
    *size = segment_load_number(snapshot->bytes.bytes + 8, 4);
    if (*size < 4 || *size > BLOCK_SIZE_LIMIT || left - FRAME_SIZE < padded(*size))
        return damaged(snapshot, *offset, "a block is damaged", diagnostic);
    status = read_bytes(snapshot, *offset + FRAME_SIZE, FRAME_SIZE, *size, diagnostic);
    *offset += FRAME_SIZE + padded(*size);
    return status;
}

/* Where a snapshot is read. */
typedef struct Place {
    Snapshot *snapshot;
    uint64_t offset, number, record_count; /* of the next block; of the records before it */
} Place;

/* The next block, checked and taken apart; at the end, that nothing is missing. */
static Status next_block(void *context, Unpacked *unpacked, bool *more, Diagnostic *diagnostic)
{
    Place *place = context;
    Snapshot *snapshot = place->snapshot;
    uint64_t begin = place->offset;
    size_t size;
    *more = begin < snapshot->end;
    if (!*more)
        return place->record_count == snapshot->record_count ? STATUS_OK
                                                             : damaged(snapshot, begin, "records are missing", diagnostic);
    Status status = read_block(snapshot, &place->offset, &size, diagnostic);
    if (status != STATUS_OK)
        return status;
    const char *bytes = snapshot->bytes.bytes;
    if (segment_load_number(bytes + 12, 4) != place->number++ ||
        segment_load_number(bytes, 8) != checksum64(bytes + 8, FRAME_SIZE - 8 + size))
        return damaged(snapshot, begin, "a block is damaged", diagnostic);
    status = unpack_block(unpacked, bytes + FRAME_SIZE, size, diagnostic);
    place->record_count += unpacked->ends.count;
    return status;
}

/* Replays as many records as are whole. *refused: it is replay that failed. */
static Status replay_blocks(Snapshot *snapshot, JournalReplay replay, void *context, bool *refused, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Place place = {.snapshot = snapshot};
    Ahead *ahead = ahead_begin(next_block, &place);
    const Unpacked *unpacked = NULL;
    uint64_t sequence = 1;
    *refused = false;
    while (true) {
        TRY(ahead_next(ahead, &unpacked, diagnostic));
        if (!unpacked)
            break;
        for (size_t i = 0, begin = 0; i < unpacked->ends.count && status == STATUS_OK; begin = unpacked->ends.items[i++])
            status = replay(context, sequence++, unpacked->bytes.bytes + begin, unpacked->ends.items[i] - begin, diagnostic);
        *refused = status != STATUS_OK;
        if (*refused)
            goto out;
    }
out:
    ahead_end(&ahead);
    return status;
}

/* Replays the newest one; where it turns out to be damaged, the one before it, whose records are the same ones, and so on. replay NULL: only
 * what it says of itself at its end. *epoch 0: there is none. */
static Status use_newest(const char *folder, JournalReplay replay, void *context, uint64_t *epoch, uint64_t *next_sequence,
                         Diagnostic *diagnostic)
{
    JournalEpochs epochs;
    *epoch = 0;
    *next_sequence = 1;
    Status status = journal_snapshot_list(folder, &epochs, diagnostic);
    for (size_t i = epochs.count; status == STATUS_OK && *epoch == 0 && i-- > 0;) {
        Snapshot snapshot;
        Diagnostic problem = {0};
        bool refused = false;
        status = open_snapshot(&snapshot, folder, epochs.items[i], &problem);
        if (status == STATUS_OK && replay)
            status = replay_blocks(&snapshot, replay, context, &refused, &problem);
        if (status == STATUS_OK) {
            *epoch = epochs.items[i];
            *next_sequence = snapshot.record_count + 1;
        } else if (status == STATUS_CORRUPT && !refused) {
            LOG_WARNING("%s; what came before it is read instead", problem.message);
            status = STATUS_OK;
        } else if (diagnostic) {
            *diagnostic = problem;
        }
        close_snapshot(&snapshot);
    }
    array_free(&epochs);
    return status;
}

Status journal_snapshot_replay(const char *folder, JournalReplay replay, void *context, uint64_t *epoch, uint64_t *next_sequence,
                               Diagnostic *diagnostic)
{
    return use_newest(folder, replay, context, epoch, next_sequence, diagnostic);
}

Status journal_snapshot_end(const char *folder, uint64_t *epoch, uint64_t *next_sequence, Diagnostic *diagnostic)
{
    return use_newest(folder, NULL, NULL, epoch, next_sequence, diagnostic);
}

static Status ignore(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic)
{
    (void)context, (void)sequence, (void)payload, (void)size, (void)diagnostic;
    return STATUS_OK;
}

Status journal_snapshot_newest(const char *folder, uint64_t *epoch, Diagnostic *diagnostic)
{
    uint64_t next_sequence;
    return use_newest(folder, ignore, NULL, epoch, &next_sequence, diagnostic);
}

Status journal_snapshot_check(const char *folder, uint64_t epoch, uint64_t *count, Diagnostic *diagnostic)
{
    Snapshot snapshot;
    bool refused;
    Status status = open_snapshot(&snapshot, folder, epoch, diagnostic);
    *count = snapshot.record_count;
    if (status == STATUS_OK)
        status = replay_blocks(&snapshot, ignore, NULL, &refused, diagnostic);
    close_snapshot(&snapshot);
    return status;
}

/* ------------------------------------------------------------------------------------------------ writing */

typedef struct Maker {
    FileWriter *writer;
    Packer *packer;
    Text block;
    uint64_t block_count, record_count;
    const atomic_bool *cancelled;
} Maker;

static Status write_block(Maker *maker, Diagnostic *diagnostic)
{
    static const char zeros[ALIGNMENT];
    unsigned char frame[FRAME_SIZE] = {0};
    Text *text = &maker->block;
    text_clear(text);
    text_append(text, (const char *)frame, sizeof frame);
    packer_take(maker->packer, text);
    size_t size = text->size - FRAME_SIZE;
    segment_store_number((unsigned char *)text->bytes + 8, size, 4);
    segment_store_number((unsigned char *)text->bytes + 12, maker->block_count++, 4);
    segment_store_number((unsigned char *)text->bytes, checksum64(text->bytes + 8, text->size - 8), 8);
    text_append(text, zeros, padded(size) - size);
    return file_writer_append(maker->writer, text->bytes, text->size, diagnostic);
}

static Status pack_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic)
{
    Maker *maker = context;
    if (sequence <= maker->record_count) /* of a damaged snapshot, and now again of what came before it */
        return STATUS_OK;
    ASSERT(sequence == maker->record_count + 1);
    maker->record_count++;
    packer_add(maker->packer, payload, size);
    if (!packer_full(maker->packer))
        return STATUS_OK;
    if (maker->cancelled && atomic_load(maker->cancelled))
        return FAIL(diagnostic, STATUS_INTERRUPTED, "the snapshot was cancelled");
    return write_block(maker, diagnostic);
}

static Status write_end(Maker *maker, uint64_t epoch, Diagnostic *diagnostic)
{
    unsigned char end[END_SIZE];
    memcpy(end, snapshot_magic, sizeof snapshot_magic);
    segment_store_number(end + 8, epoch, 8);
    segment_store_number(end + 16, maker->record_count, 8);
    segment_store_number(end + 24, checksum64(end, 24), 8);
    return file_writer_append(maker->writer, end, sizeof end, diagnostic);
}

/* The records of the newest snapshot and of the sealed segments behind it, up to those of `epoch`. */
static Status pack_all(Maker *maker, const char *folder, uint64_t epoch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Segment segment = {0};
    uint64_t done, next_sequence, length;
    TRY(journal_snapshot_replay(folder, pack_record, maker, &done, &next_sequence, diagnostic));
    if (done > epoch)
        TRY_FAIL(diagnostic, STATUS_BUSY, "%s got a newer snapshot in the meantime", folder);
    while (++done <= epoch) {
        bool sealed;
        TRY(segment_read_seal(folder, done + 1, &sealed, &length, diagnostic));
        if (!sealed)
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s/epoch-%06llu.json is missing: restore it from a backup", folder,
                     (unsigned long long)done + 1);
        TRY(segment_load(&segment, folder, done, next_sequence, &length, diagnostic));
        TRY(segment_replay(&segment, pack_record, maker, diagnostic));
        next_sequence += segment.record_count;
        segment_free(&segment);
    }
    if (!packer_empty(maker->packer))
        TRY(write_block(maker, diagnostic));
out:
    segment_free(&segment);
    return status;
}

/* The last epoch that is sealed; 0: none. */
static Status last_sealed(const char *folder, uint64_t *epoch, Diagnostic *diagnostic)
{
    uint64_t length;
    Status status = segment_last_epoch(folder, epoch, diagnostic);
    for (bool sealed = false; status == STATUS_OK && !sealed && *epoch > 0;) {
        status = segment_read_seal(folder, *epoch, &sealed, &length, diagnostic); /* made by this epoch for the one before */
        --*epoch;
    }
    return status;
}

Status journal_snapshot_make(const char *folder, const FileSystem *fs, const atomic_bool *cancelled, uint64_t *epoch,
                             Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Maker maker = {.packer = packer_create(), .cancelled = cancelled};
    uint64_t newest = 0;
    char *path = NULL;
    *epoch = 0;
    TRY(last_sealed(folder, epoch, diagnostic));
    TRY(journal_snapshot_newest(folder, &newest, diagnostic));
    if (*epoch <= newest) {
        *epoch = newest;
        goto out;
    }
    path = journal_snapshot_path(folder, *epoch);
    TRY(file_writer_begin(&maker.writer, fs, path, diagnostic));
    TRY(pack_all(&maker, folder, *epoch, diagnostic));
    TRY(write_end(&maker, *epoch, diagnostic));
    if (fault_point("journal.snapshot_written"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at journal.snapshot_written in %s", path);
    TRY(file_writer_commit(&maker.writer, diagnostic));
out:
    file_writer_abandon(&maker.writer);
    packer_destroy(&maker.packer);
    text_free(&maker.block);
    free(path);
    return status;
}
