#include "shard/shard_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/io/file.h"

#define TEMPORARY_PREFIX SHARD_FILE_NAME ".tmp-"

enum { TRANSACTION_BYTES = 4 << 20, LOCK_WAIT_MS = 100, LOCK_WAIT_LIMIT_MS = 3600 * 1000 };

struct ShardWriter {
    char *folder, *path, *temporary;
    KvEnvironment *environment;
    KvTransaction *transaction;
    KvTable metadata, windows, infos, sequences;
    size_t transaction_bytes;
    int32_t split;
    int64_t window_count, sequence_count; /* of this split */
    ARRAY(ShardWindowInfo) chunk;         /* infos of this split that are not written yet */
    Text record;
    int32_t outside, later_piece; /* the labels that are no span, -1: there is none */
};

static bool is_stale(const char *name, bool locked)
{
    if (strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) != 0)
        return false;
    long process = strtol(name + strlen(TEMPORARY_PREFIX), NULL, 10);
    return locked || (process > 0 && kill((pid_t)process, 0) != 0 && errno == ESRCH);
}

static Status stale_remove(const char *folder, bool locked, Diagnostic *diagnostic)
{
    StringArray names = {0};
    Status status = folder_list(folder, &names, diagnostic);
    for (size_t i = 0; status == STATUS_OK && i < names.count; i++) {
        if (!is_stale(names.items[i], locked))
            continue;
        char *path = path_join(folder, names.items[i]);
        LOG_INFO("removing %s, which an interrupted run has left", path);
        if (unlink(path) != 0 && errno != ENOENT)
            LOG_WARNING("cannot remove %s: %s", path, strerror(errno));
        free(path);
    }
    string_array_free(&names);
    return status;
}

Status shard_folder_lock(const char *folder, const volatile int *interrupted, int *lock, Diagnostic *diagnostic)
{
    *lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the folder %s: %s", folder, strerror(errno));
    const Clock *clock = clock_system();
    int error = 0;
    for (int waited_ms = 0;; waited_ms += LOCK_WAIT_MS) {
        error = flock(*lock, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        if (error != EWOULDBLOCK && error != EINTR)
            break;
        if (waited_ms == 0)
            LOG_INFO("another process is making shards in %s: waiting for it", folder);
        if (interrupted && *interrupted)
            return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted while waiting for another process that makes shards in %s",
                        folder);
        if (waited_ms >= LOCK_WAIT_LIMIT_MS)
            return FAIL(diagnostic, STATUS_BUSY, "another process has been making shards in %s for an hour: is it stuck?", folder);
        clock->sleep_ns(clock->context, (int64_t)LOCK_WAIT_MS * 1000000);
    }
    return stale_remove(folder, error == 0, diagnostic);
}

static Status transaction_begin(ShardWriter *writer, Diagnostic *diagnostic)
{
    writer->transaction_bytes = 0;
    Status status = kv_begin(&writer->transaction, writer->environment, false, diagnostic);
    if (status == STATUS_OK)
        status = kv_table(writer->transaction, SHARD_TABLE_METADATA, true, &writer->metadata, diagnostic);
    if (status == STATUS_OK)
        status = kv_table(writer->transaction, SHARD_TABLE_WINDOWS, true, &writer->windows, diagnostic);
    if (status == STATUS_OK)
        status = kv_table(writer->transaction, SHARD_TABLE_INFOS, true, &writer->infos, diagnostic);
    if (status == STATUS_OK)
        status = kv_table(writer->transaction, SHARD_TABLE_SEQUENCES, true, &writer->sequences, diagnostic);
    return status;
}

Status shard_writer_begin(ShardWriter **writer, const char *folder, size_t map_size_bytes, const LabelSet *labels,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardWriter *begun = memory_allocate(1, sizeof *begun);
    *writer = begun;
    begun->folder = memory_copy_string(folder);
    begun->outside = label_set_find(labels, "O");
    begun->later_piece = label_set_find(labels, LABEL_LATER_PIECE);
    begun->path = path_join(folder, SHARD_FILE_NAME);
    begun->temporary = memory_format("%s.tmp-%ld", begun->path, (long)getpid());
    KvOptions options = {.no_sync = true, .map_size_bytes = map_size_bytes, .table_limit = SHARD_TABLE_COUNT};
    TRY(kv_open(&begun->environment, begun->temporary, options, diagnostic));
    TRY(transaction_begin(begun, diagnostic));
out:
    if (status != STATUS_OK)
        shard_writer_abandon(writer);
    return status;
}

