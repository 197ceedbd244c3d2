#include "coordinator/sweep_largest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/sampler.h"

/* What takes more, the higher its value is; steps thaw more of a model the more there are. */
static const char *const growing[] = {"per_device_train_batch_size",
                                      "gradient_accumulation_steps",
                                      "per_device_eval_batch_size",
                                      "frozen_cache_mb",
                                      "virtual_ranks",
                                      "num_train_epochs",
                                      "max_steps",
                                      "oversample_factor"};

/* Of choices the one that takes the most. */
static const struct {
    const char *option;
    const char *values[4]; /* the most first, ended by NULL */
} choices[] = {
    {"gradient_checkpointing", {"off", "auto", "on", NULL}},
    {"deterministic", {"world", "rank", NULL}},
    {"frozen_dropout", {"false", "true", NULL}},
};

static bool is_growing(const SweepParameter *parameter)
{
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++)
        if (strcmp(parameter->option->name, growing[i]) == 0)
            return true;
    return false;
}

/* NULL: no choice that memory depends on. */
static const char *const *choice_values(const SweepParameter *parameter)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (strcmp(parameter->option->name, choices[i].option) == 0)
            return choices[i].values;
    return NULL;
}

static double number_value(const SweepParameter *parameter, const TrainingOptions *options)
{
    char *text = option_text(parameter->option, options);
    double value = strtod(text, NULL);
    free(text);
    return value;
}

/* Raises the option to value, where that is more. */
static Status raise_number(const SweepParameter *parameter, const char *text, double value, TrainingOptions *options,
                           Diagnostic *diagnostic)
{
    if (value <= number_value(parameter, options))
        return STATUS_OK;
    return text ? option_set(parameter->option, options, text, diagnostic)
                : sampler_set_number(parameter, value, options, diagnostic);
}

static Status take_growing(const SweepParameter *parameter, TrainingOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (parameter->values.count == 0) {
        double highest = fmin(sampler_dimension(parameter).high, parameter->option->maximum);
        if (parameter->conditions.count > 0)
            return raise_number(parameter, NULL, highest, options, diagnostic);
        return sampler_set_number(parameter, highest, options, diagnostic);
    }
    for (size_t i = 0; i < parameter->values.count; i++) {
        const char *text = parameter->values.items[i];
        if (i == 0 && parameter->conditions.count == 0)
            TRY(option_set(parameter->option, options, text, diagnostic));
        else
            TRY(raise_number(parameter, text, strtod(text, NULL), options, diagnostic));
    }
out:
    return status;
}

/* value: as option_text has it. The parameter's own may be written otherwise ("no"). */
static bool has_value(const SweepParameter *parameter, const TrainingOptions *options, const char *value)
{
    TrainingOptions taken = *options;
    bool has = false;
    for (size_t i = 0; i <= parameter->values.count && !has; i++) {
        bool by_default = i == parameter->values.count;
        if (by_default ? parameter->conditions.count == 0
                       : option_set(parameter->option, &taken, parameter->values.items[i], NULL) != STATUS_OK)
            continue;
        char *text = option_text(parameter->option, by_default ? options : &taken);
        has = strcmp(text, value) == 0;
        free(text);
    }
    return has;
}

static Status take_parameter(const SweepParameter *parameter, TrainingOptions *options, Diagnostic *diagnostic)
{
    const char *const *values = choice_values(parameter);
    if (is_growing(parameter))
        return take_growing(parameter, options, diagnostic);
    for (; values && *values; values++)
        if (has_value(parameter, options, *values))
            return option_set(parameter->option, options, *values, diagnostic);
    if (!values && parameter->values.count > 0 && parameter->conditions.count == 0)
        return option_set(parameter->option, options, parameter->values.items[0], diagnostic);
    return STATUS_OK;
}

Status sweep_largest_options(const Sweep *sweep, TrainingOptionsArray *largest, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TrainingOptions options;
    const SweepParameter *freezing = NULL;
    options_set_defaults(training_option_table(), &options);
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        const SweepParameter *parameter = &sweep->parameters[i];
        if (parameter->option->type == OPTION_FREEZE)
            freezing = parameter;
        else
            TRY(take_parameter(parameter, &options, diagnostic));
    }
    if (!freezing || freezing->conditions.count > 0)
        array_push(largest, options);
    for (size_t i = 0; freezing && i < freezing->values.count; i++) {
        TRY(option_set(freezing->option, &options, freezing->values.items[i], diagnostic));
        array_push(largest, options);
    }
out:
    return status;
}
