#include "core/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/io/file_internal.h"

enum { NAME_TRIES = 1000, INTERRUPT_TRIES = 1000 };

static int posix_open(void *context, const char *path, int flags, mode_t mode)
{
    (void)context;
    return open(path, flags, mode);
}

static ssize_t posix_write(void *context, int file, const void *bytes, size_t size)
{
    (void)context;
    return write(file, bytes, size);
}

static int posix_fsync(void *context, int file)
{
    (void)context;
    return fsync(file);
}

static int posix_close(void *context, int file)
{
    (void)context;
    return close(file);
}

static int posix_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to);
}

static int posix_link(void *context, const char *from, const char *to)
{
    (void)context;
    return link(from, to);
}

static int posix_unlink(void *context, const char *path)
{
    (void)context;
    return unlink(path);
}

static int posix_mkdir(void *context, const char *path, mode_t mode)
{
    (void)context;
    return mkdir(path, mode);
}

static int posix_ftruncate(void *context, int file, off_t size)
{
    (void)context;
    return ftruncate(file, size);
}

const FileSystem *file_system_posix(void)
{
    static const FileSystem posix = {NULL,         posix_open, posix_write,  posix_fsync, posix_close,
                                     posix_rename, posix_link, posix_unlink, posix_mkdir, posix_ftruncate};
    return &posix;
}

Status file_fail(Diagnostic *diagnostic, int error_number, const char *path, const char *action)
{
    Status code = status_from_errno(error_number);
    if (code == STATUS_NO_SPACE)
        return FAIL(diagnostic, code, "cannot %s %s: %s: free some space or choose another folder", action, path,
                    strerror(error_number));
    return FAIL(diagnostic, code, "cannot %s %s: %s", action, path, strerror(error_number));
}

Status file_write_all(const FileSystem *fs, int file, const void *bytes, size_t size, const char *path, Diagnostic *diagnostic)
{
    const char *at = bytes;
    for (int interrupted = 0; size > 0;) {
        ssize_t written = fs->write(fs->context, file, at, size);
        if (written > 0 && (size_t)written <= size) {
            at += written;
            size -= (size_t)written;
            interrupted = 0;
        } else if (written < 0 && errno == EINTR && interrupted < INTERRUPT_TRIES) {
            interrupted++;
        } else {
            return file_fail(diagnostic, written < 0 ? errno : EIO, path, "write");
        }
    }
    return STATUS_OK;
}

Status file_fsync(const FileSystem *fs, int file, const char *path, Diagnostic *diagnostic)
{
    for (int interrupted = 0;; interrupted++) {
        if (fs->fsync(fs->context, file) == 0)
            return STATUS_OK;
        /* Only an interrupted fsync may be repeated: after any other failure the kernel may have dropped the dirty pages, and a
         * second fsync would report a success that never was. */
        if (errno != EINTR || interrupted == INTERRUPT_TRIES)
            return file_fail(diagnostic, errno, path, "make durable");
    }
}