/* key: behind all others of its table. */
static Status writer_put(ShardWriter *writer, KvTable table, KvBytes key, const void *record, size_t size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (fault_point("shard.write"))
        TRY_FAIL(diagnostic, STATUS_NO_SPACE,
                 "cannot write to %s: No space left on device; free some space or choose another folder", writer->temporary);
    TRY(kv_append(writer->transaction, table, key, (KvBytes){record, size}, diagnostic));
    writer->transaction_bytes += size + key.size;
    if (writer->transaction_bytes >= TRANSACTION_BYTES) {
        TRY(kv_commit(&writer->transaction, diagnostic));
        TRY(transaction_begin(writer, diagnostic));
    }
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "no shards were made");
    return status;
}

/* record: sealed. */
static Status writer_put_indexed(ShardWriter *writer, KvTable table, int64_t index, const unsigned char *record, size_t size,
                                 Diagnostic *diagnostic)
{
    unsigned char key[SHARD_KEY_SIZE];
    if (index > UINT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "a split may have at most %lu windows or sentences: split the corpus",
                    (unsigned long)UINT32_MAX);
    shard_key(key, writer->split, index);
    return writer_put(writer, table, (KvBytes){key, sizeof key}, record, size, diagnostic);
}

/* The infos gathered so far, as the chunk that the last of them is in. */
static Status chunk_flush(ShardWriter *writer, Diagnostic *diagnostic)
{
    if (writer->chunk.count == 0)
        return STATUS_OK;
    shard_record_begin(&writer->record, SHARD_HEAD_PLAIN);
    shard_record_append(&writer->record, writer->chunk.items, writer->chunk.count * sizeof *writer->chunk.items);
    shard_record_finish(&writer->record, SHARD_HEAD_PLAIN);
    writer->chunk.count = 0;
    return writer_put_indexed(writer, writer->infos, (writer->window_count - 1) / SHARD_INFO_CHUNK,
                              (const unsigned char *)writer->record.bytes, writer->record.size, diagnostic);
}

static Status split_begin(ShardWriter *writer, int32_t split, Diagnostic *diagnostic)
{
    if (split == writer->split)
        return STATUS_OK;
    Status status = chunk_flush(writer, diagnostic);
    writer->split = split;
    writer->window_count = writer->sequence_count = 0;
    return status;
}

static Status sequence_put(ShardWriter *writer, unsigned char *record, size_t size, Diagnostic *diagnostic)
{
    shard_record_place(record, (uint32_t)writer->window_count); /* where it does not fit, no window will */
    return writer_put_indexed(writer, writer->sequences, writer->sequence_count++, record, size, diagnostic);
}

/* Of the sequence that was put last. */
static Status window_put(ShardWriter *writer, unsigned char *record, size_t size, const ShardWindowInfo *info,
                         Diagnostic *diagnostic)
{
    shard_record_place(record, (uint32_t)(writer->sequence_count - 1));
    Status status = writer_put_indexed(writer, writer->windows, writer->window_count, record, size, diagnostic);
    if (status != STATUS_OK)
        return status;
    writer->window_count++;
    array_push(&writer->chunk, *info);
    return writer->chunk.count == SHARD_INFO_CHUNK ? chunk_flush(writer, diagnostic) : STATUS_OK;
}

Status shard_writer_add(ShardWriter *writer, int32_t split, ShardRecords *records, Diagnostic *diagnostic)
{
    Status status = split_begin(writer, split, diagnostic);
    for (size_t i = 0; status == STATUS_OK && i < records->places.count; i++) {
        const RecordPlace *place = &records->places.items[i];
        unsigned char *record = records->bytes.items + place->offset;
        status = place->is_window ? window_put(writer, record, place->size, &place->info, diagnostic)
                                  : sequence_put(writer, record, place->size, diagnostic);
    }
    return status;
}

