/* The logger: the one global state. Lines for people ("12:03:04 info worker: message") or JSON Lines, on stderr, one write per line.
 * Thread-safe. Levels below the set one cost a comparison. */
#ifndef NERSWEEP_CORE_BASE_LOG_H
#define NERSWEEP_CORE_BASE_LOG_H

#include <stdbool.h>

#include "core/base/status.h"

typedef enum LogLevel { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_SILENT } LogLevel;

void log_set_level(LogLevel level);
void log_set_json(bool json);
void log_set_name(const char *name); /* program or role, at most 31 bytes are kept, e.g. "worker/2" */
void log_set_file_descriptor(int file_descriptor); /* default 2; the caller keeps it open */
LogLevel log_level(void);
bool log_parse_level(const char *text, LogLevel *level);

void log_write(LogLevel level, const char *format, ...) PRINTF_LIKE(2, 3);
void log_diagnostic(LogLevel level, const Diagnostic *diagnostic);

#define LOG_DEBUG(...) (log_level() <= LOG_DEBUG ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define LOG_INFO(...) (log_level() <= LOG_INFO ? log_write(LOG_INFO, __VA_ARGS__) : (void)0)
#define LOG_WARNING(...) (log_level() <= LOG_WARNING ? log_write(LOG_WARNING, __VA_ARGS__) : (void)0)
#define LOG_ERROR(...) (log_level() <= LOG_ERROR ? log_write(LOG_ERROR, __VA_ARGS__) : (void)0)

#endif
