/* Reading files of torch.save in both forms, as torch wrote them (tests/golden/make_torch_bins.py), cut, flipped and forged. */
#include "tests/model/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/io/file.h"
#include "model/torch_bin.h"

static char *golden(const char *name)
{
    char *relative = memory_format("tests/golden/torch/%s", name), *path = support_source_path(relative);
    free(relative);
    return path;
}

/* Element k of tensor number n, as make_torch_bins.py says. */
static float value_of(size_t number, size_t k)
{
    return ((float)((7 * k + 3 * number) % 33) - 16) / 8;
}

static void write_raw(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void read_golden(const char *name, char **bytes, size_t *size)
{
    Diagnostic diagnostic = {0};
    char *path = golden(name);
    ASSERT_OK(file_read(path, 1 << 20, bytes, size, &diagnostic), &diagnostic);
    free(path);
}

static void check_mixed(const char *name)
{
    static const struct {
        const char *name;
        TensorType type;
        int32_t rank;
        int64_t shape[3];
    } wanted[] = {
        {"a.float", TENSOR_F32, 2, {3, 5}},  {"b.half", TENSOR_F16, 1, {4}},          {"c.bfloat16", TENSOR_BF16, 2, {2, 3}},
        {"d.double", TENSOR_F64, 2, {2, 2}}, {"e.transposed", TENSOR_F32, 2, {3, 4}}, {"f.view", TENSOR_F32, 2, {2, 3}},
        {"g.spread", TENSOR_F32, 1, {6}},    {"h.parameter", TENSOR_F32, 1, {2}},     {"i.cube", TENSOR_F32, 3, {2, 3, 4}},
        {"j.long", TENSOR_I64, 2, {1, 6}},   {"k.empty", TENSOR_F32, 2, {0, 4}},      {"l.scalar", TENSOR_F32, 0, {0}},
    };
    Diagnostic diagnostic = {0};
    TorchBin *file = NULL;
    char *path = golden(name);
    ASSERT_OK(torch_bin_open(&file, path, &diagnostic), &diagnostic);
    assert_int_equal(torch_bin_count(file), sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < torch_bin_count(file); i++) {
        const TensorEntry *entry = torch_bin_at(file, i);
        float values[24];
        size_t count = 1;
        assert_string_equal(entry->name, wanted[i].name);
        assert_int_equal(entry->type, wanted[i].type);
        assert_int_equal(entry->rank, wanted[i].rank);
        for (int32_t axis = 0; axis < entry->rank; axis++) {
            assert_int_equal(entry->shape[axis], wanted[i].shape[axis]);
            count *= (size_t)entry->shape[axis];
        }
        ASSERT_FAILS(torch_bin_read_floats(file, i, values, count + 1, &diagnostic), STATUS_MISMATCH, &diagnostic, entry->name);
        if (entry->type == TENSOR_I64) {
            ASSERT_FAILS(torch_bin_read_floats(file, i, values, count, &diagnostic), STATUS_MISMATCH, &diagnostic, "j.long");
            continue;
        }
        ASSERT_OK(torch_bin_read_floats(file, i, values, count, &diagnostic), &diagnostic);
        for (size_t k = 0; k < count && entry->rank > 0; k++)
            assert_true(values[k] == value_of(i, k));
        assert_true(entry->rank > 0 || values[0] == 1.5f);
    }
    torch_bin_close(&file);
    free(path);
}

static void every_type_view_and_stride_is_read_from_the_zip_form(void **state)
{
    (void)state;
    check_mixed("mixed-zip.bin");
}

static void every_type_view_and_stride_is_read_from_the_older_form(void **state)
{
    (void)state;
    check_mixed("mixed-legacy.bin");
}

static void refuse(const char *path, Status wanted, const char *message)
{
    Diagnostic diagnostic = {0};
    TorchBin *file = NULL;
    Status status = torch_bin_open(&file, path, &diagnostic);
    if (status == STATUS_OK) { /* what is wrong with a storage shows when it is read */
        float values[4];
        status = torch_bin_read_floats(file, 0, values, 4, &diagnostic);
        torch_bin_close(&file);
    }
    ASSERT_FAILS(status, wanted, &diagnostic, message);
    assert_null(file);
}

static void refuse_golden(const char *name, Status wanted, const char *message)
{
    char *path = golden(name);
    refuse(path, wanted, message);
    free(path);
}

static void forged_archives_are_refused(void **state)
{
    (void)state;
    refuse_golden("hostile-compressed.bin", STATUS_UNSUPPORTED, "is compressed");
    refuse_golden("hostile-no-storage.bin", STATUS_CORRUPT, "has no entry");
    refuse_golden("hostile-short-storage.bin", STATUS_CORRUPT, "has 12 bytes, the pickle says 16");
    refuse_golden("hostile-long-storage.bin", STATUS_LIMIT, "has 20 bytes, the limit is 16");
    refuse_golden("hostile-byte-order.bin", STATUS_UNSUPPORTED, "byte order");
    refuse_golden("hostile-two-pickles.bin", STATUS_UNSUPPORTED, "2 entries");
    refuse_golden("hostile-no-pickle.bin", STATUS_UNSUPPORTED, "0 entries");
    refuse_golden("hostile-tail.bin", STATUS_CORRUPT, "1 bytes follow the pickle");
    refuse_golden("hostile-list.bin", STATUS_UNSUPPORTED, "no state dict");
}

static void code_in_a_pickle_is_named_and_not_run(void **state)
{
    (void)state;
    refuse_golden("hostile-system.bin", STATUS_UNSUPPORTED, "posix.system");
    refuse_golden("hostile-system-legacy.bin", STATUS_UNSUPPORTED, "posix.system");
}

static void what_is_no_file_of_torch_is_refused(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "", "P", "PK\3\4", "<html>not found</html>", "\x80\x02}.", "version https://example.org/spec/v1\n"};
    char *folder = support_folder("torch-bin-other"), *path = path_join(folder, "x.bin");
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        write_raw(path, contents[i], strlen(contents[i]));
        refuse(path, i == 2 ? STATUS_CORRUPT : STATUS_UNSUPPORTED, "");
    }
    refuse(folder, STATUS_INVALID_INPUT, "");
    refuse("/nowhere/x.bin", STATUS_NOT_FOUND, "");
    free(path);
    free(folder);
}

