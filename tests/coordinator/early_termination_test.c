/* Early termination: the rules against plain references on recorded histories, and what becomes of trials and workers at a rung. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "tests/coordinator/core_harness.h"

enum { CONFIGURATIONS = 40, WORKERS = 5, RUNGS = 8 };

#define RANDOM_SEARCH_OF(cap)                                                      \
    "method: random\nrun_cap: " #cap "\nresources: {heartbeat: 1, lease: 10000}\n" \
    "parameters: {learning_rate: {min: 1.0e-5, max: 3.0e-4}}\n"

/* ------------------------------------------------------------------------------------------------ a history */

/* Workers that report one evaluation after another, in an order drawn from a seed. */
typedef struct Group {
    Harness harness;
    AssignmentId id[WORKERS];
    uint64_t done[WORKERS];
    uint32_t seed, draws;
} Group;

static double draw(Group *group)
{
    PhiloxBlock block = philox4x32_10(philox_key(group->seed, RANDOM_BOOTSTRAP, 0), group->draws++, 0, 0, 0);
    return philox_uniform_double(block.word[0], block.word[1]);
}

/* Takes note of what each worker was told in the last step. */
static void take_assignments(Group *group)
{
    for (size_t i = 0; i < group->harness.actions.count; i++) {
        const CoreAction *action = &group->harness.actions.items[i];
        if (action->type != CORE_SEND)
            continue;
        int worker = action->peer.id[0] - 1;
        if (action->message.type == MESSAGE_RELEASE)
            group->id[worker] = (AssignmentId){0};
        if (action->message.type != MESSAGE_ASSIGN || action->message.assign.kind != ASSIGNMENT_TRAIN)
            continue;
        unsigned trial = 0;
        int done = 0;
        if (action->message.assign.resume[0])
            assert_int_equal(sscanf(action->message.assign.resume, "t%u/%d", &trial, &done), 2);
        group->id[worker] = action->message.assign.id;
        group->done[worker] = (uint64_t)done;
    }
}

static void open_group(Group *group, const char *text, uint32_t seed)
{
    memset(group, 0, sizeof *group);
    group->seed = seed;
    harness_open(&group->harness, text);
}

static void greet(Group *group, int worker)
{
    char name[32];
    snprintf(name, sizeof name, "host-%d-a", worker);
    harness_hello(&group->harness, (uint8_t)(worker + 1), name);
    take_assignments(group);
}

static int pick_worker(Group *group)
{
    int busy[WORKERS], count = 0;
    for (int w = 0; w < WORKERS; w++)
        if (group->id[w].fence)
            busy[count++] = w;
    return count ? busy[(int)(draw(group) * count)] : -1;
}

/* The next evaluation of a worker: few different scores, so that ties happen. */
static double report_next(Group *group, int worker)
{
    double score = floor(draw(group) * 20) / 20;
    group->done[worker]++;
    harness_report(&group->harness, (uint8_t)(worker + 1), group->id[worker], group->done[worker], score);
    take_assignments(group);
    return score;
}

/* ------------------------------------------------------------------------------------------------ Algorithm 2, plainly */

typedef struct Reference {
    int eta, min_iter, max_iter, begun;
    int reached[CONFIGURATIONS]; /* rungs that it has completed */
    double score[CONFIGURATIONS][RUNGS], best[CONFIGURATIONS];
    bool promoted[CONFIGURATIONS][RUNGS];
} Reference;

static int rank_at(const Reference *reference, int configuration, int rung)
{
    int rank = 0;
    for (int other = 0; other < reference->begun; other++) {
        bool there = reference->reached[other] > rung && other != configuration;
        double mine = reference->score[configuration][rung], theirs = there ? reference->score[other][rung] : 0;
        rank += there && (theirs > mine || (theirs == mine && other < configuration));
    }
    return rank;
}

