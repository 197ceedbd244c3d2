/* The machine behind pickle.h: a stack, a memo, and one function per group of opcodes. */
#include "model/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "model/pickle_internal.h"

enum { ARENA_BLOCK_BYTES = 64 * 1024, PROTOCOL_LIMIT = 5, GLOBAL_NAME_LIMIT = 128, SHOWN_NAME_SIZE = 72 };

/* Opcodes by their names in CPython's pickletools. */
enum {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_LONG1 = 0x8a,
    OP_BINFLOAT = 'G',
    OP_NONE = 'N',
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_EMPTY_DICT = '}',
    OP_EMPTY_LIST = ']',
    OP_EMPTY_TUPLE = ')',
    OP_TUPLE = 't',
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_APPEND = 'a',
    OP_APPENDS = 'e',
    OP_SETITEM = 's',
    OP_SETITEMS = 'u',
    OP_GLOBAL = 'c',
    OP_STACK_GLOBAL = 0x93,
    OP_REDUCE = 'R',
    OP_BUILD = 'b',
    OP_BINPERSID = 'Q',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_MEMOIZE = 0x94,
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_PROTO = 0x80,
    OP_FRAME = 0x95,
};

struct Pickle {
    Arena *arena;
    const PickleValue *root;
};

Status pickle_fail(PickleMachine *machine, Status code, const char *text)
{
    return FAIL(machine->diagnostic, code, "%s: pickle, byte %llu: %s", machine->name,
                (unsigned long long)(machine->base + machine->opcode_at), text);
}

static Status cut_short(PickleMachine *machine)
{
    return pickle_fail(machine, STATUS_CORRUPT, "the file ends inside the pickle: it is cut short");
}

