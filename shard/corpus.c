#include "shard/corpus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "shard/corpus_layout.h"

struct CorpusReader {
    char *path;
    CorpusLines lines;
    CorpusLayout layout;
    CorpusProblem problem;
    void *problem_context;
    bool empty_token_said; /* without a problem function a kind of warning is logged once */
    bool document_pending; /* the next sentence begins a document */
    Arena *arena;          /* texts of the current sentence */
    size_t sentence_bytes;
    ARRAY(CorpusToken) tokens;
    CorpusSentence sentence;
};

static Status column_parse(const char *name, const char *text, int *column, Diagnostic *diagnostic)
{
    *column = 0;
    if (!text || !text[0])
        return STATUS_OK;
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || value == 0 || value < -CORPUS_COLUMN_LIMIT || value > CORPUS_COLUMN_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s is \"%s\": expected a column from 1 to %d, or -1 (last) to -%d", name,
                    text, CORPUS_COLUMN_LIMIT, CORPUS_COLUMN_LIMIT);
    *column = (int)value;
    return STATUS_OK;
}

Status corpus_options_parse(CorpusOptions *options, const char *token_column, const char *label_column, Diagnostic *diagnostic)
{
    *options = (CorpusOptions){0};
    Status status = column_parse("token_column", token_column, &options->token_column, diagnostic);
    if (status == STATUS_OK)
        status = column_parse("label_column", label_column, &options->label_column, diagnostic);
    return status;
}

Status corpus_reader_open(CorpusReader **reader, const char *path, CorpusOptions options, CorpusProblem problem, void *context,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *opened = memory_allocate(1, sizeof *opened);
    *opened = (CorpusReader){.path = memory_copy_string(path),
                             .lines = {.file = -1},
                             .problem = problem,
                             .problem_context = context,
                             .document_pending = true,
                             .arena = arena_create(1 << 16)};
    *reader = opened;
    TRY(corpus_layout_find(&opened->layout, path, options, diagnostic));
    TRY(corpus_lines_open(&opened->lines, opened->path, diagnostic));
out:
    if (status != STATUS_OK)
        corpus_reader_close(reader);
    return status;
}

void corpus_reader_close(CorpusReader **reader)
{
    if (!*reader)
        return;
    corpus_lines_close(&(*reader)->lines);
    arena_destroy(&(*reader)->arena);
    array_free(&(*reader)->tokens);
    free((*reader)->path);
    free(*reader);
    *reader = NULL;
}

void corpus_reader_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total)
{
    *bytes_done = reader->lines.bytes_done;
    *bytes_total = reader->lines.bytes_total;
}

/* An error ends the reading unless there is somebody to tell it to, who then goes on with the next line. */
static PRINTF_LIKE(6, 7) Status
    reader_error(CorpusReader *reader, long line, long column, const char *rule, Diagnostic *diagnostic, const char *format, ...)
{
    char message[DIAGNOSTIC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!reader->problem)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, reader->path, line, column, "%s [%s]", message, rule);
    reader->problem(reader->problem_context, reader->path, line, column, PROBLEM_ERROR, rule, message);
    return STATUS_OK;
}

static void reader_empty_token(CorpusReader *reader, long line, long column)
{
    static const char message[] = "the token is empty: its label is kept, and the model sees an unknown piece";
    if (reader->problem)
        reader->problem(reader->problem_context, reader->path, line, column, PROBLEM_WARNING, "empty-token", message);
    else if (!reader->empty_token_said)
        LOG_WARNING("%s:%ld:%ld: %s [empty-token]; further ones are not reported", reader->path, line, column, message);
    reader->empty_token_said = true;
}

/* Is this line readable at all? *usable = false: it was reported, go on with the next. */
static Status line_check(CorpusReader *reader, const CorpusLine *line, bool *usable, Diagnostic *diagnostic)
{
    *usable = false;
    if (line->too_long)
        return reader_error(reader, line->number, 1, "long-line", diagnostic,
                            "the line is longer than %d bytes: expected one token and its label; are the line ends right?",
                            CORPUS_LINE_LIMIT);
    ptrdiff_t invalid = corpus_invalid_utf8(line->bytes, line->size);
    if (invalid < 0) {
        *usable = true;
        return STATUS_OK;
    }
    unsigned char byte = (unsigned char)line->bytes[invalid];
    const char *hint = byte == 0 ? "is the file UTF-16? convert it with iconv -t UTF-8"
                       : line->number == 1 && (byte == 0xFF || byte == 0xFE)
                           ? "the file looks like UTF-16: convert it with iconv -t UTF-8"
                           : "convert the file with iconv -t UTF-8";
    return reader_error(reader, line->number, (long)invalid + 1, "encoding", diagnostic,
                        "byte 0x%02X at offset %td of the line is not valid UTF-8; %s", byte, invalid, hint);
}

