/* The section `parameters` of a sweep file: which training options are searched, and over what. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/sampler.h"
#include "coordinator/sweep_internal.h"

enum { VALUE_LIMIT = 10000 };

static const char *const distribution_names[] = {
    [DISTRIBUTION_VALUE] = "value",
    [DISTRIBUTION_VALUES] = "values",
    [DISTRIBUTION_UNIFORM] = "uniform",
    [DISTRIBUTION_INT_UNIFORM] = "int_uniform",
    [DISTRIBUTION_Q_UNIFORM] = "q_uniform",
    [DISTRIBUTION_LOG_UNIFORM_VALUES] = "log_uniform_values",
    [DISTRIBUTION_Q_LOG_UNIFORM_VALUES] = "q_log_uniform_values",
    [DISTRIBUTION_NORMAL] = "normal",
    NULL,
};

const char *sweep_distribution_name(DistributionKind kind)
{
    return distribution_names[kind];
}

/* The scalars of one parameter. NaN: not given. */
typedef struct ParameterKeys {
    char distribution[32];
    double min, max, q, mu, sigma;
} ParameterKeys;

#define KEY(field) .name = #field, .offset = offsetof(ParameterKeys, field), .size = sizeof(((ParameterKeys *)NULL)->field)
static const OptionDescriptor key_descriptors[] = {
    {KEY(distribution), .type = OPTION_TEXT, .default_text = "auto", .help = "how values are drawn"},
    {KEY(min), .type = OPTION_REAL, .minimum = -1e300, .maximum = 1e300, .default_text = "0", .help = "lowest value"},
    {KEY(max), .type = OPTION_REAL, .minimum = -1e300, .maximum = 1e300, .default_text = "0", .help = "highest value"},
    {KEY(q), .type = OPTION_REAL, .minimum = 0, .maximum = 1e300, .minimum_exclusive = true, .default_text = "1", .help = "step"},
    {KEY(mu), .type = OPTION_REAL, .minimum = -1e300, .maximum = 1e300, .default_text = "0", .help = "mean"},
    {KEY(sigma), .type = OPTION_REAL, .minimum = 0, .maximum = 1e300, .minimum_exclusive = true, .default_text = "1",
     .help = "deviation"},
};
static const OptionTable key_table = {"parameter", key_descriptors, sizeof key_descriptors / sizeof *key_descriptors,
                                      sizeof(ParameterKeys)};

static const OptionDescriptor list_descriptors[] = {{.name = "value"}, {.name = "values"}, {.name = "when"}};
static const OptionTable list_table = {"parameter", list_descriptors, 3, 0};

/* Adds the value as option_text writes it, so that 1e-5 and 1.0e-5 are the same sweep. */
static void add_value(SweepReader *reader, SweepParameter *parameter, const YamlNode *node)
{
    if (node->kind != YAML_SCALAR) {
        sweep_problem(reader, node->line, node->column, "parameters.%s: expected a value, not a list or a mapping",
                      parameter->option->name);
        return;
    }
    TrainingOptions options;
    Diagnostic diagnostic = {0};
    options_set_defaults(training_option_table(), &options);
    if (option_set(parameter->option, &options, node->text, &diagnostic) != STATUS_OK) {
        sweep_problem(reader, node->line, node->column, "parameters.%s: %s", parameter->option->name, diagnostic.message);
        return;
    }
    char *text = option_text(parameter->option, &options);
    for (size_t i = 0; i < parameter->values.count; i++)
        if (strcmp(parameter->values.items[i], text) == 0) {
            sweep_problem(reader, node->line, node->column, "parameters.%s: the value %s is given twice", parameter->option->name,
                          text);
            free(text);
            return;
        }
    array_push(&parameter->values, text);
}

static void read_values(SweepReader *reader, SweepParameter *parameter, const YamlNode *node)
{
    if (node->kind != YAML_SEQUENCE || node->count == 0 || node->count > VALUE_LIMIT) {
        sweep_problem(reader, node->line, node->column, "parameters.%s.values: expected a list of 1 to %d values",
                      parameter->option->name, VALUE_LIMIT);
        return;
    }
    for (size_t i = 0; i < node->count; i++)
        add_value(reader, parameter, node->items[i]);
}

static bool is_integer_text(const YamlNode *node)
{
    const char *text = node && node->kind == YAML_SCALAR ? node->text : NULL;
    return text && text[0] && strspn(text, "+-0123456789") == strlen(text);
}

