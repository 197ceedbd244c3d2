#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/store/store.h"
#include "tests/core/base/support.h"
#include "tests/core/io/faulty_file_system.h"

static Diagnostic diagnostic;

/* A store in a folder of its own, with room beside it. */
typedef struct Place {
    char *folder;
    Store *store;
} Place;

static int make_place(void **state)
{
    Place *place = calloc(1, sizeof *place);
    place->folder = scratch_make();
    assert_ok(store_open(&place->store, scratch_path(place->folder, "store"), file_system_posix(), &diagnostic), &diagnostic);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    Place *place = *state;
    store_close(&place->store);
    scratch_remove(&place->folder);
    free(place);
    return 0;
}

static void assert_content(const char *path, const char *wanted)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    assert_string_equal(bytes, wanted);
    free(bytes);
}

static bool object_there(const Store *store, const char *hex)
{
    char *path = store_object_path(store, hex);
    bool there = path_exists(path);
    free(path);
    return there;
}

/* How many regular files lie in the tree below folder whose names hold part. */
static size_t count_files(const char *folder, const char *part)
{
    StringArray names;
    size_t count = 0;
    assert_ok(folder_list(folder, &names, &diagnostic), &diagnostic);
    for (size_t i = 0; i < names.count; i++) {
        char *path = path_join(folder, names.items[i]);
        count += path_is_folder(path) ? count_files(path, part) : strstr(names.items[i], part) != NULL;
        free(path);
    }
    string_array_free(&names);
    return count;
}

static StoreFile put(Store *store, const char *name, const char *content)
{
    StoreFile file = {.size = strlen(content)};
    snprintf(file.name, sizeof file.name, "%s", name);
    assert_ok(store_put_bytes(store, content, strlen(content), file.sha256, &diagnostic), &diagnostic);
    return file;
}

/* Stores a manifest of two files, weights and config, with the given contents. */
static Status put_manifest(Store *store, const char *name, const char *weights, const char *config)
{
    StoreManifest manifest = {0};
    StoreFile file = put(store, "model.safetensors", weights);
    array_push(&manifest.files, file);
    file = put(store, "config.json", config);
    array_push(&manifest.files, file);
    manifest.notes = json_object();
    json_set(manifest.notes, "step", json_integer(212));
    Status status = store_manifest_put(store, name, &manifest, &diagnostic);
    store_manifest_free(&manifest);
    return status;
}

