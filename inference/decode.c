#include "inference/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A token for which a window has no piece: it counts as O. */
enum { NO_DECISION = -1 };

static TokenDecision logits_decide(const float *logits, int32_t label_count)
{
    int32_t best = 0;
    for (int32_t c = 1; c < label_count; c++)
        best = logits[c] > logits[best] ? c : best;
    double sum = 0;
    for (int32_t c = 0; c < label_count; c++)
        sum += exp((double)logits[c] - (double)logits[best]);
    return (TokenDecision){best, (float)(1.0 / sum)};
}

/* Rows of logits of the tokens of one run, as logarithms of probabilities. */
static void append_log_softmax(FloatArray *rows, const float *logits, int32_t label_count)
{
    double largest = logits[0], sum = 0;
    for (int32_t c = 1; c < label_count; c++)
        largest = (double)logits[c] > largest ? (double)logits[c] : largest;
    for (int32_t c = 0; c < label_count; c++)
        sum += exp((double)logits[c] - largest);
    array_reserve(rows, rows->count + (size_t)label_count);
    for (int32_t c = 0; c < label_count; c++)
        rows->items[rows->count++] = (float)((double)logits[c] - largest - log(sum));
}

/* Replaces argmax by the best allowed sequence, run by run of tokens that have pieces. */
static void decide_again(const float *logits, const int32_t *token_index, int32_t length, int32_t label_count,
                         const Transitions *transitions, int32_t token_count, int32_t token_first, int32_t token_end,
                         TokenDecision *decisions)
{
    FloatArray rows = {0};
    int32_t *labels = memory_allocate((size_t)(token_end - token_first) + 1, sizeof *labels);
    for (int32_t begin = token_first, end, piece = 0; begin < token_end; begin = end + 1) {
        rows.count = 0;
        for (end = begin; end < token_end && decisions[end - token_first].label != NO_DECISION; end++) {
            while (piece < length && token_index[piece] != end)
                piece++;
            append_log_softmax(&rows, logits + (size_t)piece * (size_t)label_count, label_count);
        }
        bool opens = begin > token_first || token_first == 0, closes = end < token_end || token_end == token_count;
        transitions_decode(transitions, rows.items, end - begin, opens, closes, labels);
        for (int32_t t = begin; t < end; t++) {
            const float *row = rows.items + (size_t)(t - begin) * (size_t)label_count;
            decisions[t - token_first] = (TokenDecision){labels[t - begin], expf(row[labels[t - begin]])};
        }
    }
    free(labels);
    array_free(&rows);
}

void window_decode(const float *logits, const int32_t *token_index, int32_t length, int32_t label_count,
                   const Transitions *transitions, int32_t token_count, int32_t *token_first, int32_t *token_end,
                   TokenDecision *decisions)
{
    int32_t first = -1, end = 0;
    for (int32_t i = 0; i < length; i++) {
        int32_t token = token_index[i];
        if (token < 0 || (first >= 0 && token < end))
            continue;
        if (first < 0)
            first = end = token;
        for (; end < token; end++)
            decisions[end - first] = (TokenDecision){NO_DECISION, 0.0f};
        decisions[token - first] = logits_decide(logits + (size_t)i * (size_t)label_count, label_count);
        end = token + 1;
    }
    *token_first = first < 0 ? 0 : first;
    *token_end = end;
    if (transitions)
        decide_again(logits, token_index, length, label_count, transitions, token_count, *token_first, *token_end, decisions);
}

/* A span that one window proposes. */
typedef struct Candidate {
    ScoredSpan scored;
    bool owned; /* its window has the most context for its middle */
    bool cut;   /* it touches an edge of its window behind which the sequence goes on */
} Candidate;
typedef ARRAY(Candidate) CandidateArray;

typedef struct Extraction {
    const LabelTable *table;
    bool strict;
    LabelScheme scheme;
} Extraction;

/* Spans of a window's decisions. Tokens without a decision part the tokens as an O does, also where there is no label O. */
static void window_candidates(const Extraction *extraction, const WindowDecisions *window, int32_t token_count, int32_t *label_room,
                              SpanArray *span_room, CandidateArray *candidates)
{
    int32_t count = window->token_end - window->token_first;
    for (int32_t begin = 0, end; begin < count; begin = end + 1) {
        for (end = begin; end < count && window->decisions[end].label != NO_DECISION; end++)
            label_room[end - begin] = window->decisions[end].label;
        span_room->count = 0;
        if (extraction->strict)
            spans_extract_strict(extraction->table, extraction->scheme, label_room, end - begin, span_room);
        else
            spans_extract_default(extraction->table, label_room, end - begin, span_room);
        for (size_t i = 0; i < span_room->count; i++) {
            Span span = span_room->items[i];
            double sum = 0;
            for (int32_t t = span.start; t < span.end; t++)
                sum += (double)window->decisions[begin + t].probability;
            float score = (float)(sum / (double)(span.end - span.start));
            span.start += window->token_first + begin;
            span.end += window->token_first + begin;
            int32_t middle = span.start + (span.end - span.start - 1) / 2;
            Candidate candidate = {.scored = {span, score}};
            candidate.owned = middle >= window->owned_first && middle < window->owned_end;
            candidate.cut =
                (span.start == window->token_first && span.start > 0) || (span.end == window->token_end && span.end < token_count);
            array_push(candidates, candidate);
        }
    }
}

/* Whether b covers all of a and more. */
static bool span_covers_further(const Span *b, const Span *a)
{
    return b->start <= a->start && b->end >= a->end && b->end - b->start > a->end - a->start;
}

