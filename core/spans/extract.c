/* Spans out of label sequences: seqeval's default mode (conlleval's rules) and its strict mode, rule by rule. */
#include "core/spans/labels.h"

/* One token as the rules see it; type -1 stands for O's. */
typedef struct Tag {
    LabelPrefix prefix;
    int32_t type;
} Tag;

static const Tag tag_outside = {PREFIX_O, -1};

/* The tag at index, or O before the first and after the last token. */
static Tag tag_at(const LabelTable *table, const int32_t *labels, int32_t n, int32_t index)
{
    if (index < 0 || index >= n)
        return tag_outside;
    ASSERT(labels[index] >= 0 && labels[index] < table->label_count);
    return (Tag){table->prefixes[labels[index]], table->types[labels[index]]};
}

static bool default_ends(Tag previous, Tag current)
{
    switch (previous.prefix) {
    case PREFIX_O:
        return false;
    case PREFIX_E:
    case PREFIX_S:
        return true;
    default:
        return current.prefix == PREFIX_B || current.prefix == PREFIX_S || current.prefix == PREFIX_O ||
               previous.type != current.type;
    }
}

static bool default_starts(Tag previous, Tag current)
{
    switch (current.prefix) {
    case PREFIX_O:
        return false;
    case PREFIX_B:
    case PREFIX_S:
        return true;
    default:
        return previous.prefix == PREFIX_E || previous.prefix == PREFIX_S || previous.prefix == PREFIX_O ||
               previous.type != current.type;
    }
}

void spans_extract_default(const LabelTable *table, const int32_t *labels, int32_t n, SpanArray *spans)
{
    Tag previous = tag_outside;
    int32_t start = 0;
    for (int32_t i = 0; i <= n; i++) {
        Tag current = tag_at(table, labels, n, i);
        if (default_ends(previous, current)) {
            Span span = {.start = start, .end = i, .type = previous.type};
            array_push(spans, span);
        }
        if (default_starts(previous, current))
            start = i;
        previous = current;
    }
}

/* Strict mode: a scheme is a set of rules on neighbouring tags. A pair of tags may start a span at the second, keep the second inside
 * the span of the first, or end the span at the first. A span counts only when both its start and its end follow the rules. */
enum { FROM_O = 1 << PREFIX_O, FROM_B = 1 << PREFIX_B, FROM_I = 1 << PREFIX_I, FROM_E = 1 << PREFIX_E, FROM_S = 1 << PREFIX_S };
enum { ANY_PREFIX = FROM_O | FROM_B | FROM_I | FROM_E | FROM_S };

typedef enum Relation { TYPES_ANY, TYPES_SAME, TYPES_DIFFER } Relation;
typedef enum Effect { EFFECT_NONE, EFFECT_START, EFFECT_INSIDE, EFFECT_END } Effect;

typedef struct Rule {
    Effect effect;              /* EFFECT_NONE ends the list */
    unsigned previous, current; /* sets of prefixes */
    Relation types;
} Rule;

