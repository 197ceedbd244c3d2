#include "shard/corpus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "shard/corpus_internal.h"
#include "shard/corpus_layout.h"

const char *const corpus_format_names[] = {
    [CORPUS_AUTO] = "auto",   [CORPUS_CONLL] = "conll",     [CORPUS_CSV] = "csv",
    [CORPUS_JSONL] = "jsonl", [CORPUS_PRODIGY] = "prodigy", [CORPUS_LABELSTUDIO] = "labelstudio",
    [CORPUS_SPACY] = "spacy", [CORPUS_BRAT] = "brat",       [CORPUS_FORMAT_COUNT] = NULL,
};
const char *const misaligned_policy_names[] = {"error", "expand", "contract", "drop", NULL};
const char *const flatten_policy_names[] = {"error", "outermost", "innermost", "longest", "first", NULL};

static const CorpusOperations *const format_operations[CORPUS_FORMAT_COUNT] = {
    [CORPUS_CONLL] = &corpus_conll,     [CORPUS_CSV] = &corpus_csv,     [CORPUS_JSONL] = &corpus_jsonl,
    [CORPUS_PRODIGY] = &corpus_prodigy, [CORPUS_SPACY] = &corpus_spacy, [CORPUS_LABELSTUDIO] = &corpus_labelstudio,
    [CORPUS_BRAT] = &corpus_brat,
};

enum { LABEL_NAMES_KEPT = 4096 };

bool corpus_format_parse(const char *name, CorpusFormat *format)
{
    *format = CORPUS_CONLL;
    if (strcasecmp(name, "tsv") == 0)
        return true;
    for (int i = 0; i < CORPUS_FORMAT_COUNT; i++) {
        *format = (CorpusFormat)i;
        if (strcasecmp(name, corpus_format_names[i]) == 0)
            return true;
    }
    return false;
}

bool corpus_format_is_text(CorpusFormat format)
{
    ASSERT(format > CORPUS_AUTO && format < CORPUS_FORMAT_COUNT);
    return format >= CORPUS_PRODIGY;
}

/* A text that cannot be meant as a number is a column's name. */
static Status column_parse(const char *option, const char *text, int *column, const char **name, Diagnostic *diagnostic)
{
    *column = 0;
    *name = NULL;
    if (!text || !text[0])
        return STATUS_OK;
    if (!strchr("+-0123456789", text[0])) {
        *name = text;
        return STATUS_OK;
    }
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || value == 0 || value < -CORPUS_COLUMN_LIMIT || value > CORPUS_COLUMN_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "%s is \"%s\": expected a column from 1 to %d, or -1 (last) to -%d, or a name in the header of a CSV file",
                    option, text, CORPUS_COLUMN_LIMIT, CORPUS_COLUMN_LIMIT);
    *column = (int)value;
    return STATUS_OK;
}

Status corpus_options_parse(CorpusOptions *options, const char *token_column, const char *label_column, Diagnostic *diagnostic)
{
    *options = (CorpusOptions){0};
    Status status = column_parse("token_column", token_column, &options->token_column, &options->token_name, diagnostic);
    if (status == STATUS_OK)
        status = column_parse("label_column", label_column, &options->label_column, &options->label_name, diagnostic);
    return status;
}

/* Settles the format, and that the file is text. */
static Status format_settle(CorpusReader *reader, Diagnostic *diagnostic)
{
    Diagnostic found = {0};
    CorpusFormat *format = &reader->options.format;
    Status status = *format == CORPUS_AUTO   ? corpus_format_detect(reader->path, format, &found)
                    : *format != CORPUS_BRAT ? corpus_encoding_check(reader->path, &found)
                                             : STATUS_OK;
    if (status == STATUS_UNSUPPORTED && reader->problem) {
        char *rule = strstr(found.message, " [encoding]"); /* it is told apart from the message */
        if (rule)
            *rule = '\0';
        reader->problem(reader->problem_context, reader->path, found.input_line, found.input_column, PROBLEM_ERROR, "encoding",
                        found.message);
        reader->refused = true;
        if (reader->options.format == CORPUS_BRAT) /* what detection began with */
            reader->options.format = CORPUS_CONLL;
        return STATUS_OK;
    }
    if (status != STATUS_OK && diagnostic)
        *diagnostic = found;
    return status;
}

CorpusReader *corpus_reader_new(const char *path, CorpusOptions options)
{
    CorpusReader *reader = memory_allocate(1, sizeof *reader);
    *reader = (CorpusReader){.path = memory_copy_string(path), .options = options, .arena = arena_create(1 << 16)};
    return reader;
}

Status corpus_reader_open(CorpusReader **reader, const char *path, CorpusOptions options, CorpusProblem problem, void *context,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *opened = corpus_reader_new(path, options);
    opened->problem = problem;
    opened->problem_context = context;
    *reader = opened;
    if (!options.words_given)
        opened->options.words = WORDS_TREEBANK;
    if (!options.scheme_given)
        opened->options.scheme = SCHEME_IOB2;
    TRY(format_settle(opened, diagnostic));
    opened->operations = format_operations[opened->options.format];
    if (!opened->refused)
        TRY(opened->operations->open(opened, diagnostic));
out:
    if (status != STATUS_OK)
        corpus_reader_close(reader);
    return status;
}

void corpus_reader_close(CorpusReader **reader)
{
    CorpusReader *closed = *reader;
    *reader = NULL;
    if (!closed)
        return;
    if (closed->operations)
        closed->operations->close(closed);
    arena_destroy(&closed->arena);
    array_free(&closed->tokens);
    array_free(&closed->spans);
    label_set_destroy(&closed->label_names);
    free(closed->path);
    free(closed);
}

