#include "proto/fields.h"

#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, VARINT_SIZE = 10, TAG_SIZE = 2, LENGTH_SIZE = 5 };

_Static_assert(sizeof(MessageType) == 4 && sizeof(AssignmentKind) == 4 && sizeof(FinishOutcome) == 4 && sizeof(ControlAction) == 4,
               "enumerations are read as 32 bits");

static const Field id_fields[] = {
    [1] = {.kind = FIELD_32, .offset = offsetof(AssignmentId, trial)},
    [2] = {.kind = FIELD_64, .offset = offsetof(AssignmentId, fence)},
};
const FieldTable assignment_id_fields = {id_fields, sizeof id_fields / sizeof *id_fields};

static const Field dataset_fields[] = {
    [1] = {FIELD_NAME, offsetof(DatasetScore, name), sizeof((DatasetScore *)0)->name, NULL, "name of a data set"},
    [2] = {.kind = FIELD_REAL, .offset = offsetof(DatasetScore, f1)},
    [3] = {.kind = FIELD_REAL, .offset = offsetof(DatasetScore, precision)},
    [4] = {.kind = FIELD_REAL, .offset = offsetof(DatasetScore, recall)},
    [5] = {.kind = FIELD_REAL, .offset = offsetof(DatasetScore, loss)},
};
static const FieldTable dataset_table = {dataset_fields, sizeof dataset_fields / sizeof *dataset_fields};

/* ------------------------------------------------------------------------------------------------ reading */

typedef struct Reader {
    WireScratch *scratch;
    const char *refused;
} Reader;

