#include "coordinator/sampler.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "coordinator/sweep_internal.h"
#include "core/base/philox.h"

enum { REDRAW_LIMIT = 1000 };

static const double two_pi = 6.283185307179586476925286766559;

/* ------------------------------------------------------------------------------------------------ grid */

static int64_t grid_count(const Sweep *sweep)
{
    int64_t count = 1;
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        count *= (int64_t)sweep->parameters[i].values.count;
        if (count > SWEEP_CONFIGURATION_LIMIT)
            return SWEEP_CONFIGURATION_LIMIT + 1; /* no product of two such numbers overflows */
    }
    return count;
}

/* The cartesian product in the file's order, the last parameter fastest. */
static Status grid_propose(const Sweep *sweep, uint32_t configuration, TrainingOptions *options, Diagnostic *diagnostic)
{
    uint64_t rest = configuration;
    for (size_t i = sweep->parameter_count; i-- > 0;) {
        const SweepParameter *parameter = &sweep->parameters[i];
        const char *text = parameter->values.items[rest % parameter->values.count];
        rest /= parameter->values.count;
        Status status = option_set(parameter->option, options, text, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
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

static double draw_real(const SweepParameter *parameter, PhiloxBlock block)
{
    double u = philox_uniform_double(block.word[0], block.word[1]), low = parameter->minimum, high = parameter->maximum;
    switch (parameter->kind) {
    case DISTRIBUTION_INT_UNIFORM:
        return low + (double)philox_uniform_below(block.word[0], block.word[1], (uint64_t)(high - low) + 1);
    case DISTRIBUTION_Q_UNIFORM:
        return quantise(low + u * (high - low), parameter);
    case DISTRIBUTION_LOG_UNIFORM_VALUES:
        return fmin(fmax(exp(log(low) + u * (log(high) - log(low))), low), high);
    case DISTRIBUTION_Q_LOG_UNIFORM_VALUES:
        return quantise(exp(log(low) + u * (log(high) - log(low))), parameter);
    case DISTRIBUTION_NORMAL: { /* Box and Muller 1958; 1 - u is never 0 */
        double v = philox_uniform_double(block.word[2], block.word[3]);
        return parameter->mean + parameter->deviation * sqrt(-2.0 * log(1.0 - u)) * cos(two_pi * v);
    }
    default:
        return low + u * (high - low);
    }
}

/* Twelve digits: more than anybody tunes, and short of where the mathematical libraries of two machines may differ. */
static Status set_real(const SweepParameter *parameter, double value, TrainingOptions *options, Diagnostic *diagnostic)
{
    char text[64];
    snprintf(text, sizeof text, parameter->option->type == OPTION_REAL ? "%.12g" : "%.0f", value);
    return option_set(parameter->option, options, text, diagnostic);
}

bool sampler_accepts(const SweepParameter *parameter, double value, Diagnostic *diagnostic)
{
    TrainingOptions alone;
    options_set_defaults(training_option_table(), &alone);
    return set_real(parameter, value, &alone, diagnostic) == STATUS_OK &&
           training_options_validate(&alone, diagnostic) == STATUS_OK;
}

static Status random_parameter(const Sweep *sweep, uint32_t configuration, uint32_t index, TrainingOptions *options,
                               Diagnostic *diagnostic)
{
    const SweepParameter *parameter = &sweep->parameters[index];
    PhiloxKey key = philox_key(sweep->search_seed, RANDOM_SEARCH, configuration);
    PhiloxBlock block = philox4x32_10(key, index, 0, 0, 0);
    if (parameter->kind == DISTRIBUTION_VALUE || parameter->kind == DISTRIBUTION_VALUES) {
        uint64_t choice = philox_uniform_below(block.word[0], block.word[1], parameter->values.count);
        return option_set(parameter->option, options, parameter->values.items[choice], diagnostic);
    }
    if (parameter->kind != DISTRIBUTION_NORMAL)
        return set_real(parameter, draw_real(parameter, block), options, diagnostic);
    /* A normal distribution reaches beyond what an option takes: such draws are drawn again. */
    for (uint32_t draw = 0; draw < REDRAW_LIMIT; draw++) {
        double value = draw_real(parameter, philox4x32_10(key, index, draw, 0, 0));
        if (sampler_accepts(parameter, value, NULL))
            return set_real(parameter, value, options, diagnostic);
    }
    return set_real(parameter, parameter->mean, options, diagnostic);
}

static Status random_propose(const Sweep *sweep, uint32_t configuration, TrainingOptions *options, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        Status status = random_parameter(sweep, configuration, (uint32_t)i, options, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ all */

static const Sampler samplers[] = {
    [SEARCH_GRID] = {"grid", grid_count, grid_propose},
    [SEARCH_RANDOM] = {"random", random_count, random_propose},
};

const Sampler *sampler_find(SearchMethod method)
{
    return (size_t)method < sizeof samplers / sizeof *samplers ? &samplers[method] : NULL;
}

Status sampler_trial_options(const Sweep *sweep, uint32_t configuration, uint32_t seed_index, TrainingOptions *options,
                             Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    options_set_defaults(training_option_table(), options);
    TRY(sampler_find(sweep->method)->propose(sweep, configuration, options, diagnostic));
    options->seed = (uint64_t)sweep->seeds.items[seed_index];
    options->save_total_limit = sweep->save_total_limit;
    TRY(training_options_validate(options, diagnostic));
out:
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "configuration %" PRIu32, configuration);
    return status;
}
