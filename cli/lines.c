#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

enum { FIRST_CAPACITY = 1 << 16 };

Status line_reader_open(LineReader *reader, const char *path, Diagnostic *diagnostic)
{
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    *reader = (LineReader){.name = is_stdin ? "standard input" : path, .file = STDIN_FILENO};
    if (!is_stdin && (reader->file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    reader->capacity = FIRST_CAPACITY;
    reader->buffer = memory_allocate(reader->capacity, 1);
    return STATUS_OK;
}

void line_reader_close(LineReader *reader)
{
    if (reader->file > STDIN_FILENO)
        close(reader->file);
    free(reader->buffer);
    *reader = (LineReader){.file = -1};
}

/* Puts more bytes behind those that wait. */
static Status fill(LineReader *reader, Diagnostic *diagnostic)
{
    size_t waiting = reader->end - reader->begin;
    if (reader->begin > 0)
        memmove(reader->buffer, reader->buffer + reader->begin, waiting);
    reader->begin = 0;
    reader->end = waiting;
    if (waiting > LINE_SIZE_LIMIT)
        return FAIL_AT(diagnostic, STATUS_LIMIT, reader->name, reader->number + 1, 1,
                       "the line is longer than %d MiB: split the text into lines", LINE_SIZE_LIMIT >> 20);
    if (waiting == reader->capacity) {
        reader->capacity *= 2;
        reader->buffer = memory_reallocate(reader->buffer, reader->capacity, 1);
    }
    ssize_t count = -1;
    bool interrupted = false;
    do {
        interrupted = reader->interrupted && *reader->interrupted;
        if (!interrupted)
            count = read(reader->file, reader->buffer + reader->end, reader->capacity - reader->end);
    } while (!interrupted && count < 0 && errno == EINTR);
    if (interrupted)
        return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted while waiting for %s", reader->name);
    if (count < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot read %s: %s", reader->name, strerror(errno));
    reader->exhausted = count == 0;
    reader->end += (size_t)count;
    return STATUS_OK;
}

Status line_reader_next(LineReader *reader, const char **line, size_t *size, Diagnostic *diagnostic)
{
    const char *newline = NULL;
    *line = NULL;
    *size = 0;
    for (size_t searched = 0; newline == NULL;) {
        size_t waiting = reader->end - reader->begin;
        newline = memchr(reader->buffer + reader->begin + searched, '\n', waiting - searched);
        searched = waiting;
        if (newline == NULL && reader->exhausted)
            break;
        if (newline == NULL) {
            Status status = fill(reader, diagnostic);
            if (status != STATUS_OK)
                return status;
        }
    }
    if (newline == NULL && reader->begin == reader->end)
        return STATUS_OK;
    *line = reader->buffer + reader->begin;
    *size = newline ? (size_t)(newline - *line) : reader->end - reader->begin;
    reader->begin += *size + (newline != NULL);
    reader->number++;
    while (*size > 0 && (*line)[*size - 1] == '\r')
        --*size;
    return STATUS_OK;
}

bool line_reader_would_wait(const LineReader *reader)
{
    if (reader->exhausted || memchr(reader->buffer + reader->begin, '\n', reader->end - reader->begin))
        return false;
    struct pollfd wanted = {.fd = reader->file, .events = POLLIN};
    return poll(&wanted, 1, 0) == 0;
}
