/* The sampler tpe: a sweep's parameters as the space of tpe.h. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/sampler.h"

enum { JOINT_STREAM = 1, FIRST_STREAM = 2, NORMAL_DEVIATIONS = 4 };

ParzenDimension sampler_dimension(const SweepParameter *parameter)
{
    ParzenDimension dimension = {.kind = PARZEN_NUMBER, .low = parameter->minimum, .high = parameter->maximum};
    switch (parameter->kind) {
    case DISTRIBUTION_VALUE:
    case DISTRIBUTION_VALUES:
        return (ParzenDimension){.kind = PARZEN_CHOICE, .choices = (int32_t)parameter->values.count};
    case DISTRIBUTION_INT_UNIFORM:
        dimension.step = 1;
        break;
    case DISTRIBUTION_LOG_UNIFORM_VALUES:
        dimension.kind = PARZEN_LOG_NUMBER;
        break;
    case DISTRIBUTION_Q_LOG_UNIFORM_VALUES:
        dimension.kind = PARZEN_LOG_NUMBER;
        /* fall through */
    case DISTRIBUTION_Q_UNIFORM:
        sampler_multiples(parameter, &dimension.low, &dimension.high);
        dimension.low *= parameter->q;
        dimension.high *= parameter->q;
        dimension.step = parameter->q;
        if (dimension.kind == PARZEN_LOG_NUMBER)
            dimension.low = fmax(dimension.low, dimension.step); /* 0 has no logarithm */
        break;
    case DISTRIBUTION_NORMAL:
        dimension.low = parameter->mean - NORMAL_DEVIATIONS * parameter->deviation;
        dimension.high = parameter->mean + NORMAL_DEVIATIONS * parameter->deviation;
        dimension.prior_deviation = parameter->deviation;
        break;
    case DISTRIBUTION_UNIFORM:
        break;
    }
    return dimension;
}

/* A parameter with one value only needs no model. */
static bool is_single(const ParzenDimension *dimension)
{
    return dimension->kind == PARZEN_CHOICE ? dimension->choices == 1 : dimension->low >= dimension->high;
}

static Status set_value(const Sweep *sweep, uint32_t configuration, uint32_t index, double value, TrainingOptions *options,
                        Diagnostic *diagnostic)
{
    const SweepParameter *parameter = &sweep->parameters[index];
    if (parameter->kind <= DISTRIBUTION_VALUES)
        return option_set(parameter->option, options, parameter->values.items[(size_t)value], diagnostic);
    if (parameter->kind == DISTRIBUTION_NORMAL && !sampler_accepts(parameter, value, NULL)) /* its tail is no value of the option */
        return sampler_draw_random(sweep, configuration, index, options, diagnostic);
    return sampler_set_number(parameter, value, options, diagnostic);
}

/* One parameter on its own, as those with conditions always are: the others say nothing of where it is missing. */
static Status propose_alone(const Sweep *sweep, uint32_t configuration, uint32_t index, const TpeHistory *past,
                            const ParzenDimension *space, double *values, TrainingOptions *options, Diagnostic *diagnostic)
{
    PhiloxKey key = philox_key(sweep->search_seed, RANDOM_SEARCH, configuration);
    values[index] = space[index].kind == PARZEN_CHOICE ? 0 : space[index].low;
    if (!is_single(&space[index]))
        tpe_propose(past, space, &index, 1, key, FIRST_STREAM + index, values);
    return set_value(sweep, configuration, index, values[index], options, diagnostic);
}

Status sampler_propose_tpe(const Sweep *sweep, uint32_t configuration, const TpeHistory *past, TrainingOptions *options,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t count = sweep->parameter_count, joint_count = 0;
    PhiloxKey key = philox_key(sweep->search_seed, RANDOM_SEARCH, configuration);
    if (!past || (int64_t)tpe_ended_count(past) < sweep->search.startup_trials)
        return sampler_find(SEARCH_RANDOM)->propose(sweep, configuration, NULL, options, diagnostic);
    ParzenDimension *space = memory_allocate(count + 1, sizeof *space);
    uint32_t *joint = memory_allocate(count + 1, sizeof *joint);
    double *values = memory_allocate(count + 1, sizeof *values);
    bool *done = memory_allocate(count + 1, sizeof *done);
    for (uint32_t i = 0; i < count; i++) {
        space[i] = sampler_dimension(&sweep->parameters[i]);
        done[i] = sweep->search.multivariate && sweep->parameters[i].conditions.count == 0 && !is_single(&space[i]);
        if (done[i])
            joint[joint_count++] = i;
    }
    if (joint_count)
        tpe_propose(past, space, joint, joint_count, key, JOINT_STREAM, values);
    for (uint32_t i = 0; i < count; i++) {
        if (done[i])
            TRY(set_value(sweep, configuration, i, values[i], options, diagnostic));
        else if (sweep_parameter_active(sweep, i, options))
            TRY(propose_alone(sweep, configuration, i, past, space, values, options, diagnostic));
    }
out:
    free(space);
    free(joint);
    free(values);
    free(done);
    return status;
}
