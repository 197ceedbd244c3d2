#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/core/base/support.h"
#include "tests/core/store/power_disk.h"

enum { SECTOR = 512 };

/* ------------------------------------------------------------------------------------------------ names */

static PowerName *find_name(const PowerNames *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].path, path) == 0)
            return &names->items[i];
    return NULL;
}

static void set_name(PowerNames *names, const char *path, size_t inode)
{
    PowerName *found = find_name(names, path);
    PowerName added = {memory_copy_string(path), inode};
    if (found) {
        free(found->path);
        *found = added;
    } else {
        array_push(names, added);
    }
}

static void remove_name(PowerNames *names, const char *path)
{
    PowerName *found = find_name(names, path);
    if (!found)
        return;
    free(found->path);
    *found = names->items[--names->count];
}

static void names_free(PowerNames *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].path);
    array_free(names);
}

static const char *relative(const PowerDisk *disk, const char *path)
{
    size_t length = strlen(disk->root);
    if (strncmp(path, disk->root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        fail_msg("%s lies outside of the disk", path);
    return path[length] ? path + length + 1 : "";
}

/* ------------------------------------------------------------------------------------------------ the calls */

static PowerOperation *note(PowerDisk *disk, PowerOperationKind kind, size_t inode)
{
    PowerOperation operation = {.kind = kind, .inode = inode};
    array_push(&disk->operations, operation);
    return &disk->operations.items[disk->operations.count - 1];
}

static void note_name(PowerDisk *disk, const char *path, const char *from, size_t inode)
{
    PowerOperation *operation = note(disk, POWER_NAME, inode);
    operation->path = memory_copy_string(path);
    operation->from = from ? memory_copy_string(from) : NULL;
    if (from)
        remove_name(&disk->names, from);
    set_name(&disk->names, path, inode);
}

static size_t add_inode(PowerDisk *disk, bool folder)
{
    PowerInode inode = {.folder = folder};
    array_push(&disk->inodes, inode);
    return disk->inodes.count - 1;
}

static int power_open(void *context, const char *path, int flags, mode_t mode)
{
    PowerDisk *disk = context;
    const char *name = relative(disk, path);
    bool there = name[0] == '\0' || find_name(&disk->names, name) != NULL;
    int file = open(path, flags, mode);
    if (file < 0)
        return -1;
    size_t inode = 0; /* the root's */
    if (!there) {
        inode = add_inode(disk, false);
        note_name(disk, name, NULL, inode);
    } else if (name[0]) {
        inode = find_name(&disk->names, name)->inode;
    }
    PowerOpen opened = {file, inode, flags & O_APPEND ? disk->inodes.items[inode].size : 0};
    array_push(&disk->open, opened);
    return file;
}

static PowerOpen *find_open(PowerDisk *disk, int file)
{
    for (size_t i = 0; i < disk->open.count; i++)
        if (disk->open.items[i].file == file)
            return &disk->open.items[i];
    fail_msg("%d is no open file of the disk", file);
    return NULL;
}

static ssize_t power_write(void *context, int file, const void *bytes, size_t size)
{
    PowerDisk *disk = context;
    PowerOpen *opened = find_open(disk, file);
    ssize_t written = write(file, bytes, size);
    if (written <= 0)
        return written;
    PowerOperation *operation = note(disk, POWER_WRITE, opened->inode);
    operation->offset = opened->offset;
    text_append(&operation->bytes, bytes, (size_t)written);
    opened->offset += (uint64_t)written;
    if (disk->inodes.items[opened->inode].size < opened->offset)
        disk->inodes.items[opened->inode].size = opened->offset;
    return written;
}

static const char *path_of_inode(const PowerDisk *disk, size_t inode)
{
    for (size_t i = 0; i < disk->names.count; i++)
        if (disk->names.items[i].inode == inode)
            return disk->names.items[i].path;
    return "";
}

static int power_fsync(void *context, int file)
{
    PowerDisk *disk = context;
    size_t inode = find_open(disk, file)->inode;
    bool folder = disk->inodes.items[inode].folder;
    PowerOperation *operation = note(disk, folder ? POWER_SYNC_FOLDER : POWER_SYNC, inode);
    if (folder)
        operation->path = memory_copy_string(path_of_inode(disk, inode));
    return 0;
}

static int power_close(void *context, int file)
{
    PowerDisk *disk = context;
    *find_open(disk, file) = disk->open.items[disk->open.count - 1];
    disk->open.count--;
    return close(file);
}

static int power_rename(void *context, const char *from, const char *to)
{
    PowerDisk *disk = context;
    if (rename(from, to) != 0)
        return -1;
    note_name(disk, relative(disk, to), relative(disk, from), find_name(&disk->names, relative(disk, from))->inode);
    return 0;
}

static int power_link(void *context, const char *from, const char *to)
{
    PowerDisk *disk = context;
    if (link(from, to) != 0)
        return -1;
    note_name(disk, relative(disk, to), NULL, find_name(&disk->names, relative(disk, from))->inode);
    return 0;
}

static int power_unlink(void *context, const char *path)
{
    PowerDisk *disk = context;
    if (unlink(path) != 0)
        return -1;
    note(disk, POWER_REMOVE, 0)->path = memory_copy_string(relative(disk, path));
    remove_name(&disk->names, relative(disk, path));
    return 0;
}

static int power_mkdir(void *context, const char *path, mode_t mode)
{
    PowerDisk *disk = context;
    if (mkdir(path, mode) != 0)
        return -1;
    note_name(disk, relative(disk, path), NULL, add_inode(disk, true));
    return 0;
}

static int power_ftruncate(void *context, int file, off_t size)
{
    PowerDisk *disk = context;
    if (ftruncate(file, size) != 0)
        return -1;
    PowerOpen *opened = find_open(disk, file);
    note(disk, POWER_TRUNCATE, opened->inode)->offset = (uint64_t)size;
    disk->inodes.items[opened->inode].size = (uint64_t)size;
    return 0;
}

/* ------------------------------------------------------------------------------------------------ begin and end */

static PowerDisk *begun; /* nftw passes no context */

static int take_existing(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)kind;
    (void)place;
    const char *name = relative(begun, path);
    if (!name[0])
        return 0;
    size_t inode = add_inode(begun, S_ISDIR(found->st_mode));
    if (!begun->inodes.items[inode].folder) {
        size_t size;
        char *bytes = scratch_read(path, &size);
        text_append(&begun->inodes.items[inode].first, bytes, size);
        begun->inodes.items[inode].size = size;
        free(bytes);
    }
    set_name(&begun->first, name, inode);
    set_name(&begun->names, name, inode);
    return 0;
}

void power_disk_begin(PowerDisk *disk, const char *root)
{
    *disk = (PowerDisk){.root = memory_copy_string(root)};
    disk->table = (FileSystem){disk,         power_open, power_write,  power_fsync, power_close,
                               power_rename, power_link, power_unlink, power_mkdir, power_ftruncate};
    (void)add_inode(disk, true); /* the root is number 0 */
    begun = disk;
    assert_int_equal(nftw(root, take_existing, 16, FTW_PHYS), 0);
}

void power_disk_end(PowerDisk *disk)
{
    for (size_t i = 0; i < disk->operations.count; i++) {
        free(disk->operations.items[i].path);
        free(disk->operations.items[i].from);
        text_free(&disk->operations.items[i].bytes);
    }
    for (size_t i = 0; i < disk->inodes.count; i++)
        text_free(&disk->inodes.items[i].first);
    array_free(&disk->operations);
    array_free(&disk->inodes);
    array_free(&disk->open);
    names_free(&disk->first);
    names_free(&disk->names);
    free(disk->root);
}

/* ------------------------------------------------------------------------------------------------ cutting */

typedef ARRAY(size_t) Indices;

/* A disk at the moment of the cut. */
typedef struct Cut {
    const PowerDisk *disk;
    uint64_t random;
    int mode;
    PowerNames names; /* durable */
    Text *bytes;      /* [inodes]: durable */
    Indices *data;    /* [inodes]: writes and truncations that are not */
    Indices namings;  /* names made and removed that are not */
} Cut;

/* splitmix64 */
static uint64_t draw(Cut *cut, uint64_t limit)
{
    uint64_t z = cut->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (z ^ z >> 31) % limit;
}

static void apply_naming(PowerNames *names, const PowerOperation *operation)
{
    if (operation->from)
        remove_name(names, operation->from);
    if (operation->kind == POWER_REMOVE)
        remove_name(names, operation->path);
    else
        set_name(names, operation->path, operation->inode);
}

static void apply_data(Text *bytes, const PowerOperation *operation)
{
    uint64_t end = operation->offset + operation->bytes.size;
    if (operation->kind == POWER_TRUNCATE && end < bytes->size)
        bytes->size = end;
    static const char zeros[SECTOR];
    while (bytes->size < end)
        text_append(bytes, zeros, end - bytes->size < SECTOR ? end - bytes->size : SECTOR);
    if (operation->bytes.size)
        memcpy(bytes->bytes + operation->offset, operation->bytes.bytes, operation->bytes.size);
}

static bool touches(const PowerOperation *operation, const char *folder)
{
    const char *const paths[] = {operation->path, operation->from};
    for (int i = 0; i < 2; i++) {
        if (!paths[i])
            continue;
        const char *slash = strrchr(paths[i], '/');
        size_t length = slash ? (size_t)(slash - paths[i]) : 0;
        if (strlen(folder) == length && strncmp(paths[i], folder, length) == 0)
            return true;
    }
    return false;
}

static void take_operation(Cut *cut, size_t index)
{
    const PowerOperation *operation = &cut->disk->operations.items[index];
    Indices *data = &cut->data[operation->inode];
    size_t kept = 0;
    switch (operation->kind) {
    case POWER_NAME:
    case POWER_REMOVE:
        array_push(&cut->namings, index);
        break;
    case POWER_WRITE:
    case POWER_TRUNCATE:
        array_push(data, index);
        break;
    case POWER_SYNC:
        for (size_t i = 0; i < data->count; i++)
            apply_data(&cut->bytes[operation->inode], &cut->disk->operations.items[data->items[i]]);
        data->count = 0;
        break;
    case POWER_SYNC_FOLDER:
        for (size_t i = 0; i < cut->namings.count; i++) {
            const PowerOperation *naming = &cut->disk->operations.items[cut->namings.items[i]];
            if (touches(naming, operation->path))
                apply_naming(&cut->names, naming);
            else
                cut->namings.items[kept++] = cut->namings.items[i];
        }
        cut->namings.count = kept;
    }
}

static void lose_namings(Cut *cut)
{
    size_t beginning = draw(cut, cut->namings.count + 1);
    for (size_t i = 0; i < cut->namings.count; i++) {
        bool keeps = cut->mode == 1 || (cut->mode == 2 && i < beginning) || (cut->mode == 3 && draw(cut, 2));
        if (keeps)
            apply_naming(&cut->names, &cut->disk->operations.items[cut->namings.items[i]]);
    }
}

/* One sector of a file whose writes were not synced. */
static void tear_sector(Cut *cut, char *at, const char *written, size_t size, bool was_empty)
{
    switch (draw(cut, 8)) {
    case 0:
    case 1:
        break; /* as it was */
    case 2:
        memcpy(at, written, draw(cut, size + 1)); /* half-written */
        break;
    case 3:
        for (size_t i = 0; i < size && was_empty; i++)
            at[i] = (char)draw(cut, 256);
        break;
    default:
        memcpy(at, written, size);
    }
}

static void lose_data(Cut *cut, size_t inode)
{
    Text *durable = &cut->bytes[inode], all = {0};
    const Indices *data = &cut->data[inode];
    if (cut->mode == 0 || data->count == 0)
        return;
    text_append(&all, durable->bytes, durable->size);
    for (size_t i = 0; i < data->count; i++)
        apply_data(&all, &cut->disk->operations.items[data->items[i]]);
    size_t before = durable->size, size = all.size;
    if (cut->mode > 1 && all.size > before && draw(cut, 3))
        size = before + draw(cut, all.size - before + 1);
    if (cut->mode < 3) { /* all, or a beginning of it */
        text_clear(durable);
        text_append(durable, all.bytes, size);
    } else {
        PowerOperation grow = {.kind = POWER_TRUNCATE, .offset = size};
        apply_data(durable, &grow);
        for (size_t at = 0; at < size; at = at / SECTOR * SECTOR + SECTOR) {
            size_t end = at / SECTOR * SECTOR + SECTOR < size ? at / SECTOR * SECTOR + SECTOR : size;
            size_t from = at < before && before < end ? before : at;
            if (from >= before || memcmp(durable->bytes + from, all.bytes + from, end - from) != 0)
                tear_sector(cut, durable->bytes + from, all.bytes + from, end - from, from >= before);
        }
    }
    text_free(&all);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const PowerName *)a)->path, ((const PowerName *)b)->path);
}

