/* Single options: defaults, reading, writing, names. */
#include "core/options/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/options/number.h"
#include "core/options/options_internal.h"

enum { SHOWN_LIMIT = 80, NAME_LIMIT = 63, NEAREST_DISTANCE = 3, FREEZE_TEXT_SIZE = 1024 };

static void describe_limit(Text *text, const char *words, double limit)
{
    char number[NUMBER_TEXT_SIZE];
    text_format(text, " %s %s", words, number_format_real(limit, number));
}

static void describe_range(const OptionDescriptor *descriptor, Text *text)
{
    bool low = isfinite(descriptor->minimum), high = isfinite(descriptor->maximum);
    if (low && high && !descriptor->minimum_exclusive) {
        describe_limit(text, "from", descriptor->minimum);
        describe_limit(text, "to", descriptor->maximum);
        return;
    }
    if (low)
        describe_limit(text, descriptor->minimum_exclusive ? "above" : "of at least", descriptor->minimum);
    if (high)
        describe_limit(text, low ? "and at most" : "of at most", descriptor->maximum);
}

void option_describe(const OptionDescriptor *descriptor, Text *text)
{
    switch (descriptor->type) {
    case OPTION_REAL:
        text_append_string(text, "a number");
        describe_range(descriptor, text);
        break;
    case OPTION_INTEGER:
    case OPTION_UNSIGNED:
        text_append_string(text, "an integer");
        describe_range(descriptor, text);
        break;
    case OPTION_BOOLEAN:
        text_append_string(text, "true or false");
        break;
    case OPTION_FREEZE:
        text_append_string(text, "a freezing schedule");
        break;
    default:
        text_append_string(text, descriptor->choices ? "one of " : "a text");
        break;
    }
    for (size_t i = 0; descriptor->choices && descriptor->choices[i]; i++)
        text_format(text, "%s%s", i > 0 ? ", " : "", descriptor->choices[i]);
}

/* "must be an integer from 1 to 8, not "x"; hint" */
static Status refuse_value(const OptionDescriptor *descriptor, const char *text, const char *hint, Diagnostic *diagnostic)
{
    Text wanted = {0};
    option_describe(descriptor, &wanted);
    Status status = FAIL(diagnostic, STATUS_INVALID_INPUT, "must be %s, not \"%.*s%s\"%s", wanted.bytes, SHOWN_LIMIT, text,
                         strlen(text) > SHOWN_LIMIT ? "..." : "", hint);
    text_free(&wanted);
    return status;
}

static bool in_range(const OptionDescriptor *descriptor, double value)
{
    return (descriptor->minimum_exclusive ? value > descriptor->minimum : value >= descriptor->minimum) &&
           value <= descriptor->maximum;
}

static Status parse_real(const OptionDescriptor *descriptor, void *field, const char *text, Diagnostic *diagnostic)
{
    double value;
    if (!number_parse_real(text, &value) || !in_range(descriptor, value))
        return refuse_value(descriptor, text, "", diagnostic);
    *(double *)field = value;
    return STATUS_OK;
}

/* "1e3" and "2.0" mean whole numbers, but are not written as one: the hint says how. */
static Status refuse_integer(const OptionDescriptor *descriptor, const char *text, Diagnostic *diagnostic)
{
    char hint[64] = "";
    double value;
    if (strpbrk(text, ".eE") && number_parse_real(text, &value) && fabs(value) < 1e15 && (double)(int64_t)value == value)
        snprintf(hint, sizeof hint, "; write %.0f", value);
    return refuse_value(descriptor, text, hint, diagnostic);
}

static Status parse_integer(const OptionDescriptor *descriptor, void *field, const char *text, Diagnostic *diagnostic)
{
    int64_t value;
    if (!number_parse_integer(text, &value) || !in_range(descriptor, (double)value))
        return refuse_integer(descriptor, text, diagnostic);
    *(int64_t *)field = value;
    return STATUS_OK;
}

