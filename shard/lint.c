#include "shard/lint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/file.h"
#include "core/io/hash.h"
#include "shard/lint_internal.h"

enum { OUTSIDE_PERCENT = 90, OUTSIDE_SENTENCES = 20 };

Linter *linter_create(const LintOptions *options, LintReport report, void *context)
{
    Linter *linter = memory_allocate(1, sizeof *linter);
    *linter = (Linter){.options = options,
                       .report = report,
                       .context = context,
                       .type_names = label_set_create(),
                       .forms = lint_forms_create(),
                       .sentences = lint_sentences_create()};
    return linter;
}

void linter_destroy(Linter **linter)
{
    Linter *ended = *linter;
    *linter = NULL;
    if (!ended)
        return;
    for (size_t i = 0; i < ended->files.count; i++) {
        free(ended->files.items[i].path);
        array_free(&ended->files.items[i].types);
        array_free(&ended->files.items[i].invalid);
    }
    array_free(&ended->files);
    lint_view_free(&ended->view);
    label_set_destroy(&ended->type_names);
    lint_forms_destroy(&ended->forms);
    lint_sentences_destroy(&ended->sentences);
    free(ended);
}

const LintCounts *linter_counts(const Linter *linter)
{
    return &linter->counts;
}

static bool is_error(const Linter *linter, LintRule rule)
{
    return linter->options->strict || lint_rules[rule].severity == PROBLEM_ERROR;
}

void lint_count(Linter *linter, LintRule rule, int64_t count)
{
    *(is_error(linter, rule) ? &linter->counts.errors : &linter->counts.warnings) += count;
    linter->counts.found[rule] += count;
}

static void problem_tell(Linter *linter, const char *path, LintPlace place, LintRule rule, const char *message)
{
    LintFile *file = &linter->files.items[linter->files.items[place.file].input];
    lint_count(linter, rule, 1);
    if (linter->options->limit > 0 && file->reported[rule] >= linter->options->limit)
        return;
    file->reported[rule]++;
    linter->counts.reported[rule]++;
    LintProblem problem = {.file = path,
                           .line = place.line,
                           .column = place.column,
                           .severity = is_error(linter, rule) ? PROBLEM_ERROR : PROBLEM_WARNING,
                           .rule = lint_rules[rule].id,
                           .message = message};
    if (linter->report)
        linter->report(linter->context, &problem);
}

void lint_report(Linter *linter, LintPlace place, LintRule rule, const char *format, ...)
{
    char message[DIAGNOSTIC_MESSAGE_SIZE];
    if (linter->options->disabled[rule])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    problem_tell(linter, linter->files.items[place.file].path, place, rule, message);
}

LintPlace lint_token_place(int32_t file, const CorpusToken *token)
{
    return (LintPlace){.file = file, .line = token->line, .column = (int32_t)token->token_column};
}

LintPlace lint_label_place(int32_t file, const CorpusToken *token)
{
    return (LintPlace){.file = file, .line = token->line, .column = (int32_t)token->label_column};
}

const char *lint_place_text(Linter *linter, LintPlace place)
{
    text_clear(&linter->view.text);
    text_format(&linter->view.text, "%.300s:%lld", linter->files.items[place.file].path, (long long)place.line);
    return linter->view.text.bytes;
}

/* A rule in brackets at the message's end is more exact than the reader's own. */
static size_t rule_within(const char *message, LintRule *rule)
{
    char id[64];
    size_t size = strlen(message), begin = size;
    while (begin > 0 && message[begin - 1] != '[')
        begin--;
    if (begin < 2 || message[size - 1] != ']' || size - begin > sizeof id || message[begin - 2] != ' ')
        return size;
    memcpy(id, message + begin, size - 1 - begin);
    id[size - 1 - begin] = '\0';
    LintRule found;
    if (!lint_rule_find(id, &found))
        return size;
    *rule = found;
    return begin - 2;
}

static int compare_lines(const void *key, const void *item)
{
    long line = *(const long *)key, other = ((const LintInvalid *)item)->line;
    return line < other ? -1 : line > other;
}

static const LintInvalid *invalid_of_line(const LintFile *file, long line)
{
    if (file->invalid.count == 0)
        return NULL;
    return bsearch(&line, file->invalid.items, file->invalid.count, sizeof *file->invalid.items, compare_lines);
}

static void reader_problem(void *context, const char *path, long line, long column, ProblemSeverity severity, const char *id,
                           const char *message)
{
    Linter *linter = context;
    const LintFile *file = &linter->files.items[linter->current];
    LintRule rule;
    (void)severity;
    ASSERT(lint_rule_find(id, &rule));
    size_t size = rule_within(message, &rule);
    linter->files.items[file->input].unread += lint_rules[rule].severity == PROBLEM_ERROR;
    if (linter->options->disabled[rule])
        return;
    Text text = {0};
    text_append(&text, message, size);
    const LintInvalid *invalid = rule == LINT_ENCODING || rule == LINT_JSON ? invalid_of_line(file, line) : NULL;
    if (invalid)
        text_format(&text, " (offset %llu of the file)", (unsigned long long)invalid->offset);
    problem_tell(linter, path, (LintPlace){.file = linter->current, .line = line, .column = (int32_t)column}, rule, text.bytes);
    text_free(&text);
}

