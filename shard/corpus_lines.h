/* Lines of a text file with their numbers, read in bounded memory. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_LINES_H
#define NERSWEEP_SHARD_CORPUS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

typedef struct CorpusLines {
    int file; /* -1: none */
    const char *path;
    char *buffer;
    size_t begin, end; /* unread bytes of the buffer */
    bool exhausted;
    Text line;
    long number;
    uint64_t bytes_done, bytes_total;
} CorpusLines;

/* Without the line end (LF or CR LF) and, in the first line, without the byte-order mark. Lives until the next call. */
typedef struct CorpusLine {
    const char *bytes; /* terminated */
    size_t size;
    long number;   /* from 1 */
    bool too_long; /* over CORPUS_LINE_LIMIT: only its beginning is here */
} CorpusLine;

/* path must live as long as lines. Only regular files: they are read more than once. */
NODISCARD Status corpus_lines_open(CorpusLines *lines, const char *path, Diagnostic *diagnostic);
void corpus_lines_close(CorpusLines *lines);
/* *more = false at the end. */
NODISCARD Status corpus_lines_next(CorpusLines *lines, CorpusLine *line, bool *more, Diagnostic *diagnostic);

bool corpus_line_is_blank(const CorpusLine *line); /* nothing but spaces and TABs */
/* Offset of the first byte that is not valid UTF-8 (NUL counts as such), or -1. */
ptrdiff_t corpus_invalid_utf8(const char *bytes, size_t size);

#endif
