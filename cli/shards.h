/* Building a shard store for a model folder, with progress on stderr: what shard, train, run and coordinator share. */
#ifndef NERSWEEP_CLI_SHARDS_H
#define NERSWEEP_CLI_SHARDS_H

#include "core/options/options.h"
#include "shard/shard_store.h"

typedef struct ShardRequest {
    const char *model; /* folder with config.json and vocab.txt */
    const char *vocab; /* another vocab.txt, or NULL */
    int lowercase;     /* 1, 0, or -1: as the model folder says */
    const char *words; /* or NULL */
    CorpusFormat format;
    int32_t threads; /* 0: all processors */
    const DataOptions *options;
    const ShardSource *sources;
    size_t source_count;
    const volatile int *interrupted;
    Json **metadata; /* of ShardBuild, or NULL */
} ShardRequest;

NODISCARD Status shards_build(const ShardRequest *request, const char *folder, Diagnostic *diagnostic);

/* Splits "NAME=FILE" or "FILE": name (owned) is NULL when there is none. A '=' inside an existing file's name is part of it. */
void shards_split_name(const char *argument, char **name, const char **path);

/* Sources out of the flags --train F..., --pseudo F..., --weak F..., --dev [NAME=]F..., --test F...; split names are owned by `names`. */
typedef ARRAY(ShardSource) ShardSourceArray;
typedef struct ShardFiles {
    const StringArray *train, *pseudo, *weak, *dev, *test;
} ShardFiles;
NODISCARD Status shards_sources(ShardFiles files, ShardSourceArray *sources, StringArray *names, Diagnostic *diagnostic);

#endif
