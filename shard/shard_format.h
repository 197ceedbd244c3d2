/* Records of the shard store, byte for byte. Internal to shard/.
 *
 *   table     key                          value
 *   metadata  "metadata"                   u64 checksum, canonical JSON (see shard_metadata.h)
 *   windows   u32 split, u32 index         u64 checksum, ShardWindowHeader, i32 ids[length], i32 labels[length], i32 token_index[length]
 *   infos     u32 split, u32 chunk         u64 checksum, ShardWindowInfo[up to SHARD_INFO_CHUNK]
 *   sequences u32 split, u32 index         u64 checksum, ShardSequenceHeader, i32 gold[n], u32 text_offsets[n + 1], text
 *
 * Keys are big-endian, so that a table is written and read in order; all other numbers are the machine's (little-endian). Keys and values are
 * multiples of 8 bytes long: then LMDB, which packs nodes from a page's end, aligns every value to 8, and arrays are used where they stand. A
 * checksum is checksum64 of the value's bytes after it, padding included. */
#ifndef NERSWEEP_SHARD_SHARD_FORMAT_H
#define NERSWEEP_SHARD_SHARD_FORMAT_H

#include <stdint.h>

#include "core/base/memory.h"
#include "core/io/kv.h"
#include "shard/shard_store.h"

#define SHARD_FILE_NAME "shards.mdb"
#define SHARD_TABLE_METADATA "metadata"
#define SHARD_TABLE_WINDOWS "windows"
#define SHARD_TABLE_INFOS "infos"
#define SHARD_TABLE_SEQUENCES "sequences"

enum { SHARD_INFO_CHUNK = 1024, SHARD_KEY_SIZE = 8, SHARD_TABLE_COUNT = 4 };

typedef struct ShardWindowHeader {
    int64_t sequence;
    int32_t length;
    int32_t owned_first, owned_end;
    float weight;
} ShardWindowHeader;

typedef struct ShardSequenceHeader {
    int64_t first_window;
    int64_t line;
    int32_t token_count;
    int32_t window_count;
    uint32_t text_size;
    uint32_t source; /* index of the input among those of its split */
} ShardSequenceHeader;

/* key: [SHARD_KEY_SIZE] */
void shard_key(unsigned char *key, int32_t split, int64_t index);

/* A value under construction: begin, append, finish; then record->bytes is the value. */
void shard_record_begin(Text *record);
void shard_record_append(Text *record, const void *bytes, size_t size);
void shard_record_finish(Text *record);
/* Puts the checksum into a value of size bytes, a multiple of 8. */
void shard_record_seal(unsigned char *record, size_t size);

/* Checks alignment, size and checksum of a value. *content: its bytes after the checksum. */
NODISCARD Status shard_record_check(KvBytes value, const char *path, const char *what, int64_t index, const unsigned char **content,
                                    size_t *content_size, Diagnostic *diagnostic);

#endif
