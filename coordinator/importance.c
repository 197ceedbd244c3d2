#include "coordinator/importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/philox.h"

enum { DEPTH_LIMIT = 64 };

/* A region of the space: of a number the interval from low to high, of a choice the values that are in. */
typedef struct Box {
    double *low, *high; /* [dimension_count] */
    bool **in;          /* [dimension_count][choices] */
} Box;

typedef struct Leaf {
    Box box;
    double prediction, volume;
} Leaf;

typedef struct Forest {
    const int32_t *choices;
    size_t dimension_count;
    const double *points, *scores;
    ARRAY(Leaf) leaves; /* of the tree in hand */
} Forest;

typedef struct Split {
    size_t dimension;
    double value; /* numbers below it, or the choice equal to it, go left */
    double gain;  /* by how much the sum of squared errors falls */
} Split;

static double value_of(const Forest *forest, uint32_t point, size_t dimension)
{
    return forest->points[point * forest->dimension_count + dimension];
}

static bool goes_left(const Forest *forest, uint32_t point, const Split *split)
{
    double value = value_of(forest, point, split->dimension);
    return forest->choices[split->dimension] ? value == split->value : value < split->value;
}

/* ------------------------------------------------------------------------------------------------ boxes */

static Box box_copy(const Forest *forest, const Box *from)
{
    size_t count = forest->dimension_count;
    Box box = {memory_allocate(count + 1, sizeof(double)), memory_allocate(count + 1, sizeof(double)),
               memory_allocate(count + 1, sizeof(bool *))};
    for (size_t d = 0; d < count; d++) {
        box.low[d] = from ? from->low[d] : 0;
        box.high[d] = from ? from->high[d] : 1;
        box.in[d] = memory_allocate((size_t)forest->choices[d] + 1, sizeof(bool));
        for (int32_t c = 0; c < forest->choices[d]; c++)
            box.in[d][c] = from ? from->in[d][c] : true;
    }
    return box;
}

static void box_free(const Forest *forest, Box *box)
{
    for (size_t d = 0; d < forest->dimension_count; d++)
        free(box->in[d]);
    free(box->in);
    free(box->low);
    free(box->high);
}

/* The share of the dimension's whole range. */
static double box_extent(const Forest *forest, const Box *box, size_t dimension)
{
    int32_t choices = forest->choices[dimension], inside = 0;
    if (!choices)
        return box->high[dimension] - box->low[dimension];
    for (int32_t c = 0; c < choices; c++)
        inside += box->in[dimension][c];
    return (double)inside / choices;
}

static void box_cut(const Forest *forest, Box *box, const Split *split, bool left)
{
    size_t d = split->dimension;
    if (!forest->choices[d]) {
        *(left ? &box->high[d] : &box->low[d]) = split->value;
        return;
    }
    for (int32_t c = 0; c < forest->choices[d]; c++)
        box->in[d][c] = box->in[d][c] && (c == (int32_t)split->value) == left;
}

/* ------------------------------------------------------------------------------------------------ a tree */

typedef struct Sample {
    double value, score;
} Sample;

static int compare_samples(const void *a, const void *b)
{
    const Sample *left = a, *right = b;
    if (left->value != right->value)
        return left->value < right->value ? -1 : 1;
    return left->score < right->score ? -1 : left->score > right->score;
}

/* What is gained by two means, of `count` samples with this sum, instead of one. */
static double gain_of(double left_sum, size_t left, double sum, size_t count)
{
    if (left == 0 || left == count)
        return 0;
    double right_sum = sum - left_sum, right = (double)(count - left);
    return left_sum * left_sum / (double)left + right_sum * right_sum / right - sum * sum / (double)count;
}

static void try_numbers(const Sample *samples, size_t count, double sum, size_t dimension, Split *best)
{
    double left = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        left += samples[i].score;
        double gain = samples[i].value < samples[i + 1].value ? gain_of(left, i + 1, sum, count) : 0;
        if (gain > best->gain)
            *best = (Split){dimension, 0.5 * (samples[i].value + samples[i + 1].value), gain};
    }
}

static void try_choices(const Sample *samples, size_t count, double sum, size_t dimension, Split *best)
{
    for (size_t i = 0; i < count;) { /* one value against all others */
        size_t end = i;
        double inside = 0;
        for (; end < count && samples[end].value == samples[i].value; end++)
            inside += samples[end].score;
        double gain = gain_of(inside, end - i, sum, count);
        if (gain > best->gain)
            *best = (Split){dimension, samples[i].value, gain};
        i = end;
    }
}

/* gain 0: there is nothing to split. Scores are taken from their mean, so that sums of squares lose nothing. */
static Split find_split(const Forest *forest, const uint32_t *members, size_t count, double mean)
{
    static const double smallest_gain = 1e-15;
    Split best = {.gain = smallest_gain};
    Sample *samples = memory_allocate(count, sizeof *samples);
    for (size_t d = 0; d < forest->dimension_count; d++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            samples[i] = (Sample){value_of(forest, members[i], d), forest->scores[members[i]] - mean};
            sum += samples[i].score;
        }
        qsort(samples, count, sizeof *samples, compare_samples);
        if (forest->choices[d])
            try_choices(samples, count, sum, d, &best);
        else
            try_numbers(samples, count, sum, d, &best);
    }
    free(samples);
    best.gain = best.gain > smallest_gain ? best.gain : 0;
    return best;
}

