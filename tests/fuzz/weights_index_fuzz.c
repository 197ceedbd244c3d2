/* The index of weights in several files, beside two files that are there. */
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"
#include "tests/fuzz/harness.h"

static void shards_make(void)
{
    static const float values[] = {1, 2, 3, 4};
    static const char *const names[] = {"a.safetensors", "b.safetensors"};
    for (int i = 0; i < 2; i++) {
        TensorOut tensor = {.name = i ? "y" : "x", .rank = 2, .shape = {2, 2}, .values = values, .count = 4};
        char *path = fuzz_write(names[i], "", 0);
        Status status = safetensors_write(path, &tensor, 1, NULL, 0, file_system_posix(), NULL);
        ASSERT(status == STATUS_OK);
        free(path);
    }
}

static void check_names(const char *path, const char *suffix)
{
    Json *index = NULL;
    StringArray names = {0};
    Diagnostic diagnostic = {0};
    Status status = json_read_file(&index, path, WEIGHTS_INDEX_LIMIT_BYTES, &diagnostic);
    if (status == STATUS_OK)
        status = weights_index_files(index, path, suffix, &names, &diagnostic);
    if (status != STATUS_OK)
        fuzz_check_refusal(status, &diagnostic, path);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++)
        ASSERT(!strchr(names.items[i], '/') && names.items[i][0] != '.' &&
               (i == 0 || strcmp(names.items[i - 1], names.items[i]) < 0));
    string_array_free(&names);
    json_destroy(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static bool made;
    if (!made)
        shards_make();
    made = true;
    char *path = fuzz_write("model.safetensors.index.json", bytes, size);
    check_names(path, ".safetensors");
    check_names(path, ".bin");
    Weights *weights = NULL;
    Diagnostic diagnostic = {0};
    Status status = weights_open(&weights, fuzz_folder(), &diagnostic);
    if (status != STATUS_OK)
        fuzz_check_refusal(status, &diagnostic, fuzz_folder());
    for (size_t i = 0; status == STATUS_OK && i < weights_count(weights); i++) {
        float values[4];
        ASSERT(weights_read_floats(weights, i, values, 4, &diagnostic) == STATUS_OK && values[3] == 4);
    }
    weights_close(&weights);
    free(path);
    return 0;
}
