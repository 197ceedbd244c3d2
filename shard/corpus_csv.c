/* CSV with columns for the sentence's id, the token and the label. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/spans/labels.h"
#include "shard/corpus_internal.h"
#include "shard/csv.h"

typedef struct CsvSource {
    CsvFile *file;
    CsvRecord record;
    bool ahead;                                   /* record was read and not yet used */
    int sentence_index, token_index, label_index; /* from 0; sentence_index -1: blank lines alone part sentences */
    size_t columns;
    Text sentence_id;
    bool in_sentence, document_pending;
} CsvSource;

static const char *const sentence_names[] = {"sentence_id", "sentence-id", "sentence #", "sentence", "sent_id", NULL};
static const char *const token_names[] = {"token", "tokens", "word", "words", NULL};
static const char *const label_names[] = {"label", "labels", "ner_tag", "ner_tags", "ner", "tag", "tags", NULL};

static bool field_is(const CsvRecord *record, size_t index, const char *name)
{
    const CsvField *field = &record->fields.items[index];
    return strlen(name) == field->size && strncasecmp(record->bytes.bytes + field->start, name, field->size) == 0;
}

/* The column whose header is one of the names, the first name first; -1: none. */
static int column_named(const CsvRecord *record, const char *const *names)
{
    for (; *names; names++)
        for (size_t i = 0; i < record->fields.count; i++)
            if (field_is(record, i, *names))
                return (int)i;
    return -1;
}

static bool field_is_label(const CsvRecord *record, int index)
{
    LabelParts parts;
    char text[256];
    const CsvField *field = &record->fields.items[index];
    if (field->size >= sizeof text)
        return false;
    memcpy(text, record->bytes.bytes + field->start, field->size);
    text[field->size] = '\0';
    return label_split(text, &parts);
}

/* A column given by name or number (from 1 or, negative, from the end), or the default. */
static Status column_find(const CorpusReader *reader, const CsvRecord *header, const char *what, const char *name, int number,
                          int otherwise, int *index, Diagnostic *diagnostic)
{
    int count = (int)header->fields.count;
    *index = otherwise;
    if (name) {
        const char *const names[] = {name, NULL};
        *index = column_named(header, names);
        if (*index < 0)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, reader->path, header->line, 1,
                           "there is no %s column \"%.64s\" in the header: it has %d columns", what, name, count);
    } else if (number != 0) {
        *index = number > 0 ? number - 1 : count + number;
        if (*index < 0 || *index >= count)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, reader->path, header->line, 1,
                           "there is no %s column %d: the lines have %d columns", what, number, count);
    }
    return STATUS_OK;
}

static Status columns_find(CorpusReader *reader, const CsvRecord *first, bool *header, Diagnostic *diagnostic)
{
    CsvSource *source = reader->source;
    const CorpusOptions *options = &reader->options;
    Status status = STATUS_OK;
    int count = (int)first->fields.count, sentence_number = 0;
    int sentence = column_named(first, sentence_names), token = column_named(first, token_names),
        label = column_named(first, label_names);
    const char *sentence_name = options->sentence_column;
    *header = token >= 0 || label >= 0 || sentence_name || options->token_name || options->label_name;
    if (!*header && count >= 3)
        sentence = 0;
    if (token < 0)
        token = *header ? (sentence == 0) : count - 2 > 0 && count >= 3;
    if (label < 0)
        label = count - 1;
    if (sentence_name && strspn(sentence_name, "-0123456789") == strlen(sentence_name)) {
        sentence_number = (int)strtol(sentence_name, NULL, 10);
        sentence_name = NULL;
    }
    TRY(column_find(reader, first, "sentence", sentence_name, sentence_number, sentence, &source->sentence_index, diagnostic));
    TRY(column_find(reader, first, "token", options->token_name, options->token_column, token, &source->token_index, diagnostic));
    TRY(column_find(reader, first, "label", options->label_name, options->label_column, label, &source->label_index, diagnostic));
    if (source->sentence_index == source->token_index && !options->sentence_column)
        source->sentence_index = -1;
    if (source->token_index == source->label_index || source->sentence_index == source->token_index ||
        source->sentence_index == source->label_index || source->token_index >= count)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, reader->path, first->line, 1,
                       "the columns of sentence, token and label cannot be told from this line of %d columns: name them with "
                       "--sentence-column, --token-column and --label-column",
                       count);
    if (field_is_label(first, source->label_index))
        *header = false;
    source->columns = first->fields.count;
