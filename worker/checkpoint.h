/* Checkpoints of a trial in the store.
 *
 *   trial-NNNNNN/fFFFFFFFF-step-SSSSSSSS         a model folder; the same bytes whatever machine, rank count of one, attempt or restart
 *   trial-NNNNNN/fFFFFFFFF-step-SSSSSSSS.state   model.safetensors, optimizer.safetensors, trainer_state.json: all that training needs to go
 *                                                on with the same bits
 * The model's manifest is written before the state's: who finds a state finds the checkpoints that it speaks of. */
#ifndef NERSWEEP_WORKER_CHECKPOINT_H
#define NERSWEEP_WORKER_CHECKPOINT_H

#include "core/store/store.h"
#include "model/model.h"
#include "model/optimizer.h"
#include "proto/messages.h"
#include "worker/shares.h"
#include "worker/trial_state.h"

/* What a trial's checkpoints have in common. Borrowed pointers. */
typedef struct CheckpointKind {
    Store *store;
    AssignmentId id;
    const char *vocab_folder; /* holds vocab.txt */
    bool lowercase;
    int32_t max_seq_length;
    const Json *notes;       /* for nersweep.json */
    const Json *identity;    /* what decides the trial's numbers; another one is refused when restoring */
    const char *work_folder; /* local, for temporary files */
    const Json *
        machine; /* what computes: {"backend", "features", "precision", "ranks", "threads", "micro_batch"}; kept in manifests, NULL: not */
} CheckpointKind;

void checkpoint_name(AssignmentId id, int64_t step, char name[CHECKPOINT_NAME_SIZE]);
/* Whether name is a checkpoint (or its state) of the trial; its fence and step (any may be NULL). */
bool checkpoint_name_parse(const char *name, uint32_t trial, uint64_t *fence, int64_t *step, bool *is_state);

/* By rank 0, while the others are in moments_close: the model and the state of training under the name of state's last evaluation. Durable when it
 * returns. Fault points: worker.before_checkpoint, worker.checkpoint_written. */
NODISCARD Status checkpoint_write(const CheckpointKind *kind, Model *model, MomentStream *moments, const TrialState *state,
                                  Diagnostic *diagnostic);

/* By every rank: model, optimizer and state as they were. Errors: STATUS_NOT_FOUND, STATUS_CORRUPT (a file's bytes are not what the manifest
 * says), STATUS_MISMATCH (another trial's: options, metric, shards or start weights differ, named). */
NODISCARD Status checkpoint_restore(const CheckpointKind *kind, const char *name, Model *model, Optimizer *optimizer,
                                    TrialState *state, Diagnostic *diagnostic);
enum { CHECKPOINT_PRECISION_SIZE = 16 };
/* "fp32" or "bf16": of the products that computed the checkpoint. One that does not say was computed in fp32. */
NODISCARD Status checkpoint_precision(Store *store, const char *name, char precision[CHECKPOINT_PRECISION_SIZE],
                                      Diagnostic *diagnostic);

/* What of kind->machine is other than when the checkpoint was written, as text that is appended: nothing where all is the same, or where the
 * checkpoint does not say. *changes_bits: the trial's further bits may differ from those of an uninterrupted run, which the number of threads
 * alone never does. */
NODISCARD Status checkpoint_compare_machine(const CheckpointKind *kind, const char *name, Text *difference, bool *changes_bits,
                                            Diagnostic *diagnostic);
/* Only the weights. */
NODISCARD Status checkpoint_load_model(Store *store, const char *name, Model *model, Diagnostic *diagnostic);

/* Name (without .state) of the trial's state with the most steps; *name is NULL when there is none, else freed by the caller. */
NODISCARD Status checkpoint_find_latest(Store *store, uint32_t trial, char **name, Diagnostic *diagnostic);

/* Deletes what is no longer needed once evaluation number `acknowledged` (from 1) is known to be durable where it was reported: states of
 * earlier evaluations, and the oldest models beyond limit; never the best, never the acknowledged one or later ones. *pruned: number of the
 * evaluation up to which that was done before (0 at first); saves looking again. */
NODISCARD Status checkpoint_prune(const CheckpointKind *kind, const TrialState *state, uint64_t acknowledged, int64_t limit,
                                  uint64_t *pruned, Diagnostic *diagnostic);
/* Deletes checkpoints that an earlier attempt wrote and never reported: those of fences up to id's that state does not speak of. */
NODISCARD Status checkpoint_drop_unknown(const CheckpointKind *kind, const TrialState *state, Diagnostic *diagnostic);

#endif
