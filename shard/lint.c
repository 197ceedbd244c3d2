#include "shard/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Linter {
    const LintOptions *options;
    const char *path;
    const char *file; /* of the problem in hand, where it is not path */
    LabelScheme scheme;
    LintReport report;
    void *context;
    int64_t *errors, *warnings;
} Linter;

static void linter_report(Linter *linter, long line, long column, ProblemSeverity severity, const char *rule, const char *message)
{
    if (linter->options->strict)
        severity = PROBLEM_ERROR;
    LintProblem problem = {
        .file = linter->file ? linter->file : linter->path, .line = line, .column = column, .severity = severity, .rule = rule, .message = message};
    *(severity == PROBLEM_ERROR ? linter->errors : linter->warnings) += 1;
    if (linter->report)
        linter->report(linter->context, &problem);
}

/* A problem of a token's label. */
static PRINTF_LIKE(5, 6) void token_report(Linter *linter, const CorpusToken *token, ProblemSeverity severity, const char *rule,
                                           const char *format, ...)
{
    char message[DIAGNOSTIC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    linter_report(linter, token->line, token->label_column, severity, rule, message);
}

static void reader_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                           const char *message)
{
    Linter *linter = context;
    linter->file = file;
    linter_report(linter, line, column, severity, rule, message);
    linter->file = NULL;
}

static void ignore_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                           const char *message)
{
    (void)context, (void)file, (void)line, (void)column, (void)severity, (void)rule, (void)message;
}

typedef ARRAY(const char *) LabelTexts;

static void sentence_labels(LabelTexts *labels, const CorpusSentence *sentence)
{
    labels->count = 0;
    for (int32_t i = 0; i < sentence->token_count; i++)
        array_push(labels, sentence->tokens[i].label);
}

static Status scheme_find(Linter *linter, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    LabelTexts labels = {0};
    SchemeGuess guess = {0};
    TRY(corpus_reader_open(&reader, linter->path, linter->options->corpus, ignore_problem, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        sentence_labels(&labels, sentence);
        scheme_guess_add(&guess, labels.items, sentence->token_count);
    }
    linter->scheme = scheme_guess_result(&guess);
out:
    array_free(&labels);
    corpus_reader_close(&reader);
    return status;
}

/* Does the scheme know the prefix at all, wherever it stands? L and U are BILOU's, E and S those of the others that end spans. */
static bool scheme_has_prefix(LabelScheme scheme, const char *label, LabelPrefix prefix)
{
    bool mapped = label[0] == 'L' || label[0] == 'U';
    switch (prefix) {
    case PREFIX_B:
        return scheme != SCHEME_IO && scheme != SCHEME_IOE1 && scheme != SCHEME_IOE2;
    case PREFIX_E:
        return mapped ? scheme == SCHEME_BILOU : scheme == SCHEME_IOBES || scheme == SCHEME_IOE1 || scheme == SCHEME_IOE2;
    case PREFIX_S:
        return mapped ? scheme == SCHEME_BILOU : scheme == SCHEME_IOBES;
    default:
        return true;
    }
}

static bool continues(const LabelParts *before, const LabelParts *now)
{
    return (before->prefix == PREFIX_B || before->prefix == PREFIX_I) && strcmp(before->type, now->type) == 0;
}

static void violation_report(Linter *linter, const CorpusSentence *sentence, int32_t index)
{
    const CorpusToken *token = &sentence->tokens[index];
    const char *scheme = label_scheme_name(linter->scheme);
    LabelParts now, before = {.prefix = PREFIX_O, .type = ""};
    if (!label_split(token->label, &now)) {
        token_report(linter, token, PROBLEM_ERROR, "unknown-prefix",
                     "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type", token->label);
        return;
    }
    if (!scheme_has_prefix(linter->scheme, token->label, now.prefix)) {
        token_report(linter, token, linter->options->scheme_given ? PROBLEM_ERROR : PROBLEM_WARNING,
                     linter->options->scheme_given ? "unknown-prefix" : "scheme-transition",
                     "\"%.64s\": the scheme %s has no prefix %c-", token->label, scheme, token->label[0]);
        return;
    }
    if (index > 0 && !label_split(sentence->tokens[index - 1].label, &before))
        before = (LabelParts){.prefix = PREFIX_O, .type = ""};
    bool ends_later = linter->scheme == SCHEME_IOE1 || linter->scheme == SCHEME_IOE2;
    if ((now.prefix == PREFIX_I || now.prefix == PREFIX_E) && !ends_later && !continues(&before, &now)) {
        token_report(linter, token, PROBLEM_WARNING, "inside-without-begin", "\"%.64s\" without B-%.64s before it (scheme %s)",
                     token->label, now.type, scheme);
        return;
    }
    bool last = index + 1 == sentence->token_count;
    token_report(linter, token, PROBLEM_WARNING, "scheme-transition",
                 "\"%.64s\" between \"%.64s\" and \"%.64s\" is not allowed by the scheme %s", token->label,
                 index > 0 ? sentence->tokens[index - 1].label : "the sentence's start",
                 last ? "the sentence's end" : sentence->tokens[index + 1].label, scheme);
}

/* Offset of white space in a token (ASCII, U+0085, U+00A0, U+1680, U+2000..U+200A, U+2028, U+2029, U+202F, U+205F, U+3000), or -1. */
static ptrdiff_t white_space(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < size; i++) {
        unsigned char a = bytes[i], b = i + 1 < size ? bytes[i + 1] : 0, c = i + 2 < size ? bytes[i + 2] : 0;
        bool ascii = a == ' ' || (a >= 0x09 && a <= 0x0D), latin = a == 0xC2 && (b == 0x85 || b == 0xA0);
        bool general = a == 0xE2 && ((b == 0x80 && (c <= 0x8A || c == 0xA8 || c == 0xA9 || c == 0xAF)) || (b == 0x81 && c == 0x9F));
        if (ascii || latin || general || (a == 0xE1 && b == 0x9A && c == 0x80) || (a == 0xE3 && b == 0x80 && c == 0x80))
            return (ptrdiff_t)i;
    }
    return -1;
}

