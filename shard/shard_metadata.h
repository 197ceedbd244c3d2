/* What a shard store says about itself, as JSON: made by the builder, believed by the reader only after it was checked. Internal to shard/.
 *
 * {"format", "version", "build": {"inputs": [{"split", "kind", "weight", "path", "sha256", "size_bytes"}], "vocab_sha256", "lowercase",
 *  "lowercase_given", "words", "format", "options"}, "vocab_size", "scheme", "words", "words_agreement", "labels": [..], "all_labels": [..],
 *  "splits": [{"name", counts, "pseudo": {counts}, "weak": {counts}}],
 *  "inputs": [{"key", "split", "survey", counts}], in the order of their records, "identity"}
 *
 * counts: "sequences", "sentences", "tokens", "pieces", "windows", "zero_piece_tokens", "unk_pieces", "unlabelled_tokens", "dropped". */
#ifndef NERSWEEP_SHARD_SHARD_METADATA_H
#define NERSWEEP_SHARD_SHARD_METADATA_H

#include "core/io/hash.h"
#include "core/io/json.h"
#include "shard/shard_store.h"
#include "shard/shard_survey.h"

typedef struct ShardCounts {
    int64_t sequences, sentences, tokens, pieces, windows, zero_piece_tokens, unk_pieces;
    int64_t unlabelled_tokens; /* the sources of weak labels do not agree on them */
    int64_t dropped;           /* sequences without any labelled token */
} ShardCounts;
void shard_counts_add(ShardCounts *counts, const ShardCounts *more);

typedef struct ShardSplit {
    char *name;
    ShardCounts counts;       /* of all of it */
    ShardCounts pseudo, weak; /* of such inputs */
} ShardSplit;
typedef ARRAY(ShardSplit) ShardSplitArray;

/* A file, or a group of files with weak labels: its records follow those of the input before in the same split. */
typedef struct ShardInput {
    char *key; /* equal when the same build would make the same records of it, given the same labels */
    int32_t split;
    ShardCounts counts;
    InputSurvey survey;
} ShardInput;
typedef ARRAY(ShardInput) ShardInputArray;

typedef struct ShardMetadata {
    char identity[SHA256_HEX_SIZE];
    char vocab_sha256[SHA256_HEX_SIZE];
    bool lowercase, lowercase_given;
    int32_t vocab_size;
    LabelScheme scheme;
    WordsRule words;
    double words_agreement;
    DataOptions options;
    LabelSet *labels;
    LabelSet *all_labels;
    ShardSplitArray splits;
    ShardInputArray inputs;
} ShardMetadata;
void shard_metadata_free(ShardMetadata *metadata);

/* The metadata's JSON with its identity. build: the "build" object, which becomes part of it. A new root. */
Json *shard_metadata_json(const ShardMetadata *metadata, Json *build);
/* SHA-256 of the canonical text without "identity" and without paths. */
void shard_metadata_identity(const Json *json, char identity[SHA256_HEX_SIZE]);
/* The canonical text of a "build" object without paths: equal when the same build would give the same shards. The caller frees it. */
char *shard_metadata_build_text(const Json *build);
/* Likewise without the inputs and what only they depend on: equal when the records of an input may be taken over. The caller frees it. */
char *shard_metadata_settings_text(const Json *build);

/* Reads and checks text; path is for messages. STATUS_CORRUPT says what is wrong; STATUS_UNSUPPORTED: another format version. *json (may be
 * NULL) receives the tree. */
NODISCARD Status shard_metadata_parse(ShardMetadata *metadata, const char *text, size_t size, const char *path, Json **json,
                                      Diagnostic *diagnostic);

ShardSummary shard_metadata_summary(const ShardMetadata *metadata);

/* Opens the store in a folder without what is needed for reading windows: its metadata is read and checked (shard_store.c). *json (may be
 * NULL) receives the tree. Closed with shard_store_close. */
NODISCARD Status shard_store_open_metadata(ShardStore **store, const char *folder, Json **json, Diagnostic *diagnostic);
const ShardMetadata *shard_store_metadata(const ShardStore *store);
/* The content of a record as it stands, its checksum checked. Lives as long as the store. *first_window: the sequence's. */
NODISCARD Status shard_store_window_record(const ShardStore *store, int32_t split, int64_t index, const unsigned char **content,
                                           size_t *size, Diagnostic *diagnostic);
NODISCARD Status shard_store_sequence_record(const ShardStore *store, int32_t split, int64_t index, uint32_t *first_window,
                                             const unsigned char **content, size_t *size, Diagnostic *diagnostic);

/* "dev" is short for "dev:dev". The caller frees it. */
char *shard_split_full_name(const char *name);

#endif
