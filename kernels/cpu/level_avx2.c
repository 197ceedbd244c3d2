/* The inner loops for one set of processor features; the compiler flags of this file are in CMakeLists.txt. */
#define LEVEL_NAME "avx2"
#define LEVEL_TABLE level_avx2
#include "kernels/cpu/simd/avx2.h"

#include "kernels/cpu/simd/level_table.h"
