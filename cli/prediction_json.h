/* Predictions in the forms of annotation tools. */
#ifndef NERSWEEP_CLI_PREDICTION_JSON_H
#define NERSWEEP_CLI_PREDICTION_JSON_H

#include "cli/confidence.h"
#include "core/io/json.h"

/* A text and what is said of it. Entities that the rule does not accept are left out (NULL: all stay). */
typedef struct PredictedText {
    const char *text;
    size_t size;
    const Prediction *prediction;
    const ConfidenceRule *rule;
    int64_t number; /* of the text in its input, from 1 */
} PredictedText;

/* Prodigy: {text, tokens, spans: [{start, end, token_start, token_end, label, score}], meta: {confidence, number}}. A new root. */
Json *prediction_prodigy(const PredictedText *predicted);
/* Label Studio: a task {data: {text, tokens}, predictions: [{model_version, score, result}]}, for import with predictions. A new root. */
Json *prediction_labelstudio(const PredictedText *predicted);

#endif