static void ignore_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                           const char *message)
{
    (void)context, (void)file, (void)line, (void)column, (void)severity, (void)rule, (void)message;
}

void lint_view_set(LintView *view, int32_t file, const CorpusSentence *sentence)
{
    view->file = file;
    view->sentence = sentence;
    view->labels.count = view->hashes.count = 0;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        array_push(&view->labels, sentence->tokens[i].label);
        array_push(&view->hashes, checksum64(sentence->tokens[i].text, sentence->tokens[i].text_size));
    }
    view->labels_fine = label_spans_extract(&view->spans, sentence, "", NULL) == STATUS_OK;
}

void lint_view_free(LintView *view)
{
    array_free(&view->labels);
    array_free(&view->hashes);
    label_spans_free(&view->spans);
    text_free(&view->text);
    wordpiece_output_free(&view->pieces);
}

bool lint_sentence_is_outside(const CorpusSentence *sentence)
{
    for (int32_t i = 0; i < sentence->token_count; i++)
        if (strcmp(sentence->tokens[i].label, "O") != 0)
            return false;
    return true;
}

Status lint_path_check(const char *path, Diagnostic *diagnostic)
{
    struct stat information;
    if (stat(path, &information) != 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the corpus file %s: %s", path, strerror(errno));
    if (S_ISREG(information.st_mode) || S_ISDIR(information.st_mode))
        return STATUS_OK;
    return FAIL(diagnostic, STATUS_INVALID_INPUT,
                "%s is not a regular file: corpora are read more than once, so write it to a file first", path);
}

static CorpusOptions reader_options(const Linter *linter, CorpusFormat format)
{
    CorpusOptions options = linter->options->corpus;
    options.format = format;
    if (linter->options->scheme_given && corpus_format_is_text(format)) {
        options.scheme_given = true;
        options.scheme = linter->options->scheme;
    }
    return options;
}

static Status file_survey(Linter *linter, int32_t number, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LintFile *file = &linter->files.items[number], *input = &linter->files.items[file->input];
    CorpusReader *reader = NULL;
    SchemeGuess guess = {0};
    TRY(corpus_reader_open(&reader, file->path, reader_options(linter, file->format), ignore_problem, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        lint_view_set(&linter->view, number, sentence);
        if (linter->view.labels_fine)
            scheme_guess_add(&guess, linter->view.labels.items, sentence->token_count);
        input->sentences++;
        input->outside += lint_sentence_is_outside(sentence);
        lint_types_add(linter);
        lint_forms_add(linter);
    }
    file->whole = true;
out:
    file->scheme = linter->options->scheme_given ? linter->options->scheme : scheme_guess_result(&guess);
    corpus_reader_close(&reader);
    return status;
}

int32_t linter_file_count(const Linter *linter)
{
    return (int32_t)linter->files.count;
}

static bool has_extension(const char *path, const char *extension)
{
    size_t size = strlen(path), extension_size = strlen(extension);
    return size > extension_size && strcmp(path + size - extension_size, extension) == 0;
}

/* A file that cannot be read at all may still be a problem of one of the rules, with its place: then it is told as one. */
static bool failure_is_problem(Linter *linter, int32_t number, const Diagnostic *diagnostic)
{
    LintRule rule;
    size_t size = rule_within(diagnostic->message, &rule);
    if (diagnostic->message[size] == '\0' || linter->options->disabled[rule])
        return false;
    LintPlace place = {.file = number, .line = diagnostic->input_line, .column = (int32_t)diagnostic->input_column};
    lint_report(linter, place, rule, "%.*s", (int)size, diagnostic->message);
    return true;
}

/* input: number of the first file of the same input, or that of the file to be added. */
static Status file_add(Linter *linter, const char *path, LintRole role, int32_t input, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Diagnostic problem = {0};
    int32_t number = (int32_t)linter->files.count;
    LintFile added = {.path = memory_copy_string(path),
                      .role = role,
                      .input = input,
                      .set = role == LINT_ROLE_NONE ? LINT_ROLE_TEST + 1 + input : (int32_t)role,
                      .format = linter->options->corpus.format};
    array_push(&linter->files, added);
    LintFile *file = &linter->files.items[number];
    TRY(lint_path_check(path, &problem));
    if (file->format == CORPUS_AUTO)
        TRY(corpus_format_detect(path, &file->format, &problem));
    if (file->format == CORPUS_BRAT && has_extension(path, ".ann"))
        memcpy(file->path + strlen(path) - 4, ".txt", 4); /* where tokens have their places */
    TRY(lint_bytes_scan(file, &problem));
    file->readable = true;
    TRY(file_survey(linter, number, &problem));
out:
    if ((status == STATUS_INVALID_INPUT || status == STATUS_UNSUPPORTED) && failure_is_problem(linter, number, &problem))
        return STATUS_OK;
    if (status != STATUS_OK && diagnostic)
        *diagnostic = problem;
    return status;
}

/* Each document is a file of its own, so that problems have their places. */
static Status folder_add(Linter *linter, const char *path, LintRole role, Diagnostic *diagnostic)
{
    StringArray names = {0};
    int32_t input = (int32_t)linter->files.count, documents = 0;
    Status status = folder_list(path, &names, diagnostic);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++) {
        if (!has_extension(names.items[i], ".ann"))
            continue;
        char *document = path_join(path, names.items[i]);
        documents++;
        status = file_add(linter, document, role, input, diagnostic);
        free(document);
    }
    if (documents == 0 && status == STATUS_OK)
        status = FAIL(diagnostic, STATUS_INVALID_INPUT, "%s holds no .ann file: a folder is read as documents of brat", path);
    string_array_free(&names);
    return status;
}

Status linter_add(Linter *linter, const char *path, LintRole role, Diagnostic *diagnostic)
{
    return path_is_folder(path) ? folder_add(linter, path, role, diagnostic)
                                : file_add(linter, path, role, (int32_t)linter->files.count, diagnostic);
}

/* Sentences that a window cannot hold. */
static Status length_check(Linter *linter, Diagnostic *diagnostic)
{
    const LintOptions *options = linter->options;
    const CorpusSentence *sentence = linter->view.sentence;
    WordpieceOutput *pieces = &linter->view.pieces;
    if (!options->wordpiece || options->disabled[LINT_LONG_SENTENCE])
        return STATUS_OK;
    wordpiece_output_clear(pieces);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        Status status = wordpiece_encode_token(options->wordpiece, token->text, token->text_size, i, pieces, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    int64_t room = options->max_seq_length - 2;
    if ((int64_t)pieces->ids.count > room)
        lint_report(linter, lint_token_place(linter->view.file, &sentence->tokens[0]), LINT_LONG_SENTENCE,
                    "the sentence has %zu pieces, and a window of max_seq_length %lld holds %lld: it will be cut into several",
                    pieces->ids.count, (long long)options->max_seq_length, (long long)room);
    return STATUS_OK;
}

static void outside_check(Linter *linter, int32_t number)
{
    const LintFile *file = &linter->files.items[number];
    LintPlace place = {.file = number, .line = 1, .column = 1};
    if (file->unread > 0 && file->unread >= file->sentences)
        return; /* what is wrong has been told */
    if (file->sentences == 0)
        lint_report(linter, place, LINT_NO_TOKENS, "the file holds no labelled token: expected one token and its label a line");
    else if (file->outside == file->sentences)
        lint_report(linter, place, LINT_MOSTLY_OUTSIDE,
                    "no sentence of %lld has a span: is the file annotated, the label column right?", (long long)file->sentences);
    else if (file->sentences >= OUTSIDE_SENTENCES && file->outside * 100 > file->sentences * OUTSIDE_PERCENT)
        lint_report(
            linter, place, LINT_MOSTLY_OUTSIDE,
            "%lld of %lld sentences (%.1f%%) have no span: is the annotation complete? --oversample-factor balances training",
            (long long)file->outside, (long long)file->sentences, 100.0 * (double)file->outside / (double)file->sentences);
}

static Status sentences_check(Linter *linter, int32_t number, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    const LintFile *file = &linter->files.items[number];
    TRY(corpus_reader_open(&reader, file->path, reader_options(linter, file->format), reader_problem, linter, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        lint_view_set(&linter->view, number, sentence);
        lint_tokens_check(linter);
        lint_forms_count_outside(linter);
        lint_sentences_check(linter);
        TRY(length_check(linter, diagnostic));
    }
out:
    corpus_reader_close(&reader);
    return status;
}

Status linter_check(Linter *linter, int32_t number, Diagnostic *diagnostic)
{
    const LintFile *file = &linter->files.items[number];
    linter->current = number;
    if (!file->readable)
        return STATUS_OK; /* linter_add has told it */
    lint_bytes_check(linter, number);
    Status status = sentences_check(linter, number, diagnostic);
    return file->whole ? status : STATUS_OK; /* likewise */
}

void linter_compare(Linter *linter)
{
    for (int32_t i = 0; i < linter_file_count(linter); i++)
        if (linter->files.items[i].input == i && linter->files.items[i].whole)
            outside_check(linter, i);
    lint_types_compare(linter);
    lint_sentences_compare(linter);
    lint_forms_compare(linter);
}

Status lint_file(const char *path, const LintOptions *options, LintReport report, void *context, int64_t *errors, int64_t *warnings,
                 Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Linter *linter = linter_create(options, report, context);
    TRY(linter_add(linter, path, LINT_ROLE_NONE, diagnostic));
    for (int32_t i = 0; i < linter_file_count(linter); i++)
        TRY(linter_check(linter, i, diagnostic));
    linter_compare(linter);
out:
    if (errors)
        *errors = linter->counts.errors;
    if (warnings)
        *warnings = linter->counts.warnings;
    linter_destroy(&linter);
    return status;
}