void corpus_reader_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total)
{
    *bytes_done = *bytes_total = 0;
    if (!reader->refused)
        reader->operations->progress(reader, bytes_done, bytes_total);
}

CorpusFormat corpus_reader_format(const CorpusReader *reader)
{
    return reader->options.format;
}

CorpusCounts corpus_reader_counts(const CorpusReader *reader)
{
    return reader->counts;
}

Status corpus_reader_error(CorpusReader *reader, const char *file, long line, long column, const char *rule, Diagnostic *diagnostic,
                           const char *format, ...)
{
    char message[DIAGNOSTIC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    diagnostic_make_printable(message);
    file = file ? file : reader->path;
    if (!reader->problem)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, file, line, column, "%s [%s]", message, rule);
    reader->problem(reader->problem_context, file, line, column, PROBLEM_ERROR, rule, message);
    return STATUS_OK;
}

void corpus_reader_empty_token(CorpusReader *reader, long line, long column)
{
    if (reader->problem)
        reader->problem(reader->problem_context, reader->path, line, column, PROBLEM_WARNING, "empty-token", CORPUS_EMPTY_TOKEN);
    else if (!reader->keeps_warnings)
        corpus_reader_warn(reader, (CorpusWarning){line, column});
    else if (reader->kept.line == 0)
        reader->kept = (CorpusWarning){line, column};
}

Status corpus_reader_append(CorpusReader *reader, CorpusToken token, size_t label_size, Diagnostic *diagnostic)
{
    if (reader->tokens.count == 0)
        reader->sentence.line = token.line;
    reader->sentence_bytes += token.text_size + label_size;
    if (reader->tokens.count >= CORPUS_SENTENCE_LIMIT || reader->sentence_bytes > CORPUS_SENTENCE_BYTES)
        return FAIL_AT(diagnostic, STATUS_LIMIT, reader->path, token.line, 1,
                       "the sentence that begins in line %ld has over %d tokens or %d bytes: %s", reader->sentence.line,
                       CORPUS_SENTENCE_LIMIT, CORPUS_SENTENCE_BYTES,
                       corpus_format_is_text(reader->options.format) ? "cut the text into shorter ones"
                                                                     : "separate sentences by blank lines");
    /* Most labels are the label before. */
    const char *before = reader->tokens.count ? reader->tokens.items[reader->tokens.count - 1].label : NULL;
    bool same = before && reader->label_size == label_size && memcmp(before, token.label, label_size) == 0;
    token.text = arena_copy_bytes(reader->arena, token.text, token.text_size);
    token.label = same ? before : arena_copy_bytes(reader->arena, token.label, label_size);
    reader->label_size = label_size;
    array_push(&reader->tokens, token);
    return STATUS_OK;
}

static void counts_say(CorpusReader *reader)
{
    const CorpusCounts *counts = &reader->counts;
    if (reader->counts_said || reader->problem)
        return;
    reader->counts_said = true;
    if (counts->skipped > 0)
        LOG_WARNING("%s: %lld records are left out, they have no accepted annotation", reader->path, (long long)counts->skipped);
    if (counts->utf16 > 0)
        LOG_WARNING("%s: the offsets of %lld spans fit their text only as UTF-16 units, and are taken as such", reader->path,
                    (long long)counts->utf16);
    if (counts->duplicates > 0)
        LOG_WARNING("%s: %lld spans are there twice with one label, and are taken once", reader->path,
                    (long long)counts->duplicates);
    if (counts->misaligned > 0)
        LOG_WARNING("%s: %lld spans did not meet the tokens (%s)", reader->path, (long long)counts->misaligned,
                    misaligned_policy_names[reader->options.misaligned]);
    if (counts->flattened > 0)
        LOG_WARNING("%s: %lld spans that overlap others are left out (%s)", reader->path, (long long)counts->flattened,
                    flatten_policy_names[reader->options.flatten]);
}

void corpus_reader_reset(CorpusReader *reader)
{
    arena_reset(reader->arena);
    reader->tokens.count = reader->spans.count = 0;
    reader->sentence_bytes = 0;
    reader->text = (CorpusText){0};
    if (reader->label_names && label_set_count(reader->label_names) > LABEL_NAMES_KEPT)
        label_set_destroy(&reader->label_names);
}

Status corpus_reader_next(CorpusReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic)
{
    *sentence = NULL;
    if (reader->refused)
        return STATUS_OK;
    for (;;) {
        bool more, usable = true;
        corpus_reader_reset(reader);
        reader->sentence = (CorpusSentence){.weight = 1};
        Status status = reader->operations->next(reader, &more, diagnostic);
        if (status == STATUS_OK && !more)
            counts_say(reader);
        if (status != STATUS_OK || !more)
            return status;
        if (reader->text.bytes && !reader->options.keep_text)
            status = corpus_text_label(reader, &usable, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (usable && (reader->tokens.count > 0 || (reader->text.bytes && reader->options.keep_text)))
            break;
    }
    reader->sentence.tokens = reader->tokens.items;
    reader->sentence.token_count = (int32_t)reader->tokens.count;
    if (reader->text.bytes) {
        reader->sentence.line = reader->text.line;
        reader->sentence.text = reader->text.bytes;
        reader->sentence.text_size = reader->text.size;
        reader->sentence.spans = reader->spans.items;
        reader->sentence.span_count = reader->spans.count;
    }
    *sentence = &reader->sentence;
    return STATUS_OK;
}
