#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "shard/batch_plan.h"

static ShardStore *store;

static int store_setup(void **state)
{
    if (scratch_setup(state) != 0)
        return -1;
    char *train = memory_format("%s/examples/train.conll", NERSWEEP_SOURCE_DIR);
    store = store_of(*state, train, NULL);
    free(train);
    return 0;
}

static int store_teardown(void **state)
{
    shard_store_close(&store);
    return scratch_teardown(state);
}

static TrainingOptions training_options(double factor, int64_t batch)
{
    TrainingOptions options;
    options_set_defaults(training_option_table(), &options);
    options.oversample_factor = factor;
    options.per_device_train_batch_size = batch;
    return options;
}

static BatchPlan *plan_of(const TrainingOptions *options, int64_t epoch)
{
    Diagnostic diagnostic = {0};
    BatchPlan *plan = NULL;
    must(batch_plan_create(&plan, store, 0, options, epoch, &diagnostic), &diagnostic);
    return plan;
}

static int64_t steps_of(const TrainingOptions *options)
{
    BatchPlan *plan = plan_of(options, 0);
    int64_t steps = batch_plan_step_count(plan);
    batch_plan_destroy(&plan);
    return steps;
}

/* All windows of an epoch in order, step after step: [count], freed by the caller. */
static int64_t *order_of(const BatchPlan *plan, int64_t batch)
{
    int64_t *order = memory_allocate((size_t)batch_plan_window_count(plan), sizeof *order), filled = 0;
    for (int64_t step = 0; step < batch_plan_step_count(plan); step++) {
        const int64_t *windows;
        int32_t count;
        batch_plan_step(plan, step, &windows, &count);
        assert_true(count >= 1 && count <= batch);
        assert_true(count == batch || step == batch_plan_step_count(plan) - 1);
        memcpy(order + filled, windows, (size_t)count * sizeof *order);
        filled += count;
    }
    assert_int_equal(filled, batch_plan_window_count(plan));
    return order;
}

static int64_t windows_with_span(void)
{
    int64_t count = 0;
    for (int64_t i = 0; i < shard_window_count(store, 0); i++)
        count += shard_window_infos(store, 0)[i].has_span;
    return count;
}

/* Counts how often each window is there; checks it against the factor; returns how many are there once more than floor(f). */
static int64_t check_repeats(const BatchPlan *plan, double factor, int64_t batch, int64_t *extra_of)
{
    int64_t *order = order_of(plan, batch), extra = 0;
    int64_t *times = memory_allocate((size_t)shard_window_count(store, 0), sizeof *times);
    for (int64_t i = 0; i < batch_plan_window_count(plan); i++)
        times[order[i]]++;
    for (int64_t i = 0; i < shard_window_count(store, 0); i++) {
        int64_t whole = shard_window_infos(store, 0)[i].has_span ? (int64_t)floor(factor) : 1;
        assert_true(times[i] >= 1);
        if (!shard_window_infos(store, 0)[i].has_span)
            assert_int_equal(times[i], 1);
        assert_true(times[i] == whole || times[i] == whole + 1);
        extra += times[i] - whole;
        if (extra_of)
            extra_of[i] += times[i] - whole;
    }
    free(order);
    free(times);
    return extra;
}

static void without_oversampling_every_window_is_there_once(void **state)
{
    (void)state;
    TrainingOptions options = training_options(1, 16);
    BatchPlan *plan = plan_of(&options, 0);
    assert_int_equal(batch_plan_window_count(plan), shard_window_count(store, 0));
    assert_int_equal(check_repeats(plan, 1, 16, NULL), 0);
    assert_int_equal(batch_plan_step_count(plan), (shard_window_count(store, 0) + 15) / 16);
    batch_plan_destroy(&plan);
    assert_null(plan);
}

static void whole_factors_repeat_windows_with_spans_exactly(void **state)
{
    (void)state;
    TrainingOptions options = training_options(3, 8);
    BatchPlan *plan = plan_of(&options, 0);
    int64_t with = windows_with_span(), all = shard_window_count(store, 0);
    assert_true(with > 0 && with < all);
    assert_int_equal(check_repeats(plan, 3, 8, NULL), 0);
    assert_int_equal(batch_plan_window_count(plan), all - with + 3 * with);
    batch_plan_destroy(&plan);
}

