#include "coordinator/terminator.h"

/* ------------------------------------------------------------------------------------------------ rungs */

/* How often min_iter can be multiplied by eta until it is above max_iter. */
static uint32_t highest_bracket(const EarlyTermination *termination)
{
    uint32_t highest = 0;
    for (int64_t resource = termination->min_iter * termination->eta; resource <= termination->max_iter;
         resource *= termination->eta)
        highest++;
    return highest;
}

uint32_t terminator_bracket(const EarlyTermination *termination, uint32_t configuration)
{
    static const double golden_ratio = 0.61803398874989484820;
    if (termination->rule != TERMINATION_HYPERBAND)
        return 0;
    uint32_t highest = highest_bracket(termination);
    double shares[TERMINATOR_BRACKET_LIMIT], sum = 0, power = 1;
    for (uint32_t s = 0; s <= highest; s++, power *= (double)termination->eta) /* s: how many promotions a bracket has */
        sum += shares[highest - s] = (double)(highest + 1) / (double)(s + 1) * power;
    double point = (double)(configuration + 1) * golden_ratio; /* a sequence that fills [0, 1) evenly: brackets are interleaved */
    point = (point - (double)(int64_t)point) * sum;
    for (uint32_t bracket = 0; bracket < highest; bracket++) {
        if (point < shares[bracket])
            return bracket;
        point -= shares[bracket];
    }
    return highest;
}

int64_t terminator_resource(const EarlyTermination *termination, uint32_t bracket, uint32_t rung)
{
    if (termination->rule == TERMINATION_NONE)
        return 0;
    if (termination->rule == TERMINATION_MEDIAN)
        return termination->min_iter + rung;
    int64_t limit = termination->max_iter ? termination->max_iter : TERMINATOR_RUNG_LIMIT, resource = termination->min_iter;
    for (uint32_t i = 0; i < bracket + rung; i++) {
        if (resource >= limit)
            return 0;
        resource *= termination->eta;
    }
    if (resource < limit)
        return resource;
    return termination->max_iter; /* the top, wherever eta's powers fall; without one there is none */
}

bool terminator_is_top(const EarlyTermination *termination, int64_t resource)
{
    return termination->max_iter && resource >= termination->max_iter;
}

/* ------------------------------------------------------------------------------------------------ rules */

const RungEntry *rung_promotable(const Rung *rung, int64_t eta)
{
    size_t rank;
    const RungEntry *entry = rung_first_waiting(rung, &rank);
    return entry && rank < rung->count / (size_t)eta ? entry : NULL;
}

/* The others that count, as numbers. */
typedef struct Others {
    size_t count, better;
    double upper, lower; /* the two values in their middle */
} Others;

/* All but the entry itself count. */
static Others all_others(const Rung *rung, const RungEntry *entry)
{
    Others others = {.count = rung->count - 1, .better = rung_rank(rung, entry)};
    if (others.count == 0)
        return others;
    size_t upper = (others.count - 1) / 2, lower = others.count / 2;
    others.upper = rung_at(rung, upper + (upper >= others.better))->value;
    others.lower = rung_at(rung, lower + (lower >= others.better))->value;
    return others;
}

/* Those of configurations below one: in the logical order, where what lies behind is looked through anyway. */
static Others others_below(const Rung *rung, const RungEntry *entry, uint32_t below)
{
    Others others = {0};
    size_t better = 0;
    for (size_t b = 0; b < rung->blocks.count; b++)
        for (uint32_t i = 0; i < rung->blocks.items[b].count; i++) {
            const RungEntry *other = &rung->blocks.items[b].entries[i];
            if (other == entry)
                others.better = better;
            else if (other->configuration < below)
                better++;
        }
    others.count = better;
    for (size_t b = 0, seen = 0; b < rung->blocks.count; b++)
        for (uint32_t i = 0; i < rung->blocks.items[b].count; i++) {
            const RungEntry *other = &rung->blocks.items[b].entries[i];
            if (other == entry || other->configuration >= below)
                continue;
            if (seen == (others.count - 1) / 2)
                others.upper = other->value;
            if (seen == others.count / 2)
                others.lower = other->value;
            seen++;
        }
    return others;
}

bool rung_keeps(const Rung *rung, const RungEntry *entry, const EarlyTermination *termination, uint32_t below)
{
    Others others = below == UINT32_MAX ? all_others(rung, entry) : others_below(rung, entry, below);
    if (termination->rule == TERMINATION_MEDIAN)
        return others.count < (size_t)termination->min_trials || entry->best >= 0.5 * (others.upper + others.lower);
    size_t kept = (others.count + 1) / (size_t)termination->eta;
    return others.better < (kept ? kept : 1);
}
