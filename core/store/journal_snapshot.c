#include "core/store/journal_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/io/hash.h"
#include "core/store/journal_pack.h"
#include "core/store/journal_segment.h"

enum { FRAME_SIZE = 16, END_SIZE = 32, ALIGNMENT = 8 };
#define SNAPSHOT_SIZE_LIMIT ((size_t)16 << 30)

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

/* A snapshot's bytes, found whole. */
typedef struct Loaded {
    char *bytes;
    size_t end; /* of the blocks */
    uint64_t record_count;
} Loaded;

static Status damaged(const char *path, size_t offset, const char *what, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_CORRUPT, "%s: %s at offset %zu: restore the file from a backup", path, what, offset);
}

/* Checks all of its bytes; the records are counted where a block says how many it has. */
static Status check_bytes(const char *path, Loaded *loaded, size_t size, uint64_t epoch, Diagnostic *diagnostic)
{
    if (size < END_SIZE)
        return damaged(path, 0, "the file is too short", diagnostic);
    const char *bytes = loaded->bytes, *last = bytes + size - END_SIZE;
    uint64_t found = 0;
    loaded->end = size - END_SIZE;
    if (memcmp(last, snapshot_magic, sizeof snapshot_magic - 1) != 0 || segment_load_number(last + 24, 8) != checksum64(last, 24))
        return damaged(path, loaded->end, "the end is damaged", diagnostic);
    if (last[7] != snapshot_magic[7])
        return FAIL(diagnostic, STATUS_MISMATCH, "%s is of format %c; this nersweep reads format %c: use a newer one", path,
                    last[7], snapshot_magic[7]);
    if (segment_load_number(last + 8, 8) != epoch)
        return damaged(path, loaded->end, "the end is that of another snapshot", diagnostic);
    loaded->record_count = segment_load_number(last + 16, 8);
    for (size_t offset = 0, number = 0; offset < loaded->end; number++) {
        size_t left = loaded->end - offset, block = left >= FRAME_SIZE ? segment_load_number(bytes + offset + 8, 4) : SIZE_MAX;
        if (block > left || left - FRAME_SIZE < padded(block) || block < 4 ||
            segment_load_number(bytes + offset + 12, 4) != number ||
            segment_load_number(bytes + offset, 8) != checksum64(bytes + offset + 8, FRAME_SIZE - 8 + block))
            return damaged(path, offset, "a block is damaged", diagnostic);
        found += segment_load_number(bytes + offset + FRAME_SIZE, 4);
        offset += FRAME_SIZE + padded(block);
    }
    return found == loaded->record_count ? STATUS_OK : damaged(path, loaded->end, "records are missing", diagnostic);
}

static Status load(const char *folder, uint64_t epoch, Loaded *loaded, Diagnostic *diagnostic)
{
    *loaded = (Loaded){0};
    size_t size;
    char *path = journal_snapshot_path(folder, epoch);
    Status status = file_read_part(path, 0, SNAPSHOT_SIZE_LIMIT, &loaded->bytes, &size, diagnostic);
    if (status == STATUS_OK)
        status = check_bytes(path, loaded, size, epoch, diagnostic);
    if (status != STATUS_OK) {
        free(loaded->bytes);
        *loaded = (Loaded){0};
    }
    free(path);
    return status;
}

static Status replay_loaded(const Loaded *loaded, JournalReplay replay, void *context, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Unpacked unpacked = {0};
    uint64_t sequence = 1;
    for (size_t offset = 0; offset < loaded->end && replay;) {
        size_t block = segment_load_number(loaded->bytes + offset + 8, 4);
        TRY(unpack_block(&unpacked, loaded->bytes + offset + FRAME_SIZE, block, diagnostic));
        for (size_t i = 0, begin = 0; i < unpacked.ends.count; begin = unpacked.ends.items[i++])
            TRY(replay(context, sequence++, unpacked.bytes.bytes + begin, unpacked.ends.items[i] - begin, diagnostic));
        offset += FRAME_SIZE + padded(block);
    }
out:
    unpacked_free(&unpacked);
    return status;
}

/* The newest one that is whole. *epoch 0: there is none. */
static Status load_newest(const char *folder, Loaded *loaded, uint64_t *epoch, Diagnostic *diagnostic)
{
    JournalEpochs epochs;
    *epoch = 0;
    *loaded = (Loaded){0};
    Status status = journal_snapshot_list(folder, &epochs, diagnostic);
    for (size_t i = epochs.count; status == STATUS_OK && *epoch == 0 && i-- > 0;) {
        Diagnostic problem = {0};
        status = load(folder, epochs.items[i], loaded, &problem);
        if (status == STATUS_CORRUPT) {
            LOG_WARNING("%s; what came before it is read instead", problem.message);
            status = STATUS_OK;
        } else if (status == STATUS_OK) {
            *epoch = epochs.items[i];
        } else if (diagnostic) {
            *diagnostic = problem;
        }
    }
    array_free(&epochs);
    return status;
}

Status journal_snapshot_replay(const char *folder, JournalReplay replay, void *context, uint64_t *epoch, uint64_t *next_sequence,
                               Diagnostic *diagnostic)
{
    Loaded loaded;
    Status status = load_newest(folder, &loaded, epoch, diagnostic);
    *next_sequence = loaded.record_count + 1;
    if (status == STATUS_OK && *epoch > 0)
        status = replay_loaded(&loaded, replay, context, diagnostic);
    free(loaded.bytes);
    return status;
}

Status journal_snapshot_newest(const char *folder, uint64_t *epoch, Diagnostic *diagnostic)
{
    Loaded loaded;
    Status status = load_newest(folder, &loaded, epoch, diagnostic);
    free(loaded.bytes);
    return status;
}

static Status ignore(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic)
{
    (void)context, (void)sequence, (void)payload, (void)size, (void)diagnostic;
    return STATUS_OK;
}

Status journal_snapshot_check(const char *folder, uint64_t epoch, uint64_t *count, Diagnostic *diagnostic)
{
    Loaded loaded;
    Status status = load(folder, epoch, &loaded, diagnostic);
    *count = loaded.record_count;
    if (status == STATUS_OK)
        status = replay_loaded(&loaded, ignore, NULL, diagnostic);
    free(loaded.bytes);
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
