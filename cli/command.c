#include "cli/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static void print_help(const Command *command, const OptionBinding *bindings, size_t binding_count)
{
    Text text = {0};
    text_format(&text, "usage: nersweep %s %s\n\n%s\n", command->name, command->usage, command->summary);
    for (size_t i = 0; i < binding_count; i++) {
        text_format(&text, "\n%s:\n", bindings[i].table->title);
        options_help(bindings[i].table, &text);
    }
    text_append_string(&text, "\n");
    fputs(text.bytes, stdout);
    text_free(&text);
}

int command_parse(const Command *command, const OptionBinding *bindings, size_t binding_count, int argc, char **argv,
                  PositionalArray *positional)
{
    for (size_t i = 0; i < binding_count; i++)
        options_set_defaults(bindings[i].table, bindings[i].options);
    if (wants_help(argc, argv)) {
        print_help(command, bindings, binding_count);
        return 0;
    }
    Diagnostic diagnostic = {0};
    if (options_parse_arguments(bindings, binding_count, argc, argv, positional, &diagnostic) != STATUS_OK)
        return command_usage_error(command, "%s", diagnostic.message);
    return -1;
}

int command_usage_error(const Command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "nersweep %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nusage: nersweep %s %s\n(nersweep %s --help tells more)\n", command->name, command->usage, command->name);
    va_end(arguments);
    return status_exit_code(STATUS_USAGE);
}

int command_fail(const Diagnostic *diagnostic)
{
    char text[DIAGNOSTIC_MESSAGE_SIZE + DIAGNOSTIC_PLACE_SIZE + 64];
    Diagnostic said = *diagnostic;
    diagnostic_prefix(&said, "error");
    fflush(stdout);
    fprintf(stderr, "%s%s\n", said.input_file[0] ? "" : "nersweep: ", diagnostic_format(&said, text, sizeof text));
    LOG_DEBUG("status \"%s\" raised at %s:%d", status_name(diagnostic->code),
              diagnostic->source_file ? diagnostic->source_file : "?", diagnostic->source_line);
    return status_exit_code(diagnostic->code);
}

int command_columns(const Command *command, const char *token_column, const char *label_column, CorpusOptions *columns)
{
    Diagnostic diagnostic = {0};
    if (corpus_options_parse(columns, token_column, label_column, &diagnostic) != STATUS_OK)
        return command_usage_error(command, "%s", diagnostic.message);
    return -1;
}

int command_format(const Command *command, const char *flag, const char *name, CorpusFormat *format)
{
    *format = CORPUS_AUTO;
    if (name && !corpus_format_parse(name, format))
        return command_usage_error(command, "--%s %s: expected auto, conll, tsv, csv, jsonl, prodigy, labelstudio, spacy or brat",
                                   flag, name);
    return -1;
}

static bool is_write_error(int error)
{
    return error == EPIPE || error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO;
}

Status command_flush(Diagnostic *diagnostic)
{
    /* Where a print has failed before, its errno is still there when the loop asks at once. */
    int error = ferror(stdout) ? errno : 0;
    if (fflush(stdout) != 0)
        error = errno;
    else if (!ferror(stdout))
        return STATUS_OK;
    if (!is_write_error(error))
        return FAIL(diagnostic, STATUS_IO, "cannot write the results: they are not whole");
    /* A reader that has gone is no peer to wait for. */
    return FAIL(diagnostic, error == EPIPE ? STATUS_IO : status_from_errno(error), "cannot write the results: %s", strerror(error));
}

void command_print_json(Json **json, JsonStyle style)
{
    char *text = json_text(*json, style);
    puts(text);
    free(text);
    json_destroy(json);
}

static volatile int interrupt_level;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    if (interrupt_level < 2)
        interrupt_level++;
}

const volatile int *command_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupt_level;
}

bool command_colours(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR");
    return isatty(fileno(stream)) && (no_colour == NULL || no_colour[0] == '\0');
}
