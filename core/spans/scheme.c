/* What a scheme allows, which scheme a corpus follows, and labels made from spans. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/spans/labels.h"

static const char *const scheme_names[SCHEME_COUNT] = {
    [SCHEME_IO] = "IO",     [SCHEME_IOB1] = "IOB1",   [SCHEME_IOB2] = "IOB2",   [SCHEME_IOE1] = "IOE1",
    [SCHEME_IOE2] = "IOE2", [SCHEME_IOBES] = "IOBES", [SCHEME_BILOU] = "BILOU",
};

const char *label_scheme_name(LabelScheme scheme)
{
    ASSERT(scheme >= 0 && scheme < SCHEME_COUNT);
    return scheme_names[scheme];
}

bool label_scheme_parse(const char *name, LabelScheme *scheme)
{
    for (int i = 0; i < SCHEME_COUNT; i++) {
        if (strcasecmp(name, scheme_names[i]) == 0) {
            *scheme = (LabelScheme)i;
            return true;
        }
    }
    if (strcasecmp(name, "BIO") != 0)
        return false;
    *scheme = SCHEME_IOB2;
    return true;
}

static const SchemeLabel EDGE = {.valid = true, .parts = {.prefix = PREFIX_O, .type = ""}}; /* stands around a sentence */

SchemeLabel scheme_label(const char *label)
{
    SchemeLabel taken = {.valid = false};
    taken.valid = label_split(label, &taken.parts);
    taken.mapped = taken.valid && (label[0] == 'L' || label[0] == 'U');
    return taken;
}

static bool is_outside(const SchemeLabel *place)
{
    return place->valid && place->parts.prefix == PREFIX_O;
}

static bool in_span_of(const SchemeLabel *neighbour, const SchemeLabel *place)
{
    return neighbour->valid && neighbour->parts.prefix != PREFIX_O && strcmp(neighbour->parts.type, place->parts.type) == 0;
}

/* The neighbour is of the same type and its prefix is one of the two. */
static bool neighbour_is(const SchemeLabel *neighbour, const SchemeLabel *place, LabelPrefix one, LabelPrefix other)
{
    return in_span_of(neighbour, place) && (neighbour->parts.prefix == one || neighbour->parts.prefix == other);
}

/* BILOU and IOBES: what is open must have been opened before and be closed after. */
static bool closed_scheme_allows(const SchemeLabel *before, const SchemeLabel *here, const SchemeLabel *after)
{
    bool opened = neighbour_is(before, here, PREFIX_B, PREFIX_I);
    bool goes_on = neighbour_is(after, here, PREFIX_I, PREFIX_E);
    switch (here->parts.prefix) {
    case PREFIX_B:
        return goes_on;
    case PREFIX_I:
        return opened && goes_on;
    case PREFIX_E:
        return opened;
    default:
        return true;
    }
}

/* Does the scheme allow the label `here` between its neighbours? */
static bool scheme_allows(LabelScheme scheme, const SchemeLabel *before, const SchemeLabel *here, const SchemeLabel *after)
{
    if (!here->valid)
        return false;
    LabelPrefix prefix = here->parts.prefix;
    if (prefix == PREFIX_O)
        return true;
    bool begins_or_ends = prefix == PREFIX_E || prefix == PREFIX_S;
    if (begins_or_ends && here->mapped != (scheme == SCHEME_BILOU))
        return false; /* L and U belong to BILOU alone, E and S to the others */
    switch (scheme) {
    case SCHEME_IO:
        return prefix == PREFIX_I;
    case SCHEME_IOB1: /* B- only where a span of the same type ends */
        return prefix == PREFIX_I || (prefix == PREFIX_B && neighbour_is(before, here, PREFIX_I, PREFIX_B));
    case SCHEME_IOB2:
        return prefix == PREFIX_B || (prefix == PREFIX_I && neighbour_is(before, here, PREFIX_I, PREFIX_B));
    case SCHEME_IOE1: /* E- only where a span of the same type begins */
        return prefix == PREFIX_I || (prefix == PREFIX_E && neighbour_is(after, here, PREFIX_I, PREFIX_E));
    case SCHEME_IOE2:
        return prefix == PREFIX_E || (prefix == PREFIX_I && neighbour_is(after, here, PREFIX_I, PREFIX_E));
    default:
        return closed_scheme_allows(before, here, after);
    }
}

