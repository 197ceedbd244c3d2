/* What a reader steps over in silence: the byte-order mark, CR LF, white space at the ends of lines; and where invalid bytes stand in the
 * file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/corpus_lines.h"
#include "shard/lint_internal.h"

enum { BYTES_BUFFER_SIZE = 1 << 16 };

static void lines_add(LintLines *lines, long line)
{
    if (lines->count++ == 0)
        lines->first = line;
}

static void line_scan(LintFile *file, const char *bytes, size_t size, long line, uint64_t offset)
{
    ptrdiff_t invalid = corpus_invalid_utf8(bytes, size);
    if (invalid >= 0 && file->invalid.count < LINT_INVALID_LIMIT)
        array_push(&file->invalid, ((LintInvalid){.line = line, .offset = offset + (uint64_t)invalid}));
    if (size > 0 && bytes[size - 1] == '\r') {
        lines_add(&file->crlf, line);
        size--;
    }
    if (size > 0 && (bytes[size - 1] == ' ' || bytes[size - 1] == '\t'))
        lines_add(&file->trailing_space, line);
}

/* Lines longer than the limit are errors of their own: their rest is not looked at. */
static Status lines_scan(LintFile *file, FILE *stream, Diagnostic *diagnostic)
{
    char *buffer = memory_allocate(CORPUS_LINE_LIMIT + 1, 1);
    size_t held = 0;
    uint64_t offset = 0;
    long line = 1;
    bool skip = false; /* the rest of a line */
    for (;;) {
        size_t count = fread(buffer + held, 1, CORPUS_LINE_LIMIT - held, stream);
        size_t at = 0;
        held += count;
        if (line == 1 && offset == 0)
            file->byte_order_mark = held >= 3 && memcmp(buffer, "\xEF\xBB\xBF", 3) == 0;
        for (const char *end; (end = memchr(buffer + at, '\n', held - at)) != NULL; line++) {
            size_t size = (size_t)(end - buffer) - at;
            if (!skip)
                line_scan(file, buffer + at, size, line, offset + at);
            skip = false;
            at += size + 1;
        }
        if (count == 0 && at == 0 && held > 0 && !skip)
            line_scan(file, buffer, held, line, offset);
        if (count == 0 && at == 0)
            break;
        if (at == 0 && held == CORPUS_LINE_LIMIT) {
            skip = true;
            at = held;
        }
        memmove(buffer, buffer + at, held - at);
        offset += at;
        held -= at;
    }
    free(buffer);
    return ferror(stream)
               ? FAIL_AT(diagnostic, status_from_errno(errno), file->path, line, 0, "cannot read on: %s", strerror(errno))
               : STATUS_OK;
}

Status lint_bytes_scan(LintFile *file, Diagnostic *diagnostic)
{
    if (file->format == CORPUS_BRAT) /* a folder, or two files */
        return STATUS_OK;
    FILE *stream = fopen(file->path, "rbe");
    if (!stream)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the corpus file %s: %s", file->path, strerror(errno));
    setvbuf(stream, NULL, _IOFBF, BYTES_BUFFER_SIZE);
    Status status = lines_scan(file, stream, diagnostic);
    fclose(stream);
    return status;
}

static void lines_report(Linter *linter, LintPlace place, const LintLines *lines, LintRule rule, const char *end)
{
    place.line = lines->first;
    if (lines->count == 1)
        lint_report(linter, place, rule, "this line ends in %s", end);
    else if (lines->count > 1)
        lint_report(linter, place, rule, "this line and %lld more end in %s", (long long)lines->count - 1, end);
}

void lint_bytes_check(Linter *linter, int32_t number)
{
    const LintFile *file = &linter->files.items[number];
    LintPlace place = {.file = number, .line = 1, .column = 1};
    if (file->byte_order_mark)
        lint_report(linter, place, LINT_BYTE_ORDER_MARK,
                    "the file begins with a byte-order mark, which other tools take for a part of the first token");
    if (file->format != CORPUS_CONLL)
        return;
    lines_report(linter, place, &file->crlf, LINT_CRLF, "CR LF: other tools make the CR a part of the label");
    lines_report(linter, place, &file->trailing_space, LINT_TRAILING_SPACE, "white space: other tools find a column more there");
}