static Status parse_unsigned(const OptionDescriptor *descriptor, void *field, const char *text, Diagnostic *diagnostic)
{
    uint64_t value;
    if (!number_parse_unsigned(text, &value) || !in_range(descriptor, (double)value))
        return refuse_integer(descriptor, text, diagnostic);
    *(uint64_t *)field = value;
    return STATUS_OK;
}

static Status parse_boolean(const OptionDescriptor *descriptor, void *field, const char *text, Diagnostic *diagnostic)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *(bool *)field = i % 2 == 1;
            return STATUS_OK;
        }
    }
    return refuse_value(descriptor, text, "", diagnostic);
}

static Status parse_choice(const OptionDescriptor *descriptor, void *field, const char *text, Diagnostic *diagnostic)
{
    for (unsigned i = 0; descriptor->choices[i]; i++) {
        if (strcmp(text, descriptor->choices[i]) == 0) {
            memcpy(field, &i, sizeof i); /* an enumeration: int or unsigned, as the compiler likes */
            return STATUS_OK;
        }
    }
    return refuse_value(descriptor, text, "", diagnostic);
}

/* Text into a field of fixed size; with choices any case is taken and the choice's own spelling kept. */
static Status parse_text(const OptionDescriptor *descriptor, char *field, const char *text, Diagnostic *diagnostic)
{
    const char *kept = text;
    if (descriptor->choices) {
        kept = NULL;
        for (size_t i = 0; descriptor->choices[i] && !kept; i++)
            kept = strcasecmp(text, descriptor->choices[i]) == 0 ? descriptor->choices[i] : NULL;
        if (!kept)
            return refuse_value(descriptor, text, "", diagnostic);
    }
    size_t length = strlen(kept);
    if (length == 0 || length >= descriptor->size)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "must be a text of 1 to %zu bytes, not of %zu", descriptor->size - 1, length);
    memset(field, 0, descriptor->size);
    memcpy(field, kept, length);
    return STATUS_OK;
}

static Status parse_string(const OptionDescriptor *descriptor, char **field, const char *text, Diagnostic *diagnostic)
{
    bool known = !descriptor->choices;
    for (size_t i = 0; !known && descriptor->choices[i]; i++)
        known = strcmp(text, descriptor->choices[i]) == 0;
    if (!known)
        return refuse_value(descriptor, text, "", diagnostic);
    char *copy = memory_copy_string(text);
    free(*field);
    *field = copy;
    return STATUS_OK;
}

Status option_value_parse(const OptionDescriptor *descriptor, void *options, const char *text, Diagnostic *diagnostic)
{
    void *field = option_field(descriptor, options);
    switch (descriptor->type) {
    case OPTION_REAL:
        return parse_real(descriptor, field, text, diagnostic);
    case OPTION_INTEGER:
        return parse_integer(descriptor, field, text, diagnostic);
    case OPTION_UNSIGNED:
        return parse_unsigned(descriptor, field, text, diagnostic);
    case OPTION_BOOLEAN:
        return parse_boolean(descriptor, field, text, diagnostic);
    case OPTION_CHOICE:
        return parse_choice(descriptor, field, text, diagnostic);
    case OPTION_FREEZE:
        return freeze_schedule_parse(field, text, diagnostic);
    case OPTION_TEXT:
        return parse_text(descriptor, field, text, diagnostic);
    case OPTION_STRING:
        return parse_string(descriptor, field, text, diagnostic);
    case OPTION_LIST:
        array_push((StringArray *)field, memory_copy_string(text));
        return STATUS_OK;
    }
    return FAIL(diagnostic, STATUS_INTERNAL, "option %s has an unknown type", descriptor->name);
}

Status option_set(const OptionDescriptor *descriptor, void *options, const char *text, Diagnostic *diagnostic)
{
    Status status = option_value_parse(descriptor, options, text, diagnostic);
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "%s", descriptor->name);
    return status;
}

