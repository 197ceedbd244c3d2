/* Pickles by hand: what is read, and what is refused by name and place. */
#include "tests/model/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/pickle.h"

#define BYTES(text) (text), sizeof(text) - 1
#define STORAGE "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\10tQ"
#define TENSOR "\x80\2ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE

static Pickle *read_fine(const char *bytes, size_t size)
{
    Diagnostic diagnostic = {0};
    Pickle *pickle = NULL;
    size_t used;
    ASSERT_OK(pickle_read(&pickle, (const uint8_t *)bytes, size, "x.bin", 0, &used, &diagnostic), &diagnostic);
    assert_int_equal(used, size);
    return pickle;
}

static void refuse(const char *bytes, size_t size, Status wanted, const char *message)
{
    Diagnostic diagnostic = {0};
    Pickle *pickle = NULL;
    size_t used;
    ASSERT_FAILS(pickle_read(&pickle, (const uint8_t *)bytes, size, "x.bin", 100, &used, &diagnostic), wanted, &diagnostic,
                 message);
    assert_null(pickle);
}

static int64_t read_integer(const char *bytes, size_t size)
{
    Pickle *pickle = read_fine(bytes, size);
    assert_int_equal(pickle_root(pickle)->kind, PICKLE_INTEGER);
    int64_t integer = pickle_root(pickle)->as.integer;
    pickle_destroy(&pickle);
    return integer;
}

static void numbers_of_all_widths_are_read(void **state)
{
    (void)state;
    assert_int_equal(read_integer(BYTES("\x80\2K\xff.")), 255);
    assert_int_equal(read_integer(BYTES("\x80\2M\xe9\3.")), 1001);
    assert_int_equal(read_integer(BYTES("\x80\2J\xfe\xff\xff\xff.")), -2);
    assert_int_equal(read_integer(BYTES("\x80\2\x8a\0.")), 0);
    assert_int_equal(read_integer(BYTES("\x80\2\x8a\1\xff.")), -1);
    assert_int_equal(read_integer(BYTES("\x80\2\x8a\5\0\0\0\0\1.")), (int64_t)1 << 32);
    assert_true(read_integer(BYTES("\x80\2\x8a\10\0\0\0\0\0\0\0\x80.")) == INT64_MIN);
    Pickle *pickle = read_fine(BYTES("\x80\2G\xbf\xf8\0\0\0\0\0\0."));
    assert_true(pickle_root(pickle)->as.real == -1.5);
    pickle_destroy(&pickle);
    refuse(BYTES("\x80\2\x8a\11\0\0\0\0\0\0\0\0\1."), STATUS_LIMIT, "byte 102: an integer of more than 64 bits");
}

static void dicts_of_every_protocol_are_read(void **state)
{
    (void)state;
    static const char memoized[] = "\x80\4\x95\x0b\0\0\0\0\0\0\0}\x94(\x8c\1a\x94K\7u.";
    static const char pairs[] = "\x80\2ccollections\nOrderedDict\n](](U\1aK\7e(U\1bNte\x85R.";
    Pickle *pickle = read_fine(BYTES(memoized));
    assert_int_equal(pickle_dict_get(pickle_root(pickle), "a")->as.integer, 7);
    assert_null(pickle_dict_get(pickle_root(pickle), "b"));
    pickle_destroy(&pickle);
    pickle = read_fine(BYTES(pairs));
    assert_int_equal(pickle_dict_get(pickle_root(pickle), "a")->as.integer, 7);
    assert_int_equal(pickle_dict_get(pickle_root(pickle), "b")->kind, PICKLE_NONE);
    pickle_destroy(&pickle);
    pickle = read_fine(BYTES("\x80\4\x8c\13collections\x8c\13OrderedDict\x93)R}\x8c\1xNsb."));
    assert_int_equal(pickle_root(pickle)->kind, PICKLE_DICT);
    assert_int_equal(pickle_root(pickle)->as.container.count, 0); /* the state is none of its items */
    pickle_destroy(&pickle);
}

