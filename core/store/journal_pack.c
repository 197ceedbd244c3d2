#include "core/store/journal_pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/store/journal_segment.h"

enum {
    SLOTS = 64,
    BLOCK_SIZE = 1024 * 1024, /* of records, roughly */
    BLOCK_SIZE_LIMIT = BLOCK_SIZE + JOURNAL_RECORD_LIMIT,
    BLOCK_HEADER_SIZE = 8,
    LOOK_AHEAD = 24, /* bytes, for where two records are alike again */
    ALIKE = 4,       /* bytes that must be equal there */
    SLACK = 16,      /* bytes behind the records that are unpacked */
};

/* A record in a text. */
typedef struct Range {
    size_t begin, size;
} Range;

struct Packer {
    Text packed; /* without the block's header */
    Text raw;    /* the block's records, to compare with */
    Range last[SLOTS];
    uint32_t count;
};

Packer *packer_create(void)
{
    return memory_allocate(1, sizeof(Packer));
}

void packer_destroy(Packer **packer)
{
    if (!*packer)
        return;
    text_free(&(*packer)->packed);
    text_free(&(*packer)->raw);
    free(*packer);
    *packer = NULL;
}

static void append_number(Text *text, size_t number)
{
    char bytes[10];
    size_t count = 0;
    for (; number >= 0x80; number >>= 7)
        bytes[count++] = (char)(number | 0x80);
    bytes[count++] = (char)number;
    text_append(text, bytes, count);
}

static unsigned slot_of(const char *payload, size_t size)
{
    uint32_t word = 0;
    for (size_t i = 0; i < 4 && i < size; i++)
        word = word << 8 | (unsigned char)payload[i];
    return word * UINT32_C(2654435761) >> 26;
}

static size_t alike(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t limit = a_size < b_size ? a_size : b_size, count = 0;
    while (count < limit && a[count] == b[count])
        count++;
    return count;
}

/* How many bytes of each to pass over so that they go on alike; some of both when that is too far away. A field of fixed size that differs,
 * the usual case, passes over as many of one as of the other. */
static void find_alike(const char *a, size_t a_size, const char *b, size_t b_size, size_t *taken, size_t *skipped)
{
    for (size_t both = 1; both <= LOOK_AHEAD && both + ALIKE <= a_size && both + ALIKE <= b_size; both++)
        if (memcmp(a + both, b + both, ALIKE) == 0) {
            *taken = *skipped = both;
            return;
        }
    for (size_t distance = 1; distance <= LOOK_AHEAD; distance++)
        for (size_t in_b = 0; in_b <= distance; in_b++) {
            size_t in_a = distance - in_b;
            if (in_a + ALIKE <= a_size && in_b + ALIKE <= b_size && memcmp(a + in_a, b + in_b, ALIKE) == 0) {
                *taken = in_a;
                *skipped = in_b;
                return;
            }
        }
    *taken = a_size < LOOK_AHEAD ? a_size : LOOK_AHEAD;
    *skipped = b_size < LOOK_AHEAD ? b_size : LOOK_AHEAD;
}

void packer_add(Packer *packer, const void *payload, size_t size)
{
    const char *bytes = payload;
    unsigned slot = slot_of(bytes, size);
    Range earlier = packer->last[slot];
    char number = (char)slot;
    append_number(&packer->packed, size);
    text_append(&packer->packed, &number, 1);
    for (size_t at = 0, from = 0; at < size;) {
        size_t left = earlier.size - from, copied = 0, taken = size - at, skipped = 0;
        if (left > 0) {
            const char *reference = packer->raw.bytes + earlier.begin + from;
            copied = alike(bytes + at, size - at, reference, left);
            taken = size - at - copied;
            if (copied < left && taken > 0)
                find_alike(bytes + at + copied, taken, reference + copied, left - copied, &taken, &skipped);
        }
        append_number(&packer->packed, copied);
        append_number(&packer->packed, taken);
        text_append(&packer->packed, bytes + at + copied, taken);
        at += copied + taken;
        from += copied + skipped;
        if (at < size)
            append_number(&packer->packed, skipped);
    }
    packer->last[slot] = (Range){packer->raw.size, size};
    text_append(&packer->raw, bytes, size);
    packer->count++;
}

bool packer_full(const Packer *packer)
{
    return packer->raw.size >= BLOCK_SIZE;
}

bool packer_empty(const Packer *packer)
{
    return packer->count == 0;
}

