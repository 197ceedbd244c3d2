/* The table of data options: how corpus files become shards. */
#include <stdlib.h>

#include "core/options/options.h"

static const char *const units[] = {[UNIT_SENTENCE] = "sentence", [UNIT_DOCUMENT] = "document", NULL};
static const char *const subword_label_rules[] = {
    [SUBWORD_IGNORE] = "ignore", [SUBWORD_INSIDE] = "inside", [SUBWORD_COPY] = "copy", [SUBWORD_SPECIAL] = "special", NULL};
static const char *const zero_piece_rules[] = {
    [ZERO_PIECE_UNK] = "unk", [ZERO_PIECE_DROP] = "drop", [ZERO_PIECE_ERROR] = "error", NULL};
static const char *const weak_votes[] = {[WEAK_VOTE_MAJORITY] = "majority", [WEAK_VOTE_ABSTAIN] = "abstain", NULL};
static const char *const schemes[] = {"auto", "IO", "IOB1", "IOB2", "BIO", "IOE1", "IOE2", "IOBES", "BILOU", NULL};

enum { SEQUENCE_LIMIT = 65536, WEIGHT_LIMIT = 1000 };

#define FIELD(field) .name = #field, .offset = offsetof(DataOptions, field), .size = sizeof(((DataOptions *)NULL)->field)

static const OptionDescriptor descriptors[] = {
    {FIELD(max_seq_length), .type = OPTION_INTEGER, .minimum = 3, .maximum = SEQUENCE_LIMIT, .default_text = "512",
     .help = "pieces of one window, special pieces included"},
    {FIELD(stride), .type = OPTION_INTEGER, .minimum = 0, .maximum = SEQUENCE_LIMIT, .default_text = "50",
     .help = "pieces by which windows of a longer sequence overlap"},
    {FIELD(unit), .type = OPTION_CHOICE, .choices = units, .default_text = "sentence", .help = "what is one sequence"},
    {FIELD(subword_labels), .type = OPTION_CHOICE, .choices = subword_label_rules, .default_text = "ignore",
     .help = "label of a token's pieces after the first: none, I- of its span, the same again, or X for all of them"},
    {FIELD(zero_piece), .type = OPTION_CHOICE, .choices = zero_piece_rules, .default_text = "unk",
     .help = "what becomes of a token that gives no piece"},
    {FIELD(scheme), .type = OPTION_TEXT, .choices = schemes, .default_text = "auto", .help = "label scheme of the corpus"},
    {FIELD(token_column), .type = OPTION_TEXT, .default_text = "1", .help = "column of the token, from 1, or from the end: -1"},
    {FIELD(label_column), .type = OPTION_TEXT, .default_text = "-1", .help = "column of the label, likewise"},
    {FIELD(strict), .type = OPTION_BOOLEAN, .default_text = "false", .help = "refuse what is only warned of otherwise"},
    {FIELD(pseudo_weight), .type = OPTION_REAL, .minimum = 0, .maximum = WEIGHT_LIMIT, .minimum_exclusive = true,
     .default_text = "1", .help = "weight in the loss of sentences with pseudo-labels, times what their file says"},
    {FIELD(weak_weight), .type = OPTION_REAL, .minimum = 0, .maximum = WEIGHT_LIMIT, .minimum_exclusive = true, .default_text = "1",
     .help = "weight in the loss of sentences with weak labels"},
    {FIELD(weak_vote), .type = OPTION_CHOICE, .choices = weak_votes, .default_text = "majority",
     .help = "sources of weak labels that must agree: more than half, or all; other tokens have no label"},
};

static const OptionTable table = {.title = "data options",
                                  .descriptors = descriptors,
                                  .count = sizeof descriptors / sizeof *descriptors,
                                  .struct_size = sizeof(DataOptions)};

const OptionTable *data_option_table(void)
{
    return &table;
}

Status data_options_validate(const DataOptions *options, Diagnostic *diagnostic)
{
    if (options->stride >= options->max_seq_length - 2)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "stride (%lld) must be below max_seq_length - 2 (%lld): windows would not move on through the text",
                    (long long)options->stride, (long long)options->max_seq_length - 2);
    return STATUS_OK;
}
