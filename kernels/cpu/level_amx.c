/* AVX-512 with matrix tiles of bf16 numbers. */
#define LEVEL_NAME "amx"
#define LEVEL_TABLE level_amx
#define LEVEL_BF16
#define LEVEL_AMX
#include "kernels/cpu/simd/avx512.h"

#include "kernels/cpu/simd/level_table.h"
