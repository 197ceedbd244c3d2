/* The inner loops for one set of processor features; the compiler flags of this file are in CMakeLists.txt. */
#include "kernels/cpu/simd/avx2.h"

#include "kernels/cpu/simd/level_table.h"