char *option_text(const OptionDescriptor *descriptor, const void *options)
{
    const void *field = option_field_const(descriptor, options);
    char number[NUMBER_TEXT_SIZE], schedule[FREEZE_TEXT_SIZE];
    unsigned choice;
    Text list = {0};
    switch (descriptor->type) {
    case OPTION_REAL:
        return memory_copy_string(number_format_real(*(const double *)field, number));
    case OPTION_INTEGER:
        return memory_format("%lld", (long long)*(const int64_t *)field);
    case OPTION_UNSIGNED:
        return memory_format("%llu", (unsigned long long)*(const uint64_t *)field);
    case OPTION_BOOLEAN:
        return memory_copy_string(*(const bool *)field ? "true" : "false");
    case OPTION_CHOICE:
        memcpy(&choice, field, sizeof choice);
        return memory_copy_string(descriptor->choices[choice]);
    case OPTION_FREEZE:
        return memory_copy_string(freeze_schedule_format(field, schedule, sizeof schedule));
    case OPTION_TEXT:
        return memory_copy_string(field);
    case OPTION_STRING:
        return memory_copy_string(*(char *const *)field ? *(char *const *)field : "");
    case OPTION_LIST:
        for (size_t i = 0; i < ((const StringArray *)field)->count; i++)
            text_format(&list, "%s%s", i > 0 ? "," : "", ((const StringArray *)field)->items[i]);
        return text_take(&list);
    }
    ASSERT(!"known option type");
    return NULL;
}

void options_set_defaults(const OptionTable *table, void *options)
{
    memset(options, 0, table->struct_size);
    for (size_t i = 0; i < table->count; i++) {
        const OptionDescriptor *descriptor = &table->descriptors[i];
        bool owned = descriptor->type == OPTION_STRING || descriptor->type == OPTION_LIST;
        if (owned && (!descriptor->default_text || !descriptor->default_text[0]))
            continue;
        ASSERT(descriptor->default_text);
        Status status = option_value_parse(descriptor, options, descriptor->default_text, NULL);
        ASSERT(status == STATUS_OK);
    }
}

void options_free(const OptionTable *table, void *options)
{
    for (size_t i = 0; i < table->count; i++) {
        void *field = option_field(&table->descriptors[i], options);
        if (table->descriptors[i].type == OPTION_STRING) {
            free(*(char **)field);
            *(char **)field = NULL;
        } else if (table->descriptors[i].type == OPTION_LIST) {
            StringArray *list = field;
            for (size_t item = 0; item < list->count; item++)
                free(list->items[item]);
            array_free(list);
        }
    }
}

static char name_character(char c)
{
    return c == '-' ? '_' : c;
}

const OptionDescriptor *option_find(const OptionTable *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *known = table->descriptors[i].name;
        size_t at = 0;
        while (known[at] && name_character(name[at]) == known[at])
            at++;
        if (!known[at] && !name[at])
            return &table->descriptors[i];
    }
    return NULL;
}

/* Levenshtein distance of names of at most NAME_LIMIT bytes, row by row. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[NAME_LIMIT + 1];
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = diagonal + (name_character(a[i - 1]) != name_character(b[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_size];
}

const char *option_nearest(const OptionTable *const *tables, size_t table_count, const char *name)
{
    const char *nearest = NULL;
    size_t size = strlen(name), fewest = NEAREST_DISTANCE + 1;
    if (size > NAME_LIMIT)
        return NULL;
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const char *known = tables[t]->descriptors[i].name;
            size_t known_size = strlen(known);
            if (known_size > NAME_LIMIT)
                continue;
            size_t distance = edit_distance(name, size, known, known_size);
            if (distance < fewest && distance < size && distance < known_size) { /* nothing in common is not near */
                fewest = distance;
                nearest = known;
            }
        }
    }
    return nearest;
}
