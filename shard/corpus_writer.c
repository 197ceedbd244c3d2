#include "shard/corpus_writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/json.h"
#include "core/spans/labels.h"
#include "shard/corpus_writer_internal.h"

enum { WRITER_BUFFER_SIZE = 1 << 18 };

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static Status brat_begin(CorpusWriter *writer, const char *path, Diagnostic *diagnostic)
{
    int base = (int)strlen(path) - (ends_with(path, ".txt") || ends_with(path, ".ann") ? 4 : 0);
    char *text_path = memory_format("%.*s.txt", base, path);
    writer->annotations_path = memory_format("%.*s.ann", base, path);
    Status status = file_writer_begin(&writer->file, file_system_posix(), text_path, diagnostic);
    if (status == STATUS_OK)
        status = file_writer_begin(&writer->annotations, file_system_posix(), writer->annotations_path, diagnostic);
    free(text_path);
    return status;
}

Status corpus_writer_begin(CorpusWriter **writer, const char *path, CorpusWriterOptions options, Diagnostic *diagnostic)
{
    ASSERT(options.format != CORPUS_AUTO);
    CorpusWriter *begun = memory_allocate(1, sizeof *begun);
    *writer = begun;
    begun->options = options;
    Status status = options.format == CORPUS_BRAT ? brat_begin(begun, path, diagnostic)
                                                  : file_writer_begin(&begun->file, file_system_posix(), path, diagnostic);
    if (status != STATUS_OK) {
        corpus_writer_abandon(writer);
        return status;
    }
    if (options.format == CORPUS_CSV)
        text_append_string(&begun->buffer, "sentence_id,token,label\r\n");
    return STATUS_OK;
}

void corpus_writer_abandon(CorpusWriter **writer)
{
    CorpusWriter *ended = *writer;
    *writer = NULL;
    if (!ended)
        return;
    file_writer_abandon(&ended->file);
    file_writer_abandon(&ended->annotations);
    free(ended->annotations_path);
    text_free(&ended->buffer);
    text_free(&ended->annotations_buffer);
    label_spans_free(&ended->label_spans);
    text_free(&ended->joined);
    array_free(&ended->tokens);
    array_free(&ended->text_spans);
    offset_index_free(&ended->points);
    free(ended);
}

int64_t corpus_writer_spans(const CorpusWriter *writer)
{
    return writer->spans;
}

static Status buffer_flush(FileWriter *file, Text *buffer, size_t limit, Diagnostic *diagnostic)
{
    if (!file || buffer->size <= limit)
        return STATUS_OK;
    Status status = file_writer_append(file, buffer->bytes, buffer->size, diagnostic);
    text_clear(buffer);
    return status;
}

static Status column_refuse(const CorpusToken *token, const char *source, const char *what, Diagnostic *diagnostic)
{
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, source, token->line, token->token_column,
                   "%s cannot be written as a column of a CoNLL file: choose another format, or mend it", what);
}

/* Would the reader take the line of this token for something else? */
static Status conll_check(const CorpusToken *token, bool first, const char *source, Diagnostic *diagnostic)
{
    static const char mark[] = "-DOCSTART-";
    const char *text = token->text, *label = token->label;
    size_t mark_size = sizeof mark - 1, label_size = strlen(label);
    LabelParts parts;
    if (strpbrk(text, "\t\r\n") || (strncmp(text, mark, mark_size) == 0 && (text[mark_size] == '\0' || text[mark_size] == ' ')))
        return column_refuse(token, source, "a token with a TAB or a line end in it, or -DOCSTART-,", diagnostic);
    if (strpbrk(label, "\t\r\n") || label[0] == ' ' || label[label_size - 1] == ' ')
        return column_refuse(token, source, "a label with a TAB or a line end in it, or a space at an end of it,", diagnostic);
    if (strncmp(text, "# ", 2) == 0 && !label_split(label, &parts))
        return column_refuse(token, source, "a token that begins with \"# \" (as comments do) and whose label is none", diagnostic);
    if (first && strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        return column_refuse(token, source, "a token at the file's start that begins with a byte-order mark", diagnostic);
    return STATUS_OK;
}

static Status conll_write(CorpusWriter *writer, const CorpusSentence *sentence, const char *source, Diagnostic *diagnostic)
{
    if (sentence->document_start && writer->sentences > 0)
        text_append_string(&writer->buffer, "-DOCSTART-\tO\n\n");
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        Status status = conll_check(token, writer->sentences == 0 && i == 0, source, diagnostic);
        if (status != STATUS_OK)
            return status;
        text_append(&writer->buffer, token->text, token->text_size);
        text_append_string(&writer->buffer, "\t");
        text_append_string(&writer->buffer, token->label);
        text_append_string(&writer->buffer, "\n");
    }
    text_append_string(&writer->buffer, "\n");
    return STATUS_OK;
}

