/* Formats of raw text and spans, written. */
#include <stdlib.h>
#include <string.h>

#include "core/io/json.h"
#include "shard/corpus_writer_internal.h"

/* The tokens joined by spaces, each with its place in the text. */
static void tokens_join(CorpusWriter *writer, const CorpusSentence *sentence)
{
    text_clear(&writer->joined);
    text_append(&writer->joined, "", 0);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        CorpusToken token = sentence->tokens[i];
        if (i > 0)
            text_append_string(&writer->joined, " ");
        token.start = writer->joined.size;
        text_append(&writer->joined, token.text, token.text_size);
        token.end = writer->joined.size;
        array_push(&writer->tokens, token);
    }
}

/* Spans of the labels become spans of the text. */
static Status spans_take(CorpusWriter *writer, const CorpusSentence *sentence, const char *source, Diagnostic *diagnostic)
{
    LabelSpans *found = &writer->label_spans;
    Status status = label_spans_extract(found, sentence, source, diagnostic);
    for (size_t i = 0; i < found->spans.count && status == STATUS_OK; i++) {
        const Span *span = &found->spans.items[i];
        const CorpusToken *first = &writer->tokens.items[span->start], *last = &writer->tokens.items[span->end - 1];
        CorpusSpan taken = {.start = first->start,
                            .end = last->end,
                            .label = found->table->type_names[span->type],
                            .line = first->line,
                            .column = first->token_column};
        if (taken.start >= taken.end)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, source, first->line, first->label_column,
                           "a span of nothing but an empty token has no place in a text: mend it, or choose a format of tokens");
        array_push(&writer->text_spans, taken);
    }
    return status;
}

static Status text_make(CorpusWriter *writer, const CorpusSentence *sentence, const char *source, WrittenText *text,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool as_written = sentence->text && writer->options.written_spans;
    writer->tokens.count = writer->text_spans.count = 0;
    if (sentence->text)
        for (int32_t i = 0; i < sentence->token_count; i++)
            array_push(&writer->tokens, sentence->tokens[i]);
    else
        tokens_join(writer, sentence);
    if (!as_written)
        status = spans_take(writer, sentence, source, diagnostic);
    *text = (WrittenText){.bytes = sentence->text ? sentence->text : writer->joined.bytes,
                          .size = sentence->text ? sentence->text_size : writer->joined.size,
                          .tokens = writer->tokens.items,
                          .token_count = writer->tokens.count,
                          .spans = as_written ? sentence->spans : writer->text_spans.items,
                          .span_count = as_written ? sentence->span_count : writer->text_spans.count};
    offset_index_build(&writer->points, text->bytes, text->size, false);
    return status;
}

static Json *characters(const CorpusWriter *writer, size_t byte)
{
    return json_integer((int64_t)offset_index_unit(&writer->points, byte));
}

static Json *tokens_json(const CorpusWriter *writer, const WrittenText *text)
{
    Json *tokens = json_array();
    for (size_t i = 0; i < text->token_count; i++) {
        const CorpusToken *token = &text->tokens[i];
        Json *json = json_object();
        json_set(json, "text", json_string_bytes(text->bytes + token->start, token->end - token->start));
        json_set(json, "start", characters(writer, token->start));
        json_set(json, "end", characters(writer, token->end));
        json_set(json, "id", json_integer((int64_t)i));
        json_set(json, "ws", json_boolean(token->end < text->size && text->bytes[token->end] == ' '));
        json_append(tokens, json);
    }
    return tokens;
}

/* The numbers of the first and the last token, where the span begins and ends with tokens: what Prodigy's own interface shows it by. */
static void token_numbers_set(Json *json, const WrittenText *text, const CorpusSpan *span)
{
    size_t low = 0, high = text->token_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text->tokens[middle].start < span->start)
            low = middle + 1;
        else
            high = middle;
    }
    size_t last = low;
    while (last + 1 < text->token_count && text->tokens[last + 1].end <= span->end)
        last++;
    if (low >= text->token_count || text->tokens[low].start != span->start || text->tokens[last].end != span->end)
        return;
    json_set(json, "token_start", json_integer((int64_t)low));
    json_set(json, "token_end", json_integer((int64_t)last));
}

static Json *prodigy_json(const CorpusWriter *writer, const WrittenText *text)
{
    Json *record = json_object(), *spans = json_array();
    for (size_t i = 0; i < text->span_count; i++) {
        const CorpusSpan *span = &text->spans[i];
        Json *json = json_object();
        json_set(json, "start", characters(writer, span->start));
        json_set(json, "end", characters(writer, span->end));
        token_numbers_set(json, text, span);
        json_set(json, "label", json_string(span->label));
        json_append(spans, json);
    }
    json_set(record, "text", json_string_bytes(text->bytes, text->size));
    if (text->token_count > 0)
        json_set(record, "tokens", tokens_json(writer, text));
    json_set(record, "spans", spans);
    json_set(record, "answer", json_string("accept"));
    return record;
}

