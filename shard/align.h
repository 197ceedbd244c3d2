/* From labelled tokens to labelled pieces in windows (semantics.md section 3). */
#ifndef NERSWEEP_SHARD_ALIGN_H
#define NERSWEEP_SHARD_ALIGN_H

#include "core/options/options.h"
#include "core/spans/labels.h"
#include "shard/wordpiece.h"

enum { ALIGN_PIECE_LIMIT = 1 << 23 }; /* of one sequence: 100 MB of pieces, and as much of windows */

/* One sequence (a sentence, or a document) as pieces, without [CLS] and [SEP]. */
typedef struct AlignedPieces {
    Int32Array ids;
    Int32Array token_index;    /* token of each piece */
    Int32Array labels;         /* label id or TOKEN_LABEL_IGNORED */
    int64_t zero_piece_tokens; /* tokens that gave no piece */
    WordpieceOutput encoded;   /* memory of align_tokens, kept for the next time */
} AlignedPieces;
void aligned_pieces_clear(AlignedPieces *pieces);
void aligned_pieces_free(AlignedPieces *pieces);

/* WORDPIECE_TOKEN_SLACK bytes can be read from each token's first. token_labels: [n] ids (in `labels`), or -1 where the token's label is
 * not among the training labels (its pieces are ignored in the loss), or NULL (prediction). Tokens without pieces become [UNK], are
 * dropped or refused by options->zero_piece (file and line of tokens unknown here: the diagnostic names the token's index). More than
 * ALIGN_PIECE_LIMIT pieces are STATUS_LIMIT. `inside` turns B- into I- and, in IOBES/BILOU, keeps E/L on the last piece: the labels it
 * needs must be in `labels`. */
NODISCARD Status align_tokens(const Wordpiece *wordpiece, const char *const *tokens, const size_t *token_sizes,
                              const int32_t *token_labels, int32_t n, const LabelSet *labels, LabelScheme scheme,
                              const DataOptions *options, AlignedPieces *pieces, Diagnostic *diagnostic);

/* Adds to a training label set what `inside` derives from its labels (I- of each type, and E- or L- where spans have an end), and the one
 * label that `special` gives. */
void align_add_derived_labels(LabelSet *labels, SubwordLabels subword_labels);

/* A window: pieces [first, first + count) of the sequence. The loss and the context rule count piece i of the sequence in this window
 * exactly when owned_first <= i < owned_end: where it has the more context. */
typedef struct Window {
    int32_t first, count;
    int32_t owned_first, owned_end;
} Window;
typedef ARRAY(Window) WindowArray;

/* Cuts a sequence of piece_count pieces (token_index rising) into windows of at most max_seq_length - 2, overlapping by stride, on token
 * boundaries where a token fits. One window when it all fits; none when there are no pieces. 0 <= stride < max_seq_length - 2. Appends. */
void windows_cut(const int32_t *token_index, int32_t piece_count, int64_t max_seq_length, int64_t stride, WindowArray *windows);

#endif