bool scheme_knows_prefix(LabelScheme scheme, LabelPrefix prefix)
{
    static const uint8_t known[SCHEME_COUNT] = {
        [SCHEME_IO] = 1 << PREFIX_I,
        [SCHEME_IOB1] = 1 << PREFIX_I | 1 << PREFIX_B,
        [SCHEME_IOB2] = 1 << PREFIX_I | 1 << PREFIX_B,
        [SCHEME_IOE1] = 1 << PREFIX_I | 1 << PREFIX_E,
        [SCHEME_IOE2] = 1 << PREFIX_I | 1 << PREFIX_E,
        [SCHEME_IOBES] = 1 << PREFIX_B | 1 << PREFIX_I | 1 << PREFIX_E | 1 << PREFIX_S,
        [SCHEME_BILOU] = 1 << PREFIX_B | 1 << PREFIX_I | 1 << PREFIX_E | 1 << PREFIX_S,
    };
    return prefix == PREFIX_O || (known[scheme] >> prefix & 1) != 0;
}

bool scheme_allows_transition(LabelScheme scheme, LabelPrefix before, LabelPrefix after, bool same_type)
{
    same_type = same_type && before != PREFIX_O && after != PREFIX_O;
    bool opened = before == PREFIX_B || before == PREFIX_I, goes_on = after == PREFIX_I || after == PREFIX_E;
    switch (scheme) {
    case SCHEME_IOB1:
        return after != PREFIX_B || (same_type && opened);
    case SCHEME_IOB2:
        return after != PREFIX_I || (same_type && opened);
    case SCHEME_IOE1:
        return before != PREFIX_E || (same_type && goes_on);
    case SCHEME_IOE2:
        return before != PREFIX_I || (same_type && goes_on);
    case SCHEME_IOBES:
    case SCHEME_BILOU:
        return opened == goes_on && (!opened || same_type);
    case SCHEME_IO:
    case SCHEME_COUNT:
        break;
    }
    return true;
}

int32_t scheme_first_violation(LabelScheme scheme, const char *const *labels, int32_t n)
{
    return scheme_next_violation(scheme, labels, n, 0);
}

int32_t scheme_next_violation(LabelScheme scheme, const char *const *labels, int32_t n, int32_t from)
{
    ASSERT(scheme >= 0 && scheme < SCHEME_COUNT && from >= 0);
    SchemeLabel before = from > 0 && from < n ? scheme_label(labels[from - 1]) : EDGE;
    SchemeLabel here = from < n ? scheme_label(labels[from]) : EDGE;
    for (int32_t i = from; i < n; i++) {
        SchemeLabel after = i + 1 < n ? scheme_label(labels[i + 1]) : EDGE;
        if (!scheme_allows(scheme, &before, &here, &after))
            return i;
        before = here;
        here = after;
    }
    return -1;
}

int32_t scheme_first_violation_of_ids(LabelScheme scheme, const SchemeLabel *names, const int32_t *labels, int32_t n)
{
    ASSERT(scheme >= 0 && scheme < SCHEME_COUNT);
    for (int32_t i = 0; i < n; i++) {
        const SchemeLabel *here = &names[labels[i]];
        if (is_outside(here))
            continue; /* most tokens, and allowed everywhere */
        if (!scheme_allows(scheme, i > 0 ? &names[labels[i - 1]] : &EDGE, here, i + 1 < n ? &names[labels[i + 1]] : &EDGE))
            return i;
    }
    return -1;
}

static void guess_add(SchemeGuess *guess, const SchemeLabel *before, const SchemeLabel *here, const SchemeLabel *after)
{
    if (here->valid)
        guess->prefix_seen[here->parts.prefix]++;
    if (is_outside(here))
        return;
    guess->seen_l_or_u |= here->mapped;
    for (int scheme = 0; scheme < SCHEME_COUNT; scheme++)
        guess->invalid[scheme] += !scheme_allows((LabelScheme)scheme, before, here, after);
}

void scheme_guess_add(SchemeGuess *guess, const char *const *labels, int32_t n)
{
    guess->sentences++;
    SchemeLabel before = EDGE, here = n > 0 ? scheme_label(labels[0]) : EDGE;
    for (int32_t i = 0; i < n; i++) {
        SchemeLabel after = i + 1 < n ? scheme_label(labels[i + 1]) : EDGE;
        guess_add(guess, &before, &here, &after);
        before = here;
        here = after;
    }
}

void scheme_guess_add_ids(SchemeGuess *guess, const SchemeLabel *names, const int32_t *labels, int32_t n)
{
    uint64_t outside_count = 0;
    guess->sentences++;
    for (int32_t i = 0; i < n; i++) {
        const SchemeLabel *here = &names[labels[i]];
        if (is_outside(here))
            outside_count++;
        else
            guess_add(guess, i > 0 ? &names[labels[i - 1]] : &EDGE, here, i + 1 < n ? &names[labels[i + 1]] : &EDGE);
    }
    guess->prefix_seen[PREFIX_O] += outside_count;
}

