/* What every subcommand of `nersweep` is made of: its entry in the table, flags from option tables, errors, interrupts. */
#ifndef NERSWEEP_CLI_COMMAND_H
#define NERSWEEP_CLI_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/options/options.h"
#include "shard/corpus.h"

typedef struct Command {
    const char *name;
    const char *usage;                                                /* arguments, as shown after "nersweep NAME" */
    const char *summary;                                              /* one line */
    int (*run)(const struct Command *command, int argc, char **argv); /* argv after the command's name; returns the exit code */
} Command;

/* Flags of a command as an option table over its own struct. Field and flag share their name: max_seq_length is --max-seq-length. */
#define FLAG_BOOLEAN(flags_type, field, text)                                                                \
    {                                                                                                        \
        .name = #field, .type = OPTION_BOOLEAN, .offset = offsetof(flags_type, field), .size = sizeof(bool), \
        .default_text = "false", .help = text                                                                \
    }
#define FLAG_STRING(flags_type, field, text)                                                                                      \
    {                                                                                                                             \
        .name = #field, .type = OPTION_STRING, .offset = offsetof(flags_type, field), .size = sizeof(char *), .default_text = "", \
        .help = text                                                                                                              \
    }
#define FLAG_LIST(flags_type, field, text)                                                                       \
    {                                                                                                            \
        .name = #field, .type = OPTION_LIST, .offset = offsetof(flags_type, field), .size = sizeof(StringArray), \
        .default_text = "", .help = text                                                                         \
    }
#define FLAG_INTEGER(flags_type, field, low, high, value, text)                                                                   \
    {                                                                                                                             \
        .name = #field, .type = OPTION_INTEGER, .offset = offsetof(flags_type, field), .size = sizeof(int64_t), .minimum = (low), \
        .maximum = (high), .default_text = value, .help = text                                                                    \
    }
#define FLAG_REAL(flags_type, field, low, high, value, text)                                                                  \
    {                                                                                                                         \
        .name = #field, .type = OPTION_REAL, .offset = offsetof(flags_type, field), .size = sizeof(double), .minimum = (low), \
        .maximum = (high), .default_text = value, .help = text                                                                \
    }
#define FLAG_CHOICE(flags_type, field, names, value, text)                                                                     \
    {                                                                                                                          \
        .name = #field, .type = OPTION_CHOICE, .offset = offsetof(flags_type, field), .size = sizeof(int), .choices = (names), \
        .default_text = value, .help = text                                                                                    \
    }

/* Sets defaults, parses, handles --help. Returns -1 to go on, otherwise the exit code (help printed, or wrong usage reported).
 * positional is freed with array_free by the caller in any case; the option structs with options_free. */
int command_parse(const Command *command, const OptionBinding *bindings, size_t binding_count, int argc, char **argv,
                  PositionalArray *positional);
/* Reports wrong usage of this command and returns 2. */
int command_usage_error(const Command *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints "nersweep: error: ...", or "FILE:LINE:COLUMN: error: ..." where the input has a place, on stderr and returns the status's exit
 * code. */
int command_fail(const Diagnostic *diagnostic);

/* Columns of annotated files as flags give them, "" or NULL for the usual ones. Returns -1 to go on, else wrong usage was reported. */
int command_columns(const Command *command, const char *token_column, const char *label_column, CorpusOptions *columns);

/* A corpus format by name, NULL for AUTO; flag is its name without dashes. Returns -1 to go on, else wrong usage was reported. */
int command_format(const Command *command, const char *flag, const char *name, CorpusFormat *format);

/* Everything printed so far is out, or why not: a full disk, a reader that has gone. To be asked in every loop that prints, so that it ends
 * with its reader. */
NODISCARD Status command_flush(Diagnostic *diagnostic);

/* Prints a JSON value as one line on stdout and destroys it. */
void command_print_json(Json **json, JsonStyle style);

/* SIGINT and SIGTERM raise the flag (1, then 2) instead of ending the process. */
const volatile int *command_catch_interrupts(void);

/* True where stdout (or stderr) is a terminal and NO_COLOR is not set. */
bool command_colours(FILE *stream);

extern const Command command_lint, command_stats, command_tokenize, command_shard, command_inspect, command_eval, command_train,
    command_run, command_coordinator, command_status, command_watch, command_best, command_pull, command_predict, command_doctor,
    command_fetch, command_convert, command_journal, command_keys;

#endif
