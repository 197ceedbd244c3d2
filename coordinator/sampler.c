#include "coordinator/sampler.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/sobol.h"
#include "coordinator/sweep_internal.h"
#include "core/base/philox.h"

enum { REDRAW_LIMIT = 1000, SOBOL_STREAM = UINT16_MAX };

static const double NORMAL_REACH = 8; /* deviations: what lies beyond is never drawn in a sweep's life */

static const double two_pi = 6.283185307179586476925286766559;

/* ------------------------------------------------------------------------------------------------ grid */

/* Whether the conditions of a parameter hold with these choices: [parameter_count], -1 where a parameter is not there. */
static bool grid_active(const Sweep *sweep, size_t parameter, const int64_t *choices)
{
    const SweepParameter *item = &sweep->parameters[parameter];
    for (size_t c = 0; c < item->conditions.count; c++) {
        const SweepCondition *condition = &item->conditions.items[c];
        int64_t choice = choices[condition->parameter];
        bool holds = false;
        for (size_t i = 0; choice >= 0 && i < condition->values.count && !holds; i++)
            holds = strcmp(condition->values.items[i], sweep->parameters[condition->parameter].values.items[choice]) == 0;
        if (!holds)
            return false;
    }
    return true;
}

static bool is_asked_for(const Sweep *sweep, size_t parameter)
{
    for (size_t i = parameter + 1; i < sweep->parameter_count; i++)
        for (size_t c = 0; c < sweep->parameters[i].conditions.count; c++)
            if (sweep->parameters[i].conditions.items[c].parameter == parameter)
                return true;
    return false;
}

/* How many configurations there are of the parameters from `parameter` on, given the choices before; too many are one above the limit. Goes
 * through the choices of those parameters alone that others depend on. */
static int64_t grid_count_from(const Sweep *sweep, size_t parameter, int64_t *choices)
{
    if (parameter == sweep->parameter_count)
        return 1;
    int64_t values = (int64_t)sweep->parameters[parameter].values.count, count = 0;
    choices[parameter] = -1;
    if (!grid_active(sweep, parameter, choices))
        return grid_count_from(sweep, parameter + 1, choices);
    if (!is_asked_for(sweep, parameter)) {
        choices[parameter] = 0;
        count = values * grid_count_from(sweep, parameter + 1, choices); /* no product of two such numbers overflows */
    } else {
        for (int64_t value = 0; value < values && count <= SWEEP_CONFIGURATION_LIMIT; value++) {
            choices[parameter] = value;
            count += grid_count_from(sweep, parameter + 1, choices);
        }
    }
    return count > SWEEP_CONFIGURATION_LIMIT ? SWEEP_CONFIGURATION_LIMIT + 1 : count;
}

static int64_t grid_count(const Sweep *sweep)
{
    int64_t *choices = memory_allocate(sweep->parameter_count + 1, sizeof *choices), count = grid_count_from(sweep, 0, choices);
    free(choices);
    return count;
}

/* The parameter's choice in configuration *rest of those that are left; *rest becomes its number among those with this choice. */
static int64_t grid_choose(const Sweep *sweep, size_t parameter, int64_t *choices, int64_t *rest)
{
    int64_t last = (int64_t)sweep->parameters[parameter].values.count - 1, value = 0, below;
    if (!is_asked_for(sweep, parameter)) {
        choices[parameter] = 0;
        below = grid_count_from(sweep, parameter + 1, choices);
        value = *rest / below < last ? *rest / below : last;
        *rest -= value * below;
        return value;
    }
    for (; value < last; value++) {
        choices[parameter] = value;
        below = grid_count_from(sweep, parameter + 1, choices);
        if (*rest < below)
            break;
        *rest -= below;
    }
    return value;
}

/* The cartesian product in the file's order, the last parameter fastest; without those whose conditions do not hold. */
static Status grid_propose(const Sweep *sweep, uint32_t configuration, const TpeHistory *past, TrainingOptions *options,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t rest = configuration, *choices = memory_allocate(sweep->parameter_count + 1, sizeof *choices);
    (void)past;
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        const SweepParameter *parameter = &sweep->parameters[i];
        choices[i] = -1;
        if (!grid_active(sweep, i, choices))
            continue;
        choices[i] = grid_choose(sweep, i, choices, &rest);
        TRY(option_set(parameter->option, options, parameter->values.items[choices[i]], diagnostic));
    }
out:
    free(choices);
    return status;
}

