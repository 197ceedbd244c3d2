/* Files on local and shared file systems: whole reads, durable writes that are visible only when complete, memory maps.
 *
 * The file system comes in as a table so that tests can lose, tear or refuse writes; pass file_system_posix() otherwise. */
#ifndef NERSWEEP_CORE_IO_FILE_H
#define NERSWEEP_CORE_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/memory.h"
#include "core/base/status.h"

/* Calls that change what is stored. Each behaves as the POSIX call of its name and sets errno. */
typedef struct FileSystem {
    void *context;
    int (*open)(void *context, const char *path, int flags, mode_t mode);
    ssize_t (*write)(void *context, int file, const void *bytes, size_t size);
    int (*fsync)(void *context, int file);
    int (*close)(void *context, int file);
    int (*rename)(void *context, const char *from, const char *to);
    int (*link)(void *context, const char *from, const char *to);
    int (*unlink)(void *context, const char *path);
    int (*mkdir)(void *context, const char *path, mode_t mode);
    int (*ftruncate)(void *context, int file, off_t size);
} FileSystem;
const FileSystem *file_system_posix(void);

/* Reads all of a regular file; more than size_limit bytes is STATUS_LIMIT. *bytes is terminated, freed by the caller with free(). */
NODISCARD Status file_read(const char *path, size_t size_limit, char **bytes, size_t *size, Diagnostic *diagnostic);
/* The same from an offset on, to the end of the file or until size_limit bytes are read, which is no error here. Past the end: no bytes. */
NODISCARD Status file_read_part(const char *path, uint64_t offset, size_t size_limit, char **bytes, size_t *size,
                                Diagnostic *diagnostic);

/* Writes a file durably: "path.tmp-PID-N", write, fsync, rename, fsync of the folder. Readers see the old bytes or the new ones.
 * Nothing is left behind on failure. Fault points: file.temporary_written, file.before_rename, file.after_rename. */
NODISCARD Status file_write_durable(const FileSystem *fs, const char *path, const void *bytes, size_t size, Diagnostic *diagnostic);

/* As above, but fails with STATUS_EXISTS when path is there already (link instead of rename: atomic on NFS too). */
NODISCARD Status file_create_exclusive(const FileSystem *fs, const char *path, const void *bytes, size_t size, Diagnostic *diagnostic);

/* The same in pieces, for what does not fit into memory: begin, append as often as wanted, then commit or abandon (always one). */
typedef struct FileWriter FileWriter;
NODISCARD Status file_writer_begin(FileWriter **writer, const FileSystem *fs, const char *path, Diagnostic *diagnostic);
NODISCARD Status file_writer_append(FileWriter *writer, const void *bytes, size_t size, Diagnostic *diagnostic);
/* Changes where commit puts the file (on the same file system): for names made from the content, which are known only at the end. */
void file_writer_set_path(FileWriter *writer, const char *path);
NODISCARD Status file_writer_commit(FileWriter **writer, Diagnostic *diagnostic); /* *writer becomes NULL in any case */
void file_writer_abandon(FileWriter **writer);

/* For append-only files, which are written in place. All of size is written, however small the pieces that the system takes. */
NODISCARD Status file_write_all(const FileSystem *fs, int file, const void *bytes, size_t size, const char *path, Diagnostic *diagnostic);
NODISCARD Status file_fsync(const FileSystem *fs, int file, const char *path, Diagnostic *diagnostic);
/* Makes the names in a folder durable: after a file in it was created, renamed or removed. */
NODISCARD Status folder_sync(const FileSystem *fs, const char *path, Diagnostic *diagnostic);

/* mkdir -p, each new folder made durable. */
NODISCARD Status folder_create(const FileSystem *fs, const char *path, Diagnostic *diagnostic);
/* Removes a file or a whole tree; what is not there is fine. */
NODISCARD Status folder_remove_tree(const char *path, Diagnostic *diagnostic);
/* Names (not paths) in a folder, sorted by bytes, without "." and ".."; names->items and each item are freed by the caller. */
NODISCARD Status folder_list(const char *path, StringArray *names, Diagnostic *diagnostic);
void string_array_free(StringArray *names);

bool path_exists(const char *path);
bool path_is_folder(const char *path);
/* "a/b" from "a" and "b"; name may be absolute, then it is the result. The caller frees it. */
char *path_join(const char *folder, const char *name);
char *path_folder(const char *path);         /* dirname; the caller frees it */
const char *path_base_name(const char *path); /* points into path */
char *path_absolute(const char *path);        /* against the current folder, no links resolved; the caller frees it */
/* The folder of the running program's file, without a final slash; the caller frees it. */
char *path_program_folder(void);

/* A read-only map of a whole file. bytes live until file_map_close. An empty file maps to size 0. */
typedef struct FileMap {
    const uint8_t *bytes;
    size_t size;
} FileMap;
NODISCARD Status file_map_open(FileMap *map, const char *path, Diagnostic *diagnostic);
void file_map_close(FileMap *map);

/* STATUS_UNSUPPORTED with the file system's name when path (or its nearest existing parent) lies on a network file system. */
NODISCARD Status path_require_local(const char *path, Diagnostic *diagnostic);

/* What decides it: the name of a network file system by statfs's number and, for FUSE, the type as mounted ("fuse.sshfs"); NULL: local. */
const char *path_network_name(uint32_t magic, const char *mount_type);

/* Free bytes of the file system that holds path. */
NODISCARD Status path_free_bytes(const char *path, uint64_t *bytes, Diagnostic *diagnostic);

#endif