static void fractions_are_drawn_anew_but_their_number_is_the_same_each_epoch(void **state)
{
    (void)state;
    enum { EPOCHS = 60 };
    static const double factors[] = {1.25, 1.5, 1.7, 2.71, 1.001};
    for (size_t f = 0; f < sizeof factors / sizeof *factors; f++) {
        TrainingOptions options = training_options(factors[f], 16);
        int64_t with = windows_with_span(), plain = shard_window_count(store, 0) - with;
        int64_t total = (int64_t)round((double)plain + factors[f] * (double)with);
        int64_t *extra_of = memory_allocate((size_t)shard_window_count(store, 0), sizeof *extra_of);
        assert_int_equal(steps_of(&options), (total + 15) / 16);
        for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
            BatchPlan *plan = plan_of(&options, epoch);
            assert_int_equal(batch_plan_window_count(plan), total);
            assert_int_equal(batch_plan_step_count(plan), steps_of(&options));
            assert_int_equal(check_repeats(plan, factors[f], 16, extra_of), total - plain - (int64_t)floor(factors[f]) * with);
            batch_plan_destroy(&plan);
        }
        /* Each window is drawn with the fraction as its probability: 60 draws of a fair coin leave [9, 51] once in 10^8. */
        double fraction = factors[f] - floor(factors[f]);
        for (int64_t i = 0; i < shard_window_count(store, 0); i++)
            if (shard_window_infos(store, 0)[i].has_span)
                assert_true(fabs((double)extra_of[i] - EPOCHS * fraction) < 22);
        free(extra_of);
    }
}

static void the_order_depends_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    TrainingOptions options = training_options(1.5, 16), other = training_options(1.5, 4);
    other.gradient_accumulation_steps = 4; /* the same global batch */
    other.learning_rate = 1;
    BatchPlan *first = plan_of(&options, 3), *again = plan_of(&other, 3), *later = plan_of(&options, 4);
    options.seed++;
    BatchPlan *elsewhere = plan_of(&options, 3);
    size_t size = (size_t)batch_plan_window_count(first) * sizeof(int64_t);
    int64_t *orders[] = {order_of(first, 16), order_of(again, 16), order_of(later, 16), order_of(elsewhere, 16)};
    assert_int_equal(batch_plan_step_count(first), batch_plan_step_count(again));
    assert_memory_equal(orders[0], orders[1], size);
    assert_memory_not_equal(orders[0], orders[2], size);
    assert_memory_not_equal(orders[0], orders[3], size);
    for (int i = 0; i < 4; i++)
        free(orders[i]);
    batch_plan_destroy(&first);
    batch_plan_destroy(&again);
    batch_plan_destroy(&later);
    batch_plan_destroy(&elsewhere);
}

static void a_shuffle_puts_windows_anywhere(void **state)
{
    (void)state;
    enum { EPOCHS = 400, QUARTERS = 4 };
    TrainingOptions options = training_options(1, 1000000);
    int64_t count = shard_window_count(store, 0), *seen = memory_allocate((size_t)count * QUARTERS, sizeof *seen);
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        BatchPlan *plan = plan_of(&options, epoch);
        const int64_t *windows;
        int32_t windows_in_step;
        assert_int_equal(batch_plan_step_count(plan), 1);
        batch_plan_step(plan, 0, &windows, &windows_in_step);
        for (int64_t i = 0; i < count; i++)
            seen[windows[i] * QUARTERS + i * QUARTERS / count]++;
        batch_plan_destroy(&plan);
    }
    /* Each quarter of the epoch holds a window 100 times of 400, standard deviation 8.7: six of them. */
    for (int64_t i = 0; i < count * QUARTERS; i++)
        assert_true(llabs(seen[i] - EPOCHS / QUARTERS) < 53);
    free(seen);
}

/* Whatever epochs it was turned to before. */
static void a_plan_that_is_turned_is_the_plan_of_that_epoch(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    TrainingOptions options = training_options(2.5, 4);
    BatchPlan *turned = plan_of(&options, 7);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        BatchPlan *made = plan_of(&options, epoch);
        must(batch_plan_turn(turned, epoch, &diagnostic), &diagnostic);
        int64_t *expected = order_of(made, 4), *found = order_of(turned, 4);
        assert_int_equal(batch_plan_window_count(made), batch_plan_window_count(turned));
        assert_memory_equal(expected, found, (size_t)batch_plan_window_count(made) * sizeof *found);
        free(expected);
        free(found);
        batch_plan_destroy(&made);
    }
    assert_int_equal(batch_plan_turn(turned, -1, &diagnostic), STATUS_LIMIT);
    batch_plan_destroy(&turned);
}