static void unknown_names_are_refused_with_name_and_place(void **state)
{
    (void)state;
    refuse(BYTES("\x80\2cos\nsystem\nX\6\0\0\0echo 1\x85R."), STATUS_UNSUPPORTED,
           "x.bin: pickle, byte 102: the file asks for os.system");
    refuse(BYTES("\x80\2cbuiltins\neval\n."), STATUS_UNSUPPORTED, "builtins.eval");
    refuse(BYTES("\x80\2c__builtin__\nexec\n."), STATUS_UNSUPPORTED, "__builtin__.exec");
    refuse(BYTES("\x80\4\x8c\2os\x8c\6system\x93."), STATUS_UNSUPPORTED, "os.system");
    refuse(BYTES("\x80\2ctorch\nload\n."), STATUS_UNSUPPORTED, "torch.load");
    refuse(BYTES("\x80\2ccollections\nOrderedDict2\n."), STATUS_UNSUPPORTED, "OrderedDict2");
    refuse(BYTES("\x80\2ccollections\nOrdered\n."), STATUS_UNSUPPORTED, "collections.Ordered,");
    refuse(BYTES("\x80\2co\x1b[2Js\nsystem\n."), STATUS_UNSUPPORTED, "o?[2Js.system");
}

/* What published attacks call, in the forms of protocols 2 and 4. */
static void no_name_outside_the_list_is_taken(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"os", "popen"},
        {"posix", "system"},
        {"nt", "system"},
        {"subprocess", "Popen"},
        {"subprocess", "check_output"},
        {"builtins", "exec"},
        {"builtins", "compile"},
        {"builtins", "__import__"},
        {"builtins", "getattr"},
        {"builtins", "open"},
        {"__builtin__", "eval"},
        {"__builtin__", "apply"},
        {"sys", "exit"},
        {"importlib", "import_module"},
        {"runpy", "run_path"},
        {"runpy", "_run_code"},
        {"timeit", "timeit"},
        {"code", "InteractiveInterpreter"},
        {"pty", "spawn"},
        {"socket", "create_connection"},
        {"webbrowser", "open"},
        {"shutil", "rmtree"},
        {"pickle", "loads"},
        {"marshal", "loads"},
        {"types", "FunctionType"},
        {"functools", "partial"},
        {"operator", "attrgetter"},
        {"urllib.request", "urlopen"},
        {"torch.hub", "load"},
        {"torch.jit", "load"},
        {"torch", "storage"},
        {"torch.serialization", "load"},
        {"numpy", "load"},
        {"numpy.testing._private.utils", "runstring"},
        {"collections", "OrderedDict.__class__"},
        {"torch._utils", "_rebuild_tensor_v3"},
        {"torch._utils", "os.system"},
        {"torch ", "FloatStorage"},
        {"", "system"},
        {"os", ""},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *module = names[i][0], *name = names[i][1];
        char *old = memory_format("\x80\2c%s\n%s\n(X\2\1\1\1idtR.", module, name), wanted[160];
        char *new = memory_format("\x80\4\x8c%c%s\x8c%c%s\x93.", (int)strlen(module), module, (int)strlen(name), name);
        snprintf(wanted, sizeof wanted, "the file asks for %s.%s, which no weights need", module, name);
        refuse(old, strlen(old), STATUS_UNSUPPORTED, wanted);
        if (*module && *name) /* a size of nothing would end the text here */
            refuse(new, strlen(new), STATUS_UNSUPPORTED, wanted);
        free(old);
        free(new);
    }
}

/* Lists of lists of lists: each level doubles what a walk over all would meet. Nothing walks. */
static void nested_sharing_costs_what_is_written(void **state)
{
    (void)state;
    Text text = {0};
    text_append(&text, BYTES("\x80\2]q\0"));
    for (int level = 1; level < 200; level++) {
        const char step[] = {']', '(', 'h', (char)(level - 1), 'h', (char)(level - 1), 'e', 'q', (char)level};
        text_append(&text, step, sizeof step);
    }
    for (int level = 1; level < 200; level++)
        text_append(&text, "\x86", 1); /* the lists are still on the stack: pairs of pairs */
    text_append(&text, ".", 1);
    Pickle *pickle = read_fine(text.bytes, text.size);
    assert_int_equal(pickle_root(pickle)->kind, PICKLE_TUPLE);
    pickle_destroy(&pickle);
    text_free(&text);
}

static void unknown_opcodes_are_refused_with_code_and_place(void **state)
{
    (void)state;
    /* INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID, STRING, INT, POP, DUP, EMPTY_SET, BYTEARRAY8, NEXT_BUFFER */
    static const char opcodes[] = "io\x81\x92\x82PSI02\x8f\x96\x97";
    for (size_t i = 0; i < sizeof opcodes - 1; i++) {
        char bytes[] = "\x80\2K\1?1\n2\n.", message[64];
        bytes[4] = opcodes[i];
        snprintf(message, sizeof message, "byte 104: opcode 0x%02x", (unsigned char)opcodes[i]);
        refuse(bytes, sizeof bytes - 1, STATUS_UNSUPPORTED, message);
    }
}