static bool read_long_varint(FieldBytes *wire, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint64_t byte = *wire->at++;
        *value |= (byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Most are tags and small numbers. */
static inline bool read_varint(FieldBytes *wire, uint64_t *value)
{
    const unsigned char *at = wire->at;
    if (wire->end - at < 2 || (at[0] & at[1]) >= 0x80)
        return read_long_varint(wire, value);
    bool two = at[0] >= 0x80;
    *value = two ? (at[0] & 0x7FU) | (unsigned)at[1] << 7 : at[0];
    wire->at = at + 1 + two;
    return true;
}

static uint64_t load_64(const unsigned char *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 | (uint64_t)at[4] << 32 |
           (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

/* Room for all texts was made before: a pointer into them stays. */
static char *keep_text(WireScratch *scratch, FieldBytes bytes)
{
    size_t size = (size_t)(bytes.end - bytes.at);
    if (size == 0 || bytes.at[0] == '\0')
        return NULL;
    char *text = scratch->texts.bytes + scratch->texts.size;
    memcpy(text, bytes.at, size);
    text[size] = '\0';
    scratch->texts.size += size + 1; /* the terminator stays, too */
    return text;
}

static bool read_name(const Field *field, FieldBytes bytes, char *at, Reader *reader)
{
    size_t size = strnlen((const char *)bytes.at, (size_t)(bytes.end - bytes.at));
    if (size >= field->size) {
        reader->refused = field->name;
        return false;
    }
    memcpy(at, bytes.at, size);
    memset(at + size, 0, field->size - size);
    return true;
}

static bool read_fields(FieldBytes wire, const FieldTable *table, char *target, Reader *reader);

static bool read_dataset(const Field *field, FieldBytes bytes, char *target, Reader *reader)
{
    WireScratch *scratch = reader->scratch;
    if (scratch->datasets.count == MESSAGE_DATASET_LIMIT) {
        reader->refused = field->name;
        return false;
    }
    array_push(&scratch->datasets, (DatasetScore){0});
    memcpy(target + field->offset, &scratch->datasets.items, sizeof scratch->datasets.items);
    memcpy(target + field->size, &scratch->datasets.count, sizeof scratch->datasets.count);
    return read_fields(bytes, &dataset_table, (char *)&scratch->datasets.items[scratch->datasets.count - 1], reader);
}

static bool set_number(const Field *field, uint64_t value, char *target, Reader *reader)
{
    uint32_t number = (uint32_t)value;
    switch (field->kind) {
    case FIELD_FORMAT:
        reader->scratch->format = number;
        return true;
    case FIELD_32:
        memcpy(target + field->offset, &number, sizeof number);
        return true;
    case FIELD_64:
        memcpy(target + field->offset, &value, sizeof value);
        return true;
    case FIELD_BOOLEAN:
        *(bool *)(target + field->offset) = value != 0;
        return true;
    default:
        return field->kind == FIELD_NONE;
    }
}

static bool set_bytes(const Field *field, FieldBytes bytes, char *target, Reader *reader)
{
    char *at = target + field->offset, *text;
    switch (field->kind) {
    case FIELD_TEXT:
        text = keep_text(reader->scratch, bytes);
        memcpy(at, &text, sizeof text);
        return true;
    case FIELD_NAME:
        return read_name(field, bytes, at, reader);
    case FIELD_BYTES:
        memcpy(at, &bytes, sizeof bytes);
        return true;
    case FIELD_STRUCT:
        return read_fields(bytes, field->table, at, reader);
    case FIELD_DATASETS:
        return read_dataset(field, bytes, target, reader);
    default:
        return field->kind == FIELD_NONE;
    }
}

static bool read_fields(FieldBytes wire, const FieldTable *table, char *target, Reader *reader)
{
    static const Field unknown = {.kind = FIELD_NONE};
    uint64_t tag, value;
    while (wire.at < wire.end) {
        if (!read_varint(&wire, &tag) || tag < 8 || tag > UINT32_MAX)
            return false;
        const Field *field = tag >> 3 < table->count ? &table->fields[tag >> 3] : &unknown;
        size_t left = (size_t)(wire.end - wire.at);
        switch (tag & 7) {
        case WIRE_VARINT:
            if (!read_varint(&wire, &value) || !set_number(field, value, target, reader))
                return false;
            break;
        case WIRE_64:
            if (left < 8 || (field->kind != FIELD_REAL && field->kind != FIELD_NONE))
                return false;
            value = load_64(wire.at);
            if (field->kind == FIELD_REAL)
                memcpy(target + field->offset, &value, sizeof value);
            wire.at += 8;
            break;
        case WIRE_BYTES:
            if (!read_varint(&wire, &value) || value > (size_t)(wire.end - wire.at) ||
                !set_bytes(field, (FieldBytes){wire.at, wire.at + value}, target, reader))
                return false;
            wire.at += value;
            break;
        case WIRE_32: /* of no field that is known */
            if (left < 4 || field->kind != FIELD_NONE)
                return false;
            wire.at += 4;
            break;
        default:
            return false;
        }
    }
    return true;
}

bool fields_read(const FieldTable *table, void *target, WireScratch *scratch, const void *bytes, size_t size, const char **refused)
{
    Reader reader = {.scratch = scratch};
    scratch->datasets.count = 0;
    scratch->format = 0;
    scratch->texts.size = 0;
    if (scratch->texts.capacity < size + 1)
        text_reserve(&scratch->texts, size); /* each text takes two bytes more on the wire, and one more here */
    FieldBytes wire = {bytes, size ? (const unsigned char *)bytes + size : bytes}; /* bytes may be NULL when there are none */
    bool read = read_fields(wire, table, target, &reader);
    *refused = reader.refused;
    return read;
}

void wire_scratch_free(WireScratch *scratch)
{
    text_free(&scratch->texts);
    array_free(&scratch->datasets);
}

/* ------------------------------------------------------------------------------------------------ writing */

/* Each puts something at the end, where there is room. */
static void put_varint(Text *bytes, uint64_t value)
{
    unsigned char *at = (unsigned char *)bytes->bytes + bytes->size, *begin = at;
    for (; value >= 0x80; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    bytes->size += (size_t)(at - begin);
}

static void put_64(Text *bytes, uint64_t value)
{
    unsigned char *at = (unsigned char *)bytes->bytes + bytes->size;
    for (unsigned i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> 8 * i);
    bytes->size += 8;
}

static void put_bytes(Text *bytes, size_t number, const void *from, size_t size)
{
    text_reserve(bytes, TAG_SIZE + VARINT_SIZE + size);
    put_varint(bytes, number << 3 | WIRE_BYTES);
    put_varint(bytes, size);
    memcpy(bytes->bytes + bytes->size, from, size);
    bytes->size += size;
}

size_t field_open(Text *bytes, unsigned number)
{
    text_reserve(bytes, TAG_SIZE + LENGTH_SIZE);
    put_varint(bytes, number << 3 | WIRE_BYTES);
    return bytes->size++; /* most lengths take one byte */
}

void field_close(Text *bytes, size_t opened)
{
    size_t size = bytes->size - opened - 1, extra = 0;
    for (size_t left = size; left >= 0x80; left >>= 7)
        extra++;
    text_reserve(bytes, extra);
    if (extra)
        memmove(bytes->bytes + opened + 1 + extra, bytes->bytes + opened + 1, size);
    bytes->size = opened;
    put_varint(bytes, size);
    bytes->size += size;
    bytes->bytes[bytes->size] = '\0';
}

static void write_datasets(const Field *field, size_t number, const char *source, Text *bytes)
{
    const DatasetScore *datasets;
    size_t count;
    memcpy(&datasets, source + field->offset, sizeof datasets);
    memcpy(&count, source + field->size, sizeof count);
    for (size_t i = 0; i < count; i++) {
        size_t opened = field_open(bytes, (unsigned)number);
        fields_write(&dataset_table, &datasets[i], bytes);
        field_close(bytes, opened);
    }
}

static void write_number(const Field *field, size_t number, const char *at, Text *bytes)
{
    uint64_t value = 0;
    double real = 0;
    if (field->kind == FIELD_FORMAT)
        value = field->size;
    else if (field->kind == FIELD_BOOLEAN)
        value = *(const bool *)at;
    else if (field->kind == FIELD_32)
        value = *(const uint32_t *)(const void *)at;
    else
        memcpy(&value, at, sizeof value);
    memcpy(&real, &value, sizeof real);
    if (value == 0 || (field->kind == FIELD_REAL && real == 0)) /* also minus zero, as protobuf-c has it */
        return;
    text_reserve(bytes, TAG_SIZE + VARINT_SIZE);
    put_varint(bytes, number << 3 | (field->kind == FIELD_REAL ? WIRE_64 : WIRE_VARINT));
    if (field->kind == FIELD_REAL)
        put_64(bytes, value);
    else
        put_varint(bytes, value);
}

static void write_field(const Field *field, size_t number, const char *source, Text *bytes)
{
    const char *at = source + field->offset, *text;
    size_t size, opened;
    switch (field->kind) {
    case FIELD_TEXT:
        memcpy(&text, at, sizeof text);
        size = text ? strlen(text) : 0;
        if (size)
            put_bytes(bytes, number, text, size);
        break;
    case FIELD_NAME:
        size = strnlen(at, field->size);
        if (size)
            put_bytes(bytes, number, at, size);
        break;
    case FIELD_STRUCT:
        opened = field_open(bytes, (unsigned)number);
        fields_write(field->table, at, bytes);
        field_close(bytes, opened);
        break;
    case FIELD_DATASETS:
        write_datasets(field, number, source, bytes);
        break;
    case FIELD_FORMAT:
    case FIELD_32:
    case FIELD_64:
    case FIELD_BOOLEAN:
    case FIELD_REAL:
        write_number(field, number, at, bytes);
        break;
    case FIELD_BYTES: /* field_open writes them */
    case FIELD_NONE:
        break;
    }
}

void fields_write(const FieldTable *table, const void *source, Text *bytes)
{
    text_reserve(bytes, 0);
    for (size_t number = 1; number < table->count; number++)
        write_field(&table->fields[number], number, source, bytes);
    bytes->bytes[bytes->size] = '\0';
}
