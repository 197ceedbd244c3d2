/* 20 steps of Hugging Face's Trainer, taken again on every backend. */
#include "tests/model/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void train_on(const char *backend_name, const Golden *golden, const char *variant_name)
{
    Deviation seen = {0};
    TinyModel tiny = golden_model(golden, support_backend(backend_name), DEVICE_FP32, 2);
    golden_take_steps(golden, golden_variant(golden, variant_name), tiny.model, NULL, &seen);
    golden_compare(golden, variant_name, tiny.model, backend_name, &seen);
    support_model_free(&tiny);
}

/* Products of bf16 numbers on the CPU backend: every loss within 2% of Hugging Face's in fp32, and the same bits twice. */
static void train_in_bf16(const char *variant_name)
{
    Golden golden = golden_open();
    float *ended[2];
    size_t floats = 0;
    for (int32_t run = 0; run < 2; run++) {
        Deviation seen = {0};
        TinyModel tiny = golden_model(&golden, support_backend("cpu"), DEVICE_BF16, run + 1);
        golden_take_steps(&golden, golden_variant(&golden, variant_name), tiny.model, NULL, &seen);
        printf("bf16      %-8s largest differences: loss %.1e (relative), norm %.1e (relative)\n", variant_name, seen.loss_share,
               seen.norm);
        assert_true(seen.loss_share < GOLDEN_BF16_TOLERANCE);
        assert_true(seen.loss > 0); /* it was not fp32 after all */
        ended[run] = support_parameters(tiny.model);
        floats = model_layout(tiny.model)->float_count;
        support_model_free(&tiny);
    }
    assert_memory_equal(ended[0], ended[1], floats * sizeof(float));
    free(ended[0]);
    free(ended[1]);
    golden_close(&golden);
}

static void bf16_products_give_the_losses_of_hugging_face_within_two_percent(void **state)
{
    (void)state;
    train_in_bf16("plain");
    train_in_bf16("cosine");
    train_in_bf16("freezing");
}

static void train_as_hugging_face(const char *variant_name)
{
    Golden golden = golden_open();
    for (size_t b = 0; b < SUPPORT_BACKEND_COUNT; b++) {
        train_on(SUPPORT_BACKENDS[b], &golden, variant_name);
    }
    golden_close(&golden);
}

static void plain_training_gives_the_losses_and_weights_of_hugging_face(void **state)
{
    (void)state;
    train_as_hugging_face("plain");
}

static void cosine_schedule_and_label_smoothing_are_those_of_hugging_face(void **state)
{
    (void)state;
    train_as_hugging_face("cosine");
}

static void parts_that_thaw_start_their_adamw_as_in_hugging_face(void **state)
{
    (void)state;
    train_as_hugging_face("freezing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_training_gives_the_losses_and_weights_of_hugging_face),
        cmocka_unit_test(cosine_schedule_and_label_smoothing_are_those_of_hugging_face),
        cmocka_unit_test(parts_that_thaw_start_their_adamw_as_in_hugging_face),
        cmocka_unit_test(bf16_products_give_the_losses_of_hugging_face_within_two_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
