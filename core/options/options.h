/* The one table of training and data options: name, type, range, default, help. Command-line flags (--learning-rate), sweep-file keys
 * (learning_rate), help texts and the canonical JSON that travels to workers are all made from it. Names are Hugging Face's. */
#ifndef NERSWEEP_CORE_OPTIONS_OPTIONS_H
#define NERSWEEP_CORE_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/options/freeze.h"

typedef enum LrSchedulerType { SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_CONSTANT_WITH_WARMUP } LrSchedulerType;
typedef enum MetricMode { METRIC_DEFAULT, METRIC_STRICT } MetricMode;
typedef enum DecodeRule { DECODE_ARGMAX, DECODE_VITERBI } DecodeRule;
typedef enum GradientCheckpointing { CHECKPOINTING_OFF, CHECKPOINTING_ON, CHECKPOINTING_AUTO } GradientCheckpointing;
typedef enum OversampleRule { OVERSAMPLE_SPANS, OVERSAMPLE_REPEAT_FACTOR } OversampleRule;
typedef enum Deterministic { DETERMINISTIC_RANK, DETERMINISTIC_WORLD } Deterministic;
typedef enum SubwordLabels { SUBWORD_IGNORE, SUBWORD_INSIDE, SUBWORD_COPY, SUBWORD_SPECIAL } SubwordLabels;
typedef enum ShardUnit { UNIT_SENTENCE, UNIT_DOCUMENT } ShardUnit;
typedef enum WeakVote { WEAK_VOTE_MAJORITY, WEAK_VOTE_ABSTAIN } WeakVote;
typedef enum ZeroPiece { ZERO_PIECE_UNK, ZERO_PIECE_DROP, ZERO_PIECE_ERROR } ZeroPiece;

/* What one trial trains with. */
typedef struct TrainingOptions {
    double num_train_epochs;                      /* 3 */
    int64_t max_steps;                            /* -1: by epochs */
    double learning_rate;                         /* 5e-5 */
    int64_t per_device_train_batch_size;          /* 8; sentences of one global micro-batch, whatever the number of ranks */
    int64_t gradient_accumulation_steps;          /* 1 */
    int64_t per_device_eval_batch_size;           /* 32 */
    GradientCheckpointing gradient_checkpointing; /* auto */
    double warmup_ratio;                          /* 0 */
    int64_t warmup_steps;                         /* 0 */
    LrSchedulerType lr_scheduler_type;            /* linear */
    double weight_decay;                          /* 0 */
    double adam_beta1, adam_beta2, adam_epsilon;
    double max_grad_norm;            /* 1 */
    double label_smoothing_factor;   /* 0 */
    char class_weights[512];         /* none | balanced | LABEL=W,TYPE=W,... (core/options/class_weights.h) */
    double layerwise_lr_decay;       /* 1: off */
    double hidden_dropout;           /* -1: the model's own */
    double attention_dropout;        /* -1: the model's own */
    double classifier_dropout;       /* -1: the model's own */
    FreezeSchedule freeze_schedule;  /* none */
    bool frozen_dropout;             /* true */
    int64_t frozen_cache_mb;         /* 16384; of each rank, on its local disk */
    OversampleRule oversample;       /* spans */
    double oversample_factor;        /* 1 */
    char oversample_types[256];      /* none: all, or TYPE,TYPE,... */
    char oversample_forms[1024];     /* none: all, or FORM;FORM;... with one space between tokens */
    double repeat_threshold;         /* 0.1; share of windows with a type below which repeat_factor repeats them */
    uint64_t seed;                   /* 42 */
    Deterministic deterministic;     /* rank: the same bytes for the same number of ranks; world: for any */
    int64_t virtual_ranks;           /* 4; of world: chunks of a step, a power of two that the ranks divide */
    double eval_every_epochs;        /* 1: evaluation and checkpoint after each epoch; fractions allowed */
    int64_t eval_steps;              /* 0: by epochs */
    int64_t early_stopping_patience; /* 0: off; in evaluations */
    double early_stopping_threshold; /* 0 */
    int64_t save_total_limit;        /* 2 */
    MetricMode metric_mode;          /* default */
    DecodeRule decode;               /* argmax */
} TrainingOptions;

/* How corpus files become shards. */
typedef struct DataOptions {
    int64_t max_seq_length;       /* 512, special pieces included */
    int64_t stride;               /* 50 */
    ShardUnit unit;               /* sentence */
    SubwordLabels subword_labels; /* ignore */
    ZeroPiece zero_piece;         /* unk */
    char scheme[16];              /* auto | IOB1 | IOB2 | IOBES | BILOU ... */
    char token_column[32];        /* column number from 1, or a negative one from the end; default 1 */
    char label_column[32];        /* default -1 (last) */
    bool strict;                  /* warnings of lint are errors */
    double pseudo_weight;         /* 1; of pseudo-labelled sentences in the loss */
    double weak_weight;           /* 1; of weakly labelled sentences in the loss */
    WeakVote weak_vote;           /* majority */
} DataOptions;