/* The distribution that is named, or the one that the keys given imply (as W&B does). */
static bool choose_distribution(SweepReader *reader, SweepParameter *parameter, const YamlNode *node, const ParameterKeys *keys)
{
    const char *name = keys->distribution;
    if (strcmp(name, "constant") == 0)
        name = "value";
    if (strcmp(name, "categorical") == 0)
        name = "values";
    bool named = strcmp(name, "auto") != 0;
    for (int kind = 0; named && distribution_names[kind]; kind++)
        if (strcmp(distribution_names[kind], name) == 0) {
            parameter->kind = (DistributionKind)kind;
            return true;
        }
    if (named) {
        const YamlNode *place = yaml_get(node, "distribution");
        sweep_problem(
            reader, place->line, place->column,
            "parameters.%s: unknown distribution \"%.40s\"; known are uniform, int_uniform, q_uniform, log_uniform_values, "
            "q_log_uniform_values, normal, and value or values without any",
            parameter->option->name, name);
        return false;
    }
    if (yaml_get(node, "value"))
        parameter->kind = DISTRIBUTION_VALUE;
    else if (yaml_get(node, "values"))
        parameter->kind = DISTRIBUTION_VALUES;
    else if (yaml_get(node, "mu") || yaml_get(node, "sigma"))
        parameter->kind = DISTRIBUTION_NORMAL;
    else if (is_integer_text(yaml_get(node, "min")) && is_integer_text(yaml_get(node, "max")))
        parameter->kind = DISTRIBUTION_INT_UNIFORM;
    else
        parameter->kind = DISTRIBUTION_UNIFORM;
    return true;
}

/* Which keys a distribution needs and takes. */
static bool check_keys(SweepReader *reader, const SweepParameter *parameter, const YamlNode *node)
{
    static const struct {
        const char *needed[3], *optional[3];
    } rules[] = {
        [DISTRIBUTION_VALUE] = {{"value"}, {0}},
        [DISTRIBUTION_VALUES] = {{"values"}, {0}},
        [DISTRIBUTION_UNIFORM] = {{"min", "max"}, {0}},
        [DISTRIBUTION_INT_UNIFORM] = {{"min", "max"}, {0}},
        [DISTRIBUTION_Q_UNIFORM] = {{"min", "max"}, {"q"}},
        [DISTRIBUTION_LOG_UNIFORM_VALUES] = {{"min", "max"}, {0}},
        [DISTRIBUTION_Q_LOG_UNIFORM_VALUES] = {{"min", "max"}, {"q"}},
        [DISTRIBUTION_NORMAL] = {{"mu", "sigma"}, {0}},
    };
    const char *kind = distribution_names[parameter->kind];
    bool fine = true;
    for (int i = 0; i < 3 && rules[parameter->kind].needed[i]; i++)
        if (!yaml_get(node, rules[parameter->kind].needed[i])) {
            sweep_problem(reader, node->line, node->column, "parameters.%s: %s needs the key %s", parameter->option->name, kind,
                          rules[parameter->kind].needed[i]);
            fine = false;
        }
    for (size_t k = 0; k < node->count; k++) {
        bool known = strcmp(node->keys[k], "distribution") == 0;
        for (int i = 0; i < 3; i++) {
            const char *needed = rules[parameter->kind].needed[i], *optional = rules[parameter->kind].optional[i];
            known = known || (needed && strcmp(needed, node->keys[k]) == 0) || (optional && strcmp(optional, node->keys[k]) == 0);
        }
        bool elsewhere = option_find(&key_table, node->keys[k]) || option_find(&list_table, node->keys[k]);
        if (!known && elsewhere && strcmp(node->keys[k], "when") != 0) {
            sweep_problem(reader, node->key_lines[k], node->key_columns[k], "parameters.%s: %s does not go with %s",
                          parameter->option->name, node->keys[k], kind);
            fine = false;
        }
    }
    return fine;
}

static void check_type(SweepReader *reader, const SweepParameter *parameter, const YamlNode *node)
{
    OptionType type = parameter->option->type;
    bool whole = type == OPTION_INTEGER || type == OPTION_UNSIGNED;
    if (!whole && type != OPTION_REAL)
        sweep_problem(reader, node->line, node->column, "parameters.%s is no number: give its choices as values",
                      parameter->option->name);
    else if (whole && parameter->kind != DISTRIBUTION_INT_UNIFORM &&
             !(parameter->kind == DISTRIBUTION_Q_UNIFORM && parameter->q == floor(parameter->q)) &&
             !(parameter->kind == DISTRIBUTION_Q_LOG_UNIFORM_VALUES && parameter->q == floor(parameter->q)))
        sweep_problem(reader, node->line, node->column, "parameters.%s is a whole number: use int_uniform, or a whole q",
                      parameter->option->name);
}

