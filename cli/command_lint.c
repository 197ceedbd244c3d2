/* nersweep lint */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "core/io/file.h"
#include "model/folder.h"
#include "shard/lint.h"
#include "shard/lint_fix.h"

enum { SHOWN_USUALLY = 50 };

typedef struct LintFlags {
    char *format, *scheme, *token_column, *label_column, *sentence_column, *label_list, *words;
    StringArray train, dev, test;
    char *disable, *only, *types, *vocab, *model, *fix;
    bool weight_column, cased, fix_types, fix_duplicates;
    int64_t max_seq_length, limit;
    bool rules, strict, json;
} LintFlags;

static const OptionDescriptor lint_descriptors[] = {
    FLAG_LIST(LintFlags, train, "a file to train on; --train, --dev and --test may each be given several times"),
    FLAG_LIST(LintFlags, dev,
              "a file to choose by; what it shares with those of train is told, not what files without a role share"),
    FLAG_LIST(LintFlags, test, "a file to measure with"),
    FLAG_STRING(LintFlags, format,
                "file format: conll (tsv), csv, jsonl, prodigy, labelstudio, spacy or brat; found by content when not given"),
    FLAG_STRING(LintFlags, scheme, "label scheme: IO, IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; guessed from each file when not given"),
    FLAG_STRING(LintFlags, token_column,
                "column of the token, from 1, negative from the end; default 1; in a CSV file also a name"),
    FLAG_STRING(LintFlags, label_column, "column of the label, likewise; default -1, the last"),
    FLAG_STRING(LintFlags, sentence_column, "column of the sentence's id in a CSV file, likewise"),
    FLAG_STRING(LintFlags, label_list, "labels of the numbers in ner_tags, separated by commas, the first is 0"),
    FLAG_STRING(LintFlags, words, "rule for words of raw text: treebank (default), whitespace, bert"),
    FLAG_BOOLEAN(LintFlags, weight_column, "a last column of numbers is the sentence's weight, as in a file of pseudo-labels"),
    FLAG_BOOLEAN(LintFlags, rules, "list the rules"),
    FLAG_STRING(LintFlags, disable, "rules to leave out, separated by commas"),
    FLAG_STRING(LintFlags, only, "rules to go by, separated by commas, and no others"),
    FLAG_STRING(LintFlags, types, "the types that there may be, separated by commas; any when not given"),
    FLAG_STRING(LintFlags, model, "model folder: sentences longer than its windows are told"),
    FLAG_STRING(LintFlags, vocab, "vocab.txt instead of a model folder"),
    FLAG_BOOLEAN(LintFlags, cased, "with --vocab: keep case and accents"),
    FLAG_INTEGER(LintFlags, max_seq_length, 3, 1 << 20, "512", "pieces of a window, special ones included"),
    FLAG_INTEGER(LintFlags, limit, -1, 1e15, "-1",
                 "problems of one rule that are shown of each file, 0 for all; -1: 50, with --json all. All are counted"),
    FLAG_BOOLEAN(LintFlags, strict, "report warnings as errors"),
    FLAG_BOOLEAN(LintFlags, json, "one JSON object per problem, rule or change"),
    FLAG_STRING(LintFlags, fix,
                "write the one file given to this new file, mended where that is mechanical; changes go to FIX.changes.jsonl"),
    FLAG_BOOLEAN(LintFlags, fix_types, "with --fix: rename types that are misspelt by one character"),
    FLAG_BOOLEAN(LintFlags, fix_duplicates, "with --fix: leave out sentences that stand in the file already, with the same labels"),
};
static const OptionTable lint_table = {"Options", lint_descriptors, sizeof lint_descriptors / sizeof lint_descriptors[0],
                                       sizeof(LintFlags)};

static const char *severity_name(ProblemSeverity severity)
{
    return severity == PROBLEM_ERROR ? "error" : "warning";
}

/* Tokens and labels of the input come as they are in messages: nothing in them may command the terminal. */
static void print_plain(const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7F)
            printf("\\x%02X", byte);
        else
            putchar(byte);
    }
}

static void print_line(const LintProblem *problem)
{
    bool colours = command_colours(stdout);
    const char *strong = colours ? "\033[1m" : "", *faint = colours ? "\033[2m" : "", *usual = colours ? "\033[0m" : "";
    const char *colour = !colours ? "" : problem->severity == PROBLEM_ERROR ? "\033[1;31m" : "\033[1;33m";
    printf("%s%s:%ld:%ld:%s %s%s:%s ", strong, problem->file, problem->line, problem->column, usual, colour,
           severity_name(problem->severity), usual);
    print_plain(problem->message);
    printf(" %s[%s]%s\n", faint, problem->rule, usual);
}

static void print_problem(void *context, const LintProblem *problem)
{
    const LintFlags *flags = context;
    if (!flags->json) {
        print_line(problem);
        return;
    }
    Json *json = json_object();
    json_set(json, "file", json_string(problem->file));
    json_set(json, "line", json_integer(problem->line));
    json_set(json, "column", json_integer(problem->column));
    json_set(json, "severity", json_string(severity_name(problem->severity)));
    json_set(json, "rule", json_string(problem->rule));
    json_set(json, "message", json_string(problem->message));
    command_print_json(&json, JSON_COMPACT);
}

