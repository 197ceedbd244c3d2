#include "shard/lint_fix.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file.h"
#include "shard/corpus_lines.h"
#include "shard/corpus_writer.h"
#include "shard/lint_internal.h"
#include "shard/lint_mend.h"

enum { FIX_BUFFER_SIZE = 1 << 18 };

typedef struct Fixer {
    const char *input, *output;
    const LintFixOptions *options;
    LintFixSummary *summary;
    LintFile file; /* format, and what its lines look like */
    Mender mender;
    char *changes_path;
    FileWriter *changes;
    Text change_lines;
    Status change_status; /* of the first change that could not be written */
    Diagnostic *diagnostic;
    /* CoNLL */
    CorpusLines lines;
    FileWriter *writer;
    Text buffer;
    bool skip_blank; /* a sentence was left out: the blank lines behind it go as well */
} Fixer;

Json *lint_change_json(const LintChange *change)
{
    Json *json = json_object();
    json_set(json, "file", json_string(change->file));
    json_set(json, "line", json_integer(change->line));
    json_set(json, "rule", json_string(lint_rules[change->rule].id));
    json_set(json, "before", json_string(change->before));
    json_set(json, "after", change->after ? json_string(change->after) : json_null());
    json_set(json, "lines", json_integer(change->lines));
    return json;
}

static Status text_flush(FileWriter *writer, Text *text, size_t limit, Diagnostic *diagnostic)
{
    if (text->size <= limit)
        return STATUS_OK;
    Status status = file_writer_append(writer, text->bytes, text->size, diagnostic);
    text_clear(text);
    return status;
}

static void change_take(void *context, const LintChange *change)
{
    Fixer *fixer = context;
    fixer->summary->changes[change->rule] += change->lines;
    fixer->summary->total += change->lines;
    if (fixer->options->on_change)
        fixer->options->on_change(fixer->options->context, change);
    if (!fixer->changes || fixer->change_status != STATUS_OK)
        return;
    Json *json = lint_change_json(change);
    char *text = json_text(json, JSON_COMPACT);
    text_append_string(&fixer->change_lines, text);
    text_append_string(&fixer->change_lines, "\n");
    free(text);
    json_destroy(&json);
    fixer->change_status = text_flush(fixer->changes, &fixer->change_lines, FIX_BUFFER_SIZE, fixer->diagnostic);
}

static bool is_same_file(const struct stat *input, const char *path)
{
    struct stat other;
    return stat(path, &other) == 0 && other.st_dev == input->st_dev && other.st_ino == input->st_ino;
}

static Status paths_check(Fixer *fixer, Diagnostic *diagnostic)
{
    struct stat input;
    if (stat(fixer->input, &input) == 0 && (is_same_file(&input, fixer->output) || is_same_file(&input, fixer->changes_path)))
        return FAIL(diagnostic, STATUS_USAGE, "--fix %s would be written over the input: give it another name", fixer->output);
    return STATUS_OK;
}

static Status format_check(const Fixer *fixer, Diagnostic *diagnostic)
{
    CorpusFormat format = fixer->file.format;
    if (!corpus_format_is_text(format))
        return STATUS_OK;
    return FAIL(
        diagnostic, STATUS_UNSUPPORTED,
        "%s is in %s format, whose files hold more than tokens and labels: mend it with the tool that it is from, or make a CoNLL "
        "file of it with `nersweep convert` and mend that",
        fixer->input, corpus_format_names[format]);
}

static void ignore_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                           const char *message)
{
    (void)context, (void)file, (void)line, (void)column, (void)severity, (void)rule, (void)message;
}

/* In CoNLL files lines that cannot be read stay as they are; a format that is written anew would lose them. */
static Status reader_open(const Fixer *fixer, CorpusReader **reader, Diagnostic *diagnostic)
{
    CorpusOptions options = fixer->options->lint->corpus;
    options.format = fixer->file.format;
    return corpus_reader_open(reader, fixer->input, options, options.format == CORPUS_CONLL ? ignore_problem : NULL, NULL,
                              diagnostic);
}

static Status file_survey(Fixer *fixer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    SchemeGuess guess = {0};
    int64_t sentences = 0;
    ARRAY(const char *) labels = {0};
    const LintOptions *lint = fixer->options->lint;
    TRY(reader_open(fixer, &reader, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        sentences++;
        labels.count = 0;
        for (int32_t i = 0; i < sentence->token_count; i++)
            array_push(&labels, sentence->tokens[i].label);
        if (lint_labels_are_fine(sentence)) /* others stay as they are, and must not say by which scheme these are mended */
            scheme_guess_add(&guess, labels.items, sentence->token_count);
        lint_mender_survey(&fixer->mender, sentence);
    }
    fixer->mender.scheme = lint->scheme_given ? lint->scheme : scheme_guess_result(&guess);
    lint_mender_plan(&fixer->mender);
    if (sentences == 0)
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, fixer->input, 1, 0, "the file holds nothing to mend (read as %s)",
                         corpus_format_names[fixer->file.format]);
out:
    array_free(&labels);
    corpus_reader_close(&reader);
    return status;
}

