/* Lines of a text file with their numbers, read in bounded memory. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_LINES_H
#define NERSWEEP_SHARD_CORPUS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

typedef struct CorpusLines {
    int file;      /* -1: none */
    bool borrowed; /* the file is another's, who closes it */
    const char *path;
    char *buffer;
    size_t begin, end; /* unread bytes of the buffer */
    bool exhausted;
    Text line; /* one that is in two buffers */
    long number;
    uint64_t bytes_done, bytes_total; /* bytes_done: where the next line begins */
    uint64_t bytes_end;               /* here it ends as if the file did */
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
/* Further lines of the file that another has open, for another thread; corpus_lines_seek says which. */
void corpus_lines_share(CorpusLines *lines, const CorpusLines *other);
/* Goes on with the line that begins at a byte of the file, behind so many others, up to the byte `end`. */
void corpus_lines_seek(CorpusLines *lines, uint64_t begin, uint64_t end, long lines_before);
void corpus_lines_close(CorpusLines *lines);
/* Reads into the empty buffer. exhausted: there is nothing more. */
NODISCARD Status corpus_lines_fill(CorpusLines *lines, Diagnostic *diagnostic);
/* *more = false at the end. */
NODISCARD Status corpus_lines_next(CorpusLines *lines, CorpusLine *line, bool *more, Diagnostic *diagnostic);

/* The file's bytes [begin, end) as they are, with room for `slack` more and a terminator. False: they cannot be read. */
bool corpus_lines_read(const CorpusLines *lines, uint64_t begin, uint64_t end, size_t slack, Text *bytes);

bool corpus_line_is_blank(const CorpusLine *line); /* nothing but spaces and TABs */
bool corpus_line_is_plain(const CorpusLine *line); /* nothing but ASCII, without NUL and carriage returns */
/* Offset of the first byte that is not valid UTF-8 (NUL counts as such), or -1. */
ptrdiff_t corpus_invalid_utf8(const char *bytes, size_t size);

#endif
