/* Reading and writing safetensors; every kind of hostile file is refused. */
#include "tests/model/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "model/safetensors.h"

typedef struct Scratch {
    char *folder, *path;
} Scratch;

static Scratch make_scratch(void)
{
    Scratch scratch = {.folder = support_folder("safetensors")};
    scratch.path = path_join(scratch.folder, "x.safetensors");
    return scratch;
}

static void free_scratch(Scratch *scratch)
{
    free(scratch->folder);
    free(scratch->path);
}

static void write_raw(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A file with this header and data_bytes bytes 0, 1, 2 ... behind it. */
static void write_with_header(const char *path, const char *header, size_t header_size, size_t data_bytes)
{
    Text text = {0};
    uint64_t size = header_size;
    text_append(&text, (const char *)&size, sizeof size);
    text_append(&text, header, header_size);
    for (size_t i = 0; i < data_bytes; i++)
        text_append(&text, &(char){(char)i}, 1);
    write_raw(path, text.bytes, text.size);
    text_free(&text);
}

static void refuse(const char *header, size_t data_bytes, Status wanted, const char *message)
{
    Scratch scratch = make_scratch();
    Safetensors *file = NULL;
    Diagnostic diagnostic = {0};
    write_with_header(scratch.path, header, strlen(header), data_bytes);
    ASSERT_FAILS(safetensors_open(&file, scratch.path, &diagnostic), wanted, &diagnostic, message);
    assert_null(file);
    free_scratch(&scratch);
}

static const float VALUES[] = {1.5f, -2, 3.25e-20f, 4, 5, 6};

static void write_sample(const char *path)
{
    Diagnostic diagnostic = {0};
    static const char *const metadata[] = {"format", "pt", "note", "two"};
    const TensorOut tensors[] = {
        {.name = "b", .rank = 2, .shape = {2, 2}, .values = VALUES, .count = 4},
        {.name = "empty", .rank = 1, .shape = {0}, .values = VALUES, .count = 0},
        {.name = "a", .rank = 1, .shape = {2}, .values = VALUES + 4, .count = 2},
        {.name = "scalar", .rank = 0, .values = VALUES, .count = 1},
    };
    ASSERT_OK(safetensors_write(path, tensors, 4, metadata, 4, file_system_posix(), &diagnostic), &diagnostic);
}

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    Scratch scratch = make_scratch();
    Safetensors *file = NULL;
    Diagnostic diagnostic = {0};
    float values[4];
    write_sample(scratch.path);
    ASSERT_OK(safetensors_open(&file, scratch.path, &diagnostic), &diagnostic);
    assert_int_equal(safetensors_count(file), 4);
    assert_string_equal(json_string_value(json_get(safetensors_metadata(file), "note")), "two");
    const TensorEntry *entry = safetensors_find(file, "b");
    assert_true(entry->type == TENSOR_F32 && entry->rank == 2 && entry->shape[0] == 2 && entry->shape[1] == 2);
    ASSERT_OK(safetensors_read_floats(entry, values, 4, &diagnostic), &diagnostic);
    assert_memory_equal(values, VALUES, sizeof values);
    ASSERT_OK(safetensors_read_floats(safetensors_find(file, "scalar"), values, 1, &diagnostic), &diagnostic);
    assert_true(safetensors_find(file, "empty")->size_bytes == 0);
    assert_null(safetensors_find(file, "c"));
    ASSERT_FAILS(safetensors_read_floats(entry, values, 3, &diagnostic), STATUS_MISMATCH, &diagnostic, "4 numbers, 3");
    safetensors_close(&file);
    assert_null(file);
    free_scratch(&scratch);
}

static void equal_input_gives_equal_bytes_with_an_aligned_header(void **state)
{
    (void)state;
    Scratch scratch = make_scratch();
    Diagnostic diagnostic = {0};
    char *bytes[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        write_sample(scratch.path);
        ASSERT_OK(file_read(scratch.path, 1 << 20, &bytes[i], &size[i], &diagnostic), &diagnostic);
        assert_int_equal(unlink(scratch.path), 0);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    uint64_t header;
    memcpy(&header, bytes[0], sizeof header);
    assert_int_equal(header % 8, 0);
    free(bytes[0]);
    free(bytes[1]);
    free_scratch(&scratch);
}

static void a_file_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    Scratch scratch = make_scratch();
    Diagnostic diagnostic = {0};
    char *bytes;
    size_t size;
    write_sample(scratch.path);
    ASSERT_OK(file_read(scratch.path, 1 << 20, &bytes, &size, &diagnostic), &diagnostic);
    for (size_t length = 0; length < size; length++) {
        Safetensors *file = NULL;
        write_raw(scratch.path, bytes, length);
        assert_int_equal(safetensors_open(&file, scratch.path, &diagnostic), STATUS_CORRUPT);
    }
    free(bytes);
    free_scratch(&scratch);
}