static void line_end(Fixer *fixer, size_t from)
{
    Text *text = &fixer->buffer;
    while (text->size > from && strchr(" \t\r", text->bytes[text->size - 1]))
        text->size--;
    text_append_string(text, "\n");
}

/* A line that holds no token which is mended. */
static void line_copy(Fixer *fixer, const CorpusLine *line)
{
    bool blank = corpus_line_is_blank(line);
    if (fixer->skip_blank && blank)
        return;
    fixer->skip_blank = false;
    size_t from = fixer->buffer.size;
    text_append(&fixer->buffer, line->bytes, line->size);
    line_end(fixer, from);
}

/* The line with another token and another label in their places. */
static void line_replace(Fixer *fixer, const CorpusLine *line, const CorpusToken *token, const MendedToken *mended)
{
    Text *text = &fixer->buffer;
    size_t from = text->size, label_size = strlen(token->label);
    size_t token_at = (size_t)token->token_column - 1, label_at = (size_t)token->label_column - 1;
    bool token_first = token_at <= label_at;
    size_t first_at = token_first ? token_at : label_at, first_end = first_at + (token_first ? token->text_size : label_size);
    size_t last_at = token_first ? label_at : token_at, last_end = last_at + (token_first ? label_size : token->text_size);
    text_append(text, line->bytes, first_at);
    text_append(text, token_first ? mended->text : mended->label, token_first ? mended->text_size : strlen(mended->label));
    text_append(text, line->bytes + first_end, last_at - first_end);
    text_append(text, token_first ? mended->label : mended->text, token_first ? strlen(mended->label) : mended->text_size);
    text_append(text, line->bytes + last_end, line->size - last_end);
    line_end(fixer, from);
}

static Status line_next(Fixer *fixer, CorpusLine *line, bool *more, Diagnostic *diagnostic)
{
    Status status = corpus_lines_next(&fixer->lines, line, more, diagnostic);
    if (status == STATUS_OK && *more && line->too_long)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, fixer->input, line->number, 1,
                       "the line is longer than %d bytes: mend that by hand first [long-line]", CORPUS_LINE_LIMIT);
    return status;
}

/* The lines up to the last one of the sentence, with what has become of its tokens. */
static Status sentence_write(Fixer *fixer, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    const Mender *mender = &fixer->mender;
    size_t next = 0;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        CorpusLine line;
        bool more;
        do {
            Status status = line_next(fixer, &line, &more, diagnostic);
            if (status != STATUS_OK)
                return status;
            if (!more)
                return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, fixer->input, sentence->tokens[i].line, 0,
                               "the file has become shorter while it was read");
            if (line.number < sentence->tokens[i].line)
                line_copy(fixer, &line);
        } while (line.number < sentence->tokens[i].line);
        fixer->skip_blank = mender->dropped;
        for (; next < mender->mended.count && mender->mended.items[next].source == i; next++)
            if (!mender->dropped)
                line_replace(fixer, &line, &sentence->tokens[i], &mender->mended.items[next]);
    }
    return text_flush(fixer->writer, &fixer->buffer, FIX_BUFFER_SIZE, diagnostic);
}

static void bytes_tell(Fixer *fixer)
{
    const LintFile *file = &fixer->file;
    LintChange mark = {fixer->input, 1, LINT_BYTE_ORDER_MARK, "\xEF\xBB\xBF", "", 1};
    LintChange crlf = {fixer->input, file->crlf.first, LINT_CRLF, "\r\n", "\n", file->crlf.count};
    LintChange space = {fixer->input, file->trailing_space.first, LINT_TRAILING_SPACE, " ", "", file->trailing_space.count};
    if (file->byte_order_mark)
        change_take(fixer, &mark);
    if (file->format == CORPUS_CONLL && file->crlf.count > 0)
        change_take(fixer, &crlf);
    if (file->format == CORPUS_CONLL && file->trailing_space.count > 0)
        change_take(fixer, &space);
}

