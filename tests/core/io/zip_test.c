/* Reading zip archives: what torch and Python's zipfile wrote (tests/golden/make_torch_bins.py), whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_and_read),
        cmocka_unit_test(an_entry_over_the_limit_is_refused),
        cmocka_unit_test(a_compressed_entry_is_refused_by_name),
        cmocka_unit_test(a_damaged_entry_is_found),
        cmocka_unit_test(what_is_no_archive_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
