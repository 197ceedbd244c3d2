/* Builds of shards in one folder, one after another, compared by every byte of their records. */
#ifndef NERSWEEP_TESTS_SHARD_WORK_H
#define NERSWEEP_TESTS_SHARD_WORK_H

#include "support.h"

enum { SOURCE_LIMIT = 8 };

/* A build whose shards go to one folder or another. */
typedef struct Work {
    const char *folder;
    char *vocabulary;
    ShardSource sources[SOURCE_LIMIT];
    char *paths[SOURCE_LIMIT];
    ShardBuild build;
    ShardSummary summary;
    Diagnostic diagnostic;
} Work;

/* With a vocabulary in the folder, windows of 32 pieces that overlap by 8, and two threads. */
Work *work_new(const char *folder);
void work_free(Work *work);
/* Writes a file into the folder, and adds it to the build. */
void work_add(Work *work, const char *split, ShardSourceKind kind, const char *name, const char *text);
/* Sentences of some words with names in between, by a seed; freed by the caller. */
char *sentences(uint32_t seed, int count);
void work_add_sentences(Work *work, const char *split, const char *name, uint32_t seed, int count);

/* Builds into FOLDER/name. */
Status work_build(Work *work, const char *name);
ShardStore *work_open(Work *work, const char *name);
/* A number for every byte of every record of FOLDER/name, the metadata's included. */
uint64_t records_of(const Work *work, const char *name);

#endif
