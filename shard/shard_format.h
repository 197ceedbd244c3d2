/* Records of the shard store, byte for byte. Internal to shard/.
 *
 *   table     key                          value
 *   metadata  "metadata"                   u64 checksum, canonical JSON (see shard_metadata.h)
 *   windows   u32 split, u32 index         head, ShardWindowHeader, ids[length], labels[length], token_index[length]
 *   infos     u32 split, u32 chunk         u64 checksum, ShardWindowInfo[up to SHARD_INFO_CHUNK]
 *   sequences u32 split, u32 index         head, ShardSequenceHeader, gold[n], text_offsets[n + 1], text
 *
 * Keys are big-endian, so that a table is written and read in order; all other numbers are the machine's (little-endian). A checksum is
 * checksum64 of the value's bytes after it, padding included. A head is a u64 checksum and a u32 place: the sequence that a window belongs to, or
 * a sequence's first window; its checksum is that of the bytes after the head, plus the place times SHARD_PLACE_FACTOR: such a record is made,
 * and summed, before it is known how many stand before it. Values are padded with zeros to multiples of 8 bytes.
 *
 * An array's numbers are as narrow as its largest one allows: 1, 2 or 4 bytes, as the header says. 0 stands for what is below the first number:
 * labels are one more than their id, and 0 is TOKEN_LABEL_IGNORED; token_index is from first_token on, counted from 1, and 0 on special pieces. */
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
/* Bytes of a value before its content: a checksum, and a place. */
typedef enum ShardHead { SHARD_HEAD_PLAIN = 8, SHARD_HEAD_PLACED = 12 } ShardHead;

#define SHARD_PLACE_FACTOR UINT64_C(0x9E3779B97F4A7C15) /* odd: no two places give the same */

typedef struct ShardWindowHeader {
    int32_t length;
    int32_t owned_first, owned_end;
    float weight;
    int32_t first_token;
    uint8_t id_width, label_width, token_width;
    uint8_t unused;
} ShardWindowHeader;

typedef struct ShardSequenceHeader {
    int64_t line;
    int32_t token_count;
    int32_t window_count;
    uint32_t text_size;
    uint16_t source; /* index of the input among those of its split */
    uint8_t gold_width, offset_width;
} ShardSequenceHeader;

/* Bytes that each number takes in an array whose largest is this. */
uint8_t shard_width(uint32_t largest);
/* Writes numbers [count] so: negative ones as 0, others with `added`. */
void shard_narrow(const int32_t *numbers, size_t count, int32_t added, uint8_t width, unsigned char *to);
/* Reads them back, less `added`, and 0 as `zero`. */
void shard_widen(const unsigned char *from, uint8_t width, size_t count, int32_t added, int32_t zero, int32_t *numbers);

/* Is a record's content of the size that its header says, and its widths such as can be read? Nothing else is checked. *header is its header,
 * of zeros where there is not even that. */
bool shard_window_header(const unsigned char *content, size_t size, ShardWindowHeader *header);
bool shard_sequence_header(const unsigned char *content, size_t size, ShardSequenceHeader *header);
/* Of a window's record that is whole. outside, later_piece: labels that are no span, or -1. */
ShardWindowInfo shard_window_info(const unsigned char *content, int32_t outside, int32_t later_piece);

/* key: [SHARD_KEY_SIZE] */
void shard_key(unsigned char *key, int32_t split, int64_t index);

/* A value under construction: begin, append, finish; then record->bytes is the value, its place 0. */
void shard_record_begin(Text *record, ShardHead head);
void shard_record_append(Text *record, const void *bytes, size_t size);
void shard_record_finish(Text *record, ShardHead head);
/* Puts the checksum into a value of size bytes, a multiple of 8. */
void shard_record_seal(unsigned char *record, size_t size, ShardHead head);
/* Gives a sealed value that has a place another one. */
void shard_record_place(unsigned char *record, uint32_t place);

/* Checks size and checksum of a value. *content: its bytes after the head; place: NULL where it has none. */
NODISCARD Status shard_record_check(KvBytes value, const char *path, const char *what, int64_t index, uint32_t *place,
                                    const unsigned char **content, size_t *content_size, Diagnostic *diagnostic);

#endif