/* get_job: the configuration to promote, or a new one; -1: there is no more. *rung: from where it is promoted, -1: new. */
static int get_job(Reference *reference, int *rung)
{
    for (int k = RUNGS - 1; k >= 0; k--) {
        int count = 0, best = -1, best_rank = CONFIGURATIONS;
        for (int c = 0; c < reference->begun; c++)
            count += reference->reached[c] > k;
        for (int c = 0; c < reference->begun; c++) {
            bool candidate = reference->reached[c] > k && !reference->promoted[c][k];
            int rank = candidate ? rank_at(reference, c, k) : CONFIGURATIONS;
            if (candidate && rank < count / reference->eta && rank < best_rank) {
                best = c;
                best_rank = rank;
            }
        }
        if (best >= 0) {
            reference->promoted[best][k] = true;
            *rung = k;
            return best;
        }
    }
    *rung = -1;
    return reference->begun < CONFIGURATIONS ? reference->begun++ : -1;
}

static int resource_of(const Reference *reference, int rung)
{
    int resource = reference->min_iter;
    for (int i = 0; i < rung; i++)
        resource *= reference->eta;
    return resource;
}

/* What the core decided in its last step, against what the reference decides for as many free workers. */
static void compare_jobs(Group *group, Reference *reference, int free_workers)
{
    const CoreActions *actions = &group->harness.actions;
    int given = 0;
    for (size_t i = 0; i < actions->count; i++) {
        const Record *record = &actions->items[i].record;
        if (actions->items[i].type != CORE_JOURNAL || (record->type != RECORD_PROMOTED && record->type != RECORD_TRIAL_CREATED))
            continue;
        int rung, expected = get_job(reference, &rung);
        assert_int_equal(record->configuration, expected);
        assert_int_equal(record->type == RECORD_PROMOTED, rung >= 0);
        given++;
    }
    assert_true(given <= free_workers);
    if (given < free_workers) {
        int rung;
        assert_int_equal(get_job(reference, &rung), -1); /* nothing was left to give */
    }
}

static int count_idle(const Group *group)
{
    int idle = 0;
    for (int w = 0; w < WORKERS; w++)
        idle += group->id[w].fence == 0;
    return idle;
}

static void greet_again(Group *group, int worker)
{
    char name[32];
    snprintf(name, sizeof name, "host-%d-a", worker);
    harness_hello_with(&group->harness, (uint8_t)(worker + 1), name, group->id[worker]);
    assert_null(harness_sent(&group->harness, (uint8_t)(worker + 1), MESSAGE_RELEASE));
    assert_null(harness_sent(&group->harness, (uint8_t)(worker + 1), MESSAGE_ASSIGN));
}

/* Another coordinator reads the journal: nobody loses work, and it decides as the one before would have. */
static void restart(Group *group)
{
    harness_start(&group->harness);
    assert_int_equal(harness_journaled(&group->harness, RECORD_PROMOTED), 0);
    for (int w = 0; w < WORKERS; w++)
        greet_again(group, w);
}

static size_t run_asha_history(const char *text, Reference *reference, uint32_t seed)
{
    Group group;
    size_t promotions = 0;
    open_group(&group, text, seed);
    for (int w = 0; w < WORKERS; w++) {
        greet(&group, w);
        compare_jobs(&group, reference, 1);
    }
    for (int worker; (worker = pick_worker(&group)) >= 0;) {
        if (draw(&group) < 0.05)
            restart(&group);
        int configuration = (int)group.id[worker].trial, idle = count_idle(&group);
        double score = report_next(&group, worker);
        double *best = &reference->best[configuration];
        int evaluations = (int)group.harness.core->trials.items[configuration].evaluations.count;
        *best = evaluations == 1 || score > *best ? score : *best;
        int rung = reference->reached[configuration], resource = resource_of(reference, rung);
        promotions += harness_journaled(&group.harness, RECORD_PROMOTED);
        if (evaluations == reference->max_iter) {
            assert_int_equal(harness_journaled(&group.harness, RECORD_TRIAL_ENDED) >= 1, true);
        } else if (evaluations == resource) {
            reference->score[configuration][rung] = *best;
            reference->reached[configuration]++;
        } else {
            assert_int_equal(group.id[worker].trial, configuration); /* goes on */
            continue;
        }
        compare_jobs(&group, reference, idle + 1);
    }
    const SweepCore *core = group.harness.core;
    assert_int_equal(core->trials.count, CONFIGURATIONS);
    assert_int_equal(core->state_counts[WORK_ENDED], CONFIGURATIONS);
    for (size_t i = 0; i < core->trials.count; i++) {
        bool whole = (int)core->trials.items[i].evaluations.count == reference->max_iter;
        assert_int_equal(core->trials.items[i].outcome, whole ? TRIAL_COMPLETED : TRIAL_STOPPED);
    }
    harness_close(&group.harness);
    return promotions;
}

