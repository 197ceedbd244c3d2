/* nersweep lint */
#include <stdlib.h>

#include "cli/command.h"
#include "shard/lint.h"

typedef struct LintFlags {
    char *scheme;
    int format;
    int64_t token_column, label_column;
    bool strict, json;
} LintFlags;

static const char *const format_names[] = {"conll", NULL};

static const OptionDescriptor lint_descriptors[] = {
    FLAG_CHOICE(LintFlags, format, format_names, "conll", "file format"),
    FLAG_STRING(LintFlags, scheme, "label scheme: IO, IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; guessed from each file when not given"),
    FLAG_INTEGER(LintFlags, token_column, -9, 9, "1", "column of the token, from 1, negative from the end"),
    FLAG_INTEGER(LintFlags, label_column, -9, 9, "-1", "column of the label"),
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

static int lint_run(const Command *command, int argc, char **argv)
{
    LintFlags flags = {0};
    OptionBinding binding = {&lint_table, &flags};
    PositionalArray files = {0};
    Diagnostic diagnostic = {0};
    LintOptions options = {0};
    int64_t errors = 0, warnings = 0;
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code >= 0)
        goto out;
    code = 0;
    if (files.count == 0) {
        code = command_usage_error(command, "no file is given");
        goto out;
    }
    options.corpus = (CorpusOptions){(int)flags.token_column, (int)flags.label_column};
    options.strict = flags.strict;
    options.scheme_given = flags.scheme != NULL;
    if (flags.scheme && !label_scheme_parse(flags.scheme, &options.scheme)) {
        code = command_usage_error(command, "--scheme %s is no label scheme", flags.scheme);
        goto out;
    }
    for (size_t i = 0; i < files.count; i++) {
        int64_t file_errors = 0, file_warnings = 0;
        if (lint_file(files.items[i], &options, report_problem, &flags, &file_errors, &file_warnings, &diagnostic) != STATUS_OK)
            code = command_fail(&diagnostic);
        errors += file_errors;
        warnings += file_warnings;
    }
    if (!flags.json)
        fprintf(stderr, "%lld errors, %lld warnings in %zu files\n", (long long)errors, (long long)warnings, files.count);
    if (code == 0 && errors > 0)
        code = 1;
out:
    array_free(&files);
    options_free(&lint_table, &flags);
    return code;
}

const Command command_lint = {"lint", "FILE... [--scheme S] [--strict] [--json]",
                              "every problem of annotated files, with line and column", lint_run};