static Status columns_wrong(CorpusReader *reader, const CorpusLine *line, const CorpusFields *fields, Diagnostic *diagnostic)
{
    const CorpusLayout *layout = &reader->layout;
    if (layout->tabs && fields->empty_tail && fields->count == layout->columns - 1 && layout->label_index == layout->columns - 1)
        return reader_error(reader, line->number, (long)line->size + 1, "empty-label", diagnostic,
                            "the label is empty: expected a label in column %d", layout->label_index + 1);
    const char *separator = layout->tabs ? "TABs" : "spaces";
    if (fields->count > CORPUS_COLUMN_LIMIT)
        return reader_error(reader, line->number, 1, "column-count", diagnostic,
                            "expected %d columns separated by %s, found %d, more than the %d that a line may have", layout->columns,
                            separator, fields->count, CORPUS_COLUMN_LIMIT);
    return reader_error(reader, line->number, 1, "column-count", diagnostic, "expected %d columns separated by %s, found %d%s",
                        layout->columns, separator, fields->count,
                        fields->count == 1 ? ": a token needs its label, and a blank line ends a sentence" : "");
}

static Status token_append(CorpusReader *reader, const CorpusLine *line, const CorpusFields *fields, Diagnostic *diagnostic)
{
    const CorpusLayout *layout = &reader->layout;
    const char *label = fields->starts[layout->label_index];
    size_t label_size = fields->sizes[layout->label_index], token_size = fields->sizes[layout->token_index];
    while (label_size > 0 && *label == ' ') {
        label++;
        label_size--;
    }
    while (label_size > 0 && label[label_size - 1] == ' ')
        label_size--;
    long token_column = (long)(fields->starts[layout->token_index] - line->bytes) + 1,
         label_column = (long)(label - line->bytes) + 1;
    if (label_size == 0)
        return reader_error(reader, line->number, label_column, "empty-label", diagnostic,
                            "the label is empty: expected a label in column %d", layout->label_index + 1);
    reader->sentence_bytes += token_size + label_size;
    if (reader->tokens.count >= CORPUS_SENTENCE_LIMIT || reader->sentence_bytes > CORPUS_SENTENCE_BYTES)
        return FAIL_AT(diagnostic, STATUS_LIMIT, reader->path, line->number, 1,
                       "the sentence that begins in line %ld has over %d tokens or %d bytes: separate sentences by blank lines",
                       reader->sentence.line, CORPUS_SENTENCE_LIMIT, CORPUS_SENTENCE_BYTES);
    if (token_size == 0)
        reader_empty_token(reader, line->number, token_column);
    CorpusToken token = {.text = arena_copy_bytes(reader->arena, fields->starts[layout->token_index], token_size),
                         .text_size = token_size,
                         .label = arena_copy_bytes(reader->arena, label, label_size),
                         .line = line->number,
                         .token_column = token_column,
                         .label_column = label_column};
    if (reader->tokens.count == 0)
        reader->sentence.line = line->number;
    array_push(&reader->tokens, token);
    return STATUS_OK;
}

/* A line with columns. *ends: a -DOCSTART- in the token column ends the sentence. */
static Status line_read(CorpusReader *reader, const CorpusLine *line, bool *ends, Diagnostic *diagnostic)
{
    const CorpusLayout *layout = &reader->layout;
    CorpusFields fields;
    corpus_layout_split(layout->tabs, line, &fields);
    if (corpus_layout_is_comment(layout, line, &fields, reader->tokens.count == 0))
        return STATUS_OK;
    if (!layout->tabs && fields.leading_blank && layout->token_index == 0 && fields.count == layout->columns - 1) {
        /* Between the line's start and the first blank there is a token without bytes. */
        memmove(fields.starts + 1, fields.starts, (size_t)fields.count * sizeof *fields.starts);
        memmove(fields.sizes + 1, fields.sizes, (size_t)fields.count * sizeof *fields.sizes);
        fields.starts[0] = line->bytes;
        fields.sizes[0] = 0;
        fields.count++;
    }
    if (fields.count != layout->columns)
        return columns_wrong(reader, line, &fields, diagnostic);
    static const char mark[] = "-DOCSTART-";
    if (fields.sizes[layout->token_index] == sizeof mark - 1 &&
        memcmp(fields.starts[layout->token_index], mark, sizeof mark - 1) == 0) {
        *ends = true;
        return STATUS_OK;
    }
    return token_append(reader, line, &fields, diagnostic);
}

Status corpus_reader_next(CorpusReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic)
{
    *sentence = NULL;
    arena_reset(reader->arena);
    reader->tokens.count = 0;
    reader->sentence_bytes = 0;
    reader->sentence = (CorpusSentence){.document_start = reader->document_pending};
    for (;;) {
        CorpusLine line;
        bool more, usable;
        Status status = corpus_lines_next(&reader->lines, &line, &more, diagnostic);
        if (status == STATUS_OK && more)
            status = line_check(reader, &line, &usable, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (!more)
            break;
        if (!usable)
            continue;
        if (corpus_line_is_blank(&line)) {
            if (reader->tokens.count > 0)
                break;
            continue;
        }
        bool document = corpus_layout_is_document_start(&line);
        if (!document)
            status = line_read(reader, &line, &document, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (document && reader->tokens.count > 0) {
            reader->document_pending = true;
            reader->sentence.tokens = reader->tokens.items;
            reader->sentence.token_count = (int32_t)reader->tokens.count;
            *sentence = &reader->sentence;
            return STATUS_OK;
        }
        if (document)
            reader->sentence.document_start = true;
    }
    if (reader->tokens.count == 0)
        return STATUS_OK;
    reader->document_pending = false;
    reader->sentence.tokens = reader->tokens.items;
    reader->sentence.token_count = (int32_t)reader->tokens.count;
    *sentence = &reader->sentence;
    return STATUS_OK;
}
