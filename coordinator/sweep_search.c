/* What a sweep file says about the search: method, order, search, early_terminate, budget, warm_start. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/journal_fold.h"
#include "coordinator/sampler.h"
#include "coordinator/sobol.h"
#include "coordinator/sweep_internal.h"
#include "core/io/file.h"

enum {
    CHECKED_CONFIGURATIONS = 2000, /* whose options are put together before anything starts */
    WARM_START_LIMIT = 64,
    WARM_HISTORY_LIMIT = 10000, /* configurations: more make proposals slow, not better */
    EVALUATION_LIMIT = 100000,
};

/* ------------------------------------------------------------------------------------------------ sections */

#define FIELD(type, field) .name = #field, .offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)
static const OptionDescriptor search_descriptors[] = {
    {FIELD(SearchOptions, sobol), .type = OPTION_BOOLEAN, .default_text = "false", .help = "Sobol's points instead of random ones"},
    {FIELD(SearchOptions, multivariate), .type = OPTION_BOOLEAN, .default_text = "true", .help = "all parameters at once"},
    {FIELD(SearchOptions, startup_trials), .type = OPTION_INTEGER, .minimum = 1, .maximum = 100000, .default_text = "10",
     .help = "random configurations before the first proposal"},
    {FIELD(SearchOptions, lag), .type = OPTION_INTEGER, .minimum = 0, .maximum = 100000, .default_text = "4",
     .help = "how many configurations just before it one knows nothing of"},
};
static const OptionTable search_table = {"search", search_descriptors, sizeof search_descriptors / sizeof *search_descriptors,
                                         sizeof(SearchOptions)};

static const OptionDescriptor termination_descriptors[] = {
    {FIELD(EarlyTermination, min_iter), .type = OPTION_INTEGER, .minimum = 1, .maximum = EVALUATION_LIMIT, .default_text = "1",
     .help = "evaluations of the first rung"},
    {FIELD(EarlyTermination, max_iter), .type = OPTION_INTEGER, .minimum = 1, .maximum = EVALUATION_LIMIT, .default_text = "1",
     .help = "evaluations of a whole trial"},
    {FIELD(EarlyTermination, eta), .type = OPTION_INTEGER, .minimum = 2, .maximum = 1000, .default_text = "3",
     .help = "one of so many goes on"},
    {FIELD(EarlyTermination, min_trials), .type = OPTION_INTEGER, .minimum = 1, .maximum = 100000, .default_text = "5",
     .help = "others to compare with"},
};
static const OptionTable termination_table = {"early_terminate", termination_descriptors,
                                              sizeof termination_descriptors / sizeof *termination_descriptors,
                                              sizeof(EarlyTermination)};
static const OptionDescriptor type_keys[] = {{.name = "type"}};
static const OptionTable type_table = {"early_terminate", type_keys, 1, 0};

static const OptionDescriptor budget_descriptors[] = {
    {FIELD(SearchBudget, trials), .type = OPTION_INTEGER, .minimum = 1, .maximum = SWEEP_CONFIGURATION_LIMIT, .default_text = "1",
     .help = "trials to begin"},
};
static const OptionTable budget_table = {"budget", budget_descriptors, 1, sizeof(SearchBudget)};
static const OptionDescriptor duration_keys[] = {{.name = "time"}, {.name = "compute"}};
static const OptionTable duration_table = {"budget", duration_keys, 2, 0};
#undef FIELD

static void read_method(SweepReader *reader, const YamlNode *node)
{
    static const char *const names[] = {[SEARCH_GRID] = "grid", [SEARCH_RANDOM] = "random", [SEARCH_TPE] = "tpe", NULL};
    int method = sweep_read_choice(reader, node, "method", names, "grid, random or tpe");
    reader->knows_method = method >= 0;
    if (reader->knows_method)
        reader->sweep->method = (SearchMethod)method;
}

/* Notes a key that is given and means nothing here. */
static void refuse_key(SweepReader *reader, const YamlNode *mapping, const char *section, const char *key, const char *why)
{
    for (size_t i = 0; i < mapping->count; i++)
        if (strcmp(mapping->keys[i], key) == 0)
            sweep_problem(reader, mapping->key_lines[i], mapping->key_columns[i], "%s: %s %s", section, key, why);
}

