/* JSON Lines: run_ner.py's, Prodigy's and spaCy's. */
#include "shard/corpus_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

enum { SPAN_LIMIT = 1 << 18 }; /* of one record */

/* "O,B-PER,I-PER" into names. */
static void label_list_split(StringArray *names, const char *list)
{
    while (list && *list) {
        size_t size = strcspn(list, ",");
        array_push(names, memory_copy_bytes(list, size));
        list += size + (list[size] == ',');
    }
}

Status json_source_open(CorpusReader *reader, bool array, Diagnostic *diagnostic)
{
    JsonSource *source = memory_allocate(1, sizeof *source);
    reader->source = source;
    source->document_pending = true;
    label_list_split(&source->label_list, reader->options.label_list);
    return corpus_records_open(&source->records, reader->path, array, diagnostic);
}

void json_source_close(CorpusReader *reader)
{
    JsonSource *source = reader->source;
    if (!source)
        return;
    corpus_records_close(&source->records);
    json_destroy(&source->record);
    offset_index_free(&source->points);
    offset_index_free(&source->utf16);
    string_array_free(&source->label_list);
    free(source);
}

void json_source_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total)
{
    corpus_records_progress(((const JsonSource *)reader->source)->records, bytes_done, bytes_total);
}

Status json_refuse(CorpusReader *reader, bool *usable, const char *rule, Diagnostic *diagnostic, const char *format, ...)
{
    const JsonSource *source = reader->source;
    char message[DIAGNOSTIC_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    *usable = false;
    return corpus_reader_error(reader, NULL, source->line, source->column, rule, diagnostic, "record %lld: %s",
                               (long long)corpus_records_number(source->records), message);
}

Status json_source_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    JsonSource *source = reader->source;
    bool lines = reader->options.format != CORPUS_LABELSTUDIO, usable;
    for (;;) {
        Diagnostic found = {0};
        json_destroy(&source->record);
        Status status = corpus_records_next(source->records, &source->record, &source->line, &source->column, &found);
        *more = status != STATUS_OK || source->record != NULL;
        if (status == STATUS_INVALID_INPUT && lines && reader->problem) {
            reader->problem(reader->problem_context, reader->path, found.input_line, found.input_column, PROBLEM_ERROR, "json",
                            found.message);
            continue;
        }
        if (status != STATUS_OK && diagnostic)
            *diagnostic = found;
        if (status != STATUS_OK || !*more)
            return status;
        if (json_is_object(source->record))
            break;
        status = json_refuse(reader, &usable, "json", diagnostic, "expected a JSON object");
        if (status != STATUS_OK)
            return status;
    }
    reader->sentence.document_start = source->document_pending;
    source->document_pending = false;
    return STATUS_OK;
}

void json_text_set(CorpusReader *reader, const char *text)
{
    JsonSource *source = reader->source;
    size_t size = strlen(text);
    reader->text = (CorpusText){.bytes = arena_copy_bytes(reader->arena, text, size),
                                .size = size,
                                .file = reader->path,
                                .line = source->line,
                                .column = source->column};
    source->indexed = NULL;
    offset_index_build(&source->points, reader->text.bytes, size, false);
}

/* Does the text's slice read as the file says? Label Studio writes line ends as a backslash and an n. */
static bool slice_is(const char *slice, size_t size, const char *expected)
{
    size_t i = 0;
    for (; i < size && *expected; i++) {
        if (slice[i] == *expected)
            expected++;
        else if (slice[i] == '\n' && expected[0] == '\\' && expected[1] == 'n')
            expected += 2;
        else
            return false;
    }
    return i == size && *expected == '\0';
}

static bool span_fits(const CorpusReader *reader, const OffsetIndex *index, int64_t start, int64_t end, const char *expected,
                      CorpusSpan *span)
{
    return offset_index_byte(index, start, &span->start) && offset_index_byte(index, end, &span->end) &&
           (!expected || slice_is(reader->text.bytes + span->start, span->end - span->start, expected));
}

static bool label_is_fine(const char *label)
{
    return label && *label && !strpbrk(label, "\t\n");
}

static Status span_refuse(CorpusReader *reader, int64_t start, int64_t end, const char *label, const char *expected, bool *usable,
                          Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    CorpusSpan span;
    if (!span_fits(reader, &source->points, start, end, NULL, &span))
        return json_refuse(reader, usable, "span-offsets", diagnostic,
                           "the span %.40s from %lld to %lld is not within its text of %zu characters", label, (long long)start,
                           (long long)end, source->points.units);
    return json_refuse(
        reader, usable, "span-text", diagnostic,
        "the span %.40s from %lld to %lld should read \"%.60s\", and its text has \"%.*s\" there (UTF-16 units do not "
        "fit either)",
        label, (long long)start, (long long)end, expected, (int)(span.end - span.start < 60 ? span.end - span.start : 60),
        reader->text.bytes + span.start);
}

