/* The inner loops for one set of processor features; the compiler flags of this file are in CMakeLists.txt. */
#define LEVEL_NAME "avx512"
#define LEVEL_TABLE level_avx512
#include "kernels/cpu/simd/avx512.h"

#include "kernels/cpu/simd/level_table.h"
