/* Hugging Face's 20 steps on as many ranks as mpirun starts, which share out sentences, sums, and the optimizer. */
#include "tests/model/golden.h"

#include <stdio.h>
#include <string.h>

#include "tests/worker/fixture.h"
#include "worker/reducer.h"
#include "worker/shares.h"

typedef struct Group {
    Communicator *world;
    Reducer *reducer;
} Group;

static void begin(void *context, const bool *part_frozen)
{
    Group *group = context;
    reducer_begin(group->reducer, part_frozen);
}

static Status part_ready(void *context, int32_t part, Diagnostic *diagnostic)
{
    Group *group = context;
    return reducer_part_ready(group->reducer, part, diagnostic);
}

static void finish(void *context)
{
    Group *group = context;
    Diagnostic diagnostic = {0};
    must(reducer_finish(group->reducer, &diagnostic), &diagnostic);
}

static double add(void *context, double value)
{
    Group *group = context;
    communicator_sum_double(group->world, &value, 1);
    return value;
}

/* A whole training of one variant; the model that it ended with. */
static TinyModel train(Communicator *world, const Golden *golden, const char *variant, const Backend *backend, DeviceType type,
                       Deviation *seen)
{
    Diagnostic diagnostic = {0};
    Group group = {.world = world};
    Shares *shares = NULL;
    int32_t rank = communicator_rank(world), size = communicator_size(world);
    TinyModel tiny = golden_model(golden, backend, type, 1);
    must(shares_create(&shares, world, tiny.model, NULL, &diagnostic), &diagnostic);
    must(reducer_create(&group.reducer, world, tiny.model, &(Chunks){size, rank, 1}, &diagnostic), &diagnostic);
    GoldenRanks ranks = {.context = &group,
                         .rank = rank,
                         .size = size,
                         .optimizer = shares_ranks(shares),
                         .begin = begin,
                         .part_ready = part_ready,
                         .finish = finish,
                         .add = add};
    assert_true(size > 1 && ranks.optimizer != NULL);
    golden_take_steps(golden, golden_variant(golden, variant), tiny.model, &ranks, seen);
    reducer_destroy(&group.reducer);
    shares_destroy(&shares);
    return tiny;
}

static void train_as_hugging_face(Communicator *world, const char *variant)
{
    Golden golden = golden_open();
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        Deviation seen = {0};
        TinyModel tiny = train(world, &golden, variant, support_backend(SUPPORT_BACKENDS[b]), DEVICE_FP32, &seen);
        golden_compare(&golden, variant, tiny.model, SUPPORT_BACKENDS[b], &seen);
        support_model_free(&tiny);
    }
    golden_close(&golden);
}

static void ranks_give_the_losses_and_weights_of_hugging_face(void **state)
{
    train_as_hugging_face(*state, "plain");
}

static void also_with_a_cosine_schedule_and_label_smoothing(void **state)
{
    train_as_hugging_face(*state, "cosine");
}

static void also_where_parts_thaw(void **state)
{
    train_as_hugging_face(*state, "freezing");
}

static void bf16_products_give_the_losses_of_hugging_face_within_two_percent(void **state)
{
    static const char *const variants[] = {"plain", "cosine", "freezing"};
    Golden golden = golden_open();
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        Deviation seen = {0};
        TinyModel tiny = train(*state, &golden, variants[i], support_backend("cpu"), DEVICE_BF16, &seen);
        printf("bf16      %-8s largest differences: loss %.1e (relative), norm %.1e (relative)\n", variants[i], seen.loss_share,
               seen.norm);
        assert_true(seen.loss_share < GOLDEN_BF16_TOLERANCE);
        assert_true(seen.loss > 0); /* it was not fp32 after all */
        support_model_free(&tiny);
    }
    golden_close(&golden);
}

static int world_setup(void **state)
{
    Diagnostic diagnostic = {0};
    Communicator *world;
    must(communicator_open(&world, 0, &diagnostic), &diagnostic);
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    Communicator *world = *state;
    communicator_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_give_the_losses_and_weights_of_hugging_face),
        cmocka_unit_test(also_with_a_cosine_schedule_and_label_smoothing),
        cmocka_unit_test(also_where_parts_thaw),
        cmocka_unit_test(bf16_products_give_the_losses_of_hugging_face_within_two_percent),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
