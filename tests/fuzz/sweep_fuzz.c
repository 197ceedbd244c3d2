/* The sweep file. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/sweep.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *path = fuzz_write("sweep.yaml", bytes, size);
    Sweep *sweep = NULL;
    SweepProblemArray problems = {0};
    Diagnostic diagnostic = {0};
    Status status = sweep_read(&sweep, path, NULL, 0, &problems, &diagnostic);
    if (status == STATUS_OK) {
        Json *json = sweep_json(sweep);
        char hex[65];
        sweep_identity(sweep, hex);
        ASSERT(strlen(hex) == 64 && sweep_configuration_count(sweep) >= 1);
        json_destroy(&json);
    } else {
        fuzz_check_refusal(status, &diagnostic, path);
    }
    for (size_t i = 0; i < problems.count; i++)
        ASSERT(problems.items[i].message[0] != '\0' && problems.items[i].line >= 0 && problems.items[i].column >= 0);
    sweep_destroy(&sweep);
    array_free(&problems);
    free(path);
    return 0;
}
