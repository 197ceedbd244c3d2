#include "core/io/kv.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/memory.h"
#include "core/io/file.h"
#include "core/io/kv_check.h"

enum { DEFAULT_TABLE_LIMIT = 16, NAME_LIMIT = 511 };
#define DEFAULT_MAP_SIZE ((size_t)64 << 30)

typedef struct NamedTable {
    char *name;
    MDB_dbi handle;
} NamedTable;
typedef ARRAY(NamedTable) NamedTableArray;

/* LMDB's table handles must not be opened by two transactions at once, and end with a transaction that is aborted. So every table that
 * the file has gets its handle while opening, and new ones come in with the commit of the (only) writer that made them. */
struct KvEnvironment {
    MDB_env *lmdb;
    char *path;
    bool read_only;
    pthread_mutex_t lock; /* guards tables */
    NamedTableArray tables;
};

/* Stands at a table's end. */
typedef struct Appender {
    KvTable table;
    MDB_cursor *cursor;
} Appender;

struct KvTransaction {
    MDB_txn *lmdb;
    KvEnvironment *environment;
    bool read_only;
    size_t table_count;      /* tables of the environment that this transaction can see */
    NamedTableArray created; /* by this transaction */
    ARRAY(Appender) appenders;
};

static Status code_of(int result)
{
    switch (result) {
    case MDB_NOTFOUND:
        return STATUS_NOT_FOUND;
    case MDB_KEYEXIST:
        return STATUS_EXISTS;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return STATUS_CORRUPT;
    case MDB_MAP_FULL:
    case MDB_DBS_FULL:
    case MDB_TXN_FULL:
        return STATUS_LIMIT;
    case MDB_READERS_FULL:
    case MDB_MAP_RESIZED:
        return STATUS_BUSY;
    case MDB_BAD_VALSIZE:
        return STATUS_INVALID_INPUT;
    default:
        return result > 0 ? status_from_errno(result) : STATUS_IO;
    }
}

static Status kv_fail(Diagnostic *diagnostic, const KvEnvironment *environment, int result, const char *action)
{
    const char *advice = result == MDB_MAP_FULL   ? "; the file has reached the size that it was opened with"
                         : result == MDB_DBS_FULL ? "; it was opened for fewer tables"
                         : result == ENOSPC       ? "; free some space or choose another folder"
                                                  : "";
    return FAIL(diagnostic, code_of(result), "cannot %s %s: %s%s", action, environment->path, mdb_strerror(result), advice);
}

static void tables_free(NamedTableArray *tables)
{
    for (size_t i = 0; i < tables->count; i++)
        free(tables->items[i].name);
    array_free(tables);
}

/* What may be opened: nothing (a writer makes it), or a whole database. */
static Status check_before_open(const char *path, KvOptions options, Diagnostic *diagnostic)
{
    if (!options.read_only) {
        Status status = path_require_local(path, diagnostic);
        struct stat found;
        if (status != STATUS_OK)
            return status;
        if (stat(path, &found) != 0 && errno == ENOENT)
            return STATUS_OK;
        if (stat(path, &found) == 0 && S_ISREG(found.st_mode) && found.st_size == 0)
            return STATUS_OK; /* a writer died before its first byte */
    }
    return kv_check_file(path, diagnostic);
}

static Status set_map_size(KvEnvironment *environment, KvOptions options, Diagnostic *diagnostic)
{
    size_t size = options.map_size_bytes ? options.map_size_bytes : DEFAULT_MAP_SIZE;
    if (options.read_only) { /* a map beyond the file's end would only be something to fall off */
        struct stat found;
        if (stat(environment->path, &found) != 0)
            return kv_fail(diagnostic, environment, errno, "look at");
        size = (size_t)found.st_size;
    }
    int result = mdb_env_set_mapsize(environment->lmdb, size);
    return result ? kv_fail(diagnostic, environment, result, "map") : STATUS_OK;
}

