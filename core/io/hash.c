#include "core/io/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

#undef sha256_update /* Nettle's header gives its own function this name too */

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(Sha256), "Sha256 must hold the library's state");
_Static_assert(SHA256_DIGEST_SIZE == SHA256_SIZE, "SHA-256 has 32 bytes");

static struct sha256_ctx *state_of(Sha256 *hash)
{
    return (struct sha256_ctx *)(void *)hash->opaque;
}

void sha256_begin(Sha256 *hash)
{
    sha256_init(state_of(hash));
}

void sha256_update(Sha256 *hash, const void *bytes, size_t size)
{
    nettle_sha256_update(state_of(hash), size, bytes);
}

void sha256_finish_hex(Sha256 *hash, char hex[SHA256_HEX_SIZE])
{
    unsigned char digest[SHA256_SIZE];
    sha256_digest(state_of(hash), sizeof digest, digest);
    sodium_bin2hex(hex, SHA256_HEX_SIZE, digest, sizeof digest);
}

void sha256_hex(const void *bytes, size_t size, char hex[SHA256_HEX_SIZE])
{
    Sha256 hash;
    sha256_begin(&hash);
    sha256_update(&hash, bytes, size);
    sha256_finish_hex(&hash, hex);
}

Status sha256_file_hex(const char *path, char hex[SHA256_HEX_SIZE], Diagnostic *diagnostic)
{
    enum { CHUNK = 1024 * 1024 };
    Status status = STATUS_OK;
    unsigned char *chunk = memory_allocate(CHUNK, 1);
    Sha256 hash;
    hex[0] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    sha256_begin(&hash);
    for (;;) {
        ssize_t got = read(file, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            TRY_FAIL(diagnostic, status_from_errno(errno), "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            break;
        sha256_update(&hash, chunk, (size_t)got);
    }
    sha256_finish_hex(&hash, hex);
out:
    if (file >= 0)
        close(file);
    free(chunk);
    return status;
}

uint64_t checksum64(const void *bytes, size_t size)
{
    /* Any key would do; this one spells what it is for, and may never change: checksums are stored. */
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "nersweep record";
    unsigned char digest[crypto_shorthash_BYTES];
    crypto_shorthash(digest, bytes, size, key);
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | digest[i];
    return value;
}

void random_bytes(void *bytes, size_t size)
{
    ASSERT(sodium_init() >= 0); /* cheap after the first time, and thread-safe */
    randombytes_buf(bytes, size);
}
