/* The safetensors format (huggingface/safetensors): u64 header size, JSON header, tensors. Hostile files are refused: header size, offsets,
 * overlaps, gaps, shapes, counts and duplicate names are all bounded and checked before anything is believed. */
#ifndef NERSWEEP_MODEL_SAFETENSORS_H
#define NERSWEEP_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/io/file.h"
#include "core/io/json.h"

typedef enum TensorType { TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_I64, TENSOR_I32, TENSOR_F64, TENSOR_OTHER } TensorType;

typedef struct TensorEntry {
    const char *name; /* lives until safetensors_close */
    TensorType type;
    int32_t rank; /* <= 8 */
    int64_t shape[8];
    const uint8_t *bytes; /* into the file's map, any alignment */
    size_t size_bytes;
} TensorEntry;

typedef struct Safetensors Safetensors;
NODISCARD Status safetensors_open(Safetensors **file, const char *path, Diagnostic *diagnostic);
void safetensors_close(Safetensors **file);
size_t safetensors_count(const Safetensors *file);
const TensorEntry *safetensors_at(const Safetensors *file, size_t index);
const TensorEntry *safetensors_find(const Safetensors *file, const char *name);
/* The "__metadata__" object, or NULL. */
const Json *safetensors_metadata(const Safetensors *file);
/* Converts F32, F16, BF16 or F64 to count floats; count must be the tensor's. */
NODISCARD Status safetensors_read_floats(const TensorEntry *entry, float *values, size_t count, Diagnostic *diagnostic);

/* One tensor to be written; floats, row-major. */
typedef struct TensorOut {
    const char *name;
    int32_t rank;
    int64_t shape[8];
    const float *values;
    size_t count;
    /* Where values is NULL: gives the next *floats of them, in order, at least one and no more than are left. */
    void (*next)(void *context, const float **values, size_t *floats);
    void *context;
} TensorOut;
/* Writes durably, tensors in the order given, header padded with spaces to a multiple of 8; metadata: pairs key, value (string_count even).
 * Equal input gives equal bytes. */
NODISCARD Status safetensors_write(const char *path, const TensorOut *tensors, size_t tensor_count, const char *const *metadata,
                                   size_t string_count, const FileSystem *fs, Diagnostic *diagnostic);

#endif