/* ------------------------------------------------------------------------------------------------ random */

static int64_t random_count(const Sweep *sweep)
{
    (void)sweep;
    return -1;
}

/* 0.3 / 0.1 is a little below 3: an end that is a multiple but for rounding counts as one. */
void sampler_multiples(const SweepParameter *parameter, double *low, double *high)
{
    static const double rounding = 1e-9;
    *low = ceil(parameter->minimum / parameter->q - rounding);
    *high = floor(parameter->maximum / parameter->q + rounding);
}

static double quantise(double value, const SweepParameter *parameter)
{
    double low, high;
    sampler_multiples(parameter, &low, &high);
    return fmin(fmax(round(value / parameter->q), low), high) * parameter->q;
}

/* words: two of them make the uniform number. */
static double draw_bounded(const SweepParameter *parameter, const uint32_t words[2])
{
    double u = philox_uniform_double(words[0], words[1]), low = parameter->minimum, high = parameter->maximum;
    switch (parameter->kind) {
    case DISTRIBUTION_INT_UNIFORM:
        return low + (double)philox_uniform_below(words[0], words[1], (uint64_t)(high - low) + 1);
    case DISTRIBUTION_Q_UNIFORM:
        return quantise(low + u * (high - low), parameter);
    case DISTRIBUTION_LOG_UNIFORM_VALUES:
        return fmin(fmax(exp(log(low) + u * (log(high) - log(low))), low), high);
    case DISTRIBUTION_Q_LOG_UNIFORM_VALUES:
        return quantise(exp(log(low) + u * (log(high) - log(low))), parameter);
    default:
        return low + u * (high - low);
    }
}

/* Box and Muller 1958; 1 - u is never 0. */
static double draw_normal(const SweepParameter *parameter, PhiloxBlock block)
{
    double u = philox_uniform_double(block.word[0], block.word[1]), v = philox_uniform_double(block.word[2], block.word[3]);
    return parameter->mean + parameter->deviation * sqrt(-2.0 * log(1.0 - u)) * cos(two_pi * v);
}

/* Twelve digits: more than anybody tunes, and short of where the mathematical libraries of two machines may differ. */
Status sampler_set_number(const SweepParameter *parameter, double value, TrainingOptions *options, Diagnostic *diagnostic)
{
    char text[64];
    snprintf(text, sizeof text, parameter->option->type == OPTION_REAL ? "%.12g" : "%.0f", value);
    return option_set(parameter->option, options, text, diagnostic);
}

bool sampler_accepts(const SweepParameter *parameter, double value, Diagnostic *diagnostic)
{
    TrainingOptions alone;
    options_set_defaults(training_option_table(), &alone);
    return sampler_set_number(parameter, value, &alone, diagnostic) == STATUS_OK &&
           training_options_validate(&alone, diagnostic) == STATUS_OK;
}

/* Sobol's point, moved by a shift of the search seed's in each dimension (Cranley and Patterson 1976, on bits), stays as evenly spread. */
static void sobol_words(const Sweep *sweep, uint32_t configuration, uint32_t parameter, uint32_t words[2])
{
    PhiloxBlock shift = philox4x32_10(philox_key(sweep->search_seed, RANDOM_SEARCH, 0), parameter, 0, SOBOL_STREAM, 0);
    words[0] = sobol_coordinate(configuration, parameter) ^ shift.word[0];
    words[1] = UINT32_C(1) << 31; /* the middle of the interval that 32 bits name */
}

/* A normal distribution reaches beyond what an option takes: such draws are drawn again. */
static Status random_normal(const Sweep *sweep, const SweepParameter *parameter, PhiloxKey key, uint32_t index,
                            const uint32_t words[2], TrainingOptions *options, Diagnostic *diagnostic)
{
    if (sweep->search.sobol) {
        double u = philox_uniform_double(words[0], words[1]);
        double value = parameter->mean + parameter->deviation * parzen_normal_quantile(u, -NORMAL_REACH, NORMAL_REACH);
        if (sampler_accepts(parameter, value, NULL))
            return sampler_set_number(parameter, value, options, diagnostic);
    }
    for (uint32_t draw = 0; draw < REDRAW_LIMIT; draw++) {
        double value = draw_normal(parameter, philox4x32_10(key, index, draw, 0, 0));
        if (sampler_accepts(parameter, value, NULL))
            return sampler_set_number(parameter, value, options, diagnostic);
    }
    return sampler_set_number(parameter, parameter->mean, options, diagnostic);
}

