/* Options on command lines: flags, and their help. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/options/options.h"
#include "core/options/options_internal.h"

enum { HELP_COLUMN = 36, FLAG_LIMIT = 64, TABLE_LIMIT = 16 };

/* A command line on its way through. */
typedef struct Arguments {
    const OptionBinding *bindings;
    size_t binding_count;
    int argc;
    char **argv;
    int next;
    bool **given; /* [binding_count][descriptors]: flags seen so far */
    Diagnostic *diagnostic;
} Arguments;

/* A flag taken apart: "--no-x=value". */
typedef struct Flag {
    char name[FLAG_LIMIT]; /* with dashes, without "--", "no-" and "=value" */
    const char *value;     /* NULL: none */
    bool negated;
    size_t binding;
    const OptionDescriptor *descriptor; /* NULL: unknown */
} Flag;

static void flag_look_up(const Arguments *arguments, Flag *flag)
{
    for (flag->binding = 0; flag->binding < arguments->binding_count; flag->binding++) {
        flag->descriptor = option_find(arguments->bindings[flag->binding].table, flag->name);
        if (flag->descriptor)
            return;
    }
}

static Status flag_unknown(const Arguments *arguments, const char *argument)
{
    const OptionTable *tables[TABLE_LIMIT];
    char name[FLAG_LIMIT] = "", suggestion[2 * FLAG_LIMIT] = "";
    size_t size = strcspn(argument, "=");
    for (size_t i = 0; i < arguments->binding_count; i++)
        tables[i] = arguments->bindings[i].table;
    if (size > 2 && size - 2 < sizeof name)
        memcpy(name, argument + 2, size - 2);
    const char *nearest = option_nearest(tables, arguments->binding_count, name);
    if (nearest) {
        strcpy(suggestion, ", did you mean --");
        strncat(suggestion, nearest, FLAG_LIMIT);
        strcat(suggestion, "?");
        for (char *c = suggestion + strlen(", did you mean --"); *c; c++)
            *c = *c == '_' ? '-' : *c;
    }
    return FAIL(arguments->diagnostic, STATUS_USAGE, "unknown flag %.*s%s", (int)(size < 200 ? size : 200), argument, suggestion);
}

static Status flag_read(const Arguments *arguments, const char *argument, Flag *flag)
{
    size_t size = strcspn(argument, "=");
    *flag = (Flag){.value = argument[size] == '=' ? argument + size + 1 : NULL};
    if (strncmp(argument, "--", 2) != 0 || size - 2 >= sizeof flag->name)
        return flag_unknown(arguments, argument);
    memcpy(flag->name, argument + 2, size - 2);
    flag_look_up(arguments, flag);
    if (!flag->descriptor && strncmp(flag->name, "no-", 3) == 0) {
        memmove(flag->name, flag->name + 3, strlen(flag->name + 3) + 1);
        flag_look_up(arguments, flag);
        flag->negated = true;
        if (flag->descriptor && flag->descriptor->type != OPTION_BOOLEAN)
            flag->descriptor = NULL;
    }
    return flag->descriptor ? STATUS_OK : flag_unknown(arguments, argument);
}

/* The flag's value: after "=", or the next argument; booleans need none, and take the next one only when it is true or false. */
static Status flag_value(Arguments *arguments, const Flag *flag, const char **value)
{
    const char *following = arguments->next < arguments->argc ? arguments->argv[arguments->next] : NULL;
    *value = flag->value;
    if (flag->negated) {
        *value = "false";
        if (flag->value)
            return FAIL(arguments->diagnostic, STATUS_USAGE, "--no-%s takes no value", flag->name);
        return STATUS_OK;
    }
    if (flag->value)
        return STATUS_OK;
    if (flag->descriptor->type == OPTION_BOOLEAN) {
        *value = "true";
        if (!following || (strcasecmp(following, "true") != 0 && strcasecmp(following, "false") != 0))
            return STATUS_OK;
    } else if (!following || strncmp(following, "--", 2) == 0) {
        Text wanted = {0};
        option_describe(flag->descriptor, &wanted);
        Status status = FAIL(arguments->diagnostic, STATUS_USAGE, "--%s needs a value: %s", flag->name, wanted.bytes);
        text_free(&wanted);
        return status;
    }
    *value = following;
    arguments->next++;
    return STATUS_OK;
}

