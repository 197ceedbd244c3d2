#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/kv.h"
#include "tests/core/base/support.h"

static Diagnostic diagnostic;

enum { SMALL_MAP = 16 * 1024 * 1024 };
static const KvOptions writing = {.map_size_bytes = SMALL_MAP};
static const KvOptions bulk = {.map_size_bytes = SMALL_MAP, .no_sync = true};
static const KvOptions reading = {.read_only = true};

static int make_folder(void **state)
{
    *state = scratch_make();
    return 0;
}

static int remove_folder(void **state)
{
    char *folder = *state;
    scratch_remove(&folder);
    return 0;
}

static KvBytes bytes_of(const char *text)
{
    return (KvBytes){text, strlen(text)};
}

static void put(KvTransaction *transaction, KvTable table, const char *key, const char *value)
{
    assert_ok(kv_put(transaction, table, bytes_of(key), bytes_of(value), &diagnostic), &diagnostic);
}

static void assert_value(KvTransaction *transaction, KvTable table, const char *key, const char *wanted)
{
    KvBytes value;
    assert_ok(kv_get(transaction, table, bytes_of(key), &value, &diagnostic), &diagnostic);
    assert_int_equal(value.size, strlen(wanted));
    assert_memory_equal(value.bytes, wanted, value.size);
}

static KvEnvironment *open_kv(const char *path, KvOptions options)
{
    KvEnvironment *environment;
    assert_ok(kv_open(&environment, path, options, &diagnostic), &diagnostic);
    return environment;
}

static KvTransaction *begin(KvEnvironment *environment, bool read_only)
{
    KvTransaction *transaction;
    assert_ok(kv_begin(&transaction, environment, read_only, &diagnostic), &diagnostic);
    return transaction;
}

static KvTable table_of(KvTransaction *transaction, const char *name, bool create)
{
    KvTable table;
    assert_ok(kv_table(transaction, name, create, &table, &diagnostic), &diagnostic);
    return table;
}

/* A database of two tables, values from empty to several pages; the tree of the first has two levels. */
static void make_database(const char *path)
{
    KvEnvironment *environment = open_kv(path, bulk);
    char *large = calloc(1, 20000);
    for (int part = 0; part < 3; part++) { /* several transactions, so that there are free pages too */
        KvTransaction *transaction = begin(environment, false);
        KvTable numbers = table_of(transaction, "numbers", true), texts = table_of(transaction, "texts", true);
        for (int i = 0; i < 200; i++) {
            char key[16];
            snprintf(key, sizeof key, "%04d", i * 3 + part);
            memset(large, 'a' + i % 26, 20000);
            assert_ok(kv_put(transaction, numbers, bytes_of(key), (KvBytes){large, (size_t)(i % 7) * 20}, &diagnostic),
                      &diagnostic);
            if (i % 40 == 0)
                assert_ok(kv_put(transaction, texts, bytes_of(key), (KvBytes){large, 5000 + (size_t)i * 60}, &diagnostic),
                          &diagnostic);
        }
        assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
    }
    free(large);
    assert_ok(kv_sync(environment, &diagnostic), &diagnostic);
    kv_close(&environment);
}

