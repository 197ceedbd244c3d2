/* Part of core_store: blocks of journal records in which each is told by how it differs from an earlier one that begins alike. What the
 * records mean is not known here; that those of one kind look much the same is enough.
 *
 *   block   {u32 number of records, u32 size of all of them, then per record: number size, u8 slot, instructions until the size is reached}
 *   instruction   number copied, number taken: so many bytes come from where the earlier record is read, then so many from the block; then,
 *                 unless the record is whole, number skipped: so many bytes of the earlier record are passed over
 *   number  7 bits a byte, the lowest first, the top bit says that more follow
 *
 * The earlier record is the last one with the same slot, a number made from the first bytes; the empty one at a block's beginning. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_PACK_H
#define NERSWEEP_CORE_STORE_JOURNAL_PACK_H

#include "core/base/memory.h"
#include "core/store/journal.h"

typedef struct Packer Packer;

Packer *packer_create(void);
void packer_destroy(Packer **packer);
void packer_add(Packer *packer, const void *payload, size_t size);
/* Enough for a block? */
bool packer_full(const Packer *packer);
bool packer_empty(const Packer *packer);
/* Appends the block and begins the next one. */
void packer_take(Packer *packer, Text *block);

/* Takes a block apart into records, whose bytes live until unpacked is freed or used again. Hostile bytes are fine: STATUS_CORRUPT. */
typedef struct Unpacked {
    Text bytes;
    ARRAY(size_t) ends; /* of each record in bytes */
} Unpacked;
NODISCARD Status unpack_block(Unpacked *unpacked, const char *block, size_t size, Diagnostic *diagnostic);
void unpacked_free(Unpacked *unpacked);

#endif
