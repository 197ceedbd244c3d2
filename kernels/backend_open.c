/* Finds backends: the reference is linked, the others are modules that are loaded when somebody wants to compute. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/memory.h"
#include "kernels/backend.h"

enum { MODULE_PLACE_COUNT = 3 };

/* The folder of the running program, or "." where the system does not say. */
static void program_folder(char *folder, size_t folder_size)
{
    ssize_t length = readlink("/proc/self/exe", folder, folder_size - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, folder_size, ".");
    } else {
        *slash = '\0';
    }
}

/* paths[i] are allocated; a place that does not apply is NULL. */
static void module_places(const char *name, char *paths[MODULE_PLACE_COUNT])
{
    char folder[PATH_MAX];
    const char *chosen = getenv("NERSWEEP_BACKEND_PATH");
    program_folder(folder, sizeof folder);
    paths[0] = chosen == NULL || *chosen == '\0' ? NULL : memory_format("%s/nersweep-backend-%s.so", chosen, name);
    paths[1] = memory_format("%s/nersweep-backend-%s.so", folder, name);
    paths[2] = memory_format("%s/../lib/nersweep/nersweep-backend-%s.so", folder, name);
}

static Status module_load(const Backend **backend, const char *path, Diagnostic *diagnostic)
{
    /* Never closed: the table and whatever threads its libraries keep live as long as the process. */
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        return FAIL(diagnostic, STATUS_NOT_FOUND, "the backend module %s is there but cannot be loaded: %s", path, dlerror());
    }
    void *symbol = dlsym(module, BACKEND_ENTRY_SYMBOL);
    if (symbol == NULL) {
        return FAIL(diagnostic, STATUS_MISMATCH, "%s is not a backend module of nersweep: it lacks %s", path, BACKEND_ENTRY_SYMBOL);
    }
    BackendEntry entry;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no conversion from void * to a function pointer */
    const Backend *found = entry();
    if (found->version != BACKEND_VERSION) {
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "%s has backend version %u, this program needs %u: install program and module of the same release", path,
                    (unsigned)found->version, (unsigned)BACKEND_VERSION);
    }
    *backend = found;
    return STATUS_OK;
}

static Status module_find(const Backend **backend, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_NOT_FOUND;
    char *paths[MODULE_PLACE_COUNT];
    module_places(name, paths);
    for (int i = 0; i < MODULE_PLACE_COUNT; i++) {
        if (paths[i] != NULL && access(paths[i], F_OK) == 0) {
            status = module_load(backend, paths[i], diagnostic);
            goto out;
        }
    }
    status = FAIL(diagnostic, STATUS_NOT_FOUND,
                  "no module for backend '%s': looked for %s%s%s and %s; set NERSWEEP_BACKEND_PATH to the folder that holds it",
                  name, paths[0] == NULL ? "" : paths[0], paths[0] == NULL ? "" : ", ", paths[1], paths[2]);
out:
    for (int i = 0; i < MODULE_PLACE_COUNT; i++) {
        free(paths[i]);
    }
    return status;
}

Status backend_open(const Backend **backend, const char *name, Diagnostic *diagnostic)
{
    if (strcmp(name, "reference") == 0) {
        *backend = backend_reference();
        return STATUS_OK;
    }
    if (strcmp(name, "cpu") == 0) {
        return module_find(backend, name, diagnostic);
    }
    if (strcmp(name, "auto") == 0) {
        Diagnostic why = {0};
        if (module_find(backend, "cpu", &why) != STATUS_OK) {
            LOG_WARNING("computing with the reference backend, which is very slow: %s", why.message);
            *backend = backend_reference();
        }
        return STATUS_OK;
    }
    return FAIL(diagnostic, STATUS_USAGE, "no backend is called '%s': there are auto, cpu and reference", name);
}