/* A file in a folder whose own name was lost is lost with it. */
static void make_files(Cut *cut, const char *folder)
{
    if (cut->names.count > 1)
        qsort(cut->names.items, cut->names.count, sizeof *cut->names.items, compare_paths);
    for (size_t i = 0; i < cut->names.count; i++) {
        const PowerName *name = &cut->names.items[i];
        char *path = path_join(folder, name->path), *parent = path_folder(path);
        const Text *bytes = &cut->bytes[name->inode];
        if (path_is_folder(parent) && cut->disk->inodes.items[name->inode].folder)
            assert_int_equal(mkdir(path, 0777), 0);
        else if (path_is_folder(parent))
            scratch_write(path, bytes->bytes ? bytes->bytes : "", bytes->size);
        free(parent);
        free(path);
    }
}

void power_disk_cut(const PowerDisk *disk, size_t count, uint64_t seed, const char *folder)
{
    Cut cut = {.disk = disk, .random = seed * 1000003 + count, .mode = (int)(seed % 4)};
    cut.bytes = memory_allocate(disk->inodes.count, sizeof *cut.bytes);
    cut.data = memory_allocate(disk->inodes.count, sizeof *cut.data);
    for (size_t i = 0; i < disk->inodes.count; i++)
        text_append(&cut.bytes[i], disk->inodes.items[i].first.bytes, disk->inodes.items[i].first.size);
    for (size_t i = 0; i < disk->first.count; i++)
        set_name(&cut.names, disk->first.items[i].path, disk->first.items[i].inode);
    for (size_t i = 0; i < count; i++)
        take_operation(&cut, i);
    /* One under way may have done a part of its work. A sync has then at most done what follows anyway. */
    if (count < disk->operations.count && disk->operations.items[count].kind < POWER_SYNC)
        take_operation(&cut, count);
    lose_namings(&cut);
    for (size_t i = 0; i < disk->inodes.count; i++)
        lose_data(&cut, i);
    make_files(&cut, folder);
    for (size_t i = 0; i < disk->inodes.count; i++) {
        text_free(&cut.bytes[i]);
        array_free(&cut.data[i]);
    }
    free(cut.bytes);
    free(cut.data);
    array_free(&cut.namings);
    names_free(&cut.names);
}
