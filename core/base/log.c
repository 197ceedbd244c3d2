#include "core/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A line is put together on the stack, so that the logger works when memory does not, and goes out with one write. */
enum { NAME_SIZE = 32, MESSAGE_SIZE = 4096, LINE_SIZE = 8192, WRITE_TRIES = 64 };

static atomic_int current_level = LOG_INFO;
static atomic_bool current_json;
static atomic_int current_file = STDERR_FILENO;
static pthread_mutex_t name_lock = PTHREAD_MUTEX_INITIALIZER;
static char current_name[NAME_SIZE] = "nersweep";

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARNING] = "warning", [LOG_ERROR] = "error", [LOG_SILENT] = "silent"};

void log_set_level(LogLevel level)
{
    atomic_store(&current_level, (int)level);
}

LogLevel log_level(void)
{
    return (LogLevel)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_json(bool json)
{
    atomic_store(&current_json, json);
}

void log_set_file_descriptor(int file_descriptor)
{
    atomic_store(&current_file, file_descriptor);
}

void log_set_name(const char *name)
{
    pthread_mutex_lock(&name_lock);
    size_t length = strnlen(name, NAME_SIZE - 1);
    memcpy(current_name, name, length);
    current_name[length] = '\0';
    pthread_mutex_unlock(&name_lock);
}

bool log_parse_level(const char *text, LogLevel *level)
{
    for (int i = LOG_DEBUG; i <= LOG_SILENT; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (LogLevel)i;
            return true;
        }
    }
    return false;
}

/* A line under construction; what does not fit is dropped, the newline always fits. */
typedef struct Line {
    char bytes[LINE_SIZE];
    size_t size;
} Line;

static void line_append(Line *line, const char *bytes, size_t size)
{
    enum { ROOM_FOR_END = 16 };
    if (size > sizeof line->bytes - ROOM_FOR_END - line->size)
        return;
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void line_append_string(Line *line, const char *string)
{
    line_append(line, string, strlen(string));
}

static void line_end(Line *line, const char *end)
{
    size_t length = strlen(end);
    memcpy(line->bytes + line->size, end, length);
    line->size += length;
}

/* Length of the well-formed UTF-8 sequence at bytes (1 to 4), or 0. Overlong forms, surrogates and more than U+10FFFF are not. */
static size_t utf8_length(const unsigned char *bytes)
{
    if (bytes[0] < 0x80)
        return 1;
    size_t length = bytes[0] >= 0xC2 && bytes[0] <= 0xDF   ? 2
                    : (bytes[0] & 0xF0) == 0xE0            ? 3
                    : bytes[0] >= 0xF0 && bytes[0] <= 0xF4 ? 4
                                                           : 0;
    for (size_t i = 1; i < length; i++) { /* a terminator ends the loop: it is no continuation byte */
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
    }
    bool bad = (bytes[0] == 0xE0 && bytes[1] < 0xA0) || (bytes[0] == 0xED && bytes[1] > 0x9F) ||
               (bytes[0] == 0xF0 && bytes[1] < 0x90) || (bytes[0] == 0xF4 && bytes[1] > 0x8F);
    return bad ? 0 : length;
}

/* Text may come from an input: control characters must neither break the line nor drive the terminal. */
static void line_append_plain(Line *line, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '\n' || *c == '\t')
            line_append(line, " ", 1);
        else if (*c < 0x20 || *c == 0x7F)
            line_append(line, "?", 1);
        else
            line_append(line, (const char *)c, 1);
    }
}

static void line_append_json_string(Line *line, const char *text)
{
    line_append(line, "\"", 1);
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        size_t length = utf8_length(c);
        if (*c == '"' || *c == '\\') {
            char escaped[] = {'\\', (char)*c};
            line_append(line, escaped, sizeof escaped);
        } else if (*c < 0x20 || *c == 0x7F) {
            char escaped[8];
            snprintf(escaped, sizeof escaped, "\\u%04x", *c);
            line_append_string(line, escaped);
        } else if (length) {
            line_append(line, (const char *)c, length);
        } else {
            line_append_string(line, "\xEF\xBF\xBD");
        }
        c += length ? length : 1;
    }
    /* The closing quote has to be there even when the text was cut. */
    line->bytes[line->size++] = '"';
}

static void line_append_time(Line *line, bool json)
{
    struct timespec now;
    struct tm parts;
    char text[64], with_ms[96];
    clock_gettime(CLOCK_REALTIME, &now);
    if (json) {
        gmtime_r(&now.tv_sec, &parts);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(with_ms, sizeof with_ms, "%s.%03ldZ", text, now.tv_nsec / 1000000);
        line_append_string(line, with_ms);
    } else {
        localtime_r(&now.tv_sec, &parts);
        strftime(text, sizeof text, "%H:%M:%S", &parts);
        line_append_string(line, text);
    }
}

static void log_line(LogLevel level, const char *message, const Diagnostic *place)
{
    char name[NAME_SIZE], number[64];
    pthread_mutex_lock(&name_lock);
    memcpy(name, current_name, sizeof name);
    pthread_mutex_unlock(&name_lock);

    Line line;
    line.size = 0;
    if (atomic_load(&current_json)) {
        line_append_string(&line, "{\"time\":\"");
        line_append_time(&line, true);
        line_append_string(&line, "\",\"level\":\"");
        line_append_string(&line, level_names[level]);
        line_append_string(&line, "\",\"name\":");
        line_append_json_string(&line, name);
        if (place && place->input_file[0]) {
            line_append_string(&line, ",\"file\":");
            line_append_json_string(&line, place->input_file);
            snprintf(number, sizeof number, ",\"line\":%ld,\"column\":%ld", place->input_line, place->input_column);
            line_append_string(&line, number);
        }
        if (place) {
            line_append_string(&line, ",\"status\":");
            line_append_json_string(&line, status_name(place->code));
        }
        line_append_string(&line, ",\"message\":");
        line_append_json_string(&line, message);
        line_end(&line, "}\n");
    } else {
        line_append_time(&line, false);
        line_append_string(&line, " ");
        line_append_string(&line, level_names[level]);
        line_append_string(&line, " ");
        line_append_plain(&line, name);
        line_append_string(&line, ": ");
        line_append_plain(&line, message);
        line_end(&line, "\n");
    }

    int saved_errno = errno, file = atomic_load(&current_file);
    size_t written = 0;
    for (int tries = 0; written < line.size && tries < WRITE_TRIES; tries++) {
        ssize_t result = write(file, line.bytes + written, line.size - written);
        if (result > 0)
            written += (size_t)result;
        else if (result < 0 && errno != EINTR)
            break; /* nobody to tell */
    }
    errno = saved_errno;
}

void log_write(LogLevel level, const char *format, ...)
{
    if (level < log_level() || level >= LOG_SILENT)
        return;
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length >= 0)
        log_line(level, message, NULL);
}

void log_diagnostic(LogLevel level, const Diagnostic *diagnostic)
{
    if (level < log_level() || level >= LOG_SILENT)
        return;
    if (atomic_load(&current_json)) {
        log_line(level, diagnostic->message, diagnostic);
    } else {
        char message[MESSAGE_SIZE];
        log_line(level, diagnostic_format(diagnostic, message, sizeof message), diagnostic);
    }
}