void packer_take(Packer *packer, Text *block)
{
    unsigned char header[BLOCK_HEADER_SIZE];
    segment_store_number(header, packer->count, 4);
    segment_store_number(header + 4, packer->raw.size, 4);
    text_append(block, (const char *)header, sizeof header);
    text_append(block, packer->packed.bytes, packer->packed.size);
    text_clear(&packer->packed);
    text_clear(&packer->raw);
    memset(packer->last, 0, sizeof packer->last);
    packer->count = 0;
}

/* ------------------------------------------------------------------------------------------------ unpacking */

typedef struct Reader {
    const char *at, *end;
} Reader;

static bool read_number(Reader *reader, size_t limit, size_t *number)
{
    if (reader->at < reader->end && (unsigned char)*reader->at < 0x80) {
        *number = (unsigned char)*reader->at++;
        return *number <= limit;
    }
    *number = 0;
    for (int shift = 0; shift < 35 && reader->at < reader->end; shift += 7) {
        unsigned char byte = (unsigned char)*reader->at++;
        *number |= (size_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return *number <= limit;
    }
    return false;
}

/* Most stretches are of a few bytes, for which a call takes longer than the copy. Writes up to SLACK bytes too many, which what comes next
 * replaces, and reads as many too many. */
static void copy_stretch(char *to, const char *from, size_t size)
{
    if (size > SLACK) {
        memcpy(to, from, size);
        return;
    }
    uint64_t words[SLACK / 8];
    memcpy(words, from, sizeof words);
    memcpy(to, words, sizeof words);
}

/* One record into to[0 .. size - 1]; its earlier one lies before it. */
static bool unpack_record(Reader *reader, char *to, size_t size, const char *earlier, size_t earlier_size)
{
    size_t copied, taken, skipped;
    for (size_t at = 0, from = 0; at < size; from += skipped) {
        if (!read_number(reader, size - at, &copied) || copied > earlier_size - from)
            return false;
        copy_stretch(to + at, earlier + from, copied);
        at += copied;
        from += copied;
        if (!read_number(reader, size - at, &taken) || taken > (size_t)(reader->end - reader->at))
            return false;
        if ((size_t)(reader->end - reader->at) >= SLACK)
            copy_stretch(to + at, reader->at, taken);
        else
            memcpy(to + at, reader->at, taken);
        reader->at += taken;
        at += taken;
        skipped = 0;
        if (at < size && (!read_number(reader, earlier_size - from, &skipped) || copied + taken + skipped == 0))
            return false;
    }
    return true;
}

static bool unpack_records(Unpacked *unpacked, Reader *reader, size_t count, size_t total)
{
    Range last[SLOTS] = {{0}};
    size_t at = 0, size;
    for (size_t i = 0; i < count; i++) {
        if (!read_number(reader, total - at, &size) || reader->at == reader->end || (unsigned char)*reader->at >= SLOTS)
            return false;
        Range *slot = &last[(unsigned char)*reader->at++];
        if (!unpack_record(reader, unpacked->bytes.bytes + at, size, unpacked->bytes.bytes + slot->begin, slot->size))
            return false;
        *slot = (Range){at, size};
        at += size;
        array_push(&unpacked->ends, at);
    }
    return at == total && reader->at == reader->end;
}

Status unpack_block(Unpacked *unpacked, const char *block, size_t size, Diagnostic *diagnostic)
{
    if (size < BLOCK_HEADER_SIZE)
        return FAIL(diagnostic, STATUS_CORRUPT, "a block of %zu bytes is too short", size);
    size_t count = segment_load_number(block, 4), total = segment_load_number(block + 4, 4);
    /* A record takes two bytes at least. */
    if (count > size / 2 || total > BLOCK_SIZE_LIMIT)
        return FAIL(diagnostic, STATUS_CORRUPT, "a block of %zu bytes tells of %zu records with %zu bytes", size, count, total);
    unpacked->ends.count = 0;
    array_reserve(&unpacked->ends, count);
    if (unpacked->bytes.capacity < total + 2 * SLACK) /* the last record may be empty and at the end */
        unpacked->bytes.bytes = array_grow(unpacked->bytes.bytes, &unpacked->bytes.capacity, total + 2 * SLACK, 1);
    unpacked->bytes.size = total;
    Reader reader = {block + BLOCK_HEADER_SIZE, block + size};
    if (!unpack_records(unpacked, &reader, count, total))
        return FAIL(diagnostic, STATUS_CORRUPT, "a block of %zu bytes and %zu records is not well formed", size, count);
    return STATUS_OK;
}

void unpacked_free(Unpacked *unpacked)
{
    text_free(&unpacked->bytes);
    array_free(&unpacked->ends);
}
