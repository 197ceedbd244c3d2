/* What the parts of lint share. Internal to shard/lint*. */
#ifndef NERSWEEP_SHARD_LINT_INTERNAL_H
#define NERSWEEP_SHARD_LINT_INTERNAL_H

#include "shard/label_spans.h"
#include "shard/lint.h"

enum {
    LINT_TYPE_LIMIT = 1024,        /* distinct types that are counted; a corpus has a dozen */
    LINT_FORM_LIMIT = 1 << 20,     /* distinct annotated strings */
    LINT_FORM_TOKENS = 6,          /* of an annotated string; longer ones are not compared */
    LINT_SENTENCE_LIMIT = 1 << 22, /* sentences that are compared with one another */
    LINT_PAIR_LIMIT = 1 << 25,     /* pairs of words of all sentences that are compared */
    LINT_DUPLICATE_TOKENS = 5,     /* shorter sentences ("Yes .") are told by everybody */
    LINT_NEAR_TOKENS = 8,
    LINT_NEAR_PERCENT = 70,    /* pairs of words in common, of all that either sentence has */
    LINT_INVALID_LIMIT = 4096, /* lines of a file whose first invalid byte is remembered */
};

typedef struct LintPlace {
    int32_t file;
    int32_t column;
    int64_t line;
} LintPlace;

/* Spans of one type in one file. */
typedef struct LintTypeCount {
    int64_t spans;
    LintPlace first;
} LintTypeCount;

typedef struct LintInvalid {
    long line;
    uint64_t offset; /* of the line's first byte that is not UTF-8, in the file */
} LintInvalid;

/* Lines of one kind: how many, and the first. */
typedef struct LintLines {
    int64_t count;
    long first;
} LintLines;

typedef struct LintFile {
    char *path;
    LintRole role;
    int32_t set;   /* files of one set are one in what is compared */
    int32_t input; /* number of the first file of the folder that it is from, its own otherwise: where the counts below stand */
    bool readable; /* it could be opened */
    bool whole;    /* and read to its end */
    CorpusFormat format;
    LabelScheme scheme;
    int64_t sentences, outside; /* outside: without any span */
    int64_t unread;             /* lines or records that could not be read */
    ARRAY(LintTypeCount) types; /* by id in the linter's type_names; may be shorter */
    bool byte_order_mark;
    LintLines crlf, trailing_space;
    ARRAY(LintInvalid) invalid; /* by line */
    int64_t reported[LINT_RULE_COUNT];
} LintFile;

typedef struct LintForms LintForms;         /* annotated strings */
typedef struct LintSentences LintSentences; /* sentences by their tokens */

/* The sentence in hand, prepared once for all rules. */
typedef struct LintView {
    int32_t file;
    const CorpusSentence *sentence;
    ARRAY(const char *) labels;
    ARRAY(uint64_t) hashes; /* of each token's bytes */
    LabelSpans spans;
    bool labels_fine; /* each label is one: spans are what they say */
    Text text;        /* scratch */
    WordpieceOutput pieces;
} LintView;

struct Linter {
    const LintOptions *options;
    LintReport report;
    void *context;
    LintCounts counts;
    ARRAY(LintFile) files;
    int32_t current; /* of the reader's problems */
    LintView view;
    LabelSet *type_names;
    bool types_full;
    LintPlace type_left_out; /* the first span of a type that is not counted */
    LintForms *forms;
    LintSentences *sentences;
};

void lint_report(Linter *linter, LintPlace place, LintRule rule, const char *format, ...) PRINTF_LIKE(4, 5);
/* Counts problems that are not reported: the end of a ranking. */
void lint_count(Linter *linter, LintRule rule, int64_t count);
LintPlace lint_token_place(int32_t file, const CorpusToken *token);
LintPlace lint_label_place(int32_t file, const CorpusToken *token);
/* "path:line" of another place, for messages. Lives until the next call. */
const char *lint_place_text(Linter *linter, LintPlace place);
void lint_view_set(LintView *view, int32_t file, const CorpusSentence *sentence);
void lint_view_free(LintView *view);
bool lint_sentence_is_outside(const CorpusSentence *sentence);

static inline uint64_t lint_hash_join(uint64_t hash, uint64_t next)
{
    hash = (hash ^ next) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

/* Opening a pipe would wait for somebody to write into it. */
NODISCARD Status lint_path_check(const char *path, Diagnostic *diagnostic);

/* Bytes and lines as they stand, before any reader takes them for something. */
NODISCARD Status lint_bytes_scan(LintFile *file, Diagnostic *diagnostic);
void lint_bytes_check(Linter *linter, int32_t file);

/* Rules of one token or label in its sentence. */
void lint_tokens_check(Linter *linter);
/* Offset of white space in a token, or -1; *size: its bytes. */
ptrdiff_t lint_white_space(const char *text, size_t size, size_t *space_size);
bool lint_is_blank(const char *text, size_t size);

/* Types: counted while files are added, checked when all are. */
void lint_types_add(Linter *linter);
void lint_types_compare(Linter *linter);
/* The frequent type that this one is likely meant to be (an id), or -1. distance (may be NULL): 0 when they differ in case alone. */
int32_t lint_type_meant(const LabelSet *names, const int64_t *counts, int32_t type, int *distance);

/* Annotated strings: gathered while files are added; where they stand without annotation is counted when files are checked. */
LintForms *lint_forms_create(void);
void lint_forms_destroy(LintForms **forms);
void lint_forms_add(Linter *linter);
void lint_forms_count_outside(Linter *linter);
void lint_forms_compare(Linter *linter);

LintSentences *lint_sentences_create(void);
void lint_sentences_destroy(LintSentences **sentences);
/* Exact repetition is reported at once, what is nearly the same in the end. */
void lint_sentences_check(Linter *linter);
void lint_sentences_compare(Linter *linter);

#endif