/* Opens the file and reads all that it offers; whatever comes, it comes in order. True when all of it was read. */
static bool read_all(const char *path)
{
    Diagnostic diagnostic = {0};
    TorchBin *file = NULL;
    bool all = torch_bin_open(&file, path, &diagnostic) == STATUS_OK;
    for (size_t i = 0; file && i < torch_bin_count(file); i++) {
        const TensorEntry *entry = torch_bin_at(file, i);
        size_t count = 1;
        for (int32_t axis = 0; axis < entry->rank; axis++)
            count = (size_t)entry->shape[axis] < 10000 && count < 10000 ? count * (size_t)entry->shape[axis] : 10000000;
        float *values = memory_allocate(count < 10000000 ? count + 1 : 1, sizeof *values);
        if (count < 10000000 && entry->type != TENSOR_I64)
            all = torch_bin_read_floats(file, i, values, count, &diagnostic) == STATUS_OK && all;
        free(values);
    }
    torch_bin_close(&file);
    return all;
}

/* A file in memory, for what is written ten thousand times. */
static int make_memory_file(char **path)
{
    int file = memfd_create("torch-bin", MFD_CLOEXEC);
    assert_true(file >= 0);
    *path = memory_format("/proc/self/fd/%d", file);
    return file;
}

static void write_memory(int file, const void *bytes, size_t size)
{
    assert_int_equal(ftruncate(file, (off_t)size), 0);
    assert_int_equal(pwrite(file, bytes, size, 0), size);
}

static void a_file_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"small-zip.bin", "small-legacy.bin", "mixed-legacy.bin"};
    char *path;
    int file = make_memory_file(&path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *bytes;
        size_t size;
        read_golden(names[i], &bytes, &size);
        write_memory(file, bytes, size);
        assert_true(read_all(path));
        for (size_t cut = 0; cut < size; cut++) {
            write_memory(file, bytes, cut);
            if (read_all(path))
                fail_msg("%s cut to %zu of %zu bytes was read", names[i], cut, size);
        }
        write_memory(file, bytes, size);
        assert_int_equal(pwrite(file, "x", 1, (off_t)size), 1);
        assert_true(i == 0 || !read_all(path)); /* a zip archive may have bytes behind it */
        free(bytes);
    }
    close(file);
    free(path);
}

static void flipped_bits_never_read_outside_the_file(void **state)
{
    (void)state;
    static const char *const names[] = {"small-zip.bin", "small-legacy.bin", "mixed-legacy.bin"};
    char *path;
    int file = make_memory_file(&path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *bytes;
        size_t size;
        read_golden(names[i], &bytes, &size);
        for (size_t bit = 0; bit < 8 * size; bit += i == 1 ? 1 : 3) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
            write_memory(file, bytes, size);
            (void)read_all(path); /* under the sanitizers: no access outside */
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        }
        free(bytes);
    }
    close(file);
    free(path);
}

/* -- the older form, by hand */

static void append_storage_key(Text *text, const char *key)
{
    text_append(text, "X", 1);
    uint32_t size = (uint32_t)strlen(key);
    text_append(text, (const char *)&size, sizeof size);
    text_append_string(text, key);
}

/* "w" is a view of `elements` floats from `offset` on of storage "1", which claims to hold `claimed`. */
static void append_tensor(Text *text, const char *name, const char *key, uint8_t claimed, uint8_t offset, uint8_t elements)
{
    append_storage_key(text, name);
    text_append_string(text, "ctorch._utils\n_rebuild_tensor_v2\n((");
    append_storage_key(text, "storage");
    text_append_string(text, "ctorch\nFloatStorage\n");
    append_storage_key(text, key);
    append_storage_key(text, "cpu");
    text_append(
        text,
        (const char[]){'K', (char)claimed, 'N', 't', 'Q', 'K', (char)offset, 'K', (char)elements, (char)0x85, 'K', 1, (char)0x85},
        13);
    text_append(text,
                "\x89"
                "ccollections\nOrderedDict\n)RtR",
                30);
}

