/* Label schemes (semantics.md section 1): labels as PREFIX-TYPE, spans out of label sequences, conversion. Pure functions. */
#ifndef NERSWEEP_CORE_SPANS_LABELS_H
#define NERSWEEP_CORE_SPANS_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

typedef enum LabelScheme {
    SCHEME_IO,
    SCHEME_IOB1,
    SCHEME_IOB2,
    SCHEME_IOE1,
    SCHEME_IOE2,
    SCHEME_IOBES,
    SCHEME_BILOU,
    SCHEME_COUNT
} LabelScheme;

const char *label_scheme_name(LabelScheme scheme);
bool label_scheme_parse(const char *name, LabelScheme *scheme); /* also "BIO", any case */

typedef enum LabelPrefix { PREFIX_O, PREFIX_B, PREFIX_I, PREFIX_E, PREFIX_S } LabelPrefix; /* L reads as E, U as S */

/* A label taken apart. type points into the label's text (after the first '-'), "" for O. */
typedef struct LabelParts {
    LabelPrefix prefix;
    const char *type;
} LabelParts;
/* False when the text is neither "O" nor B-, I-, E-, S-, L-, U- followed by a type. (seqeval reads a bare prefix as type "_"; we refuse it.) */
bool label_split(const char *label, LabelParts *parts);

/* The label of all later pieces of tokens where data is made with subword_labels: special. No corpus has it; as a prediction it is no span. */
#define LABEL_LATER_PIECE "X"

/* A set of label names with dense ids. Names are owned. */
typedef struct LabelSet LabelSet;
LabelSet *label_set_create(void);
LabelSet *label_set_copy(const LabelSet *set);
void label_set_destroy(LabelSet **set);
int32_t label_set_add(LabelSet *set, const char *name);        /* id, also when there already */
int32_t label_set_find(const LabelSet *set, const char *name); /* -1: none */
const char *label_set_name(const LabelSet *set, int32_t id);
int32_t label_set_count(const LabelSet *set);
/* Orders names by bytes, as Python's sorted(); ids change. map (may be NULL): [count before] old id -> new id. */
void label_set_sort(LabelSet *set, int32_t *map);

/* A span over tokens [start, end) of one sentence. type: index into the TypeTable. */
typedef struct Span {
    int32_t start, end;
    int32_t type;
} Span;
typedef ARRAY(Span) SpanArray;

/* Entity types, and each label id of a LabelSet taken apart once, for fast decoding. Built for one LabelSet; labels that do not split are
 * STATUS_INVALID_INPUT. */
typedef struct LabelTable {
    int32_t label_count;
    LabelPrefix *prefixes; /* [label_count] */
    int32_t *types;        /* [label_count] type index; -1 for O and LABEL_LATER_PIECE, which counts as O */
    int32_t type_count;
    char **type_names; /* [type_count], sorted by bytes */
} LabelTable;
NODISCARD Status label_table_create(LabelTable **table, const LabelSet *set, Diagnostic *diagnostic);
void label_table_destroy(LabelTable **table);

/* seqeval's default mode = conlleval. labels: [n] ids. Appends to spans. */
void spans_extract_default(const LabelTable *table, const int32_t *labels, int32_t n, SpanArray *spans);
/* seqeval's mode='strict' with the scheme given. IO: maximal runs of one type. A prefix that the scheme does not know makes seqeval
 * raise; here it follows the same rules, which give it no span of its own. */
void spans_extract_strict(const LabelTable *table, LabelScheme scheme, const int32_t *labels, int32_t n, SpanArray *spans);

/* Labels of n tokens from spans that do not overlap (sorted by start), names made as "B-" + type; new names are added to set.
 * labels: [n] out. Adjacent spans of one type cannot be told apart in IO: STATUS_MISMATCH with the token's number (from 1) unless
 * merge_adjacent. (IOB1 and IOE1 part them by B- and E-: nothing is lost, docs/decisions/010.) Spans that overlap, leave the sentence or
 * have an empty type are STATUS_INVALID_INPUT. */
NODISCARD Status spans_to_labels(LabelScheme scheme, const Span *spans, size_t span_count, const char *const *type_names, int32_t n,
                                 bool merge_adjacent, LabelSet *set, int32_t *labels, Diagnostic *diagnostic);

/* A label as schemes look at it. `valid` false: no label at all. `mapped`: written with L or U. parts.type points into the label's text. */
typedef struct SchemeLabel {
    bool valid, mapped;
    LabelParts parts;
} SchemeLabel;
SchemeLabel scheme_label(const char *label);

/* The scheme that a set of labels and transitions fits: counts are taken from sentences by scheme_guess_add. */
typedef struct SchemeGuess {
    uint64_t sentences;
    uint64_t invalid[SCHEME_COUNT]; /* tokens at which a scheme is violated */
    uint64_t prefix_seen[8];        /* by LabelPrefix */
    bool seen_l_or_u;
} SchemeGuess;
void scheme_guess_add(SchemeGuess *guess, const char *const *labels, int32_t n);
/* The same for labels that were taken apart once: names by id, labels: [n] ids. */
void scheme_guess_add_ids(SchemeGuess *guess, const SchemeLabel *names, const int32_t *labels, int32_t n);
/* The strictest scheme without violations (order: BILOU/IOBES, IOB2, IOE2, IOB1, IOE1, IO). When all have some: IOB2 if B- is seen and
 * neither E- nor S- is, else the scheme with the fewest. Nothing but O: IOB2. */
LabelScheme scheme_guess_result(const SchemeGuess *guess);
/* Index of the first token whose label the scheme does not allow between its neighbours, or -1. In IOE2, IOBES and BILOU that may be
 * the token whose span is not closed after it. */
int32_t scheme_first_violation(LabelScheme scheme, const char *const *labels, int32_t n);
/* The same for labels that were taken apart once: names by id, labels: [n] ids. */
int32_t scheme_first_violation_of_ids(LabelScheme scheme, const SchemeLabel *names, const int32_t *labels, int32_t n);
/* Likewise the first one at or after token `from`. */
int32_t scheme_next_violation(LabelScheme scheme, const char *const *labels, int32_t n, int32_t from);

/* Does a scheme know this prefix? E and S stand for L and U of BILOU here, as in a LabelTable. */
bool scheme_knows_prefix(LabelScheme scheme, LabelPrefix prefix);
/* May a label follow another one directly? same_type: both have the same type; of no matter where one of them is O. What stands before the
 * first and after the last token of a sentence is O. A sequence of labels that the scheme has violates nothing exactly when each of its
 * transitions is allowed. */
bool scheme_allows_transition(LabelScheme scheme, LabelPrefix before, LabelPrefix after, bool same_type);

#endif
