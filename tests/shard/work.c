#include "work.h"

#include <stdlib.h>

#include "core/base/philox.h"
#include "core/io/file.h"
#include "core/io/hash.h"
#include "core/io/kv.h"
#include "shard/shard_format.h"

Work *work_new(const char *folder)
{
    Work *work = memory_allocate(1, sizeof *work);
    work->folder = folder;
    work->vocabulary = vocabulary_write(folder, NULL);
    work->build = (ShardBuild){.sources = work->sources, .vocab_path = work->vocabulary, .options = data_options(), .threads = 2};
    work->build.options.max_seq_length = 32;
    work->build.options.stride = 8;
    return work;
}

static void work_add_path(Work *work, const char *split, ShardSourceKind kind, char *path)
{
    size_t at = work->build.source_count++;
    assert_true(at < SOURCE_LIMIT);
    work->paths[at] = path;
    work->sources[at] = (ShardSource){split, path, kind};
}

void work_add(Work *work, const char *split, ShardSourceKind kind, const char *name, const char *text)
{
    work_add_path(work, split, kind, scratch_write(work->folder, name, text));
}

void work_free(Work *work)
{
    for (size_t i = 0; i < work->build.source_count; i++)
        free(work->paths[i]);
    free(work->vocabulary);
    free(work);
}

Status work_build(Work *work, const char *name)
{
    char *shards = path_join(work->folder, name);
    work->diagnostic = (Diagnostic){0};
    Status status = shard_store_build(&work->build, shards, &work->summary, &work->diagnostic);
    free(shards);
    return status;
}

ShardStore *work_open(Work *work, const char *name)
{
    ShardStore *store = NULL;
    char *shards = path_join(work->folder, name);
    must(work_build(work, name), &work->diagnostic);
    must(shard_store_open(&store, shards, &work->diagnostic), &work->diagnostic);
    free(shards);
    return store;
}

static Status append_record(void *context, KvBytes key, KvBytes value, Diagnostic *diagnostic)
{
    (void)diagnostic;
    text_append(context, key.bytes, key.size);
    text_append(context, value.bytes, value.size);
    return STATUS_OK;
}

uint64_t records_of(const Work *work, const char *name)
{
    static const char *const tables[] = {SHARD_TABLE_METADATA, SHARD_TABLE_WINDOWS, SHARD_TABLE_INFOS, SHARD_TABLE_SEQUENCES};
    KvEnvironment *environment = NULL;
    KvTransaction *transaction = NULL;
    Diagnostic diagnostic = {0};
    Text all = {0};
    char *shards = path_join(work->folder, name), *path = path_join(shards, SHARD_FILE_NAME);
    must(kv_open(&environment, path, (KvOptions){.read_only = true}, &diagnostic), &diagnostic);
    must(kv_begin(&transaction, environment, true, &diagnostic), &diagnostic);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        KvTable table;
        must(kv_table(transaction, tables[i], false, &table, &diagnostic), &diagnostic);
        must(kv_each(transaction, table, append_record, &all, &diagnostic), &diagnostic);
    }
    uint64_t digest = checksum64(all.bytes, all.size);
    kv_abort(&transaction);
    kv_close(&environment);
    text_free(&all);
    free(path);
    free(shards);
    return digest;
}

char *sentences(uint32_t seed, int count)
{
    static const char *const words[] = {"the", "bank", "of",   "river", "was", "seen",
                                        "by",  "Oslo", "U.S.", "25",    ",",   "antidisestablishmentarianism"};
    Text text = {0};
    PhiloxKey key = philox_key(seed, RANDOM_INIT, 0);
    for (uint32_t i = 0; i < (uint32_t)count; i++) {
        PhiloxBlock random = philox4x32_10(key, i, 0, 0, 0);
        for (uint32_t w = 0; w < 3 + random.word[0] % 40; w++) {
            PhiloxBlock draw = philox4x32_10(key, i, w + 1, 0, 0);
            if (draw.word[0] % 9 == 0)
                text_format(&text, "Name%u\tB-PER\nLast\tI-PER\n", draw.word[1] % 1000);
            else
                text_format(&text, "%s\tO\n", words[draw.word[2] % (sizeof words / sizeof *words)]);
        }
        text_append_string(&text, i % 50 == 49 ? "\n-DOCSTART-\tO\n\n" : "\n");
    }
    return text_take(&text);
}

void work_add_sentences(Work *work, const char *split, const char *name, uint32_t seed, int count)
{
    char *text = sentences(seed, count);
    work_add(work, split, SHARD_GOLD, name, text);
    free(text);
}
