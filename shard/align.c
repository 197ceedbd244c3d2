#include "shard/align.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/token_block.h"

void aligned_pieces_clear(AlignedPieces *pieces)
{
    pieces->ids.count = pieces->token_index.count = pieces->labels.count = 0;
    pieces->zero_piece_tokens = 0;
}

void aligned_pieces_free(AlignedPieces *pieces)
{
    array_free(&pieces->ids);
    array_free(&pieces->token_index);
    array_free(&pieces->labels);
    pieces->zero_piece_tokens = 0;
}

/* The name of the label that piece `last ? last : middle` of a token labelled `name` gets under `inside`, when it is not the first: B- and
 * I- go on as I-; what ends a span (E-, L-, S-, U-) goes on as I- and ends on the last piece, in the letters that the corpus uses. */
static void inside_name(const char *name, bool last, Text *result)
{
    text_clear(result);
    LabelParts parts;
    if (!label_split(name, &parts) || parts.prefix == PREFIX_O) {
        text_append_string(result, name);
        return;
    }
    char letter = 'I';
    if (last && (parts.prefix == PREFIX_E || parts.prefix == PREFIX_S))
        letter = name[0] == 'L' || name[0] == 'U' ? 'L' : 'E';
    text_format(result, "%c-%s", letter, parts.type);
}

void align_add_derived_labels(LabelSet *labels, SubwordLabels subword_labels)
{
    if (subword_labels == SUBWORD_SPECIAL)
        label_set_add(labels, LABEL_LATER_PIECE);
    if (subword_labels != SUBWORD_INSIDE)
        return;
    Text name = {0};
    int32_t count = label_set_count(labels);
    for (int32_t id = 0; id < count; id++)
        for (int last = 0; last < 2; last++) {
            inside_name(label_set_name(labels, id), last, &name);
            label_set_add(labels, name.bytes);
        }
    text_free(&name);
}

static Status inside_label(const LabelSet *labels, int32_t label, bool last, int32_t *result, Text *name, Diagnostic *diagnostic)
{
    inside_name(label_set_name(labels, label), last, name);
    *result = label_set_find(labels, name->bytes);
    if (*result < 0)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "subword_labels: inside needs the label \"%s\" for the later pieces of \"%s\", and the labels lack it",
                    name->bytes, label_set_name(labels, label));
    return STATUS_OK;
}

/* Labels of the pieces [first, end) that one token gave. */
static Status label_pieces(const LabelSet *labels, const DataOptions *options, int32_t label, size_t first, AlignedPieces *pieces,
                           Text *name, Diagnostic *diagnostic)
{
    size_t end = pieces->ids.count;
    int32_t special = options->subword_labels == SUBWORD_SPECIAL ? label_set_find(labels, LABEL_LATER_PIECE) : -1;
    if (options->subword_labels == SUBWORD_SPECIAL && special < 0)
        return FAIL(diagnostic, STATUS_MISMATCH, "subword_labels: special needs the label \"%s\", and the labels lack it",
                    LABEL_LATER_PIECE);
    for (size_t i = first; i < end; i++) {
        int32_t given = TOKEN_LABEL_IGNORED;
        if (label >= 0 && (i == first || options->subword_labels == SUBWORD_COPY)) {
            given = label;
        } else if (label >= 0 && options->subword_labels == SUBWORD_INSIDE) {
            Status status = inside_label(labels, label, i + 1 == end, &given, name, diagnostic);
            if (status != STATUS_OK)
                return status;
        } else if (label >= 0 && special >= 0) {
            given = special;
        }
        array_push(&pieces->labels, given);
    }
    return STATUS_OK;
}

Status align_tokens(const Wordpiece *wordpiece, const char *const *tokens, const size_t *token_sizes, const int32_t *token_labels,
                    int32_t n, const LabelSet *labels, LabelScheme scheme, const DataOptions *options, AlignedPieces *pieces,
                    Diagnostic *diagnostic)
{
    (void)scheme; /* the prefixes say it all: only IOBES and BILOU have those that end a span of one token */
    Status status = STATUS_OK;
    WordpieceOutput output = {0};
    Text name = {0};
    for (int32_t token = 0; token < n; token++) {
        wordpiece_output_clear(&output);
        TRY(wordpiece_encode_token(wordpiece, tokens[token], token_sizes[token], token, &output, diagnostic));
        size_t first = pieces->ids.count;
        if (first + output.ids.count > ALIGN_PIECE_LIMIT)
            TRY_FAIL(diagnostic, STATUS_LIMIT, "the sentence or document has over %d word pieces: cut it into shorter ones",
                     ALIGN_PIECE_LIMIT);
        for (size_t i = 0; i < output.ids.count; i++) {
            array_push(&pieces->ids, output.ids.items[i]);
            array_push(&pieces->token_index, token);
        }
        if (output.ids.count == 0) {
            pieces->zero_piece_tokens++;
            if (options->zero_piece == ZERO_PIECE_ERROR)
                TRY_FAIL(diagnostic, STATUS_INVALID_INPUT,
                         "token %d (\"%.*s\") gives no word piece: remove it, or choose zero_piece unk or drop", token,
                         token_sizes[token] < 64 ? (int)token_sizes[token] : 64, tokens[token]);
            if (options->zero_piece == ZERO_PIECE_DROP)
                continue;
            array_push(&pieces->ids, wordpiece_specials(wordpiece)->unk);
            array_push(&pieces->token_index, token);
        }
        TRY(label_pieces(labels, options, token_labels ? token_labels[token] : -1, first, pieces, &name, diagnostic));
    }
out:
    text_free(&name);
    wordpiece_output_free(&output);
    return status;
}
