/* class_weights: what is read, what is refused, what it means for a set of labels. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/options/class_weights.h"
#include "core/options/options.h"

static const char *const labels[] = {"B-LOC", "B-PER", "I-LOC", "I-PER", "O"};
enum { LABELS = 5 };

static Status resolve(const char *text, const int64_t *counts, float *values, Diagnostic *diagnostic)
{
    ClassWeights weights;
    Status status = class_weights_parse(&weights, text, diagnostic);
    return status == STATUS_OK ? class_weights_resolve(&weights, labels, LABELS, counts, values, diagnostic) : status;
}

static void a_type_stands_for_its_labels_and_a_label_goes_before_its_type(void **state)
{
    (void)state;
    float values[LABELS];
    assert_int_equal(resolve("B-PER=4,PER=2,O=0.25", NULL, values, NULL), STATUS_OK);
    const float expected[] = {1, 4, 1, 2, 0.25f};
    assert_memory_equal(values, expected, sizeof expected);
    assert_int_equal(resolve("none", NULL, values, NULL), STATUS_OK);
    for (int i = 0; i < LABELS; i++)
        assert_true(values[i] == 1.0f);
}

static void balanced_weights_are_the_ones_of_scikit_learn(void **state)
{
    (void)state;
    /* compute_class_weight("balanced"): n_samples / (n_classes * bincount) */
    const int64_t counts[] = {10, 20, 0, 5, 65};
    float values[LABELS];
    assert_int_equal(resolve("balanced", counts, values, NULL), STATUS_OK);
    const double expected[] = {100.0 / 50, 100.0 / 100, 1, 100.0 / 25, 100.0 / 325};
    for (int i = 0; i < LABELS; i++)
        assert_true(fabs((double)values[i] - expected[i]) < 1e-6);
}

static void entries_that_mean_nothing_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"PER", "is not NAME=WEIGHT"},
        {"PER=2,", "is not NAME=WEIGHT"},
        {"=2", "is not NAME=WEIGHT"},
        {"PER=two", "the weight of PER is \"two\""},
        {"PER=-1", "the weight of PER"},
        {"PER=1e7", "the weight of PER"},
        {"PER=nan", "the weight of PER"},
        {"PER=1,PER=2", "PER is given twice"},
        {"ORG=2", "ORG is neither a label nor a type"},
        {"O=0,LOC=0,PER=0", "every label has the weight 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float values[LABELS];
        Diagnostic diagnostic = {0};
        assert_int_equal(resolve(cases[i].text, NULL, values, &diagnostic), STATUS_INVALID_INPUT);
        assert_non_null(strstr(diagnostic.message, cases[i].message));
    }
}

static void the_training_options_refuse_what_cannot_be_read(void **state)
{
    (void)state;
    TrainingOptions options;
    Diagnostic diagnostic = {0};
    options_set_defaults(training_option_table(), &options);
    assert_int_equal(training_options_validate(&options, &diagnostic), STATUS_OK);
    const OptionDescriptor *option = option_find(training_option_table(), "class-weights");
    assert_non_null(option);
    assert_int_equal(option_set(option, &options, "PER", &diagnostic), STATUS_OK);
    assert_int_equal(training_options_validate(&options, &diagnostic), STATUS_INVALID_INPUT);
    assert_int_equal(option_set(option, &options, "PER=3", &diagnostic), STATUS_OK);
    assert_int_equal(training_options_validate(&options, &diagnostic), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_stands_for_its_labels_and_a_label_goes_before_its_type),
        cmocka_unit_test(balanced_weights_are_the_ones_of_scikit_learn),
        cmocka_unit_test(entries_that_mean_nothing_are_refused_by_name),
        cmocka_unit_test(the_training_options_refuse_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
