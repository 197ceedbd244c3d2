#include "core/options/class_weights.h"

#include <string.h>

#include "core/options/number.h"

#define WEIGHT_LIMIT 1e6

/* One NAME=W. The name may hold '=' itself: the last one parts. */
static Status parse_entry(ClassWeights *weights, const char *entry, size_t size, Diagnostic *diagnostic)
{
    const char *equals = memrchr(entry, '=', size);
    size_t name_size = equals ? (size_t)(equals - entry) : 0;
    char number[32];
    if (name_size == 0 || name_size >= CLASS_WEIGHT_NAME_SIZE)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "class_weights: \"%.*s\" is not NAME=WEIGHT; expected none, balanced, or something like O=0.3,PER=2", (int)size,
                    entry);
    if (weights->count == CLASS_WEIGHT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "class_weights: more than %d entries", CLASS_WEIGHT_LIMIT);
    ClassWeight *weight = &weights->entries[weights->count];
    memcpy(weight->name, entry, name_size);
    weight->name[name_size] = '\0';
    size_t number_size = size - name_size - 1;
    if (number_size >= sizeof number)
        number_size = sizeof number - 1;
    memcpy(number, equals + 1, number_size);
    number[number_size] = '\0';
    if (!number_parse_real(number, &weight->weight) || !(weight->weight >= 0 && weight->weight <= WEIGHT_LIMIT))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "class_weights: the weight of %s is \"%s\": expected a number from 0 to %g",
                    weight->name, number, WEIGHT_LIMIT);
    for (int32_t i = 0; i < weights->count; i++)
        if (strcmp(weights->entries[i].name, weight->name) == 0)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "class_weights: %s is given twice", weight->name);
    weights->count++;
    return STATUS_OK;
}

Status class_weights_parse(ClassWeights *weights, const char *text, Diagnostic *diagnostic)
{
    *weights = (ClassWeights){.rule = CLASS_WEIGHTS_NONE};
    if (text[0] == '\0' || strcmp(text, "none") == 0)
        return STATUS_OK;
    weights->rule = CLASS_WEIGHTS_BALANCED;
    if (strcmp(text, "balanced") == 0)
        return STATUS_OK;
    weights->rule = CLASS_WEIGHTS_GIVEN;
    for (const char *entry = text;; entry++) {
        size_t size = strcspn(entry, ",");
        Status status = parse_entry(weights, entry, size, diagnostic);
        if (status != STATUS_OK)
            return status;
        entry += size;
        if (*entry == '\0')
            return STATUS_OK;
    }
}

/* Whether a label is of this type: "PER" of "B-PER". */
static bool label_has_type(const char *label, const char *type)
{
    return label[0] != '\0' && label[1] == '-' && strcmp(label + 2, type) == 0;
}

static Status resolve_given(const ClassWeights *weights, const char *const *labels, int32_t label_count, float *values,
                            Diagnostic *diagnostic)
{
    /* Types first, so that a label's own entry has the last word. */
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t i = 0; i < weights->count; i++) {
            const ClassWeight *entry = &weights->entries[i];
            bool known = false;
            for (int32_t c = 0; c < label_count; c++) {
                bool is_label = strcmp(labels[c], entry->name) == 0, has_type = label_has_type(labels[c], entry->name);
                known |= is_label || has_type;
                if (pass == 0 ? has_type : is_label)
                    values[c] = (float)entry->weight;
            }
            if (!known)
                return FAIL(diagnostic, STATUS_INVALID_INPUT,
                            "class_weights: %s is neither a label nor a type of the training data", entry->name);
        }
    }
    return STATUS_OK;
}

static void resolve_balanced(int32_t label_count, const int64_t *counts, float *values)
{
    int64_t total = 0;
    for (int32_t c = 0; c < label_count; c++)
        total += counts[c];
    for (int32_t c = 0; c < label_count; c++)
        if (counts[c] > 0)
            values[c] = (float)((double)total / ((double)label_count * (double)counts[c]));
}

Status class_weights_resolve(const ClassWeights *weights, const char *const *labels, int32_t label_count, const int64_t *counts,
                             float *values, Diagnostic *diagnostic)
{
    bool any = false;
    for (int32_t c = 0; c < label_count; c++)
        values[c] = 1;
    if (weights->rule == CLASS_WEIGHTS_BALANCED)
        resolve_balanced(label_count, counts, values);
    if (weights->rule == CLASS_WEIGHTS_GIVEN) {
        Status status = resolve_given(weights, labels, label_count, values, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    for (int32_t c = 0; c < label_count; c++)
        any |= values[c] > 0;
    if (!any)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "class_weights: every label has the weight 0, nothing would be learned");
    return STATUS_OK;
}
