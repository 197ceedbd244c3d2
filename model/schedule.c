/* Learning-rate schedules and freezing: pure functions of the step. */
#include <math.h>

#include "model/optimizer.h"

/* A double that a caller may ask for, as a step count that arithmetic on steps cannot overflow. */
static int64_t steps_from_double(double steps)
{
    const double limit = 9007199254740992.0; /* 2^53: every step below is exact in a double */
    if (!(steps > 0))
        return 0;
    return (int64_t)(steps < limit ? steps : limit);
}

Schedule schedule_make(const TrainingOptions *options, int64_t steps_per_epoch)
{
    Schedule schedule = {.type = options->lr_scheduler_type};
    schedule.total_steps =
        options->max_steps > 0 ? options->max_steps : steps_from_double(ceil(options->num_train_epochs * (double)steps_per_epoch));
    schedule.warmup_steps = options->warmup_steps > 0
                                ? options->warmup_steps
                                : steps_from_double(ceil((double)schedule.total_steps * options->warmup_ratio));
    return schedule;
}

double schedule_factor(const Schedule *schedule, int64_t step)
{
    const double pi = 3.14159265358979323846;
    double s = (double)step, total = (double)schedule->total_steps, warmup = (double)schedule->warmup_steps;
    if (s < warmup)
        return s / fmax(1.0, warmup);
    double decay_steps = fmax(1.0, total - warmup);
    switch (schedule->type) {
    case SCHEDULE_LINEAR:
        return fmax(0.0, (total - s) / decay_steps);
    case SCHEDULE_COSINE:
        return fmax(0.0, 0.5 * (1.0 + cos(pi * ((s - warmup) / decay_steps))));
    case SCHEDULE_CONSTANT_WITH_WARMUP:
        return 1.0;
    }
    return 1.0;
}

void freeze_parts(const FreezeSchedule *schedule, int64_t step, int64_t steps_per_epoch, int32_t part_count, bool *part_frozen)
{
    const FreezePhase *phase = NULL;
    for (int32_t i = 0; i < schedule->phase_count && !phase; i++) {
        /* A product and not a quotient: step / steps_per_epoch may round up to the border. */
        if ((double)step < schedule->phases[i].until_epochs * (double)steps_per_epoch)
            phase = &schedule->phases[i];
    }
    for (int32_t part = 0; part < part_count; part++)
        part_frozen[part] = false;
    if (!phase)
        return;
    part_frozen[0] = phase->embeddings;
    for (int32_t part = 1; part < part_count - 1 && part <= phase->layers; part++)
        part_frozen[part] = true;
}