Status folder_sync(const FileSystem *fs, const char *path, Diagnostic *diagnostic)
{
    int folder = fs->open(fs->context, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (folder < 0)
        return file_fail(diagnostic, errno, path, "open the folder");
    Status status = STATUS_OK;
    /* Some file systems cannot sync a folder and say EINVAL; there is nothing that could be done better on them. */
    if (fs->fsync(fs->context, folder) != 0 && errno != EINVAL) {
        if (errno == EINTR)
            status = file_fsync(fs, folder, path, diagnostic);
        else
            status = file_fail(diagnostic, errno, path, "make the folder durable");
    }
    fs->close(fs->context, folder);
    return status;
}

/* Reads to the end of the file, not to the size that fstat told: it may be growing. */
static Status read_to_end(int file, const char *path, size_t size_limit, size_t expected, Text *text, Diagnostic *diagnostic)
{
    enum { CHUNK = 64 * 1024 };
    size_t capacity = expected < size_limit ? expected + 1 : expected;
    int interrupted = 0;
    for (;;) {
        size_t wanted = capacity > text->size ? capacity - text->size : CHUNK;
        if (text->capacity < text->size + wanted + 1)
            text->bytes = array_grow(text->bytes, &text->capacity, text->size + wanted + 1, 1);
        ssize_t got = read(file, text->bytes + text->size, wanted);
        if (got < 0 && errno == EINTR && interrupted++ < INTERRUPT_TRIES)
            continue;
        if (got < 0)
            return file_fail(diagnostic, errno, path, "read");
        text->size += (size_t)got;
        if (text->size > size_limit)
            return FAIL(diagnostic, STATUS_LIMIT, "%s is larger than the limit of %zu bytes", path, size_limit);
        text->bytes[text->size] = '\0';
        if (got == 0)
            return STATUS_OK;
    }
}

Status file_read(const char *path, size_t size_limit, char **bytes, size_t *size, Diagnostic *diagnostic)
{
    *bytes = NULL;
    *size = 0;
    Status status = STATUS_OK;
    Text text = {0};
    int file;
    uint64_t file_size;
    TRY(file_open_regular(path, &file, &file_size, diagnostic));
    if (file_size > size_limit)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s has %llu bytes, the limit is %zu", path, (unsigned long long)file_size, size_limit);
    TRY(read_to_end(file, path, size_limit, (size_t)file_size, &text, diagnostic));
    *size = text.size;
    *bytes = text_take(&text);
out:
    if (file >= 0)
        close(file);
    text_free(&text);
    return status;
}

Status file_read_part(const char *path, uint64_t offset, size_t size_limit, char **bytes, size_t *size, Diagnostic *diagnostic)
{
    *bytes = NULL;
    *size = 0;
    Status status = STATUS_OK;
    int file, interrupted = 0;
    uint64_t file_size;
    char *read_bytes = NULL;
    TRY(file_open_regular(path, &file, &file_size, diagnostic));
    uint64_t left = file_size > offset ? file_size - offset : 0;
    size_t wanted = left < size_limit ? (size_t)left : size_limit, got = 0;
    read_bytes = memory_allocate(wanted + 1, 1);
    while (got < wanted) {
        ssize_t more = pread(file, read_bytes + got, wanted - got, (off_t)(offset + got));
        if (more < 0 && errno == EINTR && interrupted++ < INTERRUPT_TRIES)
            continue;
        if (more < 0) {
            status = file_fail(diagnostic, errno, path, "read");
            goto out;
        }
        if (more == 0) /* cut off since */
            break;
        got += (size_t)more;
    }
    read_bytes[got] = '\0';
    *bytes = read_bytes;
    *size = got;
    read_bytes = NULL;
out:
    if (file >= 0)
        close(file);
    free(read_bytes);
    return status;
}

Status file_open_regular(const char *path, int *file, uint64_t *size, Diagnostic *diagnostic)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*file < 0)
        return file_fail(diagnostic, errno, path, "open");
    struct stat stat;
    if (fstat(*file, &stat) != 0)
        return file_fail(diagnostic, errno, path, "look at");
    if (!S_ISREG(stat.st_mode))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s is %s, not a file", path,
                    S_ISDIR(stat.st_mode) ? "a folder" : "something else");
    *size = (uint64_t)stat.st_size;
    return STATUS_OK;
}

struct FileWriter {
    const FileSystem *fs;
    char *path;
    char *temporary_path;
    int file; /* -1: closed */
    bool exclusive;
};

/* Ends the writer; the temporary file goes away unless it was renamed. */
static void file_writer_free(FileWriter **writer, bool renamed)
{
    FileWriter *ended = *writer;
    *writer = NULL;
    if (!ended)
        return;
    if (ended->file >= 0)
        ended->fs->close(ended->fs->context, ended->file);
    if (!renamed && ended->temporary_path)
        ended->fs->unlink(ended->fs->context, ended->temporary_path);
    free(ended->temporary_path);
    free(ended->path);
    free(ended);
}