static Status lines_fix(Fixer *fixer, CorpusReader *reader, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusLine line;
    TRY(corpus_lines_open(&fixer->lines, fixer->input, diagnostic));
    TRY(file_writer_begin(&fixer->writer, file_system_posix(), fixer->output, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        TRY(lint_mender_apply(&fixer->mender, sentence, diagnostic));
        TRY(sentence_write(fixer, sentence, diagnostic));
        TRY(fixer->change_status);
    }
    for (bool more;;) {
        TRY(line_next(fixer, &line, &more, diagnostic));
        if (!more)
            break;
        line_copy(fixer, &line);
        TRY(text_flush(fixer->writer, &fixer->buffer, FIX_BUFFER_SIZE, diagnostic));
    }
    TRY(text_flush(fixer->writer, &fixer->buffer, 0, diagnostic));
out:
    return status;
}

/* Formats that are written anew. */
static Status records_fix(Fixer *fixer, CorpusReader *reader, CorpusWriter *writer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ARRAY(CorpusToken) tokens = {0};
    Arena *arena = arena_create(1 << 14);
    fixer->summary->rewritten = true;
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        TRY(lint_mender_apply(&fixer->mender, sentence, diagnostic));
        TRY(fixer->change_status);
        if (fixer->mender.dropped)
            continue;
        tokens.count = 0;
        arena_reset(arena);
        for (size_t i = 0; i < fixer->mender.mended.count; i++) {
            const MendedToken *mended = &fixer->mender.mended.items[i];
            CorpusToken token = sentence->tokens[mended->source];
            token.text = arena_copy_bytes(arena, mended->text, mended->text_size);
            token.text_size = mended->text_size;
            token.label = mended->label;
            array_push(&tokens, token);
        }
        CorpusSentence mended = *sentence;
        mended.tokens = tokens.items;
        mended.token_count = (int32_t)tokens.count;
        TRY(corpus_writer_add(writer, &mended, fixer->input, diagnostic));
    }
out:
    arena_destroy(&arena);
    array_free(&tokens);
    return status;
}

/* The list becomes visible before the file that it is of. */
static Status changes_commit(Fixer *fixer, Diagnostic *diagnostic)
{
    if (fixer->change_status != STATUS_OK || !fixer->changes)
        return fixer->change_status;
    Status status = text_flush(fixer->changes, &fixer->change_lines, 0, diagnostic);
    return status == STATUS_OK ? file_writer_commit(&fixer->changes, diagnostic) : status;
}

static Status file_fix(Fixer *fixer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    CorpusWriter *writer = NULL;
    bool listed = false;
    if (fixer->options->write_changes)
        TRY(file_writer_begin(&fixer->changes, file_system_posix(), fixer->changes_path, diagnostic));
    TRY(reader_open(fixer, &reader, diagnostic));
    bytes_tell(fixer);
    if (fixer->file.format == CORPUS_CONLL) {
        TRY(lines_fix(fixer, reader, diagnostic));
    } else {
        TRY(corpus_writer_begin(&writer, fixer->output, (CorpusWriterOptions){.format = fixer->file.format}, diagnostic));
        TRY(records_fix(fixer, reader, writer, diagnostic));
    }
    TRY(changes_commit(fixer, diagnostic));
    listed = fixer->options->write_changes;
    if (writer)
        TRY(corpus_writer_commit(&writer, diagnostic));
    else
        TRY(file_writer_commit(&fixer->writer, diagnostic));
out:
    if (status != STATUS_OK && listed)
        unlink(fixer->changes_path);
    corpus_writer_abandon(&writer);
    corpus_reader_close(&reader);
    return status;
}

Status lint_fix(const char *input, const char *output, const LintFixOptions *options, LintFixSummary *summary,
                Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *summary = (LintFixSummary){0};
    Fixer fixer = {.input = input,
                   .output = output,
                   .options = options,
                   .summary = summary,
                   .diagnostic = diagnostic,
                   .changes_path = memory_format("%s.changes.jsonl", output),
                   .lines = {.file = -1},
                   .file = {.path = (char *)input, .format = options->lint->corpus.format},
                   .mender = {.path = input, .options = options, .changed = change_take}};
    fixer.mender.context = &fixer;
    TRY(lint_path_check(input, diagnostic));
    TRY(paths_check(&fixer, diagnostic));
    if (fixer.file.format == CORPUS_AUTO)
        TRY(corpus_format_detect(input, &fixer.file.format, diagnostic));
    TRY(format_check(&fixer, diagnostic));
    TRY(lint_bytes_scan(&fixer.file, diagnostic));
    TRY(file_survey(&fixer, diagnostic));
    TRY(file_fix(&fixer, diagnostic));
out:
    file_writer_abandon(&fixer.writer);
    file_writer_abandon(&fixer.changes);
    corpus_lines_close(&fixer.lines);
    lint_mender_free(&fixer.mender);
    array_free(&fixer.file.invalid);
    text_free(&fixer.change_lines);
    text_free(&fixer.buffer);
    free(fixer.changes_path);
    return status;
}