static void a_plan_beyond_all_bounds_is_refused(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    TrainingOptions options = training_options(1e12, 16);
    BatchPlan *plan = NULL;
    assert_int_equal(batch_plan_create(&plan, store, 0, &options, 0, &diagnostic), STATUS_LIMIT);
    must_contain(diagnostic.message, "oversample_factor");
    assert_null(plan);
}

/* How often each window is there: [windows], freed by the caller. */
static int64_t *times_of(const ShardStore *of, const TrainingOptions *options, int64_t epoch)
{
    Diagnostic diagnostic = {0};
    BatchPlan *plan = NULL;
    int64_t *times = memory_allocate((size_t)shard_window_count(of, 0), sizeof *times);
    must(batch_plan_create(&plan, of, 0, options, epoch, &diagnostic), &diagnostic);
    int64_t *order = order_of(plan, options->per_device_train_batch_size);
    for (int64_t i = 0; i < batch_plan_window_count(plan); i++)
        times[order[i]]++;
    free(order);
    batch_plan_destroy(&plan);
    return times;
}

/* Whether a piece of the window has a label of the type: what the spans say, said otherwise. */
static bool window_has_type(int64_t index, const char *type)
{
    Diagnostic diagnostic = {0};
    ShardWindow window;
    must(shard_window_read(store, 0, index, scratch_arena(), &window, &diagnostic), &diagnostic);
    for (int32_t i = 0; i < window.length; i++) {
        const char *name =
            window.labels[i] == TOKEN_LABEL_IGNORED ? "O" : label_set_name(shard_store_labels(store), window.labels[i]);
        if (name[0] != 'O' && strcmp(name + 2, type) == 0)
            return true;
    }
    return false;
}

static void chosen_types_alone_are_repeated(void **state)
{
    (void)state;
    TrainingOptions options = training_options(3, 16);
    snprintf(options.oversample_types, sizeof options.oversample_types, "PER, MISC");
    int64_t *times = times_of(store, &options, 0), repeated = 0, total = 0;
    for (int64_t i = 0; i < shard_window_count(store, 0); i++) {
        bool chosen = window_has_type(i, "PER") || window_has_type(i, "MISC");
        assert_int_equal(times[i], chosen ? 3 : 1);
        repeated += chosen;
        total += times[i];
    }
    assert_true(repeated > 0 && repeated < windows_with_span());
    assert_int_equal(steps_of(&options), (total + 15) / 16);
    free(times);
}

static void repeat_factors_are_those_of_lvis(void **state)
{
    (void)state;
    enum { EPOCHS = 60 };
    static const char *const types[] = {"PER", "LOC", "ORG", "MISC"};
    TrainingOptions options = training_options(1, 16);
    options.oversample = OVERSAMPLE_REPEAT_FACTOR;
    options.repeat_threshold = 0.9;
    int64_t count = shard_window_count(store, 0), fractional = 0;
    int64_t *sums = memory_allocate((size_t)count, sizeof *sums);
    double *factors = memory_allocate((size_t)count, sizeof *factors), total = 0;
    for (int64_t i = 0; i < count; i++) {
        factors[i] = 1;
        for (int t = 0; t < 4; t++) {
            int64_t with = 0;
            for (int64_t j = 0; j < count; j++)
                with += window_has_type(j, types[t]);
            if (window_has_type(i, types[t]))
                factors[i] = fmax(factors[i], sqrt(0.9 / ((double)with / (double)count)));
        }
        fractional += factors[i] > floor(factors[i]);
        total += factors[i];
    }
    assert_true(fractional > 0);
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        int64_t *times = times_of(store, &options, epoch), all = 0;
        for (int64_t i = 0; i < count; i++) {
            assert_true(times[i] == (int64_t)floor(factors[i]) || times[i] == (int64_t)ceil(factors[i]));
            sums[i] += times[i];
            all += times[i];
        }
        assert_int_equal(all, llround(total));
        assert_int_equal(steps_of(&options), (all + 15) / 16);
        free(times);
    }
    for (int64_t i = 0; i < count; i++)
        assert_true(fabs((double)sums[i] - EPOCHS * factors[i]) < 24);
    free(sums);
    free(factors);
}

