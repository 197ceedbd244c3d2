/* Inside proto/ only: the bounds of values, which messages.c and records.c share. */
#ifndef NERSWEEP_PROTO_WIRE_H
#define NERSWEEP_PROTO_WIRE_H

#include "proto/messages.h"

enum { WIRE_CHECKPOINT_LIMIT = 512 };

/* Checks of values, the same before encoding and after decoding. what: "REPORT", field: the field's name. */
NODISCARD Status wire_check_text(const char *text, size_t limit, const char *what, const char *field, Diagnostic *diagnostic);
NODISCARD Status wire_check_integer(int64_t value, int64_t minimum, int64_t maximum, const char *what, const char *field,
                                    Diagnostic *diagnostic);
NODISCARD Status wire_check_finite(double value, const char *what, const char *field, Diagnostic *diagnostic);
NODISCARD Status wire_check_datasets(const DatasetScore *datasets, size_t count, const char *what, Diagnostic *diagnostic);
NODISCARD Status message_check(const Message *message, Diagnostic *diagnostic);

#endif
