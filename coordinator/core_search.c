/* What is tried next, and until when. */
#include <inttypes.h>
#include <stdlib.h>

#include "coordinator/core_internal.h"
#include "coordinator/sampler.h"

/* ------------------------------------------------------------------------------------------------ what is known */

/* The values of a trial's or an earlier sweep's parameters; NULL: they are not of this space. */
static double *read_point(const SweepCore *core, const Json *parameters)
{
    double *values = memory_allocate(core->sweep->parameter_count + 1, sizeof *values);
    if (sampler_point(core->sweep, parameters, values))
        return values;
    free(values);
    return NULL;
}

static void read_points(SweepCore *core)
{
    size_t seeds = core->settings.seeds.count;
    while (core->points.count < core->configurations.count) {
        Json *parameters = sweep_core_parameters(core, (uint32_t)(core->points.count * seeds));
        double *point = read_point(core, parameters);
        array_push(&core->points, point);
        json_destroy(&parameters);
    }
    for (size_t i = core->warm_points.count; i < json_count(core->warm_history); i++) {
        double *point = read_point(core, json_get(json_at(core->warm_history, i), "parameters"));
        array_push(&core->warm_points, point);
    }
}

typedef ARRAY(TpeObservation) ObservationArray;

static void add_observation(ObservationArray *observations, TpeOutcome outcome, double score, int64_t last_step,
                            const double *values)
{
    TpeObservation observation = {.outcome = outcome, .score = score, .last_step = last_step, .values = values};
    if (values)
        array_push(observations, observation);
}

/* What is held at a rung is known as what is stopped there is; what runs, or is out of sight, is only known to be tried. */
static void add_configuration(const SweepCore *core, ObservationArray *observations, uint32_t configuration, bool seen)
{
    ConfigurationResult result = sweep_core_configuration_result(core, configuration);
    const ConfigurationState *state = &core->configurations.items[configuration];
    const double *values = core->points.items[configuration];
    if (!seen || (result.outcome == CONFIGURATION_OPEN && !state->entered))
        add_observation(observations, TPE_RUNNING, 0, 0, values);
    else if (result.outcome == CONFIGURATION_OPEN)
        add_observation(observations, TPE_STOPPED, state->best, result.evaluations, values);
    else if (result.outcome != CONFIGURATION_LOST)
        add_observation(observations, result.outcome == CONFIGURATION_COMPLETE ? TPE_COMPLETE : TPE_STOPPED, result.score,
                        result.evaluations, values);
}

/* In the logical order configuration c knows of those below c - lag, all of which have ended by now. */
static void collect_past(SweepCore *core, uint32_t configuration, ObservationArray *observations)
{
    int64_t seen = sweep_waits_in_order(core->sweep) ? (int64_t)configuration - core->sweep->search.lag : configuration;
    read_points(core);
    for (size_t i = 0; i < core->warm_points.count; i++)
        add_observation(observations, TPE_COMPLETE, json_number_value(json_get(json_at(core->warm_history, i), "score"), 0), 0,
                        core->warm_points.items[i]);
    for (uint32_t c = 0; c < configuration; c++)
        add_configuration(core, observations, c, c < seen);
}

static Status propose(SweepCore *core, uint32_t configuration, TrainingOptions *options, Diagnostic *diagnostic)
{
    ObservationArray observations = {0};
    if (!sampler_find(core->sweep->method)->looks_back)
        return sampler_trial_options(core->sweep, configuration, 0, NULL, options, diagnostic);
    collect_past(core, configuration, &observations);
    TpeHistory past = {observations.items, observations.count, memory_allocate(observations.count + 1, sizeof(bool))};
    tpe_split(&past);
    Status status = sampler_trial_options(core->sweep, configuration, 0, &past, options, diagnostic);
    free(past.good);
    array_free(&observations);
    return status;
}

/* ------------------------------------------------------------------------------------------------ the next trial */

/* The searched options alone, for people and for those who search later. */
static char *parameters_text(const Sweep *sweep, const TrainingOptions *options, const Json *json)
{
    Json *parameters = json_object();
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        const char *name = sweep->parameters[i].option->name;
        if (sweep_parameter_active(sweep, i, options))
            json_set(parameters, name, json_copy(json_get(json, name)));
    }
    char *text = json_text(parameters, JSON_COMPACT);
    json_destroy(&parameters);
    return text;
}

Status core_create_trial(CoreStep *step, Diagnostic *diagnostic)
{
    SweepCore *core = step->core;
    uint32_t number = (uint32_t)core->trials.count, seeds = (uint32_t)core->settings.seeds.count;
    TrainingOptions options;
    Record record = {
        .type = RECORD_TRIAL_CREATED, .id = {number, 0}, .configuration = number / seeds, .seed_index = number % seeds};
    char *first_options = record.seed_index ? sweep_core_options(core, number - record.seed_index) : NULL;
    Status status = first_options ? sampler_other_seed(core->sweep, record.seed_index, first_options, &options, diagnostic)
                                  : propose(core, record.configuration, &options, diagnostic);
    free(first_options);
    if (status != STATUS_OK)
        return status;
    Json *json = options_to_json(training_option_table(), &options);
    record.json = parameters_text(core->sweep, &options, json);
    record.options_json = json_text(json, JSON_CANONICAL);
    json_destroy(&json);
    core_decide(step, &record);
    return STATUS_OK;
}

static bool is_between_configurations(const SweepCore *core)
{
    return core->trials.count % core->settings.seeds.count == 0;
}

bool core_may_create(const SweepCore *core)
{
    if ((int64_t)core->trials.count >= sweep_core_trials_total(core))
        return false;
    if (!is_between_configurations(core))
        return true; /* what was begun is begun with all of its seeds */
    if (core->budget_spent)
        return false;
    int64_t needed = (int64_t)core->configurations.count - core->sweep->search.lag;
    return !sweep_waits_in_order(core->sweep) || (int64_t)core->first_open >= needed * (int64_t)core->settings.seeds.count;
}

bool core_all_begun(const SweepCore *core)
{
    return (int64_t)core->trials.count >= sweep_core_trials_total(core) || (core->budget_spent && is_between_configurations(core));
}

/* ------------------------------------------------------------------------------------------------ budget */

static int64_t time_used_ms(const SweepCore *core)
{
    int64_t since = core->wall_ms - core->record_wall_ms;
    return core->running_ms + (since > 0 ? since : 0);
}

static int64_t compute_used_ms(const SweepCore *core)
{
    int64_t running = (int64_t)core->state_counts[WORK_ASSIGNED] * core->wall_ms - core->assigned_wall_sum_ms;
    return core->compute_ms + (running > 0 ? running : 0);
}

void core_check_budget(CoreStep *step)
{
    SweepCore *core = step->core;
    const SearchBudget *budget = &core->settings.budget;
    const char *what = NULL;
    bool anything_left = (int64_t)core->trials.count < sweep_core_trials_total(core) || core->state_counts[WORK_HELD] > 0;
    if (core->budget_spent || !anything_left || core->state != SWEEP_RUNNING)
        return;
    if (budget->trials && (int64_t)core->trials.count >= budget->trials)
        what = "trials";
    else if (budget->time_ms && time_used_ms(core) >= budget->time_ms)
        what = "time";
    else if (budget->compute_ms && compute_used_ms(core) >= budget->compute_ms)
        what = "compute";
    if (!what)
        return;
    Record record = {.type = RECORD_BUDGET_SPENT,
                     .reason =
                         memory_format("the budget of %s is used up: what runs goes on to its end, nothing new begins", what)};
    core_decide(step, &record);
}