static void asha_promotes_as_the_plain_algorithm_does(void **state)
{
    (void)state;
    size_t promotions = 0;
    for (uint32_t seed = 1; seed <= 30; seed++) {
        Reference three = {.eta = 3, .min_iter = 1, .max_iter = 9}, two = {.eta = 2, .min_iter = 2, .max_iter = 16};
        promotions += run_asha_history("early_terminate: {type: asha, min_iter: 1, max_iter: 9, eta: 3}\n" RANDOM_SEARCH_OF(40),
                                       &three, seed);
        promotions +=
            run_asha_history("early_terminate: {type: asha, min_iter: 2, max_iter: 16, eta: 2}\n" RANDOM_SEARCH_OF(40), &two, seed);
    }
    print_message("%zu promotions\n", promotions);
    assert_true(promotions > 60 * 10);
}

/* ------------------------------------------------------------------------------------------------ the other rules, plainly */

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static double mean_of(const Trial *trial, size_t count, double *best)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += trial->evaluations.items[i].score;
        *best = i == 0 || trial->evaluations.items[i].score > *best ? trial->evaluations.items[i].score : *best;
    }
    return sum / (double)count;
}

/* Whether the rule stops a trial after this many evaluations, compared with the trials below `below` that have as many. */
static bool plain_stop(const SweepCore *core, const Trial *trial, uint32_t below, TerminationRule rule, size_t threshold)
{
    double averages[CONFIGURATIONS], best = 0, other_best = 0;
    size_t others = 0, better = 0, count = trial->evaluations.count;
    (void)mean_of(trial, count, &best);
    for (size_t i = 0; i < core->trials.count; i++) {
        const Trial *other = &core->trials.items[i];
        if (other == trial || other->configuration >= below || other->evaluations.count < count)
            continue;
        averages[others++] = mean_of(other, count, &other_best);
        better += other_best > best || (other_best == best && other->configuration < trial->configuration);
    }
    if (rule == TERMINATION_MEDIAN)
        return others >= threshold && best < median_of(averages, others);
    size_t kept = (others + 1) / threshold;
    return better >= (kept ? kept : 1);
}

static void run_immediate_history(const char *text, TerminationRule rule, size_t threshold, bool logical, uint32_t seed,
                                  size_t *stopped)
{
    Group group;
    open_group(&group, text, seed);
    const SweepCore *core = group.harness.core;
    for (int w = 0; w < WORKERS; w++)
        greet(&group, w);
    for (int worker; (worker = pick_worker(&group)) >= 0;) {
        uint32_t number = group.id[worker].trial;
        const Trial *trial = &core->trials.items[number];
        if (group.done[worker] == 12) {
            harness_finished(&group.harness, (uint8_t)(worker + 1), group.id[worker], FINISH_COMPLETED, false);
            group.id[worker] = (AssignmentId){0};
            take_assignments(&group);
            continue;
        }
        (void)report_next(&group, worker);
        trial = &core->trials.items[number];
        uint32_t below = !logical ? UINT32_MAX : number > 3 ? number - 3 : 0;
        size_t count = trial->evaluations.count;
        bool at_rung = rule == TERMINATION_MEDIAN ? count >= 2 : count == 1 || count == 3 || count == 9;
        bool stops = at_rung && plain_stop(core, trial, below, rule, threshold);
        assert_int_equal(trial->work.state == WORK_ENDED, stops);
        assert_true(trial->work.state == WORK_ENDED ? trial->outcome == TRIAL_STOPPED : trial->work.state == WORK_ASSIGNED);
        *stopped += stops;
    }
    assert_int_equal(core->state_counts[WORK_ENDED], CONFIGURATIONS);
    harness_close(&group.harness);
}

