#include "cli/prediction_json.h"

#include <stdlib.h>

static bool is_shown(const PredictedText *predicted, const Entity *entity)
{
    return entity->start < entity->end && (!predicted->rule || confidence_accepts(predicted->rule, entity));
}

/* Words with their places in characters, in one walk over the text. */
static Json *tokens_json(const PredictedText *predicted)
{
    Json *tokens = json_array();
    size_t byte = 0;
    int64_t characters = 0;
    for (size_t i = 0; i < predicted->prediction->words.count; i++) {
        Word word = predicted->prediction->words.items[i];
        Json *token = json_object();
        size_t end = (size_t)word.end;
        for (; byte < (size_t)word.start; byte++)
            characters += ((unsigned char)predicted->text[byte] & 0xC0) != 0x80;
        json_set(token, "text", json_string_bytes(predicted->text + byte, end - byte));
        json_set(token, "start", json_integer(characters));
        for (; byte < end; byte++)
            characters += ((unsigned char)predicted->text[byte] & 0xC0) != 0x80;
        json_set(token, "end", json_integer(characters));
        json_set(token, "id", json_integer((int64_t)i));
        json_set(token, "ws", json_boolean(end < predicted->size && predicted->text[end] == ' '));
        json_append(tokens, token);
    }
    return tokens;
}

/* Entities made of pieces may begin or end within a word. */
static bool meets_words(const Prediction *prediction, const Entity *entity)
{
    const Word *words = prediction->words.items;
    return words[entity->first_word].start == entity->start_byte && words[entity->last_word].end == entity->end_byte;
}

Json *prediction_prodigy(const PredictedText *predicted)
{
    Json *record = json_object(), *spans = json_array(), *meta = json_object();
    const EntityArray *entities = &predicted->prediction->entities;
    for (size_t i = 0; i < entities->count; i++) {
        const Entity *entity = &entities->items[i];
        if (!is_shown(predicted, entity))
            continue;
        Json *span = json_object();
        json_set(span, "start", json_integer(entity->start));
        json_set(span, "end", json_integer(entity->end));
        if (meets_words(predicted->prediction, entity)) {
            json_set(span, "token_start", json_integer(entity->first_word));
            json_set(span, "token_end", json_integer(entity->last_word));
        }
        json_set(span, "label", json_string(entity->type));
        json_set(span, "score", json_real((double)entity->score));
        json_append(spans, span);
    }
    json_set(meta, "confidence", json_real(confidence_of(predicted->prediction)));
    json_set(meta, "number", json_integer(predicted->number));
    json_set(record, "text", json_string_bytes(predicted->text, predicted->size));
    json_set(record, "tokens", tokens_json(predicted));
    json_set(record, "spans", spans);
    json_set(record, "meta", meta);
    return record;
}

static Json *region_json(const PredictedText *predicted, size_t index)
{
    const Entity *entity = &predicted->prediction->entities.items[index];
    Json *region = json_object(), *value = json_object(), *labels = json_array();
    char *id = memory_format("%lld-%zu", (long long)predicted->number, index + 1);
    json_append(labels, json_string(entity->type));
    json_set(value, "start", json_integer(entity->start));
    json_set(value, "end", json_integer(entity->end));
    json_set(value, "text",
             json_string_bytes(predicted->text + entity->start_byte, (size_t)(entity->end_byte - entity->start_byte)));
    json_set(value, "labels", labels);
    json_set(region, "id", json_string(id));
    json_set(region, "from_name", json_string("label"));
    json_set(region, "to_name", json_string("text"));
    json_set(region, "type", json_string("labels"));
    json_set(region, "score", json_real((double)entity->score));
    json_set(region, "value", value);
    free(id);
    return region;
}

Json *prediction_labelstudio(const PredictedText *predicted)
{
    Json *task = json_object(), *data = json_object(), *predictions = json_array(), *prediction = json_object(),
         *result = json_array();
    for (size_t i = 0; i < predicted->prediction->entities.count; i++)
        if (is_shown(predicted, &predicted->prediction->entities.items[i]))
            json_append(result, region_json(predicted, i));
    json_set(data, "text", json_string_bytes(predicted->text, predicted->size));
    json_set(data, "tokens", tokens_json(predicted));
    json_set(prediction, "model_version", json_string("nersweep"));
    json_set(prediction, "score", json_real(confidence_of(predicted->prediction)));
    json_set(prediction, "result", result);
    json_append(predictions, prediction);
    json_set(task, "data", data);
    json_set(task, "predictions", predictions);
    return task;
}
