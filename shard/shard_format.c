#include "shard/shard_format.h"

#include <string.h>

#include "core/io/hash.h"

enum { RECORD_ALIGNMENT = 8 };

_Static_assert(sizeof(ShardWindowHeader) == 24 && sizeof(ShardSequenceHeader) == 32 && sizeof(ShardWindowInfo) == 16,
               "records have no padding of the compiler's");

void shard_key(unsigned char *key, int32_t split, int64_t index)
{
    for (int i = 0; i < 4; i++) {
        key[i] = (unsigned char)((uint32_t)split >> (24 - 8 * i));
        key[4 + i] = (unsigned char)((uint32_t)index >> (24 - 8 * i));
    }
}

void shard_record_begin(Text *record)
{
    uint64_t checksum = 0;
    text_clear(record);
    text_append(record, (const char *)&checksum, sizeof checksum);
}

void shard_record_append(Text *record, const void *bytes, size_t size)
{
    text_append(record, bytes, size);
}

void shard_record_finish(Text *record)
{
    static const char zeros[RECORD_ALIGNMENT];
    text_append(record, zeros, (RECORD_ALIGNMENT - record->size % RECORD_ALIGNMENT) % RECORD_ALIGNMENT);
    shard_record_seal((unsigned char *)record->bytes, record->size);
}

void shard_record_seal(unsigned char *record, size_t size)
{
    uint64_t checksum = checksum64(record + sizeof checksum, size - sizeof checksum);
    memcpy(record, &checksum, sizeof checksum);
}

Status shard_record_check(KvBytes value, const char *path, const char *what, int64_t index, const unsigned char **content,
                          size_t *content_size, Diagnostic *diagnostic)
{
    uint64_t checksum;
    if (value.size < sizeof checksum || value.size % RECORD_ALIGNMENT || (uintptr_t)value.bytes % RECORD_ALIGNMENT)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: %s %lld is not a whole record (%zu bytes): make the shards again", path, what,
                    (long long)index, value.size);
    memcpy(&checksum, value.bytes, sizeof checksum);
    *content = (const unsigned char *)value.bytes + sizeof checksum;
    *content_size = value.size - sizeof checksum;
    if (checksum64(*content, *content_size) != checksum)
        return FAIL(diagnostic, STATUS_CORRUPT,
                    "%s: %s %lld has bytes that were not written so (its checksum differs): make the shards again", path, what,
                    (long long)index);
    return STATUS_OK;
}
