/* A key-value file by LMDB: ordered byte strings, one writer, many readers, memory-mapped. Never opened on a network file system.
 *
 * Values of a read point into the map and live until the transaction ends. Truncated or hostile files are refused as STATUS_CORRUPT
 * (page counts are checked against the file's size before the map is used). */
#ifndef NERSWEEP_CORE_IO_KV_H
#define NERSWEEP_CORE_IO_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct KvEnvironment KvEnvironment;
typedef struct KvTransaction KvTransaction;
typedef struct KvBytes {
    const void *bytes;
    size_t size;
} KvBytes;
/* A named table of an environment. */
typedef unsigned KvTable;

typedef struct KvOptions {
    bool read_only;        /* no lock file is written, the file may lie on read-only storage */
    bool no_sync;          /* for bulk loads that end with kv_sync and are put in place by a rename */
    size_t map_size_bytes; /* upper bound of the file's size; 0: 64 GiB, sparse. Writers only */
    unsigned table_limit;  /* named tables; 0: 16 */
} KvOptions;

/* path is the data file itself (LMDB's MDB_NOSUBDIR). */
NODISCARD Status kv_open(KvEnvironment **environment, const char *path, KvOptions options, Diagnostic *diagnostic);
void kv_close(KvEnvironment **environment);
NODISCARD Status kv_sync(KvEnvironment *environment, Diagnostic *diagnostic);

NODISCARD Status kv_begin(KvTransaction **transaction, KvEnvironment *environment, bool read_only, Diagnostic *diagnostic);
NODISCARD Status kv_commit(KvTransaction **transaction, Diagnostic *diagnostic); /* *transaction becomes NULL in any case */
void kv_abort(KvTransaction **transaction);

NODISCARD Status kv_table(KvTransaction *transaction, const char *name, bool create, KvTable *table, Diagnostic *diagnostic);
/* STATUS_NOT_FOUND when absent. */
NODISCARD Status kv_get(KvTransaction *transaction, KvTable table, KvBytes key, KvBytes *value, Diagnostic *diagnostic);
NODISCARD Status kv_put(KvTransaction *transaction, KvTable table, KvBytes key, KvBytes value, Diagnostic *diagnostic);
/* As kv_put, for a key behind all that the table has (else STATUS_EXISTS): nothing is searched for, and pages are filled to the end. */
NODISCARD Status kv_append(KvTransaction *transaction, KvTable table, KvBytes key, KvBytes value, Diagnostic *diagnostic);
NODISCARD Status kv_delete(KvTransaction *transaction, KvTable table, KvBytes key, Diagnostic *diagnostic);
NODISCARD Status kv_count(KvTransaction *transaction, KvTable table, uint64_t *count, Diagnostic *diagnostic);

/* Walks a table in key order; visit returns STATUS_OK to go on. */
typedef Status (*KvVisit)(void *context, KvBytes key, KvBytes value, Diagnostic *diagnostic);
NODISCARD Status kv_each(KvTransaction *transaction, KvTable table, KvVisit visit, void *context, Diagnostic *diagnostic);

#endif
