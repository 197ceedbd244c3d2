/* The corpus files of a build: which split each belongs to, and whether they are what they were. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SHARD_INPUTS_H
#define NERSWEEP_SHARD_SHARD_INPUTS_H

#include <time.h>

#include "shard/shard_metadata.h"

typedef struct InputFile {
    const char *path; /* the build's */
    char sha256[SHA256_HEX_SIZE];
    uint64_t size_bytes;
    struct timespec modified;
} InputFile;

/* What is read as one corpus. Those of a split stand together: gold, then pseudo-labelled, then weakly labelled. */
typedef struct BuildInput {
    int32_t split;
    ShardSourceKind kind;
    uint16_t source; /* its number in the split */
    double weight;
    ARRAY(InputFile) files; /* one, or any number of weak ones */
    uint64_t size_bytes;    /* of all files */
} BuildInput;
typedef ARRAY(BuildInput) BuildInputArray;
void build_inputs_free(BuildInputArray *inputs);

/* Looks at every file: all but its hash. splits receives the names that the sources have. */
NODISCARD Status build_inputs_look(BuildInputArray *inputs, ShardSplitArray *splits, const ShardBuild *build,
                                   Diagnostic *diagnostic);
/* Reads every file once: its hash says whether anything changed. */
NODISCARD Status build_inputs_hash(BuildInputArray *inputs, Diagnostic *diagnostic);
/* STATUS_INVALID_INPUT names a file that is not what it was when it was hashed. */
NODISCARD Status build_inputs_unchanged(const BuildInputArray *inputs, Diagnostic *diagnostic);
/* The list "inputs" of the metadata's "build". */
Json *build_inputs_json(const BuildInputArray *inputs, const ShardSplitArray *splits);
/* ShardInput.key. The caller frees it. */
char *build_input_key(const BuildInput *input, const ShardSplitArray *splits, const DataOptions *options);

/* STATUS_USAGE or STATUS_MISMATCH when the options of a build are not possible, whatever its inputs hold. */
NODISCARD Status build_validate(const ShardBuild *build, Diagnostic *diagnostic);

#endif