LabelScheme scheme_guess_result(const SchemeGuess *guess)
{
    static const LabelScheme strictest_first[] = {SCHEME_BILOU, SCHEME_IOBES, SCHEME_IOB2, SCHEME_IOE2,
                                                  SCHEME_IOB1,  SCHEME_IOE1,  SCHEME_IO};
    uint64_t begins = guess->prefix_seen[PREFIX_B], ends = guess->prefix_seen[PREFIX_E] + guess->prefix_seen[PREFIX_S];
    if (begins + ends + guess->prefix_seen[PREFIX_I] == 0)
        return SCHEME_IOB2; /* nothing but O fits every scheme: the common one */
    LabelScheme best = SCHEME_IOB2;
    uint64_t fewest = UINT64_MAX;
    for (size_t i = 0; i < sizeof strictest_first / sizeof *strictest_first; i++) {
        LabelScheme scheme = strictest_first[i];
        if ((scheme == SCHEME_BILOU) != guess->seen_l_or_u && (scheme == SCHEME_BILOU || scheme == SCHEME_IOBES))
            continue;
        if (guess->invalid[scheme] < fewest) {
            fewest = guess->invalid[scheme];
            best = scheme;
        }
    }
    return fewest > 0 && begins > 0 && ends == 0 ? SCHEME_IOB2 : best;
}

/* Prefix letter of token `index` of a span; touches_*: the span before or after has the same type and no gap. */
static char span_letter(LabelScheme scheme, const Span *span, int32_t index, bool touches_before, bool touches_after)
{
    bool first = index == span->start, last = index == span->end - 1;
    switch (scheme) {
    case SCHEME_IOB1:
        return first && touches_before ? 'B' : 'I';
    case SCHEME_IOB2:
        return first ? 'B' : 'I';
    case SCHEME_IOE1:
        return last && touches_after ? 'E' : 'I';
    case SCHEME_IOE2:
        return last ? 'E' : 'I';
    case SCHEME_IOBES:
        return first && last ? 'S' : first ? 'B' : last ? 'E' : 'I';
    case SCHEME_BILOU:
        return first && last ? 'U' : first ? 'B' : last ? 'L' : 'I';
    default:
        return 'I';
    }
}

static Status span_check(const Span *spans, size_t index, const char *const *type_names, int32_t n, Diagnostic *diagnostic)
{
    const Span *span = &spans[index];
    if (span->start < 0 || span->end <= span->start || span->end > n)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "span %zu covers tokens %d to %d of a sentence of %d tokens", index + 1,
                    span->start + 1, span->end, n);
    if (!type_names[span->type][0])
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "span %zu (from token %d) has an empty type: no label can be made of it",
                    index + 1, span->start + 1);
    if (index > 0 && spans[index - 1].end > span->start)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "spans %zu and %zu overlap at token %d: one label per token cannot hold both, flatten them first", index,
                    index + 1, span->start + 1);
    return STATUS_OK;
}

static bool spans_touch(const Span *first, const Span *second)
{
    return first->end == second->start && first->type == second->type;
}

Status spans_to_labels(LabelScheme scheme, const Span *spans, size_t span_count, const char *const *type_names, int32_t n,
                       bool merge_adjacent, LabelSet *set, int32_t *labels, Diagnostic *diagnostic)
{
    ASSERT(scheme >= 0 && scheme < SCHEME_COUNT);
    Status status = STATUS_OK;
    Text name = {0};
    for (size_t s = 0; s < span_count; s++) {
        TRY(span_check(spans, s, type_names, n, diagnostic));
        if (scheme == SCHEME_IO && !merge_adjacent && s > 0 && spans_touch(&spans[s - 1], &spans[s]))
            TRY_FAIL(
                diagnostic, STATUS_MISMATCH,
                "two spans of type %s meet at token %d: IO cannot tell them apart; choose another scheme, or merge adjacent spans",
                type_names[spans[s].type], spans[s].start + 1);
    }
    int32_t outside = label_set_add(set, "O");
    for (int32_t i = 0; i < n; i++)
        labels[i] = outside;
    for (size_t s = 0; s < span_count; s++) {
        bool before = s > 0 && spans_touch(&spans[s - 1], &spans[s]);
        bool after = s + 1 < span_count && spans_touch(&spans[s], &spans[s + 1]);
        for (int32_t i = spans[s].start; i < spans[s].end; i++) {
            text_clear(&name);
            text_format(&name, "%c-%s", span_letter(scheme, &spans[s], i, before, after), type_names[spans[s].type]);
            labels[i] = label_set_add(set, name.bytes);
        }
    }
out:
    text_free(&name);
    return status;
}
