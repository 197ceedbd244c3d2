/* The table of training options: the one place where their names, ranges, defaults and help stand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/options/class_weights.h"
#include "core/options/options.h"

static const char *const lr_scheduler_types[] = {
    [SCHEDULE_LINEAR] = "linear", [SCHEDULE_COSINE] = "cosine", [SCHEDULE_CONSTANT_WITH_WARMUP] = "constant_with_warmup", NULL};
static const char *const decode_rules[] = {[DECODE_ARGMAX] = "argmax", [DECODE_VITERBI] = "viterbi", NULL};
static const char *const checkpointing_modes[] = {
    [CHECKPOINTING_OFF] = "off", [CHECKPOINTING_ON] = "on", [CHECKPOINTING_AUTO] = "auto", NULL};
static const char *const oversample_rules[] = {[OVERSAMPLE_SPANS] = "spans", [OVERSAMPLE_REPEAT_FACTOR] = "repeat_factor", NULL};
static const char *const deterministic_modes[] = {[DETERMINISTIC_RANK] = "rank", [DETERMINISTIC_WORLD] = "world", NULL};
static const char *const metric_modes[] = {[METRIC_DEFAULT] = "default", [METRIC_STRICT] = "strict", NULL};

/* Just below 1: betas and dropouts of 1 leave nothing of the gradient. */
#define BELOW_ONE 0.999999
#define STEP_LIMIT 1000000000
#define BATCH_LIMIT 65536
#define VIRTUAL_RANKS_LIMIT 1024
/* Integers up to here are the same in every JSON reader. */
#define SEED_LIMIT 9007199254740991.0

#define FIELD(field) .name = #field, .offset = offsetof(TrainingOptions, field), .size = sizeof(((TrainingOptions *)NULL)->field)
#define REAL(field, low, high, value, text)                                                                             \
    {                                                                                                                   \
        FIELD(field), .type = OPTION_REAL, .minimum = (low), .maximum = (high), .default_text = (value), .help = (text) \
    }
#define REAL_ABOVE(field, low, high, value, text)                                                          \
    {                                                                                                      \
        FIELD(field), .type = OPTION_REAL, .minimum = (low), .maximum = (high), .minimum_exclusive = true, \
                      .default_text = (value), .help = (text)                                              \
    }
#define INTEGER(field, low, high, value, text)                                                                             \
    {                                                                                                                      \
        FIELD(field), .type = OPTION_INTEGER, .minimum = (low), .maximum = (high), .default_text = (value), .help = (text) \
    }
#define CHOICE(field, names, value, text)                                                                \
    {                                                                                                    \
        FIELD(field), .type = OPTION_CHOICE, .choices = (names), .default_text = (value), .help = (text) \
    }