out:
    return status;
}

static Status csv_source_open(CorpusReader *reader, Diagnostic *diagnostic)
{
    CsvSource *source = memory_allocate(1, sizeof *source);
    reader->source = source;
    source->document_pending = true;
    Status status = csv_open(&source->file, reader->path, diagnostic);
    bool more = true, header = false;
    do {
        if (status == STATUS_OK)
            status = csv_next(source->file, &source->record, &more, diagnostic);
    } while (status == STATUS_OK && more && source->record.blank);
    if (status == STATUS_OK && more)
        status = columns_find(reader, &source->record, &header, diagnostic);
    source->ahead = more && !header;
    return status;
}

static void csv_source_close(CorpusReader *reader)
{
    CsvSource *source = reader->source;
    if (!source)
        return;
    csv_close(&source->file);
    csv_record_free(&source->record);
    text_free(&source->sentence_id);
    free(source);
}

static void csv_source_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total)
{
    csv_progress(((const CsvSource *)reader->source)->file, bytes_done, bytes_total);
}

/* The next record that can be used, in source->record; errors of others were told. */
static Status record_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    CsvSource *source = reader->source;
    *more = true;
    while (!source->ahead) {
        Diagnostic found = {0};
        Status status = csv_next(source->file, &source->record, more, &found);
        if (status == STATUS_INVALID_INPUT && reader->problem) {
            reader->problem(reader->problem_context, reader->path, found.input_line, found.input_column, PROBLEM_ERROR, "csv",
                            found.message);
            continue;
        }
        if (status != STATUS_OK && diagnostic)
            *diagnostic = found;
        if (status != STATUS_OK || !*more)
            return status;
        source->ahead = source->record.blank || source->record.fields.count == source->columns;
        if (!source->ahead)
            status = corpus_reader_error(reader, NULL, source->record.line, 1, "column-count", diagnostic,
                                         "expected %zu columns separated by commas, found %zu", source->columns,
                                         source->record.fields.count);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Does the record belong to the sentence in hand? Its id is the same, or left out. */
static bool same_sentence(CsvSource *source)
{
    if (source->sentence_index < 0)
        return true;
    const CsvField *field = &source->record.fields.items[source->sentence_index];
    const char *id = source->record.bytes.bytes + field->start;
    bool same =
        field->size == 0 || (field->size == source->sentence_id.size && memcmp(id, source->sentence_id.bytes, field->size) == 0);
    if (!same) {
        text_clear(&source->sentence_id);
        text_append(&source->sentence_id, id, field->size);
    }
    return same;
}

static Status token_take(CorpusReader *reader, Diagnostic *diagnostic)
{
    CsvSource *source = reader->source;
    const CsvField *text = &source->record.fields.items[source->token_index],
                   *label = &source->record.fields.items[source->label_index];
    if (label->size == 0)
        return corpus_reader_error(reader, NULL, label->line, label->column, "empty-label", diagnostic,
                                   "the label is empty: expected a label in column %d", source->label_index + 1);
    const char *bytes = source->record.bytes.bytes + label->start;
    if (memchr(bytes, '\n', label->size) || memchr(bytes, '\t', label->size))
        return corpus_reader_error(reader, NULL, label->line, label->column, "label-characters", diagnostic,
                                   "the label holds a TAB or a line end: is the field closed where it should be?");
    if (text->size == 0)
        corpus_reader_empty_token(reader, text->line, text->column);
    CorpusToken token = {.text = source->record.bytes.bytes + text->start,
                         .text_size = text->size,
                         .label = source->record.bytes.bytes + label->start,
                         .line = text->line,
                         .token_column = text->column,
                         .label_column = label->column};
    return corpus_reader_append(reader, token, label->size, diagnostic);
}

static Status csv_source_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    CsvSource *source = reader->source;
    for (;;) {
        Status status = record_next(reader, more, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (!*more)
            break;
        bool blank = source->record.blank;
        if (blank)
            text_clear(&source->sentence_id);
        bool ends = blank || !same_sentence(source);
        if (ends && reader->tokens.count > 0)
            break; /* a record of the next sentence is kept for it */
        source->ahead = false;
        if (!blank)
            status = token_take(reader, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    *more = reader->tokens.count > 0;
    reader->sentence.document_start = source->document_pending;
    source->document_pending = false;
    return STATUS_OK;
}

const CorpusOperations corpus_csv = {csv_source_open, csv_source_next, csv_source_close, csv_source_progress};
