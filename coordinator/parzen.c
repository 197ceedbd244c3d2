#include "coordinator/parzen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum { FLAT_WEIGHTS = 25, BISECTIONS = 64 };

static const double square_root_of_2 = 1.4142135623730950488016887242097;
static const double log_square_root_of_2_pi = 0.91893853320467274178032973640562;

/* The kernels of one dimension; numbers on the scale on which they are Gaussians. */
typedef struct KernelDimension {
    ParzenDimension dimension;
    double low, high;         /* of the scale, half a step wider than the values */
    double *means;            /* [kernel_count]; of a choice the observed one, -1 for the prior */
    double *deviations;       /* [kernel_count] */
    double *log_masses;       /* [kernel_count], of the kernel within the range */
    double log_hit, log_miss; /* of a choice: the kernel's probability of the observed value and of another one */
} KernelDimension;

struct Parzen {
    size_t kernel_count, dimension_count;
    double *weights; /* [kernel_count], their sum is 1 */
    double *terms;   /* [kernel_count] */
    KernelDimension *dimensions;
};

/* ------------------------------------------------------------------------------------------------ the Gaussian */

static double normal_below(double z)
{
    return 0.5 * erfc(-z / square_root_of_2);
}

/* log(P(low < z < high)), exact in the tails too: the right one is mirrored to the left. */
static double log_normal_mass(double low, double high)
{
    if (low > 0) {
        double swap = -low;
        low = -high;
        high = swap;
    }
    if (high <= 0)
        return log(normal_below(high) - normal_below(low));
    return log1p(-normal_below(low) - normal_below(-high));
}

