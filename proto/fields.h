/* Inside proto/ only: structs as protobuf's wire format, both ways, by tables of their fields and without allocating for each message. What the
 * tables say is what the .proto files describe; tests/proto/generated_test.c holds the bytes to those of protobuf-c's generated code. */
#ifndef NERSWEEP_PROTO_FIELDS_H
#define NERSWEEP_PROTO_FIELDS_H

#include "proto/messages.h"

typedef enum FieldKind {
    FIELD_NONE,
    FIELD_FORMAT,  /* the number `size`, which is in no struct; what is read is put into scratch->format */
    FIELD_32,      /* uint32_t, int32_t that is not negative, or an enumeration */
    FIELD_64,      /* uint64_t or int64_t */
    FIELD_BOOLEAN, /* bool */
    FIELD_REAL,    /* double */
    FIELD_TEXT,    /* char *: NULL where it is empty */
    FIELD_NAME,    /* char[size], terminated */
    FIELD_BYTES,   /* FieldBytes */
    FIELD_STRUCT,  /* a struct inside, by its own table */
    FIELD_DATASETS /* DatasetScore *, and their number at `size` */
} FieldKind;

/* A stretch of what is read. */
typedef struct FieldBytes {
    const unsigned char *at, *end;
} FieldBytes;

struct FieldTable;
typedef struct Field {
    FieldKind kind;
    size_t offset; /* in the struct */
    size_t size;
    const struct FieldTable *table;
    const char *name;
} Field;

/* fields[n] is the field of number n. */
typedef struct FieldTable {
    const Field *fields;
    size_t count;
} FieldTable;

extern const FieldTable assignment_id_fields;

/* Reads into the zeroed target. What it points to lives in scratch, which is used anew, or in bytes. False: malformed, or *refused names a
 * field that is too long for its place. Fields that are not known are passed over. Bounds of values are for the caller to check. */
bool fields_read(const FieldTable *table, void *target, WireScratch *scratch, const void *bytes, size_t size, const char **refused);
/* Appends. Fields that are zero or empty are left out. */
void fields_write(const FieldTable *table, const void *source, Text *bytes);
/* For a struct or message in a field of this number: what is appended between the two is its content. */
size_t field_open(Text *bytes, unsigned number);
void field_close(Text *bytes, size_t opened);

#endif
