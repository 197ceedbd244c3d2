#include "core/store/journal_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/io/hash.h"
#include "core/io/json.h"

enum { RECORD_HEADER_SIZE = 16, RECORD_ALIGNMENT = 8, SEAL_SIZE_LIMIT = 4096 };
#define MARK_SEQUENCE_MASK UINT32_C(0x7FFFFFFF)

static const char segment_magic[7] = {'n', 's', 'w', 'j', 'r', 'n', 'l'}; /* and the version as a digit */

void segment_store_number(unsigned char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

uint64_t segment_load_number(const char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | (unsigned char)at[i];
    return value;
}

char *segment_log_path(const char *folder, uint64_t epoch)
{
    return memory_format("%s/epoch-%06llu.log", folder, (unsigned long long)epoch);
}

char *segment_seal_path(const char *folder, uint64_t epoch)
{
    return memory_format("%s/epoch-%06llu.json", folder, (unsigned long long)epoch);
}

/* An NFS client remembers for up to a minute that a name was not there, and what a folder held. Fetching the folder's attributes from
 * the server makes it notice that the folder has changed, and look again. Elsewhere this is a plain stat. */
static void refresh(const char *folder)
{
    struct statx ignored;
    int refreshed = statx(AT_FDCWD, folder, AT_STATX_FORCE_SYNC, STATX_MTIME | STATX_CTIME, &ignored);
    (void)refreshed; /* what follows tells whether the folder is there */
}

/* True unless path is known not to be there. A failure that says nothing of that counts as there, and comes up again where the file is
 * read: a segment that is only out of reach must never be taken for an empty one. */
static bool may_exist(const char *path)
{
    struct stat ignored;
    return stat(path, &ignored) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* The same for a file in folder; its absence is asked of the server. */
static bool is_there(const char *folder, const char *path)
{
    if (may_exist(path))
        return true;
    refresh(folder);
    return may_exist(path);
}

/* The epoch of "epoch-000001.log" or "epoch-000001.json"; 0 for every other name (temporary files, what people put there). */
static uint64_t epoch_of_name(const char *name)
{
    static const char prefix[] = "epoch-";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return 0;
    uint64_t epoch = 0;
    const char *digit = name + sizeof prefix - 1;
    for (; *digit >= '0' && *digit <= '9' && epoch <= SEGMENT_EPOCH_LIMIT; digit++)
        epoch = epoch * 10 + (uint64_t)(*digit - '0');
    return digit - name >= 12 && (strcmp(digit, ".log") == 0 || strcmp(digit, ".json") == 0) ? epoch : 0;
}

Status segment_last_epoch(const char *folder, uint64_t *epoch, Diagnostic *diagnostic)
{
    *epoch = 0;
    if (!may_exist(folder))
        return STATUS_OK;
    Status status = STATUS_OK;
    StringArray names = {0};
    refresh(folder);
    TRY(folder_list(folder, &names, diagnostic));
    for (size_t i = 0; i < names.count; i++) {
        uint64_t found = epoch_of_name(names.items[i]);
        if (found > SEGMENT_EPOCH_LIMIT)
            TRY_FAIL(diagnostic, STATUS_LIMIT, "%s/%s: a journal has at most %d epochs", folder, names.items[i],
                     SEGMENT_EPOCH_LIMIT);
        if (found > *epoch)
            *epoch = found;
    }
out:
    string_array_free(&names);
    return status;
}

bool segment_epoch_taken(const char *folder, uint64_t epoch)
{
    char *log_path = segment_log_path(folder, epoch), *seal_path = segment_seal_path(folder, epoch);
    bool taken = is_there(folder, log_path) || is_there(folder, seal_path);
    free(log_path);
    free(seal_path);
    return taken;
}

Status segment_read_seal(const char *folder, uint64_t epoch, bool *sealed, uint64_t *length, Diagnostic *diagnostic)
{
    *sealed = false;
    *length = 0;
    Status status = STATUS_OK;
    Json *json = NULL;
    int64_t number;
    char *path = segment_seal_path(folder, epoch);
    if (!is_there(folder, path))
        goto out;
    TRY(json_read_file(&json, path, SEAL_SIZE_LIMIT, diagnostic));
    TRY(json_require_integer(json, "epoch", path, (int64_t)epoch, (int64_t)epoch, &number, diagnostic));
    TRY(json_require_integer(json, "seals", path, (int64_t)epoch - 1, (int64_t)epoch - 1, &number, diagnostic));
    TRY(json_require_integer(json, "length", path, 0, (int64_t)SEGMENT_SIZE_LIMIT, &number, diagnostic));
    *length = (uint64_t)number;
    *sealed = true;
out:
    /* Seals are put in place whole, so one that does not read well was damaged. */
    if (status == STATUS_INVALID_INPUT || status == STATUS_LIMIT) {
        status = STATUS_CORRUPT;
        if (diagnostic)
            diagnostic->code = status;
    }
    json_destroy(&json);
    free(path);
    return status;
}

void segment_append_header(Text *text, uint64_t epoch, uint64_t first_sequence)
{
    unsigned char header[SEGMENT_HEADER_SIZE];
    memcpy(header, segment_magic, sizeof segment_magic);
    header[sizeof segment_magic] = '0' + JOURNAL_FORMAT_VERSION;
    segment_store_number(header + 8, epoch, 8);
    segment_store_number(header + 16, first_sequence, 8);
    segment_store_number(header + 24, checksum64(header, 24), 8);
    text_append(text, (const char *)header, sizeof header);
}

static size_t padded(size_t size)
{
    return (size + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
}

static uint32_t record_mark(uint64_t sequence, bool first_of_batch)
{
    return (uint32_t)(sequence & MARK_SEQUENCE_MASK) << 1 | first_of_batch;
}

void segment_append_record(Text *text, uint64_t sequence, bool first_of_batch, const void *payload, size_t size)
{
    ASSERT(size <= JOURNAL_RECORD_LIMIT);
    static const char zeros[RECORD_ALIGNMENT];
    unsigned char header[RECORD_HEADER_SIZE] = {0};
    size_t at = text->size;
    segment_store_number(header + 8, size, 4);
    segment_store_number(header + 12, record_mark(sequence, first_of_batch), 4);
    text_append(text, (const char *)header, sizeof header);
    text_append(text, payload, size);
    text_append(text, zeros, padded(size) - size);
    segment_store_number((unsigned char *)text->bytes + at, checksum64(text->bytes + at + 8, RECORD_HEADER_SIZE - 8 + size), 8);
}

/* A record's frame, as found in a segment of either version. Offsets count in segment->bytes. */
typedef struct Frame {
    size_t payload, payload_size, end;
    uint32_t mark;
} Frame;

/* Could a whole record stand at offset? Looks only at its frame. */
static bool record_framed(const Segment *segment, size_t limit, size_t offset, Frame *frame)
{
    if (offset > limit || limit - offset < RECORD_HEADER_SIZE)
        return false;
    const char *header = segment->bytes + offset;
    size_t size = segment_load_number(header + (segment->version == 1 ? 0 : 8), 4);
    frame->mark = (uint32_t)segment_load_number(header + (segment->version == 1 ? 4 : 12), 4);
    if (size > JOURNAL_RECORD_LIMIT || (segment->version == 1 && frame->mark != 0))
        return false;
    if (limit - offset - RECORD_HEADER_SIZE < padded(size))
        return false;
    frame->payload = offset + RECORD_HEADER_SIZE;
    frame->payload_size = size;
    frame->end = frame->payload + padded(size);
    for (size_t i = frame->payload + size; i < frame->end; i++) {
        if (segment->bytes[i] != 0)
            return false;
    }
    return true;
}

/* Version 1: checksum64 of the sequence number and the payload, put behind each other in scratch. */
static bool checksum_matches_1(const Segment *segment, size_t offset, const Frame *frame, uint64_t sequence, Text *scratch)
{
    unsigned char number[8];
    segment_store_number(number, sequence, sizeof number);
    text_clear(scratch);
    text_append(scratch, (const char *)number, sizeof number);
    text_append(scratch, segment->bytes + frame->payload, frame->payload_size);
    return segment_load_number(segment->bytes + offset + 8, 8) == checksum64(scratch->bytes, scratch->size);
}

static bool record_valid(const Segment *segment, size_t limit, size_t offset, uint64_t sequence, Frame *frame, Text *scratch)
{
    if (!record_framed(segment, limit, offset, frame))
        return false;
    if (segment->version == 1)
        return checksum_matches_1(segment, offset, frame, sequence, scratch);
    return frame->mark >> 1 == (sequence & MARK_SEQUENCE_MASK) &&
           segment_load_number(segment->bytes + offset, 8) ==
               checksum64(segment->bytes + offset + 8, RECORD_HEADER_SIZE - 8 + frame->payload_size);
}

/* Is there a whole record at `at` that shows that the bad one before it, which should have had the number `sequence`, was once whole?
 * Version 1: any that follows. Later: one that begins a batch, because a batch is written only when all before it is durable; others may
 * be the rest of the very batch that was torn, of which a power cut may keep any part. */
static bool proves_damage(const Segment *segment, size_t at, uint64_t sequence, Frame *frame, Text *scratch)
{
    enum { NUMBERS_TRIED = 8 };
    if (segment->version != 1) {
        uint64_t ahead = ((frame->mark >> 1) - sequence) & MARK_SEQUENCE_MASK;
        bool plausible = ahead > 0 && ahead <= segment->size / RECORD_HEADER_SIZE && (frame->mark & 1);
        return plausible && record_valid(segment, segment->size, at, sequence + ahead, frame, scratch);
    }
    for (uint64_t number = sequence + 1; number <= sequence + NUMBERS_TRIED; number++)
        if (record_valid(segment, segment->size, at, number, frame, scratch))
            return true;
    return false;
}

/* The record at offset, which should have this sequence number, is bad. Is it the torn end of the file, or was it damaged later? Looks at
 * every place behind it where a record could start. */
static bool damaged_later(const Segment *segment, size_t offset, uint64_t sequence, Text *scratch)
{
    size_t work_left =
        (size_t)256 << 20; /* bytes to hash: a hostile file must not keep us for ever; then it is damaged, for sure */
    for (size_t at = offset + RECORD_ALIGNMENT; at + RECORD_HEADER_SIZE <= segment->size; at += RECORD_ALIGNMENT) {
        Frame frame;
        if (segment_load_number(segment->bytes + at, 8) == 0 && segment_load_number(segment->bytes + at + 8, 8) == 0)
            continue; /* a hole, as file systems leave it behind; it would pass for very many empty records */
        if (!record_framed(segment, segment->size, at, &frame))
            continue;
        if (proves_damage(segment, at, sequence, &frame, scratch))
            return true;
        size_t work = segment->version == 1 ? 8 * (frame.end - at) : (frame.mark & 1) ? frame.end - at : 0;
        if (work > work_left)
            return true;
        work_left -= work;
    }
    return false;
}

static Status segment_corrupt(const Segment *segment, size_t offset, const char *what, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_CORRUPT,
                "%s: %s at offset %zu: restore the file from a backup, or start the sweep anew under another name", segment->path,
                what, offset);
}

static Status check_header(Segment *segment, uint64_t epoch, Diagnostic *diagnostic)
{
    const char *header = segment->bytes;
    if (memcmp(header, segment_magic, sizeof segment_magic) != 0 || segment_load_number(header + 24, 8) != checksum64(header, 24))
        return segment_corrupt(segment, 0, "the header is damaged", diagnostic);
    segment->version = header[sizeof segment_magic] - '0';
    if (segment->version < 1 || segment->version > JOURNAL_FORMAT_VERSION)
        return FAIL(diagnostic, STATUS_MISMATCH, "%s is of format %c; this nersweep reads formats 1 to %d: use a newer one",
                    segment->path, header[sizeof segment_magic], JOURNAL_FORMAT_VERSION);
    if (segment_load_number(header + 8, 8) != epoch || segment_load_number(header + 16, 8) != segment->first_sequence)
        return segment_corrupt(segment, 0, "the header is that of another segment", diagnostic);
    return STATUS_OK;
}

/* Counts whole records and finds their end. */
static Status scan(Segment *segment, uint64_t epoch, bool sealed, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Text scratch = {0};
    size_t limit = sealed ? segment->length : segment->size, offset = SEGMENT_HEADER_SIZE;
    segment->length = 0;
    if (limit < SEGMENT_HEADER_SIZE) {
        if (sealed && limit > 0)
            status = segment_corrupt(segment, limit, "the seal lies within the header", diagnostic);
        goto out;
    }
    /* A writer syncs its header before its first record, so a bad one with nothing behind it is the trace of a writer that died. */
    if (!sealed && limit == SEGMENT_HEADER_SIZE && check_header(segment, epoch, NULL) == STATUS_CORRUPT)
        goto out;
    TRY(check_header(segment, epoch, diagnostic));
    while (offset < limit) {
        uint64_t sequence = segment->first_sequence + segment->record_count;
        Frame frame;
        if (!record_valid(segment, limit, offset, sequence, &frame, &scratch)) {
            if (sealed || damaged_later(segment, offset, sequence, &scratch)) {
                status = segment_corrupt(segment, offset, "a record is damaged", diagnostic);
                goto out;
            }
            break;
        }
        offset = frame.end;
        segment->record_count++;
    }
    segment->length = offset;
out:
    text_free(&scratch);
    return status;
}

Status segment_load(Segment *segment, const char *folder, uint64_t epoch, uint64_t first_sequence, const uint64_t *sealed_length,
                    Diagnostic *diagnostic)
{
    *segment = (Segment){.path = segment_log_path(folder, epoch), .first_sequence = first_sequence};
    Status status = STATUS_OK;
    if (is_there(folder, segment->path))
        TRY(file_read(segment->path, SEGMENT_SIZE_LIMIT, &segment->bytes, &segment->size, diagnostic));
    if (sealed_length) {
        segment->length = (size_t)*sealed_length;
        if (segment->length > segment->size)
            TRY_FAIL(diagnostic, STATUS_CORRUPT,
                     "%s has %zu bytes, but %llu were sealed: restore it from a backup, or start the sweep anew under another name",
                     segment->path, segment->size, (unsigned long long)*sealed_length);
    }
    TRY(scan(segment, epoch, sealed_length != NULL, diagnostic));
out:
    if (status != STATUS_OK)
        segment_free(segment);
    return status;
}

Status segment_load_live(Segment *segment, const char *folder, uint64_t epoch, uint64_t first_sequence, Diagnostic *diagnostic)
{
    enum { TRIES = 4 };
    const int64_t pause_ns = 20000000;
    const Clock *clock = clock_system();
    for (int tries = 1;; tries++) {
        Diagnostic attempt = {0};
        Status status = segment_load(segment, folder, epoch, first_sequence, NULL, &attempt);
        if (status != STATUS_CORRUPT || tries == TRIES) {
            if (status != STATUS_OK && diagnostic)
                *diagnostic = attempt;
            return status;
        }
        clock->sleep_ns(clock->context, pause_ns);
    }
}

void segment_free(Segment *segment)
{
    free(segment->path);
    free(segment->bytes);
    *segment = (Segment){0};
}

Status segment_replay(const Segment *segment, JournalReplay replay, void *context, Diagnostic *diagnostic)
{
    size_t offset = SEGMENT_HEADER_SIZE;
    for (uint64_t i = 0; i < segment->record_count; i++) {
        Frame frame;
        ASSERT(record_framed(segment, segment->size, offset, &frame)); /* scan has seen it */
        Status status =
            replay(context, segment->first_sequence + i, segment->bytes + frame.payload, frame.payload_size, diagnostic);
        if (status != STATUS_OK)
            return status;
        offset = frame.end;
    }
    return STATUS_OK;
}