/* Takes box over. members is put in another order. */
static void grow(Forest *forest, uint32_t *members, size_t count, Box box, int depth)
{
    double mean = 0, volume = 1;
    for (size_t i = 0; i < count; i++)
        mean += forest->scores[members[i]] / (double)count;
    Split split = depth < DEPTH_LIMIT ? find_split(forest, members, count, mean) : (Split){0};
    if (split.gain <= 0) {
        for (size_t d = 0; d < forest->dimension_count; d++)
            volume *= box_extent(forest, &box, d);
        Leaf leaf = {box, mean, volume};
        array_push(&forest->leaves, leaf);
        return;
    }
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (goes_left(forest, members[i], &split)) {
            uint32_t swap = members[left];
            members[left++] = members[i];
            members[i] = swap;
        }
    Box other = box_copy(forest, &box);
    box_cut(forest, &box, &split, true);
    box_cut(forest, &other, &split, false);
    grow(forest, members, left, box, depth + 1);
    grow(forest, members + left, count - left, other, depth + 1);
}

/* ------------------------------------------------------------------------------------------------ variances of a tree's predictions */

static double choice_variance(const Forest *forest, size_t dimension, double mean)
{
    double variance = 0;
    for (int32_t c = 0; c < forest->choices[dimension]; c++) {
        double marginal = 0;
        for (size_t i = 0; i < forest->leaves.count; i++) {
            const Leaf *leaf = &forest->leaves.items[i];
            if (leaf->box.in[dimension][c])
                marginal += leaf->prediction * leaf->volume / box_extent(forest, &leaf->box, dimension);
        }
        variance += (marginal - mean) * (marginal - mean) / forest->choices[dimension];
    }
    return variance;
}

/* Where leaves begin or end, and by how much the marginal prediction changes there. */
static double number_variance(const Forest *forest, size_t dimension, double mean)
{
    size_t count = 2 * forest->leaves.count;
    Sample *edges = memory_allocate(count, sizeof *edges);
    for (size_t i = 0; i < forest->leaves.count; i++) {
        const Leaf *leaf = &forest->leaves.items[i];
        double part = leaf->prediction * leaf->volume / box_extent(forest, &leaf->box, dimension);
        edges[2 * i] = (Sample){leaf->box.low[dimension], part};
        edges[2 * i + 1] = (Sample){leaf->box.high[dimension], -part};
    }
    qsort(edges, count, sizeof *edges, compare_samples);
    double variance = 0, marginal = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        marginal += edges[i].score;
        variance += (edges[i + 1].value - edges[i].value) * (marginal - mean) * (marginal - mean);
    }
    free(edges);
    return variance;
}

/* Adds the tree's shares; false: it predicts the same everywhere. */
static bool add_shares(const Forest *forest, double *shares)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < forest->leaves.count; i++)
        mean += forest->leaves.items[i].prediction * forest->leaves.items[i].volume;
    for (size_t i = 0; i < forest->leaves.count; i++) {
        double difference = forest->leaves.items[i].prediction - mean;
        variance += difference * difference * forest->leaves.items[i].volume;
    }
    if (!(variance > 0))
        return false;
    for (size_t d = 0; d < forest->dimension_count; d++)
        shares[d] += (forest->choices[d] ? choice_variance(forest, d, mean) : number_variance(forest, d, mean)) / variance;
    return true;
}

void importance_shares(const int32_t *choices, size_t dimension_count, const double *points, const double *scores, size_t count,
                       uint64_t seed, double *shares)
{
    Forest forest = {.choices = choices, .dimension_count = dimension_count, .points = points, .scores = scores};
    uint32_t *members = memory_allocate(count, sizeof *members);
    int counted = 0;
    memset(shares, 0, dimension_count * sizeof *shares);
    for (uint32_t tree = 0; tree < IMPORTANCE_TREES; tree++) {
        PhiloxKey key = philox_key(seed, RANDOM_BOOTSTRAP, tree);
        for (uint32_t i = 0; i < count; i++) {
            PhiloxBlock block = philox4x32_10(key, i, 0, 0, 0);
            members[i] = (uint32_t)philox_uniform_below(block.word[0], block.word[1], count);
        }
        grow(&forest, members, count, box_copy(&forest, NULL), 0);
        counted += add_shares(&forest, shares);
        for (size_t i = 0; i < forest.leaves.count; i++)
            box_free(&forest, &forest.leaves.items[i].box);
        forest.leaves.count = 0;
    }
    for (size_t d = 0; d < dimension_count && counted; d++)
        shares[d] /= counted;
    array_free(&forest.leaves);
    free(members);
}