Status json_span_add(CorpusReader *reader, const Json *start, const Json *end, const char *label, const char *expected,
                     bool *usable, Diagnostic *diagnostic)
{
    JsonSource *source = reader->source;
    int64_t from = json_integer_value(start, -1), to = json_integer_value(end, -1);
    CorpusSpan span = {.line = source->line, .column = source->column};
    if (!json_is_integer(start) || !json_is_integer(end) || from < 0 || from >= to)
        return json_refuse(reader, usable, "span-offsets", diagnostic,
                           "span %zu needs whole numbers \"start\" and \"end\", and the end behind the start",
                           reader->spans.count + 1);
    if (!label_is_fine(label))
        return json_refuse(reader, usable, "empty-label", diagnostic,
                           "the span from %lld to %lld has no label, or one with a TAB or a line end", (long long)from,
                           (long long)to);
    if (reader->spans.count >= SPAN_LIMIT)
        return json_refuse(reader, usable, "too-many-spans", diagnostic, "more than %d spans", SPAN_LIMIT);
    if (!span_fits(reader, &source->points, from, to, expected, &span)) {
        if (expected && source->indexed != reader->text.bytes) {
            offset_index_build(&source->utf16, reader->text.bytes, reader->text.size, true);
            source->indexed = reader->text.bytes;
        }
        if (!expected || !span_fits(reader, &source->utf16, from, to, expected, &span))
            return span_refuse(reader, from, to, label, expected, usable, diagnostic);
        reader->counts.utf16++;
        if (reader->problem)
            reader->problem(reader->problem_context, reader->path, source->line, source->column, PROBLEM_WARNING, "utf16-offsets",
                            "the offsets of a span fit its text only as UTF-16 units, and are taken as such");
    }
    span.label = arena_copy_bytes(reader->arena, label, strlen(label));
    array_push(&reader->spans, span);
    return STATUS_OK;
}

bool json_tokens_have_offsets(const Json *tokens)
{
    const Json *first = json_at(tokens, 0);
    return json_is_object(first) && json_get(first, "start") && json_get(first, "end");
}

