#include "kernels/cpu/level.h"

#include <stdlib.h>
#include <string.h>
#ifdef NERSWEEP_CPU_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { LEVEL_COUNT_MAX = 5 };

#ifdef NERSWEEP_CPU_X86
/* Tiles of bf16 numbers, and Linux's leave to use them: their registers are large, so a process has to ask (Documentation/arch/x86/xstate). */
static bool has_amx(void)
{
    enum {
        LEAF_FEATURES = 7,
        EDX_AMX_BF16 = 1 << 22,
        EDX_AMX_TILE = 1 << 24,
        ARCH_REQUEST_PERMISSION = 0x1023,
        STATE_TILE_DATA = 18
    };
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(LEAF_FEATURES, 0, &a, &b, &c, &d) || !(d & EDX_AMX_BF16) || !(d & EDX_AMX_TILE)) {
        return false;
    }
    return syscall(SYS_arch_prctl, ARCH_REQUEST_PERMISSION, STATE_TILE_DATA) == 0;
}
#endif

/* What this processor has, best first. */
static size_t levels_present(const Level *levels[LEVEL_COUNT_MAX])
{
    size_t count = 0;
#ifdef NERSWEEP_CPU_X86
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (avx2 && __builtin_cpu_supports("avx512f")) {
        bool bf16 =
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
        if (bf16 && has_amx()) {
            levels[count++] = &level_amx;
        }
        if (bf16) {
            levels[count++] = &level_avx512bf16;
        }
        levels[count++] = &level_avx512;
    }
    if (avx2) {
        levels[count++] = &level_avx2;
    }
#endif
    levels[count++] = &level_portable;
    return count;
}

Status level_choose(const Level **level, Diagnostic *diagnostic)
{
    static const char *const names[] = {"amx", "avx512bf16", "avx512", "avx2", "portable"}; /* best first */
    const Level *levels[LEVEL_COUNT_MAX];
    size_t count = levels_present(levels), name_count = sizeof names / sizeof *names, cap = 0;
    const char *wanted = getenv("NERSWEEP_CPU_FEATURES");
    if (wanted == NULL || *wanted == '\0') {
        *level = levels[0];
        return STATUS_OK;
    }
    while (cap < name_count && strcmp(names[cap], wanted) != 0) {
        cap++;
    }
    if (cap == name_count) {
        return FAIL(diagnostic, STATUS_USAGE, "NERSWEEP_CPU_FEATURES is '%s': it may be amx, avx512bf16, avx512, avx2 or portable",
                    wanted);
    }
    for (; cap < name_count; cap++) { /* a cap above what the processor has is no error */
        for (size_t i = 0; i < count; i++) {
            if (strcmp(levels[i]->name, names[cap]) == 0) {
                *level = levels[i];
                return STATUS_OK;
            }
        }
    }
    return FAIL(diagnostic, STATUS_INTERNAL, "no level for this processor"); /* portable is always there */
}

/* VDPBF16PS does in one instruction what two of fp32 do. Intel's processors take more than twice as long for it (212 GF/s of bf16 beside 320 of fp32
 * where both were measured), and have AMX instead. */
bool level_bf16_is_quicker(const Level *level)
{
#ifdef NERSWEEP_CPU_X86
    return level->has_bf16 && (level == &level_amx || !__builtin_cpu_is("intel"));
#else
    return level->has_bf16;
#endif
}