static void csv_field(Text *buffer, const char *field)
{
    if (!strpbrk(field, ",\"\r\n")) {
        text_append_string(buffer, field);
        return;
    }
    text_append_string(buffer, "\"");
    for (size_t size; *field; field += size) {
        size = strcspn(field, "\"");
        text_append(buffer, field, size);
        if (field[size] == '"') {
            text_append_string(buffer, "\"\"");
            size++;
        }
    }
    text_append_string(buffer, "\"");
}

static void csv_write(CorpusWriter *writer, const CorpusSentence *sentence)
{
    for (int32_t i = 0; i < sentence->token_count; i++) {
        text_format(&writer->buffer, "%lld,", (long long)writer->sentences + 1);
        csv_field(&writer->buffer, sentence->tokens[i].text);
        text_append_string(&writer->buffer, ",");
        csv_field(&writer->buffer, sentence->tokens[i].label);
        text_append_string(&writer->buffer, "\r\n");
    }
}

static void jsonl_write(CorpusWriter *writer, const CorpusSentence *sentence)
{
    Json *json = json_object(), *tokens = json_array(), *tags = json_array();
    for (int32_t i = 0; i < sentence->token_count; i++) {
        json_append(tokens, json_string(sentence->tokens[i].text));
        json_append(tags, json_string(sentence->tokens[i].label));
    }
    json_set(json, "tokens", tokens);
    json_set(json, "ner_tags", tags);
    char *text = json_text(json, JSON_COMPACT);
    text_append_string(&writer->buffer, text);
    text_append_string(&writer->buffer, "\n");
    free(text);
    json_destroy(&json);
}

Status corpus_writer_add(CorpusWriter *writer, const CorpusSentence *sentence, const char *source, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    switch (writer->options.format) {
    case CORPUS_CONLL:
        status = conll_write(writer, sentence, source, diagnostic);
        break;
    case CORPUS_CSV:
        csv_write(writer, sentence);
        break;
    case CORPUS_JSONL:
        jsonl_write(writer, sentence);
        break;
    default:
        status = corpus_write_text(writer, sentence, source, diagnostic);
    }
    writer->sentences++;
    if (status == STATUS_OK)
        status = buffer_flush(writer->file, &writer->buffer, WRITER_BUFFER_SIZE, diagnostic);
    if (status == STATUS_OK)
        status = buffer_flush(writer->annotations, &writer->annotations_buffer, WRITER_BUFFER_SIZE, diagnostic);
    return status;
}

/* brat's spans become visible before the text that they are of: without it they are no pair, and nobody reads them. */
Status corpus_writer_commit(CorpusWriter **writer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusWriter *ended = *writer;
    bool annotated = false;
    corpus_write_end(ended);
    TRY(buffer_flush(ended->file, &ended->buffer, 0, diagnostic));
    TRY(buffer_flush(ended->annotations, &ended->annotations_buffer, 0, diagnostic));
    if (ended->annotations)
        TRY(file_writer_commit(&ended->annotations, diagnostic));
    annotated = ended->annotations_path != NULL;
    TRY(file_writer_commit(&ended->file, diagnostic));
out:
    if (status != STATUS_OK && annotated)
        unlink(ended->annotations_path);
    corpus_writer_abandon(writer);
    return status;
}