Status json_tokens_add(CorpusReader *reader, const Json *tokens, bool *usable, Diagnostic *diagnostic)
{
    JsonSource *source = reader->source;
    size_t reached = 0;
    for (size_t i = 0; i < json_count(tokens); i++) {
        const Json *item = json_at(tokens, i);
        const char *expected = json_string_value(json_get(item, "text"));
        CorpusSpan slice;
        int64_t start = json_integer_value(json_get(item, "start"), -1), end = json_integer_value(json_get(item, "end"), -1);
        if (end < start || !span_fits(reader, &source->points, start, end, expected, &slice) || slice.start < reached)
            return json_refuse(reader, usable, "token-offsets", diagnostic,
                               "token %zu (%lld to %lld, \"%.40s\") does not lie behind the one before it in the text, or reads "
                               "otherwise there",
                               i + 1, (long long)start, (long long)end, expected ? expected : "");
        reached = slice.end;
        CorpusToken token = {.text = reader->text.bytes + slice.start,
                             .text_size = slice.end - slice.start,
                             .label = "O",
                             .line = source->line,
                             .token_column = source->column,
                             .label_column = source->column,
                             .start = slice.start,
                             .end = slice.end};
        Status status = corpus_reader_append(reader, token, 1, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    reader->text.tokens_given = true;
    return STATUS_OK;
}

/* run_ner.py's lines. */

static const char *tag_name(const JsonSource *source, const Json *tag)
{
    int64_t id = json_integer_value(tag, -1);
    if (json_is_string(tag))
        return json_string_value(tag);
    return id >= 0 && (uint64_t)id < source->label_list.count ? source->label_list.items[id] : NULL;
}

static Status tag_refuse(CorpusReader *reader, const Json *tag, size_t index, bool *usable, Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    if (json_is_integer(tag) && source->label_list.count == 0)
        return json_refuse(reader, usable, "label-list", diagnostic,
                           "tag %zu is the number %lld: which label that is must be given with --label-list", index + 1,
                           (long long)json_integer_value(tag, 0));
    if (json_is_integer(tag))
        return json_refuse(reader, usable, "label-list", diagnostic, "tag %zu is %lld: the label list has the numbers 0 to %zu",
                           index + 1, (long long)json_integer_value(tag, 0), source->label_list.count - 1);
    return json_refuse(reader, usable, "empty-label", diagnostic,
                       "tag %zu is neither a number nor a label, or holds a TAB or a line end", index + 1);
}

static Status jsonl_take(CorpusReader *reader, bool *usable, Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    const Json *tokens = json_get(source->record, "tokens"), *tags = json_get(source->record, "ner_tags");
    if (!json_is_array(tokens) || !json_is_array(tags))
        return json_refuse(reader, usable, "json-keys", diagnostic,
                           "expected the keys \"tokens\" and \"ner_tags\" with arrays as values");
    if (json_count(tokens) != json_count(tags))
        return json_refuse(reader, usable, "column-count", diagnostic, "%zu tokens and %zu tags: expected one for each",
                           json_count(tokens), json_count(tags));
    for (size_t i = 0; i < json_count(tokens); i++) {
        const char *text = json_string_value(json_at(tokens, i)), *label = tag_name(source, json_at(tags, i));
        if (!text)
            return json_refuse(reader, usable, "json-keys", diagnostic, "token %zu is no string", i + 1);
        if (!label_is_fine(label))
            return tag_refuse(reader, json_at(tags, i), i, usable, diagnostic);
        if (!*text)
            corpus_reader_empty_token(reader, source->line, source->column);
        CorpusToken token = {.text = text,
                             .text_size = strlen(text),
                             .label = label,
                             .line = source->line,
                             .token_column = source->column,
                             .label_column = source->column};
        Status status = corpus_reader_append(reader, token, strlen(label), diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Prodigy: spans by characters, or by the tokens' numbers, the last one included. */

static Status prodigy_span(CorpusReader *reader, const Json *span, bool *usable, Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    const Json *start = json_get(span, "start"), *end = json_get(span, "end");
    if (!start || !end) {
        const Json *tokens = json_get(source->record, "tokens");
        int64_t first = json_integer_value(json_get(span, "token_start"), -1),
                last = json_integer_value(json_get(span, "token_end"), -1);
        if (first < 0 || last < first || (uint64_t)last >= json_count(tokens))
            return json_refuse(reader, usable, "span-offsets", diagnostic,
                               "a span needs \"start\" and \"end\", or \"token_start\" and \"token_end\" among the %zu tokens",
                               json_count(tokens));
        start = json_get(json_at(tokens, (size_t)first), "start");
        end = json_get(json_at(tokens, (size_t)last), "end");
    }
    return json_span_add(reader, start, end, json_string_value(json_get(span, "label")), json_string_value(json_get(span, "text")),
                         usable, diagnostic);
}

static Status record_text_take(CorpusReader *reader, bool *usable, Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    const char *text = json_string_value(json_get(source->record, "text"));
    const Json *tokens = json_get(source->record, "tokens");
    if (!text)
        return json_refuse(reader, usable, "json-keys", diagnostic, "expected the key \"text\" with a string as value");
    json_text_set(reader, text);
    return json_count(tokens) > 0 ? json_tokens_add(reader, tokens, usable, diagnostic) : STATUS_OK;
}

static Status prodigy_take(CorpusReader *reader, bool *usable, Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    const char *answer = json_string_value(json_get(source->record, "answer"));
    const Json *spans = json_get(source->record, "spans");
    if (answer && strcmp(answer, "accept") != 0) {
        reader->counts.skipped++;
        *usable = false;
        return STATUS_OK;
    }
    if (spans && !json_is_array(spans))
        return json_refuse(reader, usable, "json-keys", diagnostic, "\"spans\" is no array");
    Status status = record_text_take(reader, usable, diagnostic);
    for (size_t i = 0; i < json_count(spans) && *usable && status == STATUS_OK; i++)
        status = prodigy_span(reader, json_at(spans, i), usable, diagnostic);
    return status;
}

static Status spacy_take(CorpusReader *reader, bool *usable, Diagnostic *diagnostic)
{
    const JsonSource *source = reader->source;
    const Json *entities = json_get(source->record, "entities");
    if (!json_is_array(entities))
        return json_refuse(reader, usable, "json-keys", diagnostic, "expected the key \"entities\" with an array as value");
    Status status = record_text_take(reader, usable, diagnostic);
    for (size_t i = 0; i < json_count(entities) && *usable && status == STATUS_OK; i++) {
        const Json *entity = json_at(entities, i);
        bool list = json_is_array(entity);
        status = json_span_add(reader, list ? json_at(entity, 0) : json_get(entity, "start"),
                               list ? json_at(entity, 1) : json_get(entity, "end"),
                               json_string_value(list ? json_at(entity, 2) : json_get(entity, "label")), NULL, usable, diagnostic);
    }
    return status;
}

typedef Status (*RecordTake)(CorpusReader *reader, bool *usable, Diagnostic *diagnostic);

/* Records until one is usable. */
static Status next_by(CorpusReader *reader, RecordTake take, bool *more, Diagnostic *diagnostic)
{
    bool usable = false;
    while (!usable) {
        Status status = json_source_next(reader, more, diagnostic);
        if (status != STATUS_OK || !*more)
            return status;
        usable = true;
        corpus_reader_reset(reader);
        status = take(reader, &usable, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static Status lines_open(CorpusReader *reader, Diagnostic *diagnostic)
{
    return json_source_open(reader, false, diagnostic);
}

static Status jsonl_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    return next_by(reader, jsonl_take, more, diagnostic);
}

static Status prodigy_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    return next_by(reader, prodigy_take, more, diagnostic);
}

static Status spacy_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    return next_by(reader, spacy_take, more, diagnostic);
}

const CorpusOperations corpus_jsonl = {lines_open, jsonl_next, json_source_close, json_source_progress};
const CorpusOperations corpus_prodigy = {lines_open, prodigy_next, json_source_close, json_source_progress};
const CorpusOperations corpus_spacy = {lines_open, spacy_next, json_source_close, json_source_progress};
