/* nersweep lint */
#include <stdlib.h>

#include "cli/command.h"
#include "shard/lint.h"

typedef struct LintFlags {
    char *format, *scheme, *token_column, *label_column;
    bool strict, json;
} LintFlags;

static const OptionDescriptor lint_descriptors[] = {
    FLAG_STRING(LintFlags, format,
                "file format: conll (tsv), csv, jsonl, prodigy, labelstudio, spacy or brat; found by content when not given"),
    FLAG_STRING(LintFlags, scheme, "label scheme: IO, IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; guessed from each file when not given"),
    FLAG_STRING(LintFlags, token_column, "column of the token, from 1, negative from the end; default 1"),
    FLAG_STRING(LintFlags, label_column, "column of the label; default -1, the last"),
    FLAG_BOOLEAN(LintFlags, strict, "report warnings as errors"),
    FLAG_BOOLEAN(LintFlags, json, "one JSON object per problem"),
};
static const OptionTable lint_table = {"Options", lint_descriptors, sizeof lint_descriptors / sizeof lint_descriptors[0],
                                       sizeof(LintFlags)};

static void report_problem(void *context, const LintProblem *problem)
{
    const LintFlags *flags = context;
    const char *severity = problem->severity == PROBLEM_ERROR ? "error" : "warning";
    if (!flags->json) {
        printf("%s:%ld:%ld: %s: %s [%s]\n", problem->file, problem->line, problem->column, severity, problem->message,
               problem->rule);
        return;
    }
    Json *json = json_object();
    json_set(json, "file", json_string(problem->file));
    json_set(json, "line", json_integer(problem->line));
    json_set(json, "column", json_integer(problem->column));
    json_set(json, "severity", json_string(severity));
    json_set(json, "rule", json_string(problem->rule));
    json_set(json, "message", json_string(problem->message));
    command_print_json(&json, JSON_COMPACT);
}

/* Lints every file, also behind one that cannot be read; the exit code. */
static int lint_files(const LintFlags *flags, const LintOptions *options, const PositionalArray *files)
{
    int64_t errors = 0, warnings = 0;
    int code = 0;
    for (size_t i = 0; i < files->count; i++) {
        int64_t file_errors = 0, file_warnings = 0;
        Diagnostic diagnostic = {0};
        Status status =
            lint_file(files->items[i], options, report_problem, (void *)flags, &file_errors, &file_warnings, &diagnostic);
        errors += file_errors;
        warnings += file_warnings;
        if (status != STATUS_OK)
            code = command_fail(&diagnostic);
        if (command_flush(&diagnostic) != STATUS_OK)
            return command_fail(&diagnostic);
    }
    if (!flags->json)
        fprintf(stderr, "%lld error%s, %lld warning%s in %zu file%s\n", (long long)errors, errors == 1 ? "" : "s",
                (long long)warnings, warnings == 1 ? "" : "s", files->count, files->count == 1 ? "" : "s");
    return code == 0 && errors > 0 ? 1 : code;
}

static int lint_run(const Command *command, int argc, char **argv)
{
    LintFlags flags = {0};
    OptionBinding binding = {&lint_table, &flags};
    PositionalArray files = {0};
    LintOptions options = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code < 0 && files.count == 0)
        code = command_usage_error(command, "no file is given");
    if (code < 0)
        code = command_columns(command, flags.token_column, flags.label_column, &options.corpus);
    if (code < 0)
        code = command_format(command, "format", flags.format, &options.corpus.format);
    options.strict = flags.strict;
    options.scheme_given = flags.scheme != NULL;
    if (code < 0 && flags.scheme && !label_scheme_parse(flags.scheme, &options.scheme))
        code = command_usage_error(command, "--scheme %s is no label scheme", flags.scheme);
    if (code < 0)
        code = lint_files(&flags, &options, &files);
    array_free(&files);
    options_free(&lint_table, &flags);
    return code;
}

const Command command_lint = {"lint", "FILE... [--scheme S] [--strict] [--json]",
                              "every problem of annotated files, with line and column", lint_run};
