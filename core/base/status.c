#include "core/base/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct StatusRow {
    const char *name;
    StatusClass class;
    int exit_code;
} StatusRow;

static const StatusRow status_rows[STATUS_COUNT] = {
#define STATUS_ROW(code, class_, exit_code, name) [STATUS_##code] = {name, STATUS_CLASS_##class_, exit_code},
    STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

/* A code may come out of a message from another process: one that we do not know is an internal error, not an index. */
static const StatusRow *status_row(Status status)
{
    return (unsigned)status < STATUS_COUNT ? &status_rows[status] : &status_rows[STATUS_INTERNAL];
}

const char *status_name(Status status)
{
    return status_row(status)->name;
}

StatusClass status_class(Status status)
{
    return status_row(status)->class;
}

int status_exit_code(Status status)
{
    return status_row(status)->exit_code;
}

Status status_from_errno(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return STATUS_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_PERMISSION;
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    case EFBIG:
        return STATUS_LIMIT;
    case ENOMEM:
        return STATUS_OUT_OF_MEMORY;
    case EINTR:
        return STATUS_INTERRUPTED;
    case EAGAIN:
    case EBUSY:
    case ETXTBSY:
    case EADDRINUSE:
        return STATUS_BUSY;
    case ETIMEDOUT:
        return STATUS_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return STATUS_UNREACHABLE;
    case EOPNOTSUPP:
    case ENOSYS:
        return STATUS_UNSUPPORTED;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return STATUS_INVALID_INPUT;
    default: /* 0 too: who asks has seen a failure, and must not be told that all is well */
        return STATUS_IO;
    }
}

/* Length of the character of UTF-8 (RFC 3629) that begins at bytes[0], which is not ASCII; 0 when there is none. */
static size_t character_length(const unsigned char *bytes)
{
    unsigned char first = bytes[0], second = bytes[1];
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xC0) != 0x80) /* the terminator too */
            return 0;
    return length;
}

void diagnostic_make_printable(char *message)
{
    unsigned char *bytes = (unsigned char *)message;
    for (size_t i = 0, length; bytes[i]; i += length) {
        length = 1;
        if (bytes[i] < ' ' || bytes[i] == 0x7F)
            bytes[i] = ' ';
        else if (bytes[i] >= 0x80 && (length = character_length(bytes + i)) == 0)
            bytes[i] = '?';
        if (length == 2 && bytes[i] == 0xC2 && bytes[i + 1] < 0xA0) /* C1 controls, which terminals obey */
            bytes[i] = bytes[i + 1] = '?';
        length += length == 0;
    }
}

/* The arguments may point into the very diagnostic that is filled (a message passed on with something around it), so everything is
 * put together on the side first. */
static void diagnostic_fill(Diagnostic *diagnostic, Status code, const char *source_file, int source_line, const char *input_file,
                            long input_line, long input_column, const char *format, va_list arguments)
{
    Diagnostic filled = {.code = code,
                         .input_line = input_line,
                         .input_column = input_column,
                         .source_file = source_file,
                         .source_line = source_line};
    if (vsnprintf(filled.message, sizeof filled.message, format, arguments) < 0)
        filled.message[0] = '\0';
    diagnostic_make_printable(filled.message);
    if (input_file) {
        size_t length = strnlen(input_file, sizeof filled.input_file - 1);
        memcpy(filled.input_file, input_file, length);
        filled.input_file[length] = '\0';
    }
    *diagnostic = filled;
}

Status diagnostic_fail(Diagnostic *diagnostic, Status code, const char *source_file, int source_line, const char *format, ...)
{
    if (diagnostic) {
        va_list arguments;
        va_start(arguments, format);
        diagnostic_fill(diagnostic, code, source_file, source_line, NULL, 0, 0, format, arguments);
        va_end(arguments);
    }
    return code;
}

Status diagnostic_fail_at(Diagnostic *diagnostic, Status code, const char *source_file, int source_line, const char *input_file,
                          long input_line, long input_column, const char *format, ...)
{
    if (diagnostic) {
        va_list arguments;
        va_start(arguments, format);
        diagnostic_fill(diagnostic, code, source_file, source_line, input_file, input_line, input_column, format, arguments);
        va_end(arguments);
    }
    return code;
}

void diagnostic_prefix(Diagnostic *diagnostic, const char *format, ...)
{
    if (!diagnostic)
        return;
    char message[DIAGNOSTIC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (written < 0)
        return;
    size_t used = strnlen(message, sizeof message - 1);
    const char *parts[] = {": ", diagnostic->message};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t length = strnlen(parts[i], sizeof message - 1 - used);
        memcpy(message + used, parts[i], length);
        used += length;
    }
    message[used] = '\0';
    diagnostic_make_printable(message);
    memcpy(diagnostic->message, message, used + 1);
}

const char *diagnostic_format(const Diagnostic *diagnostic, char *text, size_t text_size)
{
    if (!text_size)
        return text;
    const char *file = diagnostic->input_file;
    const char *message = diagnostic->message[0] ? diagnostic->message : status_name(diagnostic->code);
    int written;
    if (file[0] && diagnostic->input_line > 0 && diagnostic->input_column > 0)
        written = snprintf(text, text_size, "%s:%ld:%ld: %s", file, diagnostic->input_line, diagnostic->input_column, message);
    else if (file[0] && diagnostic->input_line > 0)
        written = snprintf(text, text_size, "%s:%ld: %s", file, diagnostic->input_line, message);
    else if (file[0])
        written = snprintf(text, text_size, "%s: %s", file, message);
    else
        written = snprintf(text, text_size, "%s", message);
    if (written < 0)
        text[0] = '\0';
    return text;
}

void assert_failed(const char *condition, const char *file, int line)
{
    char text[512];
    int length = snprintf(text, sizeof text, "nersweep: %s:%d: broken promise: %s\n", file, line, condition);
    size_t size = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    ssize_t ignored = write(STDERR_FILENO, text, size);
    (void)ignored;
    abort();
}