static void the_same_bytes_are_stored_once(void **state)
{
    Place *place = *state;
    char hex[SHA256_HEX_SIZE], again[SHA256_HEX_SIZE];
    FaultyFileSystem faulty;
    faulty_begin(&faulty);
    Store *store;
    assert_ok(store_open(&store, scratch_path(place->folder, "store"), &faulty.table, &diagnostic), &diagnostic);
    assert_ok(store_put_bytes(store, "abc", 3, hex, &diagnostic), &diagnostic);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(faulty.writes, 1);
    assert_ok(store_put_bytes(store, "abc", 3, again, &diagnostic), &diagnostic);
    assert_string_equal(again, hex);
    assert_int_equal(faulty.writes, 1);
    assert_content(scratch_path(place->folder, "store/objects/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                   "abc");
    assert_ok(store_put_bytes(store, "", 0, hex, &diagnostic), &diagnostic);
    assert_true(object_there(store, hex));
    store_close(&store);
    assert_null(store);
    store_close(&store);
}

static void an_object_of_the_wrong_size_is_written_anew(void **state)
{
    Place *place = *state;
    StoreFile file = put(place->store, "x", "the right bytes");
    char *path = store_object_path(place->store, file.sha256);
    assert_int_equal(truncate(path, 3), 0);
    put(place->store, "x", "the right bytes");
    assert_content(path, "the right bytes");
    free(path);
}

static void files_are_stored_as_their_bytes_would_be(void **state)
{
    Place *place = *state;
    enum { SIZE = 2 * 1024 * 1024 + 5 };
    char *bytes = malloc(SIZE), hex[SHA256_HEX_SIZE], wanted[SHA256_HEX_SIZE];
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i % 253);
    const char *path = scratch_path(place->folder, "file");
    scratch_write(path, bytes, SIZE);
    uint64_t size;
    for (int i = 0; i < 2; i++) {
        assert_ok(store_put_file(place->store, path, hex, &size, &diagnostic), &diagnostic);
        sha256_hex(bytes, SIZE, wanted);
        assert_string_equal(hex, wanted);
        assert_int_equal(size, SIZE);
    }
    char *object = store_object_path(place->store, hex);
    assert_ok(sha256_file_hex(object, hex, &diagnostic), &diagnostic);
    assert_string_equal(hex, wanted);
    free(object);
    free(bytes);
    assert_status(store_put_file(place->store, scratch_path(place->folder, "none"), hex, &size, &diagnostic), STATUS_NOT_FOUND,
                  &diagnostic);
    assert_status(store_put_file(place->store, place->folder, hex, &size, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_int_equal(count_files(store_path(place->store), ".tmp-"), 0);
}

static void a_manifest_comes_back_as_it_was_put(void **state)
{
    Place *place = *state;
    assert_ok(put_manifest(place->store, "trial-0003.1/step-00000212", "weights", "{}"), &diagnostic);
    StoreManifest manifest;
    assert_ok(store_manifest_get(place->store, "trial-0003.1/step-00000212", &manifest, &diagnostic), &diagnostic);
    assert_int_equal(manifest.files.count, 2);
    assert_string_equal(manifest.files.items[0].name, "model.safetensors");
    assert_int_equal(manifest.files.items[0].size, 7);
    char hex[SHA256_HEX_SIZE];
    sha256_hex("{}", 2, hex);
    assert_string_equal(manifest.files.items[1].sha256, hex);
    assert_int_equal(json_integer_value(json_get(manifest.notes, "step"), 0), 212);
    store_manifest_free(&manifest);
    assert_ok(put_manifest(place->store, "trial-0003.1/step-00000212", "other weights", "{}"), &diagnostic); /* replaces */
    assert_ok(store_manifest_get(place->store, "trial-0003.1/step-00000212", &manifest, &diagnostic), &diagnostic);
    assert_int_equal(manifest.files.items[0].size, 13);
    store_manifest_free(&manifest);
    assert_status(store_manifest_get(place->store, "none", &manifest, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    assert_int_equal(manifest.files.count, 0);
    manifest = (StoreManifest){0}; /* neither files nor notes */
    assert_ok(store_manifest_put(place->store, "empty", &manifest, &diagnostic), &diagnostic);
    assert_ok(store_manifest_get(place->store, "empty", &manifest, &diagnostic), &diagnostic);
    assert_int_equal(manifest.files.count, 0);
    assert_true(json_is_object(manifest.notes));
    store_manifest_free(&manifest);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    Place *place = *state;
    static const char *const names[] = {"",         ".",       "..",   "../x",     "a/../b", "/a",
                                        "a/",       "a//b",    "a b",  ".hidden",  "a/.b",   "a.json",
                                        "a.json/b", "x.tmp-1", "a\nb", "\xC3\xA4", "a\\b",   "1/2/3/4/5/6/7/8/9"};
    StoreManifest manifest = {0};
    StringArray listed;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_status(store_manifest_put(place->store, names[i], &manifest, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
        assert_status(store_manifest_get(place->store, names[i], &manifest, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
        assert_status(store_manifest_delete(place->store, names[i], &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
        if (names[i][0])
            assert_status(store_manifest_list(place->store, names[i], &listed, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    }
    char large[400];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_status(store_manifest_put(place->store, large, &manifest, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_ok(store_manifest_put(place->store, "A-z_0.9=/1", &manifest, &diagnostic), &diagnostic);
}

static void a_manifest_must_not_name_what_is_not_there(void **state)
{
    Place *place = *state;
    StoreManifest manifest = {0};
    StoreFile file = put(place->store, "weights", "bytes");
    file.size++;
    array_push(&manifest.files, file);
    assert_status(store_manifest_put(place->store, "m", &manifest, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "weights"));
    manifest.files.items[0].size--;
    assert_ok(store_manifest_put(place->store, "m", &manifest, &diagnostic), &diagnostic);
    manifest.files.items[0].sha256[0] = manifest.files.items[0].sha256[0] == '0' ? '1' : '0';
    assert_status(store_manifest_put(place->store, "m", &manifest, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    manifest.files.items[0].sha256[0] = 'G';
    assert_status(store_manifest_put(place->store, "m", &manifest, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    store_manifest_free(&manifest);
}

static void file_names_stay_in_their_folder(void **state)
{
    Place *place = *state;
    static const char *const names[] = {"", ".", "..", "a/b", "/a", "a\nb", "\x7F"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        StoreManifest manifest = {0};
        StoreFile file = put(place->store, names[i], "x");
        array_push(&manifest.files, file);
        assert_status(store_manifest_put(place->store, "m", &manifest, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
        store_manifest_free(&manifest);
    }
    StoreManifest twice = {0};
    StoreFile file = put(place->store, "same", "x");
    array_push(&twice.files, file);
    array_push(&twice.files, file);
    assert_status(store_manifest_put(place->store, "m", &twice, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "same is there twice"));
    store_manifest_free(&twice);
    twice.notes = json_array();
    assert_status(store_manifest_put(place->store, "m", &twice, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    store_manifest_free(&twice);
}

#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void a_hostile_manifest_is_corrupt(void **state)
{
    Place *place = *state;
    static const char *const texts[] = {
        "",
        "[]",
        "{\"version\":2,\"files\":[],\"notes\":{}}",
        "{\"version\":1}",
        "{\"version\":1,\"files\":{}}",
        "{\"version\":1,\"files\":[],\"notes\":3}",
        "{\"version\":1,\"files\":[3]}",
        "{\"version\":1,\"files\":[{\"name\":\"../../x\",\"sha256\":\"" HASH "\",\"size\":3}]}",
        "{\"version\":1,\"files\":[{\"name\":\"a/b\",\"sha256\":\"" HASH "\",\"size\":3}]}",
        "{\"version\":1,\"files\":[{\"name\":\"x\",\"sha256\":\"../../../../x\",\"size\":3}]}",
        "{\"version\":1,\"files\":[{\"name\":\"x\",\"sha256\":\"" HASH "0\",\"size\":3}]}",
        "{\"version\":1,\"files\":[{\"name\":\"x\",\"sha256\":\"" HASH "\",\"size\":-1}]}",
        "{\"version\":1,\"files\":[{\"name\":\"x\",\"sha256\":\"" HASH "\",\"size\":1.5}]}",
        "{\"version\":1,\"files\":[{\"name\":\"x\",\"sha256\":\"" HASH "\",\"size\":3},{\"name\":\"x\",\"sha256\":\"" HASH
        "\",\"size\":3}]}",
        "{\"version\":1,\"files\":[],\"notes\":{}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        scratch_write(scratch_path(place->folder, "store/manifests/m.json"), texts[i], strlen(texts[i]));
        StoreManifest manifest;
        assert_status(store_manifest_get(place->store, "m", &manifest, &diagnostic), STATUS_CORRUPT, &diagnostic);
        assert_int_equal(diagnostic.code, STATUS_CORRUPT);
        assert_int_equal(manifest.files.count, 0);
        assert_status(store_manifest_extract(place->store, "m", scratch_path(place->folder, "out"), &diagnostic), STATUS_CORRUPT,
                      &diagnostic);
        assert_false(path_exists(scratch_path(place->folder, "out")));
    }
}

static void manifests_are_listed_by_folder(void **state)
{
    Place *place = *state;
    StoreManifest empty = {0};
    static const char *const names[] = {"b/2", "b/10", "a", "b/c/d", "bb"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_ok(store_manifest_put(place->store, names[i], &empty, &diagnostic), &diagnostic);
    scratch_write(scratch_path(place->folder, "store/manifests/a.json.tmp-1-1"), "x", 1);
    scratch_write(scratch_path(place->folder, "store/manifests/readme"), "x", 1);
    StringArray listed;
    assert_ok(store_manifest_list(place->store, "", &listed, &diagnostic), &diagnostic);
    static const char *const all[] = {"a", "b/10", "b/2", "b/c/d", "bb"};
    assert_int_equal(listed.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(listed.items[i], all[i]);
    string_array_free(&listed);
    assert_ok(store_manifest_list(place->store, "b", &listed, &diagnostic), &diagnostic);
    assert_int_equal(listed.count, 3);
    assert_string_equal(listed.items[2], "b/c/d");
    string_array_free(&listed);
    assert_ok(store_manifest_list(place->store, "none", &listed, &diagnostic), &diagnostic);
    assert_int_equal(listed.count, 0);
    string_array_free(&listed);
    assert_ok(store_manifest_delete(place->store, "b/2", &diagnostic), &diagnostic);
    assert_ok(store_manifest_delete(place->store, "b/2", &diagnostic), &diagnostic);
    assert_ok(store_manifest_delete(place->store, "a/none", &diagnostic), &diagnostic);
    assert_ok(store_manifest_list(place->store, "b", &listed, &diagnostic), &diagnostic);
    assert_int_equal(listed.count, 2);
    string_array_free(&listed);
}

static void extracting_gives_a_whole_verified_folder(void **state)
{
    Place *place = *state;
    assert_ok(put_manifest(place->store, "m", "weights", "{}"), &diagnostic);
    const char *out = scratch_path(place->folder, "new/out/");
    assert_ok(store_manifest_extract(place->store, "m", out, &diagnostic), &diagnostic);
    assert_content(scratch_path(place->folder, "new/out/model.safetensors"), "weights");
    assert_content(scratch_path(place->folder, "new/out/config.json"), "{}");
    assert_int_equal(scratch_count(out, ""), 4); /* with "." and ".." */
    assert_status(store_manifest_extract(place->store, "m", out, &diagnostic), STATUS_EXISTS, &diagnostic);
    assert_status(store_manifest_extract(place->store, "none", scratch_path(place->folder, "x"), &diagnostic), STATUS_NOT_FOUND,
                  &diagnostic);
    assert_int_equal(count_files(place->folder, ".tmp-"), 0);
    assert_int_equal(scratch_count(scratch_path(place->folder, "new"), ".tmp-"), 0);
}

static void a_file_whose_bytes_changed_is_named_and_nothing_is_left(void **state)
{
    Place *place = *state;
    assert_ok(put_manifest(place->store, "m", "weights", "{}"), &diagnostic);
    char hex[SHA256_HEX_SIZE];
    sha256_hex("{}", 2, hex);
    char *object = store_object_path(place->store, hex);
    static const char *const changed[] = {"{ ", "{", "{} ", ""};
    for (size_t i = 0; i <= sizeof changed / sizeof *changed; i++) {
        if (i < sizeof changed / sizeof *changed)
            scratch_write(object, changed[i], strlen(changed[i]));
        else
            unlink(object);
        assert_status(store_manifest_extract(place->store, "m", scratch_path(place->folder, "out"), &diagnostic), STATUS_CORRUPT,
                      &diagnostic);
        assert_non_null(strstr(diagnostic.message, "config.json"));
        assert_int_equal(scratch_count(place->folder, "out"), 0);
    }
    free(object);
}

/* Puts an object and a manifest, on a file system whose nth call fails. */
static Status put_on(FaultyFileSystem *faulty, const char *path, const char *content)
{
    Status status = STATUS_OK;
    Store *store = NULL;
    StoreManifest manifest = {0};
    StoreFile file = {.name = "weights", .size = strlen(content)};
    TRY(store_open(&store, path, &faulty->table, &diagnostic));
    TRY(store_put_bytes(store, content, strlen(content), file.sha256, &diagnostic));
    array_push(&manifest.files, file);
    TRY(store_manifest_put(store, "a/m", &manifest, &diagnostic));
out:
    store_manifest_free(&manifest);
    store_close(&store);
    return status;
}

static void whatever_call_fails_a_manifest_is_whole_and_all_it_names_is_there(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++) { /* once; for ever; once, and the disk is full */
        long call = 1;
        for (bool failed = true; failed; call++) {
            char *folder = scratch_make();
            const char *path = scratch_path(folder, "store"), *out = scratch_path(folder, "out");
            FaultyFileSystem faulty;
            faulty_begin(&faulty);
            bool replaces = call % 2;
            if (replaces)
                assert_ok(put_on(&faulty, path, "old"), &diagnostic);
            faulty_begin(&faulty);
            faulty.fail_at = call / 2 + 1;
            faulty.dead = mode == 1;
            faulty.error_number = mode == 2 ? ENOSPC : EIO;
            faulty.largest_write = 3;
            Status status = put_on(&faulty, path, "new weights");
            failed = faulty.failed || call < 3;
            if (status != STATUS_OK) {
                assert_int_equal(status, mode == 2 ? STATUS_NO_SPACE : STATUS_IO);
                assert_non_null(strstr(diagnostic.message, folder));
            }
            if (!faulty.dead && path_is_folder(path))
                assert_int_equal(count_files(path, ".tmp-"), 0);
            Store *store;
            assert_ok(store_open(&store, path, file_system_posix(), &diagnostic), &diagnostic);
            Status extracted = store_manifest_extract(store, "a/m", out, &diagnostic);
            if (extracted == STATUS_OK) {
                size_t size;
                char *bytes = scratch_read(scratch_path(out, "weights"), &size);
                bool is_new = strcmp(bytes, "new weights") == 0, is_old = strcmp(bytes, "old") == 0;
                assert_true(is_new || (is_old && replaces && status != STATUS_OK));
                free(bytes);
            } else {
                assert_status(extracted, STATUS_NOT_FOUND, &diagnostic);
                assert_true(!replaces && status != STATUS_OK);
            }
            size_t deleted; /* left-overs go with the next collection */
            assert_ok(store_collect(store, 0, &deleted, &diagnostic), &diagnostic);
            assert_int_equal(count_files(path, ".tmp-"), 0);
            store_close(&store);
            scratch_remove(&folder);
        }
        assert_true(call > 20);
    }
}

static void whatever_call_fails_a_folder_is_extracted_whole_or_not_at_all(void **state)
{
    Place *place = *state;
    assert_ok(put_manifest(place->store, "m", "weights", "{}"), &diagnostic);
    long call = 1;
    for (bool failed = true; failed; call++) {
        FaultyFileSystem faulty;
        faulty_begin(&faulty);
        Store *store;
        assert_ok(store_open(&store, scratch_path(place->folder, "store"), &faulty.table, &diagnostic), &diagnostic);
        faulty.fail_at = faulty.calls + call;
        faulty.error_number = ENOSPC;
        const char *out = scratch_path(place->folder, "out");
        Status status = store_manifest_extract(store, "m", out, &diagnostic);
        failed = faulty.failed;
        if (status != STATUS_OK)
            assert_int_equal(status, STATUS_NO_SPACE);
        if (path_exists(out)) {
            assert_content(scratch_path(out, "model.safetensors"), "weights");
            assert_content(scratch_path(out, "config.json"), "{}");
        } else {
            assert_int_not_equal(status, STATUS_OK);
        }
        assert_int_equal(scratch_count(place->folder, ".tmp-"), 0);
        assert_ok(folder_remove_tree(out, &diagnostic), &diagnostic);
        store_close(&store);
    }
    assert_true(call > 15);
}

static void set_age(const char *path, int64_t seconds)
{
    struct timespec then = {.tv_sec = time(NULL) - (time_t)seconds};
    const struct timespec times[2] = {then, then};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void set_object_age(const Store *store, const char *hex, int64_t seconds)
{
    char *path = store_object_path(store, hex);
    set_age(path, seconds);
    free(path);
}

static void collection_deletes_what_is_old_and_unnamed(void **state)
{
    Place *place = *state;
    assert_ok(put_manifest(place->store, "deep/er/m", "named weights", "{}"), &diagnostic);
    assert_ok(put_manifest(place->store, "dropped", "dropped weights", "{}"), &diagnostic);
    char named[SHA256_HEX_SIZE], dropped[SHA256_HEX_SIZE], shared[SHA256_HEX_SIZE];
    sha256_hex("named weights", 13, named);
    sha256_hex("dropped weights", 15, dropped);
    sha256_hex("{}", 2, shared);
    StoreFile young = put(place->store, "x", "young"), old = put(place->store, "x", "old");
    assert_ok(store_manifest_delete(place->store, "dropped", &diagnostic), &diagnostic);
    set_object_age(place->store, named, 5000);
    set_object_age(place->store, dropped, 5000);
    set_object_age(place->store, shared, 5000);
    set_object_age(place->store, old.sha256, 5000);
    set_object_age(place->store, young.sha256, 1000);
    static const char *const left_over[] = {"store/objects/object.tmp-1-1", "store/objects/ba/x.tmp-1-2",
                                            "store/manifests/m.json.tmp-1-3", "store/manifests/deep/er/m.json.tmp-1-4"};
    assert_ok(folder_create(file_system_posix(), scratch_path(place->folder, "store/objects/ba"), &diagnostic), &diagnostic);
    for (size_t i = 0; i < 4; i++) {
        scratch_write(scratch_path(place->folder, left_over[i]), "x", 1);
        set_age(scratch_path(place->folder, left_over[i]), 5000);
    }
    scratch_write(scratch_path(place->folder, "store/objects/object.tmp-2-1"), "x", 1); /* of a running writer */
    scratch_write(scratch_path(place->folder, "store/objects/ba/notes.txt"), "x", 1);   /* not ours */
    set_age(scratch_path(place->folder, "store/objects/ba/notes.txt"), 5000);

    size_t deleted;
    assert_status(store_collect(place->store, -1, &deleted, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_ok(store_collect(place->store, 3600, &deleted, &diagnostic), &diagnostic);
    assert_int_equal(deleted, 2 + 4);
    assert_true(object_there(place->store, named));
    assert_true(object_there(place->store, shared));
    assert_true(object_there(place->store, young.sha256));
    assert_false(object_there(place->store, dropped));
    assert_false(object_there(place->store, old.sha256));
    assert_true(path_exists(scratch_path(place->folder, "store/objects/object.tmp-2-1")));
    assert_true(path_exists(scratch_path(place->folder, "store/objects/ba/notes.txt")));
    assert_ok(store_manifest_extract(place->store, "deep/er/m", scratch_path(place->folder, "out"), &diagnostic), &diagnostic);
}

static void an_object_put_again_is_young_again(void **state)
{
    Place *place = *state;
    StoreFile file = put(place->store, "x", "again");
    set_object_age(place->store, file.sha256, 5000);
    put(place->store, "x", "again");
    size_t deleted;
    assert_ok(store_collect(place->store, 3600, &deleted, &diagnostic), &diagnostic);
    assert_int_equal(deleted, 0);
    assert_true(object_there(place->store, file.sha256));
}

static void nothing_is_collected_while_a_manifest_cannot_be_read(void **state)
{
    Place *place = *state;
    StoreFile file = put(place->store, "x", "perhaps named");
    set_object_age(place->store, file.sha256, 5000);
    scratch_write(scratch_path(place->folder, "store/manifests/m.json"), "{", 1);
    size_t deleted;
    assert_status(store_collect(place->store, 3600, &deleted, &diagnostic), STATUS_CORRUPT, &diagnostic);
    assert_int_equal(deleted, 0);
    assert_true(object_there(place->store, file.sha256));
    unlink(scratch_path(place->folder, "store/manifests/m.json"));
    assert_int_equal(symlink("loop", scratch_path(place->folder, "store/manifests/loop")), 0); /* perhaps a folder of manifests */
    assert_int_not_equal(store_collect(place->store, 3600, &deleted, &diagnostic), STATUS_OK);
    assert_true(object_there(place->store, file.sha256));
}

/* The child: puts a manifest over an older one. */
static int put_in_child(const char *path)
{
    Store *store;
    if (store_open(&store, path, file_system_posix(), &diagnostic) != STATUS_OK)
        return 10;
    Status status = put_manifest(store, "m", "new weights", "{}");
    store_close(&store);
    return status == STATUS_OK ? 0 : 3;
}

static void a_torn_checkpoint_is_never_listed(void **state)
{
    Place *place = *state;
    static const struct {
        const char *fault, *holds;
    } cases[] = {
        {"file.temporary_written:1", "old weights"}, {"file.after_rename:1", "old weights"},
        {"store.objects_written", "old weights"},    {"file.before_rename:3", "old weights"},
        {"store.manifest_written", "new weights"},   {"store.objects_written:1:fail", "old weights"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = scratch_make();
        const char *path = scratch_path(folder, "store"), *log = scratch_path(place->folder, "log");
        Store *store;
        assert_ok(store_open(&store, path, file_system_posix(), &diagnostic), &diagnostic);
        assert_ok(put_manifest(store, "m", "old weights", "{ }"), &diagnostic);
        unlink(log);
        const char *arguments[] = {"put", path, NULL};
        assert_int_equal(child_run(arguments, cases[i].fault, log), strstr(cases[i].fault, "fail") ? 3 : 1000 + SIGKILL);
        assert_true(path_exists(log));
        assert_ok(store_manifest_extract(store, "m", scratch_path(folder, "out"), &diagnostic), &diagnostic);
        assert_content(scratch_path(folder, "out/model.safetensors"), cases[i].holds);
        StringArray names;
        assert_ok(store_manifest_list(store, "", &names, &diagnostic), &diagnostic);
        assert_int_equal(names.count, 1);
        string_array_free(&names);
        store_close(&store);
        scratch_remove(&folder);
    }
}

static void a_store_that_cannot_be_made_says_why(void **state)
{
    Place *place = *state;
    scratch_write(scratch_path(place->folder, "file"), "x", 1);
    Store *store;
    assert_status(store_open(&store, scratch_path(place->folder, "file"), file_system_posix(), &diagnostic), STATUS_EXISTS,
                  &diagnostic);
    assert_null(store);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "put") == 0)
        return put_in_child(arguments[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        TEST(the_same_bytes_are_stored_once),
        TEST(an_object_of_the_wrong_size_is_written_anew),
        TEST(files_are_stored_as_their_bytes_would_be),
        TEST(a_manifest_comes_back_as_it_was_put),
        TEST(names_that_lead_elsewhere_are_refused),
        TEST(a_manifest_must_not_name_what_is_not_there),
        TEST(file_names_stay_in_their_folder),
        TEST(a_hostile_manifest_is_corrupt),
        TEST(manifests_are_listed_by_folder),
        TEST(extracting_gives_a_whole_verified_folder),
        TEST(a_file_whose_bytes_changed_is_named_and_nothing_is_left),
        TEST(whatever_call_fails_a_manifest_is_whole_and_all_it_names_is_there),
        TEST(whatever_call_fails_a_folder_is_extracted_whole_or_not_at_all),
        TEST(collection_deletes_what_is_old_and_unnamed),
        TEST(an_object_put_again_is_young_again),
        TEST(nothing_is_collected_while_a_manifest_cannot_be_read),
        TEST(a_torn_checkpoint_is_never_listed),
        TEST(a_store_that_cannot_be_made_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
