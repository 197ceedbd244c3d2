#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"
#include "tests/core/base/support.h"

/* FIPS 180-4's own examples. */
static void sha256_is_that_of_the_standard(void **state)
{
    (void)state;
    char hex[SHA256_HEX_SIZE];
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void pieces_and_files_hash_as_the_whole(void **state)
{
    (void)state;
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    char *bytes = malloc(SIZE), whole[SHA256_HEX_SIZE], pieces[SHA256_HEX_SIZE];
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 % 251);
    sha256_hex(bytes, SIZE, whole);
    Sha256 hash;
    sha256_begin(&hash);
    for (size_t at = 0, piece = 1; at < SIZE; at += piece, piece = piece * 3 % 70001 + 1) {
        if (piece > SIZE - at)
            piece = SIZE - at;
        sha256_update(&hash, bytes + at, piece);
    }
    sha256_finish_hex(&hash, pieces);
    assert_string_equal(pieces, whole);

    char *folder = scratch_make();
    Diagnostic diagnostic = {0};
    scratch_write(scratch_path(folder, "file"), bytes, SIZE);
    assert_ok(sha256_file_hex(scratch_path(folder, "file"), pieces, &diagnostic), &diagnostic);
    assert_string_equal(pieces, whole);
    assert_status(sha256_file_hex(scratch_path(folder, "none"), pieces, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    scratch_remove(&folder);
    free(bytes);
}

static void checksums_are_those_of_yesterday(void **state)
{
    (void)state;
    /* They are stored in journals and shards. Made by another implementation of SipHash-2-4, one that gives the example of the paper
     * (Aumasson, Bernstein: "SipHash: a fast short-input PRF", appendix A), with the key "nersweep record\0". */
    assert_true(checksum64("", 0) == 0xc6ffcf0e4e88cdb0u);
    assert_true(checksum64("nersweep", 8) == 0x601f51aefa8c8c4fu);
}

static void checksums_notice_every_flipped_bit(void **state)
{
    (void)state;
    unsigned char bytes[40] = {1, 2, 3};
    uint64_t before = checksum64(bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_true(checksum64(bytes, sizeof bytes) != before);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(checksum64(bytes, sizeof bytes - 1) != before);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    unsigned char one[32] = {0}, two[32] = {0};
    random_bytes(one, sizeof one);
    random_bytes(two, sizeof two);
    assert_memory_not_equal(one, two, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_that_of_the_standard),
        cmocka_unit_test(pieces_and_files_hash_as_the_whole),
        cmocka_unit_test(checksums_are_those_of_yesterday),
        cmocka_unit_test(checksums_notice_every_flipped_bit),
        cmocka_unit_test(random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
