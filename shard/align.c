#include "shard/align.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/token_block.h"

enum { TOKENS_AT_ONCE = 64 };

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
    wordpiece_output_free(&pieces->encoded);
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

static Status inside_label(const LabelSet *labels, int32_t label, bool last, int32_t *result, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Text name = {0};
    inside_name(label_set_name(labels, label), last, &name);
    *result = label_set_find(labels, name.bytes);
    if (*result < 0)
        TRY_FAIL(diagnostic, STATUS_MISMATCH,
                 "subword_labels: inside needs the label \"%s\" for the later pieces of \"%s\", and the labels lack it", name.bytes,
                 label_set_name(labels, label));
out:
    text_free(&name);
    return status;
}

/* What align_tokens was given. */
typedef struct Alignment {
    const Wordpiece *wordpiece;
    const char *const *tokens;
    const size_t *token_sizes;
    const int32_t *token_labels;
    const LabelSet *labels;
    const DataOptions *options;
    AlignedPieces *pieces;
    int32_t special; /* label of later pieces, or -1 */
} Alignment;

/* Labels of the pieces [first, end) that one token gave. special: of later pieces, or -1. */
static Status label_pieces(const Alignment *alignment, int32_t label, size_t first, Diagnostic *diagnostic)
{
    AlignedPieces *pieces = alignment->pieces;
    SubwordLabels rule = alignment->options->subword_labels;
    size_t end = pieces->ids.count;
    array_reserve(&pieces->labels, end);
    pieces->labels.count = end;
    pieces->labels.items[first] = label >= 0 ? label : TOKEN_LABEL_IGNORED;
    for (size_t i = first + 1; i < end; i++) {
        int32_t given = TOKEN_LABEL_IGNORED;
        if (label >= 0 && rule == SUBWORD_INSIDE) {
            Status status = inside_label(alignment->labels, label, i + 1 == end, &given, diagnostic);
            if (status != STATUS_OK)
                return status;
        } else if (label >= 0 && rule != SUBWORD_IGNORE) {
            given = rule == SUBWORD_COPY ? label : alignment->special;
        }
        pieces->labels.items[i] = given;
    }
    return STATUS_OK;
}

/* A token that gave no piece. *dropped: it has none still. */
static Status zero_pieces(const Alignment *alignment, int32_t token, bool *dropped, Diagnostic *diagnostic)
{
    AlignedPieces *pieces = alignment->pieces;
    size_t size = alignment->token_sizes[token];
    pieces->zero_piece_tokens++;
    if (alignment->options->zero_piece == ZERO_PIECE_ERROR)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "token %d (\"%.*s\") gives no word piece: remove it, or choose zero_piece unk or drop", token,
                    size < 64 ? (int)size : 64, alignment->tokens[token]);
    *dropped = alignment->options->zero_piece == ZERO_PIECE_DROP;
    if (!*dropped) {
        array_push(&pieces->ids, wordpiece_specials(alignment->wordpiece)->unk);
        array_push(&pieces->token_index, token);
    }
    return STATUS_OK;
}

/* Tokens [first, end), whose pieces are those that pieces->encoded has. */
static Status align_some(const Alignment *alignment, int32_t first, int32_t end, Diagnostic *diagnostic)
{
    AlignedPieces *pieces = alignment->pieces;
    const WordpieceOutput *encoded = &pieces->encoded;
    size_t at = 0;
    for (int32_t token = first; token < end; token++) {
        size_t before = pieces->ids.count, begin = at;
        while (at < encoded->ids.count && encoded->word_ids.items[at] == token)
            at++;
        if (before + (at - begin) > ALIGN_PIECE_LIMIT)
            return FAIL(diagnostic, STATUS_LIMIT, "the sentence or document has over %d word pieces: cut it into shorter ones",
                        ALIGN_PIECE_LIMIT);
        array_reserve(&pieces->ids, before + (at - begin));
        array_reserve(&pieces->token_index, before + (at - begin));
        for (size_t i = begin; i < at; i++) {
            pieces->ids.items[pieces->ids.count++] = encoded->ids.items[i];
            pieces->token_index.items[pieces->token_index.count++] = token;
        }
        bool dropped = false;
        Status status = at == begin ? zero_pieces(alignment, token, &dropped, diagnostic) : STATUS_OK;
        if (status == STATUS_OK && !dropped)
            status = label_pieces(alignment, alignment->token_labels ? alignment->token_labels[token] : -1, before, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

Status align_tokens(const Wordpiece *wordpiece, const char *const *tokens, const size_t *token_sizes, const int32_t *token_labels,
                    int32_t n, const LabelSet *labels, LabelScheme scheme, const DataOptions *options, AlignedPieces *pieces,
                    Diagnostic *diagnostic)
{
    (void)scheme; /* the prefixes say it all: only IOBES and BILOU have those that end a span of one token */
    Status status = STATUS_OK;
    Alignment alignment = {wordpiece, tokens, token_sizes, token_labels, labels, options, pieces, -1};
    if (options->subword_labels == SUBWORD_SPECIAL) {
        alignment.special = label_set_find(labels, LABEL_LATER_PIECE);
        if (alignment.special < 0 && n > 0)
            return FAIL(diagnostic, STATUS_MISMATCH, "subword_labels: special needs the label \"%s\", and the labels lack it",
                        LABEL_LATER_PIECE);
    }
    int32_t most = TOKENS_AT_ONCE; /* so that what is encoded stays small */
    for (int32_t first = 0, some; first < n && status == STATUS_OK; first += some) {
        some = n - first < most ? n - first : most;
        wordpiece_output_clear(&pieces->encoded);
        status = wordpiece_encode_tokens(wordpiece, tokens + first, token_sizes + first, some, first, &pieces->encoded, diagnostic);
        if (status == STATUS_OK) {
            status = align_some(&alignment, first, first + some, diagnostic);
        } else if (some > 1) { /* one by one: what is wrong with a token before it comes first */
            status = STATUS_OK;
            most = 1;
            some = 0;
        }
    }
    return status;
}
