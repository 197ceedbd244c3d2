/* A restricted reader of Python's pickles: the few opcodes and globals that torch's state dicts are made of, read as data. It runs nothing,
 * imports nothing and builds no object but numbers, texts, tuples, lists, dicts and descriptions of tensors; whatever else a pickle names is
 * refused by name and byte offset (docs/decisions/011-weights-without-running-pickle.md). Every count is bounded before memory is taken. */
#ifndef NERSWEEP_MODEL_PICKLE_H
#define NERSWEEP_MODEL_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "model/safetensors.h"

enum { PICKLE_RANK_LIMIT = 8, PICKLE_VALUE_LIMIT = 1 << 20, PICKLE_MEMO_LIMIT = 1 << 20, PICKLE_STACK_LIMIT = 1 << 20 };

typedef enum PickleKind {
    PICKLE_NONE,
    PICKLE_BOOLEAN,
    PICKLE_INTEGER,
    PICKLE_REAL,
    PICKLE_TEXT,
    PICKLE_GLOBAL,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
} PickleKind;

typedef struct PickleValue PickleValue;
typedef struct PickleGlobal PickleGlobal;

typedef struct PickleItem {
    const PickleValue *key; /* NULL in lists */
    const PickleValue *value;
    struct PickleItem *next;
} PickleItem;

/* A storage as torch's persistent ids describe it: a flat array of one type that stands elsewhere in the file under its key. */
typedef struct PickleStorage {
    const char *key; /* no control characters, not empty, not over 64 bytes */
    TensorType type;
    size_t item_bytes;
    uint64_t count;
} PickleStorage;

/* A view of a storage. Every element lies inside it: checked. Strides are not negative, and count elements. */
typedef struct PickleTensor {
    const PickleStorage *storage;
    uint64_t offset;
    int32_t rank;
    int64_t shape[PICKLE_RANK_LIMIT];
    int64_t strides[PICKLE_RANK_LIMIT];
} PickleTensor;

struct PickleValue {
    PickleKind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const char *bytes; /* terminated */
            size_t size;
        } text;
        const PickleGlobal *global;
        struct {
            const PickleValue **items;
            size_t count;
        } tuple;
        struct {
            PickleItem *first, *last;
            size_t count;
        } container; /* lists and dicts, in their order */
        PickleStorage storage;
        PickleTensor tensor;
    } as;
};

/* Reads one pickle from the start of bytes; *used is its length. name and base (the offset of bytes in that file) are for messages.
 * The values live until pickle_destroy. STATUS_CORRUPT: no pickle, or one that contradicts itself; STATUS_UNSUPPORTED: it asks for what
 * state dicts do not need; STATUS_LIMIT: more than is believed. */
typedef struct Pickle Pickle;
NODISCARD Status pickle_read(Pickle **pickle, const uint8_t *bytes, size_t size, const char *name, uint64_t base, size_t *used,
                             Diagnostic *diagnostic);
void pickle_destroy(Pickle **pickle);
const PickleValue *pickle_root(const Pickle *pickle);

/* The value of a text key in a dict, or NULL. */
const PickleValue *pickle_dict_get(const PickleValue *dict, const char *key);

#endif
