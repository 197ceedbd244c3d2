/* Early termination: how configurations come to rungs, and what is decided there (terminator.h has the rules).
 *
 * A trial whose evaluation is that of its next rung is held: the record of the report alone says so, so that no crash between two records can
 * let it run past. Where a rule decides at once (median, and all in the logical order) the same step goes on with a promotion or an end; ASHA
 * and Hyperband in the order of arrival let it wait, its worker free for others and its checkpoint kept, until a worker asks for work. */
#include <inttypes.h>
#include <stdlib.h>

#include "coordinator/core_internal.h"

static uint32_t bracket_of(const SweepCore *core, uint32_t configuration)
{
    return terminator_bracket(&core->settings.termination, configuration);
}

static int64_t resource_of(const SweepCore *core, uint32_t configuration, uint32_t rung)
{
    return terminator_resource(&core->settings.termination, bracket_of(core, configuration), rung);
}

static Rung *rung_of(SweepCore *core, uint32_t bracket, uint32_t number)
{
    while (core->rungs[bracket].count <= number)
        array_push(&core->rungs[bracket], (Rung){0});
    return &core->rungs[bracket].items[number];
}

static bool is_lost(const Trial *trial)
{
    return trial->work.state == WORK_ENDED && (trial->outcome == TRIAL_FAILED || trial->outcome == TRIAL_CANCELLED);
}

/* Trials first ... end - 1 are the seeds of a configuration that have begun. */
static size_t first_seed(const SweepCore *core, uint32_t configuration)
{
    return configuration * core->settings.seeds.count;
}

static size_t end_seed(const SweepCore *core, uint32_t configuration)
{
    size_t end = first_seed(core, configuration) + core->settings.seeds.count;
    return end < core->trials.count ? end : core->trials.count;
}

static bool all_seeds_began(const SweepCore *core, uint32_t configuration)
{
    return end_seed(core, configuration) == first_seed(core, configuration) + core->settings.seeds.count;
}

/* ------------------------------------------------------------------------------------------------ the fold */

/* What the configuration is worth after `resource` evaluations, mean over its seeds. A diverged seed is worth 0. */
static RungEntry entry_of(const SweepCore *core, uint32_t configuration, int64_t resource)
{
    RungEntry entry = {.configuration = configuration};
    double averages = 0, seeds = (double)core->settings.seeds.count;
    for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++) {
        const Trial *trial = &core->trials.items[i];
        size_t count = trial->evaluations.count < (size_t)resource ? trial->evaluations.count : (size_t)resource;
        if (count == 0 || (trial->work.state == WORK_ENDED && trial->outcome == TRIAL_DIVERGED))
            continue;
        double best = trial->evaluations.items[0].score, sum = 0;
        for (size_t e = 0; e < count; e++) {
            sum += trial->evaluations.items[e].score;
            best = trial->evaluations.items[e].score > best ? trial->evaluations.items[e].score : best;
        }
        entry.best += best / seeds;
        averages += sum / (double)count / seeds;
    }
    entry.value = core->settings.termination.rule == TERMINATION_MEDIAN ? averages : entry.best;
    return entry;
}

/* The configuration is at its rung once all of its seeds are held there or have ended, none of them lost. */
static void enter_if_ready(SweepCore *core, uint32_t configuration)
{
    ConfigurationState *state = &core->configurations.items[configuration];
    size_t held = 0;
    if (state->entered || !all_seeds_began(core, configuration))
        return;
    for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++) {
        const Trial *trial = &core->trials.items[i];
        if ((trial->work.state != WORK_HELD && trial->work.state != WORK_ENDED) || is_lost(trial))
            return;
        held += trial->work.state == WORK_HELD;
    }
    if (!held)
        return;
    RungEntry entry = entry_of(core, configuration, resource_of(core, configuration, state->rung));
    rung_add(rung_of(core, bracket_of(core, configuration), state->rung), entry);
    state->entered = true;
    state->value = entry.value;
    state->best = entry.best;
}

void core_rungs_note_report(SweepCore *core, uint32_t number, int64_t wall_ms)
{
    if (core->settings.termination.rule == TERMINATION_NONE)
        return;
    Trial *trial = &core->trials.items[number];
    const Evaluation *last = &trial->evaluations.items[trial->evaluations.count - 1];
    int64_t resource = resource_of(core, trial->configuration, core->configurations.items[trial->configuration].rung);
    if (resource == 0 || (int64_t)trial->evaluations.count != resource || last->step >= last->total_steps)
        return; /* nothing to compare here, or nothing left to save */
    core_set_trial_state(core, trial, WORK_HELD, wall_ms);
    enter_if_ready(core, trial->configuration);
}

