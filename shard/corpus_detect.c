/* Which format a corpus file has: told by its content, the name's extension as a hint. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file.h"
#include "core/io/json.h"
#include "shard/corpus_internal.h"

enum { DETECT_BYTES = 1 << 16 };

static bool has_extension(const char *path, const char *extension)
{
    size_t size = strlen(path), extension_size = strlen(extension);
    return size > extension_size && strcasecmp(path + size - extension_size, extension) == 0;
}

static bool has_sibling(const char *path, const char *extension)
{
    char *sibling = memory_format("%.*s%s", (int)(strlen(path) - 4), path, extension);
    bool found = path_exists(sibling);
    free(sibling);
    return found;
}

/* What is not text in UTF-8, by its first bytes. */
typedef struct Signature {
    const char *bytes;
    size_t size;
    const char *what, *advice;
} Signature;

static const Signature signatures[] = {
    {"\xFF\xFE", 2, "UTF-16", "convert it with iconv -f UTF-16 -t UTF-8"},
    {"\xFE\xFF", 2, "UTF-16", "convert it with iconv -f UTF-16 -t UTF-8"},
    {"\x1F\x8B", 2, "compressed", "unpack it with gunzip"},
    {"BZh91AY&SY", 10, "compressed", "unpack it with bunzip2"},
    {"\xFD\x37zXZ", 5, "compressed", "unpack it with unxz"},
    {"\x28\xB5\x2F\xFD", 4, "compressed", "unpack it with unzstd"},
    {"PK\x03\x04", 4, "a zip archive", "unpack it, or export it as text"},
};

/* UTF-16 without a mark: every other byte of the first two characters is NUL. */
static bool is_bare_utf16(const char *head, size_t size)
{
    return size >= 4 && (head[0] == '\0') == (head[2] == '\0') && (head[1] == '\0') == (head[3] == '\0') &&
           (head[0] == '\0') != (head[1] == '\0');
}

static Status head_check(const char *path, const char *head, size_t size, Diagnostic *diagnostic)
{
    const Signature *found = is_bare_utf16(head, size) ? &signatures[0] : NULL;
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures && !found; i++)
        if (size >= signatures[i].size && memcmp(head, signatures[i].bytes, signatures[i].size) == 0)
            found = &signatures[i];
    if (!found)
        return STATUS_OK;
    return FAIL_AT(diagnostic, STATUS_UNSUPPORTED, path, 1, 1, "the file is %s, expected text in UTF-8: %s [encoding]",
                   found->what, found->advice);
}

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* The beginning of the file: at most limit bytes to head. */
static Status head_read(const char *path, char *head, size_t limit, size_t *size, Diagnostic *diagnostic)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    *size = 0;
    if (file < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open the corpus file %s: %s", path, strerror(errno));
    struct stat information;
    bool regular = fstat(file, &information) == 0 && S_ISREG(information.st_mode); /* the reader refuses what is not */
    for (ssize_t count = 1; regular && count > 0 && *size < limit;) {
        do
            count = read(file, head + *size, limit - *size);
        while (count < 0 && errno == EINTR);
        *size += count > 0 ? (size_t)count : 0;
    }
    close(file);
    return head_check(path, head, *size, diagnostic);
}

Status corpus_encoding_check(const char *path, Diagnostic *diagnostic)
{
    char head[16];
    size_t size;
    return head_read(path, head, sizeof head, &size, diagnostic);
}

/* The first line as JSON: a record's keys say what it is. A line too long for the head is told by the keys that are in it. */
static CorpusFormat record_format(const char *head)
{
    size_t size = strcspn(head, "\n");
    Json *json = NULL;
    CorpusFormat format = CORPUS_AUTO;
    if (json_parse(&json, head, size, "", NULL) == STATUS_OK) {
        if (json_get(json, "tokens") && json_get(json, "ner_tags"))
            format = CORPUS_JSONL;
        else if (json_get(json, "text"))
            format = json_get(json, "entities") ? CORPUS_SPACY : CORPUS_PRODIGY;
    } else if (head[size] == '\0' && size > DETECT_BYTES / 2) {
        if (strstr(head, "\"ner_tags\"") || (strstr(head, "\"tokens\"") && !strstr(head, "\"text\"")))
            format = CORPUS_JSONL;
        else if (strstr(head, "\"text\""))
            format = strstr(head, "\"entities\"") ? CORPUS_SPACY : CORPUS_PRODIGY;
    }
    json_destroy(&json);
    return format;
}

/* Does the first line read like the header of a CSV file? */
static bool is_csv_header(const char *head)
{
    static const char *const names[] = {"token", "tokens", "word", "words", NULL};
    const char *at = head;
    size_t size = strcspn(head, "\r\n");
    if (!memchr(head, ',', size) || memchr(head, '\t', size))
        return false;
    for (;;) {
        size_t field = strcspn(at, ",\r\n");
        bool quoted = field >= 2 && at[0] == '"' && at[field - 1] == '"';
        for (int i = 0; names[i]; i++)
            if (strlen(names[i]) == field - 2 * quoted && strncasecmp(at + quoted, names[i], field - 2 * quoted) == 0)
                return true;
        if (at[field] != ',')
            return false;
        at += field + 1;
    }
}

/* Columns in a file named .csv, if its first line has no TAB and a comma that is more than a token. */
static bool is_csv_line(const char *head)
{
    const char *line = skip_space(head);
    size_t size = strcspn(line, "\r\n");
    return memchr(line, ',', size) && !memchr(line, '\t', size);
}

static Status head_format(const char *path, const char *head, CorpusFormat *format, Diagnostic *diagnostic)
{
    const char *begin = skip_space(head), *inside = *begin ? skip_space(begin + 1) : begin;
    bool named_json = has_extension(path, ".json") || has_extension(path, ".jsonl") || has_extension(path, ".ndjson");
    *format = CORPUS_AUTO;
    if (*begin == '[' && (*inside == '{' ? *skip_space(inside + 1) == '"' : *inside == ']' && *skip_space(inside + 1) == '\0'))
        *format = CORPUS_LABELSTUDIO;
    else if (*begin == '{')
        *format = record_format(begin);
    if (*format != CORPUS_AUTO)
        return STATUS_OK;
    if (named_json)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, 1, 1,
                       "the first record is JSON of no known kind: expected \"tokens\" and \"ner_tags\", \"text\" and \"spans\" or "
                       "\"entities\", or an array of tasks; --format says which it is meant to be");
    *format = (has_extension(path, ".csv") && is_csv_line(head)) || is_csv_header(begin) ? CORPUS_CSV : CORPUS_CONLL;
    return STATUS_OK;
}

Status corpus_format_detect(const char *path, CorpusFormat *format, Diagnostic *diagnostic)
{
    *format = CORPUS_BRAT;
    if (path_is_folder(path) || has_extension(path, ".ann") || (has_extension(path, ".txt") && has_sibling(path, ".ann")))
        return STATUS_OK;
    char *head = memory_allocate(DETECT_BYTES + 1, 1);
    size_t size;
    Status status = head_read(path, head, DETECT_BYTES, &size, diagnostic);
    head[size] = '\0';
    if (memcmp(head, "\xEF\xBB\xBF", 3) == 0)
        memmove(head, head + 3, size - 2);
    if (status == STATUS_OK)
        status = head_format(path, head, format, diagnostic);
    free(head);
    return status;
}
