/* Inside proto/ only: what messages.c and records.c share in turning generated structs into ours and back. */
#ifndef NERSWEEP_PROTO_WIRE_H
#define NERSWEEP_PROTO_WIRE_H

#include "proto/messages.h"

enum { WIRE_ALLOCATION_LIMIT = 64 * 1024 * 1024, WIRE_CHECKPOINT_LIMIT = 512 };

struct Nersweep__DatasetScore;

/* Unpacks bytes as the message of a descriptor (ProtobufCMessageDescriptor). NULL: malformed, or it asks for more memory than
 * WIRE_ALLOCATION_LIMIT (repeated empty messages take two bytes on the wire and fifty times that in memory). */
void *wire_unpack(const void *descriptor, const void *bytes, size_t size);
void wire_free(void *unpacked); /* NULL is fine */
/* Appends a generated message's encoding to bytes. */
void wire_pack(const void *message, Text *bytes);

/* Generated structs that point into scores; both arrays are freed by wire_datasets_free. */
struct Nersweep__DatasetScore **wire_datasets(const DatasetScore *scores, size_t count);
void wire_datasets_free(struct Nersweep__DatasetScore **datasets);
NODISCARD Status wire_datasets_read(DatasetScore **scores, size_t *score_count, struct Nersweep__DatasetScore *const *datasets,
                                    size_t count, Diagnostic *diagnostic);

/* Checks of values, the same before encoding and after decoding. what: "REPORT", field: the field's name. */
NODISCARD Status wire_check_text(const char *text, size_t limit, const char *what, const char *field, Diagnostic *diagnostic);
NODISCARD Status wire_check_integer(int64_t value, int64_t minimum, int64_t maximum, const char *what, const char *field,
                                    Diagnostic *diagnostic);
NODISCARD Status wire_check_finite(double value, const char *what, const char *field, Diagnostic *diagnostic);
NODISCARD Status wire_check_datasets(const DatasetScore *datasets, size_t count, const char *what, Diagnostic *diagnostic);
NODISCARD Status message_check(const Message *message, Diagnostic *diagnostic);

/* Copies text into an array of size bytes; too long is refused. NULL counts as "". */
NODISCARD Status wire_copy_text(char *to, size_t size, const char *text, const char *what, const char *field,
                                Diagnostic *diagnostic);

#endif
