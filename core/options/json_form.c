/* Options as JSON: what travels to workers, and the configuration's identity. */
#include <stdlib.h>
#include <string.h>

#include "core/options/number.h"
#include "core/options/options.h"
#include "core/options/options_internal.h"

static Json *list_to_json(const StringArray *list)
{
    Json *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_append(array, json_string(list->items[i]));
    return array;
}

static Json *option_to_json(const OptionDescriptor *descriptor, const void *options)
{
    const void *field = option_field_const(descriptor, options);
    switch (descriptor->type) {
    case OPTION_REAL:
        return json_real(*(const double *)field);
    case OPTION_INTEGER:
        return json_integer(*(const int64_t *)field);
    case OPTION_UNSIGNED:
        if (*(const uint64_t *)field <= INT64_MAX)
            return json_integer((int64_t) * (const uint64_t *)field);
        break; /* larger than JSON's integers here: as text */
    case OPTION_BOOLEAN:
        return json_boolean(*(const bool *)field);
    case OPTION_STRING:
        if (!*(char *const *)field)
            return json_null();
        break;
    case OPTION_LIST:
        return list_to_json(field);
    default:
        break;
    }
    char *text = option_text(descriptor, options);
    Json *json = json_string(text);
    free(text);
    return json;
}

Json *options_to_json(const OptionTable *table, const void *options)
{
    Json *object = json_object();
    for (size_t i = 0; i < table->count; i++)
        json_set(object, table->descriptors[i].name, option_to_json(&table->descriptors[i], options));
    return object;
}

static const char *json_kind(const Json *json)
{
    return json_is_object(json)  ? "an object"
           : json_is_array(json) ? "an array"
           : json_is_null(json)  ? "null"
                                 : "a value of another type";
}

/* A scalar as the text that the same option has on a command line; NULL when the option takes no such JSON. The caller frees it. */
static char *scalar_text(const OptionDescriptor *descriptor, const Json *json)
{
    char number[NUMBER_TEXT_SIZE];
    bool boolean = descriptor->type == OPTION_BOOLEAN;
    if (json_is_string(json))
        return memory_copy_string(json_string_value(json));
    if (json_is_boolean(json))
        return boolean ? memory_copy_string(json_boolean_value(json, false) ? "true" : "false") : NULL;
    if (json_is_integer(json) && !boolean)
        return memory_format("%lld", (long long)json_integer_value(json, 0));
    if (!json_is_number(json) || boolean)
        return NULL;
    number_format_real(json_number_value(json, 0), number);
    if (descriptor->type == OPTION_INTEGER || descriptor->type == OPTION_UNSIGNED) /* a real stays one: 8.0 is no integer */
        return memory_format("%s%s", number, strpbrk(number, ".e") ? "" : ".0");
    return memory_copy_string(number);
}

static Status set_from_scalar(const OptionDescriptor *descriptor, void *options, const Json *json, Diagnostic *diagnostic)
{
    char *text = scalar_text(descriptor, json);
    if (!text) {
        Text wanted = {0};
        option_describe(descriptor, &wanted);
        Status status = FAIL(diagnostic, STATUS_INVALID_INPUT, "must be %s, not %s", wanted.bytes, json_kind(json));
        text_free(&wanted);
        return status;
    }
    Status status = option_value_parse(descriptor, options, text, diagnostic);
    free(text);
    return status;
}

static Status set_from_json(const OptionDescriptor *descriptor, void *options, const Json *json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (descriptor->type == OPTION_STRING && json_is_null(json)) {
        char **field = option_field(descriptor, options);
        free(*field);
        *field = NULL;
        return STATUS_OK;
    }
    if (descriptor->type != OPTION_LIST || !json_is_array(json))
        return set_from_scalar(descriptor, options, json, diagnostic);
    StringArray *list = option_field(descriptor, options);
    for (size_t i = 0; i < list->count; i++) /* the default gives way */
        free(list->items[i]);
    list->count = 0;
    for (size_t i = 0; i < json_count(json); i++)
        TRY(set_from_scalar(descriptor, options, json_at(json, i), diagnostic));
out:
    return status;
}

static const OptionDescriptor *find_exactly(const OptionTable *table, const char *key)
{
    const OptionDescriptor *descriptor = option_find(table, key);
    return descriptor && strcmp(descriptor->name, key) == 0 ? descriptor : NULL;
}

Status options_from_json(const OptionTable *table, void *options, const Json *json, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    options_set_defaults(table, options);
    if (!json_is_object(json)) {
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "%s must be a JSON object", table->title);
        goto out;
    }
    for (size_t i = 0; i < json_count(json); i++) {
        const char *key = json_key_at(json, i);
        const OptionDescriptor *descriptor = find_exactly(table, key);
        if (!descriptor) {
            const char *nearest = option_nearest(&table, 1, key);
            status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "unknown key \"%.80s\"%s%s%s", key,
                             nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
            goto out;
        }
        status = set_from_json(descriptor, options, json_value_at(json, i), diagnostic);
        if (status != STATUS_OK) {
            diagnostic_prefix(diagnostic, "%s", key);
            if (diagnostic)
                status = FAIL_AT(diagnostic, status, name, 0, 0, "%s", diagnostic->message);
            goto out;
        }
    }
out:
    if (status != STATUS_OK)
        options_free(table, options);
    return status;
}