static void read_search_section(SweepReader *reader, const YamlNode *node)
{
    Sweep *sweep = reader->sweep;
    options_set_defaults(&search_table, &sweep->search);
    if (!node)
        return;
    SweepSection sections[] = {{&search_table, &sweep->search}};
    sweep_read_section(reader, node, "search", sections, 1);
    if (node->kind != YAML_MAPPING || !reader->knows_method)
        return;
    if (sweep->method != SEARCH_RANDOM)
        refuse_key(reader, node, "search", "sobol", "goes with method random alone");
    if (sweep->method != SEARCH_TPE) {
        refuse_key(reader, node, "search", "multivariate", "goes with method tpe alone");
        refuse_key(reader, node, "search", "startup_trials", "goes with method tpe alone");
    }
    if (sweep->search.sobol && sweep->parameter_count > SOBOL_DIMENSION_LIMIT)
        sweep_problem(reader, node->line, node->column,
                      "search: Sobol's points have at most %d dimensions, there are %zu parameters", SOBOL_DIMENSION_LIMIT,
                      sweep->parameter_count);
}

static void read_early_termination(SweepReader *reader, const YamlNode *node)
{
    static const char *const types[] = {[TERMINATION_NONE] = "none",
                                        [TERMINATION_ASHA] = "asha",
                                        [TERMINATION_HYPERBAND] = "hyperband",
                                        [TERMINATION_MEDIAN] = "median",
                                        NULL};
    EarlyTermination *termination = &reader->sweep->early_termination;
    options_set_defaults(&termination_table, termination);
    termination->max_iter = 0;
    if (!node || (node->kind == YAML_SCALAR && yaml_is_null(node)))
        return;
    SweepSection sections[] = {{&termination_table, termination}, {&type_table, NULL}};
    sweep_read_section(reader, node, "early_terminate", sections, 2);
    if (node->kind != YAML_MAPPING)
        return;
    const YamlNode *type = yaml_get(node, "type");
    if (!type) {
        sweep_problem(reader, node->line, node->column, "early_terminate: the key type is missing: asha, hyperband or median");
        return;
    }
    int rule = sweep_read_choice(reader, type, "early_terminate.type", types, "asha, hyperband, median or none");
    termination->rule = rule < 0 ? TERMINATION_NONE : (TerminationRule)rule;
    if (termination->rule == TERMINATION_MEDIAN) {
        refuse_key(reader, node, "early_terminate", "max_iter", "does not go with median");
        refuse_key(reader, node, "early_terminate", "eta", "does not go with median");
    } else if (termination->rule != TERMINATION_NONE) {
        refuse_key(reader, node, "early_terminate", "min_trials", "goes with median alone");
    }
    if (termination->rule == TERMINATION_HYPERBAND && !yaml_get(node, "max_iter"))
        sweep_problem(reader, node->line, node->column,
                      "early_terminate: hyperband needs max_iter, the evaluations of a whole trial, to know its brackets");
    if (yaml_get(node, "max_iter") && termination->max_iter && termination->max_iter <= termination->min_iter)
        sweep_problem(reader, node->line, node->column,
                      "early_terminate: max_iter (%" PRId64 ") must be above min_iter (%" PRId64 ")", termination->max_iter,
                      termination->min_iter);
}

/* "90m", "1h30m", "2d": whole numbers with their unit. */
static bool parse_duration(const char *text, int64_t *milliseconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t sum = 0;
    while (*text) {
        int64_t number = 0, seconds = 0;
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 7)
            return false;
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (text[i] - '0');
        text += digits;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (*text == units[i].unit)
                seconds = units[i].seconds;
        if (!seconds)
            return false;
        sum += number * seconds;
        text++;
    }
    *milliseconds = sum * 1000;
    return sum > 0;
}

static void read_duration(SweepReader *reader, const YamlNode *section, const char *key, int64_t *milliseconds)
{
    const YamlNode *node = yaml_get(section, key);
    char name[32];
    *milliseconds = 0;
    if (!node)
        return;
    (void)snprintf(name, sizeof name, "budget.%s", key);
    if (sweep_require_kind(reader, node, YAML_SCALAR, name, "a time such as 90m or 1h30m") &&
        !parse_duration(node->text, milliseconds))
        sweep_problem(reader, node->line, node->column, "%s: expected a time such as 45s, 90m, 1h30m or 2d, found %.60s", name,
                      node->text);
}

