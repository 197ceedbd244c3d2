#include "shard/corpus_ranges.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "shard/corpus_internal.h"

/* Unread bytes of the buffer, after reading on if there were none. 0: the end, or the file cannot be read on (*failed). */
static size_t available(CorpusLines *lines, bool *failed)
{
    if (lines->begin == lines->end && !lines->exhausted && corpus_lines_fill(lines, NULL) != STATUS_OK) {
        *failed = true;
        lines->exhausted = true;
    }
    return lines->end - lines->begin;
}

static void take(CorpusLines *lines, size_t size)
{
    lines->begin += size;
    lines->bytes_done += size;
}

/* The compiler makes vector instructions of this; line by line it would take five times as long. */
static int64_t newlines_count(const char *bytes, size_t size)
{
    enum { BLOCK = 255 }; /* that a byte can count */
    int64_t count = 0;
    for (size_t i = 0; i < size;) {
        size_t end = size - i < BLOCK ? size : i + BLOCK;
        unsigned char found = 0;
        for (; i < end; i++)
            found = (unsigned char)(found + (bytes[i] == '\n'));
        count += found;
    }
    return count;
}

/* Takes so many bytes. */
static void bytes_skip(CorpusLines *lines, uint64_t size, bool *failed)
{
    for (size_t some; size > 0 && (some = available(lines, failed)) > 0; size -= some) {
        some = some < size ? some : (size_t)size;
        lines->number += newlines_count(lines->buffer + lines->begin, some);
        take(lines, some);
    }
}

/* Takes the rest of a line. */
static void line_skip(CorpusLines *lines, bool *failed)
{
    for (size_t some; (some = available(lines, failed)) > 0;) {
        const char *start = lines->buffer + lines->begin, *newline = memchr(start, '\n', some);
        take(lines, newline ? (size_t)(newline - start) + 1 : some);
        lines->number += newline != NULL;
        if (newline)
            return;
    }
}

/* Takes a line. True when it is blank, as corpus_line_is_blank says. */
static bool blank_line_take(CorpusLines *lines, bool *failed)
{
    for (size_t some; (some = available(lines, failed)) > 0;) {
        const char *start = lines->buffer + lines->begin;
        size_t blanks = 0;
        while (blanks < some && (start[blanks] == ' ' || start[blanks] == '\t' || start[blanks] == '\r'))
            blanks++;
        take(lines, blanks);
        if (blanks == some)
            continue;
        bool blank = start[blanks] == '\n';
        line_skip(lines, failed);
        return blank;
    }
    return false;
}

/* Does a line that begins here begin with the mark of a document? Takes none of it, and reads it again if the buffer ends within. */
static bool at_document(CorpusLines *lines, bool *failed)
{
    enum { LOOKED_AT = sizeof "-DOCSTART-" };
    if (available(lines, failed) < LOOKED_AT && !lines->exhausted) {
        corpus_lines_seek(lines, lines->bytes_done, lines->bytes_end, lines->number);
        available(lines, failed);
    }
    const char *start = lines->buffer + lines->begin;
    size_t some = lines->end - lines->begin;
    const char *newline = memchr(start, '\n', some < LOOKED_AT ? some : LOOKED_AT);
    CorpusLine line = {.bytes = start, .size = newline ? (size_t)(newline - start) : some};
    return corpus_layout_is_document_start(&line);
}

CorpusCut corpus_lines_cut(CorpusLines *lines, uint64_t size_bytes, uint64_t limit_bytes, bool documents, CorpusRange *range)
{
    bool failed = false, border = false;
    *range = (CorpusRange){.begin = lines->bytes_done, .lines_before = lines->number};
    bytes_skip(lines, size_bytes, &failed);
    line_skip(lines, &failed);
    while (!border && lines->bytes_done - range->begin <= limit_bytes && available(lines, &failed) > 0) {
        border = blank_line_take(lines, &failed);
        if (documents)
            border = border && at_document(lines, &failed);
    }
    range->end = lines->bytes_done;
    range->line_count = lines->number - range->lines_before;
    if (border || (lines->exhausted && !failed))
        return range->end > range->begin ? CORPUS_CUT_RANGE : CORPUS_CUT_END;
    corpus_lines_seek(lines, range->begin, lines->bytes_end, range->lines_before);
    return CORPUS_CUT_NONE;
}

/* ---- readers ---- */

static const CorpusCuts *const format_cuts[CORPUS_FORMAT_COUNT] = {[CORPUS_CONLL] = &corpus_conll_cuts};

static const CorpusCuts *cuts_of(const CorpusReader *reader)
{
    return format_cuts[reader->options.format];
}

bool corpus_reader_cuts(const CorpusReader *reader)
{
    return cuts_of(reader) && !reader->problem;
}

CorpusCut corpus_reader_cut(CorpusReader *reader, uint64_t size_bytes, uint64_t limit_bytes, bool documents, CorpusRange *range)
{
    return cuts_of(reader)->cut(reader, size_bytes, limit_bytes, documents, range);
}

void corpus_reader_open_part(CorpusReader **part, const CorpusReader *reader)
{
    ASSERT(corpus_reader_cuts(reader));
    *part = corpus_reader_new(reader->path, reader->options);
    (*part)->operations = reader->operations;
    corpus_reader_keep_warnings(*part);
    cuts_of(reader)->open_part(*part, reader);
}

void corpus_reader_start(CorpusReader *part, const CorpusRange *range)
{
    cuts_of(part)->start(part, range);
}

const CorpusLayout *corpus_reader_read(CorpusReader *part, const CorpusRange *range, size_t slack, Text *bytes)
{
    return cuts_of(part)->read(part, range, slack, bytes);
}

void corpus_reader_keep_warnings(CorpusReader *reader)
{
    reader->keeps_warnings = true;
}

CorpusWarning corpus_reader_kept_warning(CorpusReader *reader)
{
    CorpusWarning kept = reader->kept;
    reader->kept = (CorpusWarning){0};
    return kept;
}

void corpus_reader_warn(CorpusReader *reader, CorpusWarning warning)
{
    if (warning.line > 0 && !reader->empty_token_said)
        LOG_WARNING("%s:%ld:%ld: %s [empty-token]; further ones are not reported", reader->path, warning.line, warning.column,
                    CORPUS_EMPTY_TOKEN);
    reader->empty_token_said |= warning.line > 0;
}

size_t corpus_reader_bytes(const CorpusReader *reader)
{
    return arena_bytes(reader->arena) + reader->tokens.capacity * sizeof *reader->tokens.items;
}
