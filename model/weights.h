/* The weights of a model folder as one table of named tensors, whatever files they stand in: model.safetensors; several safetensors files and
 * model.safetensors.index.json; pytorch_model.bin; several of those and pytorch_model.bin.index.json. The first that is there is taken. */
#ifndef NERSWEEP_MODEL_WEIGHTS_H
#define NERSWEEP_MODEL_WEIGHTS_H

#include "core/base/status.h"
#include "model/safetensors.h"

/* bytes and size_bytes of the entries are not to be used. */
typedef struct Weights Weights;
/* STATUS_NOT_FOUND names the folder and the files that were looked for. */
NODISCARD Status weights_open(Weights **weights, const char *folder, Diagnostic *diagnostic);
void weights_close(Weights **weights);
/* The file, or the index of the files: for messages. */
const char *weights_path(const Weights *weights);
size_t weights_count(const Weights *weights);
const TensorEntry *weights_at(const Weights *weights, size_t index); /* sorted by name */
bool weights_find(const Weights *weights, const char *name, size_t *index);
/* Converts F32, F16, BF16 or F64 to count floats, row-major; count must be the tensor's. */
NODISCARD Status weights_read_floats(Weights *weights, size_t index, float *values, size_t count, Diagnostic *diagnostic);

/* The names of the files that an index (text of .index.json) spreads tensors over, sorted, each once, each a plain name that ends with suffix
 * (".safetensors", ".bin"). names are freed with string_array_free, also on failure. path is for messages. */
NODISCARD Status weights_index_files(const Json *index, const char *path, const char *suffix, StringArray *names,
                                     Diagnostic *diagnostic);

enum { WEIGHTS_INDEX_LIMIT_BYTES = 64 * 1024 * 1024 };
/* In the order of preference; the suffix of each one's shards is NULL where the file itself is the weights. */
typedef struct WeightsForm {
    const char *file, *shard_suffix;
} WeightsForm;
enum { WEIGHTS_FORM_COUNT = 4 };
extern const WeightsForm WEIGHTS_FORMS[WEIGHTS_FORM_COUNT];

#endif
