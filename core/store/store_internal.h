/* What the files of core_store share. */
#ifndef NERSWEEP_CORE_STORE_STORE_INTERNAL_H
#define NERSWEEP_CORE_STORE_STORE_INTERNAL_H

#include "core/store/store.h"

struct Store {
    char *path; /* absolute */
    char *objects;
    char *manifests;
    const FileSystem *fs;
};

#define STORE_TEMPORARY_MARK ".tmp-" /* in the names of temporary files: core/io/file.h */

/* Exactly 64 lower-case hexadecimal digits? */
bool store_hash_valid(const char *hex);
/* Is there an object of this name and size? */
bool store_object_present(const Store *store, const char *hex, uint64_t size);

#endif
