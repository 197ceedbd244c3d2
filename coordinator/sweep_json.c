/* The resolved sweep as JSON, its identity, and how two of them differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/sweep_internal.h"
#include "core/io/hash.h"

enum { SWEEP_FORMAT = 1 };

static Json *corpora_json(const NamedPath *corpora, size_t count)
{
    Json *object = json_object();
    for (size_t i = 0; i < count; i++)
        json_set(object, corpora[i].name, json_string(corpora[i].path));
    return object;
}

static Json *parameter_json(const SweepParameter *parameter)
{
    Json *json = json_object();
    json_set(json, "distribution", json_string(sweep_distribution_name(parameter->kind)));
    if (parameter->kind <= DISTRIBUTION_VALUES) {
        Json *values = json_array();
        for (size_t i = 0; i < parameter->values.count; i++)
            json_append(values, json_string(parameter->values.items[i]));
        json_set(json, "values", values);
    } else if (parameter->kind == DISTRIBUTION_NORMAL) {
        json_set(json, "mu", json_real(parameter->mean));
        json_set(json, "sigma", json_real(parameter->deviation));
    } else {
        json_set(json, "min", json_real(parameter->minimum));
        json_set(json, "max", json_real(parameter->maximum));
        if (parameter->kind == DISTRIBUTION_Q_UNIFORM || parameter->kind == DISTRIBUTION_Q_LOG_UNIFORM_VALUES)
            json_set(json, "q", json_real(parameter->q));
    }
    return json;
}

static Json *texts_json(const StringArray *texts)
{
    Json *json = json_array();
    for (size_t i = 0; i < texts->count; i++)
        json_append(json, json_string(texts->items[i]));
    return json;
}

static Json *conditions_json(const Sweep *sweep, const SweepParameter *parameter)
{
    Json *json = json_object();
    for (size_t i = 0; i < parameter->conditions.count; i++) {
        const SweepCondition *condition = &parameter->conditions.items[i];
        json_set(json, sweep->parameters[condition->parameter].option->name, texts_json(&condition->values));
    }
    return json;
}

/* What a sweep does not use is left out: a sweep that was begun before there was such a thing keeps its identity. */
static void set_search(Json *identity, const Sweep *sweep)
{
    static const char *const rules[] = {"none", "asha", "hyperband", "median"};
    const EarlyTermination *termination = &sweep->early_termination;
    Json *search = json_object();
    if (sweep->search.sobol)
        json_set(search, "sobol", json_boolean(true));
    if (sweep->method == SEARCH_TPE) {
        json_set(search, "multivariate", json_boolean(sweep->search.multivariate));
        json_set(search, "startup_trials", json_integer(sweep->search.startup_trials));
    }
    if (sweep_waits_in_order(sweep))
        json_set(search, "lag", json_integer(sweep->search.lag));
    if (json_count(search))
        json_set(identity, "search", search);
    else
        json_destroy(&search);
    if (sweep->warm_start.count)
        json_set(identity, "warm_start", texts_json(&sweep->warm_start));
    if (termination->rule == TERMINATION_NONE)
        return;
    Json *early = json_object();
    json_set(early, "type", json_string(rules[termination->rule]));
    json_set(early, "min_iter", json_integer(termination->min_iter));
    if (termination->rule == TERMINATION_MEDIAN) {
        json_set(early, "min_trials", json_integer(termination->min_trials));
    } else {
        json_set(early, "max_iter", json_integer(termination->max_iter));
        json_set(early, "eta", json_integer(termination->eta));
    }
    json_set(identity, "early_terminate", early);
}

static Json *metric_json(const Sweep *sweep)
{
    Json *metric = json_object();
    json_set(metric, "name", json_string("f1"));
    json_set(metric, "goal", json_string("maximize"));
    json_set(metric, "dataset", json_string(sweep->metric_dataset));
    return metric;
}

static Json *data_json(const Sweep *sweep)
{
    Json *data = options_to_json(data_option_table(), &sweep->data);
    json_set(data, "train", corpora_json(sweep->train.items, sweep->train.count));
    json_set(data, "dev", corpora_json(sweep->dev.items, sweep->dev.count));
    json_set(data, "test", corpora_json(sweep->test.items, sweep->test.count));
    json_set(data, "pseudo", corpora_json(sweep->pseudo.items, sweep->pseudo.count));
    json_set(data, "weak", corpora_json(sweep->weak.items, sweep->weak.count));
    json_set(data, "words", json_string(sweep->words));
    return data;
}

