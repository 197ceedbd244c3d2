/* Part of core_store: the files of a journal's folder, as bytes. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_SEGMENT_H
#define NERSWEEP_CORE_STORE_JOURNAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/io/file.h"
#include "core/store/journal.h"

enum { SEGMENT_HEADER_SIZE = 32, SEGMENT_EPOCH_LIMIT = 1000000 };
#define SEGMENT_SIZE_LIMIT ((size_t)4 << 30)

/* "FOLDER/epoch-000001.log" and "FOLDER/epoch-000001.json". The caller frees them. */
char *segment_log_path(const char *folder, uint64_t epoch);
char *segment_seal_path(const char *folder, uint64_t epoch);

/* The highest epoch that has a file in folder, 0 when there is none or no folder. */
NODISCARD Status segment_last_epoch(const char *folder, uint64_t *epoch, Diagnostic *diagnostic);

/* Asks the server, not a cache of names, whether epoch is claimed or sealed already. */
bool segment_epoch_taken(const char *folder, uint64_t epoch);

/* The length at which opening `epoch` sealed the segment before it; *sealed is false when it has no seal (yet). */
NODISCARD Status segment_read_seal(const char *folder, uint64_t epoch, bool *sealed, uint64_t *length, Diagnostic *diagnostic);

/* A segment's whole records. */
typedef struct Segment {
    char *path;
    char *bytes;
    size_t size;             /* of the file */
    size_t length;           /* up to the end of the last whole record; the seal's length if it has one */
    int version;             /* of its format */
    uint64_t first_sequence; /* of its first record */
    uint64_t record_count;
} Segment;

/* Reads and checks the segment of an epoch whose first record must have the number first_sequence. A file that is not there is an
 * empty segment. sealed_length NULL: the last segment, whose end may be torn. */
NODISCARD Status segment_load(Segment *segment, const char *folder, uint64_t epoch, uint64_t first_sequence,
                              const uint64_t *sealed_length, Diagnostic *diagnostic);
/* The last segment while its writer may go on: some file systems show a write under way as a hole with bytes behind it, so what looks
 * damaged is looked at again. */
NODISCARD Status segment_load_live(Segment *segment, const char *folder, uint64_t epoch, uint64_t first_sequence,
                                   Diagnostic *diagnostic);
void segment_free(Segment *segment);
NODISCARD Status segment_replay(const Segment *segment, JournalReplay replay, void *context, Diagnostic *diagnostic);

/* What a writer puts into the file. first_of_batch: nothing that is not durable yet lies before it. */
void segment_append_header(Text *text, uint64_t epoch, uint64_t first_sequence);
void segment_append_record(Text *text, uint64_t sequence, bool first_of_batch, const void *payload, size_t size);

/* Little-endian whatever the machine is. */
void segment_store_number(unsigned char *at, uint64_t value, size_t size);
uint64_t segment_load_number(const char *at, size_t size);

#endif