Status file_writer_begin(FileWriter **writer, const FileSystem *fs, const char *path, Diagnostic *diagnostic)
{
    static atomic_uint next_number; /* keeps the threads of this process apart; other processes have another id or meet O_EXCL */
    *writer = NULL;
    FileWriter *begun = memory_allocate(1, sizeof *begun);
    begun->fs = fs;
    begun->path = memory_copy_string(path);
    begun->file = -1;
    for (int tries = 0; begun->file < 0; tries++) {
        char *name = memory_format("%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&next_number, 1));
        begun->file = fs->open(fs->context, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        int error_number = errno;
        if (begun->file >= 0) {
            begun->temporary_path = name;
            break;
        }
        free(name);
        bool another = error_number == EEXIST || error_number == EINTR;
        if (!another || tries == NAME_TRIES) {
            Status status = file_fail(diagnostic, error_number, path, "create");
            file_writer_free(&begun, false);
            return status;
        }
    }
    *writer = begun;
    return STATUS_OK;
}

Status file_writer_append(FileWriter *writer, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    return file_write_all(writer->fs, writer->file, bytes, size, writer->path, diagnostic);
}

void file_writer_set_path(FileWriter *writer, const char *path)
{
    free(writer->path);
    writer->path = memory_copy_string(path);
}

/* Puts the temporary file under its name, only if the name is free when the writer is exclusive. */
static Status file_writer_publish(FileWriter *writer, bool *renamed, Diagnostic *diagnostic)
{
    const FileSystem *fs = writer->fs;
    if (!writer->exclusive) {
        if (fs->rename(fs->context, writer->temporary_path, writer->path) != 0)
            return file_fail(diagnostic, errno, writer->path, "rename the finished file to");
        *renamed = true;
        return STATUS_OK;
    }
    if (fs->link(fs->context, writer->temporary_path, writer->path) == 0)
        return STATUS_OK;
    int error_number = errno;
    /* On NFS the answer to a link that worked may be lost and its repetition fail: nobody else links our temporary file, so a second
     * name of it can only be the one we wanted. */
    struct stat stat_temporary;
    if (stat(writer->temporary_path, &stat_temporary) == 0 && stat_temporary.st_nlink == 2)
        return STATUS_OK;
    if (error_number == EEXIST)
        return FAIL(diagnostic, STATUS_EXISTS, "%s exists already", writer->path);
    if (error_number == EPERM || error_number == EOPNOTSUPP)
        return FAIL(diagnostic, STATUS_UNSUPPORTED, "cannot create %s: its file system has no hard links; choose another folder",
                    writer->path);
    return file_fail(diagnostic, error_number, writer->path, "create");
}

#define FAULT_CHECK(name, path)                                                                         \
    do {                                                                                                \
        if (fault_point(name))                                                                          \
            TRY_FAIL(diagnostic, STATUS_IO, "injected failure at %s while writing %s", (name), (path)); \
    } while (0)

Status file_writer_commit(FileWriter **writer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    FileWriter *ending = *writer;
    const FileSystem *fs = ending->fs;
    char *folder = path_folder(ending->path);
    bool renamed = false;
    TRY(file_fsync(fs, ending->file, ending->path, diagnostic));
    int closed = fs->close(fs->context, ending->file);
    ending->file = -1;
    if (closed != 0 && errno != EINTR) { /* a network file system may report a lost write only here */
        status = file_fail(diagnostic, errno, ending->path, "close");
        goto out;
    }
    FAULT_CHECK("file.temporary_written", ending->path);
    FAULT_CHECK("file.before_rename", ending->path);
    TRY(file_writer_publish(ending, &renamed, diagnostic));
    FAULT_CHECK("file.after_rename", ending->path);
    TRY(folder_sync(fs, folder, diagnostic));
out:
    file_writer_free(writer, renamed);
    free(folder);
    return status;
}

void file_writer_abandon(FileWriter **writer)
{
    file_writer_free(writer, false);
}

static Status file_write_whole(const FileSystem *fs, const char *path, const void *bytes, size_t size, bool exclusive,
                               Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    FileWriter *writer = NULL;
    TRY(file_writer_begin(&writer, fs, path, diagnostic));
    writer->exclusive = exclusive;
    TRY(file_writer_append(writer, bytes, size, diagnostic));
    TRY(file_writer_commit(&writer, diagnostic));
out:
    file_writer_abandon(&writer);
    return status;
}

Status file_write_durable(const FileSystem *fs, const char *path, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    return file_write_whole(fs, path, bytes, size, false, diagnostic);
}

Status file_create_exclusive(const FileSystem *fs, const char *path, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    return file_write_whole(fs, path, bytes, size, true, diagnostic);
}