static void what_calls_or_builds_something_else_is_refused(void **state)
{
    (void)state;
    refuse(BYTES("\x80\2ctorch\nFloatStorage\n)R."), STATUS_UNSUPPORTED, "a storage type is called");
    refuse(BYTES("\x80\2K\1)R."), STATUS_CORRUPT, "cannot be called");
    refuse(BYTES("\x80\2ccollections\nOrderedDict\nK\1R."), STATUS_CORRUPT, "cannot be called");
    refuse(BYTES("\x80\2ccollections\nOrderedDict\nK\1\x85R."), STATUS_CORRUPT, "pairs");
    refuse(BYTES("\x80\2ccollections\nOrderedDict\n](K\1e\x85R."), STATUS_CORRUPT, "pairs");
    refuse(BYTES("\x80\2K\1}b."), STATUS_UNSUPPORTED, "state for an object that is no dict");
    refuse(BYTES("\x80\2ctorch._utils\n_rebuild_parameter\n(K\1\x88NtR."), STATUS_CORRUPT, "a parameter without a tensor");
    refuse(BYTES("\x80\2K\1Q."), STATUS_CORRUPT, "no storage");
    refuse(BYTES("\x80\2(X\6\0\0\0modulectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\10tQ."), STATUS_UNSUPPORTED, "no storage");
    refuse(BYTES("\x80\2(X\7\0\0\0storageK\1X\1\0\0\0000X\3\0\0\0cpuK\10tQ."), STATUS_CORRUPT, "without a type");
    refuse(BYTES("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\4\0\0\0../aX\3\0\0\0cpuK\10tQ."), STATUS_CORRUPT,
           "letters and digits");
    refuse(BYTES("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuJ\xff\xff\xff\xfftQ."), STATUS_CORRUPT,
           "without a size");
    refuse(BYTES("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpu\x8a\10\0\0\0\0\0\0\0\x70tQ."),
           STATUS_CORRUPT, "larger than any memory");
    refuse(BYTES("\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\10)tQ."), STATUS_UNSUPPORTED,
           "a view of another");
}

static void tensors_stay_inside_their_storage(void **state)
{
    (void)state;
    Pickle *pickle = read_fine(BYTES(TENSOR "K\2K\2K\3\x86K\3K\1\x86\x89NtR."));
    const PickleTensor *tensor = &pickle_root(pickle)->as.tensor;
    assert_int_equal(pickle_root(pickle)->kind, PICKLE_TENSOR);
    assert_true(tensor->offset == 2 && tensor->rank == 2 && tensor->shape[1] == 3 && tensor->strides[0] == 3);
    assert_true(tensor->storage->count == 8 && tensor->storage->item_bytes == 4);
    pickle_destroy(&pickle);
    refuse(BYTES(TENSOR "K\3K\2K\3\x86K\3K\1\x86\x89NtR."), STATUS_CORRUPT, "beyond its storage");
    refuse(BYTES(TENSOR "K\0K\2\x85K\10\x85\x89NtR."), STATUS_CORRUPT, "beyond its storage");
    refuse(BYTES(TENSOR "K\10))\x89NtR."), STATUS_CORRUPT, "beyond its storage");
    refuse(BYTES(TENSOR "K\0K\2\x85\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f\x85\x89NtR."), STATUS_CORRUPT, "beyond its storage");
    refuse(BYTES(TENSOR "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x85\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f\x85\x89NtR."),
           STATUS_CORRUPT, "beyond its storage");
    refuse(BYTES(TENSOR "K\0\x8a\10\0\0\0\0\0\0\0\x40\x8a\1\x08\x86K\0K\0\x86\x89NtR."), STATUS_CORRUPT, "beyond its storage");
    refuse(BYTES(TENSOR "J\xff\xff\xff\xffK\2\x85K\1\x85\x89NtR."), STATUS_CORRUPT, "a storage and an offset");
    refuse(BYTES(TENSOR "K\0J\xff\xff\xff\xff\x85K\1\x85\x89NtR."), STATUS_CORRUPT, "shape and strides");
    refuse(BYTES(TENSOR "K\7K\2\x85J\xff\xff\xff\xff\x85\x89NtR."), STATUS_CORRUPT, "shape and strides");
    refuse(BYTES(TENSOR "K\0K\2\x85K\1K\1\x86\x89NtR."), STATUS_CORRUPT, "shape and strides");
    refuse(BYTES(TENSOR "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t\x89NtR."), STATUS_CORRUPT, "at most 8");
    refuse(BYTES(TENSOR "tR."), STATUS_CORRUPT, "a storage and an offset");
}

