/* Reading zip archives: what torch and Python's zipfile wrote (tests/golden/make_torch_bins.py), whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "core/io/zip.h"
#include "tests/core/base/support.h"

#define GOLDEN(name) NERSWEEP_SOURCE_DIR "/tests/golden/torch/" name

static void entries_are_found_and_read(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    ZipArchive *archive = NULL;
    uint8_t *bytes;
    size_t index, size;
    assert_int_equal(zip_archive_open(&archive, GOLDEN("small-zip.bin"), &diagnostic), STATUS_OK);
    assert_true(zip_archive_count(archive) >= 4);
    assert_true(zip_archive_find(archive, "small-zip/version", &index));
    assert_string_equal(zip_archive_name(archive, index), "small-zip/version");
    assert_int_equal(zip_archive_read(archive, index, 16, &bytes, &size, &diagnostic), STATUS_OK);
    assert_int_equal(size, 2);
    assert_string_equal((const char *)bytes, "3\n");
    free(bytes);
    assert_false(zip_archive_find(archive, "small-zip/Version", &index));
    zip_archive_close(&archive);
    assert_null(archive);
}

static void an_entry_over_the_limit_is_refused(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    ZipArchive *archive = NULL;
    uint8_t *bytes;
    size_t index, size;
    assert_int_equal(zip_archive_open(&archive, GOLDEN("small-zip.bin"), &diagnostic), STATUS_OK);
    assert_true(zip_archive_find(archive, "small-zip/data/0", &index));
    assert_int_equal(zip_archive_read(archive, index, 15, &bytes, &size, &diagnostic), STATUS_LIMIT);
    assert_null(bytes);
    assert_int_equal(zip_archive_read(archive, index, 16, &bytes, &size, &diagnostic), STATUS_OK);
    free(bytes);
    zip_archive_close(&archive);
}

static void a_compressed_entry_is_refused_by_name(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    ZipArchive *archive = NULL;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(zip_archive_open(&archive, GOLDEN("hostile-compressed.bin"), &diagnostic), STATUS_OK);
    assert_int_equal(zip_archive_read(archive, 0, 1 << 20, &bytes, &size, &diagnostic), STATUS_UNSUPPORTED);
    assert_non_null(strstr(diagnostic.message, "\"small-zip/data.pkl\" is compressed"));
    zip_archive_close(&archive);
}

/* Flips one byte of an entry's content: the archive opens, the entry does not pass its CRC. */
static void a_damaged_entry_is_found(void **state)
{
    (void)state;
    static const char damaged[] = NERSWEEP_BINARY_DIR "/tests/zip-damaged.bin";
    char bytes[8192];
    FILE *file = fopen(GOLDEN("small-zip.bin"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file), index, entry_size;
    fclose(file);
    char *version = memmem(bytes, size, "3\n", 2);
    assert_non_null(version);
    version[0] = '4';
    file = fopen(damaged, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    Diagnostic diagnostic = {0};
    ZipArchive *archive = NULL;
    uint8_t *entry;
    assert_int_equal(zip_archive_open(&archive, damaged, &diagnostic), STATUS_OK);
    assert_true(zip_archive_find(archive, "small-zip/version", &index));
    assert_int_equal(zip_archive_read(archive, index, 16, &entry, &entry_size, &diagnostic), STATUS_CORRUPT);
    assert_null(entry);
    zip_archive_close(&archive);
    remove(damaged);
}

static void what_is_no_archive_is_refused(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    ZipArchive *archive = NULL;
    assert_int_equal(zip_archive_open(&archive, GOLDEN("small-legacy.bin"), &diagnostic), STATUS_CORRUPT);
    assert_int_equal(zip_archive_open(&archive, GOLDEN("nowhere.bin"), &diagnostic), STATUS_NOT_FOUND);
    assert_int_equal(zip_archive_open(&archive, NERSWEEP_SOURCE_DIR, &diagnostic), STATUS_INVALID_INPUT);
    assert_null(archive);
}

/* -- archives by hand */

typedef struct HandMade {
    const char *name, *content;
    uint16_t flags, method;
    uint32_t claimed; /* content bytes that both headers claim; 0: as many as there are */
} HandMade;

static void put(Text *text, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++, value >>= 8)
        text_append(text, (const char[]){(char)value}, 1);
}

static uint32_t crc_of(const char *content)
{
    uint32_t crc = UINT32_MAX;
    for (; *content; content++) {
        crc ^= (unsigned char)*content;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void put_about(Text *text, const HandMade *entry)
{
    uint32_t size = entry->claimed ? entry->claimed : (uint32_t)strlen(entry->content);
    put(text, 20, 2);
    put(text, entry->flags, 2);
    put(text, entry->method, 2);
    put(text, 0x00210000, 4); /* the first of January 1980 */
    put(text, crc_of(entry->content), 4);
    put(text, size, 4);
    put(text, size, 4);
    put(text, (uint32_t)strlen(entry->name), 2);
    put(text, 0, 2);
}

/* entries ends with one without name. overlap: all of them stand at the first one's place. */
static Status open_made(const HandMade *entries, bool overlap, ZipArchive **archive, Diagnostic *diagnostic)
{
    static const char path[] = NERSWEEP_BINARY_DIR "/tests/zip-made.zip";
    Text text = {0}, directory = {0};
    uint32_t count = 0;
    for (; entries[count].name; count++) {
        uint32_t place = overlap && count > 0 ? 0 : (uint32_t)text.size;
        put(&directory, 0x02014b50, 4);
        put(&directory, 20, 2);
        put_about(&directory, &entries[count]);
        put(&directory, 0, 2);
        put(&directory, 0, 4);
        put(&directory, 0, 4);
        put(&directory, place, 4);
        text_append_string(&directory, entries[count].name);
        if (overlap && count > 0)
            continue;
        put(&text, 0x04034b50, 4);
        put_about(&text, &entries[count]);
        text_append_string(&text, entries[count].name);
        text_append_string(&text, entries[count].content);
    }
    uint32_t place = (uint32_t)text.size;
    text_append(&text, directory.bytes, directory.size);
    put(&text, 0x06054b50, 4);
    put(&text, 0, 4);
    put(&text, count, 2);
    put(&text, count, 2);
    put(&text, (uint32_t)directory.size, 4);
    put(&text, place, 4);
    put(&text, 0, 2);
    scratch_write(path, text.bytes, text.size);
    text_free(&text);
    text_free(&directory);
    Status status = zip_archive_open(archive, path, diagnostic);
    remove(path); /* the open archive keeps it */
    return status;
}

static void hostile_archives_are_refused_or_only_data(void **state)
{
    (void)state;
    ZipArchive *archive = NULL;
    Diagnostic diagnostic = {0};
    uint8_t *bytes;
    size_t size;
    const HandMade twice[] = {{.name = "a/data.pkl", .content = "x"}, {.name = "a/data.pkl", .content = "y"}, {0}};
    assert_status(open_made(twice, false, &archive, &diagnostic), STATUS_CORRUPT, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "two entries \"a/data.pkl\""));
    assert_null(archive);
    /* Names are names: nothing is written anywhere. */
    const HandMade paths[] = {{.name = "../../up", .content = "x"}, {.name = "/etc/passwd", .content = "yz"}, {0}};
    assert_ok(open_made(paths, false, &archive, &diagnostic), &diagnostic);
    assert_string_equal(zip_archive_name(archive, 0), "../../up");
    assert_ok(zip_archive_read(archive, 1, 16, &bytes, &size, &diagnostic), &diagnostic);
    assert_true(size == 2 && memcmp(bytes, "yz", 2) == 0);
    free(bytes);
    zip_archive_close(&archive);
    const HandMade odd[] = {{.name = "encrypted", .content = "secret", .flags = 1},
                            {.name = "deflated", .content = "x", .method = 8},
                            {.name = "unknown", .content = "x", .method = 97},
                            {0}};
    assert_ok(open_made(odd, false, &archive, &diagnostic), &diagnostic);
    for (size_t i = 0; i < 3; i++) {
        assert_status(zip_archive_read(archive, i, SIZE_MAX / 2, &bytes, &size, &diagnostic), STATUS_UNSUPPORTED, &diagnostic);
        assert_non_null(strstr(diagnostic.message, odd[i].name));
        assert_null(bytes);
    }
    zip_archive_close(&archive);
    const HandMade large[] = {{.name = "long", .content = "x", .claimed = 0x7FFFFFFF}, {0}};
    assert_ok(open_made(large, false, &archive, &diagnostic), &diagnostic);
    assert_status(zip_archive_read(archive, 0, SIZE_MAX / 2, &bytes, &size, &diagnostic), STATUS_CORRUPT, &diagnostic);
    zip_archive_close(&archive);
    /* Entries in the same place: each is no more than the archive, and is read when it is asked for. */
    const HandMade shared[] = {{.name = "a", .content = "same"}, {.name = "b", .content = "same"}, {0}};
    assert_ok(open_made(shared, true, &archive, &diagnostic), &diagnostic);
    assert_int_equal(zip_archive_count(archive), 2);
    zip_archive_close(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_and_read),
        cmocka_unit_test(an_entry_over_the_limit_is_refused),
        cmocka_unit_test(a_compressed_entry_is_refused_by_name),
        cmocka_unit_test(a_damaged_entry_is_found),
        cmocka_unit_test(what_is_no_archive_is_refused),
        cmocka_unit_test(hostile_archives_are_refused_or_only_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