static Status take(PickleMachine *machine, size_t count, const uint8_t **bytes)
{
    if (count > machine->size - machine->at)
        return cut_short(machine);
    *bytes = machine->bytes + machine->at;
    machine->at += count;
    return STATUS_OK;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static Status take_number(PickleMachine *machine, size_t width, uint64_t *number)
{
    const uint8_t *bytes = NULL;
    Status status = take(machine, width, &bytes);
    *number = 0;
    for (size_t i = 0; status == STATUS_OK && i < width; i++)
        *number |= (uint64_t)bytes[i] << (8 * i);
    return status;
}

Status pickle_new_value(PickleMachine *machine, PickleKind kind, PickleValue **value)
{
    if (machine->value_count++ >= PICKLE_VALUE_LIMIT)
        return pickle_fail(machine, STATUS_LIMIT, "the pickle holds more values than any model needs");
    *value = arena_allocate(machine->arena, 1, sizeof **value);
    (*value)->kind = kind;
    return STATUS_OK;
}

/* -- the stack; NULL entries are marks */

static Status push(PickleMachine *machine, PickleValue *value)
{
    if (machine->stack.count >= PICKLE_STACK_LIMIT)
        return pickle_fail(machine, STATUS_LIMIT, "the pickle's stack is deeper than any model needs");
    array_push(&machine->stack, value);
    return STATUS_OK;
}

static Status pop(PickleMachine *machine, PickleValue **value)
{
    if (machine->stack.count == 0 || !machine->stack.items[machine->stack.count - 1])
        return pickle_fail(machine, STATUS_CORRUPT, "a value is missing on the stack");
    *value = machine->stack.items[--machine->stack.count];
    return STATUS_OK;
}

/* The value on top, which stays. */
static Status top(PickleMachine *machine, PickleValue **value)
{
    Status status = pop(machine, value);
    if (status == STATUS_OK)
        machine->stack.count++;
    return status;
}

/* Where the values above the last mark begin; the mark and they are still there. */
static Status find_mark(PickleMachine *machine, size_t *first)
{
    for (*first = machine->stack.count; *first > 0; (*first)--)
        if (!machine->stack.items[*first - 1])
            return STATUS_OK;
    return pickle_fail(machine, STATUS_CORRUPT, "a mark is missing on the stack");
}

static Status push_new(PickleMachine *machine, PickleKind kind, PickleValue **value)
{
    Status status = pickle_new_value(machine, kind, value);
    return status == STATUS_OK ? push(machine, *value) : status;
}

/* -- numbers and texts */

static Status push_integer(PickleMachine *machine, int64_t integer)
{
    PickleValue *value;
    Status status = push_new(machine, PICKLE_INTEGER, &value);
    if (status == STATUS_OK)
        value->as.integer = integer;
    return status;
}

static Status read_integer(PickleMachine *machine, int opcode)
{
    Status status = STATUS_OK;
    uint64_t number;
    size_t width = opcode == OP_BININT ? 4 : opcode == OP_BININT2 ? 2 : 1;
    TRY(take_number(machine, width, &number));
    if (opcode == OP_BININT)
        return push_integer(machine, (int32_t)(uint32_t)number);
    if (opcode != OP_LONG1)
        return push_integer(machine, (int64_t)number);
    size_t long_width = (size_t)number;
    if (long_width > sizeof(int64_t)) {
        status = pickle_fail(machine, STATUS_LIMIT, "an integer of more than 64 bits");
        goto out;
    }
    TRY(take_number(machine, long_width, &number));
    if (long_width > 0 && long_width < sizeof number && (number >> (8 * long_width - 1)) != 0)
        number |= UINT64_MAX << (8 * long_width); /* two's complement, of that width */
    return push_integer(machine, (int64_t)number);
out:
    return status;
}

static Status read_real(PickleMachine *machine)
{
    Status status = STATUS_OK;
    const uint8_t *bytes = NULL;
    PickleValue *value;
    uint64_t bits = 0;
    TRY(take(machine, sizeof bits, &bytes));
    for (size_t i = 0; i < sizeof bits; i++)
        bits = bits << 8 | bytes[i]; /* the one big-endian opcode */
    TRY(push_new(machine, PICKLE_REAL, &value));
    memcpy(&value->as.real, &bits, sizeof bits);
out:
    return status;
}

static Status read_text(PickleMachine *machine, int opcode)
{
    Status status = STATUS_OK;
    uint64_t size;
    const uint8_t *bytes = NULL;
    PickleValue *value;
    bool is_short = opcode == OP_SHORT_BINUNICODE || opcode == OP_SHORT_BINSTRING;
    TRY(take_number(machine, is_short ? 1 : opcode == OP_BINUNICODE8 ? 8 : 4, &size));
    if (size > machine->size - machine->at)
        return cut_short(machine);
    TRY(take(machine, (size_t)size, &bytes));
    TRY(push_new(machine, PICKLE_TEXT, &value));
    value->as.text.bytes = arena_copy_bytes(machine->arena, (const char *)bytes, (size_t)size);
    value->as.text.size = (size_t)size;
out:
    return status;
}

static Status push_boolean(PickleMachine *machine, bool boolean)
{
    PickleValue *value;
    Status status = push_new(machine, PICKLE_BOOLEAN, &value);
    if (status == STATUS_OK)
        value->as.boolean = boolean;
    return status;
}

/* -- containers */

/* A tuple of everything from stack index first on, which it replaces. */
static Status make_tuple(PickleMachine *machine, size_t first, bool marked)
{
    Status status = STATUS_OK;
    PickleValue *tuple;
    TRY(pickle_new_value(machine, PICKLE_TUPLE, &tuple));
    tuple->as.tuple.count = machine->stack.count - first;
    tuple->as.tuple.items = arena_allocate(machine->arena, tuple->as.tuple.count, sizeof *tuple->as.tuple.items);
    for (size_t i = 0; i < tuple->as.tuple.count; i++) {
        tuple->as.tuple.items[i] = machine->stack.items[first + i];
        if (!tuple->as.tuple.items[i])
            return pickle_fail(machine, STATUS_CORRUPT, "a mark where a value is wanted");
    }
    machine->stack.count = first - (marked ? 1 : 0);
    TRY(push(machine, tuple));
out:
    return status;
}

static Status read_tuple(PickleMachine *machine, int opcode)
{
    size_t first, count = opcode == OP_EMPTY_TUPLE ? 0 : opcode == OP_TUPLE1 ? 1 : opcode == OP_TUPLE2 ? 2 : 3;
    if (opcode == OP_TUPLE) {
        Status status = find_mark(machine, &first);
        return status == STATUS_OK ? make_tuple(machine, first, true) : status;
    }
    if (count > machine->stack.count)
        return pickle_fail(machine, STATUS_CORRUPT, "a value is missing on the stack");
    return make_tuple(machine, machine->stack.count - count, false);
}

/* Items count as values: a list may be turned into a dict again and again, at a few bytes of pickle each time. */
Status pickle_container_add(PickleMachine *machine, PickleValue *container, const PickleValue *key, const PickleValue *value)
{
    if (machine->value_count++ >= PICKLE_VALUE_LIMIT)
        return pickle_fail(machine, STATUS_LIMIT, "the pickle holds more values than any model needs");
    PickleItem *item = arena_allocate(machine->arena, 1, sizeof *item);
    *item = (PickleItem){.key = key, .value = value};
    if (container->as.container.last)
        container->as.container.last->next = item;
    else
        container->as.container.first = item;
    container->as.container.last = item;
    container->as.container.count++;
    return STATUS_OK;
}

/* Values (pairs for dicts) from stack index first on go into the container below them (below the mark). */
static Status fill_container(PickleMachine *machine, PickleKind kind, size_t first, bool marked)
{
    Status status = STATUS_OK;
    PickleValue *container;
    size_t end = machine->stack.count, step = kind == PICKLE_DICT ? 2 : 1;
    if ((end - first) % step != 0)
        return pickle_fail(machine, STATUS_CORRUPT, "a key without a value");
    for (size_t i = first; i < end; i++)
        if (!machine->stack.items[i])
            return pickle_fail(machine, STATUS_CORRUPT, "a mark where a value is wanted");
    machine->stack.count = first - (marked ? 1 : 0);
    TRY(top(machine, &container));
    if (container->kind != kind)
        return pickle_fail(machine, STATUS_CORRUPT, "values are added to what is no list or dict");
    for (size_t i = first; i < end; i += step)
        TRY(pickle_container_add(machine, container, kind == PICKLE_DICT ? machine->stack.items[i] : NULL,
                                 machine->stack.items[i + step - 1]));
out:
    return status;
}

static Status read_fill(PickleMachine *machine, int opcode)
{
    PickleKind kind = opcode == OP_SETITEM || opcode == OP_SETITEMS ? PICKLE_DICT : PICKLE_LIST;
    size_t first, single = kind == PICKLE_DICT ? 2 : 1;
    if (opcode == OP_APPENDS || opcode == OP_SETITEMS) {
        Status status = find_mark(machine, &first);
        return status == STATUS_OK ? fill_container(machine, kind, first, true) : status;
    }
    if (machine->stack.count < single)
        return pickle_fail(machine, STATUS_CORRUPT, "a value is missing on the stack");
    return fill_container(machine, kind, machine->stack.count - single, false);
}

/* -- the memo */

static Status memo_put(PickleMachine *machine, uint64_t index)
{
    Status status = STATUS_OK;
    PickleValue *value;
    if (index >= PICKLE_MEMO_LIMIT)
        return pickle_fail(machine, STATUS_LIMIT, "the memo is larger than any model needs");
    TRY(top(machine, &value));
    array_reserve(&machine->memo, (size_t)index + 1);
    while (machine->memo.count <= index)
        machine->memo.items[machine->memo.count++] = NULL;
    machine->memo.items[index] = value;
out:
    return status;
}

static Status memo_get(PickleMachine *machine, uint64_t index)
{
    if (index >= machine->memo.count || !machine->memo.items[index])
        return pickle_fail(machine, STATUS_CORRUPT, "the memo has no such entry");
    return push(machine, machine->memo.items[index]);
}

static Status read_memo(PickleMachine *machine, int opcode)
{
    uint64_t index = machine->memo.count;
    if (opcode != OP_MEMOIZE) {
        Status status = take_number(machine, opcode == OP_BINPUT || opcode == OP_BINGET ? 1 : 4, &index);
        if (status != STATUS_OK)
            return status;
    }
    return opcode == OP_BINGET || opcode == OP_LONG_BINGET ? memo_get(machine, index) : memo_put(machine, index);
}

/* -- what is outside plain data */

/* Names come from the file: what does not print is shown as a question mark. */
static void copy_printable(char *shown, const char *bytes, size_t size)
{
    size_t count = size < SHOWN_NAME_SIZE - 1 ? size : SHOWN_NAME_SIZE - 1;
    for (size_t i = 0; i < count; i++)
        shown[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?';
    shown[count] = '\0';
}

static Status push_global(PickleMachine *machine, const char *module, size_t module_size, const char *name, size_t name_size)
{
    PickleValue *value;
    const PickleGlobal *global = pickle_global_find(module, module_size, name, name_size);
    if (!global) {
        char shown_module[SHOWN_NAME_SIZE], shown_name[SHOWN_NAME_SIZE], text[2 * SHOWN_NAME_SIZE + 160];
        copy_printable(shown_module, module, module_size);
        copy_printable(shown_name, name, name_size);
        snprintf(text, sizeof text, "the file asks for %s.%s, which no weights need: refused, nothing of it was run", shown_module,
                 shown_name);
        return pickle_fail(machine, STATUS_UNSUPPORTED, text);
    }
    Status status = push_new(machine, PICKLE_GLOBAL, &value);
    if (status == STATUS_OK)
        value->as.global = global;
    return status;
}

static Status take_line(PickleMachine *machine, const char **line, size_t *size)
{
    size_t left = machine->size - machine->at;
    *line = (const char *)machine->bytes + machine->at;
    const char *end = memchr(*line, '\n', left < GLOBAL_NAME_LIMIT ? left : GLOBAL_NAME_LIMIT);
    if (!end)
        return left < GLOBAL_NAME_LIMIT ? cut_short(machine) : pickle_fail(machine, STATUS_LIMIT, "a name of more than 128 bytes");
    *size = (size_t)(end - *line);
    machine->at += *size + 1;
    return STATUS_OK;
}

static Status read_global(PickleMachine *machine, int opcode)
{
    Status status = STATUS_OK;
    if (opcode == OP_GLOBAL) {
        const char *module, *name;
        size_t module_size, name_size;
        TRY(take_line(machine, &module, &module_size));
        TRY(take_line(machine, &name, &name_size));
        return push_global(machine, module, module_size, name, name_size);
    }
    PickleValue *name, *module;
    TRY(pop(machine, &name));
    TRY(pop(machine, &module));
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return pickle_fail(machine, STATUS_CORRUPT, "a global whose name is no text");
    return push_global(machine, module->as.text.bytes, module->as.text.size, name->as.text.bytes, name->as.text.size);
out:
    return status;
}

static Status read_reduce(PickleMachine *machine)
{
    Status status = STATUS_OK;
    PickleValue *arguments, *callable, *result;
    TRY(pop(machine, &arguments));
    TRY(pop(machine, &callable));
    if (callable->kind != PICKLE_GLOBAL || arguments->kind != PICKLE_TUPLE)
        return pickle_fail(machine, STATUS_CORRUPT, "a call of what cannot be called");
    TRY(pickle_rebuild(machine, callable->as.global, arguments, &result));
    TRY(push(machine, result));
out:
    return status;
}

/* The state of an OrderedDict is torch's _metadata (versions of modules), which weights do not depend on. */
static Status read_build(PickleMachine *machine)
{
    Status status = STATUS_OK;
    PickleValue *state, *object;
    TRY(pop(machine, &state));
    TRY(top(machine, &object));
    if (object->kind != PICKLE_DICT)
        return pickle_fail(machine, STATUS_UNSUPPORTED, "state for an object that is no dict");
out:
    return status;
}

static Status read_storage(PickleMachine *machine)
{
    Status status = STATUS_OK;
    PickleValue *id, *storage;
    TRY(pop(machine, &id));
    TRY(pickle_storage(machine, id, &storage));
    TRY(push(machine, storage));
out:
    return status;
}

static Status read_protocol(PickleMachine *machine, int opcode)
{
    uint64_t number;
    Status status = take_number(machine, opcode == OP_PROTO ? 1 : 8, &number);
    if (status == STATUS_OK && opcode == OP_PROTO && number > PROTOCOL_LIMIT)
        return pickle_fail(machine, STATUS_UNSUPPORTED, "a pickle protocol over 5");
    if (status == STATUS_OK && opcode == OP_FRAME && number > machine->size - machine->at)
        return cut_short(machine);
    return status;
}

static Status unknown_opcode(PickleMachine *machine, int opcode)
{
    char text[128];
    snprintf(text, sizeof text, "opcode 0x%02x is none of those that weights are written with: refused, nothing of it was run",
             (unsigned)opcode);
    return pickle_fail(machine, STATUS_UNSUPPORTED, text);
}

static Status step(PickleMachine *machine, int opcode)
{
    PickleValue *value;
    switch (opcode) {
    case OP_PROTO:
    case OP_FRAME:
        return read_protocol(machine, opcode);
    case OP_MARK:
        return push(machine, NULL);
    case OP_BININT:
    case OP_BININT1:
    case OP_BININT2:
    case OP_LONG1:
        return read_integer(machine, opcode);
    case OP_BINFLOAT:
        return read_real(machine);
    case OP_NONE:
        return push_new(machine, PICKLE_NONE, &value);
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return push_boolean(machine, opcode == OP_NEWTRUE);
    case OP_BINSTRING:
    case OP_SHORT_BINSTRING:
    case OP_BINUNICODE:
    case OP_SHORT_BINUNICODE:
    case OP_BINUNICODE8:
        return read_text(machine, opcode);
    case OP_EMPTY_DICT:
    case OP_EMPTY_LIST:
        return push_new(machine, opcode == OP_EMPTY_DICT ? PICKLE_DICT : PICKLE_LIST, &value);
    case OP_EMPTY_TUPLE:
    case OP_TUPLE:
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return read_tuple(machine, opcode);
    case OP_APPEND:
    case OP_APPENDS:
    case OP_SETITEM:
    case OP_SETITEMS:
        return read_fill(machine, opcode);
    case OP_GLOBAL:
    case OP_STACK_GLOBAL:
        return read_global(machine, opcode);
    case OP_REDUCE:
        return read_reduce(machine);
    case OP_BUILD:
        return read_build(machine);
    case OP_BINPERSID:
        return read_storage(machine);
    case OP_BINPUT:
    case OP_LONG_BINPUT:
    case OP_MEMOIZE:
    case OP_BINGET:
    case OP_LONG_BINGET:
        return read_memo(machine, opcode);
    default:
        return unknown_opcode(machine, opcode);
    }
}

/* Each opcode takes at least its own byte: the loop ends with the bytes. */
static Status run(PickleMachine *machine, PickleValue **root)
{
    Status status = STATUS_OK;
    for (;;) {
        uint64_t opcode;
        machine->opcode_at = machine->at;
        TRY(take_number(machine, 1, &opcode));
        if (machine->opcode_at == 0 && opcode != OP_PROTO)
            return pickle_fail(machine, STATUS_CORRUPT, "no pickle of protocol 2 or later starts here");
        if (opcode == OP_STOP)
            break;
        TRY(step(machine, (int)opcode));
    }
    TRY(pop(machine, root));
    if (machine->stack.count != 0)
        return pickle_fail(machine, STATUS_CORRUPT, "values are left on the stack at the end");
out:
    return status;
}

Status pickle_read(Pickle **pickle, const uint8_t *bytes, size_t size, const char *name, uint64_t base, size_t *used,
                   Diagnostic *diagnostic)
{
    PickleValue *root = NULL;
    PickleMachine machine = {.bytes = bytes, .size = size, .name = name, .base = base, .diagnostic = diagnostic};
    machine.arena = arena_create(ARENA_BLOCK_BYTES);
    *pickle = NULL;
    Status status = run(&machine, &root);
    array_free(&machine.stack);
    array_free(&machine.memo);
    if (status != STATUS_OK) {
        arena_destroy(&machine.arena);
        return status;
    }
    *used = machine.at;
    *pickle = memory_allocate(1, sizeof **pickle);
    **pickle = (Pickle){.arena = machine.arena, .root = root};
    return STATUS_OK;
}

void pickle_destroy(Pickle **pickle)
{
    if (!*pickle)
        return;
    arena_destroy(&(*pickle)->arena);
    free(*pickle);
    *pickle = NULL;
}

const PickleValue *pickle_root(const Pickle *pickle)
{
    return pickle->root;
}

const PickleValue *pickle_dict_get(const PickleValue *dict, const char *key)
{
    size_t size = strlen(key);
    for (const PickleItem *item = dict->kind == PICKLE_DICT ? dict->as.container.first : NULL; item; item = item->next)
        if (item->key->kind == PICKLE_TEXT && item->key->as.text.size == size && memcmp(item->key->as.text.bytes, key, size) == 0)
            return item->value;
    return NULL;
}