static void the_median_rule_and_the_logical_order_stop_as_their_formulas_say(void **state)
{
    (void)state;
    size_t stopped = 0;
    for (uint32_t seed = 1; seed <= 15; seed++) {
        run_immediate_history("early_terminate: {type: median, min_iter: 2, min_trials: 4}\n" RANDOM_SEARCH_OF(40),
                              TERMINATION_MEDIAN, 4, false, seed, &stopped);
        run_immediate_history("order: logical\nsearch: {lag: 3}\n"
                              "early_terminate: {type: median, min_iter: 2, min_trials: 4}\n" RANDOM_SEARCH_OF(40),
                              TERMINATION_MEDIAN, 4, true, seed, &stopped);
        run_immediate_history("order: logical\nsearch: {lag: 3}\nearly_terminate: {type: asha, eta: 3}\n" RANDOM_SEARCH_OF(40),
                              TERMINATION_ASHA, 3, true, seed, &stopped);
    }
    assert_true(stopped > 15 * 3 * 5);
}

static void hyperband_deals_configurations_in_its_shares(void **state)
{
    (void)state;
    enum { DEALT = 10000 };
    const EarlyTermination termination = {.rule = TERMINATION_HYPERBAND, .min_iter = 1, .max_iter = 27, .eta = 3};
    static const double shares[] = {27 * 4 / 4.0, 9 * 4 / 3.0, 3 * 4 / 2.0, 1 * 4 / 1.0}; /* n of s = 3, 2, 1, 0 */
    int dealt[4] = {0};
    for (uint32_t c = 0; c < DEALT; c++)
        dealt[terminator_bracket(&termination, c)]++;
    for (uint32_t b = 0; b < 4; b++) {
        double share = shares[b] / (27 + 12 + 6 + 4);
        assert_true(fabs(dealt[b] - DEALT * share) < 10); /* evenly, not only on average */
        for (uint32_t rung = 0; rung < 5; rung++) {
            double resource = pow(3, b + rung);
            assert_int_equal(terminator_resource(&termination, b, rung), resource <= 27 ? (int64_t)resource : 0);
        }
    }
}

static void the_top_is_max_iter_wherever_powers_fall(void **state)
{
    (void)state;
    const EarlyTermination capped = {.rule = TERMINATION_ASHA, .min_iter = 1, .max_iter = 10, .eta = 3};
    static const int64_t resources[] = {1, 3, 9, 10, 0, 0};
    for (uint32_t rung = 0; rung < 6; rung++)
        assert_int_equal(terminator_resource(&capped, 0, rung), resources[rung]);
    const EarlyTermination open = {.rule = TERMINATION_ASHA, .min_iter = 1, .eta = 3};
    assert_int_equal(terminator_resource(&open, 0, 5), 243);
    assert_false(terminator_is_top(&open, 243));
}

/* ------------------------------------------------------------------------------------------------ trials and workers */

static void a_trial_pauses_at_its_rung_and_goes_on_from_its_checkpoint(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "early_terminate: {type: asha, eta: 2}\n" RANDOM_SEARCH_OF(3));
    harness_hello(&harness, 1, "host-1-a");
    AssignmentId first = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_report(&harness, 1, first, 1, 0.9);
    assert_non_null(harness_sent(&harness, 1, MESSAGE_ACK)); /* durable, then released, then the next one */
    assert_non_null(harness_sent(&harness, 1, MESSAGE_RELEASE));
    AssignmentId second = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    assert_int_equal(second.trial, 1);
    Json *paused = sweep_core_trial_json(harness.core, 0, false);
    assert_string_equal(json_string_value(json_get(paused, "state")), "paused");
    json_destroy(&paused);
    harness_report(&harness, 1, first, 2, 1.0); /* what it did before the release reached it counts for nothing */
    assert_non_null(harness_sent(&harness, 1, MESSAGE_RELEASE));
    assert_int_equal(harness_journaled(&harness, RECORD_REPORTED), 0);
    harness_report(&harness, 1, second, 1, 0.3); /* two at the rung: the better one is promoted */
    const Message *assign = harness_sent(&harness, 1, MESSAGE_ASSIGN);
    assert_int_equal(assign->assign.id.trial, 0);
    assert_string_equal(assign->assign.resume, "t0/1");
    assert_true(assign->assign.id.fence > second.fence);
    harness_close(&harness);
}

