#include "coordinator/tpe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

size_t tpe_ended_count(const TpeHistory *history)
{
    size_t ended = 0;
    for (size_t i = 0; i < history->count; i++)
        ended += history->observations[i].outcome != TPE_RUNNING;
    return ended;
}

/* ceil(n / 10) in whole numbers. */
static size_t good_count(size_t ended)
{
    size_t count = (ended + 9) / 10;
    return count < TPE_GOOD_LIMIT ? count : TPE_GOOD_LIMIT;
}

typedef struct RankedObservation {
    TpeObservation observation;
    size_t index;
} RankedObservation;

static int compare_observations(const void *a, const void *b)
{
    const RankedObservation *left = a, *right = b;
    const TpeObservation *x = &left->observation, *y = &right->observation;
    if (x->outcome != y->outcome)
        return x->outcome < y->outcome ? -1 : 1;
    if (x->outcome == TPE_STOPPED && x->last_step != y->last_step)
        return x->last_step > y->last_step ? -1 : 1;
    if (x->outcome != TPE_RUNNING && x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

void tpe_split(TpeHistory *history)
{
    RankedObservation *ranked = memory_allocate(history->count + 1, sizeof *ranked);
    for (size_t i = 0; i < history->count; i++) {
        ranked[i] = (RankedObservation){history->observations[i], i};
        history->good[i] = false;
    }
    qsort(ranked, history->count, sizeof *ranked, compare_observations);
    size_t good = good_count(tpe_ended_count(history));
    for (size_t i = 0; i < good; i++)
        history->good[ranked[i].index] = true;
    free(ranked);
}

static bool has_all(const TpeObservation *observation, const uint32_t *chosen, size_t chosen_count)
{
    for (size_t d = 0; d < chosen_count; d++)
        if (isnan(observation->values[chosen[d]]))
            return false;
    return true;
}

static Parzen *density_of(const TpeHistory *history, bool good, const ParzenDimension *space, const uint32_t *chosen,
                          size_t chosen_count)
{
    ParzenDimension *dimensions = memory_allocate(chosen_count + 1, sizeof *dimensions);
    double *values = memory_allocate(history->count * chosen_count + 1, sizeof *values);
    size_t count = 0;
    for (size_t d = 0; d < chosen_count; d++)
        dimensions[d] = space[chosen[d]];
    for (size_t i = 0; i < history->count; i++) {
        if (history->good[i] != good || !has_all(&history->observations[i], chosen, chosen_count))
            continue;
        for (size_t d = 0; d < chosen_count; d++)
            values[count * chosen_count + d] = history->observations[i].values[chosen[d]];
        count++;
    }
    Parzen *parzen = parzen_create(dimensions, chosen_count, values, count);
    free(dimensions);
    free(values);
    return parzen;
}

void tpe_densities(const TpeHistory *history, const ParzenDimension *space, const uint32_t *chosen, size_t chosen_count,
                   Parzen **good, Parzen **bad)
{
    *good = density_of(history, true, space, chosen, chosen_count);
    *bad = density_of(history, false, space, chosen, chosen_count);
}

void tpe_propose(const TpeHistory *history, const ParzenDimension *space, const uint32_t *chosen, size_t chosen_count,
                 PhiloxKey key, uint32_t stream, double *values)
{
    Parzen *good, *bad;
    double best = -INFINITY, *candidate = memory_allocate(chosen_count + 1, sizeof *candidate);
    tpe_densities(history, space, chosen, chosen_count, &good, &bad);
    for (uint32_t draw = 0; draw < TPE_CANDIDATES; draw++) {
        parzen_draw(good, key, draw, stream, candidate);
        double gain = parzen_log_density(good, candidate) - parzen_log_density(bad, candidate);
        if (draw > 0 && !(gain > best))
            continue;
        best = gain;
        for (size_t d = 0; d < chosen_count; d++)
            values[chosen[d]] = candidate[d];
    }
    free(candidate);
    parzen_destroy(&good);
    parzen_destroy(&bad);
}
