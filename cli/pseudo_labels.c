#include "cli/pseudo_labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

#define SMALLEST_WEIGHT 0.0001

struct PseudoLabels {
    LabelScheme scheme;
    FileWriter *file;
    LabelSet *types, *names; /* of entities; of labels made from them */
    SpanArray spans;
    Int32Array ids;
    Text buffer;
    int64_t count, left_out;
};

Status pseudo_labels_begin(PseudoLabels **labels, const char *path, LabelScheme scheme, Diagnostic *diagnostic)
{
    PseudoLabels *begun = memory_allocate(1, sizeof *begun);
    begun->scheme = scheme;
    begun->types = label_set_create();
    begun->names = label_set_create();
    *labels = begun;
    Status status = file_writer_begin(&begun->file, file_system_posix(), path, diagnostic);
    if (status != STATUS_OK)
        pseudo_labels_abandon(labels);
    return status;
}

void pseudo_labels_abandon(PseudoLabels **labels)
{
    PseudoLabels *ended = *labels;
    *labels = NULL;
    if (!ended)
        return;
    file_writer_abandon(&ended->file);
    label_set_destroy(&ended->types);
    label_set_destroy(&ended->names);
    array_free(&ended->spans);
    array_free(&ended->ids);
    text_free(&ended->buffer);
    free(ended);
}

int64_t pseudo_labels_count(const PseudoLabels *labels)
{
    return labels->count;
}

int64_t pseudo_labels_left_out(const PseudoLabels *labels)
{
    return labels->left_out;
}

/* An empty word, white space that ends columns or lines, or a word that reads as a document's start. */
static bool is_column(const char *bytes, size_t size)
{
    static const char document[] = "-DOCSTART-";
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '\t' || bytes[i] == '\n' || bytes[i] == '\r')
            return false;
    return size > 0 && !(size == sizeof document - 1 && memcmp(bytes, document, size) == 0);
}

static bool can_be_written(const char *text, const Prediction *prediction)
{
    for (size_t i = 0; i < prediction->words.count; i++) {
        Word word = prediction->words.items[i];
        if (!is_column(text + word.start, (size_t)(word.end - word.start)))
            return false;
    }
    return true;
}

/* labels->ids: a label for every word. */
static Status words_label(PseudoLabels *labels, const Prediction *prediction, Diagnostic *diagnostic)
{
    ARRAY(const char *) names = {0};
    labels->spans.count = 0;
    for (size_t i = 0; i < prediction->entities.count; i++) {
        const Entity *entity = &prediction->entities.items[i];
        Span span = {entity->first_word, entity->last_word + 1, label_set_add(labels->types, entity->type)};
        array_push(&labels->spans, span);
    }
    for (int32_t type = 0; type < label_set_count(labels->types); type++)
        array_push(&names, label_set_name(labels->types, type));
    array_reserve(&labels->ids, prediction->words.count);
    Status status = spans_to_labels(labels->scheme, labels->spans.items, labels->spans.count, names.items,
                                    (int32_t)prediction->words.count, true, labels->names, labels->ids.items, diagnostic);
    array_free(&names);
    return status;
}

Status pseudo_labels_add(PseudoLabels *labels, const char *text, const Prediction *prediction, Diagnostic *diagnostic)
{
    if (prediction->words.count == 0)
        return STATUS_OK;
    if (!can_be_written(text, prediction)) {
        labels->left_out++;
        return STATUS_OK;
    }
    Status status = words_label(labels, prediction, diagnostic);
    if (status != STATUS_OK)
        return status;
    double weight = fmax(confidence_of(prediction), SMALLEST_WEIGHT); /* as it is written, and 0 would be no weight */
    text_clear(&labels->buffer);
    for (size_t i = 0; i < prediction->words.count; i++) {
        Word word = prediction->words.items[i];
        text_append(&labels->buffer, text + word.start, (size_t)(word.end - word.start));
        text_format(&labels->buffer, "\t%s\t%.4f\n", label_set_name(labels->names, labels->ids.items[i]), weight);
    }
    text_append_string(&labels->buffer, "\n");
    labels->count++;
    return file_writer_append(labels->file, labels->buffer.bytes, labels->buffer.size, diagnostic);
}

Status pseudo_labels_commit(PseudoLabels **labels, Diagnostic *diagnostic)
{
    Status status = file_writer_commit(&(*labels)->file, diagnostic);
    pseudo_labels_abandon(labels);
    return status;
}