static void the_best_at_its_rung_goes_on_without_leaving_its_worker(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "early_terminate: {type: asha, eta: 2}\n" RANDOM_SEARCH_OF(3));
    harness_hello(&harness, 1, "host-1-a");
    harness_report(&harness, 1, harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id, 1, 0.3);
    AssignmentId second = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_report(&harness, 1, second, 1, 0.9);
    assert_int_equal(harness_journaled(&harness, RECORD_PROMOTED), 1);
    assert_null(harness_sent(&harness, 1, MESSAGE_RELEASE));
    assert_null(harness_sent(&harness, 1, MESSAGE_ASSIGN));
    harness_report(&harness, 1, second, 2, 0.8); /* the same fence */
    assert_non_null(harness_sent(&harness, 1, MESSAGE_RELEASE));
    assert_int_equal(harness.core->trials.items[1].evaluations.count, 2);
    harness_close(&harness);
}

static void a_crash_between_a_report_and_its_decision_lets_nobody_run_past_the_rung(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "order: logical\nsearch: {lag: 0}\nearly_terminate: {type: asha, eta: 2}\n" RANDOM_SEARCH_OF(3));
    harness_hello(&harness, 1, "host-1-a");
    AssignmentId first = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_report(&harness, 1, first, 1, 0.5);
    assert_int_equal(harness_journaled(&harness, RECORD_PROMOTED), 1);
    text_free(&harness.journal.items[--harness.journal.count]); /* the promotion was not durable */
    harness_start(&harness);
    assert_int_equal(harness_journaled(&harness, RECORD_PROMOTED), 1); /* decided again, and alike */
    assert_int_equal(harness.core->trials.items[0].work.state, WORK_PENDING);
    harness_hello_with(&harness, 1, "host-1-a", first); /* the worker that was never told of it */
    assert_non_null(harness_sent(&harness, 1, MESSAGE_RELEASE));
    assert_string_equal(harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.resume, "t0/1");
    harness_close(&harness);
}

static void a_crash_before_the_end_at_max_iter_lets_nobody_run_past_it(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "early_terminate: {type: asha, eta: 2, max_iter: 2}\n" RANDOM_SEARCH_OF(2));
    harness_hello(&harness, 1, "host-1-a");
    harness_report(&harness, 1, harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id, 1, 0.3);
    AssignmentId second = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_report(&harness, 1, second, 1, 0.9);
    harness_report(&harness, 1, second, 2, 0.8);
    for (size_t decided = harness_journaled(&harness, RECORD_TRIAL_ENDED) + harness_journaled(&harness, RECORD_ASSIGNED);
         decided > 0; decided--)
        text_free(&harness.journal.items[--harness.journal.count]); /* the report alone was durable */
    harness_start(&harness);
    assert_int_equal(harness.core->trials.items[1].outcome, TRIAL_COMPLETED);
    assert_int_equal(harness.core->trials.items[0].outcome, TRIAL_STOPPED);
    assert_int_equal(harness_journaled(&harness, RECORD_TRIAL_ENDED), 2);
    harness_close(&harness);
}

