#include "coordinator/terminator.h"

#include <string.h>

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

/* ------------------------------------------------------------------------------------------------ entries */

/* Where an entry of this value and configuration stands or would stand. */
static size_t place_of(const Rung *rung, uint32_t configuration, double value)
{
    size_t low = 0, high = rung->entries.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const RungEntry *entry = &rung->entries.items[middle];
        bool before = entry->value > value || (entry->value == value && entry->configuration < configuration);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

void rung_add(Rung *rung, RungEntry entry)
{
    size_t place = place_of(rung, entry.configuration, entry.value);
    array_push(&rung->entries, entry);
    memmove(rung->entries.items + place + 1, rung->entries.items + place,
            (rung->entries.count - 1 - place) * sizeof *rung->entries.items);
    rung->entries.items[place] = entry;
    if (!entry.promoted && place < rung->first_waiting)
        rung->first_waiting = place;
    else if (place < rung->first_waiting)
        rung->first_waiting++;
}

RungEntry *rung_find(const Rung *rung, uint32_t configuration, double value)
{
    size_t place = place_of(rung, configuration, value);
    if (place < rung->entries.count && rung->entries.items[place].configuration == configuration)
        return &rung->entries.items[place];
    return NULL;
}

void rung_promote(Rung *rung, RungEntry *entry)
{
    entry->promoted = true;
    while (rung->first_waiting < rung->entries.count && rung->entries.items[rung->first_waiting].promoted)
        rung->first_waiting++;
}

/* ------------------------------------------------------------------------------------------------ rules */

const RungEntry *rung_promotable(Rung *rung, int64_t eta)
{
    while (rung->first_waiting < rung->entries.count && rung->entries.items[rung->first_waiting].promoted)
        rung->first_waiting++;
    return rung->first_waiting < rung->entries.count / (size_t)eta ? &rung->entries.items[rung->first_waiting] : NULL;
}

static bool is_other(const RungEntry *candidate, const RungEntry *entry, uint32_t below)
{
    return candidate != entry && candidate->configuration < below;
}

static bool is_above_median(const Rung *rung, const RungEntry *entry, size_t others, uint32_t below)
{
    double upper = 0, lower = 0;
    size_t seen = 0;
    for (size_t i = 0; i < rung->entries.count; i++) {
        if (!is_other(&rung->entries.items[i], entry, below))
            continue;
        if (seen == (others - 1) / 2)
            upper = rung->entries.items[i].value;
        if (seen == others / 2)
            lower = rung->entries.items[i].value;
        seen++;
    }
    return entry->best >= 0.5 * (upper + lower);
}

bool rung_keeps(const Rung *rung, const RungEntry *entry, const EarlyTermination *termination, uint32_t below)
{
    size_t others = 0, better = 0;
    for (size_t i = 0; i < rung->entries.count; i++)
        if (is_other(&rung->entries.items[i], entry, below)) {
            others++;
            better += &rung->entries.items[i] < entry;
        }
    if (termination->rule == TERMINATION_MEDIAN)
        return others < (size_t)termination->min_trials || is_above_median(rung, entry, others, below);
    size_t kept = (others + 1) / (size_t)termination->eta;
    return better < (kept ? kept : 1);
}
