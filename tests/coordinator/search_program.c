/* What the parity tests speak with: a JSON object a line in, one out.
 *   {"space", "history", "chosen", "points"}         -> {"good": [..], "bad": [..]}: log-densities
 *   {"space", "history", "sets": [chosen..], "seed", "number"} -> {"values": [..]}: TPE's proposal, one set of dimensions after the other
 *   {"choices", "points", "scores"}                  -> {"shares": [..]}: importance
 *   {"sobol": [points, dimensions]}                  -> {"points": [[..]]} */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/importance.h"
#include "coordinator/sobol.h"
#include "tests/coordinator/tpe_json.h"

static Json *log_densities(const Parzen *parzen, const Json *points)
{
    Json *list = json_array();
    double point[64];
    for (size_t p = 0; p < json_count(points); p++) {
        tpe_json_numbers(json_at(points, p), point);
        json_append(list, json_real(parzen_log_density(parzen, point)));
    }
    return list;
}

static Json *densities(const TpeCase *item, const Json *request)
{
    uint32_t chosen[64];
    Parzen *good, *bad;
    Json *answer = json_object();
    size_t count = tpe_json_chosen(json_get(request, "chosen"), chosen);
    tpe_densities(&item->history, item->space, chosen, count, &good, &bad);
    json_set(answer, "good", log_densities(good, json_get(request, "points")));
    json_set(answer, "bad", log_densities(bad, json_get(request, "points")));
    parzen_destroy(&good);
    parzen_destroy(&bad);
    return answer;
}

static Json *proposal(const TpeCase *item, const Json *request)
{
    const Json *sets = json_get(request, "sets");
    PhiloxKey key = philox_key((uint64_t)json_integer_value(json_get(request, "seed"), 0), RANDOM_SEARCH,
                               (uint32_t)json_integer_value(json_get(request, "number"), 0));
    double values[64] = {0};
    for (size_t s = 0; s < json_count(sets); s++) {
        uint32_t chosen[64];
        size_t count = tpe_json_chosen(json_at(sets, s), chosen);
        tpe_propose(&item->history, item->space, chosen, count, key, (uint32_t)s + 1, values);
    }
    Json *answer = json_object(), *list = json_array();
    for (size_t d = 0; d < item->dimension_count; d++)
        json_append(list, json_real(values[d]));
    json_set(answer, "values", list);
    return answer;
}

static Json *sobol(const Json *size)
{
    Json *answer = json_object(), *points = json_array();
    for (uint32_t i = 0; i < json_integer_value(json_at(size, 0), 0); i++) {
        Json *point = json_array();
        for (uint32_t d = 0; d < json_integer_value(json_at(size, 1), 0); d++)
            json_append(point, json_real(sobol_coordinate(i, d) * 0x1p-32));
        json_append(points, point);
    }
    json_set(answer, "points", points);
    return answer;
}

static Json *importance(const Json *request)
{
    const Json *points = json_get(request, "points");
    size_t dimensions = json_count(json_get(request, "choices")), count = json_count(points);
    uint32_t choices[64];
    double shares[64], *scores = memory_allocate(count + 1, sizeof *scores);
    double *values = memory_allocate(count * dimensions + 1, sizeof *values);
    (void)tpe_json_chosen(json_get(request, "choices"), choices);
    tpe_json_numbers(json_get(request, "scores"), scores);
    for (size_t i = 0; i < count; i++)
        tpe_json_numbers(json_at(points, i), values + i * dimensions);
    importance_shares((const int32_t *)choices, dimensions, values, scores, count, 1, shares);
    Json *answer = json_object(), *list = json_array();
    for (size_t d = 0; d < dimensions; d++)
        json_append(list, json_real(shares[d]));
    json_set(answer, "shares", list);
    free(scores);
    free(values);
    return answer;
}

static Json *answer_to(const Json *request)
{
    if (json_get(request, "sobol"))
        return sobol(json_get(request, "sobol"));
    if (json_get(request, "choices"))
        return importance(request);
    TpeCase item;
    tpe_case_read(&item, json_get(request, "space"), json_get(request, "history"));
    Json *answer = json_get(request, "points") ? densities(&item, request) : proposal(&item, request);
    tpe_case_free(&item);
    return answer;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        Json *request = NULL;
        Diagnostic diagnostic = {0};
        if (json_parse(&request, line, (size_t)size, "request", &diagnostic) != STATUS_OK) {
            fprintf(stderr, "%s\n", diagnostic.message);
            return 1;
        }
        Json *answer = answer_to(request);
        char *text = json_text(answer, JSON_COMPACT);
        puts(text);
        fflush(stdout);
        free(text);
        json_destroy(&answer);
        json_destroy(&request);
    }
    free(line);
    return 0;
}
