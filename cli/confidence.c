#include "cli/confidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_LIMIT = 4096 };

void confidence_rule_free(ConfidenceRule *rule)
{
    for (size_t i = 0; i < rule->types.count; i++)
        free(rule->types.items[i].type);
    array_free(&rule->types);
}

static const TypeMinimum *type_find(const ConfidenceRule *rule, const char *type)
{
    for (size_t i = 0; i < rule->types.count; i++)
        if (strcmp(rule->types.items[i].type, type) == 0)
            return &rule->types.items[i];
    return NULL;
}

/* One "TYPE=MINIMUM"; a type may hold '=' itself. */
static Status minimum_add(ConfidenceRule *rule, const char *text, size_t size, Diagnostic *diagnostic)
{
    char *copy = memory_copy_bytes(text, size), *equals = strrchr(copy, '='), *end = NULL;
    double minimum = equals ? strtod(equals + 1, &end) : NAN;
    bool number = equals && equals > copy && end != equals + 1 && *end == '\0' && minimum >= 0 && minimum <= 1;
    Status status = STATUS_OK;
    if (!number)
        status =
            FAIL(diagnostic, STATUS_USAGE, "--min-confidence-type \"%.64s\": expected TYPE=MINIMUM, a number from 0 to 1", copy);
    if (number)
        *equals = '\0';
    if (number && type_find(rule, copy))
        status = FAIL(diagnostic, STATUS_USAGE, "--min-confidence-type gives %.64s two minima", copy);
    else if (number && rule->types.count == TYPE_LIMIT)
        status = FAIL(diagnostic, STATUS_USAGE, "--min-confidence-type takes at most %d types", TYPE_LIMIT);
    if (status == STATUS_OK)
        array_push(&rule->types, ((TypeMinimum){copy, minimum}));
    else
        free(copy);
    return status;
}

Status confidence_rule_parse(ConfidenceRule *rule, const char *text, Diagnostic *diagnostic)
{
    for (size_t size;; text += size + 1) {
        size = strcspn(text, ",");
        Status status = minimum_add(rule, text, size, diagnostic);
        if (status != STATUS_OK || text[size] == '\0')
            return status;
    }
}

Status confidence_rule_check(const ConfidenceRule *rule, const char *const *labels, int32_t label_count, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < rule->types.count; i++) {
        bool known = false;
        LabelParts parts;
        for (int32_t k = 0; k < label_count && !known; k++)
            known =
                label_split(labels[k], &parts) && parts.prefix != PREFIX_O && strcmp(parts.type, rule->types.items[i].type) == 0;
        if (!known)
            return FAIL(diagnostic, STATUS_USAGE, "--min-confidence-type: the model has no type \"%.64s\"",
                        rule->types.items[i].type);
    }
    return STATUS_OK;
}

bool confidence_accepts(const ConfidenceRule *rule, const Entity *entity)
{
    LabelParts parts;
    const TypeMinimum *own = type_find(rule, entity->type);
    if (!own && entity->index > 0 && label_split(entity->type, &parts)) /* a piece on its own has a label, not a type */
        own = type_find(rule, parts.type);
    return (double)entity->score >= (own ? own->minimum : rule->minimum);
}

double confidence_of(const Prediction *prediction)
{
    double lowest = prediction->entities.count > 0 ? 1 : prediction->token_probability;
    for (size_t i = 0; i < prediction->entities.count; i++)
        if ((double)prediction->entities.items[i].score < lowest)
            lowest = (double)prediction->entities.items[i].score;
    return lowest;
}

bool confidence_accepts_all(const ConfidenceRule *rule, const Prediction *prediction)
{
    for (size_t i = 0; i < prediction->entities.count; i++)
        if (!confidence_accepts(rule, &prediction->entities.items[i]))
            return false;
    return prediction->entities.count > 0 || prediction->token_probability >= rule->minimum;
}
