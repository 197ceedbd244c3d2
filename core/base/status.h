/* Status codes and diagnostics: how every fallible function of nersweep reports what went wrong.
 *
 * A fallible function returns a Status, which must be looked at, and fills the caller's Diagnostic (which may be NULL) when the
 * Status is not STATUS_OK. Nothing but cli/ and the main functions of programs prints a diagnostic or ends the process.
 *
 * Three classes say what to do with a failure (design.md, "Errors"): retryable; fatal to this worker; fatal to this trial or input.
 */
#ifndef NERSWEEP_CORE_BASE_STATUS_H
#define NERSWEEP_CORE_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))

typedef enum StatusClass {
    STATUS_CLASS_NONE,      /* no failure */
    STATUS_CLASS_RETRYABLE, /* the same call may succeed later or elsewhere */
    STATUS_CLASS_WORKER,    /* this process or machine cannot go on; another may */
    STATUS_CLASS_INPUT,     /* the trial, the input or the usage is at fault: fails alike everywhere */
} StatusClass;

/* X(code, class, process exit code, short name) */
#define STATUS_LIST(X)                                                    \
    X(OK, NONE, 0, "ok")                                                  \
    X(USAGE, INPUT, 2, "wrong usage")                                     \
    X(INVALID_INPUT, INPUT, 1, "invalid input")                           \
    X(NOT_FOUND, INPUT, 1, "not found")                                   \
    X(EXISTS, INPUT, 1, "exists already")                                 \
    X(MISMATCH, INPUT, 1, "does not fit together")                        \
    X(CORRUPT, INPUT, 1, "corrupt")                                       \
    X(LIMIT, INPUT, 1, "over a limit")                                    \
    X(UNSUPPORTED, INPUT, 1, "unsupported")                               \
    X(DIVERGED, INPUT, 1, "diverged")                                     \
    X(PERMISSION, INPUT, 1, "permission denied")                          \
    X(BUSY, RETRYABLE, 75, "busy")                                        \
    X(TIMEOUT, RETRYABLE, 75, "timed out")                                \
    X(UNREACHABLE, RETRYABLE, 75, "unreachable")                          \
    X(NO_SPACE, WORKER, 75, "no space left")                              \
    X(OUT_OF_MEMORY, WORKER, 75, "out of memory")                         \
    X(IO, WORKER, 1, "input/output error")                                \
    X(STALE_EPOCH, WORKER, 75, "stale epoch")                             \
    X(INTERRUPTED, RETRYABLE, 130, "interrupted")                         \
    X(INTERNAL, WORKER, 1, "internal error")

typedef enum Status {
#define STATUS_ENUM(code, class_, exit_code, name) STATUS_##code,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
    STATUS_COUNT
} Status;

enum { DIAGNOSTIC_MESSAGE_SIZE = 1024, DIAGNOSTIC_PLACE_SIZE = 512 };

/* Owned by the caller, no heap memory inside: copy and forget it freely. Zero-initialise before first use. */
typedef struct Diagnostic {
    Status code;
    char message[DIAGNOSTIC_MESSAGE_SIZE]; /* what happened and what to do, one sentence or two, no newline at the end */
    char input_file[DIAGNOSTIC_PLACE_SIZE]; /* the input's place; empty when there is none */
    long input_line;                        /* counted from 1; 0: none */
    long input_column;                      /* counted from 1, in bytes; 0: none */
    const char *source_file;                /* static */
    int source_line;
} Diagnostic;

const char *status_name(Status status);
StatusClass status_class(Status status);
int status_exit_code(Status status);

/* Maps an errno value (ENOSPC, EACCES, ENOENT, ENOMEM, EINTR ...) to a Status; STATUS_IO for what has no better name. */
Status status_from_errno(int error_number);

/* Fills *diagnostic (unless NULL) and returns code. Use through the FAIL macros. */
Status diagnostic_fail(Diagnostic *diagnostic, Status code, const char *source_file, int source_line, const char *format, ...)
    PRINTF_LIKE(5, 6);
Status diagnostic_fail_at(Diagnostic *diagnostic, Status code, const char *source_file, int source_line, const char *input_file,
                          long input_line, long input_column, const char *format, ...) PRINTF_LIKE(8, 9);

/* Puts "prefix: " before the message of a failed call, to say what was being done. */
void diagnostic_prefix(Diagnostic *diagnostic, const char *format, ...) PRINTF_LIKE(2, 3);

/* Control characters become spaces, and what is not UTF-8 (a text cut within a character) question marks: messages quote what stands in
 * files, and are printed on terminals and as JSON. The calls above do it themselves. */
void diagnostic_make_printable(char *message);

/* Writes "file:line:column: message" (as far as there is a place) into text, always terminated. Returns text. */
const char *diagnostic_format(const Diagnostic *diagnostic, char *text, size_t text_size);

#define FAIL(diagnostic, code, ...) diagnostic_fail((diagnostic), (code), __FILE__, __LINE__, __VA_ARGS__)
#define FAIL_AT(diagnostic, code, file, line, column, ...) \
    diagnostic_fail_at((diagnostic), (code), __FILE__, __LINE__, (file), (line), (column), __VA_ARGS__)

/* For functions with one clean-up label: `Status status = STATUS_OK; ... TRY(call()); ... out: ... return status;` */
#define TRY(call)                    \
    do {                             \
        status = (call);             \
        if (status != STATUS_OK)     \
            goto out;                \
    } while (0)
#define TRY_FAIL(diagnostic, code, ...)                      \
    do {                                                     \
        status = FAIL((diagnostic), (code), __VA_ARGS__);    \
        goto out;                                            \
    } while (0)

/* A broken promise of our own code: on in release builds too. Prints the place and aborts. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
void assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
