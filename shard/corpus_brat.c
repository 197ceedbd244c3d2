/* brat standoff: NAME.txt beside NAME.ann, or a folder of such pairs. A line of text is a sentence, unless a span goes on into the next. */
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "core/options/number.h"
#include "shard/corpus_internal.h"

typedef struct BratSource {
    StringArray bases; /* paths without .txt and .ann */
    size_t base;       /* of the next document */
    char *text_path, *ann_path;
    char *text;
    size_t size, at; /* of the document; where the next sentence begins */
    long line;       /* of `at` */
    bool open, document_pending;
    CorpusSpanArray spans; /* of the document, by start */
    size_t next_span;
    OffsetIndex points;
    Arena *arena; /* labels */
    uint64_t bytes_done, bytes_total;
} BratSource;

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static char *base_of(const char *path)
{
    bool extension = ends_with(path, ".txt") || ends_with(path, ".ann");
    return memory_copy_bytes(path, strlen(path) - (extension ? 4 : 0));
}

static Status bases_find(BratSource *source, const char *path, Diagnostic *diagnostic)
{
    if (!path_is_folder(path)) {
        array_push(&source->bases, base_of(path));
        return STATUS_OK;
    }
    StringArray names = {0};
    Status status = folder_list(path, &names, diagnostic);
    for (size_t i = 0; i < names.count; i++)
        if (ends_with(names.items[i], ".ann")) {
            char *joined = path_join(path, names.items[i]);
            array_push(&source->bases, base_of(joined));
            free(joined);
        }
    string_array_free(&names);
    if (status == STATUS_OK && source->bases.count == 0)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "%s is not a regular file, and holds no .ann files: expected a corpus, or a folder of brat annotations", path);
    return status;
}

static Status brat_open(CorpusReader *reader, Diagnostic *diagnostic)
{
    BratSource *source = memory_allocate(1, sizeof *source);
    reader->source = source;
    source->arena = arena_create(1 << 12);
    Status status = bases_find(source, reader->path, diagnostic);
    source->bytes_total = source->bases.count;
    return status;
}

static void document_free(BratSource *source)
{
    free(source->text);
    free(source->text_path);
    free(source->ann_path);
    source->text = source->text_path = source->ann_path = NULL;
    source->spans.count = 0;
    source->open = false;
}

static void brat_close(CorpusReader *reader)
{
    BratSource *source = reader->source;
    if (!source)
        return;
    document_free(source);
    string_array_free(&source->bases);
    array_free(&source->spans);
    offset_index_free(&source->points);
    arena_destroy(&source->arena);
    free(source);
}

/* In documents: most folders hold many small ones. */
static void brat_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total)
{
    const BratSource *source = reader->source;
    *bytes_done = source->base;
    *bytes_total = source->bytes_total;
}

static Status text_check(const BratSource *source, Diagnostic *diagnostic)
{
    ptrdiff_t invalid = corpus_invalid_utf8(source->text, source->size);
    long line = 1, column = 1;
    for (ptrdiff_t i = 0; i < invalid; i++) {
        column = source->text[i] == '\n' ? 1 : column + 1;
        line += source->text[i] == '\n';
    }
    if (invalid < 0)
        return STATUS_OK;
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, source->text_path, line, column,
                   "byte 0x%02X at offset %td of the file is not valid UTF-8; convert the file with iconv -t UTF-8 [encoding]",
                   (unsigned char)source->text[invalid], invalid);
}

/* The fields of a T line: its label, offsets and the text that they cover; pointers into the line, which is cut up. */
typedef struct TextBound {
    char *label, *covered;
    int64_t start, end;
    bool discontinuous;
} TextBound;