Status sampler_draw_random(const Sweep *sweep, uint32_t configuration, uint32_t index, TrainingOptions *options,
                           Diagnostic *diagnostic)
{
    const SweepParameter *parameter = &sweep->parameters[index];
    PhiloxKey key = philox_key(sweep->search_seed, RANDOM_SEARCH, configuration);
    PhiloxBlock block = philox4x32_10(key, index, 0, 0, 0);
    uint32_t words[2] = {block.word[0], block.word[1]};
    if (sweep->search.sobol)
        sobol_words(sweep, configuration, index, words);
    if (parameter->kind == DISTRIBUTION_VALUE || parameter->kind == DISTRIBUTION_VALUES) {
        uint64_t choice = philox_uniform_below(words[0], words[1], parameter->values.count);
        return option_set(parameter->option, options, parameter->values.items[choice], diagnostic);
    }
    if (parameter->kind == DISTRIBUTION_NORMAL)
        return random_normal(sweep, parameter, key, index, words, options, diagnostic);
    return sampler_set_number(parameter, draw_bounded(parameter, words), options, diagnostic);
}

static Status random_propose(const Sweep *sweep, uint32_t configuration, const TpeHistory *past, TrainingOptions *options,
                             Diagnostic *diagnostic)
{
    (void)past;
    for (uint32_t i = 0; i < sweep->parameter_count; i++) {
        if (!sweep_parameter_active(sweep, i, options))
            continue;
        Status status = sampler_draw_random(sweep, configuration, i, options, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ trials as points */

bool sampler_point(const Sweep *sweep, const Json *parameters, double *values)
{
    static const double rounding = 1e-9; /* of values written with twelve digits */
    TrainingOptions options;
    if (options_from_json(training_option_table(), &options, parameters, "parameters", NULL) != STATUS_OK)
        return false;
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        const SweepParameter *parameter = &sweep->parameters[i];
        bool active = sweep_parameter_active(sweep, i, &options);
        values[i] = NAN;
        if (!active)
            continue;
        if (!json_get(parameters, parameter->option->name))
            return false;
        char *text = option_text(parameter->option, &options);
        if (parameter->kind <= DISTRIBUTION_VALUES) {
            for (size_t v = 0; v < parameter->values.count; v++)
                if (strcmp(parameter->values.items[v], text) == 0)
                    values[i] = (double)v;
        } else {
            ParzenDimension range = sampler_dimension(parameter);
            double value = strtod(text, NULL), slack = rounding * fmax(fabs(range.low), fabs(range.high));
            if (parameter->kind == DISTRIBUTION_NORMAL || (value >= range.low - slack && value <= range.high + slack))
                values[i] = fmin(fmax(value, range.low), range.high);
        }
        free(text);
        if (isnan(values[i]))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------ all */

static const Sampler samplers[] = {
    [SEARCH_GRID] = {"grid", grid_count, grid_propose, false},
    [SEARCH_RANDOM] = {"random", random_count, random_propose, false},
    [SEARCH_TPE] = {"tpe", random_count, sampler_propose_tpe, true},
};

const Sampler *sampler_find(SearchMethod method)
{
    return &samplers[method];
}

static Status finish_options(const Sweep *sweep, uint32_t seed_index, TrainingOptions *options, Diagnostic *diagnostic)
{
    options->seed = (uint64_t)sweep->seeds.items[seed_index];
    options->save_total_limit = sweep->save_total_limit;
    return training_options_validate(options, diagnostic);
}

Status sampler_trial_options(const Sweep *sweep, uint32_t configuration, uint32_t seed_index, const TpeHistory *past,
                             TrainingOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    options_set_defaults(training_option_table(), options);
    TRY(sampler_find(sweep->method)->propose(sweep, configuration, past, options, diagnostic));
    TRY(finish_options(sweep, seed_index, options, diagnostic));
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "configuration %" PRIu32, configuration);
    return status;
}

Status sampler_other_seed(const Sweep *sweep, uint32_t seed_index, const char *options_json, TrainingOptions *options,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *json = NULL;
    TRY(json_parse(&json, options_json, strlen(options_json), "options", diagnostic));
    TRY(options_from_json(training_option_table(), options, json, "options", diagnostic));
    TRY(finish_options(sweep, seed_index, options, diagnostic));
out:
    json_destroy(&json);
    return status;
}
