/* The read side of the shard store. Nothing in the file is believed before it was checked. */
#include "shard/shard_store.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/file.h"
#include "shard/corpus.h"
#include "shard/shard_format.h"
#include "shard/shard_metadata.h"

struct ShardStore {
    char *path;
    KvEnvironment *environment;
    KvTransaction *transaction; /* lives as long as the store: what it found stays where it is */
    KvTable metadata_table, windows, infos, sequences;
    pthread_mutex_t *lock; /* a transaction serves one thread at a time */
    ShardMetadata metadata;
    ShardWindowInfo **split_infos; /* [splits][windows] */
};

static Status store_corrupt(const ShardStore *store, const char *what, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_CORRUPT, "%s: %s; make the shards again", store->path, what);
}

/* A table or key that must be there. */
static Status must_be_there(Status status, const ShardStore *store, const char *what, Diagnostic *diagnostic)
{
    if (status != STATUS_NOT_FOUND)
        return status;
    return FAIL(diagnostic, STATUS_CORRUPT, "%s lacks its %s; make the shards again", store->path, what);
}

static Status tables_open(ShardStore *store, Diagnostic *diagnostic)
{
    const struct {
        const char *name;
        KvTable *table;
    } tables[SHARD_TABLE_COUNT] = {{SHARD_TABLE_METADATA, &store->metadata_table},
                                   {SHARD_TABLE_WINDOWS, &store->windows},
                                   {SHARD_TABLE_INFOS, &store->infos},
                                   {SHARD_TABLE_SEQUENCES, &store->sequences}};
    for (int i = 0; i < SHARD_TABLE_COUNT; i++) {
        Status status = kv_table(store->transaction, tables[i].name, false, tables[i].table, diagnostic);
        status = must_be_there(status, store, tables[i].name, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static Status metadata_read(ShardStore *store, Json **json, Diagnostic *diagnostic)
{
    KvBytes value;
    const unsigned char *content;
    size_t size;
    Status status =
        kv_get(store->transaction, store->metadata_table, (KvBytes){"metadata", strlen("metadata")}, &value, diagnostic);
    status = must_be_there(status, store, "metadata", diagnostic);
    if (status == STATUS_OK)
        status = shard_record_check(value, store->path, "record", 0, NULL, &content, &size, diagnostic);
    if (status != STATUS_OK)
        return status;
    return shard_metadata_parse(&store->metadata, (const char *)content, size, store->path, json, diagnostic);
}

/* Do the tables have as many records as the metadata says? Sums cannot overflow: each part is compared with what is left. */
static Status counts_check(const ShardStore *store, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    uint64_t windows, sequences, infos;
    TRY(kv_count(store->transaction, store->windows, &windows, diagnostic));
    TRY(kv_count(store->transaction, store->sequences, &sequences, diagnostic));
    TRY(kv_count(store->transaction, store->infos, &infos, diagnostic));
    for (size_t i = 0; i < store->metadata.splits.count; i++) {
        const ShardSplit *split = &store->metadata.splits.items[i];
        uint64_t chunks = ((uint64_t)split->counts.windows + SHARD_INFO_CHUNK - 1) / SHARD_INFO_CHUNK;
        if ((uint64_t)split->counts.windows > windows || (uint64_t)split->counts.sequences > sequences || chunks > infos) {
            status = store_corrupt(store, "it has fewer records than its metadata says", diagnostic);
            goto out;
        }
        windows -= (uint64_t)split->counts.windows;
        sequences -= (uint64_t)split->counts.sequences;
        infos -= chunks;
    }
    if (windows || sequences || infos)
        status = store_corrupt(store, "it has more records than its metadata says", diagnostic);
out:
    return status;
}

static Status info_check(const ShardStore *store, const ShardWindowInfo *info, Diagnostic *diagnostic)
{
    bool whole = info->length >= 3 && info->length <= store->metadata.options.max_seq_length && info->label_count >= 0 &&
                 info->label_count <= info->length - 2 && isfinite(info->weight) && info->weight >= 0 && info->has_span <= 1;
    return whole ? STATUS_OK : store_corrupt(store, "a window's length, label count or weight is out of range", diagnostic);
}

static Status infos_load(ShardStore *store, int32_t split, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t count = store->metadata.splits.items[split].counts.windows;
    void *memory;
    TRY(memory_try_allocate(&memory, (size_t)count, sizeof(ShardWindowInfo), diagnostic));
    ShardWindowInfo *infos = store->split_infos[split] = memory;
    for (int64_t first = 0; first < count; first += SHARD_INFO_CHUNK) {
        unsigned char key[SHARD_KEY_SIZE];
        const unsigned char *content;
        KvBytes value;
        size_t size, wanted = (size_t)(count - first < SHARD_INFO_CHUNK ? count - first : SHARD_INFO_CHUNK) * sizeof *infos;
        shard_key(key, split, first / SHARD_INFO_CHUNK);
        status = kv_get(store->transaction, store->infos, (KvBytes){key, sizeof key}, &value, diagnostic);
        TRY(must_be_there(status, store, "list of windows", diagnostic));
        TRY(shard_record_check(value, store->path, "list of windows", first / SHARD_INFO_CHUNK, NULL, &content, &size, diagnostic));
        if (size != wanted) {
            status = store_corrupt(store, "a list of windows has another length than the metadata says", diagnostic);
            goto out;
        }
        memcpy(infos + first, content, wanted);
        for (int64_t i = first; i < first + (int64_t)(wanted / sizeof *infos); i++)
            TRY(info_check(store, &infos[i], diagnostic));
    }
out:
    return status;
}

Status shard_store_open_metadata(ShardStore **store, const char *folder, Json **json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardStore *opened = memory_allocate(1, sizeof *opened);
    *store = opened;
    if (json)
        *json = NULL;
    opened->path = path_join(folder, SHARD_FILE_NAME);
    opened->lock = memory_allocate(1, sizeof *opened->lock);
    pthread_mutex_init(opened->lock, NULL);
    if (!path_exists(opened->path))
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "there are no shards in %s (no %s): make them with `nersweep shard`", folder,
                 SHARD_FILE_NAME);
    TRY(kv_open(&opened->environment, opened->path, (KvOptions){.read_only = true, .table_limit = 2 * SHARD_TABLE_COUNT},
                diagnostic));
    TRY(kv_begin(&opened->transaction, opened->environment, true, diagnostic));
    TRY(tables_open(opened, diagnostic));
    TRY(metadata_read(opened, json, diagnostic));
    TRY(counts_check(opened, diagnostic));
out:
    if (status != STATUS_OK) {
        shard_store_close(store);
        if (json)
            json_destroy(json);
    }
    return status;
}

Status shard_store_open(ShardStore **store, const char *folder, Diagnostic *diagnostic)
{
    Status status = shard_store_open_metadata(store, folder, NULL, diagnostic);
    if (status != STATUS_OK)
        return status;
    int32_t splits = shard_split_count(*store);
    (*store)->split_infos = memory_allocate((size_t)splits, sizeof *(*store)->split_infos);
    for (int32_t split = 0; split < splits && status == STATUS_OK; split++)
        status = infos_load(*store, split, diagnostic);
    if (status != STATUS_OK)
        shard_store_close(store);
    return status;
}

void shard_store_close(ShardStore **store)
{
    ShardStore *closed = *store;
    *store = NULL;
    if (!closed)
        return;
    for (size_t i = 0; closed->split_infos && i < closed->metadata.splits.count; i++)
        free(closed->split_infos[i]);
    free(closed->split_infos);
    kv_abort(&closed->transaction);
    kv_close(&closed->environment);
    shard_metadata_free(&closed->metadata);
    pthread_mutex_destroy(closed->lock);
    free(closed->lock);
    free(closed->path);
    free(closed);
}

const ShardMetadata *shard_store_metadata(const ShardStore *store)
{
    return &store->metadata;
}

Status shard_store_describe(const char *folder, Json **json, Diagnostic *diagnostic)
{
    ShardStore *store = NULL;
    *json = NULL;
    Status status = shard_store_open_metadata(&store, folder, json, diagnostic);
    shard_store_close(&store);
    return status;
}

const char *shard_store_identity(const ShardStore *store)
{
    return store->metadata.identity;
}

const char *shard_store_vocab_sha256(const ShardStore *store)
{
    return store->metadata.vocab_sha256;
}

bool shard_store_lowercase(const ShardStore *store)
{
    return store->metadata.lowercase;
}

bool shard_store_lowercase_given(const ShardStore *store)
{
    return store->metadata.lowercase_given;
}

int32_t shard_store_vocab_size(const ShardStore *store)
{
    return store->metadata.vocab_size;
}

LabelScheme shard_store_scheme(const ShardStore *store)
{
    return store->metadata.scheme;
}

WordsRule shard_store_words(const ShardStore *store)
{
    return store->metadata.words;
}

uint64_t shard_store_mapped_bytes(const ShardStore *store)
{
    struct stat info;
    return stat(store->path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

const DataOptions *shard_store_options(const ShardStore *store)
{
    return &store->metadata.options;
}

const LabelSet *shard_store_labels(const ShardStore *store)
{
    return store->metadata.labels;
}

const LabelSet *shard_store_all_labels(const ShardStore *store)
{
    return store->metadata.all_labels;
}

int32_t shard_split_count(const ShardStore *store)
{
    return (int32_t)store->metadata.splits.count;
}

static const ShardSplit *split_at(const ShardStore *store, int32_t split)
{
    ASSERT(split >= 0 && (size_t)split < store->metadata.splits.count);
    return &store->metadata.splits.items[split];
}

const char *shard_split_name(const ShardStore *store, int32_t split)
{
    return split_at(store, split)->name;
}

int32_t shard_split_find(const ShardStore *store, const char *name)
{
    char *full = shard_split_full_name(name);
    int32_t split = shard_split_count(store) - 1;
    while (split >= 0 && strcmp(shard_split_name(store, split), full) != 0)
        split--;
    free(full);
    return split;
}

int64_t shard_window_count(const ShardStore *store, int32_t split)
{
    return split_at(store, split)->counts.windows;
}

int64_t shard_sequence_count(const ShardStore *store, int32_t split)
{
    return split_at(store, split)->counts.sequences;
}

const ShardWindowInfo *shard_window_infos(const ShardStore *store, int32_t split)
{
    (void)split_at(store, split);
    return store->split_infos[split];
}

static Status record_read(const ShardStore *store, KvTable table, const char *what, int32_t split, int64_t index, uint32_t *place,
                          const unsigned char **content, size_t *size, Diagnostic *diagnostic)
{
    unsigned char key[SHARD_KEY_SIZE];
    KvBytes value;
    shard_key(key, split, index);
    pthread_mutex_lock(store->lock);
    Status status = kv_get(store->transaction, table, (KvBytes){key, sizeof key}, &value, diagnostic);
    pthread_mutex_unlock(store->lock);
    if (status == STATUS_OK)
        status = shard_record_check(value, store->path, what, index, place, content, size, diagnostic);
    else
        status = must_be_there(status, store, what, diagnostic);
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "split %s", shard_split_name(store, split));
    return status;
}

Status shard_store_window_record(const ShardStore *store, int32_t split, int64_t index, const unsigned char **content, size_t *size,
                                 Diagnostic *diagnostic)
{
    uint32_t sequence;
    return record_read(store, store->windows, "window", split, index, &sequence, content, size, diagnostic);
}

Status shard_store_sequence_record(const ShardStore *store, int32_t split, int64_t index, uint32_t *first_window,
                                   const unsigned char **content, size_t *size, Diagnostic *diagnostic)
{
    return record_read(store, store->sequences, "sequence", split, index, first_window, content, size, diagnostic);
}

static bool window_is_whole(const ShardStore *store, int32_t split, int64_t index, const ShardWindow *window)
{
    int32_t length = window->length;
    if (length != store->split_infos[split][index].length || window->sequence < 0 ||
        window->sequence >= shard_sequence_count(store, split) || window->owned_first < 1 ||
        window->owned_first > window->owned_end || window->owned_end > length - 1 ||
        !(window->weight == store->split_infos[split][index].weight))
        return false;
    int32_t label_count = label_set_count(store->metadata.labels);
    for (int32_t i = 0; i < length; i++) {
        int32_t label = window->labels[i];
        if (window->ids[i] < 0 || window->ids[i] >= store->metadata.vocab_size || window->token_index[i] < -1 ||
            window->token_index[i] >= CORPUS_SENTENCE_LIMIT ||
            (label != TOKEN_LABEL_IGNORED && (label < 0 || label >= label_count)))
            return false;
    }
    return true;
}

/* The arrays of a window, one behind the other. */
static void window_arrays_read(const unsigned char *from, const ShardWindowHeader *header, Arena *arena, ShardWindow *window)
{
    size_t length = (size_t)header->length;
    int32_t *ids = arena_allocate(arena, 3 * length, sizeof *ids), *labels = ids + length, *token_index = labels + length;
    shard_widen(from, header->id_width, length, 0, 0, ids);
    from += length * header->id_width;
    shard_widen(from, header->label_width, length, 1, TOKEN_LABEL_IGNORED, labels);
    from += length * header->label_width;
    shard_widen(from, header->token_width, length, (int32_t)(1 - (uint32_t)header->first_token), -1, token_index);
    window->ids = ids;
    window->labels = labels;
    window->token_index = token_index;
}

Status shard_window_read(const ShardStore *store, int32_t split, int64_t index, Arena *arena, ShardWindow *window,
                         Diagnostic *diagnostic)
{
    ASSERT(index >= 0 && index < shard_window_count(store, split));
    const unsigned char *content;
    size_t size;
    uint32_t sequence;
    ShardWindowHeader header;
    *window = (ShardWindow){0};
    Status status = record_read(store, store->windows, "window", split, index, &sequence, &content, &size, diagnostic);
    if (status != STATUS_OK)
        return status;
    if (!shard_window_header(content, size, &header))
        return store_corrupt(store, "a window's record has another size than it says", diagnostic);
    *window = (ShardWindow){.length = header.length,
                            .sequence = sequence,
                            .owned_first = header.owned_first,
                            .owned_end = header.owned_end,
                            .weight = header.weight};
    window_arrays_read(content + sizeof header, &header, arena, window);
    if (!window_is_whole(store, split, index, window)) {
        *window = (ShardWindow){0};
        return store_corrupt(store, "a window's ids, labels or bounds are out of range", diagnostic);
    }
    return STATUS_OK;
}

static bool sequence_is_whole(const ShardStore *store, int32_t split, const ShardSequence *sequence, uint32_t text_size)
{
    int64_t windows = shard_window_count(store, split);
    if (sequence->first_window < 0 || sequence->window_count < 0 || sequence->first_window > windows ||
        sequence->window_count > windows - sequence->first_window || sequence->text_offsets[0] != 0 ||
        sequence->text_offsets[sequence->token_count] != text_size)
        return false;
    int32_t label_count = label_set_count(store->metadata.all_labels);
    for (int32_t i = 0; i < sequence->token_count; i++)
        if (sequence->gold[i] < 0 || sequence->gold[i] >= label_count || sequence->text_offsets[i] > sequence->text_offsets[i + 1])
            return false;
    return true;
}

Status shard_sequence_read(const ShardStore *store, int32_t split, int64_t index, Arena *arena, ShardSequence *sequence,
                           Diagnostic *diagnostic)
{
    ASSERT(index >= 0 && index < shard_sequence_count(store, split));
    const unsigned char *content;
    size_t size;
    uint32_t first_window;
    ShardSequenceHeader header;
    *sequence = (ShardSequence){0};
    Status status = shard_store_sequence_record(store, split, index, &first_window, &content, &size, diagnostic);
    if (status != STATUS_OK)
        return status;
    bool whole = shard_sequence_header(content, size, &header);
    if (header.token_count < 1 || header.token_count > CORPUS_SENTENCE_LIMIT)
        return store_corrupt(store, "a sequence's number of tokens is out of range", diagnostic);
    if (!whole)
        return store_corrupt(store, "a sequence's record has another size than it says", diagnostic);
    content += sizeof header;
    size_t tokens = (size_t)header.token_count;
    *sequence = (ShardSequence){
        .token_count = header.token_count, .first_window = first_window, .window_count = header.window_count, .line = header.line};
    int32_t *gold = arena_allocate(arena, 2 * tokens + 1, sizeof *gold), *offsets = gold + tokens;
    shard_widen(content, header.gold_width, tokens, 0, 0, gold);
    content += tokens * header.gold_width;
    shard_widen(content, header.offset_width, tokens + 1, 0, 0, offsets);
    sequence->gold = gold;
    sequence->text_offsets = (const uint32_t *)offsets;
    sequence->text = (const char *)content + (tokens + 1) * header.offset_width;
    if (!sequence_is_whole(store, split, sequence, header.text_size)) {
        *sequence = (ShardSequence){0};
        return store_corrupt(store, "a sequence's labels, offsets or windows are out of range", diagnostic);
    }
    return STATUS_OK;
}