/* One flipped bit in the header either is harmless (a name, a space) or refused; it never reads outside the file. */
static void flipped_bits_in_the_header_never_read_outside_the_file(void **state)
{
    (void)state;
    Scratch scratch = make_scratch();
    Diagnostic diagnostic = {0};
    char *bytes;
    size_t size;
    write_sample(scratch.path);
    ASSERT_OK(file_read(scratch.path, 1 << 20, &bytes, &size, &diagnostic), &diagnostic);
    size_t header_end = size - 7 * sizeof(float);
    for (size_t bit = 0; bit < 8 * header_end; bit++) {
        Safetensors *file = NULL;
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        write_raw(scratch.path, bytes, size);
        if (safetensors_open(&file, scratch.path, &diagnostic) == STATUS_OK) {
            for (size_t i = 0; i < safetensors_count(file); i++) {
                const TensorEntry *entry = safetensors_at(file, i);
                assert_true(entry->size_bytes <= 7 * sizeof(float));
                for (size_t j = 0; j < entry->size_bytes; j++)
                    assert_true(entry->bytes[j] ==
                                (uint8_t)bytes[header_end + (size_t)(entry->bytes - safetensors_at(file, 0)->bytes) + j]);
            }
        }
        safetensors_close(&file);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
    free(bytes);
    free_scratch(&scratch);
}

static void a_header_size_beyond_the_file_is_refused(void **state)
{
    (void)state;
    Scratch scratch = make_scratch();
    Diagnostic diagnostic = {0};
    static const uint64_t sizes[] = {1000, 100000001, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Safetensors *file = NULL;
        char bytes[10] = {0};
        memcpy(bytes, &sizes[i], sizeof sizes[i]);
        memcpy(bytes + 8, "{}", 2);
        write_raw(scratch.path, bytes, sizeof bytes);
        ASSERT_FAILS(safetensors_open(&file, scratch.path, &diagnostic), STATUS_CORRUPT, &diagnostic, "header claims");
    }
    free_scratch(&scratch);
}

static void wrong_places_are_refused(void **state)
{
    (void)state;
    const Status corrupt = STATUS_CORRUPT;
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
           "offsets\":[4,12]}}",
           12, corrupt, "inside the tensor before it");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
           "offsets\":[0,8]}}",
           8, corrupt, "inside the tensor before it");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
           "offsets\":[8,12]}}",
           12, corrupt, "nothing stands before it");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, corrupt, "nothing stands before it");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, corrupt, "belong to none");
    refuse("{}", 1, corrupt, "belong to none");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", 8, corrupt, "cut short");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775803,9223372036854775807]}}", 8, corrupt,
           "cut short");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, corrupt, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, corrupt, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0.0,4.0]}}", 4, corrupt, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, corrupt, "data_offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, corrupt, "data_offsets");
}

static void shapes_and_types_that_lie_are_refused(void **state)
{
    (void)state;
    const Status corrupt = STATUS_CORRUPT;
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, corrupt, "need 12");
    refuse("{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, corrupt, "dtype F16 need 4");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-2],\"data_offsets\":[0,8]}}", 8, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":\"2\",\"data_offsets\":[0,8]}}", 8, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, STATUS_UNSUPPORTED, "F33");
    refuse("{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, corrupt, "dtype");
    refuse("{\"a\":[]}", 8, corrupt, "dtype");
    refuse("{\"__metadata__\":[]}", 0, corrupt, "__metadata__");
    refuse("{\"__metadata__\":{\"format\":1}}", 0, corrupt, "\"format\" in __metadata__ is no text");
    refuse("{\"__metadata__\":{\"a\":\"b\",\"c\":{\"d\":\"e\"}}}", 0, corrupt, "\"c\" in __metadata__");
    refuse("{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0, corrupt, "JSON");
    refuse("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, corrupt, "JSON");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"data_offsets\":[0,8]}}", 8, corrupt, "JSON");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,8]}}", 8, corrupt, "JSON");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807,9223372036854775807],\"data_offsets\":[0,0]}}", 1, corrupt,
           "belong to none");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":{\"0\":2},\"data_offsets\":[0,8]}}", 8, corrupt, "shape");
    refuse("{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, STATUS_UNSUPPORTED, "f32");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775808]}}", 8, corrupt, "JSON");
    refuse("{\"a\":null}", 8, corrupt, "dtype");
}