/* "T1 TAB TYPE start end TAB text", or with ";start end" for each further fragment. */
static bool text_bound_parse(char *line, TextBound *bound)
{
    char *label = strchr(line, '\t');
    if (!label)
        return false;
    *label++ = '\0';
    bound->covered = strchr(label, '\t');
    if (bound->covered)
        *bound->covered++ = '\0';
    bound->discontinuous = strchr(label, ';') != NULL;
    char *start = strchr(label, ' '), *end = start ? strchr(start + 1, ' ') : NULL;
    if (!end || start == label)
        return false;
    *start++ = *end++ = '\0';
    bound->label = label;
    return bound->discontinuous || (number_parse_integer(start, &bound->start) && number_parse_integer(end, &bound->end));
}

static bool is_line_end(char byte)
{
    return byte == '\n' || byte == '\r';
}

/* brat writes a line end within a span as a space. */
static bool covers(const BratSource *source, const CorpusSpan *span, const char *covered)
{
    size_t size = span->end - span->start;
    if (!covered)
        return true;
    if (strlen(covered) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (source->text[span->start + i] != covered[i] && !(is_line_end(source->text[span->start + i]) && covered[i] == ' '))
            return false;
    return true;
}

static Status text_bound_take(CorpusReader *reader, BratSource *source, const CorpusLine *line, Diagnostic *diagnostic)
{
    CorpusSpan span = {.line = line->number, .column = 1};
    TextBound bound = {0};
    char *copy = memory_copy_bytes(line->bytes, line->size);
    Status status = STATUS_OK;
    if (!text_bound_parse(copy, &bound))
        status = corpus_reader_error(reader, source->ann_path, line->number, 1, "brat-line", diagnostic,
                                     "expected an id, TAB, \"TYPE start end\", TAB and the text");
    else if (bound.discontinuous)
        status = corpus_reader_error(reader, source->ann_path, line->number, 1, "discontinuous-span", diagnostic,
                                     "the span %.40s is in several fragments, which labels of tokens cannot hold: make it one, or "
                                     "several spans",
                                     bound.label);
    else if (bound.start >= bound.end || !offset_index_byte(&source->points, bound.start, &span.start) ||
             !offset_index_byte(&source->points, bound.end, &span.end))
        status = corpus_reader_error(reader, source->ann_path, line->number, 1, "span-offsets", diagnostic,
                                     "the span %.40s from %lld to %lld is not within the %zu characters of %.200s", bound.label,
                                     (long long)bound.start, (long long)bound.end, source->points.units,
                                     path_base_name(source->text_path));
    else if (!covers(source, &span, bound.covered))
        status = corpus_reader_error(reader, source->ann_path, line->number, 1, "span-text", diagnostic,
                                     "the span %.40s from %lld to %lld should read \"%.60s\", and its text has \"%.*s\" there",
                                     bound.label, (long long)bound.start, (long long)bound.end, bound.covered,
                                     (int)(span.end - span.start < 60 ? span.end - span.start : 60), source->text + span.start);
    else {
        span.label = arena_copy_bytes(source->arena, bound.label, strlen(bound.label));
        array_push(&source->spans, span);
    }
    free(copy);
    return status;
}

static Status annotations_read(CorpusReader *reader, BratSource *source, Diagnostic *diagnostic)
{
    CorpusLines lines;
    Status status = corpus_lines_open(&lines, source->ann_path, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (bool more = true;;) {
        CorpusLine line;
        TRY(corpus_lines_next(&lines, &line, &more, diagnostic));
        if (!more)
            break;
        ptrdiff_t invalid = corpus_invalid_utf8(line.bytes, line.size);
        if (line.too_long || invalid >= 0)
            TRY(corpus_reader_error(reader, source->ann_path, line.number, invalid >= 0 ? (long)invalid + 1 : 1, "encoding",
                                    diagnostic, invalid >= 0 ? "the line is not valid UTF-8" : "the line is too long"));
        else if (line.size > 0 && line.bytes[0] == 'T')
            TRY(text_bound_take(reader, source, &line, diagnostic));
    }
out:
    corpus_lines_close(&lines);
    return status;
}

static int by_place(const void *a, const void *b)
{
    const CorpusSpan *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left->line < right->line ? -1 : left->line > right->line;
}

static Status document_open(CorpusReader *reader, BratSource *source, Diagnostic *diagnostic)
{
    const char *base = source->bases.items[source->base++];
    arena_reset(source->arena);
    source->text_path = memory_format("%s.txt", base);
    source->ann_path = memory_format("%s.ann", base);
    Status status = file_read(source->text_path, CORPUS_SENTENCE_BYTES, &source->text, &source->size, diagnostic);
    if (status == STATUS_OK)
        status = text_check(source, diagnostic);
    if (status != STATUS_OK)
        return status;
    offset_index_build(&source->points, source->text, source->size, false);
    status = annotations_read(reader, source, diagnostic);
    if (source->spans.count > 0)
        qsort(source->spans.items, source->spans.count, sizeof *source->spans.items, by_place);
    source->at = source->next_span = 0;
    source->line = 1;
    source->open = source->document_pending = true;
    return status;
}

/* Where the sentence that begins at source->at ends: at a line's end that no span goes over. *spans: one behind its last span. */
static size_t sentence_end(const BratSource *source, bool whole, size_t *spans)
{
    size_t end = source->at, reach = source->at;
    *spans = source->next_span;
    do {
        end = end < reach ? reach : end;
        const char *newline = memchr(source->text + end, '\n', source->size - end);
        end = newline && !whole ? (size_t)(newline - source->text) : source->size;
        for (; *spans < source->spans.count && source->spans.items[*spans].start <= end; ++*spans)
            reach = source->spans.items[*spans].end > reach ? source->spans.items[*spans].end : reach;
    } while (reach > end);
    return end;
}

static bool is_empty(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r\n", text[i]))
            return false;
    return true;
}

/* One sentence of the open document to the reader. */
static void sentence_take(CorpusReader *reader, BratSource *source, size_t end, size_t spans)
{
    reader->text = (CorpusText){.bytes = arena_copy_bytes(reader->arena, source->text + source->at, end - source->at),
                                .size = end - source->at,
                                .file = source->ann_path,
                                .line = source->line,
                                .column = 1,
                                .places_in_text = true};
    for (; source->next_span < spans; source->next_span++) {
        CorpusSpan span = source->spans.items[source->next_span];
        span.start -= source->at;
        span.end -= source->at;
        array_push(&reader->spans, span);
    }
    reader->sentence.document_start = source->document_pending;
    source->document_pending = false;
}

static Status brat_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    BratSource *source = reader->source;
    bool whole = reader->options.keep_text;
    for (;;) {
        *more = source->open || source->base < source->bases.count;
        if (!*more)
            return STATUS_OK;
        if (!source->open) {
            Status status = document_open(reader, source, diagnostic);
            if (status != STATUS_OK)
                return status;
        }
        size_t spans, begin = source->at, end = sentence_end(source, whole, &spans);
        bool taken = !is_empty(source->text + begin, end - begin) || spans > source->next_span || (whole && source->size > 0);
        if (taken)
            sentence_take(reader, source, end, spans);
        for (size_t i = begin; i <= end && i < source->size; i++)
            source->line += source->text[i] == '\n';
        source->at = end + 1;
        if (source->at >= source->size) {
            /* The spans' labels and the name of their file are still in use. */
            for (size_t i = 0; i < reader->spans.count; i++)
                reader->spans.items[i].label =
                    arena_copy_bytes(reader->arena, reader->spans.items[i].label, strlen(reader->spans.items[i].label));
            reader->text.file = taken ? arena_copy_bytes(reader->arena, source->ann_path, strlen(source->ann_path)) : NULL;
            document_free(source);
        }
        if (taken)
            return STATUS_OK;
    }
}

const CorpusOperations corpus_brat = {brat_open, brat_next, brat_close, brat_progress};
