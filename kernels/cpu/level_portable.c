/* The inner loops for one set of processor features; the compiler flags of this file are in CMakeLists.txt. */
#define LEVEL_NAME "portable"
#define LEVEL_TABLE level_portable
#include "kernels/cpu/simd/portable.h"

#include "kernels/cpu/simd/level_table.h"
