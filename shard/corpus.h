/* Annotated corpora, read as a stream of sentences with bounded memory (semantics.md section 2). Every format stands behind the same
 * interface; formats of raw text and spans become tokens and labels on the way. */
#ifndef NERSWEEP_SHARD_CORPUS_H
#define NERSWEEP_SHARD_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/spans/labels.h"
#include "shard/words.h"

enum {
    CORPUS_LINE_LIMIT = 1 << 20,     /* bytes of one line */
    CORPUS_SENTENCE_LIMIT = 1 << 20, /* tokens of one sentence (or document without any blank line) */
    CORPUS_SENTENCE_BYTES = 1 << 26, /* bytes of one sentence's tokens and labels, of one text, of one JSON record */
};

/* AUTO: by content, the name's extension as a hint. */
typedef enum CorpusFormat {
    CORPUS_AUTO,
    CORPUS_CONLL,       /* columns separated by TABs or runs of spaces */
    CORPUS_CSV,         /* RFC 4180: columns for the sentence's id, the token and the label */
    CORPUS_JSONL,       /* {"tokens": [...], "ner_tags": [...]} a line, as run_ner.py reads it */
    CORPUS_PRODIGY,     /* {"text", "tokens"?, "spans": [{"start", "end", "label"}]} a line */
    CORPUS_LABELSTUDIO, /* an array of tasks: JSON and JSON-MIN exports */
    CORPUS_SPACY,       /* {"text", "entities": [[start, end, label]]} a line */
    CORPUS_BRAT,        /* NAME.txt beside NAME.ann, or a folder of such pairs */
    CORPUS_FORMAT_COUNT
} CorpusFormat;
/* Names by CorpusFormat, "auto" first, NULL-terminated. */
extern const char *const corpus_format_names[];
bool corpus_format_parse(const char *name, CorpusFormat *format); /* also "tsv" */
/* Are its records raw text with spans (true), or tokens with labels? Not for AUTO. */
bool corpus_format_is_text(CorpusFormat format);
/* STATUS_NOT_FOUND / PERMISSION name the file; STATUS_INVALID_INPUT when it is JSON of no known kind, STATUS_UNSUPPORTED when it is no text
 * in UTF-8 by its first bytes (UTF-16, compressed). */
NODISCARD Status corpus_format_detect(const char *path, CorpusFormat *format, Diagnostic *diagnostic);

/* What becomes of a span whose ends are not ends of tokens. */
typedef enum MisalignedPolicy {
    MISALIGNED_ERROR,
    MISALIGNED_EXPAND,   /* to every token that it touches */
    MISALIGNED_CONTRACT, /* to the tokens that lie within it */
    MISALIGNED_DROP,
} MisalignedPolicy;
extern const char *const misaligned_policy_names[];

/* Which of spans that share tokens is kept. Each rule takes spans in its order and leaves out those that meet one already taken. */
typedef enum FlattenPolicy {
    FLATTEN_ERROR,
    FLATTEN_OUTERMOST, /* from the left; of those that begin together the longest */
    FLATTEN_INNERMOST, /* the shortest first */
    FLATTEN_LONGEST,   /* the longest first */
    FLATTEN_FIRST,     /* in the order of the file */
} FlattenPolicy;
extern const char *const flatten_policy_names[];

/* Characters [start, end) of a text, as bytes. */
typedef struct CorpusSpan {
    size_t start, end;
    const char *label;
    long line, column; /* where it is written, from 1 */
} CorpusSpan;

/* What was not taken as it stands in the file. */
typedef struct CorpusCounts {
    int64_t misaligned; /* spans moved or left out by MisalignedPolicy */
    int64_t flattened;  /* spans left out by FlattenPolicy */
    int64_t duplicates; /* spans that are there twice with one label: taken once */
    int64_t utf16;      /* spans whose offsets fit only as UTF-16 units */
    int64_t skipped;    /* records without an accepted annotation */
} CorpusCounts;

typedef struct CorpusToken {
    const char *text; /* UTF-8, terminated, the token column as it stands */
    size_t text_size;
    const char *label;
    long line;         /* from 1 */
    long token_column; /* byte columns of both in their line, from 1 */
    long label_column;
    size_t start, end; /* bytes in the sentence's text, where it has one */
} CorpusToken;

/* Lives until the next corpus_reader_next. */
typedef struct CorpusSentence {
    CorpusToken *tokens;
    int32_t token_count;
    bool document_start; /* a -DOCSTART- stood before it, or it is the file's first */
    long line;           /* of the first token */
    const char *text;    /* NULL: the format has tokens only */
    size_t text_size;
    const CorpusSpan *spans; /* of text, as they stand in the file */
    size_t span_count;
    float weight; /* in the loss: 1, or what a column of weights says */
} CorpusSentence;

typedef struct CorpusOptions {
    int token_column;                    /* from 1, or negative from the end; 0: 1 */
    int label_column;                    /* likewise; 0: -1 (last) */
    const char *token_name, *label_name; /* CSV: header names instead, or NULL. The texts must live as long as the reader */
    const char *sentence_column;         /* CSV: header name or number, or NULL */
    CorpusFormat format;
    const char *label_list; /* JSONL with ids as tags: the labels by id, separated by commas; or NULL */
    bool weight_column;     /* CoNLL: a last column of numbers is the weight of the sentence, when the label has a column besides */
    bool keep_text;         /* text formats: no tokens but the file's own, no labels, spans may overlap */
    /* For text formats; the defaults (zero) are treebank words, IOB2, errors. */
    bool words_given, scheme_given;
    WordsRule words;
    LabelScheme scheme;
    MisalignedPolicy misaligned;
    FlattenPolicy flatten;
    bool merge_adjacent; /* spans of one type that meet may become one in a scheme that cannot tell them apart */
} CorpusOptions;
/* From options as text ("2", "-1", a name; "" or NULL: the default); names point into the texts. STATUS_INVALID_INPUT names the option. */
NODISCARD Status corpus_options_parse(CorpusOptions *options, const char *token_column, const char *label_column,
                                      Diagnostic *diagnostic);

/* Problems that do not end the reading are handed to `problem` when it is set (lint), else a warning is logged once per kind and an error
 * ends the reading. rule: static id such as "column-count". */
typedef enum ProblemSeverity { PROBLEM_WARNING, PROBLEM_ERROR } ProblemSeverity;
typedef void (*CorpusProblem)(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                              const char *message);

typedef struct CorpusReader CorpusReader;
/* STATUS_NOT_FOUND / PERMISSION name the file; STATUS_UNSUPPORTED as above, or told to `problem`, and then nothing is read. CoNLL: a first pass over (a bounded part of) the file settles columns, separator and
 * whether lines that begin with "# " are comments. */
NODISCARD Status corpus_reader_open(CorpusReader **reader, const char *path, CorpusOptions options, CorpusProblem problem,
                                    void *context, Diagnostic *diagnostic);
void corpus_reader_close(CorpusReader **reader);
/* *sentence = NULL at the end. Errors (STATUS_INVALID_INPUT) carry file:line:column: wrong column count, empty label, invalid UTF-8, line
 * too long, offsets outside of the text, spans that overlap or cut a token. */
NODISCARD Status corpus_reader_next(CorpusReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic);
/* Bytes read so far and in all, for progress. */
void corpus_reader_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total);

CorpusFormat corpus_reader_format(const CorpusReader *reader); /* never AUTO */
/* So far. */
CorpusCounts corpus_reader_counts(const CorpusReader *reader);

#endif
