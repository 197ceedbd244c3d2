/* From logits of windows to labelled spans of a sequence: the one path that evaluation and prediction share (semantics.md sections 3 and 6). */
#ifndef NERSWEEP_INFERENCE_DECODE_H
#define NERSWEEP_INFERENCE_DECODE_H

#include "core/spans/labels.h"
#include "inference/viterbi.h"

/* Per token of a sequence what one window says: label and probability of its first piece. */
typedef struct TokenDecision {
    int32_t label;     /* id among the model's labels */
    float probability; /* softmax of that label */
} TokenDecision;

/* logits: [length, C] of one window, token_index: [length] (-1 on specials), ascending. The first piece of each token decides: by argmax, the
 * lowest id on a tie, or with transitions (may be NULL) by the most probable sequence of labels that they allow, over runs of tokens that
 * have pieces; a run that does not reach the end of the sequence of token_count tokens may begin or end inside a span. decisions: [token_end - token_first] for the tokens whose first piece is in this window; a token between them that
 * has no piece (dropped) gets label -1, probability 0, and counts as O. No pieces at all: both ends 0. */
void window_decode(const float *logits, const int32_t *token_index, int32_t length, int32_t label_count,
                   const Transitions *transitions, int32_t token_count, int32_t *token_first, int32_t *token_end,
                   TokenDecision *decisions);

typedef enum MergeRule { MERGE_CONFIDENCE, MERGE_CONTEXT } MergeRule;

/* A span with the mean probability of its tokens. */
typedef struct ScoredSpan {
    Span span;
    float score;
} ScoredSpan;
typedef ARRAY(ScoredSpan) ScoredSpanArray;

/* One window's decisions within a sequence. owned_first/owned_end: token range whose context is best in this window. */
typedef struct WindowDecisions {
    int32_t token_first, token_end;
    int32_t owned_first, owned_end;
    const TokenDecision *decisions; /* [token_end - token_first] */
} WindowDecisions;

/* Spans of a sequence of token_count tokens, sorted by start, not overlapping. One window: spans_extract_default of its labels. Several: spans
 * are decoded per window; equal ones count once (higher score); of overlapping ones the more confident stays (MERGE_CONFIDENCE; tie: the one
 * owned by its window, then the earlier), or the one whose window owns its middle (MERGE_CONTEXT). A span that touches an inner edge of its
 * window gives way to one of the neighbour that covers the same tokens further. Tokens are never split between two windows' spans.
 * With MERGE_CONTEXT a span whose middle its window does not own is left out, also where the owner saw nothing. Appends to spans.
 * labels (may be NULL): [token_count] model label ids for gold-beside-prediction output: the decisions of the owning window; O where there
 * is none (-1 when the table has no O). */
void spans_merge_windows(const LabelTable *table, const WindowDecisions *windows, size_t window_count, int32_t token_count, MergeRule rule,
                         ScoredSpanArray *spans, int32_t *labels);
/* The same with spans_extract_strict in each window. */
void spans_merge_windows_strict(const LabelTable *table, LabelScheme scheme, const WindowDecisions *windows, size_t window_count,
                                int32_t token_count, MergeRule rule, ScoredSpanArray *spans, int32_t *labels);

#endif
