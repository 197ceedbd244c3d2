/* Spaces and histories of TPE from JSON, for the golden test and for the program that the parity test speaks with. */
#ifndef NERSWEEP_TESTS_COORDINATOR_TPE_JSON_H
#define NERSWEEP_TESTS_COORDINATOR_TPE_JSON_H

#include "coordinator/tpe.h"
#include "core/base/memory.h"
#include "core/io/json.h"

typedef struct TpeCase {
    size_t dimension_count;
    ParzenDimension *space;
    double *values; /* [history.count, dimension_count] */
    TpeObservation *observations;
    TpeHistory history; /* split */
} TpeCase;

/* space: [{"kind", "low", "high", "step", "choices"}]; history: [{"outcome", "score", "step", "values"}]. */
void tpe_case_read(TpeCase *item, const Json *space, const Json *history);
void tpe_case_free(TpeCase *item);
/* *numbers: [json_count(list)], NaN where the list has null; the caller frees them. */
void tpe_json_numbers(const Json *list, double *numbers);
size_t tpe_json_chosen(const Json *list, uint32_t chosen[64]);

#endif