static void a_threshold_below_every_frequency_repeats_nothing(void **state)
{
    (void)state;
    TrainingOptions options = training_options(1, 16);
    options.oversample = OVERSAMPLE_REPEAT_FACTOR;
    options.repeat_threshold = 1e-6;
    int64_t *times = times_of(store, &options, 0);
    for (int64_t i = 0; i < shard_window_count(store, 0); i++)
        assert_int_equal(times[i], 1);
    free(times);
}

static void assert_times(const ShardStore *of, const char *types, const char *forms, const int64_t *expected)
{
    TrainingOptions options = training_options(3, 16);
    snprintf(options.oversample_types, sizeof options.oversample_types, "%s", types);
    snprintf(options.oversample_forms, sizeof options.oversample_forms, "%s", forms);
    int64_t *times = times_of(of, &options, 0);
    assert_memory_equal(times, expected, 4 * sizeof *times);
    free(times);
}

static void assert_refused(const ShardStore *of, const char *types, const char *forms, const char *message)
{
    Diagnostic diagnostic = {0};
    BatchPlan *plan = NULL;
    TrainingOptions options = training_options(3, 16);
    snprintf(options.oversample_types, sizeof options.oversample_types, "%s", types);
    snprintf(options.oversample_forms, sizeof options.oversample_forms, "%s", forms);
    assert_int_equal(batch_plan_create(&plan, of, 0, &options, 0, &diagnostic), STATUS_INVALID_INPUT);
    assert_null(plan);
    must_contain(diagnostic.message, message);
}

static void forms_are_whole_spans_and_join_with_types(void **state)
{
    (void)state;
    void *folder = NULL;
    assert_int_equal(scratch_setup(&folder), 0);
    char *train = scratch_write(folder, "train.conll",
                                "Ada\tB-PER\nLovelace\tI-PER\nmet\tO\nBob\tB-PER\n\nBob\tB-PER\nleft\tO\n\n"
                                "in\tO\nParis\tB-LOC\n\nBob\tO\nhere\tO\n");
    ShardStore *small = store_of(folder, train, NULL);
    assert_int_equal(shard_window_count(small, 0), 4);
    assert_times(small, "none", "Ada Lovelace", (int64_t[]){3, 1, 1, 1});
    assert_times(small, "none", "Ada Lovelace; Paris", (int64_t[]){3, 1, 3, 1});
    assert_times(small, "LOC", "Bob", (int64_t[]){3, 3, 3, 1});
    assert_times(small, "PER", "none", (int64_t[]){3, 3, 1, 1});
    assert_refused(small, "none", "Lovelace", "oversample_forms: no span of the training data reads \"Lovelace\"");
    assert_refused(small, "PER,ORG", "none", "oversample_types: no span of the training data is of type \"ORG\"");
    shard_store_close(&small);
    free(train);
    assert_int_equal(scratch_teardown(&folder), 0);
}

/* 1.7 is a little less as a double: a plain sum of 25 of them ends below 42.5. */
static void halves_are_rounded_up_however_fractions_are_stored(void **state)
{
    (void)state;
    void *folder = NULL;
    Diagnostic diagnostic = {0};
    assert_int_equal(scratch_setup(&folder), 0);
    Text text = {0};
    for (int i = 0; i < 25; i++)
        text_format(&text, "Ada\tB-PER\nv%d\tO\n\n", i);
    char *train = scratch_write(folder, "train.conll", text.bytes);
    ShardStore *many = store_of(folder, train, NULL);
    assert_int_equal(shard_window_count(many, 0), 25);
    TrainingOptions options = training_options(1.7, 16);
    BatchPlan *plan = NULL;
    must(batch_plan_create(&plan, many, 0, &options, 0, &diagnostic), &diagnostic);
    assert_int_equal(batch_plan_window_count(plan), 43);
    batch_plan_destroy(&plan);
    shard_store_close(&many);
    text_free(&text);
    free(train);
    assert_int_equal(scratch_teardown(&folder), 0);
}

/* Lengths as tweets have them: most of 15 to 30 pieces, some of 3, few of 100. */
static int32_t tweet_length(uint32_t index)
{
    PhiloxBlock random = philox4x32_10(philox_key(11, RANDOM_INIT, 0), index, 0, 0, 0);
    double u = philox_uniform_double(random.word[0], random.word[1]);
    return 3 + (int32_t)(28 * pow(-log(1 - u), 0.8));
}

