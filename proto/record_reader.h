/* Inside proto/ only: a journal record's bytes, taken apart. */
#ifndef NERSWEEP_PROTO_RECORD_READER_H
#define NERSWEEP_PROTO_RECORD_READER_H

#include "proto/records.h"

/* False: malformed. What record points to lives in scratch. Bounds of values are for the caller to check. */
bool record_read(Record *record, uint32_t *format, RecordScratch *scratch, const void *bytes, size_t size);

#endif