static void a_stack_that_does_not_add_up_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {BYTES("\x80\2.")},
        {BYTES("\x80\2(.")},
        {BYTES("\x80\2K\1K\1.")},
        {BYTES("\x80\2t.")},
        {BYTES("\x80\2K\1\x86.")},
        {BYTES("\x80\2(\x85.")},
        {BYTES("\x80\2s.")},
        {BYTES("\x80\2}K\1s.")},
        {BYTES("\x80\2}(K\1u.")},
        {BYTES("\x80\2u.")},
        {BYTES("\x80\2](}(ua.")},
        {BYTES("\x80\2K\1K\1a.")},
        {BYTES("\x80\2}(((u.")},
        {BYTES("\x80\2(q\0.")},
        {BYTES("\x80\2h\0.")},
        {BYTES("\x80\2K\1q\5h\4.")},
        {BYTES("\x80\2R.")},
        {BYTES("\x80\2b.")},
        {BYTES("\x80\2Q.")},
        {BYTES("\x80\2\x93.")},
        {BYTES("K\1.")},
        {BYTES("")},
        {BYTES("\x80\2]K\1\x93.")},
        {BYTES("\x80\2]K\1K\2s.")},
        {BYTES("\x80\2}(e.")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].bytes, cases[i].size, STATUS_CORRUPT, "pickle, byte");
}

static void more_than_any_model_needs_is_refused(void **state)
{
    (void)state;
    refuse(BYTES("\x80\2K\1r\xff\xff\xff\xff."), STATUS_LIMIT, "the memo is larger");
    refuse(BYTES("\x80\2K\1r\0\0\x10\0."), STATUS_LIMIT, "the memo is larger");
    refuse(BYTES("\x80\2X\xff\xff\xff\xffx."), STATUS_CORRUPT, "cut short");
    refuse(BYTES("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xffx."), STATUS_CORRUPT, "cut short");
    refuse(BYTES("\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\x7f."), STATUS_CORRUPT, "cut short");
    refuse(BYTES("\x80\6}."), STATUS_UNSUPPORTED, "protocol");
    enum { MANY = (1 << 20) + 8 };
    Text text = {0};
    text_append(&text, "\x80\2", 2);
    for (int i = 0; i < MANY; i++)
        text_append(&text, "(", 1);
    refuse(text.bytes, text.size, STATUS_LIMIT, "stack is deeper");
    text_clear(&text);
    text_append(&text, "\x80\2](", 4);
    for (int i = 0; i < MANY; i++)
        text_append(&text, "Ne(", 3);
    refuse(text.bytes, text.size, STATUS_LIMIT, "more values");
    text_clear(&text);
    text_append_string(&text, "ccollections\n");
    for (int i = 0; i < 200; i++)
        text_append(&text, "x", 1);
    char *named = memory_format("\x80\2%s\n.", text.bytes);
    refuse(named, strlen(named), STATUS_LIMIT, "a name of more than 128 bytes");
    free(named);
    text_free(&text);
}

/* A list of 1000 pairs made into dicts a thousand times: a few kB of pickle that would fill memory. */
static void content_that_multiplies_is_refused(void **state)
{
    (void)state;
    Text text = {0};
    text_append(&text, BYTES("\x80\2ccollections\nOrderedDict\nq\0](K\1K\1\x86q\1"));
    for (int i = 0; i < 4000; i++)
        text_append(&text, "h\1", 2);
    text_append(&text, "eq\2", 3);
    for (int i = 0; i < 1000; i++)
        text_append(&text, "h\0h\2\x85R", 6);
    refuse(text.bytes, text.size, STATUS_LIMIT, "more values");
    text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_all_widths_are_read),
        cmocka_unit_test(dicts_of_every_protocol_are_read),
        cmocka_unit_test(unknown_names_are_refused_with_name_and_place),
        cmocka_unit_test(no_name_outside_the_list_is_taken),
        cmocka_unit_test(nested_sharing_costs_what_is_written),
        cmocka_unit_test(unknown_opcodes_are_refused_with_code_and_place),
        cmocka_unit_test(what_calls_or_builds_something_else_is_refused),
        cmocka_unit_test(tensors_stay_inside_their_storage),
        cmocka_unit_test(a_stack_that_does_not_add_up_is_refused),
        cmocka_unit_test(more_than_any_model_needs_is_refused),
        cmocka_unit_test(content_that_multiplies_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