/* Opens the handles of all tables that the file has. */
static Status open_tables(KvEnvironment *environment, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    MDB_txn *transaction = NULL;
    MDB_cursor *cursor = NULL;
    MDB_dbi names;
    int result = mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &transaction);
    if (!result)
        result = mdb_dbi_open(transaction, NULL, 0, &names);
    if (!result)
        result = mdb_cursor_open(transaction, names, &cursor);
    MDB_val key, value;
    while (!result && (result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size > NAME_LIMIT || memchr(key.mv_data, '\0', key.mv_size))
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s has a table without a proper name", environment->path);
        NamedTable table = {.name = memory_copy_bytes(key.mv_data, key.mv_size)};
        result = mdb_dbi_open(transaction, table.name, 0, &table.handle);
        array_push(&environment->tables, table);
    }
    if (result != MDB_NOTFOUND) {
        status = kv_fail(diagnostic, environment, result, "read the tables of");
        goto out;
    }
    mdb_cursor_close(cursor);
    cursor = NULL;
    result = mdb_txn_commit(transaction); /* keeps the handles */
    transaction = NULL;
    if (result)
        status = kv_fail(diagnostic, environment, result, "read the tables of");
out:
    if (cursor)
        mdb_cursor_close(cursor);
    if (transaction)
        mdb_txn_abort(transaction);
    return status;
}

Status kv_open(KvEnvironment **environment, const char *path, KvOptions options, Diagnostic *diagnostic)
{
    *environment = NULL;
    Status status = check_before_open(path, options, diagnostic);
    if (status != STATUS_OK)
        return status;
    KvEnvironment *opened = memory_allocate(1, sizeof *opened);
    opened->path = memory_copy_string(path);
    opened->read_only = options.read_only;
    pthread_mutex_init(&opened->lock, NULL);
    int result = mdb_env_create(&opened->lmdb);
    if (!result)
        result = mdb_env_set_maxdbs(opened->lmdb, options.table_limit ? options.table_limit : DEFAULT_TABLE_LIMIT);
    if (result) {
        status = kv_fail(diagnostic, opened, result, "open");
        goto out;
    }
    TRY(set_map_size(opened, options, diagnostic));
    /* MDB_NOTLS: a transaction belongs to its object, not to the thread that began it. */
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS;
    if (options.read_only)
        flags |= MDB_RDONLY | MDB_NOLOCK;
    if (options.no_sync)
        flags |= MDB_NOSYNC;
    result = mdb_env_open(opened->lmdb, path, flags, 0666);
    if (result) {
        status = kv_fail(diagnostic, opened, result, "open");
        goto out;
    }
    TRY(open_tables(opened, diagnostic));
    *environment = opened;
    opened = NULL;
out:
    kv_close(&opened);
    return status;
}

void kv_close(KvEnvironment **environment)
{
    KvEnvironment *closed = *environment;
    *environment = NULL;
    if (!closed)
        return;
    if (closed->lmdb)
        mdb_env_close(closed->lmdb);
    tables_free(&closed->tables);
    pthread_mutex_destroy(&closed->lock);
    free(closed->path);
    free(closed);
}

Status kv_sync(KvEnvironment *environment, Diagnostic *diagnostic)
{
    int result = mdb_env_sync(environment->lmdb, 1);
    return result ? kv_fail(diagnostic, environment, result, "make durable") : STATUS_OK;
}

