/* Inside proto/ only: the bounds of values, which messages.c and records.c share. */
#ifndef NERSWEEP_PROTO_WIRE_H
#define NERSWEEP_PROTO_WIRE_H

#include <math.h>
#include <string.h>

#include "proto/messages.h"

enum { WIRE_CHECKPOINT_LIMIT = 512 };

NODISCARD Status wire_refuse_text(size_t limit, const char *what, const char *field, Diagnostic *diagnostic);
NODISCARD Status wire_refuse_integer(int64_t value, int64_t minimum, int64_t maximum, const char *what, const char *field,
                                     Diagnostic *diagnostic);
NODISCARD Status wire_refuse_infinite(const char *what, const char *field, Diagnostic *diagnostic);

/* Checks of values, the same before encoding and after decoding; here, because there are twenty to a record and millions of records.
 * what: "REPORT", field: the field's name. */
NODISCARD static inline Status wire_check_text(const char *text, size_t limit, const char *what, const char *field,
                                               Diagnostic *diagnostic)
{
    return !text || strnlen(text, limit + 1) <= limit ? STATUS_OK : wire_refuse_text(limit, what, field, diagnostic);
}

NODISCARD static inline Status wire_check_integer(int64_t value, int64_t minimum, int64_t maximum, const char *what,
                                                  const char *field, Diagnostic *diagnostic)
{
    return value >= minimum && value <= maximum ? STATUS_OK : wire_refuse_integer(value, minimum, maximum, what, field, diagnostic);
}

NODISCARD static inline Status wire_check_finite(double value, const char *what, const char *field, Diagnostic *diagnostic)
{
    return isfinite(value) ? STATUS_OK : wire_refuse_infinite(what, field, diagnostic);
}

NODISCARD Status wire_check_datasets(const DatasetScore *datasets, size_t count, const char *what, Diagnostic *diagnostic);
NODISCARD Status message_check(const Message *message, Diagnostic *diagnostic);

#endif
