/* Stores that are cut short, damaged or forged: an error that names the file, never a crash, never wrong content. */
#include "project.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/philox.h"
#include "core/io/file.h"
#include "core/io/kv.h"
#include "shard/shard_format.h"
#include "shard/shard_metadata.h"

/* The bytes of the small project's store. */
static char *store_bytes(Project *project, size_t *size)
{
    char *path = path_join(project->shards, SHARD_FILE_NAME), *bytes;
    must(project_build(project), &project->diagnostic);
    must(file_read(path, 1 << 26, &bytes, size, &project->diagnostic), &project->diagnostic);
    free(path);
    return bytes;
}

static void a_truncated_store_is_corrupt(void **state)
{
    Project *project = small_project(*state, "truncated");
    size_t size;
    uint64_t digest;
    char *bytes = store_bytes(project, &size);
    for (size_t kept = 0; kept < size; kept += kept < 8192 ? 1021 : 4096) {
        free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, kept));
        assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_CORRUPT);
        must_contain(project->diagnostic.message, SHARD_FILE_NAME);
    }
    free(scratch_write(project->shards, SHARD_FILE_NAME, "this is no database, though it is long enough to be looked at\n"));
    assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_CORRUPT);
    log_capture(project->folder);
    must(project_build(project), &project->diagnostic); /* made again */
    char *log = log_captured(project->folder);
    must_contain(log, "is made again");
    free(log);
    assert_false(project->summary.up_to_date);
    must(read_all(project->shards, &digest, &project->diagnostic), &project->diagnostic);
    free(bytes);
    project_free(&project);
}

static void no_flipped_bit_goes_unseen_or_crashes(void **state)
{
    Project *project = small_project(*state, "flipped");
    size_t size;
    uint64_t original, digest;
    char *bytes = store_bytes(project, &size);
    must(read_all(project->shards, &original, &project->diagnostic), &project->diagnostic);
    int refused = 0;
    PhiloxKey key = philox_key(3, RANDOM_INIT, 0);
    for (uint32_t i = 0; i < 3000; i++) {
        PhiloxBlock random = philox4x32_10(key, i, 0, 0, 0);
        size_t at = random.word[0] % size;
        char flip = (char)(1 << random.word[1] % 8);
        bytes[at] ^= flip;
        free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
        Diagnostic diagnostic = {0};
        Status status = read_all(project->shards, &digest, &diagnostic);
        if (status == STATUS_OK)
            assert_int_equal(digest, original); /* a byte that nobody reads */
        else
            assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
        refused += status != STATUS_OK;
        bytes[at] ^= flip;
    }
    assert_true(refused > 100);
    free(bytes);
    project_free(&project);
}

/* Puts a value (with a right checksum) into the store, as somebody who wants it to be believed would. */
static void forge_at(const Project *project, const char *table_name, KvBytes key, uint32_t place, const void *content, size_t size)
{
    Diagnostic diagnostic = {0};
    KvEnvironment *environment = NULL;
    KvTransaction *transaction = NULL;
    KvTable table;
    Text record = {0};
    char *path = path_join(project->shards, SHARD_FILE_NAME), *lock = memory_format("%s-lock", path);
    bool placed = strcmp(table_name, SHARD_TABLE_WINDOWS) == 0 || strcmp(table_name, SHARD_TABLE_SEQUENCES) == 0;
    shard_record_begin(&record, placed ? SHARD_HEAD_PLACED : SHARD_HEAD_PLAIN);
    shard_record_append(&record, content, size);
    shard_record_finish(&record, placed ? SHARD_HEAD_PLACED : SHARD_HEAD_PLAIN);
    if (placed)
        shard_record_place((unsigned char *)record.bytes, place);
    must(kv_open(&environment, path, (KvOptions){.map_size_bytes = 1 << 26}, &diagnostic), &diagnostic);
    must(kv_begin(&transaction, environment, false, &diagnostic), &diagnostic);
    must(kv_table(transaction, table_name, false, &table, &diagnostic), &diagnostic);
    must(kv_put(transaction, table, key, (KvBytes){record.bytes, record.size}, &diagnostic), &diagnostic);
    must(kv_commit(&transaction, &diagnostic), &diagnostic);
    kv_close(&environment);
    unlink(lock);
    free(path);
    free(lock);
    text_free(&record);
}

static void forge(const Project *project, const char *table_name, KvBytes key, const void *content, size_t size)
{
    forge_at(project, table_name, key, 0, content, size);
}

