/* What a worker is at, told to the profile of its device (kernels/profile.h) where there is one. */
#ifndef NERSWEEP_WORKER_WORK_SECTION_H
#define NERSWEEP_WORKER_WORK_SECTION_H

/* For profile_enter. Step, planning, reading and reduction make up a training step. */
typedef enum WorkSection {
    WORK_OTHER, /* data, start weights, and whatever nobody names */
    WORK_STEP,  /* forward, backward, optimizer: what the host does beside their operations */
    WORK_PLANNING,
    WORK_READING,
    WORK_REDUCTION,
    WORK_EVALUATION,
    WORK_CHECKPOINT,
    WORK_SECTION_COUNT
} WorkSection;

#endif