static void sentence_check(Linter *linter, const CorpusSentence *sentence, LabelTexts *labels)
{
    sentence_labels(labels, sentence);
    int32_t violation = scheme_next_violation(linter->scheme, labels->items, sentence->token_count, 0);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        ptrdiff_t space = white_space(token->text, token->text_size);
        if (space >= 0)
            linter_report(linter, token->line, token->token_column + space, PROBLEM_WARNING, "inner-space",
                          "the token has white space in it: other tools will take it for several tokens or columns");
        if (i != violation)
            continue;
        violation_report(linter, sentence, i);
        violation = scheme_next_violation(linter->scheme, labels->items, sentence->token_count, i + 1);
    }
}

Status lint_file(const char *path, const LintOptions *options, LintReport report, void *context, int64_t *errors, int64_t *warnings,
                 Diagnostic *diagnostic)
{
    int64_t ignored_errors, ignored_warnings;
    Linter linter = {.options = options,
                     .path = path,
                     .scheme = options->scheme,
                     .report = report,
                     .context = context,
                     .errors = errors ? errors : &ignored_errors,
                     .warnings = warnings ? warnings : &ignored_warnings};
    *linter.errors = *linter.warnings = 0;
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    LabelTexts labels = {0};
    int64_t sentences = 0;
    if (!options->scheme_given)
        TRY(scheme_find(&linter, diagnostic));
    TRY(corpus_reader_open(&reader, path, options->corpus, reader_problem, &linter, diagnostic));
    for (const CorpusSentence *sentence;; sentences++) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        sentence_check(&linter, sentence, &labels);
    }
    if (sentences == 0)
        linter_report(&linter, 1, 1, PROBLEM_ERROR, "no-tokens",
                      "the file holds no labelled token: expected one token and its label a line");
out:
    array_free(&labels);
    corpus_reader_close(&reader);
    return status;
}