/* A record's content of another store, as a record here. */
static unsigned char *record_take(ShardWriter *writer, const void *content, size_t size)
{
    shard_record_begin(&writer->record, SHARD_HEAD_PLACED);
    shard_record_append(&writer->record, content, size);
    shard_record_finish(&writer->record, SHARD_HEAD_PLACED);
    return (unsigned char *)writer->record.bytes;
}

Status shard_writer_copy(ShardWriter *writer, int32_t split, uint16_t source, const ShardStore *from, int32_t from_split,
                         int64_t index, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const unsigned char *content;
    size_t size;
    uint32_t first;
    ShardSequenceHeader header;
    TRY(split_begin(writer, split, diagnostic));
    TRY(shard_store_sequence_record(from, from_split, index, &first, &content, &size, diagnostic));
    if (!shard_sequence_header(content, size, &header))
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "the record of sequence %lld has another size than it says", (long long)index);
    int64_t windows = shard_window_count(from, from_split);
    if (first > windows || header.window_count < 0 || header.window_count > windows - first)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "the windows of sequence %lld are out of range", (long long)index);
    unsigned char *record = record_take(writer, content, size);
    header.source = source;
    memcpy(record + SHARD_HEAD_PLACED, &header, sizeof header);
    shard_record_seal(record, writer->record.size, SHARD_HEAD_PLACED);
    TRY(sequence_put(writer, record, writer->record.size, diagnostic));
    for (int64_t w = first; w < (int64_t)first + header.window_count; w++) {
        ShardWindowHeader window;
        TRY(shard_store_window_record(from, from_split, w, &content, &size, diagnostic));
        if (!shard_window_header(content, size, &window))
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "the record of window %lld has another size than it says", (long long)w);
        ShardWindowInfo info = shard_window_info(content, writer->outside, writer->later_piece);
        record = record_take(writer, content, size);
        TRY(window_put(writer, record, writer->record.size, &info, diagnostic));
    }
out:
    return status;
}

Status shard_writer_commit(ShardWriter **writer, const Json *metadata, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardWriter *ended = *writer;
    char *text = json_text(metadata, JSON_CANONICAL);
    TRY(chunk_flush(ended, diagnostic));
    shard_record_begin(&ended->record, SHARD_HEAD_PLAIN);
    shard_record_append(&ended->record, text, strlen(text));
    while ((ended->record.size % 8) != 0)
        shard_record_append(&ended->record, " ", 1); /* padding that JSON ignores */
    shard_record_finish(&ended->record, SHARD_HEAD_PLAIN);
    TRY(writer_put(ended, ended->metadata, (KvBytes){"metadata", strlen("metadata")}, ended->record.bytes, ended->record.size,
                   diagnostic));
    TRY(kv_commit(&ended->transaction, diagnostic));
    TRY(kv_sync(ended->environment, diagnostic));
    kv_close(&ended->environment);
    if (fault_point("shard.before_rename"))
        TRY_FAIL(diagnostic, STATUS_IO, "cannot rename %s (injected)", ended->temporary);
    const FileSystem *fs = file_system_posix();
    if (fs->rename(fs->context, ended->temporary, ended->path) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot rename %s to %s: %s", ended->temporary, ended->path,
                 strerror(errno));
    TRY(folder_sync(fs, ended->folder, diagnostic));
out:
    free(text);
    shard_writer_abandon(writer);
    return status;
}

void shard_writer_abandon(ShardWriter **writer)
{
    ShardWriter *ended = *writer;
    *writer = NULL;
    if (!ended)
        return;
    kv_abort(&ended->transaction);
    kv_close(&ended->environment);
    char *lock = memory_format("%s-lock", ended->temporary);
    unlink(ended->temporary); /* after a commit it is not there any more */
    unlink(lock);
    free(lock);
    array_free(&ended->chunk);
    text_free(&ended->record);
    free(ended->folder);
    free(ended->path);
    free(ended->temporary);
    free(ended);
}
