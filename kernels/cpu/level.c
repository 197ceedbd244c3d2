#include "kernels/cpu/level.h"

#include <stdlib.h>
#include <string.h>

enum { LEVEL_COUNT_MAX = 3 };

/* What this processor has, best first. */
static size_t levels_present(const Level *levels[LEVEL_COUNT_MAX])
{
    size_t count = 0;
#ifdef NERSWEEP_CPU_X86
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (avx2 && __builtin_cpu_supports("avx512f")) {
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
    static const char *const names[] = {"avx512", "avx2", "portable"}; /* best first */
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
        return FAIL(diagnostic, STATUS_USAGE, "NERSWEEP_CPU_FEATURES is '%s': it may be avx512, avx2 or portable", wanted);
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
