#include "coordinator/sobol.h"

#include "core/base/status.h"

enum { DEGREE_LIMIT = 8, BITS = 32 };

/* The polynomial's coefficients as bits, the highest power first, and as many odd initial numbers as its degree. */
typedef struct SobolDimension {
    uint32_t polynomial, initial[DEGREE_LIMIT];
} SobolDimension;

/* Of the dimensions from 1 on; dimension 0 is van der Corput's sequence. */
static const SobolDimension dimensions[SOBOL_DIMENSION_LIMIT - 1] = {
    {3, {1}},
    {7, {1, 3}},
    {11, {1, 3, 1}},
    {13, {1, 1, 1}},
    {19, {1, 1, 3, 3}},
    {25, {1, 3, 5, 13}},
    {37, {1, 1, 5, 5, 17}},
    {41, {1, 1, 5, 5, 5}},
    {47, {1, 1, 7, 11, 19}},
    {55, {1, 1, 5, 1, 1}},
    {59, {1, 1, 1, 3, 11}},
    {61, {1, 3, 5, 5, 31}},
    {67, {1, 3, 3, 9, 7, 49}},
    {91, {1, 1, 1, 15, 21, 21}},
    {97, {1, 3, 1, 13, 27, 49}},
    {103, {1, 1, 1, 15, 7, 5}},
    {109, {1, 3, 1, 15, 13, 25}},
    {115, {1, 1, 5, 5, 19, 61}},
    {131, {1, 3, 7, 11, 23, 15, 103}},
    {137, {1, 3, 7, 13, 13, 15, 69}},
    {143, {1, 1, 3, 13, 7, 35, 63}},
    {145, {1, 3, 5, 9, 1, 25, 53}},
    {157, {1, 3, 1, 13, 9, 35, 107}},
    {167, {1, 3, 1, 5, 27, 61, 31}},
    {171, {1, 1, 5, 11, 19, 41, 61}},
    {185, {1, 3, 5, 3, 3, 13, 69}},
    {191, {1, 1, 7, 13, 1, 19, 1}},
    {193, {1, 3, 7, 5, 13, 19, 59}},
    {203, {1, 1, 3, 9, 25, 29, 41}},
    {211, {1, 3, 5, 13, 23, 1, 55}},
    {213, {1, 3, 7, 3, 13, 59, 17}},
    {229, {1, 3, 1, 3, 5, 53, 69}},
    {239, {1, 1, 5, 5, 23, 33, 13}},
    {241, {1, 1, 7, 7, 1, 61, 123}},
    {247, {1, 1, 7, 9, 13, 61, 49}},
    {253, {1, 3, 3, 5, 3, 55, 33}},
    {285, {1, 3, 1, 15, 31, 13, 49, 245}},
    {299, {1, 3, 5, 15, 31, 59, 63, 97}},
    {301, {1, 3, 1, 11, 11, 11, 77, 249}},
};

static uint32_t degree_of(uint32_t polynomial)
{
    uint32_t degree = 0;
    while (polynomial >> (degree + 1))
        degree++;
    return degree;
}

/* Bratley and Fox 1988: each direction number follows from as many before it as the polynomial's degree. */
static void directions_of(uint32_t dimension, uint32_t directions[BITS])
{
    if (dimension == 0) {
        for (uint32_t i = 0; i < BITS; i++)
            directions[i] = 1u << (BITS - 1 - i);
        return;
    }
    const SobolDimension *row = &dimensions[dimension - 1];
    uint32_t degree = degree_of(row->polynomial);
    for (uint32_t i = 0; i < BITS; i++) {
        if (i < degree) {
            directions[i] = row->initial[i] << (BITS - 1 - i);
            continue;
        }
        directions[i] = directions[i - degree] ^ (directions[i - degree] >> degree);
        for (uint32_t k = 1; k < degree; k++)
            if (row->polynomial >> (degree - k) & 1)
                directions[i] ^= directions[i - k];
    }
}

uint32_t sobol_coordinate(uint32_t point, uint32_t dimension)
{
    uint32_t directions[BITS], gray = point ^ (point >> 1), coordinate = 0;
    ASSERT(dimension < SOBOL_DIMENSION_LIMIT);
    directions_of(dimension, directions);
    for (uint32_t i = 0; i < BITS; i++)
        if (gray >> i & 1)
            coordinate ^= directions[i];
    return coordinate;
}
