#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file.h"
#include "tests/core/base/support.h"
#include "tests/core/io/faulty_file_system.h"

static Diagnostic diagnostic;

static int make_folder(void **state)
{
    *state = scratch_make();
    return 0;
}

static int remove_folder(void **state)
{
    char *folder = *state;
    scratch_remove(&folder);
    return 0;
}

static void assert_content(const char *path, const char *wanted)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    assert_string_equal(bytes, wanted);
    assert_int_equal(size, strlen(wanted));
    free(bytes);
}

static void what_is_written_is_read(void **state)
{
    const char *path = scratch_path(*state, "file");
    assert_ok(file_write_durable(file_system_posix(), path, "a\0b", 3, &diagnostic), &diagnostic);
    char *bytes;
    size_t size;
    assert_ok(file_read(path, 3, &bytes, &size, &diagnostic), &diagnostic);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "a\0b", 4);
    free(bytes);
    assert_ok(file_write_durable(file_system_posix(), path, "", 0, &diagnostic), &diagnostic);
    assert_ok(file_read(path, 0, &bytes, &size, &diagnostic), &diagnostic);
    assert_int_equal(size, 0);
    free(bytes);
    assert_int_equal(scratch_count(*state, ".tmp"), 0);
}

static void reading_stops_at_the_limit_and_at_what_is_no_file(void **state)
{
    const char *path = scratch_path(*state, "file"), *fifo = scratch_path(*state, "fifo");
    char *bytes = (char *)1;
    size_t size;
    scratch_write(path, "12345", 5);
    assert_status(file_read(path, 4, &bytes, &size, &diagnostic), STATUS_LIMIT, &diagnostic);
    assert_null(bytes);
    assert_non_null(strstr(diagnostic.message, path));
    assert_ok(file_read(path, 5, &bytes, &size, &diagnostic), &diagnostic);
    free(bytes);
    assert_status(file_read(*state, 4, &bytes, &size, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_status(file_read(fifo, 4, &bytes, &size, &diagnostic), STATUS_INVALID_INPUT, &diagnostic); /* and does not wait */
    assert_status(file_read(scratch_path(*state, "none"), 4, &bytes, &size, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    /* A file whose size is not told beforehand. */
    assert_ok(file_read("/proc/self/status", 1 << 20, &bytes, &size, &diagnostic), &diagnostic);
    assert_true(size > 100);
    free(bytes);
    assert_status(file_read("/proc/self/status", 10, &bytes, &size, &diagnostic), STATUS_LIMIT, &diagnostic);
}

static void exclusive_creation_keeps_what_is_there(void **state)
{
    const char *path = scratch_path(*state, "file");
    assert_ok(file_create_exclusive(file_system_posix(), path, "first", 5, &diagnostic), &diagnostic);
    assert_status(file_create_exclusive(file_system_posix(), path, "second", 6, &diagnostic), STATUS_EXISTS, &diagnostic);
    assert_content(path, "first");
    assert_int_equal(scratch_count(*state, ".tmp"), 0);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_nlink, 1);
}

typedef Status (*WriteFile)(const FileSystem *fs, const char *path, const void *bytes, size_t size, Diagnostic *diagnostic);

/* Lets each call of a write fail in turn. Returns how many calls there are. */
static long fail_every_call(const char *folder, WriteFile write_file, bool old_content, int error_number, Status wanted)
{
    const char *path = scratch_path(folder, "file");
    long call = 1;
    for (;; call++) {
        FaultyFileSystem faulty;
        faulty_begin(&faulty);
        faulty.fail_at = call;
        faulty.error_number = error_number;
        faulty.largest_write = 4; /* several writes */
        unlink(path);
        if (old_content)
            scratch_write(path, "old", 3);
        Status status = write_file(&faulty.table, path, "new content", 11, &diagnostic);
        if (!faulty.failed) {
            assert_ok(status, &diagnostic);
            assert_content(path, "new content");
            break;
        }
        /* The last calls, of the folder's descriptor, may fail without harm. */
        if (status != STATUS_OK) {
            assert_status(status, wanted, &diagnostic);
            assert_non_null(strstr(diagnostic.message, folder));
        }
        if (path_exists(path)) {
            size_t size;
            char *bytes = scratch_read(path, &size);
            bool whole = strcmp(bytes, "new content") == 0, before = old_content && strcmp(bytes, "old") == 0;
            assert_true(whole || before);
            assert_true(status != STATUS_OK || whole);
            free(bytes);
        } else {
            assert_false(old_content);
            assert_int_not_equal(status, STATUS_OK);
        }
        assert_int_equal(scratch_count(folder, ".tmp"), 0);
    }
    return call - 1;
}

static void a_write_that_fails_anywhere_leaves_the_old_bytes_or_the_new_ones(void **state)
{
    assert_true(fail_every_call(*state, file_write_durable, true, EIO, STATUS_IO) >= 9);
    assert_true(fail_every_call(*state, file_write_durable, false, EIO, STATUS_IO) >= 9);
    assert_true(fail_every_call(*state, file_write_durable, true, ENOSPC, STATUS_NO_SPACE) >= 9);
    assert_true(fail_every_call(*state, file_create_exclusive, false, EACCES, STATUS_PERMISSION) >= 9);
}

static void a_full_disk_is_told_with_the_path(void **state)
{
    const char *path = scratch_path(*state, "file");
    for (long long space = 0; space < 11; space++) {
        FaultyFileSystem faulty;
        faulty_begin(&faulty);
        faulty.space = space;
        scratch_write(path, "old", 3);
        assert_status(file_write_durable(&faulty.table, path, "new content", 11, &diagnostic), STATUS_NO_SPACE, &diagnostic);
        assert_non_null(strstr(diagnostic.message, path));
        assert_content(path, "old");
        assert_int_equal(scratch_count(*state, ".tmp"), 0);
    }
}

static void short_and_interrupted_writes_are_continued(void **state)
{
    const char *path = scratch_path(*state, "file");
    FaultyFileSystem faulty;
    faulty_begin(&faulty);
    faulty.largest_write = 1;
    faulty.interrupts = 3;
    assert_ok(file_write_durable(&faulty.table, path, "new content", 11, &diagnostic), &diagnostic);
    assert_content(path, "new content");
    assert_int_equal(faulty.writes, 11);
    assert_int_equal(faulty.fsyncs, 2); /* the file, the folder */
}

static void endless_interruptions_end(void **state)
{
    FaultyFileSystem faulty;
    faulty_begin(&faulty);
    faulty.interrupts = 1000000;
    assert_status(file_write_durable(&faulty.table, scratch_path(*state, "file"), "x", 1, &diagnostic), STATUS_INTERRUPTED,
                  &diagnostic);
    assert_int_equal(scratch_count(*state, "file"), 0);
}

static int link_and_lose_the_answer(void *context, const char *from, const char *to)
{
    (void)context;
    assert_int_equal(link(from, to), 0);
    errno = EEXIST; /* what a repeated request is told */
    return -1;
}

static void a_link_whose_answer_was_lost_counts(void **state)
{
    FileSystem fs = *file_system_posix();
    fs.link = link_and_lose_the_answer;
    const char *path = scratch_path(*state, "file");
    assert_ok(file_create_exclusive(&fs, path, "mine", 4, &diagnostic), &diagnostic);
    assert_content(path, "mine");
    assert_int_equal(scratch_count(*state, ".tmp"), 0);
}

static int no_links(void *context, const char *from, const char *to)
{
    (void)context;
    (void)from;
    (void)to;
    errno = EPERM;
    return -1;
}

static void a_file_system_without_links_is_told(void **state)
{
    FileSystem fs = *file_system_posix();
    fs.link = no_links;
    assert_status(file_create_exclusive(&fs, scratch_path(*state, "file"), "x", 1, &diagnostic), STATUS_UNSUPPORTED, &diagnostic);
}

static void a_writer_shows_nothing_before_it_commits(void **state)
{
    const char *path = scratch_path(*state, "file"), *other = scratch_path(*state, "other");
    FileWriter *writer;
    assert_ok(file_writer_begin(&writer, file_system_posix(), path, &diagnostic), &diagnostic);
    assert_ok(file_writer_append(writer, "ab", 2, &diagnostic), &diagnostic);
    assert_false(path_exists(path));
    assert_int_equal(scratch_count(*state, ".tmp-"), 1);
    assert_ok(file_writer_append(writer, "cd", 2, &diagnostic), &diagnostic);
    assert_ok(file_writer_commit(&writer, &diagnostic), &diagnostic);
    assert_null(writer);
    assert_content(path, "abcd");

    assert_ok(file_writer_begin(&writer, file_system_posix(), path, &diagnostic), &diagnostic);
    assert_ok(file_writer_append(writer, "xy", 2, &diagnostic), &diagnostic);
    file_writer_abandon(&writer);
    assert_null(writer);
    file_writer_abandon(&writer);
    assert_content(path, "abcd");

    assert_ok(file_writer_begin(&writer, file_system_posix(), path, &diagnostic), &diagnostic);
    assert_ok(file_writer_append(writer, "ef", 2, &diagnostic), &diagnostic);
    file_writer_set_path(writer, other);
    assert_ok(file_writer_commit(&writer, &diagnostic), &diagnostic);
    assert_content(path, "abcd");
    assert_content(other, "ef");
    assert_int_equal(scratch_count(*state, ".tmp-"), 0);
}

static void two_writers_of_one_file_do_not_meet(void **state)
{
    const char *path = scratch_path(*state, "file");
    FileWriter *one, *two;
    assert_ok(file_writer_begin(&one, file_system_posix(), path, &diagnostic), &diagnostic);
    assert_ok(file_writer_begin(&two, file_system_posix(), path, &diagnostic), &diagnostic);
    assert_ok(file_writer_append(one, "one", 3, &diagnostic), &diagnostic);
    assert_ok(file_writer_append(two, "two", 3, &diagnostic), &diagnostic);
    assert_ok(file_writer_commit(&two, &diagnostic), &diagnostic);
    assert_content(path, "two");
    assert_ok(file_writer_commit(&one, &diagnostic), &diagnostic);
    assert_content(path, "one");
}

static void folders_are_made_with_their_parents_and_removed_with_all(void **state)
{
    char *root = *state;
    FaultyFileSystem faulty;
    faulty_begin(&faulty);
    assert_ok(folder_create(&faulty.table, scratch_path(root, "a//b/c/"), &diagnostic), &diagnostic);
    assert_int_equal(faulty.fsyncs, 3);
    assert_true(path_is_folder(scratch_path(root, "a/b/c")));
    assert_ok(folder_create(&faulty.table, scratch_path(root, "a/b/c"), &diagnostic), &diagnostic);
    assert_int_equal(faulty.fsyncs, 3); /* nothing to do */
    scratch_write(scratch_path(root, "a/file"), "x", 1);
    assert_status(folder_create(&faulty.table, scratch_path(root, "a/file"), &diagnostic), STATUS_EXISTS, &diagnostic);
    assert_status(folder_create(&faulty.table, scratch_path(root, "a/file/d"), &diagnostic), STATUS_EXISTS, &diagnostic);
    assert_status(folder_create(&faulty.table, "", &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    for (long call = 1; call <= 4; call++) {
        faulty_begin(&faulty);
        faulty.fail_at = call;
        assert_status(folder_create(&faulty.table, scratch_path(root, "d"), &diagnostic), call < 4 ? STATUS_IO : STATUS_OK,
                      &diagnostic);
        rmdir(scratch_path(root, "d"));
    }

    assert_ok(folder_create(file_system_posix(), scratch_path(root, "kept"), &diagnostic), &diagnostic);
    scratch_write(scratch_path(root, "kept/precious"), "x", 1);
    assert_int_equal(symlink("../../kept", scratch_path(root, "a/b/link")), 0);
    assert_int_equal(symlink("nowhere", scratch_path(root, "a/b/broken")), 0);
    assert_ok(folder_remove_tree(scratch_path(root, "a"), &diagnostic), &diagnostic);
    assert_false(path_exists(scratch_path(root, "a")));
    assert_true(path_exists(scratch_path(root, "kept/precious"))); /* links are not followed */
    assert_ok(folder_remove_tree(scratch_path(root, "a"), &diagnostic), &diagnostic);
    assert_ok(folder_remove_tree(scratch_path(root, "kept/precious"), &diagnostic), &diagnostic);
    assert_false(path_exists(scratch_path(root, "kept/precious")));
}

static void a_folder_is_listed_in_byte_order(void **state)
{
    static const char *const names[] = {"b", "B", "a10", "a2", ".hidden", "\xC3\xA4"};
    for (size_t i = 0; i < 6; i++)
        scratch_write(scratch_path(*state, names[i]), "", 0);
    StringArray listed;
    assert_ok(folder_list(*state, &listed, &diagnostic), &diagnostic);
    assert_int_equal(listed.count, 6);
    static const char *const sorted[] = {".hidden", "B", "a10", "a2", "b", "\xC3\xA4"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(listed.items[i], sorted[i]);
    string_array_free(&listed);
    assert_status(folder_list(scratch_path(*state, "none"), &listed, &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    assert_int_equal(listed.count, 0);
}

static void check_text(char *text, const char *wanted)
{
    assert_string_equal(text, wanted);
    free(text);
}

static void paths_are_taken_apart_and_put_together(void **state)
{
    (void)state;
    check_text(path_join("a", "b"), "a/b");
    check_text(path_join("a/", "b"), "a/b");
    check_text(path_join("a", "/b"), "/b");
    check_text(path_join("", "b"), "b");
    check_text(path_folder("a/b/c"), "a/b");
    check_text(path_folder("a/b/c//"), "a/b");
    check_text(path_folder("a//b"), "a");
    check_text(path_folder("a"), ".");
    check_text(path_folder(""), ".");
    check_text(path_folder("/a"), "/");
    check_text(path_folder("/"), "/");
    assert_string_equal(path_base_name("a/b.c"), "b.c");
    assert_string_equal(path_base_name("b.c"), "b.c");
    check_text(path_absolute("/a/../b"), "/a/../b");
    char *current = getcwd(NULL, 0), *absolute = path_absolute("x");
    assert_memory_equal(absolute, current, strlen(current));
    assert_string_equal(absolute + strlen(current), "/x");
    free(current);
    free(absolute);
    check_text(path_program_folder(), NERSWEEP_BINARY_DIR "/tests");
}

static void a_map_shows_a_file(void **state)
{
    const char *path = scratch_path(*state, "file");
    FileMap map;
    scratch_write(path, "mapped", 6);
    assert_ok(file_map_open(&map, path, &diagnostic), &diagnostic);
    assert_int_equal(map.size, 6);
    assert_memory_equal(map.bytes, "mapped", 6);
    file_map_close(&map);
    assert_null(map.bytes);
    file_map_close(&map);
    scratch_write(path, "", 0);
    assert_ok(file_map_open(&map, path, &diagnostic), &diagnostic);
    assert_int_equal(map.size, 0);
    assert_non_null(map.bytes);
    file_map_close(&map);
    assert_status(file_map_open(&map, *state, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_status(file_map_open(&map, scratch_path(*state, "none"), &diagnostic), STATUS_NOT_FOUND, &diagnostic);
}

static void the_file_system_of_what_does_not_exist_yet_is_that_of_its_parent(void **state)
{
    uint64_t here, there;
    assert_ok(path_require_local(scratch_path(*state, "not/yet/there"), &diagnostic), &diagnostic);
    assert_ok(path_free_bytes(*state, &here, &diagnostic), &diagnostic);
    assert_ok(path_free_bytes(scratch_path(*state, "not/yet/there"), &there, &diagnostic), &diagnostic);
    assert_true(here > 0 && there > 0);
}

static void network_file_systems_are_known_by_name(void **state)
{
    (void)state;
    static const struct {
        uint32_t magic;
        const char *type, *name; /* name NULL: local */
    } cases[] = {
        {0x6969, "nfs4", "NFS"},
        {0x0BD00BD0, "lustre", "Lustre"},
        {0x47504653, "gpfs", "GPFS"},
        {0xFF534D42, "cifs", "CIFS"},
        {0xFE534D42, "smb3", "SMB2"},
        {0x00C36400, "ceph", "Ceph"},
        {0x19830326, "beegfs", "BeeGFS"},
        {0x65735546, "fuse.sshfs", "fuse.sshfs"},
        {0x65735546, "fuse.glusterfs", "fuse.glusterfs"},
        {0x65735546, "fuse.ceph-fuse", "fuse.ceph-fuse"},
        {0x65735546, "fuseblk", NULL},
        {0x65735546, "fuse.fuse-overlayfs", NULL},
        {0xEF53, "ext4", NULL},
        {0x58465342, "xfs", NULL},
        {0x9123683E, "btrfs", NULL},
        {0x01021994, "tmpfs", NULL},
        {0x794C7630, "overlay", NULL},
        {0x2FC12FC1, "zfs", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = path_network_name(cases[i].magic, cases[i].type);
        if ((name == NULL) != (cases[i].name == NULL) || (name && strcmp(name, cases[i].name) != 0))
            fail_msg("%s is taken for %s", cases[i].type, name ? name : "local");
    }
}

/* The child of the next test. */
static int write_in_child(const char *path)
{
    return file_write_durable(file_system_posix(), path, "new", 3, NULL) == STATUS_OK ? 0 : 3;
}

static void a_process_killed_while_writing_leaves_the_old_bytes_or_the_new_ones(void **state)
{
    static const struct {
        const char *point, *content;
        size_t temporary_files;
    } cases[] = {{"file.temporary_written", "old", 1}, {"file.before_rename", "old", 1}, {"file.after_rename", "new", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = scratch_make();
        const char *path = scratch_path(folder, "file"), *log = scratch_path(folder, "log"), *arguments[] = {"write", path, NULL};
        scratch_write(path, "old", 3);
        assert_int_equal(child_run(arguments, cases[i].point, log), 1000 + SIGKILL);
        assert_content(path, cases[i].content);
        assert_int_equal(scratch_count(folder, ".tmp-"), cases[i].temporary_files);
        char fault[64];
        snprintf(fault, sizeof fault, "%s:1:fail", cases[i].point);
        scratch_write(path, "old", 3);
        assert_int_equal(child_run(arguments, fault, log), 3);
        assert_content(path, cases[i].content);
        assert_int_equal(scratch_count(folder, ".tmp-"), cases[i].temporary_files); /* no further one */
        assert_int_equal(child_run(arguments, NULL, NULL), 0);
        assert_content(path, "new");
        scratch_remove(&folder);
    }
    (void)state;
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "write") == 0)
        return write_in_child(arguments[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reading_stops_at_the_limit_and_at_what_is_no_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(exclusive_creation_keeps_what_is_there, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_write_that_fails_anywhere_leaves_the_old_bytes_or_the_new_ones, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_with_the_path, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(short_and_interrupted_writes_are_continued, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(endless_interruptions_end, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_link_whose_answer_was_lost_counts, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_file_system_without_links_is_told, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_writer_shows_nothing_before_it_commits, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(two_writers_of_one_file_do_not_meet, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(folders_are_made_with_their_parents_and_removed_with_all, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_listed_in_byte_order, make_folder, remove_folder),
        cmocka_unit_test(paths_are_taken_apart_and_put_together),
        cmocka_unit_test_setup_teardown(a_map_shows_a_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_file_system_of_what_does_not_exist_yet_is_that_of_its_parent, make_folder,
                                        remove_folder),
        cmocka_unit_test(network_file_systems_are_known_by_name),
        cmocka_unit_test(a_process_killed_while_writing_leaves_the_old_bytes_or_the_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
