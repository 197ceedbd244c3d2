#include "shard/corpus_layout.h"

#include <stdlib.h>
#include <string.h>

#include "core/spans/labels.h"

/* What the first pass counts, for both ways to split a line: [0] runs of spaces, [1] TABs. */
typedef struct LayoutCounts {
    long tab_lines, other_lines;
    long columns[2][CORPUS_COLUMN_LIMIT + 2];     /* lines by their number of columns */
    long hash_tokens[2][CORPUS_COLUMN_LIMIT + 2]; /* "# " lines whose label column holds a label, by number of columns */
    long hash_lines;
    long weights[2][CORPUS_COLUMN_LIMIT + 2]; /* lines whose last column is a weight, by number of columns */
    long first_line;                          /* of content */
} LayoutCounts;

static void field_take(CorpusFields *fields, const char *start, const char *end)
{
    if (fields->count < CORPUS_COLUMN_LIMIT) {
        fields->starts[fields->count] = start;
        fields->sizes[fields->count] = (size_t)(end - start);
    }
    fields->count++;
}

static void split_at_tabs(const char *at, const char *end, CorpusFields *fields)
{
    if (at >= end)
        return;
    for (const char *start = at;; at++)
        if (at >= end || *at == '\t') {
            field_take(fields, start, at);
            if (at >= end)
                return;
            start = at + 1;
        }
}

static void split_at_blanks(const char *at, const char *end, CorpusFields *fields)
{
    for (;;) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (at >= end)
            return;
        const char *start = at;
        while (at < end && *at != '\t' && *at != ' ')
            at++;
        field_take(fields, start, at);
    }
}

void corpus_layout_split(bool tabs, const CorpusLine *line, CorpusFields *fields)
{
    const char *end = line->bytes + line->size;
    fields->count = 0; /* the arrays are not looked at beyond it */
    fields->leading_blank = line->size > 0 && (*line->bytes == ' ' || *line->bytes == '\t');
    fields->empty_tail = false;
    while (end > line->bytes && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) {
        fields->empty_tail |= end[-1] == '\t';
        end--;
    }
    if (tabs)
        split_at_tabs(line->bytes, end, fields);
    else
        split_at_blanks(line->bytes, end, fields);
}

bool corpus_layout_is_document_start(const CorpusLine *line)
{
    static const char mark[] = "-DOCSTART-";
    size_t size = sizeof mark - 1;
    return line->size >= size && memcmp(line->bytes, mark, size) == 0 &&
           (line->size == size || line->bytes[size] == ' ' || line->bytes[size] == '\t' || line->bytes[size] == '\r');
}

/* Index from 0 of a column given from 1 or from the end; -1 when the line has none such. */
static int column_index(int column, int otherwise, int count)
{
    if (column == 0)
        column = otherwise;
    int index = column > 0 ? column - 1 : count + column;
    return index >= 0 && index < count && index < CORPUS_COLUMN_LIMIT ? index : -1;
}

static bool field_is_label(const CorpusFields *fields, int index)
{
    char text[256];
    if (index < 0 || fields->sizes[index] >= sizeof text)
        return false;
    memcpy(text, fields->starts[index], fields->sizes[index]);
    text[fields->sizes[index]] = '\0';
    LabelParts parts;
    return label_split(text, &parts);
}

/* "#", a TAB, and nothing like a label at the end: where that is no token, it is a comment. */
static bool is_tab_comment(const CorpusLine *line)
{
    CorpusFields fields;
    corpus_layout_split(true, line, &fields);
    return line->bytes[1] == '\t' && fields.count > 1 && fields.count <= CORPUS_COLUMN_LIMIT &&
           !field_is_label(&fields, fields.count - 1);
}

bool corpus_layout_weight(const char *field, size_t size, float *weight)
{
    char text[32], *end;
    if (size == 0 || size >= sizeof text || strspn(field, "0123456789.eE+-") < size)
        return false;
    memcpy(text, field, size);
    text[size] = '\0';
    *weight = strtof(text, &end);
    return *end == '\0' && *weight > 0 && *weight <= 1;
}