static void headers_that_are_no_json_object_are_refused(void **state)
{
    (void)state;
    refuse("", 4, STATUS_CORRUPT, "");
    refuse("[]", 0, STATUS_CORRUPT, "object");
    refuse("{\"a\":", 0, STATUS_CORRUPT, "JSON");
    refuse(" {}", 0, STATUS_CORRUPT, "begin with {");
    refuse("\n{}", 0, STATUS_CORRUPT, "begin with {");
    refuse("\xEF\xBB\xBF{}", 0, STATUS_CORRUPT, "begin with {");
    refuse("{}x", 0, STATUS_CORRUPT, "JSON");
    refuse("{}{}", 0, STATUS_CORRUPT, "JSON");
    refuse("null", 0, STATUS_CORRUPT, "object");
    refuse("\"{}\"", 0, STATUS_CORRUPT, "object");
    refuse("{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, STATUS_CORRUPT, "JSON");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
           "offsets\":[4,8]}}",
           8, STATUS_CORRUPT, "JSON");
    enum { DEPTH = 200000 };
    char *deep = memory_allocate(2 * DEPTH + 16, 1);
    strcpy(deep, "{\"a\":");
    memset(deep + 5, '[', DEPTH);
    memset(deep + 5 + DEPTH, ']', DEPTH);
    strcat(deep, "}");
    refuse(deep, 0, STATUS_CORRUPT, "JSON");
    free(deep);
}

static void half_precision_and_doubles_are_converted(void **state)
{
    (void)state;
    Scratch scratch = make_scratch();
    Diagnostic diagnostic = {0};
    Safetensors *file = NULL;
    static const char header[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
                                 "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[12,18]},"
                                 "\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[18,26]},"
                                 "\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[26,34]}}";
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7c00, 0x8400, 0x7bff}, brains[] = {0x3f80, 0xc049, 0x0001};
    const double wide = 0.1;
    const int64_t integer = 7;
    uint64_t header_size = sizeof header - 1;
    Text text = {0};
    text_append(&text, (const char *)&header_size, sizeof header_size);
    text_append(&text, header, header_size);
    text_append(&text, (const char *)halves, sizeof halves);
    text_append(&text, (const char *)brains, sizeof brains);
    text_append(&text, (const char *)&wide, sizeof wide);
    text_append(&text, (const char *)&integer, sizeof integer);
    write_raw(scratch.path, text.bytes, text.size);
    float values[6];
    ASSERT_OK(safetensors_open(&file, scratch.path, &diagnostic), &diagnostic);
    ASSERT_OK(safetensors_read_floats(safetensors_find(file, "h"), values, 6, &diagnostic), &diagnostic);
    assert_true(values[0] == 1 && values[1] == -2 && values[2] == ldexpf(1, -24) && isinf(values[3]));
    assert_true(values[4] == -ldexpf(1, -14) && values[5] == 65504);
    ASSERT_OK(safetensors_read_floats(safetensors_find(file, "b"), values, 3, &diagnostic), &diagnostic);
    assert_true(values[0] == 1 && values[1] == -3.140625f && values[2] == ldexpf(1, -133));
    ASSERT_OK(safetensors_read_floats(safetensors_find(file, "d"), values, 1, &diagnostic), &diagnostic);
    assert_true(values[0] == 0.1f);
    ASSERT_FAILS(safetensors_read_floats(safetensors_find(file, "i"), values, 1, &diagnostic), STATUS_MISMATCH, &diagnostic,
                 "\"i\"");
    safetensors_close(&file);
    text_free(&text);
    free_scratch(&scratch);
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    Safetensors *file = NULL;
    ASSERT_FAILS(safetensors_open(&file, "/nowhere/x.safetensors", &diagnostic), STATUS_NOT_FOUND, &diagnostic, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(equal_input_gives_equal_bytes_with_an_aligned_header),
        cmocka_unit_test(a_file_cut_short_anywhere_is_refused),
        cmocka_unit_test(flipped_bits_in_the_header_never_read_outside_the_file),
        cmocka_unit_test(a_header_size_beyond_the_file_is_refused),
        cmocka_unit_test(wrong_places_are_refused),
        cmocka_unit_test(shapes_and_types_that_lie_are_refused),
        cmocka_unit_test(headers_that_are_no_json_object_are_refused),
        cmocka_unit_test(half_precision_and_doubles_are_converted),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
