#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "coordinator/importance.h"
#include "core/base/philox.h"

enum { POINTS = 600, DIMENSIONS = 4 };

static const int32_t choices[DIMENSIONS] = {0, 0, 3, 0}; /* the last one does nothing */
static double points[POINTS * DIMENSIONS], scores[POINTS];

static double uniform(uint32_t point, uint32_t dimension)
{
    PhiloxBlock block = philox4x32_10(philox_key(5, RANDOM_BOOTSTRAP, 0), point, dimension, 0, 0);
    return philox_uniform_double(block.word[0], block.word[1]);
}

static void draw_points(double (*score)(const double *point))
{
    for (uint32_t i = 0; i < POINTS; i++) {
        for (uint32_t d = 0; d < DIMENSIONS; d++) {
            double u = uniform(i, d);
            points[i * DIMENSIONS + d] = choices[d] ? floor(u * choices[d]) : u;
        }
        scores[i] = score(points + i * DIMENSIONS);
    }
}

/* Variances 4/12, 1/12 and 2/3 * 0.16: the shares of a sum are those of its terms. */
static double additive(const double *point)
{
    return 2 * point[0] + point[1] + 0.4 * (point[2] - 1);
}

static double product(const double *point)
{
    return (point[0] - 0.5) * (point[1] - 0.5);
}

static double constant(const double *point)
{
    (void)point;
    return 0.3;
}

static void the_shares_of_a_sum_are_those_of_its_terms(void **state)
{
    (void)state;
    static const double variances[DIMENSIONS] = {4 / 12.0, 1 / 12.0, 0.16 * 2 / 3, 0};
    double shares[DIMENSIONS], total = variances[0] + variances[1] + variances[2], sum = 0;
    draw_points(additive);
    importance_shares(choices, DIMENSIONS, points, scores, POINTS, 1, shares);
    for (int d = 0; d < DIMENSIONS; d++) {
        assert_true(fabs(shares[d] - variances[d] / total) < 0.03); /* 600 points fill four dimensions only roughly */
        sum += shares[d];
    }
    assert_true(sum > 0.93 && sum < 1 + 1e-9);
}

static void what_only_works_together_has_no_share_of_its_own(void **state)
{
    (void)state;
    double shares[DIMENSIONS];
    draw_points(product);
    importance_shares(choices, DIMENSIONS, points, scores, POINTS, 1, shares);
    for (int d = 0; d < DIMENSIONS; d++)
        assert_true(shares[d] < 0.1);
}

static void scores_that_are_all_alike_explain_nothing(void **state)
{
    (void)state;
    double shares[DIMENSIONS];
    draw_points(constant);
    importance_shares(choices, DIMENSIONS, points, scores, POINTS, 1, shares);
    for (int d = 0; d < DIMENSIONS; d++)
        assert_true(shares[d] == 0);
}

static void the_same_seed_gives_the_same_shares(void **state)
{
    (void)state;
    double first[DIMENSIONS], second[DIMENSIONS], other[DIMENSIONS];
    draw_points(additive);
    importance_shares(choices, DIMENSIONS, points, scores, 50, 1, first);
    importance_shares(choices, DIMENSIONS, points, scores, 50, 1, second);
    importance_shares(choices, DIMENSIONS, points, scores, 50, 2, other);
    assert_memory_equal(first, second, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shares_of_a_sum_are_those_of_its_terms),
        cmocka_unit_test(what_only_works_together_has_no_share_of_its_own),
        cmocka_unit_test(scores_that_are_all_alike_explain_nothing),
        cmocka_unit_test(the_same_seed_gives_the_same_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