static void counts_add(LayoutCounts *counts, const CorpusLine *line, CorpusOptions options)
{
    bool hash = line->size >= 2 && line->bytes[0] == '#' && (line->bytes[1] == ' ' || is_tab_comment(line));
    counts->hash_lines += hash;
    for (int tabs = 0; tabs < 2; tabs++) {
        CorpusFields fields;
        corpus_layout_split(tabs, line, &fields);
        int count = fields.count <= CORPUS_COLUMN_LIMIT ? fields.count : CORPUS_COLUMN_LIMIT + 1;
        if (hash)
            counts->hash_tokens[tabs][count] += field_is_label(&fields, column_index(options.label_column, -1, fields.count));
        else
            counts->columns[tabs][count]++;
        if (!hash && options.weight_column && fields.count <= CORPUS_COLUMN_LIMIT && fields.count > 2)
            counts->weights[tabs][count] += corpus_layout_weight(fields.starts[count - 1], fields.sizes[count - 1], &(float){0});
        if (tabs && !hash) {
            counts->tab_lines += fields.count > 1;
            counts->other_lines += fields.count <= 1;
        }
    }
    if (!hash && !counts->first_line)
        counts->first_line = line->number;
}

static Status counts_take(LayoutCounts *counts, const char *path, CorpusOptions options, Diagnostic *diagnostic)
{
    CorpusLines lines;
    Status status = corpus_lines_open(&lines, path, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (bool more = true; lines.bytes_done < CORPUS_LAYOUT_BYTES;) {
        CorpusLine line;
        TRY(corpus_lines_next(&lines, &line, &more, diagnostic));
        if (!more)
            break;
        if (!line.too_long && !corpus_line_is_blank(&line) && !corpus_layout_is_document_start(&line))
            counts_add(counts, &line, options);
    }
out:
    corpus_lines_close(&lines);
    return status;
}

Status corpus_layout_find(CorpusLayout *layout, const char *path, CorpusOptions options, Diagnostic *diagnostic)
{
    LayoutCounts counts = {0};
    Status status = counts_take(&counts, path, options, diagnostic);
    if (status != STATUS_OK)
        return status;
    *layout = (CorpusLayout){.tabs = counts.tab_lines > 0 && counts.tab_lines >= counts.other_lines, .columns = 2};
    const long *columns = counts.columns[layout->tabs];
    for (int count = 3; count <= CORPUS_COLUMN_LIMIT; count++)
        if (columns[count] > columns[layout->columns])
            layout->columns = count;
    layout->comments = counts.hash_lines > 0 && counts.hash_tokens[layout->tabs][layout->columns] == 0;
    layout->token_index = column_index(options.token_column, 1, layout->columns);
    bool weighted = counts.weights[layout->tabs][layout->columns] > 0 &&
                    counts.weights[layout->tabs][layout->columns] == columns[layout->columns];
    layout->weight_index = weighted ? layout->columns - 1 : -1;
    layout->label_index = column_index(options.label_column, -1, layout->columns - weighted);
    if (layout->token_index < 0 || layout->label_index < 0) {
        bool token = layout->token_index < 0;
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, counts.first_line, 0,
                       "there is no %s column %d: the lines have %d columns", token ? "token" : "label",
                       token ? options.token_column : options.label_column, layout->columns);
    }
    if (layout->token_index == layout->label_index)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, counts.first_line, 0,
                       "column %d is both the token and the label column: choose another token_column or label_column",
                       layout->token_index + 1);
    return STATUS_OK;
}

bool corpus_layout_is_comment(const CorpusLayout *layout, const CorpusLine *line, const CorpusFields *fields,
                              bool between_sentences)
{
    if (!layout->comments || line->bytes[0] != '#')
        return false;
    if (fields->count == 1 && fields->sizes[0] == 1)
        return between_sentences; /* "#" alone; within a sentence it is a token that has lost its label */
    if (line->size >= 2 && line->bytes[1] == '\t')
        return fields->count != layout->columns && is_tab_comment(line);
    if (line->size < 2 || line->bytes[1] != ' ')
        return false;
    return fields->count != layout->columns || !field_is_label(fields, layout->label_index);
}
