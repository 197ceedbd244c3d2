#include "core/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/io/json.h"
#include "core/store/journal_segment.h"
#include "core/store/journal_snapshot.h"

struct Journal {
    char *folder;
    char *path; /* of this epoch's segment */
    const FileSystem *fs;
    int file;
    uint64_t epoch;
    uint64_t next_sequence;
    size_t size;   /* of the segment, what is buffered included */
    size_t synced; /* of it, what is durable */
    uint64_t replayed_bytes, record_count;
    Text buffered; /* records that were appended since the last sync */
    Status broken; /* not STATUS_OK: the status with which it broke */
};

/* Makes the file that seals the segment before epoch at length. When somebody else has done so in the meantime, their length counts. */
static Status write_seal(const FileSystem *fs, const char *folder, uint64_t epoch, uint64_t *length, Diagnostic *diagnostic)
{
    Json *json = json_object();
    json_set(json, "epoch", json_integer((int64_t)epoch));
    json_set(json, "seals", json_integer((int64_t)epoch - 1));
    json_set(json, "length", json_integer((int64_t)*length));
    char *text = json_text(json, JSON_COMPACT), *path = segment_seal_path(folder, epoch);
    Diagnostic attempt = {0};
    Status status = file_create_exclusive(fs, path, text, strlen(text), &attempt);
    if (status == STATUS_EXISTS) {
        bool sealed;
        status = segment_read_seal(folder, epoch, &sealed, length, diagnostic);
        if (status == STATUS_OK && !sealed) /* it must not be taken for an empty segment */
            status = FAIL(diagnostic, STATUS_BUSY, "%s is there, but cannot be seen yet: try again", path);
    } else if (status != STATUS_OK && diagnostic) {
        *diagnostic = attempt;
    }
    free(path);
    free(text);
    json_destroy(&json);
    return status;
}

/* How far the journal is read. */
typedef struct Cursor {
    uint64_t epoch, next_sequence; /* of the segment that is next, of its first record */
    uint64_t bytes;                /* of segments so far */
} Cursor;

/* The caller's replay gets each record once, and none that he has: where a snapshot turns out to be damaged, what it had is read again from
 * elsewhere. */
typedef struct Once {
    JournalReplay replay;
    void *context;
    uint64_t seen;
} Once;

static Status replay_once(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic)
{
    Once *once = context;
    if (sequence <= once->seen)
        return STATUS_OK;
    once->seen = sequence;
    return once->replay(once->context, sequence, payload, size, diagnostic);
}

/* From the newest snapshot on, which is replayed unless its records are known; replay NULL: all are. */
static Status begin_reading(const char *folder, Cursor *cursor, uint64_t known, JournalReplay replay, void *context,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *cursor = (Cursor){0};
    if (known > 0 || !replay)
        TRY(journal_snapshot_end(folder, &cursor->epoch, &cursor->next_sequence, diagnostic));
    if (replay && (cursor->epoch == 0 || cursor->next_sequence > known + 1))
        TRY(journal_snapshot_replay(folder, replay, context, &cursor->epoch, &cursor->next_sequence, diagnostic));
    cursor->epoch++;
out:
    return status;
}

static Status missing_seal(const char *folder, uint64_t epoch, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_CORRUPT, "%s/epoch-%06llu.json is missing: restore it from a backup", folder,
                (unsigned long long)epoch);
}

/* Goes on with the segment after a loaded one. */
static void advance(Cursor *cursor, const Segment *segment)
{
    cursor->bytes += segment->length;
    cursor->epoch++;
    cursor->next_sequence += segment->record_count;
}

/* Replays the segments before `epoch`, whose seals must all be there. */
static Status replay_sealed(const char *folder, uint64_t epoch, Cursor *cursor, JournalReplay replay, void *context,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Segment segment = {0};
    while (cursor->epoch < epoch) {
        bool sealed;
        uint64_t length;
        TRY(segment_read_seal(folder, cursor->epoch + 1, &sealed, &length, diagnostic));
        if (!sealed) {
            status = missing_seal(folder, cursor->epoch + 1, diagnostic);
            goto out;
        }
        TRY(segment_load(&segment, folder, cursor->epoch, cursor->next_sequence, &length, diagnostic));
        if (replay)
            TRY(segment_replay(&segment, replay, context, diagnostic));
        advance(cursor, &segment);
        segment_free(&segment);
    }
out:
    segment_free(&segment);
    return status;
}