/* A configuration that has ended is what later ones are compared with, at the rungs that it came to without being held. */
static void enter_ended(SweepCore *core, uint32_t configuration)
{
    ConfigurationState *state = &core->configurations.items[configuration];
    uint32_t bracket = bracket_of(core, configuration), rung = state->rung + state->entered;
    for (int64_t resource; (resource = terminator_resource(&core->settings.termination, bracket, rung)) > 0; rung++) {
        for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++)
            if (is_lost(&core->trials.items[i]) || (int64_t)core->trials.items[i].evaluations.count < resource)
                return;
        RungEntry entry = entry_of(core, configuration, resource);
        entry.promoted = true;
        rung_add(rung_of(core, bracket, rung), entry);
    }
}

void core_rungs_note_end(SweepCore *core, uint32_t trial)
{
    if (core->settings.termination.rule == TERMINATION_NONE)
        return;
    uint32_t configuration = core->trials.items[trial].configuration;
    ConfigurationState *state = &core->configurations.items[configuration];
    size_t open = 0, held = 0;
    for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++) {
        open += core->trials.items[i].work.state != WORK_ENDED;
        held += core->trials.items[i].work.state == WORK_HELD;
    }
    enter_if_ready(core, configuration);
    if (state->entered && !held) { /* nobody is left to be promoted */
        Rung *rung = rung_of(core, bracket_of(core, configuration), state->rung);
        rung_promote(rung, rung_find(rung, configuration, state->value));
    }
    if (!open && all_seeds_began(core, configuration))
        enter_ended(core, configuration);
}

Status core_rungs_apply_promoted(SweepCore *core, const Record *record, Diagnostic *diagnostic)
{
    uint32_t configuration = record->configuration;
    if (configuration >= core->configurations.count || !core->configurations.items[configuration].entered)
        return FAIL(diagnostic, STATUS_CORRUPT, "configuration %" PRIu32 " is promoted without being at a rung", configuration);
    ConfigurationState *state = &core->configurations.items[configuration];
    Rung *rung = rung_of(core, bracket_of(core, configuration), state->rung);
    rung_promote(rung, rung_find(rung, configuration, state->value));
    state->rung++;
    state->entered = false;
    for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++) {
        Trial *trial = &core->trials.items[i];
        bool stays = record->id.fence && record->id.trial == i && record->id.fence == trial->work.fence;
        if (trial->work.state == WORK_HELD)
            core_set_trial_state(core, trial, stays ? WORK_ASSIGNED : WORK_PENDING, record->wall_ms);
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ decisions */

/* Held configurations wait until a worker asks; otherwise they are decided on as they come. */
static bool promotes_later(const SweepCore *core)
{
    TerminationRule rule = core->settings.termination.rule;
    return (rule == TERMINATION_ASHA || rule == TERMINATION_HYPERBAND) && !core->sweep->order_logical;
}

/* A configuration is compared with those below this one. */
static uint32_t compared_below(const SweepCore *core, uint32_t configuration)
{
    int64_t lag = core->sweep->search.lag;
    if (!core->sweep->order_logical)
        return UINT32_MAX;
    return configuration > lag ? configuration - (uint32_t)lag : 0;
}

/* stays: the trial that its worker goes on with, or -1. */
static void promote(CoreStep *step, uint32_t configuration, int64_t stays)
{
    Record record = {.type = RECORD_PROMOTED, .configuration = configuration};
    record.id.trial = (uint32_t)first_seed(step->core, configuration);
    if (stays >= 0)
        record.id = (AssignmentId){(uint32_t)stays, step->core->trials.items[stays].work.fence};
    core_decide(step, &record);
}

static void stop(CoreStep *step, uint32_t configuration)
{
    SweepCore *core = step->core;
    int64_t evaluations = resource_of(core, configuration, core->configurations.items[configuration].rung);
    char *reason = memory_format("stopped early, after %" PRId64 " evaluation%s", evaluations, evaluations == 1 ? "" : "s");
    for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++)
        if (core->trials.items[i].work.state == WORK_HELD)
            core_end_trial(step, (uint32_t)i, TRIAL_STOPPED, reason, NULL, true);
    free(reason);
}