static void is_corrupt(Project *project, const char *part)
{
    uint64_t digest;
    assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_CORRUPT);
    must_contain(project->diagnostic.message, part);
    must_contain(project->diagnostic.message, SHARD_FILE_NAME);
}

static void metadata_that_lies_or_is_garbage_is_corrupt(void **state)
{
    static const char *const garbage[] = {"not json", "[]", "{}", "{\"format\": \"nersweep shards\", \"version\": 3}      "};
    Project *project = small_project(*state, "metadata");
    size_t size;
    char *bytes = store_bytes(project, &size);
    KvBytes key = {"metadata", 8};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        forge(project, SHARD_TABLE_METADATA, key, garbage[i], strlen(garbage[i]) / 8 * 8);
        is_corrupt(project, "metadata");
    }
    const char *future = "{\"format\": \"nersweep shards\", \"version\": 4}     ";
    uint64_t digest;
    forge(project, SHARD_TABLE_METADATA, key, future, strlen(future) / 8 * 8);
    assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_UNSUPPORTED);
    must_contain(project->diagnostic.message, "format 4");
    free(bytes);
    project_free(&project);
}

/* The metadata record of the store, changed by replacing the last place of one text with another, its identity made right again. */
static void forge_metadata(Project *project, const char *from, const char *to)
{
    Diagnostic diagnostic = {0};
    KvEnvironment *environment = NULL;
    KvTransaction *transaction = NULL;
    KvTable table;
    KvBytes value;
    Json *json = NULL;
    char *path = path_join(project->shards, SHARD_FILE_NAME);
    must(kv_open(&environment, path, (KvOptions){.read_only = true}, &diagnostic), &diagnostic);
    must(kv_begin(&transaction, environment, true, &diagnostic), &diagnostic);
    must(kv_table(transaction, SHARD_TABLE_METADATA, false, &table, &diagnostic), &diagnostic);
    must(kv_get(transaction, table, (KvBytes){"metadata", 8}, &value, &diagnostic), &diagnostic);
    char *text = memory_copy_bytes((const char *)value.bytes + 8, value.size - 8), *at = strstr(text, from);
    assert_non_null(at);
    for (char *next = at; next; next = strstr(next + 1, from))
        at = next; /* the last one: of the splits, not of their inputs */
    char *changed = memory_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    kv_abort(&transaction);
    kv_close(&environment);
    must(json_parse(&json, changed, strlen(changed), "forged", &diagnostic), &diagnostic);
    char identity[SHA256_HEX_SIZE];
    shard_metadata_identity(json, identity);
    json_set(json, "identity", json_string(identity));
    char *forged = json_text(json, JSON_CANONICAL);
    Text padded = {0};
    text_append_string(&padded, forged);
    while (padded.size % 8)
        text_append(&padded, " ", 1);
    forge(project, SHARD_TABLE_METADATA, (KvBytes){"metadata", 8}, padded.bytes, padded.size);
    text_free(&padded);
    json_destroy(&json);
    free(forged);
    free(changed);
    free(text);
    free(path);
}

static void counts_that_lie_are_corrupt(void **state)
{
    static const char *const lies[][3] = {
        {"\"windows\":2", "\"windows\":3", "fewer records"},
        {"\"windows\":2", "\"windows\":4611686018427387000", "fewer records"},
        {"\"windows\":2", "\"windows\":1", "more records"},
        {"\"sequences\":2", "\"sequences\":1", "more records"},
        {"\"sequences\":2", "\"sequences\":-1", "sequences"},
        {"\"max_seq_length\":512", "\"max_seq_length\":8", "out of range"},
        {"\"labels\":[\"B-LOC\",", "\"labels\":[", "all_labels"},
        {"\"vocab_size\":193", "\"vocab_size\":4", "out of range"},
        {"\"scheme\":\"IOB2\"", "\"scheme\":\"IOBX\"", "scheme"},
    };
    Project *project = small_project(*state, "lies");
    size_t size;
    char *bytes = store_bytes(project, &size);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
        forge_metadata(project, lies[i][0], lies[i][1]);
        is_corrupt(project, lies[i][2]);
    }
    free(bytes);
    project_free(&project);
}

