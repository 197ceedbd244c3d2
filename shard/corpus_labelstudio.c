/* Label Studio's exports: JSON (tasks with annotations) and JSON-MIN (tasks with the results under the control's name). */
#include <string.h>

#include "shard/corpus_json.h"

/* One labelled region: several labels make several spans. */
static Status value_take(CorpusReader *reader, const Json *value, bool *usable, Diagnostic *diagnostic)
{
    const Json *labels = json_get(value, "labels");
    const char *expected = json_string_value(json_get(value, "text"));
    if (!json_is_array(labels) || json_count(labels) == 0)
        return json_refuse(reader, usable, "empty-label", diagnostic, "a region has no \"labels\"");
    Status status = STATUS_OK;
    for (size_t i = 0; i < json_count(labels) && *usable && status == STATUS_OK; i++)
        status = json_span_add(reader, json_get(value, "start"), json_get(value, "end"), json_string_value(json_at(labels, i)),
                               expected, usable, diagnostic);
    return status;
}

/* Relations, choices and what else stands among the results are no spans. */
static bool is_region(const Json *value)
{
    return json_is_object(value) && json_get(value, "start") && json_get(value, "labels");
}

/* "hypertextlabels", "paragraphlabels", "timeserieslabels" ...: spans, and not of plain text. NULL: none of these. */
static const char *foreign_labels(const Json *value)
{
    static const char end[] = "labels";
    size_t end_size = sizeof end - 1;
    if (!json_is_object(value) || !json_get(value, "start"))
        return NULL;
    for (const char *key = json_next_key(value, NULL); key; key = json_next_key(value, key)) {
        size_t size = strlen(key);
        if (size > end_size && strcmp(key + size - end_size, end) == 0)
            return key;
    }
    return NULL;
}

static bool is_true(const Json *object, const char *key)
{
    return json_boolean_value(json_get(object, key), false);
}

/* The annotation that counts: the one marked as ground truth, or the first that was not cancelled. */
static const Json *annotation_choose(const Json *annotations)
{
    const Json *chosen = NULL;
    for (size_t i = 0; i < json_count(annotations); i++) {
        const Json *annotation = json_at(annotations, i);
        if (is_true(annotation, "was_cancelled") || !json_is_array(json_get(annotation, "result")))
            continue;
        if (is_true(annotation, "ground_truth"))
            return annotation;
        if (!chosen)
            chosen = annotation;
    }
    return chosen;
}

static Status results_take(CorpusReader *reader, const Json *results, bool minimal, bool *usable, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < json_count(results) && *usable && status == STATUS_OK; i++) {
        const Json *value = minimal ? json_at(results, i) : json_get(json_at(results, i), "value");
        const char *foreign = is_region(value) ? NULL : foreign_labels(value);
        if (is_region(value))
            status = value_take(reader, value, usable, diagnostic);
        else if (foreign)
            status = json_refuse(reader, usable, "span-kind", diagnostic,
                                 "result %zu has \"%.40s\": only spans of plain text (\"labels\", of the control Labels) are read",
                                 i + 1, foreign);
    }
    return status;
}

static Status record_text_take(CorpusReader *reader, const Json *data, bool *usable, Diagnostic *diagnostic)
{
    const char *text = json_string_value(json_get(data, "text"));
    const Json *tokens = json_get(data, "tokens");
    if (!text)
        return json_refuse(reader, usable, "json-keys", diagnostic,
                           "expected the task's text as a string in \"data\": {\"text\": ...}, or in \"text\" (JSON-MIN)");
    json_text_set(reader, text);
    return json_tokens_have_offsets(tokens) ? json_tokens_add(reader, tokens, usable, diagnostic) : STATUS_OK;
}

static Status task_take(CorpusReader *reader, bool *usable, Diagnostic *diagnostic)
{
    const Json *task = ((const JsonSource *)reader->source)->record;
    const Json *data = json_get(task, "data"), *annotations = json_get(task, "annotations");
    bool minimal = !json_is_object(data);
    const Json *chosen = minimal ? NULL : annotation_choose(annotations);
    if (!minimal && !chosen) {
        reader->counts.skipped++;
        *usable = false;
        return STATUS_OK;
    }
    Status status = record_text_take(reader, minimal ? task : data, usable, diagnostic);
    if (!minimal && *usable && status == STATUS_OK)
        return results_take(reader, json_get(chosen, "result"), false, usable, diagnostic);
    for (const char *key = json_next_key(task, NULL); minimal && key && *usable && status == STATUS_OK;
         key = json_next_key(task, key))
        if (strcmp(key, "tokens") != 0)
            status = results_take(reader, json_get(task, key), true, usable, diagnostic);
    return status;
}

static Status labelstudio_open(CorpusReader *reader, Diagnostic *diagnostic)
{
    return json_source_open(reader, true, diagnostic);
}

static Status labelstudio_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic)
{
    bool usable = false;
    while (!usable) {
        Status status = json_source_next(reader, more, diagnostic);
        if (status != STATUS_OK || !*more)
            return status;
        usable = true;
        corpus_reader_reset(reader);
        status = task_take(reader, &usable, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

const CorpusOperations corpus_labelstudio = {labelstudio_open, labelstudio_next, json_source_close, json_source_progress};
