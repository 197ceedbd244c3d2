#include "shard/corpus_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/corpus.h"

enum { BUFFER_SIZE = 1 << 16 };

Status corpus_lines_open(CorpusLines *lines, const char *path, Diagnostic *diagnostic)
{
    *lines = (CorpusLines){.file = -1, .path = path};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the corpus file %s: %s", path, strerror(errno));
    struct stat information;
    if (fstat(file, &information) != 0 || !S_ISREG(information.st_mode)) {
        close(file);
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "%s is not a regular file: corpora are read more than once, so write it to a file first", path);
    }
    lines->file = file;
    lines->bytes_total = (uint64_t)information.st_size;
    lines->bytes_end = UINT64_MAX;
    lines->buffer = memory_allocate(BUFFER_SIZE, 1);
    return STATUS_OK;
}

void corpus_lines_share(CorpusLines *lines, const CorpusLines *other)
{
    *lines = (CorpusLines){
        .file = other->file, .borrowed = true, .path = other->path, .bytes_total = other->bytes_total, .exhausted = true};
    lines->buffer = memory_allocate(BUFFER_SIZE, 1);
}

void corpus_lines_seek(CorpusLines *lines, uint64_t begin, uint64_t end, long lines_before)
{
    lines->begin = lines->end = 0;
    lines->exhausted = false;
    lines->number = lines_before;
    lines->bytes_done = begin;
    lines->bytes_end = end;
}

void corpus_lines_close(CorpusLines *lines)
{
    if (lines->file >= 0 && !lines->borrowed)
        close(lines->file);
    free(lines->buffer);
    text_free(&lines->line);
    *lines = (CorpusLines){.file = -1};
}

Status corpus_lines_fill(CorpusLines *lines, Diagnostic *diagnostic)
{
    uint64_t left = lines->bytes_end - lines->bytes_done;
    ssize_t count;
    do
        count = pread(lines->file, lines->buffer, left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE, (off_t)lines->bytes_done);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return FAIL_AT(diagnostic, status_from_errno(errno), lines->path, lines->number + 1, 0, "cannot read on: %s",
                       strerror(errno));
    lines->begin = 0;
    lines->end = (size_t)count;
    lines->exhausted = count == 0;
    return STATUS_OK;
}

bool corpus_lines_read(const CorpusLines *lines, uint64_t begin, uint64_t end, size_t slack, Text *bytes)
{
    size_t size = (size_t)(end - begin);
    text_clear(bytes);
    text_reserve(bytes, size + slack);
    while (bytes->size < size) {
        ssize_t count = pread(lines->file, bytes->bytes + bytes->size, size - bytes->size, (off_t)(begin + bytes->size));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        bytes->size += (size_t)count;
    }
    return true;
}

/* bytes: [size], and room for a terminator. */
static void line_finish(CorpusLines *lines, char *bytes, size_t size, CorpusLine *line)
{
    line->too_long = size > CORPUS_LINE_LIMIT;
    if (line->too_long)
        size = CORPUS_LINE_LIMIT;
    else if (size > 0 && bytes[size - 1] == '\r')
        size--;
    bytes[size] = '\0';
    lines->number++;
    bool marked = lines->number == 1 && size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0;
    line->bytes = bytes + (marked ? 3 : 0);
    line->size = size - (marked ? 3 : 0);
    line->number = lines->number;
}

/* A line that the buffer does not hold as a whole. */
static Status line_gather(CorpusLines *lines, CorpusLine *line, bool *more, Diagnostic *diagnostic)
{
    bool anything = false;
    text_clear(&lines->line);
    for (const char *newline = NULL; !newline; anything = true) {
        if (lines->begin == lines->end) {
            Status status = lines->exhausted ? STATUS_OK : corpus_lines_fill(lines, diagnostic);
            if (status != STATUS_OK)
                return status;
            if (lines->exhausted)
                break;
        }
        const char *start = lines->buffer + lines->begin;
        size_t available = lines->end - lines->begin;
        newline = memchr(start, '\n', available);
        size_t taken = newline ? (size_t)(newline - start) : available;
        /* What is beyond the limit (and a CR) is read but not kept. */
        size_t room = (size_t)CORPUS_LINE_LIMIT + 2 - lines->line.size;
        text_append(&lines->line, start, taken < room ? taken : room);
        lines->begin += taken + (newline != NULL);
        lines->bytes_done += taken + (newline != NULL);
    }
    *more = anything;
    if (anything)
        line_finish(lines, lines->line.bytes, lines->line.size, line);
    return STATUS_OK;
}

Status corpus_lines_next(CorpusLines *lines, CorpusLine *line, bool *more, Diagnostic *diagnostic)
{
    char *start = lines->buffer + lines->begin;
    const char *newline = lines->begin < lines->end ? memchr(start, '\n', lines->end - lines->begin) : NULL;
    if (!newline)
        return line_gather(lines, line, more, diagnostic);
    size_t size = (size_t)(newline - start);
    lines->begin += size + 1;
    lines->bytes_done += size + 1;
    line_finish(lines, start, size, line);
    *more = true;
    return STATUS_OK;
}

bool corpus_line_is_blank(const CorpusLine *line)
{
    for (size_t i = 0; i < line->size; i++)
        if (line->bytes[i] != ' ' && line->bytes[i] != '\t' && line->bytes[i] != '\r')
            return false;
    return true;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Have the eight bytes one that is zero or over 0x7F? Exact when all of them are below 0x80; and all that matters otherwise is that there is
 * one over it. */
static bool word_is_special(uint64_t word)
{
    return ((word | (word - EACH_BYTE(0x01))) & EACH_BYTE(0x80)) != 0;
}

/* Is the line plain as far as these eight bytes go? */
static bool word_is_plain(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return !word_is_special(word) && !word_is_special(word ^ EACH_BYTE('\r'));
}

bool corpus_line_is_plain(const CorpusLine *line)
{
    const char *bytes = line->bytes;
    size_t size = line->size, i = 0;
    for (; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t))
        if (!word_is_plain(bytes + i))
            return false;
    if (i > 0)
        return i == size || word_is_plain(bytes + size - sizeof(uint64_t));
    for (; i < size; i++)
        if ((signed char)bytes[i] <= 0 || bytes[i] == '\r')
            return false;
    return true;
}

/* Bytes of the character that begins at bytes[0], 0 when there is none (RFC 3629: no surrogates, nothing overlong). */
static size_t utf8_length(const unsigned char *bytes, size_t size)
{
    unsigned char first = bytes[0];
    if (first < 0x80)
        return first ? 1 : 0;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || size < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
    if ((first == 0xE0 && bytes[1] < 0xA0) || (first == 0xED && bytes[1] > 0x9F) || (first == 0xF0 && bytes[1] < 0x90) ||
        (first == 0xF4 && bytes[1] > 0x8F))
        return 0;
    return length;
}

ptrdiff_t corpus_invalid_utf8(const char *bytes, size_t size)
{
    const unsigned char *text = (const unsigned char *)bytes;
    for (size_t i = 0; i < size;) {
        uint64_t word;
        if (size - i >= sizeof word && (memcpy(&word, text + i, sizeof word), !word_is_special(word))) {
            i += sizeof word;
            continue;
        }
        size_t length = utf8_length(text + i, size - i);
        if (length == 0)
            return (ptrdiff_t)i;
        i += length;
    }
    return -1;
}