static const Rule rules_iob1[] = {
    {EFFECT_START, FROM_O | FROM_B, FROM_I, TYPES_ANY},
    {EFFECT_START, FROM_I, FROM_I, TYPES_DIFFER},
    {EFFECT_START, FROM_I | FROM_B, FROM_B, TYPES_SAME}, /* B- only parts neighbours of one type: after O it starts nothing */
    {EFFECT_INSIDE, FROM_I | FROM_B, FROM_I, TYPES_SAME},
    {EFFECT_END, FROM_I | FROM_B, FROM_I, TYPES_DIFFER},
    {EFFECT_END, FROM_I | FROM_B, FROM_O, TYPES_ANY},
    {EFFECT_END, FROM_I, FROM_B, TYPES_ANY},
    {EFFECT_END, FROM_B, FROM_B, TYPES_SAME},
    {EFFECT_NONE, 0, 0, TYPES_ANY},
};
static const Rule rules_iob2[] = {
    {EFFECT_START, ANY_PREFIX, FROM_B, TYPES_ANY},
    {EFFECT_INSIDE, FROM_I | FROM_B, FROM_I, TYPES_SAME},
    {EFFECT_END, FROM_I | FROM_B, FROM_O | FROM_B, TYPES_ANY},
    {EFFECT_END, FROM_I | FROM_B, FROM_I, TYPES_DIFFER},
    {EFFECT_NONE, 0, 0, TYPES_ANY},
};
/* seqeval's own IOE1 loses a span of one token that ends in E-, and one that ends in E- before O; so does this one. */
static const Rule rules_ioe1[] = {
    {EFFECT_START, FROM_O | FROM_E, FROM_I, TYPES_ANY},  {EFFECT_START, FROM_I, FROM_I, TYPES_DIFFER},
    {EFFECT_START, FROM_E, FROM_E, TYPES_SAME},          {EFFECT_INSIDE, FROM_I, FROM_I | FROM_E, TYPES_SAME},
    {EFFECT_END, FROM_I, FROM_I | FROM_E, TYPES_DIFFER}, {EFFECT_END, FROM_I, FROM_O, TYPES_ANY},
    {EFFECT_END, FROM_E, FROM_I | FROM_E, TYPES_SAME},   {EFFECT_NONE, 0, 0, TYPES_ANY},
};
static const Rule rules_ioe2[] = {
    {EFFECT_START, FROM_O | FROM_E, FROM_I | FROM_E, TYPES_ANY},
    {EFFECT_START, FROM_I, FROM_I | FROM_E, TYPES_DIFFER},
    {EFFECT_INSIDE, FROM_I, FROM_I | FROM_E, TYPES_SAME},
    {EFFECT_END, FROM_E, ANY_PREFIX, TYPES_ANY},
    {EFFECT_NONE, 0, 0, TYPES_ANY},
};
static const Rule rules_iobes[] = {
    {EFFECT_START, ANY_PREFIX, FROM_B | FROM_S, TYPES_ANY},
    {EFFECT_INSIDE, FROM_B | FROM_I, FROM_I | FROM_E, TYPES_SAME},
    {EFFECT_END, FROM_S | FROM_E, ANY_PREFIX, TYPES_ANY},
    {EFFECT_NONE, 0, 0, TYPES_ANY},
};

static const Rule *const scheme_rules[SCHEME_COUNT] = {
    [SCHEME_IOB1] = rules_iob1, [SCHEME_IOB2] = rules_iob2,   [SCHEME_IOE1] = rules_ioe1,
    [SCHEME_IOE2] = rules_ioe2, [SCHEME_IOBES] = rules_iobes, [SCHEME_BILOU] = rules_iobes, /* L and U are read as E and S */
};

static bool rules_allow(const Rule *rules, Effect effect, Tag previous, Tag current)
{
    for (const Rule *rule = rules; rule->effect != EFFECT_NONE; rule++) {
        if (rule->effect != effect || !(rule->previous & 1u << previous.prefix) || !(rule->current & 1u << current.prefix))
            continue;
        if (rule->types == TYPES_ANY || (rule->types == TYPES_SAME) == (previous.type == current.type))
            return true;
    }
    return false;
}

/* IO has no place in seqeval: a span is a maximal run of one type, whatever the prefixes. */
static void extract_runs(const LabelTable *table, const int32_t *labels, int32_t n, SpanArray *spans)
{
    for (int32_t i = 0; i < n;) {
        Span span = {.start = i, .type = tag_at(table, labels, n, i).type};
        while (i < n && tag_at(table, labels, n, i).type == span.type)
            i++;
        span.end = i;
        if (span.type >= 0)
            array_push(spans, span);
    }
}

void spans_extract_strict(const LabelTable *table, LabelScheme scheme, const int32_t *labels, int32_t n, SpanArray *spans)
{
    ASSERT(scheme >= 0 && scheme < SCHEME_COUNT);
    if (scheme == SCHEME_IO) {
        extract_runs(table, labels, n, spans);
        return;
    }
    const Rule *rules = scheme_rules[scheme];
    int32_t i = 0;
    while (i < n) {
        Tag current = tag_at(table, labels, n, i);
        if (!rules_allow(rules, EFFECT_START, tag_at(table, labels, n, i - 1), current)) {
            i++;
            continue;
        }
        Span span = {.start = i, .type = current.type};
        Tag last = current;
        for (i++, current = tag_at(table, labels, n, i); rules_allow(rules, EFFECT_INSIDE, last, current);
             i++, current = tag_at(table, labels, n, i))
            last = current;
        span.end = i;
        if (rules_allow(rules, EFFECT_END, last, current))
            array_push(spans, span);
    }
}
