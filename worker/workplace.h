/* What a worker group opens once and uses for one trial after another: backend, shards, store, start model, a folder for temporary files. */
#ifndef NERSWEEP_WORKER_WORKPLACE_H
#define NERSWEEP_WORKER_WORKPLACE_H

#include "core/store/store.h"
#include "kernels/backend.h"
#include "kernels/peaks.h"
#include "kernels/profile.h"
#include "model/model.h"
#include "shard/shard_store.h"
#include "worker/communicator.h"

/* What to train on: from a job file, or from the coordinator. Texts are owned. */
typedef struct TrainingData {
    char *model; /* folder */
    bool random_weights;
    char *vocab;         /* file; NULL: vocab.txt of the model folder */
    char *shards;        /* folder */
    char *store;         /* folder */
    bool precision_auto; /* product_type is not given: workplace_choose_precision finds it */
    DeviceType product_type;
    uint64_t memory_limit_bytes; /* of all ranks on a host; 0: none */
} TrainingData;

/* Keys model, random_weights, vocab, shards, store, precision ("fp32", "bf16", "auto", the default), memory_limit (bytes as text, "8G").
 * store_default stands in for store (the sweep's folder; may be NULL). Relative paths are
 * taken against the current folder. source: names the text in messages. */
NODISCARD Status training_data_parse(TrainingData *data, const Json *json, const char *store_default, const char *source,
                                     Diagnostic *diagnostic);
void training_data_free(TrainingData *data);

typedef struct Workplace {
    Communicator *communicator; /* borrowed */
    const Backend *backend;
    BackendDevice *device;
    int32_t threads;    /* of this rank */
    Profile *profile;   /* of the device, which frees it; NULL: none */
    BackendPeaks peaks; /* where there is a profile */
    ShardStore *shards;
    Store *store;
    BertConfig config; /* of the start model, with the shards' labels */
    char *model_folder;
    DeviceType product_type;     /* of the encoder's matrix products */
    bool precision_auto;         /* it is chosen for each trial */
    bool slow_bf16_told;         /* a warning is enough for these data */
    uint64_t memory_limit_bytes; /* 0: none */
    bool random_weights;
    bool other_labels; /* the start model's classifier is for other labels than the shards': it is not used */
    char *work_folder; /* temporary, removed by workplace_close; holds vocab.txt */
    int work_lock;     /* held while we live, so that others can tell what a killed worker left */
    Json *notes;       /* for nersweep.json */
} Workplace;

typedef struct WorkplaceOptions {
    const char *backend; /* "auto", "cpu", "reference" */
    int32_t threads;     /* of each rank; 0: the processors that this process may use */
} WorkplaceOptions;

/* Only the backend: tells the coordinator what computes here before any data is known. */
NODISCARD Status workplace_open(Workplace *workplace, Communicator *communicator, const WorkplaceOptions *options,
                                Diagnostic *diagnostic);
/* Collective. Measures what the device reaches at best, then attaches a profile to it: everything that is opened from now on is counted. clock
 * must outlive the workplace. */
NODISCARD Status workplace_profile(Workplace *workplace, const Clock *clock, Diagnostic *diagnostic);
/* Collective. Errors: STATUS_MISMATCH when shards and model do not fit (vocabulary, casing, max_seq_length), naming both. */
NODISCARD Status workplace_set_data(Workplace *workplace, const TrainingData *data, Diagnostic *diagnostic);
/* Collective, before each trial and each test. Where the precision is not given it is that of the checkpoint to go on from; without one ("" or
 * NULL), or where it cannot be read, what workplace_quicker_type says. Warns of bf16 where it is slow. */
void workplace_choose_precision(Workplace *workplace, const char *checkpoint);
/* Collective: bf16 where every rank's device is quicker in it, else fp32. */
DeviceType workplace_quicker_type(const Workplace *workplace);
void workplace_close(Workplace *workplace);

/* $TMPDIR or /tmp: where work folders are made. */
const char *workplace_temporary_root(void);

/* "fp32" or "bf16". */
const char *workplace_precision(const Workplace *workplace);

/* A model of this data's shape with the trial's dropout, its weights zero. options may be NULL: the model's own dropout. */
NODISCARD Status workplace_create_model(const Workplace *workplace, const TrainingOptions *options, Model **model,
                                        Diagnostic *diagnostic);
/* The same with the start weights: the folder's (the head by the seed), or all by the seed. hex: checksum of the weights. */
NODISCARD Status workplace_start_model(const Workplace *workplace, const TrainingOptions *options, Model **model, char hex[17],
                                       Diagnostic *diagnostic);

/* A folder of shards from which the store can be opened: folder itself, or a copy in local temporary space (kept there for the next worker
 * on this host) when it lies on a network file system or `copy` says so. *local is freed by the caller. */
NODISCARD Status shards_make_local(const char *folder, bool copy, char **local, Diagnostic *diagnostic);

#endif
