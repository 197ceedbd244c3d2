/* pytorch_model.bin in both its forms. */
#include <stdlib.h>

#include "model/torch_bin.h"
#include "tests/fuzz/harness.h"

enum { COUNT_LIMIT = 1 << 16 };

static void check_tensor(TorchBin *file, size_t index, const char *path)
{
    const TensorEntry *entry = torch_bin_at(file, index);
    size_t count = 1;
    Diagnostic diagnostic = {0};
    ASSERT(entry->name[0] != '\0' && entry->rank >= 0 && entry->rank <= 8);
    for (int32_t i = 0; i < entry->rank; i++)
        if (!size_multiply(count, (size_t)entry->shape[i], &count) || count > COUNT_LIMIT)
            return;
    float *values = memory_allocate(count + 1, sizeof *values);
    Status status = torch_bin_read_floats(file, index, values, count, &diagnostic);
    if (status != STATUS_OK && status != STATUS_MISMATCH)
        fuzz_check_refusal(status, &diagnostic, path);
    status = torch_bin_read_floats(file, index, values, count + 1, &diagnostic);
    ASSERT(status == STATUS_MISMATCH);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *path = fuzz_write("pytorch_model.bin", bytes, size);
    TorchBin *file = NULL;
    Diagnostic diagnostic = {0};
    Status status = torch_bin_open(&file, path, &diagnostic);
    if (status != STATUS_OK)
        fuzz_check_refusal(status, &diagnostic, path);
    for (size_t i = 0; status == STATUS_OK && i < torch_bin_count(file) && i < 64; i++)
        check_tensor(file, i, path);
    torch_bin_close(&file);
    free(path);
    return 0;
}
