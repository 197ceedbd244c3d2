/* The one table of lint's rules: their ids, what they say, how bad it is, whether --fix mends it. docs/lint/ has a page for each. */
#ifndef NERSWEEP_SHARD_LINT_RULES_H
#define NERSWEEP_SHARD_LINT_RULES_H

#include <stdbool.h>

#include "shard/corpus.h"

/* X(name, id, severity, fixable, summary), in the order of reports: what cannot be read, bytes, tokens, labels, types, sentences, corpus. */
#define LINT_RULE_LIST(X)                                                                                                        \
    X(ENCODING, "encoding", ERROR, false, "bytes that are not UTF-8")                                                            \
    X(NO_TOKENS, "no-tokens", ERROR, false, "a file without any labelled token")                                                 \
    X(COLUMN_COUNT, "column-count", ERROR, false, "a line with more or fewer columns than the others")                           \
    X(EMPTY_LABEL, "empty-label", ERROR, false, "a token or a span without a label")                                             \
    X(LONG_LINE, "long-line", ERROR, false, "a line that cannot be one token with its label")                                    \
    X(LINE_END, "line-end", ERROR, false, "a carriage return within a line")                                                     \
    X(CSV, "csv", ERROR, false, "a record that breaks the rules of CSV")                                                         \
    X(JSON, "json", ERROR, false, "a record that is not JSON")                                                                   \
    X(JSON_KEYS, "json-keys", ERROR, false, "a record without the keys of its format")                                           \
    X(WEIGHT, "weight", ERROR, false, "a weight that is none, or not the sentence's (with --weight-column)")                     \
    X(LABEL_LIST, "label-list", ERROR, false, "a tag that is a number, and no list that says what it means")                     \
    X(LABEL_CHARACTERS, "label-characters", ERROR, false, "a label with a TAB or a line end in it")                              \
    X(TOKEN_OFFSETS, "token-offsets", ERROR, false, "a token that does not stand in the text where it says")                     \
    X(SPAN_KIND, "span-kind", ERROR, false, "a span that is not one of plain text")                                              \
    X(SPAN_OFFSETS, "span-offsets", ERROR, false, "a span outside of its text")                                                  \
    X(SPAN_TEXT, "span-text", ERROR, false, "a span whose text reads otherwise than it says")                                    \
    X(TOO_MANY_SPANS, "too-many-spans", ERROR, false, "a record with more spans than any text can have")                         \
    X(MISALIGNED_SPAN, "misaligned-span", ERROR, false, "a span that cuts a token")                                              \
    X(OVERLAPPING_SPANS, "overlapping-spans", ERROR, false, "spans that share a token")                                          \
    X(ADJACENT_SPANS, "adjacent-spans", ERROR, false, "spans of one type that meet, and a scheme that cannot part them")         \
    X(BRAT_LINE, "brat-line", ERROR, false, "a line of an .ann file that is no annotation")                                      \
    X(DISCONTINUOUS_SPAN, "discontinuous-span", ERROR, false, "a span in several fragments")                                     \
    X(UTF16_OFFSETS, "utf16-offsets", WARNING, false, "offsets that were counted in UTF-16 units")                               \
    X(BYTE_ORDER_MARK, "byte-order-mark", WARNING, true, "a byte-order mark before the first line")                              \
    X(CRLF, "crlf", WARNING, true, "lines that end in CR LF")                                                                    \
    X(TRAILING_SPACE, "trailing-space", WARNING, true, "lines that end in white space")                                          \
    X(EMPTY_TOKEN, "empty-token", WARNING, false, "a label without a token")                                                     \
    X(BLANK_TOKEN, "blank-token", WARNING, false, "a token of nothing but white space")                                          \
    X(INNER_SPACE, "inner-space", WARNING, true, "a token with white space in it")                                               \
    X(UNKNOWN_PREFIX, "unknown-prefix", ERROR, false, "a label that is none, or not one of the scheme's")                        \
    X(INSIDE_WITHOUT_BEGIN, "inside-without-begin", WARNING, true, "a span that goes on without having begun")                   \
    X(SCHEME_TRANSITION, "scheme-transition", WARNING, true, "a label that the scheme does not allow at its place")              \
    X(UNKNOWN_TYPE, "unknown-type", ERROR, false, "a type that is not among those given by --types")                             \
    X(MISSPELT_TYPE, "misspelt-type", WARNING, true, "a rare type that is spelt nearly as a frequent one")                       \
    X(LABEL_SET_DIFFERS, "label-set-differs", WARNING, false, "a type that other files have and this one lacks")                 \
    X(DUPLICATE_SENTENCE, "duplicate-sentence", WARNING, true, "a sentence that stands in the set twice with the same labels")   \
    X(CONFLICTING_SENTENCE, "conflicting-sentence", WARNING, false, "a sentence that stands in the set twice with other labels") \
    X(NEAR_DUPLICATE, "near-duplicate-sentence", WARNING, false, "a sentence that is nearly another of its set")                 \
    X(SHARED_SENTENCE, "shared-sentence", WARNING, false, "a sentence of train in dev or test")                                  \
    X(NEAR_SHARED, "near-shared-sentence", WARNING, false, "a sentence of dev or test that is nearly one of train")              \
    X(LONG_SENTENCE, "long-sentence", WARNING, false, "a sentence that is longer than the window (with --vocab or --model)")     \
    X(CONFLICTING_ANNOTATION, "conflicting-annotation", WARNING, false, "a string that is nearly always labelled otherwise")     \
    X(MOSTLY_OUTSIDE, "mostly-outside", WARNING, false, "a file with hardly any sentence that has a span")

typedef enum LintRule {
#define LINT_RULE_ENUM(name, id, severity, fixable, summary) LINT_##name,
    LINT_RULE_LIST(LINT_RULE_ENUM)
#undef LINT_RULE_ENUM
        LINT_RULE_COUNT
} LintRule;

typedef struct LintRuleEntry {
    const char *id;
    ProblemSeverity severity; /* without strict */
    bool fixable;
    const char *summary;
} LintRuleEntry;
extern const LintRuleEntry lint_rules[LINT_RULE_COUNT];

/* False when there is none of that id. */
bool lint_rule_find(const char *id, LintRule *rule);
/* The id nearest to a misspelt one. */
const char *lint_rule_nearest(const char *id);

/* Single characters to insert, leave out, replace, or neighbours to exchange, that make b of a (optimal string alignment, Damerau 1964);
 * limit + 1 when there are more than limit. Bytes, not characters. */
int lint_edit_distance(const char *a, const char *b, int limit);

#endif
