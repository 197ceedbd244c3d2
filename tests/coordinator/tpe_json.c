#include "tests/coordinator/tpe_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ParzenDimension dimension_of(const Json *json)
{
    ParzenDimension dimension = {.low = json_number_value(json_get(json, "low"), 0),
                                 .high = json_number_value(json_get(json, "high"), 0),
                                 .step = json_number_value(json_get(json, "step"), 0),
                                 .choices = (int32_t)json_integer_value(json_get(json, "choices"), 0)};
    const char *kind = json_string_value(json_get(json, "kind"));
    dimension.kind = strcmp(kind, "log") == 0 ? PARZEN_LOG_NUMBER : strcmp(kind, "choice") == 0 ? PARZEN_CHOICE : PARZEN_NUMBER;
    return dimension;
}

void tpe_json_numbers(const Json *list, double *numbers)
{
    for (size_t i = 0; i < json_count(list); i++)
        numbers[i] = json_number_value(json_at(list, i), NAN);
}

size_t tpe_json_chosen(const Json *list, uint32_t chosen[64])
{
    size_t count = json_count(list);
    ASSERT(count <= 64);
    for (size_t i = 0; i < count; i++)
        chosen[i] = (uint32_t)json_integer_value(json_at(list, i), 0);
    return count;
}

void tpe_case_read(TpeCase *item, const Json *space, const Json *history)
{
    size_t dimensions = json_count(space), count = json_count(history);
    *item = (TpeCase){.dimension_count = dimensions};
    item->space = memory_allocate(dimensions + 1, sizeof *item->space);
    item->values = memory_allocate(count * dimensions + 1, sizeof *item->values);
    item->observations = memory_allocate(count + 1, sizeof *item->observations);
    for (size_t d = 0; d < dimensions; d++)
        item->space[d] = dimension_of(json_at(space, d));
    for (size_t i = 0; i < count; i++) {
        const Json *json = json_at(history, i);
        const char *outcome = json_string_value(json_get(json, "outcome"));
        double *values = item->values + i * dimensions;
        tpe_json_numbers(json_get(json, "values"), values);
        item->observations[i] = (TpeObservation){.score = json_number_value(json_get(json, "score"), 0),
                                                 .last_step = json_integer_value(json_get(json, "step"), 0),
                                                 .values = values};
        item->observations[i].outcome = strcmp(outcome, "complete") == 0  ? TPE_COMPLETE
                                        : strcmp(outcome, "stopped") == 0 ? TPE_STOPPED
                                                                          : TPE_RUNNING;
    }
    item->history = (TpeHistory){item->observations, count, memory_allocate(count + 1, sizeof(bool))};
    tpe_split(&item->history);
}

void tpe_case_free(TpeCase *item)
{
    free(item->space);
    free(item->values);
    free(item->observations);
    free(item->history.good);
}