static void print_rules(const LintFlags *flags)
{
    for (int i = 0; i < LINT_RULE_COUNT; i++) {
        const LintRuleEntry *rule = &lint_rules[i];
        if (!flags->json) {
            printf("%-24s %-8s %-4s %s\n", rule->id, severity_name(rule->severity), rule->fixable ? "fix" : "", rule->summary);
            continue;
        }
        Json *json = json_object();
        json_set(json, "rule", json_string(rule->id));
        json_set(json, "severity", json_string(severity_name(rule->severity)));
        json_set(json, "fixable", json_boolean(rule->fixable));
        json_set(json, "summary", json_string(rule->summary));
        command_print_json(&json, JSON_COMPACT);
    }
}

/* Problems by rule, on stderr: what is on stdout is for other programs too. */
static void print_summary(const LintCounts *counts, size_t files)
{
    bool hidden = false;
    for (int i = 0; i < LINT_RULE_COUNT; i++) {
        long long found = counts->found[i], reported = counts->reported[i];
        if (found == 0)
            continue;
        fprintf(stderr, "%9lld %-24s %s", found, lint_rules[i].id, lint_rules[i].summary);
        if (reported < found)
            fprintf(stderr, " (%lld shown)", reported);
        fprintf(stderr, "\n");
        hidden |= reported < found;
    }
    fprintf(stderr, "%lld error%s, %lld warning%s in %zu file%s%s\n", (long long)counts->errors, counts->errors == 1 ? "" : "s",
            (long long)counts->warnings, counts->warnings == 1 ? "" : "s", files, files == 1 ? "" : "s",
            hidden ? "; --limit 0 shows all" : "");
}

typedef struct LintInput {
    const char *path;
    LintRole role;
} LintInput;
typedef ARRAY(LintInput) LintInputArray;

/* Also files behind one that cannot be read; the exit code. */
static int lint_inputs(const LintFlags *flags, const LintOptions *options, const LintInputArray *inputs)
{
    int code = 0;
    Linter *linter = linter_create(options, print_problem, (void *)flags);
    for (size_t i = 0; i < inputs->count; i++) {
        Diagnostic diagnostic = {0};
        if (linter_add(linter, inputs->items[i].path, inputs->items[i].role, &diagnostic) != STATUS_OK)
            code = command_fail(&diagnostic);
    }
    for (int32_t i = 0; i <= linter_file_count(linter); i++) {
        Diagnostic diagnostic = {0};
        if (i == linter_file_count(linter))
            linter_compare(linter);
        else if (linter_check(linter, i, &diagnostic) != STATUS_OK)
            code = command_fail(&diagnostic);
        if (command_flush(&diagnostic) != STATUS_OK) {
            linter_destroy(&linter);
            return command_fail(&diagnostic);
        }
    }
    const LintCounts *counts = linter_counts(linter);
    if (!flags->json)
        print_summary(counts, (size_t)linter_file_count(linter));
    if (code == 0 && counts->errors > 0)
        code = 1;
    linter_destroy(&linter);
    return code;
}

static void print_change(void *context, const LintChange *change)
{
    (void)context;
    Json *json = lint_change_json(change);
    command_print_json(&json, JSON_COMPACT);
}

static int fix_input(const LintFlags *flags, const LintOptions *options, const char *path)
{
    Diagnostic diagnostic = {0};
    LintFixOptions fix = {.lint = options,
                          .types = flags->fix_types,
                          .duplicates = flags->fix_duplicates,
                          .write_changes = !flags->json,
                          .on_change = flags->json ? print_change : NULL};
    LintFixSummary summary;
    if (lint_fix(path, flags->fix, &fix, &summary, &diagnostic) != STATUS_OK || command_flush(&diagnostic) != STATUS_OK)
        return command_fail(&diagnostic);
    if (flags->json)
        return 0;
    for (int i = 0; i < LINT_RULE_COUNT; i++)
        if (summary.changes[i] > 0)
            fprintf(stderr, "%9lld %s\n", (long long)summary.changes[i], lint_rules[i].id);
    if (summary.rewritten)
        fprintf(stderr, "%s holds tokens and labels alone: other columns or keys of %s are not in it\n", flags->fix, path);
    fprintf(stderr, "%s: %lld change%s, listed in %s.changes.jsonl; `nersweep lint %s` shows what is left\n", flags->fix,
            (long long)summary.total, summary.total == 1 ? "" : "s", flags->fix, flags->fix);
    return 0;
}

/* Texts between commas, those that are empty left out. */
static void list_split(StringArray *items, const char *list)
{
    while (list && *list) {
        size_t size = strcspn(list, ",");
        if (size > 0)
            array_push(items, memory_copy_bytes(list, size));
        list += size + (list[size] == ',');
    }
}

