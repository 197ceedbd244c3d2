/* Lines of a file or of standard input with bounded memory, for commands that answer line by line. */
#ifndef NERSWEEP_CLI_LINES_H
#define NERSWEEP_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

enum { LINE_SIZE_LIMIT = 1 << 24 }; /* bytes of one line */

typedef struct LineReader {
    const char *name; /* for messages */
    int file;
    char *buffer; /* lines wait in [begin, end) */
    size_t begin, end, capacity;
    long number; /* of the last line, from 1 */
    bool exhausted;
    const volatile int *interrupted; /* asked before each wait; may be NULL */
} LineReader;

/* path NULL or "-": standard input. */
NODISCARD Status line_reader_open(LineReader *reader, const char *path, Diagnostic *diagnostic);
void line_reader_close(LineReader *reader);
/* The next line without its end, living until the next call; *line is NULL at the end. STATUS_LIMIT for a line over LINE_SIZE_LIMIT,
 * STATUS_INTERRUPTED where the wait for it was. */
NODISCARD Status line_reader_next(LineReader *reader, const char **line, size_t *size, Diagnostic *diagnostic);
/* True when the next line is not here yet and nothing says when it comes: time to answer what came so far. */
bool line_reader_would_wait(const LineReader *reader);

#endif