typedef enum OptionType {
    OPTION_REAL,
    OPTION_INTEGER,
    OPTION_UNSIGNED,
    OPTION_BOOLEAN,
    OPTION_CHOICE,
    OPTION_FREEZE,
    OPTION_TEXT,
    OPTION_STRING /* char *, owned; NULL when not given */,
    OPTION_LIST /* StringArray, owned; each flag appends, in YAML a sequence or one scalar */
} OptionType;

typedef struct OptionDescriptor {
    const char *name; /* with underscores */
    OptionType type;
    size_t offset;           /* of the field in the struct */
    size_t size;             /* OPTION_TEXT: bytes of the field */
    double minimum, maximum; /* numbers (may be infinite); exclusive where minimum_exclusive */
    bool minimum_exclusive;
    const char *const
        *choices; /* NULL-terminated. OPTION_CHOICE: index = enum value; OPTION_TEXT, OPTION_STRING: the only values taken */
    const char *default_text; /* OPTION_STRING, OPTION_LIST: NULL or "" for none */
    const char *help;         /* one line */
} OptionDescriptor;

typedef struct OptionTable {
    const char *title;
    const OptionDescriptor *descriptors;
    size_t count;
    size_t struct_size;
} OptionTable;

const OptionTable *training_option_table(void); /* of TrainingOptions */
const OptionTable *data_option_table(void);     /* of DataOptions */

/* What no range of a single option can say: options that exclude each other, products, -1 beside shares. STATUS_INVALID_INPUT names them. */
NODISCARD Status training_options_validate(const TrainingOptions *options, Diagnostic *diagnostic);
NODISCARD Status data_options_validate(const DataOptions *options, Diagnostic *diagnostic);

/* Fills *options (struct of the table) with the defaults. */
void options_set_defaults(const OptionTable *table, void *options);
/* NULL when there is none; dashes in name count as underscores. */
const OptionDescriptor *option_find(const OptionTable *table, const char *name);
/* The known name nearest to a misspelt one (edit distance <= 3, over all tables given), or NULL. Static text. */
const char *option_nearest(const OptionTable *const *tables, size_t table_count, const char *name);
/* Parses text as YAML or the command line give it ("1e-5", "true", "embeddings+8@1"). STATUS_INVALID_INPUT names option, value, range, and
 * leaves the option as it was. OPTION_LIST: appends. */
NODISCARD Status option_set(const OptionDescriptor *descriptor, void *options, const char *text, Diagnostic *diagnostic);
/* The value as text that option_set reads back to the same bits (shortest round-trip for reals). Lists are joined by commas, a string that
 * was not given is empty: for people. The caller frees it. */
char *option_text(const OptionDescriptor *descriptor, const void *options);

/* An object with every option, in the table's order; json_text(..., JSON_CANONICAL) of it is the configuration's identity. */
Json *options_to_json(const OptionTable *table, const void *options);
/* Starts from the defaults (what *options held is forgotten, not freed); unknown keys are STATUS_INVALID_INPUT, with name as the place.
 * A value may also be the text that option_set takes. On failure nothing is owned. */
NODISCARD Status options_from_json(const OptionTable *table, void *options, const Json *json, const char *name,
                                   Diagnostic *diagnostic);

/* "--learning-rate X" help lines for --help, one option a line. Appends to text. */
void options_help(const OptionTable *table, Text *text);

/* Command lines: a small getopt for long flags, made from descriptors. Flags take "--name value" or "--name=value"; booleans also "--name"
 * and "--no-name" (and take a following word only if it is true or false). Everything else, "-" too, is left in positional (pointers into
 * argv). argv starts with the first argument, not with the program's name. */
typedef struct OptionBinding {
    const OptionTable *table;
    void *options;
} OptionBinding;
typedef ARRAY(const char *) PositionalArray;
/* positional is freed by the caller with array_free, also on failure. STATUS_USAGE names the flag, with the nearest known one. A flag may be given once;
 * "--" ends the flags. Repeatable flags (--dev A --dev B) are options of type OPTION_LIST. */
NODISCARD Status options_parse_arguments(const OptionBinding *bindings, size_t binding_count, int argc, char **argv,
                                         PositionalArray *positional, Diagnostic *diagnostic);
/* Frees what OPTION_STRING and OPTION_LIST fields of a struct own. */
void options_free(const OptionTable *table, void *options);

#endif
