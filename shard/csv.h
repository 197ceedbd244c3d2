/* Records of a CSV file (RFC 4180). Internal to shard/. */
#ifndef NERSWEEP_SHARD_CSV_H
#define NERSWEEP_SHARD_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"

typedef struct CsvField {
    size_t start, size; /* in the record's bytes */
    long line, column;  /* of its first byte, from 1 */
    bool quoted;
} CsvField;

typedef struct CsvRecord {
    Text bytes;
    ARRAY(CsvField) fields;
    long line;
    bool blank; /* a line with nothing in it */
} CsvRecord;
void csv_record_free(CsvRecord *record);

typedef struct CsvFile CsvFile;
NODISCARD Status csv_open(CsvFile **file, const char *path, Diagnostic *diagnostic);
void csv_close(CsvFile **file);
/* *more = false at the end. Errors are those of the format, with their place; reading may go on with the next line. */
NODISCARD Status csv_next(CsvFile *file, CsvRecord *record, bool *more, Diagnostic *diagnostic);
void csv_progress(const CsvFile *file, uint64_t *bytes_done, uint64_t *bytes_total);

#endif