/* What a window cut off gives way to what a neighbour saw whole. */
static void drop_cut_candidates(CandidateArray *candidates)
{
    size_t kept = 0;
    bool *dropped = memory_allocate(candidates->count + 1, sizeof *dropped);
    for (size_t i = 0; i < candidates->count; i++) {
        for (size_t j = 0; j < candidates->count && candidates->items[i].cut && !dropped[i]; j++)
            dropped[i] = span_covers_further(&candidates->items[j].scored.span, &candidates->items[i].scored.span);
    }
    for (size_t i = 0; i < candidates->count; i++) {
        if (!dropped[i])
            candidates->items[kept++] = candidates->items[i];
    }
    candidates->count = kept;
    free(dropped);
}

static void drop_foreign_candidates(CandidateArray *candidates)
{
    size_t kept = 0;
    for (size_t i = 0; i < candidates->count; i++) {
        if (candidates->items[i].owned)
            candidates->items[kept++] = candidates->items[i];
    }
    candidates->count = kept;
}

/* More confident first; then what its window owns, then by place. */
static int compare_confidence(const void *left, const void *right)
{
    const Candidate *a = left, *b = right;
    if (a->scored.score != b->scored.score)
        return a->scored.score > b->scored.score ? -1 : 1;
    if (a->owned != b->owned)
        return a->owned ? -1 : 1;
    const Span *x = &a->scored.span, *y = &b->scored.span;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return (x->type > y->type) - (x->type < y->type);
}

static int compare_start(const void *left, const void *right)
{
    const ScoredSpan *a = left, *b = right;
    return (a->span.start > b->span.start) - (a->span.start < b->span.start);
}

/* Takes candidates in order as long as none of their tokens is taken. */
static void take_candidates(const CandidateArray *candidates, int32_t token_count, ScoredSpanArray *spans)
{
    size_t before = spans->count;
    bool *taken = memory_allocate((size_t)token_count + 1, sizeof *taken);
    for (size_t i = 0; i < candidates->count; i++) {
        const Span *span = &candidates->items[i].scored.span;
        bool is_free = true;
        for (int32_t t = span->start; t < span->end && is_free; t++)
            is_free = !taken[t];
        if (!is_free)
            continue;
        memset(taken + span->start, true, (size_t)(span->end - span->start));
        array_push(spans, candidates->items[i].scored);
    }
    if (spans->count > before)
        qsort(spans->items + before, spans->count - before, sizeof *spans->items, compare_start);
    free(taken);
}

static int32_t outside_label(const LabelTable *table)
{
    for (int32_t i = 0; i < table->label_count; i++) {
        if (table->prefixes[i] == PREFIX_O)
            return i;
    }
    return NO_DECISION;
}

/* The owner's decision for each token; where nobody owns a token, that of the first window that has one. */
static void merge_labels(const LabelTable *table, const WindowDecisions *windows, size_t window_count, int32_t token_count,
                         int32_t *labels)
{
    for (int32_t t = 0; t < token_count; t++)
        labels[t] = NO_DECISION;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t w = 0; w < window_count; w++) {
            const WindowDecisions *window = &windows[w];
            for (int32_t t = window->token_first; t < window->token_end; t++) {
                bool owned = t >= window->owned_first && t < window->owned_end;
                if (labels[t] == NO_DECISION && (owned || pass == 1))
                    labels[t] = window->decisions[t - window->token_first].label;
            }
        }
    }
    int32_t outside = outside_label(table);
    for (int32_t t = 0; t < token_count; t++)
        labels[t] = labels[t] == NO_DECISION ? outside : labels[t];
}

static void merge_windows(const Extraction *extraction, const WindowDecisions *windows, size_t window_count, int32_t token_count,
                          MergeRule rule, ScoredSpanArray *spans, int32_t *labels)
{
    CandidateArray candidates = {0};
    SpanArray span_room = {0};
    int32_t *label_room = memory_allocate((size_t)token_count + 1, sizeof *label_room);
    for (size_t w = 0; w < window_count; w++) {
        ASSERT(windows[w].token_first >= 0 && windows[w].token_first <= windows[w].token_end &&
               windows[w].token_end <= token_count);
        window_candidates(extraction, &windows[w], token_count, label_room, &span_room, &candidates);
    }
    if (window_count > 1) {
        if (rule == MERGE_CONTEXT)
            drop_foreign_candidates(&candidates);
        drop_cut_candidates(&candidates);
        if (candidates.count > 1)
            qsort(candidates.items, candidates.count, sizeof *candidates.items, compare_confidence);
    }
    take_candidates(&candidates, token_count, spans);
    if (labels)
        merge_labels(extraction->table, windows, window_count, token_count, labels);
    free(label_room);
    array_free(&span_room);
    array_free(&candidates);
}

void spans_merge_windows(const LabelTable *table, const WindowDecisions *windows, size_t window_count, int32_t token_count,
                         MergeRule rule, ScoredSpanArray *spans, int32_t *labels)
{
    Extraction extraction = {.table = table};
    merge_windows(&extraction, windows, window_count, token_count, rule, spans, labels);
}

void spans_merge_windows_strict(const LabelTable *table, LabelScheme scheme, const WindowDecisions *windows, size_t window_count,
                                int32_t token_count, MergeRule rule, ScoredSpanArray *spans, int32_t *labels)
{
    Extraction extraction = {.table = table, .strict = true, .scheme = scheme};
    merge_windows(&extraction, windows, window_count, token_count, rule, spans, labels);
}
