/* What a training run takes of memory, known before it starts: counted from the model, the options and the batch plan, and held against what
 * the host and its control groups have (docs/decisions/065). */
#ifndef NERSWEEP_WORKER_MEMORY_PLAN_H
#define NERSWEEP_WORKER_MEMORY_PLAN_H

#include "core/io/host_memory.h"
#include "core/io/json.h"
#include "core/options/options.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/layout.h"
#include "shard/shard_store.h"
#include "worker/communicator.h"
#include "worker/step_size.h"

/* Memory of the process's own, that is not given back until the trial ends; staging is taken for each checkpoint. */
typedef enum MemoryUse {
    MEMORY_PROGRAM, /* present before the trial: program, libraries, tables of the shards */
    MEMORY_PARAMETERS,
    MEMORY_MATRICES, /* weights once more, in the layout or the type that products read */
    MEMORY_GRADIENTS,
    MEMORY_MOMENTS,
    MEMORY_ACTIVATIONS, /* of the largest micro-batch */
    MEMORY_EVALUATION,  /* activations of evaluation as far as they exceed those of training, and logits */
    MEMORY_WORKSPACE,   /* packed operands and scratch of the operations */
    MEMORY_PREFIX, /* rows of frozen layers on their way to and from the file that keeps them; the file too, where it lies in memory */
    MEMORY_STAGING, /* copies while a checkpoint is written, or ranks are compared */
    MEMORY_USE_COUNT
} MemoryUse;

typedef struct MemoryPlan {
    uint64_t bytes[MEMORY_USE_COUNT]; /* of this rank */
    uint64_t trained_bytes;           /* of parameters that ever train */
    uint64_t mapped_bytes;            /* shards: mapped files, which the system may drop; not counted */
    uint64_t disk_bytes;              /* kept rows of frozen layers in the work folder, at most; not counted */
    int64_t micro_batch;              /* sentences over all ranks */
    int32_t pieces, sequences;        /* of this rank's largest micro-batch */
    int32_t waiting_gradients;        /* of virtual ranks, beside the model's (worker/reducer.h) */
    bool checkpointed;                /* gradient checkpointing */
    int32_t host_ranks;               /* of the group, on this host */
    uint64_t host_bytes;              /* all of them together */
    uint64_t host_more_bytes;         /* the same without what is present already */
    int32_t trainings;                /* at once on these hosts, 1 unless memory_plan_multiply said more */
    HostMemory host;                  /* before the trial */
    uint64_t limit_bytes;             /* memory_limit; 0: none */
} MemoryPlan;

/* Data that are not there yet: every window has as many pieces as it may have. */
typedef struct AssumedData {
    int64_t max_seq_length, train_windows;
} AssumedData;

/* Borrowed. */
typedef struct MemorySetup {
    Communicator *communicator;
    const Backend *backend;
    const BackendDevice *device;
    const BertConfig *config;
    DeviceType product_type;
    const ShardStore *shards; /* NULL: assumed stands for them */
    const AssumedData *assumed;
    const TrainingOptions *options;
    const char *work_folder;
    const HostFiles *files;
    uint64_t limit_bytes; /* of all ranks on a host; 0: what the host and its control groups have */
    bool evaluate, test;
} MemorySetup;

/* Collective, before the model is there: all that does not depend on the batch plan. Errors: as memory_plan_choose, where even this is too
 * much. */
NODISCARD Status memory_plan_begin(MemoryPlan *plan, const MemorySetup *setup, Diagnostic *diagnostic);

/* Of the parameters only so many ever train, and this rank holds so many of each moment: others take neither gradients nor moments, where memory is
 * taken when it is written to. */
void memory_plan_set_trained(MemoryPlan *plan, size_t float_count, size_t moment_floats);
/* The same, of what the last step trains: what thawed never freezes again. */
void memory_plan_set_schedule(MemoryPlan *plan, const MemorySetup *setup, const ModelLayout *layout, int64_t total_steps,
                              int64_t steps_per_epoch);

/* Of steps whose micro-batches have so many sentences over all ranks. */
typedef Status (*MemoryMeasure)(void *context, int64_t micro_batch, StepSize *size, Diagnostic *diagnostic);

/* Collective: the largest micro-batch that fits, first without gradient checkpointing (unless it is on), then with it (unless it is off).
 * Warns of what had to give way. Errors: STATUS_LIMIT where memory_limit, a control group or all of the host's memory is too little for one
 * sentence at a time, STATUS_OUT_OF_MEMORY where only what is available now is; both name what takes the most and what to change. */
NODISCARD Status memory_plan_choose(MemoryPlan *plan, const MemorySetup *setup, MemoryMeasure measure, void *context,
                                    Diagnostic *diagnostic);

/* Collective: so many trainings of this plan on the same hosts at once, each of which plans as if it were alone. Errors: those of
 * memory_plan_choose where together they take more than a host has. */
NODISCARD Status memory_plan_multiply(MemoryPlan *plan, const MemorySetup *setup, int32_t trainings, Diagnostic *diagnostic);

uint64_t memory_plan_total_bytes(const MemoryPlan *plan); /* of this rank */
/* A line for each use, and the totals beside what there is. */
void memory_plan_log(const MemoryPlan *plan);
/* {"program_bytes", ..., "total_bytes", "host_bytes", "available_bytes", "micro_batch", ...}. A new root. */
Json *memory_plan_json(const MemoryPlan *plan);

#endif
