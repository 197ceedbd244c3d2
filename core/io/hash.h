/* SHA-256 (FIPS 180-4) by Nettle, a 64-bit checksum and random bytes by libsodium. */
#ifndef NERSWEEP_CORE_IO_HASH_H
#define NERSWEEP_CORE_IO_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 65 };

typedef struct Sha256 {
    _Alignas(16) unsigned char opaque[128];
} Sha256;
void sha256_begin(Sha256 *hash);
void sha256_update(Sha256 *hash, const void *bytes, size_t size);
void sha256_finish_hex(Sha256 *hash, char hex[SHA256_HEX_SIZE]); /* lower case, terminated */

void sha256_hex(const void *bytes, size_t size, char hex[SHA256_HEX_SIZE]);
NODISCARD Status sha256_file_hex(const char *path, char hex[SHA256_HEX_SIZE], Diagnostic *diagnostic);

/* SipHash-2-4 with a fixed key: finds torn and flipped bits in records, no protection against forgery. */
uint64_t checksum64(const void *bytes, size_t size);

void random_bytes(void *bytes, size_t size); /* from the system, for identities and keys; never for training or search */

#endif