static void the_seeds_of_a_configuration_are_at_a_rung_together(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "seeds: [1, 2]\nearly_terminate: {type: asha, eta: 2}\n" RANDOM_SEARCH_OF(2));
    harness_hello(&harness, 1, "host-1-a");
    static const double scores[] = {0.2, 0.8, 0.6, 0.5}; /* means 0.5 and 0.55 */
    for (size_t i = 0; i < 4; i++) {
        AssignmentId id = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
        assert_int_equal(id.trial, i);
        assert_int_equal(harness.core->rungs[0].count ? harness.core->rungs[0].items[0].count : 0, i / 2);
        harness_report(&harness, 1, id, 1, scores[i]);
    }
    assert_int_equal(harness.core->rungs[0].items[0].count, 2);
    assert_int_equal(harness_journaled(&harness, RECORD_PROMOTED), 1);
    assert_int_equal(harness.core->trials.items[3].work.state, WORK_ASSIGNED); /* goes on where it is */
    assert_int_equal(harness.core->trials.items[2].work.state, WORK_PENDING);
    assert_int_equal(harness.core->trials.items[0].work.state, WORK_HELD);
    assert_int_equal(harness.core->trials.items[1].work.state, WORK_HELD);
    harness_close(&harness);
}

static void what_is_never_promoted_ends_once_and_can_still_win(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "early_terminate: {type: asha, eta: 2}\n" RANDOM_SEARCH_OF(2));
    harness_hello(&harness, 1, "host-1-a");
    AssignmentId first = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_report(&harness, 1, first, 1, 0.7);
    AssignmentId second = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_report(&harness, 1, second, 1, 0.6); /* the first is promoted, trains on, and breaks down */
    AssignmentId again = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    assert_int_equal(again.trial, 0);
    harness_finished(&harness, 1, again, FINISH_FAILED, false);
    assert_int_equal(harness_journaled(&harness, RECORD_TRIAL_ENDED), 2); /* and nobody is left to be promoted */
    assert_int_equal(harness.core->trials.items[1].outcome, TRIAL_STOPPED);
    uint32_t winner;
    double score;
    assert_true(sweep_core_winner(harness.core, &winner, &score));
    assert_int_equal(winner, 1);
    assert_true(score == 0.6);
    harness_close(&harness);
}

static void a_trial_that_somebody_paused_is_promoted_and_still_waits(void **state)
{
    (void)state;
    Harness harness;
    harness_open(&harness, "early_terminate: {type: asha, eta: 2}\n" RANDOM_SEARCH_OF(3));
    harness_hello(&harness, 1, "host-1-a");
    harness_report(&harness, 1, harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id, 1, 0.9);
    AssignmentId second = harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id;
    harness_control(&harness, CONTROL_PAUSE, false, 0);
    harness_report(&harness, 1, second, 1, 0.3);
    assert_int_equal(harness_journaled(&harness, RECORD_PROMOTED), 1);
    assert_int_equal(harness_sent(&harness, 1, MESSAGE_ASSIGN)->assign.id.trial, 2);
    harness_control(&harness, CONTROL_RESUME, false, 0);
    harness_hello(&harness, 2, "host-2-a");
    assert_int_equal(harness_sent(&harness, 2, MESSAGE_ASSIGN)->assign.id.trial, 0);
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asha_promotes_as_the_plain_algorithm_does),
        cmocka_unit_test(the_median_rule_and_the_logical_order_stop_as_their_formulas_say),
        cmocka_unit_test(hyperband_deals_configurations_in_its_shares),
        cmocka_unit_test(the_top_is_max_iter_wherever_powers_fall),
        cmocka_unit_test(a_trial_pauses_at_its_rung_and_goes_on_from_its_checkpoint),
        cmocka_unit_test(the_best_at_its_rung_goes_on_without_leaving_its_worker),
        cmocka_unit_test(a_crash_between_a_report_and_its_decision_lets_nobody_run_past_the_rung),
        cmocka_unit_test(a_crash_before_the_end_at_max_iter_lets_nobody_run_past_it),
        cmocka_unit_test(the_seeds_of_a_configuration_are_at_a_rung_together),
        cmocka_unit_test(a_trial_that_somebody_paused_is_promoted_and_still_waits),
        cmocka_unit_test(what_is_never_promoted_ends_once_and_can_still_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
