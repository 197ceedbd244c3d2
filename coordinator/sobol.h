/* Sobol's sequence (Sobol 1967) with the primitive polynomials and initial numbers of Joe and Kuo ("Constructing Sobol sequences with better
 * two-dimensional projections", 2008): points that fill a cube more evenly than random ones. */
#ifndef NERSWEEP_COORDINATOR_SOBOL_H
#define NERSWEEP_COORDINATOR_SOBOL_H

#include <stdint.h>

enum { SOBOL_DIMENSION_LIMIT = 40 };

/* The coordinate of a point as a 32-bit binary fraction; points in the order of Gray's code, the first is the origin. */
uint32_t sobol_coordinate(uint32_t point, uint32_t dimension);

#endif