static Json *spacy_json(const CorpusWriter *writer, const WrittenText *text)
{
    Json *record = json_object(), *entities = json_array();
    for (size_t i = 0; i < text->span_count; i++) {
        Json *json = json_array();
        json_append(json, characters(writer, text->spans[i].start));
        json_append(json, characters(writer, text->spans[i].end));
        json_append(json, json_string(text->spans[i].label));
        json_append(entities, json);
    }
    json_set(record, "text", json_string_bytes(text->bytes, text->size));
    json_set(record, "entities", entities);
    if (text->token_count > 0)
        json_set(record, "tokens", tokens_json(writer, text));
    return record;
}

static Json *region_json(const CorpusWriter *writer, const WrittenText *text, size_t index)
{
    const CorpusSpan *span = &text->spans[index];
    Json *region = json_object(), *value = json_object(), *labels = json_array();
    char *id = memory_format("%lld-%zu", (long long)writer->sentences + 1, index + 1);
    json_append(labels, json_string(span->label));
    json_set(value, "start", characters(writer, span->start));
    json_set(value, "end", characters(writer, span->end));
    json_set(value, "text", json_string_bytes(text->bytes + span->start, span->end - span->start));
    json_set(value, "labels", labels);
    json_set(region, "id", json_string(id));
    json_set(region, "from_name", json_string("label"));
    json_set(region, "to_name", json_string("text"));
    json_set(region, "type", json_string("labels"));
    json_set(region, "value", value);
    free(id);
    return region;
}

static Json *labelstudio_json(const CorpusWriter *writer, const WrittenText *text)
{
    Json *task = json_object(), *data = json_object(), *annotations = json_array(), *annotation = json_object(),
         *result = json_array();
    for (size_t i = 0; i < text->span_count; i++)
        json_append(result, region_json(writer, text, i));
    json_set(data, "text", json_string_bytes(text->bytes, text->size));
    if (text->token_count > 0)
        json_set(data, "tokens", tokens_json(writer, text));
    json_set(annotation, "result", result);
    json_append(annotations, annotation);
    json_set(task, "id", json_integer(writer->sentences + 1));
    json_set(task, "data", data);
    json_set(task, "annotations", annotations);
    return task;
}

/* One line of text and its T lines. */
static Status brat_write(CorpusWriter *writer, const WrittenText *text, const char *source, Diagnostic *diagnostic)
{
    Text *lines = &writer->annotations_buffer;
    for (size_t i = 0; i < text->span_count; i++) {
        const CorpusSpan *span = &text->spans[i];
        if (strpbrk(span->label, " \t\r\n;"))
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, source, span->line, span->column,
                           "the type \"%.64s\" holds white space or a semicolon, which brat's files cannot have", span->label);
        text_format(lines, "T%lld\t%s %zu %zu\t", (long long)writer->spans + (long long)i + 1, span->label,
                    writer->brat_characters + offset_index_unit(&writer->points, span->start),
                    writer->brat_characters + offset_index_unit(&writer->points, span->end));
        for (size_t at = span->start; at < span->end; at++)
            text_append(lines, text->bytes[at] == '\n' || text->bytes[at] == '\r' ? " " : text->bytes + at, 1);
        text_append_string(lines, "\n");
    }
    text_append(&writer->buffer, text->bytes, text->size);
    bool ended = text->size > 0 && text->bytes[text->size - 1] == '\n';
    if (!ended)
        text_append_string(&writer->buffer, "\n");
    writer->brat_characters += writer->points.units + !ended;
    return STATUS_OK;
}

static void record_append(CorpusWriter *writer, Json *record)
{
    bool array = writer->options.format == CORPUS_LABELSTUDIO;
    char *text = json_text(record, JSON_COMPACT);
    if (array)
        text_append_string(&writer->buffer, writer->sentences == 0 ? "[\n" : ",\n");
    text_append_string(&writer->buffer, text);
    if (!array)
        text_append_string(&writer->buffer, "\n");
    free(text);
    json_destroy(&record);
}

Status corpus_write_text(CorpusWriter *writer, const CorpusSentence *sentence, const char *source, Diagnostic *diagnostic)
{
    WrittenText text;
    Status status = text_make(writer, sentence, source, &text, diagnostic);
    if (status != STATUS_OK)
        return status;
    switch (writer->options.format) {
    case CORPUS_PRODIGY:
        record_append(writer, prodigy_json(writer, &text));
        break;
    case CORPUS_SPACY:
        record_append(writer, spacy_json(writer, &text));
        break;
    case CORPUS_LABELSTUDIO:
        record_append(writer, labelstudio_json(writer, &text));
        break;
    default:
        status = brat_write(writer, &text, source, diagnostic);
    }
    writer->spans += (int64_t)text.span_count;
    return status;
}

void corpus_write_end(CorpusWriter *writer)
{
    if (writer->options.format == CORPUS_LABELSTUDIO)
        text_append_string(&writer->buffer, writer->sentences == 0 ? "[]\n" : "\n]\n");
}