static void check_range(SweepReader *reader, const SweepParameter *parameter, const YamlNode *node)
{
    const char *name = parameter->option->name;
    bool log_scale = parameter->kind == DISTRIBUTION_LOG_UNIFORM_VALUES || parameter->kind == DISTRIBUTION_Q_LOG_UNIFORM_VALUES;
    bool quantised = parameter->kind == DISTRIBUTION_Q_UNIFORM || parameter->kind == DISTRIBUTION_Q_LOG_UNIFORM_VALUES;
    const YamlNode *low = yaml_get(node, "min"), *high = yaml_get(node, "max");
    double minimum = parameter->minimum, maximum = parameter->maximum;
    Diagnostic diagnostic = {0};
    if (minimum >= maximum) {
        sweep_problem(reader, low->line, low->column, "parameters.%s: an empty range: min %g is not below max %g", name, minimum,
                      maximum);
        return;
    }
    if (log_scale && minimum <= 0) {
        sweep_problem(reader, low->line, low->column, "parameters.%s: a logarithmic range begins above 0, not at %g", name,
                      minimum);
        return;
    }
    if (parameter->kind == DISTRIBUTION_INT_UNIFORM &&
        (minimum != floor(minimum) || maximum != floor(maximum) || fabs(minimum) > 1e15 || fabs(maximum) > 1e15)) {
        sweep_problem(reader, low->line, low->column, "parameters.%s: int_uniform needs whole numbers", name);
        return;
    }
    if (quantised) {
        sampler_multiples(parameter, &minimum, &maximum);
        minimum *= parameter->q;
        maximum *= parameter->q;
        if (minimum > maximum) {
            sweep_problem(reader, low->line, low->column, "parameters.%s: an empty range: no multiple of %g from %g to %g", name,
                          parameter->q, parameter->minimum, parameter->maximum);
            return;
        }
    }
    if (!sampler_accepts(parameter, minimum, &diagnostic))
        sweep_problem(reader, low->line, low->column, "parameters.%s: %s", name, diagnostic.message);
    if (!sampler_accepts(parameter, maximum, &diagnostic))
        sweep_problem(reader, high->line, high->column, "parameters.%s: %s", name, diagnostic.message);
}

/* ------------------------------------------------------------------------------------------------ conditions */

/* Of those that stand earlier in the file: NULL and a problem where there is none. */
static const SweepParameter *find_earlier(SweepReader *reader, const YamlNode *when, size_t key, const char *section,
                                          size_t *number)
{
    const Sweep *sweep = reader->sweep;
    const OptionDescriptor *option = option_find(training_option_table(), when->keys[key]);
    for (size_t i = 0; option && i + 1 < sweep->parameter_count; i++)
        if (sweep->parameters[i].option == option) {
            *number = i;
            if (sweep->parameters[i].kind <= DISTRIBUTION_VALUES)
                return &sweep->parameters[i];
            sweep_problem(reader, when->key_lines[key], when->key_columns[key],
                          "%s.when: %s is drawn from a range; a condition asks for one of given values", section, option->name);
            return NULL;
        }
    sweep_problem(reader, when->key_lines[key], when->key_columns[key],
                  "%s.when: %.60s is no parameter that stands before this one", section, when->keys[key]);
    return NULL;
}

/* Adds the value to the condition, written as the other parameter has it. */
static void add_condition_value(SweepReader *reader, SweepCondition *condition, const SweepParameter *other, const YamlNode *node,
                                const char *section)
{
    TrainingOptions options;
    options_set_defaults(training_option_table(), &options);
    if (node->kind == YAML_SCALAR && option_set(other->option, &options, node->text, NULL) == STATUS_OK) {
        char *text = option_text(other->option, &options);
        for (size_t i = 0; i < other->values.count; i++)
            if (strcmp(other->values.items[i], text) == 0) {
                array_push(&condition->values, text);
                return;
            }
        free(text);
    }
    sweep_problem(reader, node->line, node->column, "%s.when: %.60s is none of the values of %s", section,
                  node->kind == YAML_SCALAR ? node->text : "this", other->option->name);
}

static void read_conditions(SweepReader *reader, SweepParameter *parameter, const YamlNode *when, const char *section)
{
    if (when->kind != YAML_MAPPING || when->count == 0) {
        sweep_problem(reader, when->line, when->column,
                      "%s.when: expected a mapping of earlier parameters to values, such as {lr_scheduler_type: linear}", section);
        return;
    }
    for (size_t k = 0; k < when->count; k++) {
        SweepCondition condition = {0};
        const YamlNode *values = when->items[k];
        const SweepParameter *other = find_earlier(reader, when, k, section, &condition.parameter);
        if (!other)
            continue;
        if (values->kind == YAML_SEQUENCE)
            for (size_t i = 0; i < values->count; i++)
                add_condition_value(reader, &condition, other, values->items[i], section);
        else
            add_condition_value(reader, &condition, other, values, section);
        array_push(&parameter->conditions, condition);
    }
}

