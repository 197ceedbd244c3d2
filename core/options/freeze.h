/* The freezing schedule: `none` or PART@E[;PART@E...], PART = embeddings | embeddings+K | K, frozen until E epochs have passed
 * (semantics.md section 4): "embeddings+8@1;embeddings+4@2". */
#ifndef NERSWEEP_CORE_OPTIONS_FREEZE_H
#define NERSWEEP_CORE_OPTIONS_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { FREEZE_PHASE_LIMIT = 16 };

typedef struct FreezePhase {
    bool embeddings;
    int32_t layers;      /* the first K encoder layers */
    double until_epochs; /* E > 0, strictly rising from phase to phase */
} FreezePhase;

typedef struct FreezeSchedule {
    int32_t phase_count; /* 0: none */
    FreezePhase phases[FREEZE_PHASE_LIMIT];
} FreezeSchedule;

NODISCARD Status freeze_schedule_parse(FreezeSchedule *schedule, const char *text, Diagnostic *diagnostic);
/* Text that parses back to the same schedule. Returns text. */
char *freeze_schedule_format(const FreezeSchedule *schedule, char *text, size_t text_size);
/* The phase in force at `epochs` (epochs < until of the first such phase), or NULL when nothing is frozen any more. A later phase may only
 * freeze a subset of an earlier one (checked while parsing): thawed parts never freeze again. */
const FreezePhase *freeze_schedule_at(const FreezeSchedule *schedule, double epochs);

#endif