double parzen_normal_quantile(double u, double low, double high)
{
    double below = normal_below(low), goal = below + u * (normal_below(high) - below);
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = 0.5 * (low + high);
        if (normal_below(middle) < goal)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* ------------------------------------------------------------------------------------------------ making one */

static double to_scale(const ParzenDimension *dimension, double value)
{
    return dimension->kind == PARZEN_LOG_NUMBER ? log(value) : value;
}

typedef struct RankedValue {
    double value;
    size_t index;
} RankedValue;

static int compare_values(const void *a, const void *b)
{
    const RankedValue *left = a, *right = b;
    if (left->value != right->value)
        return left->value < right->value ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* Each kernel as wide as the larger distance to its neighbours; the ends of the range count as neighbours only of a single one. */
static void set_deviations(KernelDimension *kernel, size_t count)
{
    double range = kernel->high - kernel->low, narrowest = range / fmin(100.0, 2.0 + (double)count);
    RankedValue *sorted = memory_allocate(count + 1, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (RankedValue){kernel->means[i], i};
    qsort(sorted, count, sizeof *sorted, compare_values);
    for (size_t i = 0; i < count; i++) {
        double left = sorted[i].value - (i ? sorted[i - 1].value : kernel->low);
        double right = (i + 1 < count ? sorted[i + 1].value : kernel->high) - sorted[i].value;
        double deviation = fmax(left, right);
        if (count >= 2 && i == 0)
            deviation = right;
        if (count >= 2 && i == count - 1)
            deviation = left;
        kernel->deviations[sorted[i].index] = fmin(fmax(deviation, narrowest), range);
    }
    free(sorted);
}

static void make_number(KernelDimension *kernel, const double *observations, size_t stride, size_t count)
{
    const ParzenDimension *dimension = &kernel->dimension;
    kernel->low = to_scale(dimension, dimension->low - dimension->step / 2);
    kernel->high = to_scale(dimension, dimension->high + dimension->step / 2);
    for (size_t i = 0; i < count; i++)
        kernel->means[i] = to_scale(dimension, observations[i * stride]);
    set_deviations(kernel, count);
    kernel->means[count] = 0.5 * (kernel->low + kernel->high);
    kernel->deviations[count] = dimension->prior_deviation > 0 ? dimension->prior_deviation : kernel->high - kernel->low;
    for (size_t i = 0; i <= count; i++)
        kernel->log_masses[i] = log_normal_mass((kernel->low - kernel->means[i]) / kernel->deviations[i],
                                                (kernel->high - kernel->means[i]) / kernel->deviations[i]);
}

/* A kernel of a choice: 1 on the observed value, and the prior's weight of 1 spread over all kernels on every value. */
static void make_choice(KernelDimension *kernel, const double *observations, size_t stride, size_t count)
{
    double share = 1.0 / ((double)count + 1.0), sum = 1.0 + share * kernel->dimension.choices;
    for (size_t i = 0; i < count; i++)
        kernel->means[i] = observations[i * stride];
    kernel->means[count] = -1;
    kernel->log_hit = log((1.0 + share) / sum);
    kernel->log_miss = log(share / sum);
}

static void set_weights(Parzen *parzen, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double weight = 1.0;
        if (count >= FLAT_WEIGHTS && i < count - FLAT_WEIGHTS) { /* a ramp up to the flat part */
            size_t ramp = count - FLAT_WEIGHTS;
            double lowest = 1.0 / (double)count;
            weight = ramp > 1 ? lowest + (1.0 - lowest) * (double)i / (double)(ramp - 1) : lowest;
        }
        parzen->weights[i] = weight;
        sum += weight;
    }
    parzen->weights[count] = 1.0;
    sum += 1.0;
    for (size_t i = 0; i <= count; i++)
        parzen->weights[i] /= sum;
}

Parzen *parzen_create(const ParzenDimension *dimensions, size_t dimension_count, const double *observations, size_t count)
{
    Parzen *parzen = memory_allocate(1, sizeof *parzen);
    size_t kernels = parzen->kernel_count = count + 1;
    parzen->dimension_count = dimension_count;
    parzen->weights = memory_allocate(kernels, sizeof *parzen->weights);
    parzen->terms = memory_allocate(kernels, sizeof *parzen->terms);
    parzen->dimensions = memory_allocate(dimension_count + 1, sizeof *parzen->dimensions);
    set_weights(parzen, count);
    for (size_t d = 0; d < dimension_count; d++) {
        KernelDimension *kernel = &parzen->dimensions[d];
        kernel->dimension = dimensions[d];
        kernel->means = memory_allocate(kernels, sizeof *kernel->means);
        kernel->deviations = memory_allocate(kernels, sizeof *kernel->deviations);
        kernel->log_masses = memory_allocate(kernels, sizeof *kernel->log_masses);
        if (dimensions[d].kind == PARZEN_CHOICE)
            make_choice(kernel, observations + d, dimension_count, count);
        else
            make_number(kernel, observations + d, dimension_count, count);
    }
    return parzen;
}

void parzen_destroy(Parzen **destroyed)
{
    Parzen *parzen = *destroyed;
    if (!parzen)
        return;
    for (size_t d = 0; d < parzen->dimension_count; d++) {
        free(parzen->dimensions[d].means);
        free(parzen->dimensions[d].deviations);
        free(parzen->dimensions[d].log_masses);
    }
    free(parzen->dimensions);
    free(parzen->weights);
    free(parzen->terms);
    free(parzen);
    *destroyed = NULL;
}

/* ------------------------------------------------------------------------------------------------ density */

static void add_choice(const KernelDimension *kernel, double value, double *terms, size_t kernel_count)
{
    for (size_t k = 0; k + 1 < kernel_count; k++)
        terms[k] += kernel->means[k] == value ? kernel->log_hit : kernel->log_miss;
    terms[kernel_count - 1] -= log(kernel->dimension.choices);
}

static void add_number(const KernelDimension *kernel, double value, double *terms, size_t kernel_count)
{
    const ParzenDimension *dimension = &kernel->dimension;
    double step = dimension->step;
    double left = to_scale(dimension, value - step / 2), right = to_scale(dimension, value + step / 2);
    for (size_t k = 0; k < kernel_count; k++) {
        double mean = kernel->means[k], deviation = kernel->deviations[k];
        if (step > 0) {
            terms[k] += log_normal_mass((left - mean) / deviation, (right - mean) / deviation) - kernel->log_masses[k];
        } else {
            double z = (left - mean) / deviation;
            bool outside = left < kernel->low || left > kernel->high;
            terms[k] += outside ? -INFINITY : -0.5 * z * z - log_square_root_of_2_pi - kernel->log_masses[k] - log(deviation);
        }
    }
}

double parzen_log_density(const Parzen *parzen, const double *point)
{
    double highest = -INFINITY, sum = 0;
    for (size_t k = 0; k < parzen->kernel_count; k++)
        parzen->terms[k] = log(parzen->weights[k]);
    for (size_t d = 0; d < parzen->dimension_count; d++) {
        const KernelDimension *kernel = &parzen->dimensions[d];
        if (kernel->dimension.kind == PARZEN_CHOICE)
            add_choice(kernel, point[d], parzen->terms, parzen->kernel_count);
        else
            add_number(kernel, point[d], parzen->terms, parzen->kernel_count);
    }
    for (size_t k = 0; k < parzen->kernel_count; k++)
        highest = fmax(highest, parzen->terms[k]);
    if (isinf(highest))
        return highest;
    for (size_t k = 0; k < parzen->kernel_count; k++)
        sum += exp(parzen->terms[k] - highest);
    return highest + log(sum);
}

/* ------------------------------------------------------------------------------------------------ drawing */

static double draw_choice(const KernelDimension *kernel, size_t k, double u)
{
    double sum = 0;
    int32_t choices = kernel->dimension.choices;
    for (int32_t c = 0; c < choices - 1; c++) {
        if (kernel->means[k] < 0)
            sum += 1.0 / choices;
        else
            sum += exp(kernel->means[k] == c ? kernel->log_hit : kernel->log_miss);
        if (u < sum)
            return c;
    }
    return choices - 1;
}

static double draw_number(const KernelDimension *kernel, size_t k, double u)
{
    const ParzenDimension *dimension = &kernel->dimension;
    double mean = kernel->means[k], deviation = kernel->deviations[k];
    double z = parzen_normal_quantile(u, (kernel->low - mean) / deviation, (kernel->high - mean) / deviation);
    double value = mean + z * deviation;
    if (dimension->kind == PARZEN_LOG_NUMBER)
        value = exp(value);
    if (dimension->step > 0)
        value = dimension->low + rint((value - dimension->low) / dimension->step) * dimension->step;
    return fmin(fmax(value, dimension->low), dimension->high);
}

void parzen_draw(const Parzen *parzen, PhiloxKey key, uint32_t draw, uint32_t stream, double *point)
{
    PhiloxBlock block = philox4x32_10(key, 0, draw, stream, 0);
    double u = philox_uniform_double(block.word[0], block.word[1]), sum = 0;
    size_t chosen = 0;
    for (; chosen + 1 < parzen->kernel_count; chosen++) {
        sum += parzen->weights[chosen];
        if (u < sum)
            break;
    }
    for (size_t d = 0; d < parzen->dimension_count; d++) {
        const KernelDimension *kernel = &parzen->dimensions[d];
        block = philox4x32_10(key, (uint32_t)d + 1, draw, stream, 0);
        u = philox_uniform_double(block.word[0], block.word[1]);
        point[d] = kernel->dimension.kind == PARZEN_CHOICE ? draw_choice(kernel, chosen, u) : draw_number(kernel, chosen, u);
    }
}