static void records_with_right_checksums_and_wrong_contents_are_corrupt(void **state)
{
    Project *project = small_project(*state, "records");
    size_t size;
    char *bytes = store_bytes(project, &size);
    unsigned char key[SHARD_KEY_SIZE];
    shard_key(key, 0, 0);
    KvBytes first = {key, sizeof key};
    ShardWindowHeader window = {
        .length = INT32_MAX, .owned_first = 1, .owned_end = 2, .weight = 1, .id_width = 4, .label_width = 4, .token_width = 4};
    forge(project, SHARD_TABLE_WINDOWS, first, &window, sizeof window);
    is_corrupt(project, "another size");
    window.length = -5;
    forge(project, SHARD_TABLE_WINDOWS, first, &window, sizeof window);
    is_corrupt(project, "another size");
    forge(project, SHARD_TABLE_WINDOWS, first, &window, 8);
    is_corrupt(project, "another size");
    enum { LENGTH = 14 }; /* of the store's first window */
    struct {
        ShardWindowHeader header;
        uint8_t ids[LENGTH], labels[LENGTH], token_index[LENGTH];
    } small = {
        .header = {
            .length = LENGTH, .owned_first = 1, .owned_end = 3, .weight = 1, .id_width = 1, .label_width = 1, .token_width = 1}};
    for (int32_t width = 0; width < 9; width++) { /* as long as it says, but numbers have 1, 2 or 4 bytes */
        unsigned char odd[sizeof small.header + 10 * LENGTH] = {0};
        if (width == 1 || width == 2 || width == 4)
            continue;
        small.header.token_width = (uint8_t)width;
        memcpy(odd, &small.header, sizeof small.header);
        forge(project, SHARD_TABLE_WINDOWS, first, odd, sizeof small.header + LENGTH * (size_t)(2 + width));
        is_corrupt(project, "another size");
    }
    small.header.token_width = 1;
    uint64_t digest;
    forge(project, SHARD_TABLE_WINDOWS, first, &small, sizeof small); /* nothing is wrong with it but what follows */
    must(read_all(project->shards, &digest, &project->diagnostic), &project->diagnostic);
    memset(small.ids, 255, sizeof small.ids);
    forge(project, SHARD_TABLE_WINDOWS, first, &small, sizeof small);
    is_corrupt(project, "out of range");
    memset(small.ids, 0, sizeof small.ids);
    small.labels[1] = 200;
    forge(project, SHARD_TABLE_WINDOWS, first, &small, sizeof small);
    is_corrupt(project, "out of range");
    small.labels[1] = 0;
    small.header.first_token = INT32_MIN;
    small.token_index[1] = 1;
    forge(project, SHARD_TABLE_WINDOWS, first, &small, sizeof small);
    is_corrupt(project, "out of range");
    small.header.first_token = INT32_MAX;
    forge(project, SHARD_TABLE_WINDOWS, first, &small, sizeof small);
    is_corrupt(project, "out of range");
    free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
    ShardSequenceHeader sequence = {.token_count = INT32_MAX, .text_size = UINT32_MAX};
    forge(project, SHARD_TABLE_SEQUENCES, first, &sequence, sizeof sequence);
    is_corrupt(project, "number of tokens");
    struct {
        ShardSequenceHeader header;
        uint8_t gold, offsets[2];
        char text[4];
    } one = {.header = {.window_count = 1, .token_count = 1, .text_size = 4, .gold_width = 1, .offset_width = 1},
             .gold = 100,
             .offsets = {0, 4},
             .text = "text"};
    forge(project, SHARD_TABLE_SEQUENCES, first, &one, sizeof one);
    is_corrupt(project, "labels, offsets or windows");
    one.gold = 0;
    one.offsets[1] = 200;
    forge(project, SHARD_TABLE_SEQUENCES, first, &one, sizeof one);
    is_corrupt(project, "labels, offsets or windows");
    one.offsets[1] = 4;
    forge_at(project, SHARD_TABLE_SEQUENCES, first, UINT32_MAX, &one, sizeof one);
    is_corrupt(project, "labels, offsets or windows");
    free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
    ShardWindowInfo infos[2] = {{.length = 4, .label_count = 3, .weight = 1}, {.length = 4, .label_count = 2, .weight = 1}};
    forge(project, SHARD_TABLE_INFOS, first, infos, sizeof infos);
    is_corrupt(project, "out of range");
    forge(project, SHARD_TABLE_INFOS, first, infos + 1, sizeof *infos);
    is_corrupt(project, "another length");
    free(bytes);
    project_free(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncated_store_is_corrupt),
        cmocka_unit_test(no_flipped_bit_goes_unseen_or_crashes),
        cmocka_unit_test(metadata_that_lies_or_is_garbage_is_corrupt),
        cmocka_unit_test(counts_that_lie_are_corrupt),
        cmocka_unit_test(records_with_right_checksums_and_wrong_contents_are_corrupt),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