static void read_budget(SweepReader *reader, const YamlNode *node)
{
    SearchBudget *budget = &reader->sweep->budget;
    *budget = (SearchBudget){0};
    if (!node)
        return;
    SweepSection sections[] = {{&budget_table, budget}, {&duration_table, NULL}};
    sweep_read_section(reader, node, "budget", sections, 2);
    if (node->kind != YAML_MAPPING)
        return;
    read_duration(reader, node, "time", &budget->time_ms);
    read_duration(reader, node, "compute", &budget->compute_ms);
}

/* ------------------------------------------------------------------------------------------------ warm start */

static void add_warm_folder(SweepReader *reader, const YamlNode *node)
{
    if (sweep_require_kind(reader, node, YAML_SCALAR, "warm_start", "the folder of an earlier sweep"))
        array_push(&reader->sweep->warm_start, path_absolute(node->text));
}

static void read_warm_start(SweepReader *reader, const YamlNode *node)
{
    if (reader->knows_method && reader->sweep->method != SEARCH_TPE) {
        sweep_problem(reader, node->line, node->column, "warm_start: only method tpe learns from earlier sweeps");
        return;
    }
    if (node->kind == YAML_SCALAR) {
        add_warm_folder(reader, node);
        return;
    }
    if (node->kind != YAML_SEQUENCE || node->count == 0 || node->count > WARM_START_LIMIT) {
        sweep_problem(reader, node->line, node->column, "warm_start: expected a list of 1 to %d folders of earlier sweeps",
                      WARM_START_LIMIT);
        return;
    }
    for (size_t i = 0; i < node->count; i++)
        add_warm_folder(reader, node->items[i]);
}

/* The configurations of one earlier sweep that were trained to their end, in their order. */
static void add_warm_history(const SweepCore *core, const Sweep *sweep, Json *history)
{
    double *values = memory_allocate(sweep->parameter_count + 1, sizeof *values);
    for (uint32_t c = 0; c * core->settings.seeds.count < core->trials.count && json_count(history) < WARM_HISTORY_LIMIT; c++) {
        ConfigurationResult result = sweep_core_configuration_result(core, c);
        if (result.outcome != CONFIGURATION_COMPLETE)
            continue;
        Json *entry = json_object(), *parameters = sweep_core_parameters(core, c * (uint32_t)core->settings.seeds.count);
        if (!sampler_point(sweep, parameters, values)) {
            json_destroy(&parameters);
            json_destroy(&entry);
            continue;
        }
        json_set(entry, "parameters", parameters);
        json_set(entry, "score", json_real(result.score));
        json_append(history, entry);
    }
    free(values);
}

static bool holds_journal(const char *folder)
{
    char *journal = path_join(folder, "journal");
    bool holds = path_is_folder(journal);
    free(journal);
    return holds;
}

/* A sweep that has begun has what it learnt from others in its own journal. */
static bool has_begun(const Sweep *sweep)
{
    if (!sweep->name || !sweep->storage_path)
        return false;
    char *folder = path_join(sweep->storage_path, sweep->name);
    bool begun = holds_journal(folder);
    free(folder);
    return begun;
}

/* false: it is gone, which matters only to a sweep that has not begun. */
static bool check_warm_folder(SweepReader *reader, const YamlNode *node, const char *folder)
{
    if (holds_journal(folder))
        return true;
    if (!has_begun(reader->sweep))
        sweep_problem(reader, node->line, node->column, "warm_start: %s holds no journal: is it the folder of a sweep?", folder);
    return false;
}

void sweep_read_warm_history(SweepReader *reader, const YamlNode *root)
{
    Sweep *sweep = reader->sweep;
    const YamlNode *node = yaml_get(root, "warm_start");
    bool all = sweep->warm_start.count > 0;
    for (size_t i = 0; i < sweep->warm_start.count; i++)
        all = check_warm_folder(reader, node->kind == YAML_SEQUENCE ? node->items[i] : node, sweep->warm_start.items[i]) && all;
    if (reader->problems->count || !all)
        return;
    sweep->warm_history = json_array();
    for (size_t i = 0; i < sweep->warm_start.count; i++) {
        SweepCore *core = NULL;
        Diagnostic diagnostic = {0};
        Status status = journal_fold_read(NULL, sweep->warm_start.items[i], &core, NULL, &diagnostic);
        if (status == STATUS_OK)
            add_warm_history(core, sweep, sweep->warm_history);
        else
            sweep_problem(reader, node->line, node->column, "warm_start: %s: %s", sweep->warm_start.items[i], diagnostic.message);
        sweep_core_destroy(&core);
    }
}