Status kv_begin(KvTransaction **transaction, KvEnvironment *environment, bool read_only, Diagnostic *diagnostic)
{
    *transaction = NULL;
    if (!read_only && environment->read_only)
        return FAIL(diagnostic, STATUS_PERMISSION, "cannot write to %s: it was opened for reading", environment->path);
    KvTransaction *begun = memory_allocate(1, sizeof *begun);
    begun->environment = environment;
    begun->read_only = read_only;
    /* Counted before LMDB begins: what is committed in between is then not seen, instead of seen without a valid handle. */
    pthread_mutex_lock(&environment->lock);
    begun->table_count = environment->tables.count;
    pthread_mutex_unlock(&environment->lock);
    int result = mdb_txn_begin(environment->lmdb, NULL, read_only ? MDB_RDONLY : 0, &begun->lmdb);
    if (result) {
        free(begun);
        return kv_fail(diagnostic, environment, result, "begin a transaction on");
    }
    if (!read_only) { /* a writer waits for its predecessor, and then does see what that made */
        pthread_mutex_lock(&environment->lock);
        begun->table_count = environment->tables.count;
        pthread_mutex_unlock(&environment->lock);
    }
    *transaction = begun;
    return STATUS_OK;
}

/* Whatever else is written may leave them somewhere in the midst. */
static void appenders_close(KvTransaction *transaction)
{
    for (size_t i = 0; i < transaction->appenders.count; i++)
        mdb_cursor_close(transaction->appenders.items[i].cursor);
    transaction->appenders.count = 0;
}

static void transaction_free(KvTransaction **transaction)
{
    array_free(&(*transaction)->appenders);
    tables_free(&(*transaction)->created);
    free(*transaction);
    *transaction = NULL;
}

Status kv_commit(KvTransaction **transaction, Diagnostic *diagnostic)
{
    KvTransaction *ended = *transaction;
    KvEnvironment *environment = ended->environment;
    appenders_close(ended);
    /* The lock is held over the commit, so that the next writer finds the tables of this one. */
    pthread_mutex_lock(&environment->lock);
    int result = mdb_txn_commit(ended->lmdb);
    if (!result) {
        for (size_t i = 0; i < ended->created.count; i++)
            array_push(&environment->tables, ended->created.items[i]);
        ended->created.count = 0; /* the names have moved */
    }
    pthread_mutex_unlock(&environment->lock);
    transaction_free(transaction);
    return result ? kv_fail(diagnostic, environment, result, "commit to") : STATUS_OK;
}

void kv_abort(KvTransaction **transaction)
{
    if (!*transaction)
        return;
    appenders_close(*transaction);
    mdb_txn_abort((*transaction)->lmdb);
    transaction_free(transaction);
}

static bool find_table(const NamedTableArray *tables, size_t count, const char *name, KvTable *table)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tables->items[i].name, name) == 0) {
            *table = tables->items[i].handle;
            return true;
        }
    }
    return false;
}

Status kv_table(KvTransaction *transaction, const char *name, bool create, KvTable *table, Diagnostic *diagnostic)
{
    KvEnvironment *environment = transaction->environment;
    size_t length = strlen(name);
    if (length == 0 || length > NAME_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "a table's name has 1 to %d bytes, this one has %zu", NAME_LIMIT, length);
    pthread_mutex_lock(&environment->lock);
    bool found = find_table(&environment->tables, transaction->table_count, name, table);
    pthread_mutex_unlock(&environment->lock);
    if (found || find_table(&transaction->created, transaction->created.count, name, table))
        return STATUS_OK;
    if (!create)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "%s has no table \"%s\"", environment->path, name);
    if (transaction->read_only)
        return FAIL(diagnostic, STATUS_PERMISSION, "cannot make the table \"%s\" in %s while reading", name, environment->path);
    NamedTable made = {.name = memory_copy_string(name)};
    int result = mdb_dbi_open(transaction->lmdb, name, MDB_CREATE, &made.handle);
    if (result) {
        free(made.name);
        return kv_fail(diagnostic, environment, result, "make a table in");
    }
    array_push(&transaction->created, made);
    *table = made.handle;
    return STATUS_OK;
}

static MDB_val value_of(KvBytes bytes)
{
    return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)(uintptr_t)bytes.bytes};
}

