/* A safetensors file: every tensor that is believed lies in the file, and can be read. */
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"
#include "tests/fuzz/harness.h"

static void check_tensor(const Safetensors *file, const TensorEntry *entry, size_t size)
{
    size_t count = 1;
    Diagnostic diagnostic = {0};
    ASSERT(entry->rank >= 0 && entry->rank <= 8 && entry->size_bytes <= size && safetensors_find(file, entry->name) == entry);
    for (int32_t i = 0; i < entry->rank; i++)
        ASSERT(entry->shape[i] >= 0 && size_multiply(count, (size_t)entry->shape[i], &count));
    float *values = memory_allocate(count + 1, sizeof *values);
    Status status = safetensors_read_floats(entry, values, count, &diagnostic);
    bool floats = entry->type <= TENSOR_BF16 || entry->type == TENSOR_F64;
    ASSERT(floats ? status == STATUS_OK : status == STATUS_MISMATCH && diagnostic.message[0]);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *path = fuzz_write("model.safetensors", bytes, size);
    Safetensors *file = NULL;
    Diagnostic diagnostic = {0};
    Status status = safetensors_open(&file, path, &diagnostic);
    if (status != STATUS_OK)
        fuzz_check_refusal(status, &diagnostic, path);
    size_t sum = 0;
    for (size_t i = 0; status == STATUS_OK && i < safetensors_count(file); i++) {
        check_tensor(file, safetensors_at(file, i), size);
        sum += safetensors_at(file, i)->size_bytes;
    }
    ASSERT(sum < size || size == 0);
    safetensors_close(&file);
    free(path);
    return 0;
}