static Status flag_apply(Arguments *arguments, const char *argument)
{
    Status status = STATUS_OK;
    Flag flag;
    const char *value;
    TRY(flag_read(arguments, argument, &flag));
    TRY(flag_value(arguments, &flag, &value));
    const OptionBinding *binding = &arguments->bindings[flag.binding];
    bool *given = &arguments->given[flag.binding][flag.descriptor - binding->table->descriptors];
    if (*given && flag.descriptor->type != OPTION_LIST)
        TRY_FAIL(arguments->diagnostic, STATUS_USAGE, "--%s is given twice", flag.name);
    *given = true;
    status = option_value_parse(flag.descriptor, binding->options, value, arguments->diagnostic);
    if (status != STATUS_OK) {
        diagnostic_prefix(arguments->diagnostic, "--%s", flag.name);
        if (arguments->diagnostic)
            arguments->diagnostic->code = STATUS_USAGE;
        status = STATUS_USAGE;
    }
out:
    return status;
}

Status options_parse_arguments(const OptionBinding *bindings, size_t binding_count, int argc, char **argv,
                               PositionalArray *positional, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool flags_end = false;
    ASSERT(binding_count <= TABLE_LIMIT);
    Arguments arguments = {
        .bindings = bindings, .binding_count = binding_count, .argc = argc, .argv = argv, .diagnostic = diagnostic};
    arguments.given = memory_allocate(binding_count, sizeof *arguments.given);
    for (size_t i = 0; i < binding_count; i++)
        arguments.given[i] = memory_allocate(bindings[i].table->count, sizeof **arguments.given);
    while (arguments.next < argc) {
        const char *argument = argv[arguments.next++];
        if (flags_end || argument[0] != '-' || argument[1] == '\0') /* "-" alone is a file name: standard input */
            array_push(positional, argument);
        else if (strcmp(argument, "--") == 0)
            flags_end = true;
        else
            TRY(flag_apply(&arguments, argument));
    }
out:
    for (size_t i = 0; i < binding_count; i++)
        free(arguments.given[i]);
    free(arguments.given);
    return status;
}

/* "--learning-rate X", "--[no-]strict", "--unit sentence|document" */
static void help_flag(const OptionDescriptor *descriptor, Text *text)
{
    bool on = descriptor->type == OPTION_BOOLEAN && descriptor->default_text && strcmp(descriptor->default_text, "true") == 0;
    text_append_string(text, on ? "  --[no-]" : "  --");
    for (const char *c = descriptor->name; *c; c++)
        text_append(text, *c == '_' ? "-" : c, 1);
    switch (descriptor->type) {
    case OPTION_REAL:
        text_append_string(text, " X");
        break;
    case OPTION_INTEGER:
    case OPTION_UNSIGNED:
        text_append_string(text, " N");
        break;
    case OPTION_BOOLEAN:
        break;
    case OPTION_FREEZE:
        text_append_string(text, " SCHEDULE");
        break;
    case OPTION_LIST:
        text_append_string(text, " TEXT (repeatable)");
        break;
    default:
        text_append_string(text, descriptor->choices ? " WORD" : " TEXT");
        break;
    }
}

/* "(a number above 0 and at most 1; default 5e-5)", as far as there is something to say. */
static void help_values(const OptionDescriptor *descriptor, Text *text)
{
    Text values = {0};
    bool number = descriptor->type == OPTION_REAL || descriptor->type == OPTION_INTEGER || descriptor->type == OPTION_UNSIGNED;
    if (number || descriptor->choices)
        option_describe(descriptor, &values);
    bool plain = descriptor->type == OPTION_BOOLEAN && descriptor->default_text && strcmp(descriptor->default_text, "false") == 0;
    if (!plain && descriptor->default_text && descriptor->default_text[0])
        text_format(&values, "%sdefault %s", values.size > 0 ? "; " : "", descriptor->default_text);
    if (values.size > 0)
        text_format(text, " (%s)", values.bytes);
    text_free(&values);
}

void options_help(const OptionTable *table, Text *text)
{
    for (size_t i = 0; i < table->count; i++) {
        size_t line_start = text->size;
        help_flag(&table->descriptors[i], text);
        text_append_string(text, "  ");
        while (text->size - line_start < HELP_COLUMN)
            text_append(text, " ", 1);
        text_append_string(text, table->descriptors[i].help);
        help_values(&table->descriptors[i], text);
        text_append(text, "\n", 1);
    }
}
