/* Annotated corpora, read as a stream of sentences with bounded memory (semantics.md section 2). CoNLL/TSV in the wild; further formats plug
 * in behind the same interface. */
#ifndef NERSWEEP_SHARD_CORPUS_H
#define NERSWEEP_SHARD_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

enum {
    CORPUS_LINE_LIMIT = 1 << 20,     /* bytes of one line */
    CORPUS_SENTENCE_LIMIT = 1 << 20, /* tokens of one sentence (or document without any blank line) */
    CORPUS_SENTENCE_BYTES = 1 << 26, /* bytes of one sentence's tokens and labels */
};

typedef struct CorpusToken {
    const char *text; /* UTF-8, terminated, the token column as it stands */
    size_t text_size;
    const char *label;
    long line;         /* from 1 */
    long token_column; /* byte columns of both in their line, from 1 */
    long label_column;
} CorpusToken;

/* Lives until the next corpus_reader_next. */
typedef struct CorpusSentence {
    CorpusToken *tokens;
    int32_t token_count;
    bool document_start; /* a -DOCSTART- stood before it, or it is the file's first */
    long line;           /* of the first token */
} CorpusSentence;

typedef struct CorpusOptions {
    int token_column; /* from 1, or negative from the end; 0: 1 */
    int label_column; /* likewise; 0: -1 (last) */
} CorpusOptions;
/* From options as text ("2", "-1"; "" or NULL: the default). STATUS_INVALID_INPUT names the option. */
NODISCARD Status corpus_options_parse(CorpusOptions *options, const char *token_column, const char *label_column,
                                      Diagnostic *diagnostic);

/* Problems that do not end the reading are handed to `problem` when it is set (lint), else a warning is logged once per kind and an error
 * ends the reading. rule: static id such as "column-count". */
typedef enum ProblemSeverity { PROBLEM_WARNING, PROBLEM_ERROR } ProblemSeverity;
typedef void (*CorpusProblem)(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                              const char *message);

typedef struct CorpusReader CorpusReader;
/* STATUS_NOT_FOUND / PERMISSION name the file. A first pass over (a bounded part of) the file settles columns, separator and whether lines
 * that begin with "# " are comments. */
NODISCARD Status corpus_reader_open(CorpusReader **reader, const char *path, CorpusOptions options, CorpusProblem problem,
                                    void *context, Diagnostic *diagnostic);
void corpus_reader_close(CorpusReader **reader);
/* *sentence = NULL at the end. Errors (STATUS_INVALID_INPUT) carry file:line:column: wrong column count, empty label, invalid UTF-8, line too long. */
NODISCARD Status corpus_reader_next(CorpusReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic);
/* Bytes read so far and in all, for progress. */
void corpus_reader_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total);

#endif
