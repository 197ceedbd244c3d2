#include "core/io/file.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/io/file_internal.h"

Status file_map_open(FileMap *map, const char *path, Diagnostic *diagnostic)
{
    static const uint8_t nothing[1]; /* an empty file has no pages to map, but callers may form bytes + 0 */
    *map = (FileMap){.bytes = nothing, .size = 0};
    Status status = STATUS_OK;
    int file;
    uint64_t size;
    TRY(file_open_regular(path, &file, &size, diagnostic));
    if (size > SIZE_MAX)
        TRY_FAIL(diagnostic, STATUS_LIMIT, "%s is larger than the address space", path);
    if (size > 0) {
        void *bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, file, 0);
        if (bytes == MAP_FAILED) {
            status = file_fail(diagnostic, errno, path, "map");
            goto out;
        }
        *map = (FileMap){.bytes = bytes, .size = (size_t)size};
    }
out:
    if (file >= 0)
        close(file);
    return status;
}

void file_map_close(FileMap *map)
{
    if (map->size > 0)
        munmap((void *)(uintptr_t)map->bytes, map->size);
    *map = (FileMap){0};
}
