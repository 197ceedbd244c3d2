/* The records of a JSON file one at a time, so that a file of any size is read in the memory of its largest record. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shard/corpus_internal.h"

enum { RECORDS_BUFFER_SIZE = 1 << 16 };

struct CorpusRecords {
    char *path;
    FILE *file;
    bool array, begun, ended;
    Text text;         /* of the current record */
    long line, column; /* of the next byte */
    uint64_t bytes_done, bytes_total;
    int64_t number;
};

Status corpus_records_open(CorpusRecords **records, const char *path, bool array, Diagnostic *diagnostic)
{
    struct stat information;
    CorpusRecords *opened = memory_allocate(1, sizeof *opened);
    *records = opened;
    opened->path = memory_copy_string(path);
    opened->array = array;
    opened->line = opened->column = 1;
    opened->file = fopen(path, "rbe");
    if (!opened->file)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the corpus file %s: %s", path, strerror(errno));
    if (fstat(fileno(opened->file), &information) != 0 || !S_ISREG(information.st_mode))
        return FAIL(diagnostic, STATUS_INVALID_INPUT,
                    "%s is not a regular file: corpora are read more than once, so write it to a file first", path);
    setvbuf(opened->file, NULL, _IOFBF, RECORDS_BUFFER_SIZE);
    opened->bytes_total = (uint64_t)information.st_size;
    return STATUS_OK;
}

void corpus_records_close(CorpusRecords **records)
{
    CorpusRecords *closed = *records;
    *records = NULL;
    if (!closed)
        return;
    if (closed->file)
        fclose(closed->file);
    text_free(&closed->text);
    free(closed->path);
    free(closed);
}

void corpus_records_progress(const CorpusRecords *records, uint64_t *bytes_done, uint64_t *bytes_total)
{
    *bytes_done = records->bytes_done;
    *bytes_total = records->bytes_total;
}

int64_t corpus_records_number(const CorpusRecords *records)
{
    return records->number;
}

static int records_peek(CorpusRecords *records)
{
    int byte = getc_unlocked(records->file);
    if (byte != EOF)
        ungetc(byte, records->file);
    return byte;
}

static int records_get(CorpusRecords *records)
{
    int byte = getc_unlocked(records->file);
    if (byte == EOF)
        return byte;
    records->bytes_done++;
    records->column = byte == '\n' ? 1 : records->column + 1;
    records->line += byte == '\n';
    return byte;
}

static bool is_space(int byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static int records_skip_space(CorpusRecords *records)
{
    while (is_space(records_peek(records)))
        records_get(records);
    return records_peek(records);
}

static void records_skip_mark(CorpusRecords *records)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (records->begun)
        return;
    records->begun = true;
    for (int i = 0; i < 3 && records_peek(records) == (unsigned char)mark[i]; i++)
        records_get(records);
    records->column = 1;
}

static Status records_fail(const CorpusRecords *records, Diagnostic *diagnostic, const char *what)
{
    if (ferror(records->file))
        return FAIL_AT(diagnostic, status_from_errno(errno), records->path, records->line, 0, "cannot read on: %s",
                       strerror(errno));
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, records->path, records->line, records->column, "not valid JSON: %s", what);
}

/* One byte of the record. False when the record is too long for it. */
static bool record_push(CorpusRecords *records, int byte)
{
    char one = (char)byte;
    if (records->text.size >= CORPUS_SENTENCE_BYTES)
        return false;
    text_append(&records->text, &one, 1);
    return true;
}

static Status record_too_long(const CorpusRecords *records, long line, long column, Diagnostic *diagnostic)
{
    return FAIL_AT(diagnostic, STATUS_LIMIT, records->path, line, column, "record %lld is longer than %d bytes",
                   (long long)records->number, CORPUS_SENTENCE_BYTES);
}

