/* AVX-512 with instructions for bf16 numbers. */
#define LEVEL_NAME "avx512bf16"
#define LEVEL_TABLE level_avx512bf16
#define LEVEL_BF16
#include "kernels/cpu/simd/avx512.h"

#include "kernels/cpu/simd/level_table.h"
