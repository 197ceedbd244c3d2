/* Shared by pickle.c (the machine) and pickle_torch.c (what torch's globals mean), and nobody else. */
#ifndef NERSWEEP_MODEL_PICKLE_INTERNAL_H
#define NERSWEEP_MODEL_PICKLE_INTERNAL_H

#include "core/base/memory.h"
#include "model/pickle.h"

typedef struct PickleMachine {
    const uint8_t *bytes;
    size_t size, at, opcode_at;
    const char *name;
    uint64_t base;
    Diagnostic *diagnostic;
    Arena *arena;
    ARRAY(PickleValue *) stack;
    ARRAY(PickleValue *) memo;
    size_t value_count;
} PickleMachine;

/* "NAME: pickle, byte N: text", N being the opcode's place. */
NODISCARD Status pickle_fail(PickleMachine *machine, Status code, const char *text);
NODISCARD Status pickle_new_value(PickleMachine *machine, PickleKind kind, PickleValue **value);
NODISCARD Status pickle_container_add(PickleMachine *machine, PickleValue *container, const PickleValue *key,
                                      const PickleValue *value);

/* NULL for what is not on the list. */
const PickleGlobal *pickle_global_find(const char *module, size_t module_size, const char *name, size_t name_size);
/* What a call of the global with these arguments stands for. */
NODISCARD Status pickle_rebuild(PickleMachine *machine, const PickleGlobal *global, PickleValue *arguments, PickleValue **result);
/* The storage that a persistent id stands for. */
NODISCARD Status pickle_storage(PickleMachine *machine, const PickleValue *id, PickleValue **storage);

#endif