/* One line, without its end. */
static Status record_take_line(CorpusRecords *records, long line, Diagnostic *diagnostic)
{
    for (int byte; (byte = records_get(records)) != EOF && byte != '\n';)
        if (!record_push(records, byte))
            return record_too_long(records, line, 1, diagnostic);
    return ferror(records->file) ? records_fail(records, diagnostic, "") : STATUS_OK;
}

/* One element of the array, up to its closing bracket, or the comma or bracket behind it. Only brackets and strings are looked at: the parser sees the rest. */
static Status record_take_element(CorpusRecords *records, long line, long column, Diagnostic *diagnostic)
{
    long depth = 0;
    bool string = false, escape = false;
    for (;;) {
        int byte = records_peek(records);
        if (byte == EOF)
            return records_fail(records, diagnostic, "the file ends within the array of records");
        if (!string && depth == 0 && (byte == ',' || byte == ']' || byte == '}'))
            return STATUS_OK;
        if (!record_push(records, records_get(records)))
            return record_too_long(records, line, column, diagnostic);
        if (escape)
            escape = false;
        else if (string && byte == '\\')
            escape = true;
        else if (byte == '"')
            string = !string;
        else if (!string) {
            depth += (byte == '{' || byte == '[') - (byte == '}' || byte == ']');
            if (depth == 0 && (byte == '}' || byte == ']'))
                return STATUS_OK;
        }
    }
}

/* In an array: what stands before an element. *more = false behind the closing bracket. */
static Status array_advance(CorpusRecords *records, bool first, bool *more, Diagnostic *diagnostic)
{
    *more = true;
    int byte = records_skip_space(records);
    if (first) {
        if (byte != '[')
            return records_fail(records, diagnostic, "expected an array of records, which begins with [");
        records_get(records);
        byte = records_skip_space(records);
        if (byte != ']')
            return STATUS_OK;
    }
    if (byte == ',') {
        records_get(records);
        return records_skip_space(records) == ']' ? records_fail(records, diagnostic, "a comma before the end of the array")
                                                  : STATUS_OK;
    }
    if (byte != ']')
        return records_fail(records, diagnostic,
                            byte == EOF ? "the file ends within the array of records" : "expected , or ] behind a record");
    records_get(records);
    *more = false;
    records->ended = true;
    return records_skip_space(records) == EOF && !ferror(records->file)
               ? STATUS_OK
               : records_fail(records, diagnostic, "expected nothing behind the array of records");
}

/* The parser counts from the record's beginning. */
static Status record_parse(CorpusRecords *records, Json **record, long line, long column, Diagnostic *diagnostic)
{
    Diagnostic found = {0};
    Status status = json_parse(record, records->text.bytes, records->text.size, records->path, &found);
    if (status != STATUS_INVALID_INPUT) {
        if (diagnostic && status != STATUS_OK)
            *diagnostic = found;
        return status;
    }
    return FAIL_AT(diagnostic, status, records->path, line + found.input_line - 1,
                   found.input_line == 1 ? found.input_column + column - 1 : found.input_column, "record %lld: %s",
                   (long long)records->number, found.message);
}

Status corpus_records_next(CorpusRecords *records, Json **record, long *line, long *column, Diagnostic *diagnostic)
{
    *record = NULL;
    bool first = !records->begun, more = true;
    Status status = STATUS_OK;
    records_skip_mark(records);
    text_clear(&records->text);
    if (records->ended)
        return STATUS_OK;
    if (records->array)
        status = array_advance(records, first, &more, diagnostic);
    else if (records_skip_space(records) == EOF)
        return ferror(records->file) ? records_fail(records, diagnostic, "") : STATUS_OK;
    if (status != STATUS_OK || !more)
        return status;
    records->number++;
    *line = records->line;
    *column = records->column;
    text_append(&records->text, "", 0);
    status =
        records->array ? record_take_element(records, *line, *column, diagnostic) : record_take_line(records, *line, diagnostic);
    return status == STATUS_OK ? record_parse(records, record, *line, *column, diagnostic) : status;
}
