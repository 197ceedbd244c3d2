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
#include "core/base/token_block.h"
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
    Int32Array window_ids, window_labels, window_tokens;
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

Status shard_writer_begin(ShardWriter **writer, const char *folder, size_t map_size_bytes, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardWriter *begun = memory_allocate(1, sizeof *begun);
    *writer = begun;
    begun->folder = memory_copy_string(folder);
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

static Status writer_put(ShardWriter *writer, KvTable table, const void *key, size_t key_size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    shard_record_finish(&writer->record);
    if (fault_point("shard.write"))
        TRY_FAIL(diagnostic, STATUS_NO_SPACE,
                 "cannot write to %s: No space left on device; free some space or choose another folder", writer->temporary);
    TRY(kv_put(writer->transaction, table, (KvBytes){key, key_size}, (KvBytes){writer->record.bytes, writer->record.size},
               diagnostic));
    writer->transaction_bytes += writer->record.size + key_size;
    if (writer->transaction_bytes >= TRANSACTION_BYTES) {
        TRY(kv_commit(&writer->transaction, diagnostic));
        TRY(transaction_begin(writer, diagnostic));
    }
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "no shards were made");
    return status;
}

static Status writer_put_indexed(ShardWriter *writer, KvTable table, int64_t index, Diagnostic *diagnostic)
{
    unsigned char key[SHARD_KEY_SIZE];
    if (index > UINT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "a split may have at most %lu windows or sentences: split the corpus",
                    (unsigned long)UINT32_MAX);
    shard_key(key, writer->split, index);
    return writer_put(writer, table, key, sizeof key, diagnostic);
}

/* The infos gathered so far, as the chunk that the last of them is in. */
static Status chunk_flush(ShardWriter *writer, Diagnostic *diagnostic)
{
    if (writer->chunk.count == 0)
        return STATUS_OK;
    shard_record_begin(&writer->record);
    shard_record_append(&writer->record, writer->chunk.items, writer->chunk.count * sizeof *writer->chunk.items);
    writer->chunk.count = 0;
    return writer_put_indexed(writer, writer->infos, (writer->window_count - 1) / SHARD_INFO_CHUNK, diagnostic);
}

static void window_push(ShardWriter *writer, int32_t id, int32_t label, int32_t token)
{
    array_push(&writer->window_ids, id);
    array_push(&writer->window_labels, label);
    array_push(&writer->window_tokens, token);
}

static ShardWindowInfo window_fill(ShardWriter *writer, const AlignedPieces *pieces, const Window *window,
                                   const WordpieceSpecials *specials, const LabelSet *labels)
{
    int32_t outside = label_set_find(labels, "O");
    ShardWindowInfo info = {.length = window->count + 2, .weight = 1};
    writer->window_ids.count = writer->window_labels.count = writer->window_tokens.count = 0;
    window_push(writer, specials->cls, TOKEN_LABEL_IGNORED, -1);
    for (int32_t i = window->first; i < window->first + window->count; i++) {
        bool owned = i >= window->owned_first && i < window->owned_end;
        int32_t label = owned ? pieces->labels.items[i] : TOKEN_LABEL_IGNORED;
        info.label_count += label != TOKEN_LABEL_IGNORED;
        info.has_span |= label != TOKEN_LABEL_IGNORED && label != outside;
        window_push(writer, pieces->ids.items[i], label, pieces->token_index.items[i]);
    }
    window_push(writer, specials->sep, TOKEN_LABEL_IGNORED, -1);
    return info;
}

static Status window_add(ShardWriter *writer, const AlignedPieces *pieces, const Window *window, const WordpieceSpecials *specials,
                         const LabelSet *labels, Diagnostic *diagnostic)
{
    ShardWindowInfo info = window_fill(writer, pieces, window, specials, labels);
    ShardWindowHeader header = {.sequence = writer->sequence_count,
                                .length = info.length,
                                .owned_first = window->owned_first - window->first + 1,
                                .owned_end = window->owned_end - window->first + 1,
                                .weight = info.weight};
    size_t array_size = (size_t)info.length * sizeof(int32_t);
    shard_record_begin(&writer->record);
    shard_record_append(&writer->record, &header, sizeof header);
    shard_record_append(&writer->record, writer->window_ids.items, array_size);
    shard_record_append(&writer->record, writer->window_labels.items, array_size);
    shard_record_append(&writer->record, writer->window_tokens.items, array_size);
    Status status = writer_put_indexed(writer, writer->windows, writer->window_count, diagnostic);
    if (status != STATUS_OK)
        return status;
    writer->window_count++;
    array_push(&writer->chunk, info);
    return writer->chunk.count == SHARD_INFO_CHUNK ? chunk_flush(writer, diagnostic) : STATUS_OK;
}

static Status sequence_put(ShardWriter *writer, uint32_t source, const Sequence *sequence, const int32_t *gold, size_t window_count,
                           Diagnostic *diagnostic)
{
    uint32_t text_size = 0;
    for (int32_t i = 0; i < sequence->token_count; i++)
        text_size += (uint32_t)sequence->sizes[i]; /* at most CORPUS_SENTENCE_BYTES and one sentence more */
    ShardSequenceHeader header = {.first_window = writer->window_count,
                                  .line = sequence->line,
                                  .token_count = sequence->token_count,
                                  .window_count = (int32_t)window_count,
                                  .text_size = text_size,
                                  .source = source};
    Text *record = &writer->record;
    shard_record_begin(record);
    shard_record_append(record, &header, sizeof header);
    shard_record_append(record, gold, (size_t)sequence->token_count * sizeof *gold);
    uint32_t offset = 0;
    shard_record_append(record, &offset, sizeof offset);
    for (int32_t i = 0; i < sequence->token_count; i++) {
        offset += (uint32_t)sequence->sizes[i];
        shard_record_append(record, &offset, sizeof offset);
    }
    for (int32_t i = 0; i < sequence->token_count; i++)
        shard_record_append(record, sequence->texts[i], sequence->sizes[i]);
    return writer_put_indexed(writer, writer->sequences, writer->sequence_count, diagnostic);
}

Status shard_writer_add(ShardWriter *writer, int32_t split, uint32_t source, const Sequence *sequence, const int32_t *gold,
                        const AlignedPieces *pieces, const WindowArray *windows, const WordpieceSpecials *specials,
                        const LabelSet *labels, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (split != writer->split) {
        TRY(chunk_flush(writer, diagnostic));
        writer->split = split;
        writer->window_count = writer->sequence_count = 0;
    }
    TRY(sequence_put(writer, source, sequence, gold, windows->count, diagnostic));
    for (size_t i = 0; i < windows->count; i++)
        TRY(window_add(writer, pieces, &windows->items[i], specials, labels, diagnostic));
    writer->sequence_count++;
out:
    return status;
}

Status shard_writer_commit(ShardWriter **writer, const Json *metadata, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardWriter *ended = *writer;
    char *text = json_text(metadata, JSON_CANONICAL);
    TRY(chunk_flush(ended, diagnostic));
    shard_record_begin(&ended->record);
    shard_record_append(&ended->record, text, strlen(text));
    while ((ended->record.size % 8) != 0)
        shard_record_append(&ended->record, " ", 1); /* padding that JSON ignores */
    TRY(writer_put(ended, ended->metadata, "metadata", strlen("metadata"), diagnostic));
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
    array_free(&ended->window_ids);
    array_free(&ended->window_labels);
    array_free(&ended->window_tokens);
    text_free(&ended->record);
    free(ended->folder);
    free(ended->path);
    free(ended->temporary);
    free(ended);
}