static const OptionDescriptor descriptors[] = {
    REAL_ABOVE(num_train_epochs, 0, 10000, "3", "passes over the training data; fractions are allowed"),
    INTEGER(max_steps, -1, STEP_LIMIT, "-1", "optimizer steps, whatever num_train_epochs says; -1: by epochs"),
    REAL_ABOVE(learning_rate, 0, 1, "5e-5", "peak learning rate of AdamW"),
    INTEGER(per_device_train_batch_size, 1, BATCH_LIMIT, "8", "sentences of one micro-batch over all ranks together"),
    INTEGER(gradient_accumulation_steps, 1, BATCH_LIMIT, "1", "micro-batches of one optimizer step"),
    INTEGER(per_device_eval_batch_size, 1, BATCH_LIMIT, "32", "sentences of one evaluation batch"),
    CHOICE(gradient_checkpointing, checkpointing_modes, "auto",
           "compute activations again in backward instead of keeping them: same bits, less memory, more time; auto: where memory "
           "is short"),
    REAL(warmup_ratio, 0, 1, "0", "share of all steps over which the learning rate rises from 0"),
    INTEGER(warmup_steps, 0, STEP_LIMIT, "0", "the same as a number of steps; 0: by warmup_ratio"),
    CHOICE(lr_scheduler_type, lr_scheduler_types, "linear", "how the learning rate falls after the warm-up"),
    REAL(weight_decay, 0, 10, "0", "decoupled weight decay, not on biases and LayerNorm"),
    REAL(adam_beta1, 0, BELOW_ONE, "0.9", "decay of AdamW's first moment"),
    REAL(adam_beta2, 0, BELOW_ONE, "0.999", "decay of AdamW's second moment"),
    REAL_ABOVE(adam_epsilon, 0, 1, "1e-8", "added to the square root of AdamW's second moment"),
    REAL_ABOVE(max_grad_norm, 0, 1e9, "1", "gradients are scaled down to this global norm; a large one never acts"),
    REAL(label_smoothing_factor, 0, 1, "0", "share of the loss spread over all labels"),
    {FIELD(class_weights), .type = OPTION_TEXT, .default_text = "none",
     .help = "weights of labels in the loss: none, balanced, or LABEL=W,TYPE=W,... such as O=0.3,PER=2"},
    REAL_ABOVE(layerwise_lr_decay, 0, 1, "1", "factor on the learning rate from each layer to the one below; 1: off"),
    REAL(hidden_dropout, -1, BELOW_ONE, "-1", "dropout of embeddings and layer outputs; -1: the model's own"),
    REAL(attention_dropout, -1, BELOW_ONE, "-1", "dropout of attention probabilities; -1: the model's own"),
    REAL(classifier_dropout, -1, BELOW_ONE, "-1", "dropout before the classifier; -1: the model's own"),
    {FIELD(freeze_schedule), .type = OPTION_FREEZE, .default_text = "none",
     .help = "PART@E[;PART@E...], PART = embeddings, embeddings+K or K layers, frozen for E epochs"},
    {FIELD(frozen_dropout), .type = OPTION_BOOLEAN, .default_text = "true", .help = "dropout also in a wholly frozen prefix"},
    INTEGER(frozen_cache_mb, 0, 16777216, "16384",
            "disk for the output of frozen layers without dropout, which is then computed once; 0: off"),
    CHOICE(oversample, oversample_rules, "spans",
           "which sentences are repeated: those with spans, or those with rare types (repeat_factor)"),
    REAL(oversample_factor, 1, 1000, "1", "how often a sentence with a span is seen in an epoch"),
    {FIELD(oversample_types), .type = OPTION_TEXT, .default_text = "none",
     .help = "oversample_factor counts only for spans of these types: TYPE,TYPE,..."},
    {FIELD(oversample_forms), .type = OPTION_TEXT, .default_text = "none",
     .help = "oversample_factor counts only for spans that read so, or are of those types: FORM;FORM;..."},
    REAL_ABOVE(repeat_threshold, 0, 1, "0.1",
               "repeat_factor: types in a smaller share f of sentences are repeated sqrt(repeat_threshold / f) times"),
    {FIELD(seed), .type = OPTION_UNSIGNED, .minimum = 0, .maximum = SEED_LIMIT, .default_text = "42",
     .help = "of classifier, dropout, shuffle and oversampling"},
    CHOICE(deterministic, deterministic_modes, "rank",
           "the same bytes for the same number of ranks, or for any that divides virtual_ranks (world)"),
    INTEGER(virtual_ranks, 1, VIRTUAL_RANKS_LIMIT, "4",
            "deterministic world: parts of a step that are added in a fixed order; 2^n"),
    REAL_ABOVE(eval_every_epochs, 0, 10000, "1", "epochs between evaluations; fractions are allowed"),
    INTEGER(eval_steps, 0, STEP_LIMIT, "0", "the same as a number of steps; 0: by eval_every_epochs"),
    INTEGER(early_stopping_patience, 0, 1000000, "0", "stop after so many evaluations without a better score; 0: off"),
    REAL(early_stopping_threshold, 0, 1, "0", "by how much a score must be better to count"),
    INTEGER(save_total_limit, 1, 1000000, "2", "checkpoints to keep; the best is always kept"),
    CHOICE(metric_mode, metric_modes, "default", "how spans are read for the score: as conlleval, or strictly by the scheme"),
    CHOICE(decode, decode_rules, "argmax",
           "a token's label: its most probable one, or the most probable sequence that the scheme allows"),
};

static const OptionTable table = {.title = "training options",
                                  .descriptors = descriptors,
                                  .count = sizeof descriptors / sizeof *descriptors,
                                  .struct_size = sizeof(TrainingOptions)};

const OptionTable *training_option_table(void)
{
    return &table;
}

static bool between_minus_one_and_zero(double dropout)
{
    return dropout < 0 && dropout != -1;
}

Status training_options_validate(const TrainingOptions *options, Diagnostic *diagnostic)
{
    if (options->max_steps == 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "max_steps: 0 steps train nothing; give 1 or more, or -1 to train by epochs");
    if ((options->virtual_ranks & (options->virtual_ranks - 1)) != 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "virtual_ranks must be a power of two, not %lld",
                    (long long)options->virtual_ranks);
    if (options->warmup_steps > 0 && options->warmup_ratio > 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "warmup_steps (%lld) and warmup_ratio are both given: only one of them can hold, take the other out",
                    (long long)options->warmup_steps);
    if (options->eval_steps > 0 && options->eval_every_epochs != 1)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "eval_steps and eval_every_epochs are both given: only one of them can hold");
    if (options->per_device_train_batch_size * options->gradient_accumulation_steps > BATCH_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "per_device_train_batch_size * gradient_accumulation_steps is %lld sentences a step: at most %d are possible",
                    (long long)(options->per_device_train_batch_size * options->gradient_accumulation_steps), BATCH_LIMIT);
    if (options->oversample == OVERSAMPLE_REPEAT_FACTOR &&
        (options->oversample_factor != 1 || strcmp(options->oversample_types, "none") != 0 ||
         strcmp(options->oversample_forms, "none") != 0))
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "oversample: repeat_factor goes without oversample_factor, oversample_types and oversample_forms: it takes "
                    "repeat_threshold");
    const double dropouts[] = {options->hidden_dropout, options->attention_dropout, options->classifier_dropout};
    static const char *const names[] = {"hidden_dropout", "attention_dropout", "classifier_dropout"};
    for (size_t i = 0; i < sizeof dropouts / sizeof *dropouts; i++)
        if (between_minus_one_and_zero(dropouts[i]))
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s must be a share from 0 to 1, or -1 for the model's own, not %g",
                        names[i], dropouts[i]);
    ClassWeights weights;
    return class_weights_parse(&weights, options->class_weights, diagnostic);
}