static Json *identity_json(const Sweep *sweep)
{
    static const char *const methods[] = {[SEARCH_GRID] = "grid", [SEARCH_RANDOM] = "random", [SEARCH_TPE] = "tpe"};
    Json *identity = json_object(), *parameters = json_object(), *order = json_array(), *seeds = json_array();
    json_set(identity, "format", json_integer(SWEEP_FORMAT));
    json_set(identity, "name", json_string(sweep->name));
    json_set(identity, "model", json_string(sweep->model));
    json_set(identity, "data", data_json(sweep));
    json_set(identity, "method", json_string(methods[sweep->method]));
    json_set(identity, "metric", metric_json(sweep));
    for (size_t i = 0; i < sweep->seeds.count; i++)
        json_append(seeds, json_integer(sweep->seeds.items[i]));
    json_set(identity, "seeds", seeds);
    json_set(identity, "search_seed", json_integer((int64_t)sweep->search_seed));
    json_set(identity, "order", json_string(sweep->order_logical ? "logical" : "arrival"));
    set_search(identity, sweep);
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        Json *parameter = parameter_json(&sweep->parameters[i]);
        if (sweep->parameters[i].conditions.count)
            json_set(parameter, "when", conditions_json(sweep, &sweep->parameters[i]));
        json_set(parameters, sweep->parameters[i].option->name, parameter);
        json_append(order, json_string(sweep->parameters[i].option->name));
    }
    json_set(identity, "parameters", parameters);
    json_set(identity, "parameter_order", order); /* it numbers the configurations, and objects have none */
    return identity;
}

static Json *resources_json(const Sweep *sweep)
{
    Json *resources = json_object(), *storage = json_object(), *budget = json_object();
    json_set(resources, "run_cap", json_integer(sweep->run_cap));
    json_set(resources, "configurations", json_integer(sweep_configuration_count(sweep)));
    json_set(resources, "max_retries", json_integer(sweep->max_retries));
    json_set(resources, "ranks_per_trial", json_integer(sweep->ranks_per_trial));
    json_set(resources, "threads_per_rank", json_integer(sweep->threads_per_rank));
    json_set(resources, "concurrent_trials", json_integer(sweep->concurrent_trials));
    json_set(resources, "backend", json_string(sweep->backend));
    json_set(resources, "precision", json_string(sweep->precision));
    json_set(resources, "memory_limit", json_string(sweep->memory_limit));
    json_set(resources, "heartbeat_ms", json_integer(sweep->heartbeat_ms));
    json_set(resources, "lease_ms", json_integer(sweep->lease_ms));
    json_set(resources, "hang_ms", json_integer(sweep->hang_ms));
    json_set(storage, "path", json_string(sweep->storage_path));
    json_set(storage, "save_total_limit", json_integer(sweep->save_total_limit));
    json_set(resources, "storage", storage);
    json_set(budget, "time_ms", json_integer(sweep->budget.time_ms));
    json_set(budget, "compute_ms", json_integer(sweep->budget.compute_ms));
    json_set(budget, "trials", json_integer(sweep->budget.trials));
    json_set(resources, "budget", budget);
    return resources;
}

Json *sweep_json(const Sweep *sweep)
{
    Json *json = json_object();
    json_set(json, "identity", identity_json(sweep));
    json_set(json, "resources", resources_json(sweep));
    return json;
}

void sweep_identity(const Sweep *sweep, char hex[65])
{
    Json *identity = identity_json(sweep);
    char *text = json_text(identity, JSON_CANONICAL);
    sha256_hex(text, strlen(text), hex);
    free(text);
    json_destroy(&identity);
}

/* ------------------------------------------------------------------------------------------------ difference */

char *sweep_value_text(const Json *value)
{
    if (!value)
        return memory_copy_string("(nothing)");
    if (!json_is_number(value) || json_is_integer(value))
        return json_text(value, JSON_COMPACT);
    double number = json_number_value(value, 0);
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return memory_copy_string(text);
}

static void difference_line(const Text *path, const Json *before, const Json *after, Text *text)
{
    char *old = sweep_value_text(before), *new = sweep_value_text(after);
    if (strcmp(old, new) != 0)
        text_format(text, "%s: %s -> %s\n", path->bytes, old, new);
    free(old);
    free(new);
}

static void compare_values(Text *path, const Json *before, const Json *after, Text *text);

static void compare_member(Text *path, const char *key, const Json *before, const Json *after, Text *text)
{
    size_t size = path->size;
    text_format(path, "%s%s", size ? "." : "", key);
    compare_values(path, before, after, text);
    path->size = size;
    path->bytes[size] = '\0';
}

/* Objects are gone into, so that a line names one key; the depth is that of the resolved sweep, four. */
static void compare_values(Text *path, const Json *before, const Json *after, Text *text)
{
    bool objects = (!before || json_is_object(before)) && (!after || json_is_object(after)) && (before || after);
    if (!objects) {
        difference_line(path, before, after, text);
        return;
    }
    for (const char *key = before ? json_next_key(before, NULL) : NULL; key; key = json_next_key(before, key))
        compare_member(path, key, json_get(before, key), after ? json_get(after, key) : NULL, text);
    for (const char *key = after ? json_next_key(after, NULL) : NULL; key; key = json_next_key(after, key))
        if (!before || !json_get(before, key))
            compare_member(path, key, NULL, json_get(after, key), text);
}

void sweep_difference(const Json *before, const Json *after, Text *text)
{
    Text path = {0};
    text_append(&path, "", 0);
    compare_values(&path, json_get(before, "identity"), json_get(after, "identity"), text);
    text_free(&path);
}
