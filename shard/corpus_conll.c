/* CoNLL and TSV in the wild: one token a line, columns, blank lines between sentences. */
#include <stdlib.h>
#include <string.h>

#include "shard/corpus_internal.h"

typedef struct ConllSource {
    CorpusLines lines;
    CorpusLayout layout;
    bool document_pending; /* the next sentence begins a document */
} ConllSource;

static Status conll_open(CorpusReader *reader, Diagnostic *diagnostic)
{
    ConllSource *source = memory_allocate(1, sizeof *source);
    source->lines.file = -1;
    source->document_pending = true;
    reader->source = source;
    const char *name = reader->options.token_name ? reader->options.token_name : reader->options.label_name;
    if (name)
        return FAIL(
            diagnostic, STATUS_USAGE,
            "%s is \"%.64s\": that names a column by the header of a CSV file, and %s is in CoNLL format: give the column's number",
            reader->options.token_name ? "token_column" : "label_column", name, reader->path);
    Status status = corpus_layout_find(&source->layout, reader->path, reader->options, diagnostic);
    if (status == STATUS_OK)
        status = corpus_lines_open(&source->lines, reader->path, diagnostic);
    return status;
}

static void conll_close(CorpusReader *reader)
{
    ConllSource *source = reader->source;
    if (source)
        corpus_lines_close(&source->lines);
    free(source);
}

static void conll_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total)
{
    const ConllSource *source = reader->source;
    *bytes_done = source->lines.bytes_done;
    *bytes_total = source->lines.bytes_total;
}

static CorpusCut conll_cut(CorpusReader *reader, uint64_t size_bytes, uint64_t limit_bytes, bool documents, CorpusRange *range)
{
    ConllSource *source = reader->source;
    source->document_pending = true; /* where documents do not matter nobody asks */
    return corpus_lines_cut(&source->lines, size_bytes, limit_bytes, documents, range);
}

static void conll_open_part(CorpusReader *part, const CorpusReader *reader)
{
    const ConllSource *whole = reader->source;
    ConllSource *source = memory_allocate(1, sizeof *source);
    source->layout = whole->layout;
    corpus_lines_share(&source->lines, &whole->lines);
    part->source = source;
}

static void conll_start(CorpusReader *part, const CorpusRange *range)
{
    ConllSource *source = part->source;
    source->document_pending = true;
    corpus_lines_seek(&source->lines, range->begin, range->end, range->lines_before);
}

static const CorpusLayout *conll_read(CorpusReader *part, const CorpusRange *range, size_t slack, Text *bytes)
{
    const ConllSource *source = part->source;
    bool plain = source->layout.weight_index < 0 && corpus_lines_read(&source->lines, range->begin, range->end, slack, bytes);
    return plain ? &source->layout : NULL;
}

/* Is this line readable at all? *usable = false: it was reported, go on with the next. */
static Status line_check(CorpusReader *reader, const CorpusLine *line, bool *usable, Diagnostic *diagnostic)
{
    *usable = false;
    if (line->too_long)
        return corpus_reader_error(reader, NULL, line->number, 1, "long-line", diagnostic,
                                   "the line is longer than %d bytes: expected one token and its label; are the line ends right?",
                                   CORPUS_LINE_LIMIT);
    *usable = corpus_line_is_plain(line);
    if (*usable)
        return STATUS_OK;
    ptrdiff_t invalid = corpus_invalid_utf8(line->bytes, line->size);
    if (invalid >= 0) {
        unsigned char byte = (unsigned char)line->bytes[invalid];
        return corpus_reader_error(reader, NULL, line->number, (long)invalid + 1, "encoding", diagnostic,
                                   "byte 0x%02X at offset %td of the line is not valid UTF-8; %s", byte, invalid,
                                   byte == 0 ? "is the file UTF-16? convert it with iconv -t UTF-8"
                                             : "convert the file with iconv -t UTF-8");
    }
    /* Some programs end a line here, others do not: the same file would have other sentences. At a line's end it is white space. */
    const char *carriage_return = memchr(line->bytes, '\r', line->size);
    if (carriage_return && carriage_return[strspn(carriage_return, "\r\t ")] != '\0')
        return corpus_reader_error(reader, NULL, line->number, (long)(carriage_return - line->bytes) + 1, "line-end", diagnostic,
                                   "a carriage return without a line feed: is it meant to end the line? convert the line ends "
                                   "with tr '\\r' '\\n', or remove it");
    *usable = true;
    return STATUS_OK;
}

