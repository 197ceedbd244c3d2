#include "tests/core/io/faulty_file_system.h"

#include <errno.h>

static const FileSystem *posix(void)
{
    return file_system_posix();
}

static bool fails(FaultyFileSystem *faulty)
{
    faulty->calls++;
    if (faulty->calls == faulty->fail_at || (faulty->failed && faulty->dead)) {
        faulty->failed = true;
        errno = faulty->error_number;
        return true;
    }
    return false;
}

static bool interrupted(FaultyFileSystem *faulty)
{
    if (faulty->interrupts <= 0)
        return false;
    faulty->interrupts--;
    errno = EINTR;
    return true;
}

static int faulty_open(void *context, const char *path, int flags, mode_t mode)
{
    return fails(context) ? -1 : posix()->open(NULL, path, flags, mode);
}

static ssize_t faulty_write(void *context, int file, const void *bytes, size_t size)
{
    FaultyFileSystem *faulty = context;
    if (interrupted(faulty) || fails(faulty))
        return -1;
    faulty->writes++;
    if (faulty->largest_write && size > faulty->largest_write)
        size = faulty->largest_write;
    if (faulty->space >= 0) {
        if (faulty->space == 0 && size > 0) {
            errno = ENOSPC;
            return -1;
        }
        if (size > (size_t)faulty->space)
            size = (size_t)faulty->space;
        faulty->space -= (long long)size;
    }
    return posix()->write(NULL, file, bytes, size);
}

static int faulty_fsync(void *context, int file)
{
    FaultyFileSystem *faulty = context;
    if (interrupted(faulty) || fails(faulty))
        return -1;
    faulty->fsyncs++;
    return posix()->fsync(NULL, file);
}

/* A descriptor is closed even when close reports a failure. */
static int faulty_close(void *context, int file)
{
    int result = posix()->close(NULL, file);
    return fails(context) ? -1 : result;
}

static int faulty_rename(void *context, const char *from, const char *to)
{
    ((FaultyFileSystem *)context)->renames++;
    return fails(context) ? -1 : posix()->rename(NULL, from, to);
}

static int faulty_link(void *context, const char *from, const char *to)
{
    ((FaultyFileSystem *)context)->links++;
    return fails(context) ? -1 : posix()->link(NULL, from, to);
}

static int faulty_unlink(void *context, const char *path)
{
    FaultyFileSystem *faulty = context;
    if (faulty->failed && faulty->dead) {
        errno = faulty->error_number;
        return -1;
    }
    return posix()->unlink(NULL, path);
}

static int faulty_mkdir(void *context, const char *path, mode_t mode)
{
    return fails(context) ? -1 : posix()->mkdir(NULL, path, mode);
}

static int faulty_ftruncate(void *context, int file, off_t size)
{
    return fails(context) ? -1 : posix()->ftruncate(NULL, file, size);
}

void faulty_begin(FaultyFileSystem *faulty)
{
    *faulty = (FaultyFileSystem){.error_number = EIO, .space = -1};
    faulty->table = (FileSystem){faulty,        faulty_open, faulty_write,  faulty_fsync, faulty_close,
                                 faulty_rename, faulty_link, faulty_unlink, faulty_mkdir, faulty_ftruncate};
}