static void ranks_get_like_numbers_of_pieces(void **state)
{
    (void)state;
    enum { BATCH = 16, STEPS = 200 };
    for (int32_t ranks = 1; ranks <= 4; ranks++) {
        int64_t loads[4] = {0};
        for (uint32_t step = 0; step < STEPS; step++) {
            int32_t lengths[BATCH], rank_of[BATCH], again[BATCH];
            for (uint32_t i = 0; i < BATCH; i++)
                lengths[i] = tweet_length(step * BATCH + i);
            batch_split_ranks(lengths, BATCH, ranks, rank_of);
            batch_split_ranks(lengths, BATCH, ranks, again);
            assert_memory_equal(rank_of, again, sizeof rank_of);
            for (int i = 0; i < BATCH; i++) {
                assert_true(rank_of[i] >= 0 && rank_of[i] < ranks);
                loads[rank_of[i]] += lengths[i];
            }
        }
        int64_t least = loads[0], most = loads[0];
        for (int32_t rank = 1; rank < ranks; rank++) {
            least = loads[rank] < least ? loads[rank] : least;
            most = loads[rank] > most ? loads[rank] : most;
        }
        assert_true((double)most <= 1.10 * (double)least);
    }
}

static void a_split_is_within_seven_sixths_of_the_best_for_two_ranks(void **state)
{
    (void)state;
    enum { COUNT = 10 };
    for (uint32_t round = 0; round < 300; round++) {
        int32_t lengths[COUNT], rank_of[COUNT];
        int64_t sum = 0, best = INT64_MAX, loads[2] = {0};
        for (uint32_t i = 0; i < COUNT; i++)
            sum += lengths[i] = tweet_length(100000 + round * COUNT + i);
        for (uint32_t set = 0; set < 1u << COUNT; set++) {
            int64_t load = 0;
            for (int i = 0; i < COUNT; i++)
                load += set >> i & 1 ? lengths[i] : 0;
            load = load > sum - load ? load : sum - load;
            best = load < best ? load : best;
        }
        batch_split_ranks(lengths, COUNT, 2, rank_of);
        for (int i = 0; i < COUNT; i++)
            loads[rank_of[i]] += lengths[i];
        /* Graham 1969: longest first is at most 4/3 - 1/(3m) of the optimum. */
        assert_true(6 * (loads[0] > loads[1] ? loads[0] : loads[1]) <= 7 * best);
    }
}

static void ties_go_by_slot_and_rank_and_few_windows_leave_ranks_empty(void **state)
{
    (void)state;
    int32_t rank_of[4];
    batch_split_ranks((int32_t[]){5, 5, 5, 5}, 4, 2, rank_of);
    assert_memory_equal(rank_of, ((int32_t[]){0, 1, 0, 1}), sizeof rank_of);
    batch_split_ranks((int32_t[]){3, 9}, 2, 4, rank_of);
    assert_int_equal(rank_of[0], 1);
    assert_int_equal(rank_of[1], 0);
    batch_split_ranks(NULL, 0, 2, rank_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_oversampling_every_window_is_there_once),
        cmocka_unit_test(whole_factors_repeat_windows_with_spans_exactly),
        cmocka_unit_test(fractions_are_drawn_anew_but_their_number_is_the_same_each_epoch),
        cmocka_unit_test(the_order_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(a_shuffle_puts_windows_anywhere),
        cmocka_unit_test(a_plan_that_is_turned_is_the_plan_of_that_epoch),
        cmocka_unit_test(a_plan_beyond_all_bounds_is_refused),
        cmocka_unit_test(chosen_types_alone_are_repeated),
        cmocka_unit_test(repeat_factors_are_those_of_lvis),
        cmocka_unit_test(a_threshold_below_every_frequency_repeats_nothing),
        cmocka_unit_test(forms_are_whole_spans_and_join_with_types),
        cmocka_unit_test(halves_are_rounded_up_however_fractions_are_stored),
        cmocka_unit_test(ranks_get_like_numbers_of_pieces),
        cmocka_unit_test(a_split_is_within_seven_sixths_of_the_best_for_two_ranks),
        cmocka_unit_test(ties_go_by_slot_and_rank_and_few_windows_leave_ranks_empty),
    };
    return cmocka_run_group_tests(tests, store_setup, store_teardown);
}
