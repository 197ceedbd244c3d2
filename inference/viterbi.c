#include "inference/viterbi.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/memory.h"

struct Transitions {
    int32_t label_count;  /* C */
    bool *allowed;        /* [C, C] row: before, column: after */
    bool *opens, *closes; /* [C] may be the first, the last label of a sentence */
    bool *known;          /* [C] the scheme has its prefix */
};

Transitions *transitions_create(const LabelTable *table, int32_t label_count, LabelScheme scheme)
{
    ASSERT(label_count >= 1 && label_count <= table->label_count);
    size_t count = (size_t)label_count;
    Transitions *transitions = memory_allocate(1, sizeof *transitions);
    transitions->label_count = label_count;
    transitions->allowed = memory_allocate(count * count, sizeof(bool));
    transitions->opens = memory_allocate(count, sizeof(bool));
    transitions->closes = memory_allocate(count, sizeof(bool));
    transitions->known = memory_allocate(count, sizeof(bool));
    for (size_t a = 0; a < count; a++) {
        LabelPrefix before = table->prefixes[a];
        transitions->known[a] = scheme_knows_prefix(scheme, before);
        transitions->opens[a] = scheme_allows_transition(scheme, PREFIX_O, before, false);
        transitions->closes[a] = scheme_allows_transition(scheme, before, PREFIX_O, false);
        for (size_t b = 0; b < count; b++)
            transitions->allowed[a * count + b] =
                scheme_allows_transition(scheme, before, table->prefixes[b], table->types[a] == table->types[b]);
    }
    return transitions;
}

void transitions_destroy(Transitions **transitions)
{
    if (!*transitions)
        return;
    free((*transitions)->allowed);
    free((*transitions)->opens);
    free((*transitions)->closes);
    free((*transitions)->known);
    free(*transitions);
    *transitions = NULL;
}

static void argmax_rows(const float *rows, int32_t n, int32_t label_count, int32_t *labels)
{
    for (int32_t t = 0; t < n; t++) {
        const float *row = rows + (size_t)t * (size_t)label_count;
        labels[t] = 0;
        for (int32_t c = 1; c < label_count; c++)
            labels[t] = row[c] > row[labels[t]] ? c : labels[t];
    }
}

/* Best sums of paths that end in each label of one more token; from: [C] the label before on that path, -1: none. */
static void path_extend(const Transitions *transitions, const double *best, const float *row, double *next, int32_t *from)
{
    size_t count = (size_t)transitions->label_count;
    for (size_t b = 0; b < count; b++) {
        next[b] = -INFINITY;
        from[b] = -1;
        if (!transitions->known[b])
            continue;
        for (size_t a = 0; a < count; a++) {
            if (transitions->allowed[a * count + b] && best[a] + (double)row[b] > next[b]) {
                next[b] = best[a] + (double)row[b];
                from[b] = (int32_t)a;
            }
        }
    }
}

void transitions_decode(const Transitions *transitions, const float *log_probabilities, int32_t n, bool opens, bool closes,
                        int32_t *labels)
{
    size_t count = (size_t)transitions->label_count;
    if (n == 0)
        return;
    double *best = memory_allocate(2 * count, sizeof *best), *next = best + count;
    int32_t *from = memory_allocate((size_t)n * count, sizeof *from);
    for (size_t c = 0; c < count; c++)
        best[c] = transitions->known[c] && (!opens || transitions->opens[c]) ? (double)log_probabilities[c] : -INFINITY;
    for (int32_t t = 1; t < n; t++) {
        path_extend(transitions, best, log_probabilities + (size_t)t * count, next, from + (size_t)t * count);
        double *swap = best;
        best = next;
        next = swap;
    }
    int32_t last = -1;
    for (size_t c = 0; c < count; c++)
        if ((!closes || transitions->closes[c]) && best[c] > -INFINITY && (last < 0 || best[c] > best[last]))
            last = (int32_t)c;
    if (last < 0)
        argmax_rows(log_probabilities, n, transitions->label_count, labels);
    for (int32_t t = n - 1; t >= 0 && last >= 0; t--) {
        labels[t] = last;
        last = t > 0 ? from[(size_t)t * count + (size_t)last] : last;
    }
    free(best < next ? best : next);
    free(from);
}