bool sweep_parameter_active(const Sweep *sweep, size_t parameter, const TrainingOptions *options)
{
    const SweepParameter *item = &sweep->parameters[parameter];
    for (size_t c = 0; c < item->conditions.count; c++) {
        const SweepCondition *condition = &item->conditions.items[c];
        char *text = option_text(sweep->parameters[condition->parameter].option, options);
        bool holds = false;
        for (size_t i = 0; i < condition->values.count && !holds; i++)
            holds = strcmp(condition->values.items[i], text) == 0;
        free(text);
        if (!holds || !sweep_parameter_active(sweep, condition->parameter, options))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------ one parameter */

static void read_parameter(SweepReader *reader, SweepParameter *parameter, const YamlNode *node)
{
    ParameterKeys keys;
    options_set_defaults(&key_table, &keys);
    char section[160];
    snprintf(section, sizeof section, "parameters.%.100s", parameter->option->name);
    size_t problems = reader->problems->count;
    SweepSection sections[] = {{&key_table, &keys}, {&list_table, NULL}};
    sweep_read_section(reader, node, section, sections, 2);
    if (node->kind != YAML_MAPPING)
        return;
    if (yaml_get(node, "when"))
        read_conditions(reader, parameter, yaml_get(node, "when"), section);
    if (!choose_distribution(reader, parameter, node, &keys) || !check_keys(reader, parameter, node) ||
        reader->problems->count > problems)
        return;
    parameter->minimum = keys.min;
    parameter->maximum = keys.max;
    parameter->q = keys.q;
    parameter->mean = keys.mu;
    parameter->deviation = keys.sigma;
    if (parameter->kind == DISTRIBUTION_VALUE)
        add_value(reader, parameter, yaml_get(node, "value"));
    else if (parameter->kind == DISTRIBUTION_VALUES)
        read_values(reader, parameter, yaml_get(node, "values"));
    else
        check_type(reader, parameter, node);
    if (reader->problems->count > problems || parameter->kind <= DISTRIBUTION_VALUES)
        return;
    Diagnostic diagnostic = {0};
    if (parameter->kind != DISTRIBUTION_NORMAL)
        check_range(reader, parameter, node);
    else if (!sampler_accepts(parameter, parameter->mean, &diagnostic))
        sweep_problem(reader, node->line, node->column, "%s: mu: %s", section, diagnostic.message);
}

/* Options that a sweep file sets elsewhere. */
static const char *elsewhere(const char *name)
{
    if (strcmp(name, "seed") == 0)
        return "seeds";
    if (strcmp(name, "save_total_limit") == 0)
        return "storage.save_total_limit";
    return NULL;
}

void sweep_read_parameters(SweepReader *reader, const YamlNode *node)
{
    Sweep *sweep = reader->sweep;
    if (node->kind != YAML_MAPPING) {
        sweep_problem(reader, node->line, node->column,
                      "parameters: expected a mapping such as {learning_rate: {values: [1.0e-5, 3.0e-5]}}");
        return;
    }
    const OptionTable *training = training_option_table();
    sweep->parameters = memory_allocate(node->count + 1, sizeof *sweep->parameters);
    for (size_t i = 0; i < node->count; i++) {
        const OptionDescriptor *option = option_find(training, node->keys[i]);
        const char *place = option ? elsewhere(option->name) : NULL;
        if (!option) {
            const char *nearest = option_nearest(&training, 1, node->keys[i]);
            sweep_problem(reader, node->key_lines[i], node->key_columns[i], "parameters: %.60s is no training option%s%s%s",
                          node->keys[i], nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
            continue;
        }
        if (place) {
            sweep_problem(reader, node->key_lines[i], node->key_columns[i], "parameters: %s is set by %s", option->name, place);
            continue;
        }
        bool twice = false; /* option_find takes dashes for underscores, so a name can be written in two ways */
        for (size_t k = 0; k < sweep->parameter_count; k++)
            twice = twice || sweep->parameters[k].option == option;
        if (twice) {
            sweep_problem(reader, node->key_lines[i], node->key_columns[i], "parameters: %s is given twice", option->name);
            continue;
        }
        SweepParameter *parameter = &sweep->parameters[sweep->parameter_count++];
        parameter->option = option;
        read_parameter(reader, parameter, node->items[i]);
    }
}
