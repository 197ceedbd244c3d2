#include "core/io/zip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#include "core/base/memory.h"

enum { ENTRY_LIMIT = 1000000 };

struct ZipArchive {
    zip_t *zip;
    char *path;
    uint64_t file_bytes;
};

static Status fail_open(const char *path, int code, Diagnostic *diagnostic)
{
    int error_number = errno;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    Status status = code == ZIP_ER_NOENT ? STATUS_NOT_FOUND : code == ZIP_ER_MEMORY ? STATUS_OUT_OF_MEMORY : STATUS_CORRUPT;
    if (code == ZIP_ER_OPEN || code == ZIP_ER_READ)
        status = status_from_errno(error_number);
    status = FAIL(diagnostic, status, "cannot open the zip archive %s: %s", path, zip_error_strerror(&error));
    zip_error_fini(&error);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of two entries of one name each program reads another: which one is meant, the archive does not say. */
static Status check_names(const ZipArchive *archive, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t count = zip_archive_count(archive);
    const char **names = memory_allocate(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = zip_archive_name(archive, i);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count && status == STATUS_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            status = FAIL(diagnostic, STATUS_CORRUPT, "%s: the archive has two entries \"%s\"", archive->path, names[i]);
    free(names);
    return status;
}

Status zip_archive_open(ZipArchive **archive, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int code = 0;
    struct stat about;
    *archive = NULL;
    if (stat(path, &about) != 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s is not a file", path);
    ZipArchive *made = memory_allocate(1, sizeof *made);
    made->path = memory_copy_string(path);
    made->file_bytes = (uint64_t)about.st_size;
    made->zip = zip_open(path, ZIP_RDONLY, &code);
    if (!made->zip) {
        status = fail_open(path, code, diagnostic);
        goto out;
    }
    if (zip_get_num_entries(made->zip, 0) > ENTRY_LIMIT)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s: more than %d entries", path, ENTRY_LIMIT);
    TRY(check_names(made, diagnostic));
    *archive = made;
    made = NULL;
out:
    zip_archive_close(&made);
    return status;
}

void zip_archive_close(ZipArchive **archive)
{
    if (!*archive)
        return;
    if ((*archive)->zip)
        zip_discard((*archive)->zip);
    free((*archive)->path);
    free(*archive);
    *archive = NULL;
}

size_t zip_archive_count(const ZipArchive *archive)
{
    return (size_t)zip_get_num_entries(archive->zip, 0);
}

const char *zip_archive_name(const ZipArchive *archive, size_t index)
{
    const char *name = zip_get_name(archive->zip, index, ZIP_FL_ENC_RAW);
    return name ? name : "";
}

bool zip_archive_find(const ZipArchive *archive, const char *name, size_t *index)
{
    zip_int64_t found = zip_name_locate(archive->zip, name, ZIP_FL_ENC_RAW);
    *index = found < 0 ? 0 : (size_t)found;
    return found >= 0;
}

static Status check_entry(const ZipArchive *archive, size_t index, size_t size_limit, zip_stat_t *about, Diagnostic *diagnostic)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    zip_stat_init(about);
    if (zip_stat_index(archive->zip, index, 0, about) != 0 || (about->valid & needed) != needed)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: entry %zu of the archive cannot be looked at", archive->path, index);
    if (about->encryption_method != ZIP_EM_NONE || about->comp_method != ZIP_CM_STORE)
        return FAIL(diagnostic, STATUS_UNSUPPORTED, "%s: entry \"%s\" is %s; only plainly stored entries are read", archive->path,
                    zip_archive_name(archive, index), about->encryption_method != ZIP_EM_NONE ? "encrypted" : "compressed");
    if (about->size > archive->file_bytes)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: entry \"%s\" claims %llu bytes, the file has %llu: it is cut short",
                    archive->path, zip_archive_name(archive, index), (unsigned long long)about->size,
                    (unsigned long long)archive->file_bytes);
    if (about->size > size_limit)
        return FAIL(diagnostic, STATUS_LIMIT, "%s: entry \"%s\" has %llu bytes, the limit is %zu", archive->path,
                    zip_archive_name(archive, index), (unsigned long long)about->size, size_limit);
    return STATUS_OK;
}

Status zip_archive_read(ZipArchive *archive, size_t index, size_t size_limit, uint8_t **bytes, size_t *size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    zip_stat_t about;
    zip_file_t *entry = NULL;
    void *memory = NULL;
    size_t done = 0, wanted = 0;
    *bytes = NULL;
    *size = 0;
    TRY(check_entry(archive, index, size_limit, &about, diagnostic));
    wanted = (size_t)about.size;
    TRY(memory_try_allocate(&memory, wanted + 1, 1, diagnostic));
    entry = zip_fopen_index(archive->zip, index, 0);
    if (!entry)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: entry \"%s\": %s", archive->path, zip_archive_name(archive, index),
                 zip_strerror(archive->zip));
    /* One byte more is asked for than there is: the CRC is looked at only when the end is met. */
    for (zip_int64_t got = 1; got > 0; done += got > 0 ? (size_t)got : 0) {
        got = zip_fread(entry, (uint8_t *)memory + done, wanted - done + 1);
        if (got < 0 || (size_t)got > wanted - done)
            TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: entry \"%s\": %s: the file is damaged", archive->path,
                     zip_archive_name(archive, index), got < 0 ? zip_file_strerror(entry) : "longer than it says");
    }
    if (done != wanted)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "%s: entry \"%s\" ends after %zu of %zu bytes: the file is cut short", archive->path,
                 zip_archive_name(archive, index), done, wanted);
    ((uint8_t *)memory)[wanted] = 0;
    *bytes = memory;
    *size = wanted;
    memory = NULL;
out:
    if (entry)
        zip_fclose(entry);
    free(memory);
    return status;
}