/* Another seed is lost for good, or was stopped already: this configuration is out. */
static bool is_out(const SweepCore *core, uint32_t configuration)
{
    for (size_t i = first_seed(core, configuration); i < end_seed(core, configuration); i++) {
        const Trial *trial = &core->trials.items[i];
        if (is_lost(trial) || (trial->work.state == WORK_ENDED && trial->outcome == TRIAL_STOPPED))
            return true;
    }
    return false;
}

static void decide_now(CoreStep *step, uint32_t configuration, int64_t stays)
{
    SweepCore *core = step->core;
    const ConfigurationState *state = &core->configurations.items[configuration];
    if (is_out(core, configuration)) {
        stop(step, configuration);
    } else if (state->entered) {
        const Rung *rung = rung_of(core, bracket_of(core, configuration), state->rung);
        const RungEntry *entry = rung_find(rung, configuration, state->value);
        if (rung_keeps(rung, entry, &core->settings.termination, compared_below(core, configuration)))
            promote(step, configuration, stays);
        else
            stop(step, configuration);
    }
}

/* The configuration that Algorithm 2 promotes next: from the highest rung downwards. */
static const RungEntry *find_promotable(SweepCore *core)
{
    for (size_t b = 0; b < TERMINATOR_BRACKET_LIMIT; b++)
        for (size_t r = core->rungs[b].count; r-- > 0;) {
            const RungEntry *entry = rung_promotable(&core->rungs[b].items[r], core->settings.termination.eta);
            if (entry)
                return entry;
        }
    return NULL;
}

static bool may_promote(const SweepCore *core)
{
    return promotes_later(core) && !core->budget_spent && !core->paused && !core->cancelled && !core->stopping;
}

bool core_rungs_can_promote(SweepCore *core)
{
    return may_promote(core) && find_promotable(core);
}

bool core_rungs_promote_next(CoreStep *step)
{
    if (!core_rungs_can_promote(step->core))
        return false;
    promote(step, find_promotable(step->core)->configuration, -1);
    return true;
}

static bool is_at_top(const SweepCore *core, const Trial *trial)
{
    return terminator_is_top(&core->settings.termination, (int64_t)trial->evaluations.count);
}

void core_rungs_after_report(CoreStep *step, uint32_t number)
{
    SweepCore *core = step->core;
    const Trial *trial = &core->trials.items[number];
    if (trial->work.state != WORK_HELD)
        return;
    WorkerSlot *slot = core_slot_of_work(core, ASSIGNMENT_TRAIN, number);
    if (is_at_top(core, trial)) {
        core_end_trial(step, number, TRIAL_COMPLETED, "all of max_iter evaluations", NULL, true);
    } else if (!promotes_later(core)) {
        decide_now(step, trial->configuration, number);
    } else if (may_promote(core) && core->state_counts[WORK_PENDING] == 0) { /* the worker that has it is the one that asks */
        const RungEntry *entry = find_promotable(core);
        if (entry && entry->configuration == trial->configuration)
            promote(step, trial->configuration, number);
    }
    if (trial->work.state == WORK_ASSIGNED || trial->work.state == WORK_ENDED)
        return;
    core_slot_free(core, slot);
    if (slot->connected)
        core_send_reason(step, &slot->peer, MESSAGE_RELEASE, (AssignmentId){number, trial->work.fence}, STATUS_INTERRUPTED,
                         "paused at a rung of early termination");
}

void core_rungs_settle(CoreStep *step, bool all)
{
    SweepCore *core = step->core;
    if (promotes_later(core) && !all)
        return;
    for (uint32_t i = 0; trial_set_next(core->held, i, &i); i++) {
        const Trial *trial = &core->trials.items[i];
        if (is_at_top(core, trial))
            core_end_trial(step, i, TRIAL_COMPLETED, "all of max_iter evaluations", NULL, true);
        else if (!promotes_later(core))
            decide_now(step, trial->configuration, -1);
    }
}

void core_rungs_stop_all(CoreStep *step)
{
    SweepCore *core = step->core;
    for (uint32_t i = 0; trial_set_next(core->held, i, &i); i++)
        stop(step, core->trials.items[i].configuration);
}