static void what_is_committed_is_read_and_what_is_aborted_is_not(void **state)
{
    const char *path = scratch_path(*state, "kv");
    KvEnvironment *environment = open_kv(path, writing);
    KvTransaction *transaction = begin(environment, false);
    KvTable table = table_of(transaction, "table", true);
    put(transaction, table, "b", "2");
    put(transaction, table, "a", "1");
    put(transaction, table, "empty", "");
    assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
    assert_null(transaction);

    transaction = begin(environment, false);
    put(transaction, table_of(transaction, "table", false), "a", "changed");
    assert_int_equal(table_of(transaction, "made and lost", true) != table, true);
    kv_abort(&transaction);
    assert_null(transaction);
    kv_abort(&transaction);
    kv_close(&environment);
    assert_null(environment);
    kv_close(&environment);

    environment = open_kv(path, reading);
    transaction = begin(environment, true);
    table = table_of(transaction, "table", false);
    assert_value(transaction, table, "a", "1");
    assert_value(transaction, table, "b", "2");
    assert_value(transaction, table, "empty", "");
    KvBytes value;
    assert_status(kv_get(transaction, table, bytes_of("none"), &value, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    assert_null(value.bytes);
    uint64_t count;
    assert_ok(kv_count(transaction, table, &count, &diagnostic), &diagnostic);
    assert_int_equal(count, 3);
    assert_status(kv_table(transaction, "made and lost", false, &table, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    assert_status(kv_table(transaction, "new", true, &table, &diagnostic), STATUS_PERMISSION, &diagnostic);
    KvTransaction *writer;
    assert_status(kv_begin(&writer, environment, false, &diagnostic), STATUS_PERMISSION, &diagnostic);
    kv_abort(&transaction);
    kv_close(&environment);
}

static void a_reader_writes_no_lock_file(void **state)
{
    const char *path = scratch_path(*state, "kv"), *lock = scratch_path(*state, "kv-lock");
    make_database(path);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(chmod(path, 0400), 0);
    KvEnvironment *environment = open_kv(path, reading);
    kv_close(&environment);
    assert_int_not_equal(access(lock, F_OK), 0);
}

typedef struct Walk {
    char keys[64];
    int visits, stop_after;
} Walk;

static Status visit_key(void *context, KvBytes key, KvBytes value, Diagnostic *visit_diagnostic)
{
    Walk *walk = context;
    strncat(walk->keys, key.bytes, key.size);
    strncat(walk->keys, value.bytes, value.size);
    if (++walk->visits == walk->stop_after)
        return FAIL(visit_diagnostic, STATUS_INTERRUPTED, "enough");
    return STATUS_OK;
}

static void records_are_walked_in_key_order_until_the_visitor_stops(void **state)
{
    KvEnvironment *environment = open_kv(scratch_path(*state, "kv"), bulk);
    KvTransaction *transaction = begin(environment, false);
    KvTable table = table_of(transaction, "table", true);
    Walk walk = {0};
    assert_ok(kv_each(transaction, table, visit_key, &walk, &diagnostic), &diagnostic);
    assert_int_equal(walk.visits, 0);
    put(transaction, table, "c", "3");
    put(transaction, table, "a", "1");
    put(transaction, table, "b", "2");
    assert_ok(kv_each(transaction, table, visit_key, &walk, &diagnostic), &diagnostic);
    assert_string_equal(walk.keys, "a1b2c3");
    walk = (Walk){.stop_after = 2};
    assert_status(kv_each(transaction, table, visit_key, &walk, &diagnostic), STATUS_INTERRUPTED, &diagnostic);
    assert_string_equal(walk.keys, "a1b2");
    assert_string_equal(diagnostic.message, "enough");
    assert_ok(kv_delete(transaction, table, bytes_of("b"), &diagnostic), &diagnostic);
    assert_status(kv_delete(transaction, table, bytes_of("b"), &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    walk = (Walk){0};
    assert_ok(kv_each(transaction, table, visit_key, &walk, &diagnostic), &diagnostic);
    assert_string_equal(walk.keys, "a1c3");
    assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
    kv_close(&environment);
}

static void appending_takes_rising_keys_only_and_fills_pages(void **state)
{
    char value[300] = "value";
    struct stat sizes[2];
    for (int append = 0; append < 2; append++) {
        const char *path = scratch_path(*state, append ? "appended" : "put");
        KvEnvironment *environment = open_kv(path, writing);
        KvTransaction *transaction = begin(environment, false);
        KvTable table = table_of(transaction, "table", true);
        for (int i = 0; i < 2000; i++) {
            char key[16];
            KvBytes bytes = {value, sizeof value};
            snprintf(key, sizeof key, "%08d", i);
            assert_ok(append ? kv_append(transaction, table, bytes_of(key), bytes, &diagnostic)
                             : kv_put(transaction, table, bytes_of(key), bytes, &diagnostic),
                      &diagnostic);
        }
        if (append)
            assert_status(kv_append(transaction, table, bytes_of("00000001"), bytes_of("x"), &diagnostic), STATUS_EXISTS,
                          &diagnostic);
        assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
        kv_close(&environment);
        assert_int_equal(stat(path, &sizes[append]), 0);
    }
    assert_true(sizes[1].st_size < sizes[0].st_size);
}

/* Of several tables at once, with other writes between that may move a table's end. */
static void appending_goes_on_after_other_writes(void **state)
{
    enum { ROUNDS = 3000 };
    char value[200] = "value", key[16];
    KvEnvironment *environment = open_kv(scratch_path(*state, "mixed"), writing);
    KvTransaction *transaction = begin(environment, false);
    KvTable tables[2] = {table_of(transaction, "one", true), table_of(transaction, "two", true)};
    KvBytes bytes = {value, sizeof value}, found;
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(key, sizeof key, "%08d", 10 * i);
        for (int t = 0; t < 2; t++)
            assert_ok(kv_append(transaction, tables[t], bytes_of(key), bytes, &diagnostic), &diagnostic);
        if (i % 3 == 0) { /* behind the end that appending knows */
            snprintf(key, sizeof key, "%08d", 10 * i + 5);
            assert_ok(kv_put(transaction, tables[0], bytes_of(key), bytes, &diagnostic), &diagnostic);
        }
        if (i % 7 == 6) {
            snprintf(key, sizeof key, "%08d", 10 * i);
            assert_ok(kv_delete(transaction, tables[1], bytes_of(key), &diagnostic), &diagnostic);
        }
        if (i % 1000 == 999) {
            assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
            transaction = begin(environment, false);
        }
    }
    snprintf(key, sizeof key, "%08d", 10 * ROUNDS - 12);
    assert_status(kv_append(transaction, tables[0], bytes_of(key), bytes, &diagnostic), STATUS_EXISTS, &diagnostic);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(key, sizeof key, "%08d", 10 * i);
        assert_ok(kv_get(transaction, tables[0], bytes_of(key), &found, &diagnostic), &diagnostic);
        assert_status(kv_get(transaction, tables[1], bytes_of(key), &found, &diagnostic), i % 7 == 6 ? STATUS_NOT_FOUND : STATUS_OK,
                      &diagnostic);
    }
    uint64_t count;
    assert_ok(kv_count(transaction, tables[0], &count, &diagnostic), &diagnostic);
    assert_int_equal(count, ROUNDS + (ROUNDS + 2) / 3);
    kv_abort(&transaction);
    kv_close(&environment);
}

static void limits_are_told(void **state)
{
    KvOptions options = {.map_size_bytes = 1024 * 1024, .table_limit = 2, .no_sync = true};
    const char *path = scratch_path(*state, "kv");
    KvEnvironment *environment = open_kv(path, options);
    KvTransaction *transaction = begin(environment, false);
    KvTable table = table_of(transaction, "one", true), other;
    assert_int_equal(table_of(transaction, "one", true), table);
    table_of(transaction, "two", true);
    assert_status(kv_table(transaction, "three", true, &other, &diagnostic), STATUS_LIMIT, &diagnostic);
    assert_status(kv_table(transaction, "", true, &other, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    char key[600] = {0};
    assert_status(kv_put(transaction, table, (KvBytes){key, 512}, bytes_of("x"), &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "511"));
    assert_status(kv_put(transaction, table, (KvBytes){key, 0}, bytes_of("x"), &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_ok(kv_put(transaction, table, (KvBytes){key, 511}, bytes_of("x"), &diagnostic), &diagnostic);
    assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
    transaction = begin(environment, false);
    char *large = calloc(1, 2 * 1024 * 1024);
    assert_status(kv_put(transaction, table, bytes_of("k"), (KvBytes){large, 2 * 1024 * 1024}, &diagnostic), STATUS_LIMIT,
                  &diagnostic);
    assert_non_null(strstr(diagnostic.message, path));
    free(large);
    kv_abort(&transaction);
    kv_close(&environment);
    options.table_limit = 1;
    options.read_only = true;
    assert_status(kv_open(&environment, path, options, &diagnostic), STATUS_LIMIT, &diagnostic);
    assert_null(environment);
}

static Status count_bytes(void *context, KvBytes key, KvBytes value, Diagnostic *visit_diagnostic)
{
    (void)visit_diagnostic;
    size_t *sum = context;
    for (size_t i = 0; i < key.size; i++)
        *sum += ((const unsigned char *)key.bytes)[i];
    for (size_t i = 0; i < value.size; i++)
        *sum += ((const unsigned char *)value.bytes)[i];
    return STATUS_OK;
}

/* Opens the file and touches every byte of every record; what is not whole must be a status. */
static Status read_everything(const char *path)
{
    Status status = STATUS_OK;
    KvEnvironment *environment = NULL;
    KvTransaction *transaction = NULL;
    size_t sum = 0;
    TRY(kv_open(&environment, path, reading, &diagnostic));
    TRY(kv_begin(&transaction, environment, true, &diagnostic));
    static const char *const names[] = {"numbers", "texts"};
    for (size_t i = 0; i < 2; i++) {
        KvTable table;
        KvBytes value;
        TRY(kv_table(transaction, names[i], false, &table, &diagnostic));
        TRY(kv_each(transaction, table, count_bytes, &sum, &diagnostic));
        status = kv_get(transaction, table, bytes_of("0120"), &value, &diagnostic);
        if (status == STATUS_OK)
            status = count_bytes(&sum, bytes_of(""), value, &diagnostic);
        else if (status == STATUS_NOT_FOUND)
            status = STATUS_OK;
        TRY(status);
    }
out:
    kv_abort(&transaction);
    kv_close(&environment);
    return status;
}

static void a_missing_empty_or_foreign_file_is_refused(void **state)
{
    const char *path = scratch_path(*state, "kv");
    KvEnvironment *environment;
    assert_status(kv_open(&environment, path, reading, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    assert_null(environment);
    assert_status(kv_open(&environment, *state, reading, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_status(kv_open(&environment, *state, writing, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    scratch_write(path, "", 0);
    assert_status(kv_open(&environment, path, reading, &diagnostic), STATUS_CORRUPT, &diagnostic);
    environment = open_kv(path, writing); /* to be filled */
    kv_close(&environment);
    uint32_t seed = 3;
    char *garbage = calloc(1, 65536);
    for (size_t size = 1; size <= 65536; size = size * 3 + 1) {
        for (size_t i = 0; i < size; i++)
            garbage[i] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
        scratch_write(path, garbage, size);
        assert_status(kv_open(&environment, path, reading, &diagnostic), STATUS_CORRUPT, &diagnostic);
        assert_status(kv_open(&environment, path, writing, &diagnostic), STATUS_CORRUPT, &diagnostic);
        assert_non_null(strstr(diagnostic.message, path));
    }
    memset(garbage, 0, 65536);
    scratch_write(path, garbage, 65536);
    assert_status(kv_open(&environment, path, reading, &diagnostic), STATUS_CORRUPT, &diagnostic);
    free(garbage);
}

static void a_file_cut_at_any_length_is_corrupt(void **state)
{
    const char *path = scratch_path(*state, "kv"), *cut = scratch_path(*state, "cut");
    make_database(path);
    assert_ok(read_everything(path), &diagnostic);
    size_t size;
    char *bytes = scratch_read(path, &size);
    assert_true(size > 100000);
    for (size_t length = 1; length < size; length += length < 9000 ? 97 : 1511) {
        scratch_write(cut, bytes, length);
        assert_status(read_everything(cut), STATUS_CORRUPT, &diagnostic);
    }
    scratch_write(cut, bytes, size - 1);
    assert_status(read_everything(cut), STATUS_CORRUPT, &diagnostic);
    scratch_write(cut, bytes, size - 4096);
    assert_status(read_everything(cut), STATUS_CORRUPT, &diagnostic);
    scratch_write(cut, bytes, size);
    assert_ok(read_everything(cut), &diagnostic);
    free(bytes);
}

/* Damages the file again and again and reads it, in a child process: a signal would end the test, and none may. */
static int damage_and_read(const char *folder, const char *bytes, size_t size, uint32_t seed, int rounds, bool write_too)
{
    const char *path = scratch_path(folder, "damaged"), *lock = scratch_path(folder, "damaged-lock");
    char *damaged = malloc(size);
    int refused = 0;
    for (int round = 0; round < rounds; round++) {
        memcpy(damaged, bytes, size);
        int flips = 1 + round % 4;
        for (int i = 0; i < flips; i++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 4) % size;
            if (round % 2) /* where pages keep their own books: their heads and their offsets */
                at = at / 4096 * 4096 + at % 64;
            seed = seed * 1664525u + 1013904223u;
            damaged[at] = round % 3 ? (char)(damaged[at] ^ (char)(1u << (seed >> 24) % 8)) : (char)(seed >> 24);
        }
        scratch_write(path, damaged, size);
        Status status = read_everything(path);
        if (status != STATUS_OK && status != STATUS_CORRUPT && status != STATUS_NOT_FOUND)
            return 2;
        refused += status == STATUS_CORRUPT;
        KvEnvironment *environment;
        if (write_too && kv_open(&environment, path, bulk, &diagnostic) == STATUS_OK) {
            KvTransaction *transaction;
            KvTable table;
            if (kv_begin(&transaction, environment, false, &diagnostic) == STATUS_OK) {
                status = kv_table(transaction, "numbers", true, &table, &diagnostic);
                for (int i = 0; status == STATUS_OK && i < 300; i++) {
                    char key[16];
                    snprintf(key, sizeof key, "%04d", i * 2);
                    status = i % 3 ? kv_put(transaction, table, bytes_of(key), (KvBytes){bytes, 100 + 37 * (size_t)i}, &diagnostic)
                                   : kv_delete(transaction, table, bytes_of(key), &diagnostic);
                    if (status == STATUS_NOT_FOUND)
                        status = STATUS_OK;
                }
                status = kv_commit(&transaction, &diagnostic);
            }
            kv_close(&environment);
            unlink(lock);
        }
    }
    free(damaged);
    return refused > 0 ? 0 : 3;
}

static void damaged_files_end_no_process(void **state)
{
    const char *path = scratch_path(*state, "kv");
    make_database(path);
    size_t size;
    char *bytes = scratch_read(path, &size);
    for (uint32_t seed = 1; seed <= 4; seed++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(damage_and_read(*state, bytes, size, seed, 150, seed % 2));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    free(bytes);
}

/* Changes one number of the file and says what must come of it. */
static void refuse_change(const char *path, const char *bytes, size_t size, size_t at, const void *number, size_t number_size)
{
    char *damaged = malloc(size);
    memcpy(damaged, bytes, size);
    memcpy(damaged + at, number, number_size);
    scratch_write(path, damaged, size);
    free(damaged);
    assert_status(read_everything(path), STATUS_CORRUPT, &diagnostic);
}

static void heads_that_lie_are_refused(void **state)
{
    const char *path = scratch_path(*state, "kv"), *changed = scratch_path(*state, "changed");
    make_database(path);
    size_t size;
    char *bytes = scratch_read(path, &size);
    uint64_t transactions[2], last_page;
    memcpy(&transactions[0], bytes + 16 + 128, 8);
    memcpy(&transactions[1], bytes + 4096 + 16 + 128, 8);
    size_t meta = (transactions[0] < transactions[1] ? 4096 : 0) + 16;
    memcpy(&last_page, bytes + meta + 120, 8);
    assert_int_equal((last_page + 1) * 4096, size);
    last_page++;
    refuse_change(changed, bytes, size, meta + 120, &last_page, 8); /* one page more than there is */
    last_page = UINT64_MAX;
    refuse_change(changed, bytes, size, meta + 120, &last_page, 8);
    uint32_t page_size = 8192;
    refuse_change(changed, bytes, size, 16 + 24, &page_size, 4);
    page_size = 4097;
    refuse_change(changed, bytes, size, 16 + 24, &page_size, 4);
    refuse_change(changed, bytes, size, 4096 + 16 + 24, &page_size, 4);
    refuse_change(changed, bytes, size, 16, "\0\0\0\0", 4);        /* the magic number */
    refuse_change(changed, bytes, size, 4096 + 20, "\2\0\0\0", 4); /* the version */
    uint64_t root = 1u << 30;
    refuse_change(changed, bytes, size, meta + 72 + 40, &root, 8); /* of the table of tables */
    root = 1;
    refuse_change(changed, bytes, size, meta + 72 + 40, &root, 8);
    refuse_change(changed, bytes, size, meta + 72 + 6, "\x28\0", 2); /* 40 levels */
    refuse_change(changed, bytes, size, meta + 72 + 4, "\4\0", 2);   /* duplicate keys */
    refuse_change(changed, bytes, size, meta + 72 + 32, "\x63", 1);  /* 99 entries */
    free(bytes);
}

enum { READERS = 3, ROUNDS = 60 };

static void *read_often(void *argument)
{
    KvEnvironment *environment = argument;
    for (int i = 0; i < 300; i++) {
        KvTransaction *transaction;
        KvTable table;
        KvBytes one, two;
        Diagnostic own = {0};
        if (kv_begin(&transaction, environment, true, &own) != STATUS_OK)
            return (void *)"begin";
        Status status = kv_table(transaction, "table", false, &table, &own);
        if (status == STATUS_OK) { /* both values come from one commit */
            if (kv_get(transaction, table, bytes_of("one"), &one, &own) != STATUS_OK ||
                kv_get(transaction, table, bytes_of("two"), &two, &own) != STATUS_OK)
                return (void *)"get";
            if (one.size != two.size || memcmp(one.bytes, two.bytes, one.size) != 0)
                return (void *)"torn";
        } else if (status != STATUS_NOT_FOUND) {
            return (void *)"table";
        }
        char name[16];
        snprintf(name, sizeof name, "t%d", i % 12);
        status = kv_table(transaction, name, false, &table, &own);
        if (status == STATUS_OK && kv_get(transaction, table, bytes_of("k"), &one, &own) != STATUS_OK)
            return (void *)"new table";
        kv_abort(&transaction);
    }
    return NULL;
}

static void threads_read_while_one_writes(void **state)
{
    KvEnvironment *environment = open_kv(scratch_path(*state, "kv"), bulk);
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_often, environment), 0);
    for (int round = 0; round < ROUNDS; round++) {
        KvTransaction *transaction = begin(environment, false);
        char text[32];
        snprintf(text, sizeof text, "%d", round);
        if (round % 5 == 0) { /* tables come while others read */
            snprintf(text, sizeof text, "t%d", round / 5);
            put(transaction, table_of(transaction, text, true), "k", "v");
        }
        KvTable table = table_of(transaction, "table", true);
        put(transaction, table, "one", text);
        put(transaction, table, "two", text);
        if (round % 7 == 3)
            kv_abort(&transaction);
        else
            assert_ok(kv_commit(&transaction, &diagnostic), &diagnostic);
    }
    for (int i = 0; i < READERS; i++) {
        void *problem;
        pthread_join(readers[i], &problem);
        if (problem)
            fail_msg("%s", (const char *)problem);
    }
    kv_close(&environment);
}

static void a_killed_writer_leaves_the_last_commit(void **state)
{
    const char *path = scratch_path(*state, "kv");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        KvEnvironment *environment = open_kv(path, writing);
        for (int i = 0;; i++) {
            KvTransaction *transaction = begin(environment, false);
            KvTable table = table_of(transaction, "numbers", true);
            table_of(transaction, "texts", true);
            put(transaction, table, "key", i < 2 ? "committed" : "not committed");
            if (i == 2)
                kill(getpid(), SIGKILL);
            if (kv_commit(&transaction, &diagnostic) != STATUS_OK)
                _exit(1);
        }
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_ok(read_everything(path), &diagnostic);
    KvEnvironment *environment = open_kv(path, writing);
    KvTransaction *transaction = begin(environment, false);
    assert_value(transaction, table_of(transaction, "numbers", false), "key", "committed");
    kv_abort(&transaction);
    kv_close(&environment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_committed_is_read_and_what_is_aborted_is_not, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_reader_writes_no_lock_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(records_are_walked_in_key_order_until_the_visitor_stops, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(appending_takes_rising_keys_only_and_fills_pages, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(appending_goes_on_after_other_writes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(limits_are_told, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_missing_empty_or_foreign_file_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_file_cut_at_any_length_is_corrupt, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damaged_files_end_no_process, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(heads_that_lie_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(threads_read_while_one_writes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_the_last_commit, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
