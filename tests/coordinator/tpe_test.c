/* TPE's densities against Optuna's, on the histories of tests/golden/tpe.json; and how it draws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "coordinator/sobol.h"
#include "tests/coordinator/tpe_json.h"

enum { GOLDEN_SIZE_LIMIT = 16 << 20 };

static const double tolerance = 1e-9; /* the two programs add the same terms in another order */

static void compare_density(const Parzen *parzen, const Json *points, const Json *expected, double *worst)
{
    double point[64];
    for (size_t p = 0; p < json_count(points); p++) {
        tpe_json_numbers(json_at(points, p), point);
        double difference = fabs(parzen_log_density(parzen, point) - json_number_value(json_at(expected, p), NAN));
        *worst = fmax(*worst, difference);
        assert_true(difference <= tolerance);
    }
}

static void log_densities_are_those_of_optuna(void **state)
{
    (void)state;
    Json *goldens = NULL;
    Diagnostic diagnostic = {0};
    if (json_read_file(&goldens, NERSWEEP_SOURCE_DIR "/tests/golden/tpe.json", GOLDEN_SIZE_LIMIT, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    const Json *space = json_get(goldens, "space"), *histories = json_get(goldens, "histories");
    double worst = 0;
    assert_true(json_count(histories) >= 10);
    for (size_t h = 0; h < json_count(histories); h++) {
        TpeCase item;
        const Json *history = json_at(histories, h), *cases = json_get(history, "cases");
        tpe_case_read(&item, space, json_get(history, "history"));
        assert_true(json_count(cases) >= 8);
        for (size_t c = 0; c < json_count(cases); c++) {
            const Json *one = json_at(cases, c);
            uint32_t chosen[64];
            size_t count = tpe_json_chosen(json_get(one, "chosen"), chosen);
            Parzen *good, *bad;
            tpe_densities(&item.history, item.space, chosen, count, &good, &bad);
            compare_density(good, json_get(one, "points"), json_get(one, "good"), &worst);
            compare_density(bad, json_get(one, "points"), json_get(one, "bad"), &worst);
            parzen_destroy(&good);
            parzen_destroy(&bad);
        }
        tpe_case_free(&item);
    }
    print_message("largest difference of a log-density: %.2g\n", worst);
    json_destroy(&goldens);
}

/* How often draws fall into each value is what the density says, within five standard deviations. */
static void draws_follow_the_density(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    static const double observations[] = {3, 0, 3, 1, 9, 1, 4, 2};
    const ParzenDimension space[] = {{.kind = PARZEN_NUMBER, .low = 1, .high = 10, .step = 1},
                                     {.kind = PARZEN_CHOICE, .choices = 3}};
    Parzen *parzen = parzen_create(space, 2, observations, 4);
    int counts[11][3] = {{0}};
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        double point[2];
        parzen_draw(parzen, philox_key(7, RANDOM_SEARCH, 1), draw, 0, point);
        counts[(int)point[0]][(int)point[1]]++;
    }
    double sum = 0;
    for (int value = 1; value <= 10; value++)
        for (int choice = 0; choice < 3; choice++) {
            double share = exp(parzen_log_density(parzen, (double[]){value, choice}));
            sum += share;
            assert_true(fabs(counts[value][choice] - DRAWS * share) < 5 * sqrt(DRAWS * share) + 1);
        }
    assert_true(fabs(sum - 1) < 1e-9); /* a density of whole numbers and choices is a distribution */
    parzen_destroy(&parzen);
}

static void draws_stay_in_their_range(void **state)
{
    (void)state;
    static const double observations[] = {1e-5, 1e-5, 1e-1};
    const ParzenDimension space[] = {{.kind = PARZEN_LOG_NUMBER, .low = 1e-5, .high = 1e-1}};
    Parzen *parzen = parzen_create(space, 1, observations, 3);
    int low = 0;
    for (uint32_t draw = 0; draw < 1000; draw++) {
        double value;
        parzen_draw(parzen, philox_key(7, RANDOM_SEARCH, 1), draw, 0, &value);
        assert_true(value >= 1e-5 && value <= 1e-1);
        low += value < 1e-4;
    }
    assert_true(low > 300); /* two of four kernels stand there */
    parzen_destroy(&parzen);
}

static void complete_ones_are_good_before_stopped_ones_and_running_ones_never(void **state)
{
    (void)state;
    const double value = 0;
    TpeObservation observations[21];
    bool good[21];
    for (size_t i = 0; i < 21; i++)
        observations[i] = (TpeObservation){.outcome = TPE_STOPPED, .score = 1.0, .last_step = 1, .values = &value};
    observations[3] = (TpeObservation){.outcome = TPE_COMPLETE, .score = 0.1, .values = &value};
    observations[5].last_step = 2;
    observations[5].score = 0.5;
    observations[20] = (TpeObservation){.outcome = TPE_RUNNING, .score = 9, .values = &value};
    TpeHistory history = {observations, 21, good};
    tpe_split(&history);
    for (size_t i = 0; i < 21; i++)
        assert_int_equal(good[i], i == 3 || i == 5); /* ceil(0.1 * 20): the complete one, and the one that came furthest */
}

static void sobol_points_are_those_of_joe_and_kuo(void **state)
{
    (void)state;
    /* x * 8 of the first eight points: the first three dimensions. */
    static const uint32_t eighths[3][8] = {{0, 4, 6, 2, 3, 7, 5, 1}, {0, 4, 2, 6, 3, 7, 1, 5}, {0, 4, 2, 6, 5, 1, 7, 3}};
    for (uint32_t d = 0; d < 3; d++)
        for (uint32_t i = 0; i < 8; i++)
            assert_int_equal(sobol_coordinate(i, d), eighths[d][i] << 29);
    /* Each dimension takes every 1024th part of the range once within 1024 points. */
    for (uint32_t d = 0; d < SOBOL_DIMENSION_LIMIT; d++) {
        bool seen[1024] = {false};
        for (uint32_t i = 0; i < 1024; i++) {
            uint32_t part = sobol_coordinate(i, d) >> 22;
            assert_false(seen[part]);
            seen[part] = true;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_densities_are_those_of_optuna),
        cmocka_unit_test(draws_follow_the_density),
        cmocka_unit_test(draws_stay_in_their_range),
        cmocka_unit_test(complete_ones_are_good_before_stopped_ones_and_running_ones_never),
        cmocka_unit_test(sobol_points_are_those_of_joe_and_kuo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
