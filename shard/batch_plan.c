#include "shard/batch_plan.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/philox.h"
#include "shard/oversample.h"

/* How often each window is there in an epoch. */
typedef struct Repeats {
    double *factors;   /* [windows of the split] >= 1 */
    int64_t fractions; /* windows whose factor is no whole number */
    int64_t drawn;     /* how many of them are there once more */
    double total;      /* after oversampling; a double, since a factor has no upper bound */
} Repeats;

struct BatchPlan {
    Repeats repeats;
    uint64_t seed;
    int64_t split_windows;
    int64_t *windows; /* [count] in the order of the epoch */
    int64_t count;
    int64_t batch; /* windows of one optimizer step */
};

/* Far above the rounding errors of a sum of so many fractions as there may be windows, far below what a user could mean. */
#define HALF_SLACK 1e-6

static Status repeats_make(Repeats *repeats, const ShardStore *store, int32_t split, const TrainingOptions *options,
                           Diagnostic *diagnostic)
{
    int64_t count = shard_window_count(store, split);
    double sum = 0, whole = 0;
    *repeats = (Repeats){0};
    Status status = oversample_factors(&repeats->factors, store, split, options, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (int64_t i = 0; i < count; i++) {
        double floored = floor(repeats->factors[i]);
        whole += floored;
        sum += repeats->factors[i] - floored;
        repeats->fractions += repeats->factors[i] > floored;
    }
    /* 25 times 1.7 is 42.5 and counts as 43, though the sum of the nearest doubles is just below. */
    repeats->total = round(whole + sum + HALF_SLACK);
    repeats->drawn = repeats->total > INT32_MAX ? 0 : (int64_t)(repeats->total - whole);
    return STATUS_OK;
}

static int64_t batch_size(const TrainingOptions *options)
{
    ASSERT(options->per_device_train_batch_size >= 1 && options->gradient_accumulation_steps >= 1);
    int64_t batch;
    if (__builtin_mul_overflow(options->per_device_train_batch_size, options->gradient_accumulation_steps, &batch))
        return INT64_MAX;
    return batch;
}

/* A window whose factor has a fraction, and its lot over that fraction. */
typedef struct Lot {
    double rank;
    uint64_t number;
    int64_t window;
} Lot;

static int lot_compare(const void *a, const void *b)
{
    const Lot *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->window < right->window ? -1 : left->window > right->window;
}

static PhiloxBlock draw(PhiloxKey key, int64_t index)
{
    return philox4x32_10(key, (uint32_t)index, (uint32_t)((uint64_t)index >> 32), 0, 0);
}

/* The windows that are there once more: those with the smallest lots over their fractions (sequential Poisson sampling, Ohlsson 1998), so
 * that each is drawn with its fraction as probability, exactly where fractions are alike and nearly elsewhere, and their number is the same in
 * every epoch. extra: [windows of the split]. */
static void draw_extra(bool *extra, int64_t count, const Repeats *repeats, uint64_t seed, int64_t epoch)
{
    if (repeats->drawn == 0)
        return;
    PhiloxKey key = philox_key(seed, RANDOM_OVERSAMPLE, (uint32_t)epoch);
    Lot *lots = memory_allocate((size_t)repeats->fractions, sizeof *lots);
    int64_t filled = 0;
    for (int64_t i = 0; i < count; i++) {
        double fraction = repeats->factors[i] - floor(repeats->factors[i]);
        if (fraction == 0)
            continue;
        PhiloxBlock random = draw(key, i);
        uint64_t number = ((uint64_t)random.word[0] << 32) | random.word[1];
        lots[filled++] = (Lot){.rank = (double)number / fraction, .number = number, .window = i};
    }
    qsort(lots, (size_t)filled, sizeof *lots, lot_compare);
    for (int64_t i = 0; i < repeats->drawn; i++)
        extra[lots[i].window] = true;
    free(lots);
}

/* Fisher-Yates (Durstenfeld 1964). */
static void shuffle(int64_t *windows, int64_t count, uint64_t seed, int64_t epoch)
{
    PhiloxKey key = philox_key(seed, RANDOM_SHUFFLE, (uint32_t)epoch);
    for (int64_t i = count - 1; i > 0; i--) {
        PhiloxBlock random = draw(key, i);
        int64_t other = (int64_t)philox_uniform_below(random.word[0], random.word[1], (uint64_t)i + 1);
        int64_t window = windows[i];
        windows[i] = windows[other];
        windows[other] = window;
    }
}

Status batch_plan_turn(BatchPlan *plan, int64_t epoch, Diagnostic *diagnostic)
{
    int64_t filled = 0;
    if (epoch < 0 || epoch > UINT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "there is no plan for epoch %lld", (long long)epoch);
    bool *extra = memory_allocate((size_t)plan->split_windows, sizeof *extra);
    draw_extra(extra, plan->split_windows, &plan->repeats, plan->seed, epoch);
    for (int64_t i = 0; i < plan->split_windows; i++)
        for (int64_t times = (int64_t)floor(plan->repeats.factors[i]) + extra[i]; times > 0; times--)
            plan->windows[filled++] = i;
    ASSERT(filled == plan->count);
    shuffle(plan->windows, plan->count, plan->seed, epoch);
    free(extra);
    return STATUS_OK;
}

Status batch_plan_create(BatchPlan **plan, const ShardStore *store, int32_t split, const TrainingOptions *options, int64_t epoch,
                         Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BatchPlan *made = memory_allocate(1, sizeof *made);
    void *memory;
    *made = (BatchPlan){.seed = options->seed, .split_windows = shard_window_count(store, split), .batch = batch_size(options)};
    *plan = NULL;
    TRY(repeats_make(&made->repeats, store, split, options, diagnostic));
    if (made->repeats.total > INT32_MAX)
        TRY_FAIL(diagnostic, STATUS_LIMIT,
                 "an epoch would have %.0f sentences, more than %d: choose a smaller oversample_factor or repeat_threshold",
                 made->repeats.total, INT32_MAX);
    made->count = (int64_t)made->repeats.total;
    TRY(memory_try_allocate(&memory, (size_t)made->count, sizeof(int64_t), diagnostic));
    made->windows = memory;
    TRY(batch_plan_turn(made, epoch, diagnostic));
    *plan = made;
    made = NULL;
out:
    batch_plan_destroy(&made);
    return status;
}

void batch_plan_destroy(BatchPlan **plan)
{
    if (!*plan)
        return;
    free((*plan)->repeats.factors);
    free((*plan)->windows);
    free(*plan);
    *plan = NULL;
}

int64_t batch_plan_window_count(const BatchPlan *plan)
{
    return plan->count;
}

int64_t batch_plan_step_count(const BatchPlan *plan)
{
    return (plan->count - 1) / plan->batch + (plan->count > 0);
}

void batch_plan_step(const BatchPlan *plan, int64_t step, const int64_t **windows, int32_t *count)
{
    ASSERT(step >= 0 && step < batch_plan_step_count(plan));
    int64_t first = step * plan->batch, rest = plan->count - first;
    *windows = plan->windows + first;
    *count = (int32_t)(rest < plan->batch ? rest : plan->batch);
}

typedef struct SlotLength {
    int32_t length, slot;
} SlotLength;

static int longest_first(const void *a, const void *b)
{
    const SlotLength *left = a, *right = b;
    if (left->length != right->length)
        return left->length > right->length ? -1 : 1;
    return left->slot < right->slot ? -1 : left->slot > right->slot;
}

void batch_split_ranks(const int32_t *lengths, int32_t count, int32_t rank_count, int32_t *rank_of)
{
    ASSERT(rank_count >= 1 && count >= 0);
    SlotLength *slots = memory_allocate((size_t)count, sizeof *slots);
    int64_t *loads = memory_allocate((size_t)rank_count, sizeof *loads);
    for (int32_t slot = 0; slot < count; slot++)
        slots[slot] = (SlotLength){.length = lengths[slot], .slot = slot};
    qsort(slots, (size_t)count, sizeof *slots, longest_first);
    for (int32_t i = 0; i < count; i++) {
        int32_t least = 0;
        for (int32_t rank = 1; rank < rank_count; rank++)
            if (loads[rank] < loads[least])
                least = rank;
        loads[least] += slots[i].length;
        rank_of[slots[i].slot] = least;
    }
    free(slots);
    free(loads);
}
