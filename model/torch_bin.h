/* pytorch_model.bin as torch.save writes it, in both its forms: a zip archive (since torch 1.6) and the older sequence of pickles. No pickle is
 * run, see pickle.h. What such a file says is checked before it is believed: sizes of storages against the file's own, views against their
 * storages, names for duplicates. */
#ifndef NERSWEEP_MODEL_TORCH_BIN_H
#define NERSWEEP_MODEL_TORCH_BIN_H

#include "core/base/status.h"
#include "model/safetensors.h"

typedef struct TorchBin TorchBin;
NODISCARD Status torch_bin_open(TorchBin **file, const char *path, Diagnostic *diagnostic);
void torch_bin_close(TorchBin **file);
size_t torch_bin_count(const TorchBin *file);
/* Sorted by name. bytes and size_bytes are not set: the numbers may stand in the file in another order. Lives until torch_bin_close. */
const TensorEntry *torch_bin_at(const TorchBin *file, size_t index);
/* Converts F32, F16, BF16 or F64 to count floats, row-major; count must be the tensor's. In the zip form the storage's CRC is checked. */
NODISCARD Status torch_bin_read_floats(TorchBin *file, size_t index, float *values, size_t count, Diagnostic *diagnostic);

#endif
