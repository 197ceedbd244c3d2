#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/corpus.h"
#include "shard/corpus_lines.h"
#include "shard/csv.h"

enum { CSV_COLUMN_LIMIT = 256 };

struct CsvFile {
    char *path;
    FILE *file;
    bool begun;
    int ahead[2]; /* bytes that were looked at */
    int ahead_count;
    long line, column; /* of the next byte */
    uint64_t bytes_done, bytes_total;
};

void csv_record_free(CsvRecord *record)
{
    text_free(&record->bytes);
    array_free(&record->fields);
}

Status csv_open(CsvFile **file, const char *path, Diagnostic *diagnostic)
{
    struct stat information;
    CsvFile *opened = memory_allocate(1, sizeof *opened);
    *file = opened;
    opened->path = memory_copy_string(path);
    opened->line = opened->column = 1;
    opened->file = fopen(path, "rbe");
    if (!opened->file)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the corpus file %s: %s", path, strerror(errno));
    if (fstat(fileno(opened->file), &information) != 0 || !S_ISREG(information.st_mode))
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "%s is not a regular file: corpora are read more than once, so write it to a file first", path);
    opened->bytes_total = (uint64_t)information.st_size;
    return STATUS_OK;
}

void csv_close(CsvFile **file)
{
    CsvFile *closed = *file;
    *file = NULL;
    if (!closed)
        return;
    if (closed->file)
        fclose(closed->file);
    free(closed->path);
    free(closed);
}

void csv_progress(const CsvFile *file, uint64_t *bytes_done, uint64_t *bytes_total)
{
    *bytes_done = file->bytes_done;
    *bytes_total = file->bytes_total;
}

/* The next byte (place 0) or the one behind it (place 1); EOF at the end. */
static int csv_look(CsvFile *file, int place)
{
    while (file->ahead_count <= place)
        file->ahead[file->ahead_count++] = getc_unlocked(file->file);
    return file->ahead[place];
}

static int csv_peek(CsvFile *file)
{
    return csv_look(file, 0);
}

static int csv_get(CsvFile *file)
{
    int byte = csv_look(file, 0);
    if (byte == EOF)
        return byte;
    file->ahead[0] = file->ahead[1];
    file->ahead_count--;
    file->bytes_done++;
    file->column = byte == '\n' ? 1 : file->column + 1;
    file->line += byte == '\n';
    return byte;
}

static void csv_skip_mark(CsvFile *file)
{
    static const char mark[] = "\xEF\xBB\xBF";
    for (int i = 0; !file->begun && i < 3 && csv_peek(file) == (unsigned char)mark[i]; i++)
        csv_get(file);
    if (!file->begun)
        file->column = 1;
    file->begun = true;
}

/* The rest of a line that is wrong is not read as records. */
static Status csv_fail(CsvFile *file, long line, long column, Diagnostic *diagnostic, const char *message)
{
    while (csv_peek(file) != EOF && csv_peek(file) != '\n')
        csv_get(file);
    csv_get(file);
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, file->path, line, column, "%s [csv]", message);
}

static bool at_line_end(CsvFile *file)
{
    int byte = csv_look(file, 0);
    if (byte != '\r')
        return byte == '\n' || byte == EOF;
    return csv_look(file, 1) == '\n' || csv_look(file, 1) == EOF;
}

static bool byte_push(CsvFile *file, CsvRecord *record)
{
    char byte = (char)csv_get(file);
    text_append(&record->bytes, &byte, 1);
    return record->bytes.size <= CORPUS_LINE_LIMIT;
}

static Status quoted_take(CsvFile *file, CsvRecord *record, const CsvField *field, Diagnostic *diagnostic)
{
    csv_get(file);
    for (;;) {
        int byte = csv_peek(file);
        if (byte == EOF)
            return csv_fail(file, field->line, field->column, diagnostic, "the quoted field that begins here is not closed");
        if (byte == '"') {
            csv_get(file);
            if (csv_peek(file) != '"')
                break;
        }
        if (!byte_push(file, record))
            return csv_fail(file, field->line, field->column, diagnostic,
                            "the record is too long; is the quoted field that begins here closed?");
    }
    if (csv_peek(file) == ',' || at_line_end(file))
        return STATUS_OK;
    return csv_fail(file, file->line, file->column, diagnostic,
                    "expected a comma or the line's end behind a quoted field; a quote within it is written twice");
}

static Status plain_take(CsvFile *file, CsvRecord *record, Diagnostic *diagnostic)
{
    while (csv_peek(file) != ',' && !at_line_end(file)) {
        if (csv_peek(file) == '\r')
            return csv_fail(file, file->line, file->column, diagnostic,
                            "a carriage return without a line feed in a field without quotes: is it meant to end the line? convert "
                            "the line ends with tr '\\r' '\\n'");
        if (csv_peek(file) == '"')
            return csv_fail(file, file->line, file->column, diagnostic,
                            "a quote in a field without quotes: write the field in quotes, and this one twice");
        if (!byte_push(file, record))
            return csv_fail(file, file->line, 1, diagnostic, "the record is too long");
    }
    return STATUS_OK;
}

static Status encoding_check(CsvFile *file, const CsvRecord *record, const CsvField *field, Diagnostic *diagnostic)
{
    const char *bytes = record->bytes.bytes + field->start;
    ptrdiff_t invalid = field->size > 0 ? corpus_invalid_utf8(bytes, field->size) : -1;
    if (invalid < 0)
        return STATUS_OK;
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, file->path, field->line, field->column,
                   "byte 0x%02X of the field is not valid UTF-8; convert the file with iconv -t UTF-8 [encoding]",
                   (unsigned char)bytes[invalid]);
}

Status csv_next(CsvFile *file, CsvRecord *record, bool *more, Diagnostic *diagnostic)
{
    csv_skip_mark(file);
    text_clear(&record->bytes);
    text_append(&record->bytes, "", 0);
    record->fields.count = 0;
    record->line = file->line;
    *more = csv_peek(file) != EOF;
    if (!*more)
        return ferror(file->file) ? FAIL_AT(diagnostic, STATUS_IO, file->path, file->line, 0, "cannot read on: %s", strerror(errno))
                                  : STATUS_OK;
    for (;;) {
        CsvField field = {.start = record->bytes.size, .line = file->line, .column = file->column, .quoted = csv_peek(file) == '"'};
        Status status = field.quoted ? quoted_take(file, record, &field, diagnostic) : plain_take(file, record, diagnostic);
        if (status != STATUS_OK)
            return status;
        field.size = record->bytes.size - field.start;
        array_push(&record->fields, field);
        if (record->fields.count > CSV_COLUMN_LIMIT)
            return csv_fail(file, file->line, 1, diagnostic, "the record has more than 256 fields");
        if (csv_peek(file) != ',')
            break;
        csv_get(file);
    }
    while (csv_peek(file) == '\r')
        csv_get(file);
    csv_get(file);
    const CsvField *first = &record->fields.items[0];
    record->blank = record->fields.count == 1 && first->size == 0 && !first->quoted;
    for (size_t i = 0; i < record->fields.count; i++) {
        Status status = encoding_check(file, record, &record->fields.items[i], diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