/* ------------------------------------------------------------------------------------------------ the whole */

void sweep_read_search(SweepReader *reader, const YamlNode *root)
{
    static const char *const orders[] = {"arrival", "logical", NULL};
    Sweep *sweep = reader->sweep;
    const YamlNode *node;
    int order = 0;
    if ((node = yaml_get(root, "method")))
        read_method(reader, node);
    read_search_section(reader, yaml_get(root, "search"));
    read_early_termination(reader, yaml_get(root, "early_terminate"));
    read_budget(reader, yaml_get(root, "budget"));
    if ((node = yaml_get(root, "warm_start")))
        read_warm_start(reader, node);
    if ((node = yaml_get(root, "order")))
        order = sweep_read_choice(reader, node, "order", orders, "arrival or logical");
    bool looks_back = sweep->method == SEARCH_TPE || sweep->early_termination.rule != TERMINATION_NONE;
    sweep->order_logical = order == 1 || !looks_back;
    if ((node = yaml_get(root, "search")) && node->kind == YAML_MAPPING && reader->knows_method && !sweep_waits_in_order(sweep))
        refuse_key(reader, node, "search", "lag", "goes with order logical, and method tpe or early_terminate");
}

static void check_count(SweepReader *reader, const YamlNode *parameters, const YamlNode *method)
{
    Sweep *sweep = reader->sweep;
    const Sampler *sampler = sampler_find(sweep->method);
    int64_t count = sampler->count(sweep);
    if (count < 0 && sweep->run_cap == 0)
        sweep_problem(reader, method->line, method->column, "method %s needs run_cap: how many configurations to try",
                      sampler->name);
    else if (count > SWEEP_CONFIGURATION_LIMIT && sweep->run_cap == 0)
        sweep_problem(reader, parameters->line, parameters->column, "the grid has more than %d configurations: set run_cap",
                      SWEEP_CONFIGURATION_LIMIT);
    else if (sweep_configuration_count(sweep) * (int64_t)sweep->seeds.count > SWEEP_CONFIGURATION_LIMIT)
        sweep_problem(reader, parameters->line, parameters->column, "configurations times seeds are more than %d trials",
                      SWEEP_CONFIGURATION_LIMIT);
}

void sweep_check_search(SweepReader *reader, const YamlNode *root)
{
    Sweep *sweep = reader->sweep;
    const YamlNode *parameters = yaml_get(root, "parameters"), *method = yaml_get(root, "method");
    if (parameters && reader->knows_method && sweep->method == SEARCH_GRID)
        for (size_t i = 0; i < sweep->parameter_count; i++)
            if (sweep->parameters[i].kind > DISTRIBUTION_VALUES)
                sweep_problem(reader, parameters->line, parameters->column, "parameters.%s: a grid needs values, not %s",
                              sweep->parameters[i].option->name, sweep_distribution_name(sweep->parameters[i].kind));
    if (reader->problems->count == 0)
        check_count(reader, parameters, method);
    if (reader->problems->count)
        return;
    int64_t count = sweep_configuration_count(sweep);
    for (int64_t i = 0; i < count && i < CHECKED_CONFIGURATIONS; i++) {
        TrainingOptions options;
        Diagnostic diagnostic = {0};
        if (sampler_trial_options(sweep, (uint32_t)i, 0, NULL, &options, &diagnostic) != STATUS_OK) {
            sweep_problem(reader, parameters->line, parameters->column, "parameters: %s", diagnostic.message);
            return;
        }
    }
}

int64_t sweep_configuration_count(const Sweep *sweep)
{
    int64_t count = sampler_find(sweep->method)->count(sweep);
    if (count < 0)
        return sweep->run_cap;
    return sweep->run_cap && sweep->run_cap < count ? sweep->run_cap : count;
}

bool sweep_waits_in_order(const Sweep *sweep)
{
    return sweep->order_logical && (sweep->method == SEARCH_TPE || sweep->early_termination.rule != TERMINATION_NONE);
}