static Status columns_wrong(CorpusReader *reader, const CorpusLine *line, const CorpusFields *fields, Diagnostic *diagnostic)
{
    const CorpusLayout *layout = &((const ConllSource *)reader->source)->layout;
    if (layout->tabs && fields->empty_tail && fields->count == layout->columns - 1 && layout->label_index == layout->columns - 1)
        return corpus_reader_error(reader, NULL, line->number, (long)line->size + 1, "empty-label", diagnostic,
                                   "the label is empty: expected a label in column %d", layout->label_index + 1);
    const char *separator = layout->tabs ? "TABs" : "spaces";
    if (fields->count > CORPUS_COLUMN_LIMIT)
        return corpus_reader_error(reader, NULL, line->number, 1, "column-count", diagnostic,
                                   "expected %d columns separated by %s, found %d, more than the %d that a line may have",
                                   layout->columns, separator, fields->count, CORPUS_COLUMN_LIMIT);
    return corpus_reader_error(reader, NULL, line->number, 1, "column-count", diagnostic,
                               "expected %d columns separated by %s, found %d%s", layout->columns, separator, fields->count,
                               fields->count == 1 ? ": a token needs its label, and a blank line ends a sentence" : "");
}

static Status token_append(CorpusReader *reader, const CorpusLine *line, const CorpusFields *fields, Diagnostic *diagnostic)
{
    const CorpusLayout *layout = &((const ConllSource *)reader->source)->layout;
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
        return corpus_reader_error(reader, NULL, line->number, label_column, "empty-label", diagnostic,
                                   "the label is empty: expected a label in column %d", layout->label_index + 1);
    if (token_size == 0)
        corpus_reader_empty_token(reader, line->number, token_column);
    CorpusToken token = {.text = fields->starts[layout->token_index],
                         .text_size = token_size,
                         .label = label,
                         .line = line->number,
                         .token_column = token_column,
                         .label_column = label_column};
    return corpus_reader_append(reader, token, label_size, diagnostic);
}

/* The weight of the sentence, which each of its lines repeats. */
static Status weight_take(CorpusReader *reader, const CorpusLine *line, const CorpusFields *fields, Diagnostic *diagnostic)
{
    int index = ((const ConllSource *)reader->source)->layout.weight_index;
    const char *field = fields->starts[index];
    long column = (long)(field - line->bytes) + 1;
    float weight;
    if (!corpus_layout_weight(field, fields->sizes[index], &weight))
        return corpus_reader_error(reader, NULL, line->number, column, "weight", diagnostic,
                                   "the weight is \"%.*s\": expected a number above 0 and up to 1",
                                   (int)(fields->sizes[index] < 32 ? fields->sizes[index] : 32), field);
    if (reader->tokens.count > 1 && weight != reader->sentence.weight)
        return corpus_reader_error(reader, NULL, line->number, column, "weight", diagnostic,
                                   "the weight is %g, and that of the sentence's first token is %g: a sentence has one weight",
                                   (double)weight, (double)reader->sentence.weight);
    reader->sentence.weight = weight;
    return STATUS_OK;
}

/* A line with columns. *ends: a -DOCSTART- in the token column ends the sentence. */
static Status line_read(CorpusReader *reader, const CorpusLine *line, bool *ends, Diagnostic *diagnostic)
{
    const CorpusLayout *layout = &((const ConllSource *)reader->source)->layout;
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
    Status status = token_append(reader, line, &fields, diagnostic);
    return status == STATUS_OK && layout->weight_index >= 0 ? weight_take(reader, line, &fields, diagnostic) : status;
}

static Status conll_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    ConllSource *source = reader->source;
    reader->sentence.document_start = source->document_pending;
    *more = true;
    for (;;) {
        CorpusLine line;
        bool another, usable;
        Status status = corpus_lines_next(&source->lines, &line, &another, diagnostic);
        if (status == STATUS_OK && another)
            status = line_check(reader, &line, &usable, diagnostic);
        if (status != STATUS_OK)
            return status;
        if (!another)
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
            source->document_pending = true;
            return STATUS_OK;
        }
        if (document)
            reader->sentence.document_start = true;
    }
    *more = reader->tokens.count > 0;
    if (*more)
        source->document_pending = false;
    return STATUS_OK;
}

const CorpusOperations corpus_conll = {conll_open, conll_next, conll_close, conll_progress};
const CorpusCuts corpus_conll_cuts = {conll_cut, conll_open_part, conll_start, conll_read};