static void append_start(Text *text)
{
    static const char start[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}"
                                "X\x0d\0\0\0little_endian\x88s.\x80\x02}(";
    text_append(text, start, sizeof start - 1);
}

/* The list of keys, then the storages: `elements` as stated, `floats` zeros really there. */
static void append_storages(Text *text, const char *const *keys, size_t key_count, uint64_t elements, size_t floats)
{
    static const char zeros[64];
    text_append(text, "u.\x80\x02](", 6);
    for (size_t i = 0; i < key_count; i++)
        append_storage_key(text, keys[i]);
    text_append_string(text, "e.");
    for (size_t i = 0; i < key_count; i++) {
        text_append(text, (const char *)&elements, sizeof elements);
        text_append(text, zeros, floats * sizeof(float));
    }
}

static void check_forged(Text *text, Status wanted, const char *message)
{
    char *folder = support_folder("torch-bin-forged"), *path = path_join(folder, "x.bin");
    write_raw(path, text->bytes, text->size);
    if (wanted == STATUS_OK)
        assert_true(read_all(path));
    else
        refuse(path, wanted, message);
    text_free(text);
    free(path);
    free(folder);
}

static void sizes_that_lie_are_refused(void **state)
{
    (void)state;
    static const char *const one[] = {"1"}, *const two[] = {"1", "2"}, *const twice[] = {"1", "1"};
    static const struct {
        uint8_t claimed, offset, elements;
        uint64_t stated;
        size_t floats;
        Status wanted;
        const char *message;
    } cases[] = {
        {4, 0, 4, 4, 4, STATUS_OK, ""},
        {4, 0, 5, 4, 4, STATUS_CORRUPT, "beyond its storage"},
        {4, 1, 4, 4, 4, STATUS_CORRUPT, "beyond its storage"},
        {8, 0, 4, 4, 4, STATUS_CORRUPT, "has 4 elements, the pickle says 8"},
        {4, 0, 4, UINT64_MAX, 4, STATUS_CORRUPT, "elements, the pickle says 4"},
        {8, 0, 4, 8, 4, STATUS_CORRUPT, "cut short"},
        {4, 0, 4, 4, 5, STATUS_CORRUPT, "4 bytes follow the last storage"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Text text = {0};
        append_start(&text);
        append_tensor(&text, "w", "1", cases[i].claimed, cases[i].offset, cases[i].elements);
        append_storages(&text, one, 1, cases[i].stated, cases[i].floats);
        check_forged(&text, cases[i].wanted, cases[i].message);
    }
    Text text = {0};
    append_start(&text);
    append_tensor(&text, "w", "1", 4, 0, 4);
    append_storages(&text, two, 2, 4, 4);
    check_forged(&text, STATUS_UNSUPPORTED, "storage 1 of the file belongs to no tensor");
    append_start(&text);
    append_tensor(&text, "w", "1", 4, 0, 4);
    append_storages(&text, twice, 2, 4, 4);
    check_forged(&text, STATUS_CORRUPT, "listed twice");
    append_start(&text);
    append_tensor(&text, "w", "2", 4, 0, 4);
    append_storages(&text, one, 1, 4, 4);
    check_forged(&text, STATUS_CORRUPT, "storage of tensor \"w\" is not in the file");
}

static void storages_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const char *const one[] = {"1"};
    Text text = {0};
    append_start(&text);
    append_tensor(&text, "v", "1", 4, 0, 4);
    append_tensor(&text, "w", "1", 4, 2, 2);
    append_storages(&text, one, 1, 4, 4);
    check_forged(&text, STATUS_OK, ""); /* two views of one storage, as tied weights have */
    append_start(&text);
    append_tensor(&text, "v", "1", 4, 0, 4);
    append_tensor(&text, "w", "1", 8, 0, 8);
    append_storages(&text, one, 1, 4, 4);
    check_forged(&text, STATUS_CORRUPT, "something else of its storage");
    append_start(&text);
    append_tensor(&text, "w", "1", 4, 0, 4);
    append_tensor(&text, "w", "1", 4, 0, 4);
    append_storages(&text, one, 1, 4, 4);
    check_forged(&text, STATUS_CORRUPT, "tensor \"w\" is there twice");
    append_start(&text);
    append_tensor(&text, "w\nname", "1", 4, 0, 4);
    append_storages(&text, one, 1, 4, 4);
    check_forged(&text, STATUS_CORRUPT, "control characters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_view_and_stride_is_read_from_the_zip_form),
        cmocka_unit_test(every_type_view_and_stride_is_read_from_the_older_form),
        cmocka_unit_test(forged_archives_are_refused),
        cmocka_unit_test(code_in_a_pickle_is_named_and_not_run),
        cmocka_unit_test(what_is_no_file_of_torch_is_refused),
        cmocka_unit_test(a_file_cut_short_anywhere_is_refused),
        cmocka_unit_test(flipped_bits_never_read_outside_the_file),
        cmocka_unit_test(sizes_that_lie_are_refused),
        cmocka_unit_test(storages_that_contradict_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
