/* A disk whose power can fail: a FileSystem that carries out every call below a real folder, and remembers which of them a sync has made
 * durable. A cut then makes, in another folder, what such a disk may hold afterwards: of what was not synced any part, in any order. */
#ifndef NERSWEEP_TESTS_CORE_STORE_POWER_DISK_H
#define NERSWEEP_TESTS_CORE_STORE_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/io/file.h"

typedef enum PowerOperationKind {
    POWER_NAME,   /* path becomes inode; from, if any, goes in the same moment */
    POWER_REMOVE, /* path goes */
    POWER_WRITE,
    POWER_TRUNCATE,
    POWER_SYNC,       /* of a file's data */
    POWER_SYNC_FOLDER /* of the names in path */
} PowerOperationKind;

typedef struct PowerOperation {
    PowerOperationKind kind;
    char *path, *from; /* relative to the root; from may be NULL */
    size_t inode;
    uint64_t offset; /* of a write; the size for a truncation */
    Text bytes;
} PowerOperation;

typedef struct PowerInode {
    bool folder;
    uint64_t size; /* as the running program sees it */
    Text first;    /* what it held when the disk was begun, all durable */
} PowerInode;

typedef struct PowerName {
    char *path;
    size_t inode;
} PowerName;
typedef ARRAY(PowerName) PowerNames;

typedef struct PowerOpen {
    int file;
    size_t inode;
    uint64_t offset;
} PowerOpen;

typedef struct PowerDisk {
    FileSystem table; /* to be handed out; syncs cost nothing */
    char *root;
    ARRAY(PowerOperation) operations;
    ARRAY(PowerInode) inodes;
    PowerNames first, names; /* when it was begun, and now */
    ARRAY(PowerOpen) open;
} PowerDisk;

/* What root holds is durable to begin with. root must outlive the disk. */
void power_disk_begin(PowerDisk *disk, const char *root);
void power_disk_end(PowerDisk *disk);

/* Makes in the empty folder what the disk may hold when its power fails after `count` operations, while the next one is under way. Equal
 * seeds give equal results; a seed divisible by 4 keeps nothing that was not synced, one more keeps all, two more a beginning, three more
 * any part: single sectors, half sectors, sizes without their bytes, zeros and garbage. */
void power_disk_cut(const PowerDisk *disk, size_t count, uint64_t seed, const char *folder);

#endif