static int rules_select(const Command *command, const LintFlags *flags, bool disabled[LINT_RULE_COUNT])
{
    int code = -1;
    StringArray names = {0};
    bool only = flags->only != NULL;
    if (only && flags->disable)
        return command_usage_error(command, "--only and --disable exclude each other");
    for (int i = 0; i < LINT_RULE_COUNT; i++)
        disabled[i] = only;
    list_split(&names, only ? flags->only : flags->disable);
    for (size_t i = 0; i < names.count && code < 0; i++) {
        LintRule rule;
        if (lint_rule_find(names.items[i], &rule))
            disabled[rule] = !only;
        else
            code = command_usage_error(command, "--%s %s: there is no such rule; is %s meant? (--rules lists them all)",
                                       only ? "only" : "disable", names.items[i], lint_rule_nearest(names.items[i]));
    }
    string_array_free(&names);
    return code;
}

/* What the table of flags cannot say. -1 to go on. */
static int options_take(const Command *command, const LintFlags *flags, LintOptions *options)
{
    int code = command_columns(command, flags->token_column, flags->label_column, &options->corpus);
    if (code < 0)
        code = command_format(command, "format", flags->format, &options->corpus.format);
    if (code < 0)
        code = rules_select(command, flags, options->disabled);
    if (code >= 0)
        return code;
    options->scheme_given = flags->scheme != NULL;
    if (flags->scheme && !label_scheme_parse(flags->scheme, &options->scheme))
        return command_usage_error(command, "--scheme %s is no label scheme", flags->scheme);
    options->corpus.words_given = flags->words != NULL;
    if (flags->words && !words_rule_parse(flags->words, &options->corpus.words))
        return command_usage_error(command, "--words %s: expected treebank, whitespace or bert", flags->words);
    if (flags->model && flags->vocab)
        return command_usage_error(command, "--model and --vocab exclude each other");
    if ((flags->fix_types || flags->fix_duplicates) && !flags->fix)
        return command_usage_error(command, "--fix-types and --fix-duplicates say what --fix may do: --fix OUT is missing");
    options->corpus.weight_column = flags->weight_column;
    options->corpus.sentence_column = flags->sentence_column;
    options->corpus.label_list = flags->label_list;
    options->strict = flags->strict;
    options->max_seq_length = flags->max_seq_length;
    options->limit = flags->limit >= 0 ? flags->limit : flags->json ? 0 : SHOWN_USUALLY;
    list_split(&options->types, flags->types);
    return -1;
}

static Status tokenizer_open(const LintFlags *flags, Wordpiece **wordpiece, Diagnostic *diagnostic)
{
    TokenizerFiles files = {0};
    Status status = STATUS_OK;
    if (flags->vocab)
        return wordpiece_open(wordpiece, flags->vocab, (WordpieceOptions){.lowercase = !flags->cased}, diagnostic);
    if (!flags->model)
        return STATUS_OK;
    status = model_folder_tokenizer(flags->model, &files, diagnostic);
    if (status == STATUS_OK)
        status = wordpiece_open(wordpiece, files.vocab_path, (WordpieceOptions){.lowercase = files.lowercase}, diagnostic);
    tokenizer_files_free(&files);
    return status;
}

static void inputs_add(LintInputArray *inputs, const StringArray *paths, LintRole role)
{
    for (size_t i = 0; i < paths->count; i++)
        array_push(inputs, ((LintInput){paths->items[i], role}));
}

static int lint_run(const Command *command, int argc, char **argv)
{
    LintFlags flags = {0};
    OptionBinding binding = {&lint_table, &flags};
    PositionalArray files = {0};
    LintInputArray inputs = {0};
    LintOptions options = {0};
    Wordpiece *wordpiece = NULL;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    inputs_add(&inputs, &flags.train, LINT_ROLE_TRAIN);
    inputs_add(&inputs, &flags.dev, LINT_ROLE_DEV);
    inputs_add(&inputs, &flags.test, LINT_ROLE_TEST);
    for (size_t i = 0; i < files.count; i++)
        array_push(&inputs, ((LintInput){files.items[i], LINT_ROLE_NONE}));
    if (code < 0 && inputs.count == 0 && !flags.rules)
        code = command_usage_error(command, "no file is given");
    if (code < 0 && flags.fix && inputs.count != 1)
        code = command_usage_error(command, "--fix mends one file, %zu are given", inputs.count);
    if (code < 0)
        code = options_take(command, &flags, &options);
    if (code < 0 && flags.rules) {
        print_rules(&flags);
        code = 0;
    }
    if (code < 0 && tokenizer_open(&flags, &wordpiece, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    options.wordpiece = wordpiece;
    if (code < 0)
        code = flags.fix ? fix_input(&flags, &options, inputs.items[0].path) : lint_inputs(&flags, &options, &inputs);
    wordpiece_close(&wordpiece);
    string_array_free(&options.types);
    array_free(&inputs);
    array_free(&files);
    options_free(&lint_table, &flags);
    return code;
}

const Command command_lint = {"lint", "FILE... [--train F --dev F --test F] [--fix OUT] [--strict] [--json]",
                              "every problem of annotated files, with line and column; mends what is mechanical", lint_run};
