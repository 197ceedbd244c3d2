/* What a shard store says about itself, as JSON: made by the builder, believed by the reader only after it was checked. Internal to shard/.
 *
 * {"format", "version", "build": {"inputs": [{"split", "path", "sha256", "size_bytes"}], "vocab_sha256", "lowercase", "words", "options"},
 *  "vocab_size", "scheme", "words", "words_agreement", "labels": [..], "all_labels": [..],
 *  "splits": [{"name", "sequences", "sentences", "tokens", "pieces", "windows", "zero_piece_tokens", "unk_pieces"}], "identity"} */
#ifndef NERSWEEP_SHARD_SHARD_METADATA_H
#define NERSWEEP_SHARD_SHARD_METADATA_H

#include "core/io/hash.h"
#include "core/io/json.h"
#include "shard/shard_store.h"

typedef struct ShardSplit {
    char *name;
    int64_t sequences, sentences, tokens, pieces, windows, zero_piece_tokens, unk_pieces;
} ShardSplit;
typedef ARRAY(ShardSplit) ShardSplitArray;

typedef struct ShardMetadata {
    char identity[SHA256_HEX_SIZE];
    char vocab_sha256[SHA256_HEX_SIZE];
    bool lowercase;
    int32_t vocab_size;
    LabelScheme scheme;
    WordsRule words;
    double words_agreement;
    DataOptions options;
    LabelSet *labels;
    LabelSet *all_labels;
    ShardSplitArray splits;
} ShardMetadata;
void shard_metadata_free(ShardMetadata *metadata);

/* The metadata's JSON with its identity. build: the "build" object, which becomes part of it. A new root. */
Json *shard_metadata_json(const ShardMetadata *metadata, Json *build);
/* SHA-256 of the canonical text without "identity" and without paths. */
void shard_metadata_identity(const Json *json, char identity[SHA256_HEX_SIZE]);
/* The canonical text of a "build" object without paths: equal when the same build would give the same shards. The caller frees it. */
char *shard_metadata_build_text(const Json *build);

/* Reads and checks text; path is for messages. STATUS_CORRUPT says what is wrong; STATUS_UNSUPPORTED: another format version. *json (may be
 * NULL) receives the tree. */
NODISCARD Status shard_metadata_parse(ShardMetadata *metadata, const char *text, size_t size, const char *path, Json **json,
                                      Diagnostic *diagnostic);

ShardSummary shard_metadata_summary(const ShardMetadata *metadata);

/* The metadata of the store in a folder, read from the file and checked (shard_store.c). */
NODISCARD Status shard_store_metadata(const char *folder, ShardMetadata *metadata, Json **json, Diagnostic *diagnostic);

/* "dev" is short for "dev:dev". The caller frees it. */
char *shard_split_full_name(const char *name);

#endif
