/* Journal records taken apart without allocating for each: a start folds millions of them. Reads what journal.proto describes, as the
 * generated code would; writing is left to that. */
#include <stdlib.h>
#include <string.h>

#include "proto/record_reader.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, DATASET_FIELD = 21 };

typedef enum FieldKind {
    FIELD_NONE,
    FIELD_32,
    FIELD_64,
    FIELD_BOOLEAN,
    FIELD_REAL,
    FIELD_TEXT,
    FIELD_NAME,
    FIELD_ID,
    FIELD_DATASET
} FieldKind;

typedef struct Field {
    FieldKind kind;
    size_t offset; /* in the struct that is filled */
} Field;

/* What a record is read into: the record and its format. */
typedef struct Target {
    uint32_t format;
    Record record;
} Target;

#define OF_RECORD(kind, field)               \
    {                                        \
        kind, offsetof(Target, record.field) \
    }
static const Field record_fields[] = {
    [1] = {FIELD_32, offsetof(Target, format)},
    [2] = OF_RECORD(FIELD_32, type),
    [3] = OF_RECORD(FIELD_64, epoch),
    [4] = OF_RECORD(FIELD_64, wall_ms),
    [5] = OF_RECORD(FIELD_ID, id),
    [6] = OF_RECORD(FIELD_32, configuration),
    [7] = OF_RECORD(FIELD_32, seed_index),
    [8] = OF_RECORD(FIELD_TEXT, json),
    [9] = OF_RECORD(FIELD_TEXT, options_json),
    [10] = OF_RECORD(FIELD_TEXT, identity),
    [11] = OF_RECORD(FIELD_TEXT, worker),
    [12] = OF_RECORD(FIELD_32, kind),
    [13] = OF_RECORD(FIELD_TEXT, checkpoint),
    [14] = OF_RECORD(FIELD_64, sequence),
    [15] = OF_RECORD(FIELD_64, step),
    [16] = OF_RECORD(FIELD_64, total_steps),
    [17] = OF_RECORD(FIELD_REAL, training_epoch),
    [18] = OF_RECORD(FIELD_REAL, train_loss),
    [19] = OF_RECORD(FIELD_REAL, learning_rate),
    [20] = OF_RECORD(FIELD_REAL, score),
    [DATASET_FIELD] = {FIELD_DATASET, 0},
    [22] = OF_RECORD(FIELD_32, attempt_outcome),
    [23] = OF_RECORD(FIELD_BOOLEAN, counts_as_retry),
    [24] = OF_RECORD(FIELD_32, outcome),
    [25] = OF_RECORD(FIELD_32, control),
    [26] = OF_RECORD(FIELD_BOOLEAN, all_trials),
    [27] = OF_RECORD(FIELD_TEXT, reason),
};
static const Field id_fields[] = {
    [1] = {FIELD_32, offsetof(AssignmentId, trial)},
    [2] = {FIELD_64, offsetof(AssignmentId, fence)},
};
static const Field dataset_fields[] = {
    [1] = {FIELD_NAME, offsetof(DatasetScore, name)},      [2] = {FIELD_REAL, offsetof(DatasetScore, f1)},
    [3] = {FIELD_REAL, offsetof(DatasetScore, precision)}, [4] = {FIELD_REAL, offsetof(DatasetScore, recall)},
    [5] = {FIELD_REAL, offsetof(DatasetScore, loss)},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

_Static_assert(sizeof(RecordType) == 4 && sizeof(AssignmentKind) == 4 && sizeof(FinishOutcome) == 4 && sizeof(TrialOutcome) == 4 &&
                   sizeof(ControlAction) == 4,
               "enumerations are read as 32 bits");

typedef struct Wire {
    const unsigned char *at, *end;
} Wire;

static bool read_varint(Wire *wire, uint64_t *value)
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

/* The value of one field: a number, or a stretch of bytes. */
typedef struct Value {
    uint64_t number;
    Wire bytes;
} Value;

static bool read_value(Wire *wire, unsigned type, Value *value)
{
    size_t left = (size_t)(wire->end - wire->at), size = type == WIRE_64 ? 8 : 4;
    uint64_t number = 0;
    switch (type) {
    case WIRE_VARINT:
        return read_varint(wire, &value->number);
    case WIRE_64:
    case WIRE_32:
        if (left < size)
            return false;
        for (size_t i = size; i-- > 0;)
            number = number << 8 | wire->at[i];
        value->number = number;
        wire->at += size;
        return true;
    case WIRE_BYTES:
        if (!read_varint(wire, &number) || number > (size_t)(wire->end - wire->at))
            return false;
        value->bytes = (Wire){wire->at, wire->at + number};
        wire->at += number;
        return true;
    default:
        return false;
    }
}

static unsigned wire_type_of(FieldKind kind)
{
    return kind == FIELD_REAL ? WIRE_64 : kind <= FIELD_BOOLEAN ? WIRE_VARINT : WIRE_BYTES;
}

/* Room for all texts was made before: a pointer into them stays. An empty text counts as none. */
static char *keep_text(RecordScratch *scratch, Wire bytes)
{
    size_t size = (size_t)(bytes.end - bytes.at), begin = scratch->texts.size;
    if (size == 0 || bytes.at[0] == '\0')
        return NULL;
    text_append(&scratch->texts, (const char *)bytes.at, size);
    scratch->texts.size++; /* the terminator stays, too */
    return scratch->texts.bytes + begin;
}

static bool read_fields(Wire wire, const Field *fields, size_t count, char *target, RecordScratch *scratch);

static bool set_field(const Field *field, const Value *value, char *target, RecordScratch *scratch)
{
    char *at = target + field->offset;
    uint32_t number = (uint32_t)value->number;
    size_t size;
    switch (field->kind) {
    case FIELD_32:
        memcpy(at, &number, sizeof number);
        return true;
    case FIELD_64:
    case FIELD_REAL:
        memcpy(at, &value->number, sizeof value->number);
        return true;
    case FIELD_BOOLEAN:
        *(bool *)at = value->number != 0;
        return true;
    case FIELD_TEXT:
        *(char **)(void *)at = keep_text(scratch, value->bytes);
        return true;
    case FIELD_NAME:
        size = strnlen((const char *)value->bytes.at, (size_t)(value->bytes.end - value->bytes.at));
        if (size >= sizeof((DatasetScore){0}).name)
            return false;
        memset(at, 0, sizeof((DatasetScore){0}).name);
        memcpy(at, value->bytes.at, size);
        return true;
    case FIELD_ID:
        return read_fields(value->bytes, id_fields, COUNT(id_fields), at, scratch);
    case FIELD_DATASET:
        if (scratch->datasets.count == MESSAGE_DATASET_LIMIT)
            return false;
        array_push(&scratch->datasets, (DatasetScore){0});
        return read_fields(value->bytes, dataset_fields, COUNT(dataset_fields),
                           (char *)&scratch->datasets.items[scratch->datasets.count - 1], scratch);
    case FIELD_NONE:
        break;
    }
    return true;
}

/* Fields that are not known are passed over. */
static bool read_fields(Wire wire, const Field *fields, size_t count, char *target, RecordScratch *scratch)
{
    while (wire.at < wire.end) {
        uint64_t tag;
        Value value = {0};
        if (!read_varint(&wire, &tag) || tag < 8 || tag > UINT32_MAX || !read_value(&wire, tag & 7, &value))
            return false;
        const Field *field = tag >> 3 < count ? &fields[tag >> 3] : NULL;
        if (!field || field->kind == FIELD_NONE)
            continue;
        if ((tag & 7) != wire_type_of(field->kind) || !set_field(field, &value, target, scratch))
            return false;
    }
    return true;
}

bool record_read(Record *record, uint32_t *format, RecordScratch *scratch, const void *bytes, size_t size)
{
    Target target = {0};
    scratch->datasets.count = 0;
    text_clear(&scratch->texts);
    text_reserve(&scratch->texts, size); /* each text takes two bytes more on the wire, and one more here */
    bool read = read_fields((Wire){bytes, (const unsigned char *)bytes + size}, record_fields, COUNT(record_fields),
                            (char *)&target, scratch);
    *record = target.record;
    *format = target.format;
    record->dataset_count = scratch->datasets.count;
    record->datasets = scratch->datasets.count ? scratch->datasets.items : NULL;
    return read;
}

void record_scratch_free(RecordScratch *scratch)
{
    text_free(&scratch->texts);
    array_free(&scratch->datasets);
}