static Status kv_fail_key(Diagnostic *diagnostic, const KvTransaction *transaction, int result, const char *action, size_t key_size)
{
    if (result == MDB_BAD_VALSIZE)
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "cannot %s %s: keys have 1 to %d bytes (this one %zu), values less than 4 GiB", action,
                    transaction->environment->path, mdb_env_get_maxkeysize(transaction->environment->lmdb), key_size);
    return kv_fail(diagnostic, transaction->environment, result, action);
}

Status kv_get(KvTransaction *transaction, KvTable table, KvBytes key, KvBytes *value, Diagnostic *diagnostic)
{
    MDB_val lmdb_key = value_of(key), found;
    *value = (KvBytes){0};
    int result = mdb_get(transaction->lmdb, table, &lmdb_key, &found);
    if (result == MDB_NOTFOUND)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "%s does not have this key", transaction->environment->path);
    if (result)
        return kv_fail_key(diagnostic, transaction, result, "read", key.size);
    *value = (KvBytes){.bytes = found.mv_data, .size = found.mv_size};
    return STATUS_OK;
}

static Status write_status(int result, const KvTransaction *transaction, size_t key_size, Diagnostic *diagnostic)
{
    return result ? kv_fail_key(diagnostic, transaction, result, "write to", key_size) : STATUS_OK;
}

Status kv_put(KvTransaction *transaction, KvTable table, KvBytes key, KvBytes value, Diagnostic *diagnostic)
{
    MDB_val lmdb_key = value_of(key), lmdb_value = value_of(value);
    appenders_close(transaction);
    return write_status(mdb_put(transaction->lmdb, table, &lmdb_key, &lmdb_value, 0), transaction, key.size, diagnostic);
}

Status kv_append(KvTransaction *transaction, KvTable table, KvBytes key, KvBytes value, Diagnostic *diagnostic)
{
    MDB_val lmdb_key = value_of(key), lmdb_value = value_of(value);
    size_t at = 0;
    int result = 0;
    while (at < transaction->appenders.count && transaction->appenders.items[at].table != table)
        at++;
    if (at == transaction->appenders.count) {
        Appender appender = {.table = table};
        result = mdb_cursor_open(transaction->lmdb, table, &appender.cursor);
        if (result == 0)
            array_push(&transaction->appenders, appender);
    }
    if (result == 0)
        result = mdb_cursor_put(transaction->appenders.items[at].cursor, &lmdb_key, &lmdb_value, MDB_APPEND);
    return write_status(result, transaction, key.size, diagnostic);
}

Status kv_delete(KvTransaction *transaction, KvTable table, KvBytes key, Diagnostic *diagnostic)
{
    MDB_val lmdb_key = value_of(key);
    appenders_close(transaction);
    int result = mdb_del(transaction->lmdb, table, &lmdb_key, NULL);
    if (result == MDB_NOTFOUND)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "%s does not have this key", transaction->environment->path);
    return result ? kv_fail_key(diagnostic, transaction, result, "delete from", key.size) : STATUS_OK;
}

Status kv_count(KvTransaction *transaction, KvTable table, uint64_t *count, Diagnostic *diagnostic)
{
    MDB_stat statistics;
    *count = 0;
    int result = mdb_stat(transaction->lmdb, table, &statistics);
    if (result)
        return kv_fail(diagnostic, transaction->environment, result, "count the records of");
    *count = statistics.ms_entries;
    return STATUS_OK;
}

Status kv_each(KvTransaction *transaction, KvTable table, KvVisit visit, void *context, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    MDB_cursor *cursor;
    int result = mdb_cursor_open(transaction->lmdb, table, &cursor);
    if (result)
        return kv_fail(diagnostic, transaction->environment, result, "read");
    MDB_val key, value;
    while ((result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        TRY(visit(context, (KvBytes){key.mv_data, key.mv_size}, (KvBytes){value.mv_data, value.mv_size}, diagnostic));
    if (result != MDB_NOTFOUND)
        status = kv_fail(diagnostic, transaction->environment, result, "read");
out:
    mdb_cursor_close(cursor);
    return status;
}
