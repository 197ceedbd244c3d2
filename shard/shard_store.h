/* The shard store: tokenised, label-aligned windows of all splits of a data set, in one LMDB file, written once and mapped by every rank.
 *
 * FOLDER/shards.mdb, format version in its metadata. Every record carries checksum64 of its bytes and is checked when read; sizes inside are
 * bounded before they are believed. Written to a temporary file and renamed into place: visible only when whole. Reproducible byte for byte
 * at the level of records (LMDB's page layout aside), whatever the number of threads. Building again with nothing changed does nothing; records
 * of inputs that are as they were are taken over from the store that is there, when labels, scheme and words have stayed the same.
 *
 * Split names: "train", "dev:NAME" (name "dev" when not given), "test". */
#ifndef NERSWEEP_SHARD_SHARD_STORE_H
#define NERSWEEP_SHARD_SHARD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/token_block.h"
#include "core/io/json.h"
#include "core/options/options.h"
#include "core/spans/labels.h"
#include "shard/align.h"
#include "shard/corpus.h"
#include "shard/words.h"

enum { SHARD_FORMAT_VERSION = 3, SHARD_SPLIT_LIMIT = 64, SHARD_INPUT_LIMIT = 65536 };

typedef enum ShardSourceKind {
    SHARD_GOLD,
    SHARD_PSEUDO, /* labels that a model gave; a column of weights is taken. Weighed by options.pseudo_weight */
    SHARD_WEAK, /* all such sources are one corpus: their labels for the same tokens are voted on. Weighed by options.weak_weight */
} ShardSourceKind;

typedef struct ShardSource {
    const char *split; /* as above */
    const char *path;
    ShardSourceKind kind; /* other than gold: train only */
} ShardSource;

typedef struct ShardBuild {
    const ShardSource *sources; /* several files may feed one split, in order; exactly the splits used */
    size_t source_count;
    const char *vocab_path;
    bool lowercase;
    bool lowercase_given;     /* whatever the model says: not compared with it later */
    int32_t model_vocab_size; /* for wordpiece_check_model; 0: not checked */
    int32_t max_positions;    /* max_seq_length may not be over it; 0: not checked */
    DataOptions options;
    const char *words;   /* "corpus" (default, NULL), "treebank", "whitespace", "bert"; rule of texts too (treebank for "corpus") */
    int32_t threads;     /* 0: as many as this process may use; the records are the same for any number */
    CorpusFormat format; /* of every file; not brat, whose texts and spans are in files of their own */
    void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total); /* may be NULL */
    void *progress_context;
    const volatile int *interrupted; /* polled; non-zero: STATUS_INTERRUPTED, nothing left behind. May be NULL */
    Json **metadata;                 /* a new root: what shard_store_describe would say. May be NULL */
} ShardBuild;

/* A summary for the caller to print. */
typedef struct ShardSummary {
    bool up_to_date; /* nothing was done */
    int64_t sentences, tokens, pieces, windows, zero_piece_tokens, unk_pieces;
    int64_t pseudo_sentences, weak_sentences, unlabelled_tokens, dropped; /* dropped: sequences that no source agrees on */
    int64_t reused_sentences;                                             /* taken over from the store that was there */
    double hash_s, survey_s, write_s; /* the inputs' hashes, as far as the first pass did not take as long; first and second pass */
    double words_agreement;           /* of the chosen rule, 0..1 */
} ShardSummary;

/* Builds folder/shards.mdb. Errors of the input carry file:line:column; labels in dev or test that train lacks are warned about by name and
 * counted as missed in evaluation; label scheme guessed or as options say (violations are warnings, errors with options.strict). */
NODISCARD Status shard_store_build(const ShardBuild *build, const char *folder, ShardSummary *summary, Diagnostic *diagnostic);

/* What a store says about itself (shard_metadata.h), without reading more than that: bounded memory. A new root. */
NODISCARD Status shard_store_describe(const char *folder, Json **json, Diagnostic *diagnostic);

/* Read side. Immutable; one per process, many threads. */
typedef struct ShardStore ShardStore;
NODISCARD Status shard_store_open(ShardStore **store, const char *folder, Diagnostic *diagnostic);
void shard_store_close(ShardStore **store);

const char *
shard_store_identity(const ShardStore *store); /* SHA-256 hex over metadata: inputs' hashes, tokenizer, options, labels */
const char *shard_store_vocab_sha256(const ShardStore *store);
bool shard_store_lowercase(const ShardStore *store);
bool shard_store_lowercase_given(const ShardStore *store);
int32_t shard_store_vocab_size(const ShardStore *store);
LabelScheme shard_store_scheme(const ShardStore *store);
WordsRule shard_store_words(const ShardStore *store);
const DataOptions *shard_store_options(const ShardStore *store);
uint64_t shard_store_mapped_bytes(const ShardStore *store); /* of the file, which is mapped */
/* Training labels, sorted by bytes: ids 0 .. C-1 are the model's. */
const LabelSet *shard_store_labels(const ShardStore *store);
/* Training labels first (same ids), then those that only other splits have: ids of gold labels in ShardSequence. */
const LabelSet *shard_store_all_labels(const ShardStore *store);

int32_t shard_split_count(const ShardStore *store);
const char *shard_split_name(const ShardStore *store, int32_t split);
int32_t shard_split_find(const ShardStore *store, const char *name); /* -1: none */
int64_t shard_window_count(const ShardStore *store, int32_t split);
int64_t shard_sequence_count(const ShardStore *store, int32_t split);

/* What a batch plan needs to know of every window, mapped or loaded once; lives as long as the store. */
typedef struct ShardWindowInfo {
    int32_t length;      /* pieces with [CLS] and [SEP] */
    int32_t label_count; /* pieces that count in the loss */
    float weight;        /* of the sentence in the loss */
    uint32_t has_span;   /* 1 when a label other than O is in it */
} ShardWindowInfo;
const ShardWindowInfo *shard_window_infos(const ShardStore *store, int32_t split);

/* One window, ready for a token block. Its arrays lie in the arena that it was read into; several may be held. */
typedef struct ShardWindow {
    int32_t length;                 /* with [CLS] and [SEP] */
    const int32_t *ids;             /* [length] */
    const int32_t *labels;          /* [length], ignored outside the owned pieces and on specials */
    const int32_t *token_index;     /* [length] token of the sequence, -1 on specials */
    int64_t sequence;               /* index in the split */
    int32_t owned_first, owned_end; /* positions in the window whose context is the best here */
    float weight;
} ShardWindow;
NODISCARD Status shard_window_read(const ShardStore *store, int32_t split, int64_t index, Arena *arena, ShardWindow *window,
                                   Diagnostic *diagnostic);

/* One sentence or document: its tokens and gold labels. The arrays lie in the arena that it was read into, the text in the store's map. */
typedef struct ShardSequence {
    int32_t token_count;
    const int32_t *gold;          /* [token_count] ids in shard_store_all_labels */
    const uint32_t *text_offsets; /* [token_count + 1] into text */
    const char *text;             /* the tokens' bytes, not terminated */
    int64_t first_window;
    int32_t window_count;
    int64_t line; /* in its source file */
} ShardSequence;
NODISCARD Status shard_sequence_read(const ShardStore *store, int32_t split, int64_t index, Arena *arena, ShardSequence *sequence,
                                     Diagnostic *diagnostic);

#endif
