#include "shard/shard_format.h"

#include <string.h>

#include "core/io/hash.h"

enum { RECORD_ALIGNMENT = 8 };

_Static_assert(sizeof(ShardWindowHeader) == 24 && sizeof(ShardSequenceHeader) == 24 && sizeof(ShardWindowInfo) == 16,
               "records have no padding of the compiler's");

void shard_key(unsigned char *key, int32_t split, int64_t index)
{
    for (int i = 0; i < 4; i++) {
        key[i] = (unsigned char)((uint32_t)split >> (24 - 8 * i));
        key[4 + i] = (unsigned char)((uint32_t)index >> (24 - 8 * i));
    }
}

/* ---- arrays ---- */

uint8_t shard_width(uint32_t largest)
{
    return largest <= UINT8_MAX ? 1 : largest <= UINT16_MAX ? 2 : 4;
}

static inline void number_put(unsigned char *to, uint8_t width, uint32_t number)
{
    if (width == 1)
        *to = (unsigned char)number;
    else
        memcpy(to, &number, width == 2 ? 2 : 4);
}

static inline uint32_t number_at(const unsigned char *from, uint8_t width)
{
    uint32_t number = *from;
    if (width == 2)
        memcpy(&number, from, 2);
    if (width == 4)
        memcpy(&number, from, 4);
    return number;
}

static inline uint32_t narrowed(int32_t number, int32_t added)
{
    return number < 0 ? 0 : (uint32_t)number + (uint32_t)added;
}

void shard_narrow(const int32_t *numbers, size_t count, int32_t added, uint8_t width, unsigned char *to)
{
    if (width == 1) { /* vector instructions do these */
        for (size_t i = 0; i < count; i++)
            to[i] = (unsigned char)narrowed(numbers[i], added);
    } else if (width == 2) {
        for (size_t i = 0; i < count; i++)
            number_put(to + 2 * i, 2, narrowed(numbers[i], added));
    } else {
        for (size_t i = 0; i < count; i++)
            number_put(to + 4 * i, 4, narrowed(numbers[i], added));
    }
}

static inline int32_t widened(uint32_t number, int32_t added, int32_t zero)
{
    return number == 0 ? zero : (int32_t)(number - (uint32_t)added);
}

void shard_widen(const unsigned char *from, uint8_t width, size_t count, int32_t added, int32_t zero, int32_t *numbers)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = widened(number_at(from + i * width, width), added, zero);
}

/* ---- headers ---- */

static bool width_is_known(uint8_t width)
{
    return width == 1 || width == 2 || width == 4;
}

/* The content of a placed record of so many bytes, padded as it is written behind its head. */
static size_t padded(size_t size)
{
    return (SHARD_HEAD_PLACED + size + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT - SHARD_HEAD_PLACED;
}

bool shard_window_header(const unsigned char *content, size_t size, ShardWindowHeader *header)
{
    *header = (ShardWindowHeader){0};
    if (size < sizeof *header)
        return false;
    memcpy(header, content, sizeof *header);
    size_t widths = (size_t)header->id_width + header->label_width + header->token_width;
    return width_is_known(header->id_width) && width_is_known(header->label_width) && width_is_known(header->token_width) &&
           header->length >= 3 && size == padded(sizeof *header + widths * (size_t)header->length);
}

bool shard_sequence_header(const unsigned char *content, size_t size, ShardSequenceHeader *header)
{
    *header = (ShardSequenceHeader){0};
    if (size < sizeof *header)
        return false;
    memcpy(header, content, sizeof *header);
    size_t count = header->token_count > 0 ? (size_t)header->token_count : 0;
    return width_is_known(header->gold_width) && width_is_known(header->offset_width) && count > 0 &&
           size == padded(sizeof *header + count * header->gold_width + (count + 1) * header->offset_width + header->text_size);
}

ShardWindowInfo shard_window_info(const unsigned char *content, int32_t outside, int32_t later_piece)
{
    ShardWindowHeader header;
    memcpy(&header, content, sizeof header);
    ShardWindowInfo info = {.length = header.length, .weight = header.weight};
    const unsigned char *labels = content + sizeof header + (size_t)header.length * header.id_width;
    const uint32_t none[] = {(uint32_t)(outside + 1), (uint32_t)(later_piece + 1)};
    for (int32_t i = 0; i < header.length; i++) {
        uint32_t label = number_at(labels + (size_t)i * header.label_width, header.label_width);
        info.label_count += label != 0;
        info.has_span |= label != 0 && label != none[0] && label != none[1];
    }
    return info;
}

/* ---- values ---- */

void shard_record_begin(Text *record, ShardHead head)
{
    static const char zeros[SHARD_HEAD_PLACED];
    text_clear(record);
    text_append(record, zeros, head);
}

void shard_record_append(Text *record, const void *bytes, size_t size)
{
    text_append(record, bytes, size);
}

void shard_record_finish(Text *record, ShardHead head)
{
    static const char zeros[RECORD_ALIGNMENT];
    text_append(record, zeros, (RECORD_ALIGNMENT - record->size % RECORD_ALIGNMENT) % RECORD_ALIGNMENT);
    shard_record_seal((unsigned char *)record->bytes, record->size, head);
}

static uint32_t place_of(const unsigned char *record)
{
    uint32_t place;
    memcpy(&place, record + SHARD_HEAD_PLAIN, sizeof place);
    return place;
}

static uint64_t record_checksum(const unsigned char *record, size_t size, ShardHead head)
{
    return checksum64(record + head, size - head) + (head == SHARD_HEAD_PLACED ? place_of(record) * SHARD_PLACE_FACTOR : 0);
}

void shard_record_seal(unsigned char *record, size_t size, ShardHead head)
{
    uint64_t checksum = record_checksum(record, size, head);
    memcpy(record, &checksum, sizeof checksum);
}

void shard_record_place(unsigned char *record, uint32_t place)
{
    uint64_t checksum;
    memcpy(&checksum, record, sizeof checksum);
    checksum += ((uint64_t)place - place_of(record)) * SHARD_PLACE_FACTOR;
    memcpy(record, &checksum, sizeof checksum);
    memcpy(record + SHARD_HEAD_PLAIN, &place, sizeof place);
}

Status shard_record_check(KvBytes value, const char *path, const char *what, int64_t index, uint32_t *place,
                          const unsigned char **content, size_t *content_size, Diagnostic *diagnostic)
{
    uint64_t checksum;
    ShardHead head = place ? SHARD_HEAD_PLACED : SHARD_HEAD_PLAIN;
    if (value.size < head || value.size % RECORD_ALIGNMENT)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: %s %lld is not a whole record (%zu bytes): make the shards again", path, what,
                    (long long)index, value.size);
    memcpy(&checksum, value.bytes, sizeof checksum);
    if (record_checksum(value.bytes, value.size, head) != checksum)
        return FAIL(diagnostic, STATUS_CORRUPT,
                    "%s: %s %lld has bytes that were not written so (its checksum differs): make the shards again", path, what,
                    (long long)index);
    if (place)
        *place = place_of(value.bytes);
    *content = (const unsigned char *)value.bytes + head;
    *content_size = value.size - head;
    return STATUS_OK;
}