/* Makes sure that the segment before `epoch` is sealed: measures it if need be. Only to be called when `epoch` is claimed. */
static Status seal_before(const FileSystem *fs, const char *folder, uint64_t epoch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Segment segment = {0};
    bool sealed;
    uint64_t length = 0;
    TRY(segment_read_seal(folder, epoch, &sealed, &length, diagnostic));
    if (sealed)
        goto out;
    if (epoch > 1) {
        Cursor cursor;
        TRY(begin_reading(folder, &cursor, 0, NULL, NULL, diagnostic));
        if (cursor.epoch >= epoch) /* a snapshot stands for it: it was sealed, and perhaps removed since */
            goto out;
        TRY(replay_sealed(folder, epoch - 1, &cursor, NULL, NULL, diagnostic));
        TRY(segment_load(&segment, folder, epoch - 1, cursor.next_sequence, NULL, diagnostic));
        length = segment.length;
    }
    TRY(write_seal(fs, folder, epoch, &length, diagnostic));
out:
    segment_free(&segment);
    return status;
}

/* Takes the next epoch: see "Why the claim comes before the seal" in the header. */
static Status claim(Journal *journal, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const FileSystem *fs = journal->fs;
    uint64_t last;
    TRY(segment_last_epoch(journal->folder, &last, diagnostic));
    if (last >= SEGMENT_EPOCH_LIMIT)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s has had %d epochs: start the sweep anew under another name", journal->folder,
                 SEGMENT_EPOCH_LIMIT);
    if (last > 0) /* its owner may have died between its claim and its seal */
        TRY(seal_before(fs, journal->folder, last, diagnostic));
    journal->epoch = last + 1;
    journal->path = segment_log_path(journal->folder, journal->epoch);
    journal->file = fs->open(fs->context, journal->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (journal->file < 0 && errno == EEXIST)
        TRY_FAIL(diagnostic, STATUS_BUSY, "another coordinator has just taken epoch %llu of %s: try again",
                 (unsigned long long)journal->epoch, journal->folder);
    if (journal->file < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot create %s: %s", journal->path, strerror(errno));
    TRY(folder_sync(fs, journal->folder, diagnostic));
    TRY(seal_before(fs, journal->folder, journal->epoch, diagnostic));
    if (fault_point("journal.epoch_created"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at journal.epoch_created in %s", journal->folder);
out:
    return status;
}

static Status write_header(Journal *journal, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Text header = {0};
    segment_append_header(&header, journal->epoch, journal->next_sequence);
    TRY(file_write_all(journal->fs, journal->file, header.bytes, header.size, journal->path, diagnostic));
    TRY(file_fsync(journal->fs, journal->file, journal->path, diagnostic));
    journal->size = journal->synced = header.size;
out:
    text_free(&header);
    return status;
}

Status journal_open(Journal **journal, const char *folder, const FileSystem *fs, JournalReplay replay, void *context,
                    Diagnostic *diagnostic)
{
    return journal_open_behind(journal, folder, fs, 0, replay, context, diagnostic);
}

Status journal_open_behind(Journal **journal, const char *folder, const FileSystem *fs, uint64_t known, JournalReplay replay,
                           void *context, Diagnostic *diagnostic)
{
    *journal = NULL;
    Status status = STATUS_OK;
    Journal *opened = memory_allocate(1, sizeof *opened);
    opened->folder = memory_copy_string(folder);
    opened->fs = fs;
    opened->file = -1;
    Cursor cursor;
    Once once = {.replay = replay, .context = context, .seen = known};
    if (replay) {
        replay = replay_once;
        context = &once;
    }
    TRY(folder_create(fs, folder, diagnostic));
    TRY(claim(opened, diagnostic));
    TRY(begin_reading(folder, &cursor, known, replay, context, diagnostic));
    TRY(replay_sealed(folder, opened->epoch, &cursor, replay, context, diagnostic));
    opened->next_sequence = cursor.next_sequence;
    opened->record_count = cursor.next_sequence - 1;
    opened->replayed_bytes = cursor.bytes;
    TRY(write_header(opened, diagnostic));
    if (segment_epoch_taken(folder, opened->epoch + 1))
        TRY_FAIL(diagnostic, STATUS_BUSY, "another coordinator has taken over %s while it was being opened: try again", folder);
    *journal = opened;
    opened = NULL;
out:
    journal_close(&opened);
    return status;
}

Status journal_read(const char *folder, JournalReplay replay, void *context, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Segment segment = {0};
    uint64_t last;
    Cursor cursor;
    Once once = {.replay = replay, .context = context};
    TRY(segment_last_epoch(folder, &last, diagnostic));
    TRY(begin_reading(folder, &cursor, 0, replay_once, &once, diagnostic));
    while (cursor.epoch <= last) {
        bool sealed;
        uint64_t length, epoch = cursor.epoch;
        TRY(segment_read_seal(folder, epoch + 1, &sealed, &length, diagnostic));
        if (!sealed) {
            TRY(segment_load_live(&segment, folder, epoch, cursor.next_sequence, diagnostic));
            /* It may have been sealed while it was read, shorter than what was read. */
            TRY(segment_read_seal(folder, epoch + 1, &sealed, &length, diagnostic));
            if (sealed)
                segment_free(&segment);
        }
        if (sealed) {
            TRY(segment_load(&segment, folder, epoch, cursor.next_sequence, &length, diagnostic));
            if (last == epoch && last < SEGMENT_EPOCH_LIMIT)
                last++; /* whoever sealed it has a segment of its own */
        } else if (epoch + 1 < last) {
            /* Only the last epoch may be claimed without a seal. */
            status = missing_seal(folder, epoch + 1, diagnostic);
            goto out;
        }
        TRY(segment_replay(&segment, replay_once, &once, diagnostic));
        advance(&cursor, &segment);
        segment_free(&segment);
        if (!sealed)
            break;
    }
out:
    segment_free(&segment);
    return status;
}

void journal_close(Journal **journal)
{
    Journal *closed = *journal;
    *journal = NULL;
    if (!closed)
        return;
    if (closed->file >= 0)
        closed->fs->close(closed->fs->context, closed->file);
    text_free(&closed->buffered);
    free(closed->path);
    free(closed->folder);
    free(closed);
}

uint64_t journal_epoch(const Journal *journal)
{
    return journal->epoch;
}

uint64_t journal_record_count(const Journal *journal)
{
    return journal->record_count;
}

uint64_t journal_replayed_bytes(const Journal *journal)
{
    return journal->replayed_bytes;
}

bool journal_broken(const Journal *journal)
{
    return journal->broken != STATUS_OK;
}

static Status refuse_broken(const Journal *journal, Diagnostic *diagnostic)
{
    if (journal->broken == STATUS_OK)
        return STATUS_OK;
    return FAIL(diagnostic, journal->broken,
                "%s takes no more records, because an earlier write of it failed (%s): open the journal anew", journal->path,
                status_name(journal->broken));
}

Status journal_append(Journal *journal, const void *payload, size_t size, Diagnostic *diagnostic)
{
    enum { ROOM_FOR_FRAME = 32, BUFFER_LIMIT = 4 * JOURNAL_RECORD_LIMIT };
    Status status = refuse_broken(journal, diagnostic);
    if (status != STATUS_OK)
        return status;
    if (size > JOURNAL_RECORD_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "a journal record of %zu bytes is over the limit of %d", size, JOURNAL_RECORD_LIMIT);
    if (journal->buffered.size > BUFFER_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%s: more than %d bytes were appended without a sync", journal->path, BUFFER_LIMIT);
    if (journal->size > SEGMENT_SIZE_LIMIT - size - ROOM_FOR_FRAME)
        return FAIL(diagnostic, STATUS_LIMIT, "%s is full: open the journal anew, which begins another segment", journal->path);
    size_t before = journal->buffered.size;
    segment_append_record(&journal->buffered, journal->next_sequence, before == 0, payload, size);
    journal->next_sequence++;
    journal->size += journal->buffered.size - before;
    return STATUS_OK;
}

static Status refuse_stale(const Journal *journal, Diagnostic *diagnostic)
{
    if (!segment_epoch_taken(journal->folder, journal->epoch + 1))
        return STATUS_OK;
    return FAIL(diagnostic, STATUS_STALE_EPOCH, "epoch %llu of %s is over: another coordinator has taken over, this one must stop",
                (unsigned long long)journal->epoch, journal->folder);
}

/* Writes what is buffered. When the disk is full, what of it was written goes again, so that it can be tried once more. */
static Status write_buffered(Journal *journal, bool *again, Diagnostic *diagnostic)
{
    Status status =
        file_write_all(journal->fs, journal->file, journal->buffered.bytes, journal->buffered.size, journal->path, diagnostic);
    *again = status == STATUS_NO_SPACE && journal->fs->ftruncate(journal->fs->context, journal->file, (off_t)journal->synced) == 0;
    return status;
}

Status journal_sync(Journal *journal, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    bool again = false;
    TRY(refuse_broken(journal, diagnostic));
    TRY(refuse_stale(journal, diagnostic));
    if (journal->buffered.size == 0)
        goto out;
    if (fault_point("journal.before_write"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at journal.before_write in %s", journal->path);
    TRY(write_buffered(journal, &again, diagnostic));
    if (fault_point("journal.before_fsync"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at journal.before_fsync in %s", journal->path);
    TRY(file_fsync(journal->fs, journal->file, journal->path, diagnostic));
    if (fault_point("journal.after_fsync"))
        TRY_FAIL(diagnostic, STATUS_IO, "injected failure at journal.after_fsync in %s", journal->path);
    /* Acknowledged must mean that every later reader sees it. A successor that has claimed its epoch by now may have measured our
     * segment before or after this write: we cannot know, so nothing may be acknowledged. One that claims later measures later still,
     * and seals what is durable now. */
    TRY(refuse_stale(journal, diagnostic));
    text_clear(&journal->buffered);
    journal->synced = journal->size;
out:
    if (status != STATUS_OK && !again && journal->broken == STATUS_OK)
        journal->broken = status;
    return status;
}
