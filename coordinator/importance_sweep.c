/* A sweep's journal as the points of importance.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/importance.h"
#include "coordinator/journal_fold.h"
#include "coordinator/sweep_internal.h"

/* A searched parameter, as the journal's sweep has it. */
typedef struct Axis {
    const char *name;
    const Json *values;     /* of a choice: their texts */
    double low, high;       /* of a number, on its scale */
    double mean, deviation; /* deviation > 0: a normal distribution */
    bool logarithmic;
} Axis;
typedef ARRAY(Axis) AxisArray;

static Axis axis_of(const char *name, const Json *parameter)
{
    const char *distribution = json_string_value(json_get(parameter, "distribution"));
    Axis axis = {.name = name,
                 .values = json_get(parameter, "values"),
                 .low = json_number_value(json_get(parameter, "min"), 0),
                 .high = json_number_value(json_get(parameter, "max"), 0),
                 .mean = json_number_value(json_get(parameter, "mu"), 0),
                 .deviation = json_number_value(json_get(parameter, "sigma"), 0)};
    axis.logarithmic = distribution && strstr(distribution, "log");
    if (axis.logarithmic && axis.low > 0) {
        axis.low = log(axis.low);
        axis.high = log(axis.high);
    }
    return axis;
}

/* Those that every configuration has, and that take more than one value. */
static void find_axes(const SweepCore *core, AxisArray *axes)
{
    const Json *parameters = json_get(json_get(core->sweep_json, "identity"), "parameters");
    for (const char *key = json_next_key(parameters, NULL); key; key = json_next_key(parameters, key)) {
        const Json *parameter = json_get(parameters, key);
        Axis axis = axis_of(key, parameter);
        bool varies = axis.values ? json_count(axis.values) > 1 : axis.deviation > 0 || axis.high > axis.low;
        if (varies && !json_get(parameter, "when"))
            array_push(axes, axis);
    }
}

/* The number of the value among the axis's texts, or its place from 0 to 1 on the scale. */
static double place_on(const Axis *axis, const Json *value)
{
    if (axis->values) {
        char *text = json_is_string(value) ? memory_copy_string(json_string_value(value)) : sweep_value_text(value);
        double place = 0;
        for (size_t i = 0; i < json_count(axis->values); i++) {
            const char *known = json_string_value(json_at(axis->values, i));
            char *end;
            bool equal = known && (strcmp(known, text) == 0 ||
                                   (json_is_number(value) && strtod(known, &end) == json_number_value(value, 0) && *end == '\0'));
            place = equal ? (double)i : place;
        }
        free(text);
        return place;
    }
    double number = json_number_value(value, 0);
    if (axis->deviation > 0)
        return 0.5 * erfc(-(number - axis->mean) / axis->deviation / sqrt(2.0));
    number = axis->logarithmic ? log(number) : number;
    return fmin(fmax((number - axis->low) / (axis->high - axis->low), 0), 1);
}

typedef ARRAY(double) DoubleArray;

static void collect(const SweepCore *core, const AxisArray *axes, DoubleArray *points, DoubleArray *scores)
{
    for (uint32_t c = 0; c < core->configurations.count && scores->count < IMPORTANCE_POINT_LIMIT; c++) {
        ConfigurationResult result = sweep_core_configuration_result(core, c);
        if (result.outcome != CONFIGURATION_COMPLETE)
            continue;
        Json *parameters = sweep_core_parameters(core, c * (uint32_t)core->settings.seeds.count);
        for (size_t a = 0; a < axes->count; a++) {
            double place = place_on(&axes->items[a], json_get(parameters, axes->items[a].name));
            array_push(points, place);
        }
        array_push(scores, result.score);
        json_destroy(&parameters);
    }
}

typedef struct Share {
    const char *name;
    double share;
} Share;

static int compare_shares(const void *a, const void *b)
{
    const Share *left = a, *right = b;
    if (left->share != right->share)
        return left->share > right->share ? -1 : 1;
    return strcmp(left->name, right->name);
}

static Json *shares_json(const AxisArray *axes, const DoubleArray *points, const DoubleArray *scores)
{
    int32_t *choices = memory_allocate(axes->count + 1, sizeof *choices);
    double *values = memory_allocate(axes->count + 1, sizeof *values);
    Share *shares = memory_allocate(axes->count + 1, sizeof *shares);
    for (size_t a = 0; a < axes->count; a++)
        choices[a] = (int32_t)json_count(axes->items[a].values);
    importance_shares(choices, axes->count, points->items, scores->items, scores->count, 0, values);
    for (size_t a = 0; a < axes->count; a++)
        shares[a] = (Share){axes->items[a].name, values[a]};
    qsort(shares, axes->count, sizeof *shares, compare_shares);
    Json *json = json_object(), *list = json_array();
    for (size_t a = 0; a < axes->count; a++) {
        Json *entry = json_object();
        json_set(entry, "parameter", json_string(shares[a].name));
        json_set(entry, "share", json_real(shares[a].share));
        json_append(list, entry);
    }
    json_set(json, "method", json_string("fanova"));
    json_set(json, "configurations", json_integer((int64_t)scores->count));
    json_set(json, "parameters", list);
    free(choices);
    free(values);
    free(shares);
    return json;
}

Status sweep_importance_read(const char *sweep_folder, Json **importance, Diagnostic *diagnostic)
{
    SweepCore *core = NULL;
    AxisArray axes = {0};
    DoubleArray points = {0}, scores = {0};
    *importance = NULL;
    Status status = journal_fold_read(NULL, sweep_folder, &core, NULL, diagnostic);
    if (status != STATUS_OK)
        return status;
    find_axes(core, &axes);
    collect(core, &axes, &points, &scores);
    if (scores.count < IMPORTANCE_POINT_MINIMUM)
        status = FAIL(diagnostic, STATUS_NOT_FOUND,
                      "%zu configurations were trained to their end; how much a parameter matters can be said from %d on",
                      scores.count, IMPORTANCE_POINT_MINIMUM);
    else
        *importance = shares_json(&axes, &points, &scores);
    array_free(&axes);
    array_free(&points);
    array_free(&scores);
    sweep_core_destroy(&core);
    return status;
}
